"""How well a network's outputs meet the targets of a data set.

Of classes, with nᵢⱼ the samples of class i that are taken for class j (the confusion matrix; Kohavi
and Provost, "Glossary of terms", 1998):

- accuracy Σᵢ nᵢᵢ / Σᵢⱼ nᵢⱼ, precision of class j nⱼⱼ / Σᵢ nᵢⱼ and recall of class i nᵢᵢ / Σⱼ nᵢⱼ
  (Manning, Raghavan and Schütze, "Introduction to information retrieval", 2008, section 8.3).

Of numbers, for each output with targets y and outputs a over all samples:

- mean absolute error mean |y − a| and mean squared error mean (y − a)²,
- R² = 1 − Σ (y − a)² / Σ (y − mean y)² (Kvålseth, "Cautionary note about R²", 1985, equation 1).

What would divide by zero is undefined: the precision of a class that nothing is taken for, the
recall of one that does not occur, R² of targets that are all the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.core.data import AnyDataset, Preparation
from workbench.core.data.files import require_memory
from workbench.core.data.sources import Samples
from workbench.core.inference import ForwardPass
from workbench.core.mean_loss import mean_loss
from workbench.core.samples import chosen_classes, require_fit, sample_source

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class ClassScores:
    """How well classes are told.

    Attributes
    ----------
    loss : the mean of a sample.
    confusion : (classes, classes), how many samples of each class, a row, are taken for each.

    >>> scores = ClassScores(0.5, ("p", "q"), np.array([[3, 1], [0, 4]]))
    >>> scores.accuracy, scores.precision, scores.recall
    (0.875, array([1. , 0.8]), array([0.75, 1.  ]))
    """

    loss: float
    classes: tuple[str, ...]
    confusion: NDArray[np.int64]

    @property
    def samples(self) -> int:
        """How many samples were evaluated."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """The share of samples whose class is right."""
        return float(np.trace(self.confusion) / self.confusion.sum())

    @property
    def precision(self) -> Array:
        """Of those taken for each class, the share that is right (classes,); NaN if undefined."""
        return _quotient(np.diagonal(self.confusion), self.confusion.sum(axis=0))

    @property
    def recall(self) -> Array:
        """Of those of each class, the share that is taken for it (classes,); NaN if undefined."""
        return _quotient(np.diagonal(self.confusion), self.confusion.sum(axis=1))

    def to_json(self) -> dict[str, Any]:
        """All of it in the types of JSON: `confusion_matrix[i][j]` of class i, taken for j."""
        rows = (self._by_name(row) for row in self.confusion.tolist())
        return {
            **_summary(self.samples, self.loss),
            "accuracy": self.accuracy,
            "precision": self._by_name(_finite(self.precision)),
            "recall": self._by_name(_finite(self.recall)),
            "confusion_matrix": self._by_name(rows),
        }

    def _by_name(self, values: Iterable[Any]) -> dict[str, Any]:
        return dict(zip(self.classes, values, strict=True))


@dataclass(frozen=True, eq=False)
class NumberScores:
    """How well numbers are met, output by output.

    Attributes
    ----------
    loss : the mean of a sample, over all outputs.
    outputs : the names of the target columns.
    mean_absolute_error, mean_squared_error, r_squared : (outputs,); NaN if undefined.
    """

    samples: int
    loss: float
    outputs: tuple[str, ...]
    mean_absolute_error: Array
    mean_squared_error: Array
    r_squared: Array

    def to_json(self) -> dict[str, Any]:
        """All of it in the types of JSON, each score by the name of its output."""
        scores = ("mean_absolute_error", "mean_squared_error", "r_squared")
        by_output = {
            name: dict(zip(self.outputs, _finite(getattr(self, name)), strict=True))
            for name in scores
        }
        return {**_summary(self.samples, self.loss), **by_output}


Scores = ClassScores | NumberScores


def score(forward_pass: ForwardPass, preparation: Preparation, dataset: AnyDataset) -> Scores:
    """Evaluate a model on data of the columns and classes that it was trained with.

    The data need not fit into memory: they are read once, some samples at a time. Where the
    model's prediction has no entry for each target, the loss is all there is.

    Raises
    ------
    InputError
        If the data do not fit the model or its loss.
    """
    model = forward_pass.model
    require_fit(model, dataset)
    source = sample_source(model, dataset, preparation, forward_pass.parameters.dtype)
    tally: _ClassTally | _NumberTally
    if not model.meets_targets:
        tally = _NumberTally(())
    elif dataset.classes is None:
        tally = _NumberTally(dataset.target_names)
    else:
        tally = _ClassTally(dataset.classes)
    compared = slice(None if model.meets_targets else 0)

    def add(samples: Samples, outputs: Array) -> None:
        tally.add(samples.targets[:, compared], outputs[:, compared])

    return tally.scores(mean_loss(forward_pass, source, add))


class _ClassTally:
    """Counts classes, some samples at a time."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        count = len(classes)
        require_memory(16 * count**2, f"a confusion matrix of {count:,} classes", "merge classes")
        self._classes = classes
        self._pairs = np.zeros(count**2, np.int64)

    def add(self, targets: Array, outputs: Array) -> None:
        """Count targets and outputs, both (samples, outputs)."""
        pairs = chosen_classes(targets) * len(self._classes) + chosen_classes(outputs)
        self._pairs += np.bincount(pairs, minlength=len(self._pairs))

    def scores(self, loss: float) -> ClassScores:
        """All that was counted."""
        return ClassScores(loss, self._classes, self._pairs.reshape(len(self._classes), -1))


