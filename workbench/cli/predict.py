"""The command `workbench predict`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from enum import StrEnum
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.options import (
    DataArgument,
    DecimalOption,
    HeaderOption,
    OutputOption,
    PluginOption,
    RunArgument,
)
from workbench.cli.output import write_output
from workbench.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray


class TableFormat(StrEnum):
    """The formats of a table of predictions."""

    CSV = "csv"
    JSONL = "jsonl"


def predict(
    run: RunArgument,
    data: DataArgument,
    table_format: Annotated[
        TableFormat, typer.Option("--format", help="CSV, or a JSON record a line.")
    ] = TableFormat.CSV,
    output: OutputOption = None,
    header: HeaderOption = None,
    missing: Annotated[
        str | None,
        typer.Option(
            metavar="WAY",
            help="Missing inputs: refuse, or mean (of the training part); as in training if not "
            "given. No row is dropped: each gets its prediction.",
        ),
    ] = None,
    decimal: DecimalOption = None,
    plugin: PluginOption = None,
) -> None:
    """Apply a trained network to new data."""
    from workbench.cli.models import load_model

    if output is not None and output.exists() and Path(data).exists() and output.samefile(data):
        raise InputError(f"-o {output} would replace the data; choose another file")
    model = load_model(run, plugin)
    outputs = model.predict(data, header=header, missing=missing, decimal=decimal)
    classes = model.preparation.classes if model.forward_pass.model.meets_targets else None
    names, rows = _table(outputs, classes, model.output_names)
    written = _as_csv(names, rows) if table_format is TableFormat.CSV else _as_jsonl(names, rows)
    write_output(written, output)


def _table(
    outputs: NDArray[Any], classes: tuple[str, ...] | None, targets: tuple[str, ...]
) -> tuple[Sequence[str], list[list[Any]]]:
    """The columns' names and the rows: outputs by name or, for classes, all and the prediction."""
    import numpy as np

    from workbench.core.samples import chosen_classes

    if classes is None:
        return targets, [list(row) for row in outputs]
    chosen = (classes[number] for number in chosen_classes(outputs))
    if outputs.shape[1] == 1 and not ((outputs >= 0) & (outputs <= 1)).all():
        rows = [[*row, name] for row, name in zip(outputs, chosen, strict=True)]
        return (*targets, "prediction"), rows
    shares = np.hstack([1 - outputs, outputs]) if outputs.shape[1] == 1 else outputs
    rows = [[*row, name] for row, name in zip(shares, chosen, strict=True)]
    return (*classes, "prediction"), rows


def _as_csv(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([str(value) for value in row] for row in rows)
    return written.getvalue()


def _as_jsonl(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = []
    for row in rows:
        values = [_plain(value) for value in row]
        finite = {} if None not in values else {"finite": False}
        record = dict(zip(names, values, strict=True)) | finite
        lines.append(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")
    return "".join(lines)


def _plain(value: Any) -> str | float | None:
    """A value for JSON: with the digits of its own type, None if it is not finite."""
    if isinstance(value, str):
        return value
    return float(str(value)) if isfinite(value) else None
