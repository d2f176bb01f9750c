"""Identities read as they are written: no law is applied to them, so that laws can be proved.

The constructors of the calculus turn (A B)ᵀ into Bᵀ Aᵀ as it is built, and an identity that says so
would compare an expression with itself. Here every operation of the text stays a node.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from workbench.calculus.algebra import spread
from workbench.calculus.expressions import Expression, Kind, make, symbol, transform
from workbench.notation.reading.building import Building
from workbench.notation.reading.equations import Reading
from workbench.notation.reading.formulas import Lookup
from workbench.notation.reading.known_functions import Functions
from workbench.notation.reading.shapes import is_scalar
from workbench.notation.reading.statements import Formula
from workbench.notation.reading.syntax import Node

OF_MATRICES = frozenset({"tr", "det", "diag", "vec", "devec", "kron"})
"""Functions whose operand is a matrix or a column, unless it is said to be a number."""

LEAVES = frozenset({"symbol", "number", "constant", "size"})


def identity_as_written(
    text: str, *, functions: Lookup, name: str = "<identity>"
) -> tuple[Expression, Expression]:
    """The two sides of an identity, each operation on its operands as they stand.

    Raises
    ------
    InputError
        With the place in the text, if it cannot be read or the sides have different shapes.

    >>> left, right = identity_as_written("(A B)' = B' A'", functions=lambda name: None)
    >>> left.operation, right.operation
    ('transpose', 'matmul')
    """
    reading = _Sides(name, text, Functions(functions))
    reading.identity()
    reading.refuse_silent_scalars()
    building = _AsWritten(reading.inference, reading.symbols)
    left, right = (building.whole(side) for side in reading.sides)
    shape = right.shape if left.is_scalar else left.shape
    return spread(left, shape), spread(right, shape)


@dataclass
class _Sides(Reading):
    """A reading that keeps the syntax of both sides."""

    sides: tuple[Node, ...] = ()

    def _sides(self, formula: Formula) -> tuple[Node, Node]:
        self.sides = found = super()._sides(formula)
        return found

    def refuse_silent_scalars(self) -> None:
        """Ask for the shape of a matrix by its name or use that would pass as a number.

        Raises
        ------
        InputError
            With the place in the text.
        """
        used = {node.data for side in self.sides for node in _operands_of_matrices(side)}
        for name, quantity in self.inference.quantities.items():
            is_matrix = name in used or name[0].isupper()
            if is_matrix and not quantity.is_declared and is_scalar(quantity.form):
                shape = "m×n" if name[0].isupper() else "n"
                raise self.source.error(
                    quantity.start,
                    f"{name} would be a single number here, and the identity be proved for "
                    f"numbers only; declare `input {name} : {shape}`, or `input {name} : 1` if "
                    "that is meant",
                )


def _operands_of_matrices(node: Node) -> Iterator[Node]:
    """The names that are transposed, or stand in tr, det, diag, vec, kron …, in any depth."""
    is_call = node.kind == "call" and isinstance(node.data, tuple) and node.data[0] in OF_MATRICES
    for part in node.parts:
        if part.kind == "name" and (is_call or node.kind in ("transpose", "kron")):
            yield part
        yield from _operands_of_matrices(part)


@dataclass
class _AsWritten(Building):
    """Builds on names: each operation sees names where its operands stand, so no law applies."""

    meanings: dict[Expression, Expression] = field(default_factory=dict)

    def whole(self, node: Node) -> Expression:
        """The expression of a node, with the operands in the place of their names."""
        return self._written_out(self.expression(node))

    def expression(self, node: Node) -> Expression:
        found = super().expression(node)
        if found.operation in LEAVES:
            return found
        named = symbol(f"({len(self.meanings)})", Kind.INTERMEDIATE, found.shape)
        self.meanings[named] = found
        return named

    def _written_out(self, expression: Expression) -> Expression:
        def rule(node: Expression, arguments: tuple[Expression, ...]) -> Expression:
            if node in self.meanings:
                return self._written_out(self.meanings[node])
            return make(node.operation, arguments, node.data, node.shape)

        return transform(expression, rule)
