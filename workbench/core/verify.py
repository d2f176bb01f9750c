"""Hold every step of a derivation against numbers that do not come from it.

Forward values are computed at random sizes and points where the loss is defined. The truth of a
local Jacobian ∂v/∂u is the complex step through the one equation that defines v (Squire and Trapp,
1998, "Using complex variables to estimate derivatives of real functions"); the truth of a gradient
is those Jacobians chained as numbers; and the gradients of the parameters are held once more
against the complex step through the whole system. Each stage of each step must equal the truth of
its goal.

Errors are relative to the norm of the truth, or to a small part of the contributions that cancel
in it where nothing else is left: a gradient of zero is then held to be zero. A step that is defined
at no point drawn, or rests on an assumption that no target drawn satisfies, stays unchecked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from workbench.calculus.derivation import Check, Derivation, Step, variable_of
from workbench.calculus.dimensions import ONE
from workbench.calculus.expressions import Expression, make, symbols_of, walk
from workbench.calculus.functions import COLUMN_SIZE, COLUMN_VARIABLE, VARIABLE, Function
from workbench.calculus.system import System
from workbench.core.draws import Point, Values, distinct_sizes, draw_point, shape_of
from workbench.core.evaluate import Array, Indices, evaluate, magnitude

SEEDS = (0, 1, 2)
TOLERANCE = 1e-10
STEP = 1e-30
SMALLEST_SHARE = 1e-4
"""The part of what cancels in a truth that its errors are relative to at least."""
NEGLIGIBLE = 1e-6
"""The part below which a gradient has cancelled, and another point is drawn."""
MOST_EQUATIONS = 400
"""Evaluated in search of a point where no gradient cancels."""


def verify(derivation: Derivation, seeds: Sequence[int] = SEEDS) -> Derivation:
    """The same derivation, every step carrying the record of its check.

    Parameters
    ----------
    seeds : one draw of sizes and values for each.
    """
    with np.errstate(all="ignore"):
        draws = [Draw(derivation, seed) for seed in seeds]
        end_to_end = _end_to_end_errors(derivation, draws)

        def checked(step: Step) -> Step:
            if step.is_definition:
                return step
            found = [(draw, [*draw.errors(step)]) for draw in draws]
            telling = [draw for draw, errors in found if errors]
            errors = [error for _, errors in found for error in errors]
            if not errors:
                return step
            worst = max(errors + end_to_end.get(step.id, []))
            seeds, sizes = tuple(d.seed for d in telling), tuple(d.sizes for d in telling)
            return replace(step, check=Check(worst <= TOLERANCE, worst, seeds, sizes))

        return derivation.with_steps([checked(step) for step in derivation.steps])


def _end_to_end_errors(derivation: Derivation, draws: Sequence[Draw]) -> dict[int, list[float]]:
    """For each resulting step, its error through the whole system.

    All gradients are tried in one pass along random directions; only if that fails is each one
    tried on its own, to find the culprit.
    """
    errors: dict[int, list[float]] = {step.id: [] for step in derivation.results}
    for draw in draws:
        if not draw.point.is_defined:
            continue
        steps = [step for step in derivation.results if draw.can_check(step)]
        gradients = {variable_of(s.goal): draw.gradient_found(s) for s in steps}
        together = draw.whole_system_error(gradients)
        for step in steps:
            variable = variable_of(step.goal)
            alone = {variable: gradients[variable]}
            passed = together <= TOLERANCE
            errors[step.id].append(together if passed else draw.whole_system_error(alone))
    return errors


@dataclass
class Draw:
    """Random sizes and values, and the truth of everything a step can mention.

    Attributes
    ----------
    sizes : a size from 2 for every dimension; no equation meets the same size twice.
    point : where everything is evaluated.
    values : forward values of every symbol.
    """

    derivation: Derivation
    seed: int
    sizes: dict[str, int] = field(init=False)
    point: Point = field(init=False)
    values: Values = field(init=False)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        self.system: System = self.derivation.system
        self.sizes = distinct_sizes(self.system, self.random)
        self._use(draw_point(self.system, self.sizes, self.random))
        best, cancelled = self.point, self._cancelled
        for _ in range(max(2, MOST_EQUATIONS // len(self.system.equations))):
            if not cancelled or not best.is_defined:
                break
            self._use(draw_point(self.system, self.sizes, self.random))
            if self.point.is_defined and self._cancelled < cancelled:
                best, cancelled = self.point, self._cancelled
        if self.point is not best:
            self._use(best)

    def _use(self, point: Point) -> None:
        self.point, self.values = point, point.values
        self._locals: dict[tuple[Expression, Expression], Array] = {}
        self._chain()

    def _shape(self, node: Expression) -> tuple[int, int]:
        return shape_of(node, self.sizes)

    # truth

    def local(self, left: Expression, variable: Expression) -> Array:
        """∂left/∂variable over vec, (entries of variable)×(entries of left)."""
        key = (left, variable)
        if key not in self._locals:
            right = self.system.definitions[left].right
            self._locals[key] = self._complex_step(right, variable, self.values, self._shape(left))
        return self._locals[key]

    def _complex_step(
        self,
        right: Expression,
        variable: Expression,
        values: Mapping[Expression, Array],
        shape: tuple[int, int],
    ) -> Array:
        """Every entry of the variable moved on its own, all at once along a leading axis."""
        rows, columns = values[variable].shape
        units = np.eye(rows * columns).reshape(-1, columns, rows).swapaxes(-1, -2)
        moved = {**values, variable: values[variable] + 1j * STEP * units}
        result = np.imag(evaluate(right, moved, self.sizes)) / STEP
        result = np.broadcast_to(result, (rows * columns, *shape))
        return result.swapaxes(-1, -2).reshape(rows * columns, -1)

    def _chain(self) -> None:
        """Gradients of the loss as numbers, from the local Jacobians, last equation first."""
        totals: dict[Expression, Array] = {self.system.loss: np.ones((1, 1))}
        sizes: dict[Expression, Array] = {}
        for equation in reversed(self.system.equations):
            gradient = totals.get(equation.left)
            if gradient is None:
                continue
            column = gradient.reshape(-1, 1, order="F")
            for variable in equation.differentiable:
                jacobian = self.local(equation.left, variable)
                shape = self._shape(variable)
                part = (jacobian @ column).reshape(shape, order="F")
                totals[variable] = totals.get(variable, 0) + part
                sizes[variable] = sizes.get(variable, 0) + np.abs(jacobian) @ np.abs(column)
        self._gradients = totals
        self._cancelled = sum(
            not np.linalg.norm(totals[v]) > NEGLIGIBLE * np.linalg.norm(sizes[v]) for v in sizes
        )

    def gradient(self, variable: Expression) -> Array:
        """∂L/∂variable, of the variable's shape."""
        found = self._gradients.get(variable)
        return np.zeros(self._shape(variable)) if found is None else found

    def whole_system_error(self, gradients: Mapping[Expression, Array]) -> float:
        """How far Σ ⟨gradient, direction⟩ is from the complex step of the loss along them."""
        directions = {p: self.random.normal(size=self._shape(p)) for p in gradients}
        values: Values = {
            **self.values,
            **{p: self.values[p] + 1j * STEP * d for p, d in directions.items()},
        }
        for equation in self.system.equations:
            values[equation.left] = evaluate(equation.right, values, self.sizes)
        truth = np.imag(values[self.system.loss]).item() / STEP
        parts = np.array([np.sum(gradients[p] * directions[p]) for p in gradients])
        distance = float(abs(parts.sum() - truth))
        scale = float(np.abs(parts).sum())
        if not distance <= TOLERANCE * scale:
            squares = self._squares()
            spread = sum(float(np.sum(squares[p] * d**2)) for p, d in directions.items())
            scale = max(scale, SMALLEST_SHARE * spread**0.5)
        return _ratio(distance, scale)

    def _squares(self) -> dict[Expression, Array]:
        """For each gradient the squares of what it is made of, chained as independent errors are.

        The plain sum of the sizes would outgrow the gradients layer by layer and hide mistakes.
        """
        totals: dict[Expression, Array] = {self.system.loss: np.zeros((1, 1))}
        for equation in reversed(self.system.equations):
            if equation.left not in totals:
                continue
            column = totals[equation.left].reshape(-1, 1, order="F")
            own = self._equation_scale(equation.left) ** 2
            for variable in equation.differentiable:
                part = self.local(equation.left, variable) ** 2 @ column + own
                shaped = part.reshape(self._shape(variable), order="F")
                totals[variable] = totals.get(variable, 0) + shaped
        return totals

    def _equation_scale(self, left: Expression) -> float:
        """The size of an equation's contributions times that of the gradient that meets them."""
        right = self.system.definitions[left].right
        contributions = magnitude(right, self.values, self.sizes)
        return float(np.linalg.norm(contributions) * np.linalg.norm(self.gradient(left)))

    # errors

    def can_check(self, step: Step) -> bool:
        """Whether what the step assumes of the target holds here."""
        return self.point.is_as_assumed or all(s.rule != "assumption" for s in step.stages)

    def errors(self, step: Step) -> Iterator[float]:
        """The distance of each stage from the truth of the goal; none if that is undefined."""
        if VARIABLE in symbols_of(step.goal):
            yield from self._function_errors(step)
            return
        if COLUMN_VARIABLE in _sides(step.goal):
            yield from self._column_errors(step)
            return
        indices = self._all_places(step.goal)
        truth = self._value(step.goal, indices)
        if not np.all(np.isfinite(truth)) or not self.can_check(step):
            return
        for stage in step.stages:
            found = self._value(stage.expression, indices)
            error = _relative_error(found, truth)
            if error > TOLERANCE:
                error = _relative_error(found, truth, self._scale(step, indices))
            yield error

    def _scale(self, step: Step, indices: Indices) -> float:
        """The size of all that is added up in a step or in the equations it is about."""
        sums = [
            magnitude(stage.expression, self.values, self.sizes, indices, self._truth)
            for stage in step.stages
        ]
        scale = max(_norm(total) for total in sums)
        goal = step.goal.arguments[0] if step.goal.operation == "entry" else step.goal
        if not (sides := _sides(goal)):
            return scale
        of, by = sides
        if of is not self.system.loss:
            right = self.system.definitions[_whole(of)].right
            return max(scale, _norm(magnitude(right, self.values, self.sizes)))
        lefts = [equation.left for equation in self.system.consumers(by)]
        return max(scale, sum(self._equation_scale(left) for left in lefts))

    def gradient_found(self, step: Step) -> Array:
        """What a resulting step says the gradient is, of the variable's shape."""
        value = self._value(step.result, {})
        return value if step.goal.operation == "jacobian" else value.T

    def _value(self, expression: Expression, indices: Indices) -> Array:
        """A stage's value, every gradient and Jacobian in it replaced by its truth."""
        return evaluate(expression, self.values, self.sizes, indices, self._truth)

    def _truth(self, node: Expression, indices: Indices) -> Array:
        if node.operation == "symbol":
            return self._truth(self.derivation.names[node], indices)
        if node.operation == "numerator_jacobian":
            return np.swapaxes(self._truth(_denominator(node), indices), -1, -2)
        assert isinstance(node.data, tuple)
        of, by = node.data
        if of is self.system.loss:
            return self.gradient(by)
        if of.operation == "entry" or by.operation == "entry":
            whole = self.local(_whole(of), _whole(by))
            row, column = self._position(by, indices), self._position(of, indices)
            return np.asarray(whole[row, column])[..., None, None]
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

    def _all_places(self, goal: Expression) -> dict[str, NDArray[np.intp]]:
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

    def _function_errors(self, step: Step) -> Iterator[float]:
        """A derivative of one variable, at the points around every kink where it is defined.

        The working may pass through 0 · ∞, as the chain rule at √max(z, 0) does, the result not.
        """
        function = step.goal.data
        assert isinstance(function, Function)
        assert function.formula is not None
        kinks = np.array(function.kinks or (0.0,))
        away = np.linspace(0.1, 4, 12)[:, None] + 0.1 * self.random.random((12, 1))
        points = np.concatenate([kinks - away, kinks + away]).reshape(-1, 1)
        values = np.broadcast_to(evaluate(function.formula, {VARIABLE: points}), points.shape)
        truth = _slope(function.formula, points)
        keep = np.isfinite(values[:, 0]) & np.isfinite(truth[:, 0])
        points, truth = points[keep], truth[keep]
        if not points.size:
            return
        for stage in step.stages:
            environment: dict[Expression, Array] = {VARIABLE: points}
            for node in walk(stage.expression):
                if node.operation == "derivative":
                    environment[node] = _slope(node.arguments[0], points)
            found = np.broadcast_to(evaluate(stage.expression, environment), truth.shape)
            defined = np.isfinite(found)
            if stage is step.stages[-1] or not defined.any():
                defined = np.ones(truth.shape, dtype=bool)
            scale = _norm(np.broadcast_to(magnitude(stage.expression, environment), truth.shape))
            yield _relative_error(found[defined], truth[defined], scale)

    def _column_errors(self, step: Step) -> Iterator[float]:
        """A derivative of one column, at a point where it is defined."""
        size = 2 + int(self.random.integers(4))
        normal = self.random.normal(size=(size, 1))
        sizes = {COLUMN_SIZE.names[0]: size}
        value = _sides(step.goal)[0]
        units = np.eye(size)[..., None]
        for column in (normal, 0.1 + np.abs(normal), 0.9 - 0.8 * np.abs(np.tanh(normal))):
            moved = evaluate(value, {COLUMN_VARIABLE: column + 1j * STEP * units}, sizes)
            truth = np.imag(moved)[..., 0] / STEP
            if np.all(np.isfinite(moved)):
                break
        else:
            return
        if step.goal.operation == "numerator_jacobian":
            truth = truth.T
        for stage in step.stages:
            environment = {COLUMN_VARIABLE: column}
            scale = _norm(magnitude(stage.expression, environment, sizes))
            yield _relative_error(evaluate(stage.expression, environment, sizes), truth, scale)


