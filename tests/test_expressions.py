"""The constructors: whatever laws they apply, the numbers are those of plain NumPy."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from time import perf_counter
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from workbench.calculus import algebra, matrices, rewriting, square
from workbench.calculus.dimensions import ONE, Dimension, Shape
from workbench.calculus.expressions import (
    Expression,
    Kind,
    identity,
    make,
    number,
    ones,
    symbol,
    walk,
    zero,
)
from workbench.calculus.functions import EXP, SIN, TANH
from workbench.calculus.simplify import cancel, common_factors, expand, merge_branches
from workbench.core.evaluate import evaluate
from workbench.errors import InputError, ShapeError

Array = NDArray[Any]
M, N = Dimension.named("m"), Dimension.named("n")
SIZES = {"m": 2, "n": 3}
RANDOM = np.random.default_rng(7)


def _sizes(shape: Shape) -> tuple[int, int]:
    return shape[0].size(SIZES), shape[1].size(SIZES)


@dataclass(frozen=True)
class Pair:
    """The same construction twice: as an expression and as the array it stands for."""

    expression: Expression
    value: Array

    def is_right(self, other: Expression | None = None) -> bool:
        """Whether the expression (or another in its place) has the array's shape and numbers."""
        found = self.expression if other is None else other
        assert found.shape == self.expression.shape
        assert _sizes(found.shape) == self.value.shape
        with np.errstate(all="ignore"):
            numbers = np.broadcast_to(evaluate(found, SYMBOLS, SIZES), self.value.shape)
        return np.allclose(numbers, self.value, rtol=1e-9, atol=1e-8)


def _symbol(name: str, shape: Shape) -> Pair:
    values = RANDOM.uniform(0.3, 1.5, _sizes(shape)) * RANDOM.choice([1, 1, -1], _sizes(shape))
    return Pair(symbol(name, Kind.INPUT, shape), values)


VARIABLES = [
    _symbol("s", (ONE, ONE)),
    _symbol("t", (ONE, ONE)),
    _symbol("x", (N, ONE)),
    _symbol("u", (M, ONE)),
    _symbol("A", (M, N)),
    _symbol("B", (M, N)),
    _symbol("C", (N, M)),
    _symbol("S", (N, N)),
    _symbol("T", (N, N)),
]
SYMBOLS = {pair.expression: pair.value for pair in VARIABLES}
CONSTANTS = [
    *(Pair(number(Fraction(k)), np.full((1, 1), float(Fraction(k)))) for k in (2, -1, "1/3", 0, 1)),
    *(Pair(ones(shape), np.ones(_sizes(shape))) for shape in ((M, ONE), (ONE, N), (M, N))),
    Pair(zero((M, N)), np.zeros((2, 3))),
    Pair(identity(N), np.eye(3)),
]
LEAVES = [*VARIABLES, *CONSTANTS]


@dataclass(frozen=True)
class Operation:
    """A constructor with the NumPy function it must agree with.

    Attributes
    ----------
    fits : whether it takes operands of these shapes.
    safe : whether it is well away from poles, branch cuts and ties at these values.
    """

    build: Callable[..., Expression]
    arrays: Callable[..., Array]
    fits: Callable[..., bool] = lambda *shapes: True
    safe: Callable[..., bool] = lambda *values: True


def _alike(left: Shape, right: Shape) -> bool:
    return left == right or (ONE, ONE) in (left, right)


def _apart(left: Array, right: Array) -> bool:
    return bool(np.all(np.abs(left - right) > 1e-6))


def _nonzero(*values: Array) -> bool:
    return bool(np.all(np.abs(values[-1]) > 1e-2))


HALF = Fraction(1, 2)
BINARY = [
    Operation(algebra.add, np.add, _alike),
    Operation(algebra.subtract, np.subtract, _alike),
    Operation(algebra.multiply, np.multiply, _alike),
    Operation(algebra.divide, np.divide, _alike, _nonzero),
    Operation(matrices.matmul, np.matmul, lambda left, right: left[1] == right[0]),
    Operation(matrices.kron, np.kron, lambda left, right: True),
    Operation(algebra.greater, lambda a, b: (a > b).astype(float), _alike, _apart),
    Operation(algebra.greater_equal, lambda a, b: (a >= b).astype(float), _alike, _apart),
    Operation(algebra.maximum, np.maximum, _alike),
    Operation(algebra.minimum, np.minimum, _alike),
]
UNARY = [
    Operation(lambda e: algebra.power(e, 3), lambda a: a**3),
    Operation(lambda e: algebra.power(e, -1), np.reciprocal, safe=_nonzero),
    Operation(
        lambda e: algebra.power(e, HALF), np.sqrt, safe=lambda a: _nonzero(a) and np.min(a) > 0
    ),
    Operation(matrices.transpose, np.transpose),
    Operation(matrices.total, lambda a: np.sum(a).reshape(1, 1)),
    Operation(matrices.vec, lambda a: a.reshape(-1, 1, order="F")),
    Operation(matrices.diag, lambda a: np.diag(a[:, 0]), lambda shape: shape[1] == ONE),
    Operation(
        square.diagonal, lambda a: np.diagonal(a)[:, None], lambda shape: shape[0] == shape[1]
    ),
    Operation(
        lambda e: matrices.devec(matrices.vec(e), (e.shape[1], e.shape[0])),
        lambda a: a.reshape(a.shape[::-1], order="F"),
    ),
    Operation(EXP, np.exp),
    Operation(SIN, np.sin),
    Operation(TANH, np.tanh),
]


