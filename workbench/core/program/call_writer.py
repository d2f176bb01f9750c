"""Calls as they are written one after another, each to a register of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from workbench.calculus.dimensions import ONE, Shape
from workbench.calculus.expressions import Expression, symbols_of
from workbench.core.evaluate import evaluate
from workbench.core.program.calls import Block, Call, Constant, Operand, Register
from workbench.derivation.network import BATCH

Sizes = Mapping[str, int]


class CallWriter:
    """Writes calls, and knows the array that an expression is stored in.

    Attributes
    ----------
    blocks : the calls so far, an equation a block.
    """

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self.blocks: list[Block] = []

    def constant_of(self, node: Expression) -> Operand | None:
        """The operand of what is the same in every step; None if it is not, or is written out."""
        if symbols_of(node) or any(n.operation == "jacobian" for n in (node, *node.arguments)):
            return None
        if node.is_scalar:
            return number_operand(float(evaluate(node, {}, self.sizes).item()))
        shape = self.stored_shape(node)
        match node.operation:
            case "ones" | "zero":
                constant = Constant(float(node.operation == "ones"), shape)
            case "identity":
                constant = Constant(1.0, shape, is_identity=True)
            case _:
                return None
        return Operand(constant, transposed=holds_batch(node))

    def emit(
        self,
        operation: str,
        operands: Sequence[Operand],
        node: Expression,
        target: Register | None,
        boolean: bool = False,
    ) -> Operand:
        """Write a call whose result is a node's value.

        Parameters
        ----------
        target : where the result goes, if that is stored in the same way as the node.
        boolean : whether the result is truth values.
        """
        out = self.register(node.shape, boolean)
        if target is not None and _alike(target, out):
            out = target
        return self.call(operation, operands, out)

    def call(self, operation: str, operands: Sequence[Operand], out: Register) -> Operand:
        """Write a call into a register, and return the operand that reads it."""
        self.blocks[-1].calls.append(Call(operation, tuple(operands), out))
        return Operand(out, transposed=out.transposed)

    def register(self, shape: Shape, boolean: bool = False) -> Register:
        """A new register for what has this shape on paper."""
        transposed = shape[1] == BATCH and shape[0] != ONE
        return Register(self._numeric(shape, transposed), boolean, transposed=transposed)

    def stored_shape(self, node: Expression) -> tuple[int, ...]:
        """The shape of the array in which a node's value is stored."""
        return self._numeric(node.shape, holds_batch(node))

    def _numeric(self, shape: Shape, transposed: bool) -> tuple[int, ...]:
        sizes = [dimension.size(self.sizes) for dimension in shape if dimension != ONE]
        return tuple(reversed(sizes)) if transposed else tuple(sizes)


def _alike(one: Register, other: Register) -> bool:
    """Whether two registers hold the same kind of array."""
    return all(getattr(one, a) == getattr(other, a) for a in ("shape", "boolean", "transposed"))


def number_operand(value: float) -> Operand:
    """The operand of one number, wherever it is put."""
    return Operand(Constant(value), broadcast=True)


def holds_batch(node: Expression) -> bool:
    """Whether a node is stored with a sample a row."""
    return node.shape[1] == BATCH and node.shape[0] != ONE
