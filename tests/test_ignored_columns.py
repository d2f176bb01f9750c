"""Columns that are ignored: training and prediction are as if the file did not have them."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import workbench as wb
from tests.command_line import Capture, workbench
from workbench.core.data import AnyDataset, Preparation, load, open_dataset
from workbench.errors import InputError

ANYTHING = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4),
    st.sampled_from(["", "NA", "inf", "a,b", 'say "x"', "1\n2", "7"]),
)


def as_text(names: list[str], rows: list[list[object]]) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows([names, *rows])
    return written.getvalue()


def same(one: AnyDataset, other: AnyDataset) -> bool:
    for left, right in zip(one.chunks(), other.chunks(), strict=True):
        np.testing.assert_array_equal(left.inputs, right.inputs)
        np.testing.assert_array_equal(left.outcomes, right.outcomes)
    about = [(d.input_names, d.target_names, d.classes, d.dropped) for d in (one, other)]
    return about[0] == about[1]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cells=st.lists(st.tuples(ANYTHING, ANYTHING), min_size=3, max_size=8),
    places=st.lists(st.integers(0, 3), min_size=2, max_size=2),
    missing=st.sampled_from(["mean", "drop"]),
    target=st.sampled_from([[], ["a"], ["y"]]),
)
def test_ignored_columns_may_hold_anything_anywhere(
    cells: list[tuple[str, str]],
    places: list[int],
    missing: str,
    target: list[str],
    tmp_path: Path,
) -> None:
    rows = [[n, "?" if n == 1 else n + 0.5, n * n] for n in range(len(cells))]
    names, wide = ["a", "b", "y"], [list[object](row) for row in rows]
    for number, place in enumerate(places):
        names.insert(place, f"more {number}")
        for row, extra in zip(wide, cells, strict=True):
            row.insert(place, extra[number])
    (tmp_path / "narrow.csv").write_text(as_text(["a", "b", "y"], [[*row] for row in rows]))
    (tmp_path / "wide.csv").write_text(as_text(names, wide), encoding="utf-8", newline="")
    options: dict[str, Any] = {
        "targets": target,
        "missing": missing,
        "header": True,
        "cache": tmp_path,
    }
    for memory in (-1, 2**20):
        narrow = open_dataset(tmp_path / "narrow.csv", memory=memory, **options)
        ignore = ["more 1", "more 0"]
        found = open_dataset(tmp_path / "wide.csv", ignore=ignore, memory=memory, **options)
        assert same(found, narrow)
        assert sorted(found.ignored_names) == ["more 0", "more 1"]
        again = open_dataset(tmp_path / "wide.csv", memory=memory, like=found, missing=missing)
        assert same(again, narrow)


def test_columns_without_names_are_ignored_by_number(tmp_path: Path) -> None:
    numbers = np.arange(20.0).reshape(5, 4)
    np.save(tmp_path / "d.npy", numbers)
    np.savetxt(tmp_path / "d.csv", numbers, delimiter=",")
    np.savez(tmp_path / "d.npz", X=numbers[:, [0, 1, 3]], y=numbers[:, 2])
    for name, ignore in (("d.npy", "2"), ("d.csv", "column_2"), ("d.npz", "2")):
        target = [] if name == "d.npz" else ["3"]
        for memory in (-1, 2**20):
            data = open_dataset(
                tmp_path / name, targets=target, ignore=[ignore], memory=memory, cache=tmp_path
            )
            (chunk,) = data.chunks()
            assert chunk.inputs.tolist() == numbers[:, [0, 3]].tolist()
            assert chunk.outcomes.tolist() == numbers[:, [2]].tolist()
    preparation = Preparation.fit(load(tmp_path / "d.csv", targets=["3"], ignore=["2"]))
    expected = preparation.apply(numbers[:, [0, 3]])
    new = tmp_path / "new.csv"
    for columns in ([0, 1, 2, 3], [0, 1, 3], [0, 3]):
        np.savetxt(new, numbers[:, columns], delimiter=",")
        assert preparation.read(new).tolist() == expected.tolist()
    widths = "2 inputs, or 3 with the columns ignored, or 4 with the targets and the columns ignor"
    for width in (1, 5):
        np.savetxt(new, np.ones((2, width)), delimiter=",")
        with pytest.raises(InputError, match=rf"{width} columns without names .* {widths}"):
            preparation.read(new)
        with pytest.raises(InputError, match=f"{width} columns without names .* expected 4 as in"):
            load(new, like=preparation)
    preparation = Preparation.fit(load(tmp_path / "d.npz", ignore=["2"]))
    expected = preparation.apply(numbers[:, [0, 3]])
    assert preparation.read(tmp_path / "d.npz").tolist() == expected.tolist()


def test_inputs_that_equations_choose_are_found_in_the_training_file(tmp_path: Path) -> None:
    inputs = np.random.default_rng(0).normal(size=(8, 3))
    np.savez(tmp_path / "d.npz", X=inputs, y=inputs[:, 0])
    equations = "input a : 1, b : 1; parameter w : 1; target y : 1; p = w a + b; L = (p - y)^2"
    columns = {"a": ["column_2"], "b": ["column_1"]}
    training = wb.train(equations, tmp_path / "d.npz", inputs=columns, epochs=1)
    _ = list(training)
    trained = wb.Model(training.preparation, training.forward_pass)
    expected = trained.predict(inputs[:, [1, 0]])
    np.testing.assert_array_equal(trained.predict(tmp_path / "d.npz"), expected)
    assert trained.evaluate(tmp_path / "d.npz").samples == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ignore": ["idd"]}, r"there is no column 'idd' to ignore; did you mean id\?"),
        ({"ignore": ["y"], "targets": ["y"]}, "'y' is the target, and to be ignored too; expected"),
        ({"ignore": ["id", "a", "y"]}, "all 3 columns are ignored; expected two or more"),
        (
            {"ignore": ["id", "a"]},
            r"no column is left for the inputs: all 3 are targets \(y\) or ignored \(id, a\)",
        ),
        ({}, "column 'id': 'k' is not a number; .* leave the column out with --ignore, or choose"),
    ],
)
def test_what_cannot_be_ignored(
    options: dict[str, list[str]], message: str, tmp_path: Path
) -> None:
    (tmp_path / "d.csv").write_text("id,a,y\nk,1,2\nl,3,4\n")
    with pytest.raises(InputError, match=message):
        load(tmp_path / "d.csv", **options)  # type: ignore[arg-type]


NARROW = "a,b,y\n0,0,0\n0,1,1\n1,0,1\n1,1,0\n"
WIDE = "id,a,note,y,b\nk1,0,?,0,0\nk2,0,,1,1\nk3,1,x,1,0\nk4,1,7,0,1\n"
EQUATIONS = "parameter w : n\ntarget y : 1\np = sigmoid(w' x)\nL = (p - y)^2\n"
EXPERIMENT = """\
network = "{}"
epochs = 4
validation = 0.25

