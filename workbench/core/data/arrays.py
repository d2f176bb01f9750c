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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.core.data.files import (
    ReportProgress,
    display_name,
    format_ending,
    read_bytes,
    read_limited,
    require_memory,
)
from workbench.core.data.table import (
    MISSING,
    Matrix,
    Missing,
    Reading,
    Rows,
    Wanted,
    choose_targets,
    column_names,
    complaint,
    is_missing,
)
from workbench.errors import InputError, close_matches

INPUT_NAMES = ("X", "x", "data")
TARGET_NAMES = ("y", "Y", "target", "label", "labels")

IN_MEMORY = "the arrays"
"""What messages call arrays that a program gives."""

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

Arrays = tuple[ArrayLike, ArrayLike]
"""Inputs and targets in memory."""


@dataclass(frozen=True)
class ArrayTable:
    """A table whose columns are in memory, of numbers or of text."""

    source: str
    names: tuple[str, ...]
    targets: tuple[int, ...]
    columns: tuple[Array, ...] = field(repr=False)
    header: bool = False

    def rows(
        self, wanted: Wanted, reading: Reading, progress: ReportProgress | None = None
    ) -> Iterator[Rows]:
        """Yield all rows at once; an error names the first cell that cannot be used."""
        inputs = self._numbers(wanted.inputs, reading, target=False)
        targets = self._numbers(wanted.targets, reading, target=True)
        labels = [] if wanted.label is None else self._labels(wanted.label, reading)
        there = np.asarray(~np.isnan(targets).any(axis=1))
        if reading.missing == Missing.DROP:
            there &= ~np.isnan(inputs).any(axis=1)
            if labels:
                there &= np.array([not is_missing(label) for label in labels])
        labels = [label for label, stays in zip(labels, there, strict=False) if stays]
        yield Rows(inputs[there], targets[there], labels, len(there) - int(there.sum()))

    def cells(self, column: int) -> Iterator[tuple[str, str]]:
        """Yield the place and the text of each cell of a column, one by one."""
        for row, value in enumerate(self.columns[column], start=1):
            yield f"{self.source}: row {row}, {self.names[column]}", spell(value.item())

    def _numbers(self, chosen: Sequence[int], reading: Reading, *, target: bool) -> Matrix:
        matrix = np.empty((len(self.columns[0]), len(chosen)))
        for place, index in enumerate(chosen):
            column = self.columns[index]
            if column.dtype.kind == "U":
                self._require_usable(index, reading, numeric=True, target=target)
                column = np.where(np.isin(np.strings.strip(column), list(MISSING)), "nan", column)
            matrix[:, place] = column.astype(np.float64)
        for place, index in enumerate(chosen):
            if not np.isfinite(matrix[:, place]).all():
                self._require_usable(index, reading, numeric=True, target=target)
        return matrix

    def _labels(self, index: int, reading: Reading) -> list[str]:
        self._require_usable(index, reading, numeric=False, target=True)
        return [text for _, text in self.cells(index)]

    def _require_usable(self, index: int, reading: Reading, *, numeric: bool, target: bool) -> None:
        for place, text in self.cells(index):
            if problem := complaint(text, reading, numeric=numeric, target=target):
                raise InputError(f"{place}: {problem}")


def open_arrays(
    source: str, targets: Sequence[str] | None, ignore: Sequence[str] = ()
) -> ArrayTable:
    """Open a 2-D array, or the arrays of inputs and targets in an archive.

    `targets` may be empty (the last column not to `ignore`, or the array `y`) or None (the table
    has none).
    """
    name, content = display_name(source), read_bytes(source)
    if format_ending(source) == ".npy":
        return _single(read_array(io.BytesIO(content), len(content), name), name, targets, ignore)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return _from_archive(archive, name, targets, ignore)
    except ARCHIVE_ERRORS:
        raise InputError(f"{name} is broken: not a readable .npz archive; write it again") from None


def read_array(stream: IO[bytes], size: int, name: str) -> Array:
    """Read an array in NumPy's format from a stream that declares to hold `size` bytes."""
    shape, fortran_order, dtype = read_header(stream, name)
    needed = _require_plain(shape, dtype, name)
    values = read_limited(stream, name) if needed == size - stream.tell() else b""
    if len(values) != needed:
        raise InputError(f"{name} is broken: its shape {shape} does not fit its length")
    array: Array = np.ndarray(shape, dtype, values, order="F" if fortran_order else "C")
    if dtype.kind == "U" and not _is_text(values, dtype):
        raise InputError(f"{name} is broken: its text has characters that there are not")
    return array


