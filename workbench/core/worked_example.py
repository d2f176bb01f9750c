"""Real values for every line of a derivation: small, and few digits, to follow by hand.

Inputs, targets and parameters are drawn and rounded; everything else is computed from the very
expressions that are shown. A derivative that a line leaves standing is the number that
`workbench.core.checks.truth` holds the line against.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import cycle

import numpy as np

from workbench.calculus.expressions import Expression, Kind, symbols_of, walk
from workbench.calculus.functions import COLUMN_SIZE, COLUMN_VARIABLE
from workbench.core.checks.draws import Values, draw_point, shape_of
from workbench.core.checks.truth import (
    Arithmetic,
    Floating,
    Truth,
    is_of_variable,
    sides,
    slope_environment,
)
from workbench.core.evaluate import Array, evaluate
from workbench.derivation.steps import DERIVATIVES, Derivation, Step
from workbench.derivation.system import System
from workbench.errors import InputError, close_matches
from workbench.notation.values import Place, Value, WorkedExample

SMALL_SIZES = (3, 2)
"""Taken in turn for dimensions that are large or have no size of their own."""

LARGEST_OWN_SIZE = 4
"""A system's own sizes are kept up to this."""

LARGEST_CHANGE = 0.1
"""Of the parameters, where lines speak of differentials."""

DECIMALS = 2
"""Of the numbers that are drawn."""

NOISE = 1e-12
"""Smaller numbers are what rounding leaves of zero."""

PARTS = ("symbol", "entry", "delta", "size", "differential", "hessian", *DERIVATIVES)
"""What numbers are put in for."""

VARIABLE_POINTS = (0.5, -0.5, 1.5, 2.5, -1.5)
COLUMN_POINT = (0.5, -0.3, 0.8)


def worked_example(
    derivation: Derivation, seed: int = 0, sizes: Mapping[str, int] | None = None
) -> WorkedExample:
    """Values of every symbol and of every line of a derivation.

    A line by entries is worked at one place of its indices, one where it is not zero if there is
    any. A line whose value is not finite is left out. An undetermined function has the values of
    a sine that stands in for it.

    Parameters
    ----------
    seed : of the numbers that are drawn.
    sizes : sizes of dimensions by name; the others keep their own if small, else get 2 and 3.

    Raises
    ------
    InputError
        If no dimension has a name given in `sizes`, or a size is not positive.

    >>> import workbench as wb
    >>> derivation = wb.derive(wb.network("2-1"), form="scalar")
    >>> worked_example(derivation).symbols[derivation.system.loss].is_scalar
    True
    """
    chosen = _sizes(derivation.system, sizes or {})
    values = _forward_values(derivation.system, chosen, seed)
    truth = _SmallChanges(derivation, chosen, values, Floating())
    lines = {
        (step.id, place): value
        for step in derivation.steps
        for place, value in enumerate(_step_values(step, truth))
        if value is not None
    }
    named = {name: truth.value(goal) for name, goal in derivation.names.items()}
    changes = {node: truth.value(node) for node in _differentials(derivation)}
    found = {symbol: _value(value) for symbol, value in (values | named | changes).items()}
    symbols = {symbol: value for symbol, value in found.items() if value is not None}
    return WorkedExample(chosen, symbols, lines)


def _sizes(system: System, given: Mapping[str, int]) -> dict[str, int]:
    shapes = [symbol.shape for symbol in system.symbols]
    names = dict.fromkeys(name for shape in shapes for d in shape for name in d.names)
    for name, size in given.items():
        if name not in names:
            raise InputError(f"no dimension is named {name!r}; {close_matches(name, names)}")
        if size < 1:
            raise InputError(f"the size of {name} is {size}; expected a whole number from 1")
    own = {name: system.sizes[name] for name in system.sizes if name in names}
    kept = {name: size for name, size in own.items() if size <= LARGEST_OWN_SIZE} | dict(given)
    small = cycle(SMALL_SIZES)
    return {name: kept[name] if name in kept else next(small) for name in own | names}


class _SmallChanges(Truth):
    """The truth, with differentials of a size that can be read."""

    @cached_property
    def changes(self) -> dict[Expression, Array]:
        """The differential of every symbol; all of them depend linearly on those that are drawn."""
        drawn = super().changes
        largest = max((float(np.abs(drawn[v]).max()) for v in self.derivation.gradients), default=1)
        return {symbol: change * (LARGEST_CHANGE / largest) for symbol, change in drawn.items()}


def _differentials(derivation: Derivation) -> list[Expression]:
    """The differentials of what was asked for, as far as lines mention them."""
    formulas = [stage.expression for step in derivation.steps for stage in step.stages]
    return [
        node
        for node in walk(*formulas)
        if node.operation == "differential" and node.data in derivation.gradients
    ]


# values


