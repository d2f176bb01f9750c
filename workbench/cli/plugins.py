"""The command `workbench plugins`: what there is, where it comes from, and whether it is right."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from itertools import zip_longest
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.options import PluginOption

if TYPE_CHECKING:
    from workbench.plugins.registry import Entry, Registry

app = typer.Typer()

COLUMNS = ("name", "kind", "formula", "derivative", "origin")

WIDEST = 100
"""No line of a table is longer; what does not fit into its column goes on in the next line."""


@app.callback(invoke_without_command=True)
def plugins(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
    plugin: PluginOption = None,
) -> None:
    """List activations, losses and strategies and their origins."""
    if context.invoked_subcommand is not None:
        return
    from workbench.plugins.registry import load_registry

    registry = load_registry(plugin or ())
    rows = [_row(entry, registry) for entry in registry.entries]
    if as_json:
        print(json.dumps(rows, ensure_ascii=False, indent=2))
    else:
        _print_by_origin(rows)
    _warn_of_problems(registry)


@app.command()
def check(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="One record; all without it.")
    ] = None,
    plugin: PluginOption = None,
) -> None:
    """Hold each record to its own formula and print a verdict for each."""
    from workbench.plugins import conformance
    from workbench.plugins.registry import load_registry

    registry = load_registry(plugin or ())
    _warn_of_problems(registry)
    verdicts = list(conformance.check(registry, name))
    _print_table([("pass" if v.passed else "FAIL", v.kind, v.name, v.message) for v in verdicts])
    if not all(verdict.passed for verdict in verdicts):
        raise typer.Exit(1)


def _row(entry: Entry, registry: Registry) -> dict[str, str]:
    from workbench.plugins.build import derivative_text
    from workbench.plugins.records import JacobianStrategy

    record = entry.record
    if isinstance(record, JacobianStrategy):
        formula, derivative = record.description, ""
    else:
        formula, derivative = record.formula, derivative_text(record, registry)
    values = (record.name, entry.kind, formula, derivative, entry.origin)
    return dict(zip(COLUMNS, values, strict=True))


def _print_by_origin(rows: Sequence[dict[str, str]]) -> None:
    """Print a table for each kind and origin."""
    tables: dict[str, list[tuple[str, ...]]] = {}
    for row in rows:
        cells = row["name"], row["formula"], row["derivative"]
        tables.setdefault(f"{row['kind']}, from {row['origin']}", []).append(cells)
    for title, table in tables.items():
        print(title)
        _print_table(table, indent="  ")


def _print_table(rows: Sequence[Sequence[str]], indent: str = "") -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    room = WIDEST - len(indent) - len("  ") * (len(widths) - 1)
    while sum(widths) > room:
        widths[widths.index(max(widths))] -= 1
    for row in rows:
        columns = (
            wrap(cell, width, break_on_hyphens=False) if cell else []
            for cell, width in zip(row, widths, strict=True)
        )
        for cells in zip_longest(*columns, fillvalue=""):
            padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
            print((indent + "  ".join(padded)).rstrip())


def _warn_of_problems(registry: Registry) -> None:
    for problem in registry.problems:
        print(f"workbench: warning: {problem}", file=sys.stderr)
