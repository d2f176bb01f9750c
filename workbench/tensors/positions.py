"""Indices: names that run over a dimension, alone, as digits of a longer one, or moved along.

The row of vec(A) is a pair of indices, the row of a stack is an index moved past the parts above
it. A `Position` says where an entry stands in such a dimension; taking it apart demands that an
index be split, which whoever introduced the index then does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product
from operator import add, mul
from typing import NamedTuple

from workbench.calculus.blocks import ZERO
from workbench.calculus.dimensions import ONE, Dimension
from workbench.errors import InputError


class Index(str):
    """Several names as one index, `(j,i)`, the first one major; or an index moved along, `m+i`.

    Attributes
    ----------
    names : what it is made of; none for a fixed place.
    offset : what is added.

    >>> Index(("j", "i"))
    '(j,i)'
    """

    names: tuple[str, ...]
    offset: Dimension

    def __new__(cls, names: Sequence[str], offset: Dimension = ZERO) -> Index:
        """The index of these names."""
        inner = names[0] if len(names) == 1 else f"({','.join(names)})" if names else "1"
        made = super().__new__(cls, inner if offset is ZERO else f"{offset!r}+{inner}")
        made.names, made.offset = tuple(names), offset
        return made


def names_in(index: str) -> tuple[str, ...]:
    """The names that an index is made of.

    >>> names_in(Index(("j", "i"))), names_in("k")
    (('j', 'i'), ('k',))
    """
    return index.names if isinstance(index, Index) else (index,)


def renamed(index: str, naming: Mapping[str, str]) -> str:
    """An index with other names.

    >>> renamed(Index(("j", "i")), {"i": "k"})
    '(j,k)'
    """
    if isinstance(index, Index):
        return Index([naming.get(name, name) for name in index.names], index.offset)
    return naming.get(index, index)


class Place(NamedTuple):
    """One digit of a position: a name, what it runs over, and where that lies in the digit.

    Attributes
    ----------
    name : empty for a fixed place.
    dimension : what the name runs over.
    offset : what is added to it.
    whole : what the digit runs over: more than the name does, in a stack.
    """

    name: str
    dimension: Dimension
    offset: Dimension
    whole: Dimension


Position = tuple[Place, ...]
"""The digits of an index, major first; none in a dimension of one."""


class SplitError(Exception):
    """An index has to be written as two: as a pair, or as one for each part of a stack."""

    def __init__(self, name: str, parts: tuple[Dimension, ...], stacked: bool) -> None:
        super().__init__(name)
        self.name, self.parts, self.stacked = name, parts, stacked
        self.dimension = reduce(add if stacked else mul, parts)


@dataclass(frozen=True, slots=True)
class Split:
    """How an index is written by others, and whether they stand for parts of a stack."""

    names: tuple[str, ...]
    parts: tuple[Dimension, ...]
    stacked: bool


class Names:
    """Names for indices, and how those that stand for several are split.

    Parameters
    ----------
    taken : names that mean something else.
    letters : what names are made of; when they are used up, they are numbered.
    reuse : whether sums beside each other may share a name.

    >>> names = Names(frozenset("i"))
    >>> names.new(), names.new()
    ('j', 'k')
    """

    def __init__(
        self, taken: frozenset[str] = frozenset(), letters: str = "ijklst", reuse: bool = False
    ) -> None:
        self.splits: dict[tuple[str, Dimension], Split] = {}
        self.reuse = reuse
        self._taken = set(taken)
        self._letters = letters
        self._used = 0

    def new(self) -> str:
        """A name that means nothing yet."""
        while True:
            number, place = divmod(self._used, len(self._letters))
            self._used += 1
            name = f"{self._letters[place]}{number or ''}"
            if name not in self._taken:
                return name

    @property
    def taken(self) -> frozenset[str]:
        """The names that mean something else, and those that stand for parts of an index."""
        return frozenset(self._taken)

    @property
    def mark(self) -> int:
        """How many names are used, to go back to."""
        return self._used

    def back_to(self, mark: int) -> None:
        """Give names out again from a mark on."""
        self._used = mark

    def split(self, demand: SplitError) -> None:
        """Meet a demand: from now on the index is written by others, which are kept for it."""
        key = demand.name, demand.dimension
        if key in self.splits:
            raise InputError("an index would have to be split in two ways")
        names = tuple(self.new() if part is not ONE else "" for part in demand.parts)
        self._taken.update(names)
        self.splits[key] = Split(names, demand.parts, demand.stacked)

    def positions(self, name: str, dimension: Dimension) -> list[Position]:
        """Where an index can stand: one position, or one for each part of a stack.

        >>> Names().positions("k", Dimension.named("n"))
        [(Place(name='k', dimension=n, offset=, whole=n),)]
        """
        if dimension is ONE:
            return [()]
        split = self.splits.get((name, dimension))
        if split is None:
            return [(Place(name, dimension, ZERO, dimension),)]
        inner = [self.positions(*pair) for pair in zip(split.names, split.parts, strict=True)]
        if not split.stacked:
            return [sum(chosen, ()) for chosen in product(*inner)]
        found: list[Position] = []
        start = ZERO
        for part, positions in zip(split.parts, inner, strict=True):
            found.extend(moved(position, part, start, dimension) for position in positions)
            start = start + part
        return found


def moved(position: Position, length: Dimension, offset: Dimension, whole: Dimension) -> Position:
    """A position among `length` places, as one among `whole` that start `offset` earlier.

    Raises
    ------
    InputError
        If it has several digits.

    >>> m, n = Dimension.named("m"), Dimension.named("n")
    >>> index_of(moved(Names().positions("i", n)[0], n, m, m + n))
    'm+i'
    """
    if length is whole:
        return position
    if not position:
        return (Place("", ONE, offset, whole),)
    if len(position) > 1:
        raise InputError("a pair of indices within a block has no form by entries")
    (place,) = position
    return (Place(place.name, place.dimension, place.offset + offset, whole),)


def index_of(position: Position) -> str:
    """A position as the index of an entry.

    >>> m, n = Dimension.named("m"), Dimension.named("n")
    >>> index_of(Names().positions("i", n)[0])
    'i'
    """
    if len(position) == 1 and position[0].offset is ZERO and position[0].name:
        return position[0].name
    if len(position) == 1:
        return Index([position[0].name] if position[0].name else [], position[0].offset)
    if any(place.offset is not ZERO for place in position):
        raise InputError("a pair of indices within a block has no form by entries")
    return Index([place.name for place in position])


def digits(position: Position, parts: Sequence[Dimension]) -> list[Position]:
    """A position in a product of dimensions as one position in each.

    Raises
    ------
    SplitError
        If an index has to be written as a pair first.
    InputError
        If the digits of the position do not fit.

    >>> m, n = Dimension.named("m"), Dimension.named("n")
    >>> pair = Names().positions("j", n)[0] + Names().positions("i", m)[0]
    >>> [index_of(digit) for digit in digits(pair, (n, m))]
    ['j', 'i']
    """
    pieces: list[Position] = []
    rest = list(position)
    for part in parts:
        piece: list[Place] = []
        need = part
        while need is not ONE:
            if not rest:
                raise InputError("the digits of an index do not fit")
            over = rest[0].whole
            remaining = _quotient(need, over)
            if remaining is None:
                beyond = _quotient(over, need)
                if beyond is None or rest[0].whole is not rest[0].dimension:
                    raise InputError(f"an index over {over!r} cannot be split at {need!r}")
                raise SplitError(rest[0].name, (need, beyond), stacked=False)
            piece.append(rest.pop(0))
            need = remaining
        pieces.append(tuple(piece))
    return pieces


def _quotient(whole: Dimension, part: Dimension) -> Dimension | None:
    """What times `part` is `whole`, for products of names and numbers."""
    if whole is part:
        return ONE
    if len(whole.terms) != 1 or len(part.terms) != 1:
        return None
    ((names, times),), ((others, factor),) = whole.terms, part.terms
    left = list(names)
    for other in others:
        if other not in left:
            return None
        left.remove(other)
    return None if times % factor else Dimension(((tuple(left), times // factor),))


def within(position: Position, lengths: Sequence[Dimension]) -> tuple[int, Position]:
    """Which part of a stack a position lies in, and where in it.

    Raises
    ------
    SplitError
        If that depends on the index.
    InputError
        If the parts cut across those of another stack.

    >>> m, n = Dimension.named("m"), Dimension.named("n")
    >>> below = moved(Names().positions("i", n)[0], n, m, m + n)
    >>> place, inside = within(below, (m, n))
    >>> place, index_of(inside)
    (1, 'i')
    """
    if len(position) != 1:
        raise InputError("a pair of indices in a stack has no form by entries")
    (place,) = position
    start = ZERO
    for number, length in enumerate(lengths):
        inner, behind = place.offset - start, start + length - place.offset - place.dimension
        if _is_size(inner) and _is_size(behind):
            if length is ONE:
                return number, ()
            return number, (Place(place.name, place.dimension, inner, length),)
        if inner is ZERO and _is_size(place.dimension - length):
            raise SplitError(place.name, (length, place.dimension - length), stacked=True)
        start = start + length
    raise InputError(f"the parts of a stack of {place.whole!r} rows or columns cut each other")


def _is_size(dimension: Dimension) -> bool:
    return all(times >= 0 for _, times in dimension.terms)


def pairs(left: Position, right: Position) -> list[tuple[str, str]] | None:
    """The names that must agree for two positions in one dimension to be the same; None if never.

    Raises
    ------
    SplitError
        If an index has to be split as the other one is.
    InputError
        If the two are split in different ways.

    >>> m, n = Dimension.named("m"), Dimension.named("n")
    >>> pairs(Names().positions("i", n)[0], Names().positions("j", n)[0])
    [('i', 'j')]
    """
    if len(left) != len(right):
        shorter, longer = (left, right) if len(left) < len(right) else (right, left)
        digits(shorter, [place.whole for place in longer])
        raise InputError("two indices are pairs in different ways")
    found = []
    for one, other in zip(left, right, strict=True):
        if one.whole is not other.whole:
            raise InputError("two indices are pairs in different ways")
        if (one.offset, one.dimension) == (other.offset, other.dimension):
            if one.name:
                found.append((one.name, other.name))
            continue
        wide, narrow = (one, other) if one.dimension is one.whole else (other, one)
        if wide.dimension is wide.whole:
            before = narrow.offset
            after = wide.whole - before - narrow.dimension
            parts = tuple(part for part in (before, narrow.dimension, after) if part is not ZERO)
            raise SplitError(wide.name, parts, stacked=True)
        apart = (
            one.offset - other.offset - other.dimension,
            other.offset - one.offset - one.dimension,
        )
        if any(map(_is_size, apart)):
            return None
        raise InputError("the parts of two stacks cut each other")
    return found
