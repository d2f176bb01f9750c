"""The commands that train and predict, from end to end."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from workbench import __main__ as program
from workbench.api import experiments
from workbench.api.experiments import open_experiment
from workbench.cli.session import Interval, Session
from workbench.core.checkpoint import read_values
from workbench.core.conditions import conditions
from workbench.core.experiment import DataFiles, Experiment
from workbench.core.runs import BEST, FILES, LAST, TEST
from workbench.errors import InputError

EXAMPLES = Path(__file__).parents[1] / "examples" / "data"
XOR, DIGITS = EXAMPLES / "xor.csv", EXAMPLES / "digits.csv"

Capture = pytest.CaptureFixture[str]

PLUGIN = """\
from workbench.plugins import hookimpl
from workbench.plugins.records import Activation

@hookimpl
def workbench_activations():
    yield Activation(name="squash", formula="z / (1 + z**2)")
"""


def workbench(*arguments: str | Path) -> int:
    """Run a command line within this process."""
    return program._run([str(argument) for argument in arguments])


def write_run(path: Path) -> None:
    assert workbench("train", "2-3:tanh-1", XOR, "--epochs", "2", "--run", path) == 0


def contents(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


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


# Experiments

EXPERIMENT = """\
network = "2-4-1"
epochs = 6
batch_size = 3
optimizer = "momentum"

[schedule]
kind = "cosine"

