"""The command `workbench derive`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.options import LossOption, OutputOption, PluginOption
from workbench.cli.output import write_output
from workbench.cli.sources import (
    DEEP,
    LAYER,
    forms_of,
    is_equations,
    one_source,
    refuse_given,
    system_of,
)

if TYPE_CHECKING:
    from workbench.api.derivations import Derivation
    from workbench.derivation.network import Network


class Form(StrEnum):
    """How a network is written down."""

    SCALAR = "scalar"
    MATRIX = "matrix"


class VoiceOption(StrEnum):
    """How the steps are told; vec and ⊗ are the chain rule in the kronecker strategy."""

    CHAIN = "chain"
    DIFFERENTIALS = "differentials"
    ENTRIES = "entries"
    KRONECKER = "kronecker"


class DetailName(StrEnum):
    """How much is shown."""

    BRIEF = "brief"
    PAPER = "paper"
    FULL = "full"


class LayoutName(StrEnum):
    """Which way derivatives are laid out."""

    DENOMINATOR = "denominator"
    NUMERATOR = "numerator"


class Format(StrEnum):
    """What is printed."""

    TEXT = "text"
    LATEX = "latex"
    MARKDOWN = "markdown"
    HTML = "html"
    JSON = "json"


class Target(StrEnum):
    """What code is printed."""

    PYTHON = "python"
    NUMPY = "numpy"
    TORCH = "torch"
    JAX = "jax"
    PROGRAM = "program"


NOT_EMITTED = {
    "detail": "--detail",
    "layout": "--layout",
    "output_format": "--format",
    "fragment": "--fragment",
    "numbers": "--numbers",
}
"""What does not go with --emit."""

NOT_IN_PROGRAM = {"form": "--form", "wrt": "--wrt", "voice": "--voice", "order": "--order"}
"""What does not go with --emit program either; a program is of a batch, so --batch does."""


NETWORK_ONLY = {
    "activation": "--activation",
    "loss": "--loss",
    "form": "--form",
    "batch": "--batch",
}
"""What says how a network is spelt out, and does not go with equations."""

GENERIC = {
    "form": "--form",
    "batch": "--batch",
    "voice": "--voice",
    "wrt": "--wrt",
    "order": "--order",
    "expand": "--expand",
    "emit": "--emit",
    "numbers": "--numbers",
}
"""What does not go with layer and N-layer, which are written in one way."""


def derive(
    context: typer.Context,
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="SOURCE",
            help="A network (2-2-1, 64-32:tanh-10:softmax), layer, N-layer, a file of equations "
            "(model.eq), or - for equations on standard input.",
            show_default=False,
        ),
    ] = None,
    expression: Annotated[
        str | None,
        typer.Option("--expression", "-e", metavar="FORMULA", help="One formula; needs --wrt."),
    ] = None,
    activation: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Activation of layers that name none; sigmoid if not given (layer: undetermined).",
            show_default=False,
        ),
    ] = None,
    loss: LossOption = None,
    form: Annotated[
        Form | None,
        typer.Option(help="Neuron by neuron or in matrices; both if not given (JSON: matrix)."),
    ] = None,
    voice: Annotated[VoiceOption, typer.Option(help="How the steps are told.")] = VoiceOption.CHAIN,
    strategy: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="How the chain rule writes Jacobians; see workbench plugins."
        ),
    ] = "elementwise",
    batch: Annotated[bool, typer.Option("--batch", help="A batch, a sample a column.")] = False,
    wrt: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Differentiate by this symbol alone; repeatable."),
    ] = None,
    order: Annotated[
        int, typer.Option(min=1, max=2, metavar="1|2", help="2 for Hessians as well.")
    ] = 1,
    expand: Annotated[
        bool | None,
        typer.Option(
            "--expand/--no-expand", help="Put in what σ′ is; if not given, in networks only."
        ),
    ] = None,
    detail: Annotated[
        DetailName, typer.Option(help="Results, working, or every line of every layer.")
    ] = DetailName.PAPER,
    layout: Annotated[
        LayoutName, typer.Option(help="Which way derivatives are laid out.")
    ] = LayoutName.DENOMINATOR,
    output_format: Annotated[Format, typer.Option("--format", help="What to print.")] = Format.TEXT,
    fragment: Annotated[
        bool,
        typer.Option(
            "--fragment",
            help="With --format latex: only the align* environments; html: one element.",
        ),
    ] = False,
    numbers: Annotated[
        bool, typer.Option("--numbers", help="Work an example: its numbers beneath every line.")
    ] = False,
    emit: Annotated[
        Target | None,
        typer.Option(help="Print code instead; program is what train runs, in buffers."),
    ] = None,
    batch_size: Annotated[
        int, typer.Option(min=1, metavar="N", help="With --emit program: samples in a batch.")
    ] = 32,
    output: OutputOption = None,
    plugin: PluginOption = None,
) -> None:
    """Write out the derivation of gradients, every step checked.

    Example: workbench derive 2-2-1 --form matrix --voice kronecker
    """
    one_source(source, expression)
    _refuse_what_does_not_go(context, emit, output_format, fragment, numbers)
    if source is None or is_equations(source):
        refuse_given(context, NETWORK_ONLY, "equations")
    if source in (LAYER, DEEP):
        refuse_given(context, GENERIC, source)
    if emit is Target.PROGRAM:
        write_output(_program(source, activation, loss, strategy, batch_size, plugin), output)
        return
    from workbench.api.derivations import voice_and_strategy

    told, strategy = voice_and_strategy(voice.value, strategy)
    shared: dict[str, Any] = {
        "voice": told,
        "strategy": strategy,
        "wrt": wrt or (),
        "order": order,
        "expand": expand,
        "detail": detail.value,
        "layout": layout.value,
        "plugins": plugin or (),
    }
    if source is not None and not is_equations(source):
        only_matrix = batch or bool(wrt) or output_format is Format.JSON or emit is not None
        derivations = _of_name(source, activation, loss, form, batch, only_matrix, shared)
    else:
        from workbench.api.derivations import derive as work_out

        system = system_of(source, expression, wrt or (), plugin or ())
        derivations = [work_out(system, **shared)]
    if emit is not None:
        _require_passed(derivations)
        write_output(derivations[0].code(emit.value), output)
        return
    write_output(_written(derivations, output_format, fragment, numbers), output)
    _require_passed(derivations)


def _refuse_what_does_not_go(
    context: typer.Context,
    emit: Target | None,
    output_format: Format,
    fragment: bool,
    numbers: bool,
) -> None:
    if emit is not None:
        also = NOT_IN_PROGRAM if emit is Target.PROGRAM else {}
        refuse_given(context, {**NOT_EMITTED, **also}, "--emit, which prints code")
    if fragment and output_format not in (Format.LATEX, Format.HTML):
        raise typer.BadParameter("it needs --format latex or html", param_hint="--fragment")
    if numbers and output_format is Format.JSON:
        raise typer.BadParameter("it does not go with --format json", param_hint="--numbers")


def _of_name(
    source: str,
    activation: str | None,
    loss: str | None,
    form: Form | None,
    batch: bool,
    only_matrix: bool,
    shared: dict[str, Any],
) -> list[Derivation]:
    """A network in its forms, the generic layer, or a network whose depth is a symbol."""
    from workbench.api.derivations import derive as work_out
    from workbench.api.derivations import derive_depth, derive_layer

    how = {name: shared[name] for name in ("detail", "layout", "plugins")}
    if source == LAYER:
        return derive_layer(activation=activation, **how)
    if source == DEEP:
        strategy = shared["strategy"]
        return [derive_depth(activation=activation, loss=loss, strategy=strategy, **how)]
    built = _network(source, activation, loss, shared["plugins"])
    forms = forms_of(built, form.value if form else None, only_matrix)
    return [work_out(built, form=shown, batch=batch, **shared) for shown in forms]


def _network(source: str, activation: str | None, loss: str | None, plugins: Any) -> Network:
    from workbench.plugins.build import build_network
    from workbench.plugins.registry import load_registry

    registry = load_registry(plugins)
    return build_network(source, activation=activation, loss=loss, registry=registry)


def _program(
    source: str | None,
    activation: str | None,
    loss: str | None,
    strategy: str,
    batch_size: int,
    plugin: list[Path] | None,
) -> str:
    from workbench.core.program import write_source
    from workbench.derivation.differentiate import derive as differentiate
    from workbench.plugins.build import build_strategy
    from workbench.plugins.registry import load_registry

    if source is None or is_equations(source):
        raise typer.BadParameter("program is that of a network", param_hint="--emit")
    built = _network(source, activation, loss, plugin or ())
    chosen = build_strategy(strategy, load_registry(plugin or ()))
    derivation = differentiate(built.system(batch=True), strategy=chosen)
    return write_source(derivation, batch_size, title=str(built)).text


def _written(
    derivations: list[Derivation], output_format: Format, fragment: bool, numbers: bool
) -> str:
    from workbench.notation.formats import as_latex
    from workbench.notation.html import as_html

    match output_format:
        case Format.TEXT:
            return "\n\n".join(derivation.text(numbers=numbers) for derivation in derivations)
        case Format.LATEX:
            return as_latex([d.arranged(numbers=numbers) for d in derivations], fragment=fragment)
        case Format.MARKDOWN:
            return "\n".join(derivation.markdown(numbers=numbers) for derivation in derivations)
        case Format.HTML:
            return as_html([d.arranged(numbers=numbers) for d in derivations], fragment=fragment)
        case Format.JSON:
            return derivations[0].json()


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
