"""From expressions to a flat list of NumPy calls.

Each call writes one new register; buffers are shared out later. A batch is stored with a sample a
row, the transpose of the column convention on paper: such a value is marked `transposed`, and a
transpose costs nothing. Vectors are one-dimensional. Outer products with 𝟏 are never formed: the
vector is broadcast where it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from workbench.calculus.algebra import multiply, split_coefficient, split_scalars
from workbench.calculus.dimensions import ONE, SCALAR, Shape
from workbench.calculus.expressions import Expression, number, symbols_of
from workbench.calculus.functions import Function
from workbench.calculus.matrices import matmul
from workbench.core.calls import PRIMITIVE_CALLS, Block, Call, Operand, Register
from workbench.core.evaluate import evaluate
from workbench.core.numerics import LOG_ONE_PLUS_EXP, Line
from workbench.derivation.network import BATCH
from workbench.errors import InputError

Sizes = Mapping[str, int]


class Lowering:
    """Lowers equations one after another, sharing what they have in common.

    Attributes
    ----------
    blocks : the calls so far, an equation a block.
    constants : named constants as source text, made once before the first step.
    implementations : hand-written functions that the calls use, by name.
    """

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self.blocks: list[Block] = []
        self.constants: dict[str, str] = {}
        self.implementations: dict[str, Callable[..., object]] = {}
        self.known: dict[Expression, Operand] = {}

    def give(self, symbol: Expression, name: str) -> Register:
        """Declare a symbol whose array comes from outside."""
        register = Register(self._stored_shape(symbol), name=name, is_given=True)
        self.known[symbol] = Operand(register, transposed=_is_batch(symbol))
        return register

    def compute(self, line: Line, target: Register) -> None:
        """Lower one equation into a register and remember its left side.

        Raises
        ------
        InputError
            If an operation cannot be computed in a program.
        """
        self.blocks.append(Block(line))
        left = line.equation.left
        transposed = _is_batch(left)
        operand = self.lower(line.computed, target)
        if operand.source is not target:
            if target.shape == ():
                self._call("{out} = {0}", [operand], target)
            else:
                self._call("copyto({out}, {0})", [operand.oriented(transposed)], target)
        self.known[left] = Operand(target, transposed=transposed)
        if line.equation.right.operation == "apply":
            self.known.setdefault(line.equation.right, self.known[left])

    def lower(self, node: Expression, target: Register | None = None) -> Operand:
        """The operand that holds a node's value, computed now unless it is known."""
        if node in self.known:
            return self.known[node]
        operand = self._constant(node) or self._lower(node, target)
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
            case "maximum" | "minimum":
                call = f"{node.operation}({{0}}, {{1}}, out={{out}})"
                return self._elementwise(call, node, target)
            case "greater" | "greater_equal":
                call = f"{node.operation}({{0}}, {{1}}, {{out}})"
                return self._elementwise(call, node, None, boolean=True)
            case "where":
                return self._elementwise("{out}[...] = where({0}, {1}, {2})", node, target)
            case "vec" | "devec":
                return self._reshaped(node)
            case "kron" | "diag" | "diagonal":
                call = f"{{out}}[...] = {node.operation}" + (
                    "({0}, {1})" if node.operation == "kron" else "({0})"
                )
                operands = [self._plain(argument) for argument in node.arguments]
                return self._emit(call, operands, node, target)
            case "column_max":
                rows = self.lower(node.arguments[0]).oriented(True)
                return self._emit("maximum.reduce({0}, 1, None, {out})", [rows], node, target)
        raise InputError(f"a program cannot compute {node.operation}")

    # constants

    def _constant(self, node: Expression) -> Operand | None:
        if symbols_of(node) or any(n.operation == "jacobian" for n in (node, *node.arguments)):
            return None
        if node.is_scalar:
            return self._number(float(evaluate(node, {}, self.sizes).item()))
        shape = self._stored_shape(node)
        numbers = "_".join(map(str, shape))
        match node.operation:
            case "ones":
                name = self._named(f"ones_{numbers}", f"ones({shape}, dtype)")
            case "zero":
                name = self._named(f"zeros_{numbers}", f"zeros({shape}, dtype)")
            case "identity":
                name = self._named(f"identity_{shape[0]}", f"eye({shape[0]}, dtype=dtype)")
            case _:
                return None
        return Operand(name, transposed=_is_batch(node), reshaped_to=len(shape))

    def _number(self, value: float) -> Operand:
        for name, text in self.constants.items():
            if text == f"array({value!r}, dtype)":
                return Operand(name, broadcast=True)
        index = sum(name.startswith("constant_") for name in self.constants) + 1
        return Operand(self._named(f"constant_{index}", f"array({value!r}, dtype)"), broadcast=True)

    def _named(self, name: str, text: str) -> str:
        self.constants[name] = text
        return name

    # elementwise operations

    def _elementwise(
        self, call: str, node: Expression, target: Register | None, boolean: bool = False
    ) -> Operand:
        transposed = _is_batch(node)
        operands = [self.lower(a).oriented(transposed) for a in node.arguments]
        if node.is_scalar:
            call = _scalar_call(call)
        return self._emit(call, operands, node, target, in_place=True, boolean=boolean)

    def _binary(
        self, name: str, left: Operand, right: Operand, node: Expression, target: Register | None
    ) -> Operand:
        transposed = _is_batch(node)
        if left.is_boolean and right.is_boolean:
            left = self._formed(left)
        operands = [left.oriented(transposed), right.oriented(transposed)]
        if node.is_scalar:
            sign = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}[name]
            return self._emit(f"{{out}} = {{0}} {sign} {{1}}", operands, node, target)
        return self._emit(f"{name}({{0}}, {{1}}, {{out}})", operands, node, target, in_place=True)

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
            times = Operand(repr(constant)) if node.is_scalar else self._number(constant)
            moves.insert(len(above), ("multiply", times))
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
        exponent = self._number(float(node.data))
        operands = [base.oriented(_is_batch(node)), exponent]
        call = "{out} = power({0}, {1})" if node.is_scalar else "power({0}, {1}, {out})"
        return self._emit(call, operands, node, target, in_place=True)

    def _apply(self, node: Expression, target: Register | None) -> Operand:
        function = node.data
        assert isinstance(function, Function)
        if function == LOG_ONE_PLUS_EXP:
            operands = [
                self._number(0.0),
                self.lower(node.arguments[0]).oriented(_is_batch(node)),
            ]
            call = "{out} = logaddexp({0}, {1})" if node.is_scalar else "logaddexp({0}, {1}, {out})"
            return self._emit(call, operands, node, target, in_place=True)
        written = function.implementation
        if written is not None and function.formula is not None:
            by_hand = written.slope if function.order else written.value
            if by_hand is not None:
                name = f"{function.name}_{'slope' if function.order else 'value'}"
                self.implementations[name] = by_hand
                operand = self.lower(node.arguments[0]).oriented(_is_batch(node))
                return self._emit(f"{{out}}[...] = {name}({{0}})", [operand], node, target)
        if function.formula is not None and not function.order:
            return self.lower(function.at(node.arguments[0]), target)
        operand = self.lower(node.arguments[0])
        return self._emit_unary(PRIMITIVE_CALLS[function.name], operand, node, target)

    def _emit_unary(
        self, name: str, operand: Operand, node: Expression, target: Register | None = None
    ) -> Operand:
        operands = [self._formed(operand).oriented(_is_batch(node))]
        call = f"{{out}} = {name}({{0}})" if node.is_scalar else f"{name}({{0}}, {{out}})"
        return self._emit(call, operands, node, target, in_place=True)

    # matrix operations

    def _matmul(self, node: Expression, target: Register | None) -> Operand:
        """From the right, so that a product ending in a vector never forms a matrix."""
        left, right = node.arguments[0], matmul(*node.arguments[1:])
        value = self.lower(right)
        if left.shape[1] == ONE and ONE not in node.shape:
            return self._outer(left, value, right.operation == "ones", node.shape, target)
        return self._product(left, value, node.shape, target)

    def _product(
        self, left: Expression, value: Operand, shape: Shape, target: Register | None
    ) -> Operand:
        first = self._formed(self.lower(left))
        value = self._formed(value)
        transposed = shape[1] == BATCH and shape[0] != ONE
        out = target or Register(self._numeric(shape, transposed))
        if shape == SCALAR:
            return self._call("{out} = dot({0}, {1})", [first, value], out)
        if shape[0] == ONE:
            operands = [value.oriented(True), first]
        elif transposed:
            operands = [value.oriented(True), first.oriented(True)]
        else:
            operands = [first.oriented(False), value.oriented(False)]
        return self._call("dot({0}, {1}, {out})", operands, out, transposed)

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
            view = "[:, None]" if transposed else ""
            return replace(value, view=value.view + view, transposed=transposed, broadcast=True)
        column = self.lower(left)
        if repeats:
            view = "" if transposed else "[:, None]"
            return replace(column, view=column.view + view, transposed=transposed, broadcast=True)
        out = target or Register(self._numeric(shape, transposed))
        first, second = (value, column) if transposed else (column, value)
        spread = replace(first, view=first.view + "[:, None]")
        return self._call("multiply({0}, {1}, {out})", [spread, second], out, transposed)

    def _formed(self, operand: Operand) -> Operand:
        """A broadcast or truth-valued operand as an array of numbers, for a matrix product."""
        if not isinstance(operand.source, Register) or not operand.source.boolean:
            return operand
        out = Register(operand.source.shape)
        plain = Operand(operand.source)
        return replace(operand, source=self._call("copyto({out}, {0})", [plain], out).source)

    def _sum(self, node: Expression, target: Register | None) -> Operand:
        inner = node.arguments[0]
        out = target or Register(())
        if inner.operation == "power" and inner.data == Fraction(2):
            operand = self.lower(inner.arguments[0])
            if not operand.broadcast:
                return self._call("{out} = vdot({0}, {0})", [operand], out)
        scalars, rest = split_scalars(inner)
        if not scalars and rest is not None and rest.operation == "multiply":
            left, *others = rest.arguments
            pair = self.lower(left), self.lower(multiply(*others))
            if not any(o.broadcast or o.is_boolean for o in pair):
                same = [operand.oriented(pair[0].transposed) for operand in pair]
                return self._call("{out} = vdot({0}, {1})", same, out)
        return self._call("{out} = add.reduce({0}, None)", [self.lower(inner)], out)

    def _reshaped(self, node: Expression) -> Operand:
        inner = self.lower(node.arguments[0])
        if node.operation == "devec":
            rows, columns = (dimension.size(self.sizes) for dimension in node.shape)
            view = f"{inner.view}.reshape({columns}, {rows})"
            return replace(inner, view=view, transposed=True, reshaped_to=2)
        stored = inner.oriented(True)
        if inner.broadcast:
            rows, columns = (d.size(self.sizes) for d in node.arguments[0].shape)
            out = Register((columns, rows))
            stored = self._call("{out}[...] = {0}", [stored], out, True)
        view = stored.view + ".reshape(-1)"
        return replace(stored, view=view, transposed=False, reshaped_to=1)

    def _plain(self, node: Expression) -> Operand:
        operand = self.lower(node)
        return operand if ONE in node.shape else operand.oriented(False)

    # emission

    def _emit(
        self,
        template: str,
        operands: Sequence[Operand],
        node: Expression,
        target: Register | None,
        in_place: bool = False,
        boolean: bool = False,
    ) -> Operand:
        transposed = _is_batch(node)
        shape = self._stored_shape(node)
        usable = target is not None and target.shape == shape and not boolean
        out = target if usable and target is not None else Register(shape, boolean)
        return self._call(template, operands, out, transposed, in_place)

    def _call(
        self,
        template: str,
        operands: Sequence[Operand],
        out: Register,
        transposed: bool = False,
        in_place: bool = False,
    ) -> Operand:
        self.blocks[-1].calls.append(Call(template, tuple(operands), out, in_place))
        return Operand(out, transposed=transposed)

    def _stored_shape(self, node: Expression) -> tuple[int, ...]:
        return self._numeric(node.shape, _is_batch(node))

    def _numeric(self, shape: Shape, transposed: bool) -> tuple[int, ...]:
        sizes = [dimension.size(self.sizes) for dimension in shape if dimension != ONE]
        return tuple(reversed(sizes)) if transposed else tuple(sizes)


def _is_batch(node: Expression) -> bool:
    """Whether a node is stored with a sample a row."""
    return node.shape[1] == BATCH and node.shape[0] != ONE


def _scalar_call(call: str) -> str:
    for form in (", out={out}", ", {out}", "{out}[...] = "):
        call = call.replace(form, "")
    return "{out} = " + call


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