[data]
train = "xor.csv"
target = ["y"]
"""


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with an experiment."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "xor.csv").write_bytes(XOR.read_bytes())
    (tmp_path / "experiment.toml").write_text(EXPERIMENT)
    return tmp_path


def test_the_settings_of_a_run_repeat_it_byte_for_byte(experiment: Path, capsys: Capture) -> None:
    assert workbench("train", "experiment.toml", "--validation", "0.25", "--run", "first") == 0
    out = capsys.readouterr().out
    assert workbench("train", "first/settings.toml", "--run", "second") == 0
    assert capsys.readouterr().out == out
    assert contents(experiment / "first") == contents(experiment / "second")
    assert {LAST, BEST} <= set(contents(experiment / "first"))


def test_options_have_the_last_word(experiment: Path, capsys: Capture) -> None:
    line = "--epochs", "2", "--schedule", "step", "--every", "1", "--learning-rate", "0.5"
    assert workbench("train", "experiment.toml", *line) == 0
    rates = [json.loads(line)["learning_rate"] for line in capsys.readouterr().out.splitlines()]
    assert rates == pytest.approx([0.5, 0.05])


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("epoch = 3", "experiment.toml: unknown setting 'epoch'; did you mean epochs"),
        ("epochs = '3'", "experiment.toml: epochs = '3'; expected a whole number"),
        ("epochs = ", "experiment.toml is no TOML: "),
        ("data = 3", "data = 3; expected a table"),
        ("[schedule]\nkind = 'cosin'", "unknown schedule 'cosin'; did you mean cosine"),
        ("[schedule]\nevery = 2", "constant has no option every, which is one of step"),
        ("network = '2-1'", "experiment.toml: there is no 'data'"),
    ],
)
def test_a_bad_experiment_is_one_line(
    toml: str, message: str, experiment: Path, capsys: Capture
) -> None:
    data = "" if toml.startswith(("data", "network")) else "\n[data]\ntrain = 'xor.csv'\n"
    head = "" if toml.startswith("network") else "network = '2-1'\n"
    (experiment / "experiment.toml").write_text(head + toml + data)
    assert workbench("train", "experiment.toml") == 2
    (complaint,) = capsys.readouterr().err.splitlines()
    assert message.replace("'; did", "': did") in complaint.replace("'; did", "': did")


def test_parts_come_from_files_of_their_own(experiment: Path, capsys: Capture) -> None:
    files = "--validation-data", "xor.csv", "--test-data", "xor.csv"
    assert workbench("train", "experiment.toml", *files) == 0
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert record["validation_accuracy"] is not None
    assert workbench("train", "experiment.toml", *files, "--validation", "0.5") == 2
    assert "as the file xor.csv and as a share of 0.5" in capsys.readouterr().err


def test_the_plan_says_what_would_be_done(experiment: Path, capsys: Capture) -> None:
    assert workbench("train", "experiment.toml", "--plan", "--run", "run") == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["backend"], plan["steps"], plan["parameters"]) == ("python", 12, 17)
    assert not (experiment / "run").exists()


@pytest.mark.parametrize("validates", [False, True])
def test_the_test_part_is_told_of_the_model_that_is_kept(
    validates: bool, tmp_path: Path, capsys: Capture
) -> None:
    """The first epoch is the best where the labels of validation are wrong."""
    run, wrong = tmp_path / "run", tmp_path / "wrong.csv"
    head, *rows = DIGITS.read_text().splitlines()
    wrong.write_text("\n".join([head, *(f"{row[:-1]}{9 - int(row[-1])}" for row in rows)]))
    files = "--test-data", DIGITS, *(("--validation-data", wrong) if validates else ())
    assert workbench("train", "64-10:softmax", DIGITS, *files, "--epochs", "3", "--run", run) == 0
    assert not validates or read_values(run / BEST)["epoch"] == 1
    told = capsys.readouterr().err
    assert workbench("evaluate", run, DIGITS, "--format", "json") == 0
    scores = json.loads(capsys.readouterr().out)
    kept = (run / TEST).read_text()
    assert json.loads(kept)["confusion_matrix"] == scores["confusion_matrix"]
    assert json.loads(kept)["loss"] == pytest.approx(scores["loss"])
    assert told == (
        f"workbench: test part: 1797 samples, loss {scores['loss']:.4g}, "
        f"accuracy {scores['accuracy']:.4g}\n"
    )
    (run / TEST).unlink()
    assert workbench("train", "--resume", run) == 0
    assert ((run / TEST).read_text(), capsys.readouterr().err) == (kept, told)
    assert workbench("train", "2-1", XOR, "--epochs", "1", "--run", run, "--force") == 0


# Stopping and going on


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "workbench", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_training_after_a_step_with_a_checkpoint(
    number: signal.Signals, status: int, tmp_path: Path, capsys: Capture
) -> None:
    shares = "--validation", "0.2", "--test", "0.2"
    arguments = "train", "64-16-10:softmax", DIGITS, "--epochs", "60", *shares
    assert workbench(*arguments, "--run", tmp_path / "whole") == 0
    with start(*arguments, "--run", tmp_path / "run") as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.send_signal(number)
        assert process.wait(60) == status
        told = process.stderr.read()
    assert told == (
        f"workbench: stopped; go on with: workbench train --resume {tmp_path / 'run'}\n"
    )
    capsys.readouterr()
    assert workbench("train", "2-1", XOR, "--run", tmp_path / "run") == 2
    assert "unfinished run at epoch" in capsys.readouterr().err
    assert workbench("train", "--resume", tmp_path / "run") == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_progress_has_no_pace_before_the_first_step(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    data = DataFiles(train=str(XOR))
    opened = open_experiment(Experiment(network="2-1", data=data, settings={"batch_size": 2}))
    opened.training.progress.batch = opened.training.steps_per_epoch
    opened.training.progress.counted = 4.0
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    Session(opened, None, Interval()).run()
    assert re.search(r"epoch 1/50 ░{20} loss 0\b", capsys.readouterr().err)


def test_another_number_of_epochs_is_refused_or_told(experiment: Path, capsys: Capture) -> None:
    assert workbench("train", "experiment.toml", "--run", "run") == 0
    before = contents(experiment)
    capsys.readouterr()
    assert workbench("train", "--resume", "run", "--epochs", "5") == 2
    message = "run is in epoch 6 already, but 5 epochs are asked for; expected 6 or more"
    assert message in capsys.readouterr().err
    assert contents(experiment) == before
    assert workbench("train", "--resume", "run", "--epochs", "8") == 0
    (note,) = capsys.readouterr().err.splitlines()
    assert "the rates are those of a training of 8 epochs, which settings.toml repeats" in note


def test_a_run_that_changes_while_its_data_are_read_is_left_alone(
    experiment: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def replace_and_open(found: Experiment) -> experiments.Opened:
        with monkeypatch.context() as unchanged:
            unchanged.setattr(experiments, "open_experiment", open_experiment)
            assert workbench(*line, "--seed", "1", "--force") == 0
        return open_experiment(found)

    line = "train", "2-1", XOR, "--epochs", "1", "--run", "run"
    assert workbench(*line) == 0
    monkeypatch.setattr(experiments, "open_experiment", replace_and_open)
    with pytest.raises(InputError, match="the run run was replaced or changed meanwhile; try ag"):
        experiments.resume_experiment("run", epochs=60)
    assert "seed = 1\n" in (experiment / "run" / "settings.toml").read_text()


def test_going_on_needs_no_file_of_starting_values(experiment: Path, capsys: Capture) -> None:
    np.savez("start.npz", W1=[[0.5, -0.25]], b1=[1.0])
    line = "train", "2-1", XOR, "--initialiser", "start.npz"
    assert workbench(*line, "--epochs", "5", "--run", "whole") == 0
    assert workbench(*line, "--epochs", "3", "--run", "run") == 0
    (experiment / "start.npz").unlink()
    assert workbench("train", "--resume", "run", "--epochs", "5") == 0
    assert contents(experiment / "run") == contents(experiment / "whole")


@pytest.mark.parametrize(("backend", "threads"), [("numba", 1), ("numpy", None)])
def test_a_checkpoint_says_what_its_last_bits_rest_on(
    backend: str, threads: int | None, tmp_path: Path
) -> None:
    settings = {"backend": backend, "threads": threads, "epochs": 1}
    data = DataFiles(train=str(XOR))
    opened = open_experiment(Experiment(network="2-1", data=data, settings=settings))
    found = opened.state().values["conditions"]
    with threadpool_limits(1, user_api="blas"):
        limited = conditions({}, backend=backend, threads=threads)
    assert limited["BLAS threads"] == 1
    assert found["BLAS threads"] == threads or threads is None
    assert found.get("numba") == (version("numba") if backend == "numba" else None)


def test_a_run_goes_on_with_more_epochs_and_nothing_else(experiment: Path, capsys: Capture) -> None:
    (experiment / "experiment.toml").write_text(EXPERIMENT.replace("cosine", "constant"))
    assert workbench("train", "experiment.toml", "--epochs", "9", "--run", "whole") == 0
    assert workbench("train", "experiment.toml", "--run", "run") == 0
    capsys.readouterr()
    assert workbench("train", "--resume", "run", "--seed", "3") == 2
    assert "--seed cannot change in a run that goes on" in capsys.readouterr().err
    assert workbench("train", "--resume", "run", "--epochs", "9") == 0
    assert contents(experiment / "run") == contents(experiment / "whole")
    (experiment / "xor.csv").write_text("x0,x1,y\n0,0,0\n1,1,1\n0,1,0\n")
    assert workbench("train", "--resume", "run", "--epochs", "12") == 2
    assert "the samples of training are not those" in capsys.readouterr().err
