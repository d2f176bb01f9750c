"""Checks by numbers: right derivations pass at every point, and what is undefined is not wrong."""

from __future__ import annotations

import warnings
from dataclasses import replace
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest

import workbench as wb
from workbench.api.derivations import written
from workbench.calculus.algebra import multiply
from workbench.calculus.expressions import number
from workbench.calculus.functions import VARIABLE, Function
from workbench.core.checks.draws import draw_point
from workbench.core.checks.verify import verify
from workbench.core.evaluate import evaluate
from workbench.core.gradcheck import Verdict, gradcheck
from workbench.core.program import Program
from workbench.derivation.differentiate import derive
from workbench.derivation.network import PREDICTION, TARGET, LossFunction, Network
from workbench.derivation.second_order import second_order
from workbench.derivation.steps import ELEMENTWISE, Derivation, Tier
from workbench.errors import InputError
from workbench.notation.reading.formulas import parse_formula
from workbench.plugins.registry import load_registry

REGISTRY = load_registry()


def _forms(network: Network) -> list[Derivation]:
    systems = [network.scalar_system(), network.system(), network.system(batch=True)]
    return [verify(derive(system)) for system in systems]


def _worst(derivation: Derivation) -> float:
    return max(step.check.max_relative_error for step in derivation.steps if step.check)


def _unchecked(derivation: Derivation) -> list[int]:
    return [s.id for s in derivation.steps if not s.is_definition and s.check is None]


def _gradcheck(network: Network) -> list[Verdict]:
    return list(gradcheck(network, [ELEMENTWISE]))


def _with_loss(network: Network, formula: str, *assumed: tuple[str, str]) -> Network:
    names = {"a": PREDICTION, "y": TARGET}
    pairs = tuple(
        (parse_formula(left, names), parse_formula(right, names)) for left, right in assumed
    )
    return replace(network, loss=LossFunction("mine", parse_formula(formula, names), "mean", pairs))


# Every built-in


@pytest.mark.parametrize(
    ("activation", "loss"), list(product(REGISTRY.activations, REGISTRY.losses))
)
def test_every_activation_with_every_loss_is_derived_and_checked(
    activation: str, loss: str
) -> None:
    network = wb.network("2-3-2", activation=activation, loss=loss)
    for derivation in _forms(network):
        assert not derivation.failed
        assert not _unchecked(derivation)
        assert _worst(derivation) < 1e-11
        assert "failed" not in written(derivation, "").text()
    assert {verdict.verdict for verdict in _gradcheck(network)} == {"pass"}


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ("40-1", {"activation": "tanh"}),
        ("2-1:softmax", {}),
        ("2-1:relu-1:relu-1:relu", {}),
        ("3-4-3:softmax", {"loss": "absolute_error"}),
        ("2-2-1", {"activation": "tanh", "loss": "binary_cross_entropy"}),
        ("2-1:softmax", {"loss": "absolute_error"}),
    ],
)
def test_saturated_and_vanishing_gradients_are_no_mistakes(
    architecture: str, options: dict[str, str]
) -> None:
    for derivation in _forms(wb.network(architecture, **options)):
        assert not derivation.failed
        assert not _unchecked(derivation)


@pytest.mark.parametrize("activation", ["swish", "elu", "relu", "tanh", "sigmoid", "identity"])
def test_a_hundred_layers_neither_overflow_nor_lose_their_gradients(activation: str) -> None:
    network = wb.network("-".join(["3"] * 101), activation=activation)
    derivation = verify(derive(network.system(batch=True)))
    assert not derivation.failed
    assert not _unchecked(derivation)


# Mistakes are still found


@pytest.mark.parametrize("architecture", ["2-2-1", "3-4-3:softmax", "-".join(["3"] * 31)])
@pytest.mark.parametrize("factor", ["-1", "1.0001"])
def test_a_wrong_line_fails_at_any_depth(architecture: str, factor: str) -> None:
    derivation = derive(wb.network(architecture).system(batch=True))
    for step in derivation.results[:2]:
        wrong = multiply(number(Fraction(factor)), step.result)
        stages = (*step.stages[:-1], replace(step.stages[-1], expression=wrong))
        steps = [replace(step, stages=stages) if s is step else s for s in derivation.steps]
        (failed,) = verify(derivation.with_steps(steps)).failed
        assert failed.id == step.id
        assert failed.check is not None
        assert failed.check.max_relative_error > 1e-5


