"""Arithmetic with 50 digits and more, for what float64 leaves open. mpmath is imported when needed.

A real difference stays as the digits become more; a difference that is rounding falls with them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import inf, isnan
from typing import Any
from zlib import crc32

import numpy as np

from workbench.calculus.expressions import Expression
from workbench.calculus.functions import COLUMN_SIZE, COLUMN_VARIABLE, VARIABLE, Function
from workbench.core.checks.distances import Draw
from workbench.core.checks.objects import ObjectEvaluation
from workbench.core.checks.small_sizes import cost
from workbench.core.checks.truth import Truth
from workbench.core.evaluate import Array, Environment, Indices, Leaf
from workbench.derivation.steps import Derivation, Step
from workbench.errors import InputError

DIGITS = (50, 110, 170)
"""The precisions that a difference is looked at with; the last where the first is 0 by luck."""
MOST_ENTRIES = 20_000
"""Of all local Jacobians together; larger systems are left to float64."""
MOST_COST = 200_000
"""In one array."""
FALL = 1e-30
"""How far a difference must fall with the second precision to be rounding."""


class PreciseTier:
    """Looks at single steps of a derivation again, with more digits."""

    def __init__(self, derivation: Derivation) -> None:
        self.derivation = derivation
        self._truths: dict[tuple[int, int], Truth] = {}

    def error(self, step: Step, draw: Draw) -> float | None:
        """The worst error of a step at a draw; None where it cannot be said, or costs too much.

        An assumption about the targets holds in float64 alone.
        """
        system = self.derivation.system
        is_large = draw.truth.entries > MOST_ENTRIES or cost(system, draw.sizes) > MOST_COST
        if is_large or any(stage.rule == "assumption" for stage in step.stages):
            return None
        try:
            before, now = (self._sizes(step, draw, digits) for digits in DIGITS[:2])
            if any(b.distance == 0 < n.distance for b, n in zip(before, now, strict=True)):
                before, now = now, self._sizes(step, draw, DIGITS[2])
        except (ArithmeticError, ValueError, InputError):
            return None
        return max((n.error_after(b) for b, n in zip(before, now, strict=True)), default=None)

    def _sizes(self, step: Step, draw: Draw, digits: int) -> list[_Size]:
        pairs = draw.pairs(step, self._truth(draw, digits))
        return [_Size(_norm(found - truth), _norm(truth)) for found, truth in pairs]

    def _truth(self, draw: Draw, digits: int) -> Truth:
        """The truth at a draw's point, with so many digits.

        Forward values are worked out anew; what is drawn is taken as it is, exactly.
        """
        if (draw.seed, digits) not in self._truths:
            arithmetic, system = Precise(digits), self.derivation.system
            values = draw.point.values
            drawn = [s for s in values if s not in system.definitions]
            known = {s: arithmetic.whole(values[s]) for s in drawn}
            for equation in system.equations:
                found = arithmetic.value(equation.right, known, draw.sizes)
                known[equation.left] = np.broadcast_to(found, values[equation.left].shape)
            truth = Truth(self.derivation, draw.sizes, known, arithmetic)
            self._truths[draw.seed, digits] = truth
        return self._truths[draw.seed, digits]


@dataclass(frozen=True, slots=True)
class _Size:
    """The size of a difference and of the truth, with some digits."""

    distance: Any
    truth: Any

    def error_after(self, before: _Size) -> float:
        """The relative error; 0 if the difference fell with the digits."""
        if self.distance <= FALL * before.distance:
            return 0.0
        error = float(self.distance / self.truth) if self.truth else inf
        return inf if isnan(error) else error


def _norm(value: Array) -> Any:
    return sum((abs(entry) ** 2 for entry in value.ravel()), start=0) ** 0.5


class Precise:
    """Numbers of so many digits, and the complex step."""

    def __init__(self, digits: int) -> None:
        import mpmath

        self.context = mpmath.mp.clone()
        self.context.dps = digits
        self.step = self.context.mpf(10) ** (-2 * digits)

    def value(
        self,
        expression: Expression,
        values: Mapping[Expression, Array],
        sizes: Mapping[str, int],
        indices: Indices | None = None,
        leaf: Leaf | None = None,
    ) -> Array:
        """The value of an expression."""
        return _Evaluation(self.context, values, sizes, indices or {}, leaf).value(expression)

    def slope(
        self,
        expression: Expression,
        values: Mapping[Expression, Array],
        directions: Mapping[Expression, Array],
        sizes: Mapping[str, int],
    ) -> Array:
        """The complex step along directions."""
        step = self.context.mpc(0, self.step)
        moved = {s: values[s] + direction * step for s, direction in directions.items()}
        found = self.value(expression, {**values, **moved}, sizes)
        return np.asarray(_imaginary(found) / self.step, dtype=object)

    def whole(self, value: Array) -> Array:
        """Floats, taken as exact."""
        exact = np.frompyfunc(self.context.mpf, 1, 1)
        return np.asarray(exact(value.astype(object)), dtype=object)

    def reduced(self, value: Array) -> Array:
        """As it is."""
        return value


_real = np.frompyfunc(lambda a: a.real, 1, 1)
_imaginary = np.frompyfunc(lambda a: a.imag, 1, 1)


def _whole_power(base: Array, exponent: int) -> Array:
    """By squaring: a logarithm, which mpmath takes for large exponents, loses the complex step."""
    found, square, left = base**0, base, abs(exponent)
    while left:
        found = found * square if left % 2 else found
        left //= 2
        square = square * square if left else square
    return np.asarray(found if exponent >= 0 else 1 / found, dtype=object)


class _Evaluation(ObjectEvaluation):
    """An evaluation with mpmath's numbers; undefined values are nan, as in float64."""

    def __init__(
        self,
        context: Any,
        environment: Environment,
        sizes: Mapping[str, int],
        indices: Indices,
        leaf: Leaf | None,
    ) -> None:
        super().__init__(environment, sizes, indices, leaf)
        self.context = context

    def _number(self, value: Fraction) -> Any:
        return self.context.mpf(value.numerator) / value.denominator

    def _constant(self, name: str) -> Any:
        return +self.context.pi

    def _real(self, node: Expression, value: Array) -> Array:
        return np.asarray(_real(value), dtype=object)

    def _weight(self, entry: Any) -> Any:
        return abs(entry)

    def _within(self, index: str, place: int) -> _Evaluation:
        bound = {**self.indices, index: place}
        return _Evaluation(self.context, self.environment, self.sizes, bound, self.leaf)

    def _power(self, base: Array, exponent: Fraction) -> Array:
        if exponent.denominator == 1:
            return _whole_power(base, exponent.numerator)
        precise = self._number(exponent)
        return self._mapped(lambda a: a**precise if a.real >= 0 else self.context.nan, base)

    def _applied(self, node: Expression, argument: Array) -> Array:
        function = node.data
        assert isinstance(function, Function)
        if function.columnwise:
            return self._by_columns(function, argument)
        return self._mapped(self._primitive(function), argument)

    def _mapped(self, function: Callable[[Any], Any], value: Array) -> Array:
        return np.asarray(np.frompyfunc(function, 1, 1)(value), dtype=object)

    def _primitive(self, function: Function) -> Callable[[Any], Any]:
        mp = self.context
        if function.formula is not None:
            return self._by_formula(function, function.formula)
        if function.is_undetermined:
            turn = mp.mpf(crc32(function.name.encode()) % 97) + function.order * mp.pi / 2
            return lambda a: mp.sin(a + turn)
        named: dict[str, Callable[[Any], Any]] = {
            "log": lambda a: mp.log(a) if a.real > 0 else mp.nan,
            "sign": lambda a: mp.sign(a.real),
            "abs": lambda a: mp.sign(a.real) * a,
            "arctan": mp.atan,
            "Phi": mp.ncdf,
        }
        return named.get(function.name) or getattr(mp, function.name)

    def _by_formula(self, function: Function, formula: Expression) -> Callable[[Any], Any]:
        def value(argument: Any) -> Any:
            point = {VARIABLE: np.array([[argument]], dtype=object)}
            return _Evaluation(self.context, point, {}, {}, None).value(formula).item()

        if not function.order:
            return value
        return lambda argument: self.context.diff(value, argument, function.order)

    def _by_columns(self, function: Function, argument: Array) -> Array:
        assert function.formula is not None
        columns = np.swapaxes(argument, -1, -2)[..., None]
        sizes = {COLUMN_SIZE.names[0]: argument.shape[-2]}
        inner = _Evaluation(self.context, {COLUMN_VARIABLE: columns}, sizes, {}, None)
        values = np.broadcast_to(inner.value(function.formula), columns.shape)
        return np.swapaxes(values[..., 0], -1, -2)
