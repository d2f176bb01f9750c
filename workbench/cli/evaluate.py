"""The command `workbench evaluate`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from enum import StrEnum
from math import isfinite
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

if TYPE_CHECKING:
    from workbench.core.scores import ClassScores, NumberScores

MOST_CLASSES_SHOWN = 24
"""The confusion matrix of more classes is left to JSON."""


class ScoreFormat(StrEnum):
    """The formats of an evaluation."""

    TEXT = "text"
    JSON = "json"


def evaluate(
    run: RunArgument,
    data: DataArgument,
    score_format: Annotated[
        ScoreFormat, typer.Option("--format", help="A table, or one JSON record.")
    ] = ScoreFormat.TEXT,
    output: OutputOption = None,
    header: HeaderOption = None,
    missing: Annotated[
        str | None,
        typer.Option(
            metavar="WAY",
            help="Missing values: refuse, mean (of the training part) or drop the row; if not "
            "given, mean where training did, else refuse.",
        ),
    ] = None,
    decimal: DecimalOption = None,
    plugin: PluginOption = None,
) -> None:
    """Hold a trained network against data with known targets.

    For classes: loss, accuracy, and which are taken for which; for numbers: loss, errors and R².
    """
    from workbench.cli.models import load_model
    from workbench.core.scores import ClassScores

    model = load_model(run, plugin)
    scores = model.evaluate(data, header=header, missing=missing, decimal=decimal)
    if (reason := model.forward_pass.model.uncompared) is not None:
        print(f"workbench: note: {reason}", file=sys.stderr)
    if score_format is ScoreFormat.JSON:
        record = {"checkpoint": model.checkpoint, "epoch": model.epoch, **scores.to_json()}
        written = json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"
    elif isinstance(scores, ClassScores):
        written = _text_of_classes(scores)
    else:
        written = _text_of_numbers(scores)
    write_output(written, output)


def _text_of_classes(scores: ClassScores) -> str:
    summary = [
        ("samples", str(scores.samples)),
        ("loss", _number(scores.loss)),
        ("accuracy", _number(scores.accuracy, ".4f")),
    ]
    if len(scores.classes) > MOST_CLASSES_SHOWN:
        hint = f"The confusion matrix of {len(scores.classes)} classes: --format json\n"
        return f"{_table(summary)}\n{hint}"
    counts = zip(scores.classes, scores.confusion.tolist(), scores.recall.tolist(), strict=True)
    matrix = [
        ("true \\ predicted", *scores.classes, "recall"),
        *((name, *map(str, row), _number(recall, ".3f")) for name, row, recall in counts),
        ("precision", *(_number(share, ".3f") for share in scores.precision.tolist()), ""),
    ]
    return f"{_table(summary)}\n{_table(matrix)}"


def _text_of_numbers(scores: NumberScores) -> str:
    summary = [("samples", str(scores.samples)), ("loss", _number(scores.loss))]
    if not scores.outputs:
        return _table(summary)
    columns = (scores.r_squared, scores.mean_absolute_error, scores.mean_squared_error)
    rows = zip(scores.outputs, *(column.tolist() for column in columns), strict=True)
    table = [
        ("output", "R²", "mean absolute error", "mean squared error"),
        *((name, *map(_number, values)) for name, *values in rows),
    ]
    return f"{_table(summary)}\n{_table(table)}"


def _number(value: float, form: str = ".4g") -> str:
    """A number in few digits; a dash for what is undefined.

    >>> _number(0.96944), _number(1.0, ".3f"), _number(float("nan"))
    ('0.9694', '1.000', '–')
    """
    return format(value, form) if isfinite(value) else "–"


def _table(rows: Sequence[Sequence[Any]]) -> str:
    """Rows with their first cell to the left and all others to the right.

    >>> print(_table([("loss", "0.5"), ("samples", "12")]), end="")
    loss     0.5
    samples   12
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    return "\n".join(lines) + "\n"
