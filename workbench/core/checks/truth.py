"""The truth of everything a step can mention, in any arithmetic.

The truth of a local Jacobian ∂v/∂u comes from moving u in the one equation that defines v; the
truth of a gradient is those Jacobians chained as numbers. What moving means is the arithmetic's
business: the complex step in floating point, power series modulo a prime.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from math import prod
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from workbench.calculus.closed_form import gradient
from workbench.calculus.dimensions import ONE
from workbench.calculus.expressions import Expression, length, make, symbols_of, walk
from workbench.calculus.functions import COLUMN_SIZE, COLUMN_VARIABLE, VARIABLE, Function
from workbench.core.checks.draws import Values, shape_of
from workbench.core.checks.small_sizes import cost, require_affordable
from workbench.core.evaluate import Array, Indices, Leaf, evaluate
from workbench.derivation.steps import Derivation, Step, variable_of
from workbench.derivation.system import System, put_in

STEP = 1e-30

LARGEST_CHANGE = 1 << 58

Pair = tuple[Array, Array]
"""What a stage gives, and the truth of the goal."""


class Arithmetic(Protocol):
    """Numbers of some kind, and what it means to move them."""

    def value(
        self,
        expression: Expression,
        values: Mapping[Expression, Array],
        sizes: Mapping[str, int],
        indices: Indices | None = None,
        leaf: Leaf | None = None,
    ) -> Array:
        """The value of an expression, as `evaluate` gives it."""

    def slope(
        self,
        expression: Expression,
        values: Mapping[Expression, Array],
        directions: Mapping[Expression, Array],
        sizes: Mapping[str, int],
    ) -> Array:
        """How the value changes when symbols move along directions, one for each leading index."""

    def whole(self, value: Array) -> Array:
        """Whole numbers of an array as numbers of this kind."""

    def reduced(self, value: Array) -> Array:
        """The representatives of sums and products."""


class Floating:
    """Float64 and the complex step (Squire and Trapp, 1998)."""

    def value(
        self,
        expression: Expression,
        values: Mapping[Expression, Array],
        sizes: Mapping[str, int],
        indices: Indices | None = None,
        leaf: Leaf | None = None,
    ) -> Array:
        """The value of an expression, as `evaluate` gives it."""
        return evaluate(expression, values, sizes, indices, leaf)

    def slope(
        self,
        expression: Expression,
        values: Mapping[Expression, Array],
        directions: Mapping[Expression, Array],
        sizes: Mapping[str, int],
    ) -> Array:
        """The complex step along directions."""
        moved = {s: values[s] + 1j * STEP * direction for s, direction in directions.items()}
        return np.imag(evaluate(expression, {**values, **moved}, sizes)) / STEP

    def whole(self, value: Array) -> Array:
        """Whole numbers as floats."""
        return value.astype(float)

    def reduced(self, value: Array) -> Array:
        """As it is."""
        return value


class Truth:
    """Values of symbols, Jacobians and gradients of a derivation's system at one point.

    Attributes
    ----------
    values : the value of every symbol.
    sizes : a size for every dimension.

    Raises
    ------
    InputError
        If the sizes are too large.
    """

    def __init__(
        self,
        derivation: Derivation,
        sizes: Mapping[str, int],
        values: Values,
        arithmetic: Arithmetic,
    ) -> None:
        self.derivation, self.system = derivation, derivation.system
        require_affordable(cost(self.system, sizes))
        self.sizes, self.values, self.arithmetic = sizes, values, arithmetic
        self._locals: dict[tuple[Expression, Expression], Array] = {}
        self._hessians: dict[Expression, Array] = {}
        self.totals = self._chain()

    def shape(self, node: Expression) -> tuple[int, int]:
        """Rows and columns of a node as numbers."""
        return shape_of(node, self.sizes)

    @property
    def entries(self) -> int:
        """The entries of all local Jacobians together: what a truth costs."""
        return jacobian_entries(self.system, self.sizes)

    def local(self, left: Expression, variable: Expression) -> Array:
        """∂left/∂variable over vec, (entries of variable)×(entries of left)."""
        if left.operation == "jacobian":
            return self.hessian(variable)
        key = (left, variable)
        if key not in self._locals:
            entries = prod(self.shape(variable))
            right = self.system.definitions[left].right
            along = {variable: self._units(variable)}
            moved = self.arithmetic.slope(right, self.values, along, self.sizes)
            moved = np.broadcast_to(moved, (entries, *self.shape(left)))
            self._locals[key] = moved.swapaxes(-1, -2).reshape(entries, -1)
        return self._locals[key]

    def total(self, variable: Expression) -> Array:
        """dL/dvariable over vec, (entries of variable)×(entries of L)."""
        rows, columns = self.shape(variable)
        shape = (rows * columns, prod(self.shape(self.system.loss)))
        nothing = self.arithmetic.whole(np.zeros(shape, dtype=int))
        return self.totals.get(variable, nothing)

    def gradient(self, variable: Expression) -> Array:
        """∂L/∂variable, of the variable's shape."""
        return self.total(variable).reshape(self.shape(variable), order="F")

    def _chain(self) -> dict[Expression, Array]:
        """Derivatives of the last left side as numbers, from the local Jacobians."""
        entries = prod(self.shape(self.system.loss))
        totals = {self.system.loss: self.arithmetic.whole(np.eye(entries, dtype=int))}
        for equation in reversed(self.system.equations):
            if equation.left not in totals:
                continue
            for variable in equation.differentiable:
                part = self.local(equation.left, variable) @ totals[equation.left]
                totals[variable] = self.arithmetic.reduced(totals.get(variable, 0) + part)
        return totals

    def hessian(self, variable: Expression) -> Array:
        """∂²L/∂vec(variable)²: what moving the variable does to its gradient in one formula."""
        if variable not in self._hessians:
            entries = prod(self.shape(variable))
            moved = self._gradient_slope(variable, self._units(variable))
            moved = np.broadcast_to(moved, (entries, *self.shape(variable)))
            self._hessians[variable] = moved.swapaxes(-1, -2).reshape(entries, -1)
        return self._hessians[variable]

    def _gradient_slope(self, variable: Expression, directions: Array) -> Array:
        whole_gradient = gradient(put_in(self.system), variable)
        along = {variable: directions}
        return self.arithmetic.slope(whole_gradient, self.values, along, self.sizes)

    def _units(self, variable: Expression) -> Array:
        """Every entry of a variable moved on its own, in the order of vec."""
        rows, columns = self.shape(variable)
        units = np.eye(rows * columns, dtype=int).reshape(-1, columns, rows).swapaxes(-1, -2)
        return self.arithmetic.whole(units)

    @cached_property
    def changes(self) -> dict[Expression, Array]:
        """The differential of every symbol along random changes of what was asked for."""
        random = np.random.default_rng(0)
        changes: dict[Expression, Array] = {}
        for variable in self.derivation.gradients:
            drawn = random.integers(1, LARGEST_CHANGE, size=self.shape(variable))
            changes[variable] = self.arithmetic.whole(drawn)
        for equation in self.system.equations:
            used = {s: changes[s] for s in symbols_of(equation.right) if s in changes}
            if used:
                found = self.arithmetic.slope(equation.right, self.values, used, self.sizes)
                changes[equation.left] = np.broadcast_to(found, self.shape(equation.left))
        return changes

    def _change(self, of: Expression) -> Array:
        if of.operation == "jacobian":
            variable = sides(of)[1]
            return self._gradient_slope(variable, self.changes[variable])
        nothing = np.zeros(self.shape(of), dtype=int)
        return self.changes.get(of, self.arithmetic.whole(nothing))

    def value(self, expression: Expression, indices: Indices | None = None) -> Array:
        """An expression's value, every gradient and Jacobian in it replaced by its truth."""
        return self.arithmetic.value(expression, self.values, self.sizes, indices, self.leaf)

    def pairs(self, step: Step) -> Iterator[Pair]:
        """What each stage of a step gives, and the truth of its goal.

        A gradient by a symmetric matrix is known where that is symmetric only, and so is what it
        does along symmetric changes only: Hessians are compared as quadratic forms of those, and
        nothing is said of a second derivative by one entry.
        """
        if _is_by_symmetric_entry(step.goal):
            return
        indices = self.places(step.goal)
        expected = self.value(step.goal, indices)
        is_form = step.goal.operation == "hessian" and variable_of(step.goal).symbol.symmetric
        for stage in step.stages:
            found = np.broadcast_to(self.value(stage.expression, indices), expected.shape)
            if is_form:
                yield self._along_symmetric(found), self._along_symmetric(expected)
            else:
                yield found, expected

    def _along_symmetric(self, form: Array) -> Array:
        """4 S H S for a Hessian H by a symmetric matrix, S the symmetric part over vec."""
        rows = round(form.shape[-1] ** 0.5)
        turned = np.arange(rows * rows).reshape(rows, rows).T.ravel()
        once = form + form[turned]
        return self.arithmetic.reduced(once + once[:, turned])

    def leaf(self, node: Expression, indices: Indices) -> Array:
        """The truth of a derivative that is not worked out, or of a name for one."""
        if node.operation == "symbol":
            return self.leaf(self.derivation.names[node], indices)
        if node.operation == "numerator_jacobian":
            return np.swapaxes(self.leaf(_denominator(node), indices), -1, -2)
        if isinstance(node.data, Expression):
            return self._change(node.data)
        assert isinstance(node.data, tuple)
        of, by = node.data
        if node.operation == "hessian":
            return self.hessian(by)
        if node.operation == "total_jacobian":
            return self.total(by)
        if of is self.system.loss and of.is_scalar:
            return self.gradient(by)
        if of.operation == "entry" or by.operation == "entry":
            entries = self.local(whole(of), whole(by))
            row, column = self._position(by, indices), self._position(of, indices)
            return np.asarray(entries[row, column])[..., None, None]
        return self.local(of, by)

    def _position(self, entry: Expression, indices: Indices) -> NDArray[np.intp]:
        """Where an entry stands in the vec of its matrix."""
        if entry.operation != "entry":
            return np.zeros((), dtype=np.intp)
        assert isinstance(entry.data, tuple)
        matrix = entry.arguments[0]
        places = [np.asarray(indices[name]) for name in entry.data]
        if len(places) == 1:
            return places[0]
        return np.asarray(places[0] + places[1] * matrix.shape[0].size(self.sizes))

    def places(self, goal: Expression) -> dict[str, NDArray[np.intp]]:
        """Every combination of the goal's free indices, as arrays of equal length."""
        found: dict[str, int] = {}
        data = goal.data if isinstance(goal.data, tuple) else ()
        for side in [goal] if goal.operation == "entry" else data:
            if isinstance(side, Expression) and side.operation == "entry":
                assert isinstance(side.data, tuple)
                shape = [d.size(self.sizes) for d in side.arguments[0].shape if d != ONE]
                found.update(zip(side.data, shape, strict=True))
        if not found:
            return {}
        grid = np.indices(tuple(found.values())).reshape(len(found), -1)
        return dict(zip(found, grid, strict=True))


