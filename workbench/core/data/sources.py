"""Where a training gets its samples from: prepared, in the order of the epoch, block by block.

A block is a pair of arrays in the program's type that lie in the same memory every time, from its
beginning on, so that the views of its batches are made once. What a block holds is gone when the
next one is asked for.

The order depends on the seed and on the epoch alone, so any epoch can be begun anywhere. Samples in
memory are shuffled all at once, and a block is all of an epoch. Samples in a file are read in
stretches of consecutive rows, the stretches in shuffled order, until a pool is full; the pool is
shuffled and is the block. So the two orders differ: samples of one stretch come near one another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from workbench.core.data.dataset import Chunk, Dataset, require_one_hot
from workbench.core.data.preparation import Preparation
from workbench.core.data.stored_dataset import AnyDataset, StoredDataset
from workbench.errors import InputError

STREAM = 2
"""The stream of random numbers that orders the samples."""

POOL = 2**26
"""About how many bytes of samples from a file are shuffled at a time."""

ROWS_AT_ONCE = 2**14
"""The samples in memory that are prepared at a time."""

Array = NDArray[Any]


class Samples(NamedTuple):
    """Inputs (samples, features) and targets (samples, outputs), row by row in memory.

    The weights (samples,) are how much each sample's loss counts; None if all count the same. The
    classes (samples,) are the places of those that the targets stand for; None if for numbers.
    """

    inputs: Array
    targets: Array
    weights: Array | None = None
    classes: NDArray[np.intp] | None = None

    def rows(self, first: int, last: int) -> Samples:
        """Views of the samples from `first` up to, not including, `last`."""
        parts = (None if part is None else part[first:last] for part in self)
        return Samples._make(parts)

    def batches(self, size: int) -> Iterator[Samples]:
        """Views of `size` samples at a time, the last of what is left.

        >>> samples = Samples(np.zeros((5, 3)), np.zeros((5, 1)))
        >>> [batch.inputs.shape for batch in samples.batches(2)]
        [(2, 3), (2, 3), (1, 3)]
        """
        for start in range(0, len(self.inputs), size):
            yield self.rows(start, start + size)


class SampleSource(Protocol):
    """What gives a training its samples."""

    @property
    def count(self) -> int:
        """How many samples an epoch has."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of a sample's inputs."""

    @property
    def target_shape(self) -> tuple[int, ...]:
        """The shape of a sample's targets."""

    def held_bytes(self, batch_size: int) -> int:
        """The most memory that samples take while an epoch is gone through."""

    def blocks(self, epoch: int, batch_size: int, start: int = 0) -> Iterator[Samples]:
        """Yield the samples of an epoch in its order, but for those of the first `start` batches.

        Every block but the last holds a multiple of `batch_size` samples. All of them begin at the
        same places in memory.
        """

    def chunks(self, size: int) -> Iterator[Samples]:
        """Yield all samples in the order of the data, `size` at a time."""


