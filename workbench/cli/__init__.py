"""The command line: one file a subcommand, put together here.

No module of this package imports NumPy, SciPy, SymPy or Matplotlib at its top: a command that only
prints its help starts at once.
"""

from __future__ import annotations

from typing import Annotated

import typer

from workbench.cli import derive, gradcheck, plot, plugins, predict, prove, reference, train
from workbench.cli.options import PluginOption

__all__ = ["app"]

app = typer.Typer(
    name="workbench",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"workbench {version('backprop-workbench')}")
        raise typer.Exit


@app.callback()
def workbench(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
    plugin: PluginOption = None,
) -> None:
    """Derive, check, train and plot backpropagation from one expression graph."""


app.command()(derive.derive)
app.command()(prove.prove)
app.command()(gradcheck.gradcheck)
app.command()(train.train)
app.command()(predict.predict)
app.command()(reference.reference)
app.add_typer(plot.app, name="plot")
app.add_typer(plugins.app, name="plugins")
