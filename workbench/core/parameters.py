"""Parameters: every weight and bias of a network as a named view into one flat vector.

An optimizer updates the whole network by the vector; a program reads and writes the views.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from workbench.derivation.network import Network
from workbench.errors import TooLargeError

Array = NDArray[Any]

ALIGNMENT = 64
"""The bytes of a cache line, at which a vector begins."""

DTYPES = ("float32", "float64")
"""The types of numbers that parameters and programs have."""

MOST_MEMORY = 4 * 2**30
"""Parameters, and a program's buffers, of more bytes than this are refused, not allocated."""


class Parameters(Mapping[str, Array]):
    """Arrays by name, all of them views into one vector.

    Attributes
    ----------
    vector : (parameters,), all entries in the order of `shapes`, each array row by row.
    shapes : the shape of each array: weights W1 (m_1, m_0), biases b1 (m_1,).
    turned : the matrices that lie column by column instead, as their transposes.

    >>> parameters = Parameters({"W1": (2, 3), "b1": (2,)})
    >>> parameters["W1"][1] = [4, 5, 6]
    >>> parameters.vector
    array([0., 0., 0., 4., 5., 6., 0., 0.])
    """

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, ...]],
        dtype: DTypeLike = np.float64,
        turned: Collection[str] = (),
    ):
        self.shapes = MappingProxyType(dict(shapes))
        self.turned = frozenset(turned)
        _refuse_too_large(sum(map(math.prod, self.shapes.values())) * np.dtype(dtype).itemsize)
        self.vector = _aligned_zeros(sum(map(math.prod, self.shapes.values())), np.dtype(dtype))
        self._views: dict[str, Array] = {}
        start = 0
        for name, shape in self.shapes.items():
            end = start + math.prod(shape)
            order: Literal["C", "F"] = "F" if name in self.turned else "C"
            self._views[name] = self.vector[start:end].reshape(shape, order=order)
            start = end

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of every entry."""
        return self.vector.dtype

    def zeros_like(self) -> Parameters:
        """New parameters of the same names, shapes and type, all zero.

        >>> parameters = Parameters({"b1": (2,)})
        >>> parameters.vector[:] = 7
        >>> parameters.zeros_like()["b1"]
        array([0., 0.])
        """
        return Parameters(self.shapes, self.dtype, self.turned)

    def stored(self, name: str) -> Array:
        """The array as it lies in memory, row by row: the transpose of what is turned.

        >>> Parameters({"W1": (2, 3)}, turned=["W1"]).stored("W1").shape
        (3, 2)
        """
        return self._views[name].T if name in self.turned else self._views[name]

    def __getitem__(self, name: str) -> Array:
        """Return the view of one array."""
        return self._views[name]

    def __iter__(self) -> Iterator[str]:
        """Go through the names in order."""
        return iter(self._views)

    def __len__(self) -> int:
        """Count the arrays."""
        return len(self._views)


def parameter_shapes(network: Network) -> dict[str, tuple[int, ...]]:
    """Return the shape of each weight and bias of a network, layer by layer.

    >>> from workbench.calculus.functions import TANH
    >>> from workbench.derivation.network import LossFunction, PREDICTION
    >>> parameter_shapes(Network((3, 2), (TANH,), LossFunction("output", PREDICTION)))
    {'W1': (2, 3), 'b1': (2,)}
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, (before, after) in enumerate(pairwise(network.widths), start=1):
        shapes |= {f"W{layer}": (after, before), f"b{layer}": (after,)}
    return shapes


def _aligned_zeros(count: int, dtype: np.dtype[Any]) -> Array:
    """Zeros (count,) that begin at a multiple of `ALIGNMENT` bytes."""
    raw = np.zeros(count * dtype.itemsize + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + count * dtype.itemsize].view(dtype)


def _refuse_too_large(count: int) -> None:
    if count > MOST_MEMORY:
        raise TooLargeError(
            f"the parameters take {readable_bytes(count)}, more than "
            f"{readable_bytes(MOST_MEMORY)}; use narrower layers"
        )


def readable_bytes(count: float) -> str:
    """A number of bytes in the unit that suits it.

    >>> readable_bytes(3 * 2**30)
    '3.0 GiB'
    """
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:,.1f} {unit}"
        count /= 1024
    return f"{count:,.1f} TiB"


class Described(Protocol):
    """What is known of an array: there, or still in a file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""

    @property
    def dtype(self) -> Any:
        """Its type."""


def first_difference(
    found: Mapping[str, Described], expected: Mapping[str, Described], types: Collection[str] = ()
) -> tuple[str, str] | None:
    """The first array in which a file differs from what is expected, and how, in words.

    Parameters
    ----------
    types : the names of the types that are taken; that of the expected array if there are none.

    >>> first_difference({"W2": np.zeros((10, 64))}, {"W2": np.zeros((10, 32))})
    ('W2', 'layer 2 differs: W2 has (10, 64), expected (10, 32)')
    """
    for name in dict.fromkeys([*expected, *found]):
        group, _, short = name.rpartition("/")
        one, other = found.get(name), expected.get(name)
        if one is None:
            difference = f"the file has no {short}"
        elif other is None:
            difference = f"there is no {short} but in the file"
        elif one.shape != other.shape:
            difference = f"{short} has {one.shape}, expected {other.shape}"
        elif str(one.dtype) not in (types or (str(other.dtype),)):
            wanted = ", ".join(types) or str(other.dtype)
            difference = f"{short} is of {one.dtype}, expected {wanted}"
        else:
            continue
        layer = re.fullmatch(r"[Wb]([0-9]+)", short) if group in ("", "parameters") else None
        return name, f"{f'layer {layer[1]}' if layer else name} differs: {difference}"
    return None
