"""Other forms of the same formulas, for floating point: what is shown stays the plain formula.

Each rewriting is an identity of real numbers. A program that uses one says so beside the line.

- log(1 + eᵘ) overflows for large u; logaddexp(0, u) does not.
- eᵘ / (1 + eᵘ) is ∞/∞ for large u; 1 / (1 + e⁻ᵘ) is not. sinh/cosh is tanh, and log cosh u is
  |u| + log(1 + e^(−2|u|)) − log 2.
- eᵘ / Σ eᵘ and log Σ eᵘ overflow; with u − max u in place of u they do not
  (Higham and Blanchard, "Accurately computing the log-sum-exp and softmax functions", 2021).
- log σ(z) and log(1 − σ(z)) lose everything once σ(z) rounds to 0 or 1; written out they do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from workbench.calculus.algebra import (
    add,
    is_exponential,
    multiply,
    negate,
    power,
    scaled,
    split_coefficient,
    subtract,
)
from workbench.calculus.dimensions import ONE
from workbench.calculus.expressions import (
    Expression,
    make,
    number,
    ones,
    symbols_of,
    transform,
)
from workbench.calculus.functions import ABS, COSH, EXP, LOG, SINH, TANH, Function
from workbench.calculus.matrices import matmul
from workbench.calculus.rewriting import rebuild, substitute
from workbench.calculus.simplify import divisions, expand
from workbench.derivation.system import Equation

LOG_ONE_PLUS_EXP = Function("log_one_plus_exp", symbol="log1pexp")
"""u ↦ log(1 + eᵘ), computed without overflow."""


@dataclass(frozen=True, slots=True)
class Line:
    """An equation to compute, and the form in which it is computed."""

    equation: Equation
    computed: Expression

    @property
    def is_rewritten(self) -> bool:
        """Whether the computed form is not the one that is shown."""
        return self.computed is not self.equation.right


def stable_lines(equations: Sequence[Equation]) -> tuple[Line, ...]:
    """Each equation with the form in which floating point should compute it."""
    definitions = {e.left: e.right for e in equations}
    return tuple(Line(e, _stable(e.right, definitions)) for e in equations)


def _stable(right: Expression, definitions: dict[Expression, Expression]) -> Expression:
    written_out = _logarithms_written_out(right, definitions)
    rewritten = _without_overflow(_applications_written_out(written_out))
    plain = _applications_written_out(right)
    return right if rewritten is plain else rewritten


def _applications_written_out(expression: Expression) -> Expression:
    """Put in the formula of a function where the formula itself can overflow."""

    def rule(node: Expression, arguments: tuple[Expression, ...]) -> Expression:
        node = node if arguments == node.arguments else rebuild(node, arguments)
        function = node.data
        if not isinstance(function, Function) or function.formula is None or function.order:
            return node
        if function.implementation is not None:
            return node
        formula = function.at(node.arguments[0])
        return formula if _without_overflow(formula) is not formula else node

    return transform(expression, rule)


def _without_overflow(expression: Expression) -> Expression:
    """Rewrite log(1 + eᵘ), log Σ eᵘ and eᵘ / Σ eᵘ wherever they occur."""

    def rule(node: Expression, arguments: tuple[Expression, ...]) -> Expression:
        node = node if arguments == node.arguments else rebuild(node, arguments)
        if node.operation == "apply" and node.data == LOG:
            return _stable_logarithm(node)
        if node.operation == "multiply":
            return _stable_ratio(_stable_quotient(node))
        return node

    return transform(expression, rule)


def _stable_logarithm(node: Expression) -> Expression:
    inner = node.arguments[0]
    if inner.operation == "apply" and inner.data == COSH:
        size = ABS(inner.arguments[0])
        return add(size, LOG_ONE_PLUS_EXP(multiply(number(-2), size)), negate(LOG(number(2))))
    if inner.operation == "add" and len(inner.arguments) == 2:
        one, other = sorted(inner.arguments, key=lambda term: term.number is None)
        if one.number == 1 and is_exponential(other):
            return LOG_ONE_PLUS_EXP(other.arguments[0])
    exponential = _summed_exponential(inner)
    if exponential is None:
        return node
    largest, shifted = _shift(exponential.arguments[0])
    row = add(largest, LOG(matmul(ones((ONE, shifted.shape[0])), EXP(shifted))))
    return row if inner.shape == row.shape else matmul(ones((inner.shape[0], ONE)), row)


def _stable_quotient(node: Expression) -> Expression:
    for factor in node.arguments:
        reciprocal = factor.arguments[-1] if _repeats_row(factor) else factor
        if reciprocal.operation == "power" and reciprocal.data == -1:
            exponential = _summed_exponential(reciprocal.arguments[0])
            if exponential is not None and exponential in node.arguments:
                _, shifted = _shift(exponential.arguments[0])
                pair = (factor, exponential)
                others = [other for other in node.arguments if other not in pair]
                below = substitute(factor, {exponential: EXP(shifted)})
                return multiply(*others, below, EXP(shifted))
    return node


def _repeats_row(node: Expression) -> bool:
    """Whether a node is 𝟏 r, a row repeated down the columns."""
    factors = node.arguments
    return (
        node.operation == "matmul"
        and factors[0].operation == "ones"
        and factors[0].is_column
        and len(factors) == 2
    )


def _stable_ratio(node: Expression) -> Expression:
    """eᵘ (c₀ + c₁ eᵘ)⁻¹ as (c₀ e⁻ᵘ + c₁)⁻¹, and sinh u (cosh u)⁻¹ as tanh u."""
    if node.operation != "multiply":
        return node
    for factor in node.arguments:
        if factor.operation != "power" or not isinstance(factor.data, Fraction) or factor.data >= 0:
            continue
        below = factor.arguments[0]
        if below.operation == "apply" and below.data == COSH:
            above = SINH(below.arguments[0])
            if above in node.arguments:
                return _stable_ratio(
                    multiply(node, power(above, -1), below, TANH(below.arguments[0]))
                )
        for exponential in (term for term in below.arguments if is_exponential(_bare(term))):
            growing = _bare(exponential)
            if below.operation == "add" and len(below.arguments) == 2 and growing in node.arguments:
                decaying = add(*(multiply(t, power(growing, -1)) for t in below.arguments))
                return _stable_ratio(multiply(node, power(growing, -1), below, power(decaying, -1)))
    return node


def _bare(term: Expression) -> Expression:
    """A term without its number."""
    return split_coefficient(term)[1]


def _summed_exponential(node: Expression) -> Expression | None:
    """The eᵁ of 𝟏ᵀ eᵁ, or of 𝟏 𝟏ᵀ eᵁ, which repeats the row, or of the sum of one column."""
    if node.operation == "sum":
        inner = node.arguments[0]
        return inner if inner.is_column and is_exponential(inner) else None
    factors = node.arguments
    summed = node.operation == "matmul" and all(f.operation == "ones" for f in factors[:-1])
    return factors[-1] if summed and is_exponential(factors[-1]) else None


def _shift(exponent: Expression) -> tuple[Expression, Expression]:
    """The row of column maxima, and the exponent with it taken off each column."""
    largest = make("column_max", (exponent,), None, (ONE, exponent.shape[1]))
    return largest, subtract(exponent, matmul(ones((exponent.shape[0], ONE)), largest))


def _logarithms_written_out(
    right: Expression, definitions: dict[Expression, Expression]
) -> Expression:
    """Replace log of an activation's value by the logarithm of its formula, multiplied out."""

    def rule(node: Expression, arguments: tuple[Expression, ...]) -> Expression:
        node = node if arguments == node.arguments else rebuild(node, arguments)
        if node.operation != "apply" or node.data != LOG:
            return node
        values = {
            symbol: _formula_value(definitions[symbol])
            for symbol in symbols_of(node)
            if symbol in definitions
        }
        inner = substitute(node.arguments[0], values)
        written_out = _logarithm(inner)
        return node if inner is node.arguments[0] or divisions(written_out) else written_out

    return transform(right, rule)