def test_a_line_that_is_not_zero_where_the_truth_is_fails() -> None:
    derivation = derive(wb.network("2-1:softmax").scalar_system())
    step = derivation.results[0]
    wrong = replace(step.stages[-1], expression=number(Fraction(1, 10**6)))
    steps = [replace(step, stages=(wrong,)) if s is step else s for s in derivation.steps]
    assert [s.id for s in verify(derivation.with_steps(steps)).failed] == [step.id]


# Undefined


def test_a_loss_that_is_defined_nowhere_is_not_checked_and_not_wrong() -> None:
    network = _with_loss(wb.network("2-2-1"), "sum(log(-1 - a^2) * y)")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        derivations = _forms(network)
        verdicts = _gradcheck(network)
    for derivation in derivations:
        assert not derivation.failed
        assert {step.id for step in derivation.results[-1:]} & set(_unchecked(derivation))
        assert any(step.check for step in derivation.steps)
    for verdict in verdicts:
        assert verdict.verdict == "undecided"
        assert verdict.message == "the loss is not defined at any point drawn"


@pytest.mark.parametrize("formula", ["sum(log(a - 3) * y)", "sum((a + 2)^(1/2))", "sum(log(-a)^2)"])
def test_a_loss_with_a_small_domain_is_met_inside_it(formula: str) -> None:
    network = _with_loss(wb.network("2-3:tanh-2:identity"), formula)
    for derivation in _forms(network):
        assert not derivation.failed
        assert not _unchecked(derivation)
    assert {verdict.verdict for verdict in _gradcheck(network)} == {"pass"}


def test_an_activation_with_a_domain_is_met_inside_it() -> None:
    root = Function("root", parse_formula("sqrt(z) + log(z)", {"z": VARIABLE}))
    network = replace(wb.network("2-3-2"), activations=(root, root))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for derivation in _forms(network):
            assert not derivation.failed
            assert not _unchecked(derivation)


def test_no_branch_of_a_complex_logarithm_or_root_is_taken() -> None:
    for formula in "log(z)", "sqrt(z)", "z^(3/2)":
        points = np.array([-1.0, 4.0]) + 1e-30j
        found = evaluate(parse_formula(formula, {"z": VARIABLE}), {VARIABLE: points})
        assert np.isnan(found.real[0])
        assert np.isnan(found.imag[0])
        assert np.isfinite(found[1])


# What is assumed


@pytest.mark.parametrize(
    ("assumed", "is_met"),
    [
        (("sum(y)", "1"), True),
        (("sum(y)", "3"), True),
        (("sum(y)", "0"), True),
        (("sum(y^2)", "1"), True),
        (("sum(y)", "sum(y) + 1"), False),
    ],
)
def test_targets_satisfy_what_is_assumed_of_them(assumed: tuple[str, str], is_met: bool) -> None:
    network = _with_loss(wb.network("2-3-3:softmax"), "-sum(y * log(a))", assumed)
    for system in network.system(), network.system(batch=True):
        sizes = {"m_0": 2, "m_1": 4, "m_2": 3, "B": 5}
        point = draw_point(system, sizes, np.random.default_rng(0))
        assert point.is_as_assumed == is_met
        derivation = verify(derive(system))
        assert not derivation.failed
        assuming = [s.id for s in derivation.steps if any(g.rule == "assumption" for g in s.stages)]
        assert _unchecked(derivation) == ([] if is_met else assuming)
    assert {v.verdict for v in _gradcheck(network)} == {"pass" if is_met else "undecided"}


# Gradients that training uses


def test_a_gradient_of_zero_is_undecided() -> None:
    for loss in "half_squared_error", "absolute_error", "cross_entropy":
        for verdict in _gradcheck(wb.network("2-1:softmax", loss=loss)):
            assert verdict.verdict == "undecided"
            assert "zero throughout" in verdict.message


