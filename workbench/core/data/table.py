"""What every kind of table offers, and how its columns are named and chosen.

Columns are counted from 1 in everything a user reads or writes, from 0 inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from workbench.errors import InputError, close_matches

MISSING = frozenset({"", "?", "NA", "N/A", "n/a", "#N/A", "NULL", "null", "NaN", "nan"})
"""Cells that say that a value is not there."""

Matrix = NDArray[np.float64]


class Table(Protocol):
    """Named columns of equal length, of which some are targets; read only when asked."""

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

    def read(self, numbers: Sequence[int], cells: Sequence[int]) -> tuple[Matrix, list[list[str]]]:
        """Return the columns `numbers` as (rows, columns) and each column of `cells` as text.

        Every number is finite and no cell is missing; an error names the first that breaks this.
        """


def parse_number(cell: str) -> float | None:
    """Return the number a cell spells, `nan` and `inf` included, or None.

    >>> parse_number(" 1e3 "), parse_number("inf"), parse_number("1_000"), parse_number("abc")
    (1000.0, inf, None, None)
    """
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def parse_columns(columns: Sequence[Sequence[str]], rows: int) -> Matrix:
    """Return columns of text as (rows, columns) of finite numbers, fast; else ValueError.

    >>> parse_columns([["1", "2"], ["3", "4e1"]], rows=2)
    array([[ 1.,  3.],
           [ 2., 40.]])
    """
    block = np.empty((rows, len(columns)))
    for index, column in enumerate(columns):
        block[:, index] = np.array(column, dtype=np.float64)
        if "_" in "".join(column):
            raise ValueError("an underscore within a number")
    if not np.isfinite(block).all():
        raise ValueError("a number that is not finite")
    return block


def complaint(cell: str, *, numeric: bool) -> str | None:
    """Say what is wrong with a cell, if anything.

    >>> complaint("NA", numeric=False)
    "missing value 'NA'; drop the row or fill it in"
    >>> complaint("inf", numeric=True)
    "'inf' is not a finite number; drop the row or correct it"
    >>> complaint("blue", numeric=True)
    "'blue' is not a number; inputs must be numbers (or is this the target?)"
    """
    text = cell.strip()
    value = parse_number(cell)
    if text in MISSING:
        return f"missing value {text!r}; drop the row or fill it in"
    if numeric and value is None:
        return f"{cell!r} is not a number; inputs must be numbers (or is this the target?)"
    if numeric and value is not None and not isfinite(value):
        return f"{cell!r} is not a finite number; drop the row or correct it"
    return None


def column_names(count: int) -> tuple[str, ...]:
    """Name the columns of a table without a header.

    >>> column_names(2)
    ('column_1', 'column_2')
    """
    return tuple(f"column_{number}" for number in range(1, count + 1))


def choose_targets(
    targets: Sequence[str], names: Sequence[str], *, header: bool, source: str
) -> tuple[int, ...]:
    """Find the target columns by name or, without a header, by number; by default the last.

    >>> choose_targets(["b"], ["a", "b", "c"], header=True, source="data.csv")
    (1,)
    >>> choose_targets(["1"], ["column_1", "column_2"], header=False, source="data.csv")
    (0,)
    >>> choose_targets([], ["a", "b"], header=True, source="data.csv")
    (1,)
    """
    places = {name: index for index, name in enumerate(names)}
    if not header:
        places |= {str(index + 1): index for index in range(len(names))}
    for target in targets:
        if target not in places:
            hint = close_matches(target, names)
            raise InputError(f"{source}: there is no column {target!r} for the target; {hint}")
    chosen = tuple(places[target] for target in targets) or (len(names) - 1,)
    if len(set(chosen)) < len(chosen):
        raise InputError(f"{source}: a target column is given twice: {', '.join(targets)}")
    if len(chosen) == len(names):
        raise InputError(
            f"{source}: no column is left for the inputs: all {len(names)} are targets "
            f"({', '.join(names[index] for index in chosen)}); expected at least one more column"
        )
    return chosen
