"""Tables as arrays: `.npy` and `.npz`, read without pickle and without trust.

A header can ask for more memory than there is, and a small archive can inflate to a large one. So
the archive's directory and the array's header are read first, must agree with each other, and
stay below the limit; only then are the values read.
"""

from __future__ import annotations

import io
import math
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from workbench.core.data.files import (
    display_name,
    format_ending,
    read_bytes,
    read_limited,
    require_memory,
)
from workbench.core.data.table import Matrix, choose_targets, column_names, complaint
from workbench.errors import InputError, close_matches

INPUT_NAMES = ("X", "x", "data")
TARGET_NAMES = ("y", "Y", "target", "label", "labels")

MAGIC = b"\x93NUMPY\x01\x00"
HEADER_FIELDS = (
    re.compile(rb"'descr': *'([<>|=]?[biufcSUOV][0-9]*)'"),
    re.compile(rb"'fortran_order': *(True|False)"),
    re.compile(rb"'shape': *\(([0-9, ]*)\)"),
)

ARCHIVE_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError),
    *(ValueError, OverflowError, LookupError, RuntimeError),
)
"""What `zipfile` raises on archives that are damaged, encrypted or packed in another way."""

Array = NDArray[Any]


@dataclass(frozen=True)
class ArrayTable:
    """A table whose columns are in memory, of numbers or of text."""

    source: str
    names: tuple[str, ...]
    targets: tuple[int, ...]
    columns: tuple[Array, ...] = field(repr=False)
    header: bool = False

    def read(self, numbers: Sequence[int], cells: Sequence[int]) -> tuple[Matrix, list[list[str]]]:
        """Return the columns `numbers` as (rows, columns) and each column of `cells` as text."""
        matrix = np.empty((len(self.columns[0]), len(numbers)))
        for place, index in enumerate(numbers):
            matrix[:, place] = self._numbers(index)
        return matrix, [self._cells(index) for index in cells]

    def _numbers(self, index: int) -> Matrix:
        column = self.columns[index]
        if column.dtype.kind == "U":
            self._require_complete([str(cell) for cell in column], index, numeric=True)
        values = column.astype(np.float64)
        if not np.isfinite(values).all():
            self._require_complete([str(value) for value in values], index, numeric=True)
        return values

    def _cells(self, index: int) -> list[str]:
        cells = [_spell(value) for value in self.columns[index].tolist()]
        self._require_complete(cells, index, numeric=False)
        return cells

    def _require_complete(self, cells: Sequence[str], index: int, *, numeric: bool) -> None:
        for row, cell in enumerate(cells, start=1):
            if problem := complaint(cell, numeric=numeric):
                raise InputError(f"{self.source}: row {row}, {self.names[index]}: {problem}")


def open_arrays(source: str, targets: Sequence[str] | None) -> ArrayTable:
    """Open a 2-D array, or the arrays of inputs and targets in an archive.

    `targets` may be empty (the last column, or the array `y`) or None (the table has none).
    """
    name, content = display_name(source), read_bytes(source)
    if format_ending(source) == ".npy":
        return _single(read_array(io.BytesIO(content), len(content), name), name, targets)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return _from_archive(archive, name, targets)
    except ARCHIVE_ERRORS:
        raise InputError(f"{name} is broken: not a readable .npz archive; write it again") from None


def read_array(stream: IO[bytes], size: int, name: str) -> Array:
    """Read an array in NumPy's format from a stream that declares to hold `size` bytes."""
    shape, fortran_order, dtype = _read_header(stream, name)
    if dtype.kind not in "biufU" or dtype.itemsize == 0:
        raise InputError(f"{name}: an array of {dtype}; expected plain numbers or text")
    needed = dtype.itemsize * math.prod(shape)
    require_memory(needed, f"{name}, an array of shape {shape},", "use fewer rows")
    if len(shape) not in (1, 2) or min(shape) < 1:
        raise InputError(f"{name}: an array of shape {shape}; expected (samples, columns) above 0")
    values = read_limited(stream, name) if needed == size - stream.tell() else b""
    if len(values) != needed:
        raise InputError(f"{name} is broken: its shape {shape} does not fit its length")
    array: Array = np.ndarray(shape, dtype, values, order="F" if fortran_order else "C")
    if dtype.kind == "U" and not _is_text(values, dtype):
        raise InputError(f"{name} is broken: its text has characters that there are not")
    return array


