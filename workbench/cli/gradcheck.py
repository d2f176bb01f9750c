"""The command `workbench gradcheck`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.assignments import assigned
from workbench.cli.options import (
    ActivationOption,
    LossOption,
    PluginOption,
    SeedOption,
    StrategyOption,
)
from workbench.cli.sources import is_equations, is_given, refuse_given
from workbench.core.gradient_methods import MOST_ENTRIES, Method

if TYPE_CHECKING:
    from workbench.core.gradcheck import Verdict
    from workbench.derivation.network import Network
    from workbench.derivation.system import System


class Format(StrEnum):
    """How verdicts are printed."""

    TEXT = "text"
    JSONL = "jsonl"


NETWORK_ONLY = {"activation": "--activation", "loss": "--loss"}
EQUATIONS_ONLY = {"sizes": "--size", "values": "--set"}

COLUMNS = ("strategy", "parameter", "shape", "verdict", "error", "at", "analytic", "numeric")


def gradcheck(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="NETWORK|FILE.eq",
            help="Widths from input to output, 2-2-1, with an activation where a layer has its "
            "own: 64-32:tanh-10:softmax; or a file of equations, or - for standard input.",
            show_default=False,
        ),
    ],
    activation: ActivationOption = "sigmoid",
    loss: LossOption = None,
    sizes: Annotated[
        list[str] | None,
        typer.Option(
            "--size",
            metavar="NAME=NUMBER",
            help="Size in a file of equations; small and drawn if not given; repeatable.",
            show_default=False,
        ),
    ] = None,
    values: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=NUMBER",
            help="Value of an input of equations that is the same for every sample; repeatable.",
            show_default=False,
        ),
    ] = None,
    strategy: StrategyOption = "all",
    batch_size: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", help="Samples drawn; one of equations without a batch form."
        ),
    ] = 4,
    seed: SeedOption = 0,
    method: Annotated[
        Method, typer.Option(help="Complex step, central differences, or what suits.")
    ] = Method.AUTO,
    step: Annotated[
        float | None, typer.Option(metavar="H", help="Step of the central differences.")
    ] = None,
    entries: Annotated[
        int, typer.Option(min=1, metavar="N", help="At most N entries of a parameter are compared.")
    ] = MOST_ENTRIES,
    output_format: Annotated[
        Format, typer.Option("--format", help="How verdicts are printed.")
    ] = Format.TEXT,
    plugin: PluginOption = None,
) -> None:
    """Hold every gradient, under every strategy, against numbers; exit 1 unless all pass.

    Example: workbench gradcheck 2-2-1 --strategy all
    """
    from workbench.core.gradcheck import gradcheck as check
    from workbench.plugins.build import build_network, build_strategy
    from workbench.plugins.registry import load_registry

    registry = load_registry(plugin or ())
    model: Network | System
    if is_equations(source):
        from workbench.api.reading import read_system, read_text

        refuse_given(context, NETWORK_ONLY, "equations")
        model = read_system(read_text(source), source, registry)
    else:
        refuse_given(context, EQUATIONS_ONLY, "a network")
        model = build_network(source, activation=activation, loss=loss, registry=registry)
    names = list(registry.strategies) if strategy == "all" else [strategy]
    verdicts = check(
        model,
        [build_strategy(name, registry) for name in names],
        batch_size=batch_size,
        seed=seed,
        method=method,
        step=step,
        entries=entries,
        sizes=assigned("--size", sizes or (), int),
        values=assigned("--set", values or (), float),
    )
    if not _all_pass(_telling_fewer(verdicts, batch_size, context), output_format):
        raise typer.Exit(1)


def _telling_fewer(
    verdicts: Iterable[Verdict], batch_size: int, context: typer.Context
) -> Iterator[Verdict]:
    """The verdicts; before the first, it is told if a number of samples is asked for in vain."""
    for place, verdict in enumerate(verdicts):
        if place == 0 and verdict.samples < batch_size and is_given(context, "batch_size"):
            print(
                f"workbench: note: --batch-size {batch_size} does not matter: these equations have "
                "no batch form, so the check is at one sample",
                file=sys.stderr,
            )
        yield verdict


def _all_pass(verdicts: Iterable[Verdict], output_format: Format) -> bool:
    """Print verdicts as they come, then on standard error why some did not pass."""
    is_text = output_format is Format.TEXT
    messages: dict[str, list[str]] = {}
    for place, verdict in enumerate(verdicts):
        if is_text and place == 0:
            print(_row(COLUMNS))
        print(_row(_cells(verdict)) if is_text else _json(verdict), flush=True)
        if verdict.verdict != "pass":
            messages.setdefault(verdict.message, []).append(verdict.parameter)
    for told, parameters in messages.items():
        listing = ", ".join(dict.fromkeys(parameters))
        print(f"workbench: {listing}: {told}", file=sys.stderr)
    return not messages


def _json(verdict: Verdict) -> str:
    from dataclasses import asdict

    return json.dumps(asdict(verdict))


def _cells(verdict: Verdict) -> tuple[str, ...]:
    return (
        verdict.strategy,
        verdict.parameter,
        "×".join(map(str, verdict.shape or (1,))),
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
