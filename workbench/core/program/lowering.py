"""From expressions to a flat list of calls on arrays.

Each call writes one new register; buffers are shared out later. A batch is stored with a sample a
row, the transpose of the column convention on paper: such a value is marked `transposed`, and a
transpose costs nothing. Vectors are one-dimensional. Outer products with 𝟏 are never formed: the
vector is broadcast where it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from workbench.calculus.algebra import multiply, split_coefficient, split_scalars
from workbench.calculus.dimensions import ONE, SCALAR, Shape
from workbench.calculus.expressions import Expression, number, symbols_of
from workbench.calculus.functions import Function
from workbench.calculus.matrices import matmul
from workbench.core.evaluate import evaluate
from workbench.core.numerics import LOG_ONE_PLUS_EXP, ComputedEquation
from workbench.core.program.call_writer import CallWriter, Sizes, holds_batch, number_operand
from workbench.core.program.calls import (
    COLUMN,
    PRIMITIVES,
    Block,
    Operand,
    Part,
    Register,
)
from workbench.derivation.network import BATCH
from workbench.errors import InputError


class Lowering(CallWriter):
    """Lowers equations one after another, sharing what they have in common.

    Attributes
    ----------
    implementations : hand-written functions that the calls use, by name.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        self.implementations: dict[str, Callable[..., object]] = {}
        self.known: dict[Expression, Operand] = {}

    def give(self, symbol: Expression, register: Register) -> None:
        """Declare a symbol whose array comes from outside."""
        self.known[symbol] = Operand(register, transposed=register.transposed)

    def compute(self, line: ComputedEquation, target: Register) -> None:
        """Lower one equation into a register and remember its left side.

        Raises
        ------
        InputError
            If an operation cannot be computed in a program.
        """
        self.blocks.append(Block(line))
        left = line.equation.left
        operand = self.lower(line.computed, target)
        if operand.source is not target:
            self.call("copy", [operand.oriented(target.transposed)], target)
        self.known[left] = Operand(target, transposed=target.transposed)
        if line.equation.right.operation == "apply":
            self.known.setdefault(line.equation.right, self.known[left])

    def lower(self, node: Expression, target: Register | None = None) -> Operand:
        """The operand that holds a node's value, computed now unless it is known."""
        if node in self.known:
            return self.known[node]
        operand = self.constant_of(node) or self._lower(node, target)
        self.known[node] = operand
        return operand

    def _lower(self, node: Expression, target: Register | None) -> Operand:
        match node.operation:
            case "add":
                return self._add(node, target)
            case "multiply":
                return self._multiply(node, target)
            case "power":
                return self._power(node, target)
            case "matmul":
                return self._matmul(node, target)
            case "transpose":
                inner = self.lower(node.arguments[0])
                return replace(inner, transposed=not inner.transposed)
            case "sum":
                return self._sum(node, target)
            case "apply":
                return self._apply(node, target)
            case "maximum" | "minimum" | "where":
                return self._elementwise(node, target)
            case "greater" | "greater_equal":
                return self._elementwise(node, None, boolean=True)
            case "vec" | "devec":
                return self._reshaped(node)
            case "vstack" | "hstack":
                return self._stacked(node, target)
            case "block":
                return self._block(node)
            case "kron" if ONE not in node.shape:
                transposed = self.register(node.shape).transposed
                factors = [self._matrix(argument, transposed) for argument in node.arguments]
                return self.emit("kron", factors, node, target)
            case "kron" | "diag" | "diagonal":
                operands = [self._plain(argument) for argument in node.arguments]
                return self.emit(node.operation, operands, node, target)
            case "column_max":
                rows = self.lower(node.arguments[0]).oriented(True)
                return self.emit("row_max", [rows], node, target)
        raise InputError(f"a program cannot compute {node.operation}")

    # elementwise operations

    def _elementwise(
        self, node: Expression, target: Register | None, boolean: bool = False
    ) -> Operand:
        transposed = holds_batch(node)
        operands = [self.lower(a).oriented(transposed) for a in node.arguments]
        return self.emit(node.operation, operands, node, target, boolean=boolean)

    def _binary(
        self, name: str, left: Operand, right: Operand, node: Expression, target: Register | None
    ) -> Operand:
        transposed = holds_batch(node)
        if left.is_boolean and right.is_boolean:
            left = self._formed(left)
        operands = [left.oriented(transposed), right.oriented(transposed)]
        return self.emit(name, operands, node, target)

    def _add(self, node: Expression, target: Register | None) -> Operand:
        signed = []
        for term in node.arguments:
            coefficient, rest = split_coefficient(term)
            negative = coefficient == -1
            signed.append((negative, rest if negative and rest.number is None else term))
        negative, first = signed[0]
        total = self.lower(first)
        if negative and first.number is None:
            total = self._emit_unary("negative", total, node)
        for place, (negative, term) in enumerate(signed[1:], start=2):
            name = "subtract" if negative and term.number is None else "add"
            last = target if place == len(signed) else None
            total = self._binary(name, total, self.lower(term), node, last)
        return total

    def _multiply(self, node: Expression, target: Register | None) -> Operand:
        constant, above, below = 1.0, [], []
        for factor in node.arguments:
            if factor.is_scalar and not symbols_of(factor):
                constant *= float(evaluate(factor, {}, self.sizes).item())
            elif factor.operation == "power" and factor.data == Fraction(-1):
                below.append(factor.arguments[0])
            elif _is_repeated_reciprocal(factor):
                below.append(matmul(factor.arguments[0], factor.arguments[1].arguments[0]))
            else:
                above.append(factor)
        if not above and not below:
            above.append(multiply(number(1), *(f for f in node.arguments if not f.is_scalar)))
        moves: list[tuple[str, Operand]] = [("multiply", self.lower(f)) for f in above]
        moves += [("divide", self.lower(factor)) for factor in below]
        if constant == -1.0 and len(moves) == 1 and above:
            return self._emit_unary("negative", moves[0][1], node, target)
        if constant != 1.0 or not above:
            moves.insert(len(above), ("multiply", number_operand(constant)))
        (_, result), *rest = moves
        for index, (name, operand) in enumerate(rest, start=1):
            last = target if index == len(rest) else None
            result = self._binary(name, result, operand, node, last)
        return result

    def _power(self, node: Expression, target: Register | None) -> Operand:
        base = self.lower(node.arguments[0])
        assert isinstance(node.data, Fraction)
        name = {
            Fraction(2): "square",
            Fraction(-1): "reciprocal",
            Fraction(1, 2): "sqrt",
        }.get(node.data)
        if name is not None:
            return self._emit_unary(name, base, node, target)
        operands = [base.oriented(holds_batch(node)), number_operand(float(node.data))]
        return self.emit("power", operands, node, target)

    def _apply(self, node: Expression, target: Register | None) -> Operand:
        function = node.data
        assert isinstance(function, Function)
        if function == LOG_ONE_PLUS_EXP:
            operand = self.lower(node.arguments[0]).oriented(holds_batch(node))
            return self.emit("logaddexp", [number_operand(0.0), operand], node, target)
        written = function.implementation
        if written is not None and function.formula is not None:
            by_hand = written.slope if function.order else written.value
            if by_hand is not None:
                name = f"{function.name}_{'slope' if function.order else 'value'}"
                self.implementations[name] = by_hand
                operand = self.lower(node.arguments[0]).oriented(holds_batch(node))
                return self.emit(f"call {name}", [operand], node, target)
        if function.formula is not None and not function.order:
            return self.lower(function.at(node.arguments[0]), target)
        if function.name not in PRIMITIVES:
            raise InputError(f"a program cannot compute {function.name}: nothing is known of it")
        return self._emit_unary(function.name, self.lower(node.arguments[0]), node, target)

    def _emit_unary(
        self, name: str, operand: Operand, node: Expression, target: Register | None = None
    ) -> Operand:
        operands = [self._formed(operand).oriented(holds_batch(node))]
        return self.emit(name, operands, node, target)

    # matrix operations

    def _matmul(self, node: Expression, target: Register | None) -> Operand:
        """From the right, so that a product ending in a vector never forms a matrix.

        A matrix that is a column times a row is formed last, if at all.
        """
        factors = node.arguments
        if ONE not in node.shape:
            inner = (place for place, factor in enumerate(factors, 1) if factor.shape[1] == ONE)
            place = next(inner, None)
            if place is not None:
                left, right = matmul(*factors[:place]), matmul(*factors[place:])
                repeats = right.operation == "ones"
                return self._outer(left, self.lower(right), repeats, node.shape, target)
        value = self.lower(matmul(*factors[1:]))
        return self._product(factors[0], value, node.shape, target)

    def _product(
        self, left: Expression, value: Operand, shape: Shape, target: Register | None
    ) -> Operand:
        first = self._formed(self.lower(left))
        value = self._formed(value)
        out = target or self.register(shape)
        if shape == SCALAR:
            operands = [first, value]
        elif shape[0] == ONE:
            operands = [value.oriented(True), first]
        elif out.transposed:
            operands = [value.oriented(True), first.oriented(True)]
        else:
            operands = [first.oriented(False), value.oriented(False)]
        return self.call("dot", operands, out)

    def _outer(
        self,
        left: Expression,
        value: Operand,
        repeats: bool,
        shape: Shape,
        target: Register | None,
    ) -> Operand:
        """A column times a row; with 𝟏 on one side nothing is computed."""
        transposed = shape[1] == BATCH
        if left.operation == "ones":
            spread = value.viewed(COLUMN) if transposed else value
            return replace(spread, transposed=transposed, broadcast=True)
        column = self.lower(left)
        if repeats:
            spread = column if transposed else column.viewed(COLUMN)
            return replace(spread, transposed=transposed, broadcast=True)
        out = target or self.register(shape)
        first, second = (value, column) if out.transposed else (column, value)
        return self.call("multiply", [first.viewed(COLUMN), second], out)

    def _formed(self, operand: Operand) -> Operand:
        """A broadcast or truth-valued operand as an array of numbers, for a matrix product."""
        if not isinstance(operand.source, Register) or not operand.source.boolean:
            return operand
        out = Register(operand.source.shape)
        self.call("copy", [Operand(operand.source)], out)
        return replace(operand, source=out)

    def _sum(self, node: Expression, target: Register | None) -> Operand:
        inner = node.arguments[0]
        out = target or Register(())
        if inner.operation == "power" and inner.data == Fraction(2):
            operand = self.lower(inner.arguments[0])
            if not operand.broadcast:
                return self.call("vdot", [operand, operand], out)
        scalars, rest = split_scalars(inner)
        if not scalars and rest is not None and rest.operation == "multiply":
            left, *others = rest.arguments
            pair = self.lower(left), self.lower(multiply(*others))
            if not any(o.broadcast or o.is_boolean for o in pair):
                same = [operand.oriented(pair[0].transposed) for operand in pair]
                return self.call("vdot", same, out)
        return self.call("sum", [self._whole(inner)], out)

    def _matrix(self, node: Expression, transposed: bool) -> Operand:
        """An operand, or its transpose, for calls that take a vector for a row."""
        operand = self.lower(node)
        if ONE not in node.shape:
            return operand.oriented(transposed)
        is_upright = (node.shape[0] == ONE) if transposed else (node.shape[1] == ONE)
        is_vector = operand.dimensions == 1 and not node.is_scalar
        return operand.viewed(COLUMN) if is_upright and is_vector else operand

    def _reshaped(self, node: Expression) -> Operand:
        inner = self.lower(node.arguments[0])
        if node.operation == "devec" and ONE in node.shape:
            return inner
        if node.operation == "devec":
            rows, columns = (dimension.size(self.sizes) for dimension in node.shape)
            return replace(inner.viewed((columns, rows)), transposed=True)
        stored = inner.oriented(True)
        rows, columns = (d.size(self.sizes) for d in node.arguments[0].shape)
        if inner.broadcast:
            out = Register((columns, rows), transposed=True)
            stored = self.call("copy", [stored], out)
        return replace(stored.viewed((rows * columns,)), transposed=False)

    def _stacked(self, node: Expression, target: Register | None) -> Operand:
        """Parts beside each other in memory, each with as many axes as the whole."""
        is_batch, shape = holds_batch(node), self.stored_shape(node)
        axis = int(len(shape) > 1 and (node.operation == "hstack") is not is_batch)
        operands = []
        for part in node.arguments:
            operand = self._whole(part).oriented(is_batch)
            rows, columns = (dimension.size(self.sizes) for dimension in part.shape)
            stored = (columns, rows) if is_batch else (rows, columns)
            wanted = stored if len(shape) > 1 else (rows * columns,)
            if operand.dimensions != len(wanted):
                operand = operand.viewed(wanted)
            operands.append(operand)
        return self.emit(f"concatenate {axis}", operands, node, target)

    def _block(self, node: Expression) -> Operand:
        """Part of a matrix, as a view of it."""
        matrix, is_batch = node.arguments[0], holds_batch(node.arguments[0])
        assert isinstance(node.data, tuple)
        bounds = []
        for start, axis, whole in zip(node.data, node.shape, matrix.shape, strict=True):
            if whole != ONE:
                first = start.size(self.sizes)
                bounds.append((first, first + axis.size(self.sizes)))
        operand = self._whole(matrix).oriented(is_batch)
        operand = operand.viewed(Part(tuple(bounds[::-1] if is_batch else bounds)))
        shape = self.stored_shape(node)
        operand = operand if len(shape) == len(bounds) else operand.viewed(shape)
        return replace(operand, transposed=holds_batch(node))

    def _whole(self, node: Expression) -> Operand:
        """A node with all its entries in memory, at least one."""
        operand = self.lower(node)
        if not operand.broadcast and (operand.dimensions or node.shape != SCALAR):
            return operand
        out = Register((1,)) if node.shape == SCALAR else self.register(node.shape)
        return self.call("copy", [operand], out)

    def _plain(self, node: Expression) -> Operand:
        operand = self.lower(node)
        return operand if ONE in node.shape else operand.oriented(False)


def _is_repeated_reciprocal(factor: Expression) -> bool:
    """Whether a factor is 𝟏 r⁻¹, a reciprocal repeated down the columns."""
    arguments = factor.arguments
    return (
        factor.operation == "matmul"
        and len(arguments) == 2
        and arguments[0].operation == "ones"
        and arguments[1].operation == "power"
        and arguments[1].data == Fraction(-1)
    )
