"""Expressions in the integers modulo a prime, with truncated power series in ε: exact derivatives.

Modulo a random-looking prime, two different rational functions hardly ever agree at a random point
(Schwartz, 1980, "Fast probabilistic algorithms for verification of polynomial identities"). The
exponential is a homomorphism here too: with primes p = 2q + 1, eᵘ is gᵘ for an element g of order q
and the exponent taken modulo q, so that a value needs its residues modulo both (Gonnet, 1984,
"Determining equivalence of expressions in random polynomial time"). A chain of primes, each twice
the next and one more, gives exponentials of exponentials.

What has no such form (log, sin, erf, an undetermined f) is an atom: a random residue for each
argument, equal for equal arguments, its derivative the function's own slope. Which side of a branch
a point lies on is decided by real values beside the residues.

A series a + b ε + … is one number, its coefficients in fixed groups of bits (Kronecker, 1882), so
that sums and products of numbers are those of series.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache, partial
from math import factorial
from random import Random
from typing import Protocol

import numpy as np

from workbench.calculus.algebra import add, divide, multiply, negate, subtract
from workbench.calculus.expressions import Expression, number
from workbench.calculus.functions import (
    COLUMN_SIZE,
    COLUMN_VARIABLE,
    COS,
    EXP,
    SIN,
    VARIABLE,
    Function,
)
from workbench.core.checks.objects import ObjectEvaluation
from workbench.core.evaluate import Array, Environment, Indices, Leaf, evaluate

PRIMES = (
    2305843007363575679,
    1152921503681787839,
    576460751840893919,
    288230375920446959,
)
"""A Cunningham chain below 2⁶¹: each is twice the next and one more. Every one is −1 modulo 8, 3,
5, 7, 11 and 13, so that whole numbers made of 2 to 13 are squares."""

SLOT = 160
"""The bits of one coefficient, enough for sums of 2³⁰ products."""
MASK = (1 << SLOT) - 1

LARGEST_WHOLE = 1 << 20
"""Residues up to here are taken for whole numbers of a formula, not for something drawn."""

_EXPONENTIAL, _DECAYING = EXP(VARIABLE), EXP(negate(VARIABLE))
_HALF = number(Fraction(1, 2))
FORMULAS: Mapping[str, Expression] = {
    "sinh": multiply(_HALF, subtract(_EXPONENTIAL, _DECAYING)),
    "cosh": multiply(_HALF, add(_EXPONENTIAL, _DECAYING)),
    "tanh": divide(subtract(_EXPONENTIAL, _DECAYING), add(_EXPONENTIAL, _DECAYING)),
    "tan": divide(SIN(VARIABLE), COS(VARIABLE)),
}
"""Primitives by others."""


class Inapplicable(Exception):
    """Something has no value in the field at this point: a pole, or no square root."""


@dataclass
class Atoms:
    """Random residues for what is not algebraic.

    Attributes
    ----------
    is_loose : whether an atom, or a root, was used for which some relation may not hold; then two
        values that differ may still be equal.
    roots : the values of which roots were taken, with the degrees of these.
    """

    random: Random
    is_loose: bool = False
    roots: dict[tuple[int, int], int] = field(default_factory=dict)
    _known: dict[tuple[object, ...], int] = field(default_factory=dict)

    def generator(self, level: int) -> int:
        """e: an element of the order of the next prime."""
        return self._drawn(("e", level), lambda r: pow(4, r, PRIMES[level]))

    def value(self, name: str, order: int, argument: int, level: int) -> int:
        """What stands for a function's derivative of some order at an argument."""
        self.is_loose = True
        return self._drawn((name, order, argument, level), lambda r: r % PRIMES[level])

    def _drawn(self, key: tuple[object, ...], shape: Callable[[int], int]) -> int:
        if key not in self._known:
            self._known[key] = shape(self.random.randrange(1, PRIMES[-1]))
        return self._known[key]

    def constant(self, name: str, level: int) -> int:
        """What stands for a constant such as π: a square, so that its root exists."""
        return self._drawn((name, level), lambda r: pow(r, 2, PRIMES[level]))


class Levels(Protocol):
    """Values of the symbols modulo every prime of the chain, and as real numbers."""

    @property
    def atoms(self) -> Atoms:
        """What stands for what is not algebraic."""

    def environment(self, level: int) -> Environment:
        """The residues modulo a prime of the chain."""

    def real(self, node: Expression, indices: Indices) -> Array:
        """A real value of a node, to decide branches."""


