"""Hold every step of a derivation against numbers that do not come from it, in tiers.

1. Shapes: every stage has the shape of its goal.
2. Float64: at three draws of distinct sizes and random points where the loss is defined, against
   the complex step through single equations (Squire and Trapp, 1998, "Using complex variables to
   estimate derivatives of real functions"), chained; the gradients asked for once more against the
   complex step through the whole system.
3. 50 digits, where float64 is near its tolerance or fails: then this is the verdict.
4. Exact: an identity modulo a 61-bit prime at a random point, with the chance of an accident.

A step that is defined at no point drawn, or rests on an assumption that no target drawn satisfies,
stays unchecked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from workbench.calculus.expressions import Expression
from workbench.core.checks.distances import TOLERANCE, Draw
from workbench.core.checks.exact import ExactTier
from workbench.core.checks.precise import PreciseTier
from workbench.core.checks.small_sizes import at_small_sizes
from workbench.core.checks.truth import sides
from workbench.derivation.steps import DERIVATIVES, Check, Derivation, Step, Tier, variable_of
from workbench.errors import InputError

SEEDS = (0, 1, 2)
NEAR = 1e-12
"""Errors from here on are looked at with 50 digits unless the step is proved; right lines are below
it in float64."""


def verify(derivation: Derivation, seeds: Sequence[int] = SEEDS) -> Derivation:
    """The same derivation, every step carrying the record of its check.

    Parameters
    ----------
    seeds : one draw of sizes and values for each.

    Raises
    ------
    InputError
        If a size written as a number is too large, and the derivation does not hold at smaller
        ones as it would if the size had a name.

    >>> import workbench as wb
    >>> from workbench.derivation.differentiate import derive
    >>> verified = verify(derive(wb.network("2-2-1").system()))
    >>> [str(tier) for tier in verified.results[0].check.tiers]
    ['shapes', 'float64', 'exact']
    """
    with np.errstate(all="ignore"):
        for small in at_small_sizes(derivation):
            checked = _at_small_sizes(small, seeds)
            if checked is not None:
                pairs = zip(derivation.steps, checked, strict=True)
                steps = [replace(step, check=small.check) for step, small in pairs]
                return derivation.with_steps(steps)
        return derivation.with_steps(_checked(derivation, seeds))


def _checked(derivation: Derivation, seeds: Sequence[int]) -> list[Step]:
    verification = _Verification(derivation, seeds)
    return [verification.checked(step) for step in derivation.steps]


def _at_small_sizes(derivation: Derivation, seeds: Sequence[int]) -> list[Step] | None:
    """The steps of a derivation with other sizes, checked; None if one is wrong at them.

    It may then be right at its own sizes, as what uses 𝟏ᵀ𝟏 = 784 is.
    """
    try:
        steps = _checked(derivation, seeds)
    except (InputError, ValueError, IndexError):
        return None
    return None if any(s.check is not None and not s.check.passed for s in steps) else steps


@dataclass(frozen=True)
class _Found:
    """The errors of a step at one draw."""

    draw: Draw
    errors: list[float]


class _Verification:
    """The draws of one derivation, and what they say of its steps."""

    def __init__(self, derivation: Derivation, seeds: Sequence[int]) -> None:
        self.derivation = derivation
        self.draws = [Draw(derivation, seed) for seed in seeds]
        self.exact = ExactTier(derivation)
        self.precise = PreciseTier(derivation)
        self.end_to_end = self._end_to_end_errors()

    def checked(self, step: Step) -> Step:
        """A step with its record, if there is any evidence."""
        if step.is_definition:
            return step
        if not _shapes_agree(step):
            return replace(step, check=Check(False, inf, (), ()))
        found = [_Found(draw, [*draw.errors(step)]) for draw in self.draws]
        telling = [each for each in found if each.errors]
        if not telling:
            return step
        exact = self.exact.test(step)
        worst = max(e for f in telling for e in f.errors + self._through(step, f))
        tiers = [Tier.SHAPES]
        passed = worst <= TOLERANCE
        if passed:
            tiers.append(Tier.FLOAT64)
        limit = {True: TOLERANCE, None: NEAR, False: inf}[exact.holds]
        if worst > limit:
            suspects = [f.draw for f in telling if max(f.errors + self._through(step, f)) > limit]
            error = self._precisely(step, suspects)
            if error is not None:
                passed = error <= TOLERANCE
                worst = error if passed else max(worst, error)
                tiers += [Tier.PRECISE] if passed else []
        if exact.holds:
            tiers.append(Tier.EXACT)
        passed = passed and exact.holds is not False
        seeds, sizes = (tuple(getattr(f.draw, name) for f in telling) for name in ("seed", "sizes"))
        chance = exact.bound if exact.holds else None
        return replace(step, check=Check(passed, worst, seeds, sizes, tuple(tiers), chance))

    def _precisely(self, step: Step, draws: Sequence[Draw]) -> float | None:
        """The worst error with 50 digits, up to the first that fails; None if it cannot be said."""
        worst = 0.0
        for draw in draws:
            error = self.precise.error(step, draw)
            if error is None:
                return None
            worst = max(worst, error)
            if worst > TOLERANCE:
                break
        return worst

    def _through(self, step: Step, found: _Found) -> list[float]:
        """The errors of a resulting step through the whole system."""
        return self.end_to_end.get((step.id, found.draw.seed), [])

    def _results(self) -> list[Step]:
        """The steps that give what was asked for; the first that names a gradient gives it."""
        loss = self.derivation.system.loss
        kinds = DERIVATIVES if loss.is_scalar else ("total_jacobian",)
        found: dict[Expression, Step] = {}
        for step in self.derivation.steps:
            if step.goal.operation in kinds and sides(step.goal)[0] is loss:
                found.setdefault(variable_of(step.goal), step)
        return [found[variable] for variable in self.derivation.gradients if variable in found]

    def _end_to_end_errors(self) -> dict[tuple[int, int], list[float]]:
        """For each resulting step and draw, its error through the whole system.

        All gradients are tried in one pass along random directions; only if that fails is each one
        tried on its own, to find the culprit.
        """
        errors: dict[tuple[int, int], list[float]] = {}
        for draw in self.draws:
            if not draw.point.is_defined:
                continue
            results = [step for step in self._results() if _shapes_agree(step)]
            steps = [step for step in results if draw.can_check(step)]
            gradients = {variable_of(s.goal): draw.gradient_found(s) for s in steps}
            together = draw.whole_system_error(gradients)
            for step in steps:
                variable = variable_of(step.goal)
                alone = {variable: gradients[variable]}
                passed = together <= TOLERANCE
                error = together if passed else draw.whole_system_error(alone)
                errors[step.id, draw.seed] = [error]
        return errors


def _shapes_agree(step: Step) -> bool:
    """Whether every stage has the shape of the goal; a number stands for any shape."""
    return all(
        stage.expression.shape == step.goal.shape or stage.expression.number is not None
        for stage in step.stages
    )
