"""Formulas with numbers put in for their symbols: `(0.37 − 0.13) · 0.37`."""

from __future__ import annotations

from collections.abc import Mapping

from workbench.calculus.expressions import Expression
from workbench.derivation.steps import DERIVATIVES
from workbench.notation.dialect import ATOM, PRODUCT, SUM, Piece
from workbench.notation.latex import LatexRenderer
from workbench.notation.mathml import MathMLRenderer
from workbench.notation.render import Renderer
from workbench.notation.text import TextRenderer
from workbench.notation.values import cell_latex, cell_mathml, cell_text, figure

Numbers = Mapping[Expression, float]


class _Substituting(Renderer):
    """A dialect that shows a number where one is known."""

    def __init__(self, numbers: Numbers) -> None:
        super().__init__()
        self.numbers = numbers

    def figure(self, number: float) -> str:
        """A number as the dialect writes it."""
        raise NotImplementedError

    def piece(self, node: Expression) -> Piece:
        """One node, or its number; a product takes derivatives without asking for brackets."""
        if node not in self.numbers:
            return super().piece(node)
        number = self.numbers[node]
        shown = self.figure(number)
        if number < 0 and node.operation in DERIVATIVES:
            return Piece(self.parenthesise(shown), ATOM)
        return Piece(shown, SUM if number < 0 else PRODUCT if figure(number)[1] else ATOM)

    def render(self, expression: Expression) -> str:
        """The expression on its own."""
        number = self.numbers.get(expression)
        return super().render(expression) if number is None else self.figure(number)


class _Text(_Substituting, TextRenderer):
    product_sign = " · "

    def figure(self, number: float) -> str:
        return cell_text(number)


class _Latex(_Substituting, LatexRenderer):
    product_sign = r" \cdot "

    def figure(self, number: float) -> str:
        return cell_latex(number)


class _MathML(_Substituting, MathMLRenderer):
    product_sign = "<mo>·</mo>"

    def figure(self, number: float) -> str:
        return cell_mathml(number)


def text_with(expression: Expression, numbers: Numbers) -> str:
    """An expression in Unicode with numbers for symbols.

    >>> from workbench.calculus.algebra import multiply, power
    >>> from workbench.calculus.functions import VARIABLE
    >>> text_with(multiply(VARIABLE, power(VARIABLE, 2)), {VARIABLE: -0.5})
    '(−0.5)³'
    """
    return _Text(numbers).render(expression)


def latex_with(expression: Expression, numbers: Numbers) -> str:
    r"""An expression in LaTeX with numbers for symbols.

    >>> from workbench.calculus.functions import EXP, VARIABLE
    >>> latex_with(EXP(VARIABLE), {VARIABLE: 0.00025})
    'e^{2.5 \\times 10^{-4}}'
    """
    return _Latex(numbers).render(expression)


def mathml_with(expression: Expression, numbers: Numbers) -> str:
    """An expression in MathML with numbers for symbols.

    >>> from workbench.calculus.functions import VARIABLE
    >>> mathml_with(VARIABLE, {VARIABLE: 2.0})
    '<mn>2</mn>'
    """
    return _MathML(numbers).render(expression)
