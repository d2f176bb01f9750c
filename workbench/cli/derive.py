"""The command `workbench derive`."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.calculus.layout import Layout
from workbench.cli.options import (
    ActivationOption,
    LossOption,
    NetworkArgument,
    OutputOption,
    PluginOption,
    StrategyOption,
)
from workbench.cli.output import write_output

if TYPE_CHECKING:
    from workbench.api import Derivation
    from workbench.calculus.network import Network


class Form(StrEnum):
    """How the network is written down."""

    SCALAR = "scalar"
    MATRIX = "matrix"


class DetailName(StrEnum):
    """How much is shown."""

    BRIEF = "brief"
    PAPER = "paper"
    FULL = "full"


class Format(StrEnum):
    """What is printed."""

    TEXT = "text"
    LATEX = "latex"
    MARKDOWN = "markdown"
    JSON = "json"


class Target(StrEnum):
    """What code is printed."""

    NUMPY = "numpy"


NOT_EMITTED = {
    "form": "--form",
    "wrt": "--wrt",
    "detail": "--detail",
    "layout": "--layout",
    "output_format": "--format",
    "fragment": "--fragment",
}
"""What does not go with --emit; a program is of a batch, so --batch does."""


def derive(
    context: typer.Context,
    network: NetworkArgument,
    activation: ActivationOption = "sigmoid",
    loss: LossOption = None,
    form: Annotated[
        Form | None,
        typer.Option(help="Neuron by neuron or in matrices; both if not given (JSON: matrix)."),
    ] = None,
    strategy: StrategyOption = "elementwise",
    batch: Annotated[bool, typer.Option("--batch", help="A batch, a sample a column.")] = False,
    wrt: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this parameter's gradient; repeatable."),
    ] = None,
    detail: Annotated[
        DetailName, typer.Option(help="Results, working, or every line of every layer.")
    ] = DetailName.PAPER,
    layout: Annotated[
        Layout, typer.Option(help="Which way derivatives are laid out.")
    ] = Layout.DENOMINATOR,
    output_format: Annotated[Format, typer.Option("--format", help="What to print.")] = Format.TEXT,
    fragment: Annotated[
        bool, typer.Option("--fragment", help="With --format latex: only the align* environments.")
    ] = False,
    emit: Annotated[
        Target | None, typer.Option(help="Print the program that train runs, as source.")
    ] = None,
    batch_size: Annotated[
        int, typer.Option(min=1, metavar="N", help="With --emit: samples in a batch.")
    ] = 32,
    output: OutputOption = None,
    plugin: PluginOption = None,
) -> None:
    """Write out the derivation of a network's gradients, every step checked by numbers.

    Example: workbench derive 2-2-1 --form matrix --strategy kronecker
    """
    from workbench.api import network as build

    if emit is not None:
        _refuse_what_is_not_emitted(context)
    if fragment and output_format is not Format.LATEX:
        raise typer.BadParameter("it needs --format latex", param_hint="--fragment")
    built = build(network, activation=activation, loss=loss, plugins=plugin or ())
    if emit is not None:
        write_output(_source(built, strategy, batch_size, plugin), output)
        return
    derivations = [
        _derivation(built, shown, strategy, batch, wrt, detail, layout, plugin)
        for shown in _forms(built, form, batch, output_format, wrt)
    ]
    write_output(_written(derivations, output_format, fragment), output)
    _require_passed(derivations)


def _refuse_what_is_not_emitted(context: typer.Context) -> None:
    sources = {name: context.get_parameter_source(name) for name in NOT_EMITTED}
    given = [
        NOT_EMITTED[name]
        for name, source in sources.items()
        if source is not None and source.name == "COMMANDLINE"
    ]
    if given:
        raise typer.BadParameter(
            f"it prints the program that train runs, and does not go with {', '.join(given)}",
            param_hint="--emit",
        )


def _forms(
    network: Network, form: Form | None, batch: bool, output_format: Format, wrt: list[str] | None
) -> list[Form]:
    from workbench.calculus.network import MOST_SCALAR_PARAMETERS

    if form is not None:
        return [form]
    if batch or wrt or output_format is Format.JSON:
        return [Form.MATRIX]
    if network.parameter_count > MOST_SCALAR_PARAMETERS:
        print(
            f"workbench: note: {network.label} has {network.parameter_count:,} parameters; "
            f"the scalar form is written for up to {MOST_SCALAR_PARAMETERS}",
            file=sys.stderr,
        )
        return [Form.MATRIX]
    return [Form.SCALAR, Form.MATRIX]


def _derivation(
    network: Network,
    form: Form,
    strategy: str,
    batch: bool,
    wrt: list[str] | None,
    detail: DetailName,
    layout: Layout,
    plugin: list[Path] | None,
) -> Derivation:
    from workbench.api import derive as work_out
    from workbench.calculus.derivation import Detail

    return work_out(
        network,
        form=form.value,
        batch=batch,
        strategy=strategy,
        wrt=wrt or (),
        detail=Detail[detail.name],
        layout=layout,
        plugins=plugin or (),
    )


def _written(derivations: list[Derivation], output_format: Format, fragment: bool) -> str:
    from workbench.notation.formats import as_latex

    match output_format:
        case Format.TEXT:
            return "\n\n".join(derivation.text() for derivation in derivations)
        case Format.LATEX:
            return as_latex([d.document for d in derivations], fragment=fragment)
        case Format.MARKDOWN:
            return "\n".join(derivation.markdown() for derivation in derivations)
        case Format.JSON:
            return derivations[0].json()


def _source(network: Network, strategy: str, batch_size: int, plugin: list[Path] | None) -> str:
    from workbench.calculus.differentiate import derive as differentiate
    from workbench.core.program import write_source
    from workbench.plugins.build import build_strategy
    from workbench.plugins.registry import load_registry

    chosen = build_strategy(strategy, load_registry(plugin or ()))
    derivation = differentiate(network.system(batch=True), strategy=chosen)
    return write_source(derivation, batch_size, title=str(network)).text


def _require_passed(derivations: list[Derivation]) -> None:
    from workbench.errors import CheckFailedError
    from workbench.notation.text import text

    for derivation in derivations:
        for step in derivation.failed:
            assert step.check is not None
            raise CheckFailedError(
                f"step ({step.id}) of the derivation, {text(step.goal)} = {text(step.result)}, "
                f"disagrees with its numbers: relative error {step.check.max_relative_error:.1e}"
            )
