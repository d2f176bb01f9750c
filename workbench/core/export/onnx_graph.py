"""From expressions to the nodes of an ONNX graph.

A tensor holds the transpose of the matrix on paper: a batch has a sample a row there, as ONNX has
it, and a product stands the other way round. What is repeated along an axis (b 𝟏ᵀ, a scalar) is
kept narrow there and broadcast where it is used.

The operators are those that onnxruntime computes in single and in double precision; what it has in
single precision alone is said by `needs_single`. A function that is no operator is put in by its
formula.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.calculus.algebra import add, divide, maximum, multiply, negate, power, scaled
from workbench.calculus.dimensions import ONE, Dimension
from workbench.calculus.expressions import Expression, number, symbols_of, walk
from workbench.calculus.functions import ABS, COS, COSH, ERF, EXP, LOG, SIN, TANH, Function
from workbench.calculus.matrices import matmul
from workbench.core.evaluate import evaluate
from workbench.core.numerics import LOG_ONE_PLUS_EXP
from workbench.derivation.network import BATCH
from workbench.errors import InputError

if TYPE_CHECKING:
    import onnx

OPERATORS = {
    "exp": "Exp",
    "log": "Log",
    "sin": "Sin",
    "cos": "Cos",
    "arctan": "Atan",
    "tanh": "Tanh",
    "sign": "Sign",
    "abs": "Abs",
    "erf": "Erf",
    "greater": "Greater",
    "greater_equal": "GreaterOrEqual",
    "maximum": "Max",
    "minimum": "Min",
}

SINGLE_ONLY = ("arctan", "erf", "Phi")
"""The functions that onnxruntime (1.32) computes in single precision alone."""

FORMULAS: dict[str, Callable[[Expression], Expression]] = {
    "tan": lambda u: divide(SIN(u), COS(u)),
    "sinh": lambda u: multiply(TANH(u), COSH(u)),
    "cosh": lambda u: scaled(Fraction(1, 2), add(EXP(u), EXP(negate(u)))),
    "Phi": lambda u: scaled(
        Fraction(1, 2), add(number(1), ERF(multiply(power(number(2), Fraction(-1, 2)), u)))
    ),
    LOG_ONE_PLUS_EXP.name: lambda u: add(
        maximum(u, number(0)), LOG(add(number(1), EXP(negate(ABS(u)))))
    ),
}
"""The functions that ONNX lacks, or onnxruntime in double precision, by those it has."""


def needs_single(expressions: Iterable[Expression]) -> str | None:
    """The first function in expressions that is not to be had in double precision."""
    functions = (node.data for node in walk(*expressions))
    names = (f.name for f in functions if isinstance(f, Function))
    return next((name for name in names if name in SINGLE_ONLY), None)


class Value(NamedTuple):
    """A tensor by name.

    Attributes
    ----------
    repeated : whether it is repeated along the columns and along the rows of the matrix.
    is_truth : whether its entries are truth values.
    """

    name: str
    repeated: tuple[bool, bool] = (False, False)
    is_truth: bool = False


@dataclass
class Graph:
    """Lowers equations one after another, in one type of number at a time.

    Attributes
    ----------
    sizes : of every dimension but the batch.
    inputs : the name of the graph's input, whose first axis is the batch.
    dtype : of the numbers that are computed now.
    nodes, initializers : the graph so far.
    """

    sizes: dict[str, int]
    inputs: str
    dtype: np.dtype[Any]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)
    _values: dict[Expression, Value] = field(default_factory=dict)
    _constants: dict[tuple[object, ...], str] = field(default_factory=dict)

    def give(self, symbol: Expression, name: str) -> None:
        """Say in which tensor a symbol is."""
        self._values[symbol] = Value(name)

    def store(self, symbol: Expression, array: NDArray[Any]) -> None:
        """Put an array into the graph: a matrix transposed, a column as a row."""
        name = symbol.symbol.name
        rows = array.reshape(1, -1) if array.ndim < 2 else array.T
        self._initialize(name, rows.astype(self.dtype))
        self.give(symbol, name)

    def compute(self, symbol: Expression, right: Expression) -> str:
        """Lower an equation and return the tensor that holds its left side.

        Raises
        ------
        InputError
            If there is an operation that the graph cannot compute.
        """
        name = self._full(right)
        self.give(symbol, name)
        return name

    def cast(self, symbol: Expression, dtype: np.dtype[Any]) -> None:
        """Go on from this symbol alone, with another type of number."""
        if dtype != self.dtype:
            name = self._node("Cast", self._values[symbol].name, to=element_type(dtype))
            self.dtype, self._values = dtype, {symbol: Value(name)}

    def lower(self, node: Expression) -> Value:
        """The tensor of a node, computed now unless it is known."""
        if node not in self._values:
            self._values[node] = self._lower(node)
        return self._values[node]

    def _lower(self, node: Expression) -> Value:
        if node.is_scalar and not symbols_of(node):
            value = evaluate(node, {}, self.sizes).item()
            return Value(self._constant(value, self.dtype), (True, True))
        match node.operation:
            case "ones" | "zero":
                value = 1.0 if node.operation == "ones" else 0.0
                return Value(self._constant(value, self.dtype), (True, True))
            case "add":
                return self._combined("Add", node.arguments)
            case "multiply":
                return self._product(node)
            case "power":
                return self._power(node)
            case "apply":
                return self._apply(node)
            case "where":
                return self._where(node)
            case "greater" | "greater_equal":
                compared = self._combined(OPERATORS[node.operation], node.arguments)
                return compared._replace(is_truth=True)
            case "maximum" | "minimum":
                return self._combined(OPERATORS[node.operation], node.arguments)
            case "matmul":
                return self._matmul(node)
            case "transpose":
                return Value(self._node("Transpose", self._full(node.arguments[0])))
            case "block":
                return Value(self._block(node))
            case "vstack" | "hstack":
                parts = map(self._full, node.arguments)
                axis = 1 if node.operation == "vstack" else 0
                return Value(self._node("Concat", *parts, axis=axis))
            case "sum":
                return Value(self._node("ReduceSum", self._full(node.arguments[0])))
            case "column_max":
                return Value(self._node("ReduceMax", self._full(node.arguments[0]), axes=[1]))
        raise InputError(f"an ONNX file cannot compute {node.operation}; choose another format")

    # elementwise operations

    def _combined(self, operator: str, nodes: Iterable[Expression]) -> Value:
        """A chain of one operator of two operands."""
        first, *others = (self._number(node) for node in nodes)
        for other in others:
            first = self._binary(operator, first, other)
        return first

    def _binary(self, operator: str, left: Value, right: Value) -> Value:
        return Value(self._node(operator, left.name, right.name), _repeated(left, right))

    def _unary(self, operator: str, value: Value) -> Value:
        return Value(self._node(operator, value.name), value.repeated)

    def _number(self, node: Expression) -> Value:
        """A node in numbers, 1 and 0 for truth values."""
        value = self.lower(node)
        if not value.is_truth:
            return value
        name = self._node("Cast", value.name, to=element_type(self.dtype))
        return Value(name, value.repeated)

    def _product(self, node: Expression) -> Value:
        below = {factor: divisor for factor in node.arguments if (divisor := _divisor(factor))}
        above = [factor for factor in node.arguments if factor not in below] or [number(1)]
        product = self._combined("Mul", above)
        for divisor in below.values():
            product = self._binary("Div", product, self._number(divisor))
        return product

    def _power(self, node: Expression) -> Value:
        divisor = _divisor(node)
        if divisor is not None:
            return self._unary("Reciprocal", self._number(divisor))
        base = self._number(node.arguments[0])
        match node.data:
            case Fraction(numerator=2, denominator=1):
                return self._binary("Mul", base, base)
            case Fraction(numerator=1, denominator=2):
                return self._unary("Sqrt", base)
            case Fraction() as exponent:
                constant = self._constant(float(exponent), self.dtype)
                return Value(self._node("Pow", base.name, constant), base.repeated)
        raise InputError(f"an ONNX file cannot compute {node!r}; choose another format")

    def _apply(self, node: Expression) -> Value:
        function, (argument,) = node.data, node.arguments
        assert isinstance(function, Function)
        if function.name in FORMULAS:
            return self.lower(FORMULAS[function.name](argument))
        if function.name not in OPERATORS:
            raise InputError(f"an ONNX file cannot compute {function.name}; choose another format")
        return self._unary(OPERATORS[function.name], self._number(argument))

    def _where(self, node: Expression) -> Value:
        condition, yes, no = node.arguments
        chosen, *others = self.lower(condition), self._number(yes), self._number(no)
        if not chosen.is_truth:
            truth = self._node("Cast", chosen.name, to=element_type(np.dtype(bool)))
            chosen = Value(truth, chosen.repeated)
        name = self._node("Where", chosen.name, *(other.name for other in others))
        return Value(name, _repeated(chosen, *others))

    # matrices

    def _matmul(self, node: Expression) -> Value:
        """From the right; what is multiplied by 𝟏 is repeated or summed."""
        left, right = node.arguments[0], matmul(*node.arguments[1:])
        if left.operation == "ones" and left.is_column:
            row = self._number(right)
            return Value(row.name, (row.repeated[0], True))
        if right.operation == "ones" and right.shape[0] == ONE:
            column = self._number(left)
            return Value(column.name, (True, column.repeated[1]))
        if left.operation == "ones" and left.shape[0] == ONE:
            return Value(self._sum(right, axis=1))
        if right.operation == "ones" and right.is_column:
            return Value(self._sum(left, axis=0))
        return Value(self._node("MatMul", self._full(right), self._full(left)))

    def _block(self, node: Expression) -> str:
        """Some rows and some columns, along the axes on which they are not all."""
        (whole,) = node.arguments
        assert isinstance(node.data, tuple)
        tensor = self._full(whole)
        for axis, start in zip((1, 0), node.data, strict=True):
            length = node.shape[1 - axis]
            if length != whole.shape[1 - axis]:
                begin = start.size(self.sizes)
                ends = (begin, begin + length.size(self.sizes), axis)
                limits = [self._constant([end], np.dtype(np.int64)) for end in ends]
                tensor = self._node("Slice", tensor, *limits)
        return tensor

    def _sum(self, node: Expression, axis: int) -> str:
        axes = self._constant([axis], np.dtype(np.int64))
        return self._node("ReduceSum", self._full(node), axes)

    def _full(self, node: Expression) -> str:
        """A node's tensor at its full size."""
        value = self._number(node)
        columns, rows = value.repeated
        if not (columns and node.shape[1] != ONE) and not (rows and node.shape[0] != ONE):
            return value.name
        return self._node("Expand", value.name, self._shape(node))

    def _shape(self, node: Expression) -> str:
        return self._node("Concat", *map(self._extent, reversed(node.shape)), axis=0)

    def _extent(self, dimension: Dimension) -> str:
        if dimension is BATCH:
            return self._node("Shape", self.inputs, start=0, end=1)
        return self._constant([dimension.size(self.sizes)], np.dtype(np.int64))

    # the graph

    def _node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        from onnx import helper

        name = f"{operator.lower()}_{len(self.nodes) + 1}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def _constant(self, value: float | list[int], dtype: np.dtype[Any]) -> str:
        key = (str(value), dtype)
        if key not in self._constants:
            self._constants[key] = f"constant_{len(self._constants) + 1}"
            self._initialize(self._constants[key], np.array(value, dtype))
        return self._constants[key]

    def _initialize(self, name: str, array: NDArray[Any]) -> None:
        from onnx import numpy_helper

        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))


def element_type(dtype: np.dtype[Any]) -> int:
    """ONNX's number for a type of NumPy.

    >>> import pytest
    >>> _ = pytest.importorskip("onnx")
    >>> element_type(np.dtype("float32"))
    1
    """
    from onnx import helper

    return int(helper.np_dtype_to_tensor_dtype(dtype))


def _repeated(*values: Value) -> tuple[bool, bool]:
    """Along which axes what is computed from values entry by entry is repeated."""
    columns, rows = zip(*(value.repeated for value in values), strict=True)
    return all(columns), all(rows)


def _divisor(factor: Expression) -> Expression | None:
    """What a factor divides by, if it is a negative power or a row or column of them, repeated."""
    if factor.operation == "power" and isinstance(factor.data, Fraction) and factor.data < 0:
        return power(factor.arguments[0], -factor.data)
    if factor.operation == "matmul" and len(factor.arguments) == 2:
        left, right = factor.arguments
        if left.operation == "ones" and left.is_column and (row := _divisor(right)):
            return matmul(left, row)
        if right.operation == "ones" and right.shape[0] == ONE and (column := _divisor(left)):
            return matmul(column, right)
    return None
