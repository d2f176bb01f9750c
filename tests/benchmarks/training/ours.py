"""The workbench as a contender: all that its training loop does, epoch by epoch."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import workbench as wb
from tests.benchmarks.training.workloads import Case, Data

ENDLESS = 10**9
"""More epochs than any measurement takes."""


class Epochs:
    """Steps by `wb.train`, whose records are the epochs'.

    Attributes
    ----------
    choice : the backend, and its threads if that is not left to the library.
    """

    def __init__(self, training: Any, steps_an_epoch: int) -> None:
        self.choice = training.backend
        if training.threads:
            self.choice += f", {training.threads}"
        self._records = iter(training)
        self._steps_an_epoch = steps_an_epoch

    def __call__(self, count: int) -> list[float]:
        """Train for as many epochs as so many steps make; their mean losses."""
        epochs = -(-count // self._steps_an_epoch)
        return [record.loss for record in islice(self._records, epochs)]


def workbench(case: Case, data: Data, *, copies: int = 1, **settings: Any) -> Epochs:
    """The workbench on a case.

    Parameters
    ----------
    copies : how many times the samples stand in the data set; 1,000 make an epoch of XOR long.
    settings : further ones of `wb.train`, such as the backend.
    """
    training = start(case, data, copies=copies, **settings)
    return Epochs(training, copies * len(data.inputs) // data.batch)


def start(case: Case, data: Data, *, copies: int = 1, **settings: Any) -> Any:
    """A training of the case on the data, ready to be iterated; its weights are drawn by seed 0."""
    with TemporaryDirectory() as folder:
        table = Path(folder, "data.npy")
        np.save(table, np.tile(data.table(), (copies, 1)))
        return wb.train(
            wb.network(case.workload.architecture),
            table,
            epochs=ENDLESS,
            batch_size=data.batch,
            optimizer=case.optimizer,
            learning_rate=case.rate,
            dtype=case.workload.dtype,
            standardise=False,
            **settings,
        )