class Residues(ObjectEvaluation):
    """An evaluation modulo one prime.

    Parameters
    ----------
    levels : the values modulo the primes after it, and the real ones.
    level : the place of the prime in the chain.
    order : series are kept to this power of ε.
    """

    def __init__(
        self,
        levels: Levels,
        level: int,
        order: int,
        environment: Environment,
        sizes: Mapping[str, int],
        indices: Indices | None = None,
        leaf: Leaf | None = None,
    ) -> None:
        super().__init__(environment, sizes, indices or {}, leaf)
        self.levels, self.level, self.order = levels, level, order
        self.prime = PRIMES[level]
        self._reduce = np.frompyfunc(self._reduced_number, 1, 1)

    def _number(self, value: Fraction) -> int:
        return value.numerator * self._inverse(value.denominator) % self.prime

    def _constant(self, name: str) -> int:
        return self.levels.atoms.constant(name, self.level)

    def _real(self, node: Expression, value: Array) -> Array:
        return self.branch(node)

    def branch(self, node: Expression) -> Array:
        """The real values of a node, beside its residues."""
        return self.levels.real(node, self.indices)

    def _weight(self, entry: int) -> int:
        return 1 if entry & MASK else 0

    def _within(self, index: str, place: int) -> Residues:
        bound = {**self.indices, index: place}
        return Residues(
            self.levels, self.level, self.order, self.environment, self.sizes, bound, self.leaf
        )

    # series

    def _reduced(self, value: Array) -> Array:
        found = self._reduce(value) if self.order else value % self.prime
        return np.asarray(found, dtype=object)

    def _reduced_number(self, value: int) -> int:
        total = 0
        for place in range(self.order, -1, -1):
            total = (total << SLOT) + (value >> place * SLOT & MASK) % self.prime
        return total

    def _composed(self, argument: Array, derivatives: list[Array]) -> Array:
        """f(a + N) = Σ f⁽ᵏ⁾(a) Nᵏ / k! with N the part of the argument that has an ε."""
        moving = argument >> SLOT << SLOT
        total, rising = derivatives[0], np.array([[1]], dtype=object)
        for order in range(1, self.order + 1):
            rising = self._reduced(rising * moving)
            scale = self._inverse(factorial(order))
            total = total + self._reduced(derivatives[order] * scale) * rising
        return self._reduced(np.asarray(total, dtype=object))

    def _coefficients(
        self, formula: Expression, levels: Levels, argument: Array, order: int
    ) -> list[Array]:
        """f(a), f′(a), f″(a) … of a formula in one variable, by series in ε."""
        moved = {VARIABLE: argument + (1 << SLOT if order else 0)}
        series = Residues(levels, self.level, order, moved, {}).value(formula)
        parts = [
            (series >> place * SLOT & MASK) * factorial(place) % self.prime
            for place in range(order + 1)
        ]
        return [_spread(part, argument) for part in parts]

    # numbers

    def _inverse(self, value: int) -> int:
        try:
            return pow(value, -1, self.prime)
        except ValueError as pole:
            raise Inapplicable(f"{value} has no inverse") from pole

    def _power(self, base: Array, exponent: Fraction) -> Array:
        plain = _plain(base)
        derivatives, falling = [], 1
        for order in range(self.order + 1):
            if falling == 0:
                derivatives.append(plain * 0)
                continue
            powers = np.frompyfunc(cache(partial(self._number_power, exponent - order)), 1, 1)
            derivatives.append(np.asarray(powers(plain), dtype=object) * falling % self.prime)
            falling = falling * self._number(exponent - order) % self.prime
        return self._composed(base, derivatives)

    def _number_power(self, exponent: Fraction, base: int) -> int:
        """Of the square roots of a square the one that is itself a square."""
        if base == 0 and exponent < 0:
            raise Inapplicable("division by zero")
        times, root = exponent.numerator, exponent.denominator
        if root == 1:
            return pow(base, times, self.prime)
        self.levels.atoms.is_loose = True
        if base > LARGEST_WHOLE:
            self.levels.atoms.roots[base, self.level] = root
        half = (self.prime - 1) // 2
        if root % 2 == 0 and pow(base, half, self.prime) != 1:
            raise Inapplicable(f"{base} has no square root")
        group = half if root % 2 == 0 else self.prime - 1
        return pow(base, times * pow(root, -1, group) % group, self.prime)

    # functions

    def plain(self, node: Expression, value: Array, level: int) -> Array:
        """A node's residue without its ε, modulo any prime of the chain, given it modulo this."""
        if level == self.level:
            return value & MASK
        environment = self.levels.environment(level)
        inner = Residues(self.levels, level, 0, environment, self.sizes, self.indices, _no_leaf)
        return inner.value(node)

    def _applied(self, node: Expression, argument: Array) -> Array:
        function, inner = node.data, node.arguments[0]
        assert isinstance(function, Function)
        if function.columnwise:
            return self._by_columns(function, inner, argument)
        return self._composed(argument, self._derivatives(function, inner, _plain(argument)))

    def _derivatives(self, function: Function, node: Expression, argument: Array) -> list[Array]:
        """f(a), f′(a) … for f the function at its order, as far as series are kept."""
        formula = function.formula or FORMULAS.get(function.name)
        levels = _FormulaLevels(self, node, argument)
        if formula is not None:
            last = function.order + self.order
            return self._coefficients(formula, levels, argument, last)[function.order :]
        match function.name:
            case _ if function.is_undetermined:
                orders = range(function.order, function.order + self.order + 1)
                return [self._atoms(function.name, order, argument) for order in orders]
            case "exp":
                return [self._exponential(node, argument)] * (self.order + 1)
            case "sin" | "cos":
                return self._turned(function.name, argument)
            case "sign" | "abs":
                signs = np.sign(np.real(self.branch(node))).astype(int).astype(object)
                flat = [argument * 0] * self.order
                signs = signs % self.prime
                is_sign = function.name == "sign"
                return [signs, *flat] if is_sign else [signs * argument % self.prime, signs, *flat]
        assert function.slope is not None
        values = self._atoms(function.name, 0, argument)
        if not self.order:
            return [values]
        slope = function.slope(VARIABLE)
        return [values, *self._coefficients(slope, levels, argument, self.order - 1)]

    def _atoms(self, name: str, order: int, argument: Array) -> Array:
        atom = np.frompyfunc(lambda a: self.levels.atoms.value(name, order, a, self.level), 1, 1)
        return np.asarray(atom(argument), dtype=object)

    def _turned(self, name: str, argument: Array) -> list[Array]:
        """A point (c, s) of the circle for each angle, (c, −s) for the opposite one."""
        side = np.frompyfunc(lambda a: 1 if 2 * a < self.prime else self.prime - 1, 1, 1)(argument)
        slant = self._atoms("sin", 0, argument * side % self.prime) * side % self.prime
        square = slant * slant % self.prime
        below = np.frompyfunc(self._inverse, 1, 1)(1 + square)
        sine, cosine = 2 * slant * below % self.prime, (1 - square) * below % self.prime
        cycle = [sine, cosine, -sine % self.prime, -cosine % self.prime]
        start = 0 if name == "sin" else 1
        turns = [cycle[(start + order) % 4] for order in range(self.order + 1)]
        return [np.asarray(turn, dtype=object) for turn in turns]

    def _exponential(self, node: Expression, argument: Array) -> Array:
        if self.level + 1 == len(PRIMES):
            return self._atoms("exp", 0, argument)
        exponents = self.plain(node, argument, self.level + 1)
        base = self.levels.atoms.generator(self.level)
        powers = np.frompyfunc(lambda exponent: pow(base, exponent, self.prime), 1, 1)(exponents)
        return _spread(np.asarray(powers, dtype=object), argument)

    def _by_columns(self, function: Function, node: Expression, argument: Array) -> Array:
        """Each column on its own: the columns become a leading axis."""
        assert function.formula is not None
        sizes = {COLUMN_SIZE.names[0]: argument.shape[-2]}
        levels = _FormulaLevels(self, node, argument & MASK)
        columns = _columns(argument)
        inner = Residues(levels, self.level, self.order, {COLUMN_VARIABLE: columns}, sizes)
        values = np.broadcast_to(inner.value(function.formula), columns.shape)
        return np.swapaxes(values[..., 0], -1, -2)


