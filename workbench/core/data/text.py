"""Tables as text: CSV and its relatives.

**Delimiter.** Tab for `.tsv` and `.tab`; otherwise the first of tab, semicolon and comma that the
first line holds outside quotes. The comma is last: where `;` separates, it may be a decimal comma.

**Header.** Without an explicit answer the first row is a header if it holds text and no number, and
either all of it is text or a column that it calls by text holds numbers below. A row of numbers
and text (`5.1,3.5,setosa`) is data; but where a column of numbers stands below its text, it may as
well be data with a mistake, and the question is handed back rather than a row lost.

Text is read in blocks and cells are parsed in bulk. Only when that fails is the table read again,
cell by cell, for the place.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np

from workbench.core.data.files import (
    ReportProgress,
    display_name,
    file_size,
    format_ending,
    is_file,
    open_stream,
    read_bytes,
)
from workbench.core.data.table import (
    Matrix,
    Missing,
    Reading,
    Rows,
    Wanted,
    choose_targets,
    column_names,
    complaint,
    is_missing,
    parse_column,
    parse_number,
)
from workbench.core.data.text_lines import read_lines
from workbench.errors import InputError

if TYPE_CHECKING:
    from _csv import Reader

CELLS_AT_ONCE = 2**14
PLAIN = b"0123456789+-.eE,;\t \r\n"
"""The characters of numbers and of what separates them."""

ROWS_FOR_DETECTION = 100
TEXT_FOR_DETECTION = 2**22
"""The most rows and characters by which the format is found."""

Lines = Callable[[ReportProgress | None], Iterator[str]]
"""Begins to read a text's lines, telling how far it is if asked to."""


