"""Rounds: the batches of an epoch, as views made once of the places where its samples come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.core.data.sources import Samples, SampleSource
from workbench.core.steppers.base import Batches
from workbench.core.trainable import Trainable

Array = NDArray[Any]

REPEATED = 2**18
"""The bytes of targets that are kept of epochs of one step."""

MOST_EPOCHS_AT_ONCE = 256
"""Where an epoch is a single step, the most that are made between two pauses."""

VIEWS = 500
"""About how many bytes the views of one batch take."""


@dataclass(frozen=True)
class Round:
    """Consecutive batches of one size.

    Attributes
    ----------
    classes : (samples,), the places of the samples' classes; None if numbers are to be predicted.
    counted : how many samples each batch has, or what their weights sum to.
    """

    batches: Batches
    classes: NDArray[np.intp] | None
    counted: NDArray[np.float64]


class Rounds:
    """What a training takes its batches from.

    Attributes
    ----------
    steps : the batches of an epoch, the last of which may be smaller.
    """

    def __init__(
        self, model: Trainable, source: SampleSource, batch_size: int, *, keeps_outputs: bool
    ):
        self.count, self.steps = source.count, -(-source.count // batch_size)
        self._model, self._source, self._batch_size = model, source, batch_size
        self._keeps_outputs = keeps_outputs
        self._known: tuple[Any, list[tuple[Samples, Array | None, Batches]]] = (None, [])

    @property
    def columns(self) -> int:
        """The numbers of a sample, inputs and targets."""
        return prod(self._source.input_shape) + prod(self._source.target_shape)

    @property
    def sizes(self) -> set[int]:
        """The sizes of the batches: of the full ones, and of the last if that is smaller."""
        return {min(self._batch_size, self.count), self.count % self._batch_size} - {0}

    def held_bytes(self, itemsize: int) -> int:
        """The most memory that samples, their views and what is predicted for them take."""
        copies = 1
        if self.steps == 1:
            copies = _copies(self.count * prod(self._source.target_shape) * itemsize)
        outputs = copies * self.count * prod(self._model.output_shape) * itemsize
        held = self._source.held_bytes(self._batch_size) + max(copies, self.steps) * VIEWS
        return held + (outputs if self._keeps_outputs else 0)

    def of(self, epoch: int, start: int) -> Iterator[Round]:
        """The rounds of an epoch without its first `start` batches: full batches, then the rest."""
        for block in self._source.blocks(epoch, self._batch_size, start):
            key = block.inputs.ctypes.data, len(block.inputs)
            if self._known[0] != key:
                self._known = key, list(self._views(block))
            for samples, shares, batches in self._known[1]:
                yield Round(batches, samples.classes, self._count(samples, shares, batches.size))

    @cached_property
    def repeated(self) -> Round:
        """All samples as one batch, again and again."""
        (samples,) = self._source.blocks(1, self._batch_size)
        size = len(samples.inputs)
        copies = _copies(samples.targets.nbytes)
        shares = _room_for_shares(samples)
        counted = self._count(samples, shares, size)
        batches = self._batches(samples, shares, np.zeros(copies, np.int64), size)
        return Round(batches, samples.classes, counted.repeat(copies))

    def _views(self, block: Samples) -> Iterator[tuple[Samples, Array | None, Batches]]:
        """All full batches of a block, then the one that is left."""
        size, count = self._batch_size, len(block.inputs)
        full = count - count % size
        for first, last, of in ((0, full, size), (full, count, count - full)):
            if first < last:
                samples = block.rows(first, last)
                shares = _room_for_shares(samples)
                starts = np.arange(0, last - first, of)
                yield samples, shares, self._batches(samples, shares, starts, of)

    def _batches(
        self, samples: Samples, shares: Array | None, starts: NDArray[np.int64], size: int
    ) -> Batches:
        outputs, inputs, targets = None, samples.inputs, samples.targets
        if self._keeps_outputs:
            outputs = np.empty((len(starts) * size, *self._model.output_shape), targets.dtype)
        arrays = self._model.views(inputs, targets, shares)
        if not self._model.is_batch:
            arrays = (inputs, targets, *(() if shares is None else (shares,)))
        return Batches(arrays, starts, size, outputs)

    def _count(self, samples: Samples, shares: Array | None, size: int) -> NDArray[np.float64]:
        """How much each batch counts; the shares of its samples are put to their place."""
        weights = samples.weights
        if weights is None or shares is None:
            return np.full(len(samples.inputs) // size, float(size))
        for start in range(0, len(weights), size):
            batch = slice(start, start + size)
            shares[batch] = self._model.shares(weights[batch])
        return np.asarray(weights.reshape(-1, size).sum(axis=1), np.float64)


def _copies(target_bytes: int) -> int:
    """The epochs of one step that are prepared at once."""
    return max(1, min(MOST_EPOCHS_AT_ONCE, REPEATED // max(1, target_bytes)))


def _room_for_shares(samples: Samples) -> Array | None:
    return None if samples.weights is None else np.empty_like(samples.weights)
