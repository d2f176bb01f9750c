"""Pieces of text that stand for sizes, as in `n`, `m n` and `2 n + 1`."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from workbench.calculus.dimensions import Dimension
from workbench.notation.reading.syntax import Node
from workbench.notation.reading.tokens import Source

LARGEST_SIZE = 10**9


def dimension_of(node: Node, source: Source, sizes: Mapping[str, Dimension]) -> Dimension:
    """The dimension that a sum of products of names and whole numbers stands for.

    Parameters
    ----------
    sizes : the dimensions that have another name than the text gives them.

    Raises
    ------
    InputError
        If it is something else.

    >>> n = Node("name", (), "n", 0, 1)
    >>> dimension_of(Node("product", (Node("number", (), Fraction(2), 0, 1), n), ("", ""), 0, 3),
    ...              Source("", "2 n"), {})
    2·n
    """
    match node.kind, node.data:
        case "number", Fraction() as value if value.denominator == 1 and value <= LARGEST_SIZE:
            return Dimension.number(int(value))
        case "name", str() as name:
            return sizes.get(name) or Dimension.named(name)
        case "sum", tuple() as signs:
            added, taken = Dimension.number(0), Dimension.number(0)
            for sign, part in zip(signs, node.parts, strict=True):
                term = dimension_of(part, source, sizes)
                added, taken = (added + term, taken) if sign > 0 else (added, taken + term)
            return added - taken
        case "product", tuple() as signs if "/" not in signs:
            result = Dimension.number(1)
            for part in node.parts:
                result = result * dimension_of(part, source, sizes)
                if len(result.terms) > 8:
                    raise source.error(node.start, "this size has too many terms")
            return result
    shown = source.quote(node.start, node.end)
    raise source.error(
        node.start,
        f"{shown} is no size: sizes are names, whole numbers and their sums and products",
    )
