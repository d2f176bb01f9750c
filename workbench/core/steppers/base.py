"""What every stepper works on: batches, and a learner that the steps change."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from workbench.calculus.expressions import Expression
from workbench.core.optimizers import Optimizer
from workbench.core.parameters import Parameters
from workbench.core.program.source import Lowered, lower
from workbench.derivation.network import BATCH
from workbench.derivation.steps import Derivation

Array = NDArray[Any]

StepScalars = Mapping[str, "Array | float"]
"""The optimizer's scalars by name: one for each step, or the same for all."""


@dataclass(frozen=True)
class Batches:
    """Consecutive batches of one size, a sample a row.

    Attributes
    ----------
    samples : the inputs in order, then the targets, of all batches.
    starts : the first sample of each batch.
    outputs : (batches · size, *outputs), the place for what is predicted, if it is wanted.
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
        """The numbers of each batch; those of a batch that comes again are read once."""
        first, last = int(self.starts[0]), int(self.starts[-1]) + self.size
        if last - first != len(self) * self.size:
            found = {
                start: self._rows(start, start + self.size) for start in {*self.starts.tolist()}
            }
            return [found[start][0] for start in self.starts.tolist()]
        return self._rows(first, last)

    def _rows(self, first: int, last: int) -> list[tuple[list[float], ...]]:
        """The numbers of the batches of consecutive samples."""
        count = (last - first) // self.size
        parts = (part[first:last].reshape(count, -1).tolist() for part in self.samples)
        return list(zip(*parts, strict=True))


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
    output : the symbol of what is predicted; that of the equation before the loss if None.
    """

    derivation: Derivation
    parameters: Parameters
    gradients: Parameters
    optimizer: Optimizer
    states: Mapping[str, Parameters]
    output: Expression | None = None
    _lowered: dict[int, Lowered] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def begin(
        cls,
        derivation: Derivation,
        parameters: Parameters,
        optimizer: Optimizer,
        output: Expression | None = None,
    ) -> Learner:
        """Start with parameters that are there and states of zero."""
        states = {name: parameters.zeros_like() for name in optimizer.rule.states}
        gradients = parameters.zeros_like()
        return cls(derivation, parameters, gradients, optimizer, states, output)

    def lowered(self, batch_size: int) -> Lowered:
        """The calls for batches of one size, lowered once."""
        if batch_size not in self._lowered:
            self._lowered[batch_size] = self._lower(batch_size)
        return self._lowered[batch_size]

    def _lower(self, batch_size: int) -> Lowered:
        sizes = {**self.derivation.system.sizes, BATCH.names[0]: batch_size}
        return lower(self.derivation, sizes, self.parameters.turned, self.output)

    def examine(self, loss: float) -> float:
        """The square of the gradient's norm where only that overflows; else NotFinite."""
        gradients = self.gradients.vector
        if math.isfinite(loss) and np.isfinite(gradients).all():
            return float(np.dot(gradients.astype(np.float64), gradients))
        raise NotFinite


class Stepper(Protocol):
    """Makes steps with batches of one size.

    Attributes
    ----------
    source : the Python source of what makes them.
    """

    source: str

    def run(self, batches: Batches, scalars: StepScalars, steps: Steps) -> None:
        """Make a step with each batch; NotFinite ends it before the step that cannot be made."""


def rest_of(scalars: StepScalars, done: int) -> StepScalars:
    """The scalars without those of the first steps."""
    return {
        name: values if isinstance(values, float) else values[done:]
        for name, values in scalars.items()
    }