def _is_tame(value: Array) -> bool:
    return value.size <= 36 and bool(np.all(np.isfinite(value)) and np.max(np.abs(value)) < 1e3)


@st.composite
def pairs(draw: st.DrawFn) -> Pair:
    """A random graph: each operation takes what stands there already."""
    pool = list(LEAVES)
    for _ in range(draw(st.integers(1, 7))):
        operands = [pool[-1] if draw(st.booleans()) else draw(st.sampled_from(pool[::-1]))]
        shape = operands[0].expression.shape
        if draw(st.booleans()):
            operation = draw(st.sampled_from([o for o in UNARY if o.fits(shape)]))
        else:
            operation = draw(st.sampled_from(BINARY))
            others = [p for p in pool[::-1] if operation.fits(shape, p.expression.shape)]
            assume(others)
            operands.append(draw(st.sampled_from(others)))
        values = [operand.value for operand in operands]
        if operation.safe(*values) and _is_tame(array := np.asarray(operation.arrays(*values))):
            pool.append(Pair(operation.build(*(p.expression for p in operands)), array))
    return pool[-1]


@settings(max_examples=250)
@given(pairs())
def test_a_construction_evaluates_to_the_same_construction_in_numpy(pair: Pair) -> None:
    assert pair.is_right()


@settings(max_examples=150)
@given(pairs())
def test_rewriting_keeps_the_numbers(pair: Pair) -> None:
    for rewrite in (expand, common_factors, cancel, merge_branches):
        assert pair.is_right(rewrite(pair.expression)), rewrite.__name__
    assert matrices.transpose(matrices.transpose(pair.expression)).form == pair.expression.form


@settings(max_examples=150)
@given(pairs(), st.randoms(use_true_random=False))
def test_equal_constructions_share_their_nodes(pair: Pair, random: Any) -> None:
    """Built alike is the same object; operands in another order are another of equal form."""
    for node in walk(pair.expression):
        assert make(node.operation, node.arguments, node.data, node.shape) is node
        if node.operation in ("add", "multiply"):
            shuffled = list(node.arguments)
            random.shuffle(shuffled)
            assert rewriting.CONSTRUCTORS[node.operation](*shuffled).form == node.form


SCALAR_CONDITION = algebra.greater(LEAVES[0].expression, number(0))
QUARTER = number(Fraction(1, 4))


@settings(max_examples=150)
@given(pairs(), st.sampled_from([*UNARY[-3:], *CONSTANTS[:4]]))
def test_branches_are_gathered_without_changing_values(yes: Pair, other: object) -> None:
    """[c] u + (1 − [c]) v is u where c holds and v elsewhere, scalars among them."""
    if isinstance(other, Operation):
        no = Pair(other.build(yes.expression), other.arrays(yes.value))
    else:
        assert isinstance(other, Pair)
        no = other
    assume(_apart(yes.value, np.array(0.25)))
    for condition in (algebra.greater(yes.expression, QUARTER), SCALAR_CONDITION):
        mixed = algebra.add(
            algebra.multiply(condition, yes.expression),
            algebra.multiply(algebra.subtract(number(1), condition), no.expression),
        )
        chosen = Pair(mixed, np.where(evaluate(condition, SYMBOLS, SIZES), yes.value, no.value))
        assert chosen.is_right()
        assert chosen.is_right(merge_branches(mixed))
        assert chosen.is_right(algebra.where(condition, yes.expression, no.expression))


A, B, C, S, T, X = (
    next(pair.expression for pair in VARIABLES if pair.expression.symbol.name == name)
    for name in ("A", "B", "C", "S", "T", "x")
)
ROW, COLUMN = ones((ONE, N)), ones((N, ONE))

