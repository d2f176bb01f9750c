"""The results past the notes, in every voice: the examples in `examples/*.eq`, and golden texts."""

from __future__ import annotations

import json
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest

import workbench as wb
from workbench.derivation.differentiate import derive as differentiate
from workbench.derivation.naming import with_named_parts
from workbench.derivation.steps import Derivation
from workbench.derivation.voice import VoiceName
from workbench.notation.text import text

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "golden"
EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("*.eq"))
VOICES = "chain", "differentials", "entries", "kronecker"

BY_EXAMPLE: dict[str, dict[str, str]] = {
    "network": {
        "W1": "δ₁ xᵀ",
        "b1": "δ₁",
        "W2": "δ₂ a₁ᵀ",
        "b2": "δ₂",
    },
    "regression": {"w": "2 ((1/B) Xᵀ r + λ w)"},
    "residual": {"V": "δ f(z)ᵀ"},
    "attention": {
        "W_Q": "(1/√(k)) K Δ_S Xᵀ",
        "W_K": "(1/√(k)) Q Δ_Sᵀ Xᵀ",
        "W_V": "Δ_A Pᵀ Xᵀ",
    },
    "layer_norm": {"x": "δ_c − sum(δ_c)/n", "g": "δₐ ⊙ c/s", "b": "δₐ"},
    "transformer": {"W_O": "Δ_H Pᵀ Vᵀ", "W_V": "Δ_V N₁ᵀ", "b1": "Δ_Z 𝟏", "c2": "Δ₂ 𝟏"},
}
"""What a person finds for some of the parameters."""


@cache
def example(name: str, voice: str = "chain") -> wb.Derivation:
    """An example derived in a voice; vec and ⊗ are the chain rule in the kronecker strategy."""
    system = wb.read_equations(ROOT / "examples" / f"{name}.eq")
    if voice == "kronecker":
        return wb.derive(system, strategy="kronecker")
    return wb.derive(system, voice=voice)


def results(derivation: Derivation) -> dict[str, str]:
    return {text(step.goal): text(step.result) for step in derivation.results}


def rules(derivation: wb.Derivation, goal: str) -> list[str]:
    (step,) = (step for step in derivation.steps if text(step.goal) == goal)
    return [stage.rule for stage in step.stages]


def stages(derivation: wb.Derivation, goal: str) -> list[str]:
    (step,) = (step for step in derivation.steps if text(step.goal) == goal)
    return [text(stage.expression) for stage in step.stages]


# the examples


def test_the_examples_are_those_the_readme_promises() -> None:
    assert EXAMPLES == [
        "attention", "layer_norm", "logistic", "network", "poisson", "regression", "residual",
        "rnn", "transformer",
    ]  # fmt: skip
    for name in EXAMPLES:
        assert (ROOT / "examples" / f"{name}.eq").read_text(encoding="utf-8").startswith("# ")


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_voice_is_verified_and_finds_the_same(name: str) -> None:
    for voice in VOICES:
        derivation = example(name, voice)
        assert not derivation.failed
        assert [step.goal for step in derivation.results if step.check is None] == []
    whole = with_named_parts(example(name).system, residuals=True)
    told = (differentiate(whole, voice=voice, expand=False) for voice in VoiceName)
    first, *others = map(results, told)
    assert all(other == first for other in others)
    wanted = BY_EXAMPLE.get(name, {})
    assert {key: example(name).gradient_text(key) for key in wanted} == wanted


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("voice", VOICES)
def test_every_example_is_written_in_every_format(name: str, voice: str) -> None:
    derivation = example(name, voice)
    goals = [text(step.goal) for step in derivation.results]
    assert all(goal in derivation.text() for goal in goals)
    latex = derivation.latex()
    assert latex.count(r"\begin{align*}") == latex.count(r"\end{align*}") > 0
    assert latex.rstrip().endswith(r"\end{document}")
    assert derivation.markdown().count("$$") % 2 == 0
    found = json.loads(derivation.json())
    assert len(found["steps"]) == len(derivation.steps)
    _Balanced().check(derivation.html())


class _Balanced(HTMLParser):
    """Every element of a page is closed where it was opened."""

    VOID = "meta", "link", "br", "hr", "input", "img", "wbr"

    def check(self, page: str) -> None:
        self.open: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("name", ["layer_norm", "rnn"])
def test_worked_numbers_go_with_every_voice(name: str) -> None:
    for voice in VOICES:
        derivation = example(name, voice)
        plain, numbered = derivation.text(), derivation.text(numbers=True)
        assert len(numbered.splitlines()) > len(plain.splitlines()) + len(derivation.steps) / 2


# D 13 and 15, as a person finds them


