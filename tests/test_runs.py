"""Runs: the directory that training leaves, whole or not at all."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench.core import runs
from workbench.core.data import load
from workbench.core.runs import Run, RunWriter, load_run
from workbench.core.training import Settings, Training, train
from workbench.derivation.network import Network
from workbench.errors import InputError
from workbench.plugins.build import build_network
from workbench.plugins.registry import load_registry

EXAMPLES = Path(__file__).parents[1] / "examples" / "data"
XOR, DIGITS = EXAMPLES / "xor.csv", EXAMPLES / "digits.csv"

Capture = pytest.CaptureFixture[str]


def network(text: str) -> Network:
    return build_network(text, registry=load_registry())


def training(epochs: int = 2, seed: int = 0) -> Training:
    return train(network("2-3:tanh-1"), load(XOR), Settings(epochs=epochs, seed=seed))


def write_run(path: Path, *, force: bool = False, seed: int = 0) -> Training:
    started = training(seed=seed)
    with RunWriter(path, started, source="xor.csv", force=force) as writer:
        for record in started:
            writer.record(record)
    return started


def contents(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def test_a_run_holds_what_was_trained(tmp_path: Path) -> None:
    started = write_run(tmp_path / "deep" / "run")
    assert sorted(contents(tmp_path)) == [
        "deep/run/metrics.jsonl",
        "deep/run/parameters.npz",
        "deep/run/settings.json",
    ]
    trained = load_run(tmp_path / "deep" / "run")
    assert (trained.network, trained.loss) == ("2-3:tanh-1:sigmoid", "half_squared_error")
    assert trained.settings["learning_rate"] == 0.001
    parameters = trained.parameters(network(trained.network))
    assert parameters.vector.tolist() == started.parameters.vector.tolist()
    lines = (trained.path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_run(tmp_path / name, seed=seed)
    a, b, c = (contents(tmp_path / name) for name in "abc")
    assert a["parameters.npz"] == b["parameters.npz"] != c["parameters.npz"]
    assert a["settings.json"] == b["settings.json"] != c["settings.json"]


def test_a_run_is_replaced_only_by_force(tmp_path: Path) -> None:
    write_run(tmp_path / "run", seed=1)
    before = contents(tmp_path)
    with pytest.raises(InputError, match=r"there is a run in .* already; .* or give --force"):
        write_run(tmp_path / "run", seed=2)
    assert contents(tmp_path) == before
    write_run(tmp_path / "run", force=True, seed=2)
    after = contents(tmp_path)
    assert after.keys() == before.keys()
    assert after["run/parameters.npz"] != before["run/parameters.npz"]


def test_a_place_that_is_taken_is_refused_before_training(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    with pytest.raises(InputError, match="there is a run in"):
        RunWriter(tmp_path / "run", training(), source="xor.csv")


def test_force_replaces_nothing_but_runs(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    (tmp_path / "file").write_text("more work")
    before = contents(tmp_path)
    for name, message in (("thesis", "holds 'chapter.tex', which is no part"), ("file", "a file;")):
        with pytest.raises(InputError, match=message):
            write_run(tmp_path / name, force=True)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("epochs", [0, 1])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, BrokenPipeError])
def test_what_a_broken_training_leaves(
    error: type[BaseException], epochs: int, tmp_path: Path
) -> None:
    write_run(tmp_path / "run", seed=1)
    before = contents(tmp_path)
    started = training(epochs=3, seed=2)
    with (
        pytest.raises(error),
        RunWriter(tmp_path / "run", started, source="xor.csv", force=True) as writer,
    ):
        for record in started:
            if record.epoch > epochs:
                raise error
            writer.record(record)
    if error is ValueError or epochs == 0:
        assert contents(tmp_path) == before
        return
    assert contents(tmp_path).keys() == before.keys()
    one_epoch = training(epochs=1, seed=2)
    list(one_epoch)
    kept = load_run(tmp_path / "run").parameters(one_epoch.network)
    assert kept.vector.tolist() == one_epoch.parameters.vector.tolist()


def test_a_place_taken_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="there is a run"),
        RunWriter(tmp_path / "run", training(), source="xor.csv"),
    ):
        write_run(tmp_path / "run", seed=1)
        before = contents(tmp_path / "run")
    assert contents(tmp_path) == {f"run/{name}": content for name, content in before.items()}


def test_an_old_run_comes_back_if_the_new_one_cannot_be_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / "run", seed=1)
    before, rename = contents(tmp_path), Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.suffix == ".unfinished":
            raise OSError(28, "No space left", str(target))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="No space left"):
        write_run(tmp_path / "run", force=True, seed=2)
    assert contents(tmp_path) == before


def arrays_of(run: Run) -> dict[str, Any]:
    with np.load(run.path / runs.PARAMETERS) as archive:
        return dict(archive)


DAMAGE: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "layer missing": (lambda arrays: arrays.pop("W2"), "layer 2 differs: the file has no W2"),
    "layer too many": (lambda a: a.update(W3=a["W1"]), "layer 3 differs: the network has no W3"),
    "shape": (
        lambda a: a.update(b1=np.zeros(2)),
        r"is of another network than 2-3:tanh-1:sigmoid: layer 1 differs: b1 has the shape \(2,\)",
    ),
    "bomb": (lambda a: a.update(W1=np.zeros((9999, 999))), "layer 1 differs: W1 has more numbers"),
    "pickle": (lambda a: a.update(b1=np.array([print] * 3, dtype=object)), "expected plain number"),
    "text": (lambda a: a.update(b1=np.array(["a", "b", "c"])), "b1 holds more than finite numbers"),
    "nan": (lambda a: a.update(b1=np.full(3, np.nan)), "b1 holds more than finite numbers"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_parameters_of_another_network_are_refused(case: str, tmp_path: Path) -> None:
    damage, message = DAMAGE[case]
    write_run(tmp_path / "run")
    run = load_run(tmp_path / "run")
    arrays = arrays_of(run)
    damage(arrays)
    np.savez_compressed(run.path / runs.PARAMETERS, **arrays)
    with pytest.raises(InputError, match=message):
        run.parameters(network(run.network))


def test_parameters_that_are_no_archive(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    run = load_run(tmp_path / "run")
    (run.path / runs.PARAMETERS).write_bytes(b"PK\x03\x04 and nothing more")
    with pytest.raises(InputError, match=r"parameters\.npz is broken: not a readable"):
        run.parameters(network(run.network))
    with zipfile.ZipFile(run.path / runs.PARAMETERS, "w") as archive:
        archive.writestr("W1.npy", "text")
    with pytest.raises(InputError, match="layer 1 differs: the file has no b1"):
        run.parameters(network(run.network))
    (run.path / runs.PARAMETERS).unlink()
    with pytest.raises(InputError, match="the run is not complete"):
        run.parameters(network(run.network))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "JSONDecodeError"),
        ("[" * 100_000, "RecursionError"),
        ("[]", "TypeError"),
        ("{}", "KeyError: 'format'"),
        ('{"format": 9}', "format 9, expected 1"),
        ('{"format": 1, "network": 3}', "3 is no text"),
    ],
)
def test_broken_settings(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text(content)
    with pytest.raises(InputError, match=rf"settings\.json is broken \(.*{message}"):
        load_run(tmp_path)
