"""The command `workbench prove`."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.options import OutputOption, PluginOption, SeedOption
from workbench.cli.output import write_output

if TYPE_CHECKING:
    from workbench.core.checks.refute import Judgement


class Format(StrEnum):
    """What is printed."""

    TEXT = "text"
    LATEX = "latex"
    MARKDOWN = "markdown"
    JSON = "json"


REFUTED, UNDECIDED = 1, 2
LONGEST_IDENTITY = 100_000

IdentityArgument = Annotated[
    str,
    typer.Argument(
        metavar="IDENTITY",
        help="left = right, after declarations (input A : m×n) where shapes do not follow; "
        "- reads standard input.",
        show_default=False,
    ),
]


def prove(
    identity: IdentityArgument,
    output_format: Annotated[Format, typer.Option("--format", help="What to print.")] = Format.TEXT,
    seed: SeedOption = 0,
    output: OutputOption = None,
    plugin: PluginOption = None,
) -> None:
    """Prove an identity for every shape, or refute it by the smallest numbers found.

    Exit 0: proved by entries. 1: refuted. 2: undecided (it holds at random points of the sizes
    named, which proves nothing for other sizes), or unreadable. A square K of length m n may
    stand for the commutation matrix K(m, n).

    Example: workbench prove "vec(A B C) = kron(C', A) vec(B)"
    """
    from workbench.api.reading import prove as judge
    from workbench.core.checks.refute import Outcome

    text = sys.stdin.read(LONGEST_IDENTITY) if identity == "-" else identity
    judgement = judge(text, seed=seed, plugins=plugin or ())
    write_output(_written(judgement, output_format), output)
    if judgement.outcome is not Outcome.PROVED:
        raise typer.Exit(REFUTED if judgement.outcome is Outcome.REFUTED else UNDECIDED)


def _written(judgement: Judgement, output_format: Format) -> str:
    from workbench.core.checks.judgements import judgement_document, judgement_json
    from workbench.notation.formats import as_latex, as_markdown, as_text

    document = judgement_document(judgement)
    match output_format:
        case Format.TEXT:
            return as_text(document)
        case Format.LATEX:
            return as_latex([document])
        case Format.MARKDOWN:
            return as_markdown(document)
        case Format.JSON:
            return judgement_json(judgement)