def _require_plain(shape: tuple[int, ...], dtype: np.dtype[Any], name: str) -> int:
    """Refuse an array that is no table of numbers or text; return the bytes of its values."""
    if dtype.kind not in "biufU" or dtype.itemsize == 0:
        raise InputError(f"{name}: an array of {dtype}; expected plain numbers or text")
    needed = dtype.itemsize * math.prod(shape)
    require_memory(needed, f"{name}, an array of shape {shape},", "use fewer rows")
    if len(shape) not in (1, 2) or min(shape) < 1:
        raise InputError(f"{name}: an array of shape {shape}; expected (samples, columns) above 0")
    return needed


def table_of(inputs: ArrayLike, targets: ArrayLike) -> ArrayTable:
    """Return the table of two arrays, as if they were X and y of an archive.

    >>> table_of([[0, 1], [1, 1]], ["a", "b"]).names
    ('column_1', 'column_2', 'y')
    """
    arrays = {name: _plain_array(given, name) for name, given in (("X", inputs), ("y", targets))}
    return _side_by_side(arrays, "X", IN_MEMORY)


def _plain_array(given: ArrayLike, name: str) -> Array:
    """Return what a program gives as an array of numbers or text."""
    try:
        array = np.asarray(given)
        if array.dtype == np.object_:
            array = np.asarray(array.tolist())
    except (TypeError, ValueError, RuntimeError):
        raise InputError(
            f"{IN_MEMORY}: {name} is no array, but of type {type(given).__name__}; expected plain "
            "numbers or text, as many in each row"
        ) from None
    _require_plain(array.shape, array.dtype, f"{IN_MEMORY}: {name}")
    return array


def _is_text(values: bytes, dtype: np.dtype[Any]) -> bool:
    """Tell whether each character is within Unicode; making a string of others breaks Python."""
    points = np.frombuffer(values, np.dtype(np.uint32).newbyteorder(dtype.byteorder))
    surrogates = (points >= 0xD800) & (points < 0xE000)
    return bool(points.max() <= sys.maxunicode and not surrogates.any())


def read_header(stream: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
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


def _from_archive(
    archive: zipfile.ZipFile, name: str, targets: Sequence[str] | None, ignore: Sequence[str]
) -> ArrayTable:
    members = {
        entry.filename.removesuffix(".npy"): entry
        for entry in archive.infolist()
        if entry.filename.endswith(".npy")
    }
    if len(members) == 1:
        (only,) = members.values()
        return _single(_member(archive, only, name), name, targets, ignore)
    inputs, chosen = choose_arrays(list(members), name, targets)
    arrays = {key: _member(archive, members[key], name) for key in (inputs, *chosen)}
    return _side_by_side(arrays, inputs, name)


def choose_arrays(
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


def _single(
    array: Array, name: str, targets: Sequence[str] | None, ignore: Sequence[str]
) -> ArrayTable:
    """Return the columns of one array, of which some are targets."""
    if array.ndim != 2:
        raise InputError(f"{name}: an array of shape {array.shape}; expected (samples, columns)")
    names = column_names(array.shape[1])
    chosen: tuple[int, ...] = ()
    if targets is not None:
        chosen = choose_targets(targets, names, header=False, source=name, ignore=ignore)
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
        names += names_within(key, width) if key != inputs else column_names(width)
        columns += list(matrix.T)
    features = arrays[inputs].shape[1]
    return ArrayTable(name, tuple(names), tuple(range(features, len(names))), tuple(columns))


def names_within(key: str, width: int) -> tuple[str, ...]:
    """Name the columns of one array among several.

    >>> names_within("y", 1), names_within("y", 2)
    (('y',), ('y_1', 'y_2'))
    """
    return (key,) if width == 1 else tuple(f"{key}_{number}" for number in range(1, width + 1))


def spell(value: bool | int | float | str) -> str:
    """Write a value as a class name.

    >>> spell(3.0), spell(0.5), spell(" a "), spell(float("nan"))
    ('3', '0.5', 'a', 'nan')
    """
    if isinstance(value, str):
        return value.strip()
    return str(int(value)) if float(value).is_integer() else str(value)
