"""The exact tier: each stage of a step against the truth of its goal, modulo a 61-bit prime.

One random point. Two different rational functions of degree d agree there with a chance below
d / 2⁵⁸ (Schwartz, 1980), so that agreement proves equality but for that chance, at the sizes of
the draw and on the branches met there; exponentials of different exponents count as independent.
Disagreement is certain, unless an atom stands for something of which more is known than the field
says; then nothing is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle
from math import prod

import numpy as np

from workbench.calculus.expressions import Expression, walk
from workbench.calculus.functions import COLUMN_SIZE, COLUMN_VARIABLE, VARIABLE, Function
from workbench.core.checks.degrees import DRAWN, Degree, SystemDegrees, degree
from workbench.core.checks.draws import SMALLEST_SIZES
from workbench.core.checks.residue_points import SystemPoint, VariablePoint
from workbench.core.checks.residues import PRIMES, SLOT, Atoms, Inapplicable, Residues
from workbench.core.checks.small_sizes import cost
from workbench.core.checks.truth import (
    Pair,
    Truth,
    differentiated,
    is_of_column,
    is_of_variable,
    jacobian_entries,
    sides,
    whole,
)
from workbench.core.evaluate import Array, Environment, Indices, Leaf
from workbench.derivation.steps import Derivation, Step
from workbench.errors import InputError

LARGEST_BOUND = 1e-4
"""A chance of agreeing by accident above which nothing is claimed."""
MOST_ATTEMPTS = 8
"""At a point where all roots in a function's derivative exist."""
MOST_ENTRIES = 40_000
"""Of all local Jacobians together; larger systems are left to floating point."""
MOST_COST = 1_000_000
"""In one array."""


@dataclass(frozen=True, slots=True)
class Exact:
    """What the exact tier says of a step.

    Attributes
    ----------
    holds : whether every stage is equal to the truth; None where that cannot be said.
    bound : the chance that stages which differ agreed by accident.
    """

    holds: bool | None
    bound: float = 1.0


UNDECIDED = Exact(None)


class ExactTier:
    """The exact tests of the steps of one derivation, at one point."""

    def __init__(self, derivation: Derivation, seed: int = 0) -> None:
        self.derivation, self.system, self.seed = derivation, derivation.system, seed
        names = dict.fromkeys(
            n for symbol in self.system.symbols for d in symbol.shape for n in d.names
        )
        self.sizes = dict(zip(names, cycle(SMALLEST_SIZES), strict=False))

    @cached_property
    def truth(self) -> Truth | None:
        """The truth modulo the first prime; None where the field has no value for the system."""
        is_large = jacobian_entries(self.system, self.sizes) > MOST_ENTRIES
        if is_large or cost(self.system, self.sizes) > MOST_COST:
            return None
        try:
            self.point = SystemPoint(self.system, self.sizes, self.seed)
            return self.point.settled(self._built)
        except (Inapplicable, InputError):
            return None

    def _built(self) -> Truth:
        values = dict(self.point.environment(0))
        return Truth(self.derivation, self.sizes, values, _Modular(self.point, self.sizes))

    @cached_property
    def degrees(self) -> SystemDegrees:
        """The degrees of the truth."""
        return SystemDegrees(self.system, self.sizes)

    def test(self, step: Step) -> Exact:
        """Every stage of a step against the truth of its goal."""
        try:
            if is_of_variable(step) or is_of_column(step):
                return _test_function(step, self.seed)
            return self._test(step)
        except (Inapplicable, InputError):
            return UNDECIDED

    def _test(self, step: Step) -> Exact:
        truth = self.truth
        if truth is None:
            return UNDECIDED
        if any(s.rule == "assumption" for s in step.stages) and not self.point.is_as_assumed:
            return UNDECIDED
        known = dict(self.degrees.values)
        for node in walk(*(stage.expression for stage in step.stages), step.goal):
            if node not in known and not node.arguments:
                known.update(self._leaf_degree(node))
        total = _total_degree(step, known, self.sizes)
        return _judged(truth.pairs(step), total, self.point.atoms)

    def _leaf_degree(self, node: Expression) -> Iterator[tuple[Expression, Degree]]:
        """The degree of a derivative that is not worked out, or of a name for one."""
        goal = self.derivation.names.get(node, node)
        if goal.operation in ("hessian", "differential"):
            yield node, self.degrees.whole.slope
        elif pair := sides(goal):
            of = whole(pair[0])
            if of is self.system.loss:
                yield node, self.degrees.gradient(pair[1])
            else:
                yield node, self.degrees.locals.get(of, self.degrees.whole.slope)


def _total_degree(step: Step, known: Mapping[Expression, Degree], sizes: Mapping[str, int]) -> int:
    """The degree of the largest difference between a stage and the truth."""
    truth = degree(step.goal, known, sizes).total
    return truth + max(degree(s.expression, known, sizes).total for s in step.stages) + 1


