"""The rule table, row by row: every pullback against the complex step, and wrong ones caught."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from workbench.calculus import algebra, blocks, matrices, square
from workbench.calculus.dimensions import ONE, Dimension, Shape
from workbench.calculus.expressions import Expression, Kind, make, number, symbol
from workbench.calculus.functions import EXP, PRIMITIVES
from workbench.calculus.pullbacks import RULES, Pullback, gradients, table_pullback
from workbench.core.evaluate import evaluate
from workbench.errors import InputError
from workbench.plugins.build import build_function
from workbench.plugins.registry import load_registry

Array = NDArray[Any]
M, N, P = (Dimension.named(name) for name in "mnp")
SIZES = {"m": 2, "n": 3, "p": 4}
STEP = 1e-30
TOLERANCE = 1e-12


def _leaf(name: str, shape: Shape = (ONE, ONE)) -> Expression:
    return symbol(name, Kind.INPUT, shape)


A, B, C, D = _leaf("A", (M, N)), _leaf("B", (M, N)), _leaf("C", (N, P)), _leaf("D", (P, M))
S, X, LONG = _leaf("S", (N, N)), _leaf("x", (N, ONE)), _leaf("v", (M * N, ONE))
S_BY_P, X_TALL = _leaf("T", (M, P)), _leaf("t", (M, ONE))
STACKED = _leaf("U", (N + N + M, M + P))
R, Q, CHOICE = _leaf("r"), _leaf("q"), _leaf("c", (M, N))
FUNCTIONS = [*PRIMITIVES.values()]
FUNCTIONS += [build_function(n, load_registry()) for n in ("sigmoid", "relu", "gelu", "softmax")]

EXAMPLES: dict[str, list[Expression]] = {
    "add": [algebra.add(A, B), algebra.add(A, R), algebra.add(R, Q)],
    "multiply": [
        algebra.multiply(A, B),
        algebra.multiply(R, A, B),
        algebra.multiply(number(3), A),
        algebra.multiply(R, Q),
    ],
    "power": [algebra.power(A, Fraction(k)) for k in ("3", "-1", "-2", "1/2", "-3/2")],
    "matmul": [matrices.matmul(A, C), matrices.matmul(A, C, D), matrices.matmul(S, X)],
    "transpose": [matrices.transpose(A)],
    "apply": [function(A) for function in FUNCTIONS],
    "where": [
        algebra.where(CHOICE, A, B),
        algebra.where(CHOICE, A, R),
        algebra.where(CHOICE, R, Q),
    ],
    "maximum": [algebra.maximum(A, B), algebra.maximum(A, R), algebra.maximum(R, A)],
    "minimum": [algebra.minimum(A, B), algebra.minimum(A, R), algebra.minimum(R, A)],
    "greater": [algebra.greater(A, B), algebra.greater(A, R)],
    "greater_equal": [algebra.greater_equal(A, B), algebra.greater_equal(R, A)],
    "sum": [matrices.total(A)],
    "vec": [matrices.vec(A)],
    "devec": [matrices.devec(LONG, (M, N))],
    "diag": [matrices.diag(X)],
    "diagonal": [square.diagonal(S)],
    "inverse": [matrices.inverse(S)],
    "det": [square.det(S)],
    "trace": [square.trace(S)],
    "kron": [matrices.kron(A, C), matrices.kron(X, A), matrices.kron(A, X, D)],
    "vstack": [blocks.vstack(A, B), blocks.vstack(C, S_BY_P)],
    "hstack": [blocks.hstack(A, B), blocks.hstack(A, X_TALL, B)],
    "block": [blocks.block(STACKED, N, N, M, P), blocks.block(STACKED, N, N, blocks.ZERO, M + P)],
}
"""Nodes of every operation with a rule, at sizes that all differ."""

NODES = [pytest.param(node, id=repr(node)) for nodes in EXAMPLES.values() for node in nodes]


def _values(node: Expression, seed: int) -> dict[Expression, Array]:
    """Values of both signs, or positive ones where the operation is not real otherwise."""
    random = np.random.default_rng(seed)
    values = {}
    for argument in node.arguments:
        shape = argument.shape[0].size(SIZES), argument.shape[1].size(SIZES)
        values[argument] = random.normal(size=shape)
        if argument is CHOICE:
            values[argument] = (values[argument] > 0).astype(float)
        elif argument.number is not None:
            values[argument] = np.full((1, 1), float(argument.number))
    with np.errstate(all="ignore"):
        is_real = np.all(np.isfinite(evaluate(node, values, SIZES)))
    return values if is_real else {a: np.abs(value) + 0.1 for a, value in values.items()}


def worst_error(node: Expression, pullback: Pullback = table_pullback) -> float:
    """The distance of the pullbacks of a node from the complex step of ⟨G, node⟩, over 3 draws."""
    seed = symbol("G", Kind.GRADIENT, node.shape)
    worst = 0.0
    for draw in range(3):
        values = _values(node, draw)
        weights = np.random.default_rng(10 + draw).normal(
            size=tuple(dimension.size(SIZES) for dimension in node.shape)
        )
        for index, argument in enumerate(node.arguments):
            pulled = pullback(node, index, seed)
            assert pulled.shape == argument.shape
            found = evaluate(pulled, {**values, seed: weights}, SIZES)
            base = values[argument]
            units = np.eye(base.size).reshape(base.size, *base.shape)
            moved = evaluate(node, {**values, argument: base + 1j * STEP * units}, SIZES)
            truth = (np.imag(moved) / STEP * weights).sum(axis=(-2, -1)).reshape(base.shape)
            scale = max(float(np.linalg.norm(truth)), 1.0)
            worst = max(worst, float(np.linalg.norm(found - truth)) / scale)
    return worst


def test_every_row_of_the_table_has_examples() -> None:
    assert set(EXAMPLES) == set(RULES)
    for operation, nodes in EXAMPLES.items():
        assert {node.operation for node in nodes} == {operation}


@pytest.mark.parametrize("node", NODES)
def test_a_pullback_is_the_complex_step(node: Expression) -> None:
    assert worst_error(node) < TOLERANCE


@pytest.mark.parametrize("operation", RULES)
def test_a_wrong_row_is_caught(operation: str) -> None:
    """A sign, a hundredth, or a gradient where there is none."""

    def scaled(factor: Fraction) -> Pullback:
        def wrong(node: Expression, index: int, gradient: Expression) -> Expression:
            pulled = table_pullback(node, index, gradient)
            if algebra.is_zero(pulled):
                return algebra.spread(number(factor), pulled.shape)
            return algebra.multiply(number(factor), pulled)

        return wrong

    for factor in (Fraction(-1), Fraction("1.01")):
        for node in EXAMPLES[operation]:
            assert worst_error(node, scaled(factor)) > 1e-3


def test_contributions_of_every_use_are_added_up() -> None:
    """A is used three times in sum(A ⊙ exp(A)) + r sum(A): by hand, eᴬ + A ⊙ eᴬ + r."""
    loss = algebra.add(
        matrices.total(algebra.multiply(A, EXP(A))), algebra.multiply(R, matrices.total(A))
    )
    by_a, by_r, by_b = gradients(loss, [A, R, B], number(1))
    values = {A: np.random.default_rng(0).normal(size=(2, 3)), R: np.array([[0.7]])}
    found = evaluate(by_a, values, SIZES)
    np.testing.assert_allclose(found, np.exp(values[A]) * (1 + values[A]) + 0.7, rtol=1e-14)
    np.testing.assert_allclose(evaluate(by_r, values, SIZES).item(), values[A].sum())
    assert algebra.is_zero(by_b)
    assert by_b.shape == B.shape


def test_an_operation_without_a_rule_is_named() -> None:
    with pytest.raises(InputError, match="no derivative rule for derivative"):
        gradients(make("derivative", (A,), None, A.shape), [A], _leaf("G", A.shape))
