"""The figure of a training: the loss, and the accuracy where there is one, epoch by epoch."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from workbench.errors import InputError
from workbench.plotting.style import COLOURS, legend_below, plain, require_at_most, style

EXPECTED = 'expected a JSON object with "epoch" and "loss", as workbench train prints'
PLOTTED = ("epoch", "loss", "validation_loss", "accuracy", "validation_accuracy")

LARGE_RANGE = 100
"""Losses that span more than this factor are drawn on a logarithmic scale."""

FEW_RECORDS = 12
"""Up to this many records, each one is marked."""


@dataclass(frozen=True)
class History:
    """The records of one training, as columns with NaN where a value is missing.

    Attributes
    ----------
    name : how the training is called in the legend.
    columns : an array for each of `PLOTTED`.
    """

    name: str
    columns: dict[str, NDArray[np.float64]]

    def has(self, key: str) -> bool:
        """Whether any record holds a value for this key."""
        return bool(np.isfinite(self.columns[key]).any())


def read_history(lines: Iterable[bytes], name: str) -> History:
    """Read the JSON Lines that training writes; blank lines are skipped.

    Raises
    ------
    InputError
        If a line is no such record, or there is none.

    >>> history = read_history([b'{"epoch": 1, "loss": 0.5}', b'{"epoch": 2, "loss": null}'], "xor")
    >>> history.columns["loss"]
    array([0.5, nan])
    """
    records = [
        _record(line, f"{name}, line {number}")
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]
    if not records:
        raise InputError(f"{name} holds no records; {EXPECTED}")
    return History(name, {key: np.array([record[key] for record in records]) for key in PLOTTED})


def loss_figure(histories: Sequence[History]) -> Figure:
    """Draw the losses of one or several trainings, and their accuracies where known.

    >>> history = read_history([b'{"epoch": 1, "loss": 0.5}'], "xor")
    >>> [axes.get_ylabel() for axes in loss_figure([history]).axes]
    ['loss']
    """
    require_at_most(len(COLOURS), len(histories), "runs")
    panels = ["loss"]
    if any(history.has(key) for history in histories for key in PLOTTED if "accuracy" in key):
        panels.append("accuracy")
    with style():
        figure = Figure(figsize=(1.0 + 4.5 * len(panels), 4.0))
        for axes, key in zip(
            figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
        ):
            for index, history in enumerate(histories):
                _draw(axes, history, key, index, alone=len(histories) == 1)
            axes.set(xlabel="epoch", ylabel=key)
            axes.xaxis.get_major_locator().set_params(integer=True)
        if has_large_range(histories):
            figure.axes[0].set_yscale("log")
        legend_below(figure, columns=2)
    return figure


def has_large_range(histories: Sequence[History]) -> bool:
    """Whether the losses are all positive and span more than two decades.

    >>> has_large_range([read_history([b'{"epoch": 1, "loss": 0}'], "zero")])
    False
    """
    keys = ("loss", "validation_loss")
    values = np.concatenate([history.columns[key] for history in histories for key in keys])
    finite = values[np.isfinite(values)]
    return bool(finite.size and 0 < finite.min() < finite.max() / LARGE_RANGE)


def _draw(axes: Axes, history: History, key: str, index: int, *, alone: bool) -> None:
    epochs = history.columns["epoch"]
    marker = "o" if len(epochs) <= FEW_RECORDS else ""
    for part, column in (("training", key), ("validation", f"validation_{key}")):
        if history.has(column):
            label = part if alone else f"{part}, {plain(history.name)}"
            line = "-" if part == "training" else "--"
            values = history.columns[column]
            axes.plot(epochs, values, line, color=COLOURS[index], marker=marker, label=label)


def _record(line: bytes, where: str) -> dict[str, float]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON ({error}); {EXPECTED}") from None
    if not isinstance(record, dict) or record.get("epoch") is None or "loss" not in record:
        raise InputError(f"{where}: {_shortened(line)}; {EXPECTED}")
    return {key: _number(record.get(key), f"{where}, {key}") for key in PLOTTED}


def _number(value: object, where: str) -> float:
    if value is None:
        return float("nan")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{where}: {value!r} is no number; expected a number or null")
    if not abs(value) <= sys.float_info.max:
        raise InputError(f"{where}: {value} is not finite; expected a number or null")
    return float(value)


def _shortened(line: bytes) -> str:
    text = line.decode(errors="replace").strip()
    return text if len(text) <= 60 else f"{text[:60]}…"
