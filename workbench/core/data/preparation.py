"""Preparation: what training did to its inputs, kept so that new inputs get exactly the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.core.data.dataset import Dataset, open_table
from workbench.core.data.table import Matrix, Table, column_names
from workbench.errors import InputError, close_matches


@dataclass(frozen=True, eq=False)
class Preparation:
    """Standardisation of inputs, (x − mean) / scale with both (features,), and the names it is for.

    Targets are not standardised: losses and predictions stay in the units of the data.
    """

    mean: Matrix
    scale: Matrix
    input_names: tuple[str, ...]
    target_names: tuple[str, ...]
    classes: tuple[str, ...] | None
    header: bool

    @classmethod
    def fit(cls, train: Dataset, *, standardise: bool = True) -> Preparation:
        """Find mean and scale of the training part; a constant column is only shifted.

        >>> inputs, targets = np.array([[1.0, 7.0], [3.0, 7.0]]), np.zeros((2, 1))
        >>> train = Dataset(inputs, targets, ("a", "b"), ("y",), None, "data.csv", True)
        >>> Preparation.fit(train).apply(train.inputs)
        array([[-1.,  0.],
               [ 1.,  0.]])
        """
        mean, scale = np.zeros(train.inputs.shape[1]), np.ones(train.inputs.shape[1])
        if standardise:
            mean, scale = _mean_and_scale(train)
        names = train.input_names, train.target_names
        return cls(mean, scale, *names, train.classes, train.header)

    def apply(self, inputs: Matrix) -> Matrix:
        """Return prepared inputs (samples, features)."""
        if inputs.ndim != 2 or inputs.shape[1] != len(self.input_names):
            raise InputError(
                f"inputs of shape {inputs.shape}; expected (samples, {len(self.input_names)})"
            )
        return (inputs - self.mean) / self.scale

    def read(self, source: str | Path, *, header: bool | None = None) -> Matrix:
        """Read new inputs from a file and prepare them: (samples, features).

        Columns are matched by name where training and the file both have a header; further columns
        do not matter. Otherwise the file has the inputs in order, and may have the targets too
        where they were in training.
        """
        table = open_table(source, targets=None, header=header)
        return self.apply(table.read(self._match(table), ())[0])

    def _match(self, table: Table) -> list[int]:
        """Return the column of the table for each input."""
        if self.header and table.header:
            return self._match_by_name(table)
        inputs, width = len(self.input_names), len(table.names)
        if width == inputs:
            return list(range(width))
        both = inputs + len(self.target_names)
        if width == both and not self.header:
            return [column_names(both).index(name) for name in self.input_names]
        with_targets = "" if self.header else f", or {both} with the targets"
        raise InputError(
            f"{table.source}: {width} columns without names to match; expected {inputs} inputs"
            f"{with_targets}, in the order of training: {_shortened(self.input_names)}"
        )

    def _match_by_name(self, table: Table) -> list[int]:
        places = {name: index for index, name in enumerate(table.names)}
        for name in self.input_names:
            if name not in places:
                hint = close_matches(name, table.names)
                raise InputError(
                    f"{table.source}: the column {name!r} of training is missing; {hint}"
                )
        return [places[name] for name in self.input_names]

    def to_json(self) -> dict[str, Any]:
        """Return all of it in the types of JSON; numbers survive bit by bit."""
        return {
            "input_names": list(self.input_names),
            "target_names": list(self.target_names),
            "classes": None if self.classes is None else list(self.classes),
            "header": self.header,
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Preparation:
        """Rebuild a preparation from what `to_json` gave.

        >>> record = dict(input_names=["x"], target_names=["y"], classes=None, header=True,
        ...               mean=[1.0], scale=[2.0])
        >>> Preparation.from_json(record).apply(np.array([[5.0]]))
        array([[2.]])
        """
        try:
            mean, scale = _finite(record["mean"]), _finite(record["scale"])
            inputs, targets = _names(record["input_names"]), _names(record["target_names"])
            classes = None if record["classes"] is None else _names(record["classes"])
            if not len(mean) == len(scale) == len(inputs) or not (scale > 0).all():
                raise ValueError("one mean and one scale above 0 for each input")
            return cls(mean, scale, inputs, targets, classes, bool(record["header"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"the run's record of its preparation is broken ({error}); train it again"
            ) from None


def _mean_and_scale(train: Dataset) -> tuple[Matrix, Matrix]:
    """Return mean and standard deviation (features,) of the inputs; 1 for what does not vary."""
    inputs = train.inputs
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = inputs.mean(axis=0), inputs.std(axis=0)
    for name, finite in zip(train.input_names, np.isfinite(deviation), strict=True):
        if not finite:
            raise InputError(
                f"{train.source}: column {name!r} has numbers too large to standardise; rescale it"
            )
    varies = (inputs.min(axis=0) < inputs.max(axis=0)) & (deviation > 0)
    return mean, np.where(varies, deviation, 1.0)


def _finite(values: Sequence[float]) -> NDArray[np.float64]:
    array = np.array(values, dtype=np.float64)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise ValueError("finite numbers expected")
    return array


def _names(values: Sequence[str]) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError("a list of names expected")
    return tuple(values)


def _shortened(names: Sequence[str]) -> str:
    """Name the first few.

    >>> _shortened(["a", "b", "c", "d", "e"])
    'a, b, c, ...'
    """
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
