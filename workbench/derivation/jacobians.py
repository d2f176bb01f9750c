"""Jacobians of a system that ends in a vector or a matrix: dy/dx = (∂z/∂x) (dy/dz).

In denominator layout, over vec where there are matrices. Where the chain of local Jacobians cannot
be written down, the matrix is read off the differential of the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from workbench.calculus.algebra import add
from workbench.calculus.closed_form import jacobian_matrix
from workbench.calculus.expressions import Expression, Kind, identity, length, total_jacobian
from workbench.calculus.expressions import jacobian as local_jacobian
from workbench.calculus.matrices import matmul
from workbench.calculus.slopes import Stage
from workbench.calculus.tidy import tidy
from workbench.derivation.local_derivatives import LocalDerivatives, expanded
from workbench.derivation.second_order import with_names
from workbench.derivation.steps import EQUATIONS, Derivation, Detail
from workbench.derivation.system import System, put_in
from workbench.derivation.working import Working

if TYPE_CHECKING:
    from workbench.derivation.steps import Strategy

JACOBIANS = "Jacobians"


def derive_jacobians(
    system: System,
    wanted: Sequence[Expression],
    needed: set[Expression],
    strategy: Strategy,
    detail: Detail,
) -> Derivation:
    """The Jacobians of the last equation's left side by the variables asked for.

    Raises
    ------
    InputError
        If one of them is no matrix, but needs more indices.
    """
    return _Jacobians(system, needed, detail).run(wanted, strategy)


class _Jacobians:
    def __init__(self, system: System, needed: set[Expression], detail: Detail) -> None:
        self.system = system
        self.needed = needed
        self.working = Working(detail)
        self.local = LocalDerivatives(system, self.working, needed)
        self.total = {system.loss: identity(length(system.loss))}

    def run(self, wanted: Sequence[Expression], strategy: Strategy) -> Derivation:
        """Write every step."""
        for equation in self.system.equations:
            self.local.functions(equation)
        for equation in self.system.equations:
            given = Stage(equation.right, "given", "an equation of the system")
            self.working.note(EQUATIONS, equation.left, [given])
        for equation in reversed(self.system.equations):
            for variable in self.local.moving(equation):
                self.local.derivative(equation, variable)
        for variable in self._in_order(wanted):
            self._jacobian(variable)
        found = {variable: self.total[variable] for variable in wanted}
        return Derivation(self.system, strategy, tuple(self.working.steps), (), found)

    def _in_order(self, wanted: Sequence[Expression]) -> list[Expression]:
        """Intermediates from the last to the first, then what was asked for."""
        inner = [e.left for e in reversed(self.system.equations[:-1]) if e.left in self.needed]
        return [*inner, *(v for v in wanted if v.symbol.kind is not Kind.INTERMEDIATE)]

    def _jacobian(self, variable: Expression) -> None:
        output = self.system.loss
        goal = total_jacobian(output, variable)
        consumers = [e for e in self.system.consumers(variable) if e.left in self.needed]
        known = self.working.id_of
        refs = [known.get(local_jacobian(e.left, variable)) for e in consumers]
        refs += [known.get(total_jacobian(output, e.left)) for e in consumers]
        locals_ = [self.working.results.get(local_jacobian(e.left, variable)) for e in consumers]
        totals = [self.total.get(e.left) for e in consumers]
        stages = []
        if all(part is not None for part in (*locals_, *totals)):
            chain = add(
                *(
                    matmul(local_jacobian(e.left, variable), total_jacobian(output, e.left))
                    for e in consumers
                )
            )
            put = add(
                *(
                    matmul(a, b)
                    for a, b in zip(locals_, totals, strict=True)
                    if a is not None and b is not None
                )
            )
            stages.append(Stage(chain, "chain rule", "one term a use"))
            stages.append(Stage(put, "local derivatives", "put in the local derivatives"))
            result = tidy(expanded(put, consumers))
        else:
            whole = put_in(self.system, variable)
            result = with_names(jacobian_matrix(whole, variable), self.system)
        stages.append(Stage(result, "collect", "read off the differential of the whole"))
        self.total[variable] = self.working.note(JACOBIANS, goal, stages, refs).result
