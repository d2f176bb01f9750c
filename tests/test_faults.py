"""A system call that fails, or is the last, at every single place of a training that keeps itself.

Whatever happens then, the run at its place is the old one or the new one, can be loaded, and can be
trained to the same bytes as if nothing had happened.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.small_training import SmallTraining, resume, settings, train
from workbench.core.atomic import replace_file
from workbench.core.ownership import LOCK
from workbench.core.runs import FILES, LAST, RunWriter, load_run
from workbench.errors import InputError, StorageError

CALLS = (
    *("open", "write", "fsync", "ftruncate", "pread", "fchmod"),
    *("mkdir", "rename", "replace", "link", "unlink", "rmdir", "listdir", "scandir"),
)
"""The functions of `os` by which files are changed; and `fcntl.flock`."""

EPOCHS = 2


class Killed(BaseException):
    """Stands for the end of the process: no code of it does anything any more."""


class Faults:
    """Stands between the program and the system, and strikes at one of its calls.

    Parameters
    ----------
    strike : the number of the call, from 0.
    fault : what happens then: "error", an error of the device, once; "full", a disk that takes half
        of what is written then and nothing after; "killed", the end of the process.
    """

    def __init__(self, strike: int, fault: str):
        self.strike, self.fault = strike, fault
        self.count = 0
        self.opened: set[int] = set()

    @property
    def struck(self) -> bool:
        return self.count > self.strike

    def between(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        """A stand-in for a call."""

        def call(*arguments: Any, **options: Any) -> Any:
            if self.fault == "full" and name != "write":
                return real(*arguments, **options)
            number, self.count = self.count, self.count + 1
            if number >= self.strike and self.fault == "killed":
                raise Killed
            if number == self.strike and self.fault == "error":
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            if number >= self.strike and self.fault == "full":
                if number > self.strike:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return real(arguments[0], arguments[1][: len(arguments[1]) // 2 + 1])
            result = real(*arguments, **options)
            if name == "open":
                self.opened.add(result)
            return result

        return call

    def __enter__(self) -> Faults:
        self.patch = pytest.MonkeyPatch()
        close = os.close

        def closed(descriptor: int) -> None:
            self.opened.discard(descriptor)
            close(descriptor)

        self.patch.setattr(os, "close", closed)
        for name in CALLS:
            self.patch.setattr(os, name, self.between(name, getattr(os, name)))
        self.patch.setattr(fcntl, "flock", self.between("flock", fcntl.flock))
        return self

    def __exit__(self, *_: object) -> None:
        """End what a process's end would: locks and open files."""
        self.patch.undo()
        for descriptor in self.opened:
            os.close(descriptor)


def anew(place: Path) -> None:
    train(place, epochs=EPOCHS)


def over_another(place: Path) -> None:
    train(place, epochs=EPOCHS, force=True)


def going_on(place: Path) -> None:
    resume(place, epochs=EPOCHS)


def other(place: Path) -> None:
    train(place, seed=1, epochs=1)


def half(place: Path) -> None:
    """An unfinished run, with a record and a file too many."""
    training = SmallTraining(epochs=EPOCHS)
    with RunWriter.create(place, settings(0, EPOCHS), training.state()) as writer:
        training.run(writer, until=1)
        writer.record(json.dumps(training.train_epoch()) + "\n")
    (place / f".workbench-{0:016x}").touch()


def killed_while_replacing(place: Path) -> None:
    """Another run, moved aside for one that is not there yet."""
    other(place)
    place.rename(place.with_name(".run.0123abcd.old"))
    other(place.with_name(".run.0123abcd.new"))


CASES: dict[str, tuple[Callable[[Path], None] | None, Callable[[Path], None]]] = {
    "anew": (None, anew),
    "over another": (other, over_another),
    "going on": (half, going_on),
    "after a kill": (killed_while_replacing, over_another),
}


def state(place: Path) -> tuple[str, bytes] | None:
    """The settings and the last checkpoint of what is at the place; it can be loaded then."""
    try:
        run = load_run(place)
    except InputError as error:
        assert str(error).startswith("no run in ")
        return None
    run.parameters({"W1": (1, 2), "b1": (1,)})
    return str(run.settings["seed"]), (place / LAST).read_bytes()


def contents(place: Path) -> dict[str, bytes]:
    """The files of a run but for the number that may still be in its lock."""
    assert set(os.listdir(place)) == FILES
    return {name: (place / name).read_bytes() for name in FILES - {LOCK}}


FAULTS = {"error": "Input/output error", "full": "No space left on device", "killed": "nothing"}
"""Each fault, and what is said about it."""


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory where the system has that, since nothing here loses its power."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as path:
        yield Path(path)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("case", CASES)
def test_at_every_call(case: str, fault: str, directory: Path) -> None:
    before, work = CASES[case]
    train(directory / "whole", epochs=EPOCHS)
    whole, strike, struck = contents(directory / "whole"), 0, True
    while struck:
        place = directory / str(strike) / "run"
        place.parent.mkdir()
        if before:
            before(place)
        old = state(place if place.exists() else place.with_name(".run.0123abcd.old"))
        completed = False
        with Faults(strike, fault) as faults, suppress(Killed):
            try:
                work(place)
                completed = True
            except StorageError as error:
                assert str(error).isprintable()
                assert str(error).endswith(f": cannot be written: {FAULTS[fault]}")
        assert not completed or contents(place) == whole
        struck, strike = faults.struck, strike + 1
        if case == "over another" and fault != "killed":
            assert place.exists(), "at once, not only when it is opened again"
        found = state(place)
        if found is None:
            assert case == "anew"
            anew(place)
        elif found == old and case != "going on":
            over_another(place)
        else:
            assert found[0] == "0"
            going_on(place)
        assert contents(place) == whole
        assert [entry.name for entry in place.parent.iterdir()] == ["run"]
    assert strike > 5


def test_no_part_of_a_replaced_run_comes_back(directory: Path) -> None:
    strike, struck = 0, True
    while struck:
        place = directory / str(strike) / "run"
        place.parent.mkdir()
        other(place)
        old = contents(place)
        with Faults(strike, "killed") as faults, suppress(Killed):
            over_another(place)
        struck, strike = faults.struck, strike + 1
        found = state(place)
        if found and found[0] == "0":
            rmtree(place)
            found = state(place)
        assert found is None or contents(place) == old


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_is_replaced_whole_or_not_at_all(fault: str, directory: Path) -> None:
    file, strike, struck = directory / "file", 0, True
    while struck:
        file.write_bytes(b"old")
        with Faults(strike, fault) as faults, suppress(Killed, StorageError):
            replace_file(file, [b"new ", b"content"])
        assert file.read_bytes() in (b"old", b"new content")
        assert fault == "killed" or os.listdir(directory) == ["file"]
        struck, strike = faults.struck, strike + 1


def test_devices_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written: No space left on device"):
        replace_file("/dev/full", "content")
    replace_file("/dev/null", "content")
    with pytest.raises(StorageError, match="cannot be written: Is a directory"):
        replace_file(tmp_path, "content")
    (tmp_path / "file").write_text("old")
    (tmp_path / "file").chmod(0o600)
    (tmp_path / "link").symlink_to("file")
    replace_file(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "new"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600
