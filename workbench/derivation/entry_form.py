"""Entries and indices: (∂L/∂u)[i] = Σₖ (∂L/∂v)[k] · ∂v[k]/∂u[i], gathered at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from workbench.calculus.algebra import add
from workbench.calculus.expressions import Expression, jacobian
from workbench.calculus.slopes import Stage
from workbench.derivation.chain_rule import ChainRule
from workbench.derivation.local_derivatives import rules_on_the_way
from workbench.derivation.steps import GRADIENTS
from workbench.derivation.system import Equation
from workbench.derivation.voice import Told
from workbench.errors import InputError
from workbench.tensors.entries import entry

if TYPE_CHECKING:
    from workbench.derivation.differentiate import Differentiation


class EntryForm:
    """The voice of indices; where an operation has no form by entries, that of Jacobians."""

    def __init__(self, work: Differentiation) -> None:
        self.work = work
        self.system = work.system
        self.working = work.working
        self.chain_rule = ChainRule(work)

    def prepare(self) -> None:
        """Every equation and its derivatives for one entry."""
        for equation in reversed(self.system.equations):
            if equation.left is not self.system.loss:
                for variable in self.work.local.moving(equation):
                    self.work.local.derivative(equation, variable, gathered=False)

    def gradient(self, variable: Expression, consumers: Sequence[Equation]) -> Told:
        """The chain rule for one entry of the variable, then the matrix that has these entries."""
        refs = self.chain_rule.citations(variable, consumers, by_entry=True)
        if variable.is_scalar and all(e.left.is_scalar for e in consumers):
            return self.chain_rule.gradient(variable, consumers)
        try:
            parts = [
                self.work.local.through(equation, variable, self.work.handle[equation.left])
                for equation in consumers
            ]
        except InputError:
            return self.chain_rule.gradient(variable, consumers)
        indices = self.work.local.free_indices(variable, variable)[1]
        chain, put_in, result = (add(*lines) for lines in zip(*parts, strict=True))
        is_direct = all(e.left is self.system.loss for e in consumers)
        uses = f"sum over {len(consumers)} uses, " if len(consumers) > 1 else ""
        first = "differentiate by entries" if is_direct else f"{uses}chain rule"
        stages = [
            Stage(chain, first, "every entry that the variable moves, summed"),
            Stage(put_in, "local derivatives", "put in the local derivatives by entries"),
            Stage(result, "contract the deltas", "a sum over a δ keeps one term"),
        ]
        goal = entry(jacobian(self.system.loss, variable), *indices)
        step = self.working.note(GRADIENTS, goal, stages, refs)
        pulled = self.work.pulled(consumers, variable)
        rule = rules_on_the_way(consumers, variable)
        return [Stage(pulled, "gather entries", f"the same by the rules: {rule}")], [step.id]
