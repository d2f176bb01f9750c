"""Gradient checks of equations: from a file, with any mixture of inputs, and where they fail."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

import workbench as wb
from tests.batch_systems import DECLARED, RULES
from tests.command_line import Capture, workbench

EXAMPLES = Path(__file__).parents[1] / "examples"
CHECKED = ("attention", "layer_norm", "logistic", "network", "poisson", "rnn", "transformer")
MISTAKEN = """\
import numpy as np
from workbench.plugins import hookimpl
from workbench.plugins.records import Activation

@hookimpl
def workbench_activations():
    yield Activation(name="bent", formula="z^3", value=lambda z: z**3, slope=lambda z: 2 * z)
"""


@pytest.mark.parametrize("name", CHECKED)
def test_examples_pass(name: str, capsys: Capture) -> None:
    command = "gradcheck", EXAMPLES / f"{name}.eq"
    assert workbench(*command, "--format", "jsonl") == 0
    verdicts = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {verdict["verdict"] for verdict in verdicts} == {"pass"}
    parameters = {p.symbol.name for p in wb.read_equations(EXAMPLES / f"{name}.eq").parameters}
    assert {verdict["parameter"] for verdict in verdicts} == parameters


@pytest.mark.parametrize("formula", RULES)
def test_every_mixture_of_inputs_and_parameters_passes(formula: str) -> None:
    equations = f"{DECLARED}\nL = {formula} + norm(y)^2"
    verdicts = wb.gradcheck(equations, strategies="elementwise", batch_size=8)
    used = [verdict for verdict in verdicts if verdict.parameter in formula]
    assert {verdict.verdict for verdict in used} == {"pass"}
    told = {verdict.message for verdict in verdicts if verdict not in used}
    assert told <= {"the gradient is zero throughout, which proves nothing"}


def test_equations_of_a_batch_take_its_size_and_what_is_the_same_for_all(capsys: Capture) -> None:
    command = "gradcheck", EXAMPLES / "regression.eq"
    assert workbench(*command) == 2
    assert "give its value: --set lambda=0.1" in capsys.readouterr().err
    assert workbench(*command, "--set", "lambda=0.5", "--batch-size", "9", "--size", "m=2") == 0
    _, first, *_ = capsys.readouterr().out.splitlines()
    assert first.split()[1:4] == ["w", "2", "pass"]


def test_a_wrong_slope_is_found_and_named(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = tmp_path / "bent.py"
    plugin.write_text(MISTAKEN)
    equations = b"input x : n; target y : 1; parameter w : n; L = (bent(w' x) - y)^2"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(equations)))
    assert workbench("gradcheck", "-", "--plugin", plugin, "--strategy", "elementwise") == 1
    told = capsys.readouterr()
    assert "FAIL" in told.out
    assert "w: " in told.err
    assert "slope of bent" in told.err


@pytest.mark.parametrize(
    ("source", "options", "told"),
    [
        ("rnn.eq", ("--size", "q=3"), "there is no size 'q'; known: k, m, n"),
        ("rnn.eq", ("--size", "n=0"), "size n = 0; expected a whole number from 1"),
        ("rnn.eq", ("--size", "n=1000000000000"), "the sizes are too large to check: 3.0e+12"),
        ("rnn.eq", ("--set", "h0=nan"), "the value of h0 is nan; expected a finite number"),
        ("rnn.eq", ("--set", "h1=1"), "a value is given for 'h1', which is no input"),
        ("rnn.eq", ("--loss", "huber"), "--loss: does not go with equations"),
        ("missing.eq", (), "cannot be read: No such file"),
        ("residual.eq", (), "a program cannot compute f: nothing is known of it"),
        ("2-2-1", ("--size", "n=3"), "--size: does not go with a network"),
    ],
)
def test_what_cannot_be_checked_is_refused_before_anything_is_printed(
    source: str, options: tuple[str, ...], told: str, capsys: Capture
) -> None:
    given = source if source == "2-2-1" else EXAMPLES / source
    assert workbench("gradcheck", given, *options) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert told in printed.err


def test_samples_asked_for_in_vain_are_told(capsys: Capture) -> None:
    command = "gradcheck", EXAMPLES / "attention.eq", "--strategy", "elementwise"
    note = "note: --batch-size 3 does not matter: these equations have no batch form"
    for given, is_told in ((), False), (("--batch-size", 3), True), (("--batch-size", 1), False):
        assert workbench(*command, *given, "--format", "jsonl") == 0
        told = capsys.readouterr()
        assert (note in told.err) == is_told
        assert {json.loads(line)["samples"] for line in told.out.splitlines()} == {1}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"entries": 0}, "entries 0; expected a whole number from 1"),
        ({"seed": -1}, "seed -1; expected a whole number from 0"),
        ({"batch_size": 2.5}, "batch_size 2.5; expected a whole number from 1"),
        ({"step": "a"}, "the step of the differences must lie between 0 and 1, not a"),
        ({"sizes": {"k": 2}}, "sizes are given for the network 2-1:sigmoid; they are for equat"),
        ({"values": {"zz": 1}}, "values are given for the network 2-1:sigmoid; they are for"),
    ],
)
def test_what_python_asks_in_vain_is_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(wb.WorkbenchError, match=told):
        wb.gradcheck("2-1", **options)


def test_a_batch_of_kronecker_products_passes() -> None:
    equations = "parameter W : k×n, v : k; target y : 1; p = v' (W x); L = (p - y)^2"
    verdicts = wb.gradcheck(equations, sizes={"k": 3}, batch_size=3, strategies="kronecker")
    assert {verdict.verdict for verdict in verdicts} == {"pass"}


def test_a_loss_without_a_target_passes() -> None:
    verdicts = list(wb.gradcheck("input x : n; parameter w : n; L = (w' x)^2"))
    assert {verdict.verdict for verdict in verdicts} == {"pass"}


@pytest.mark.parametrize(
    ("equations", "told"),
    [
        ("input x : n; target y : 1; p = sum(x); L = (p - y)^2", "the equations have no parameter"),
        ("input X : B×n; target y : B; parameter w : n; L = X w - y", "L is B×1; training needs"),
    ],
)
def test_equations_that_cannot_be_trained_are_refused(equations: str, told: str) -> None:
    with pytest.raises(wb.WorkbenchError, match=told):
        wb.gradcheck(equations)
