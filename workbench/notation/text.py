"""Mathematics in Unicode, for a terminal: `∂L/∂W₂ = δ₂ x₁ᵀ`."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from workbench.calculus.dimensions import Dimension
from workbench.calculus.expressions import Expression
from workbench.calculus.functions import Function
from workbench.notation.dialect import ATOM, POWER, PREFIX, PRODUCT, Piece, split_name
from workbench.notation.greek import GREEK
from workbench.notation.render import Renderer

_SUBSCRIPTS = str.maketrans("0123456789aehijklmnoprstuvx+-", "₀₁₂₃₄₅₆₇₈₉ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ₊₋")
_SUPERSCRIPTS = str.maketrans("0123456789-/", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻ᐟ")
_PRIMES = ("", "′", "″", "‴")
_VULGAR = {Fraction(1, 2): "½", Fraction(1, 4): "¼", Fraction(3, 4): "¾"}
_SPECIAL = {
    "ones": "𝟏",
    "at_least": "≥",
    "max": "max",
    "min": "min",
    "sum": "sum",
    "vec": "vec",
    "trace": "tr",
    "det": "det",
    "dots": "⋯",
}


class TextRenderer(Renderer):
    """Unicode text."""

    def parenthesise(self, text: str) -> str:
        return f"({text})"

    def name(self, name: str) -> str:
        letter, subscript = split_name(name)
        shown = GREEK.get(letter, letter)
        if all(ord(character) in _SUBSCRIPTS for character in subscript):
            return shown + subscript.translate(_SUBSCRIPTS)
        return f"{shown}_{_in_line(subscript)}"

    def fraction_number(self, value: Fraction) -> Piece:
        if value.denominator == 1:
            return Piece(str(value), ATOM)
        vulgar = _VULGAR.get(value)
        return Piece(vulgar, ATOM) if vulgar else Piece(str(value), PRODUCT)

    def quotient(self, above: Piece, below: Piece, elementwise: bool) -> Piece:
        top = above.text if above.level >= PRODUCT else self.parenthesise(above.text)
        bottom = below.text if below.level >= POWER else self.parenthesise(below.text)
        return Piece(f"{top} ⊘ {bottom}" if elementwise else f"{top}/{bottom}", PRODUCT)

    def superscript(self, base: str, exponent: Fraction) -> Piece:
        return Piece(base + str(exponent).translate(_SUPERSCRIPTS), POWER)

    def root(self, radicand: str) -> Piece:
        return Piece(f"√({radicand})", ATOM)

    def transposed(self, base: str) -> str:
        return base + "ᵀ"

    def inverted(self, base: str, transposed: bool) -> str:
        return base + ("⁻ᵀ" if transposed else "⁻¹")

    def inner_product(self, left: str, right: str) -> str:
        return f"⟨{left}, {right}⟩"

    def norm(self, inner: str) -> str:
        return f"norm({inner})" if "‖" in inner else f"‖{inner}‖"

    def hadamard_power(self, base: str, exponent: Fraction) -> Piece:
        return Piece(f"{base}^⊙{str(exponent).translate(_SUPERSCRIPTS)}", POWER)

    def stack(self, parts: Sequence[str], vertical: bool) -> str:
        return f"[{('; ' if vertical else ', ').join(parts)}]"

    def part(self, base: str, ranges: Sequence[str]) -> str:
        return f"{base}[{', '.join(ranges)}]"

    def commutation_matrix(self, rows: str, columns: str) -> str:
        return f"K({rows}, {columns})"

    def exponential(self, exponent: Expression) -> Piece:
        piece = self.piece(exponent)
        simple = piece.level == ATOM and exponent.operation in ("symbol", "number")
        return Piece(f"e^{piece.text}" if simple else f"e^({piece.text})", POWER)

    def call(self, function: str, inner: str) -> str:
        return f"{function}({inner})"

    def function(self, function: Function) -> str:
        return (function.symbol or function.name) + _primes(function.order)

    def partial(self, of: str, by: str, *, total: bool = False) -> Piece:
        if not of:
            return Piece(f"d/d{by}", PREFIX)
        sign = "d" if total else "∂"
        return Piece(f"{sign}{of}/{sign}{by}", PREFIX)

    def second_partial(self, of: str, by: str, scalar: bool) -> Piece:
        return Piece(f"∂²{of}/∂{by}{'²' if scalar else f'∂{by}ᵀ'}", PREFIX)

    def indexed(self, base: str, indices: Sequence[str]) -> str:
        return f"{base}[{','.join(indices)}]"

    def summation(self, index: str, body: str) -> str:
        return f"Σ{index.translate(_SUBSCRIPTS)} {body}"

    def product_over(self, index: str, first: str, last: str, body: str) -> str:
        return f"∏_{_in_line(f'{index}={first}…{last}')} {body}"

    def kronecker_delta(self, indices: Sequence[str]) -> str:
        return "δ" + "".join(indices).translate(_SUBSCRIPTS)

    def cases(self, condition: str, yes: str, no: str) -> Piece:
        return Piece(f"{{{yes} if {condition}, else {no}}}", ATOM)

    def special(self, what: str, detail: str = "") -> str:
        if what == "absolute":
            return f"abs({detail})" if "|" in detail else f"|{detail}|"
        if what == "identity":
            return "I"
        return _SPECIAL[what]


def _in_line(subscript: str) -> str:
    """A subscript in ordinary letters, in braces if it is more than a name."""
    return subscript if subscript.isalnum() else f"{{{subscript.replace('-', '−')}}}"


def _primes(order: int) -> str:
    return _PRIMES[order] if order < len(_PRIMES) else "′" * order


_RENDERER = TextRenderer()


def text(expression: Expression) -> str:
    """An expression in Unicode.

    >>> from workbench.calculus.algebra import add, power
    >>> from workbench.calculus.expressions import number
    >>> from workbench.calculus.functions import VARIABLE
    >>> text(power(add(number(1), VARIABLE), 2))
    '(1 + z)²'
    """
    return _RENDERER.render(expression)


def dimension_text(dimension: Dimension) -> str:
    """A dimension as it is shown.

    >>> dimension_text(Dimension.named("m_1") * Dimension.named("n") + Dimension.number(2))
    '2 + m₁·n'
    """
    return " + ".join(
        "·".join([*([] if names and count == 1 else [str(count)]), *map(symbol_text, names)])
        for names, count in dimension.terms
    )


def symbol_text(name: str) -> str:
    """A symbol's name as it is shown.

    >>> symbol_text("W12"), symbol_text("m_1")
    ('W₁₂', 'm₁')
    """
    return _RENDERER.name(name)
