"""Event files, as TensorBoard reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from workbench import __main__ as program
from workbench.core.progress import EpochRecord
from workbench.core.tensorboard import TAGS, EventFile

XOR = Path(__file__).parents[1] / "examples" / "data" / "xor.csv"

Capture = pytest.CaptureFixture[str]
Shown = dict[str, dict[int, float]]


def train(*arguments: str | Path) -> int:
    return program._run(["train", *map(str, arguments)])


def shown(directory: Path) -> Shown:
    """What TensorBoard shows: for each name the value at each step."""
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found: Any = reading.EventAccumulator(str(directory), {reading.SCALARS: 0}).Reload()
    names = found.Tags()["scalars"]
    points = {name: [(point.step, point.value) for point in found.Scalars(name)] for name in names}
    assert all(len(dict(values)) == len(values) for values in points.values()), "a step twice"
    return {name: dict(values) for name, values in points.items()}


def recorded(metrics: Path) -> dict[str, Any]:
    """The same of a run's metrics, in float32 as TensorBoard has it."""
    records = [json.loads(line) for line in metrics.read_text().splitlines()]
    return {
        tag: {record["epoch"]: pytest.approx(record[name], rel=1e-6) for record in records}
        for name, tag in TAGS.items()
        if records[0][name] is not None
    }


def test_every_number_is_shown_once_also_of_a_run_that_goes_on(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    run, events = tmp_path / "run", tmp_path / "logs" / "xor"
    arguments = "2-3:tanh-1", XOR, "--validation-data", XOR
    assert train(*arguments, "--epochs", "3", "--run", run, "--tensorboard", events) == 0
    assert shown(events) == recorded(run / "metrics.jsonl")
    assert set(shown(events)) == set(TAGS.values())

    with EventFile(events, 4) as killed:  # after its last checkpoint
        killed.add(EpochRecord(4, 4, 7.0, None, None, None, 0.1, 7.0))
        killed.add(EpochRecord(5, 5, 7.0, None, None, None, 0.1, 7.0))
    assert shown(events)["loss"][5] == 7
    assert train("--resume", run, "--epochs", "4", "--tensorboard", events) == 0
    assert list(shown(events)["loss"]) == [1, 2, 3, 4]
    assert shown(events) == recorded(run / "metrics.jsonl")


def test_the_events_of_another_training_stay(tmp_path: Path, capsys: Capture) -> None:
    pytest.importorskip("tensorboard")
    arguments = "2-1", XOR, "--tensorboard", tmp_path, "--epochs"
    assert train(*arguments, "3") == 0
    assert train(*arguments, "2") == 2
    error = f"{tmp_path} holds the event files of another training; expected a new directory"
    assert error in capsys.readouterr().err
    assert train(*arguments, "2", "--force") == 0
    assert list(shown(tmp_path)["loss"]) == [1, 2]
    assert len(list(tmp_path.iterdir())) == 2


def test_without_the_package(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.core.tensorboard.find_spec", lambda name: None)
    assert train("2-1", XOR, "--tensorboard", "logs") == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == (
        "workbench: error: --tensorboard needs the package tensorboard: "
        "pip install 'backprop-workbench[tensorboard]'\n"
    )


def test_a_place_that_cannot_be_written(tmp_path: Path, capsys: Capture) -> None:
    pytest.importorskip("tensorboard")
    (tmp_path / "file").write_text("")
    assert train("2-1", XOR, "--tensorboard", tmp_path / "file" / "logs") == 74
    assert "Not a directory" in capsys.readouterr().err
