"""Matrices by entries: sums over indices, Kronecker deltas, and the way back to a matrix.

This is the level underneath the matrix form. It says what a matrix formula cannot (a third-order
tensor such as ∂z/∂W) and proves what it can: `∂z⁽ʲ⁾/∂x⁽ⁱ⁾ = W⁽ʲ'ⁱ⁾`, hence `∂z/∂x = Wᵀ`.
"""

from __future__ import annotations

from workbench.calculus.algebra import add, is_zero, multiply
from workbench.calculus.blocks import ZERO
from workbench.calculus.dimensions import ONE, Shape
from workbench.calculus.expressions import Expression, identity, number, ones, walk
from workbench.calculus.matrices import diag, inverse, matmul, transpose
from workbench.calculus.pullbacks import gradients
from workbench.calculus.rewriting import depends_on, substitute
from workbench.errors import InputError
from workbench.tensors.indices import (
    Indices,
    bound_of,
    delta,
    entry,
    index_sum,
    indices_of,
    names_of,
    plain_sum,
    rename,
    uses,
)
from workbench.tensors.positions import Names, Place, SplitError
from workbench.tensors.writing import Writing

__all__ = [
    "by_entries",
    "delta",
    "differentiate_entry",
    "entry",
    "index_sum",
    "plain_sum",
    "recover",
    "rename",
    "uses",
]

LONGEST = 20_000
"""Derivatives by entries of more numbers, at sizes of four, are given up."""


def by_entries(expression: Expression, indices: Indices, fresh: str = "klmn") -> Expression:
    """An entry of an expression in terms of entries of its symbols.

    Parameters
    ----------
    indices : one index for a column, two for a matrix, none for a scalar.
    fresh : letters for the indices that products sum over.

    Raises
    ------
    InputError
        If an operation has no form by entries, or only with a pair of indices for a given one.

    >>> from workbench.calculus.dimensions import Dimension
    >>> from workbench.calculus.expressions import Kind, symbol
    >>> m, n = Dimension.named("m"), Dimension.named("n")
    >>> A, x = symbol("A", Kind.INPUT, (m, n)), symbol("x", Kind.INPUT, (n, ONE))
    >>> by_entries(matmul(A, x), ("i",)).data
    ('k', n)
    """
    names = Names(frozenset(indices), fresh, reuse=True)
    row, column = _row_column(expression.shape, indices)
    while True:
        names.back_to(0)
        try:
            return Writing(names, is_paired=False).entry(
                expression,
                *(
                    (Place(name, dimension, ZERO, dimension),) if name else ()
                    for name, dimension in zip((row, column), expression.shape, strict=True)
                ),
            )
        except SplitError as demand:
            if demand.name in indices:
                message = f"index {demand.name} stands for several: {expression!r}"
                raise InputError(f"{message} has no form by single indices") from None
            names.split(demand)


def _row_column(shape: Shape, indices: Indices) -> tuple[str, str]:
    names = iter(indices)
    row = next(names) if shape[0] != ONE else ""
    column = next(names) if shape[1] != ONE else ""
    return row, column


def differentiate_entry(
    expression: Expression, by: Expression, indices: Indices, *, contract: bool = True
) -> Expression:
    """∂/∂by⁽ⁱʲ⁾ of an expression in entries: every entry of `by` gives a product of deltas.

    ∂(M⁻¹)⁽ᵏˡ⁾ = −Σ (M⁻¹)⁽ᵏᵃ⁾ ∂M⁽ᵃᵇ⁾ (M⁻¹)⁽ᵇˡ⁾ and ∂det M = det M Σ (M⁻¹)⁽ᵇᵃ⁾ ∂M⁽ᵃᵇ⁾, see Giles
    (2008), 2.2.
    Without `contract`, sums over a δ are left standing, as the line before on paper.

    Raises
    ------
    InputError
        If an entry of something else depends on `by`, or the sums are too many and too deep to be
        read.

    >>> from workbench.calculus.dimensions import Dimension
    >>> from workbench.calculus.expressions import Kind, symbol
    >>> n = Dimension.named("n")
    >>> W, x = symbol("W", Kind.PARAMETER, (n, n)), symbol("x", Kind.INPUT, (n, ONE))
    >>> body = by_entries(matmul(W, x), ("k",), "l")
    >>> differentiate_entry(body, W, ("i", "j")) is multiply(delta("k", "i"), entry(x, "j"))
    True
    """
    found = _differentiated(expression, by, indices, contract)
    if _length(found) > LONGEST:
        raise InputError(f"the derivative by entries adds up more than {LONGEST} numbers")
    return found


def _length(expression: Expression) -> int:
    """How many numbers an expression by entries is, where every sum is over four of them."""
    lengths: dict[Expression, int] = {}
    for node in walk(expression):
        below = sum(lengths[argument] for argument in node.arguments)
        lengths[node] = 4 * below if node.operation == "index_sum" else below + 1
    return lengths[expression]