def test_the_jacobian_of_softmax() -> None:
    assert results(wb.derive("p = softmax(z)", wrt="z")) == {"dp/dz": "diag(p) − p pᵀ"}
    composed = wb.derive("p = softmax(A z)", wrt="z")
    assert results(composed) == {"dp/dz": "Aᵀ (diag(p) − p pᵀ)"}
    assert not composed.failed


def test_the_jacobian_of_layer_normalisation() -> None:
    given = "input x : n\nc = x − mean(x)\ns = sqrt(mean(c.^2) + 1)\nL = c / s"
    derivation = wb.derive(given, wrt="x")
    assert not derivation.failed
    assert list(results(derivation)) == ["dL/dx"]


@pytest.mark.parametrize("voice", VoiceName)
def test_softmax_with_cross_entropy_under_the_named_assumption(voice: VoiceName) -> None:
    given = "input z : n\ntarget y : n\n{}p = softmax(z)\nL = −y' log(p)"
    assumed = wb.derive(given.format("assume sum(y) = 1\n"), wrt="z", voice=voice)
    assert assumed.gradient_text("z") == "p − y"
    assert "assumption" in rules(assumed, "∂L/∂z")
    assert "assuming sum(y) = 1" in assumed.text()
    plain = wb.derive(given.format(""), wrt="z", voice=voice)
    assert plain.gradient_text("z") == "sum(y) p − y"
    assert not assumed.failed and not plain.failed


@pytest.mark.parametrize("voice", VoiceName)
def test_a_recurrent_cell_sums_over_its_steps_and_says_so(voice: VoiceName) -> None:
    derivation = example("rnn", voice)
    found = example("rnn").gradient_text("W")
    assert found.count(" + ") >= 2
    assert all(f"h{step}ᵀ" in found for step in "₀₁₂")
    goals = {"chain": "∂L/∂W", "differentials": "⟨∂L/∂W, dW⟩", "entries": "(∂L/∂W)[i,j]"}
    assert "sum over 3 uses" in rules(derivation, goals[voice])[0]


def test_differentials_go_from_the_change_to_what_stands_beside_it() -> None:
    derivation = example("network", "differentials")
    (goal,) = (text(s.goal) for s in derivation.steps if "dW₂⟩" in text(s.goal))
    assert stages(derivation, goal) == ["⟨δ₂, dW₂ a₁⟩", "⟨δ₂ a₁ᵀ, dW₂⟩"]
    assert stages(derivation, "dz₂") == ["dW₂ a₁ + W₂ da₁ + db₂"]
    assert rules(derivation, "∂L/∂W₂") == ["read off"]


def test_entries_contract_the_deltas_before_they_are_gathered() -> None:
    derivation = example("network", "entries")
    assert stages(derivation, "(∂L/∂W₂)[i,j]") == [
        "Σₗ δ₂[l] · ∂z₂[l]/∂W₂[i,j]",
        "Σₗ δ₂[l] δᵢₗ a₁[j]",
        "δ₂[i] a₁[j]",
    ]
    assert rules(derivation, "∂L/∂W₂") == ["gather entries"]


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("voice", VOICES)
def test_steps_rest_on_earlier_ones_and_on_something(name: str, voice: str) -> None:
    for step in example(name, voice).steps:
        assert all(ref < step.id for ref in step.refs)
        assert step.is_definition or step.refs or step.section == "Derivatives of the functions"


def test_entries_cite_the_local_derivatives_they_put_in() -> None:
    derivation = example("network", "entries")
    ids = {text(step.goal): step.id for step in derivation.steps}
    (step,) = (step for step in derivation.steps if text(step.goal) == "(∂L/∂W₂)[i,j]")
    assert ids["∂z₂[l]/∂W₂[i,j]"] in step.refs


# golden texts

EXPRESSION = "1/2 * ‖sigmoid(W x + b) − y‖²"
GOLDENS = {
    **{f"expression_{voice}": ("expression", voice) for voice in VOICES},
    "rnn_chain": ("rnn", "chain"),
}


@pytest.mark.parametrize("golden", GOLDENS)
def test_golden(golden: str, request: pytest.FixtureRequest) -> None:
    name, voice = GOLDENS[golden]
    if name == "expression":
        strategy = "kronecker" if voice == "kronecker" else "elementwise"
        told = "chain" if voice == "kronecker" else voice
        system = wb.equations(EXPRESSION, wrt=["W", "b"])
        derivation = wb.derive(system, voice=told, strategy=strategy)
    else:
        derivation = example(name, voice)
    compare_golden(golden, derivation.text(), request)


def compare_golden(name: str, written: str, request: pytest.FixtureRequest) -> None:
    """Compare with what was printed before; the sizes of rounding errors aside."""
    path = GOLDEN / f"{name}.txt"
    body = written.rpartition(" steps checked")[0].rpartition("\n")[0] + "\n"
    if request.config.getoption("--update-golden"):
        path.write_text(body, encoding="utf-8")
    assert body == path.read_text(encoding="utf-8")
