"""Derivatives of one formula, without steps.

Derivations with steps, and with names for common parts, come from
`workbench.derivation.differentiate`.
"""

from __future__ import annotations

from collections.abc import Sequence

from workbench.calculus.columns import pullback
from workbench.calculus.differentials import differential
from workbench.calculus.expressions import Expression, Kind, number, symbol
from workbench.calculus.functions import Function
from workbench.calculus.linear_maps import matrix_of
from workbench.calculus.matrices import transpose
from workbench.calculus.pullbacks import accumulate
from workbench.calculus.recognition import recognise
from workbench.calculus.simplify import cancel, divisions, merge_branches
from workbench.calculus.slopes import expand_primes
from workbench.calculus.tidy import tidy
from workbench.errors import ShapeError


def gradient(
    expression: Expression, variable: Expression, functions: Sequence[Function] = ()
) -> Expression:
    """The gradient of a scalar, of the shape of the variable.

    Parameters
    ----------
    functions : what may be recognised in the result by its formula.

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
    given = tidy(expression)
    (found,) = accumulate(given, [variable], number(1), pullback)
    found = recognise(merge_branches(found), functions)
    return _without_divisions(tidy(found, like=[given]), given)


def _without_divisions(found: Expression, given: Expression) -> Expression:
    """With σ′ worked out where that lets divisions cancel, as in the gradient of log σ."""
    before = divisions(found)
    if not before:
        return found
    worked_out = expand_primes(found)
    if worked_out is found:
        return found
    cancelled = tidy(cancel(worked_out), like=[given])
    return cancelled if divisions(cancelled) < before else found


def jacobian_matrix(expression: Expression, variable: Expression) -> Expression:
    """∂ vec(expression) / ∂ vec(variable), in denominator layout.

    Raises
    ------
    InputError
        If it cannot be written as a matrix.
    """
    change = symbol("d" + variable.symbol.name, Kind.VARIABLE, variable.shape)
    moved = tidy(differential(expression, {variable: change}))
    return tidy(transpose(matrix_of(moved, change)), like=[expression])


def hessian(
    expression: Expression, variable: Expression, functions: Sequence[Function] = ()
) -> Expression:
    """∂²f / ∂vec(X) ∂vec(X)ᵀ of a scalar f, (entries of X) × (entries of X).

    Raises
    ------
    InputError
        If it cannot be written as a matrix.
    """
    found = transpose(jacobian_matrix(gradient(expression, variable, functions), variable))
    return tidy(found, like=[expression])
