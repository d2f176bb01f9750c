"""Steps as calls on arrays, for models of any size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import Any

import numpy as np

from workbench.core.program.loops import loop_buffers, numpy_loop
from workbench.core.steppers.base import Array, Batches, Learner, Steps, StepScalars
from workbench.core.vector_update import ENTRIES_AT_ONCE


class NumPyStepper:
    """Steps as calls on arrays.

    Attributes
    ----------
    source : the module that runs.
    """

    def __init__(self, learner: Learner, batch_size: int, *, keeps_outputs: bool):
        self._learner = learner
        self._lowered = learner.lowered(batch_size)
        self._dtype = learner.parameters.dtype
        self._keeps_outputs = keeps_outputs
        self._names = learner.optimizer.scalar_names
        self.buffers = loop_buffers(self._lowered, keeps_outputs=keeps_outputs)
        self._train = self._compile()

    def run(self, batches: Batches, scalars: StepScalars, steps: Steps) -> None:
        """Make a step with each batch."""
        with np.errstate(all="ignore"):
            numbers = [self._numbers(scalars[name]) for name in self._names]
            self._train(batches.arrays, steps.losses, steps.squares, *numbers)

    def _numbers(self, values: Array | float) -> Iterable[Array]:
        """A scalar for each step, as a 0-d array, by which NumPy multiplies fastest."""
        array = np.asarray(values, self._dtype)
        return [array[step, ...] for step in range(len(array))] if array.ndim else repeat(array)

    def _compile(self) -> Callable[..., None]:
        learner = self._learner
        vectors = [
            learner.parameters.vector,
            learner.gradients.vector,
            *(state.vector for state in learner.states.values()),
            *self._scratch(),
        ]
        in_chunks = len(vectors[0]) > ENTRIES_AT_ONCE
        self.source = numpy_loop(
            self._lowered,
            self.buffers,
            learner.optimizer,
            self._dtype,
            in_chunks=in_chunks,
            keeps_outputs=self._keeps_outputs,
        )
        held = (learner.parameters, learner.gradients)
        arrays = [store.stored(name) for store in held for name in learner.parameters]
        namespace: dict[str, Any] = dict(self._lowered.implementations)
        exec(compile(self.source, "<workbench program>", "exec"), namespace)
        parts = [_chunks(vectors)] if in_chunks else vectors
        with np.errstate(over="ignore"):
            train: Callable[..., None] = namespace["build"](
                *arrays, learner.gradients.vector, *parts, learner.examine
            )
        return train

    def _scratch(self) -> list[Array]:
        count = len(self._learner.optimizer.vector_lines().scratch)
        size = min(ENTRIES_AT_ONCE, self._learner.parameters.vector.size)
        return [np.empty(size, self._dtype) for _ in range(count)]


def _chunks(vectors: Sequence[Array]) -> list[tuple[Array, ...]]:
    """Pieces of vectors side by side, such that all passes of an update find them in the cache."""
    whole = len(vectors[0])
    return [
        tuple(
            vector[start : start + ENTRIES_AT_ONCE]
            if len(vector) == whole
            else vector[: whole - start]
            for vector in vectors
        )
        for start in range(0, whole, ENTRIES_AT_ONCE)
    ]
