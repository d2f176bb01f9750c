"""Worked numbers: the ones a person gets by hand, on every line, in every format."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from math import exp, isclose
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import workbench as wb
from workbench.calculus.dimensions import ONE, Dimension
from workbench.calculus.expressions import Kind, symbol
from workbench.calculus.functions import LOG, undetermined
from workbench.calculus.matrices import matmul, total, transpose
from workbench.core.evaluate import evaluate
from workbench.core.worked_example import worked_example
from workbench.derivation.differentiate import derive
from workbench.derivation.layout import Layout
from workbench.derivation.steps import variable_of
from workbench.derivation.system import Equation, System
from workbench.errors import InputError
from workbench.notation.document import Document, document
from workbench.notation.formats import as_latex, as_markdown, as_text
from workbench.notation.text import text
from workbench.notation.values import Value, WorkedExample, cells, figure, value_latex, value_lines


def _by_name(example: WorkedExample) -> dict[str, NDArray[np.float64]]:
    return {
        s.symbol.name: np.array(v.rows)
        for s, v in example.symbols.items()
        if s.operation == "symbol"
    }


def _document(derivation: wb.Derivation) -> Document:
    example = worked_example(derivation)
    return document(derivation, "", derivation.layout, derivation.detail, example=example)


def _sigmoid(z: float) -> float:
    return 1 / (1 + exp(-z))


def test_the_scalar_network_has_the_numbers_of_a_calculation_by_hand() -> None:
    derivation = wb.derive(wb.network("2-2-1"), form="scalar")
    example = worked_example(derivation)
    v = {name: float(value[0, 0]) for name, value in _by_name(example).items()}

    a0 = _sigmoid(v["w0"] * v["x0"] + v["w1"] * v["x1"] + v["b0"])
    a1 = _sigmoid(v["w2"] * v["x0"] + v["w3"] * v["x1"] + v["b1"])
    a2 = _sigmoid(v["w4"] * a0 + v["w5"] * a1 + v["b2"])
    delta2 = (a2 - v["y"]) * a2 * (1 - a2)
    delta1 = delta2 * v["w5"] * a1 * (1 - a1)
    assert isclose(v["a2"], a2)
    assert isclose(v["L"], (a2 - v["y"]) ** 2 / 2)
    assert isclose(v["delta2"], delta2)
    assert isclose(v["delta1"], delta1)
    shown = {
        step.goal.data[1].symbol.name: example.lines[step.id, len(step.stages) - 1].rows[0][0]
        for step in derivation.results
        if isinstance(step.goal.data, tuple)
    }
    assert isclose(shown["w4"], delta2 * a0)
    assert isclose(shown["w3"], delta1 * v["x1"])


SHOWN: dict[str, tuple[str, dict[str, Any]]] = {
    "scalar": ("2-2-1", {"form": "scalar"}),
    "full": ("2-3:tanh-1", {"detail": "full"}),
    "kronecker": ("2-2-1", {"strategy": "kronecker"}),
    "numerator": ("3-2:relu-2", {"layout": "numerator", "strategy": "diagonal"}),
    "batch": ("4-5:gelu-3:softmax", {"batch": True}),
}


@cache
def _derivation(name: str) -> wb.Derivation:
    architecture, settings = SHOWN[name]
    return wb.derive(wb.network(architecture), **settings)


@pytest.mark.parametrize("name", SHOWN)
@pytest.mark.parametrize("seed", [0, 7])
def test_every_line_has_a_number_and_the_lines_of_a_step_have_the_same(
    name: str, seed: int
) -> None:
    derivation = _derivation(name)
    example = worked_example(derivation, seed)
    for step in derivation.steps:
        found = [example.lines[step.id, place] for place in range(len(step.stages))]
        for value in found:
            np.testing.assert_allclose(value.rows, found[0].rows, rtol=1e-9, atol=1e-12)
            assert value.place == found[0].place


@pytest.mark.parametrize("name", SHOWN)
@pytest.mark.parametrize("seed", range(4))
def test_what_is_given_has_two_decimals_and_gives_the_rest(name: str, seed: int) -> None:
    derivation = _derivation(name)
    example = worked_example(derivation, seed)
    system = derivation.system
    values = {s: np.array(v.rows) for s, v in example.symbols.items()}
    for symbol_ in system.of_kind(Kind.INPUT, Kind.PARAMETER, Kind.TARGET):
        np.testing.assert_array_equal(values[symbol_], np.round(values[symbol_], 2))
    for equation in system.equations:
        found = evaluate(equation.right, values, example.sizes)
        np.testing.assert_allclose(found, values[equation.left], rtol=1e-9, atol=1e-12)
    for left, right in system.assumptions:
        found, expected = (evaluate(side, values, example.sizes) for side in (left, right))
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_line_by_entries_is_worked_where_it_is_not_zero() -> None:
    derivation = wb.derive(wb.network("3-3-2"), detail="full")
    example = worked_example(derivation)
    values = _by_name(example)
    for step in derivation.steps:
        value = example.lines[step.id, 0]
        if any(name in "ijk" for name, _ in value.place):
            assert value.rows[0][0] != 0
    (moved,) = (step for step in derivation.steps if text(step.goal) == "∂z₁[k]/∂W₁[i,j]")
    place = {name: int(at) - 1 for name, at in example.lines[moved.id, 0].place}  # type: ignore[arg-type]
    assert place["k"] == place["i"] != place["j"]
    found = example.lines[moved.id, 1].rows[0][0]
    assert found == values["x0"][place["j"], 0]


def test_the_numbers_put_in_for_symbols_give_the_value_that_is_shown() -> None:
    """As a reader works it out: from the printed figures alone."""
    printed = as_text(_document(_derivation("scalar")))
    signs = {"−": "-", "·": "*", "½": "0.5", "²": "**2", "σ′": "slope", "σ": "sigmoid", "e^": "exp"}
    known = {"exp": exp, "sigmoid": _sigmoid, "slope": lambda z: _sigmoid(z) * (1 - _sigmoid(z))}
    worked = re.findall(r"^ += (.*) = (\S+)", printed, re.MULTILINE)
    assert len(worked) > 50
    assert not re.search("[·+−] −", printed)
    assert re.search(r"= 1 · \S+ = \S+  at i=1, j=2, k=1", as_text(_document(_derivation("full"))))
    for line, value in worked:
        for sign, word in signs.items():
            line = line.replace(sign, word)
        shown = re.sub(r"×10([⁻⁰-⁹]+)", "", line)
        if shown != line or "×" in value:
            continue
        found = eval(shown, {"__builtins__": {}}, known)
        assert isclose(found, float(value.replace("−", "-")), rel_tol=0.02, abs_tol=1e-4)


# sizes


def test_small_sizes_are_kept_and_large_ones_made_small() -> None:
    derivation = wb.derive(wb.network("784-4-30:softmax"), batch=True)
    sizes = worked_example(derivation).sizes
    assert sizes == {"m_0": 3, "m_1": 4, "m_2": 2, "B": 3}
    chosen = worked_example(derivation, sizes={"B": 1, "m_1": 9})
    assert chosen.sizes == {"m_0": 3, "m_1": 9, "m_2": 2, "B": 1}
    assert _by_name(chosen)["W1"].shape == (9, 3)


def test_sizes_that_cannot_be_are_refused() -> None:
    derivation = wb.derive(wb.network("2-2-1"))
    with pytest.raises(InputError, match=r"no dimension is named 'm1'.*m_1"):
        worked_example(derivation, sizes={"m1": 2})
    with pytest.raises(InputError, match="the size of m_1 is 0; expected a whole number from 1"):
        worked_example(derivation, sizes={"m_1": 0})


# systems of one's own


def test_undetermined_functions_have_numbers_and_the_page_says_whose() -> None:
    n = Dimension.named("n")
    w, loss = symbol("w", Kind.PARAMETER, (n, ONE)), symbol("L", Kind.LOSS)
    derivation = derive(System((Equation(loss, total(undetermined("f")(w))),)))
    example = worked_example(derivation)
    assert example.sizes == {"n": 3}
    shown = document(derivation, "", Layout.DENOMINATOR, example=example)
    assert "f stands for a sine" in as_text(shown)


def test_differentials_are_small_and_given() -> None:
    derivation = wb.derive(wb.network("2-2-1"), voice="differentials")
    example = worked_example(derivation)
    printed = as_text(_document(derivation))
    assert re.search("^  dW₁ = ", printed, re.MULTILINE)
    changes = {s: v for s, v in example.symbols.items() if s.operation == "differential"}
    assert {s.data for s in changes} == set(derivation.gradients)
    largest = max(abs(entry) for value in changes.values() for row in value.rows for entry in row)
    assert largest == pytest.approx(0.1)
    (step,) = (s for s in derivation.steps if text(s.goal).startswith("⟨∂L/∂W₁"))
    found = sum(
        np.sum(np.array(value.rows) * _gradient(example, derivation, "W1"))
        for s, value in changes.items()
        if text(s) == "dW₁"
    )
    assert found == pytest.approx(example.lines[step.id, 0].rows[0][0])


def _gradient(example: WorkedExample, derivation: wb.Derivation, name: str) -> NDArray[np.float64]:
    (step,) = (s for s in derivation.results if variable_of(s.goal).symbol.name == name)
    return np.array(example.lines[step.id, 0].rows)


def test_a_loss_that_is_defined_for_some_numbers_only_gets_such() -> None:
    n = Dimension.named("n")
    w, x = symbol("w", Kind.PARAMETER, (n, ONE)), symbol("x", Kind.INPUT, (n, ONE))
    z, loss = symbol("z", Kind.INTERMEDIATE), symbol("L", Kind.LOSS)
    system = System((Equation(z, matmul(transpose(w), x)), Equation(loss, LOG(z))))
    for seed in range(5):
        example = worked_example(derive(system), seed)
        assert example.symbols[z].rows[0][0] > 0
        assert loss in example.symbols


# formats


@pytest.mark.parametrize("name", SHOWN)
def test_the_text_has_a_number_beneath_each_line_in_line_with_its_sign(name: str) -> None:
    derivation = _derivation(name)
    shown = _document(derivation)
    printed = as_text(shown).splitlines()
    lines = [line for section in shown.sections for line in section.lines]
    rows = [place for place, row in enumerate(printed) if re.match(" += ", row)]
    assert len(rows) == sum(line.value is not None for line in lines)
    for place in rows:
        above = printed[place - 1] if " = " in printed[place - 1] else printed[place - 2]
        assert above[printed[place].index("=")] == "="
    assert not re.search(r"[ \t]$", "\n".join(printed), re.MULTILINE)
    results = shown.sections[-1].lines
    by_label = {line.label.partition(".")[0]: line.value for line in lines}
    assert all(line.value == by_label[str(line.refs[0])] for line in results)


def test_without_an_example_nothing_is_added() -> None:
    derivation = wb.derive(wb.network("2-2-1"))
    plain = document(derivation, "", derivation.layout)
    assert all(line.value is None for section in plain.sections for line in section.lines)
    assert not plain.given
    assert "Worked" not in as_text(plain) + as_latex([plain]) + as_markdown(plain)


def test_latex_with_numbers_compiles(tmp_path: Path) -> None:
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed")
    source = as_latex([_document(_derivation(name)) for name in SHOWN])
    (tmp_path / "shown.tex").write_text(source, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "shown.tex"]
    subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60, check=True)
    log = (tmp_path / "shown.log").read_text(encoding="latin-1")
    assert "Missing character" not in log
    environments = re.findall(r"(?s)begin\{align\*\}.*?end\{align\*\}", source)
    rows = [row.split("&") for e in environments for row in e.splitlines()[1:-1]]
    assert all(row[1].startswith("= ") for row in rows)


def test_markdown_with_numbers_closes() -> None:
    shown = _document(wb.derive(wb.network("4-5:gelu-3:softmax"), batch=True))
    printed = as_markdown(shown)
    assert printed.count("$$") % 2 == 0
    for name in ("aligned", "bmatrix"):
        assert printed.count(rf"\begin{{{name}}}") == printed.count(rf"\end{{{name}}}") > 5


# figures


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300))
def test_a_figure_is_the_number_to_three_digits(number: float) -> None:
    digits, power = figure(number)
    read = float(f"{digits.replace('−', '-')}e{power}")
    assert isclose(read, number, rel_tol=0.5e-2, abs_tol=1e-300)
    assert len(digits.replace("−", "").replace(".", "").strip("0")) <= 4
    assert power == 0 or 1 <= abs(float(digits.replace("−", "-"))) < 10


@given(st.integers(1, 20), st.integers(1, 20))
def test_large_matrices_show_their_ends(rows: int, columns: int) -> None:
    value = Value(tuple(tuple(float(100 * i + j) for j in range(columns)) for i in range(rows)))
    shown = cells(value)
    assert len(shown) == min(rows, 6)
    assert {len(row) for row in shown} == {min(columns, 6)}
    assert (shown[0][0], shown[-1][-1]) == (0.0, 100.0 * (rows - 1) + columns - 1)
    dots = sum(isinstance(cell, str) for row in shown for cell in row)
    assert (dots > 0) == (rows > 6 or columns > 6)
    assert value_latex(value).count("dots") == dots
    assert "".join(value_lines(value)).count("⋯") + "".join(value_lines(value)).count("⋮") <= dots
