"""Matrices made of blocks, and the blocks of a matrix."""

from __future__ import annotations

from workbench.calculus.algebra import add, is_zero, multiply, split_scalars, spread
from workbench.calculus.dimensions import Dimension
from workbench.calculus.expressions import Expression, describe, make, zero
from workbench.calculus.matrices import matmul
from workbench.errors import ShapeError

ZERO = Dimension.number(0)


def vstack(*parts: Expression) -> Expression:
    """Matrices above each other.

    Raises
    ------
    ShapeError
        If they do not have equally many columns.

    >>> from workbench.calculus.dimensions import ONE
    >>> from workbench.calculus.expressions import ones
    >>> m, n = Dimension.named("m"), Dimension.named("n")
    >>> vstack(ones((m, ONE)), ones((n, ONE))).shape
    (m + n, 1)
    """
    return _stack("vstack", 0, parts)


def hstack(*parts: Expression) -> Expression:
    """Matrices beside each other.

    Raises
    ------
    ShapeError
        If they do not have equally many rows.
    """
    return _stack("hstack", 1, parts)


def _stack(operation: str, axis: int, parts: tuple[Expression, ...]) -> Expression:
    flat = [
        inner
        for part in parts
        for inner in (part.arguments if part.operation == operation else (part,))
        if inner.shape[axis] is not ZERO
    ]
    common = flat[0].shape[1 - axis]
    for part in flat[1:]:
        if part.shape[1 - axis] is not common:
            what = "columns" if axis == 0 else "rows"
            raise ShapeError(
                f"{operation}: {describe(flat[0].shape)} and {describe(part.shape)} have different "
                f"numbers of {what}"
            )
    if len(flat) == 1:
        return flat[0]
    length = ZERO
    for part in flat:
        length = length + part.shape[axis]
    shape = (length, common) if axis == 0 else (common, length)
    if all(map(is_zero, flat)):
        return zero(shape)
    whole = _put_together(flat, axis)
    if whole is not None and whole.shape == shape:
        return whole
    return make(operation, tuple(flat), None, shape)


def _put_together(parts: list[Expression], axis: int) -> Expression | None:
    """The matrix of which these are all the blocks in order, if they are."""
    place = ZERO
    for part in parts:
        start = [ZERO, ZERO]
        start[axis] = place
        if part.operation != "block" or part.data != tuple(start):
            return None
        if part.arguments != parts[0].arguments:
            return None
        place = place + part.shape[axis]
    return parts[0].arguments[0]


def block(
    matrix: Expression,
    row_start: Dimension,
    rows: Dimension,
    column_start: Dimension,
    columns: Dimension,
) -> Expression:
    """The contiguous part of a matrix that starts after some rows and columns.

    >>> from workbench.calculus.dimensions import ONE
    >>> from workbench.calculus.expressions import Kind, symbol
    >>> m, n = Dimension.named("m"), Dimension.named("n")
    >>> u, v = symbol("u", Kind.INPUT, (m, ONE)), symbol("v", Kind.INPUT, (n, ONE))
    >>> block(vstack(u, v), m, n, ZERO, ONE) is v
    True
    """
    start, shape = (row_start, column_start), (rows, columns)
    if shape == matrix.shape:
        return matrix
    if matrix.operation in ("ones", "zero"):
        return make(matrix.operation, (), None, shape)
    if matrix.operation == "block":
        assert isinstance(matrix.data, tuple)
        above, left = matrix.data
        return block(matrix.arguments[0], above + row_start, rows, left + column_start, columns)
    if matrix.operation == "add":
        terms = (spread(term, matrix.shape) for term in matrix.arguments)
        return add(*(block(term, row_start, rows, column_start, columns) for term in terms))
    scalars, rest = split_scalars(matrix)
    if scalars and rest is not None:
        return multiply(*scalars, block(rest, row_start, rows, column_start, columns))
    if matrix.operation == "matmul":
        first, *_, last = matrix.arguments
        above = block(first, row_start, rows, ZERO, first.shape[1])
        beside = block(last, ZERO, last.shape[0], column_start, columns)
        if "block" not in (above.operation, beside.operation):
            return matmul(above, *matrix.arguments[1:-1], beside)
    if matrix.operation in ("vstack", "hstack"):
        axis = 0 if matrix.operation == "vstack" else 1
        place = ZERO
        for part in matrix.arguments:
            if place is start[axis] and part.shape[axis] is shape[axis]:
                inner = (ZERO, column_start) if axis == 0 else (row_start, ZERO)
                return block(part, inner[0], rows, inner[1], columns)
            place = place + part.shape[axis]
    return make("block", (matrix,), start, shape)


def unblock(part: Expression, node: Expression) -> Expression:
    """A part put where a block node took it from, with zeros around it: the pullback of a block."""
    matrix = node.arguments[0]
    assert isinstance(node.data, tuple)
    above, left = node.data
    rows, columns = matrix.shape
    below = rows - above - node.shape[0]
    right = columns - left - node.shape[1]
    wide = hstack(zero((node.shape[0], left)), part, zero((node.shape[0], right)))
    return vstack(zero((above, columns)), wide, zero((below, columns)))
