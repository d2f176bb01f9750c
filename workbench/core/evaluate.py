"""Evaluate expressions with NumPy, node by node: slow, plain, and the truth for all others.

Every matrix is an array of shape (…, rows, columns); leading axes run over many evaluations at
once. Real and complex numbers both work, so that the complex step can pass through. Functions are
analytic on each of their branches: a comparison of complex numbers looks at the real parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from workbench.calculus.dimensions import ONE, Dimension
from workbench.calculus.expressions import Expression, walk
from workbench.calculus.functions import COLUMN_SIZE, COLUMN_VARIABLE, VARIABLE, Function
from workbench.calculus.slopes import nth_derivative
from workbench.core.array_operations import (
    OPERATIONS,
    PRIMITIVE_VALUES,
    commutation,
    power,
    where,
)
from workbench.errors import InputError

Array = NDArray[Any]
Environment = Mapping[Expression, Array]
Indices = Mapping[str, int | NDArray[np.intp]]
Leaf = Callable[[Expression, Indices], Array]
"""Gives the value of a Jacobian or gradient node, at the indices bound around it."""


def evaluate(
    expression: Expression,
    environment: Environment,
    sizes: Mapping[str, int] | None = None,
    indices: Indices | None = None,
    leaf: Leaf | None = None,
) -> Array:
    """The value of an expression.

    Parameters
    ----------
    environment : values of symbols (or of whole nodes), each (…, rows, columns); an array of any
        other shape is taken entry by entry, which suits formulas of one variable.
    sizes : a size for every named dimension.
    indices : a value from 0 for every free index of an expression by entries; arrays of equal
        length give the entries at many places at once, along a leading axis.
    leaf : gives the values of nodes without arguments that the environment lacks.

    Raises
    ------
    InputError
        If a symbol has no value or an operation cannot be evaluated.

    >>> from workbench.calculus.functions import EXP, VARIABLE
    >>> evaluate(EXP(VARIABLE), {VARIABLE: np.array([0.0])})
    array([1.])
    """
    with np.errstate(all="ignore"):
        return Evaluation(environment, sizes or {}, indices or {}, leaf).value(expression)


def magnitude(
    expression: Expression,
    environment: Environment,
    sizes: Mapping[str, int] | None = None,
    indices: Indices | None = None,
    leaf: Leaf | None = None,
) -> Array:
    """The sum of the sizes of all contributions to a value, before they cancel.

    Rounding errors of the value are a few units in the last place of this. Takes the arguments of
    `evaluate`.

    >>> from workbench.calculus.algebra import subtract
    >>> from workbench.calculus.functions import EXP, VARIABLE
    >>> magnitude(subtract(VARIABLE, EXP(VARIABLE)), {VARIABLE: np.array([-1.0])}).round(3)
    array([1.736])
    """
    with np.errstate(all="ignore"):
        exact = Evaluation(environment, sizes or {}, indices or {}, leaf)
        return _Magnitude(exact).value(expression)


class Evaluation:
    """One run over an expression; other kinds of number override what differs."""

    def __init__(
        self,
        environment: Environment,
        sizes: Mapping[str, int],
        indices: Indices,
        leaf: Leaf | None,
    ) -> None:
        self.leaf = leaf
        self.environment = environment
        self.sizes = sizes
        self.indices = indices

    def value(self, root: Expression) -> Array:
        """The value of an expression."""
        if any(node.operation == "index_sum" for node in walk(root)):
            return self._by_entries(root)
        values: dict[Expression, Array] = {}
        for node in walk(root):
            values[node] = self._node(node, [values[argument] for argument in node.arguments])
        return values[root]

    def _by_entries(self, node: Expression) -> Array:
        """Sums over an index bind it, so their bodies are evaluated once for each value."""
        if node in self.environment:
            return self.environment[node]
        if node.operation != "index_sum":
            return self._node(node, [self._by_entries(part) for part in node.arguments])
        index, dimension = _bound_index(node)
        total = np.zeros(())
        for place in range(dimension.size(self.sizes)):
            bound = {**self.indices, index: place}
            inner = Evaluation(self.environment, self.sizes, bound, self.leaf)
            total = total + inner._by_entries(node.arguments[0])
        return total

    def _node(self, node: Expression, arguments: list[Array]) -> Array:
        if node in self.environment:
            return self.environment[node]
        if not node.arguments:
            return self._leaf(node)
        match node.operation:
            case "entry":
                return _entry(arguments[0], node.arguments[0], self._places(node))
            case "devec":
                rows, columns = self._shape(node)
                stacked = arguments[0].reshape(*arguments[0].shape[:-2], columns, rows)
                return np.swapaxes(stacked, -1, -2)
            case "block":
                return _block(arguments[0], node, self.sizes)
            case "power":
                return power(arguments[0], _exponent(node))
            case "apply":
                return _applied(node, arguments[0])
            case operation if operation in OPERATIONS:
                return OPERATIONS[operation](*arguments)
        raise InputError(f"{node.operation} cannot be evaluated")

    def _leaf(self, node: Expression) -> Array:
        if node.number is not None:
            return np.asarray(float(node.number))
        match node.operation:
            case "constant":
                return np.asarray(np.pi)
            case "size":
                assert isinstance(node.data, Dimension)
                return np.asarray(float(node.data.size(self.sizes)))
            case "ones":
                return np.ones(self._shape(node))
            case "zero":
                return np.zeros(self._shape(node))
            case "identity":
                return np.eye(self._shape(node)[0])
            case "commutation":
                return self._commutation(node)
            case "delta":
                left, right = self._places(node)
                return np.asarray(left == right, dtype=float)[..., None, None]
        if self.leaf is not None:
            return self.leaf(node, self.indices)
        raise InputError(f"no value is given for {node!r}")

    def _commutation(self, node: Expression) -> Array:
        assert isinstance(node.data, tuple)
        rows, columns = (dimension.size(self.sizes) for dimension in node.data)
        return commutation(rows, columns)

    def _shape(self, node: Expression) -> tuple[int, int]:
        return node.shape[0].size(self.sizes), node.shape[1].size(self.sizes)

    def _places(self, node: Expression) -> list[NDArray[np.intp]]:
        assert isinstance(node.data, tuple)
        return [np.asarray(self.indices[name]) for name in node.data]


class _Magnitude(Evaluation):
    """Values of the nodes beside the sums of the sizes of what they are made of."""

    def __init__(self, exact: Evaluation) -> None:
        super().__init__(exact.environment, exact.sizes, exact.indices, exact.leaf)

    def value(self, root: Expression) -> Array:
        return self._by_entries(root)

    def _by_entries(self, node: Expression) -> Array:
        if node in self.environment or not node.arguments:
            return np.asarray(np.abs(super()._node(node, [])))
        if node.operation != "index_sum":
            return self._node(node, [self._by_entries(part) for part in node.arguments])
        index, dimension = _bound_index(node)
        total = np.zeros(())
        for place in range(dimension.size(self.sizes)):
            exact = Evaluation(
                self.environment, self.sizes, {**self.indices, index: place}, self.leaf
            )
            total = total + _Magnitude(exact).value(node.arguments[0])
        return total

    def _node(self, node: Expression, arguments: list[Array]) -> Array:
        match node.operation:
            case "maximum" | "minimum":
                return np.asarray(np.maximum(*arguments))
            case "greater" | "greater_equal":
                return np.ones(np.broadcast_shapes(*(value.shape for value in arguments)))
            case "where":
                return where(self._exact(node.arguments[0]), *arguments[1:])
            case "power":
                base = np.abs(self._exact(node.arguments[0]))
                value = np.abs(power(base, _exponent(node)))
                return np.asarray(value * np.maximum(1, arguments[0] / base))
            case "apply":
                inner = self._exact(node.arguments[0])
                value = np.asarray(np.abs(_applied(node, inner)))
                if isinstance(node.data, Function) and node.data.order:
                    return value
                moved = _applied(node, inner + 1e-30j * arguments[0])
                return np.asarray(value + np.abs(np.imag(moved)) / 1e-30)
        return super()._node(node, arguments)

    def _exact(self, node: Expression) -> Array:
        exact = Evaluation(self.environment, self.sizes, self.indices, self.leaf)
        return exact.value(node)


def _exponent(node: Expression) -> float:
    assert isinstance(node.data, Fraction)
    return float(node.data)


def _bound_index(node: Expression) -> tuple[str, Dimension]:
    assert isinstance(node.data, tuple)
    return node.data[0], node.data[1]


def _entry(value: Array, matrix: Expression, places: list[NDArray[np.intp]]) -> Array:
    """Entries of one matrix at one place or many."""
    start = np.zeros((), dtype=np.intp)
    row = start if matrix.shape[0] == ONE else places[0]
    column = start if matrix.is_column else places[-1]
    return np.asarray(value[row, column])[..., None, None]


def _block(value: Array, node: Expression, sizes: Mapping[str, int]) -> Array:
    assert isinstance(node.data, tuple)
    above, left = (start.size(sizes) for start in node.data)
    rows, columns = (dimension.size(sizes) for dimension in node.shape)
    return value[..., above : above + rows, left : left + columns]


def _applied(node: Expression, argument: Array) -> Array:
    function = node.data
    assert isinstance(function, Function)
    if function.is_undetermined:
        return _stand_in(function, argument)
    if function.formula is None:
        return np.asarray(PRIMITIVE_VALUES[function.name](argument))
    if function.order == 1 and not np.iscomplexobj(argument):
        return _complex_step(function, argument)
    if function.order:
        formula = nth_derivative(function.formula, function.order)
        return np.broadcast_to(evaluate(formula, {VARIABLE: argument}), argument.shape)
    if function.columnwise:
        return _columnwise(function, argument)
    return _at(function, argument)


def _at(function: Function, argument: Array) -> Array:
    assert function.formula is not None
    return np.broadcast_to(evaluate(function.formula, {VARIABLE: argument}), argument.shape)


def _complex_step(function: Function, argument: Array) -> Array:
    """f′ from the formula of f alone, so that a derived f′ can be held against it."""
    step = 1e-30
    return np.imag(_at(function, argument + 1j * step)) / step


def _stand_in(function: Function, argument: Array) -> Array:
    """Some smooth function for an undetermined one: a sine, and its derivatives."""
    rate, phase = 0.5 + crc32(function.name.encode()) % 97 / 97, len(function.name)
    turned = rate * argument + phase + function.order * np.pi / 2
    return np.asarray(rate**function.order * np.sin(turned))


def _columnwise(function: Function, argument: Array) -> Array:
    """Each column on its own: the columns become a leading axis."""
    assert function.formula is not None
    columns = np.swapaxes(argument, -1, -2)[..., None]
    sizes = {COLUMN_SIZE.names[0]: argument.shape[-2]}
    values = evaluate(function.formula, {COLUMN_VARIABLE: columns}, sizes)
    return np.swapaxes(np.broadcast_to(values, columns.shape)[..., 0], -1, -2)
