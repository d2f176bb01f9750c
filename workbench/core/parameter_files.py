"""Parameters from files: `.npz` and `.safetensors`, without pickle and in bounded memory.

What a file says of its arrays is held against what is expected before any of them is read, so that
no more is read than the parameters take, one array at a time.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from workbench.core.atomic import reading
from workbench.core.checkpoint import PREFIX
from workbench.core.data.arrays import ARCHIVE_ERRORS, read_header
from workbench.core.parameters import Parameters, first_difference
from workbench.core.places import whereabouts
from workbench.core.safetensors_file import opened
from workbench.errors import InputError

Array = NDArray[Any]

FLOATS = ("float64", "float32", "float16")
"""The types of numbers that are read."""


@dataclass(frozen=True)
class _Member:
    """An array in a file, not yet read."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], Array]


Members = Mapping[str, _Member]


def load_parameters(
    path: str | Path,
    shapes: Mapping[str, tuple[int, ...]],
    dtype: DTypeLike = np.float64,
    *,
    of: str,
    turned: Collection[str] = (),
) -> Parameters:
    """Read parameters by name from a `.npz` or `.safetensors` file, which may be a checkpoint.

    Parameters
    ----------
    shapes : of all parameters that the file must hold, and no others.
    of : what they are the parameters of, for messages.
    turned : the matrices that shall lie column by column.

    Raises
    ------
    InputError
        If the file cannot be read, is broken, or holds other arrays or other than finite numbers.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "start.npz")
    >>> np.savez(path, W1=np.ones((1, 2)), b1=np.zeros(1))
    >>> load_parameters(path, {"W1": (1, 2), "b1": (1,)}, of="2-1").vector
    array([1., 1., 0.])
    >>> load_parameters(path, {"W1": (1, 3), "b1": (1,)}, of="3-1")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    workbench.errors.InputError: ... of 3-1: layer 1 differs: W1 has (1, 2), expected (1, 3); ...
    """
    path = Path(path)
    if path.suffix not in READERS:
        raise InputError(
            f"{path}: expected a file of parameters that ends in {' or '.join(READERS)}"
        )
    if not path.is_file():
        raise InputError(
            f"no such file: {str(path)!r}{whereabouts(path)}; expected a file of parameters"
        )
    parameters = Parameters(shapes, dtype, turned)
    with READERS[path.suffix](path) as members:
        _require_same(members, parameters, path, of)
        for name, view in parameters.items():
            view[...] = array = members[name].read()
            if not np.isfinite(array).all():
                raise InputError(f"{path}: {name} holds more than finite numbers")
    return parameters


def _require_same(members: Members, parameters: Parameters, path: Path, of: str) -> None:
    """Refuse a file of other parameters, by the first that differs."""
    if difference := first_difference(members, parameters, FLOATS):
        raise InputError(
            f"{path} does not hold the parameters of {of}: {difference[1]}; use a file that was "
            "made for it"
        )


@contextmanager
def _npz(path: Path) -> Iterator[Members]:
    try:
        with reading(path), zipfile.ZipFile(path) as archive:
            members = {}
            for entry in archive.infolist():
                with archive.open(entry) as stream:
                    shape, _, dtype = read_header(stream, f"{path}: {entry.filename}")
                read = partial(_read_entry, archive, entry)
                members[entry.filename.removesuffix(".npy")] = _Member(shape, dtype, read)
            yield members
    except ARCHIVE_ERRORS:
        raise InputError(f"{path} is broken: not a readable .npz archive; write it again") from None


def _read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Array:
    with archive.open(entry) as stream:
        shape, fortran_order, dtype = read_header(stream, entry.filename)
        values = stream.read(dtype.itemsize * math.prod(shape))
        if stream.read(1):
            raise ValueError("more values than the shape has")
    return np.ndarray(shape, dtype, values, order="F" if fortran_order else "C")


@contextmanager
def _safetensors(path: Path) -> Iterator[Members]:
    with opened(path, "write it again") as file:
        members = {
            name: _Member(entry.shape, entry.dtype, partial(file.read, name))
            for name, entry in file.entries.items()
        }
        chosen = {n.removeprefix(PREFIX): m for n, m in members.items() if n.startswith(PREFIX)}
        yield chosen or members


READERS: Mapping[str, Callable[[Path], AbstractContextManager[Members]]] = {
    ".npz": _npz,
    ".safetensors": _safetensors,
}
"""What reads each kind of file, by its ending."""