def jacobian_entries(system: System, sizes: Mapping[str, int]) -> int:
    """The entries of all local Jacobians of a system together."""
    return sum(
        prod(length(side).size(sizes) for side in (equation.left, variable))
        for equation in system.equations
        for variable in equation.differentiable
    )


def slope_environment(step: Step, points: Array, arithmetic: Arithmetic) -> dict[Expression, Array]:
    """Values at many points of the variable, and of every derivative the stages leave standing."""
    environment = {VARIABLE: points}
    for node in walk(*(stage.expression for stage in step.stages)):
        if node.operation == "derivative":
            environment[node] = slope(node.arguments[0], points, arithmetic)
    return environment


def slope_pairs(step: Step, points: Array, arithmetic: Arithmetic) -> Iterator[Pair]:
    """The stages of a derivative of one variable at many points, and the truth there."""
    environment = slope_environment(step, points, arithmetic)
    expected = slope(differentiated(step), points, arithmetic)
    for stage in step.stages:
        found = arithmetic.value(stage.expression, environment, {})
        yield np.broadcast_to(found, points.shape), expected


def slope(formula: Expression, points: Array, arithmetic: Arithmetic) -> Array:
    """The derivative of a formula of one variable at many points."""
    along = {VARIABLE: arithmetic.whole(np.ones(points.shape, dtype=int))}
    found = arithmetic.slope(formula, {VARIABLE: points}, along, {})
    return np.broadcast_to(found, points.shape)


