"""The constructors of what a square matrix has: its diagonal, determinant and trace."""

from __future__ import annotations

from workbench.calculus.algebra import add, multiply, power, split_scalars, spread
from workbench.calculus.dimensions import ONE, SCALAR
from workbench.calculus.expressions import Expression, make, number, ones, size, zero
from workbench.calculus.matrices import (
    count_transposes,
    is_square,
    matmul,
    product_of_chain,
    require_square,
    total,
    transpose,
)


def diagonal(matrix: Expression) -> Expression:
    """The diagonal of a square matrix as a column."""
    require_square("diagonal", matrix)
    if matrix.is_scalar:
        return matrix
    column = (matrix.shape[0], ONE)
    match matrix.operation:
        case "diag":
            return matrix.arguments[0]
        case "identity" | "ones":
            return ones(column)
        case "zero":
            return zero(column)
        case "transpose":
            return diagonal(matrix.arguments[0])
        case "matmul" if count_transposes(transpose(matrix)) < count_transposes(matrix):
            return diagonal(transpose(matrix))
        case "add":
            return add(*(diagonal(spread(term, matrix.shape)) for term in matrix.arguments))
        case "multiply":
            parts = (p if p.is_scalar else diagonal(p) for p in matrix.arguments)
            return spread(multiply(*parts), column)
    return make("diagonal", (matrix,), None, column)


def det(matrix: Expression) -> Expression:
    """The determinant of a square matrix.

    Raises
    ------
    ShapeError
        If the matrix is not square.
    """
    require_square("det", matrix)
    if matrix.is_scalar:
        return matrix
    match matrix.operation:
        case "identity":
            return number(1)
        case "transpose":
            return det(matrix.arguments[0])
        case "inverse":
            return power(det(matrix.arguments[0]), -1)
    return make("det", (matrix,), None, SCALAR)


def trace(matrix: Expression) -> Expression:
    """The sum of the diagonal of a square matrix; sums and scalars move out.

    Raises
    ------
    ShapeError
        If the matrix is not square.
    """
    require_square("trace", matrix)
    if matrix.is_scalar:
        return matrix
    match matrix.operation:
        case "identity" | "ones":
            return size(matrix.shape[0])
        case "zero":
            return number(0)
        case "transpose":
            return trace(matrix.arguments[0])
        case "diag":
            return total(matrix.arguments[0])
        case "add":
            return add(*(trace(spread(term, matrix.shape)) for term in matrix.arguments))
        case "matmul":
            return _trace_of_product(matrix)
        case "kron" if all(map(is_square, matrix.arguments)):
            return multiply(*map(trace, matrix.arguments))
    scalars, rest = split_scalars(matrix)
    if scalars and rest is not None:
        return multiply(*scalars, trace(rest))
    return make("trace", (matrix,), None, SCALAR)


def _trace_of_product(product: Expression) -> Expression:
    """tr(u vᵀ) is vᵀ u; factors at the two ends that are each other's inverse cancel."""
    factors = product.arguments
    for place, factor in enumerate(factors):
        if factor.shape[1] == ONE:
            return matmul(*factors[place + 1 :], *factors[: place + 1])
    turned = matmul(factors[-1], *factors[:-1])
    if turned.operation != "matmul" or len(turned.arguments) < len(factors):
        return trace(turned)
    turns = [factors[place:] + factors[:place] for place in range(len(factors))]
    turns += [tuple(transpose(factor) for factor in reversed(turn)) for turn in turns]
    alike = [(product_of_chain(turn, (turn[0].shape[0], turn[-1].shape[1])),) for turn in turns]
    return make("trace", (product,), None, SCALAR, alike)
