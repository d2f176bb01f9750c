"""Matrices by entries: sums over indices, Kronecker deltas, and the way back to a matrix.

This is the level underneath the matrix form. It says what a matrix formula cannot (a third-order
tensor such as ∂z/∂W) and proves what it can: `∂z⁽ʲ⁾/∂x⁽ⁱ⁾ = W⁽ʲ'ⁱ⁾`, hence `∂z/∂x = Wᵀ`.
"""

from __future__ import annotations

from collections.abc import Hashable

from workbench.calculus.algebra import add, is_zero, multiply
from workbench.calculus.dimensions import ONE, SCALAR, Dimension, Shape
from workbench.calculus.expressions import (
    Expression,
    identity,
    jacobian,
    make,
    number,
    ones,
    transform,
    walk,
)
from workbench.calculus.functions import Function
from workbench.calculus.matrices import diag, matmul, transpose
from workbench.calculus.pullbacks import gradients
from workbench.calculus.rewriting import rebuild, substitute
from workbench.errors import InputError

Indices = tuple[str, ...]


def entry(matrix: Expression, *indices: str) -> Expression:
    """One entry as a scalar: `entry(x, "i")` of a column, `entry(W, "i", "j")` of a matrix."""
    if matrix.is_scalar:
        return matrix
    return make("entry", (matrix,), indices, SCALAR)


def delta(left: str, right: str) -> Expression:
    """The Kronecker delta δ_ij: 1 where the indices agree, else 0."""
    if left == right:
        return number(1)
    return make("delta", (), tuple(sorted((left, right))), SCALAR)


def index_sum(index: str, dimension: Dimension, body: Expression) -> Expression:
    """The sum over an index, contracted where a δ says so.

    >>> n = Dimension.named("n")
    >>> index_sum("k", n, multiply(delta("k", "i"), delta("k", "j"))) is delta("i", "j")
    True
    """
    if is_zero(body):
        return body
    if body.operation == "add":
        return add(*(index_sum(index, dimension, term) for term in body.arguments))
    factors = body.arguments if body.operation == "multiply" else (body,)
    for place, factor in enumerate(factors):
        if factor.operation == "delta" and index in _indices(factor):
            (other,) = [name for name in _indices(factor) if name != index]
            rest = multiply(number(1), *factors[:place], *factors[place + 1 :])
            return rename(rest, index, other)
    free = [factor for factor in factors if not uses(factor, index)]
    bound = [factor for factor in factors if uses(factor, index)]
    summed = make("index_sum", (multiply(number(1), *bound),), (index, dimension), SCALAR)
    return multiply(*free, summed)


def plain_sum(index: str, dimension: Dimension, body: Expression) -> Expression:
    """The sum over an index, left as it is."""
    return body if is_zero(body) else make("index_sum", (body,), (index, dimension), SCALAR)


def _indices(node: Expression) -> Indices:
    return node.data if isinstance(node.data, tuple) and node.operation != "index_sum" else ()


def uses(expression: Expression, index: str) -> bool:
    """Whether an index occurs in an expression."""
    return any(
        index in _indices(node)
        if node.operation in ("entry", "delta")
        else node.operation == "jacobian" and any(uses(part, index) for part in _pair(node))
        for node in walk(expression)
    )


def _pair(node: Expression) -> tuple[Expression, Expression]:
    """The two ends, ∂of and ∂by, of a Jacobian node."""
    assert isinstance(node.data, tuple)
    return node.data[0], node.data[1]


def rename(expression: Expression, old: str, new: str) -> Expression:
    """The same expression with one index for another."""

    def rule(node: Expression, arguments: tuple[Expression, ...]) -> Expression:
        if node.operation in ("entry", "delta"):
            indices = tuple(new if name == old else name for name in _indices(node))
            if node.operation == "delta":
                return delta(*indices)
            return entry(node.arguments[0], *indices)
        if node.operation == "jacobian":
            return jacobian(*(rename(part, old, new) for part in _pair(node)))
        return node if arguments == node.arguments else rebuild(node, arguments)

    return transform(expression, rule)


def by_entries(expression: Expression, indices: Indices, fresh: str = "klmn") -> Expression:
    """An entry of an expression in terms of entries of its symbols.

    Parameters
    ----------
    indices : one index for a column, two for a matrix, none for a scalar.
    fresh : names for the indices that products sum over.

    Raises
    ------
    InputError
        If an operation has no form by entries.
    """
    if expression.is_scalar and expression.operation not in ("matmul", "sum"):
        if not expression.arguments:
            return expression
        return rebuild(
            expression, tuple(by_entries(part, (), fresh) for part in expression.arguments)
        )
    row, column = _row_column(expression.shape, indices)
    match expression.operation:
        case "symbol" | "jacobian":
            return entry(expression, *indices)
        case "ones":
            return number(1)
        case "identity":
            return delta(row, column)
        case "transpose":
            return by_entries(
                expression.arguments[0],
                _kept(expression.arguments[0].shape, column, row),
                fresh,
            )
        case "diag":
            inner = by_entries(expression.arguments[0], (row,), fresh)
            return multiply(delta(row, column), inner)
        case "matmul":
            return _product_entries(expression, row, column, fresh)
        case "sum":
            inner = expression.arguments[0]
            names = fresh[0] if inner.is_column else fresh[:2]
            body = by_entries(inner, tuple(names), fresh[len(names) :])
            for name, dimension in zip(reversed(names), reversed(inner.shape), strict=False):
                body = index_sum(name, dimension, body)
            return body
        case "apply" if isinstance(expression.data, Function) and expression.data.columnwise:
            return entry(expression, *indices)
        case "add" | "multiply" | "power" | "apply" | "where" | "greater" | "maximum" | "minimum":
            return rebuild(
                expression,
                tuple(
                    by_entries(part, () if part.is_scalar else indices, fresh)
                    for part in expression.arguments
                ),
            )
    raise InputError(f"{expression.operation} has no form by entries")


