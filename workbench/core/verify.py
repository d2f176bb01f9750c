"""Hold every step of a derivation against numbers that do not come from it.

Forward values are computed at random sizes and points. The truth of a local Jacobian ∂v/∂u is the
complex step through the one equation that defines v (Squire and Trapp, 1998, "Using complex
variables to estimate derivatives of real functions"); the truth of a gradient is those Jacobians
chained as numbers; and the gradients of the parameters are held once more against the complex step
through the whole system. Each stage of each step must equal the truth of its goal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.calculus.derivation import Check, Derivation, Step, variable_of
from workbench.calculus.dimensions import ONE
from workbench.calculus.expressions import Expression, Kind, make, symbols_of, walk
from workbench.calculus.functions import COLUMN_SIZE, COLUMN_VARIABLE, VARIABLE, Function
from workbench.calculus.system import Equation, System
from workbench.core.evaluate import Indices, evaluate

Array = NDArray[Any]

SEEDS = (0, 1, 2)
TOLERANCE = 1e-10
STEP = 1e-30
MOST_DRAWS = 60
SMALLEST_SIZES = (2, 3, 4, 5, 6, 7)


def verify(derivation: Derivation, seeds: Sequence[int] = SEEDS) -> Derivation:
    """The same derivation, every step carrying the record of its check.

    Parameters
    ----------
    seeds : one draw of sizes and values for each.
    """
    draws = [Draw(derivation, seed) for seed in seeds]
    sizes = tuple(draw.sizes for draw in draws)
    end_to_end = _end_to_end_errors(derivation, draws)

    def checked(step: Step) -> Step:
        if step.is_definition:
            return step
        errors = [error for draw in draws for error in draw.errors(step)]
        errors += end_to_end.get(step.id, [])
        worst = max(errors) if errors else float("inf")
        return replace(step, check=Check(worst <= TOLERANCE, worst, tuple(seeds), sizes))

    return derivation.with_steps([checked(step) for step in derivation.steps])


def _end_to_end_errors(derivation: Derivation, draws: Sequence[Draw]) -> dict[int, list[float]]:
    """For each resulting step, its error through the whole system.

    All gradients are tried in one pass along random directions; only if that fails is each one
    tried on its own, to find the culprit.
    """
    errors: dict[int, list[float]] = {step.id: [] for step in derivation.results}
    for draw in draws:
        gradients = {variable_of(s.goal): draw.gradient_found(s) for s in derivation.results}
        together = draw.whole_system_error(gradients)
        for step in derivation.results:
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
    values : forward values of every symbol.
    """

    derivation: Derivation
    seed: int
    sizes: dict[str, int] = field(init=False)
    values: dict[Expression, Array] = field(init=False)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        self.system: System = self.derivation.system
        self.sizes = _distinct_sizes(self.system, self.random)
        self.values = self._forward()
        self._locals: dict[tuple[Expression, Expression], Array] = {}
        self._gradients: dict[Expression, Array] = {}
        self._chain()

    # values

    def _shape(self, node: Expression) -> tuple[int, int]:
        return node.shape[0].size(self.sizes), node.shape[1].size(self.sizes)

    def _draw(self, symbol: Expression) -> Array:
        values = self.random.normal(size=self._shape(symbol))
        if symbol.symbol.kind is Kind.TARGET:
            values = np.abs(values) / np.abs(values).sum(axis=0) if self._assumes else 0.5 + values
            if not self._assumes:
                values = 0.5 + 0.4 * np.tanh(values)
        return np.asarray(values)

    @property
    def _assumes(self) -> bool:
        return bool(self.system.assumptions)

    def _forward(self) -> dict[Expression, Array]:
        """Values of all symbols, drawn anew where an equation would prove too little.

        A kinked function must be met on both of its branches, and no value may be undefined.
        """
        given = (Kind.INPUT, Kind.TARGET, Kind.PARAMETER)
        values = {symbol: self._draw(symbol) for symbol in self.system.of_kind(*given)}
        for equation in self.system.equations:
            for _ in range(MOST_DRAWS):
                self._evaluate_into(values, equation)
                if self._is_telling(equation, values):
                    break
                for symbol in self._sources(equation):
                    values[symbol] = self._draw(symbol)
                for argument in symbols_of(equation.right):
                    if argument in self.system.definitions:
                        self._evaluate_into(values, self.system.definitions[argument])
        return values

    def _evaluate_into(self, values: dict[Expression, Array], equation: Equation) -> None:
        with np.errstate(all="ignore"):
            value = evaluate(equation.right, values, self.sizes)
        values[equation.left] = np.broadcast_to(value, self._shape(equation.left))

    def _sources(self, equation: Equation) -> list[Expression]:
        """The parameters that may be drawn anew to move an equation's argument."""
        definitions = [
            self.system.definitions[s]
            for s in symbols_of(equation.right)
            if s in self.system.definitions
        ]
        return [
            symbol
            for definition in (equation, *definitions)
            for symbol in symbols_of(definition.right)
            if symbol.symbol.kind is Kind.PARAMETER
        ]

    def _is_telling(self, equation: Equation, values: Mapping[Expression, Array]) -> bool:
        if not np.all(np.isfinite(values[equation.left])):
            return False
        for node in walk(equation.right):
            function = node.data
            if isinstance(function, Function) and function.kinks:
                argument = evaluate(node.arguments[0], values, self.sizes)
                if argument.size > 1 and not _on_both_sides(argument, function.kinks):
                    return False
        return True

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
        for equation in reversed(self.system.equations):
            gradient = totals.get(equation.left)
            if gradient is None:
                continue
            column = gradient.reshape(-1, 1, order="F")
            for variable in equation.differentiable:
                part = (self.local(equation.left, variable) @ column).reshape(
                    self._shape(variable), order="F"
                )
                totals[variable] = totals.get(variable, 0) + part
        self._gradients = totals

    def gradient(self, variable: Expression) -> Array:
        """∂L/∂variable, of the variable's shape."""
        return self._gradients[variable]

    def whole_system_error(self, gradients: Mapping[Expression, Array]) -> float:
        """How far Σ ⟨gradient, direction⟩ is from the complex step of the loss along them."""
        directions = {p: self.random.normal(size=self._shape(p)) for p in gradients}
        values: dict[Expression, Array] = {
            **self.values,
            **{p: self.values[p] + 1j * STEP * d for p, d in directions.items()},
        }
        for equation in self.system.equations:
            values[equation.left] = evaluate(equation.right, values, self.sizes)
        truth = np.imag(values[self.system.loss]).item() / STEP
        parts = [float(np.sum(gradients[p] * directions[p])) for p in gradients]
        scale = max(float(np.abs(parts).sum()), 1e-300)
        return float(abs(sum(parts) - truth) / scale)

    # errors

    def errors(self, step: Step) -> Iterator[float]:
        """The distance of each stage from the truth of the goal, relative to its norm."""
        expressions = [stage.expression for stage in step.stages]
        if VARIABLE in symbols_of(step.goal):
            yield from self._function_errors(step)
            return
        if COLUMN_VARIABLE in (variable for variable in _column_goal(step.goal)):
            yield from self._column_errors(step)
            return
        indices = self._all_places(step.goal)
        truth = self._value(step.goal, indices)
        for expression in expressions:
            found = self._value(expression, indices)
            yield _relative_error(np.broadcast_to(found, truth.shape), truth)

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
        """A derivative of one variable, at points on both sides of every kink."""
        function = step.goal.data
        assert isinstance(function, Function)
        kinks = np.array(function.kinks or (0.0,))
        points = np.concatenate(
            [kinks + side * (0.1 + self.random.random((4, 1))) for side in (-1, 1)]
        )
        assert function.formula is not None
        moved = evaluate(function.formula, {VARIABLE: points + 1j * STEP})
        truth = np.broadcast_to(np.imag(moved) / STEP, points.shape)
        for stage in step.stages:
            environment: dict[Expression, Array] = {VARIABLE: points}
            for node in walk(stage.expression):
                if node.operation == "derivative":
                    inner = evaluate(node.arguments[0], {VARIABLE: points + 1j * STEP})
                    environment[node] = np.broadcast_to(np.imag(inner) / STEP, points.shape)
            yield _relative_error(evaluate(stage.expression, environment), truth)

    def _column_errors(self, step: Step) -> Iterator[float]:
        size = 2 + int(self.random.integers(4))
        column = self.random.normal(size=(size, 1))
        sizes = {COLUMN_SIZE.names[0]: size}
        value = step.goal.data[0]  # type: ignore[index]
        units = np.eye(size)[..., None]
        moved = evaluate(value, {COLUMN_VARIABLE: column + 1j * STEP * units}, sizes)
        truth = np.imag(moved)[..., 0] / STEP
        for stage in step.stages:
            yield _relative_error(
                evaluate(stage.expression, {COLUMN_VARIABLE: column}, sizes), truth
            )


