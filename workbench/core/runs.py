"""Runs: the directory that a training keeps itself in, and what is read back from it.

    settings.toml       the resolved experiment; training by it makes the same run again
    metrics.jsonl       one record an epoch, appended to while training
    last.safetensors    the checkpoint to go on from
    best.safetensors    the checkpoint of the best epoch so far, if one was told
    replicas.jsonl      one record a replica, made at the end of a training of several
    test.json           the scores on the test part, if there is one, made at the end
    lock                locked by the process that trains, whose number it holds then

A run is *unfinished* from its first checkpoint, made before the first step, until the one that says
that it is finished. At every moment, and whatever is killed or fails then:

- Each file of the run but `metrics.jsonl` is whole: the old one or the new one.
- `metrics.jsonl` begins with all lines that the last checkpoint counts, which says their length and
  digest. Lines after these are cut off on resuming, and made again.
- `best.safetensors` is at most one checkpoint ahead of `last.safetensors`, which makes it again.
- One process writes, the owner of the directory (`workbench.core.ownership`). A run that is
  replaced stays until the new one is in its place with its first checkpoint.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from workbench.core.atomic import TEMPORARY, replace_file, writing
from workbench.core.checkpoint import (
    PREFIX,
    Array,
    Checkpoint,
    read_checkpoint,
    read_values,
    write_checkpoint,
)
from workbench.core.data.preparation import Preparation
from workbench.core.experiment import read_experiment
from workbench.core.metrics import Metrics
from workbench.core.ownership import (
    LOCK,
    Ownership,
    in_use,
    is_owned,
    is_vacant,
    recover,
    replacing,
)
from workbench.core.parameters import DTYPES, Parameters
from workbench.errors import InputError

SETTINGS, METRICS = "settings.toml", "metrics.jsonl"
LAST, BEST = "last.safetensors", "best.safetensors"
REPLICAS, TEST = "replicas.jsonl", "test.json"
FILES = frozenset({SETTINGS, METRICS, LAST, BEST, LOCK})

EXPORTED = re.compile(r"model\.(onnx|safetensors|npz|py|pt)")
"""What `workbench export` puts into a run's directory."""

EXPECTED = "expected a directory that workbench train --run made"


class RunWriter:
    """The one who writes a run: a context manager that takes records and checkpoints.

    At its end it only lets go of the directory; what was checkpointed stays, whatever ended it.
    """

    def __init__(self, owned: Ownership, settings: Mapping[str, Any], metrics: Metrics):
        self._owned = owned
        self._subject = {name: settings[name] for name in ("network", "loss")}
        self._metrics = metrics

    @classmethod
    def create(
        cls, path: str | Path, settings: str, state: Checkpoint, *, force: bool = False
    ) -> RunWriter:
        """Begin a run with its settings, as TOML, and the state before the first step.

        Raises
        ------
        InputError
            If the place is taken; see `require_place`.
        StorageError
            If something cannot be written; what was at the place is still there.
        """
        require_place(path, force=force)
        place = Path(os.path.realpath(path))
        with writing(path), ExitStack() as on_failure:
            place.parent.mkdir(parents=True, exist_ok=True)
            with replacing(place, force=force) as owned:
                replace_file(owned.directory / SETTINGS, settings)
                metrics = Metrics(owned.directory / METRICS)
                on_failure.callback(metrics.close)
                writer = cls(owned, _read_settings(owned.directory), metrics)
                writer.checkpoint(state)
            on_failure.pop_all()
        return writer

    @classmethod
    def resume(
        cls, path: str | Path, expected: Mapping[str, Array]
    ) -> tuple[RunWriter, Checkpoint]:
        """Go on with a run from its last checkpoint, finished or not.

        Parameters
        ----------
        expected : arrays of the names, shapes and types that the state must have.

        Raises
        ------
        InputError
            If there is no run, it is in use, damaged, or of another network.
        StorageError
            If something cannot be written.
        """
        place = Path(os.path.realpath(path))
        with writing(path), ExitStack() as on_failure:
            recover(place)
            _read_settings(place)
            owned = on_failure.enter_context(Ownership(place))
            settings = _read_settings(place)
            checkpoint = read_checkpoint(place / LAST, expected)
            _require_subject(settings, checkpoint.values, place / LAST)
            metrics = Metrics(place / METRICS, told=checkpoint.values.get("metrics", {}))
            on_failure.callback(metrics.close)
            _remove_temporaries(place)
            on_failure.pop_all()
        return cls(owned, settings, metrics), checkpoint

    @property
    def path(self) -> Path:
        """The directory."""
        return self._owned.directory

    def record(self, lines: str) -> None:
        """Append lines to the metrics; see `Metrics.append`."""
        self._metrics.append(lines)

    def checkpoint(
        self, state: Checkpoint, *, best: Checkpoint | None = None, finished: bool = False
    ) -> None:
        """Keep the state as the last one, with all records so far, and another as the best.

        Raises
        ------
        StorageError
            If it cannot be written; the last checkpoint before is still there.
        """
        self._metrics.sync()
        if best is not None:
            write_checkpoint(self.path / BEST, self._described(best))
        own = {"finished": finished, "metrics": self._metrics.to_json()}
        write_checkpoint(self.path / LAST, self._described(state, **own))

    def keep(self, name: str, text: str) -> None:
        """Put a file of text, such as SETTINGS, in the place of the one that is there, if any.

        Raises
        ------
        StorageError
            If it cannot be written; the one before is still there.
        """
        replace_file(self.path / name, text)

    def _described(self, state: Checkpoint, **values: Any) -> Checkpoint:
        """A state with what it is of, and further values."""
        return Checkpoint(state.arrays, {**state.values, **self._subject, **values})

    def __enter__(self) -> RunWriter:
        """Do nothing: the run is there already."""
        return self

    def __exit__(self, *error: object) -> None:
        """Let go of the run."""
        self._metrics.close()
        self._owned.give_up()