def _formula_value(definition: Expression) -> Expression:
    function = definition.data
    if isinstance(function, Function) and function.formula is not None:
        return function.at(definition.arguments[0])
    return definition


def _logarithm(expression: Expression) -> Expression:
    """log of products, powers and exponentials as sums of logarithms, of what is positive."""
    expression = _stable_ratio(expression)
    match expression.operation:
        case "multiply":
            positive = [factor for factor in expression.arguments if _is_positive(factor)]
            rest = [factor for factor in expression.arguments if not _is_positive(factor)]
            logarithms = [_logarithm(factor) for factor in positive]
            return add(*logarithms, *([LOG(multiply(*rest))] if rest else []))
        case "power" if isinstance(expression.data, Fraction) and _is_positive(expression):
            return scaled(expression.data, _logarithm(expression.arguments[0]))
        case "apply" if expression.data == EXP:
            return expression.arguments[0]
        case "matmul" if _repeats_row(expression):
            repeat, row = expression.arguments
            return matmul(repeat, _logarithm(row))
        case "add":
            fraction = _over_one_denominator(expression)
            if fraction.operation != "add":
                return _logarithm(fraction)
    return LOG(expression)


def _is_positive(expression: Expression) -> bool:
    """Whether an expression is known to be above zero: exponentials, and what is made of them."""
    if expression.number is not None:
        return expression.number > 0
    match expression.operation:
        case "size" | "constant" | "ones":
            return True
        case "apply":
            function = expression.data
            assert isinstance(function, Function)
            return function in (EXP, COSH)
        case "add" | "multiply" | "matmul" | "sum" | "power":
            return all(_is_positive(argument) for argument in expression.arguments)
    return False


def _over_one_denominator(expression: Expression) -> Expression:
    """`1 − 1/D` as `(D − 1) / D`."""
    for term in expression.arguments:
        for factor in term.arguments if term.operation == "multiply" else (term,):
            if (
                factor.operation == "power"
                and isinstance(factor.data, Fraction)
                and factor.data < 0
            ):
                whole = power(factor, -1)
                return multiply(
                    add(*(expand(multiply(t, whole)) for t in expression.arguments)), factor
                )
    return expression