def _forward_values(system: System, sizes: Mapping[str, int], seed: int) -> Values:
    """A point where the loss is defined, what is drawn rounded as far as it stays defined."""
    point = draw_point(system, sizes, np.random.default_rng(seed))
    drawn = system.of_kind(Kind.INPUT, Kind.PARAMETER)
    rounded = {symbol: np.round(point.values[symbol], DECIMALS) for symbol in drawn}
    for targets in _targets(system, point.values):
        values = _completed(system, {**rounded, **targets}, sizes)
        if _is_as_assumed(system, values, sizes) and _is_finite(values):
            return values
    return dict(point.values)


def _targets(system: System, values: Values) -> Iterator[Values]:
    """Targets to a few digits; as one class each, which sums are often assumed to hold for."""
    targets = {symbol: values[symbol] for symbol in system.of_kind(Kind.TARGET)}
    yield {symbol: np.round(target, DECIMALS) for symbol, target in targets.items()}
    yield {
        symbol: np.eye(len(target))[:, np.argmax(target, axis=0)]
        for symbol, target in targets.items()
    }


def _completed(system: System, values: Values, sizes: Mapping[str, int]) -> Values:
    for equation in system.equations:
        found = evaluate(equation.right, values, sizes)
        values[equation.left] = np.broadcast_to(found, shape_of(equation.left, sizes))
    return values


def _is_finite(values: Values) -> bool:
    return all(bool(np.all(np.isfinite(value))) for value in values.values())


def _is_as_assumed(system: System, values: Values, sizes: Mapping[str, int]) -> bool:
    return all(
        np.allclose(evaluate(left, values, sizes), evaluate(right, values, sizes), atol=NOISE)
        for left, right in system.assumptions
    )


# lines


def _step_values(step: Step, truth: Truth) -> list[Value | None]:
    """The value of each stage, all at one place."""
    if is_of_variable(step):
        return _function_values(step, truth.arithmetic)
    if COLUMN_VARIABLE in symbols_of(step.goal, *sides(step.goal)):
        return _column_values(step)
    indices = _place(step, truth)
    place: Place = tuple((name, at + 1) for name, at in sorted(indices.items()))
    shape = truth.shape(step.goal)
    return [
        _value(
            truth.value(stage.expression, indices),
            shape,
            place,
            [(part, truth.value(part, indices)) for part in _parts(stage.expression)],
        )
        for stage in step.stages
    ]


def _parts(formula: Expression) -> list[Expression]:
    """What a formula of scalars is made of; nothing if there are sums or matrices in it."""
    found: list[Expression] = []
    pending = [formula]
    while pending:
        node = pending.pop()
        if not node.is_scalar or node.operation in ("index_sum", "derivative"):
            return []
        if node.operation in PARTS:
            found.append(node)
        else:
            pending.extend(node.arguments)
    return found


def _place(step: Step, truth: Truth) -> dict[str, int]:
    """A place where the result is not zero, its indices as different as can be."""
    grid = truth.places(step.goal)
    if not grid:
        return {}
    columns = [map(int, column) for column in grid.values()]
    places = [dict(zip(grid, place, strict=True)) for place in zip(*columns, strict=True)]
    found = np.broadcast_to(truth.value(step.result, grid), (len(places), 1, 1))
    order = sorted(
        range(len(places)),
        key=lambda n: (abs(found[n].item()) <= NOISE, -len(set(places[n].values()))),
    )
    return places[order[0]]


def _function_values(step: Step, arithmetic: Arithmetic) -> list[Value | None]:
    """Values at the first point where the result is defined."""
    for at in VARIABLE_POINTS:
        environment = slope_environment(step, np.array([[at]]), arithmetic)
        found = [evaluate(stage.expression, environment) for stage in step.stages]
        if np.all(np.isfinite(found[-1])):
            return [
                _value(
                    value,
                    (1, 1),
                    (("z", at),),
                    [(part, np.array(at)) for part in _parts(stage.expression)],
                )
                for value, stage in zip(found, step.stages, strict=True)
            ]
    return [None] * len(step.stages)


def _column_values(step: Step) -> list[Value | None]:
    sizes = {COLUMN_SIZE.names[0]: len(COLUMN_POINT)}
    environment = {COLUMN_VARIABLE: np.array(COLUMN_POINT)[:, None]}
    shape, place = shape_of(step.goal, sizes), (("z", COLUMN_POINT),)
    return [_value(evaluate(s.expression, environment, sizes), shape, place) for s in step.stages]


def _value(
    found: Array,
    shape: tuple[int, int] | None = None,
    place: Place = (),
    parts: Sequence[tuple[Expression, Array]] = (),
) -> Value | None:
    """The entries without rounding noise; None if one of them is not a number."""
    full = np.broadcast_to(found, shape) if shape is not None else found
    if not np.all(np.isfinite(full)):
        return None
    cleaned = np.where(np.abs(full) < NOISE, 0.0, full)
    rows = tuple(tuple(map(float, row)) for row in cleaned)
    return Value(rows, place, tuple((part, float(number.item())) for part, number in parts))
