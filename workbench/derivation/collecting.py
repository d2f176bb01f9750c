"""Steps of several derivations in one reading order, each told once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from workbench.calculus.expressions import Expression
from workbench.calculus.slopes import Stage
from workbench.derivation.steps import Step
from workbench.derivation.subscripts import Bindings, at


class Collected:
    """Steps numbered anew.

    Attributes
    ----------
    steps : in the order of reading.

    >>> from workbench.calculus.expressions import number
    >>> collected = Collected()
    >>> one = Step(7, "A", number(1), (Stage(number(1), "given", ""),))
    >>> collected.add(one, "B", {}), collected.add(one, "C", {}), collected.steps[0].section
    (1, 1, 'B')
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._told: dict[tuple[Expression, Expression], int] = {}

    def add(self, step: Step, section: str, numbers: Mapping[int, int]) -> int:
        """The number of a step: a new one, or an earlier one's if all its lines are told already.

        Parameters
        ----------
        numbers : the new numbers of the steps that this one may cite.
        """
        told = [self._told.get((step.goal, stage.expression)) for stage in step.stages]
        if None not in told and told[0] is not None:
            return told[0]
        refs = tuple(dict.fromkeys(numbers[ref] for ref in step.refs if ref in numbers))
        return self._append(replace(step, section=section, refs=refs))

    def note(
        self, section: str, goal: Expression, stages: Iterable[Stage], refs: Iterable[int]
    ) -> int:
        """A step that no derivation holds, which may repeat what others say of a case."""
        return self._append(Step(0, section, goal, tuple(stages), tuple(refs)))

    def stands_for(self, number: int, bindings: Bindings) -> None:
        """A step is cited as well for what it says at other subscripts."""
        moved = step_at(self[number], bindings)
        for stage in moved.stages:
            self._told.setdefault((moved.goal, stage.expression), number)

    def __getitem__(self, number: int) -> Step:
        return self.steps[number - 1]

    def _append(self, step: Step) -> int:
        new = replace(step, id=len(self.steps) + 1)
        self.steps.append(new)
        for stage in new.stages:
            self._told.setdefault((new.goal, stage.expression), new.id)
        return new.id


def step_at(step: Step, bindings: Bindings, known: Mapping[str, Expression] | None = None) -> Step:
    """A step at other subscripts, or in other symbols; see `workbench.derivation.subscripts.at`.

    >>> from workbench.calculus.expressions import Kind, symbol
    >>> b = symbol("b_n", Kind.PARAMETER)
    >>> step_at(Step(1, "A", b, (Stage(b, "given", ""),)), {"n": "3"}).result.symbol.name
    'b3'
    """
    stages = tuple(replace(s, expression=at(s.expression, bindings, known)) for s in step.stages)
    name = at(step.name, bindings, known) if step.name is not None else None
    return replace(step, goal=at(step.goal, bindings, known), stages=stages, name=name)