@dataclass(frozen=True, eq=False)
class Conversion:
    """How rows of a data set become samples of a program.

    Attributes
    ----------
    outputs : how many targets a sample has; 1 for two classes means 0 and 1.
    class_weights : how much the samples of each class count (classes,).
    """

    data: AnyDataset
    preparation: Preparation
    dtype: DTypeLike
    outputs: int
    class_weights: Array | None = None

    @property
    def target_bytes(self) -> int:
        """The memory of one sample's targets, weight and class."""
        weights = self.class_weights is not None
        classes = np.dtype(np.intp).itemsize if self.data.classes else 0
        return (self.outputs + weights) * np.dtype(self.dtype).itemsize + classes

    def without_rows(self) -> Conversion:
        """The same conversion, which no longer holds the rows of a data set in memory."""
        assert isinstance(self.data, Dataset)
        return replace(self, data=self.data.take(np.arange(0)))

    def empty(self, count: int) -> Samples:
        """Make room for samples."""
        return self.around(np.empty((count, len(self.data.input_names)), self.dtype))

    def around(self, inputs: Array) -> Samples:
        """Make room for the targets of inputs that are there."""
        count = len(inputs)
        what = f"{self.data.source}, {count:,} samples with {self.outputs:,} outputs,"
        require_one_hot(count, self.outputs, self.dtype, what)
        weights = None if self.class_weights is None else np.empty(count, self.dtype)
        classes = None if self.data.classes is None else np.empty(count, np.intp)
        return Samples(inputs, np.empty((count, self.outputs), self.dtype), weights, classes)

    def clear(self, samples: Samples) -> Samples:
        """Return the room for samples, ready to be written."""
        if self.data.classes is not None and self.outputs > 1:
            samples.targets.fill(0)
        return samples

    def write(self, chunk: Chunk, samples: Samples, places: NDArray[np.intp] | slice) -> None:
        """Prepare some rows, which it writes over, and put them to their places."""
        samples.inputs[places] = self.inputs(chunk.inputs, out=chunk.inputs)
        self.write_targets(self.outcomes(chunk.outcomes), samples, places)

    def inputs(self, raw: Array, out: Array | None = None) -> Array:
        """Return prepared inputs (samples, features) in the program's type.

        Parameters
        ----------
        out : room for raw inputs that are prepared, which may be where they are.
        """
        return self._converted(self.preparation.apply(raw, out), self.data.input_names)

    def outcomes(self, raw: Array) -> Array:
        """Return the places of classes as they are, and numbers in the program's type."""
        if self.data.classes is not None:
            return raw
        return self._converted(raw, self.data.target_names)

    def write_targets(
        self, outcomes: Array, samples: Samples, places: NDArray[np.intp] | slice
    ) -> None:
        """Put targets to their places, and their classes and the weights of these.

        Where there is one output for each class, the room for targets must hold zeros.
        """
        if samples.classes is None:
            samples.targets[places] = outcomes
            return
        samples.classes[places] = outcomes
        if self.outputs == 1:
            samples.targets[places, 0] = outcomes
        else:
            chosen = (
                np.arange(len(samples.targets))[places] if isinstance(places, slice) else places
            )
            samples.targets[chosen, outcomes] = 1
        if samples.weights is not None and self.class_weights is not None:
            samples.weights[places] = self.class_weights[outcomes]

    def _converted(self, values: Array, names: tuple[str, ...]) -> Array:
        """Values (samples, columns) in another type, refused where that makes them infinite."""
        with np.errstate(over="ignore"):
            converted = np.ascontiguousarray(values, self.dtype)
        if not np.isfinite(converted).all():
            name = names[int(np.argmin(np.isfinite(converted).all(axis=0)))]
            raise InputError(
                f"{self.data.source}: column {name!r} has values that are not finite in "
                f"{np.dtype(self.dtype)}; rescale or drop them"
            )
        return converted


class MemorySource:
    """Samples in memory; the block of an epoch is all of them.

    >>> from workbench.core.data import Dataset, Preparation
    >>> data = Dataset(np.eye(3), np.eye(3), ("a", "b", "c"), ("x", "y", "z"), None, "d.csv", True)
    >>> preparation = Preparation.fit(data, standardise=False)
    >>> source = MemorySource(Conversion(data, preparation, "float64", 3), data, seed=0)
    >>> [block.inputs.argmax(axis=1).tolist() for block in source.blocks(epoch=2, batch_size=1)]
    [[1, 2, 0]]
    """

    def __init__(self, conversion: Conversion, data: Dataset, seed: int):
        self._conversion, self._seed = conversion.without_rows(), seed
        self.count = len(data)
        self.input_shape, self.target_shape = (len(data.input_names),), (conversion.outputs,)
        self._inputs = np.empty((self.count, *self.input_shape), conversion.dtype)
        for first in range(0, self.count, ROWS_AT_ONCE):
            rows = slice(first, first + ROWS_AT_ONCE)
            self._inputs[rows] = conversion.inputs(data.inputs[rows])
        self._outcomes = conversion.outcomes(data.outcomes)

    def held_bytes(self, batch_size: int) -> int:
        """The samples and the room for targets; where they are shuffled, also copy and order."""
        held = self._inputs.nbytes + self._outcomes.nbytes
        room = self.count * self._conversion.target_bytes
        if batch_size >= self.count:
            return held + room
        orders = 2 if self._conversion.data.classes and self._conversion.outputs > 1 else 1
        return 2 * held + room + orders * self.count * np.dtype(np.intp).itemsize

    def blocks(self, epoch: int, batch_size: int, start: int = 0) -> Iterator[Samples]:
        """Yield all samples in the order of the epoch, or of the data if they are one batch."""
        if start * batch_size >= self.count:
            return
        if batch_size >= self.count:
            yield self._whole
            return
        order = _generator(self._seed, epoch).permutation(self.count)[start * batch_size :]
        block = self._conversion.clear(self._buffer.rows(0, len(order)))
        np.take(self._inputs, order, axis=0, out=block.inputs, mode="clip")
        outcomes = self._outcomes.take(order, axis=0)
        self._conversion.write_targets(outcomes, block, slice(None))
        yield block

    def chunks(self, size: int) -> Iterator[Samples]:
        """Yield all samples in the order of the data, `size` at a time."""
        room = self._conversion.around(self._inputs[:size])
        for first in range(0, self.count, size):
            inputs = self._inputs[first : first + size]
            chunk = self._conversion.clear(room.rows(0, len(inputs))._replace(inputs=inputs))
            outcomes = self._outcomes[first : first + size]
            self._conversion.write_targets(outcomes, chunk, slice(None))
            yield chunk

    @cached_property
    def _buffer(self) -> Samples:
        return self._conversion.empty(self.count)

    @cached_property
    def _whole(self) -> Samples:
        return next(self.chunks(self.count))


