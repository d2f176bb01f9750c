"""Event files for TensorBoard: the numbers of each epoch's record, drawn over the epochs.

An event file is a row of records in the framing of TFRecord; the package `tensorboard` knows both
(https://www.tensorflow.org/tensorboard). TensorBoard reads the files of a directory in the order of
their names, and at the start of a session forgets what it has read of that step and later ones. So
a training that goes on writes a file of its own behind the others, and no epoch shows twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from time import time
from types import TracebackType
from typing import Any

from workbench.core.atomic import writing
from workbench.core.progress import EpochRecord
from workbench.errors import InputError

FORMAT = "brain.Event:2"
"""The version of event files in which the start of a session is heeded."""

NAME = re.compile(r"events\.out\.tfevents\.(\d+)\..*")
"""The names of event files, with the second in which one was begun."""

TAGS = {
    "loss": "loss",
    "accuracy": "accuracy",
    "validation_loss": "validation/loss",
    "validation_accuracy": "validation/accuracy",
    "learning_rate": "learning_rate",
    "gradient_norm": "gradient_norm",
}
"""What each number of a record is called; what stands before a slash is a group of charts."""


def require_room(directory: Path, *, is_shared: bool) -> None:
    """Refuse what would end in no event file, before anything is trained.

    Parameters
    ----------
    is_shared : whether the event files of another session may be there.

    Raises
    ------
    InputError
        If the package is missing, or the directory has event files of another training.
    """
    if find_spec("tensorboard") is None:
        raise InputError(
            "--tensorboard needs the package tensorboard: "
            "pip install 'backprop-workbench[tensorboard]'"
        )
    if not is_shared and any(_numbers(directory)):
        raise InputError(
            f"{directory} holds the event files of another training; expected a new directory; "
            "name another one, or show this training in that one's place with --force"
        )


class EventFile:
    """An event file that takes the records of one session; a context manager.

    Parameters
    ----------
    directory : made if it is not there.
    first_epoch : of the session; what another one wrote of this epoch and later ones is no longer
        shown.

    Raises
    ------
    StorageError
        If the file cannot be written.
    """

    def __init__(self, directory: Path, first_epoch: int):
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter

        number = max(int(time()), *(last + 1 for last in _numbers(directory)), 0)
        self.path = directory / f"events.out.tfevents.{number:010}.workbench"
        self._event, self._summary = Event, Summary
        with writing(self.path):
            directory.mkdir(parents=True, exist_ok=True)
            self._writer = RecordWriter(self.path.open("xb"))
        self._write(file_version=FORMAT)
        self._write(step=first_epoch, session_log=SessionLog(status=SessionLog.START))

    def add(self, record: EpochRecord) -> None:
        """Write the numbers of an epoch."""
        values = [
            self._summary.Value(tag=tag, simple_value=value)
            for name, tag in TAGS.items()
            if (value := getattr(record, name)) is not None
        ]
        self._write(step=record.epoch, summary=self._summary(value=values))

    def flush(self) -> None:
        """Hand to the system what has been written."""
        with writing(self.path):
            self._writer.flush()

    def __enter__(self) -> EventFile:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        with writing(self.path):
            self._writer.close()

    def _write(self, **fields: Any) -> None:
        with writing(self.path):
            self._writer.write(self._event(wall_time=time(), **fields).SerializeToString())


def _numbers(directory: Path) -> Iterator[int]:
    """The numbers in the names of the event files that are there."""
    for path in directory.glob("events.out.tfevents.*"):
        if found := NAME.fullmatch(path.name):
            yield int(found[1])
