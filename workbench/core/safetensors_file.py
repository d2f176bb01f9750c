"""Files of arrays by name, in the safetensors format, which holds nothing that could be executed.

The format (https://huggingface.co/docs/safetensors, "Format"):

    8 bytes         the length of the header, little-endian
    header          JSON: type, shape and place of every array, and texts in "__metadata__"
    data            the arrays one after the other

Files are written and read here and not by the package `safetensors`, so that their pieces go from
the arrays to the disk and back without a copy, each by a call whose failure is an `OSError`, and so
that what a header asks for can be held against what is expected before it is allocated.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.core.atomic import Content, reading
from workbench.errors import InputError

LONGEST_HEADER = 2**24
"""The most bytes of a header, which bounds what reading it takes."""

BLOCK = 2**20
"""The bytes at a time of arrays that are passed over, or do not lie row by row."""

METADATA = "__metadata__"

TYPES = {
    name: np.dtype(code)
    for name, code in {
        "F64": "<f8",
        "F32": "<f4",
        "F16": "<f2",
        "I64": "<i8",
        "I32": "<i4",
        "I16": "<i2",
        "I8": "|i1",
        "U64": "<u8",
        "U32": "<u4",
        "U16": "<u2",
        "U8": "|u1",
        "BOOL": "|b1",
    }.items()
}
"""The types of arrays, by their names in the format; it has others, which NumPy has not."""

NAMES = {dtype: name for name, dtype in TYPES.items()}

MOST_AXES, LONGEST_NAME = 8, 200

MISTAKEN = {
    b"PK\x03\x04": "a zip archive, as .npz and PyTorch files are",
    b"\x80": "a pickle, which could run programs",
    b"\x93NUMPY": "an array in NumPy's own format",
    b"\x89HDF": "an HDF5 file",
    b"\x1f\x8b": "a gzip file",
}
"""What a file is that is of another format, by how it begins."""

MALFORMED = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What is raised on text that is no header; a `ValueError` itself says what is wrong."""

Array = NDArray[Any]


