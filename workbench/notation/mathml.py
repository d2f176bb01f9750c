"""Mathematics in presentation MathML, for browsers.

Only MathML Core is used (W3C, "MathML Core", 2023), which browsers draw without a script. A symbol
may carry a class, by which a page finds every place where it stands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from html import escape

from workbench.calculus.expressions import Expression
from workbench.calculus.functions import Function
from workbench.notation.dialect import ATOM, POWER, PRODUCT, SUM, Piece, split_name
from workbench.notation.greek import GREEK
from workbench.notation.render import Renderer

Marks = Mapping[Expression | Function | str, str]
"""The class of each symbol, function (itself, not its derivative) and named size."""

_SPECIAL = {"at_least": "<mo>≥</mo>", "dots": "<mo>⋯</mo>", "trace": "<mi>tr</mi>"}

_PART = re.compile(r"<(mi|mn|mo|mtext)\b[^>]*>[^<]*</\1>|<[^>]+>|[^<]+")
_BRACKETS = "()[]"
_BARE = re.compile(r"\d+|[^\W\d_]+|\S")


class MathMLRenderer(Renderer):
    """MathML; a dialect's plain words, digits and signs become elements at the end.

    Attributes
    ----------
    marks : classes that symbols carry.
    """

    minus = "<mo>−</mo>"
    product_sign = '<mo lspace="0" rspace="0.17em">\u2062</mo>'
    chain_sign = "<mo>·</mo>"
    hadamard_sign = "<mo>⊙</mo>"
    kron_sign = "<mo>⊗</mo>"
    slash_fractions = False

    def __init__(self, marks: Marks | None = None) -> None:
        self.marks = marks or {}

    def render(self, expression: Expression) -> str:
        """The expression as one element."""
        return _row(super().render(expression))

    def parenthesise(self, text: str) -> str:
        return _fenced("(", text, ")")

    def _symbol(self, node: Expression) -> Piece:
        return Piece(_name(node.symbol.name, self.marks.get(node)), ATOM)

    def name(self, name: str) -> str:
        return _name(name, self.marks.get(name))

    def fraction_number(self, value: Fraction) -> Piece:
        if value.denominator == 1:
            return Piece(f"<mn>{value}</mn>", ATOM)
        fraction = f"<mfrac><mn>{value.numerator}</mn><mn>{value.denominator}</mn></mfrac>"
        return Piece(f'<mstyle displaystyle="false">{fraction}</mstyle>', ATOM)

    def quotient(self, above: Piece, below: Piece, elementwise: bool) -> Piece:
        if elementwise:
            top = above.text if above.level >= PRODUCT else self.parenthesise(above.text)
            bottom = below.text if below.level >= POWER else self.parenthesise(below.text)
            return Piece(f"{top}<mo>⊘</mo>{bottom}", PRODUCT)
        return Piece(f"<mfrac>{_row(above.text)}{_row(below.text)}</mfrac>", POWER)

    def superscript(self, base: str, exponent: Fraction) -> Piece:
        return Piece(_raised(base, f"<mn>{exponent}</mn>"), POWER)

    def hadamard_power(self, base: str, exponent: Fraction) -> Piece:
        return Piece(_raised(base, f"<mo>⊙</mo><mn>{exponent}</mn>"), POWER)

    def root(self, radicand: str) -> Piece:
        return Piece(f"<msqrt>{radicand}</msqrt>", ATOM)

    def transposed(self, base: str) -> str:
        return _raised(base, "<mi>⊤</mi>")

    def inverted(self, base: str, transposed: bool) -> str:
        return _raised(base, "<mo>−</mo>" + ("<mi>⊤</mi>" if transposed else "<mn>1</mn>"))

    def inner_product(self, left: str, right: str) -> str:
        return _fenced("⟨", f"{left}<mo>,</mo>{right}", "⟩")

    def norm(self, inner: str) -> str:
        return _fenced("‖", inner, "‖")

    def stack(self, parts: Sequence[str], vertical: bool) -> str:
        return matrix([[part] for part in parts] if vertical else [parts])

    def part(self, base: str, ranges: Sequence[str]) -> str:
        return f"<msub>{_row(base)}{_fenced('[', '<mo>,</mo>'.join(ranges), ']')}</msub>"

    def commutation_matrix(self, rows: str, columns: str) -> str:
        return f"<msub><mi>K</mi>{_row(f'{rows}<mo>,</mo>{columns}')}</msub>"

    def exponential(self, exponent: Expression) -> Piece:
        return Piece(_raised("<mi>e</mi>", self.render(exponent)), POWER)

    def call(self, function: str, inner: str) -> str:
        return _row(f"{function}<mo>\u2061</mo>{self.parenthesise(inner)}")

    def function(self, function: Function) -> str:
        shown = escape(function.symbol or function.name)
        primes = "<mo>" + "′" * function.order + "</mo>"
        sign = f"<mi>{shown}</mi>"
        return _marked(
            _raised(sign, primes) if function.order else sign,
            self.marks.get(replace(function, order=0)),
        )

    def partial(self, of: str, by: str, *, total: bool = False) -> Piece:
        sign = "<mi>∂</mi>" if of and not total else "<mi>d</mi>"
        return Piece(f"<mfrac>{_row(sign + of)}{_row(sign + by)}</mfrac>", POWER if of else ATOM)

    def second_partial(self, of: str, by: str, scalar: bool) -> Piece:
        above = f"{_raised('<mi>∂</mi>', '<mn>2</mn>')}{of}"
        twice = _raised(by, "<mn>2</mn>") if scalar else f"{by}<mi>∂</mi>{self.transposed(by)}"
        return Piece(f"<mfrac>{_row(above)}{_row('<mi>∂</mi>' + twice)}</mfrac>", POWER)

    def indexed(self, base: str, indices: Sequence[str]) -> str:
        places = "<mo>,</mo>".join(map(_words, indices))
        return _raised(base, _fenced("(", places, ")"))

    def summation(self, index: str, body: str) -> str:
        return f"<munder><mo>∑</mo>{_row(_words(index))}</munder>{body}"

    def product_over(self, index: str, first: str, last: str, body: str) -> str:
        below, above = _row(_words(f"{index}={first}")), _row(_words(last.replace("-", "−")))
        return f"<munderover><mo>∏</mo>{below}{above}</munderover>{body}"

    def kronecker_delta(self, indices: Sequence[str]) -> str:
        places = "".join(map(_words, indices))
        return f"<msub><mi>δ</mi>{_row(places)}</msub>"

    def cases(self, condition: str, yes: str, no: str) -> Piece:
        rows = ((yes, f"<mtext>if&#160;</mtext>{condition}"), (no, "<mtext>else</mtext>"))
        table = "".join(
            f"<mtr><mtd>{_row(value)}</mtd><mtd>{_row(when)}</mtd></mtr>" for value, when in rows
        )
        return Piece(_row(f'<mo>{{</mo><mtable class="cases">{table}</mtable>'), SUM)

    def special(self, what: str, detail: str = "") -> str:
        match what:
            case "absolute":
                return _fenced("|", detail, "|")
            case "identity":
                return f"<msub><mi>I</mi>{_row(detail)}</msub>"
            case "ones":
                return "<mn>𝟏</mn>"
        return _SPECIAL.get(what, f"<mi>{what}</mi>")


def mathml(expression: Expression, marks: Marks | None = None) -> str:
    """An expression as one MathML element, to stand inside `<math>`.

    >>> from workbench.calculus.algebra import power
    >>> from workbench.calculus.functions import VARIABLE
    >>> mathml(power(VARIABLE, 2))
    '<msup><mi>z</mi><mn>2</mn></msup>'
    """
    return MathMLRenderer(marks).render(expression)


def matrix(rows: Sequence[Sequence[str]]) -> str:
    """A matrix in brackets of elements.

    >>> matrix([["<mn>1</mn>"]])
    '<mrow><mo>[</mo><mtable><mtr><mtd><mn>1</mn></mtd></mtr></mtable><mo>]</mo></mrow>'
    """
    cells = ("".join(f"<mtd>{cell}</mtd>" for cell in row) for row in rows)
    table = "".join(f"<mtr>{row}</mtr>" for row in cells)
    return _row(f"<mo>[</mo><mtable>{table}</mtable><mo>]</mo>")


def _name(name: str, mark: str | None) -> str:
    letter, subscript = split_name(name)
    shown = f"<mi>{escape(GREEK.get(letter, letter))}</mi>"
    if subscript:
        kind = "mn" if subscript.isdigit() else "mi"
        below = f"<{kind}>{escape(subscript)}</{kind}>"
        if not subscript.isalnum():
            below = _row(_words(subscript.replace("-", "−")))
        shown = f"<msub>{shown}{below}</msub>"
    return _marked(shown, mark)


def _marked(element: str, mark: str | None) -> str:
    """The element with a class; it takes the focus when it is touched."""
    if mark is None:
        return element
    return re.sub(r"^<(\w+)", rf'<\1 class="{escape(mark)}" tabindex="-1"', element, count=1)


def _fenced(left: str, inner: str, right: str) -> str:
    """Brackets, which grow around what is tall only: grown ones take room beside them."""
    grows = "" if re.search("<mfrac|<mtable|<munder", inner) else ' stretchy="false"'
    return _row(
        f'<mo form="prefix"{grows}>{left}</mo>{inner}<mo form="postfix"{grows}>{right}</mo>'
    )


def _raised(base: str, exponent: str) -> str:
    """A superscript; above the subscript where there is one."""
    below, above = _row(base), _row(exponent)
    if re.match(r"<msub\b", below):
        return re.sub("</msub>$", f"{above}</msubsup>", f"<msubsup{below[len('<msub') :]}")
    return f"<msup>{below}{above}</msup>"


def _row(text: str) -> str:
    """The text as one element; plain numbers, words and signs in it become elements."""
    found = "".join(_element(match) for match in _PART.finditer(text))
    return found if _is_one(found) else f"<mrow>{found}</mrow>"


def _element(part: re.Match[str]) -> str:
    return part[0] if part[0].startswith("<") else _words(part[0])


def _words(text: str) -> str:
    return "".join(map(_token, _BARE.findall(text)))


def _token(word: str) -> str:
    if word in _BRACKETS:
        return f'<mo stretchy="false">{word}</mo>'
    kind = "mn" if word.isdigit() else "mi" if word.isalpha() else "mo"
    return f"<{kind}>{escape(word)}</{kind}>"


def _is_one(text: str) -> bool:
    depth = 0
    parts = list(_PART.finditer(text))
    for place, match in enumerate(parts):
        part = match[0]
        if not part.startswith("<"):
            return False
        is_whole = match[1] is not None or part.endswith("/>")
        depth += 0 if is_whole else -1 if part.startswith("</") else 1
        if depth == 0 and place < len(parts) - 1:
            return False
    return bool(parts)
