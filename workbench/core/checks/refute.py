"""Judges an identity: a proof by entries, the exact test at random points, a small counterexample.

The exact test takes random residues of a 61-bit prime at several sizes. Sides that differ as
rational functions of degree d agree there by accident with a chance below d / 2⁵⁸ (Schwartz, 1980);
that speaks for these sizes only. A proof by entries speaks for every size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from functools import cached_property
from itertools import islice, product
from math import prod
from random import Random

import numpy as np

from workbench.calculus.dimensions import Dimension
from workbench.calculus.expressions import Bindings, Expression, symbols_of, walk
from workbench.calculus.matrices import commutation
from workbench.calculus.rewriting import substitute
from workbench.calculus.square import det
from workbench.core.checks.degrees import DRAWN, degree
from workbench.core.checks.draws import as_declared, shape_of
from workbench.core.checks.residues import PRIMES, Atoms, Inapplicable, Residues
from workbench.core.evaluate import Array, Environment, Indices, evaluate
from workbench.derivation.proof import Proof, prove
from workbench.errors import InputError

MOST_ATTEMPTS = 20
"""At points where the sides are undefined, before a size is passed over."""
MOST_ENTRIES = 4_000
"""Of a matrix; sizes at which there is a larger one are passed over."""
MOST_CANDIDATES = 3_000
"""Small integer points tried at one size."""
MOST_SIZES = 60
"""Sizes tried for a counterexample, the smallest first."""
FEW_SIZES = 6
"""Where the sides agree modulo a prime, and so can only differ on other branches."""
LARGEST_ENTRY = 2
TOLERANCE = 1e-6
SMALLEST_DETERMINANT = 1e-6

Sizes = Mapping[str, int]


class Outcome(StrEnum):
    """What is established about an identity."""

    PROVED = "proved"
    REFUTED = "refuted"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class ExactTest:
    """How an identity fared modulo a prime.

    Attributes
    ----------
    holds : whether the sides agreed everywhere; None where that cannot be said.
    sizes : the sizes at which they were compared.
    bound : the largest chance, at one of these sizes, that sides which differ agreed by accident.
    """

    holds: bool | None
    sizes: tuple[Sizes, ...]
    bound: float


@dataclass(frozen=True, slots=True)
class Counterexample:
    """Small numbers for which the two sides differ.

    Attributes
    ----------
    sizes : a size for every named dimension.
    values : whole numbers for every symbol.
    left, right : the two sides.
    place : the row and column, from 0, of an entry where they differ.
    """

    sizes: Sizes
    values: Mapping[Expression, Array]
    left: Array
    right: Array
    place: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Judgement:
    """All that was found out about an identity.

    Attributes
    ----------
    given : what a symbol was taken to stand for: K for a commutation matrix.
    """

    left: Expression
    right: Expression
    proof: Proof | None
    test: ExactTest
    counterexample: Counterexample | None
    given: Bindings = field(default_factory=dict)

    @property
    def outcome(self) -> Outcome:
        """Proved for every shape, refuted by numbers, or neither."""
        if self.counterexample is not None or self.test.holds is False:
            return Outcome.REFUTED
        return Outcome.UNDECIDED if self.proof is None else Outcome.PROVED


def judge(left: Expression, right: Expression, seed: int = 0) -> Judgement:
    """Prove an identity, test it, and look for a counterexample where both leave room for one.

    A K of a length such as m n is tried as the commutation matrix of this name as well.

    Raises
    ------
    InputError
        If the two sides have different shapes.

    >>> from workbench.calculus.dimensions import Dimension
    >>> from workbench.calculus.expressions import Kind, symbol
    >>> from workbench.calculus.matrices import matmul
    >>> n = Dimension.named("n")
    >>> A, B = (symbol(name, Kind.INPUT, (n, n)) for name in "AB")
    >>> judge(matmul(A, B), matmul(B, A)).outcome.value
    'refuted'
    """
    proof, given = prove(left, right), {}
    if proof is None:
        for reading in _commutations(left, right):
            if (proof := prove(left, right, reading)) is not None:
                given = reading
                break
    sides = substitute(left, given), substitute(right, given)
    test = exact_test(*sides, seed)
    found = None
    if proof is None or test.holds is False:
        found = counterexample(*sides, seed, FEW_SIZES if test.holds else MOST_SIZES)
    return Judgement(left, right, proof, test, found, given)


def _commutations(*sides: Expression) -> Iterator[dict[Expression, Expression]]:
    """A square symbol K of length m n as K(m, n), and as K(n, m)."""
    for symbol in symbols_of(*sides):
        rows, columns = symbol.shape
        if symbol.symbol.name != "K" or rows is not columns or len(rows.terms) != 1:
            continue
        names, times = rows.terms[0]
        if len(names) == 2 and times == 1:
            first, second = map(Dimension.named, names)
            yield {symbol: commutation(first, second)}
            yield {symbol: commutation(second, first)}


# modulo a prime


class _Point:
    """Random residues for free symbols, and real values that decide the branches."""

    def __init__(self, symbols: Sequence[Expression], sizes: Sizes, seed: int) -> None:
        self.symbols, self.sizes, self.seed = symbols, sizes, seed
        self.random = Random(seed)
        self.atoms = Atoms(Random(seed + 1))
        self._environments: dict[int, Environment] = {}

    def environment(self, level: int) -> Environment:
        """The residues modulo a prime of the chain."""
        if level not in self._environments:
            self._environments[level] = {s: self._drawn(s, level) for s in self.symbols}
        return self._environments[level]

    def _drawn(self, symbol: Expression, level: int) -> Array:
        rows, columns = shape_of(symbol, self.sizes)
        drawn = [self.random.randrange(1, PRIMES[-1]) for _ in range(rows * columns)]
        values = np.array(drawn, dtype=object).reshape(rows, columns) % PRIMES[level]
        return as_declared(symbol, values)

    @cached_property
    def _real(self) -> Environment:
        random = np.random.default_rng(self.seed)
        drawn = {s: random.normal(size=shape_of(s, self.sizes)) for s in self.symbols}
        return {s: as_declared(s, values) for s, values in drawn.items()}

    def real(self, node: Expression, indices: Indices) -> Array:
        """A real value of a node."""
        return evaluate(node, self._real, self.sizes, indices)


def exact_test(left: Expression, right: Expression, seed: int = 0) -> ExactTest:
    """Compare two sides modulo a prime, at sizes of 1, of 2, and at distinct ones.

    >>> from workbench.calculus.functions import EXP, VARIABLE
    >>> exact_test(EXP(VARIABLE), EXP(VARIABLE)).holds
    True
    """
    compared: list[Sizes] = []
    bounds: list[float] = []
    for sizes in _test_sizes(_names(left, right)):
        if _largest(left, right, sizes) > MOST_ENTRIES:
            continue
        found = _compared(left, right, sizes, seed)
        if found is None:
            continue
        agree, bound = found
        compared.append(sizes)
        bounds.append(bound)
        if agree is not True:
            return ExactTest(agree, tuple(compared), 1.0)
    return ExactTest(True if compared else None, tuple(compared), max(bounds, default=1.0))


def _compared(
    left: Expression, right: Expression, sizes: Sizes, seed: int
) -> tuple[bool | None, float] | None:
    """Whether the sides agree at one size, where both have values in the field."""
    symbols = symbols_of(left, right)
    for attempt in range(MOST_ATTEMPTS):
        point = _Point(symbols, sizes, MOST_ATTEMPTS * seed + attempt)
        try:
            sides = [
                Residues(point, 0, 0, point.environment(0), sizes).value(side)
                for side in (left, right)
            ]
        except (Inapplicable, InputError, ZeroDivisionError):
            continue
        if not np.all((sides[0] - sides[1]) % PRIMES[0] == 0):
            return (None if point.atoms.is_loose else False), 1.0
        known = dict.fromkeys(symbols, DRAWN)
        total = sum(degree(side, known, sizes).total for side in (left, right)) + 1
        return True, min(1.0, total * prod(point.atoms.roots.values()) / PRIMES[-1])
    return None


def _largest(left: Expression, right: Expression, sizes: Sizes) -> int:
    """The number of entries of the largest matrix on the way."""
    return max(prod(shape_of(node, sizes)) for node in walk(left, right))


def _names(*sides: Expression) -> tuple[str, ...]:
    nodes = list(walk(*sides))
    written = [node.data for node in nodes if isinstance(node.data, Dimension)]
    dimensions = [*written, *(dimension for node in nodes for dimension in node.shape)]
    return tuple(sorted({name for dimension in dimensions for name in dimension.names}))


def _test_sizes(names: Sequence[str]) -> Iterator[Sizes]:
    """All 1, all 2, and neighbouring names different, small enough for ⊗ and larger."""
    if not names:
        yield {}
        return
    yield dict.fromkeys(names, 1)
    yield dict.fromkeys(names, 2)
    yield {name: 1 + place % 3 for place, name in enumerate(names)}
    for shift in (1, 2):
        yield {name: 2 + (place + shift) % 4 for place, name in enumerate(names)}


# counterexamples


def counterexample(
    left: Expression, right: Expression, seed: int = 0, most: int = MOST_SIZES
) -> Counterexample | None:
    """The smallest numbers found for which the sides differ: smallest sizes, then whole numbers.

    None if there is none among those tried, at so many sizes at most.

    >>> from workbench.calculus.algebra import power
    >>> from workbench.calculus.functions import VARIABLE
    >>> found = counterexample(power(power(VARIABLE, 2), Fraction(1, 2)), VARIABLE)
    >>> found.values[VARIABLE].item()
    -1
    """
    names = _names(left, right)
    by_total = sorted(product(range(1, 4), repeat=len(names)), key=lambda s: (sum(s), s))
    for chosen in by_total[:most]:
        sizes = dict(zip(names, chosen, strict=True))
        if _largest(left, right, sizes) > MOST_ENTRIES // 10:
            continue
        try:
            found = _at_size(left, right, sizes, seed)
        except InputError:
            return None
        if found is not None:
            return found
    return None


def _at_size(left: Expression, right: Expression, sizes: Sizes, seed: int) -> Counterexample | None:
    symbols = symbols_of(left, right)
    shapes = [shape_of(symbol, sizes) for symbol in symbols]
    count = sum(rows * columns for rows, columns in shapes)
    points = np.zeros((1, 0))
    if count:
        small = np.array(list(islice(_small_points(count), MOST_CANDIDATES)), dtype=float)
        random = np.random.default_rng(seed)
        drawn = random.integers(-LARGEST_ENTRY, LARGEST_ENTRY + 1, (MOST_CANDIDATES // 10, count))
        points = np.concatenate([small, drawn])
    values: dict[Expression, Array] = {}
    start = 0
    for symbol, (rows, columns) in zip(symbols, shapes, strict=True):
        part = points[:, start : start + rows * columns]
        values[symbol] = as_declared(symbol, part.reshape(len(points), rows, columns))
        start += rows * columns
    keep = _regular(left, right, values, sizes, len(points))
    values = {symbol: value[keep] for symbol, value in values.items()}
    shape = (int(keep.sum()), *shape_of(left, sizes))
    sides = [np.broadcast_to(evaluate(s, values, sizes), shape) for s in (left, right)]
    with np.errstate(all="ignore"):
        scale = 1 + np.maximum(np.abs(sides[0]), np.abs(sides[1]))
        differs = np.abs(sides[0] - sides[1]) > TOLERANCE * scale
    differs &= np.isfinite(sides[0]) & np.isfinite(sides[1])
    if not differs.any():
        return None
    first = int(np.argmax(differs.any(axis=(1, 2))))
    row, column = np.argwhere(differs[first])[0]
    return Counterexample(
        sizes,
        {symbol: value[first].astype(int) for symbol, value in values.items()},
        sides[0][first],
        sides[1][first],
        (int(row), int(column)),
    )


def _regular(
    left: Expression, right: Expression, values: Environment, sizes: Sizes, count: int
) -> Array:
    """At which points no matrix that is inverted is singular."""
    keep = np.ones(count, dtype=bool)
    values = dict(values)
    for node in walk(left, right):
        if node.operation == "inverse":
            below = {symbol: value[keep] for symbol, value in values.items()}
            found = evaluate(det(node.arguments[0]), below, sizes)
            kept = np.abs(found).reshape(-1) > SMALLEST_DETERMINANT
            keep[keep] = np.broadcast_to(kept, int(keep.sum()))
    return keep


def _small_points(count: int) -> Iterator[tuple[int, ...]]:
    """Whole numbers from −2 to 2, the smallest sum of sizes first."""
    for total in range(LARGEST_ENTRY * count + 1):
        yield from _points_of(total, count)


def _points_of(total: int, count: int) -> Iterator[tuple[int, ...]]:
    if count == 0:
        if total == 0:
            yield ()
        return
    for size in range(min(total, LARGEST_ENTRY) + 1):
        if total - size > LARGEST_ENTRY * (count - 1):
            continue
        for rest in _points_of(total - size, count - 1):
            yield (size, *rest)
            if size:
                yield (-size, *rest)


def as_number(value: float) -> Fraction | None:
    """A value as the small fraction that it is up to rounding, if it is one.

    >>> as_number(0.3333333333333333), as_number(0.7310585786300049)
    (Fraction(1, 3), None)
    """
    near = Fraction(value).limit_denominator(1000)
    return near if abs(float(near) - value) <= 1e-11 * max(1.0, abs(value)) else None
