"""Derivatives of a whole system in one formula of its inputs and parameters.

Intermediates are put in; there are no steps. Derivations with steps, and with names for common
parts, come from `workbench.calculus.differentiate`.
"""

from __future__ import annotations

from workbench.calculus.columns import column_pullback
from workbench.calculus.differentials import differential
from workbench.calculus.expressions import Expression, Kind, number, symbol
from workbench.calculus.functions import Function
from workbench.calculus.linear_maps import matrix_of
from workbench.calculus.matrices import transpose
from workbench.calculus.pullbacks import accumulate, table_pullback
from workbench.calculus.rewriting import substitute
from workbench.calculus.system import System
from workbench.calculus.tidy import tidy
from workbench.errors import ShapeError


def put_in(system: System) -> Expression:
    """The last equation's right side with every intermediate replaced by what defines it."""
    known: dict[Expression, Expression] = {}
    for equation in system.equations:
        known[equation.left] = substitute(equation.right, known)
    return known[system.equations[-1].left]


def gradient(expression: Expression, variable: Expression) -> Expression:
    """The gradient of a scalar, of the shape of the variable.

    Raises
    ------
    ShapeError
        If the expression is not a scalar.

    >>> from workbench.calculus.dimensions import ONE, Dimension
    >>> from workbench.calculus.algebra import add
    >>> from workbench.calculus.matrices import matmul
    >>> n = Dimension.named("n")
    >>> A, x = symbol("A", Kind.INPUT, (n, n)), symbol("x", Kind.INPUT, (n, ONE))
    >>> gradient(matmul(transpose(x), A, x), x) is matmul(add(A, transpose(A)), x)
    True
    """
    if not expression.is_scalar:
        raise ShapeError("a gradient is that of a scalar; of anything else there is a Jacobian")
    (found,) = accumulate(tidy(expression), [variable], number(1), pullback)
    return tidy(found)


def pullback(node: Expression, index: int, seed: Expression) -> Expression:
    """The rule table, with functions of a column written in terms of their own value."""
    function = node.data
    if isinstance(function, Function) and function.columnwise:
        return column_pullback(function, node.arguments[0], node, seed)
    return table_pullback(node, index, seed)


def jacobian_matrix(expression: Expression, variable: Expression) -> Expression:
    """∂ vec(expression) / ∂ vec(variable), in denominator layout.

    Raises
    ------
    InputError
        If it cannot be written as a matrix.
    """
    change = symbol("d" + variable.symbol.name, Kind.VARIABLE, variable.shape)
    moved = tidy(differential(expression, {variable: change}))
    return tidy(transpose(matrix_of(moved, change)))


def hessian(expression: Expression, variable: Expression) -> Expression:
    """∂²f / ∂vec(X) ∂vec(X)ᵀ of a scalar f, (entries of X) × (entries of X).

    Raises
    ------
    InputError
        If it cannot be written as a matrix.
    """
    return tidy(transpose(jacobian_matrix(gradient(expression, variable), variable)))


def hessian_vector_product(
    expression: Expression, variable: Expression, direction: Expression
) -> Expression:
    """The change of a scalar's gradient along a direction, of the variable's shape."""
    return tidy(differential(gradient(expression, variable), {variable: direction}))