@dataclass(frozen=True)
class Entry:
    """The type, shape and bytes of an array in the data."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int
    end: int

    def to_json(self) -> dict[str, Any]:
        """Return what the header says of it."""
        return {
            "dtype": NAMES[self.dtype],
            "shape": list(self.shape),
            "data_offsets": [self.start, self.end],
        }


def lay_out(arrays: Mapping[str, Array]) -> dict[str, Entry]:
    """Give each array its place in the data, those of large items first, so that all are aligned.

    >>> [entry.start for entry in lay_out({"a": np.ones(1, "float32"), "b": np.ones(3)}).values()]
    [0, 24]
    """
    entries: dict[str, Entry] = {}
    end = 0
    for name, array in sorted(arrays.items(), key=lambda item: -item[1].itemsize):
        start, end = end, end + array.nbytes
        entries[name] = Entry(array.dtype, array.shape, start, end)
    return entries


def data_of(arrays: Mapping[str, Array]) -> Iterator[memoryview]:
    """Give the data, piece by piece; an array that lies row by row is not copied."""
    for name in lay_out(arrays):
        for rows in _rows(arrays[name]):
            yield _bytes_of(np.ascontiguousarray(rows))


def content_of(arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> Iterator[Content]:
    """Give a whole file, piece by piece.

    Raises
    ------
    InputError
        If the header is too long.

    >>> content = b"".join(content_of({"b1": np.zeros(2)}, {"loss": "mse"}))
    >>> content[8:70]
    b'{"__metadata__":{"loss":"mse"},"b1":{"dtype":"F64","shape":[2]'
    """
    entries = {name: entry.to_json() for name, entry in lay_out(arrays).items()}
    header = json.dumps({METADATA: dict(metadata), **entries}, separators=(",", ":")).encode()
    header = header.ljust(-(-len(header) // 8) * 8)
    if len(header) > LONGEST_HEADER:
        raise InputError(
            f"what is to be said beside the arrays takes {len(header):,} bytes; allowed are "
            f"{LONGEST_HEADER:,}; use fewer columns or classes"
        )
    yield len(header).to_bytes(8, "little") + header
    yield from data_of(arrays)


@dataclass(frozen=True)
class ArrayFile:
    """A file that is open for reading, its header read.

    Attributes
    ----------
    entries : the arrays, in the order of their data.
    metadata : the texts beside them.
    """

    entries: Mapping[str, Entry]
    metadata: Mapping[str, str]
    _stream: FileIO
    _start: int

    def pieces(self, name: str, into: Array | None = None) -> Iterator[memoryview]:
        """Give the bytes of an array, each piece as soon as it is read.

        Parameters
        ----------
        into : where the array is put, of its shape and type; it is passed over if not given.
        """
        entry = self.entries[name]
        self._stream.seek(self._start + entry.start)
        for piece in _scratch(entry.end - entry.start) if into is None else _places(into):
            _fill(piece, self._stream)
            yield piece

    def read(self, name: str) -> Array:
        """Return an array, in memory of its own."""
        entry = self.entries[name]
        array = np.empty(entry.shape, entry.dtype)
        for _ in self.pieces(name, array):
            pass
        return array


@contextmanager
def opened(path: str | Path, way_out: str) -> Iterator[ArrayFile]:
    """Open a file and read its header.

    What is wrong with it, also what the context finds and raises as a `ValueError`, is told in one
    line.

    Parameters
    ----------
    way_out : what is to be done about a broken file.

    Raises
    ------
    InputError
        If it cannot be read or is broken.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "model.safetensors")
    >>> _ = path.write_bytes(b"".join(content_of({"b1": np.ones(2)}, {})))
    >>> with opened(path, "write it again") as file:
    ...     file.read("b1")
    array([1., 1.])
    """
    try:
        with reading(path):
            if not stat.S_ISREG(os.stat(path).st_mode):
                raise InputError(f"{path} is no file; expected one in the safetensors format")
            with open(path, "rb", buffering=0) as stream:
                yield _read_header(stream)
    except MALFORMED as error:
        problem = str(error) if type(error) is ValueError else "its header cannot be understood"
        raise InputError(f"{path} is broken: {problem}; {way_out}") from None


def _read_header(stream: FileIO) -> ArrayFile:
    """Read the header; a broken one raises one of `MALFORMED`."""
    begin, size = stream.read(8), os.fstat(stream.fileno()).st_size
    length = int.from_bytes(begin, "little")
    if length > min(size - 8, LONGEST_HEADER):
        for mark, kind in MISTAKEN.items():
            if begin.startswith(mark):
                raise ValueError(f"it is {kind}; expected the safetensors format")
    if size < 8 or length > size - 8:
        raise ValueError(f"it ends after {size:,} bytes, within its header")
    if length > LONGEST_HEADER:
        raise ValueError(f"its header takes {length:,} bytes; allowed are {LONGEST_HEADER:,}")
    text = bytearray(length)
    _fill(memoryview(text), stream)
    said = json.loads(text)
    metadata = said.pop(METADATA, {})
    if any(not isinstance(value, str) for value in metadata.values()):
        raise ValueError(f"{METADATA} holds more than texts")
    return ArrayFile(_entries(said, size - 8 - length), metadata, stream, 8 + length)


def _entries(said: Mapping[str, Any], size: int) -> dict[str, Entry]:
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


def _entry(name: str, record: Mapping[str, Any], size: int) -> Entry:
    kind, shape, (start, end) = record["dtype"], tuple(record["shape"]), record["data_offsets"]
    if not name.isprintable() or len(name) > LONGEST_NAME:
        raise ValueError(f"an array has a name that is no text of up to {LONGEST_NAME} characters")
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
    return Entry(TYPES[kind], shape, start, end)


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
