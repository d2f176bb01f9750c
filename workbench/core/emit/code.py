"""Pieces of Python source, how tightly they hold together, and lines of at most 100 columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

CHOICE, COMPARISON, SUM, PRODUCT, UNARY, POWER, ATOM = range(7)
"""How tightly a piece of Python holds together, loosest first."""

WIDTH = 100
LARGEST_INTEGER = 10**9
_NAME = re.compile(r"(?<![\w.\"])[^\W\d]\w*(?!\w|=(?!=))")
_SIMPLE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*|[\d.]+")


class Code(NamedTuple):
    """A Python expression.

    Attributes
    ----------
    level : how tightly it holds together.
    operands : of a sum or product, each but the first with its sign before it; of a call with a
        tuple, what is in the tuple. Where a line is too long it is broken between them.
    """

    text: str
    level: int = ATOM
    operands: tuple[str, ...] = ()

    def held(self, level: int) -> str:
        """The text, in parentheses unless it holds together at least as tightly as asked."""
        return self.text if self.level >= level else f"({self.text})"


def call_of_tuple(function: str, items: Sequence[Code]) -> Code:
    """A function of one tuple.

    >>> call_of_tuple("np.vstack", [Code("a"), Code("b")]).text
    'np.vstack((a, b))'
    """
    operands = tuple(item.text for item in items)
    return Code(f"{function}(({', '.join(operands)}))", ATOM, operands)


def names_in(text: str) -> set[str]:
    """The variables that a Python expression reads.

    >>> sorted(names_in("np.sum(W1.T @ x, axis=1)"))
    ['W1', 'np', 'x']
    """
    return set(_NAME.findall(text))


def call(function: str, *arguments: Code | str) -> Code:
    """A function of arguments.

    >>> call("np.exp", Code("z1")).text
    'np.exp(z1)'
    """
    inner = ", ".join(a.text if isinstance(a, Code) else a for a in arguments)
    return Code(f"{function}({inner})")


def number(value: Fraction) -> Code:
    """An exact number; what is no finite decimal is a quotient.

    >>> [number(Fraction(n, d)).text for n, d in [(3, 1), (1, 2), (-1, 100), (1, 3)]]
    ['3', '0.5', '-0.01', '1 / 3']
    """
    if value < 0:
        return negative(number(-value))
    if value.denominator == 1 and value < LARGEST_INTEGER:
        return Code(str(value))
    decimal = repr(float(value)).replace("+", "")
    if Fraction(decimal) == value or max(value.numerator, value.denominator) > LARGEST_INTEGER:
        return Code(decimal)
    return Code(f"{value.numerator} / {value.denominator}", PRODUCT)


def negative(code: Code) -> Code:
    """The negative of a piece.

    >>> negative(Code("x**2", POWER)).text
    '-(x**2)'
    """
    return Code("-" + code.held(ATOM), UNARY)


def sum_of(terms: Sequence[tuple[bool, Code]]) -> Code:
    """A sum; a term that is marked is subtracted.

    >>> sum_of([(False, Code("a")), (True, Code("b"))]).text
    'a - b'
    """
    (is_negative, first), *others = terms
    if not others:
        return negative(first) if is_negative else first
    operands = [negative(first).text if is_negative else first.held(PRODUCT)]
    operands += [f"{'-' if minus else '+'} {term.held(PRODUCT)}" for minus, term in others]
    return _chain(operands, SUM)


def product_of(above: Sequence[Code], below: Sequence[Code] = (), *, minus: bool = False) -> Code:
    """A product over a product; with `minus`, its negative.

    >>> product_of([Code("a")], [Code("b"), Code("c")]).text
    'a / (b * c)'
    """
    first, *others = above or [Code("1")]
    operands = [negative(first).text if minus else first.held(UNARY)]
    operands += [f"* {factor.held(UNARY)}" for factor in others]
    if below:
        operands.append(f"/ {product_of(below).held(POWER)}")
    if len(operands) == 1:
        return negative(first) if minus else first
    return _chain(operands, PRODUCT)


def matrix_product(left: Code, right: Code) -> Code:
    """left @ right."""
    return _chain([left.held(POWER), f"@ {right.held(POWER)}"], PRODUCT)


def power(base: Code, exponent: Code) -> Code:
    """A power, written close together where both sides are simple.

    >>> power(Code("x"), Code("2")).text, power(Code("a + b", SUM), Code("2")).text
    ('x**2', '(a + b) ** 2')
    """
    left, right = base.held(ATOM), exponent.held(ATOM)
    close = _SIMPLE.fullmatch(left) and _SIMPLE.fullmatch(right)
    return Code(f"{left}**{right}" if close else f"{left} ** {right}", POWER)


def _chain(operands: Sequence[str], level: int) -> Code:
    return Code(" ".join(operands), level, tuple(operands))


def fits(name: str, code: Code, indent: int) -> bool:
    """Whether `name = code` can be laid out within the width."""
    if indent + len(name) + 3 + len(code.text) <= WIDTH:
        return True
    widest = max(map(len, code.operands), default=WIDTH)
    return len(code.operands) > 2 and indent + 4 + widest <= WIDTH


def assignment(name: str, code: Code, indent: int) -> list[str]:
    """`name = code`, broken before its operators if it is too long for one line.

    >>> assignment("y", Code("W @ x", PRODUCT), 4)
    ['    y = W @ x']
    """
    margin = " " * indent
    line = f"{margin}{name} = {code.text}"
    if len(line) <= WIDTH or len(code.operands) < 3:
        return [line]
    if code.level == ATOM:
        function = code.text.partition("(")[0]
        return [
            f"{margin}{name} = {function}(",
            *bracketed("(", code.operands, ")", indent + 4),
            f"{margin})",
        ]
    inner = [code.text] if indent + 4 + len(code.text) <= WIDTH else list(code.operands)
    return [f"{margin}{name} = (", *(f"{margin}    {part}" for part in inner), f"{margin})"]


def bracketed(before: str, items: Iterable[str], after: str, indent: int) -> list[str]:
    """Items between two pieces that end and begin with a bracket: in one line, or each in its own.

    >>> bracketed("f(", ["a", "b"], ")", 4)
    ['    f(a, b)']
    """
    margin, listed = " " * indent, list(items)
    line = f"{margin}{before}{', '.join(listed)}{after}"
    return [line] if len(line) <= WIDTH else exploded(before, listed, after, indent)


def exploded(before: str, items: Iterable[str], after: str, indent: int) -> list[str]:
    """The same with every item in a line of its own, and a comma after the last."""
    margin = " " * indent
    return [f"{margin}{before}", *(f"{margin}    {item}," for item in items), f"{margin}{after}"]
