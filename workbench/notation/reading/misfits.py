"""What to say where shapes do not fit: the operands, their shapes, and where those come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from workbench.errors import InputError
from workbench.notation.reading.rules import Joined, Product
from workbench.notation.reading.shapes import Form, MisfitError
from workbench.notation.reading.syntax import Node
from workbench.notation.reading.tokens import Source

MOST_CITED = 4


@dataclass
class Quantity:
    """A symbol of the text.

    Attributes
    ----------
    form : rows and columns.
    start, end : where it is declared, defined or first used.
    is_declared : whether its shape was declared there.
    """

    form: Form
    start: int
    end: int
    is_declared: bool = False


def rule_misfit(
    source: Source, quantities: Mapping[str, Quantity], misfit: MisfitError
) -> InputError:
    """The error of a rule that cannot hold, such as a product of shapes that do not chain."""
    rule, node, differ = misfit.rule, misfit.rule.node, str(misfit)
    if isinstance(rule, Product):
        shown = source.quote(node.start, rule.operands[1].end)
        shapes = f"({form_text(rule.left)})({form_text(rule.right)})"
        is_columns = rule.left[1].is_one and rule.right[1].is_one
        advice = "; entry by entry is .*, and uᵀ v is u' v" if is_columns else ""
        message = f"{shown} is {shapes}: {differ}{advice}"
        return source.error(node.start, message + _cited(source, quantities, node))
    if isinstance(rule, Joined):
        operand = source.quote(rule.operand.start, rule.operand.end)
        rest = form_text(rule.group.out)
        differ = f"{operand} is {form_text(rule.form)}, the rest {rest}: {differ}"
        return node_misfit(source, quantities, node, differ, rule.operand.start)
    return node_misfit(source, quantities, node, differ)


def node_misfit(
    source: Source,
    quantities: Mapping[str, Quantity],
    node: Node,
    differ: str,
    place: int | None = None,
) -> InputError:
    """The error of a piece of text whose sizes differ, with the declarations it is about."""
    message = f"{differ} in {source.quote(node.start, node.end)}"
    start = node.start if place is None else place
    return source.error(start, message + _cited(source, quantities, node))


def _cited(source: Source, quantities: Mapping[str, Quantity], node: Node) -> str:
    """Where the names in a piece of text are declared, or what is known of them."""
    cited: list[str] = []
    for name in dict.fromkeys(names_in(node)):
        quantity = quantities.get(name)
        if quantity is not None and len(cited) < MOST_CITED:
            words = f"{name} : {form_text(quantity.form)}"
            if quantity.is_declared:
                words = source.quote(quantity.start, quantity.end)
            cited.append(f"{words} (line {source.line(quantity.start)})")
    return "; " * bool(cited) + ", ".join(cited)


def question(source: Source, quantities: Mapping[str, Quantity], node: Node) -> InputError:
    """Ask whether a name is a scalar or a vector."""
    names = list(names_in(node))
    still = [n for n in names if n in quantities and any(s.is_open for s in quantities[n].form)]
    name = (still or names or [source.quote(node.start, node.end)])[0]
    return source.error(
        node.start,
        f"is {name} a scalar or a vector? Declare `input {name} : 1` or `input {name} : n`",
    )


def names_in(node: Node) -> Iterator[str]:
    """The names in a piece of text, as often as they occur."""
    if node.kind == "name":
        yield str(node.data)
    for part in node.parts:
        yield from names_in(part)


def form_text(form: Form) -> str:
    """A form for a message; what is not known is a question mark."""
    words = ["?" if s.dimension is None else repr(s.dimension) for s in form]
    return "×".join(f"({word})" if " " in word else word for word in words)