[data]
train = "wide.csv"
target = "y"
ignore = ["id", "note"]
"""


@pytest.mark.parametrize("model", ["2-3-1", "m.eq"])
def test_a_run_and_its_predictions_are_those_without_the_columns(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.eq").write_text(EQUATIONS)
    (tmp_path / "narrow.csv").write_text(NARROW)
    (tmp_path / "wide.csv").write_text(WIDE)

    def told(*arguments: str) -> str:
        capsys.readouterr()
        assert workbench(*arguments) == 0
        return capsys.readouterr().out

    start = "train", model, "--target", "y", "--epochs", "4", "--validation", "0.25"
    narrow = told(*start, "narrow.csv", "--run", "narrow")
    ignored = "--ignore", "id", "--ignore", "note"
    assert told(*start, "wide.csv", *ignored, "--run", "wide") == narrow
    assert told("train", "wide/settings.toml") == narrow
    Path("one.toml").write_text(EXPERIMENT.format(model))
    assert told("train", "one.toml") == narrow
    for command in ("predict", "evaluate"):
        expected = told(command, "narrow", "narrow.csv")
        assert told(command, "wide", "wide.csv") == told(command, "wide", "narrow.csv") == expected
    Path("wrong.csv").write_text(NARROW.replace("b", "c"))
    assert workbench("predict", "wide", "wrong.csv") == 2
    assert "the column 'b' of training is missing" in capsys.readouterr().err
    trained = wb.train(model, "wide.csv", target="y", ignore=["id", "note"], epochs=2)
    alike = wb.train(model, "narrow.csv", target="y", epochs=2)
    assert [record.loss for record in trained] == [record.loss for record in alike]
