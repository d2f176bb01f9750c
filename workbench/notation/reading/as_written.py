"""Identities read as they are written: no law is applied to them, so that laws can be proved.

The constructors of the calculus turn (A B)ᵀ into Bᵀ Aᵀ as it is built, and an identity that says so
would compare an expression with itself. Here every operation of the text stays a node.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from workbench.calculus.algebra import spread
from workbench.calculus.expressions import Expression, Kind, make, symbol, transform
from workbench.notation.reading.building import Building
from workbench.notation.reading.equations import Reading
from workbench.notation.reading.formulas import Lookup
from workbench.notation.reading.known_functions import Functions
from workbench.notation.reading.statements import Formula
from workbench.notation.reading.syntax import Node

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
