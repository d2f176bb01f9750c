"""The arguments and options that several subcommands share, each declared once.

A subcommand annotates a parameter with one of these types and gives its default:

    def derive(network: NetworkArgument, activation: ActivationOption = "sigmoid") -> None: ...
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

NetworkArgument = Annotated[
    str,
    typer.Argument(
        metavar="NETWORK",
        help="Widths from input to output, 2-2-1, with an activation where a layer has its own: "
        "64-32:tanh-10:softmax.",
        show_default=False,
    ),
]

ActivationOption = Annotated[
    str,
    typer.Option(metavar="NAME", help="Activation of the layers that name none."),
]

LossOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Loss of output and target; after softmax cross_entropy, else half_squared_error.",
        show_default=False,
    ),
]

DataArgument = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="CSV or TSV file, .npy or .npz, or - for standard input.",
        show_default=False,
    ),
]

RunArgument = Annotated[
    Path,
    typer.Argument(
        metavar="RUN", help="Directory that workbench train --run made.", show_default=False
    ),
]

HeaderOption = Annotated[
    bool | None,
    typer.Option("--header/--no-header", help="Whether the first row has names; found out if not."),
]

DecimalOption = Annotated[
    str | None,
    typer.Option(
        metavar="MARK",
        help="Before a number's fraction, . or a comma; as in training if not given.",
    ),
]

StrategyOption = Annotated[
    str,
    typer.Option(metavar="NAME", help="How local Jacobians are written; see workbench plugins."),
]

SeedOption = Annotated[int, typer.Option(min=0, help="Seed of every random number.")]

OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FILE", help="Write to FILE instead of standard output."
    ),
]


def _with_files_given_before(context: typer.Context, files: list[Path] | None) -> list[Path]:
    """Add the files of one `--plugin` position to those given further left on the command line.

    `context.meta` is shared by a command and its subcommands.
    """
    collected: list[Path] = context.meta.setdefault("workbench.plugin_files", [])
    collected.extend(files or ())
    return list(collected)


PluginOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin",
        metavar="FILE",
        help="Python file with activations, losses or strategies; repeatable.",
        callback=_with_files_given_before,
        show_default=False,
    ),
]
