"""Runs that meet what is no fault of the training: what they keep of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command_line import XOR, Capture, contents, workbench
from workbench.api.experiments import open_experiment
from workbench.core.checkpoint import read_values
from workbench.core.experiment import Experiment
from workbench.core.runs import LAST, METRICS, RunWriter

SMALL = "x0,x1,y\n1,0,1.5\n0,1,-1\n1,1,0.5\n0,0,2\n"
HUGE = "x0,x1,y\n1,0,1e200\n0,1,-1e200\n"
SETTINGS = "--epochs", "4", "--batch-size", "4", "--no-standardise"


def records(run: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (run / METRICS).read_text().splitlines()]


def test_a_validation_loss_that_is_infinite_is_not_the_best(
    tmp_path: Path, capsys: Capture
) -> None:
    run, small, huge = tmp_path / "run", tmp_path / "small.csv", tmp_path / "huge.csv"
    small.write_text(SMALL)
    huge.write_text(HUGE)
    arguments = "train", "2-3-1:identity", small, "--validation-data", huge
    assert workbench(*arguments, *SETTINGS, "--patience", "2", "--run", run) == 0
    assert [record["validation_loss"] for record in records(run)] == [None] * 4
    values = read_values(run / LAST)
    assert (values["epoch"], values["finished"], values["best_epoch"]) == (4, True, None)
    assert workbench("train", "--resume", run, "--epochs", "6") == 0
    assert len(records(run)) == 6
    assert workbench("predict", run, small) == 0


def test_a_test_part_that_is_refused_loses_no_training(tmp_path: Path, capsys: Capture) -> None:
    run, small, huge = tmp_path / "run", tmp_path / "small.csv", tmp_path / "huge.csv"
    small.write_text(SMALL)
    huge.write_text(HUGE)
    arguments = "train", "2-3-1:identity", small, "--test-data", huge, "--run", run
    assert workbench(*arguments, *SETTINGS, "--dtype", "float32") == 2
    assert "not finite in float32" in capsys.readouterr().err
    assert read_values(run / LAST)["epoch"] == len(records(run)) == 4
    assert workbench("predict", run, small) == 0


def test_going_on_that_is_refused_leaves_the_run_as_it_is(tmp_path: Path, capsys: Capture) -> None:
    run = tmp_path / "run"
    assert workbench("train", "2-3-1", XOR, *SETTINGS, "--run", run) == 0
    with (run / METRICS).open("a") as stream:
        stream.write('{"epoch": 5, "made after": "the last checkpoint"}\n')
    before = contents(run)
    assert workbench("train", "--resume", run, "--epochs", "1") == 2
    assert "in epoch 4 already" in capsys.readouterr().err
    assert contents(run) == before
    assert workbench("train", "--resume", run, "--epochs", "5") == 0
    assert [record["epoch"] for record in records(run)] == [1, 2, 3, 4, 5]


def test_replicas_of_which_none_is_the_best_yet(tmp_path: Path, capsys: Capture) -> None:
    settings = {"replicas": 3, "epochs": 2}
    values = {"network": "2-3-1", "data": {"train": str(XOR)}, **settings}
    opened = open_experiment(Experiment.from_values(values, "test"))
    run = tmp_path / "run"
    with RunWriter.create(run, opened.experiment.to_toml(), opened.state()):
        pass
    assert workbench("predict", run, XOR) == 2
    assert f"go on with: workbench train --resume {run}" in capsys.readouterr().err
    assert workbench("train", "--resume", run) == 0
    assert workbench("predict", run, XOR) == 0


@pytest.mark.parametrize("begun", [0, 7])
def test_checkpoints_come_at_multiples_of_their_interval(
    begun: int, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[int] = []
    keep = RunWriter.checkpoint

    def checkpoint(self: RunWriter, state: object, **options: object) -> None:
        kept.append(state.values["epoch"])  # type: ignore[attr-defined]
        keep(self, state, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(RunWriter, "checkpoint", checkpoint)
    run = tmp_path / "run"
    if begun:
        settings = "--epochs", str(begun), "--batch-size", "4", "--run", run
        assert workbench("train", "2-3-1", XOR, *settings) == 0
        rest: tuple[str | Path, ...] = "--resume", run
    else:
        rest = "2-3-1", XOR, "--batch-size", "4", "--run", run
    kept.clear()
    assert workbench("train", *rest, "--epochs", "25", "--checkpoint-every", "10") == 0
    assert kept[-3:] == [10, 20, 25]


def test_what_is_not_finished_is_told(tmp_path: Path, capsys: Capture) -> None:
    values = {"network": "2-3-1", "data": {"train": str(XOR)}, "epochs": 5}
    opened = open_experiment(Experiment.from_values(values, "test"))
    run = tmp_path / "run"
    with RunWriter.create(run, opened.experiment.to_toml(), opened.state()):
        pass
    for command in ("predict", "evaluate"):
        assert workbench(command, run, XOR) == 0
        said = capsys.readouterr().err
        assert "warning: the training" in said
        assert "epoch 0, its starting values, of 5; go on with" in said
    assert workbench("train", "--resume", run) == 0
    assert capsys.readouterr().err == ""
    assert workbench("train", "--resume", run) == 0
    assert "is finished, after 5 of 5 epochs" in capsys.readouterr().err
    assert workbench("predict", run, XOR) == 0
    assert capsys.readouterr().err == ""


def test_options_of_runs_need_one(tmp_path: Path, capsys: Capture) -> None:
    for option in (("--force",), ("--checkpoint-every", "5")):
        assert workbench("train", "2-3-1", XOR, *option) == 2
        told = capsys.readouterr().err
        assert option[0] in told and "add --run" in told
    run = tmp_path / "run"
    assert workbench("train", "2-3-1", XOR, *SETTINGS, "--run", run) == 0
    assert workbench("train", "2-3-1", XOR, "--run", run, "--plan") == 0, "it writes nothing"
    assert workbench("train", "--resume", run, XOR) == 2
    assert f"leave out '{XOR}'" in capsys.readouterr().err


def test_predictions_do_not_replace_their_data(tmp_path: Path, capsys: Capture) -> None:
    run, data = tmp_path / "run", tmp_path / "xor.csv"
    data.write_bytes(XOR.read_bytes())
    assert workbench("train", "2-3-1", data, *SETTINGS, "--run", run) == 0
    assert workbench("predict", run, data, "-o", data) == 2
    assert "would replace the data" in capsys.readouterr().err
    assert data.read_bytes() == XOR.read_bytes()
