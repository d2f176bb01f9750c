"""Derivatives found from formulas: in terms of the output where there is such a form, and right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import sympy
from numpy.typing import NDArray

import workbench as wb
from workbench.calculus.columns import column_jacobian_stages
from workbench.calculus.expressions import Expression, walk
from workbench.calculus.functions import COLUMN_SIZE, COLUMN_VARIABLE, VARIABLE, Function
from workbench.calculus.slopes import OUTPUT, slope
from workbench.core.checks.verify import verify
from workbench.core.evaluate import evaluate
from workbench.derivation.differentiate import derive
from workbench.derivation.steps import Derivation
from workbench.notation.reading.formulas import parse_formula
from workbench.notation.text import text
from workbench.plugins.build import build_function
from workbench.plugins.registry import load_registry

Array = NDArray[Any]
REGISTRY = load_registry()


def _function(formula: str) -> Function:
    """f by its formula, which may mention built-in activations."""

    def lookup(name: str) -> Function | None:
        return build_function(name, REGISTRY) if name in REGISTRY.activations else None

    return Function("f", parse_formula(formula, {"z": VARIABLE}, lookup))


SIGMOID, TANH = "f(z) (1 − f(z))", "1 − f(z)²"

FOUND = {
    "1 / (1 + exp(-z))": SIGMOID,
    "exp(z) / (1 + exp(z))": SIGMOID,
    "1 - 1 / (1 + exp(z))": SIGMOID,
    "exp(z/2) / (exp(z/2) + exp(-z/2))": SIGMOID,
    "sigmoid(2*z)": "2 f(z) (1 − f(z))",
    "tanh(z)": TANH,
    "(exp(z) - exp(-z)) / (exp(z) + exp(-z))": TANH,
    "(exp(2*z) - 1) / (exp(2*z) + 1)": TANH,
    "2 / (1 + exp(-2*z)) - 1": TANH,
    "z": "1",
    "max(z, 0)": "[z > 0]",
    "where(z > 0, z, z / 100)": "{1 if z > 0, else 1/100}",
    "where(z > 0, z, exp(z) - 1)": "{1 if z > 0, else f(z) + 1}",
    "z * sigmoid(z)": "σ(z) (1 + (1 − σ(z)) z)",
    "z * Phi(z)": "Φ(z) + z e^(−½ z²)/√(2 π)",
    "exp(z)": "f(z)",
    "z^3 - 2*z": "3 z² − 2",
    "arctan(z)": "1/(1 + z²)",
    "sin(z)": "cos(z)",
    "3": "0",
}
"""What a person would write for f′, in terms of f where that is shorter."""


@pytest.mark.parametrize("formula", FOUND)
def test_the_derivative_is_found_in_its_usual_form(formula: str) -> None:
    assert text(slope(_function(formula)).stages[-1].expression) == FOUND[formula]


def test_softplus_has_the_sigmoid_as_its_derivative() -> None:
    assert text(slope(_function("log(1 + exp(z))")).form) in ("1/(e^(−z) + 1)", "1/(1 + e^(−z))")


def test_the_working_of_the_sigmoid_is_what_a_person_writes() -> None:
    stages = slope(build_function("sigmoid", REGISTRY)).stages
    assert [(stage.rule, text(stage.expression)) for stage in stages] == [
        ("definition", "d/dz (1/(1 + e^(−z)))"),
        ("power rule", "−(d/dz (1 + e^(−z)))/(1 + e^(−z))²"),
        ("differentiate", "e^(−z)/(1 + e^(−z))²"),
        ("split the fraction", "1/(1 + e^(−z)) − 1/(1 + e^(−z))²"),
        ("recognise", "σ(z) − σ(z)²"),
        ("factor", "σ(z) (1 − σ(z))"),
    ]


ANYWHERE = (-2.7, -0.9, -0.2, 0.4, 1.8)
POSITIVE = (0.15, 0.6, 1.3, 2.2, 3.7)

FORMULAS: dict[str, tuple[float, ...]] = {
    **dict.fromkeys(
        [formula for formula in FOUND if "sigmoid(" not in formula],
        ANYWHERE,
    ),
    "log(1 + exp(z))": ANYWHERE,
    "log(1 + exp(2*z)) / 2 - z^2": ANYWHERE,
    "z / (1 + abs(z))": ANYWHERE,
    "z * tanh(log(1 + exp(z)))": ANYWHERE,
    "min(max(z, -1), 1) * z": ANYWHERE,
    "exp(-z^2 / 2) / sqrt(2*pi)": ANYWHERE,
    "sinh(z) / cosh(z) + tan(z/4)": ANYWHERE,
    "(z + 1/3) * (z - 2)^3 / (1 + z^2)^2": ANYWHERE,
    "sqrt(1 + z^2) - 1": ANYWHERE,
    "erf(z / sqrt(2)) * cos(z)": ANYWHERE,
    "abs(sin(z)) * exp(z/3)": ANYWHERE,
    "where(z >= -1/2, z^2, 1/4 + sin(3*(z + 1/2)))": ANYWHERE,
    "1 / (1 + exp(-z) + exp(-2*z))": ANYWHERE,
    "(exp(z) - 2) / (3*exp(z) + 5)": ANYWHERE,
    "exp(exp(-z)) / (1 + exp(exp(-z)))": ANYWHERE,
    "-(-z)^3 + (2*z)^2 * z^-1": ANYWHERE,
    "sqrt(z)": POSITIVE,
    "z^(3/2) / log(z + 2)": POSITIVE,
    "log(z)^2 / z": POSITIVE,
    "1 / sqrt(z) - z^(1/3)": POSITIVE,
    "sqrt(z) * sqrt(z + 1) * log(z)": POSITIVE,
}


def _by_sympy(formula: str, point: float) -> float:
    """The derivative by SymPy, to 50 digits."""
    z = sympy.Symbol("z", real=True)
    words = {
        "z": z,
        "max": sympy.Max,
        "min": sympy.Min,
        "arctan": sympy.atan,
        "abs": sympy.Abs,
        "where": lambda condition, yes, no: sympy.Piecewise((yes, condition), (no, True)),
        "Phi": lambda u: (1 + sympy.erf(u / sympy.sqrt(2))) / 2,
    }
    parsed = sympy.sympify(formula.replace("^", "**"), locals=words, rational=True)
    exact = sympy.Rational(point)
    return float(sympy.N(sympy.diff(parsed, z).subs(z, exact), 50))


@pytest.mark.parametrize("formula", FORMULAS)
def test_the_derivative_agrees_with_sympy_and_so_does_every_line(formula: str) -> None:
    function = _function(formula)
    points = np.array(FORMULAS[formula])
    truth = np.array([_by_sympy(formula, point) for point in points])
    assert function.formula is not None
    values = {VARIABLE: points, OUTPUT: evaluate(function.formula, {VARIABLE: points})}
    found = slope(function)
    assert _as_array(found.form, values) == pytest.approx(truth, rel=1e-12)
    for stage in found.stages:
        numbers = _as_array(stage.expression, {**values, **_undone(stage.expression, points)})
        assert numbers == pytest.approx(truth, rel=1e-11, abs=1e-13), stage.rule


def _as_array(expression: Expression, values: dict[Expression, Array]) -> Array:
    return np.broadcast_to(evaluate(expression, values), values[VARIABLE].shape)


def _undone(expression: Expression, points: Array) -> dict[Expression, Array]:
    """The derivatives that a stage leaves standing, by the complex step."""
    return {
        node: np.imag(evaluate(node.arguments[0], {VARIABLE: points + 1e-30j})) / 1e-30
        for node in walk(expression)
        if node.operation == "derivative"
    }


def test_the_jacobian_of_softmax_is_found_and_is_that_of_its_formula() -> None:
    softmax = build_function("softmax", REGISTRY)
    _, stages = column_jacobian_stages(softmax)
    assert text(stages[-1].expression) == "diag(softmax(z)) − softmax(z) softmax(z)ᵀ"
    z = np.array([0.3, -1.2, 0.8, 2.0])
    p = np.exp(z) / np.exp(z).sum()
    for stage in stages:
        found = evaluate(stage.expression, {COLUMN_VARIABLE: z[:, None]}, {COLUMN_SIZE.names[0]: 4})
        np.testing.assert_allclose(found, np.diag(p) - np.outer(p, p), atol=1e-15)


def _stages_of(derivation: Derivation, name: str) -> list[tuple[str, str]]:
    (step,) = [s for s in derivation.steps if text(s.goal) == name]
    assert step.check is not None
    assert step.check.passed
    return [(stage.rule, text(stage.expression)) for stage in step.stages]


def test_softmax_with_cross_entropy_is_p_minus_y_under_the_named_assumption() -> None:
    network = wb.network("3-4:softmax")
    stages = _stages_of(verify(derive(network.system())), "∂L/∂z₁")
    assert stages[-2:] == [("cancel", "sum(y) x₁ − y"), ("assumption", "x₁ − y")]
    assert "Assumed of the target: sum(y) = 1." in wb.derive(network).text()


def test_without_the_assumption_the_sum_of_the_targets_stays() -> None:
    network = wb.network("3-4:softmax")
    loss = replace(network.loss, assumptions=())
    for batch, result in (False, "sum(y) x₁ − y"), (True, "(1/B) (X₁ ⊙ (𝟏 𝟏ᵀ Y) − Y)"):
        derivation = verify(derive(replace(network, loss=loss).system(batch=batch)))
        stages = _stages_of(derivation, "∂L/∂Z₁" if batch else "∂L/∂z₁")
        assert stages[-1] == ("cancel", result)
        assert not derivation.failed


def test_swish_that_couples_a_column_is_differentiated_too() -> None:
    """A columnwise formula nobody stored: z ⊙ softmax(z), by the complex step."""
    formula = parse_formula("z * exp(z) / sum(exp(z))", {"z": COLUMN_VARIABLE})
    _, stages = column_jacobian_stages(Function("gate", formula))
    z = np.array([0.3, -1.2, 0.8])
    moved = z + 1e-30j * np.eye(3)
    truth = np.imag(moved * np.exp(moved) / np.exp(moved).sum(axis=1, keepdims=True)) / 1e-30
    for stage in stages:
        found = evaluate(stage.expression, {COLUMN_VARIABLE: z[:, None]}, {COLUMN_SIZE.names[0]: 3})
        np.testing.assert_allclose(found, truth, atol=1e-14)
