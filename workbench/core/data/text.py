"""Tables as text: CSV and its relatives.

**Delimiter.** Tab for `.tsv` and `.tab`; otherwise the first of tab, semicolon and comma that the
first line holds outside quotes. The comma is last: where `;` separates, it may be a decimal comma.

**Header.** Without an explicit answer the first row is a header if it holds text and no number, and
either all of it is text or a column that it calls by text holds numbers below. A row of numbers
and text (`5.1,3.5,setosa`) is data; but where a column of numbers stands below its text, it may as
well be data with a mistake, and the question is handed back rather than a row lost.

Cells are parsed in bulk. Only when that fails is the table read again, cell by cell, for the place.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from workbench.core.data.files import display_name, format_ending, read_bytes
from workbench.core.data.table import (
    MISSING,
    Matrix,
    choose_targets,
    column_names,
    complaint,
    parse_columns,
    parse_number,
)
from workbench.errors import InputError

if TYPE_CHECKING:
    from _csv import Reader

CELLS_AT_ONCE = 2**16
ROWS_FOR_DETECTION = 100


@dataclass(frozen=True)
class TextTable:
    """A table of delimited text, of which only the shape of the first rows has been looked at."""

    source: str
    names: tuple[str, ...]
    header: bool
    targets: tuple[int, ...]
    delimiter: str
    content: bytes = field(repr=False)

    def read(self, numbers: Sequence[int], cells: Sequence[int]) -> tuple[Matrix, list[list[str]]]:
        """Return the columns `numbers` as (rows, columns) and each column of `cells` as text."""
        try:
            return self._read_in_bulk(numbers, cells)
        except (csv.Error, ValueError):
            self._raise_first_fault(numbers, cells)
            raise

    def _read_in_bulk(
        self, numbers: Sequence[int], cells: Sequence[int]
    ) -> tuple[Matrix, list[list[str]]]:
        rows = islice(_reader(self.content, self.delimiter), int(self.header), None)
        blocks: list[Matrix] = []
        texts: list[list[str]] = [[] for _ in cells]
        rows_at_once = max(1, CELLS_AT_ONCE // len(self.names))
        while some := list(islice(rows, rows_at_once)):
            columns = list(zip(*some, strict=True))
            if len(columns) != len(self.names):
                raise ValueError("ragged")
            blocks.append(parse_columns([columns[index] for index in numbers], len(some)))
            for text, index in zip(texts, cells, strict=True):
                text.extend(_present(columns[index]))
        return np.concatenate(blocks), texts

    def _raise_first_fault(self, numbers: Sequence[int], cells: Sequence[int]) -> None:
        rows = numbered_rows(self.content, self.delimiter, self.source)
        numeric = set(numbers)
        wanted = sorted({*numbers, *cells})
        for line, row in islice(rows, int(self.header), None):
            require_width(row, len(self.names), f"{self.source}:{line}", self.delimiter)
            for index in wanted:
                if problem := complaint(row[index], numeric=index in numeric):
                    place = f"{self.source}:{line}:{index + 1}"
                    raise InputError(f"{place}: column {self.names[index]!r}: {problem}")


def open_text(source: str, targets: Sequence[str] | None, header: bool | None) -> TextTable:
    """Open delimited text and find its delimiter, its header and its targets.

    `targets` may be empty (the last column) or None (the table has none); `header` None detects.
    """
    name = display_name(source)
    content = checked_text(read_bytes(source), name)
    delimiter = find_delimiter(content, format_ending(source))
    rows = list(islice(numbered_rows(content, delimiter, name), 1 + ROWS_FOR_DETECTION))
    first = rows[0][1]
    if _is_blank(first):
        raise InputError(f"{name}:1: the first line is blank; delete it")
    if header is None:
        header = has_header([row for _, row in rows], name)
    if header and len(rows) == 1:
        raise InputError(f"{name} has a header but no rows; expected at least one row of numbers")
    names = header_names(first, name) if header else column_names(len(first))
    chosen = () if targets is None else choose_targets(targets, names, header=header, source=name)
    return TextTable(name, names, header, chosen, delimiter, content)


def checked_text(content: bytes, name: str) -> bytes:
    r"""Return UTF-8 text without its byte order mark and the blank lines at its end.

    >>> checked_text(b"\xef\xbb\xbfx,y\r\n1,2\r\n\r\n", "data.csv")
    b'x,y\r\n1,2'
    """
    content = content.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n ")
    if not content:
        raise InputError(f"{name} is empty; expected rows of numbers, with or without a header")
    fault = _undecodable(content)
    if fault is not None:
        line = content.count(b"\n", 0, fault) + 1
        raise InputError(
            f"{name}:{line}: byte 0x{content[fault]:02x} is not UTF-8 text; "
            "save the file as CSV in UTF-8"
        )
    return content


def _undecodable(content: bytes) -> int | None:
    """Return the offset of the first byte that is no text: not UTF-8, or NUL."""
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return error.start
    return content.index(0) if 0 in content else None


def find_delimiter(content: bytes, ending: str) -> str:
    r"""Return what separates the cells of the first line.

    >>> find_delimiter(b"a;b\n1;2", ".csv"), find_delimiter(b'"a;b",c\n1,2', ".csv")
    (';', ',')
    """
    if ending in (".tsv", ".tab"):
        return "\t"
    line = next(_lines(content))
    found = (mark for mark in "\t;," if len(next(csv.reader([line], delimiter=mark))) > 1)
    return next(found, ",")


def has_header(rows: Sequence[Sequence[str]], name: str) -> bool:
    """Tell by the first rows whether the first of them holds names; refuse to guess.

    >>> has_header([["x", "y"], ["1", "a"]], "data.csv"), has_header([["1", "a"]], "data.csv")
    (True, False)
    """
    first, below = rows[0], rows[1:]
    present = [index for index, cell in enumerate(first) if cell.strip() not in MISSING]
    texts = [index for index in present if parse_number(first[index]) is None]
    numbers = [index for index in present if index not in texts]
    doubtful = [index for index in texts if _holds_number(below, index)]
    if doubtful and numbers:
        text, number = first[doubtful[0]].strip(), first[numbers[0]].strip()
        raise InputError(
            f"{name}:1:{doubtful[0] + 1}: {text!r} stands above numbers, but {number!r} in the "
            "same row is a number: a header, or data with a mistake? Say --header or --no-header"
        )
    return bool(texts) and not numbers and (bool(doubtful) or len(texts) == len(first))


def _holds_number(rows: Sequence[Sequence[str]], index: int) -> bool:
    return any(index < len(row) and parse_number(row[index]) is not None for row in rows)


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


def numbered_rows(content: bytes, delimiter: str, name: str) -> Iterator[tuple[int, list[str]]]:
    r"""Yield each row with the number of the line it begins on.

    >>> list(numbered_rows(b'a,"b\nc"\n1,2', ",", "data.csv"))
    [(1, ['a', 'b\nc']), (3, ['1', '2'])]
    """
    reader = _reader(content, delimiter)
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


def _lines(content: bytes) -> Iterator[str]:
    return io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline="")


def _reader(content: bytes, delimiter: str) -> Reader:
    return csv.reader(_lines(content), delimiter=delimiter, strict=True, skipinitialspace=True)


def _present(column: Sequence[str]) -> list[str]:
    """Return the stripped cells; ValueError where one is missing."""
    cells = [cell.strip() for cell in column]
    if not MISSING.isdisjoint(cells):
        raise ValueError("missing")
    return cells
