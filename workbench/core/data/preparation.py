"""Preparation: what training did to its inputs, kept so that new inputs get exactly the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.core.data.arrays import ArrayTable
from workbench.core.data.loading import open_inputs
from workbench.core.data.moments import measure
from workbench.core.data.selection import match_inputs
from workbench.core.data.stored_dataset import AnyDataset
from workbench.core.data.table import Matrix, Missing, Reading, Wanted, require_way
from workbench.errors import InputError


@dataclass(frozen=True, eq=False)
class Preparation:
    """What is done to inputs, and the names of the columns that it is for.

    A missing input becomes `fill` (features,), its mean in the training part; it is refused where
    that is None. Then inputs are standardised, (x − mean) / scale with both (features,). Targets
    are not: losses and predictions stay in the units of the data.
    """

    mean: Matrix
    scale: Matrix
    input_names: tuple[str, ...]
    target_names: tuple[str, ...]
    classes: tuple[str, ...] | None
    header: bool
    fill: Matrix | None = None
    ignored_names: tuple[str, ...] = ()

    @property
    def standardises(self) -> bool:
        """Whether inputs are shifted or scaled."""
        return bool(self.mean.any() or (self.scale != 1).any())

    @property
    def means(self) -> Matrix | None:
        """The means of the training part (features,); None where nothing was done with them."""
        return self.mean if self.fill is None and self.standardises else self.fill

    @property
    def offered(self) -> tuple[Missing, ...]:
        """What can be done about missing values."""
        return (Missing.DROP,) if self.means is None else (Missing.MEAN, Missing.DROP)

    def filling(self, missing: Missing | str | None) -> Preparation:
        """The preparation that fills missing inputs if the way is "mean"; itself if it is None.

        Raises
        ------
        InputError
            If the means are not known.

        >>> raw = Preparation(np.zeros(1), np.ones(1), ("x",), ("y",), None, True)
        >>> raw.filling("mean")
        Traceback (most recent call last):
            ...
        workbench.errors.InputError: --missing mean, but training neither filled missing values \
nor standardised, so its means are not known; fill the values in, or train with --missing mean
        """
        if missing is None:
            return self
        require_way(missing)
        if missing != Missing.MEAN:
            return replace(self, fill=None)
        if self.means is None:
            raise InputError(
                "--missing mean, but training neither filled missing values nor standardised, so "
                "its means are not known; fill the values in, or train with --missing mean"
            )
        return replace(self, fill=self.means)

    @classmethod
    def fit(cls, train: AnyDataset, *, standardise: bool = True) -> Preparation:
        """Find mean and scale of the training part; a constant column is only shifted.

        The deviation is that of the columns once they are filled.

        >>> from workbench.core.data import Dataset
        >>> inputs, targets = np.array([[1.0, 7.0], [3.0, 7.0]]), np.zeros((2, 1))
        >>> train = Dataset(inputs, targets, ("a", "b"), ("y",), None, "data.csv", True)
        >>> Preparation.fit(train).apply(train.inputs)
        array([[-1.,  0.],
               [ 1.,  0.]])
        """
        features = len(train.input_names)
        mean, scale = np.zeros(features), np.ones(features)
        fill = None
        if standardise or train.missing is Missing.MEAN:
            moments = measure(train)
            fill = moments.mean if train.missing is Missing.MEAN else None
            if standardise:
                mean, scale = moments.mean, moments.scale
        names = train.input_names, train.target_names
        return cls(mean, scale, *names, train.classes, train.header, fill, train.ignored_names)

    def apply(self, inputs: Matrix, out: Matrix | None = None) -> Matrix:
        """Return prepared inputs (samples, features), in `out` if that is given."""
        if inputs.ndim != 2 or inputs.shape[1] != len(self.input_names):
            raise InputError(
                f"inputs of shape {inputs.shape}; expected (samples, {len(self.input_names)})"
            )
        if self.fill is not None:
            inputs = np.where(np.isnan(inputs), self.fill, inputs)
        prepared = np.subtract(inputs, self.mean, out=out)
        prepared /= self.scale
        return prepared

    def read(self, source: str | Path, *, header: bool | None = None, decimal: str = ".") -> Matrix:
        """Read new inputs from a file and prepare them: (samples, features).

        Columns are matched by name where training and the file both have a header; further columns
        do not matter. Otherwise the file has the inputs in order, and may have the other columns
        too where they were in training.
        """
        reading = self._reading(header, decimal)
        table = open_inputs(source, reading)
        rows = table.rows(Wanted(match_inputs(table, self)), reading)
        return self.apply(np.concatenate([some.inputs for some in rows]))

    def take(self, given: object) -> Matrix:
        """Prepare new inputs that a program gives: (samples, features).

        Raises
        ------
        InputError
            If they are no numbers, not as many, or one is missing or infinite as none may in a
            file.

        >>> raw = Preparation(np.zeros(1), np.ones(1), ("width",), ("y",), None, True)
        >>> raw.take([[float("nan")]])
        Traceback (most recent call last):
            ...
        workbench.errors.InputError: the inputs: row 1, width: missing value 'nan'; fill it in
        """
        try:
            inputs = np.asarray(given, np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"the inputs are no table of numbers ({error}); expected (samples, "
                f"{len(self.input_names)})"
            ) from None
        prepared = self.apply(inputs)
        if not np.isfinite(inputs).all():
            table = ArrayTable("the inputs", self.input_names, (), tuple(inputs.T))
            for _ in table.rows(Wanted(range(len(self.input_names))), self._reading()):
                pass
        return prepared

    def _reading(self, header: bool | None = None, decimal: str = ".") -> Reading:
        """How new inputs are read."""
        return Reading(
            header=header,
            missing=Missing.REFUSE if self.fill is None else Missing.MEAN,
            decimal=decimal,
            offered=tuple(way for way in self.offered if way is not Missing.DROP),
            trained=True,
        )

    def to_json(self) -> dict[str, Any]:
        """Return all of it in the types of JSON; numbers survive bit by bit."""
        return {
            "input_names": list(self.input_names),
            "target_names": list(self.target_names),
            "ignored_names": list(self.ignored_names),
            "classes": None if self.classes is None else list(self.classes),
            "header": self.header,
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            "fill": None if self.fill is None else self.fill.tolist(),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Preparation:
        """Rebuild a preparation from what `to_json` gave.

        >>> record = dict(input_names=["x"], target_names=["y"], classes=None, header=True,
        ...               mean=[1.0], scale=[2.0], fill=None)
        >>> Preparation.from_json(record).apply(np.array([[5.0]]))
        array([[2.]])
        """
        try:
            mean, scale = _finite(record["mean"]), _finite(record["scale"])
            inputs, targets = _names(record["input_names"]), _names(record["target_names"])
            ignored = _names(record.get("ignored_names", []))
            classes = None if record["classes"] is None else _names(record["classes"])
            fill = None if record["fill"] is None else _finite(record["fill"])
            lengths = {len(mean), len(scale), len(inputs), len(mean if fill is None else fill)}
            if len(lengths) > 1 or not (scale > 0).all():
                raise ValueError("one mean and one scale above 0 for each input")
            header = bool(record["header"])
            return cls(mean, scale, inputs, targets, classes, header, fill, ignored)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"the run's record of its preparation is broken ({error}); train it again"
            ) from None


def _finite(values: Sequence[float]) -> NDArray[np.float64]:
    array = np.array(values, dtype=np.float64)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise ValueError("finite numbers expected")
    return array


def _names(values: Sequence[str]) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError("a list of names expected")
    return tuple(values)