def _judged(pairs: Iterable[Pair], total: int, atoms: Atoms) -> Exact:
    if total > LARGEST_BOUND * PRIMES[-1]:
        return UNDECIDED
    for found, expected in pairs:
        if not np.all(found == expected):
            return Exact(None if atoms.is_loose else False)
    bound = total * prod(atoms.roots.values()) / PRIMES[-1]
    return Exact(True, bound) if bound < LARGEST_BOUND else UNDECIDED


class _Modular:
    """Residues of the first prime, moved by series in ε."""

    def __init__(self, point: SystemPoint, sizes: Mapping[str, int]) -> None:
        self.point, self.sizes = point, sizes

    def value(
        self,
        expression: Expression,
        values: Mapping[Expression, Array],
        sizes: Mapping[str, int],
        indices: Indices | None = None,
        leaf: Leaf | None = None,
    ) -> Array:
        """The residue of an expression."""
        return Residues(self.point, 0, 0, values, sizes, indices, leaf).value(expression)

    def slope(
        self,
        expression: Expression,
        values: Mapping[Expression, Array],
        directions: Mapping[Expression, Array],
        sizes: Mapping[str, int],
    ) -> Array:
        """The coefficient of ε."""
        moved = {s: values[s] + (direction << SLOT) for s, direction in directions.items()}
        found = Residues(self.point, 0, 1, {**values, **moved}, sizes).value(expression)
        return found >> SLOT

    def whole(self, value: Array) -> Array:
        """Whole numbers as residues."""
        return value.astype(object) % PRIMES[0]

    def reduced(self, value: Array) -> Array:
        """Residues from 0."""
        return np.asarray(value % PRIMES[0], dtype=object)


# Derivatives of functions


def _test_function(step: Step, seed: int) -> Exact:
    """The derivative of a function, on every side of its kinks."""
    random = np.random.default_rng(seed)
    if is_of_variable(step):
        function = step.goal.data
        assert isinstance(function, Function)
        kinks = function.kinks or (0.0,)
        reals = [np.array([[kink + side]]) for kink in kinks for side in (-0.3, 0.3, 2.5)]
        test: Callable[[Step, VariablePoint], Exact | None] = _test_slope
    else:
        reals = [random.normal(size=(3, 1))]
        test = _test_column
    found = [_drawn_until_defined(step, real, seed, test) for real in reals]
    verdicts = [verdict for verdict in found if verdict is not None]
    for holds in (False, None):
        for verdict in verdicts:
            if verdict.holds is holds:
                return verdict
    bounds = [verdict.bound for verdict in verdicts]
    return Exact(True, max(bounds)) if bounds else UNDECIDED


def _drawn_until_defined(
    step: Step, real: Array, seed: int, test: Callable[[Step, VariablePoint], Exact | None]
) -> Exact | None:
    """A test where its roots exist; None where the function is undefined in real numbers."""
    for attempt in range(MOST_ATTEMPTS):
        variable = VariablePoint((len(real), 1), real, MOST_ATTEMPTS * seed + attempt)
        try:
            return test(step, variable)
        except Inapplicable:
            continue
    return UNDECIDED


def _slope(formula: Expression, variable: VariablePoint, sizes: Mapping[str, int]) -> Array:
    """The derivative along every entry of the variable, one a leading index."""
    size = variable.shape[0]
    units = np.eye(size, dtype=int).astype(object)[..., None] << SLOT
    moved = {symbol: value + units for symbol, value in variable.environment(0).items()}
    return Residues(variable, 0, 1, moved, sizes).value(formula) >> SLOT


def _test_slope(step: Step, variable: VariablePoint) -> Exact | None:
    formula = differentiated(step)
    if not np.all(np.isfinite(variable.real(formula, {}))):
        return None
    truth = _slope(formula, variable, {})[0]
    environment = dict(variable.environment(0))
    known = {VARIABLE: DRAWN}
    for node in walk(*(stage.expression for stage in step.stages)):
        if node.operation == "derivative":
            environment[node] = _slope(node.arguments[0], variable, {})[0]
            known[node] = degree(node.arguments[0], known, {}).slope
    return _compared(step, truth, variable, environment, known, {})


def _test_column(step: Step, variable: VariablePoint) -> Exact:
    sizes = {COLUMN_SIZE.names[0]: variable.shape[0]}
    value = sides(step.goal)[0]
    truth = _slope(value, variable, sizes)[..., 0]
    truth = truth.T if step.goal.operation == "numerator_jacobian" else truth
    known = {COLUMN_VARIABLE: DRAWN}
    known[step.goal] = degree(value, known, sizes).slope
    return _compared(step, truth, variable, variable.environment(0), known, sizes)


def _compared(
    step: Step,
    truth: Array,
    variable: VariablePoint,
    environment: Environment,
    known: Mapping[Expression, Degree],
    sizes: Mapping[str, int],
) -> Exact:
    values = (
        Residues(variable, 0, 0, environment, sizes).value(stage.expression)
        for stage in step.stages
    )
    pairs = ((np.broadcast_to(found, truth.shape), truth) for found in values)
    return _judged(pairs, _total_degree(step, known, sizes), variable.atoms)