@dataclass(frozen=True)
class TextTable:
    """A table of delimited text, of which only the first rows have been looked at.

    `size` estimates the bytes of all its numbers; 0 where the text's length is not known.
    """

    source: str
    names: tuple[str, ...]
    header: bool
    targets: tuple[int, ...]
    delimiter: str
    decimal: str
    size: int
    lines: Lines = field(repr=False)

    def rows(
        self, wanted: Wanted, reading: Reading, progress: ReportProgress | None = None
    ) -> Iterator[Rows]:
        """Yield all rows, some at a time; an error names the first cell that cannot be used."""
        try:
            yield from self._rows_in_bulk(wanted, Missing(reading.missing), progress)
        except (csv.Error, ValueError):
            self._raise_first_fault(wanted, reading)
            raise

    def cells(self, column: int) -> Iterator[tuple[str, str]]:
        """Yield the place and the text of each cell of a column, one by one."""
        for line, row in self._numbered_rows():
            yield f"{self.source}:{line}:{column + 1}", row[column].strip()

    def _rows_in_bulk(
        self, wanted: Wanted, missing: Missing, progress: ReportProgress | None
    ) -> Iterator[Rows]:
        """Yield all rows; lines that hold only numbers are left to NumPy, which is faster."""
        lines = self.lines(progress)
        if self.header:
            next(_reader(lines, self.delimiter))
        lines_at_once = max(1, CELLS_AT_ONCE // len(self.names))
        while some := list(islice(lines, lines_at_once)):
            numbers = self._plain_numbers(some) if wanted.label is None else None
            if numbers is not None:
                inputs, targets = numbers[:, list(wanted.inputs)], numbers[:, list(wanted.targets)]
                yield Rows(inputs, targets, [], 0)
            elif '"' in "".join(some):
                yield from self._parsed(chain(some, lines), wanted, missing)
            else:
                yield from self._parsed(some, wanted, missing)

    def _plain_numbers(self, lines: Sequence[str]) -> Matrix | None:
        """Return lines as (rows, columns) of finite numbers; None where there is more to them."""
        unplain = "".join(lines).encode().translate(None, PLAIN)
        if unplain or self.decimal != "." or lines[0].isspace():
            return None
        try:
            numbers = np.loadtxt(lines, delimiter=self.delimiter, comments=None, ndmin=2)
        except ValueError:
            return None
        whole = numbers.shape == (len(lines), len(self.names)) and np.isfinite(numbers).all()
        return numbers if whole else None

    def _parsed(self, lines: Iterable[str], wanted: Wanted, missing: Missing) -> Iterator[Rows]:
        """Yield the rows of lines that may hold anything."""
        rows = _reader(lines, self.delimiter)
        rows_at_once = max(1, CELLS_AT_ONCE // len(self.names))
        while some := list(islice(rows, rows_at_once)):
            columns = list(zip(*some, strict=True))
            if len(columns) != len(self.names):
                raise ValueError("ragged")
            yield self._parse(columns, wanted, missing)

    def _parse(self, columns: Sequence[Sequence[str]], wanted: Wanted, missing: Missing) -> Rows:
        inputs = self._numbers(columns, wanted.inputs, gaps=missing is not Missing.REFUSE)
        targets = self._numbers(columns, wanted.targets, gaps=missing is Missing.DROP)
        labels = [] if wanted.label is None else [cell.strip() for cell in columns[wanted.label]]
        there = np.array([not is_missing(label) for label in labels] or [True] * len(inputs))
        if missing is Missing.DROP:
            there &= ~(np.isnan(inputs).any(axis=1) | np.isnan(targets).any(axis=1))
        dropped = len(there) - int(there.sum())
        if not dropped:
            return Rows(inputs, targets, labels, 0)
        if missing is not Missing.DROP:
            raise ValueError("a missing label")
        labels = [label for label, stays in zip(labels, there, strict=False) if stays]
        return Rows(inputs[there], targets[there], labels, dropped)

    def _numbers(
        self, columns: Sequence[Sequence[str]], chosen: Sequence[int], *, gaps: bool
    ) -> Matrix:
        matrix = np.empty((len(columns[0]), len(chosen)))
        for place, index in enumerate(chosen):
            matrix[:, place] = parse_column(columns[index], self.decimal, gaps=gaps)
        return matrix

    def _numbered_rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield each row of the right width below the header with its line; refuse others."""
        rows = numbered_rows(self.lines(None), self.delimiter, self.source)
        for line, row in islice(rows, int(self.header), None):
            require_width(row, len(self.names), f"{self.source}:{line}", self.delimiter)
            yield line, row

    def _raise_first_fault(self, wanted: Wanted, reading: Reading) -> None:
        inputs, targets = set(wanted.inputs), {*wanted.targets, *_one_or_none(wanted.label)}
        places = [
            (index, index != wanted.label, index in targets) for index in sorted(inputs | targets)
        ]
        for line, row in self._numbered_rows():
            for index, numeric, target in places:
                problem = complaint(row[index], reading, numeric=numeric, target=target)
                if problem:
                    place = f"{self.source}:{line}:{index + 1}"
                    raise InputError(f"{place}: column {self.names[index]!r}: {problem}")


def open_text(source: str, reading: Reading, *, with_targets: bool = True) -> TextTable:
    """Open delimited text and find its delimiter, its header and its targets."""
    name, lines = display_name(source), _opener(source)
    delimiter = find_delimiter(lines(None), format_ending(source))
    rows = _first_rows(lines, delimiter, name)
    if not rows:
        raise InputError(f"{name} is empty; expected rows of numbers, with or without a header")
    first, below = rows[0], rows[1:]
    _refuse_first_line(first, below, name)
    _require_decimals(rows, delimiter, reading.decimal, name)
    header = reading.header
    if header is None:
        header = has_header(rows, name, reading.decimal)
    if header and not below:
        raise InputError(f"{name} has a header but no rows; expected at least one row of numbers")
    names = header_names(first, name) if header else column_names(len(first))
    chosen: tuple[int, ...] = ()
    if with_targets:
        ignore = reading.ignore
        chosen = choose_targets(reading.targets, names, header=header, source=name, ignore=ignore)
    size = _estimate(rows, file_size(source))
    return TextTable(name, names, header, chosen, delimiter, reading.decimal, size, lines)


def _opener(source: str) -> Lines:
    """Return what reads a source from its beginning; what comes only once is kept for that."""
    kept = None if is_file(source) else read_bytes(source)

    def lines(progress: ReportProgress | None) -> Iterator[str]:
        if kept is not None:
            yield from read_lines(io.BytesIO(kept), display_name(source))
            return
        with open_stream(source, progress) as stream:
            yield from read_lines(stream, source)

    return lines


def _first_rows(lines: Lines, delimiter: str, name: str) -> list[list[str]]:
    """Return the rows by which the format is found."""
    rows: list[list[str]] = []
    left = TEXT_FOR_DETECTION
    for _, row in islice(numbered_rows(lines(None), delimiter, name), 1 + ROWS_FOR_DETECTION):
        rows.append(row)
        left -= sum(map(len, row))
        if left < 0 and len(rows) > 1:
            break
    return rows


def _refuse_first_line(first: Sequence[str], below: Sequence[Sequence[str]], name: str) -> None:
    """Refuse a first line that is neither names nor data."""
    if _is_blank(first):
        raise InputError(f"{name}:1: the first line is blank; delete it")
    if first[0].lstrip().startswith("#") and below and len(below[0]) != len(first):
        raise InputError(f"{name}:1: the line begins with '#'; if it is a comment, delete it")


def _require_decimals(
    rows: Sequence[Sequence[str]], delimiter: str, decimal: str, name: str
) -> None:
    """Refuse decimal commas where they cannot be told from the commas between the cells."""
    if decimal == delimiter == "," and not any("," in cell for row in rows[1:] for cell in row):
        raise InputError(
            f"{name}:1: ',' separates the cells, so it cannot be the decimal comma too; "
            "separate them by ';' or tabs, or put quotes around the numbers"
        )


def _estimate(rows: Sequence[Sequence[str]], length: int) -> int:
    """Estimate the bytes that a text of a length takes as numbers."""
    looked_at = sum(len(row) + sum(map(len, row)) for row in rows)
    return length * 8 * sum(map(len, rows)) // looked_at if looked_at else 0


def find_delimiter(lines: Iterable[str], ending: str) -> str:
    r"""Return what separates the cells of the first line.

    >>> find_delimiter(["a;b\n", "1;2"], ".csv"), find_delimiter(['"a;b",c\n', "1,2"], ".csv")
    (';', ',')
    """
    if ending in (".tsv", ".tab"):
        return "\t"
    line = next(iter(lines), "")
    return next((mark for mark in "\t;," if _cells_within(line, mark) > 1), ",")


def _cells_within(line: str, delimiter: str) -> int:
    try:
        return len(next(csv.reader([line], delimiter=delimiter)))
    except csv.Error:
        return 0


def has_header(rows: Sequence[Sequence[str]], name: str, decimal: str = ".") -> bool:
    """Tell by the first rows whether the first of them holds names; refuse to guess.

    >>> has_header([["x", "y"], ["1", "a"]], "data.csv"), has_header([["1", "a"]], "data.csv")
    (True, False)
    """
    first, below = rows[0], rows[1:]
    present = [index for index, cell in enumerate(first) if not is_missing(cell)]
    texts = [index for index in present if parse_number(first[index], decimal) is None]
    numbers = [index for index in present if index not in texts]
    doubtful = [index for index in texts if _holds_number(below, index, decimal)]
    if doubtful and numbers:
        text, number = first[doubtful[0]].strip(), first[numbers[0]].strip()
        raise InputError(
            f"{name}:1:{doubtful[0] + 1}: {text!r} stands above numbers, but {number!r} in the "
            "same row is a number: a header, or data with a mistake? Say --header or --no-header"
        )
    return bool(texts) and not numbers and (bool(doubtful) or len(texts) == len(first))


def _holds_number(rows: Sequence[Sequence[str]], index: int, decimal: str) -> bool:
    return any(index < len(row) and parse_number(row[index], decimal) is not None for row in rows)


def header_names(row: Sequence[str], name: str) -> tuple[str, ...]:
    """Return the column names of a header; each must be there and be the only one of its kind.

    >>> header_names(["x", " y "], "data.csv")
    ('x', 'y')
    """
    places: dict[str, int] = {}
    for number, cell in enumerate(row, start=1):
        column, place = cell.strip(), f"{name}:1:{number}"
        if not column:
            raise InputError(
                f"{place}: a column without a name; name it, or leave it out if it counts the rows"
            )
        if column in places:
            raise InputError(
                f"{place}: column {places[column]} has the name {column!r} too; rename one"
            )
        places[column] = number
    return tuple(places)


def numbered_rows(
    lines: Iterable[str], delimiter: str, name: str
) -> Iterator[tuple[int, list[str]]]:
    r"""Yield each row with the number of the line it begins on.

    >>> list(numbered_rows(['a,"b\n', 'c"\n', '1,2'], ",", "data.csv"))
    [(1, ['a', 'b\nc']), (3, ['1', '2'])]
    """
    reader = _reader(lines, delimiter)
    line = 1
    try:
        for row in reader:
            yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(
            f'{name}:{line}: the quotes do not fit ({error}); expected "..." around a whole cell, '
            'and "" for a quote within'
        ) from None


def require_width(row: Sequence[str], width: int, place: str, delimiter: str) -> None:
    """Refuse a row of another number of cells than expected.

    >>> require_width(["1"], 2, "data.csv:7", ",")
    Traceback (most recent call last):
        ...
    workbench.errors.InputError: data.csv:7: 1 cell, expected 2 (separated by ',')
    """
    if len(row) != width and _is_blank(row):
        raise InputError(f"{place}: blank line between the rows; delete it")
    if len(row) != width:
        cells = "1 cell" if len(row) == 1 else f"{len(row)} cells"
        raise InputError(f"{place}: {cells}, expected {width} (separated by {delimiter!r})")


def _is_blank(row: Sequence[str]) -> bool:
    return len(row) <= 1 and not "".join(row).strip()


def _reader(lines: Iterable[str], delimiter: str) -> Reader:
    return csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)


def _one_or_none(index: int | None) -> tuple[int, ...]:
    return () if index is None else (index,)
