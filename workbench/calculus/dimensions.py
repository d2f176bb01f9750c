"""Symbolic sizes: `m_1`, `B`, `3`, their products (the length of a vec) and sums (of a stack)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import prod
from typing import ClassVar
from weakref import WeakValueDictionary

from workbench.errors import InputError

Terms = tuple[tuple[tuple[str, ...], int], ...]
"""Products of names, each with how often it is taken, sorted; the empty product is the number."""


class Dimension:
    """A polynomial in named sizes. Equal dimensions are the same object.

    Attributes
    ----------
    terms : the products that are added up.

    >>> m, n = Dimension.named("m"), Dimension.named("n")
    >>> m * n is n * m, m + n is n + m
    (True, True)
    >>> (m * n + m).size({"m": 2, "n": 3})
    8
    """

    __slots__ = ("__weakref__", "terms")
    terms: Terms
    _known: ClassVar[WeakValueDictionary[Terms, Dimension]] = WeakValueDictionary()

    def __new__(cls, terms: Terms) -> Dimension:
        """The one dimension with these terms."""
        known = cls._known.get(terms)
        if known is None:
            known = super().__new__(cls)
            known.terms = terms
            cls._known[terms] = known
        return known

    @staticmethod
    def named(name: str) -> Dimension:
        """The dimension with this name."""
        return Dimension((((name,), 1),))

    @staticmethod
    def number(value: int) -> Dimension:
        """A size that is known, from 0."""
        return Dimension((((), value),) if value else ())

    @property
    def names(self) -> tuple[str, ...]:
        """The names that occur, each once, sorted."""
        return tuple(sorted({name for names, _ in self.terms for name in names}))

    def __mul__(self, other: Dimension) -> Dimension:
        if other is ONE:
            return self
        found: Counter[tuple[str, ...]] = Counter()
        for names, count in self.terms:
            for others, times in other.terms:
                found[tuple(sorted(names + others))] += count * times
        return _collected(found)

    def __add__(self, other: Dimension) -> Dimension:
        found = Counter(dict(self.terms))
        found.update(dict(other.terms))
        return _collected(found)

    def __sub__(self, other: Dimension) -> Dimension:
        found = Counter(dict(self.terms))
        found.subtract(dict(other.terms))
        return _collected(found)

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
        return sum(count * prod(sizes[name] for name in names) for names, count in self.terms)

    def __repr__(self) -> str:
        return " + ".join(
            "·".join([*([] if names and count == 1 else [str(count)]), *names])
            for names, count in self.terms
        )


def _collected(counts: Counter[tuple[str, ...]]) -> Dimension:
    return Dimension(tuple(sorted((names, count) for names, count in counts.items() if count)))


ONE = Dimension.number(1)

Shape = tuple[Dimension, Dimension]
"""Rows and columns. A vector is a column `(n, 1)`, a scalar is `(1, 1)`."""

SCALAR: Shape = (ONE, ONE)
