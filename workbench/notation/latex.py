r"""Mathematics in LaTeX: `\frac{\partial L}{\partial W_{2}} = \delta_{2} x_{1}^{\top}`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from workbench.calculus.expressions import Expression
from workbench.calculus.functions import Function
from workbench.notation.dialect import ATOM, POWER, PRODUCT, SUM, Piece, split_name
from workbench.notation.greek import GREEK
from workbench.notation.render import Renderer

_SPECIAL = {
    "ones": r"\mathbf{1}",
    "at_least": r"\ge",
    "max": r"\max",
    "min": r"\min",
    "sum": r"\operatorname{sum}",
    "vec": r"\operatorname{vec}",
    "trace": r"\operatorname{tr}",
    "det": r"\det",
    "dots": r"\cdots",
}


class LatexRenderer(Renderer):
    """LaTeX, for amsmath and for MathJax."""

    minus = "-"
    product_sign = r"\, "
    chain_sign = r" \cdot "
    hadamard_sign = r" \odot "
    kron_sign = r" \otimes "
    slash_fractions = False

    def parenthesise(self, text: str) -> str:
        return rf"\left({text}\right)"

    def name(self, name: str) -> str:
        letter, subscript = split_name(name)
        shown = f"\\{letter}" if letter in GREEK else letter
        return f"{shown}_{{{subscript}}}" if subscript else shown

    def fraction_number(self, value: Fraction) -> Piece:
        if value.denominator == 1:
            return Piece(str(value), ATOM)
        return Piece(rf"\tfrac{{{value.numerator}}}{{{value.denominator}}}", ATOM)

    def quotient(self, above: Piece, below: Piece, elementwise: bool) -> Piece:
        if elementwise:
            top = above.text if above.level >= PRODUCT else self.parenthesise(above.text)
            bottom = below.text if below.level >= POWER else self.parenthesise(below.text)
            return Piece(rf"{top} \oslash {bottom}", PRODUCT)
        return Piece(rf"\frac{{{above.text}}}{{{below.text}}}", POWER)

    def superscript(self, base: str, exponent: Fraction) -> Piece:
        return Piece(f"{_closed(base)}^{{{exponent}}}", POWER)

    def root(self, radicand: str) -> Piece:
        return Piece(rf"\sqrt{{{radicand}}}", ATOM)

    def transposed(self, base: str) -> str:
        return _closed(base) + r"^{\top}"

    def inverted(self, base: str, transposed: bool) -> str:
        return base + (r"^{-\top}" if transposed else "^{-1}")

    def inner_product(self, left: str, right: str) -> str:
        return rf"\left\langle {left}, {right} \right\rangle"

    def norm(self, inner: str) -> str:
        return rf"\left\lVert {inner} \right\rVert"

    def hadamard_power(self, base: str, exponent: Fraction) -> Piece:
        return Piece(rf"{base}^{{\odot {exponent}}}", POWER)

    def stack(self, parts: Sequence[str], vertical: bool) -> str:
        between = r" \\ " if vertical else " & "
        return rf"\begin{{bmatrix}} {between.join(parts)} \end{{bmatrix}}"

    def part(self, base: str, ranges: Sequence[str]) -> str:
        inside = r",\,".join(ranges)
        return rf"{base}_{{[{inside}]}}"

    def commutation_matrix(self, rows: str, columns: str) -> str:
        return f"K_{{{rows},{columns}}}"

    def exponential(self, exponent: Expression) -> Piece:
        return Piece(f"e^{{{self.render(exponent)}}}", POWER)

    def call(self, function: str, inner: str) -> str:
        known = {"diag", "devec", "diagonal", "vec"}
        shown = rf"\operatorname{{{function}}}" if function in known else function
        return rf"{shown}\left({inner}\right)"

    def function(self, function: Function) -> str:
        return (function.latex or rf"\operatorname{{{function.name}}}") + "'" * function.order

    def partial(self, of: str, by: str, *, total: bool = False) -> Piece:
        if not of:
            return Piece(rf"\frac{{d}}{{d{by}}}", ATOM)
        sign = "d" if total else r"\partial"
        return Piece(rf"\frac{{{sign} {of}}}{{{sign} {by}}}", POWER)

    def second_partial(self, of: str, by: str, scalar: bool) -> Piece:
        below = f"{by}^{{2}}" if scalar else rf"{by} \, \partial {by}^{{\top}}"
        return Piece(rf"\frac{{\partial^{{2}} {of}}}{{\partial {below}}}", POWER)

    def indexed(self, base: str, indices: Sequence[str]) -> str:
        return f"{{{base}}}^{{({','.join(indices)})}}"

    def summation(self, index: str, body: str) -> str:
        return rf"\sum_{{{index}}} {body}"

    def product_over(self, index: str, first: str, last: str, body: str) -> str:
        return rf"\prod_{{{index}={first}}}^{{{last}}} {body}"

    def kronecker_delta(self, indices: Sequence[str]) -> str:
        return rf"\delta_{{{''.join(indices)}}}"

    def cases(self, condition: str, yes: str, no: str) -> Piece:
        body = rf"{yes} & \text{{if }} {condition} \\ {no} & \text{{else}}"
        return Piece(rf"\begin{{cases}} {body} \end{{cases}}", SUM)

    def special(self, what: str, detail: str = "") -> str:
        if what == "absolute":
            return rf"\left\lvert {detail} \right\rvert"
        if what == "identity":
            return f"I_{{{detail}}}"
        return _SPECIAL[what]


def _closed(base: str) -> str:
    """A base that ends in a superscript, in braces, so that it can take another."""
    return f"{{{base}}}" if re.search(r"\^\{[^{}]*\}$", base) else base


_RENDERER = LatexRenderer()


def latex(expression: Expression) -> str:
    r"""An expression in LaTeX.

    >>> from workbench.calculus.algebra import power
    >>> from workbench.calculus.functions import VARIABLE
    >>> latex(power(VARIABLE, -2))
    '\\frac{1}{z^{2}}'
    """
    return _RENDERER.render(expression)
