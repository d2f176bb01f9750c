"""Writes the entries of matrix expressions, with pairs of indices where vec and ⊗ ask for them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from workbench.calculus.algebra import add, multiply
from workbench.calculus.dimensions import ONE
from workbench.calculus.expressions import Bindings, Expression, number
from workbench.calculus.functions import Function
from workbench.calculus.rewriting import rebuild
from workbench.calculus.simplify import ELEMENTWISE
from workbench.errors import InputError
from workbench.tensors.indices import delta, entry, index_sum, plain_sum
from workbench.tensors.positions import (
    Index,
    Names,
    Position,
    digits,
    index_of,
    moved,
    pairs,
    within,
)


class Writing:
    """Writes entries at positions.

    Parameters
    ----------
    names : names for the indices that are summed over.
    contracts : whether a sum over a δ is replaced by its one term.
    is_paired : whether entries of symbols may have pairs of indices and such.
    given : what symbols stand for whose entries are known.
    """

    def __init__(
        self,
        names: Names,
        *,
        contracts: bool = True,
        is_paired: bool = True,
        given: Bindings | None = None,
    ) -> None:
        self.names = names
        self.given = given or {}
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
            case "symbol" if expression in self.given:
                return self.entry(self.given[expression], row, column)
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
            case operation if operation in ELEMENTWISE:
                return self._elementwise(expression, row, column)
        raise InputError(f"{expression.operation} has no form by entries")

    def _opaque(self, matrix: Expression, row: Position, column: Position) -> Expression:
        indices = tuple(index_of(position) for position in (row, column) if position)
        if not self.is_paired and any(isinstance(index, Index) for index in indices):
            raise InputError(f"an entry of {matrix!r} has no single indices")
        if not self.is_paired and any(p.dimension is not p.whole for p in (*row, *column)):
            raise InputError(f"an index over a part of {matrix!r} has no form by single indices")
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
