"""What is printed: golden texts, LaTeX that compiles, Markdown that closes, JSON of one shape.

After a change of wording that is meant, write the golden texts anew and read their difference:

    python -m pytest tests/test_formats.py --update-golden
    git diff tests/golden
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest

import workbench as wb
from workbench.calculus.algebra import multiply
from workbench.calculus.functions import VARIABLE
from workbench.notation.formats import as_latex
from workbench.notation.latex import latex
from workbench.notation.reading.formulas import parse_formula
from workbench.plugins.build import build_loss
from workbench.plugins.registry import Entry, Registry, load_registry

GOLDEN = Path(__file__).parent / "golden"
STRATEGIES = ("elementwise", "diagonal", "kronecker")

SHOWN: dict[str, tuple[str, dict[str, Any]]] = {
    "scalar.txt": ("2-2-1", {"form": "scalar"}),
    "matrix.txt": ("2-2-1", {}),
    "brief.txt": ("2-2-1", {"detail": wb.Detail.BRIEF}),
    "full.txt": ("2-2-1", {"detail": wb.Detail.FULL}),
    "kronecker.txt": ("2-2-1", {"strategy": "kronecker"}),
    "numerator_diagonal.txt": (
        "2-2-1",
        {"strategy": "diagonal", "layout": wb.Layout.NUMERATOR},
    ),
    "batch_softmax.txt": ("4-5:tanh-3:softmax", {"batch": True}),
}


def _text(architecture: str, settings: dict[str, Any]) -> str:
    """What `workbench derive` prints, but for the last digits of a rounding error."""
    printed = wb.derive(wb.network(architecture), **settings).text()
    assert re.search(r"worst\s+relative\s+error\s+\d\.\de-1[3-9]", printed)
    return re.sub(r"(worst\s+relative\s+error\s+)\S+e-\d+", r"\1…", printed)


@pytest.mark.parametrize("name", SHOWN)
def test_the_text_is_the_golden_text(name: str, request: pytest.FixtureRequest) -> None:
    printed = _text(*SHOWN[name])
    if request.config.getoption("--update-golden"):
        (GOLDEN / name).write_text(printed, encoding="utf-8")
    assert printed == (GOLDEN / name).read_text(encoding="utf-8")


def test_no_golden_text_is_left_over() -> None:
    voices = {f"expression_{voice}.txt" for voice in ("chain", "differentials", "entries")}
    systems = {"expression_kronecker.txt", "rnn_chain.txt", "second_order_layer.txt"}
    assert {path.name for path in GOLDEN.iterdir()} == {*SHOWN, *voices, *systems}


@pytest.mark.parametrize("name", SHOWN)
def test_the_text_has_no_loose_ends(name: str) -> None:
    """Every line that is cited stands there, and no space hangs at a line's end."""
    printed = _text(*SHOWN[name])
    assert not re.search(r"[ \t]$", printed, re.MULTILINE)
    for left, right in "()", "[]", "{}":
        assert printed.count(left) == printed.count(right)
    if name != "brief.txt":
        labels = set(re.findall(r"^ *\((\d+)(?:\.\d+)?\)", printed, re.MULTILINE))
        cited = set(re.findall(r"\((\d+)\)", " ".join(re.findall(r"from (.*)$", printed, re.M))))
        assert cited <= labels


def _compiled(source: str, folder: Path) -> str:
    """The log of pdflatex, which must end well."""
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed")
    (folder / "shown.tex").write_text(source, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "shown.tex"]
    finished = subprocess.run(command, cwd=folder, capture_output=True, timeout=60, check=False)
    log = (folder / "shown.log").read_text(encoding="latin-1")
    assert finished.returncode == 0, log[-2_000:]
    assert (folder / "shown.pdf").stat().st_size > 10_000
    return log


def _derivations(strategy: str) -> list[wb.Derivation]:
    """Every form, both layouts, softmax, branches and functions with names of their own."""
    hidden = wb.network("3-4:leaky_relu-5:gelu-2:elu", loss="huber")
    settings: list[dict[str, Any]] = [
        {"batch": batch, "layout": layout, "strategy": strategy}
        for batch in (False, True)
        for layout in wb.Layout
    ]
    return [
        wb.derive(wb.network("2-2-1"), form="scalar"),
        wb.derive(wb.network("2-2-1"), detail=wb.Detail.FULL, strategy=strategy),
        wb.derive(hidden, strategy=strategy),
        *(wb.derive(wb.network("3-4:swish-2:softmax"), **chosen) for chosen in settings),
    ]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_latex_document_compiles(strategy: str, tmp_path: Path) -> None:
    source = as_latex([derivation.document for derivation in _derivations(strategy)])
    log = _compiled(source, tmp_path)
    assert "Missing character" not in log
    assert "undefined" not in log


def test_a_latex_fragment_compiles_in_a_document_of_ones_own(tmp_path: Path) -> None:
    fragment = wb.derive(wb.network("3-4-2:softmax"), batch=True).latex(fragment=True)
    assert "document" not in fragment
    assert fragment.startswith(r"\begin{align*}")
    _compiled(
        "\n".join(
            [
                r"\documentclass{article}",
                r"\usepackage{amsmath}",
                r"\begin{document}",
                fragment,
                r"\end{document}",
            ]
        ),
        tmp_path,
    )


