"""The constructors of matrix operations: products, transposes, inverses, sums, vec, ⊗, diag.

A matrix product with a 1×1 factor is a scalar multiple, and transposes are pushed inwards.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from fractions import Fraction

from workbench.calculus.algebra import (
    add,
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
    for factor in factors:
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
        for factor in _rank_one(matrix):
            _append(chain, factor)
            _cancel_inverses(chain)
    if not chain:
        return multiply(*scalars) if scalars else number(1)
    shape = (chain[0].shape[0], chain[-1].shape[1])
    if any(is_zero(matrix) for matrix in chain):
        return zero(shape)
    core = chain[0] if len(chain) == 1 else product_of_chain(tuple(chain), shape)
    return multiply(*scalars, core) if scalars else core


def product_of_chain(chain: tuple[Expression, ...], shape: Shape) -> Expression:
    """A product of two or more matrices; 𝟏ᵀ A 𝟏 is the sum of A."""
    if chain[0].operation == "ones" and chain[-1].operation == "ones" and shape == SCALAR:
        return total(matmul(*chain[1:-1])) if len(chain) > 2 else size(chain[0].shape[1])
    if chain[0].operation == "ones" and shape == SCALAR:
        return total(matmul(*chain[1:]))
    if chain[-1].operation == "ones" and shape == SCALAR:
        return total(matmul(*chain[:-1]))
    if len(chain) == 2 and chain[0].operation == "ones" and chain[1].operation == "ones":
        return multiply(size(chain[0].shape[1]), ones(shape))
    if shape == SCALAR:
        turned = tuple(transpose(factor) for factor in reversed(chain))
        return make("matmul", chain, None, shape, [turned])
    return make("matmul", chain, None, shape)


def _append(chain: list[Expression], matrix: Expression) -> None:
    if matrix.operation == "identity" and chain:
        return
    before = chain[-1] if chain else None
    if before is not None and before.operation == "commutation" and matrix.operation == "vec":
        inner = matrix.arguments[0]
        if before.data == inner.shape:
            chain.pop()
            matrix = vec(transpose(inner))
    if chain and chain[-1].operation == "identity":
        chain[-1] = matrix
    elif before is not None and before.operation == "ones" and matrix.operation == "diag":
        chain[-1:] = [ones((before.shape[0], ONE))] * (before.shape[0] is not ONE)
        chain.append(transpose(matrix.arguments[0]))
    elif before is not None and before.operation == "diag" and matrix.operation == "ones":
        chain[-1] = before.arguments[0]
        if not matrix.is_column:
            chain.append(ones((ONE, matrix.shape[1])))
    elif chain and chain[-1].operation == "diag" and matrix.operation == "diag":
        merged = multiply(chain.pop().arguments[0], matrix.arguments[0])
        chain.append(diag(merged))
    else:
        chain.append(matrix)


def _rank_one(matrix: Expression) -> tuple[Expression, ...]:
    """The matrix of ones as 𝟏 𝟏ᵀ, anything else as it is."""
    rows, columns = matrix.shape
    if matrix.operation != "ones" or ONE in matrix.shape:
        return (matrix,)
    return ones((rows, ONE)), ones((ONE, columns))


def _cancel_inverses(chain: list[Expression]) -> None:
    """Let A⁻¹ meet A at the end of a chain, where A may itself be a product."""
    last = inverted(chain[-1])
    if last is not None:
        factors = list(_matrix_factors(last))
        if chain[-1 - len(factors) : -1] == factors:
            chain[-1 - len(factors) :] = [identity(last.shape[0])]
    for place in range(len(chain) - 2, -1, -1):
        first = inverted(chain[place])
        if first is not None and list(_matrix_factors(first)) == chain[place + 1 :]:
            chain[place:] = [identity(first.shape[0])]
    if len(chain) > 1 and chain[-1].operation == "identity":
        chain.pop()


def inverted(matrix: Expression) -> Expression | None:
    """The matrix of which this is the inverse, if it is written as one: A⁻¹ or A⁻ᵀ."""
    if matrix.operation == "inverse":
        return matrix.arguments[0]
    if matrix.operation == "transpose" and matrix.arguments[0].operation == "inverse":
        return transpose(matrix.arguments[0].arguments[0])
    return None


def _matrix_factors(matrix: Expression) -> tuple[Expression, ...]:
    return matrix.arguments if matrix.operation == "matmul" else (matrix,)


def transpose(expression: Expression) -> Expression:
    """The transpose, pushed through products, scalar multiples, ⊗ and stacks."""
    rows, columns = expression.shape
    arguments = expression.arguments
    match expression.operation:
        case _ if expression.is_scalar:
            return expression
        case "transpose":
            return arguments[0]
        case "identity" | "diag":
            return expression
        case "symbol" if expression.symbol.symmetric:
            return expression
        case "ones" | "zero":
            return make(expression.operation, (), None, (columns, rows))
        case "matmul":
            return matmul(*(transpose(factor) for factor in reversed(arguments)))
        case "inverse" if _is_symmetric(arguments[0]):
            return expression
        case "inverse" if arguments[0].operation == "matmul":
            return inverse(transpose(arguments[0]))
        case "commutation":
            return make("commutation", (), _reversed(expression.data), expression.shape)
        case "vstack" | "hstack":
            other = "hstack" if expression.operation == "vstack" else "vstack"
            return make(other, tuple(map(transpose, arguments)), None, (columns, rows))
        case "block":
            start = _reversed(expression.data)
            return make("block", (transpose(arguments[0]),), start, (columns, rows))
        case "kron":
            return kron(*(transpose(factor) for factor in arguments))
        case "multiply":
            return multiply(*(transpose(factor) for factor in arguments))
        case "power":
            assert isinstance(expression.data, Fraction)
            return power(transpose(arguments[0]), expression.data)
        case "add":
            pushed = add(*(transpose(term) for term in arguments))
            if pushed.form == expression.form:
                return expression
            if count_transposes(pushed) <= count_transposes(expression):
                return pushed
    return make("transpose", (expression,), None, (columns, rows))


def _is_symmetric(matrix: Expression) -> bool:
    return transpose(matrix).form == matrix.form


def _reversed(pair: Hashable) -> tuple[Hashable, Hashable]:
    assert isinstance(pair, tuple)
    return pair[1], pair[0]


def count_transposes(expression: Expression) -> int:
    """The number of transposes that are left in an expression."""
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
    if expression.operation in ("transpose", "vec", "devec", "diag"):
        return total(expression.arguments[0])
    if expression.operation == "kron":
        return multiply(*map(total, expression.arguments))
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
            matrices.extend(matrix.arguments if matrix.operation == "kron" else (matrix,))
    if len(matrices) < 2:
        return multiply(*scalars, *matrices)
    if any(map(is_zero, matrices)):
        return zero(_kron_shape(matrices))
    if all(matrix.operation == "identity" for matrix in matrices):
        product = ONE
        for matrix in matrices:
            product = product * matrix.shape[0]
        return multiply(*scalars, identity(product))
    node = make("kron", tuple(matrices), None, _kron_shape(matrices))
    return multiply(*scalars, node) if scalars else node


def _kron_shape(matrices: Sequence[Expression]) -> Shape:
    rows, columns = ONE, ONE
    for matrix in matrices:
        rows, columns = rows * matrix.shape[0], columns * matrix.shape[1]
    return rows, columns


def diag(column: Expression) -> Expression:
    """The diagonal matrix with this column on its diagonal."""
    if not column.is_column:
        raise ShapeError(f"diag needs a column, not {describe(column.shape)}")
    if column.is_scalar:
        return column
    if column.operation == "ones":
        return identity(column.shape[0])
    return make("diag", (column,), None, (column.shape[0], column.shape[0]))


def commutation(rows: Dimension, columns: Dimension) -> Expression:
    """The permutation K with K vec(A) = vec(Aᵀ) for every A of this shape.

    Magnus and Neudecker (1979), "The commutation matrix: some properties and applications".

    >>> m, n = Dimension.named("m"), Dimension.named("n")
    >>> transpose(commutation(m, n)) is commutation(n, m)
    True
    """
    if ONE in (rows, columns):
        return identity(rows * columns)
    return make("commutation", (), (rows, columns), (rows * columns, rows * columns))


def inverse(matrix: Expression) -> Expression:
    """The inverse of a square matrix; transposes, scalars and diagonals move out.

    Raises
    ------
    ShapeError
        If the matrix is not square.
    """
    require_square("inverse", matrix)
    if matrix.is_scalar:
        return power(matrix, -1)
    match matrix.operation:
        case "identity":
            return matrix
        case "inverse":
            return matrix.arguments[0]
        case "transpose":
            return transpose(inverse(matrix.arguments[0]))
        case "diag":
            return diag(power(matrix.arguments[0], -1))
        case "kron" if all(map(is_square, matrix.arguments)):
            return kron(*map(inverse, matrix.arguments))
        case "matmul" if all(map(is_square, matrix.arguments)):
            return matmul(*map(inverse, reversed(matrix.arguments)))
        case "commutation":
            return transpose(matrix)
    scalars, rest = split_scalars(matrix)
    if scalars and rest is not None:
        return multiply(*(power(scalar, -1) for scalar in scalars), inverse(rest))
    return make("inverse", (matrix,), None, matrix.shape)


def is_square(matrix: Expression) -> bool:
    """Whether a matrix has as many rows as columns, whatever their number.

    >>> is_square(identity(Dimension.named("n"))), is_square(ones((Dimension.named("n"), ONE)))
    (True, False)
    """
    return matrix.shape[0] is matrix.shape[1]


def require_square(what: str, matrix: Expression) -> None:
    """Refuse a matrix that is not square, with the name of what it is given to."""
    if not is_square(matrix):
        raise ShapeError(f"{what} needs a square matrix, not {describe(matrix.shape)}")