@dataclass(frozen=True)
class Run:
    """What a run directory says about the network trained in it, as of its best checkpoint.

    Attributes
    ----------
    network, loss : as text, to be built with the plugins in `plugin_files`.
    settings : of the training.
    preparation : for new inputs.
    checkpoint : the file that the parameters are in.
    values : what the checkpoint says besides arrays, such as its epoch.
    unfinished : where the training stands, if it is not finished.
    """

    path: Path
    network: str
    loss: str
    plugin_files: tuple[Path, ...]
    settings: Mapping[str, Any]
    preparation: Preparation
    checkpoint: Path
    values: Mapping[str, Any] = field(repr=False)
    unfinished: str | None = None

    def parameters(self, shapes: Mapping[str, tuple[int, ...]]) -> Parameters:
        """Read the trained parameters, which must be of the names and shapes given."""
        parameters = Parameters(shapes, str(self.settings["dtype"]))
        expected = {f"{PREFIX}{name}": view for name, view in parameters.items()}
        arrays = read_checkpoint(self.checkpoint, expected, prefix=PREFIX).arrays
        for name, view in expected.items():
            if not np.isfinite(arrays[name]).all():
                raise InputError(f"{self.checkpoint}: {name} is not finite; train the run again")
            view[...] = arrays[name]
        return parameters


def require_place(path: str | Path, *, force: bool) -> None:
    """Refuse a path where a run would overwrite something, or with `force` anything but a run.

    Raises
    ------
    InputError
        If a file, something that is no part of a run, or (without `force`) a run is there, or one
        that another process writes.

    >>> import tempfile
    >>> directory = Path(tempfile.mkdtemp())
    >>> require_place(directory, force=False)
    >>> _ = (directory / "thesis.tex").write_text("important")
    >>> require_place(directory, force=True)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    workbench.errors.InputError: ...holds 'thesis.tex', which is no part of a run; ...
    """
    place = Path(os.path.realpath(path))
    with writing(path):
        recover(place)
        if place == Path.cwd():
            raise InputError(f"the run {path} is the current directory; expected one to be made")
        if is_vacant(place):
            return
        if not place.is_dir():
            raise InputError(f"the run {path} is a file; expected a new or empty directory")
        for name in sorted(os.listdir(place)):
            if name not in FILES | {REPLICAS, TEST} and not (
                TEMPORARY.fullmatch(name) or EXPORTED.fullmatch(name)
            ):
                raise InputError(
                    f"the directory {path} holds {name!r}, which is no part of a run; expected a "
                    "new or empty directory; choose another"
                )
        if is_owned(place):
            raise in_use(place)
        if not force:
            raise InputError(_taken(place))


