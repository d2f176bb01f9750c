"""Data sets that are larger than memory: they stay in their file and come stretch by stretch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.core.data.dataset import Chunk, Dataset
from workbench.core.data.stored import StoredColumns
from workbench.core.data.table import Matrix, Missing, Reading, complaint
from workbench.errors import InputError

DROPPED = 255
"""The mark of a row that belongs to no part."""

Marks = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class StoredDataset:
    """A data set in a file, of which some consecutive rows are in memory at a time.

    Attributes
    ----------
    inputs, outputs : the columns with the inputs and with what is to be predicted.
    class_values : the number that stands for each class in the file; None for numbers.
    marks : the part that each row belongs to, where there are several (rows,).
    part : which of them this is.

    The others are as in `Dataset`.
    """

    columns: StoredColumns
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    input_names: tuple[str, ...]
    target_names: tuple[str, ...]
    classes: tuple[str, ...] | None
    source: str
    header: bool
    missing: Missing = Missing.REFUSE
    dropped: int = 0
    ignored_names: tuple[str, ...] = ()
    class_values: Matrix | None = None
    marks: Marks | None = None
    part: int = 0

    def __len__(self) -> int:
        """Count the samples."""
        return int(self.lengths.sum())

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """The samples in each stretch."""
        starts = np.arange(self.columns.stretches) * self.columns.rows_at_once
        if self.marks is None:
            return np.diff(starts, append=len(self.columns))
        return np.array([np.count_nonzero(self._mine(start)) for start in starts.tolist()])

    @property
    def class_counts(self) -> NDArray[np.int64]:
        """The samples of each class."""
        counts = np.zeros(len(self.classes or ()), np.int64)
        for chunk in self.chunks():
            counts += np.bincount(chunk.outcomes, minlength=len(counts))
        return counts

    def chunks(self) -> Iterator[Chunk]:
        """Yield all samples in order, a stretch at a time."""
        return map(self.stretch, range(self.columns.stretches))

    def stretch(self, number: int) -> Chunk:
        """Return the samples of a stretch."""
        inputs, outcomes = self.columns.stretch(number, self.inputs, self.outputs)
        chunk = Chunk(inputs, self.find_classes(outcomes))
        if self.marks is None:
            return chunk
        mine = self._mine(number * self.columns.rows_at_once)
        if mine.all():
            return chunk
        rows = np.flatnonzero(mine)
        return Chunk(inputs.take(rows, axis=0), chunk.outcomes.take(rows, axis=0))

    def find_classes(self, outcomes: Matrix) -> NDArray[Any]:
        """Return the place of each row's class; numbers as they are."""
        if self.class_values is None:
            return outcomes
        order = np.argsort(self.class_values)
        places = np.searchsorted(self.class_values, outcomes[:, 0], sorter=order)
        return order[np.minimum(places, len(order) - 1)]

    def _mine(self, start: int) -> NDArray[np.bool_]:
        marks = self.marks
        assert marks is not None
        return np.asarray(marks[start : start + self.columns.rows_at_once] == self.part)


AnyDataset = Dataset | StoredDataset


def filled_chunks(dataset: AnyDataset) -> Iterator[Chunk]:
    """Yield the chunks of a data set that have samples in them."""
    return (chunk for chunk in dataset.chunks() if len(chunk.inputs))


def distinct_values(dataset: AnyDataset, most: int) -> Matrix | None:
    """Return the values of all targets in order; None if there are more than `most`."""
    values: set[float] = set()
    for chunk in dataset.chunks():
        values.update(chunk.outcomes.ravel().tolist())
        if len(values) > most:
            return None
    return np.array(sorted(values))


def find_gaps(dataset: StoredDataset, reading: Reading) -> Marks:
    """Read all rows once and mark those to be dropped; refuse what cannot be used."""
    columns = dataset.columns
    marks = np.zeros(len(columns), np.uint8)
    for number in range(columns.stretches):
        start = number * columns.rows_at_once
        for chosen, target in ((dataset.inputs, False), (dataset.outputs, True)):
            (values,) = columns.stretch(number, chosen)
            gaps = np.asarray(np.isnan(values).any(axis=1))
            if np.isinf(values).any() or (gaps.any() and not reading.allows_gap(target=target)):
                _refuse(columns, values, start, chosen, reading, target=target)
            if dataset.missing is Missing.DROP:
                marks[start : start + len(gaps)][gaps] = DROPPED
    return marks


def _refuse(
    columns: StoredColumns,
    values: Matrix,
    start: int,
    chosen: tuple[int, ...],
    reading: Reading,
    *,
    target: bool,
) -> None:
    for row, place in np.argwhere(~np.isfinite(values)).tolist():
        text = str(values[row, place])
        if problem := complaint(text, reading, numeric=True, target=target):
            name = columns.names[chosen[place]]
            raise InputError(f"{columns.source}: row {start + row + 1}, {name}: {problem}")
