"""Hessians: item D 14 printed as the notes have it, known ones, and those with indices alone."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import workbench as wb
from tests.test_systems import quick_system, told
from tests.test_voices import compare_golden
from workbench.core.checks.verify import verify
from workbench.derivation.differentiate import derive
from workbench.derivation.second_order import second_order
from workbench.derivation.steps import Step
from workbench.errors import InputError
from workbench.notation.text import text


def last(source: str, wrt: str) -> Step:
    """The step that gives the second derivative, after all were checked."""
    derivation = wb.derive(source, wrt=wrt, order=2)
    assert not derivation.failed
    step = derivation.steps[-1]
    assert step.check is not None
    assert step.check.passed
    return step


def test_d14_the_hessian_of_a_layer_is_that_of_the_notes() -> None:
    layer = "input x : n\ntarget y : m\nparameter W : m×n, b : m\nz = W x + b\na = {}(z)\n"
    layer += "L = 1/2 ‖a − y‖²"
    step = last(layer.format("sigmoid"), "W")
    assert text(step.goal) == "∂²L/∂vec(W)∂vec(W)ᵀ"
    assert text(step.result) == "(x xᵀ) ⊗ diag((a − y) ⊙ σ″(z) + σ′(z)²)"
    undetermined = last("elementwise f\n" + layer.format("f"), "W")
    assert text(undetermined.result) == "(x xᵀ) ⊗ diag((a − y) ⊙ f″(z) + f′(z)²)"


HESSIANS = """
x: n, A: n×n | x' A x | x | A + Aᵀ
x: n | (x' x)^2 | x | 8 x xᵀ + 4 (xᵀ x) I
x: n | norm(x) | x | I/‖x‖ − x xᵀ/‖x‖³
x: n, a: n | a' x | x | 0
x, a, b | a x^2 + b x | x | 2 a
X: m×n, A: m×m, B: n×n | tr(X' A X B) | X | Bᵀ ⊗ A + B ⊗ Aᵀ
X: m×n | sum(exp(X)) | X | diag(vec(e^X))
X: n×n | tr(X^2) | X | 2 K(n, n)
X: m×n | norm(kron(X, X))^2 | X | 8 vec(X) vec(X)ᵀ + 4 ‖X‖² I
"""


def _rows() -> list[tuple[str, str, str, str]]:
    rows = []
    for line in HESSIANS.strip().splitlines():
        symbols, loss, variable, wanted = line.split(" | ")
        rows.append((f"input {symbols.replace(':', ' :')}", loss, variable, wanted))
    return rows


@pytest.mark.parametrize(("declarations", "loss", "variable", "wanted"), _rows())
def test_known_hessians_print_so(declarations: str, loss: str, variable: str, wanted: str) -> None:
    assert text(last(f"{declarations}\nL = {loss}", variable).result) == wanted


def test_the_hessian_of_log_sum_exp_is_the_jacobian_of_softmax() -> None:
    found = text(last("input x : n\nL = logsumexp(x)", "x").result)
    assert found == "diag(softmax(x)) − softmax(x) softmax(x)ᵀ"
    found = text(last("input A : m×n, x : n\nL = logsumexp(A x)", "x").result)
    assert found == "Aᵀ (diag(softmax(A x)) − softmax(A x) softmax(A x)ᵀ) A"


def test_a_commutation_matrix_has_its_sizes_the_right_way_round() -> None:
    """d(4 X XᵀX) has the term 4 X dXᵀ X, and (Xᵀ ⊗ X) K(m, n) = K(n, m) (X ⊗ Xᵀ)."""
    found = text(last("input X : m×n\nL = ‖X' X‖²", "X").result)
    assert "K(n, m) (X ⊗ Xᵀ)" in found or "(Xᵀ ⊗ X) K(m, n)" in found


@pytest.mark.parametrize(
    ("source", "variable", "goal", "wanted"),
    [
        (
            "input X : n×n\nL = sum(diagonal(X X').^2)",
            "X",
            "∂(∂L/∂X)[i,j]/∂X[k,l]",
            "8 X[i,j] δᵢₖ X[i,l] + 4 δᵢₖ δⱼₗ (Σₜ X[i,t]²)",
        ),
        (
            "input x : n, S : n×n\nL = logdet(S + diag(x))",
            "x",
            "∂(∂L/∂x)[i]/∂x[j]",
            "−((S + diag(x))⁻¹)[i,j] ((S + diag(x))⁻¹)[j,i]",
        ),
    ],
)
def test_a_hessian_without_a_matrix_form_is_given_by_entries(
    source: str, variable: str, goal: str, wanted: str
) -> None:
    step = last(source, variable)
    assert (text(step.goal), text(step.result)) == (goal, wanted)
    assert step.stages[0].why == "no matrix form was found"


def test_the_hessian_is_read_off_the_differential_of_the_gradient() -> None:
    derivation = wb.derive("input A : m×n, x : n, b : m\nL = 1/2 ‖A x − b‖²", wrt="x", order=2)
    told = [
        (text(s.goal), text(s.result))
        for s in derivation.steps
        if s.section == "Second derivatives"
    ]
    assert told[-2:] == [("d(∂L/∂x)", "Aᵀ A dx"), ("∂²L/∂x∂xᵀ", "Aᵀ A")]


def test_every_parameter_gets_its_hessian_and_other_orders_are_refused() -> None:
    derivation = wb.derive("input A : m×n, x : n, y : m\nL = (A x)' y", wrt=["x", "y"], order=2)
    goals = [text(step.goal) for step in derivation.steps]
    assert "∂²L/∂x∂xᵀ" in goals
    assert "∂²L/∂y∂yᵀ" in goals
    with pytest.raises(InputError, match="order 1 and 2"):
        wb.derive("x' x", wrt="x", order=3)


@pytest.mark.parametrize(
    ("source", "variable"),
    [
        ("input X : n×n, W : m×n\nL = ‖[X, W'] [W'; ones(m, m)]‖²", "W"),
        ("input c : 1, x : n\nL = sum(tanh([c x; x])[1:n])", "c"),
    ],
    ids=["a product of stacks, by entries", "a part of a stack by a scalar"],
)
def test_hessians_of_stacks(source: str, variable: str) -> None:
    last(source, variable)


@settings(max_examples=8, phases=[Phase.explicit, Phase.generate])
@given(seed=st.integers(0, 10**6))
def test_hessians_of_random_systems_are_verified(seed: int) -> None:
    system = quick_system(Random(seed), most=2)
    derivation = verify(second_order(derive(system, expand=False)))
    assert not derivation.failed, told(derivation)


def test_golden_second_order_of_a_layer(request: pytest.FixtureRequest) -> None:
    system = wb.equations("1/2 * ‖sigmoid(W x + b) − y‖²", wrt=["W"])
    compare_golden("second_order_layer", wb.derive(system, order=2).text(), request)
