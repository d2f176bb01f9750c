"""Mean and deviation of inputs, in one pass over data that need not fit into memory."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.core.data.stored_dataset import AnyDataset, filled_chunks
from workbench.core.data.table import Matrix
from workbench.errors import InputError


class Moments(NamedTuple):
    """Mean and standard deviation of each input (features,); 1 for the one that does not vary."""

    mean: Matrix
    scale: Matrix


def measure(data: AnyDataset) -> Moments:
    """Measure the inputs that are there; those that are missing count as the mean.

    Each chunk is measured by itself and joined to the others by the formulas of Chan, Golub and
    LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979).

    >>> from workbench.core.data import Dataset
    >>> inputs = np.array([[1.0, 7.0], [3.0, np.nan]])
    >>> measure(Dataset(inputs, inputs, ("a", "b"), ("y",), None, "data.csv", True))
    Moments(mean=array([2., 7.]), scale=array([1., 1.]))
    """
    features = len(data.input_names)
    count, present = 0, np.zeros(features)
    mean, squares = np.zeros(features), np.zeros(features)
    low, high = np.full(features, np.inf), np.full(features, -np.inf)
    with np.errstate(over="ignore", invalid="ignore"):
        for inputs, _ in filled_chunks(data):
            there = ~np.isnan(inputs)
            whole = bool(there.all())
            more = there.sum(axis=0, dtype=np.float64)
            total = np.maximum(present + more, 1)
            own = inputs.mean(axis=0) if whole else _mean(inputs, there, more)
            away = inputs - own if whole else np.where(there, inputs - own, 0)
            shift = own - mean
            mean = own if not count else mean + shift * (more / total)
            np.square(away, away)
            squares += away.sum(axis=0) + shift**2 * (present * more / total)
            low = np.minimum(low, inputs.min(axis=0, initial=np.inf, where=there))
            high = np.maximum(high, inputs.max(axis=0, initial=-np.inf, where=there))
            count, present = count + len(inputs), present + more
        deviation = np.sqrt(squares / count)
    _require_usable(data, present, deviation)
    return Moments(mean, np.where((low < high) & (deviation > 0), deviation, 1.0))


def _mean(inputs: Matrix, there: NDArray[np.bool_], count: Matrix) -> Matrix:
    sums = np.where(there, inputs, 0).sum(axis=0)
    return np.asarray(sums / np.maximum(count, 1))


def _require_usable(data: AnyDataset, present: Matrix, deviation: Matrix) -> None:
    for place, name in enumerate(data.input_names):
        if not present[place]:
            raise InputError(
                f"{data.source}: column {name!r} has no value in the training part; drop it"
            )
        if not np.isfinite(deviation[place]):
            raise InputError(
                f"{data.source}: column {name!r} has numbers too large to standardise; rescale it"
            )