def _is_text(values: bytes, dtype: np.dtype[Any]) -> bool:
    """Tell whether each character is within Unicode; making a string of others breaks Python."""
    points = np.frombuffer(values, np.dtype(np.uint32).newbyteorder(dtype.byteorder))
    surrogates = (points >= 0xD800) & (points < 0xE000)
    return bool(points.max() <= sys.maxunicode and not surrogates.any())


def _read_header(stream: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, Fortran order and type.

    Read by pattern, since NumPy's own readers evaluate the header; and of version 1 only, whose
    header is under 64 KiB: later versions are for records.
    """
    start = stream.read(len(MAGIC) + 2)
    header = stream.read(int.from_bytes(start[len(MAGIC) :], "little"))
    kind, order, lengths = (pattern.search(header) for pattern in HEADER_FIELDS)
    try:
        if not (start.startswith(MAGIC) and kind and order and lengths):
            raise ValueError("not an array")
        shape = tuple(int(length) for length in lengths[1].split(b",") if length.strip())
        return shape, order[1] == b"True", np.dtype(kind[1].decode())
    except (ValueError, TypeError):
        raise InputError(
            f"{name} is broken: it does not begin as a plain array in NumPy's format; save it again"
        ) from None


def _from_archive(archive: zipfile.ZipFile, name: str, targets: Sequence[str] | None) -> ArrayTable:
    members = {
        entry.filename.removesuffix(".npy"): entry
        for entry in archive.infolist()
        if entry.filename.endswith(".npy")
    }
    if len(members) == 1:
        (only,) = members.values()
        return _single(_member(archive, only, name), name, targets)
    inputs, chosen = _choose_arrays(list(members), name, targets)
    arrays = {key: _member(archive, members[key], name) for key in (inputs, *chosen)}
    return _side_by_side(arrays, inputs, name)


def _choose_arrays(
    members: Sequence[str], name: str, targets: Sequence[str] | None
) -> tuple[str, Sequence[str]]:
    """Return the names of the array of inputs and of the arrays of targets."""
    holds = f"it holds {', '.join(members) or 'no arrays'}"
    inputs = next((known for known in INPUT_NAMES if known in members), None)
    if inputs is None:
        raise InputError(f"{name}: no inputs; expected an array X, x or data, or one only; {holds}")
    others = [key for key in members if key != inputs]
    if targets is None:
        return inputs, ()
    chosen = targets or [known for known in TARGET_NAMES if known in others][:1]
    if not chosen:
        raise InputError(f"{name}: no targets; expected an array y, or --target NAME; {holds}")
    for target in chosen:
        if target not in others:
            hint = close_matches(target, others)
            raise InputError(f"{name}: there is no array {target!r} for the target; {hint}")
    return inputs, chosen


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str) -> Array:
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise NotImplementedError("a compression that NumPy does not write")
    with archive.open(entry) as stream:
        return read_array(stream, entry.file_size, f"{name}: {entry.filename}")


def _single(array: Array, name: str, targets: Sequence[str] | None) -> ArrayTable:
    """Return the columns of one array, of which some are targets."""
    if array.ndim != 2:
        raise InputError(f"{name}: an array of shape {array.shape}; expected (samples, columns)")
    names = column_names(array.shape[1])
    chosen = () if targets is None else choose_targets(targets, names, header=False, source=name)
    return ArrayTable(name, names, chosen, tuple(array.T))


def _side_by_side(arrays: dict[str, Array], inputs: str, name: str) -> ArrayTable:
    """Return the columns of the inputs, then those of each target."""
    samples = len(arrays[inputs])
    if arrays[inputs].ndim != 2:
        raise InputError(
            f"{name}: {inputs} has shape {arrays[inputs].shape}; expected (samples, features)"
        )
    names: list[str] = []
    columns: list[Array] = []
    for key, array in arrays.items():
        if len(array) != samples:
            raise InputError(f"{name}: {inputs} has {samples} samples, {key} has {len(array)}")
        matrix = array.reshape(samples, -1)
        width = matrix.shape[1]
        names += _names_within(key, width) if key != inputs else column_names(width)
        columns += list(matrix.T)
    features = arrays[inputs].shape[1]
    return ArrayTable(name, tuple(names), tuple(range(features, len(names))), tuple(columns))


def _names_within(key: str, width: int) -> tuple[str, ...]:
    return (key,) if width == 1 else tuple(f"{key}_{number}" for number in range(1, width + 1))


def _spell(value: bool | int | float | str) -> str:
    """Write a value as a class name: 3.0 as `3`."""
    if isinstance(value, str):
        return value.strip()
    return str(int(value)) if float(value).is_integer() else str(value)
