"""Runs: the directory that a training leaves behind, and what is read back from it.

    settings.json     the network, its loss, all settings, the preparation, versions
    metrics.jsonl     one record an epoch
    parameters.npz    every weight and bias by name

A run is written beside its place and moved there when it is complete, so that nobody meets half of
one, and one that is replaced stays until then.
"""

from __future__ import annotations

import io
import json
import os
import platform
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from workbench.core.data.arrays import ARCHIVE_ERRORS, read_array
from workbench.core.data.files import read_bytes
from workbench.core.data.preparation import Preparation
from workbench.core.parameters import Parameters, parameter_shapes
from workbench.core.training import EpochRecord, Training
from workbench.derivation.network import Network
from workbench.errors import InputError

SETTINGS, METRICS, PARAMETERS = "settings.json", "metrics.jsonl", "parameters.npz"
FILES = frozenset({SETTINGS, METRICS, PARAMETERS})

FORMAT = 1
"""The version of the directory's format, written into the settings."""

LONGEST_HEADER = 2**16
"""The bytes that an array's header may take in a file of parameters."""


LARGEST_ITEM = 8
"""The bytes of a float64."""

Array = NDArray[Any]


class RunWriter:
    """A run directory being written: a context manager that takes the record of every epoch.

    If the context ends well the run is moved to its place. If it is stopped from outside (Ctrl-C,
    a closed pipe) after at least one epoch, the run as of the last epoch is. On any other error
    nothing is left and an older run stays.

    Raises
    ------
    InputError
        If the place is taken and `force` is not set, or by something that is no run.
    """

    def __init__(
        self,
        path: str | Path,
        training: Training,
        *,
        source: str,
        plugin_files: Sequence[str | Path] = (),
        force: bool = False,
    ):
        require_place(path, force=force)
        self.path = Path(os.path.realpath(path))
        self._unfinished = self.path.with_name(f"{self.path.name}.{token_hex(4)}.unfinished")
        self._force = force
        self._training = training
        self._settings = _description(training, source, plugin_files)
        self._snapshot = training.parameters.vector.copy()
        self._epochs = 0
        self._metrics: TextIO

    def __enter__(self) -> RunWriter:
        """Make the unfinished directory."""
        self._unfinished.parent.mkdir(parents=True, exist_ok=True)
        self._unfinished.mkdir()
        text = json.dumps(self._settings, indent=2, ensure_ascii=False, allow_nan=False)
        (self._unfinished / SETTINGS).write_text(text + "\n", encoding="utf-8")
        self._metrics = (self._unfinished / METRICS).open("w", encoding="utf-8", newline="\n")
        return self

    def record(self, record: EpochRecord) -> None:
        """Write the record of an epoch, and keep the parameters as they are now."""
        print(json.dumps(record.to_json(), allow_nan=False), file=self._metrics, flush=True)
        self._snapshot[:] = self._training.parameters.vector
        self._epochs += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Put a complete run into its place, or leave nothing."""
        stopped = isinstance(error, KeyboardInterrupt | BrokenPipeError)
        try:
            self._metrics.close()
            if error is None or (stopped and self._epochs):
                self._save_parameters()
                require_place(self.path, force=self._force)
                _move(self._unfinished, self.path)
        finally:
            shutil.rmtree(self._unfinished, ignore_errors=True)

    def _save_parameters(self) -> None:
        parameters = self._training.parameters.zeros_like()
        parameters.vector[:] = self._snapshot
        save_parameters(self._unfinished / PARAMETERS, parameters)


@dataclass(frozen=True)
class Run:
    """What a run directory says about the network trained in it.

    Attributes
    ----------
    network, loss : as text, to be built with the plugins in `plugin_files`.
    settings : those of training.
    preparation : for new inputs.
    """

    path: Path
    network: str
    loss: str
    plugin_files: tuple[Path, ...]
    settings: Mapping[str, Any]
    preparation: Preparation

    def parameters(self, network: Network) -> Parameters:
        """Read the trained parameters, which must be those of the network given."""
        return load_parameters(self.path / PARAMETERS, network, str(self.settings["dtype"]))


def require_place(path: str | Path, *, force: bool) -> None:
    """Refuse a path where a run would overwrite something, or with `force` anything but a run.

    >>> import tempfile
    >>> directory = Path(tempfile.mkdtemp())
    >>> require_place(directory, force=False)
    >>> _ = (directory / "thesis.tex").write_text("important")
    >>> require_place(directory, force=True)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    workbench.errors.InputError: ...holds 'thesis.tex', which is no part of a run; ...
    """
    path = Path(path)
    if not path.exists():
        return
    if not path.is_dir():
        raise InputError(f"the run {path} is a file; expected a new or empty directory")
    entries = sorted(entry.name for entry in path.iterdir())
    strangers = [name for name in entries if name not in FILES]
    if strangers:
        raise InputError(
            f"the directory {path} holds {strangers[0]!r}, which is no part of a run; "
            "expected a new or empty directory; choose another"
        )
    if entries and not force:
        raise InputError(
            f"there is a run in {path} already; choose another directory, or give --force to "
            "replace it"
        )


def load_run(path: str | Path) -> Run:
    """Read a run directory's settings; nothing in it is executed.

    >>> load_run("missing")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    workbench.errors.InputError: no run in missing: ...
    """
    path = Path(path)
    if not (path / SETTINGS).is_file():
        raise InputError(
            f"no run in {path}: there is no {SETTINGS} there; expected a directory that "
            "workbench train --run made"
        )
    try:
        record = json.loads(read_bytes(str(path / SETTINGS)))
        if record["format"] != FORMAT:
            raise ValueError(f"format {record['format']!r}, expected {FORMAT}")
        return Run(
            path,
            _text(record["network"]),
            _text(record["loss"]),
            tuple(Path(_text(file)) for file in record["plugins"]),
            dict(record["settings"]),
            Preparation.from_json(record["preparation"]),
        )
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path / SETTINGS} is broken ({type(error).__name__}: {error}); train the run again"
        ) from None


def save_parameters(path: Path, parameters: Parameters) -> None:
    """Write parameters by name; the file is complete or as it was.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "parameters.npz")
    >>> save_parameters(path, Parameters({"W1": (2, 3), "b1": (2,)}))
    >>> np.load(path)["W1"].shape
    (2, 3)
    """
    temporary = path.with_name(f"{path.name}.{token_hex(4)}.unfinished")
    arrays: dict[str, Any] = dict(parameters)
    try:
        with temporary.open("wb") as stream:
            np.savez(stream, **arrays)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load_parameters(path: Path, network: Network, dtype: str) -> Parameters:
    """Read the parameters of a network, and no more bytes than it has."""
    parameters = Parameters(parameter_shapes(network), dtype)
    if not path.is_file():
        raise InputError(f"there is no {path}: the run is not complete; train it again")
    try:
        with zipfile.ZipFile(io.BytesIO(read_bytes(str(path)))) as archive:
            _require_names(archive, parameters, path, network)
            for name, view in parameters.items():
                view[...] = _read_parameter(archive, name, view, path, network)
    except ARCHIVE_ERRORS:
        raise InputError(f"{path} is broken: not a readable .npz archive; train again") from None
    return parameters


def _require_names(
    archive: zipfile.ZipFile, parameters: Parameters, path: Path, network: Network
) -> None:
    """Refuse an archive of other parameters, by the first layer in which it differs."""
    found = [entry.filename.removesuffix(".npy") for entry in archive.infolist()]
    for name in [*parameters, *found]:
        if (name in found) != (name in parameters):
            owner = "the file has no" if name in parameters else "the network has no"
            raise InputError(
                f"{path} is of another network than {network}: layer {name[1:]} differs: {owner} "
                f"{name}; use the network it was trained with"
            )


def _read_parameter(
    archive: zipfile.ZipFile, name: str, view: Array, path: Path, network: Network
) -> Array:
    entry = archive.getinfo(f"{name}.npy")
    if entry.file_size > view.size * LARGEST_ITEM + LONGEST_HEADER:
        raise _another_network(name, "more numbers", view, path, network)
    with archive.open(entry) as stream:
        array = read_array(stream, entry.file_size, f"{path}: {entry.filename}")
    if array.shape != view.shape:
        raise _another_network(name, f"the shape {array.shape}", view, path, network)
    if array.dtype.kind != "f" or not np.isfinite(array).all():
        raise InputError(f"{path}: {name} holds more than finite numbers; train the run again")
    return array


def _another_network(
    name: str, found: str, expected: Array, path: Path, network: Network
) -> InputError:
    return InputError(
        f"{path} is of another network than {network}: layer {name[1:]} differs: {name} has "
        f"{found}, expected {expected.shape}; use the network it was trained with"
    )


def _description(
    training: Training, source: str, plugin_files: Sequence[str | Path]
) -> dict[str, Any]:
    """All that `settings.json` says."""
    return {
        "format": FORMAT,
        "network": str(training.network),
        "loss": training.network.loss.name,
        "data": source,
        "plugins": [str(Path(file).resolve()) for file in plugin_files],
        "settings": training.settings.to_json(),
        "preparation": training.preparation.to_json(),
        "versions": {
            "workbench": _own_version(),
            "python": platform.python_version(),
            "numpy": np.__version__,
        },
    }


def _own_version() -> str | None:
    try:
        return version("backprop-workbench")
    except PackageNotFoundError:
        return None


def _move(source: Path, destination: Path) -> None:
    """Move a directory to a place whose old directory, if any, goes only once that is done."""
    aside = source.with_suffix(".replaced")
    if destination.exists():
        destination.rename(aside)
    try:
        source.rename(destination)
    except OSError:
        if aside.exists():
            aside.rename(destination)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
