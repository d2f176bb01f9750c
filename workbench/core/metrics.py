"""Metrics: the records of a run, in a file that is appended to and can be cut back.

A checkpoint says how long the file was and which digest it had. Lines after that are cut off before
the first that is written when the run goes on, and made again.
"""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from workbench.core.atomic import write_all, writing
from workbench.errors import InputError

BLOCK = 2**20


class Metrics:
    """The file while it is written.

    Raises
    ------
    OSError
        If it cannot be opened.
    InputError
        If it does not begin as it did at the checkpoint that the run goes on from.

    >>> import tempfile
    >>> metrics = Metrics(Path(tempfile.mkdtemp(), "metrics.jsonl"))
    >>> metrics.append('{"epoch": 1}\\n')
    >>> metrics.to_json()["bytes"]
    13
    """

    def __init__(self, path: Path, *, told: Any = None):
        new = told is None
        flags = os.O_RDWR | os.O_APPEND | (os.O_CREAT if new else 0)
        self._path = path
        self._descriptor = os.open(path, flags, 0o666)
        self._length, self._digest = 0, sha256()
        if not new:
            try:
                self._read_up_to(told)
            except BaseException:
                self.close()
                raise

    def append(self, text: str) -> None:
        """Append lines, each with its end.

        Raises
        ------
        StorageError
            If they cannot be written; then the file is as before.
        """
        lines = text.encode()
        with writing(self._path):
            os.ftruncate(self._descriptor, self._length)
            try:
                write_all(self._descriptor, lines)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(self._descriptor, self._length)
                raise
        self._count(lines)

    def sync(self) -> None:
        """Have all of the file on the disk, and nothing behind what is counted.

        Raises
        ------
        StorageError
            If that fails.
        """
        with writing(self._path):
            os.ftruncate(self._descriptor, self._length)
            os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def to_json(self) -> dict[str, Any]:
        """The length and the digest of what is in the file."""
        return {"bytes": self._length, "sha256": self._digest.hexdigest()}

    def _count(self, content: bytes) -> None:
        self._length += len(content)
        self._digest.update(content)

    def _read_up_to(self, told: Any) -> None:
        """Count the lines of which `told` is the record; what stands behind them is left alone."""
        length = told["bytes"] if isinstance(told, dict) and type(told.get("bytes")) is int else 0
        while block := os.pread(self._descriptor, min(BLOCK, length - self._length), self._length):
            self._count(block)
        if self.to_json() != told:
            raise InputError(
                f"{self._path} does not begin with the {length:,} bytes that the last checkpoint "
                "counts, so it was changed; take an intact copy of the run, or train again"
            )
