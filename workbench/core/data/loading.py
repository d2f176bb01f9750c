"""Files read into data sets: in memory, or left in the file where they are larger than allowed.

Where the caller does not say whether a target holds numbers or classes, the first cell of it that
is there decides; a column of both is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from workbench.core.data.arrays import open_arrays, spell, table_of
from workbench.core.data.cache import convert
from workbench.core.data.dataset import Columns, Dataset
from workbench.core.data.encoding import Encoding, require_rows
from workbench.core.data.files import ReportProgress, file_size, format_ending, require_memory
from workbench.core.data.selection import Selection, select
from workbench.core.data.stored import open_stored
from workbench.core.data.stored_dataset import (
    AnyDataset,
    StoredDataset,
    distinct_values,
    find_gaps,
)
from workbench.core.data.table import Missing, Reading, Table, parse_number
from workbench.core.data.text import TextTable, open_text
from workbench.errors import InputError, close_matches

IN_MEMORY = 2**28
"""The bytes of a file, and of its numbers, up to which it is read into memory."""

ARRAYS = (".npy", ".npz")

MOST_CLASSES = 2**16
"""The most values of a column that is left in its file that are taken as classes."""

WAY_OUT = "use fewer rows, or a file of text or arrays that is not packed"


def load(
    source: str | Path,
    *,
    targets: Sequence[str] = (),
    ignore: Sequence[str] = (),
    categorical: bool | None = None,
    header: bool | None = None,
    missing: Missing | str = Missing.REFUSE,
    decimal: str = ".",
    like: Columns | None = None,
) -> Dataset:
    r"""Read a data set into memory; `-` is standard input.

    Parameters
    ----------
    targets, ignore, categorical, header, missing, decimal : see `Reading`.
    like : what the file must fit, such as the training part or a run's preparation: it has their
        columns, found by name, and their classes. `targets`, `ignore` and `categorical` do not
        matter then.

    Raises
    ------
    InputError
        If the file cannot be read; it names the line and the column of the first fault.

    >>> import tempfile, pathlib
    >>> source = pathlib.Path(tempfile.mkdtemp(), "flowers.csv")
    >>> _ = source.write_text("width,length,name\n1,2.5,iris\n2,0.5,rose\n3,4,iris\n")
    >>> flowers = load(source)
    >>> flowers.inputs.shape, flowers.outcomes, flowers.classes
    ((3, 2), array([0, 1, 0]), ('iris', 'rose'))
    """
    reading = Reading(
        *(tuple(targets), tuple(ignore), categorical, header, missing, decimal),
        trained=like is not None,
    )
    return _read(_encoding(open_table(source, reading, like), reading, like))


def from_arrays(
    inputs: ArrayLike,
    targets: ArrayLike,
    *,
    missing: Missing | str = Missing.REFUSE,
    like: Columns | None = None,
    offered: Sequence[Missing] = (Missing.MEAN, Missing.DROP),
) -> Dataset:
    """Make a data set of arrays in memory, which are taken as X and y of an `.npz` file are.

    Parameters
    ----------
    inputs : numbers (samples, features).
    targets : numbers or classes (samples,), or numbers (samples, outputs).
    like : as in `load`; arrays have its columns in order.
    offered : see `Reading`.

    Raises
    ------
    InputError
        If an array holds something else or is of another shape; it names the first fault.

    >>> flowers = from_arrays([[1, 2.5], [2, 0.5], [3, 4]], ["iris", "rose", "iris"])
    >>> flowers.inputs.shape, flowers.outcomes, flowers.classes
    ((3, 2), array([0, 1, 0]), ('iris', 'rose'))
    """
    reading = Reading(missing=missing, offered=tuple(offered), trained=like is not None)
    table = table_of(inputs, targets)
    if like is None:
        return _read(_encoding(table, reading, None))
    names = (*like.input_names, *like.target_names)
    widths = len(table.names) - len(table.targets), len(table.targets)
    if widths != (len(like.input_names), len(like.target_names)):
        raise InputError(
            f"{table.source}: X and y have {widths[0]} and {widths[1]} columns; expected "
            f"{len(like.input_names)} and {len(like.target_names)} as in training"
        )
    table = replace(table, names=names, header=like.header)
    chosen = tuple(range(widths[0])), table.targets
    selection = Selection(*chosen, like.ignored_names, like.classes is not None, like.classes)
    return _read(Encoding(table, reading, selection))


def open_dataset(
    source: str | Path,
    *,
    targets: Sequence[str] = (),
    ignore: Sequence[str] = (),
    categorical: bool | None = None,
    header: bool | None = None,
    missing: Missing | str = Missing.REFUSE,
    decimal: str = ".",
    like: Columns | None = None,
    offered: Sequence[Missing] = (Missing.MEAN, Missing.DROP),
    memory: int = IN_MEMORY,
    cache: str | Path | None = None,
    progress: ReportProgress | None = None,
) -> AnyDataset:
    """Read a data set into memory or, if it would take more than `memory` bytes, leave it in place.

    Arrays (`.npy`, and `.npz` that is not packed) are read where they are, text is converted once.

    Parameters
    ----------
    offered : see `Reading`.
    cache : the folder for what text is converted to; beside the file if not given.
    progress : told the bytes converted so far and in all.

    The others are as in `load`.
    """
    reading = Reading(
        *(tuple(targets), tuple(ignore), categorical, header, missing, decimal),
        offered=tuple(offered),
        trained=like is not None,
    )
    path = str(source)
    if format_ending(path) in ARRAYS and file_size(path) > memory:
        return _leave_in_place(path, reading, like)
    table = open_table(path, reading, like)
    encoding = _encoding(table, reading, like)
    if isinstance(table, TextTable) and max(file_size(path), table.size) > memory:
        return convert(path, encoding, cache, progress)
    return _read(encoding)


def open_table(source: str | Path, reading: Reading, like: Columns | None = None) -> Table:
    """Open a table in the format its ending tells; without a known ending it is text."""
    path = str(source)
    if format_ending(path) in ARRAYS:
        return open_arrays(path, _target_arrays(path, reading, like), reading.ignore)
    return open_text(path, reading, with_targets=like is None)


def open_inputs(source: str | Path, reading: Reading) -> Table:
    """Open a table that need not have targets."""
    path = str(source)
    if format_ending(path) in ARRAYS:
        return open_arrays(path, None)
    return open_text(path, reading, with_targets=False)


def _target_arrays(path: str, reading: Reading, like: Columns | None) -> tuple[str, ...]:
    """Return the names of the targets in a file of arrays; none for the usual one."""
    if like is None:
        return reading.targets
    single = format_ending(path) == ".npz" and len(like.target_names) == 1
    return like.target_names if single else ()


def _encoding(table: Table, reading: Reading, like: Columns | None) -> Encoding:
    return Encoding(table, reading, select(table, reading, like))


def _read(encoding: Encoding) -> Dataset:
    """Read all rows into memory."""
    table, selection = encoding.table, encoding.selection
    blocks, size = [], 0
    for rows in encoding.rows():
        blocks.append(rows)
        size += rows.inputs.nbytes + rows.outcomes.nbytes
        require_memory(size, f"{table.source} as numbers", WAY_OUT)
    outcomes = np.concatenate([rows.outcomes for rows in blocks])
    classes, places = encoding.classes() or (None, None)
    return Dataset(
        np.concatenate([rows.inputs for rows in blocks]),
        outcomes if places is None else places[outcomes],
        tuple(table.names[index] for index in selection.inputs),
        tuple(table.names[index] for index in selection.outputs),
        classes,
        table.source,
        table.header,
        Missing(encoding.reading.missing),
        sum(rows.dropped for rows in blocks),
        selection.ignored_names,
    )


def _leave_in_place(path: str, reading: Reading, like: Columns | None) -> StoredDataset:
    """Read arrays once to see that all numbers can be used, and which classes there are."""
    columns = open_stored(path, _target_arrays(path, reading, like), reading.ignore)
    selection = select(columns, reading, like)
    dataset = StoredDataset(
        columns,
        selection.inputs,
        selection.outputs,
        tuple(columns.names[index] for index in selection.inputs),
        tuple(columns.names[index] for index in selection.outputs),
        None,
        columns.source,
        columns.header,
        Missing(reading.missing),
        ignored_names=selection.ignored_names,
    )
    marks = find_gaps(dataset, reading)
    if marks.any():
        dataset = replace(dataset, marks=marks, dropped=int(np.count_nonzero(marks)))
        require_rows(len(dataset), path, reading)
    return with_classes(dataset, selection.known) if selection.categorical else dataset


def with_classes(dataset: StoredDataset, known: Sequence[str] | None) -> StoredDataset:
    """Take the numbers of one column as classes: those known, or those that there are."""
    values = distinct_values(dataset, MOST_CLASSES)
    name = f"{dataset.source}: column {dataset.target_names[0]!r}"
    if values is None:
        raise InputError(f"{name} holds more than {MOST_CLASSES:,} classes; expected fewer")
    labels = [spell(value) for value in values.tolist()]
    if known is None and len(labels) == 1:
        raise InputError(f"{name} holds one class only, {labels[0]!r}; expected two or more")
    if known is None:
        return replace(dataset, classes=tuple(labels), class_values=values)
    numbers = [parse_number(label) for label in known]
    for label, value in zip(labels, values, strict=True):
        if value not in numbers:
            hint = close_matches(label, known)
            raise InputError(f"{name}: {label!r} is no class of the training data; {hint}")
    stands_for = [np.inf if number is None else number for number in numbers]
    return replace(dataset, classes=tuple(known), class_values=np.array(stands_for))