def read_settings(path: str | Path) -> dict[str, Any]:
    """Read the settings of a run; one that was moved aside is put back into its vacant place.

    Raises
    ------
    InputError
        If there is no run, or its settings are broken.
    """
    place = Path(os.path.realpath(path))
    with writing(path):
        if is_vacant(place):
            recover(place)
    return _read_settings(Path(path))


def load_run(path: str | Path) -> Run:
    """Read what a run is of, from its settings and its best checkpoint; nothing is executed.

    >>> load_run("missing")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    workbench.errors.InputError: no run in missing: ...
    """
    path, settings = Path(path), read_settings(path)
    checkpoint = path / BEST if (path / BEST).exists() else path / LAST
    if checkpoint.name == LAST and settings.get("replicas", 1) != 1:
        raise InputError(
            f"no epoch of the replicas in {path} is over, so none of them is the best; "
            f"go on with: workbench train --resume {path}"
        )
    values = read_values(checkpoint)
    _require_subject(settings, values, checkpoint)
    return Run(
        path,
        settings["network"],
        settings["loss"],
        tuple(map(Path, settings["plugins"])),
        settings,
        Preparation.from_json(values.get("preparation", {})),
        checkpoint,
        values,
        _unfinished(path, settings),
    )


def _unfinished(path: Path, settings: Mapping[str, Any]) -> str | None:
    """Say so if a training has not come to its end, and what there is of it."""
    last = read_values(path / LAST) if (path / LAST).exists() else {}
    if last.get("finished", True):
        return None
    epoch = last.get("epoch")
    state = f"epoch {epoch}" if epoch else "epoch 0, its starting values,"
    return (
        f"the training in {path} is not finished: its last checkpoint is of {state} of "
        f"{settings.get('epochs')}; go on with: workbench train --resume {path}"
    )


def _remove_temporaries(place: Path) -> None:
    """Remove the files that a killed process had not completed."""
    for name in os.listdir(place):
        if TEMPORARY.fullmatch(name):
            os.unlink(place / name)


def _taken(place: Path) -> str:
    """Say which run stands at a place, and the ways out."""
    try:
        values, epochs = read_values(place / LAST), _read_settings(place).get("epochs")
    except InputError:
        values, epochs = {}, None
    if values.get("finished", True):
        return (
            f"there is a run in {place} already; choose another directory, or give --force to "
            "replace it"
        )
    whole = f" of {epochs}" if epochs else ""
    return (
        f"unfinished run in {place}, its last checkpoint at epoch {values.get('epoch')}{whole}; "
        "continue with --resume, or --force to replace it"
    )


def _require_subject(
    settings: Mapping[str, Any], values: Mapping[str, Any], checkpoint: Path
) -> None:
    """Refuse a checkpoint of another network or loss than the settings say."""
    for name in ("network", "loss"):
        if values.get(name) != settings[name]:
            raise InputError(
                f"{checkpoint} is of the {name} {values.get(name)!r}, but {SETTINGS} says "
                f"{settings[name]!r}; take an intact copy of the run, or train again"
            )


def _read_settings(path: Path) -> dict[str, Any]:
    """Read the settings of a run, of which those that the run itself needs are checked."""
    file = path / SETTINGS
    if not file.is_file():
        raise InputError(f"no run in {path}: there is no {SETTINGS} there; {EXPECTED}")
    try:
        settings = {"plugins": [], "dtype": "float64", **read_experiment(file)}
        for text in (settings["network"], settings["loss"], *settings["plugins"]):
            if not isinstance(text, str):
                raise TypeError(f"{text!r:.40} is no text")
        if settings["dtype"] not in DTYPES:
            raise TypeError(f"{settings['dtype']!r:.40} is no type of numbers")
    except KeyError as error:
        problem = f"{file} is broken: there is no {error.args[0]}"
    except TypeError as error:
        problem = f"{file} is broken: {error}"
    except InputError as error:
        problem = str(error)
    else:
        return settings
    raise InputError(f"{problem}; take an intact copy of the run")
