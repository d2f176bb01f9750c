"""Which columns of a table each symbol of some equations takes, and the sizes that follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import islice
from math import prod
from operator import mul

from workbench.calculus.dimensions import ONE, Dimension
from workbench.calculus.expressions import Expression, Kind, describe
from workbench.core.whole_numbers import whole_sizes
from workbench.derivation.batching import is_batch
from workbench.derivation.network import BATCH
from workbench.derivation.system import System
from workbench.errors import InputError, close_matches


def _sample_dimensions(given: Expression) -> tuple[Dimension, ...]:
    return tuple(dimension for dimension in given.shape if dimension not in (ONE, BATCH))


def sample_shape(given: Expression, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """The shape of one sample of a symbol: (n,), () of a number, (d, n) of a matrix."""
    return tuple(dimension.size(sizes) for dimension in _sample_dimensions(given))


def known_width(symbols: Sequence[Expression], sizes: Mapping[str, int]) -> int | None:
    """The number of entries that one sample of some symbols has, if the sizes tell it.

    >>> from workbench.calculus.expressions import symbol
    >>> n = Dimension.named("n")
    >>> x = symbol("x", Kind.INPUT, (n, ONE))
    >>> known_width([x], {}), known_width([x], {"n": 3})
    (None, 3)
    """
    total = _total(symbols)
    return total.size(sizes) if sizes.keys() >= set(total.names) else None


def _total(symbols: Sequence[Expression]) -> Dimension:
    """The number of columns that some symbols take."""
    lengths = (reduce(mul, _sample_dimensions(s), ONE) for s in symbols)
    return sum(lengths, start=Dimension.number(0))


@dataclass
class ColumnAssignment:
    """The columns of a table on their way to inputs and targets, and the sizes that follow."""

    system: System
    columns: tuple[str, ...]
    targets: int
    chosen: dict[str, Sequence[str]]

    def __post_init__(self) -> None:
        wanted = {Kind.PARAMETER: "W : m×n", Kind.TARGET: f"y : {self.targets}"}
        for kind, example in wanted.items():
            if not self.system.of_kind(kind) and (kind is Kind.PARAMETER or self.targets):
                raise InputError(
                    f"the equations have no {kind}; declare it in a line such as `{kind} {example}`"
                )
        self.inputs = {s.symbol.name: s for s in self.system.of_kind(Kind.INPUT)}
        for name, columns in self.chosen.items():
            if name not in self.inputs:
                raise InputError(
                    f"columns are given for {name!r}, which is no input; "
                    f"{close_matches(name, self.inputs)}"
                )
            for column in columns:
                if column not in self.columns:
                    hint = close_matches(column, self.columns)
                    raise InputError(f"input {name}: there is no column {column!r}; {hint}")
        taken = [column for columns in self.chosen.values() for column in columns]
        twice = next((column for column in taken if taken.count(column) > 1), None)
        if twice is not None:
            raise InputError(f"column {twice!r} is given to an input twice")
        self.left = [column for column in self.columns if column not in taken]
        if is_batch(self.system):
            self._require_samples()

    def _require_samples(self) -> None:
        for given in self.system.of_kind(Kind.INPUT, Kind.TARGET):
            if BATCH not in given.shape:
                name, shape = given.symbol.name, describe(given.shape)
                raise InputError(
                    f"{name} is {shape}, the same for every sample of the batch B; give its value: "
                    f"--set {name}=0.1"
                )

    def solved(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """Every size: those given, and those that follow from the numbers of columns."""
        names = [n for s in self.system.symbols for part in s.shape for n in part.names]
        wanted = [name for name in dict.fromkeys(names) if name != BATCH.names[0]]
        for name in sizes:
            if name not in wanted:
                raise InputError(f"there is no size {name!r}; {close_matches(name, wanted)}")
        known = whole_sizes(sizes)
        conditions = self._conditions()
        for _ in wanted:
            for condition in conditions:
                known |= condition.solved(known)
        for condition in conditions:
            condition.require(known)
        for name in wanted:
            if name not in known:
                self._refuse_open(name)
        return known

    def _conditions(self) -> list[_Condition]:
        others = [s for name, s in self.inputs.items() if name not in self.chosen]
        found = [
            _Condition([self.inputs[name]], len(columns), "named for it", "name as many")
            for name, columns in self.chosen.items()
        ]
        if others or not self.chosen:
            way_out = (
                "name those of an input: --input x=a,b, or give the value of what is the same for "
                "every sample: --set c=0.1"
            )
            found.append(_Condition(others, len(self.left), "besides the targets", way_out))
        targets = self.system.of_kind(Kind.TARGET)
        return [*found, _Condition(targets, self.targets, "of targets", "choose them by --target")]

    def _refuse_open(self, name: str) -> None:
        symbols = (*self.inputs.values(), *self.system.symbols)
        user = next(s for s in symbols if name in [n for d in s.shape for n in d.names])
        way_out = f"--size {name}=16"
        if user.symbol.kind is Kind.INPUT:
            way_out += (
                f", or name its columns: --input {user.symbol.name}={','.join(self.left[:2])}"
            )
        raise InputError(
            f"the size {name} of {user.symbol.name} ({describe(user.shape)}) does not follow from "
            f"the columns of the table; give it: {way_out}"
        )

    def ordered(self, sizes: Mapping[str, int]) -> tuple[str, ...]:
        """The names of the columns in the order in which the inputs take them."""
        left, found = iter(self.left), list[str]()
        for name, given in self.inputs.items():
            count = prod(sample_shape(given, sizes))
            found += self.chosen.get(name) or islice(left, count)
        return tuple(found)


@dataclass(frozen=True)
class _Condition:
    """That some symbols take a number of columns together."""

    symbols: Sequence[Expression]
    count: int
    what: str
    way_out: str

    def solved(self, known: Mapping[str, int]) -> dict[str, int]:
        """The size that follows, if only one is open and some number fits."""
        total = _total(self.symbols)
        names = [name for name in total.names if name not in known]
        if len(names) != 1:
            return {}
        fitting = range(1, self.count + 1)
        values = (v for v in fitting if total.size({**known, names[0]: v}) == self.count)
        value = next(values, None)
        return {} if value is None else {names[0]: value}

    def require(self, known: Mapping[str, int]) -> None:
        """Refuse sizes that do not fit."""
        total = _total(self.symbols)
        names = [name for name in total.names if name not in known]
        if len(names) > 1 or (not names and total.size(known) == self.count):
            return
        takes = f"take {total!r}" if names else f"take {total.size(known)}"
        shown = ", ".join(f"{s.symbol.name} ({describe(s.shape)})" for s in self.symbols)
        raise InputError(
            f"{shown or 'the equations'} {takes} columns, and there are {self.count} {self.what}; "
            f"{self.way_out}"
        )
