"""Derivatives found from formulas: in terms of the output where there is such a form, and right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy
from numpy.typing import NDArray

import workbench as wb
from workbench.calculus.derivation import Step
from workbench.calculus.differentiate import derive
from workbench.calculus.expressions import Expression, walk
from workbench.calculus.functions import COLUMN_SIZE, COLUMN_VARIABLE, VARIABLE, Function
from workbench.calculus.slopes import (
    COLUMN_GRADIENT,
    OUTPUT,
    Slope,
    column_jacobian_stages,
    column_pullback,
    slope,
)
from workbench.core.evaluate import evaluate
from workbench.core.verify import verify
from workbench.notation.formulas import parse_formula
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
    np.testing.assert_allclose(evaluate(found.form, values), _as(truth, found), rtol=1e-12)
    for stage in found.stages:
        known = {**values, **_undone(stage.expression, points)}
        np.testing.assert_allclose(
            np.broadcast_to(evaluate(stage.expression, known), points.shape),
            truth,
            rtol=1e-11,
            atol=1e-13,
            err_msg=f"{stage.rule}: {text(stage.expression)}",
        )


def _as(truth: Array, found: Slope) -> Array:
    """The truth, or its one value where the derivative is a constant."""
    return truth if VARIABLE in list(walk(found.form)) or OUTPUT in list(walk(found.form)) else truth[0]


def _undone(expression: Expression, points: Array) -> dict[Expression, Array]:
    """The derivatives that a stage leaves standing, by the complex step."""
    return {
        node: np.imag(evaluate(node.arguments[0], {VARIABLE: points + 1e-30j})) / 1e-30
        for node in walk(expression)
        if node.operation == "derivative"
    }
