"""The command `workbench gradcheck`."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.options import (
    ActivationOption,
    LossOption,
    NetworkArgument,
    PluginOption,
    SeedOption,
    StrategyOption,
)

if TYPE_CHECKING:
    from workbench.core.gradcheck import Verdict


class Format(StrEnum):
    """How verdicts are printed."""

    TEXT = "text"
    JSONL = "jsonl"


class MethodName(StrEnum):
    """How the numbers are made."""

    AUTO = "auto"
    COMPLEX = "complex"
    CENTRAL = "central"


COLUMNS = ("strategy", "parameter", "shape", "verdict", "error", "at", "analytic", "numeric")


def gradcheck(
    network: NetworkArgument,
    activation: ActivationOption = "sigmoid",
    loss: LossOption = None,
    strategy: StrategyOption = "all",
    batch_size: Annotated[int, typer.Option(min=1, metavar="N", help="Samples drawn.")] = 4,
    seed: SeedOption = 0,
    method: Annotated[
        MethodName, typer.Option(help="Complex step, central differences, or what suits.")
    ] = MethodName.AUTO,
    step: Annotated[
        float | None, typer.Option(metavar="H", help="Step of the central differences.")
    ] = None,
    entries: Annotated[
        int, typer.Option(min=1, metavar="N", help="At most N entries of a parameter are compared.")
    ] = 1_000,
    output_format: Annotated[
        Format, typer.Option("--format", help="How verdicts are printed.")
    ] = Format.TEXT,
    plugin: PluginOption = None,
) -> None:
    """Hold every gradient, under every strategy, against numbers; exit 1 unless all pass.

    Example: workbench gradcheck 2-2-1 --strategy all
    """
    from workbench.core.gradcheck import Method
    from workbench.core.gradcheck import gradcheck as check
    from workbench.plugins.build import build_network, build_strategy
    from workbench.plugins.registry import load_registry

    registry = load_registry(plugin or ())
    built = build_network(network, activation=activation, loss=loss, registry=registry)
    names = list(registry.strategies) if strategy == "all" else [strategy]
    verdicts = check(
        built,
        [build_strategy(name, registry) for name in names],
        batch_size=batch_size,
        seed=seed,
        method=Method(method.value),
        step=step,
        entries=entries,
    )
    if output_format is Format.TEXT:
        print(_row(COLUMNS))
    messages: dict[str, list[str]] = {}
    for verdict in verdicts:
        print(
            _json(verdict) if output_format is Format.JSONL else _row(_cells(verdict)), flush=True
        )
        if verdict.verdict != "pass":
            messages.setdefault(verdict.message, []).append(verdict.parameter)
    for told, parameters in messages.items():
        listing = ", ".join(dict.fromkeys(parameters))
        print(f"workbench: {listing}: {told}", file=sys.stderr)
    if messages:
        raise typer.Exit(1)


def _json(verdict: Verdict) -> str:
    from dataclasses import asdict

    return json.dumps(asdict(verdict))


def _cells(verdict: Verdict) -> tuple[str, ...]:
    return (
        verdict.strategy,
        verdict.parameter,
        "×".join(map(str, verdict.shape)),
        verdict.verdict if verdict.verdict == "pass" else verdict.verdict.upper(),
        _number(verdict.max_relative_error, ".1e"),
        "[" + ",".join(map(str, verdict.worst_index)) + "]",
        _number(verdict.analytic, ".9g"),
        _number(verdict.numeric, ".9g"),
    )


def _number(value: float | None, form: str) -> str:
    return "not finite" if value is None else format(value, form)


def _row(cells: tuple[str, ...]) -> str:
    widths = (12, 10, 9, 10, 11, 10, 17, 17)
    return "".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
