"""The constructors of matrix operations: products, transposes, sums of entries, vec, ⊗, diag.

A matrix product with a 1×1 factor is a scalar multiple, and transposes are pushed inwards.
"""

from __future__ import annotations

from fractions import Fraction

from workbench.calculus.algebra import (
    add,
    flatten,
    is_zero,
    multiply,
    power,
    split_scalars,
    spread,
)
from workbench.calculus.dimensions import ONE, SCALAR, Dimension, Shape
from workbench.calculus.expressions import (
    Expression,
    describe,
    identity,
    length,
    make,
    number,
    ones,
    size,
    walk,
    zero,
)
from workbench.errors import ShapeError


def matmul(*factors: Expression) -> Expression:
    """The matrix product; 1×1 factors and numbers move to the front.

    Raises
    ------
    ShapeError
        If the columns of a factor differ from the rows of the next.
    """
    scalars: list[Expression] = []
    matrices: list[Expression] = []
    for factor in flatten("matmul", factors):
        scalar, matrix = split_scalars(factor)
        scalars.extend(scalar)
        if matrix is not None:
            matrices.extend(matrix.arguments if matrix.operation == "matmul" else (matrix,))
    chain: list[Expression] = []
    for matrix in matrices:
        if chain and chain[-1].shape[1] != matrix.shape[0]:
            raise ShapeError(
                f"matrix product ({describe(chain[-1].shape)})({describe(matrix.shape)}): "
                "the inner dimensions differ"
            )
        _append(chain, matrix)
    if not chain:
        return multiply(*scalars) if scalars else number(1)
    shape = (chain[0].shape[0], chain[-1].shape[1])
    if any(is_zero(matrix) for matrix in chain):
        return zero(shape)
    core = chain[0] if len(chain) == 1 else _product(tuple(chain), shape)
    return multiply(*scalars, core) if scalars else core


def _product(chain: tuple[Expression, ...], shape: Shape) -> Expression:
    """A product of two or more matrices; 𝟏ᵀ A 𝟏 is the sum of A."""
    if chain[0].operation == "ones" and chain[-1].operation == "ones" and shape == SCALAR:
        return total(matmul(*chain[1:-1])) if len(chain) > 2 else size(chain[0].shape[1])
    if chain[0].operation == "ones" and shape == SCALAR:
        return total(matmul(*chain[1:]))
    if len(chain) == 2 and chain[0].operation == "ones" and chain[1].operation == "ones":
        return multiply(size(chain[0].shape[1]), ones(shape))
    return make("matmul", chain, None, shape)


def _append(chain: list[Expression], matrix: Expression) -> None:
    if matrix.operation == "identity" and chain:
        return
    if chain and chain[-1].operation == "identity":
        chain[-1] = matrix
    elif chain and chain[-1].operation == "diag" and matrix.operation == "diag":
        merged = multiply(chain.pop().arguments[0], matrix.arguments[0])
        chain.append(diag(merged))
    else:
        chain.append(matrix)


def transpose(expression: Expression) -> Expression:
    """The transpose, pushed through products, scalar multiples and ⊗."""
    rows, columns = expression.shape
    arguments = expression.arguments
    match expression.operation:
        case _ if expression.is_scalar:
            return expression
        case "transpose":
            return arguments[0]
        case "identity" | "diag":
            return expression
        case "ones" | "zero":
            return make(expression.operation, (), None, (columns, rows))
        case "matmul":
            return matmul(*(transpose(factor) for factor in reversed(arguments)))
        case "kron":
            return kron(*(transpose(factor) for factor in arguments))
        case "multiply":
            return multiply(*(transpose(factor) for factor in arguments))
        case "power":
            assert isinstance(expression.data, Fraction)
            return power(transpose(arguments[0]), expression.data)
        case "add":
            pushed = add(*(transpose(term) for term in arguments))
            if _transposes(pushed) <= _transposes(expression):
                return pushed
    return make("transpose", (expression,), None, (columns, rows))


def _transposes(expression: Expression) -> int:
    return sum(node.operation == "transpose" for node in walk(expression))


def total(expression: Expression) -> Expression:
    """The sum of all entries; scalars move out."""
    if expression.is_scalar:
        return expression
    if is_zero(expression):
        return number(0)
    if expression.operation == "ones":
        return size(length(expression))
    if expression.operation == "add":
        return add(*(total(spread(term, expression.shape)) for term in expression.arguments))
    scalars, matrix = split_scalars(expression)
    if scalars and matrix is not None:
        return multiply(*scalars, total(matrix))
    is_row_of_sums = expression.operation == "matmul" and expression.shape[0] == ONE
    if is_row_of_sums and expression.arguments[0].operation == "ones":
        return total(matmul(*expression.arguments[1:]))
    return make("sum", (expression,), None, SCALAR)


def vec(expression: Expression) -> Expression:
    """The columns stacked into one column; in NumPy, Fortran order."""
    if expression.is_column:
        return expression
    if expression.operation == "devec":
        return expression.arguments[0]
    return make("vec", (expression,), None, (length(expression), ONE))


def devec(expression: Expression, shape: Shape) -> Expression:
    """The matrix of this shape whose vec is the given column.

    Raises
    ------
    ShapeError
        If the column does not have as many entries as the shape.
    """
    if expression.shape != (shape[0] * shape[1], ONE):
        raise ShapeError(f"devec of {describe(expression.shape)} to {describe(shape)}")
    if expression.shape == shape:
        return expression
    if expression.operation == "vec" and expression.arguments[0].shape == shape:
        return expression.arguments[0]
    return make("devec", (expression,), shape, shape)


def kron(*factors: Expression) -> Expression:
    """The Kronecker product ⊗; 1×1 factors are scalar multiples."""
    scalars: list[Expression] = []
    matrices: list[Expression] = []
    for factor in factors:
        scalar, matrix = split_scalars(factor)
        scalars.extend(scalar)
        if matrix is not None:
            matrices.append(matrix)
    if len(matrices) < 2:
        return multiply(*scalars, *matrices)
    if all(matrix.operation == "identity" for matrix in matrices):
        product = Dimension()
        for matrix in matrices:
            product = product * matrix.shape[0]
        return multiply(*scalars, identity(product))
    rows, columns = Dimension(), Dimension()
    for matrix in matrices:
        rows, columns = rows * matrix.shape[0], columns * matrix.shape[1]
    node = make("kron", tuple(matrices), None, (rows, columns))
    return multiply(*scalars, node) if scalars else node


def diag(column: Expression) -> Expression:
    """The diagonal matrix with this column on its diagonal."""
    if not column.is_column:
        raise ShapeError(f"diag needs a column, not {describe(column.shape)}")
    if column.is_scalar:
        return column
    if column.operation == "ones":
        return identity(column.shape[0])
    return make("diag", (column,), None, (column.shape[0], column.shape[0]))


def diagonal(matrix: Expression) -> Expression:
    """The diagonal of a square matrix as a column."""
    if matrix.shape[0] != matrix.shape[1]:
        raise ShapeError(f"diagonal needs a square matrix, not {describe(matrix.shape)}")
    if matrix.is_scalar:
        return matrix
    if matrix.operation == "diag":
        return matrix.arguments[0]
    return make("diagonal", (matrix,), None, (matrix.shape[0], ONE))
