"""Arrays that stay in their file and are read some rows at a time.

They are read, not mapped into memory: what has been read takes no memory any longer, a file that
shrinks ends in a message and not in a signal, and a stretch of consecutive rows comes as fast. The
checksums of archives are not looked at, since that takes reading all of it first.
"""

from __future__ import annotations

import math
import os
import struct
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from workbench.core.data.arrays import (
    ARCHIVE_ERRORS,
    choose_arrays,
    names_within,
    read_header,
    spell,
)
from workbench.core.data.files import FORMATS, format_ending
from workbench.core.data.table import Matrix, choose_targets, column_names
from workbench.errors import InputError

STRETCH = 2**19
"""About how many bytes of consecutive rows are read at a time: they are to stay in the cache."""

LOCAL_HEADER = struct.Struct("<4s22xHH")
"""What precedes a member of an archive, up to its lengths of name and extra field."""


@dataclass(frozen=True)
class StoredArray:
    """A 2-D array of numbers (rows, columns) at an offset of a file, which must not change."""

    path: str
    offset: int
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    by_column: bool
    changed: int

    def read(self, first: int, last: int) -> NDArray[Any]:
        """Return the rows from `first` up to, not including, `last`."""
        rows, columns = self.shape
        size = self.dtype.itemsize
        if not self.by_column:
            (content,) = self._pieces([(first * columns * size, (last - first) * columns * size)])
            return np.frombuffer(content, self.dtype).reshape(last - first, columns)
        spans = [
            ((column * rows + first) * size, (last - first) * size) for column in range(columns)
        ]
        return np.stack([np.frombuffer(part, self.dtype) for part in self._pieces(spans)], axis=1)

    def _pieces(self, spans: Sequence[tuple[int, int]]) -> list[bytes]:
        try:
            with open(self.path, "rb", buffering=0) as stream:
                if os.fstat(stream.fileno()).st_mtime_ns != self.changed:
                    raise InputError(
                        f"{self.path} has been changed while it was in use; start again"
                    )
                return [self._piece(stream, start, length) for start, length in spans]
        except OSError as error:
            reason = error.strerror or "reading failed"
            raise InputError(f"cannot read {self.path!r}: {reason}") from None

    def _piece(self, stream: BinaryIO, start: int, length: int) -> bytes:
        stream.seek(self.offset + start)
        content = stream.read(length)
        if len(content) != length:
            raise InputError(f"{self.path} is broken: it ends before its last row")
        return content