@pytest.mark.parametrize("architecture", ["2-3-2", "2-3:relu-2"])
def test_a_program_whose_loss_is_wrong_fails(
    architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = Program.step

    def wrong(self: Program, inputs: Any, targets: Any) -> float:
        return right(self, inputs, targets) * 1.001

    monkeypatch.setattr(Program, "step", wrong)
    for verdict in _gradcheck(wb.network(architecture)):
        assert verdict.verdict == "fail"
        assert verdict.message == "the loss of the program differs from the formula"


def test_a_loss_without_a_target_is_checked() -> None:
    network = _with_loss(wb.network("2-3-2"), "sum(a^2)")
    assert {verdict.verdict for verdict in _gradcheck(network)} == {"pass"}
    assert not any(derivation.failed for derivation in _forms(network))


# Sizes that are numbers


@pytest.mark.parametrize(
    "text",
    [
        "input x : 784\nparameter W : 30×784\nL = norm(tanh(W x))^2",
        "parameter A : 40×40\nL = logdet(A)",
        "parameter A : 100×50\nL = norm(A)^2",
        "parameter A : 300×300\nL = logdet(A A')",
        "parameter A : 100×30, B : 250×30\ninput y : 350\nL = norm(y' tanh([A; B]))^2",
        "parameter A : 20×50\nh = vec(A)\nL = h' tanh(h)",
        "parameter x : 1000000000\nL = sum(x)",
        "parameter x : n n n n n n n n n\nL = sum(x)",
    ],
)
def test_large_sizes_are_checked_at_small_ones(text: str) -> None:
    derivation = verify(derive(wb.equations(text)))
    assert not derivation.failed
    for step in derivation.results:
        assert step.check is not None
        assert Tier.EXACT in step.check.tiers
        assert max(size for sizes in step.check.sizes for size in sizes.values()) < 8


def test_what_holds_at_its_own_size_only_is_checked_there() -> None:
    """The derivative of x − x̄ loses its trace only as 𝟏ᵀ𝟏 is the 784 that was divided by."""
    text = "parameter x : 784\nL = sum((x - sum(x)/784 * ones(784)).^2)"
    derivation = verify(derive(wb.equations(text)))
    assert not derivation.failed
    assert not _unchecked(derivation)


def test_a_wrong_line_at_a_large_size_is_found_or_refused() -> None:
    derivation = derive(wb.equations("parameter A : 300×30\nL = norm(tanh(A))^2"))
    step = derivation.results[0]
    wrong = replace(step.stages[-1], expression=multiply(number(2), step.result))
    steps = [replace(step, stages=(wrong,)) if s is step else s for s in derivation.steps]
    with pytest.raises(InputError, match="use a name for the size"):
        verify(derivation.with_steps(steps))


def test_sizes_that_are_too_large_whatever_is_drawn_are_refused() -> None:
    factors = " ".join(["n"] * 24)
    with pytest.raises(InputError, match="too large to check"):
        verify(derive(wb.equations(f"parameter x : {factors}\nL = sum(x)")))


# What floating point and symmetry once got wrong


@pytest.mark.parametrize("formula", ["x^100 x^100", "x^99 x", "x^(-90) x^(-90)"])
def test_high_powers_are_no_mistakes(formula: str) -> None:
    for factor in 1, 2:
        derivation = derive(wb.equations(f"parameter x\nL = {formula}"))
        step = derivation.results[0]
        result = multiply(number(factor), step.result)
        stage = replace(step.stages[-1], expression=result)
        steps = [replace(step, stages=(stage,)) if s is step else s for s in derivation.steps]
        assert bool(verify(derivation.with_steps(steps)).failed) == (factor == 2)


@pytest.mark.parametrize("formula", ["tr(X A X)", "tr(X A X A X)", "logdet(X) + tr(X A)^2"])
def test_a_hessian_by_a_symmetric_matrix_is_a_form_of_symmetric_changes(formula: str) -> None:
    text = f"parameter X : n×n symmetric\ninput A : n×n\nL = {formula}"
    derivation = second_order(derive(wb.equations(text)))
    assert not verify(derivation).failed
    last = derivation.steps[-1]
    wrong = replace(last.stages[-1], expression=multiply(number(2), last.result))
    changed = replace(last, stages=(*last.stages[:-1], wrong))
    (failed,) = verify(derivation.with_steps([*derivation.steps[:-1], changed])).failed
    assert failed.id == last.id