def column_pairs(step: Step, column: Array, arithmetic: Arithmetic) -> Iterator[Pair]:
    """The stages of a derivative of one column, and the truth."""
    sizes = {COLUMN_SIZE.names[0]: len(column)}
    units = arithmetic.whole(np.eye(len(column), dtype=int)[..., None])
    along = {COLUMN_VARIABLE: units}
    environment = {COLUMN_VARIABLE: column}
    expected = arithmetic.slope(sides(step.goal)[0], environment, along, sizes)[..., 0]
    if step.goal.operation == "numerator_jacobian":
        expected = expected.T
    for stage in step.stages:
        found = arithmetic.value(stage.expression, environment, sizes)
        yield np.broadcast_to(found, expected.shape), expected


def differentiated(step: Step) -> Expression:
    """What is differentiated once in a derivative of one variable."""
    function = step.goal.data
    assert isinstance(function, Function)
    assert function.formula is not None
    if function.order == 1:
        return function.formula
    below = replace(function, order=function.order - 1)
    return make("apply", step.goal.arguments, below, step.goal.shape)


def is_of_variable(step: Step) -> bool:
    """Whether a step works out the derivative of a function of one variable."""
    return step.goal.operation == "apply" and step.goal.arguments == (VARIABLE,)


def is_of_column(step: Step) -> bool:
    """Whether a step works out the derivative of a function of a column."""
    return COLUMN_VARIABLE in sides(step.goal)


def sides(goal: Expression) -> tuple[Expression, ...]:
    """What is differentiated and by what, if the goal is a derivative."""
    data = goal.data
    if goal.operation.endswith("jacobian") and isinstance(data, tuple):
        return tuple(side for side in data if isinstance(side, Expression))
    return ()


def _is_by_symmetric_entry(goal: Expression) -> bool:
    """Whether an entry of a gradient by a symmetric matrix is differentiated by its entry."""
    if not (pair := sides(goal)):
        return False
    of, by = pair
    is_second = whole(of).operation == "jacobian" and by.operation == "entry"
    return is_second and whole(by).symbol.symmetric


def whole(side: Expression) -> Expression:
    """The matrix of which this is an entry, or what is no entry itself."""
    return side.arguments[0] if side.operation == "entry" else side


def _denominator(node: Expression) -> Expression:
    """The Jacobian that a node in numerator layout is the transpose of."""
    return make("jacobian", (), node.data, (node.shape[1], node.shape[0]))
