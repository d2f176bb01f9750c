"""The command `workbench plot`: one subcommand a figure."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.options import (
    ActivationOption,
    LossOption,
    NetworkArgument,
    PluginOption,
    SeedOption,
)
from workbench.errors import InputError

if TYPE_CHECKING:
    from workbench.derivation.network import Network
    from workbench.plotting.loss import History

app = typer.Typer(no_args_is_help=True)

METRICS = "metrics.jsonl"


def _with_known_ending(output: Path) -> Path:
    """Refuse an ending that is no format before anything is read or drawn."""
    from workbench.plotting.save import figure_format

    figure_format(output)
    return output


FigureOption = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="SVG, PNG or PDF by its ending; - writes SVG to standard output.",
        callback=_with_known_ending,
        show_default=False,
    ),
]


@app.callback()
def plot() -> None:
    """Draw losses, activations, Jacobians, networks, boundaries."""


@app.command()
def loss(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="Run directories; - reads JSON Lines.")
    ],
    output: FigureOption,
) -> None:
    """Draw loss and accuracy of one or several runs."""
    from workbench.plotting.loss import loss_figure
    from workbench.plotting.save import save

    save(loss_figure([_history(run) for run in dict.fromkeys(runs)]), output)


@app.command()
def activation(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Activations.")],
    output: FigureOption,
    start: Annotated[float, typer.Option("--from", help="Left end.")] = -5.0,
    stop: Annotated[float, typer.Option("--to", help="Right end.")] = 5.0,
    plugin: PluginOption = None,
) -> None:
    """Draw activations and their derivatives, kinks marked."""
    from workbench.plotting.activation import activation_figure
    from workbench.plotting.save import save
    from workbench.plugins.build import build_function
    from workbench.plugins.registry import load_registry

    registry = load_registry(plugin or ())
    functions = dict.fromkeys(build_function(name, registry) for name in names)
    save(activation_figure(list(functions), start, stop), output)


@app.command()
def jacobian(
    network: NetworkArgument,
    output: FigureOption,
    layer: Annotated[int, typer.Option(help="Which layer, counted from 1.")] = 1,
    activation: ActivationOption = "sigmoid",
    plugin: PluginOption = None,
) -> None:
    """Draw a layer's local Jacobians and their memory."""
    from workbench.plotting.jacobian import jacobian_figure
    from workbench.plotting.save import save

    save(jacobian_figure(_network(network, activation, None, plugin), layer), output)


@app.command()
def network(
    network: NetworkArgument,
    output: FigureOption,
    inputs: Annotated[
        str | None, typer.Option("--input", metavar="NUMBERS", help="Inputs, as in 0.5,-1.")
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="NUMBERS", help="Targets; 1,0,0,... without.")
    ] = None,
    activation: ActivationOption = "sigmoid",
    loss: LossOption = None,
    seed: SeedOption = 0,
    plugin: PluginOption = None,
) -> None:
    """Draw a network with its values and gradients."""
    from workbench.plotting.network import network_figure, run_once
    from workbench.plotting.save import save

    built = _network(network, activation, loss, plugin)
    once = run_once(built, _numbers("--input", inputs), _numbers("--target", target), seed)
    save(network_figure(built, once), output)


@app.command()
def boundary(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run directory, of two inputs.")],
    output: FigureOption,
    data: Annotated[
        str | None, typer.Option(metavar="FILE", help="Draw these points, and their range.")
    ] = None,
    plugin: PluginOption = None,
) -> None:
    """Draw what a run of two inputs answers."""
    from workbench.cli.models import load_model
    from workbench.core.data import load
    from workbench.plotting.boundary import boundary_figure
    from workbench.plotting.save import save

    model = load_model(run, plugin)
    preparation = model.preparation
    points = load(data, decimal=model.decimal, like=preparation) if data else None
    save(boundary_figure(model.forward_pass.predict, preparation, points), output)


def _network(
    text: str, activation: str | None, loss: str | None, plugin: list[Path] | None
) -> Network:
    from workbench.plugins.build import build_network
    from workbench.plugins.registry import load_registry

    registry = load_registry(plugin or ())
    return build_network(text, activation=activation, loss=loss, registry=registry)


def _history(run: str) -> History:
    from workbench.plotting.loss import read_history

    if run == "-":
        return read_history(sys.stdin.buffer, "standard input")
    try:
        with (Path(run) / METRICS).open("rb") as lines:
            return read_history(lines, run)
    except OSError as error:
        raise InputError(
            f"cannot read {Path(run) / METRICS}: {error.strerror}; expected a directory that "
            "workbench train --run made, or - for JSON Lines on standard input"
        ) from error


def _numbers(option: str, text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(
            f"{option} {text!r}: expected numbers with commas between them, as in 0.5,-1"
        ) from None
