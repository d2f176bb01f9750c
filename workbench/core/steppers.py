"""Steppers: what makes training steps, each for one kind of program.

- **numpy**: calls on arrays, for networks of any size.
- **python**: plain Python on single numbers, for networks of a few neurons in float64.

Both are made from the same derivation and the same formulas of the optimizer, and change the same
vectors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import repeat
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from workbench.core.optimizers import Optimizer
from workbench.core.parameters import Parameters
from workbench.core.program.buffers import assign_buffers
from workbench.core.program.loops import numpy_loop
from workbench.core.program.number_loops import python_loop
from workbench.core.program.source import Lowered, lower
from workbench.core.vector_update import CHUNK
from workbench.derivation.network import BATCH
from workbench.derivation.steps import Derivation

Array = NDArray[Any]

Scalars = Mapping[str, "Array | float"]
"""The optimizer's scalars by name: one for each step, or the same for all."""


@dataclass(frozen=True)
class Batches:
    """Consecutive batches of one size, a sample a row.

    Attributes
    ----------
    samples : the inputs in order, then the targets, of all batches.
    starts : the first sample of each batch.
    outputs : (batches · size, outputs), the place for what the network answers, if it is wanted.
    """

    samples: tuple[Array, ...]
    starts: NDArray[np.int64]
    size: int
    outputs: Array | None = None

    def __len__(self) -> int:
        """Count the batches."""
        return len(self.starts)

    def __getitem__(self, part: slice) -> Batches:
        """Some of the batches."""
        start, stop, _ = part.indices(len(self))
        places = None
        if self.outputs is not None:
            places = self.outputs[start * self.size : stop * self.size]
        found = Batches(self.samples, self.starts[part], self.size, places)
        found.__dict__.update(data=self.data[part], arrays=self.arrays[part])
        return found

    @cached_property
    def data(self) -> list[tuple[Array, ...]]:
        """Views of the samples of each batch; the same for a batch that comes again."""
        views: dict[int, tuple[Array, ...]] = {}
        for start in self.starts.tolist():
            if start not in views:
                views[start] = tuple(part[start : start + self.size] for part in self.samples)
        return [views[start] for start in self.starts.tolist()]

    @cached_property
    def arrays(self) -> list[tuple[Array, ...]]:
        """The views of each batch, the place for its outputs last."""
        if self.outputs is None:
            return self.data
        size = self.size
        ends = range(size, len(self.outputs) + size, size)
        places = [self.outputs[end - size : end] for end in ends]
        return [(*data, place) for data, place in zip(self.data, places, strict=True)]

    @cached_property
    def numbers(self) -> list[tuple[list[float], ...]]:
        """The numbers of each batch; those of a batch that comes again are not read again."""
        numbers: list[tuple[list[float], ...]] = []
        last: tuple[Array, ...] | None = None
        for data in self.data:
            again = data is last
            numbers.append(numbers[-1] if again else tuple(p.ravel().tolist() for p in data))
            last = data
        return numbers


@dataclass
class Steps:
    """What steps came to: the loss of each batch and the square of its gradient's norm."""

    losses: list[float] = field(default_factory=list)
    squares: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        """Count the steps that were made."""
        return len(self.losses)


class NotFinite(ArithmeticError):
    """A step met a loss or a gradient that is not finite; it has changed nothing."""


@dataclass(frozen=True)
class Learner:
    """What training changes, and the formulas by which it does.

    Attributes
    ----------
    derivation : of the loss of a batch.
    parameters, gradients : of the same shapes, a vector each.
    states : the optimizer's vectors by name, of the shapes of the parameters, zero at first.
    """

    derivation: Derivation
    title: str
    parameters: Parameters
    gradients: Parameters
    optimizer: Optimizer
    states: Mapping[str, Parameters]

    @classmethod
    def begin(
        cls, derivation: Derivation, title: str, parameters: Parameters, optimizer: Optimizer
    ) -> Learner:
        """Start with parameters that are there and states of zero."""
        states = {name: parameters.zeros_like() for name in optimizer.rule.states}
        return cls(derivation, title, parameters, parameters.zeros_like(), optimizer, states)

    def lowered(self, batch_size: int) -> Lowered:
        """The calls for batches of one size."""
        sizes = {**self.derivation.system.sizes, BATCH.names[0]: batch_size}
        return lower(self.derivation, sizes, self.parameters.turned)

    def examine(self, loss: float) -> float:
        """The square of the gradient's norm where only that overflows; else NotFinite."""
        gradients = self.gradients.vector
        if math.isfinite(loss) and np.isfinite(gradients).all():
            return float(np.dot(gradients.astype(np.float64), gradients))
        raise NotFinite


