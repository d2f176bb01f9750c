"""Steps in single numbers as plain Python, for models of a few neurons in float64."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from itertools import repeat
from typing import Any

from workbench.core.program.number_loops import python_loop
from workbench.core.steppers.base import Batches, Learner, Steps, StepScalars, rest_of
from workbench.core.steppers.numpy_stepper import NumPyStepper


class PythonStepper:
    """Steps in single numbers.

    What Python's functions refuse, such as e^x of a large x, is left to a step of NumPy's.

    Attributes
    ----------
    source : the module that runs.

    Raises
    ------
    InputError
        If a plugin gives a function of arrays.
    """

    def __init__(self, learner: Learner, batch_size: int, *, keeps_outputs: bool):
        self._learner = learner
        self._keeps_outputs = keeps_outputs
        self._batch_size = batch_size
        lowered = learner.lowered(batch_size)
        self.source = python_loop(lowered, learner.optimizer, keeps_outputs=keeps_outputs)
        namespace: dict[str, Any] = {}
        exec(compile(self.source, "<workbench program>", "exec"), namespace)
        self._train = namespace["train"]

    def run(self, batches: Batches, scalars: StepScalars, steps: Steps) -> None:
        """Make a step with each batch."""
        numbers = {name: scalars[name] for name in self._learner.optimizer.scalar_names}
        begin = len(steps)
        while (done := len(steps) - begin) < len(batches):
            self._run(batches[done:], rest_of(numbers, done), steps)
            done = len(steps) - begin
            if done < len(batches):
                self._carefully.run(batches[done : done + 1], rest_of(numbers, done), steps)

    def _run(self, batches: Batches, scalars: StepScalars, steps: Steps) -> None:
        """Make steps up to the first that plain Python cannot make."""
        held = (self._learner.parameters, *self._learner.states.values())
        arrays = [store.vector for store in held]
        vectors = [array.tolist() for array in arrays]
        outputs: list[float] = []
        numbers = [
            repeat(values) if isinstance(values, float) else values.tolist()
            for values in scalars.values()
        ]
        with suppress(ArithmeticError, ValueError):
            self._train(batches.numbers, steps.losses, steps.squares, outputs, vectors, *numbers)
        for array, vector in zip(arrays, vectors, strict=True):
            array[:] = vector
        if batches.outputs is not None:
            batches.outputs.reshape(-1)[: len(outputs)] = outputs

    @cached_property
    def _carefully(self) -> NumPyStepper:
        return NumPyStepper(self._learner, self._batch_size, keeps_outputs=self._keeps_outputs)
