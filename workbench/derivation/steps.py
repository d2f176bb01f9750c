"""Derivations: the gradients of a system's loss, and the steps that lead there.

The steps come out of the differentiation itself: the rule that computes is the rule that is shown.
Each step states that its goal equals each of its stages; `workbench.core.checks` holds every one of
these equalities against numbers. The last stages are what programs are compiled from.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from functools import cached_property

from workbench.calculus.expressions import Expression
from workbench.calculus.slopes import Stage
from workbench.derivation.system import Equation, System

JacobianRule = Callable[[Expression, int], Expression | None]
"""A strategy's local Jacobian ∂vec(node)/∂vec(argument), or None to use the rule table's form."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """A way of writing pullbacks: the local Jacobians it writes out, and its name."""

    name: str
    jacobian: JacobianRule


def _no_jacobian(node: Expression, index: int) -> None:
    return None


ELEMENTWISE = Strategy("elementwise", _no_jacobian)
"""The rule table's own form, without any Jacobian written out."""


EQUATIONS = "Equations"
GRADIENTS = "Gradients"
SECOND_ORDER = "Second derivatives"
"""The section of steps that lead to Hessians."""

DERIVATIVES = ("jacobian", "numerator_jacobian")
"""The operations of a derivative that is not worked out yet, in either layout."""


class Detail(IntEnum):
    """How much is shown: the results, the working on paper, or every line for every layer."""

    BRIEF = 0
    PAPER = 1
    FULL = 2


class Tier(StrEnum):
    """A kind of evidence that the stages of a step are equal, from the weakest to the strongest."""

    SHAPES = "shapes"
    FLOAT64 = "float64"
    PRECISE = "precise"
    EXACT = "exact"


@dataclass(frozen=True, slots=True)
class Check:
    """How a step fared against numbers.

    Attributes
    ----------
    passed : whether every stage agreed at every draw.
    max_relative_error : the worst distance, relative to the norm of the tensor.
    seeds : the seeds of the draws.
    sizes : for each seed the size of each dimension.
    tiers : the kinds of evidence there are: shapes; float64; 50 digits, where float64 left it open;
        exact, modulo a prime.
    chance : the chance that an exact agreement is an accident; None without one.
    """

    passed: bool
    max_relative_error: float
    seeds: tuple[int, ...]
    sizes: tuple[Mapping[str, int], ...]
    tiers: tuple[Tier, ...] = ()
    chance: float | None = None


@dataclass(frozen=True)
class Step:
    """One numbered line: `goal = stage = stage = …`.

    Attributes
    ----------
    id : the number that other steps cite.
    section : the heading that the step stands under.
    goal : what is worked out.
    stages : equal expressions, the last one is the result.
    refs : the ids of the steps this one rests on.
    name : a short symbol given to the goal (δ₂), if any.
    check : how it fared against numbers, once verified; a definition has none.
    """

    id: int
    section: str
    goal: Expression
    stages: tuple[Stage, ...]
    refs: tuple[int, ...] = ()
    name: Expression | None = None
    check: Check | None = None

    @property
    def result(self) -> Expression:
        """The last stage."""
        return self.stages[-1].expression

    @property
    def is_definition(self) -> bool:
        """Whether the step defines its goal, and so has nothing to check."""
        return self.stages[0].rule == "given"


@dataclass(frozen=True)
class Derivation:
    """The gradients of a loss with all the steps.

    Attributes
    ----------
    system : what was differentiated.
    strategy : the way the pullbacks are written.
    steps : in the order of reading; a step rests on earlier ones only.
    backward : the backward pass as equations: named gradients, then parameter gradients.
    gradients : for each parameter asked for, its gradient's expression.
    """

    system: System
    strategy: Strategy
    steps: tuple[Step, ...]
    backward: tuple[Equation, ...]
    gradients: Mapping[Expression, Expression] = field(default_factory=dict)

    @cached_property
    def names(self) -> Mapping[Expression, Expression]:
        """The short names of gradients: δ₂ for ∂L/∂z₂."""
        return {step.name: step.goal for step in self.steps if step.name is not None}

    @property
    def results(self) -> tuple[Step, ...]:
        """The steps that give the gradients asked for."""
        found: dict[Hashable, Step] = {}
        for step in self.steps:
            goal = step.goal.arguments[0] if step.goal.operation == "transpose" else step.goal
            of_interest = goal.operation in (*DERIVATIVES, "total_jacobian")
            if of_interest and step.section != SECOND_ORDER:
                found[goal.data] = step
        return tuple(found[self.system.loss, p] for p in self.gradients)

    @property
    def hessians(self) -> tuple[Step, ...]:
        """The steps that give second derivatives, as a matrix or by entries."""
        return tuple(step for step in self.steps if _is_second(step.goal))

    @property
    def failed(self) -> tuple[Step, ...]:
        """The steps whose check did not pass."""
        return tuple(step for step in self.steps if step.check and not step.check.passed)

    def with_steps(self, steps: Sequence[Step]) -> Derivation:
        """The same derivation with other steps (verified, or selected)."""
        return replace(self, steps=tuple(steps))


def _is_second(goal: Expression) -> bool:
    """Whether this is a Hessian, or a derivative of an entry of a gradient."""
    if goal.operation == "hessian":
        return True
    of = goal.data[0] if isinstance(goal.data, tuple) and goal.operation == "jacobian" else None
    return (
        isinstance(of, Expression)
        and of.operation == "entry"
        and of.arguments[0].operation == "jacobian"
    )


def variable_of(goal: Expression) -> Expression:
    """The variable u of a derivative ∂L/∂u, transposed or not."""
    if goal.operation == "transpose":
        return variable_of(goal.arguments[0])
    assert isinstance(goal.data, tuple)
    variable = goal.data[1]
    assert isinstance(variable, Expression)
    return variable
