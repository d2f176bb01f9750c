"""What every kind of table offers, and how its columns are named, chosen and parsed.

Columns are counted from 1 in everything a user reads or writes, from 0 inside.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite, isnan
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from workbench.core.data.files import ReportProgress
from workbench.errors import InputError, close_matches

MISSING = frozenset(
    {"", "?", "NA", "N/A", "n/a", "#N/A", "#NA", "<NA>", "NULL", "null", "NaN", "nan", "NAN"}
)
"""Cells that say that a value is not there; so does every other spelling of NaN in a number."""

Matrix = NDArray[np.float64]


class Missing(StrEnum):
    """What is done about a missing value: refuse it, fill in the mean, or drop its row."""

    REFUSE = "refuse"
    MEAN = "mean"
    DROP = "drop"


def require_way(missing: str) -> None:
    """Refuse what is no way with missing values."""
    if missing not in list(Missing):
        hint = close_matches(missing, list(Missing))
        raise InputError(f"unknown way {missing!r} with missing values: {hint}")


_DROP = {Missing.DROP: "leave out such rows with --missing drop"}
_WAYS = {False: {Missing.MEAN: "use the column's mean with --missing mean", **_DROP}, True: _DROP}
"""What can be done about a missing input, and about a missing target."""


@dataclass(frozen=True)
class Reading:
    """How a table is read.

    Attributes
    ----------
    targets : the target columns; the last that is not ignored if there are none.
    ignore : the columns that are no inputs either, and may hold anything.
    categorical : whether the target holds classes; None finds out.
    header : whether the first row holds names; None finds out.
    missing : what is done about missing values.
    decimal : the mark before the fraction of a number, "." or ",".
    offered : what messages propose to do about a missing value.
    trained : whether the columns are those of a training that has been.
    """

    targets: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    categorical: bool | None = None
    header: bool | None = None
    missing: Missing | str = Missing.REFUSE
    decimal: str = "."
    offered: tuple[Missing, ...] = (Missing.MEAN, Missing.DROP)
    trained: bool = False

    def __post_init__(self) -> None:
        require_way(self.missing)
        if self.decimal not in (".", ","):
            raise InputError(f"decimal mark {self.decimal!r}; expected '.' or ','")

    def allows_gap(self, *, target: bool) -> bool:
        """Whether a missing input, or a missing target, is not refused.

        >>> Reading(missing="mean").allows_gap(target=True)
        False
        """
        return self.missing in _WAYS[target]


class Wanted(NamedTuple):
    """The columns to read: inputs and targets as numbers, and the target that holds classes."""

    inputs: Sequence[int]
    targets: Sequence[int] = ()
    label: int | None = None


class Rows(NamedTuple):
    """Some rows of the columns wanted: numbers (rows, columns) and a label a row.

    A missing input is NaN; `dropped` counts the rows that were left out.
    """

    inputs: Matrix
    targets: Matrix
    labels: list[str]
    dropped: int


class Named(Protocol):
    """Named columns of equal length, of which some are targets."""

    @property
    def source(self) -> str:
        """The name under which messages speak of the table."""

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names: those of the header, or `column_1`, `column_2`, ..."""

    @property
    def header(self) -> bool:
        """Whether the names come from the file."""

    @property
    def targets(self) -> tuple[int, ...]:
        """The indices of the target columns."""

    def cells(self, column: int) -> Iterator[tuple[str, str]]:
        """Yield the place and the text of each cell of a column, one by one."""


class Table(Named, Protocol):
    """Columns that are read only when asked."""

    def rows(
        self, wanted: Wanted, reading: Reading, progress: ReportProgress | None = None
    ) -> Iterator[Rows]:
        """Yield all rows, some at a time; an error names the first cell that cannot be used.

        Every number is finite, or NaN for an input that is missing and to be filled in.
        """


def parse_number(cell: str, decimal: str = ".") -> float | None:
    """Return the number a cell spells, `nan` and `inf` included, or None.

    >>> parse_number(" 1e3 "), parse_number("inf"), parse_number("1_000"), parse_number("abc")
    (1000.0, inf, None, None)
    >>> parse_number("1,5", ","), parse_number("1.5", ","), parse_number("1,5")
    (1.5, None, None)
    """
    if decimal == ",":
        cell = cell.replace(".", "_").replace(",", ".")
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def is_missing(cell: str) -> bool:
    """Tell whether a cell says that its value is not there.

    >>> is_missing(" NA "), is_missing("0")
    (True, False)
    """
    return cell.strip() in MISSING