class StoredSource:
    """Samples in a file, read and shuffled a pool at a time."""

    def __init__(self, conversion: Conversion, data: StoredDataset, seed: int):
        self._conversion, self._data, self._seed = conversion, data, seed
        self.count = len(data)
        self.input_shape, self.target_shape = (len(data.input_names),), (conversion.outputs,)
        self._room = conversion.empty(0)

    def held_bytes(self, batch_size: int) -> int:
        """The pool, and the rows that are read at a time."""
        inputs = self.input_shape[0] * np.dtype(self._conversion.dtype).itemsize
        pool = min(self._pool_size(batch_size), self.count)
        rows = min(self._data.columns.rows_at_once, self.count)
        doubles = 8 * (self.input_shape[0] + len(self._data.target_names))
        return pool * (inputs + self._conversion.target_bytes + 8) + 2 * rows * doubles

    def blocks(self, epoch: int, batch_size: int, start: int = 0) -> Iterator[Samples]:
        """Yield the samples of an epoch, as many at a time as the pool holds."""
        generator = _generator(self._seed, epoch)
        order = generator.permutation(self._data.columns.stretches)
        size, skipped = self._pool_size(batch_size), start * batch_size
        stream = _Stream(self._data, order, skipped // size * size)
        if len(self._room.inputs) != min(size, self.count):
            self._room = self._conversion.empty(min(size, self.count))
        for first in range(0, self.count, size):
            places = generator.permutation(min(size, self.count - first))
            if skipped < first + len(places):
                yield self._fill(self._room, places - max(0, skipped - first), stream)

    def chunks(self, size: int) -> Iterator[Samples]:
        """Yield all samples in the order of the data, `size` at a time."""
        stream = _Stream(self._data, np.arange(self._data.columns.stretches), 0)
        room = self._conversion.empty(min(size, self.count))
        for first in range(0, self.count, size):
            yield self._fill(room, np.arange(min(size, self.count - first)), stream)

    def _fill(self, room: Samples, places: NDArray[np.intp], stream: _Stream) -> Samples:
        """Read as many rows as there are places, and put each to its own unless that is below 0."""
        done = 0
        self._conversion.clear(room)
        for chunk in stream.take(len(places)):
            some = places[done : done + len(chunk.inputs)]
            done += len(some)
            kept = some >= 0
            if not kept.all():
                chunk, some = Chunk(chunk.inputs[kept], chunk.outcomes[kept]), some[kept]
            self._conversion.write(chunk, room, some)
        return room.rows(0, int(places.max()) + 1)

    def _pool_size(self, batch_size: int) -> int:
        """Return how many samples are shuffled at a time, a multiple of `batch_size`."""
        columns = self.input_shape[0] + self.target_shape[0]
        row = columns * np.dtype(self._conversion.dtype).itemsize
        return max(1, POOL // row // batch_size) * batch_size


class _Stream:
    """The rows of a stored data set, stretch after stretch in an order, from one of them on."""

    def __init__(self, data: StoredDataset, order: NDArray[np.intp], first: int):
        ends = np.cumsum(data.lengths[order])
        begin = int(np.searchsorted(ends, first, side="right"))
        self._data = data
        self._numbers = iter(order[begin:].tolist())
        self._skipped = first - (int(ends[begin - 1]) if begin else 0)
        self._rest: Chunk | None = None

    def take(self, count: int) -> Iterator[Chunk]:
        """Yield so many rows, as they come."""
        while count:
            if self._rest is None or not len(self._rest.inputs):
                self._rest = _cut(self._data.stretch(next(self._numbers)), self._skipped, None)
                self._skipped = 0
            chunk = _cut(self._rest, 0, count)
            self._rest = _cut(self._rest, count, None)
            count -= len(chunk.inputs)
            yield chunk


def _cut(chunk: Chunk, first: int, last: int | None) -> Chunk:
    return Chunk(chunk.inputs[first:last], chunk.outcomes[first:last])


def _generator(seed: int, epoch: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STREAM, epoch)))


def open_source(conversion: Conversion, seed: int) -> SampleSource:
    """Return what gives the samples of a data set, wherever it is."""
    data = conversion.data
    if isinstance(data, StoredDataset):
        return StoredSource(conversion, data, seed)
    return MemorySource(conversion, data, seed)
