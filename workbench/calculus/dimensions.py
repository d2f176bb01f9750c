"""Symbolic sizes: `m_1`, `B`, `3`, and their products such as `m_1·m_0` (the length of a vec)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from workbench.errors import InputError


@dataclass(frozen=True, slots=True)
class Dimension:
    """A product of named sizes and a whole number; `Dimension(1)` is the size of a scalar.

    >>> m, n = Dimension.named("m"), Dimension.named("n")
    >>> m * n == n * m
    True
    >>> (m * n).size({"m": 2, "n": 3})
    6
    """

    factor: int = 1
    names: tuple[str, ...] = ()

    @staticmethod
    def named(name: str) -> Dimension:
        """The dimension with this name."""
        return Dimension(1, (name,))

    def __mul__(self, other: Dimension) -> Dimension:
        return Dimension(self.factor * other.factor, tuple(sorted(self.names + other.names)))

    def size(self, sizes: Mapping[str, int]) -> int:
        """The whole number that this dimension is, given a size for every name.

        Raises
        ------
        InputError
            If a name has no size.
        """
        missing = [name for name in self.names if name not in sizes]
        if missing:
            raise InputError(f"no size is given for dimension {missing[0]}")
        return self.factor * prod(sizes[name] for name in self.names)


ONE = Dimension()

Shape = tuple[Dimension, Dimension]
"""Rows and columns. A vector is a column `(n, 1)`, a scalar is `(1, 1)`."""

SCALAR: Shape = (ONE, ONE)
