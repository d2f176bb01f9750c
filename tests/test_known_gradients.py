"""The table of known gradients: what is derived has the known value, and prints as its source does.

`form` is equal for expressions that differ only in the order of commuting operands, so two results
of one form print alike up to the order of the terms of a sum and the factors of ⊙.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.known_gradients import FUNCTIONS, Known, rows
from workbench.calculus.closed_form import gradient, hessian
from workbench.calculus.expressions import Expression
from workbench.calculus.functions import Function
from workbench.calculus.simplify import assume, inner_products
from workbench.calculus.tidy import tidy
from workbench.core.evaluate import evaluate
from workbench.derivation.system import System, put_in
from workbench.notation.reading.equations import parse_expression, parse_system
from workbench.notation.text import text
from workbench.plugins.build import build_function
from workbench.plugins.registry import load_registry

Array = NDArray[np.float64]
Values = dict[Expression, Array]
SMALLEST_SHARE = 0.95
DRAWS = 3
SMALL = (2, 3, 4, 5)

EXCEPTIONS: dict[str, str] = {
    "trace form with a factor (X, order 1)": "X B Bᵀ is taken out",
    "logistic regression (w, order 2)": "σ′ is kept",
    "trace of a ratio of forms (X, order 1)": "2 is taken out",
    "kernel ridge regression (a, order 1)": "K is taken out",
    "Gaussian in the precision (P, order 1)": "½ is taken out, as in the covariance's",
    "Gaussian of a sample (S, order 1)": "½ is taken out, as in the covariance's",
    "hyperbolic tangent (x, order 1)": "tanh′ is kept",
    "tanh layer (W, order 1)": "tanh′ is kept",
}
"""Rows whose results have another form than their source prints, and what is different."""


@cache
def function_of(name: str) -> Function | None:
    """An activation, or an undetermined function of the table."""
    registry = load_registry()
    if name in FUNCTIONS:
        return Function(name, symbol=name, latex=name)
    return build_function(name, registry) if name in registry.activations else None


@cache
def activations() -> tuple[Function, ...]:
    """Every activation, which results may name."""
    registry = load_registry()
    return tuple(build_function(name, registry) for name in registry.activations)


@cache
def system_of(row: Known) -> System:
    """The row read as a system whose only parameter is the variable."""
    return parse_system(row.system, name=row.name, functions=function_of, wrt=(row.variable,))


@cache
def derived(row: Known) -> Expression:
    """The gradient or Hessian that is worked out."""
    system = system_of(row)
    (variable,) = system.parameters
    found = (gradient if row.order == 1 else hessian)(put_in(system), variable, activations())
    return tidy(assume(found, dict(system.assumptions))) if system.assumptions else found


@cache
def known(row: Known) -> Expression:
    """The gradient or Hessian that the source prints, norms read as in systems: ‖x‖² is xᵀ x."""
    symbols = {symbol.symbol.name: symbol for symbol in system_of(row).symbols}
    known_form = parse_expression(row.derivative, symbols=symbols, functions=function_of)
    return inner_products(known_form)


def printed(row: Known) -> str:
    """From text to text: what is derived, as it is shown."""
    return text(derived(row))


def is_alike(row: Known) -> bool:
    """Whether the result has the form that the source prints."""
    return derived(row).form == known(row).form


# values


def point(row: Known, seed: int) -> tuple[Values, dict[str, int]]:
    """Values of the symbols, drawn as the row says, at which both sides are defined."""
    system = system_of(row)
    random = np.random.default_rng(seed)
    given = [s for s in system.symbols if s not in system.definitions]
    names = dict.fromkeys(n for s in given for d in s.shape for n in d.names)
    for _ in range(100):
        sizes = {n: int(size) for n, size in zip(names, random.permutation(SMALL), strict=False)}
        for symbol in given:
            if row.draws.get(symbol.symbol.name) == "tall":
                tall, narrow = (dimension.names[0] for dimension in symbol.shape)
                sizes |= zip(
                    (tall, narrow), sorted((sizes[tall], sizes[narrow]))[::-1], strict=True
                )
        values = {s: drawn(s, row.draws.get(s.symbol.name, ""), sizes, random) for s in given}
        loss = evaluate(put_in(system), values, sizes)
        expected = evaluate(known(row), values, sizes)
        if np.all(np.isfinite(loss)) and np.all(np.isfinite(expected)) and np.any(expected):
            return values, sizes
    raise AssertionError(f"{row}: no point found at which the loss is defined")


def drawn(
    symbol: Expression, how: str, sizes: Mapping[str, int], random: np.random.Generator
) -> Array:
    """A random matrix of some kind."""
    shape = symbol.shape[0].size(sizes), symbol.shape[1].size(sizes)
    normal = random.normal(size=shape)
    match how:
        case "positive":
            return random.uniform(0.5, 1.5, shape)
        case "symmetric":
            return normal + normal.T
        case "covariance":
            return normal @ normal.T + np.eye(shape[0])
        case "definite":
            return normal @ normal.T + shape[0] * np.eye(shape[0]) + 0.5 * random.normal(size=shape)
        case "simplex":
            return np.asarray(np.exp(normal) / np.exp(normal).sum())
        case "signs":
            return np.asarray(np.sign(normal))
        case "zero_one":
            return np.asarray(normal > 0, dtype=float)
    assert how in ("", "tall"), how
    return normal


def largest_difference(row: Known) -> float:
    """How far what is derived lies from what is known, relative to it, over some draws."""
    worst = 0.0
    for seed in range(DRAWS):
        values, sizes = point(row, seed)
        expected = evaluate(known(row), values, sizes)
        found = np.broadcast_to(evaluate(derived(row), values, sizes), expected.shape)
        worst = max(worst, float(np.linalg.norm(found - expected) / np.linalg.norm(expected)))
    return worst


# the tests


@pytest.mark.parametrize("row", rows(), ids=str)
def test_has_the_known_value(row: Known) -> None:
    (variable,) = system_of(row).parameters
    assert row.order == 2 or derived(row).shape == variable.shape
    assert derived(row).shape == known(row).shape
    assert largest_difference(row) < 1e-10


def test_prints_as_the_sources_do() -> None:
    differing = {str(row) for row in rows() if not is_alike(row)}
    assert differing == set(EXCEPTIONS)
    assert len(differing) <= (1 - SMALLEST_SHARE) * len(rows())


def test_table_is_large_and_every_row_is_told_apart() -> None:
    table = rows()
    assert sum(row.order == 1 for row in table) >= 100
    assert sum(row.order == 2 for row in table) >= 10
    assert len({str(row) for row in table}) == len(table)
    assert all(row.source for row in table)
