"""A syntax tree whose shapes are known, as an expression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from workbench.calculus.algebra import (
    add,
    divide,
    greater,
    greater_equal,
    multiply,
    negate,
    power,
)
from workbench.calculus.blocks import block, hstack, vstack
from workbench.calculus.dimensions import ONE, SCALAR, Dimension
from workbench.calculus.expressions import (
    Expression,
    constant,
    describe,
    identity,
    jacobian,
    number,
    ones,
    size,
    zero,
)
from workbench.calculus.matrices import inverse, kron, matmul, transpose
from workbench.errors import InputError, WorkbenchError
from workbench.notation.reading.inference import Inference
from workbench.notation.reading.syntax import Node
from workbench.notation.reading.tokens import TextError
from workbench.notation.reading.vocabulary import BUILTINS


@dataclass
class Building:
    """Turns nodes into expressions.

    Attributes
    ----------
    symbols : the symbol of each name.
    """

    inference: Inference
    symbols: Mapping[str, Expression]

    def expression(self, node: Node) -> Expression:
        """The expression of a node.

        Raises
        ------
        InputError
            Where the constructors refuse the operands.
        """
        try:
            return self._built(node)
        except TextError:
            raise
        except WorkbenchError as error:
            raise self._error(node, str(error)) from error

    def _error(self, node: Node, message: str) -> InputError:
        return self.inference.source.error(node.start, message)

    def _built(self, node: Node) -> Expression:
        match node.kind, node.data:
            case "number", Fraction() as value:
                if value == 0:
                    return zero(self.inference.shape(node))
                return number(value)
            case "name", str() as name:
                return self._name(name)
            case "ones", _:
                return ones(self.inference.shape(node))
            case "call", (str() as name, int() as primes):
                return self._call(node, name, primes)
            case "index", tuple() as kinds:
                return self._block(node, kinds)
        parts = [self.expression(part) for part in node.parts]
        match node.kind, node.data:
            case "sum", tuple() as signs:
                return self._sum(node, signs, parts)
            case "product", tuple() as signs:
                return self._product(node, signs, parts)
            case "elementwise", tuple() as signs:
                self._refuse_two_readings(node)
                return multiply(
                    *(power(p, -1) if s == "⊘" else p for s, p in zip(signs, parts, strict=True))
                )
            case "kron", _:
                return kron(*parts)
            case "power", (Fraction() as exponent, bool() as is_elementwise):
                return self._power(node, parts[0], exponent, is_elementwise)
            case "transpose", _:
                return transpose(parts[0])
            case "compare", str() as sign:
                left, right = parts if sign in (">", "≥") else parts[::-1]
                return (greater if sign in (">", "<") else greater_equal)(left, right)
            case "stack", tuple() as counts:
                return _stack(parts, counts)
            case "jacobian", _:
                return jacobian(*(p.arguments[0] if p.operation == "vec" else p for p in parts))
        raise AssertionError(node.kind)

    def _name(self, name: str) -> Expression:
        if name in self.symbols:
            return self.symbols[name]
        if name in self.inference.sizes:
            return size(self.inference.sizes[name])
        assert name == "pi"
        return constant("pi")

    def _call(self, node: Node, name: str, primes: int) -> Expression:
        builtin = BUILTINS.get(name)
        if builtin is not None:
            first = len(node.parts) if builtin.sizes is None else builtin.sizes
            arguments = [self.expression(part) for part in node.parts[:first]]
            sizes = [self.inference.dimension(part) for part in node.parts[first:]]
            if not sizes and id(node) in self.inference.hidden:
                sizes = self.inference.known(node, self.inference.hidden[id(node)])
            shape = self.inference.shape(node)
            return builtin.build(arguments, shape, sizes)
        function = self.inference.functions.find(name)
        assert function is not None
        argument = self.expression(node.parts[0])
        if name == "abs" and ONE not in argument.shape and self._is_in_bars(node):
            raise self._error(node, "the bars of a matrix: write det(A) or abs(A)")
        for _ in range(primes):
            function = function.prime
        return function(argument)

    def _is_in_bars(self, node: Node) -> bool:
        """Whether an absolute value is written with bars, not by its name."""
        written = self.inference.source.text[node.start :].removeprefix("\\left")
        return written.startswith(("|", "\\lvert", "\\vert"))

    def _sum(self, node: Node, signs: Sequence[int], parts: Sequence[Expression]) -> Expression:
        """A sum; a column added to a matrix is repeated in each of its columns."""
        if -1 not in signs and all(part.operation == "size" for part in parts):
            return size(self.inference.dimension(node))
        columns = self.inference.shape(node)[1]
        terms = []
        for sign, part in zip(signs, parts, strict=True):
            if part.is_column and not part.is_scalar and columns is not ONE:
                part = matmul(part, ones((ONE, columns)))
            terms.append(part if sign > 0 else negate(part))
        return add(*terms)

    def _product(self, node: Node, signs: Sequence[str], parts: Sequence[Expression]) -> Expression:
        """A product of matrices and scalars, from left to right."""
        scalars: list[Expression] = []
        chain: list[Expression] = []
        sizes = _size_names(node, parts)
        if len(sizes) > 1:
            whole = Node("product", sizes, ("",) * len(sizes), node.start, node.end)
            scalars.append(size(self.inference.dimension(whole)))
            parts = [
                number(1) if operand in sizes else part
                for operand, part in zip(node.parts, parts, strict=True)
            ]
        for operand, sign, part in zip(node.parts, signs, parts, strict=True):
            if part.is_scalar:
                scalars.append(power(part, -1) if sign == "/" else part)
            elif sign == "/":
                chain = [self._divided(operand, matmul(*chain), part)]
            else:
                if chain and part.shape[0] is not ONE and _is_number(chain):
                    scalars.append(matmul(*chain))
                    chain = []
                chain.append(part)
        return multiply(*scalars, matmul(*chain)) if chain else multiply(*scalars)

    def _divided(self, operand: Node, above: Expression, below: Expression) -> Expression:
        """A column divided by a column entry by entry; there is no other reading of it."""
        if not below.is_column:
            shown = self.inference.source.quote(operand.start, operand.end)
            raise self._error(
                operand,
                f"division by the matrix {shown}: entry by entry is ./, its inverse inv({shown})",
            )
        return divide(above, below)

    def _refuse_two_readings(self, node: Node) -> None:
        """`A .* B * C` with three matrices, which people read in two ways."""
        for part in node.parts:
            if part.kind == "product" and not part.is_grouped:
                assert isinstance(part.data, tuple)
                shapes = [self.inference.shape(factor) for factor in part.parts]
                for place, sign in enumerate(part.data):
                    if sign == "*" and SCALAR not in shapes[place - 1 : place + 1]:
                        shown = self.inference.source.quote(node.start, node.end)
                        message = f"{shown!r} can be read in two ways: put parentheses"
                        raise self._error(node, message)

    def _power(
        self, node: Node, base: Expression, exponent: Fraction, is_elementwise: bool
    ) -> Expression:
        """A power: of a square matrix its own, of everything else entry by entry."""
        rows, columns = base.shape
        if base.is_scalar or is_elementwise or ONE in (rows, columns):
            return power(base, exponent)
        if rows is not columns:
            shown = self.inference.source.quote(node.parts[0].start, node.parts[0].end)
            raise self._error(
                node,
                f"{shown} is {describe(base.shape)}, and only a square matrix has powers; entry by "
                f"entry is .^; if it is square, declare it `input {shown} : n×n`",
            )
        if exponent.denominator != 1:
            shown = self.inference.source.quote(node.parts[0].start, node.parts[0].end)
            raise self._error(
                node, f"no power {exponent} of the matrix {shown} is known; entry by entry is .^"
            )
        if exponent == 0:
            return identity(rows)
        factor = base if exponent > 0 else inverse(base)
        return matmul(*[factor] * abs(exponent.numerator))

    def _block(self, node: Node, kinds: Sequence[str]) -> Expression:
        base = self.expression(node.parts[0])
        starts, place = [Dimension.number(0), Dimension.number(0)], 1
        for axis, kind in enumerate(kinds):
            if kind == "range":
                starts[axis] = self.inference.dimension(node.parts[place]) - ONE
                end = self.inference.dimension(node.parts[place + 1])
                beyond = base.shape[axis] - end
                if any(count < 0 for _, count in (*starts[axis].terms, *beyond.terms)):
                    raise self._error(
                        node.parts[place],
                        f"the range may reach beyond 1:{base.shape[axis]!r}",
                    )
                place += 2
        rows, columns = self.inference.shape(node)
        return block(base, starts[0], rows, starts[1], columns)


def _is_number(chain: Sequence[Expression]) -> bool:
    return chain[0].shape[0] is chain[-1].shape[1] is ONE


def _stack(parts: Sequence[Expression], counts: Sequence[int]) -> Expression:
    rows, place = [], 0
    for count in counts:
        rows.append(hstack(*parts[place : place + count]))
        place += count
    return vstack(*rows)


def _size_names(node: Node, parts: Sequence[Expression]) -> tuple[Node, ...]:
    """The factors that are names of sizes, unless other scalars stand among them."""
    assert isinstance(node.data, tuple)
    found = []
    for operand, sign, part in zip(node.parts, node.data, parts, strict=True):
        if part.is_scalar and sign != "/":
            if part.operation != "size" or operand.kind != "name":
                return ()
            found.append(operand)
    return tuple(found)
