"""What `workbench evaluate` says of a network is what the outputs and the targets say."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from workbench import __main__ as program
from workbench import api
from workbench.core import mean_loss
from workbench.core.data import Dataset, Preparation
from workbench.core.inference import ForwardPass
from workbench.core.parameters import Parameters, parameter_shapes
from workbench.core.scores import ClassScores, NumberScores, score
from workbench.errors import InputError

Array = NDArray[Any]
Capture = pytest.CaptureFixture[str]


def model(architecture: str, targets: tuple[str, ...], classes: tuple[str, ...] | None) -> Any:
    """A network with parameters drawn at random and inputs `x0`, `x1`, … that are left as is."""
    network = api.network(architecture)
    parameters = Parameters(parameter_shapes(network))
    parameters.vector[:] = np.random.default_rng(0).normal(size=parameters.vector.size)
    features = network.widths[0]
    names = tuple(f"x{place}" for place in range(features))
    zeros, ones = np.zeros(features), np.ones(features)
    preparation = Preparation(zeros, ones, names, targets, classes, True)
    return api.Model(preparation, ForwardPass(network, parameters))


def dataset_like(some: Any, inputs: Array, outcomes: Array) -> Dataset:
    preparation = some.preparation
    return Dataset(
        inputs,
        outcomes,
        preparation.input_names,
        preparation.target_names,
        preparation.classes,
        "data.csv",
        True,
    )


def scores_of_classes(confusion: Array) -> ClassScores:
    classes = tuple(f"c{place}" for place in range(len(confusion)))
    return ClassScores(0.0, classes, confusion)


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(2, 6), st.integers(1, 60))
def test_scores_of_classes_are_those_of_scikit_learn(seed: int, count: int, samples: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    some = model(f"3-{count}:softmax", ("kind",), tuple("abcdef"[:count]))
    inputs, actual = rng.normal(size=(samples, 3)), rng.integers(0, count, samples)
    found = some.evaluate(dataset_like(some, inputs, actual))
    outputs = some.predict(inputs)
    predicted, labels = outputs.argmax(axis=1), list(range(count))
    matrix = metrics.confusion_matrix(actual, predicted, labels=labels)
    np.testing.assert_array_equal(found.confusion, matrix)
    assert found.accuracy == pytest.approx(metrics.accuracy_score(actual, predicted), abs=1e-15)
    precision, recall, _, _ = metrics.precision_recall_fscore_support(
        actual, predicted, labels=labels, zero_division=np.nan
    )
    np.testing.assert_allclose(found.precision, precision, rtol=1e-14)
    np.testing.assert_allclose(found.recall, recall, rtol=1e-14)
    assert found.loss == pytest.approx(metrics.log_loss(actual, outputs, labels=labels))


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(2, 60), st.integers(1, 7))
def test_scores_of_numbers_are_those_of_scikit_learn(
    seed: int, count: int, samples: int, at_once: int
) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    some = model(f"2-{count}:identity", tuple("uvw"[:count]), None)
    inputs = rng.normal(size=(samples, 2))
    targets = rng.normal(size=(samples, count)) + 10.0 ** rng.integers(0, 6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mean_loss, "SAMPLES_AT_ONCE", at_once)
        found = some.evaluate(dataset_like(some, inputs, targets))
    outputs = some.predict(inputs)
    for name, ours in (
        ("mean_absolute_error", found.mean_absolute_error),
        ("mean_squared_error", found.mean_squared_error),
        ("r2_score", found.r_squared),
    ):
        theirs = getattr(metrics, name)(targets, outputs, multioutput="raw_values")
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    assert found.loss == pytest.approx((found.mean_squared_error / 2).sum())
    assert found.samples == samples


def test_what_is_undefined_is_null() -> None:
    found = scores_of_classes(np.array([[2, 0, 0], [1, 0, 0], [0, 0, 0]])).to_json()
    assert found["precision"] == {"c0": 2 / 3, "c1": None, "c2": None}
    assert found["recall"] == {"c0": 1.0, "c1": 0.0, "c2": None}
    some = model("2-1:identity", ("y",), None)
    constant = some.evaluate(dataset_like(some, np.zeros((3, 2)), np.full((3, 1), 0.1))).to_json()
    assert constant["r_squared"] == {"y": None}
    diverged = NumberScores(1, float("inf"), ("y",), *np.full((3, 1), np.nan)).to_json()
    assert (diverged["loss"], diverged["finite"]) == (None, False)
    json.dumps([found, constant, diverged], allow_nan=False)


def test_a_single_output_tells_two_classes() -> None:
    some = model("2-1", ("y",), ("no", "yes"))
    inputs = np.random.default_rng(1).normal(size=(50, 2))
    yes = (some.predict(inputs)[:, 0] >= 0.5).astype(int)
    found = score(some.forward_pass, some.preparation, dataset_like(some, inputs, yes))
    assert isinstance(found, ClassScores)
    assert found.accuracy == 1
    assert np.trace(found.confusion) == found.samples == 50


def test_columns_and_classes_are_those_of_training(tmp_path: Path) -> None:
    some = model("2-3:softmax", ("kind",), ("a", "b", "10"))
    file = tmp_path / "new.csv"
    file.write_text("kind,x1,more,x0\nb,1,0,2\n10.0,3,0,4\nb,5,0,6\n")
    inputs = np.array([[2.0, 1], [4, 3], [6, 5]])
    truth = some.evaluate(dataset_like(some, inputs, np.array([1, 2, 1])))
    assert some.evaluate(file).to_json() == truth.to_json()
    file.write_text("kind,x1,x0\nb,1,2\nc,3,4\n")
    with pytest.raises(InputError, match=r"new\.csv:3:1: column 'kind': 'c' is no class"):
        some.evaluate(file)
    file.write_text("kin,x1,x0\nb,1,2\n")
    with pytest.raises(InputError, match=r"'kind'.*did you mean kin\?"):
        some.evaluate(file)


def test_missing_inputs_are_filled_where_training_did(tmp_path: Path) -> None:
    some = model("2-1:identity", ("y",), None)
    file = tmp_path / "gaps.csv"
    file.write_text("x0,x1,y\n1,?,3\n")
    with pytest.raises(InputError, match="missing value"):
        some.evaluate(file)
    old = some.preparation
    names = old.input_names, old.target_names, None, True
    filling = Preparation(old.mean, old.scale, *names, np.array([7.0, 8.0]))
    filled = api.Model(filling, some.forward_pass).evaluate(file)
    truth = some.evaluate(dataset_like(some, np.array([[1.0, 8.0]]), np.array([[3.0]])))
    assert filled.to_json() == truth.to_json()


def test_what_says_how_a_file_is_read_needs_a_file() -> None:
    some = model("2-1:identity", ("y",), None)
    gaps = dataset_like(some, np.array([[1.0, np.nan], [3, 1]]), np.zeros((2, 1)))
    for said in {"missing": "drop"}, {"header": True}, {"decimal": ","}:
        (name,) = said
        with pytest.raises(InputError, match=f"^{name} = .* and the data are none; leave it out"):
            some.evaluate(gaps, **said)


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ([[1, 2], [3, np.nan]], "row 2, x1: missing value 'nan'; fill it in$"),
        ([[-np.inf, 2]], "row 1, x0: '-inf' is not a finite number"),
        ([["a", "b"]], r"no table of numbers \(could not convert .* expected \(samples, 2\)"),
        ([[1], [2, 3]], r"no table of numbers \(.*\); expected \(samples, 2\)"),
        ([1, 2], r"inputs of shape \(2,\); expected \(samples, 2\)"),
    ],
)
def test_inputs_that_no_file_may_hold_are_refused(inputs: Any, told: str) -> None:
    some = model("2-1:identity", ("y",), None)
    for missing in None, "refuse":
        with pytest.raises(InputError, match=told):
            some.predict(inputs, missing=missing)


def test_missing_values_are_treated_as_asked(tmp_path: Path) -> None:
    some = model("2-1:identity", ("y",), None)
    file, whole = tmp_path / "gaps.csv", tmp_path / "whole.csv"
    file.write_text("x0,x1,y\n1,?,3\n2,1,?\n3,1,2\n")
    whole.write_text("x0,x1,y\n3,1,2\n")
    assert some.evaluate(file, missing="drop").to_json() == some.evaluate(whole).to_json()
    with pytest.raises(InputError, match=r"2:2: .*'\?'; fill it in, or leave .* --missing drop$"):
        some.evaluate(file)
    file.write_text("x0,x1,y\n?,?,3\n")
    with pytest.raises(InputError, match=r"in every row; expected a row that is whole$"):
        some.evaluate(file, missing="drop")
    old, names = some.preparation, (("x0", "x1"), ("y",), None, True)
    standardised = Preparation(old.mean + np.array([7, 8]), old.scale, *names)
    filled = api.Model(standardised, some.forward_pass)
    with pytest.raises(InputError, match=r"fill it in, or use .* or leave out such rows"):
        filled.evaluate(file)
    file.write_text("x0,x1,y\n1,?,3\n")
    whole.write_text("x0,x1,y\n1,8,3\n")
    assert filled.evaluate(file, missing="mean").to_json() == filled.evaluate(whole).to_json()
    assert filled.predict(file, missing="mean") == filled.predict(whole)
    with pytest.raises(InputError, match="drop would leave samples without a prediction; expect"):
        filled.predict(file, missing="drop")
    file.write_text("x0,x1,y\n1,2,three\n")
    with pytest.raises(InputError, match="'three' is not a number; it was a column of numbers in"):
        some.evaluate(file)


# the command


def workbench(*arguments: str | Path) -> int:
    return program._run([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def flowers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run that tells three kinds by two numbers, and the data that it was trained with."""
    folder = tmp_path_factory.mktemp("flowers")
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 3, 60)
    widths = kinds[:, None] * [1.0, -2.0] + rng.normal(size=(60, 2))
    rows = [
        [*row, ("iris", "rose", "aster")[kind]] for row, kind in zip(widths, kinds, strict=True)
    ]
    written = io.StringIO()
    csv.writer(written).writerows([["width", "length", "name"], *rows])
    (folder / "flowers.csv").write_text(written.getvalue())
    arguments = "2-3:softmax", folder / "flowers.csv", "--epochs", "30", "--run", folder / "run"
    assert workbench("train", *arguments) == 0
    return folder / "run", folder / "flowers.csv"


