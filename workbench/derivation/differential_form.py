"""Differentials: ⟨∂L/∂W, dW⟩ = ⟨δ, dW x⟩ = ⟨δ xᵀ, dW⟩, and the gradient is read off.

Magnus and Neudecker (1988), "Matrix differential calculus", chapters 5 and 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from workbench.calculus.algebra import add, spread
from workbench.calculus.differentials import differential
from workbench.calculus.expressions import Expression, change, inner, jacobian
from workbench.calculus.rewriting import substitute
from workbench.calculus.slopes import Stage
from workbench.derivation.local_derivatives import function_values, rules_on_the_way
from workbench.derivation.steps import GRADIENTS
from workbench.derivation.system import Equation
from workbench.derivation.voice import Told

if TYPE_CHECKING:
    from workbench.derivation.differentiate import Differentiation

DIFFERENTIALS = "Differentials"


class DifferentialForm:
    """The voice of differentials."""

    def __init__(self, work: Differentiation) -> None:
        self.work = work
        self.system = work.system
        self.working = work.working

    def prepare(self) -> None:
        """dz = dW x + W dx + db for every equation but the loss, those alike told once."""
        for equation in self.system.equations:
            moving = self.work.local.moving(equation)
            if equation.left is self.system.loss or not moving:
                continue
            parts = [self._change(equation, variable) for variable in moving]
            told = Stage(
                spread(add(*parts), equation.left.shape),
                rules_on_the_way([equation], *moving),
            )
            refs = [self.working.id_of[equation.left], self.work.local.slope_id(equation)]
            goal = change(equation.left)
            self.working.note_shared(DIFFERENTIALS, equation, goal, [told], refs)

    def _change(self, equation: Equation, variable: Expression) -> Expression:
        """How an equation's left side changes with one of its variables."""
        moved = differential(equation.right, {variable: change(variable)})
        return substitute(moved, function_values([equation]))

    def _weighed(self, equation: Equation, variable: Expression) -> Expression:
        """⟨∂L/∂v, dv⟩ along one variable; the change of the loss itself is dL."""
        moved = self._change(equation, variable)
        if equation.left is self.system.loss:
            return moved
        return inner(self.work.handle[equation.left], moved)

    def gradient(self, variable: Expression, consumers: Sequence[Equation]) -> Told:
        """What the loss changes by with this variable alone, brought into the form ⟨…, du⟩."""
        known, loss = self.working.id_of, self.system.loss
        moved = change(variable)
        goal = inner(jacobian(loss, variable), moved)
        changes = [self._weighed(equation, variable) for equation in consumers]
        refs = [known.get(jacobian(loss, e.left)) for e in consumers]
        refs += [known.get(change(e.left)) for e in consumers]
        refs += [known[e.left] for e in consumers if e.left is loss]
        pulled = self.work.pulled(consumers, variable)
        many = len(consumers) > 1
        rule = f"differential, sum over {len(consumers)} uses" if many else "differential"
        stages = [
            Stage(substitute(add(*changes), self.work.inlined), rule, "what du moves"),
            Stage(inner(pulled, moved), "adjoint", "⟨G, A X B⟩ = ⟨Aᵀ G Bᵀ, X⟩"),
        ]
        step = self.working.note(GRADIENTS, goal, stages, refs)
        read = Stage(pulled, "read off", "what stands beside du is the gradient")
        return [read], [step.id]
