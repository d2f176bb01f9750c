"""How far the stages of each step are from the truth of its goal, in float64.

Errors are relative to the norm of the truth, or to a small part of the contributions that cancel
in it where nothing else is left: a gradient of zero is then held to be zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from workbench.calculus.expressions import Expression
from workbench.calculus.functions import COLUMN_SIZE, COLUMN_VARIABLE, VARIABLE, Function
from workbench.core.checks.draws import Point, Values, distinct_sizes, draw_point
from workbench.core.checks.truth import (
    STEP,
    Floating,
    Pair,
    Truth,
    column_pairs,
    differentiated,
    is_of_column,
    is_of_variable,
    sides,
    slope,
    slope_environment,
    slope_pairs,
    whole,
)
from workbench.core.evaluate import Array, evaluate, magnitude
from workbench.derivation.steps import Derivation, Step

TOLERANCE = 1e-10
SMALLEST_SHARE = 1e-4
"""The part of what cancels in a truth that its errors are relative to at least."""
NEGLIGIBLE = 1e-6
"""The part below which a gradient has cancelled, and another point is drawn."""
MOST_EQUATIONS = 400
MOST_SIZES = 8
"""Tried in search of one at which the system is defined: det(WᵀW) needs a tall W."""
MOST_POINTS = 40
"""Evaluated in search of a point where no gradient cancels."""
FLOATING = Floating()


@dataclass
class Draw:
    """Random sizes and values, and the truth of everything a step can mention.

    Attributes
    ----------
    sizes : a size from 2 for every dimension; no equation meets the same size twice.
    point : where everything is evaluated.
    truth : values, Jacobians and gradients there.
    """

    derivation: Derivation
    seed: int
    sizes: dict[str, int] = field(init=False)
    point: Point = field(init=False)
    truth: Truth = field(init=False)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        self.system = self.derivation.system
        for _ in range(MOST_SIZES):
            self.sizes = distinct_sizes(self.system, self.random)
            self._use(draw_point(self.system, self.sizes, self.random))
            if self.point.is_defined:
                break
        best, fewest = (self.point, self.truth), self._cancelled()
        for _ in range(min(MOST_POINTS, max(2, MOST_EQUATIONS // len(self.system.equations)))):
            if not fewest or not best[0].is_defined:
                break
            self._use(draw_point(self.system, self.sizes, self.random))
            if self.point.is_defined and (cancelled := self._cancelled()) < fewest:
                best, fewest = (self.point, self.truth), cancelled
        self.point, self.truth = best
        self._noise = self.random.random((12, 1))
        self._normal = self.random.normal(size=(2 + int(self.random.integers(4)), 1))

    def _use(self, point: Point) -> None:
        self.point = point
        self.truth = Truth(self.derivation, self.sizes, point.values, FLOATING)

    def _cancelled(self) -> int:
        """How many gradients are next to nothing beside what they are made of."""
        sizes: dict[Expression, Array] = {}
        totals = self.truth.totals
        for equation in self.system.equations:
            if equation.left in totals:
                for variable in equation.differentiable:
                    local = self.truth.local(equation.left, variable)
                    part = np.abs(local) @ np.abs(totals[equation.left])
                    sizes[variable] = sizes.get(variable, 0) + part
        return sum(not _norm(totals[v]) > NEGLIGIBLE * _norm(size) for v, size in sizes.items())

    # the whole system

    def whole_system_error(self, gradients: Mapping[Expression, Array]) -> float:
        """How far Σ ⟨gradient, direction⟩ is from the complex step of the loss along them.

        Gradients are over vec, (entries of the variable)×(entries of what is differentiated).
        """
        shapes = {p: self.truth.shape(p) for p in gradients}
        directions = {p: self.random.normal(size=shape) for p, shape in shapes.items()}
        known = self.point.values
        moved = {p: known[p] + 1j * STEP * d for p, d in directions.items()}
        values: Values = {**known, **moved}
        for equation in self.system.equations:
            values[equation.left] = evaluate(equation.right, values, self.sizes)
        truth = _vec(np.imag(values[self.system.loss])) / STEP
        parts = [gradients[p].T @ _vec(directions[p]) for p in gradients]
        distance = _norm(sum(parts, start=-truth))
        scale = sum(_norm(part) for part in parts)
        if not distance <= TOLERANCE * scale:
            squares = self._squares()
            spread = sum(float(np.sum(squares[p] * d**2)) for p, d in directions.items())
            scale = max(scale, SMALLEST_SHARE * spread**0.5)
        return _ratio(distance, scale)

    def _squares(self) -> dict[Expression, Array]:
        """For each gradient the squares of what it is made of, chained as independent errors are.

        The plain sum of the sizes would outgrow the gradients layer by layer and hide mistakes.
        """
        nothing = np.zeros(self.truth.shape(self.system.loss))
        totals: dict[Expression, Array] = {self.system.loss: nothing}
        for equation in reversed(self.system.equations):
            if equation.left not in totals:
                continue
            column = totals[equation.left].reshape(-1, 1, order="F")
            own = self._equation_scale(equation.left) ** 2
            for variable in equation.differentiable:
                part = self.truth.local(equation.left, variable) ** 2 @ column + own
                shaped = part.reshape(self.truth.shape(variable), order="F")
                totals[variable] = totals.get(variable, 0) + shaped
        return totals

    def _equation_scale(self, left: Expression) -> float:
        """The size of an equation's contributions times that of the gradient that meets them."""
        right = self.system.definitions[left].right
        contributions = magnitude(right, self.point.values, self.sizes)
        return _norm(contributions) * _norm(self.truth.total(left))

    def gradient_found(self, step: Step) -> Array:
        """What a resulting step says the gradient is, over vec."""
        value = np.broadcast_to(self.truth.value(step.result), self.truth.shape(step.goal))
        if step.goal.operation == "total_jacobian":
            return value
        return _vec(value if step.goal.operation == "jacobian" else value.T)

    # steps

    def can_check(self, step: Step) -> bool:
        """Whether what the step assumes of the target holds here."""
        return self.point.is_as_assumed or all(s.rule != "assumption" for s in step.stages)

    def errors(self, step: Step) -> Iterator[float]:
        """The distance of each stage from the truth of the goal; none if that is undefined."""
        if is_of_variable(step):
            yield from self._function_errors(step)
        elif is_of_column(step):
            yield from self._column_errors(step)
        elif self.can_check(step):
            for found, truth in self.truth.pairs(step):
                if not np.all(np.isfinite(truth)):
                    return
                error = relative_error(found, truth)
                if error > TOLERANCE:
                    error = relative_error(found, truth, self._scale(step))
                yield error

    def pairs(self, step: Step, truth: Truth) -> Iterator[Pair]:
        """What each stage gives and the truth, in another arithmetic, at the same points."""
        arithmetic = truth.arithmetic
        if is_of_variable(step):
            points = arithmetic.whole(self._points(step))
            return slope_pairs(step, points, arithmetic)
        if is_of_column(step):
            return column_pairs(step, arithmetic.whole(self._column(step)), arithmetic)
        return truth.pairs(step)

    def _scale(self, step: Step) -> float:
        """The size of all that is added up in a step or in the equations it is about."""
        indices, values = self.truth.places(step.goal), self.point.values
        sums = [
            magnitude(stage.expression, values, self.sizes, indices, self.truth.leaf)
            for stage in step.stages
        ]
        scale = max(_norm(total) for total in sums)
        goal = step.goal.arguments[0] if step.goal.operation == "entry" else step.goal
        if not (pair := sides(goal)):
            return scale
        of, by = pair
        if whole(of) not in self.system.definitions:
            return scale
        if of is not self.system.loss:
            right = self.system.definitions[whole(of)].right
            return max(scale, _norm(magnitude(right, values, self.sizes)))
        lefts = [equation.left for equation in self.system.consumers(by)]
        return max(scale, sum(self._equation_scale(left) for left in lefts))

    def _points(self, step: Step) -> Array:
        """Points around every kink of a function at which it is defined, with its derivative."""
        function = step.goal.data
        assert isinstance(function, Function)
        assert function.formula is not None
        kinks = np.array(function.kinks or (0.0,))
        away = np.linspace(0.1, 4, 12)[:, None] + 0.1 * self._noise
        points = np.concatenate([kinks - away, kinks + away]).reshape(-1, 1)
        values = np.broadcast_to(evaluate(function.formula, {VARIABLE: points}), points.shape)
        slopes = slope(differentiated(step), points, FLOATING)
        return np.asarray(points[np.isfinite(values[:, 0]) & np.isfinite(slopes[:, 0])])

    def _function_errors(self, step: Step) -> Iterator[float]:
        """A derivative of one variable, at the points around every kink where it is defined.

        The working may pass through 0 · ∞, as the chain rule at √max(z, 0) does, the result not.
        """
        points = self._points(step)
        if not points.size:
            return
        environment = slope_environment(step, points, FLOATING)
        pairs = slope_pairs(step, points, FLOATING)
        for stage, (found, truth) in zip(step.stages, pairs, strict=True):
            defined = np.isfinite(found)
            if stage is step.stages[-1] or not defined.any():
                defined = np.ones(truth.shape, dtype=bool)
            sums = magnitude(stage.expression, environment)
            scale = _norm(np.broadcast_to(sums, truth.shape))
            yield relative_error(found[defined], truth[defined], scale)

    def _column(self, step: Step) -> Array:
        """A column at which a function of one is defined, if one of a few is."""
        value, normal = sides(step.goal)[0], self._normal
        sizes = {COLUMN_SIZE.names[0]: len(normal)}
        candidates = (normal, 0.1 + np.abs(normal), 0.9 - 0.8 * np.abs(np.tanh(normal)))
        for column in candidates:
            if np.all(np.isfinite(evaluate(value, {COLUMN_VARIABLE: column}, sizes))):
                return np.asarray(column)
        return normal

    def _column_errors(self, step: Step) -> Iterator[float]:
        """A derivative of one column, at a point where it is defined."""
        column = self._column(step)
        sizes = {COLUMN_SIZE.names[0]: len(column)}
        pairs = column_pairs(step, column, FLOATING)
        for stage, (found, truth) in zip(step.stages, pairs, strict=True):
            if not np.all(np.isfinite(truth)):
                return
            sums = magnitude(stage.expression, {COLUMN_VARIABLE: column}, sizes)
            yield relative_error(found, truth, _norm(sums))


def relative_error(found: Array, truth: Array, scale: float = 0.0) -> float:
    """The distance relative to the truth, and to what cancels in it if that is far larger."""
    return _ratio(_norm(found - truth), max(_norm(truth), SMALLEST_SHARE * scale))


def _vec(value: Array) -> Array:
    return value.reshape(-1, 1, order="F")


def _norm(value: Array) -> float:
    return float(np.linalg.norm(value))


def _ratio(distance: float, scale: float) -> float:
    if not np.isfinite(distance):
        return float("inf")
    if distance == 0:
        return 0.0
    return distance / scale if scale else float("inf")
