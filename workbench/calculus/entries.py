"""Matrices by entries: sums over indices, Kronecker deltas, and the way back to a matrix.

This is the level underneath the matrix form. It says what a matrix formula cannot (a third-order
tensor such as ∂z/∂W) and proves what it can: `∂z⁽ʲ⁾/∂x⁽ⁱ⁾ = W⁽ʲ'ⁱ⁾`, hence `∂z/∂x = Wᵀ`.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import product

from workbench.calculus.algebra import add, is_zero, multiply
from workbench.calculus.blocks import ZERO
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
from workbench.calculus.indices import (
    Index,
    Names,
    Place,
    Position,
    SplitError,
    digits,
    index_of,
    moved,
    names_in,
    pairs,
    renamed,
    within,
)
from workbench.calculus.matrices import diag, matmul, transpose
from workbench.calculus.pullbacks import gradients
from workbench.calculus.rewriting import rebuild, substitute
from workbench.errors import InputError

Indices = tuple[str, ...]
INDEXED = ("entry", "delta")
ENTRYWISE = frozenset(
    (
        "add",
        "multiply",
        "power",
        "apply",
        "where",
        "greater",
        "greater_equal",
        "maximum",
        "minimum",
    )
)


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
    return node.data if isinstance(node.data, tuple) and node.operation in INDEXED else ()


def uses(expression: Expression, index: str) -> bool:
    """Whether an index occurs in an expression."""
    return any(
        any(index in names_in(place) for place in _indices(node))
        if node.operation in INDEXED
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
        if node.operation in INDEXED:
            indices = tuple(renamed(index, {old: new}) for index in _indices(node))
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
    fresh : letters for the indices that products sum over.

    Raises
    ------
    InputError
        If an operation has no form by entries, or only with a pair of indices for a given one.

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


class Writing:
    """Writes entries at positions.

    Parameters
    ----------
    names : names for the indices that are summed over.
    contracts : whether a sum over a δ is replaced by its one term.
    is_paired : whether entries of symbols may have pairs of indices and such.
    """

    def __init__(self, names: Names, *, contracts: bool = True, is_paired: bool = True) -> None:
        self.names = names
        self.is_paired = is_paired
        self._sum = index_sum if contracts else plain_sum

    def entry(self, expression: Expression, row: Position, column: Position) -> Expression:
        """The entry in a row and a column.

        Raises
        ------
        SplitError
            If an index has to be written by others first.
        InputError
            If an operation has no form by entries.
        """
        arguments = expression.arguments
        match expression.operation:
            case "number" | "constant" | "size" | "det" | "entry" | "delta" | "index_sum":
                return expression
            case "symbol" | "jacobian" | "inverse":
                return self._opaque(expression, row, column)
            case "ones":
                return number(1)
            case "zero":
                return number(0)
            case "identity":
                return _delta(row, column)
            case "transpose":
                return self.entry(arguments[0], column, row)
            case "diag":
                return multiply(_delta(row, column), self.entry(arguments[0], row, ()))
            case "diagonal":
                return self.entry(arguments[0], row, row)
            case "matmul":
                return self._product(expression, row, column)
            case "sum" | "trace":
                return self._total(expression)
            case "vec":
                inner = arguments[0].shape
                second, first = digits(row, (inner[1], inner[0]))
                return self.entry(arguments[0], first, second)
            case "devec":
                return self._opaque_or(expression, row, column)
            case "kron":
                rows = digits(row, [factor.shape[0] for factor in arguments])
                columns = digits(column, [factor.shape[1] for factor in arguments])
                return self._all_of(expression, rows, columns)
            case "commutation":
                return _commutation_entry(expression, row, column)
            case "vstack":
                place, inside = within(row, [part.shape[0] for part in arguments])
                return self.entry(arguments[place], inside, column)
            case "hstack":
                place, inside = within(column, [part.shape[1] for part in arguments])
                return self.entry(arguments[place], row, inside)
            case "block":
                return self.entry(arguments[0], *_in_whole(expression, row, column))
            case "apply" if isinstance(expression.data, Function) and expression.data.columnwise:
                return self._opaque(expression, row, column)
            case operation if operation in ENTRYWISE:
                return self._elementwise(expression, row, column)
        raise InputError(f"{expression.operation} has no form by entries")

    def _opaque(self, matrix: Expression, row: Position, column: Position) -> Expression:
        indices = tuple(index_of(position) for position in (row, column) if position)
        if not self.is_paired and any(isinstance(index, Index) for index in indices):
            raise InputError(f"an entry of {matrix!r} has no single indices")
        if len(indices) < sum(dimension is not ONE for dimension in matrix.shape):
            raise InputError(f"an entry of {matrix!r} lacks an index")
        return entry(matrix, *indices)

    def _opaque_or(self, devec: Expression, row: Position, column: Position) -> Expression:
        """An entry of devec(v): of v itself where a pair of indices may be written."""
        inner = devec.arguments[0]
        if not self.is_paired and inner.operation in ("symbol", "jacobian"):
            return self._opaque(devec, row, column)
        return self.entry(inner, column + row, ())

    def _elementwise(self, node: Expression, row: Position, column: Position) -> Expression:
        count = len(node.arguments)
        return self._all_of(node, [row] * count, [column] * count)

    def _all_of(
        self, node: Expression, rows: Sequence[Position], columns: Sequence[Position]
    ) -> Expression:
        """The operation on entries of the arguments; an entry of A ⊗ B is a product of entries."""
        parts = []
        mark = self.names.mark
        for part, row, column in zip(node.arguments, rows, columns, strict=True):
            if self.names.reuse:
                self.names.back_to(mark)
            parts.append(self.entry(part, *(((), ()) if part.is_scalar else (row, column))))
        return multiply(*parts) if node.operation == "kron" else rebuild(node, tuple(parts))

    def _product(self, node: Expression, row: Position, column: Position) -> Expression:
        factors = node.arguments
        inner = [factor.shape[1] for factor in factors[:-1]]
        names = [self.names.new() for _ in inner]
        terms = []
        for chosen in product(*map(self.names.positions, names, inner)):
            ends = (row, *chosen, column)
            rows, columns = ends[:-1], ends[1:]
            parts = [self.entry(*part) for part in zip(factors, rows, columns, strict=True)]
            terms.append(self._summed(chosen, multiply(*parts)))
        return add(*terms)

    def _total(self, node: Expression) -> Expression:
        inner = node.arguments[0]
        dimensions = inner.shape if node.operation == "sum" else inner.shape[:1]
        names = [self.names.new() if d is not ONE else "" for d in dimensions]
        terms = []
        for chosen in product(*map(self.names.positions, names, dimensions)):
            places = chosen if node.operation == "sum" else chosen * 2
            terms.append(self._summed(chosen, self.entry(inner, *places)))
        return add(*terms)

    def _summed(self, positions: Sequence[Position], body: Expression) -> Expression:
        for position in reversed(positions):
            for place in reversed(position):
                if place.name:
                    body = self._sum(place.name, place.dimension, body)
        return body


def _delta(left: Position, right: Position) -> Expression:
    found = pairs(left, right)
    return number(0) if found is None else multiply(number(1), *(delta(*pair) for pair in found))


def _commutation_entry(node: Expression, row: Position, column: Position) -> Expression:
    """K takes the entry (i, j) of A from place (j, i) of vec(A) to place (i, j) of vec(Aᵀ)."""
    assert isinstance(node.data, tuple)
    rows, columns = node.data
    first, second = digits(row, (rows, columns))
    behind, before = digits(column, (columns, rows))
    return multiply(_delta(first, before), _delta(second, behind))


def _in_whole(block: Expression, row: Position, column: Position) -> list[Position]:
    assert isinstance(block.data, tuple)
    whole = block.arguments[0].shape
    return [
        moved(position, block.shape[axis], block.data[axis], whole[axis])
        for axis, position in enumerate((row, column))
    ]


def _row_column(shape: Shape, indices: Indices) -> tuple[str, str]:
    names = iter(indices)
    row = next(names) if shape[0] != ONE else ""
    column = next(names) if shape[1] != ONE else ""
    return row, column


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
