"""Experiments in TOML, and trainings that are stopped and go on, from the command line."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from time import sleep

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from tests.command_line import DIGITS, XOR, Capture, contents, workbench
from workbench.api import experiments
from workbench.api.experiments import open_experiment
from workbench.cli.session import Interval, Session
from workbench.core.checkpoint import read_values
from workbench.core.conditions import conditions
from workbench.core.experiment import DataFiles, Experiment
from workbench.core.runs import BEST, LAST, TEST
from workbench.errors import InputError

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
        ("network = '2-1'\n[dta]\ntrain = 'xor.csv'", "unknown setting 'dta'; did you mean data"),
        ("lr = 3", "experiment.toml: unknown setting 'lr'; did you mean learning_rate?"),
        (f"learning_rate = 1{'0' * 400}", "learning_rate is a whole number beyond 2^63; expected"),
        (f"epochs = 0x{'f' * 5000}", "epochs is a whole number beyond 2^63; expected a smaller"),
        (f"schedule.every = 0x{'f' * 5000}", "schedule.every is a whole number beyond 2^63;"),
        ("values.c = nan", "values.c = nan; expected a finite number"),
        ("plugins = 3", "plugins = 3; expected a text or a list of texts"),
        ("[schedule]\nwarmup_start = 0.5", "warmup_start 0.5 is given without a warm-up"),
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


def test_one_text_stands_for_a_list_of_it(experiment: Path) -> None:
    values = tomllib.loads(EXPERIMENT) | {"plugins": "p.py", "inputs": {"x": "x0"}}
    values["data"] |= {"target": "y", "ignore": "x1"}
    found = Experiment.from_values(values, "experiment.toml")
    assert (found.data.target, found.data.ignore) == (("y",), ("x1",))
    assert (found.plugins, found.inputs) == (("p.py",), {"x": ("x0",)})


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
    assert (run / TEST).read_text() == kept
    assert capsys.readouterr().err.splitlines(keepends=True)[-1] == told
    assert workbench("train", "2-1", XOR, "--epochs", "1", "--run", run, "--force") == 0


# Stopping and going on


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "workbench", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    ("numbers", "status"),
    [
        ([signal.SIGINT], 130),
        ([signal.SIGTERM, signal.SIGTERM], 143),  # those of a moment count as one
        ([signal.SIGHUP, signal.SIGTERM], 129),
    ],
)
def test_a_signal_ends_training_after_a_step_with_a_checkpoint(
    numbers: list[signal.Signals], status: int, tmp_path: Path, capsys: Capture
) -> None:
    shares = "--validation", "0.2", "--test", "0.2"
    arguments = "train", "64-16-10:softmax", DIGITS, "--epochs", "60", *shares
    assert workbench(*arguments, "--run", tmp_path / "whole") == 0
    with start(*arguments, "--run", tmp_path / "run") as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        for number in numbers:
            process.send_signal(number)
            sleep(0.001)
        assert process.wait(60) == status
        told = process.stderr.read()
    assert told == (
        f"workbench: stopped; go on with: workbench train --resume {tmp_path / 'run'}\n"
    )
    capsys.readouterr()
    assert workbench("train", "2-1", XOR, "--run", tmp_path / "run") == 2
    assert "unfinished run in" in capsys.readouterr().err
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


def test_the_plan_of_going_on_leaves_the_run_as_it_is(experiment: Path, capsys: Capture) -> None:
    assert workbench("train", "experiment.toml", "--run", "run") == 0
    before = contents(experiment)
    capsys.readouterr()
    assert workbench("train", "--resume", "run", "--epochs", "9", "--plan") == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["epochs"] == 9
    assert "the rates are those of a training of 9 epochs" in told.err
    assert workbench("train", "--resume", "run", "--epochs", "5", "--plan") == 2
    assert "run is in epoch 6 already" in capsys.readouterr().err
    assert contents(experiment) == before


@pytest.mark.parametrize("file", ["settings.toml", LAST])
def test_files_of_a_run_stand_for_it(file: str, experiment: Path, capsys: Capture) -> None:
    line = "train", "experiment.toml", "--schedule", "constant"
    assert workbench(*line, "--epochs", "7", "--run", "whole") == 0
    assert workbench(*line, "--run", "run") == 0
    assert workbench("train", "--resume", f"run/{file}", "--epochs", "7") == 0
    assert contents(experiment / "run") == contents(experiment / "whole")
    capsys.readouterr()
    assert workbench("train", "--resume", "run/metrics.jsonl") == 2
    assert "is a file; a run goes on from its last" in capsys.readouterr().err


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
