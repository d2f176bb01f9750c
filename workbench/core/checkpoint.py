"""Checkpoints: the state of a training in one file, whole and unaltered or refused.

The file is in the safetensors format (`workbench.core.safetensors_file`). Its metadata have one
entry, `workbench`, a JSON text: the version of this format, the SHA-256 of the data, the values
that are no arrays, and the SHA-256 of all that the header says. So the header can be trusted before
any of the data is read, and no bit of the file can change unnoticed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from workbench.core.atomic import Content, replace_file
from workbench.core.parameters import first_difference
from workbench.core.safetensors_file import (
    ArrayFile,
    Entry,
    content_of,
    data_of,
    lay_out,
    opened,
)
from workbench.errors import InputError

FORMAT = 1
"""The version of what the metadata say; a file of a later one is refused."""

OWN = "workbench"
"""The name of the metadata that make a file a checkpoint."""

PREFIX = "parameters/"
"""What the names of parameters begin with among the arrays."""

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state of a training.

    Attributes
    ----------
    arrays : by name, such as "parameters/W1" or "optimizer/velocity".
    values : all else, in the types of JSON; every float comes back bit by bit.
    """

    arrays: Mapping[str, Array] = field(repr=False)
    values: Mapping[str, Any]


def write_checkpoint(path: str | Path, checkpoint: Checkpoint) -> None:
    """Put a checkpoint in the place of the one that is there, in one move; no array is copied.

    Raises
    ------
    StorageError
        If it cannot be written; the one before is still there.
    ValueError
        If a value is not finite, which JSON cannot say.

    >>> import tempfile
    >>> import numpy as np
    >>> path = Path(tempfile.mkdtemp(), "last.safetensors")
    >>> write_checkpoint(path, Checkpoint({"parameters/b1": np.zeros(2)}, {"epoch": 3}))
    >>> read_values(path)
    {'epoch': 3}
    """
    replace_file(path, _content_of(checkpoint))


def read_values(path: str | Path) -> dict[str, Any]:
    """Read what a checkpoint says besides its arrays, which are neither read nor checked.

    Raises
    ------
    InputError
        If the file cannot be read or is no checkpoint that this workbench wrote.
    """
    with _opened(path) as (_, said):
        return said.values


def read_checkpoint(path: str | Path, into: Mapping[str, Array], *, prefix: str = "") -> Checkpoint:
    """Read a checkpoint into the arrays given, in next to no further memory.

    Parameters
    ----------
    into : arrays of the names, shapes and types that the file must have.
    prefix : of the names of the arrays that are wanted; all others are passed over.

    Raises
    ------
    InputError
        If the file cannot be read, was altered, or has other arrays; what is in those given is
        undefined then.

    >>> import tempfile
    >>> import numpy as np
    >>> path = Path(tempfile.mkdtemp(), "last.safetensors")
    >>> write_checkpoint(path, Checkpoint({"parameters/b1": np.ones(2)}, {"epoch": 3}))
    >>> read_checkpoint(path, {"parameters/b1": np.empty(2)}).arrays["parameters/b1"]
    array([1., 1.])
    >>> read_checkpoint(path, {"parameters/b1": np.empty(5)})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    workbench.errors.InputError: ... layer 1 differs: b1 has (2,), expected (5,); ...
    """
    with _opened(path) as (file, said):
        _require_expected(file.entries, into, prefix, path)
        digest = sha256()
        for name in file.entries:
            for piece in file.pieces(name, into.get(name)):
                digest.update(piece)
        if digest.hexdigest() != said.data_digest:
            raise ValueError("its arrays are not as they were written")
    return Checkpoint(into, said.values)


@dataclass(frozen=True)
class _Said:
    """What the metadata say."""

    data_digest: str
    values: dict[str, Any]

    def to_json(self, entries: Mapping[str, Entry]) -> dict[str, Any]:
        """All of it, with the digest of that and of what the header says of the arrays."""
        described = {name: entry.to_json() for name, entry in entries.items()}
        whole = [FORMAT, self.data_digest, described, self.values]
        text = json.dumps(whole, sort_keys=True, allow_nan=False)
        return {
            "format": FORMAT,
            "sha256": sha256(text.encode()).hexdigest(),
            "data_sha256": self.data_digest,
            "values": self.values,
        }


def _content_of(checkpoint: Checkpoint) -> Iterator[Content]:
    """Give the bytes of a file, the arrays by their names."""
    arrays = dict(sorted(checkpoint.arrays.items()))
    digest = sha256()
    for piece in data_of(arrays):
        digest.update(piece)
    said = _Said(digest.hexdigest(), dict(checkpoint.values))
    yield from content_of(arrays, {OWN: json.dumps(said.to_json(lay_out(arrays)))})


@contextmanager
def _opened(path: str | Path) -> Iterator[tuple[ArrayFile, _Said]]:
    """Open a file whose header is verified."""
    with opened(path, "take an intact copy, or train again") as file:
        if OWN not in file.metadata:
            raise ValueError("it is in the safetensors format, but no checkpoint of the workbench")
        own = json.loads(file.metadata[OWN])
        if own["format"] > FORMAT:
            raise InputError(
                f"{path} was written by a newer workbench: format {own['format']}, this one reads "
                f"up to {FORMAT}; install the newer one"
            )
        said = _Said(own["data_sha256"], dict(own["values"]))
        if own != said.to_json(file.entries):
            raise ValueError("its header is not as it was written")
        yield file, said


def _require_expected(
    entries: Mapping[str, Entry], expected: Mapping[str, Array], prefix: str, path: str | Path
) -> None:
    """Refuse a file of other arrays, by the first that differs."""
    wanted = {name: entry for name, entry in entries.items() if name.startswith(prefix)}
    if difference := first_difference(wanted, expected):
        name, words = difference
        subject = "network" if name.startswith(PREFIX) else "training"
        raise InputError(
            f"{path} is of another {subject}: {words}; use the {subject} that it was made with"
        )