def _differentiated(
    expression: Expression, by: Expression, indices: Indices, contract: bool
) -> Expression:
    summed = index_sum if contract else plain_sum
    if expression.operation == "index_sum":
        (body,) = expression.arguments
        index, dimension = bound_of(expression.data)
        inner = _differentiated(body, by, indices, contract)
        return summed(index, dimension, inner)
    leaves = [node for node in walk(expression) if _is_moved(node, by)]
    parts = []
    for leaf, partial in zip(leaves, gradients(expression, leaves, number(1)), strict=True):
        if is_zero(partial):
            continue
        if leaf is by or (leaf.operation == "entry" and leaf.arguments[0] is by):
            hits = [delta(a, b) for a, b in zip(indices_of(leaf), indices, strict=True)]
            parts.append(multiply(*hits, partial))
        elif leaf.operation == "index_sum":
            inner = _differentiated(leaf, by, indices, contract)
            parts.append(multiply(partial, inner))
        else:
            used = names_of(expression) | set(indices)
            letters = [letter for letter in "abcdefghpqruvw" if letter not in used]
            matrix, body = _through_inverse(leaf, letters[0], letters[1])
            change = by_entries(matrix, (letters[0], letters[1]), "".join(letters[2:]))
            inner = multiply(body, _differentiated(change, by, indices, contract))
            for letter in letters[1::-1]:
                inner = summed(letter, matrix.shape[0], inner)
            parts.append(multiply(partial, inner))
    return add(*parts) if parts else number(0)


def _is_moved(node: Expression, by: Expression) -> bool:
    """Whether a node is one whose derivative by entries of `by` is known."""
    if node is by or node.operation == "index_sum":
        return True
    return node.operation in ("entry", "det") and depends_on(node, by)


def _through_inverse(leaf: Expression, row: str, column: str) -> tuple[Expression, Expression]:
    """The M of an entry of M⁻¹ or of det M, and what multiplies an entry of ∂M there."""
    (matrix,) = leaf.arguments
    if leaf.operation == "det":
        return matrix, multiply(leaf, entry(inverse(matrix), column, row))
    if matrix.operation != "inverse":
        raise InputError(f"an entry of {matrix!r} has no derivative by entries")
    first, last = indices_of(leaf)
    body = multiply(number(-1), entry(matrix, first, row), entry(matrix, column, last))
    return matrix.arguments[0], body


def recover(body: Expression, row: str, column: str, shape: Shape) -> Expression | None:
    """The matrix whose (row, column) entry this is, where there is one.

    >>> from workbench.calculus.dimensions import Dimension
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
        if factor.operation == "delta" and set(indices_of(factor)) == {row, column}:
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
    if square and square[0] is not None:
        if not left and not right:
            return multiply(*scalars, square[0])
        if square[0].operation != "identity":
            return None
        on_diagonal = [part for part in (*left, *right) if part is not None]
        return multiply(*scalars, diag(multiply(number(1), *on_diagonal)))
    left_part = multiply(ones((shape[0], ONE)), *(part for part in left if part is not None))
    right_part = multiply(ones((shape[1], ONE)), *(part for part in right if part is not None))
    return multiply(*scalars, matmul(left_part, transpose(right_part)))


def _matrix_of(factor: Expression, indices: Indices) -> Expression | None:
    """An elementwise expression of entries, or a sum over a chain of them, in matrices."""
    if factor.operation == "index_sum":
        found = _chain(factor, indices)
        if found is not None and len(indices) == 1 and not found.is_column:
            return matmul(found, ones((found.shape[1], ONE)))
        return found
    bindings: dict[Expression, Expression] = {}
    for node in walk(factor):
        if node.operation == "entry":
            if indices_of(node) == indices:
                bindings[node] = node.arguments[0]
            elif indices_of(node) == indices[::-1]:
                bindings[node] = transpose(node.arguments[0])
            else:
                return None
        elif node.operation in ("delta", "index_sum"):
            return None
    return substitute(factor, bindings)


def _chain(factor: Expression, indices: Indices) -> Expression | None:
    """Σ A⁽ⁱᵏ⁾ B⁽ᵏʲ⁾ as the entry of A B, however long."""
    bound: list[str] = []
    links: list[Expression] = []
    pending = [factor]
    while pending:
        part = pending.pop()
        if part.operation == "index_sum":
            bound.append(bound_of(part.data)[0])
            pending.extend(part.arguments)
        elif part.operation == "multiply":
            pending.extend(part.arguments)
        elif part.operation == "entry":
            links.append(part)
        else:
            return None
    at, product_so_far = indices[0], number(1)
    while links:
        touching = [link for link in links if at in indices_of(link)]
        if len(touching) != 1:
            return None
        (link,) = touching
        links.remove(link)
        matrix, places = link.arguments[0], indices_of(link)
        if places[0] != at:
            matrix, places = transpose(matrix), places[::-1]
        if links and (len(places) != 2 or places[1] not in bound):
            return None
        product_so_far = matmul(product_so_far, matrix)
        at = places[-1]
    ends = indices[1:] or (at,)
    return product_so_far if (len(indices) == 1 or at == ends[0]) else None
