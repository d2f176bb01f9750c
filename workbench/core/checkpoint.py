"""Checkpoints: the state of a training in one file, whole and unaltered or refused.

The file is in the safetensors format (https://huggingface.co/docs/safetensors, "Format"), which
holds nothing that could be executed:

    8 bytes         the length of the header, little-endian
    header          JSON: type, shape and place of every array, and "__metadata__"
    data            the arrays one after the other

"__metadata__" has one entry, `workbench`, a JSON text: the version of this format, the SHA-256 of
the data, the values that are no arrays, and the SHA-256 of all that the header says. So the header
can be trusted before any of the data is read, and no bit of the file can change unnoticed.

The file is written here and not by the package `safetensors`, so that its pieces go from the
arrays to the disk without a copy, each by a call whose failure is an `OSError`, and so that what a
header asks for is held against what is expected before it is allocated.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.core.atomic import Content, reading, replace_file
from workbench.core.parameters import first_difference
from workbench.errors import InputError

FORMAT = 1
"""The version of what `__metadata__` says; a file of a later one is refused."""

LONGEST_HEADER = 2**24
"""The most bytes of a header, which bounds what reading it takes."""

BLOCK = 2**20
"""The bytes at a time of arrays that are passed over, or do not lie row by row."""

METADATA, OWN = "__metadata__", "workbench"

TYPES = {
    name: np.dtype(code)
    for name, code in {
        "F64": "<f8",
        "F32": "<f4",
        "I64": "<i8",
        "I32": "<i4",
        "U8": "|u1",
        "BOOL": "|b1",
    }.items()
}
"""The types of arrays, by their names in the format."""

NAMES = {dtype: name for name, dtype in TYPES.items()}

MOST_AXES, LONGEST_NAME = 8, 200

MISTAKEN = {
    b"PK\x03\x04": "a zip archive, as .npz and PyTorch files are",
    b"\x80": "a pickle, which could run programs",
    b"\x93NUMPY": "an array in NumPy's own format",
    b"\x89HDF": "an HDF5 file",
    b"\x1f\x8b": "a gzip file",
}
"""What a file is that is no checkpoint, by how it begins."""

MALFORMED = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What is raised on text that is no header; a `ValueError` itself says what is wrong."""

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
    >>> path = Path(tempfile.mkdtemp(), "last.safetensors")
    >>> write_checkpoint(path, Checkpoint({"parameters/b1": np.zeros(2)}, {"epoch": 3}))
    >>> read_values(path)
    {'epoch': 3}
    """
    replace_file(path, _pieces(checkpoint))


def read_values(path: str | Path) -> dict[str, Any]:
    """Read what a checkpoint says besides its arrays, which are neither read nor checked.

    Raises
    ------
    InputError
        If the file cannot be read or is no checkpoint that this workbench wrote.
    """
    with _opened(path) as (_, header):
        return header.values


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
    >>> path = Path(tempfile.mkdtemp(), "last.safetensors")
    >>> write_checkpoint(path, Checkpoint({"parameters/b1": np.ones(2)}, {"epoch": 3}))
    >>> read_checkpoint(path, {"parameters/b1": np.empty(2)}).arrays["parameters/b1"]
    array([1., 1.])
    >>> read_checkpoint(path, {"parameters/b1": np.empty(5)})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    workbench.errors.InputError: ... layer 1 differs: b1 has (2,), expected (5,); ...
    """
    with _opened(path) as (stream, header):
        _require_expected(header.entries, into, prefix, path)
        digest = sha256()
        for name, entry in header.entries.items():
            blocks = _places(into[name]) if name in into else _scratch(entry.end - entry.start)
            for block in blocks:
                _fill(block, stream)
                digest.update(block)
        if digest.hexdigest() != header.data_digest:
            raise ValueError("its arrays are not as they were written")
    return Checkpoint(into, header.values)


