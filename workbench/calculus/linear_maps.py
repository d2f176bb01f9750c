"""The matrix of a linear map: M with vec(f(X)) = M vec(X), where it can be written as one.

Jacobians of whole expressions and Hessians are found so, from differentials. The identities are
those of Magnus and Neudecker (1988): vec(A X B) = (Bᵀ ⊗ A) vec X, vec(Xᵀ) = K vec X,
vec(U ⊙ X) = diag(vec U) vec X.
"""

from __future__ import annotations

from workbench.calculus.algebra import add, is_zero, multiply, spread
from workbench.calculus.blocks import ZERO, block, vstack
from workbench.calculus.dimensions import ONE
from workbench.calculus.expressions import Expression, identity, length, ones, zero
from workbench.calculus.matrices import (
    commutation,
    diag,
    kron,
    matmul,
    transpose,
    vec,
)
from workbench.calculus.rewriting import depends_on
from workbench.errors import InputError


def matrix_of(expression: Expression, variable: Expression) -> Expression:
    """The matrix of an expression that is linear in a symbol, over vec on both sides.

    Raises
    ------
    InputError
        If the map cannot be written as a matrix (it is not linear, or needs more than two
        indices).

    >>> from workbench.calculus.dimensions import Dimension
    >>> from workbench.calculus.expressions import Kind, symbol
    >>> n = Dimension.named("n")
    >>> A, X = symbol("A", Kind.INPUT, (n, n)), symbol("X", Kind.VARIABLE, (n, n))
    >>> matrix_of(matmul(A, X), X) is kron(identity(n), A)
    True
    """
    if expression is variable:
        return identity(length(variable))
    if is_zero(expression):
        return zero((length(expression), length(variable)))
    arguments = expression.arguments
    moving = [place for place, part in enumerate(arguments) if depends_on(part, variable)]
    if expression.operation == "add":
        shape = (length(expression), length(variable))
        maps = [matrix_of(spread(arguments[place], expression.shape), variable) for place in moving]
        if len(moving) == len(arguments):
            return spread(add(*maps), shape)
        raise InputError(f"{expression!r} is not linear in {variable.symbol.name}")
    if len(moving) != 1:
        raise InputError(f"{expression!r} is not linear in {variable.symbol.name}")
    (place,) = moving
    inner = arguments[place]
    match expression.operation:
        case "multiply":
            others = arguments[:place] + arguments[place + 1 :]
            return _scaled(inner, others, variable)
        case "matmul":
            before, after = matmul(*arguments[:place]), matmul(*arguments[place + 1 :])
            if place == 0:
                before = identity(inner.shape[0])
            if place == len(arguments) - 1:
                after = identity(inner.shape[1])
            return matmul(kron(transpose(after), before), matrix_of(inner, variable))
        case "transpose":
            return matmul(commutation(*inner.shape), matrix_of(inner, variable))
        case "vec" | "devec":
            return matrix_of(inner, variable)
        case "trace" | "sum":
            return _summed(expression, inner, variable)
        case "vstack" if expression.is_column:
            return vstack(*(matrix_of(part, variable) for part in arguments))
        case "block" if inner.is_column and isinstance(expression.data, tuple):
            start, rows = expression.data[0], expression.shape[0]
            return block(matrix_of(inner, variable), start, rows, ZERO, length(variable))
    raise InputError(f"{expression.operation} has no matrix over vec")


def _scaled(inner: Expression, others: tuple[Expression, ...], variable: Expression) -> Expression:
    found = matrix_of(inner, variable)
    scalars = [other for other in others if other.is_scalar]
    matrices = [other for other in others if not other.is_scalar]
    if not matrices:
        return multiply(*scalars, found)
    column = vec(multiply(*matrices))
    map_ = matmul(column, found) if inner.is_scalar else matmul(diag(column), found)
    return multiply(*scalars, map_)


def _summed(node: Expression, inner: Expression, variable: Expression) -> Expression:
    """tr(A X B) is vec((B A)ᵀ)ᵀ vec X, sum(U ⊙ X) is vec(U)ᵀ vec X."""
    if node.operation == "trace" and inner.operation == "matmul":
        factors = inner.arguments
        (place,) = [k for k, factor in enumerate(factors) if depends_on(factor, variable)]
        around = matmul(*factors[place + 1 :], *factors[:place])
        row = transpose(vec(transpose(around)))
        return matmul(row, matrix_of(factors[place], variable))
    if inner.operation == "multiply":
        (moving,) = [factor for factor in inner.arguments if depends_on(factor, variable)]
        others = [factor for factor in inner.arguments if factor is not moving]
        if not moving.is_scalar:
            row = transpose(vec(spread(multiply(*others), inner.shape)))
            return matmul(row, matrix_of(moving, variable))
    found = matrix_of(inner, variable)
    if node.operation == "trace":
        return matmul(transpose(vec(identity(inner.shape[0]))), found)
    return matmul(ones((ONE, length(inner))), found)
