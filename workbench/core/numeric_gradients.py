"""Gradients from the forward pass alone, in numbers.

By the complex step where every function is analytic (Squire and Trapp, 1998), else by central
differences with one Richardson extrapolation (Richardson, 1911).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.calculus.expressions import Expression
from workbench.core.checks.draws import Point, Values, draw_point
from workbench.core.evaluate import evaluate, magnitude
from workbench.core.gradient_methods import Method
from workbench.derivation.system import Equation, System

Array = NDArray[Any]

COMPLEX_STEP = 1e-30
DIFFERENCE_STEP = 1e-4
MOST_DRAWS = 20
CHUNK = 2**21
"""Numbers held at once while many entries are moved side by side."""

ROUNDING = 100 * float(np.finfo(float).eps)
"""What rounding may leave of numbers that cancel, relative to their size."""


class NumericGradients:
    """Numeric gradients of one system at one random point.

    Parameters
    ----------
    sizes : of every dimension.
    step : of the central differences, relative to the size of the entry moved.
    entries : at most so many entries of a parameter are moved.

    Attributes
    ----------
    point : where they are taken, a telling one if there is any.
    values : of every symbol there.
    noise : what rounding may leave of the loss.
    indices : of each parameter, the entries that are moved (entries,), in order.
    """

    def __init__(
        self,
        system: System,
        sizes: Mapping[str, int],
        random: np.random.Generator,
        *,
        method: Method,
        step: float,
        entries: int,
    ) -> None:
        self.system = system
        self.sizes = sizes
        self._random = random
        self.method = method
        self._step = step
        self.point = self._telling_point()
        self.values = self.point.values
        terms = magnitude(self.system.equations[-1].right, self.values, self.sizes)
        self.noise = ROUNDING * float(np.sum(terms))
        self.indices = {
            p: np.sort(self._random.permutation(self.values[p].size)[:entries])
            for p in self.system.parameters
        }
        self._gradients: dict[Expression, tuple[Array, Array, Array]] = {}

    def _telling_point(self) -> Point:
        """A point where the loss is defined, and if possible no intermediate is zero throughout."""
        best = draw_point(self.system, self.sizes, self._random)
        point = best
        for _ in range(MOST_DRAWS):
            is_alive = all(bool(np.any(point.values[e.left])) for e in self.system.equations)
            if is_alive or not best.is_defined:
                break
            point = draw_point(self.system, self.sizes, self._random)
        return point if point.is_defined else best

    def _run(self, values: Values, equations: Sequence[Equation]) -> None:
        for equation in equations:
            values[equation.left] = evaluate(equation.right, values, self.sizes)

    def _losses(self, parameter: Expression, moved: Array) -> Array:
        """The loss for each of many values (n, rows, columns) of one parameter."""
        values = {**self.values, parameter: moved}
        if consumers := self.system.consumers(parameter):
            first = self.system.equations.index(consumers[0])
            self._run(values, self.system.equations[first:])
        return np.broadcast_to(values[self.system.loss].reshape(-1), (len(moved),))

    def _moved(self, parameter: Expression, places: Array, amounts: Array) -> Array:
        base = self.values[parameter]
        dtype = np.result_type(base, amounts)
        moved = np.repeat(base[None].astype(dtype), len(places), axis=0)
        moved.reshape(len(places), -1)[np.arange(len(places)), places] += amounts
        return moved

    def _in_chunks(self, parameter: Expression, run: Callable[[Array], Array]) -> Array:
        places = self.indices[parameter]
        largest = max(self.values[s].size for s in self.system.symbols if s in self.values)
        count = max(1, CHUNK // max(largest, 1))
        parts = [run(places[i : i + count]) for i in range(0, len(places), count)]
        return np.concatenate(parts)

    def gradient(self, parameter: Expression) -> tuple[Array, Array, Array]:
        """The numeric gradient at the chosen entries, how uncertain each is, and its rounding."""
        if parameter not in self._gradients:
            if self.method is Method.COMPLEX:
                found = self._in_chunks(parameter, lambda p: self._complex(parameter, p))
                noise = np.full_like(found, self.noise)
                self._gradients[parameter] = found, np.zeros_like(found), noise
            else:
                self._gradients[parameter] = self._richardson(parameter)
        return self._gradients[parameter]

    def _complex(self, parameter: Expression, places: Array) -> Array:
        step = np.full(len(places), 1j * COMPLEX_STEP)
        return np.imag(self._losses(parameter, self._moved(parameter, places, step))) / COMPLEX_STEP

    def _richardson(self, parameter: Expression) -> tuple[Array, Array, Array]:
        """(4 d(h/2) − d(h)) / 3, for the step of a ladder that agrees best with its half."""
        best = np.full(len(self.indices[parameter]), np.nan)
        doubt = np.full(len(best), np.inf)
        noise = np.full(len(best), np.inf)
        for shrink in (1.0, 1 / 16, 1 / 256):
            whole = self._differences(parameter, self._step * shrink)
            half = self._differences(parameter, self._step * shrink / 2)
            difference = np.abs(whole - half)
            better = difference < doubt
            best[better] = ((4 * half - whole) / 3)[better]
            doubt[better] = difference[better]
            noise[better] = self.noise / (self._step * shrink)
        return best, doubt, noise

    def _differences(self, parameter: Expression, step: float) -> Array:
        return self._in_chunks(parameter, lambda places: self._central(parameter, places, step))

    def _central(self, parameter: Expression, places: Array, step: float) -> Array:
        amounts = step * np.maximum(1.0, np.abs(self.values[parameter].reshape(-1)[places]))
        above = self._losses(parameter, self._moved(parameter, places, amounts))
        below = self._losses(parameter, self._moved(parameter, places, -amounts))
        return (above - below) / (2 * amounts)
