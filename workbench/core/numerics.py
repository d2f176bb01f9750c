"""Other forms of the same formulas, for floating point: what is shown stays the plain formula.

Each rewriting is an identity of real numbers. A program that uses one says so beside the line.

- log(1 + eᵘ) overflows for large u; logaddexp(0, u) does not.
- eᵘ / (1 + eᵘ) is ∞/∞ for large u; 1 / (1 + e⁻ᵘ) is not. sinh/cosh is tanh, and log cosh u is
  |u| + log(1 + e^(−2|u|)) − log 2.
- eᵘ / Σ eᵘ and log Σ eᵘ overflow; with u − max u in place of u they do not
  (Higham and Blanchard, "Accurately computing the log-sum-exp and softmax functions", 2021).
- e^x over a sum that has a name is ∞/∞ as well: what overflows is put in where it is used.
- log σ(z) and log(1 − σ(z)) lose everything once σ(z) rounds to 0 or 1; written out they do not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

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
from workbench.calculus.expressions import Expression, make, number, ones, walk
from workbench.calculus.functions import ABS, COSH, EXP, LOG, SINH, TANH, Function
from workbench.calculus.matrices import matmul
from workbench.calculus.pullbacks import gradients
from workbench.calculus.rewriting import rewrite, substitute
from workbench.calculus.simplify import expand
from workbench.calculus.tidy import tidy
from workbench.core.overflow import is_positive, is_safe, reaches_exponential
from workbench.derivation.system import Equation

LOG_ONE_PLUS_EXP = Function("log_one_plus_exp", symbol="log1pexp")
"""u ↦ log(1 + eᵘ), computed without overflow."""

LARGEST_LOSS = 500
"""A loss of more nodes is not derived anew."""


@dataclass(frozen=True, slots=True)
class ComputedEquation:
    """An equation to compute, and the form in which it is computed.

    Attributes
    ----------
    is_safe : whether no exponential in that form can overflow or divide by what rounds to 0.
    """

    equation: Equation
    computed: Expression
    is_safe: bool = True

    @property
    def is_rewritten(self) -> bool:
        """Whether the computed form is not the one that is shown."""
        return self.computed is not self.equation.right


def stable_lines(equations: Sequence[Equation]) -> tuple[ComputedEquation, ...]:
    """Each equation with the form in which floating point should compute it.

    The right side itself where it is safe; else with what it is made of put in, e^x for a part
    that is called e; else, for a derivative, derived anew from the loss in its stable form.
    """
    found = _Definitions()
    lines = []
    for equation in equations:
        safe = (c for c, formula in _candidates(equation, found) if found.is_safe(formula))
        computed = next(safe, None)
        right = equation.right if computed is None else computed
        if computed is None:
            right = _stable(equation.right, found)
            found.overflowing.add(equation.left)
        lines.append(ComputedEquation(equation, right, computed is not None))
        found.take(equation)
    return tuple(lines)


class _Definitions:
    """The equations so far.

    Attributes
    ----------
    of : the right side of each symbol.
    exponential : the symbols that are made of exponentials.
    overflowing : the symbols whose own computation may overflow.
    """

    def __init__(self) -> None:
        self.of: dict[Expression, Expression] = {}
        self.exponential: set[Expression] = set()
        self.overflowing: set[Expression] = set()
        self._opened: dict[Expression, Expression] = {}
        self._inlined: dict[Expression, Expression] = {}

    def take(self, equation: Equation) -> None:
        """Learn one equation."""
        self.of[equation.left] = equation.right
        if reaches_exponential(equation.right, self.exponential):
            self.exponential.add(equation.left)

    def is_safe(self, expression: Expression) -> bool:
        """Whether an expression of these symbols can be computed without overflow."""
        return is_safe(expression, self.overflowing, self.exponential)

    def opened(self, expression: Expression) -> Expression:
        """An expression with the exponentials put in that its symbols are made of."""
        return _put_in(expression, self.of, self.exponential, self._opened)

    def inlined(self, expression: Expression) -> Expression:
        """An expression with every symbol put in that has a definition."""
        return _put_in(expression, self.of, self.of, self._inlined)

    def named(self, expression: Expression) -> Expression:
        """The opposite: names for what they stand for, unless that may overflow."""
        names = {
            self._inlined[symbol]: symbol
            for symbol in self.of
            if symbol in self._inlined and symbol not in self.exponential
        }
        return substitute(expression, names)


def _put_in(
    expression: Expression,
    definitions: dict[Expression, Expression],
    wanted: Collection[Expression],
    known: dict[Expression, Expression],
) -> Expression:
    """Put in the definitions of the wanted symbols, and of those that these are made of."""
    for symbol in definitions:
        if symbol in wanted and symbol not in known:
            known[symbol] = substitute(definitions[symbol], known)
    return substitute(expression, known)


def _candidates(equation: Equation, found: _Definitions) -> Iterator[tuple[Expression, Expression]]:
    """Forms of a right side, the plainest first, each with the formula by which it is judged."""
    right, left = equation.right, equation.left
    plain = _stable(right, found)
    yield plain, plain
    opened = _functions_written_out(found.opened(right))
    if opened is not right:
        stable = _stable(opened, found)
        yield (plain if stable is opened else stable), stable
    if left.operation != "jacobian" or not isinstance(left.data, tuple):
        return
    loss, variable = left.data
    if loss not in found.of or not loss.is_scalar:
        return
    root = found.inlined(found.of[loss])
    if len(list(islice(walk(root), LARGEST_LOSS))) == LARGEST_LOSS:
        return
    written_out = _functions_written_out(_logarithms_written_out(root, found))
    (gradient,) = gradients(written_out, [variable], number(1))
    if not any(isinstance(n.data, Function) and n.data.order for n in walk(gradient)):
        stable = _stable(tidy(found.named(gradient)), found)
        yield stable, stable


def _stable(right: Expression, found: _Definitions) -> Expression:
    written_out = _logarithms_written_out(right, found)
    rewritten = _without_overflow(_applications_written_out(written_out))
    plain = _applications_written_out(right)
    return right if rewritten is plain else rewritten


def _functions_written_out(expression: Expression) -> Expression:
    """Put in the formula of every function made of exponentials."""

    def rule(node: Expression) -> Expression:
        function = _function_by_formula(node)
        if function is None or not reaches_exponential(node, ()):
            return node
        return function.at(node.arguments[0])

    return rewrite(expression, rule)


def _applications_written_out(expression: Expression) -> Expression:
    """Put in the formula of a function where the formula itself can overflow."""

    def rule(node: Expression) -> Expression:
        function = _function_by_formula(node)
        if function is None or function.implementation is not None:
            return node
        formula = function.at(node.arguments[0])
        return formula if _without_overflow(formula) is not formula else node

    return rewrite(expression, rule)


def _function_by_formula(node: Expression) -> Function | None:
    """The function that a node applies, if a formula says what it is."""
    function = node.data
    if not isinstance(function, Function) or function.formula is None or function.order:
        return None
    return function


def _without_overflow(expression: Expression) -> Expression:
    """Rewrite log(1 + eᵘ), log Σ eᵘ and eᵘ / Σ eᵘ wherever they occur."""

    def rule(node: Expression) -> Expression:
        if node.operation == "apply" and node.data == LOG:
            return _stable_logarithm(node)
        if node.operation == "multiply":
            return _stable_ratio(_stable_quotient(node))
        return node

    return rewrite(expression, rule)


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


def _logarithms_written_out(right: Expression, found: _Definitions) -> Expression:
    """Replace log of an activation's value by the logarithm of its formula, multiplied out."""

    def rule(node: Expression) -> Expression:
        if node.operation != "apply" or node.data != LOG:
            return node
        inner = _functions_written_out(found.opened(node.arguments[0]))
        written_out = _logarithm(inner)
        computed = _without_overflow(written_out)
        is_better = computed is not LOG(inner) and is_safe(computed, (), found.exponential)
        return written_out if is_better else node

    return rewrite(right, rule)


def _logarithm(expression: Expression) -> Expression:
    """log of products, powers and exponentials as sums of logarithms, of what is positive."""
    expression = _stable_ratio(expression)
    match expression.operation:
        case "multiply":
            positive = [factor for factor in expression.arguments if is_positive(factor)]
            rest = [factor for factor in expression.arguments if not is_positive(factor)]
            logarithms = [_logarithm(factor) for factor in positive]
            return add(*logarithms, *([LOG(multiply(*rest))] if rest else []))
        case "power" if isinstance(expression.data, Fraction) and is_positive(expression):
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
