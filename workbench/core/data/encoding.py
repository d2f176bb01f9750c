"""Rows of a table as numbers, its classes too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.core.data.dataset import Labels, in_natural_order
from workbench.core.data.files import ReportProgress
from workbench.core.data.selection import Selection
from workbench.core.data.table import (
    Matrix,
    Missing,
    Reading,
    Table,
    complaint,
    is_missing,
    parse_number,
)
from workbench.errors import InputError, close_matches


class EncodedRows(NamedTuple):
    """Some rows: inputs (rows, features), targets (rows, outputs) or labels (rows,)."""

    inputs: Matrix
    outcomes: NDArray[Any]
    dropped: int


class Encoding:
    """The rows of a table, as they are read; after the last of them its classes are known."""

    def __init__(self, table: Table, reading: Reading, selection: Selection):
        self.table, self.reading, self.selection = table, reading, selection
        self._encoder = Encoder(selection.known)

    def rows(self, progress: ReportProgress | None = None) -> Iterator[EncodedRows]:
        """Yield all rows, some at a time."""
        selection = self.selection
        count = 0
        for rows in self.table.rows(selection.wanted, self.reading, progress):
            count += len(rows.inputs)
            outcomes = self._encode(rows.labels) if selection.categorical else rows.targets
            yield EncodedRows(rows.inputs, outcomes, rows.dropped)
        require_rows(count, self.table.source, self.reading)

    def classes(self) -> tuple[tuple[str, ...], Labels] | None:
        """Return the classes in order and the place of each label's number; None for numbers."""
        selection, table = self.selection, self.table
        if not selection.categorical:
            return None
        if selection.known is not None:
            return selection.known, np.arange(len(selection.known))
        classes, places = self._encoder.classes()
        column = selection.outputs[0]
        if not selection.certain:
            _refuse_mixture(table, column, self.reading, classes)
        if len(classes) == 1:
            raise InputError(
                f"{table.source}: column {table.names[column]!r} holds one class only, "
                f"{classes[0]!r}; expected two or more"
            )
        return classes, places

    def _encode(self, labels: Sequence[str]) -> Labels:
        try:
            return self._encoder.encode(labels)
        except KeyError:
            _refuse_unknown(self.table, self.selection.outputs[0], self.selection.known or ())
            raise


def require_rows(count: int, source: str, reading: Reading) -> None:
    """Refuse a table of which every row was left out."""
    if not count:
        way_out = ", or --missing mean" if Missing.MEAN in reading.offered else ""
        raise InputError(
            f"{source}: a value is missing in every row; expected a row that is whole{way_out}"
        )


class Encoder:
    """Labels as numbers: in the order of known classes, or else as they come.

    >>> encoder = Encoder()
    >>> encoder.encode(["10", "9", "10"])
    array([0, 1, 0])
    >>> encoder.classes()
    (('9', '10'), array([1, 0]))
    """

    def __init__(self, known: Sequence[str] | None = None):
        self._places = {name: place for place, name in enumerate(known or ())}
        self._values = {_value(name): place for name, place in self._places.items()}
        self._open = known is None

    def encode(self, labels: Sequence[str]) -> Labels:
        """Return a number for each label; KeyError for one that is not known."""
        places = self._places
        for label in dict.fromkeys(labels):
            if label not in places:
                places[label] = len(places) if self._open else self._values[_value(label)]
        return np.fromiter(map(places.__getitem__, labels), np.intp, len(labels))

    def knows(self, label: str) -> bool:
        """Tell whether a label is a class, perhaps spelled in another way: `1.0` for `1`."""
        return _value(label) in self._values

    def classes(self) -> tuple[tuple[str, ...], Labels]:
        """Return the classes in natural order, and the place in it of each number given out."""
        classes = in_natural_order(list(self._places))
        places = {name: place for place, name in enumerate(classes)}
        return classes, np.array([places[name] for name in self._places], np.intp)


def _value(label: str) -> float | str:
    value = parse_number(label)
    return label if value is None else value


def _refuse_mixture(table: Table, column: int, reading: Reading, names: Sequence[str]) -> None:
    """Refuse classes of which some are numbers, where nobody said that they are classes."""
    if any(parse_number(name, reading.decimal) is not None for name in names):
        for place, text in table.cells(column):
            if not is_missing(text) and parse_number(text, reading.decimal) is None:
                problem = complaint(text, reading, numeric=True, target=True)
                raise InputError(f"{place}: column {table.names[column]!r}: {problem}")


def _refuse_unknown(table: Table, column: int, known: Sequence[str]) -> None:
    """Name the first label that is no known class."""
    encoder = Encoder(known)
    for place, text in table.cells(column):
        if not is_missing(text) and not encoder.knows(text):
            raise InputError(
                f"{place}: column {table.names[column]!r}: {text!r} is no class of the training "
                f"data; {close_matches(text, known)}"
            )
