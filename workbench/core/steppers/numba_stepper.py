"""Steps in a function that numba compiles."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from workbench.core.optimizers import Optimizer
from workbench.core.program.buffers import Allocation
from workbench.core.program.loops import loop_buffers
from workbench.core.program.numba_source import numba_loop
from workbench.core.program.number_loops import numba_numbers
from workbench.core.program.source import Lowered
from workbench.core.steppers.base import Batches, Learner, Steps, StepScalars, rest_of
from workbench.core.steppers.numpy_stepper import NumPyStepper
from workbench.errors import InputError

FEW_NUMBERS = 600
"""A step of at most so many is compiled by numba in single numbers."""


class NumbaStepper:
    """Steps in a function that numba compiles: in single numbers if they are few, else in loops.

    A step whose numbers overflow is left to NumPy's, which says whether the gradient is finite.

    Raises
    ------
    InputError
        If numba is not installed or cannot compute it.
    """

    def __init__(self, learner: Learner, batch_size: int, *, keeps_outputs: bool):
        try:
            from numba import njit
        except ImportError:
            raise InputError(
                "the backend numba needs numba: pip install 'backprop-workbench[fast]'; or use "
                "another backend"
            ) from None
        self._learner = learner
        self._batch_size, self._keeps_outputs = batch_size, keeps_outputs
        lowered, dtype = learner.lowered(batch_size), learner.parameters.dtype
        stores = (learner.parameters, *learner.states.values())
        self._arrays: tuple[Any, ...] = (tuple(store.vector for store in stores),)
        self.source, allocations = numba_program(
            lowered, learner.optimizer, keeps_outputs=keeps_outputs
        )
        if allocations is not None:
            parameters, *states = self._arrays[0]
            held = (learner.parameters, learner.gradients)
            self._arrays = (
                (parameters, learner.gradients.vector, *states),
                *(tuple(store.stored(name) for name in store) for store in held),
                tuple(np.ones(shape, bool if mask else dtype) for _, shape, mask in allocations),
            )
        namespace: dict[str, Any] = {"dtype": dtype.type}
        exec(compile(self.source, "<workbench program>", "exec"), namespace)
        compiled = njit(error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
        self._train = compiled(namespace["train"])

    def run(self, batches: Batches, scalars: StepScalars, steps: Steps) -> None:
        """Make a step with each batch."""
        dtype = self._learner.parameters.dtype
        names = self._learner.optimizer.scalar_names
        numbers = tuple(
            np.broadcast_to(np.asarray(scalars[name], dtype), len(batches)).copy() for name in names
        )
        outputs = np.empty((0, 0), dtype) if batches.outputs is None else batches.outputs
        losses, squares = np.empty((2, len(batches)), np.float64)
        done = 0
        while done < len(batches):
            rest = slice(done, None)
            made = self._compiled(
                batches.samples,
                batches.starts[rest],
                outputs[done * batches.size :],
                losses,
                squares,
                self._arrays[0],
                tuple(values[rest] for values in numbers),
                *self._arrays[1:],
            )
            steps.losses += losses[:made].tolist()
            steps.squares += squares[:made].tolist()
            done += made
            if done < len(batches):
                self._carefully.run(batches[done : done + 1], rest_of(scalars, done), steps)
                done += 1

    def _compiled(self, *arrays: Any) -> int:
        from numba.core.errors import NumbaError

        try:
            return int(self._train(*arrays))
        except NumbaError as error:
            problem = str(error).splitlines()[0]
            raise InputError(
                f"numba cannot compile this network ({problem}); use the backend numpy"
            ) from None

    @cached_property
    def _carefully(self) -> NumPyStepper:
        return NumPyStepper(self._learner, self._batch_size, keeps_outputs=self._keeps_outputs)


def numba_program(
    lowered: Lowered, optimizer: Optimizer, *, keeps_outputs: bool
) -> tuple[str, list[Allocation] | None]:
    """The module that numba compiles, and the buffers that it wants; single numbers want none.

    Raises
    ------
    InputError
        If numba cannot compute it.
    """
    if size_in_numbers(lowered) <= FEW_NUMBERS:
        return numba_numbers(lowered, optimizer, keeps_outputs=keeps_outputs), None
    buffers = loop_buffers(lowered, keeps_outputs=keeps_outputs)
    return numba_loop(lowered, buffers, optimizer, keeps_outputs=keeps_outputs)


def size_in_numbers(lowered: Lowered) -> int:
    """The single numbers that a step computes, about."""
    return sum(call.terms for block in lowered.blocks for call in block.calls)
