"""What commands derive or check: a network, a file of equations, standard input, a formula."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from workbench.derivation.network import Network
    from workbench.derivation.system import System

LAYER, DEEP = "layer", "N-layer"
"""The words for the generic layer and for a network whose depth stays a symbol."""


def is_equations(source: str) -> bool:
    """Whether a source names a file of equations, or standard input.

    >>> is_equations("-"), is_equations("model.eq"), is_equations("2-2-1")
    (True, True, False)
    """
    from workbench.notation.reading import EQUATIONS_SUFFIX

    if source == "-" or source.endswith(EQUATIONS_SUFFIX):
        return True
    from workbench.derivation.network import WRITTEN

    return not WRITTEN.fullmatch(source) and Path(source).is_file()


def refuse_given(context: typer.Context, options: Mapping[str, str], what: str) -> None:
    """Refuse those of some options, by the names of their parameters, that were given.

    Raises
    ------
    typer.BadParameter
        If there is one.
    """
    given = [option for name, option in options.items() if is_given(context, name)]
    if given:
        raise typer.BadParameter(f"does not go with {what}", param_hint=", ".join(given))


def is_given(context: typer.Context, name: str) -> bool:
    """Whether an option, by the name of its parameter, stands on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def one_source(source: str | None, expression: str | None) -> None:
    """Refuse what names nothing to derive, or two things.

    Raises
    ------
    typer.BadParameter
        Unless exactly one of the two is given.
    """
    if (source is None) == (expression is None):
        raise typer.BadParameter(
            "give a network (2-2-1), layer, N-layer, a file of equations (model.eq) or -; "
            "or a formula with --expression",
            param_hint="SOURCE",
        )


def system_of(
    source: str | None, expression: str | None, wrt: Sequence[str], plugins: Sequence[Path]
) -> System:
    """The equations of a file, of standard input or of a formula."""
    from workbench.api.reading import equations, read_equations

    if expression is not None:
        return equations(expression, wrt=wrt, name="--expression", plugins=plugins)
    assert source is not None
    return read_equations(source, wrt=wrt, plugins=plugins)


def forms_of(network: Network, form: str | None, only_matrix: bool) -> list[str]:
    """Scalar and matrix form, unless one is asked for or the network is too large for scalars."""
    from workbench.derivation.network import MOST_SCALAR_PARAMETERS

    if form is not None:
        return [form]
    if only_matrix:
        return ["matrix"]
    if network.parameter_count > MOST_SCALAR_PARAMETERS:
        print(
            f"workbench: note: {network.label} has {network.parameter_count:,} parameters; "
            f"the scalar form is written for up to {MOST_SCALAR_PARAMETERS}",
            file=sys.stderr,
        )
        return ["matrix"]
    return ["scalar", "matrix"]
