"""The command `workbench reference`: the rules, the identities and the grammar, from the code."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.options import OutputOption
from workbench.cli.output import write_output

if TYPE_CHECKING:
    from workbench.core.checks.refute import Judgement
    from workbench.notation.reference import Established
    from workbench.notation.tables import Block


class Part(StrEnum):
    """What is printed."""

    RULES = "rules"
    IDENTITIES = "identities"
    GRAMMAR = "grammar"


class Format(StrEnum):
    """How it is printed."""

    TEXT = "text"
    MARKDOWN = "markdown"


PartArgument = Annotated[
    Part | None,
    typer.Argument(metavar="[PART]", help="rules, identities or grammar; all three if not given."),
]


def reference(
    part: PartArgument = None,
    output_format: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TEXT,
    output: OutputOption = None,
) -> None:
    """Print the rule table, the identities and the grammar that the workbench goes by.

    All is worked out as it is printed: the rules applied to a node each, the identities proved.
    """
    from workbench.notation.tables import page_markdown, page_text

    parts = list(Part) if part is None else [part]
    blocks = [block for each in parts for block in _blocks(each)]
    page = page_text if output_format is Format.TEXT else page_markdown
    write_output(page(blocks), output)


def _blocks(part: Part) -> list[Block]:
    from workbench.notation.grammar_reference import grammar_blocks
    from workbench.notation.reference import identity_blocks, rule_blocks

    match part:
        case Part.RULES:
            return rule_blocks()
        case Part.IDENTITIES:
            return identity_blocks(_established())
        case Part.GRAMMAR:
            return grammar_blocks()


def _established() -> list[Established]:
    from workbench.calculus.identities import IDENTITIES
    from workbench.core.checks.refute import judge
    from workbench.notation.reference import Established, sides

    return [Established(identity, _how(judge(*sides(identity)))) for identity in IDENTITIES]


def _how(judgement: Judgement) -> str:
    from workbench.core.checks.refute import Outcome

    if judgement.outcome is Outcome.UNDECIDED and judgement.test.holds:
        return f"exact check at {len(judgement.test.sizes)} sizes"
    return "proof by entries" if judgement.outcome is Outcome.PROVED else judgement.outcome.value
