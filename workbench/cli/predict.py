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

from workbench.cli.options import OutputOption, PluginOption
from workbench.cli.train import DataArgument, HeaderOption
from workbench.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.core.runs import Run
    from workbench.plugins.registry import Registry


class TableFormat(StrEnum):
    """The formats of a table of predictions."""

    CSV = "csv"
    JSONL = "jsonl"


RunArgument = Annotated[
    Path,
    typer.Argument(
        metavar="RUN", help="Directory that workbench train --run made.", show_default=False
    ),
]


def predict(
    run: RunArgument,
    data: DataArgument,
    table_format: Annotated[
        TableFormat, typer.Option("--format", help="CSV, or a JSON record a line.")
    ] = TableFormat.CSV,
    output: OutputOption = None,
    header: HeaderOption = None,
    plugin: PluginOption = None,
) -> None:
    """Apply a trained network to new data."""
    from workbench.core.inference import ForwardPass
    from workbench.core.runs import load_run
    from workbench.plugins.build import build_network

    trained = load_run(run)
    registry = _registry(trained, plugin or [])
    network = build_network(trained.network, loss=trained.loss, registry=registry)
    forward_pass = ForwardPass(network, trained.parameters(network))
    outputs = forward_pass.predict(trained.preparation.read(data, header=header))
    names, rows = _table(outputs, trained.preparation.classes, trained.preparation.target_names)
    written = _as_csv(names, rows) if table_format is TableFormat.CSV else _as_jsonl(names, rows)
    if output is None:
        print(written, end="")
    else:
        output.write_text(written, encoding="utf-8", newline="\n")


def _registry(run: Run, plugin_files: list[Path]) -> Registry:
    """The plugins of training: where its files were, unless files of their names are given."""
    from workbench.plugins.registry import load_registry

    given = {file.name for file in plugin_files}
    files = [file for file in run.plugin_files if file.name not in given]
    for file in files:
        if not file.is_file():
            raise InputError(
                f"the run {run.path} was trained with the plugin file {file}, which is not there; "
                f"give it by --plugin {file.name}"
            )
    return load_registry([*files, *plugin_files])


def _table(
    outputs: NDArray[Any], classes: tuple[str, ...] | None, targets: tuple[str, ...]
) -> tuple[Sequence[str], list[list[Any]]]:
    """The columns' names and the rows: outputs by name or, for classes, all and the prediction."""
    import numpy as np

    from workbench.core.samples import chosen_classes

    if classes is None:
        return targets, [list(row) for row in outputs]
    shares = np.hstack([1 - outputs, outputs]) if outputs.shape[1] == 1 else outputs
    chosen = (classes[number] for number in chosen_classes(outputs))
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
