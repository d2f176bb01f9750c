"""Tidied results: of the same value, no further to go, and alike for losses that are equal."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from tests.test_systems import SHAPES, SYMBOLS, Writing
from workbench.calculus.closed_form import gradient
from workbench.calculus.expressions import Expression
from workbench.calculus.functions import Function
from workbench.calculus.tidy import tidy
from workbench.core.evaluate import evaluate
from workbench.derivation.system import put_in
from workbench.notation.text import text
from workbench.plugins.build import build_function
from workbench.plugins.registry import load_registry


@cache
def activations() -> tuple[Function, ...]:
    """What may be recognised in a result."""
    registry = load_registry()
    return tuple(build_function(name, registry) for name in registry.activations)


SIZES = {"m": 3, "n": 2}

EQUAL = """
A: m×n, x: n, b: m | x' A' A x - 2 b' A x + b' b | norm(A x - b)^2 | x
A: m×n, x: n, b: m | (A x - b)' (A x - b) | sum((A x - b).^2) | x
A: m×n, x: n, b: m | 1/2 * (A x - b)' (A x - b) | 1/2 * norm(A x - b)^2 | A
A: m×n, B: n×m | tr(A B) | tr(B A) | A
A: m×n, B: n×m | tr(A B) | sum(A .* B') | A
A: m×n, B: n×m | tr(A B) | vec(A')' vec(B) | B
A: k×m, X: m×n, B: n×k | tr(A X B) | tr(B' X' A') | X
A: k×m, X: m×n, B: n×k | tr(A X B) | vec(A' B')' vec(X) | X
X: m×n | tr(X' X) | norm(X)^2 | X
X: m×n | sum(X .* X) | vec(X)' vec(X) | X
A: n×n, x: n | x' A x | tr(A x x') | x
A: n×n, x: n | x' A x | x' A' x | x
A: n×n, x: n | x' A x | 1/2 * x' (A + A') x | x
a: n, x: n | a' x | sum(a .* x) | x
a: n, x: n | (a' x)^2 | x' a a' x | x
a: n, x: n, b: n | a' diag(x) b | sum(a .* x .* b) | x
a: m, X: m×n, b: n | a' X b | tr(b a' X) | X
a: m, X: m×n, b: n | a' X b | kron(b', a') vec(X) | X
X: m×n, w: n, y: m | norm(X w - y)^2 / 2 | 1/2 * sum((X w - y).^2) | w
X: n×n | logdet(X' X) | 2 log(det(X)) | X
X: n×n | det(X) | det(X') | X
X: n×n | tr(inv(X)) | tr(inv(X')) | X
x: n, y: n | -y' log(softmax(x)) | sum(y) logsumexp(x) - y' x | x
x: n | sum(log(1 + exp(x))) | -sum(log(1 - sigmoid(x))) | x
x: n | sum(tanh(x).^2) | tanh(x)' tanh(x) | x
x: n, y: m | norm([x; y])^2 | x' x + y' y | x
x: n | norm(x - mean(x))^2 | x' x - n mean(x)^2 | x
W: m×n, x: n, y: m | norm(kron(x', eye(m)) vec(W) - y)^2 | (W x - y)' (W x - y) | W
"""
"""Symbols, one loss written in two ways, and by what it is differentiated."""


def _pairs() -> Iterator[tuple[str, str, str, str]]:
    for line in EQUAL.strip().splitlines():
        symbols, one, other, variable = line.split(" | ")
        yield f"input {symbols.replace(':', ' :')}", one, other, variable


def gradient_of(declarations: str, loss: str, variable: str) -> Expression:
    """The gradient in one formula, with no part of it named."""
    system = wb.equations(f"{declarations}\nL = {loss}", wrt=[variable])
    (parameter,) = system.parameters
    return gradient(put_in(system), parameter, activations())


@pytest.mark.parametrize(("declarations", "one", "other", "variable"), [*_pairs()])
def test_equal_losses_have_equal_gradients(
    declarations: str, one: str, other: str, variable: str
) -> None:
    first, second = (gradient_of(declarations, loss, variable) for loss in (one, other))
    assert first.form == second.form, f"{text(first)} is not {text(second)}"
    assert sorted(text(first)) == sorted(text(second))


def test_a_residual_stays_the_way_round_it_was_written() -> None:
    symbols = "input A : m×n, x : n, b : m"
    for residual, found in (("A x - b", "Aᵀ (A x − b)"), ("b - A x", "−Aᵀ (b − A x)")):
        assert text(gradient_of(symbols, f"1/2 * norm({residual})^2", "x")) == found


@settings(max_examples=300)
@given(st.randoms(use_true_random=False))
def test_tidy_keeps_the_value_and_has_no_further_to_go(random: Random) -> None:
    shape = random.choice(SHAPES)
    given_ = Writing(random, SYMBOLS).of(shape, random.randint(1, 3))
    tidied = tidy(given_)
    assert tidied.shape == given_.shape
    assert tidy(tidied) is tidied, f"{text(tidied)} becomes {text(tidy(tidied))}"
    values = {
        s: np.random.default_rng(place).normal(size=[d.size(SIZES) for d in s.shape])
        for place, s in enumerate(SYMBOLS)
    }
    before, after = (evaluate(expression, values, SIZES) for expression in (given_, tidied))
    np.testing.assert_allclose(
        np.broadcast_to(after, before.shape), before, rtol=1e-7, atol=1e-9, err_msg=text(given_)
    )
