"""Derivations: the results of the notes word for word, their numbers by hand, and errors caught."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from math import log
from time import process_time

import numpy as np
import pytest

import workbench as wb
from workbench.__main__ import main
from workbench.calculus import columns, slopes
from workbench.calculus.algebra import is_zero, multiply, spread
from workbench.calculus.expressions import Expression, number
from workbench.calculus.functions import VARIABLE, Function
from workbench.calculus.pullbacks import RULES, Rule
from workbench.core.checks.verify import verify
from workbench.core.evaluate import evaluate
from workbench.core.program import compile_network
from workbench.derivation.differentiate import derive
from workbench.derivation.layout import Layout, in_layout
from workbench.derivation.network import PREDICTION, TARGET, LossFunction, Network
from workbench.derivation.steps import Derivation, Strategy
from workbench.errors import InputError
from workbench.notation.reading.formulas import parse_formula
from workbench.notation.text import text
from workbench.plugins.build import build_strategy
from workbench.plugins.registry import load_registry

STRATEGIES = ("elementwise", "diagonal", "kronecker")
DENOMINATOR, NUMERATOR = Layout.DENOMINATOR, Layout.NUMERATOR


def _strategy(name: str) -> Strategy:
    return build_strategy(name, load_registry())


def _section(derivation: Derivation, title: str) -> dict[str, str]:
    """The goals of a section with their results."""
    return {text(s.goal): text(s.result) for s in derivation.steps if s.section == title}


def _named(derivation: Derivation) -> dict[str, str]:
    return {text(s.name): text(s.result) for s in derivation.steps if s.name is not None}


def _gradients(derivation: Derivation) -> dict[str, str]:
    return {text(s.goal): text(s.result) for s in derivation.results}


# A. The scalar network 2-2-1


def test_the_scalar_equations_are_those_of_the_notes() -> None:
    assert _section(wb.derive(wb.network("2-2-1"), form="scalar"), "Equations") == {
        "z₀": "w₀ x₀ + w₁ x₁ + b₀",
        "z₁": "w₂ x₀ + w₃ x₁ + b₁",
        "a₀": "σ(z₀)",
        "a₁": "σ(z₁)",
        "z₂": "w₄ a₀ + w₅ a₁ + b₂",
        "a₂": "σ(z₂)",
        "L": "½ (a₂ − y)²",
    }


def test_a2_every_local_derivative_of_the_scalar_network() -> None:
    derivation = wb.derive(wb.network("2-2-1"), form="scalar")
    assert _section(derivation, "Local derivatives") == {
        "∂z₀/∂w₀": "x₀",
        "∂z₀/∂w₁": "x₁",
        "∂z₀/∂b₀": "1",
        "∂z₁/∂w₂": "x₀",
        "∂z₁/∂w₃": "x₁",
        "∂z₁/∂b₁": "1",
        "∂z₂/∂w₄": "a₀",
        "∂z₂/∂w₅": "a₁",
        "∂z₂/∂b₂": "1",
        "∂z₂/∂a₀": "w₄",
        "∂z₂/∂a₁": "w₅",
        "∂a₀/∂z₀": "a₀ (1 − a₀)",
        "∂a₁/∂z₁": "a₁ (1 − a₁)",
        "∂a₂/∂z₂": "a₂ (1 − a₂)",
    }
    assert _section(derivation, "Gradients")["∂L/∂a₂"] == "a₂ − y"


def test_a3_nine_gradients_as_chain_local_derivatives_and_result() -> None:
    derivation = wb.derive(wb.network("2-2-1"), form="scalar")
    assert _named(derivation) == {
        "δ₂": "(a₂ − y) a₂ (1 − a₂)",
        "δ₁": "δ₂ w₅ a₁ (1 − a₁)",
        "δ₀": "δ₂ w₄ a₀ (1 − a₀)",
    }
    assert _gradients(derivation) == {
        "∂L/∂w₀": "δ₀ x₀",
        "∂L/∂w₁": "δ₀ x₁",
        "∂L/∂b₀": "δ₀",
        "∂L/∂w₂": "δ₁ x₀",
        "∂L/∂w₃": "δ₁ x₁",
        "∂L/∂b₁": "δ₁",
        "∂L/∂w₄": "δ₂ a₀",
        "∂L/∂w₅": "δ₂ a₁",
        "∂L/∂b₂": "δ₂",
    }
    (step,) = [step for step in derivation.steps if text(step.goal) == "∂L/∂w₄"]
    assert [text(stage.expression) for stage in step.stages] == ["δ₂ · ∂z₂/∂w₄", "δ₂ a₀"]


# Worked by hand. σ(0) = 1/2 and σ(ln 3) = 3/4, so with x = (1, 2) and y = 1/4:
#   z0 = 1/2·1 − 1/2·2 + 1/2 = 0        a0 = 1/2
#   z1 = ln 3·1 − 1/2·2 + 1 = ln 3      a1 = 3/4
#   z2 = 2·1/2 + 4·3/4 − 4 = 0          a2 = 1/2
#   δ2 = (a2 − y) a2 (1 − a2) = 1/4 · 1/2 · 1/2 = 1/16
#   δ1 = δ2 w5 a1 (1 − a1)    = 1/16 · 4 · 3/4 · 1/4 = 3/64
#   δ0 = δ2 w4 a0 (1 − a0)    = 1/16 · 2 · 1/2 · 1/2 = 1/32
POINT = {
    "x0": 1, "x1": 2, "y": 0.25,
    "w0": 0.5, "w1": -0.5, "b0": 0.5,
    "w2": log(3), "w3": -0.5, "b1": 1,
    "w4": 2, "w5": 4, "b2": -4,
}  # fmt: skip
BY_HAND = {
    "w0": 1 / 32,  # δ0 x0 = 1/32 · 1
    "w1": 1 / 16,  # δ0 x1 = 1/32 · 2
    "b0": 1 / 32,  # δ0
    "w2": 3 / 64,  # δ1 x0 = 3/64 · 1
    "w3": 3 / 32,  # δ1 x1 = 3/64 · 2
    "b1": 3 / 64,  # δ1
    "w4": 1 / 32,  # δ2 a0 = 1/16 · 1/2
    "w5": 3 / 64,  # δ2 a1 = 1/16 · 3/4
    "b2": 1 / 16,  # δ2
}


def test_the_nine_gradients_have_the_numbers_worked_by_hand() -> None:
    derivation = derive(wb.network("2-2-1").scalar_system())
    values = {
        symbol: np.array([[POINT[symbol.symbol.name]]], dtype=float)
        for symbol in derivation.system.symbols
        if symbol.symbol.name in POINT
    }
    for equation in (*derivation.system.equations, *derivation.backward):
        values[equation.left] = evaluate(equation.right, values)
    found = {p.symbol.name: evaluate(g, values).item() for p, g in derivation.gradients.items()}
    assert found == pytest.approx(BY_HAND, rel=1e-14)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_program_gives_the_numbers_worked_by_hand(strategy: str) -> None:
    program = compile_network(wb.network("2-2-1"), batch_size=1, strategy=_strategy(strategy))
    for name, matrix in {
        "W1": [["w0", "w1"], ["w2", "w3"]],
        "b1": ["b0", "b1"],
        "W2": [["w4", "w5"]],
        "b2": ["b2"],
    }.items():
        program.parameters[name][...] = np.vectorize(POINT.__getitem__)(matrix)
    loss = program.step(np.array([[1.0, 2.0]]), np.array([[0.25]]))
    assert loss == pytest.approx(1 / 32)  # 1/2 · (1/2 − 1/4)²
    assert program.gradients["W1"] == pytest.approx(np.array([[2, 4], [3, 6]]) / 64, rel=1e-14)
    assert program.gradients["b1"] == pytest.approx(np.array([2, 3]) / 64, rel=1e-14)
    assert program.gradients["W2"] == pytest.approx(np.array([[2, 3]]) / 64, rel=1e-14)
    assert program.gradients["b2"] == pytest.approx(np.array([4]) / 64, rel=1e-14)


# B and C. Matrices, one sample and a batch


@pytest.mark.parametrize("layout", Layout)
def test_b4_to_b6_the_local_derivatives_by_entries_and_as_matrices(layout: Layout) -> None:
    derivation = wb.derive(wb.network("2-2-1"), layout=layout)
    assert _section(derivation, "Local derivatives") == {
        "x₂[j]": "σ(z₂[j])",
        "∂x₂[j]/∂z₂[i]": "δᵢⱼ σ′(z₂[j])",
        "∂x₂/∂z₂": "diag(σ′(z₂))",
        "z₂[k]": "Σₗ W₂[k,l] x₁[l] + b₂[k]",
        "∂z₂[k]/∂W₂[i,j]": "δᵢₖ x₁[j]",
        "z₂[j]": "Σₖ W₂[j,k] x₁[k] + b₂[j]",
        "∂z₂[j]/∂x₁[i]": "W₂[j,i]",
        "∂z₂/∂x₁": "W₂ᵀ" if layout is DENOMINATOR else "W₂",
        "∂z₂[j]/∂b₂[i]": "δᵢⱼ",
        "∂z₂/∂b₂": "I",
    }


DELTAS_AND_WEIGHTS: dict[tuple[str, bool, Layout], tuple[str, str, str, str]] = {
    ("elementwise", False, DENOMINATOR): (
        "x₂ ⊙ (1 − x₂) ⊙ (x₂ − y)",
        "x₁ ⊙ (1 − x₁) ⊙ (W₂ᵀ δ₂)",
        "δ₂ x₁ᵀ",
        "δ₂",
    ),
    ("elementwise", False, NUMERATOR): (
        "x₂ᵀ ⊙ (1 − x₂ᵀ) ⊙ (x₂ᵀ − yᵀ)",
        "x₁ᵀ ⊙ (1 − x₁ᵀ) ⊙ (δ₂ W₂)",
        "x₁ δ₂",
        "δ₂",
    ),
    ("diagonal", False, DENOMINATOR): (
        "diag(x₂ ⊙ (1 − x₂)) (x₂ − y)",
        "diag(x₁ ⊙ (1 − x₁)) W₂ᵀ δ₂",
        "δ₂ x₁ᵀ",
        "δ₂",
    ),
    ("diagonal", False, NUMERATOR): (
        "(x₂ − y)ᵀ diag(x₂ ⊙ (1 − x₂))",
        "δ₂ W₂ diag(x₁ ⊙ (1 − x₁))",
        "x₁ δ₂",
        "δ₂",
    ),
    ("kronecker", False, DENOMINATOR): (
        "diag(x₂ ⊙ (1 − x₂)) (x₂ − y)",
        "diag(x₁ ⊙ (1 − x₁)) W₂ᵀ δ₂",
        "devec((x₁ ⊗ I) δ₂)",
        "δ₂",
    ),
    ("elementwise", True, DENOMINATOR): (
        "(1/B) (X₂ ⊙ (1 − X₂) ⊙ (X₂ − Y))",
        "X₁ ⊙ (1 − X₁) ⊙ (W₂ᵀ Δ₂)",
        "Δ₂ X₁ᵀ",
        "Δ₂ 𝟏",
    ),
    ("elementwise", True, NUMERATOR): (
        "(1/B) (X₂ᵀ ⊙ (1 − X₂ᵀ) ⊙ (X₂ᵀ − Yᵀ))",
        "X₁ᵀ ⊙ (1 − X₁ᵀ) ⊙ (Δ₂ W₂)",
        "X₁ Δ₂",
        "𝟏ᵀ Δ₂",
    ),
    ("kronecker", True, DENOMINATOR): (
        "devec(diag(vec(X₂ ⊙ (1 − X₂))) vec((1/B) (X₂ − Y)))",
        "devec(diag(vec(X₁ ⊙ (1 − X₁))) (I ⊗ W₂ᵀ) vec(Δ₂))",
        "devec((X₁ ⊗ I) vec(Δ₂))",
        "(𝟏ᵀ ⊗ I) vec(Δ₂)",
    ),
}
"""C 8, 10 and 12 as each strategy writes them: δ₂, δ₁, ∂L/∂W₂, ∂L/∂b₂."""


@pytest.mark.parametrize(("strategy", "batch", "layout"), DELTAS_AND_WEIGHTS)
def test_c_gradients_in_matrix_form(strategy: str, batch: bool, layout: Layout) -> None:
    derivation = wb.derive(wb.network("2-2-1"), strategy=strategy, batch=batch, layout=layout)
    last, first, weight, bias = DELTAS_AND_WEIGHTS[strategy, batch, layout]
    delta, x = ("Δ", "X") if batch else ("δ", "x")
    assert _named(derivation) == {f"{delta}₂": last, f"{delta}₁": first}
    back = {"₂": "₁", "₁": "₀"}
    for layer in "₂₁":
        gradients = _gradients(derivation)
        swap = str.maketrans({"₂": layer, "₁": back[layer]})
        assert gradients[f"∂L/∂W{layer}"] == weight.translate(swap)
        assert gradients[f"∂L/∂b{layer}"] == bias.translate(swap)
    section = _section(derivation, "Gradients")
    if layout is DENOMINATOR and not batch:
        assert section["∂L/∂x₂"] == "x₂ − y"
        assert section["∂L/∂x₁"] == "W₂ᵀ δ₂"
    if strategy == "elementwise" and batch and layout is DENOMINATOR:
        assert section[f"∂L/∂{x}₁"] == "W₂ᵀ Δ₂"
    assert not derivation.failed


def test_c8_the_pullback_of_the_last_layer_is_shown_through_its_jacobian() -> None:
    derivation = wb.derive(wb.network("2-2-1"))
    (step,) = [step for step in derivation.steps if text(step.goal) == "∂L/∂z₂"]
    assert [text(stage.expression) for stage in step.stages] == [
        "(∂x₂/∂z₂) (∂L/∂x₂)",
        "diag(σ′(z₂)) (x₂ − y)",
        "σ′(z₂) ⊙ (x₂ − y)",
        "x₂ ⊙ (1 − x₂) ⊙ (x₂ − y)",
    ]


def test_only_the_parameters_asked_for_are_derived() -> None:
    derivation = wb.derive(wb.network("2-2-1"), wrt=["b2", "W2"])
    assert list(_gradients(derivation)) == ["∂L/∂b₂", "∂L/∂W₂"]
    assert "W₁" not in "".join(_section(derivation, "Gradients"))
    with pytest.raises(InputError, match="no symbol is called 'W3'; did you mean"):
        wb.derive(wb.network("2-2-1"), wrt=["W3"])


# Whatever the network


def _by_formula(name: str, formula: str) -> Function:
    return Function(name, parse_formula(formula, {"z": VARIABLE}))


def _unusual(widths: tuple[int, ...], kinked: bool) -> Network:
    """Formula-only activations, one with a kink, and a loss that nobody thought of."""
    mish = _by_formula("mish", "z * tanh(log(1 + exp(z)))")
    bent = replace(_by_formula("bent", "where(z > 1/4, z^2, sin(z) / 3)"), kinks=(0.25,))
    loss = parse_formula(
        "sum(log(cosh(a - y))) + mean(exp(a)) * sum(y)^2 - sum(a * y)^2",
        {"a": PREDICTION, "y": TARGET},
    )
    activations = [bent if kinked and place == 2 else mish for place in range(len(widths) - 1)]
    return Network(widths, tuple(activations), LossFunction("unusual", loss, "sum"))


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("batch", [False, True])
def test_seven_layers_with_an_unusual_loss_are_verified(strategy: str, batch: bool) -> None:
    system = _unusual((3, 4, 2, 5, 3, 2, 4, 3), kinked=True).system(batch=batch)
    for layout in Layout:
        derivation = verify(in_layout(derive(system, strategy=_strategy(strategy)), layout))
        assert not derivation.failed
        assert len(derivation.results) == 14
        assert all(step.check for step in derivation.results)


def test_seven_layers_in_scalars_are_verified() -> None:
    derivation = verify(derive(_unusual((2, 2, 2, 2, 2, 2, 2, 1), kinked=False).scalar_system()))
    assert not derivation.failed
    assert len(derivation.results) == 39


@pytest.mark.parametrize("form", ["scalar", "matrix", "batch"])
@pytest.mark.parametrize("architecture", ["2-2-1", "3-4:relu-2:softmax", "2-3:swish-2:gelu-2:elu"])
@pytest.mark.parametrize("detail", wb.Detail)
def test_steps_cite_only_earlier_steps(architecture: str, form: str, detail: wb.Detail) -> None:
    derivation = wb.derive(
        wb.network(architecture),
        form="matrix" if form == "batch" else form,
        batch=form == "batch",
        detail=detail,
    )
    for place, step in enumerate(derivation.steps, start=1):
        assert step.id == place
        assert all(1 <= ref < step.id for ref in step.refs)
        assert step.is_definition or step.refs
    assert not derivation.failed


def test_a_hundred_layers_take_little_time_and_no_array_of_their_size() -> None:
    """One row of a layer of ten million would take 80 MB."""

    def seconds(layers: int) -> float:
        start = process_time()
        shown = wb.derive(wb.network("-".join(["10000000"] * (layers + 1)))).text()
        assert f"m{layers}".translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")) in shown
        return process_time() - start

    seconds(2)
    ten, hundred = seconds(10), seconds(100)
    assert hundred < 2
    assert hundred < 10 * max(ten, 0.1)
    tracemalloc.start()
    seconds(30)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**25


# A rule that is wrong is caught


@pytest.fixture
def uncached() -> Iterator[None]:
    """Derivatives worked out before a rule is broken, or with a broken rule, are forgotten."""
    caches = (slopes.slope, slopes.differentiate, columns.column_slope)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


def _broken(rule: Rule, factor: Fraction) -> Rule:
    def wrong(node: Expression, index: int, gradient: Expression) -> Expression:
        pulled = rule.pullback(node, index, gradient)
        return pulled if is_zero(pulled) else spread(multiply(number(factor), pulled), pulled.shape)

    return replace(rule, pullback=wrong)


BREAKING: list[tuple[str, str, str, str]] = [
    ("add", "2-3-2", "matrix", "∂L/∂W₂"),
    ("multiply", "2-2-1", "scalar", "∂z₂/∂w₄"),
    ("power", "2-2-1", "scalar", "∂L/∂a₂"),
    ("power", "2-2-1", "matrix", "σ′(z)"),
    ("matmul", "2-3-2", "matrix", "∂L/∂W₁"),
    ("matmul", "2-3-2", "batch", "∂L/∂X₁"),
    ("transpose", "2-3-2", "matrix", "∂L/∂x₂"),
    ("apply", "2-2-1", "scalar", "∂a₂/∂z₂"),
    ("apply", "2-3:tanh-2", "matrix", "∂x₁[j]/∂z₁[i]"),
    ("where", "2-3:elu-2", "matrix", "elu′(z)"),
    ("maximum", "2-3:relu-2", "matrix", "relu′(z)"),
    ("sum", "2-3-2", "batch", "∂L/∂X₂"),
    ("sum", "2-3-2:softmax", "matrix", "∂softmax(z)/∂z"),
]


@pytest.mark.parametrize("factor", ["-1", "1.01"])
@pytest.mark.parametrize(("operation", "architecture", "form", "goal"), BREAKING)
@pytest.mark.usefixtures("uncached")
def test_a_broken_rule_fails_the_step_that_uses_it(
    operation: str,
    architecture: str,
    form: str,
    goal: str,
    factor: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = wb.network(architecture)
    system = network.scalar_system() if form == "scalar" else network.system(batch=form == "batch")
    monkeypatch.setitem(RULES, operation, _broken(RULES[operation], Fraction(factor)))
    checked = verify(derive(system))
    failed = {text(step.goal): step for step in checked.failed}
    assert goal in failed
    check = failed[goal].check
    assert check is not None
    assert check.max_relative_error > 1e-5


@pytest.mark.usefixtures("uncached")
def test_the_command_ends_with_1_and_names_the_step(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(RULES, "matmul", _broken(RULES["matmul"], Fraction(-1)))
    monkeypatch.setattr("sys.argv", ["workbench", "derive", "2-2-1", "--form", "matrix"])
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr()
    assert ended.value.code == 1
    assert "step (18) of the derivation, ∂L/∂x₂ = " in printed.err
    assert "failed: (18), " in printed.out


def test_a_wrong_stage_is_caught_by_itself() -> None:
    """Each line is held against the truth, not against the line before it."""
    derivation = derive(wb.network("2-3-2").system())
    for place, step in enumerate(derivation.steps):
        if step.is_definition:
            continue
        for line, stage in enumerate(step.stages):
            wrong = spread(
                multiply(number(Fraction("1.0001")), stage.expression), step.result.shape
            )
            stages = [*step.stages]
            stages[line] = replace(stage, expression=wrong)
            steps = [*derivation.steps]
            steps[place] = replace(step, stages=tuple(stages))
            if not is_zero(stage.expression):
                assert step.id in [s.id for s in verify(derivation.with_steps(steps), [0]).failed]