class Stepper(Protocol):
    """Makes steps with batches of one size."""

    backend: str

    def run(self, batches: Batches, scalars: Scalars, steps: Steps) -> None:
        """Make a step with each batch; NotFinite ends it before the step that cannot be made."""


class NumPyStepper:
    """Steps as calls on arrays."""

    backend = "numpy"

    def __init__(self, learner: Learner, batch_size: int, *, keeps_outputs: bool):
        self._learner = learner
        self._lowered = learner.lowered(batch_size)
        self._dtype = learner.parameters.dtype
        self._keeps_outputs = keeps_outputs
        self._names = learner.optimizer.scalar_names
        self.buffers = assign_buffers(self._lowered.blocks)
        self._train = self._compile()

    def run(self, batches: Batches, scalars: Scalars, steps: Steps) -> None:
        """Make a step with each batch."""
        numbers = [self._numbers(scalars[name]) for name in self._names]
        with np.errstate(all="ignore"):
            self._train(batches.arrays, steps.losses, steps.squares, *numbers)

    def _numbers(self, values: Array | float) -> Iterable[Array]:
        """A scalar for each step, as an array, by which NumPy multiplies faster."""
        array = np.asarray(values, self._dtype)
        return list(array.reshape(-1, 1)) if array.ndim else repeat(array)

    def _compile(self) -> Callable[..., None]:
        learner = self._learner
        vectors = [
            learner.parameters.vector,
            learner.gradients.vector,
            *(state.vector for state in learner.states.values()),
            *self._scratch(),
        ]
        in_chunks = len(vectors[0]) > CHUNK
        source = numpy_loop(
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
        exec(compile(source, "<workbench program>", "exec"), namespace)
        parts = [_chunks(vectors)] if in_chunks else vectors
        train: Callable[..., None] = namespace["build"](
            *arrays, learner.gradients.vector, *parts, learner.examine
        )
        return train

    def _scratch(self) -> list[Array]:
        count = len(self._learner.optimizer.vector_lines().scratch)
        size = min(CHUNK, self._learner.parameters.vector.size)
        return [np.empty(size, self._dtype) for _ in range(count)]


def _chunks(vectors: Sequence[Array]) -> list[tuple[Array, ...]]:
    """Pieces of vectors side by side, such that all passes of an update find them in the cache."""
    whole = len(vectors[0])
    return [
        tuple(
            vector[start : start + CHUNK] if len(vector) == whole else vector[: whole - start]
            for vector in vectors
        )
        for start in range(0, whole, CHUNK)
    ]


class PythonStepper:
    """Steps in single numbers.

    What Python's functions refuse, such as e^x of a large x, is left to a step of NumPy's.

    Raises
    ------
    InputError
        If a plugin gives a function of arrays.
    """

    backend = "python"

    def __init__(self, learner: Learner, batch_size: int, *, keeps_outputs: bool):
        self._learner = learner
        self._keeps_outputs = keeps_outputs
        self._batch_size = batch_size
        lowered = learner.lowered(batch_size)
        source = python_loop(lowered, learner.optimizer, keeps_outputs=keeps_outputs)
        namespace: dict[str, Any] = {}
        exec(compile(source, "<workbench program>", "exec"), namespace)
        self._train = namespace["train"]

    def run(self, batches: Batches, scalars: Scalars, steps: Steps) -> None:
        """Make a step with each batch."""
        numbers = {name: scalars[name] for name in self._learner.optimizer.scalar_names}
        begin = len(steps)
        while (done := len(steps) - begin) < len(batches):
            self._run(batches[done:], _rest(numbers, done), steps)
            done = len(steps) - begin
            if done < len(batches):
                self._carefully.run(batches[done : done + 1], _rest(numbers, done), steps)

    def _run(self, batches: Batches, scalars: Scalars, steps: Steps) -> None:
        """Make steps up to the first that plain Python cannot make."""
        held = (self._learner.parameters, *self._learner.states.values())
        arrays = [store.vector for store in held]
        vectors = [array.tolist() for array in arrays]
        outputs: list[tuple[float, ...]] = []
        numbers = [
            repeat(values) if isinstance(values, float) else values.tolist()
            for values in scalars.values()
        ]
        with suppress(ArithmeticError, ValueError):
            self._train(batches.numbers, steps.losses, steps.squares, outputs, vectors, *numbers)
        for array, vector in zip(arrays, vectors, strict=True):
            array[:] = vector
        if batches.outputs is not None and outputs:
            batches.outputs.reshape(len(batches), -1)[: len(outputs)] = outputs

    @cached_property
    def _carefully(self) -> NumPyStepper:
        return NumPyStepper(self._learner, self._batch_size, keeps_outputs=self._keeps_outputs)


def _rest(scalars: Scalars, done: int) -> Scalars:
    return {
        name: values if isinstance(values, float) else values[done:]
        for name, values in scalars.items()
    }