def _slope(formula: Expression, points: Array) -> Array:
    """The derivative of a formula of one variable, by the complex step."""
    moved = evaluate(formula, {VARIABLE: points + 1j * STEP})
    undefined = np.where(np.isfinite(moved), 0, np.nan)
    return np.broadcast_to(np.imag(moved) / STEP + undefined, points.shape)


def _norm(value: Array) -> float:
    return float(np.linalg.norm(value))


def _relative_error(found: Array, truth: Array, scale: float = 0.0) -> float:
    """The distance relative to the truth, and to what cancels in it if that is far larger."""
    found = np.broadcast_to(found, truth.shape)
    return _ratio(_norm(found - truth), max(_norm(truth), SMALLEST_SHARE * scale))


def _ratio(distance: float, scale: float) -> float:
    if not np.isfinite(distance):
        return float("inf")
    if distance == 0:
        return 0.0
    return distance / scale if scale else float("inf")


def _denominator(node: Expression) -> Expression:
    """The Jacobian that a node in numerator layout is the transpose of."""
    return make("jacobian", (), node.data, (node.shape[1], node.shape[0]))


def _sides(goal: Expression) -> tuple[Expression, ...]:
    """What is differentiated and by what, if the goal is a derivative."""
    data = goal.data
    if goal.operation.endswith("jacobian") and isinstance(data, tuple):
        return tuple(side for side in data if isinstance(side, Expression))
    return ()


def _whole(side: Expression) -> Expression:
    return side.arguments[0] if side.operation == "entry" else side
