"""The command `workbench export`."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.options import PluginOption, RunArgument
from workbench.cli.output import write_output


class ExportFormat(StrEnum):
    """The formats of a trained network."""

    ONNX = "onnx"
    SAFETENSORS = "safetensors"
    NPZ = "npz"
    TORCH = "torch"
    NUMPY_SOURCE = "numpy-source"


FormatOption = Annotated[
    ExportFormat,
    typer.Option(
        "--format",
        help="An ONNX model, arrays by name (safetensors, npz), or Python source for PyTorch or "
        "NumPy.",
        show_default=False,
    ),
]

FileOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="File to write, - for standard output; if not given, model.onnx or the like in RUN, "
        "and standard output for numpy-source.",
        show_default=False,
    ),
]


def export(
    run: RunArgument,
    export_format: FormatOption,
    output: FileOption = None,
    plugin: PluginOption = None,
) -> None:
    """Write a trained network, preparation of inputs included, in a format of others."""
    from workbench.cli.models import load_model
    from workbench.core.export import ending, single_precision_reason

    model = load_model(run, plugin)
    if export_format is ExportFormat.ONNX and (reason := single_precision_reason(model.trained)):
        print(f"workbench: warning: {reason}", file=sys.stderr)
    if output is None and export_format is not ExportFormat.NUMPY_SOURCE:
        output = run / f"model{ending(export_format)}"
    if output is None or str(output) == "-":
        write_output(model.exported(export_format), None)
        return
    written = model.export(export_format, output)
    print(f"workbench: wrote {' and '.join(map(str, written))}", file=sys.stderr)
