"""Equations and identities from text, with the activations of plugins as functions.

>>> import workbench as wb
>>> wb.equations("z = W x + b", wrt="W").loss
symbol(z)
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.api.arguments import Files, Names, files_of, names_of
from workbench.calculus.expressions import walk
from workbench.calculus.functions import Function
from workbench.core.places import whereabouts
from workbench.derivation.system import System
from workbench.errors import InputError
from workbench.notation.reading.as_written import identity_as_written
from workbench.notation.reading.equations import parse_system
from workbench.plugins.build import build_function
from workbench.plugins.registry import Registry, load_registry

if TYPE_CHECKING:
    from workbench.core.checks.refute import Judgement

MOST_CHARACTERS = 1_000_000
"""A text with more is no system of equations that anybody reads."""


def equations(source: str, *, wrt: Names = (), name: str = "", plugins: Files = ()) -> System:
    """Read equations, or one expression, in plain text, Unicode or LaTeX.

    Parameters
    ----------
    source : the text itself.
    wrt : symbols that are parameters, besides those declared so.
    name : what messages call the text.

    Raises
    ------
    InputError
        With the place in the text, if it cannot be read or shapes do not fit.

    >>> equations("z = W x + b", wrt=["W"]).parameters[0].shape
    (m, n)
    """
    return read_system(source, name, load_registry(files_of(plugins)), names_of(wrt))


def read_system(source: str, name: str, registry: Registry, wrt: tuple[str, ...] = ()) -> System:
    """Read equations with the activations of a registry; see `equations`."""
    if len(source) > MOST_CHARACTERS:
        raise InputError(
            f"{name or 'the text'} has {len(source):,} characters; "
            f"at most {MOST_CHARACTERS:,} are read"
        )
    functions = ActivationLookup(registry)
    return parse_system(source, name=name or "<expression>", functions=functions, wrt=wrt)


def read_equations(file: str | Path, *, wrt: Names = (), plugins: Files = ()) -> System:
    """Read equations from a file, or from standard input if it is `-`.

    Raises
    ------
    InputError
        If the file cannot be read, is too long or no text.
    """
    return equations(read_text(file), wrt=wrt, name=_name(file), plugins=plugins)


def read_text(file: str | Path) -> str:
    """Read the text of equations from a file, or from standard input if it is `-`.

    Raises
    ------
    InputError
        If the file cannot be read or is no text. What is too long is cut off so that it still is.
    """
    name = _name(file)
    try:
        if str(file) == "-":
            source = sys.stdin.buffer.read(MOST_CHARACTERS + 1)
        else:
            with Path(file).open("rb") as stream:
                source = stream.read(MOST_CHARACTERS + 1)
        return source.decode("utf-8-sig")
    except OSError as error:
        place = whereabouts(file) if isinstance(error, FileNotFoundError) else ""
        raise InputError(f"{name}: cannot be read: {error.strerror}{place}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: not text in UTF-8, at byte {error.start}") from error


def _name(file: str | Path) -> str:
    return "<stdin>" if str(file) == "-" else str(file)


def prove(identity: str, *, seed: int = 0, plugins: Files = ()) -> Judgement:
    """Prove an identity for every shape, or refute it by the smallest numbers found.

    Parameters
    ----------
    identity : `left = right`, in the grammar of equations, after declarations if there are any.

    Raises
    ------
    InputError
        With the place in the text, if it cannot be read or the sides have different shapes.

    >>> prove("tr(A B) = tr(B A)").outcome.value
    'proved'
    """
    from workbench.core.checks.refute import judge

    functions = ActivationLookup(load_registry(files_of(plugins)))
    left, right = identity_as_written(identity, functions=functions)
    if any("jacobian" in node.operation for node in walk(left, right)):
        raise InputError("derivatives are not proved here: workbench derive works them out")
    return judge(left, right, seed)


@dataclass(frozen=True)
class ActivationLookup:
    """Finds the activations of plugins by name or by symbol, for formulas.

    >>> ActivationLookup(load_registry())("σ").name
    'sigmoid'
    """

    registry: Registry

    @property
    def names(self) -> tuple[str, ...]:
        """What can be found."""
        return tuple(self.registry.activations)

    def __call__(self, name: str) -> Function | None:
        """The function of this name or symbol, or None."""
        records = self.registry.activations
        found = [known for known, record in records.items() if name in (known, record.symbol)]
        return build_function(found[0], self.registry) if found else None
