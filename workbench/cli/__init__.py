"""The command line: one file a subcommand, imported when the subcommand is named.

No module of this package imports NumPy, SciPy, SymPy or Matplotlib at its top: a command that only
prints its help starts at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup
from typer.main import get_group

from workbench.cli.options import PluginOption

if TYPE_CHECKING:
    from typer._click import Command, Context

__all__ = ["app"]

SUBCOMMANDS = (
    "derive",
    "prove",
    "gradcheck",
    "train",
    "predict",
    "evaluate",
    "export",
    "reference",
    "plot",
    "plugins",
)
"""In the order of the help. Each is a module here: a function of that name, or a group `app`."""


def _subcommand(name: str) -> Command:
    module = import_module(f"workbench.cli.{name}")
    alone = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
    if hasattr(module, "app"):
        alone.add_typer(module.app, name=name)
    else:
        alone.command(name)(getattr(module, name))
    return get_group(alone).commands[name]


class _Subcommands(TyperGroup):
    """The subcommands, each imported when it is asked for."""

    def list_commands(self, ctx: Context) -> list[str]:
        return list(SUBCOMMANDS)

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        """One subcommand; an unknown name has all of them imported, to suggest one that is near."""
        for name in (cmd_name,) if cmd_name in SUBCOMMANDS else SUBCOMMANDS:
            self.commands[name] = _subcommand(name)
        return self.commands.get(cmd_name)


app = typer.Typer(
    name="workbench",
    cls=_Subcommands,
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