def parse_column(cells: Sequence[str], decimal: str = ".", *, gaps: bool = False) -> Matrix:
    """Return a column of text as numbers, fast; else ValueError.

    They are finite, or with `gaps` also NaN for a missing value.

    >>> parse_column(["1", "3e1"]), parse_column(["1,5", "?"], ",", gaps=True)
    (array([ 1., 30.]), array([1.5, nan]))
    """
    if decimal == ",":
        cells = [cell.replace(".", "_").replace(",", ".") for cell in cells]
    if "_" in "".join(cells):
        raise ValueError("an underscore within a number")
    try:
        values = np.array(cells, dtype=np.float64)
    except ValueError:
        if not gaps:
            raise
        values = np.array(["nan" if is_missing(cell) else cell for cell in cells], np.float64)
    if np.isinf(values).any() or (not gaps and np.isnan(values).any()):
        raise ValueError("a number that is not finite")
    return values


def complaint(cell: str, reading: Reading, *, numeric: bool, target: bool) -> str | None:
    """Say what is wrong with a cell, if anything.

    >>> complaint("NA", Reading(), numeric=False, target=True)
    "missing value 'NA'; fill it in, or leave out such rows with --missing drop"
    >>> complaint("inf", Reading(), numeric=True, target=False)
    "'inf' is not a finite number; drop the row or correct it"
    >>> complaint("blue", Reading(), numeric=True, target=False)
    "'blue' is not a number; inputs must be numbers; leave the column out with --ignore, or choose \
it with --target"
    """
    value = parse_number(cell, reading.decimal)
    if is_missing(cell) or (numeric and value is not None and isnan(value)):
        if reading.allows_gap(target=target):
            return None
        ways = [words for way, words in _WAYS[target].items() if way in reading.offered]
        return f"missing value {cell.strip()!r}; {', or '.join(['fill it in', *ways])}"
    if numeric and value is None:
        return f"{cell!r} is not a number; {_advice(cell, reading, target=target)}"
    if numeric and value is not None and not isfinite(value):
        return f"{cell!r} is not a finite number; drop the row or correct it"
    return None


def _advice(cell: str, reading: Reading, *, target: bool) -> str:
    other = "," if reading.decimal == "." else "."
    if parse_number(cell, other) is not None:
        return (
            f"{reading.decimal!r} was expected before the fraction: choose --decimal '{other}', "
            "or write numbers without separators of thousands"
        )
    if reading.trained:
        return "it was a column of numbers in training"
    if target:
        return "if these are classes, choose a loss for classes"
    return "inputs must be numbers; leave the column out with --ignore, or choose it with --target"


def column_names(count: int) -> tuple[str, ...]:
    """Name the columns of a table without a header.

    >>> column_names(2)
    ('column_1', 'column_2')
    """
    return tuple(f"column_{number}" for number in range(1, count + 1))


def find_columns(
    given: Sequence[str], names: Sequence[str], *, header: bool, source: str, role: str
) -> tuple[int, ...]:
    """Find columns by name or, without a header, by number.

    Parameters
    ----------
    role : what the columns are for, in a message.

    >>> find_columns(["b"], ["a", "b"], header=True, source="data.csv", role="to ignore")
    (1,)
    >>> names = ["column_1", "column_2"]
    >>> find_columns(["1"], names, header=False, source="data.csv", role="to ignore")
    (0,)
    """
    places = {name: index for index, name in enumerate(names)}
    if not header:
        places |= {str(index + 1): index for index in range(len(names))}
    for column in given:
        if column not in places:
            hint = close_matches(column, names)
            raise InputError(f"{source}: there is no column {column!r} {role}; {hint}")
    return tuple(places[column] for column in given)


def choose_targets(
    targets: Sequence[str],
    names: Sequence[str],
    *,
    header: bool,
    source: str,
    ignore: Sequence[str] = (),
) -> tuple[int, ...]:
    """Find the target columns; by default the last that is not ignored.

    >>> choose_targets([], ["a", "b", "c"], header=True, source="data.csv", ignore=["c"])
    (1,)
    """
    chosen = find_columns(targets, names, header=header, source=source, role="for the target")
    if len(set(chosen)) < len(chosen):
        raise InputError(f"{source}: a target column is given twice: {', '.join(targets)}")
    if chosen:
        return chosen
    ignored = find_columns(ignore, names, header=header, source=source, role="to ignore")
    left = (index for index in reversed(range(len(names))) if index not in ignored)
    if (last := next(left, None)) is None:
        raise InputError(f"{source}: all {len(names)} columns are ignored; expected two or more")
    return (last,)