class _NumberTally:
    """Sums over numbers, some samples at a time.

    Sums of squares about the mean are put together by the formula of Chan, Golub and LeVeque,
    "Updating formulae and a pairwise algorithm for computing sample variances", 1979.
    """

    def __init__(self, outputs: tuple[str, ...]) -> None:
        self._outputs = outputs
        self._count = 0
        self._absolute, self._squared, self._mean, self._spread = np.zeros((4, len(outputs)))
        self._least = np.full(len(outputs), np.inf)
        self._most = -self._least

    def add(self, targets: Array, outputs: Array) -> None:
        """Take in targets and outputs, both (samples, outputs)."""
        targets, outputs = targets.astype(np.float64), outputs.astype(np.float64)
        count, before = len(targets), self._count
        self._count += count
        with np.errstate(all="ignore"):
            self._absolute += np.abs(targets - outputs).sum(axis=0)
            self._squared += ((targets - outputs) ** 2).sum(axis=0)
            mean = targets.mean(axis=0)
            apart = mean - self._mean
            self._spread += ((targets - mean) ** 2).sum(axis=0)
            self._spread += apart**2 * before * count / self._count
            self._mean += apart * count / self._count
        self._least = np.minimum(self._least, targets.min(axis=0))
        self._most = np.maximum(self._most, targets.max(axis=0))

    def scores(self, loss: float) -> NumberScores:
        """What the sums say."""
        spread = np.where(self._least < self._most, self._spread, 0.0)
        return NumberScores(
            self._count,
            loss,
            self._outputs,
            self._absolute / self._count,
            self._squared / self._count,
            1 - _quotient(self._squared, spread),
        )


def _quotient(above: Array, below: Array) -> Array:
    """The quotient, NaN where it would divide by zero."""
    whole = np.where(below == 0, 1, below)
    return np.where(below == 0, np.nan, above / whole)


def _summary(samples: int, loss: float) -> dict[str, Any]:
    if isfinite(loss):
        return {"samples": samples, "loss": loss}
    return {"samples": samples, "loss": None, "finite": False}


def _finite(values: Array) -> list[float | None]:
    return [value if isfinite(value) else None for value in values.tolist()]