def _row_column(shape: Shape, indices: Indices) -> tuple[str, str]:
    names = iter(indices)
    row = next(names) if shape[0] != ONE else ""
    column = next(names) if shape[1] != ONE else ""
    return row, column


def _kept(shape: Shape, row: str, column: str) -> Indices:
    kept = (row if shape[0] != ONE else "", column if shape[1] != ONE else "")
    return tuple(name for name in kept if name)


def _product_entries(expression: Expression, row: str, column: str, fresh: str) -> Expression:
    factors = expression.arguments
    inner = [factor.shape[1] for factor in factors[:-1]]
    names = [fresh[place] if d != ONE else "" for place, d in enumerate(inner)]
    rest = fresh[len(inner) :]
    ends = [row, *names, column]
    body = multiply(
        *(
            by_entries(factor, _kept(factor.shape, ends[place], ends[place + 1]), rest)
            for place, factor in enumerate(factors)
        )
    )
    for name, dimension in zip(names, inner, strict=True):
        if name:
            body = index_sum(name, dimension, body)
    return body


def differentiate_entry(
    expression: Expression, by: Expression, indices: Indices, *, contract: bool = True
) -> Expression:
    """∂/∂by⁽ⁱʲ⁾ of an expression in entries: every entry of `by` gives a product of deltas.

    Without `contract`, sums over a δ are left standing, as the line before on paper.
    """
    if expression.operation == "index_sum":
        (body,) = expression.arguments
        index, dimension = _bound(expression.data)
        inner = differentiate_entry(body, by, indices, contract=contract)
        return (
            index_sum(index, dimension, inner) if contract else plain_sum(index, dimension, inner)
        )
    leaves = [
        node
        for node in walk(expression)
        if node is by or (node.operation == "entry" and node.arguments[0] is by)
    ]
    sums = [node for node in walk(expression) if node.operation == "index_sum"]
    parts = []
    for leaf, partial in zip(
        leaves + sums, gradients(expression, leaves + sums, number(1)), strict=True
    ):
        if is_zero(partial):
            continue
        if leaf.operation == "index_sum":
            inner = differentiate_entry(leaf, by, indices, contract=contract)
            parts.append(multiply(partial, inner))
        else:
            hits = [delta(a, b) for a, b in zip(_indices(leaf), indices, strict=True)]
            parts.append(multiply(*hits, partial))
    return add(*parts) if parts else number(0)


def _bound(data: Hashable) -> tuple[str, Dimension]:
    assert isinstance(data, tuple)
    return data[0], data[1]


def recover(body: Expression, row: str, column: str, shape: Shape) -> Expression | None:
    """The matrix whose (row, column) entry this is, where there is one.

    >>> from workbench.calculus.expressions import Kind, symbol
    >>> n = Dimension.named("n")
    >>> W = symbol("W", Kind.PARAMETER, (n, n))
    >>> recover(entry(W, "j", "i"), "i", "j", (n, n)) is transpose(W)
    True
    """
    if body.operation == "add":
        terms = [recover(term, row, column, shape) for term in body.arguments]
        return add(*(t for t in terms if t is not None)) if all(terms) else None
    factors = body.arguments if body.operation == "multiply" else (body,)
    left: list[Expression | None] = []
    right: list[Expression | None] = []
    square: list[Expression | None] = []
    scalars: list[Expression] = []
    for factor in factors:
        if factor.operation == "delta" and set(_indices(factor)) == {row, column}:
            square.append(identity(shape[0]))
        elif not uses(factor, row) and not uses(factor, column):
            scalars.append(factor)
        elif not uses(factor, column):
            left.append(_matrix_of(factor, (row,)))
        elif not uses(factor, row):
            right.append(_matrix_of(factor, (column,)))
        else:
            square.append(_matrix_of(factor, (row, column)))
    if any(part is None for part in (*left, *right, *square)) or len(square) > 1:
        return None
    column_part = multiply(number(1), *(part for part in (*left, *right) if part is not None))
    if square and square[0] is not None:
        if not left and not right:
            return multiply(*scalars, square[0])
        on_diagonal = square[0].operation == "identity"
        return multiply(*scalars, diag(column_part)) if on_diagonal else None
    left_part = multiply(ones((shape[0], ONE)), *(part for part in left if part is not None))
    right_part = multiply(ones((shape[1], ONE)), *(part for part in right if part is not None))
    return multiply(*scalars, matmul(left_part, transpose(right_part)))


def _matrix_of(factor: Expression, indices: Indices) -> Expression | None:
    """An elementwise expression of entries, as the same expression of matrices."""
    bindings: dict[Expression, Expression] = {}
    for node in walk(factor):
        if node.operation == "entry":
            if _indices(node) == indices:
                bindings[node] = node.arguments[0]
            elif _indices(node) == indices[::-1]:
                bindings[node] = transpose(node.arguments[0])
            else:
                return None
        elif node.operation in ("delta", "index_sum"):
            return None
    return substitute(factor, bindings)
