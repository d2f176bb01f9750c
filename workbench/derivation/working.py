"""The working of a derivation while it is written: numbered steps, found again by their goals."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence

from workbench.calculus.dimensions import Dimension
from workbench.calculus.expressions import Expression, Symbol, walk
from workbench.calculus.slopes import Stage, distinct
from workbench.derivation.steps import Detail, Step
from workbench.derivation.system import Equation


class Working:
    """The steps so far.

    Attributes
    ----------
    steps : in the order of writing.
    id_of : the step that reached a goal, or stands for the step that would have.
    results : what each shared step came to, for its own goal.
    """

    def __init__(self, detail: Detail) -> None:
        self.detail = detail
        self.steps: list[Step] = []
        self.id_of: dict[Expression, int] = {}
        self.results: dict[Expression, Expression] = {}
        self._patterns: dict[Hashable, int] = {}

    def note(
        self,
        section: str,
        goal: Expression,
        stages: Sequence[Stage],
        refs: Sequence[int | None] = (),
        name: Expression | None = None,
    ) -> Step:
        """Number a step and remember it by its goal."""
        cited = tuple(dict.fromkeys(ref for ref in refs if ref is not None))
        step = Step(len(self.steps) + 1, section, goal, tuple(distinct(stages)), cited, name)
        self.steps.append(step)
        self.id_of[goal] = step.id
        return step

    def note_shared(
        self,
        section: str,
        equation: Equation,
        goal: Expression,
        stages: Sequence[Stage],
        refs: Sequence[int | None],
    ) -> int:
        """A step that equations alike but for their numbers share: the first stands for all."""
        self.results[goal] = stages[-1].expression
        if goal in self.id_of:
            return self.id_of[goal]
        pattern = _pattern(goal), _pattern(equation.right)
        known = self._patterns.get(pattern)
        if known is None or self.detail is Detail.FULL:
            step = self.note(section, goal, stages, refs)
            self._patterns[pattern] = step.id
        else:
            self.id_of[goal] = known
        return self.id_of[goal]


def _pattern(expression: Expression) -> Hashable:
    """What is left of an expression without the numbers in the names of symbols and sizes."""
    places: dict[Expression, int] = {}
    for node in walk(expression):
        places[node] = len(places)
    return tuple(
        (node.operation, tuple(places[a] for a in node.arguments), _unnumbered(node.data))
        for node in places
    )


def _unnumbered(data: Hashable) -> Hashable:
    if isinstance(data, Symbol):
        return re.sub(r"\d+", "", data.name)
    if isinstance(data, Dimension):
        return tuple(
            (tuple(re.sub(r"\d+", "", name) for name in names), count)
            for names, count in data.terms
        )
    if isinstance(data, Expression):
        return _pattern(data)
    if isinstance(data, tuple):
        return tuple(_unnumbered(part) for part in data)
    return data