def _plain(argument: Array) -> Array:
    """The part without ε, once if it is the same for all directions in which something moves."""
    plain = argument & MASK
    is_repeated = plain.ndim > 2 and bool(np.all(plain == plain[:1]))
    return plain[:1] if is_repeated else plain


def _spread(value: Array, argument: Array) -> Array:
    """A value of a function at least of its argument's shape.

    It may vary along a leading axis along which the argument is the same: branches and exponents
    are worked out from the whole of what the function is applied to, not from the argument.
    """
    return np.broadcast_to(value, np.broadcast_shapes(value.shape, argument.shape))


def _no_leaf(node: Expression, indices: Indices) -> Array:
    raise Inapplicable(f"{node!r} in an exponent")


def _columns(value: Array) -> Array:
    return np.swapaxes(np.atleast_2d(value), -1, -2)[..., None]


class _FormulaLevels:
    """The variable of a function's formula bound to the values of its argument."""

    def __init__(self, outer: Residues, node: Expression, argument: Array) -> None:
        self.outer, self.node, self.argument = outer, node, argument
        self.atoms = outer.levels.atoms

    def environment(self, level: int) -> Environment:
        value = self.outer.plain(self.node, self.argument, level)
        return {VARIABLE: value, COLUMN_VARIABLE: _columns(value)}

    def real(self, node: Expression, indices: Indices) -> Array:
        value = np.atleast_2d(self.outer.branch(self.node))
        bound = {VARIABLE: value, COLUMN_VARIABLE: _columns(value)}
        return evaluate(node, bound, {COLUMN_SIZE.names[0]: value.shape[-2]})
