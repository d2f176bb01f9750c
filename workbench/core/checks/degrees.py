"""How far rational functions grow: the degrees behind the error bound of the exact test.

A value is N/D in what is drawn at random. Exponentials of different exponents, roots and atoms
count as independent of all else. Bounds only: nothing is said to be smaller than it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import reduce
from math import ceil, prod

from workbench.calculus.algebra import split_coefficient
from workbench.calculus.dimensions import Dimension
from workbench.calculus.expressions import Expression, length, walk
from workbench.calculus.functions import Function
from workbench.core.checks.residues import FORMULAS
from workbench.derivation.system import System


@dataclass(frozen=True, slots=True)
class Degree:
    """The degrees of a numerator and a denominator, and what an inner derivative adds to both."""

    above: int = 0
    below: int = 0
    inner: int = 0

    @property
    def total(self) -> int:
        """Both together."""
        return self.above + self.below

    @property
    def slope(self) -> Degree:
        """The degree of a derivative."""
        above = self.above + self.below + self.inner
        return Degree(above, 2 * self.below + self.inner, 2 * self.inner)

    def __mul__(self, other: Degree) -> Degree:
        inner = self.inner + other.inner
        return Degree(self.above + other.above, self.below + other.below, inner)

    def __add__(self, other: Degree) -> Degree:
        above = max(self.above + other.below, other.above + self.below)
        return Degree(above, self.below + other.below, self.inner + other.inner)

    def times(self, count: int) -> Degree:
        """Of a sum of so many alike."""
        above = self.above + (count - 1) * self.below
        return Degree(above, count * self.below, count * self.inner)

    def power(self, exponent: Fraction) -> Degree:
        """Of a power; a fractional one is bounded by the next whole one."""
        count = ceil(abs(exponent))
        pair = (self.above, self.below) if exponent > 0 else (self.below, self.above)
        return Degree(count * pair[0], count * pair[1], self.inner)

    def __or__(self, other: Degree) -> Degree:
        """Of either."""
        return Degree(*map(max, zip(self._all, other._all, strict=True)))

    @property
    def _all(self) -> tuple[int, int, int]:
        return self.above, self.below, self.inner


DRAWN, NUMBER = Degree(1), Degree()
Degrees = Mapping[Expression, Degree]


def degree(expression: Expression, known: Degrees, sizes: Mapping[str, int]) -> Degree:
    """The degree of an expression's entries, given those of symbols and other nodes.

    >>> from workbench.calculus.algebra import divide, power
    >>> from workbench.calculus.functions import VARIABLE
    >>> from workbench.calculus.expressions import number
    >>> found = degree(divide(number(1), power(VARIABLE, 3)), {VARIABLE: DRAWN}, {})
    >>> found.above, found.below
    (0, 3)
    """
    found: dict[Expression, Degree] = {}
    for node in walk(expression):
        if node in known:
            found[node] = known[node]
        else:
            found[node] = _node(node, [found[part] for part in node.arguments], known, sizes)
    return found[expression]


def _node(
    node: Expression, parts: Sequence[Degree], known: Degrees, sizes: Mapping[str, int]
) -> Degree:
    if not parts:
        is_drawn = node.operation in ("constant", "symbol")
        return Degree(2) if is_drawn else NUMBER
    match node.operation:
        case "add":
            return reduce(Degree.__add__, parts)
        case "multiply" | "kron":
            return reduce(Degree.__mul__, parts)
        case "matmul":
            inner = [factor.shape[1].size(sizes) for factor in node.arguments[:-1]]
            return reduce(Degree.__mul__, parts).times(prod(inner))
        case "sum":
            return parts[0].times(length(node.arguments[0]).size(sizes))
        case "trace":
            return parts[0].times(node.arguments[0].shape[0].size(sizes))
        case "index_sum":
            assert isinstance(node.data, tuple)
            assert isinstance(node.data[1], Dimension)
            return parts[0].times(node.data[1].size(sizes))
        case "power":
            assert isinstance(node.data, Fraction)
            return parts[0].power(node.data)
        case "inverse" | "det":
            return _eliminated(node, parts[0], sizes)
        case "greater" | "greater_equal":
            return NUMBER
        case "apply":
            return _applied(node, parts[0], known, sizes)
    return reduce(Degree.__or__, parts)


def _eliminated(node: Expression, entry: Degree, sizes: Mapping[str, int]) -> Degree:
    size = node.arguments[0].shape[0].size(sizes)
    above = size * (entry.above + (size**2 - 1) * entry.below)
    below, inner = size**3 * entry.below, size**2 * entry.inner
    if node.operation == "det":
        return Degree(above, below, inner)
    return Degree(above + below, above + below, inner)


def _applied(
    node: Expression, argument: Degree, known: Degrees, sizes: Mapping[str, int]
) -> Degree:
    function = node.data
    assert isinstance(function, Function)
    formula = function.formula or FORMULAS.get(function.name)
    if formula is not None:
        if function.columnwise:
            found = degree(function.at(node.arguments[0]), known, sizes)
        else:
            variables = [leaf for leaf in walk(formula) if leaf.operation == "symbol"]
            found = degree(formula, dict.fromkeys(variables, argument), sizes)
        for _ in range(function.order):
            found = found.slope
        return found
    inner = argument.inner + argument.total
    if function.name == "abs":
        return argument
    if function.name != "exp":
        return Degree(2, 2, inner)
    exponent = node.arguments[0]
    terms = exponent.arguments if exponent.operation == "add" else (exponent,)
    rates = [split_coefficient(term)[0] for term in terms]
    above = sum(abs(rate.numerator) for rate in rates if rate > 0)
    below = sum(abs(rate.numerator) for rate in rates if rate < 0)
    return Degree(above, below, inner)


class SystemDegrees:
    """The degrees of everything a step can mention, for the sizes of one draw.

    The gradient of an intermediate u is the derivative of the loss by something drawn that is added
    to u, at 0, and so no worse than a derivative of the loss; or it is chained, if that is less.
    """

    def __init__(self, system: System, sizes: Mapping[str, int]) -> None:
        self.values = {s: DRAWN for s in system.symbols if s not in system.definitions}
        self.locals: dict[Expression, Degree] = {}
        alone = dict(self.values)
        for equation in system.equations:
            self.locals[equation.left] = degree(equation.right, alone, sizes).slope
            self.values[equation.left] = degree(equation.right, self.values, sizes) + DRAWN
            alone[equation.left] = replace(self.values[equation.left], inner=0)
        self.whole = self.values[system.loss].slope
        self._gradients = {system.loss: NUMBER}
        for equation in reversed(system.equations):
            if equation.left in self._gradients:
                above = self._gradients[equation.left] * self.locals[equation.left]
                part = above.times(length(equation.left).size(sizes))
                for variable in equation.differentiable:
                    known = self._gradients.get(variable)
                    self._gradients[variable] = part if known is None else known + part

    def gradient(self, variable: Expression) -> Degree:
        """The degree of a derivative of the loss."""
        chained = self._gradients.get(variable, NUMBER)
        return min(chained, self.whole, key=lambda found: found.total)