@dataclass(frozen=True, eq=False)
class StoredColumns:
    """Arrays of equally many rows side by side: the columns of one table."""

    source: str
    arrays: tuple[StoredArray, ...]
    names: tuple[str, ...]
    targets: tuple[int, ...]
    header: bool = False
    _edges: tuple[int, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        widths = [array.shape[1] for array in self.arrays]
        edges = tuple(sum(widths[:count]) for count in range(len(widths) + 1))
        object.__setattr__(self, "_edges", edges)

    def __len__(self) -> int:
        """Count the rows."""
        return self.arrays[0].shape[0]

    @cached_property
    def rows_at_once(self) -> int:
        """The rows of a stretch."""
        row = sum(array.shape[1] * array.dtype.itemsize for array in self.arrays)
        return max(1, STRETCH // row)

    @property
    def stretches(self) -> int:
        """Count the stretches; all have as many rows but the last."""
        return -(-len(self) // self.rows_at_once)

    def stretch(self, number: int, *choices: tuple[int, ...]) -> Iterator[Matrix]:
        """Yield each choice of columns of a stretch as float64 (rows, columns)."""
        first = number * self.rows_at_once
        last = min(first + self.rows_at_once, len(self))
        read: dict[int, NDArray[Any]] = {}
        for chosen in choices:
            matrix = np.empty((last - first, len(chosen)))
            for place, array, columns in _runs(self._edges, chosen):
                if array not in read:
                    read[array] = self.arrays[array].read(first, last)
                part = read[array][:, columns]
                matrix[:, place : place + part.shape[1]] = part
            yield matrix

    def cells(self, column: int) -> Iterator[tuple[str, str]]:
        """Yield the place and the text of each cell of a column, one by one."""
        for number in range(self.stretches):
            (values,) = self.stretch(number, (column,))
            for row, value in enumerate(values[:, 0], 1 + number * self.rows_at_once):
                yield f"{self.source}: row {row}, {self.names[column]}", spell(value)


@lru_cache
def _runs(edges: tuple[int, ...], chosen: tuple[int, ...]) -> tuple[tuple[int, int, slice], ...]:
    """Return runs of neighbouring columns: their place among those chosen, array and place there.

    >>> _runs((0, 4, 5), (1, 2, 4))
    ((0, 0, slice(1, 3, None)), (2, 1, slice(0, 1, None)))
    """
    runs, place = [], 0
    while place < len(chosen):
        first = chosen[place]
        array = next(number for number, edge in enumerate(edges[1:]) if first < edge)
        end = place + 1
        while end < len(chosen) and chosen[end] == first + end - place < edges[array + 1]:
            end += 1
        start = first - edges[array]
        runs.append((place, array, slice(start, start + end - place)))
        place = end
    return tuple(runs)


def open_stored(source: str, targets: Sequence[str], ignore: Sequence[str] = ()) -> StoredColumns:
    """Open a 2-D array, or the arrays of inputs and targets of an archive, without reading them.

    Raises
    ------
    InputError
        If it is no such file, or an archive whose arrays are packed.
    """
    try:
        with open(source, "rb") as stream:
            if format_ending(source) == ".npy":
                array = _locate(stream, source, 0, os.fstat(stream.fileno()).st_size)
                return one_array(source, array, targets, ignore)
            return _from_archive(stream, source, targets, ignore)
    except ARCHIVE_ERRORS as error:
        reason = getattr(error, "strerror", None) or "it is broken"
        raise InputError(f"cannot read {source!r}: {reason}; expected {FORMATS}") from None


def one_array(
    source: str, array: StoredArray, targets: Sequence[str], ignore: Sequence[str] = ()
) -> StoredColumns:
    """Return the columns of one array, of which some are targets."""
    names = column_names(array.shape[1])
    chosen = choose_targets(targets, names, header=False, source=source, ignore=ignore)
    return StoredColumns(source, (array,), names, chosen)


def _from_archive(
    stream: BinaryIO, source: str, targets: Sequence[str], ignore: Sequence[str]
) -> StoredColumns:
    with zipfile.ZipFile(stream) as archive:
        members = {
            entry.filename.removesuffix(".npy"): _member(stream, source, entry)
            for entry in archive.infolist()
            if entry.filename.endswith(".npy")
        }
    if len(members) == 1:
        (only,) = members.values()
        return one_array(source, only, targets, ignore)
    inputs, chosen = choose_arrays(list(members), source, targets)
    arrays = tuple(members[key] for key in (inputs, *chosen))
    if len({array.shape[0] for array in arrays}) > 1:
        lengths = ", ".join(f"{key} {members[key].shape[0]}" for key in (inputs, *chosen))
        raise InputError(f"{source}: arrays of different numbers of samples ({lengths})")
    features = members[inputs].shape[1]
    names = [*column_names(features)]
    for key in chosen:
        names += names_within(key, members[key].shape[1])
    return StoredColumns(source, arrays, tuple(names), tuple(range(features, len(names))))


def _member(stream: BinaryIO, source: str, entry: zipfile.ZipInfo) -> StoredArray:
    if entry.compress_type != zipfile.ZIP_STORED:
        raise InputError(
            f"{source}: {entry.filename} is packed, and too large to unpack in memory; save it "
            "with numpy.savez, or as .npy"
        )
    stream.seek(entry.header_offset)
    magic, name, extra = LOCAL_HEADER.unpack(stream.read(LOCAL_HEADER.size))
    if magic != b"PK\x03\x04":
        raise zipfile.BadZipFile("no member where the directory says")
    begin = entry.header_offset + LOCAL_HEADER.size + name + extra
    return _locate(stream, source, begin, entry.file_size)


def _locate(stream: BinaryIO, source: str, begin: int, length: int) -> StoredArray:
    """Return the array whose header begins there and that takes `length` bytes with it."""
    stream.seek(begin)
    shape, by_column, dtype = read_header(stream, source)
    offset = stream.tell()
    if dtype.kind not in "biuf":
        raise InputError(f"{source}: an array of {dtype}, too large to hold; expected numbers")
    if len(shape) not in (1, 2) or min(shape) < 1:
        raise InputError(f"{source}: an array of shape {shape}; expected (samples, columns)")
    if offset - begin + dtype.itemsize * math.prod(shape) != length:
        raise InputError(f"{source} is broken: its shape {shape} does not fit its length")
    rows, columns = (*shape, 1)[:2]
    changed = os.fstat(stream.fileno()).st_mtime_ns
    return StoredArray(source, offset, (rows, columns), dtype, by_column, changed)