def _distinct_sizes(system: System, random: np.random.Generator) -> dict[str, int]:
    """A size for each dimension, different from those it meets within a few equations."""
    names: dict[str, None] = {}
    for symbol in system.symbols:
        for dimension in symbol.shape:
            names.update(dict.fromkeys(dimension.names))
    pool = random.permutation(np.array(SMALLEST_SIZES))
    return {name: int(pool[place % len(pool)]) for place, name in enumerate(names)}


def _on_both_sides(argument: Array, kinks: Sequence[float]) -> bool:
    return all(bool(np.any(argument > kink) and np.any(argument < kink)) for kink in kinks)


def _relative_error(found: Array, truth: Array) -> float:
    scale = float(np.linalg.norm(truth))
    distance = float(np.linalg.norm(np.asarray(found) - truth))
    if not np.isfinite(distance):
        return float("inf")
    return distance / scale if scale else distance


def _denominator(node: Expression) -> Expression:
    """The Jacobian that a node in numerator layout is the transpose of."""
    return make("jacobian", (), node.data, (node.shape[1], node.shape[0]))


def _column_goal(goal: Expression) -> tuple[Expression, ...]:
    data = goal.data
    if goal.operation.endswith("jacobian") and isinstance(data, tuple):
        return tuple(side for side in data if isinstance(side, Expression))
    return ()


def _whole(side: Expression) -> Expression:
    return side.arguments[0] if side.operation == "entry" else side
