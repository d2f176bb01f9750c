"""Runs: the directory that a training keeps itself in."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.small_training import EPOCHS, SmallTraining, resume, settings, train
from workbench.core.ownership import LOCK, InUseError, Ownership, replacing
from workbench.core.runs import BEST, FILES, LAST, METRICS, SETTINGS, RunWriter, load_run
from workbench.errors import InputError

SHAPES = {"W1": (1, 2), "b1": (1,)}


def contents(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def stopped(path: Path, epochs: int) -> None:
    """Begin a run and leave it after some epochs, with a record too many."""
    training = SmallTraining()
    with RunWriter.create(path, settings(0), training.state()) as writer:
        training.run(writer, until=epochs)
        writer.record(json.dumps(training.train_epoch()) + "\n")


def test_a_run_holds_what_was_trained(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "run"
    train(place)
    assert sorted(contents(tmp_path)) == sorted(f"deep/run/{name}" for name in FILES)
    assert (place / SETTINGS).read_text() == settings(0)
    records = [json.loads(line) for line in (place / METRICS).read_text().splitlines()]
    assert [record["epoch"] for record in records] == list(range(1, EPOCHS + 1))
    best = min(records, key=lambda record: record["loss"])["epoch"]
    run, expected = load_run(place), SmallTraining(epochs=best)
    while expected.epoch < best:
        expected.train_epoch()
    assert (run.network, run.loss, run.plugin_files) == ("2-1:tanh", "half_squared_error", ())
    assert (run.values["epoch"], run.settings["epochs"]) == (best, EPOCHS)
    assert run.preparation.scale.tolist() == [1.0, 2.0]
    for name, value in run.parameters(SHAPES).items():
        assert value.tolist() == expected.arrays[f"parameters/{name}"].tolist()


def test_equal_trainings_leave_equal_bytes(tmp_path: Path) -> None:
    for name in "ab":
        train(tmp_path / name)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.parametrize("epochs", [0, 2, EPOCHS - 1])
def test_a_run_goes_on_as_if_it_never_stopped(epochs: int, tmp_path: Path) -> None:
    train(tmp_path / "whole")
    stopped(tmp_path / "run", epochs)
    (tmp_path / "run" / ".workbench-0123456789abcdef").write_text("left by a killed process")
    resume(tmp_path / "run")
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")
    resume(tmp_path / "run")
    assert contents(tmp_path / "run") == contents(tmp_path / "whole"), "finished already"


def test_a_run_is_replaced_only_by_force(tmp_path: Path) -> None:
    place = tmp_path / "run"
    train(place)
    before = contents(place)
    with pytest.raises(InputError, match=r"there is a run in .* already; .* or give --force"):
        train(place, seed=1)
    assert contents(place) == before
    train(place, seed=1, force=True)
    train(tmp_path / "other", seed=1)
    assert contents(place) == contents(tmp_path / "other")
    assert sorted(os.listdir(tmp_path)) == ["other", "run"]


def test_an_unfinished_run_says_how_far_it_is(tmp_path: Path) -> None:
    stopped(tmp_path / "run", 2)
    message = rf"unfinished run in .*, its last checkpoint at epoch 2 of {EPOCHS}; continue with"
    with pytest.raises(InputError, match=message):
        train(tmp_path / "run")


@pytest.mark.parametrize("force", [True, False])
def test_a_run_that_another_makes_meanwhile_is_left_alone(force: bool, tmp_path: Path) -> None:
    place = tmp_path / "run"
    with pytest.raises(InUseError, match="run is in use by"), replacing(place, force=force) as new:
        train(place)
        kept = contents(place)
        (new.directory / "file").touch()
    assert contents(tmp_path) == {f"run/{name}": content for name, content in kept.items()}


@pytest.mark.parametrize("force", [True, False])
def test_a_run_in_use_is_left_alone(force: bool, tmp_path: Path) -> None:
    place = tmp_path / "run"
    with RunWriter.create(place, settings(0), SmallTraining().state()):
        before = contents(place)
        message = f"run is in use by process {os.getpid()}; wait until it ends, or choose another"
        with pytest.raises(InputError, match=message):
            train(place, force=force)
        with pytest.raises(InputError, match=message):
            resume(place)
        assert contents(place) == before
        assert load_run(place).values["epoch"] == 0
    assert (place / LOCK).read_bytes() == b""
    resume(place)


def test_force_replaces_nothing_but_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    (tmp_path / "file").write_text("more work")
    monkeypatch.chdir(tmp_path)
    before = contents(tmp_path)
    for name, message in (
        ("thesis", "holds 'chapter.tex', which is no part"),
        ("file", "file is a file; expected a new or empty directory"),
        (".", "the run . is the current directory"),
        ("file/run", "file/run: cannot be written: "),
    ):
        with pytest.raises(InputError, match=message):
            train(Path(name), force=True)
    assert contents(tmp_path) == before


def test_what_killed_processes_left_is_completed_or_undone(tmp_path: Path) -> None:
    train(tmp_path / "run")
    whole = contents(tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / ".run.0123abcd.old")
    (tmp_path / ".run.0123abcd.new").mkdir()
    (tmp_path / ".run.0123abcd.new" / "half").write_text("of a run")
    (tmp_path / ".run.4567abcd.new").mkdir()
    with Ownership(tmp_path / ".run.4567abcd.new"):
        assert load_run(tmp_path / "run").values["epoch"] <= EPOCHS
        assert sorted(os.listdir(tmp_path)) == [".run.4567abcd.new", "run"], "all but those in use"
    assert contents(tmp_path / "run") == whole
    (tmp_path / "run").rename(tmp_path / ".run.0123abcd.old")
    with pytest.raises(InputError, match="there is a run"):
        train(tmp_path / "run")
    assert os.listdir(tmp_path) == ["run"]
    assert contents(tmp_path / "run") == whole
    (tmp_path / ".run.0123abcd.old").mkdir()
    train(tmp_path / "run", seed=1, force=True)
    assert os.listdir(tmp_path) == ["run"]


def test_an_older_run_never_comes_back_over_another(tmp_path: Path) -> None:
    train(tmp_path / "run")
    whole = contents(tmp_path / "run")
    train(tmp_path / "old", seed=1)
    (tmp_path / "old").rename(tmp_path / ".run.0123abcd.old")
    resume(tmp_path / "run")
    assert contents(tmp_path) == {f"run/{name}": content for name, content in whole.items()}


def test_metrics_that_were_changed_are_not_gone_on_with(tmp_path: Path) -> None:
    stopped(tmp_path / "run", 2)
    file = tmp_path / "run" / METRICS
    content = file.read_bytes()
    for changed in (content[:20], content.replace(b"1", b"2", 1), b""):
        file.write_bytes(changed)
        with pytest.raises(
            InputError, match=r"metrics\.jsonl does not begin with the 1?\d\d bytes"
        ):
            resume(tmp_path / "run")
        assert file.read_bytes() == changed
    file.unlink()
    with pytest.raises(InputError, match="No such file"):
        resume(tmp_path / "run")
    file.write_bytes(content)
    resume(tmp_path / "run")


def replaced(old: str, new: str) -> Callable[[Path], object]:
    return lambda run: (run / SETTINGS).write_text((run / SETTINGS).read_text().replace(old, new))


def without(name: str) -> Callable[[Path], object]:
    return lambda run: (run / name).unlink()


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no settings": (without(SETTINGS), r"no run in .*: there is no settings\.toml there; expected"),
    "no TOML": (replaced("=", ":"), r"settings\.toml is no TOML: Expected '=' after a key"),
    "deep": (replaced("seed = 0", "seed = " + "[" * 10_000), r"settings\.toml is no TOML: "),
    "long": (replaced("seed", "#" * 2**20), r"settings\.toml: longer than 1,048,576 bytes"),
    "no network": (replaced("network", "net"), "broken: there is no network"),
    "number": (replaced('"2-1:tanh"', "2"), "broken: 2 is no text"),
    "plugins": (replaced("seed", "plugins"), "broken: "),
    "type": (replaced("seed = 0", 'dtype = "int8"'), "broken: 'int8' is no type of numbers"),
    "network": (
        replaced("2-1:tanh", "2-1:relu"),
        "is of the network '2-1:tanh', but settings.toml",
    ),
    "loss": (
        replaced("half_", ""),
        "is of the loss 'half_squared_error', but settings.toml says 's",
    ),
    "no checkpoint": (lambda run: (without(BEST)(run), without(LAST)(run)), "No such file"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_run_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    damage, message = DAMAGE[case]
    train(tmp_path / "run")
    damage(tmp_path / "run")
    for attempt in (load_run, resume):
        with pytest.raises(InputError, match=message) as told:
            attempt(tmp_path / "run")
        assert str(told.value).isprintable()


def test_parameters_are_those_of_the_network(tmp_path: Path) -> None:
    training = SmallTraining()
    with RunWriter.create(tmp_path / "run", settings(0), training.state()):
        run = load_run(tmp_path / "run")
    with pytest.raises(InputError, match=r"layer 1 differs: W1 has \(1, 2\), expected \(1, 3\)"):
        run.parameters({"W1": (1, 3), "b1": (1,)})
    training.arrays["parameters/b1"][:] = np.inf
    with RunWriter.create(tmp_path / "run", settings(0), training.state(), force=True):
        pass
    with pytest.raises(InputError, match="parameters/b1 is not finite; train the run again"):
        run.parameters(SHAPES)
