"""Functions that couple the entries of a column, such as softmax: their pullbacks and Jacobians."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache

from workbench.calculus.algebra import add, divide, multiply, power
from workbench.calculus.dimensions import ONE
from workbench.calculus.expressions import (
    Expression,
    Kind,
    identity,
    jacobian,
    number,
    ones,
    symbol,
)
from workbench.calculus.functions import (
    COLUMN_VARIABLE,
    Function,
    by_columns,
    repeated,
)
from workbench.calculus.matrices import diag, kron, matmul, transpose, vec
from workbench.calculus.pullbacks import gradients, table_pullback
from workbench.calculus.rewriting import depends_on, substitute
from workbench.calculus.simplify import common_factors, expand, merge_branches
from workbench.calculus.slopes import Stage, distinct, expand_primes

COLUMN_OUTPUT = symbol("a", Kind.VARIABLE, COLUMN_VARIABLE.shape)
COLUMN_GRADIENT = symbol("g", Kind.GRADIENT, COLUMN_VARIABLE.shape)


@dataclass(frozen=True, slots=True)
class ColumnSlope:
    """The derivative of a columnwise function such as softmax.

    Attributes
    ----------
    plain : the pullback of `COLUMN_GRADIENT` in `COLUMN_VARIABLE`.
    form : the same in terms of `COLUMN_OUTPUT` where the formula is a quotient.
    """

    plain: Expression
    form: Expression


@cache
def column_slope(function: Function) -> ColumnSlope:
    """Work out the pullback of a columnwise function."""
    formula = _formula(function)
    (raw,) = gradients(formula, [COLUMN_VARIABLE], COLUMN_GRADIENT)
    plain = merge_branches(expand_primes(raw))
    form = common_factors(expand(_in_column_output(formula, plain)))
    return ColumnSlope(plain, form)


def _in_column_output(formula: Expression, plain: Expression) -> Expression:
    """For a = n/s with a scalar s: write n as a s, and let s cancel."""
    if formula.operation != "multiply":
        return plain
    scalars = [factor for factor in formula.arguments if factor.is_scalar]
    columns = [factor for factor in formula.arguments if not factor.is_scalar]
    sums = [factor for factor in scalars if factor.operation == "power"]
    if len(sums) != 1 or len(columns) != 1:
        return plain
    scale = symbol("s", Kind.VARIABLE)
    hidden = substitute(plain, {sums[0].arguments[0]: scale})
    rest = [factor for factor in scalars if factor is not sums[0]]
    assert isinstance(sums[0].data, Fraction)
    numerator = divide(COLUMN_OUTPUT, multiply(*rest, power(scale, sums[0].data)))
    written = expand(substitute(hidden, {columns[0]: numerator}))
    return plain if depends_on(written, scale) else written


Terms = tuple[tuple[Expression, Expression | None], ...]
"""A pullback as Σ u ⊙ g (v is None) and u (vᵀ g); the Jacobian is then Σ diag(u) + u vᵀ."""


def _linear_terms(expanded: Expression) -> Terms | None:
    """The terms of a pullback, if it has this form."""
    terms: list[tuple[Expression, Expression | None]] = []
    for term in expanded.arguments if expanded.operation == "add" else (expanded,):
        factors = term.arguments if term.operation == "multiply" else (term,)
        holders = [factor for factor in factors if depends_on(factor, COLUMN_GRADIENT)]
        others = [factor for factor in factors if factor not in holders]
        left = multiply(number(1), *others)
        if holders == [COLUMN_GRADIENT]:
            terms.append((left, None))
        elif len(holders) == 1 and holders[0].operation == "sum":
            inside = substitute(holders[0].arguments[0], {COLUMN_GRADIENT: number(1)})
            terms.append((left, inside))
        else:
            return None
    return tuple(terms)


def column_pullback(
    function: Function, argument: Expression, value: Expression, gradient: Expression
) -> Expression:
    """The gradient of the argument of a columnwise function, column by column."""
    bindings = {COLUMN_VARIABLE: argument, COLUMN_OUTPUT: value, COLUMN_GRADIENT: gradient}
    return by_columns(column_slope(function).form, bindings)


def pullback(node: Expression, index: int, gradient: Expression) -> Expression:
    """The rule table, with functions of a column written in terms of their own value."""
    function = node.data
    if isinstance(function, Function) and function.columnwise and not function.order:
        return column_pullback(function, node.arguments[0], node, gradient)
    return table_pullback(node, index, gradient)


def column_jacobian(
    function: Function, argument: Expression, value: Expression
) -> Expression | None:
    """∂f/∂z of a columnwise function of a matrix, in denominator layout over vec.

    For one column this is Σ diag(u) + u vᵀ. For several it is block diagonal, which is written
    diag(vec U) (I ⊗ 𝟏𝟏ᵀ) diag(vec V). None if it is not a diagonal plus outer products.
    """
    terms = _linear_terms(expand(column_slope(function).form))
    return None if terms is None else _jacobian_of_terms(terms, argument, value)


def _jacobian_of_terms(terms: Terms, argument: Expression, value: Expression) -> Expression:
    rows, columns = argument.shape
    bindings = {COLUMN_VARIABLE: argument, COLUMN_OUTPUT: value}
    parts = []
    for outer, inner in terms:
        left = repeated(by_columns(outer, bindings), argument.shape)
        if inner is None:
            parts.append(diag(vec(left)))
            continue
        right = repeated(by_columns(inner, bindings), argument.shape)
        if columns == ONE:
            parts.append(matmul(left, transpose(right)))
        else:
            block = kron(identity(columns), ones((rows, rows)))
            parts.append(matmul(diag(vec(left)), block, diag(vec(right))))
    return add(*parts)


def column_jacobian_stages(function: Function) -> tuple[Expression, tuple[Stage, ...]]:
    """The Jacobian ∂p/∂z of p = f(z) as a goal and its lines, first in z and then in p.

    There are no lines if it is not a diagonal plus outer products.
    """
    value = function(COLUMN_VARIABLE)
    goal = jacobian(value, COLUMN_VARIABLE)
    plain = _linear_terms(expand(column_slope(function).plain))
    recognised = column_jacobian(function, COLUMN_VARIABLE, value)
    if plain is None or recognised is None:
        return goal, ()
    stages = [
        Stage(
            _jacobian_of_terms(plain, COLUMN_VARIABLE, value),
            "quotient and chain rule",
            "a diagonal from each entry itself, an outer product from each sum",
        ),
        Stage(recognised, "recognise", f"what is left is {function.name} itself"),
    ]
    return goal, tuple(distinct(stages))


def _formula(function: Function) -> Expression:
    assert function.formula is not None
    return function.formula
