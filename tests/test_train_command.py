"""The commands that train and predict, from end to end."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest

from tests.command_line import DIGITS, XOR, Capture, contents, workbench
from workbench.core.runs import BEST, FILES

PLUGIN = """\
from workbench.plugins import hookimpl
from workbench.plugins.records import Activation

@hookimpl
def workbench_activations():
    yield Activation(name="squash", formula="z / (1 + z**2)")
"""


def write_run(path: Path) -> None:
    assert workbench("train", "2-3:tanh-1", XOR, "--epochs", "2", "--run", path) == 0


def test_train_and_predict_digits(tmp_path: Path, capsys: Capture) -> None:
    arguments = "64-32-10:softmax", DIGITS, "--target", "label", "--loss", "cross_entropy"
    more = "--epochs", "20", "--validation", "0.2", "--learning-rate", "1e-2"
    assert workbench("train", *arguments, *more, "--run", tmp_path / "run") == 0
    told = capsys.readouterr()
    assert told.err == ""
    records = [json.loads(line) for line in told.out.splitlines()]
    assert len(records) == 20
    assert records[-1]["validation_accuracy"] > 0.9
    assert told.out == (tmp_path / "run" / "metrics.jsonl").read_text()

    assert workbench("predict", tmp_path / "run", DIGITS) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    truth = [line.rpartition(",")[2] for line in DIGITS.read_text().splitlines()[1:]]
    hits = [row["prediction"] == label for row, label in zip(rows, truth, strict=True)]
    assert sum(hits) / len(hits) > 0.95
    assert list(rows[0]) == [*map(str, range(10)), "prediction"]
    assert sum(float(rows[0][str(digit)]) for digit in range(10)) == pytest.approx(1)


def test_every_record_is_shown_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Output(io.StringIO):
        shown: ClassVar[list[int]] = []

        def flush(self) -> None:
            self.shown.append(self.getvalue().count("\n"))

    monkeypatch.setattr(sys, "stdout", Output())
    assert workbench("train", "2-1", XOR, "--epochs", "3") == 0
    assert Output.shown[0] == 1
    assert Output.shown[-1] == 3


def test_a_terminal_sees_one_line_of_progress(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    assert workbench("train", "2-1", XOR, "--epochs", "2") == 0
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 2
    *drawn, end = told.err.split("\r\x1b[K")[1:]
    assert len(drawn) >= 1
    for line in filter(None, drawn):
        assert re.match(r"epoch \d/2 [█░]{20} [\d,]+ step", line)
        assert len(line) <= 39
    said = (
        r"workbench: 2 epochs in \d+\.\d s; loss 0\.\d+; accuracy 0\.\d+; not kept, for want of.*\n"
    )
    assert re.fullmatch(said, end)


def test_a_terminal_sees_where_a_training_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Capture
) -> None:
    assert workbench("train", "2-1", XOR, "--epochs", "2", "--run", tmp_path / "run") == 0
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert workbench("train", "--resume", tmp_path / "run", "--epochs", "3") == 0
    assert "workbench: going on after epoch 2 of 3\n" in capsys.readouterr().err


def test_predict_prepares_as_training_did(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "line.csv").write_text("x,y\n" + "".join(f"{x},{3 * x + 1}\n" for x in range(20)))
    arguments = "1-1:identity", tmp_path / "line.csv", "--epochs", "200", "--run", tmp_path / "run"
    assert workbench("train", *arguments, "--optimizer", "sgd", "--dtype", "float32") == 0
    (tmp_path / "new.csv").write_text("name,x\nalone,100\n")
    capsys.readouterr()
    out = tmp_path / "out.jsonl"
    assert workbench("predict", tmp_path / "run", tmp_path / "new.csv") == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header == "y"
    assert float(row) == pytest.approx(301, rel=1e-4)
    assert len(row) < 12
    assert (
        workbench(
            *("predict", tmp_path / "run", tmp_path / "new.csv"), "--format", "jsonl", "-o", out
        )
        == 0
    )
    assert json.loads(out.read_text()) == {"y": float(row)}


def test_two_classes_of_one_output(tmp_path: Path, capsys: Capture) -> None:
    assert workbench("train", "2-4:tanh-1", XOR, "--epochs", "1", "--run", tmp_path / "run") == 0
    capsys.readouterr()
    assert workbench("predict", tmp_path / "run", XOR, "--format", "jsonl") == 0
    for line in capsys.readouterr().out.splitlines():
        record = json.loads(line)
        assert list(record) == ["0", "1", "prediction"]
        assert record["0"] + record["1"] == pytest.approx(1)
        assert record["prediction"] == ("1" if record["1"] >= 0.5 else "0")


def test_a_plugin_file_of_training_runs_only_if_named(tmp_path: Path, capsys: Capture) -> None:
    plugin = tmp_path / "squash.py"
    plugin.write_text(PLUGIN)
    arguments = "2-3:squash-1", XOR, "--epochs", "1", "--run", tmp_path / "run"
    assert workbench("train", *arguments, "--plugin", plugin) == 0
    capsys.readouterr()
    assert workbench("predict", tmp_path / "run", XOR) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert f"trained with the plugin file {plugin}; a plugin file is a program" in told.err
    elsewhere = tmp_path / "elsewhere" / "squash.py"
    elsewhere.parent.mkdir()
    plugin.rename(elsewhere)
    assert workbench("predict", tmp_path / "run", XOR, "--plugin", elsewhere) == 0


def test_going_on_runs_the_plugin_file_that_is_named(tmp_path: Path, capsys: Capture) -> None:
    plugin, run = tmp_path / "squash.py", tmp_path / "run"
    plugin.write_text(PLUGIN)
    line = "train", "2-3:squash-1", XOR, "--epochs", "1", "--run", run
    assert workbench(*line, "--plugin", plugin) == 0
    elsewhere = tmp_path / "elsewhere" / "squash.py"
    elsewhere.parent.mkdir()
    elsewhere.write_text(PLUGIN)
    plugin.write_text("raise SystemExit('this one was not named')")
    assert workbench("train", "--resume", run) == 2
    assert workbench("train", "--resume", run, "--epochs", "2", "--plugin", elsewhere) == 0
    assert workbench("train", run / "settings.toml") == 0, "by its file, that of the run is run"
    assert len(capsys.readouterr().out.splitlines()) == 4


def bad_data(tmp_path: Path) -> dict[str, str]:
    """Paths of broken files by the name used in `BAD`."""
    written = {
        "ragged": "a,b,y\n1,2,3\n1,2\n",
        "text": "a,b,y\n1,2,3\n1,x,4\n",
        "missing": "a,b,y\n1,2,3\n1,,4\n",
        "nan": "a,b,y\n1,2,3\n1,nan,4\n",
        "empty": "",
        "narrow": "a,y\n1,2\n2,3\n",
        "many": "a,b,y\n1,2,p\n1,3,q\n2,2,r\n",
    }
    for name, content in written.items():
        (tmp_path / f"{name}.csv").write_text(content)
    return {name: str(tmp_path / f"{name}.csv") for name in written} | {"xor": str(XOR)}


BAD: dict[str, tuple[str, str]] = {
    "unknown activation": ("2-3:sigmod-1 {xor}", r"unknown activation 'sigmod': did you mean sigm"),
    "width": ("2-x-1 {xor}", "'x' is not a whole number"),
    "unknown loss": ("2-1 {xor} --loss cross_entrpy", "unknown loss 'cross_entrpy': did you mean"),
    "unknown optimizer": (
        "2-1 {xor} --optimizer adm",
        "unknown optimizer 'adm': did you mean adam",
    ),
    "unknown strategy": ("2-1 {xor} --strategy krone", "unknown strategy 'krone'"),
    "unknown dtype": ("2-1 {xor} --dtype float46", "unknown dtype 'float46'"),
    "no epochs": ("2-1 {xor} --epochs 0", "epochs 0; expected a whole number from 1"),
    "no batch": ("2-1 {xor} --batch-size 0", "batch_size 0; expected"),
    "rate": ("2-1 {xor} --learning-rate 0", r"learning rate 0\.0; expected a number above 0"),
    "momentum": (
        "2-1 {xor} --momentum 0.9",
        "adam has no option momentum, which is one of momentum and nesterov",
    ),
    "share": ("2-1 {xor} --validation 1.5", "validation share 1.5; expected a number from 0"),
    "seed": ("2-1 {xor} --seed -1", "seed -1; expected a whole number from 0"),
    "no file": ("2-1 nowhere.csv", "no such file: 'nowhere.csv'"),
    "no target": (
        "2-1 {xor} --target z",
        "there is no column 'z' for the target; known: x0, x1, y",
    ),
    "ragged": ("2-1 {ragged}", r"ragged\.csv:3"),
    "text": ("2-1 {text}", r"text\.csv:3:2: column 'b': 'x' is not a number"),
    "missing": ("2-1 {missing}", r"missing\.csv:3:2: .*missing value"),
    "nan": ("2-1 {nan}", r"nan\.csv:3:2: "),
    "empty": ("2-1 {empty}", r"empty\.csv"),
    "columns": ("2-1 {narrow}", "2 inputs, .*narrow.csv has 1 column besides the target 'y'"),
    "classes": ("2-1 {many}", "1 output, the target 'y' of .* has 3 classes"),
    "distribution": ("2-1 {xor} --loss cross_entropy", "the loss cross_entropy does not fit"),
    "no such plugin": ("2-1 {xor} --plugin none.py", "plugin file none.py: No such file"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_overwrites_nothing(
    case: str, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments, message = BAD[case]
    paths = bad_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "run")
    capsys.readouterr()
    before = contents(tmp_path)
    line = [part.format(**paths) for part in arguments.split()]
    assert workbench("train", *line, "--run", tmp_path / "run", "--force") == 2
    told = capsys.readouterr()
    assert told.out == ""
    (complaint,) = told.err.splitlines()
    assert re.search(message, complaint), complaint
    assert contents(tmp_path) == before


def test_the_run_is_refused_before_the_data_are_read(tmp_path: Path, capsys: Capture) -> None:
    write_run(tmp_path / "run")
    capsys.readouterr()
    assert workbench("train", "2-1", "nowhere.csv", "--run", tmp_path / "run") == 2
    assert "there is a run in" in capsys.readouterr().err


def test_divergence_ends_with_its_own_code_after_the_last_record(
    tmp_path: Path, capsys: Capture
) -> None:
    rate = "--learning-rate", "1e200", "--batch-size", "2"
    line = "train", "2-1:identity", XOR, *rate, "--optimizer", "sgd", "--run", tmp_path / "run"
    assert workbench(*line) == 4
    told = capsys.readouterr()
    (complaint,) = told.err.splitlines()
    assert ": epoch 1, step 2 (batch 2 of 2): not finite from L = " in complaint
    assert complaint.endswith(f"the last good checkpoint, of epoch 0, is in {tmp_path / 'run'}")
    assert told.out == ""
    assert workbench("predict", tmp_path / "run", XOR) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", str(XOR)], "no run in nowhere: there is no settings.toml there"),
        (["run", "nowhere.csv"], "no such file: 'nowhere.csv'"),
        (["run", "one.csv"], "the column 'x0' of training is missing"),
    ],
)
def test_predict_tells_what_is_wrong(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "run")
    capsys.readouterr()
    (tmp_path / "one.csv").write_text("x9,x1\n1,2\n")
    (tmp_path / "out.csv").write_text("old")
    assert workbench("predict", *arguments, "-o", "out.csv") == 2
    told = capsys.readouterr()
    assert message in told.err
    assert len(told.err.splitlines()) == 1
    assert (tmp_path / "out.csv").read_text() == "old"


def test_a_closed_pipe_ends_training_quietly_and_keeps_the_run(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "workbench", "train", "2-3-1", "-", "--epochs", "100000"]
    with subprocess.Popen(
        [*command, "--run", str(tmp_path / "run")],
        stdin=subprocess.PIPE,
        stdout=writing,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(writing)
        assert process.stdin is not None
        process.stdin.write(XOR.read_bytes())
        process.stdin.close()
        assert os.read(reading, 10) == b'{"epoch": '
        os.close(reading)
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(60) == 141
    assert sorted(contents(tmp_path / "run")) == sorted(FILES - {BEST})