@dataclass(frozen=True)
class _Entry:
    """The type, shape and bytes of an array in the data."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int
    end: int

    def to_json(self) -> dict[str, Any]:
        return {
            "dtype": NAMES[self.dtype],
            "shape": list(self.shape),
            "data_offsets": [self.start, self.end],
        }


@dataclass(frozen=True)
class _Header:
    """What the header says: the arrays in the order of their data, and the values."""

    entries: Mapping[str, _Entry]
    data_digest: str
    values: dict[str, Any]

    def described(self) -> dict[str, Any]:
        return {name: entry.to_json() for name, entry in self.entries.items()}

    def digest(self) -> str:
        said = [FORMAT, self.data_digest, self.described(), self.values]
        return sha256(json.dumps(said, sort_keys=True, allow_nan=False).encode()).hexdigest()

    def to_bytes(self) -> bytes:
        """Return the length and the text, padded so that the data begin at a multiple of 8."""
        own = {
            "format": FORMAT,
            "sha256": self.digest(),
            "data_sha256": self.data_digest,
            "values": self.values,
        }
        said = {METADATA: {OWN: json.dumps(own)}, **self.described()}
        text = json.dumps(said, separators=(",", ":")).encode()
        text = text.ljust(-(-len(text) // 8) * 8)
        if len(text) > LONGEST_HEADER:
            raise InputError(
                f"the values of a checkpoint take {len(text):,} bytes; allowed are "
                f"{LONGEST_HEADER:,}; use fewer columns or classes"
            )
        return len(text).to_bytes(8, "little") + text


def _pieces(checkpoint: Checkpoint) -> Iterator[Content]:
    """Give the bytes of a file: the header, then the arrays, those of large items first."""
    arrays = dict(sorted(checkpoint.arrays.items(), key=lambda item: (-item[1].itemsize, item[0])))
    entries: dict[str, _Entry] = {}
    digest, end = sha256(), 0
    for name, array in arrays.items():
        start, end = end, end + array.nbytes
        entries[name] = _Entry(array.dtype, array.shape, start, end)
        for rows in _rows(array):
            digest.update(_bytes_of(np.ascontiguousarray(rows)))
    yield _Header(entries, digest.hexdigest(), dict(checkpoint.values)).to_bytes()
    for array in arrays.values():
        for rows in _rows(array):
            yield _bytes_of(np.ascontiguousarray(rows))


@contextmanager
def _opened(path: str | Path) -> Iterator[tuple[FileIO, _Header]]:
    """Open a file at its data, with the header read; what is wrong with it is told in one line."""
    try:
        with reading(path):
            if not stat.S_ISREG(os.stat(path).st_mode):
                raise InputError(f"{path} is no file; expected a checkpoint")
            with open(path, "rb", buffering=0) as stream:
                yield stream, _read_header(stream, path)
    except MALFORMED as error:
        problem = str(error) if type(error) is ValueError else "its header cannot be understood"
        raise InputError(
            f"{path} is broken: {problem}; take an intact copy, or train again"
        ) from None


def _read_header(stream: FileIO, path: str | Path) -> _Header:
    """Read and verify the header; a broken one raises one of `MALFORMED`."""
    begin, size = stream.read(8), os.fstat(stream.fileno()).st_size
    length = int.from_bytes(begin, "little")
    if length > min(size - 8, LONGEST_HEADER):
        for mark, kind in MISTAKEN.items():
            if begin.startswith(mark):
                raise ValueError(f"it is {kind}; expected a checkpoint in the safetensors format")
    if size < 8 or length > size - 8:
        raise ValueError(f"it ends after {size:,} bytes, within its header")
    if length > LONGEST_HEADER:
        raise ValueError(f"its header takes {length:,} bytes; allowed are {LONGEST_HEADER:,}")
    text = bytearray(length)
    _fill(memoryview(text), stream)
    said = json.loads(text)
    own = said.pop(METADATA, {}).get(OWN)
    if own is None:
        raise ValueError("it is in the safetensors format, but no checkpoint of the workbench")
    own = json.loads(own)
    if own["format"] > FORMAT:
        raise InputError(
            f"{path} was written by a newer workbench: format {own['format']}, this one reads up "
            f"to {FORMAT}; install the newer one"
        )
    header = _Header(_entries(said, size - 8 - length), own["data_sha256"], dict(own["values"]))
    if own["format"] != FORMAT or own["sha256"] != header.digest():
        raise ValueError("its header is not as it was written")
    return header


def _entries(said: Mapping[str, Any], size: int) -> dict[str, _Entry]:
    """Return the arrays in the order of their data, which they must fill without gap or overlap."""
    entries = {name: _entry(name, record, size) for name, record in said.items()}
    entries = dict(sorted(entries.items(), key=lambda item: (item[1].start, item[1].end)))
    end = 0
    for name, entry in entries.items():
        if entry.start != end:
            problem = "overlaps the array before it" if entry.start < end else "follows a gap"
            raise ValueError(f"{name} {problem}")
        end = entry.end
    if end != size:
        raise ValueError(f"its arrays take {end:,} bytes, but {size:,} are there")
    return entries


def _entry(name: str, record: Mapping[str, Any], size: int) -> _Entry:
    kind, shape, (start, end) = record["dtype"], tuple(record["shape"]), record["data_offsets"]
    if not name.isprintable() or len(name) > LONGEST_NAME:
        raise ValueError("an array has a name that cannot be printed")
    if kind not in TYPES:
        raise ValueError(f"{name} is of the type {kind!r:.40}; expected {', '.join(TYPES)}")
    if any(type(number) is not int or number < 0 for number in (*shape, start, end)):
        raise ValueError(f"{name} has a shape or a place that is no whole number from 0")
    if end > size:
        raise ValueError(f"it ends within {name}")
    if len(shape) > MOST_AXES:
        raise ValueError(f"{name} has {len(shape)} axes; allowed are {MOST_AXES}")
    if math.prod(shape) * TYPES[kind].itemsize != end - start:
        raise ValueError(f"{name} has the shape {shape}, but {end - start:,} bytes")
    return _Entry(TYPES[kind], shape, start, end)


def _require_expected(
    entries: Mapping[str, _Entry], expected: Mapping[str, Array], prefix: str, path: str | Path
) -> None:
    """Refuse a file of other arrays, by the first that differs."""
    wanted = {name: entry for name, entry in entries.items() if name.startswith(prefix)}
    if difference := first_difference(wanted, expected):
        name, words = difference
        subject = "network" if name.startswith("parameters/") else "training"
        raise InputError(
            f"{path} is of another {subject}: {words}; use the {subject} that it was made with"
        )


def _rows(array: Array) -> Iterator[Array]:
    """Give an array at once if it lies row by row, else some rows at a time."""
    count = 1 if array.flags.c_contiguous else -(-array.nbytes // BLOCK)
    yield from [array] if count == 1 else np.array_split(array, min(count, len(array)))


def _places(array: Array) -> Iterator[memoryview]:
    """Give the memory for an array's bytes, to be filled piece by piece."""
    for rows in _rows(array):
        if rows.flags.c_contiguous:
            yield _bytes_of(rows)
        else:
            block = np.empty_like(rows, order="C")
            yield _bytes_of(block)
            rows[...] = block


def _bytes_of(array: Array) -> memoryview:
    """View an array that lies row by row as bytes."""
    return array.reshape(-1).view(np.uint8).data


def _scratch(size: int) -> Iterator[memoryview]:
    """Give blocks of `size` bytes together, all in the same memory."""
    block = memoryview(bytearray(min(size, BLOCK)))
    for start in range(0, size, BLOCK):
        yield block[: size - start]


def _fill(block: memoryview, stream: FileIO) -> None:
    """Read as many bytes as the block takes."""
    while block:
        count = stream.readinto(block)
        if not count:
            raise ValueError("it ends early")
        block = block[count:]
