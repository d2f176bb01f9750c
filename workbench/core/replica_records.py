"""What the epochs of replicas came to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.core.progress import EpochRecord, encode

Array = NDArray[Any]

SPREAD = ("loss", "accuracy", "validation_loss", "validation_accuracy")
"""The figures of which a record tells the least, the median and the most."""


class ReplicaRecord(EpochRecord):
    """What one epoch came to: its figures are the means over the replicas that are not frozen.

    Attributes
    ----------
    replicas, frozen : how many there are, and how many of these are frozen.
    best_replica : the one of the least validation loss, or of the least loss without validation.
    spread : least, median and most of the figures in `SPREAD`, by name.
    """

    replicas: int
    frozen: int
    best_replica: int
    spread: Mapping[str, float]

    def to_line(self) -> str:
        """Return the record as a line of JSON, without its end."""
        return encode(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Return the record in the types of JSON, where a number that is not finite is None."""
        means = super().to_json()
        told = {name: means.pop(name) for name in ("epoch", "step")}
        told |= {"replicas": self.replicas, "frozen": self.frozen}
        for name, mean in means.items():
            told[name] = mean
            for extent in ("least", "median", "most"):
                if mean is not None and (full := f"{name}_{extent}") in self.spread:
                    told[full] = self.spread[full]
        return told | {"best_replica": self.best_replica}


def summary(name: str, values: Array) -> dict[str, list[float]]:
    """The mean of each row (epochs, replicas) over what is finite, and its spread if that is told.

    >>> summary("loss", np.array([[4.0, 1.0, np.nan, 1.0]]))["loss_median"]
    [1.0]
    """
    is_finite = np.isfinite(values)
    if is_finite.all():
        counts, means = np.full(len(values), values.shape[1]), values.mean(axis=1)
    else:
        values, counts = np.where(is_finite, values, np.nan), is_finite.sum(axis=1)
        means = values.sum(axis=1, where=is_finite) / np.where(counts, counts, np.nan)
    found = {name: means.tolist()}
    if name in SPREAD:
        rows, ordered = np.arange(len(values)), np.sort(values, axis=1)
        middle = (ordered[rows, (counts - 1) // 2] + ordered[rows, counts // 2]) / 2
        found[f"{name}_least"] = ordered[:, 0].tolist()
        found[f"{name}_median"] = middle.tolist()
        found[f"{name}_most"] = ordered[rows, counts - 1].tolist()
    return found


def filled(figures: Mapping[str, float]) -> dict[str, Any]:
    """All figures of a record, with None for those that there are not."""
    return {name: figures.get(name) for name in EpochRecord._fields[2:]}
