"""Optimizers: how a step changes the parameters, in place on their flat vector.

The formulas are those of PyTorch. With θ the parameters, g the gradient and η the learning rate:

- SGD: θ ← θ − η g.
- Momentum (Sutskever et al., "On the importance of initialization and momentum in deep learning",
  2013, with η outside the velocity): v ← μ v + g, θ ← θ − η v.
- Adam (Kingma and Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1):
  m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g², θ ← θ − η m̂ / (√v̂ + ε) with
  m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from workbench.errors import InputError, close_matches

Vector = NDArray[Any]

CHUNK = 16_384
"""The entries updated at a time, so that all of an update's passes find them in the cache."""

FLUSH_INTERVAL = 256
"""The steps between two flushes of denormal numbers, which decaying state would be full of."""


class Optimizer(ABC):
    """Base of the optimizers: goes through the vectors in chunks, with state and scratch space.

    Attributes
    ----------
    default_learning_rate : taken where none is given.
    state_count : the number of vectors of state, each as long as the parameters.
    steps : the number of updates made.
    """

    default_learning_rate: ClassVar[float]
    state_count: ClassVar[int]

    def __init__(self, learning_rate: float | None = None):
        rate = self.default_learning_rate if learning_rate is None else learning_rate
        if not (math.isfinite(rate) and rate > 0):
            raise InputError(f"learning rate {rate:g}; expected a number above 0, such as 0.01")
        self.learning_rate = rate
        self.steps = 0
        self._state: list[Vector] = []
        self._bound: tuple[Vector, Vector] | None = None
        self._chunks: list[tuple[Vector, ...]] = []

    def update(self, parameters: Vector, gradients: Vector) -> None:
        """Make one step: change `parameters` (parameters,) in place; `gradients` stays as it is.

        Nothing of their size is allocated as long as they are the vectors of the step before.
        """
        bound = self._bound
        if bound is None or bound[0] is not parameters or bound[1] is not gradients:
            self._bind(parameters, gradients)
        self._begin_step()
        for chunk in self._chunks:
            self._change(*chunk)
        if self.steps % FLUSH_INTERVAL == 0:
            self._flush_denormals()

    def _bind(self, parameters: Vector, gradients: Vector) -> None:
        dtype = parameters.dtype
        if not self._state:
            self._state = [np.zeros_like(parameters) for _ in range(self.state_count)]
            self._set_constants(dtype)
        scratch = np.empty(min(CHUNK, parameters.size), dtype)
        self._chunks = []
        for start in range(0, parameters.size, CHUNK):
            vectors = [vector[start : start + CHUNK] for vector in (parameters, gradients)]
            state = [vector[start : start + CHUNK] for vector in self._state]
            self._chunks.append((*vectors, scratch[: vectors[0].size], *state))
        self._bound = parameters, gradients

    @abstractmethod
    def _set_constants(self, dtype: np.dtype[Any]) -> None:
        """Make the factors, as 0-d arrays: NumPy multiplies by these faster than by floats."""

    def _begin_step(self) -> None:
        """Count the step, and set the factors that depend on its number."""
        self.steps += 1

    @abstractmethod
    def _change(
        self, parameters: Vector, gradients: Vector, scratch: Vector, *state: Vector
    ) -> None:
        """Update one chunk of everything."""

    def _flush_denormals(self) -> None:
        for vector in chain.from_iterable(chunk[3:] for chunk in self._chunks):
            vector[abs(vector) < np.finfo(vector.dtype).tiny] = 0


class SGD(Optimizer):
    """Stochastic gradient descent: θ ← θ − η g.

    >>> parameters = np.array([1.0, 2.0])
    >>> SGD(0.5).update(parameters, np.array([2.0, -4.0]))
    >>> parameters
    array([0., 4.])
    """

    default_learning_rate = 0.1
    state_count = 0

    def _set_constants(self, dtype: np.dtype[Any]) -> None:
        self._step_size = np.array(-self.learning_rate, dtype)

    def _change(
        self, parameters: Vector, gradients: Vector, scratch: Vector, *state: Vector
    ) -> None:
        np.multiply(gradients, self._step_size, scratch)
        np.add(parameters, scratch, parameters)