def _assuming(*assumptions: str) -> wb.Derivation:
    """A loss whose gradient uses what is assumed of the target, and more that is only said."""
    assumes = ("sum(y) = 1", *assumptions)
    record = wb.Loss(name="mine", formula="-sum(y * log(a))", assumes=assumes)
    loss = build_loss("mine", Registry([*load_registry().entries, Entry(record, "here")]))
    return wb.derive(replace(wb.network("2-3:softmax"), loss=loss), batch=True)


ASSUMPTIONS = ("sum(y * log(y)) = 0", "sqrt(sum(y^2)) = 1", "sum(max(y, 0)) = 1")


def test_assumptions_are_mathematics_in_every_format(tmp_path: Path) -> None:
    derivation = _assuming(*ASSUMPTIONS)
    assert "Assumed of the target: √(" in derivation.text()
    assert r"Assumed of the target: $\sqrt{" in derivation.markdown()
    assert "Missing character" not in _compiled(derivation.latex(), tmp_path)
    for formula in derivation.markdown().split("\n$$\n")[1::2]:
        assert "$" not in formula
    assert r"\text{assuming }" in derivation.markdown()


def test_branches_stand_in_parentheses_within_products_only() -> None:
    branches = parse_formula("where(z > 0, z, exp(z))", {"z": VARIABLE})
    alone, product = latex(branches), latex(multiply(VARIABLE, branches))
    assert alone.startswith(r"\begin{cases}")
    assert rf"\left({alone}\right)" in product


def test_a_long_line_puts_its_remark_below() -> None:
    shown = wb.derive(wb.network("2-2-1"), detail=wb.Detail.FULL).text()
    assert max(map(len, shown.splitlines())) <= 118


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_markdown_opens_and_closes_its_mathematics(strategy: str) -> None:
    for derivation in _derivations(strategy):
        words, *blocks = re.split(r"^\$\$$", derivation.markdown(), flags=re.MULTILINE)
        assert len(blocks) % 2 == 0
        assert blocks
        formulas, between = blocks[::2], [words, *blocks[1::2]]
        for line in "\n".join(between).splitlines():
            assert "$$" not in line
            assert line.count("$") % 2 == 0
        for formula in formulas:
            assert formula.startswith("\n\\begin{aligned}\n")
            assert formula.endswith("\n\\end{aligned}\n")
            assert formula.count(r"\left") == formula.count(r"\right")
            plain = formula.replace(r"\{", "").replace(r"\}", "")
            assert plain.count("{") == plain.count("}")
            begins = Counter(re.findall(r"\\begin\{(\w+)\}", formula))
            assert begins == Counter(re.findall(r"\\end\{(\w+)\}", formula))
            assert "\n\n" not in formula


def test_markdown_has_no_dollar_inside_a_formula() -> None:
    """GitHub and Jupyter end a formula at the next two dollars, wherever they stand."""
    shown = wb.derive(wb.network("3-4:softmax"), batch=True).markdown()
    assert not any("$" in formula for formula in shown.split("\n$$\n")[1::2])


def test_a_derivation_shows_itself_in_a_notebook() -> None:
    derivation = wb.derive(wb.network("2-2-1"))
    assert derivation._repr_markdown_() == derivation.markdown()


STEP = {"id", "goal", "rule", "before", "after", "why", "shapes", "refs", "check"}
CHECK = {"passed", "max_relative_error", "seeds", "sizes"}
GRADIENT = {"text", "latex", "shape"}


def _no_constant(word: str) -> NoReturn:
    raise AssertionError(f"{word} is not JSON")


@pytest.mark.parametrize("form", ["scalar", "matrix"])
@pytest.mark.parametrize("layout", wb.Layout)
def test_json_has_the_shape_that_was_promised(form: str, layout: wb.Layout) -> None:
    derivation = wb.derive(wb.network("2-2-1"), form=form, layout=layout)
    content = json.loads(derivation.json(), parse_constant=_no_constant)
    assert content["layout"] == layout
    for place, step in enumerate(content["steps"], start=1):
        assert set(step) >= STEP
        assert step["id"] == place
        assert all(ref < place for ref in step["refs"])
        assert step["rule"]
        assert step["why"] or step["rule"] == "definition"
        if step["check"] is not None:
            assert set(step["check"]) >= CHECK
            assert step["check"]["passed"] is True
            assert 0 <= step["check"]["max_relative_error"] < 1e-10
            assert len(step["check"]["seeds"]) == len(step["check"]["sizes"]) == 3
    names = [parameter.symbol.name for parameter in derivation.system.parameters]
    assert list(content["gradients"]) == names
    for name, gradient in content["gradients"].items():
        assert set(gradient) >= GRADIENT
        assert gradient["text"] == derivation.gradient_text(name)
    if form == "matrix":
        shapes = {name: gradient["shape"] for name, gradient in content["gradients"].items()}
        assert shapes == (
            {"W1": "m₁×m₀", "b1": "m₁×1", "W2": "m₂×m₁", "b2": "m₂×1"}
            if layout is wb.Layout.DENOMINATOR
            else {"W1": "m₀×m₁", "b1": "1×m₁", "W2": "m₁×m₂", "b2": "1×m₂"}
        )


def test_a_gradient_that_was_not_derived_is_refused() -> None:
    derivation = wb.derive(wb.network("2-2-1"), wrt=["W1"])
    with pytest.raises(wb.WorkbenchError, match="no gradient of 'W2'"):
        derivation.gradient_text("W2")