def test_evaluate_prints_a_table_and_json(flowers: tuple[Path, Path], capsys: Capture) -> None:
    assert workbench("evaluate", *flowers, "--format", "json") == 0
    found = json.loads(capsys.readouterr().out)
    keys = ["samples", "loss", "accuracy", "precision", "recall", "confusion_matrix"]
    assert list(found) == ["checkpoint", "epoch", *keys]
    model = api.load(flowers[0])
    assert (found["checkpoint"], found["epoch"]) == (model.checkpoint, model.epoch)
    assert found == {**found, **model.evaluate(flowers[1]).to_json()}
    rows = found["confusion_matrix"]
    assert found["accuracy"] == sum(rows[name][name] for name in rows) / 60

    assert workbench("evaluate", *flowers) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["samples", "60"]
    assert lines[4].split() == ["true", "\\", "predicted", "aster", "iris", "rose", "recall"]
    for name, line in zip(rows, lines[5:8], strict=True):
        first, *counts, recall = line.split()
        assert (first, list(map(int, counts))) == (name, list(rows[name].values()))
        assert float(recall) == pytest.approx(found["recall"][name], abs=1e-3)
    assert len({len(line) for line in lines[4:8]}) == 1


def test_evaluate_reads_standard_input(
    flowers: tuple[Path, Path], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert workbench("evaluate", *flowers) == 0
    printed = capsys.readouterr().out

    class Input:
        buffer = io.BytesIO(flowers[1].read_bytes())

    monkeypatch.setattr("sys.stdin", Input)
    assert workbench("evaluate", flowers[0], "-") == 0
    assert capsys.readouterr().out == printed


def test_evaluate_prints_numbers_output_by_output(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "line.csv"
    file.write_text("x,up,down\n0,1,2.5\n1,2,1.5\n2,3,0.5\n3,4,-0.5\n")
    targets = "--target", "up", "--target", "down"
    run = tmp_path / "run"
    assert workbench("train", "1-2:identity", file, *targets, "--epochs", "2", "--run", run) == 0
    capsys.readouterr()
    assert workbench("evaluate", run, file) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[3].split("  ")[0] == "output"
    assert [line.split()[0] for line in lines[4:]] == ["up", "down"]
