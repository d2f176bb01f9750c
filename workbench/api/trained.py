"""Trained models: what they predict, how well, and their export."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from workbench.api.arguments import arrays_of, refuse_without_file
from workbench.core.data import (
    AnyDataset,
    Arrays,
    Dataset,
    Missing,
    Preparation,
    StoredDataset,
    from_arrays,
    open_dataset,
)
from workbench.core.export import Trained, export, exported
from workbench.core.inference import ForwardPass
from workbench.core.scores import Scores, score
from workbench.derivation.network import Network
from workbench.errors import InputError

Array = NDArray[Any]


@dataclass(frozen=True)
class Model:
    """A trained network, or trained equations, with the preparation that inputs get.

    Attributes
    ----------
    preparation : how raw inputs become the model's; the classes, if it answers with classes.
    decimal : the mark before the fraction of a number in the files of training.
    checkpoint : which of its run the parameters are from, "best" or "last"; None without a run.
    epoch : how many epochs they were trained for when it was written.
    notes : what a person should know before relying on it.
    """

    preparation: Preparation
    forward_pass: ForwardPass
    decimal: str = "."
    checkpoint: str | None = None
    epoch: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def network(self) -> Network | None:
        """The network; None for equations."""
        return self.forward_pass.model.network

    @property
    def output_names(self) -> tuple[str, ...]:
        """What the columns of predicted numbers are called: as the targets if they are as many."""
        model, targets = self.forward_pass.model, self.preparation.target_names
        if model.output is None or model.outputs == len(targets):
            return targets
        return tuple(f"{model.output.symbol.name}_{n}" for n in range(1, model.outputs + 1))

    def predict(
        self,
        data: str | Path | Array,
        *,
        header: bool | None = None,
        missing: Missing | str | None = None,
        decimal: str | None = None,
    ) -> Array:
        """The outputs (samples, outputs) for a file or raw inputs (samples, features).

        Numbers in a file are written as in training, unless `decimal` says otherwise.

        Parameters
        ----------
        missing : "refuse", or "mean" to take the training part's mean for a missing input; None
            does as training did. No sample is dropped: each gets its outputs.
        """
        if missing == Missing.DROP:
            raise InputError(
                "--missing drop would leave samples without a prediction; expected refuse or mean"
            )
        preparation = self.preparation.filling(missing)
        if isinstance(data, str | Path):
            mark = decimal or self.decimal
            return self.forward_pass.predict(preparation.read(data, header=header, decimal=mark))
        refuse_without_file({"header": header, "decimal": decimal})
        return self.forward_pass.predict(preparation.take(data))

    def evaluate(
        self,
        data: str | Path | AnyDataset | Arrays,
        *,
        header: bool | None = None,
        missing: Missing | str | None = None,
        decimal: str | None = None,
    ) -> Scores:
        """How well the outputs meet the targets of data like those of training.

        The columns of a file are found by name as in training, and the classes are those of
        training.

        Parameters
        ----------
        data : a file, a data set, or two arrays in memory: inputs (samples, features) in the order
            of training, and the number or the class of each sample, or numbers (samples, outputs).
        missing : "refuse", "mean" to take the training part's mean for a missing input, or "drop"
            to leave out such samples; None does "mean" if training did, else "refuse".
        """
        preparation = self.preparation.filling(missing)
        usual = Missing.REFUSE if preparation.fill is None else Missing.MEAN
        if isinstance(data, str | Path):
            data = open_dataset(
                data,
                header=header,
                decimal=decimal or self.decimal,
                missing=missing or usual,
                offered=preparation.offered,
                like=preparation,
            )
        elif isinstance(data, Dataset | StoredDataset):
            dropped = missing if missing == Missing.DROP else None
            refuse_without_file({"header": header, "missing": dropped, "decimal": decimal})
        else:
            inputs, targets = arrays_of(data)
            refuse_without_file({"header": header, "decimal": decimal})
            data = from_arrays(
                inputs,
                targets,
                missing=missing or usual,
                offered=preparation.offered,
                like=preparation,
            )
        return score(self.forward_pass, preparation, data)

    @property
    def trained(self) -> Trained:
        """What is exported."""
        return Trained(self.forward_pass.model, self.preparation, self.forward_pass.parameters)

    def exported(self, format_name: str) -> str | bytes:
        """The content of a file in one of the formats of `workbench.core.export`."""
        return exported(self.trained, format_name)

    def export(self, format_name: str, path: str | Path) -> tuple[Path, ...]:
        """Write a file in one of the formats of `workbench.core.export`; return what was written.

        The parameters of a large network stand in a file beside its Python source.
        """
        return export(self.trained, format_name, Path(path))