class Momentum(Optimizer):
    """Gradient descent with a velocity: v ← μ v + g, θ ← θ − η v.

    >>> parameters, optimizer = np.array([1.0]), Momentum(0.5, momentum=0.5)
    >>> for _ in range(2):
    ...     optimizer.update(parameters, np.array([1.0]))
    ...     print(parameters)
    [0.5]
    [-0.25]
    """

    default_learning_rate = 0.01
    state_count = 1

    def __init__(self, learning_rate: float | None = None, momentum: float | None = None):
        super().__init__(learning_rate)
        self.momentum = 0.9 if momentum is None else momentum
        _require_decay("momentum", self.momentum)

    def _set_constants(self, dtype: np.dtype[Any]) -> None:
        self._step_size = np.array(-self.learning_rate, dtype)
        self._decay = np.array(self.momentum, dtype)

    def _change(
        self, parameters: Vector, gradients: Vector, scratch: Vector, *state: Vector
    ) -> None:
        (velocity,) = state
        np.multiply(velocity, self._decay, velocity)
        np.add(velocity, gradients, velocity)
        np.multiply(velocity, self._step_size, scratch)
        np.add(parameters, scratch, parameters)


class Adam(Optimizer):
    """Adaptive moments, with bias correction.

    The state is M = m / (1 − β₁) and V = v / (1 − β₂), which saves two passes: M ← β₁ M + g,
    V ← β₂ V + g². With c = √((1 − β₂ᵗ) / (1 − β₂)), so that √v̂ = √V / c, the step is
    θ ← θ − [η c (1 − β₁) / (1 − β₁ᵗ)] M / (√V + c ε).

    >>> parameters = np.array([1.0, 1.0])
    >>> Adam(0.25).update(parameters, np.array([1e-3, -1e3]))
    >>> parameters.round(4)
    array([0.75, 1.25])
    """

    default_learning_rate = 0.001
    state_count = 2

    def __init__(
        self,
        learning_rate: float | None = None,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
    ):
        super().__init__(learning_rate)
        for name, beta in zip(("beta 1", "beta 2"), betas, strict=True):
            _require_decay(name, beta)
        self.betas = betas
        self.epsilon = epsilon

    def _set_constants(self, dtype: np.dtype[Any]) -> None:
        self._first_decay, self._second_decay = (np.array(beta, dtype) for beta in self.betas)
        self._step_size, self._offset = np.zeros((), dtype), np.zeros((), dtype)

    def _begin_step(self) -> None:
        super()._begin_step()
        first, second = self.betas
        scale = math.sqrt((1 - second**self.steps) / (1 - second))
        correction = (1 - first) / (1 - first**self.steps)
        self._step_size[()] = -self.learning_rate * scale * correction
        self._offset[()] = self.epsilon * scale

    def _change(
        self, parameters: Vector, gradients: Vector, scratch: Vector, *state: Vector
    ) -> None:
        first, second = state
        np.multiply(first, self._first_decay, first)
        np.add(first, gradients, first)
        np.multiply(gradients, gradients, scratch)
        np.multiply(second, self._second_decay, second)
        np.add(second, scratch, second)
        np.sqrt(second, scratch)
        np.add(scratch, self._offset, scratch)
        np.divide(first, scratch, scratch)
        np.multiply(scratch, self._step_size, scratch)
        np.add(parameters, scratch, parameters)


OPTIMIZERS: Mapping[str, Callable[..., Optimizer]] = {
    "sgd": SGD,
    "momentum": Momentum,
    "adam": Adam,
}
"""The optimizers by name."""


def make_optimizer(
    name: str, learning_rate: float | None = None, momentum: float | None = None
) -> Optimizer:
    """Make an optimizer by its name; what is None takes the optimizer's default.

    >>> make_optimizer("momentum", 0.1).momentum
    0.9
    """
    if name not in OPTIMIZERS:
        raise InputError(f"unknown optimizer {name!r}: {close_matches(name, OPTIMIZERS)}")
    if name == "momentum":
        return Momentum(learning_rate, momentum)
    if momentum is not None:
        raise InputError(
            f"a momentum of {momentum:g} is of no use to {name}; use the optimizer momentum"
        )
    return OPTIMIZERS[name](learning_rate)


def _require_decay(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise InputError(f"{name} {value:g}; expected a number from 0 up to, not including, 1")