LAWS: dict[str, tuple[Expression, Callable[..., Array]]] = {
    "(S T)ᵀ": (
        matrices.transpose(matrices.matmul(S, T)),
        lambda v: (v[S] @ v[T]).T,
    ),
    "(A ⊗ C)ᵀ": (matrices.transpose(matrices.kron(A, C)), lambda v: np.kron(v[A], v[C]).T),
    "I ⊗ I": (matrices.kron(identity(N), identity(M)), lambda v: np.eye(6)),
    "I S I": (matrices.matmul(identity(N), S, identity(N)), lambda v: v[S]),
    "𝟏ᵀ 𝟏": (matrices.matmul(ROW, COLUMN), lambda v: np.full((1, 1), 3.0)),
    "𝟏ᵀ S T 𝟏": (matrices.matmul(ROW, S, T, COLUMN), lambda v: np.sum(v[S] @ v[T]).reshape(1, 1)),
    "diag diag": (
        matrices.matmul(matrices.diag(X), matrices.diag(algebra.add(X, COLUMN)), S),
        lambda v: v[X] * (v[X] + 1) * v[S],
    ),
}


@pytest.mark.parametrize("law", LAWS)
def test_a_law_of_matrices_keeps_the_numbers(law: str) -> None:
    expression, arrays = LAWS[law]
    assert Pair(expression, arrays(SYMBOLS)).is_right()


MISFITS: dict[str, Callable[[], Expression]] = {
    "sum of a matrix and its transpose": lambda: algebra.add(A, C),
    "sum of a matrix and a column": lambda: algebra.add(S, X),
    "elementwise product": lambda: algebra.multiply(A, B, C),
    "quotient": lambda: algebra.divide(A, X),
    "matrix product, inner dimensions": lambda: matrices.matmul(A, B),
    "matrix product, second pair": lambda: matrices.matmul(A, C, X),
    "comparison": lambda: algebra.greater(A, C),
    "comparison, or equal": lambda: algebra.greater_equal(A, X),
    "maximum": lambda: algebra.maximum(A, C),
    "minimum": lambda: algebra.minimum(A, X),
    "branches": lambda: algebra.where(algebra.greater(A, B), C, number(0)),
    "diag of a matrix": lambda: matrices.diag(A),
    "diag of a row": lambda: matrices.diag(ROW),
    "diagonal of an oblong": lambda: square.diagonal(A),
    "devec to too many entries": lambda: matrices.devec(X, (M, N)),
    "devec of a matrix": lambda: matrices.devec(A, (N, M)),
}


@pytest.mark.parametrize("what", MISFITS)
def test_an_ill_shaped_formula_cannot_be_built(what: str) -> None:
    with pytest.raises(ShapeError, match=r"×|differ|column|square"):
        MISFITS[what]()


HUGE: dict[str, Callable[[], object]] = {
    "9^(9^9)": lambda: algebra.power(number(9), 9**9),
    "powers of powers": lambda: algebra.power(algebra.power(number(9), 20), 20),
    "10^101": lambda: algebra.multiply(*[number(10)] * 101),
    "10^-101": lambda: algebra.multiply(*[number(Fraction(1, 10))] * 101),
    "sum of halves": lambda: algebra.add(*(number(Fraction(1, 10**k + 1)) for k in range(40))),
}


@pytest.mark.parametrize("what", HUGE)
def test_numbers_stay_bounded(what: str) -> None:
    start = perf_counter()
    with pytest.raises(InputError, match="too large"):
        HUGE[what]()
    assert perf_counter() - start < 0.5


def test_multiplying_out_is_bounded() -> None:
    """(s + 1)(s + 2)…: a product of many sums stays a product."""
    s = LEAVES[0].expression
    factors = [algebra.add(s, EXP(algebra.multiply(number(k), s))) for k in range(1, 40)]
    start = perf_counter()
    assert sum(1 for _ in walk(expand(algebra.multiply(*factors)))) < 500
    assert perf_counter() - start < 1


UNBOUNDED = """
from workbench.calculus.functions import VARIABLE, Function
from workbench.calculus.slopes import slope
from workbench.notation.reading.formulas import parse_formula
formula = "*".join(f"({k} + 1/z)" for k in range(1, 21)) + " * (1 + z)"
slope(Function("f", parse_formula(formula, {"z": VARIABLE})))
"""


def test_multiplying_out_fractions_is_bounded() -> None:
    """In a process of its own, which can be ended: 2²⁰ terms take minutes."""
    subprocess.run([sys.executable, "-c", UNBOUNDED], timeout=2, check=True)
