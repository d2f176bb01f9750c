"""Reference pages: headings with words, tables and formulas, as plain text and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import TypeAlias
from unicodedata import combining, normalize

from workbench.calculus.expressions import Expression
from workbench.notation.document import shape_text
from workbench.notation.latex import LatexRenderer
from workbench.notation.text import text

MACRON = "\u0304"
WIDEST_TEXT = 100


@dataclass(frozen=True, slots=True)
class Code:
    """What a user may type."""

    text: str


Cell: TypeAlias = str | Code


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of words and code under the names of their columns.

    Attributes
    ----------
    in_line : how many cells of a row stand beside each other in text; the others come below.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    in_line: int | None = None


@dataclass(frozen=True, slots=True)
class Formulas:
    """Equations below each other, a left and a right side each.

    Attributes
    ----------
    given : the symbols whose shapes are told with the first of them.
    """

    rows: tuple[tuple[Expression, Expression], ...]
    given: tuple[Expression, ...] = ()


@dataclass(frozen=True, slots=True)
class Heading:
    """A title; level 1 is that of a part."""

    level: int
    title: str


Block: TypeAlias = Heading | str | Code | Table | Formulas
"""A piece of a page; a plain string is a paragraph, code a listing."""


def page_text(blocks: Sequence[Block]) -> str:
    """A page for a terminal.

    >>> print(page_text([Heading(1, "Names"), Table(("name",), (("x",), ("yy",)))]), end="")
    Names
    =====
    <BLANKLINE>
      name
      x
      yy
    """
    return "\n\n".join(map(_text, blocks)) + "\n"


def page_markdown(blocks: Sequence[Block]) -> str:
    """A page in Markdown whose mathematics GitHub and Jupyter show.

    >>> print(page_markdown([Heading(1, "Names"), Table(("name",), ((Code("|x|"),),))]), end="")
    # Names
    <BLANKLINE>
    | name |
    |---|
    | `\\|x\\|` |
    """
    return "\n\n".join(map(_markdown, blocks)) + "\n"


# text


def _text(block: Block) -> str:
    match block:
        case Heading(level, title):
            return f"{title}\n{'=-'[level > 1] * len(title)}" if level < 3 else title
        case Code(listing):
            return _indented(listing.splitlines())
        case Table(columns, rows, None):
            return _indented(_aligned([columns, *rows]))
        case Table(_, rows, in_line):
            heads = _aligned([row[:in_line] for row in rows])
            tails = ("; ".join(filter(None, map(_plain, row[in_line:]))) for row in rows)
            return _indented(
                [f"{head}\n      {tail}" for head, tail in zip(heads, tails, strict=True)]
            )
        case Formulas(rows, given):
            first, *others = _aligned([(text(left), f"= {text(right)}") for left, right in rows])
            return _indented([f"{first}    {shapes(given)}", *others])
        case words:
            return fill(words.replace("`", ""), WIDEST_TEXT)


def shapes(symbols: Sequence[Expression]) -> str:
    """The shapes of symbols, as they are declared.

    >>> from workbench.calculus.functions import COLUMN_VARIABLE
    >>> shapes([COLUMN_VARIABLE])
    'z : m×1'
    """
    return ", ".join(f"{text(symbol)} : {shape_text(symbol.shape)}" for symbol in symbols)


def _indented(lines: Sequence[str]) -> str:
    return "\n".join(f"  {line}".rstrip() for line in lines)


def _aligned(rows: Sequence[Sequence[Cell]]) -> list[str]:
    """The cells of each column padded to one width; there is no padding behind the last."""
    shown = [[_plain(cell) for cell in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip(*shown, strict=True)]
    gap = " " if any(cell.startswith("= ") for cell in shown[0]) else "  "
    return [
        gap.join(
            cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in shown
    ]


def _plain(cell: Cell) -> str:
    return cell.text if isinstance(cell, Code) else cell


def _width(cell: str) -> int:
    """The number of places that a text takes; marks above letters take none."""
    return sum(not combining(character) for character in cell)


# Markdown


class _Renderer(LatexRenderer):
    """LaTeX in which a gradient named with a macron has a bar."""

    def name(self, name: str) -> str:
        letter = normalize("NFD", name)
        if letter.endswith(MACRON):
            return rf"\bar{{{super().name(letter.removesuffix(MACRON))}}}"
        return super().name(name)

    def membership(self, symbol: Expression) -> str:
        """A symbol as an element of the matrices of its shape."""
        rows, columns = (self.dimension(dimension).text for dimension in symbol.shape)
        return rf"{self.render(symbol)} \in \mathbb{{R}}^{{{rows} \times {columns}}}"


_LATEX = _Renderer()


def _markdown(block: Block) -> str:
    match block:
        case Heading(level, title):
            return f"{'#' * level} {title}"
        case Code(listing):
            return f"```text\n{listing}\n```"
        case Table(columns, rows):
            rule = "|---" * len(columns) + "|"
            return "\n".join([_markdown_row(columns), rule, *map(_markdown_row, rows)])
        case Formulas(rows, given):
            render = _LATEX.render
            first, *others = (f"{render(left)} &= {render(right)}" for left, right in rows)
            known = r",\; ".join(map(_LATEX.membership, given))
            body = " \\\\\n".join([f"{first} && {known}" if given else first, *others])
            return f"$$\n\\begin{{aligned}}\n{body}\n\\end{{aligned}}\n$$"
        case words:
            return words


def _markdown_row(row: Sequence[Cell]) -> str:
    return f"| {' | '.join(map(_markdown_cell, row))} |"


def _markdown_cell(cell: Cell) -> str:
    escaped = _plain(cell).replace("|", "\\|")
    return f"`{escaped}`" if isinstance(cell, Code) and escaped else escaped
