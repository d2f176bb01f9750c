"""The chain rule with Jacobians: ∂L/∂u = (∂v/∂u) (∂L/∂v), local Jacobians found by entries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from workbench.calculus.algebra import add, multiply
from workbench.calculus.expressions import Expression, jacobian
from workbench.calculus.matrices import devec, matmul, vec
from workbench.calculus.pullbacks import accumulate, table_pullback
from workbench.calculus.rewriting import substitute
from workbench.calculus.slopes import Stage
from workbench.derivation.local_derivatives import is_columnwise, rules_on_the_way
from workbench.derivation.steps import GRADIENTS
from workbench.derivation.system import Equation
from workbench.derivation.voice import Told
from workbench.errors import InputError
from workbench.tensors.entries import entry

if TYPE_CHECKING:
    from workbench.derivation.differentiate import Differentiation


class ChainRule:
    """The voice of Jacobians; the strategy says which of them are written out."""

    def __init__(self, work: Differentiation) -> None:
        self.work = work
        self.system = work.system
        self.working = work.working

    def prepare(self) -> None:
        """Local derivatives of every equation but the loss."""
        for equation in reversed(self.system.equations):
            if equation.left is not self.system.loss:
                for variable in self.work.local.moving(equation):
                    self.work.local.derivative(equation, variable)

    def gradient(self, variable: Expression, consumers: Sequence[Equation]) -> Told:
        """Chain, local Jacobians put in, pullback."""
        for equation in consumers:
            self._vectorised_local(equation, variable)
        refs = self.citations(variable, consumers)
        if by_entry := self.by_entries(variable, consumers):
            refs.insert(0, by_entry)
        return self._stages(variable, consumers), refs

    def citations(
        self, variable: Expression, consumers: Sequence[Equation], *, by_entry: bool = False
    ) -> list[int | None]:
        """The steps that a gradient rests on; with `by_entry` derivatives of entries as well."""
        known, loss = self.working.id_of, self.system.loss
        refs = [self._local_step(e, variable, by_entry) for e in consumers]
        refs += [known.get(jacobian(loss, e.left)) for e in consumers]
        refs += [self.work.local.slope_id(e) for e in consumers]
        return refs + [known[e.left] for e in consumers if e.left is loss]

    def _local_step(self, equation: Equation, variable: Expression, by_entry: bool) -> int | None:
        """The step of a local derivative, as a matrix or by entries."""
        found = self.working.id_of.get(jacobian(equation.left, variable))
        if found is not None or not by_entry:
            return found
        outer, inner = self.work.local.free_indices(equation.left, variable)
        left, right = entry(equation.left, *outer), entry(variable, *inner)
        return self.working.id_of.get(jacobian(left, right))

    def _stages(self, variable: Expression, consumers: Sequence[Equation]) -> list[Stage]:
        uses = f"sum over {len(consumers)} uses, " if len(consumers) > 1 else ""
        why = "one factor an equation, and one term a use of the variable"
        chains = [self._chain(equation, variable) for equation in consumers]
        stages = []
        if all(chain is not None for chain in chains):
            chain = add(*(c for c in chains if c is not None))
            stages.append(Stage(chain, f"{uses}chain rule", why))
        locals_ = [self._jacobian_times(equation, variable) for equation in consumers]
        if all(part is not None for part in locals_):
            known = substitute(add(*(p for p in locals_ if p is not None)), self.work.inlined)
            stages.append(Stage(known, "local derivatives", "put in the local derivatives"))
        direct = self.work.pulled(consumers, variable)
        if stages and stages[-1].rule == "local derivatives" and not variable.is_scalar:
            stages.append(Stage(direct, "entry by entry", "diag(u) v is u ⊙ v"))
        elif not variable.is_scalar or self.system.loss in [e.left for e in consumers]:
            rule = rules_on_the_way(consumers, variable)
            stages.append(Stage(direct, rule if stages else uses + rule))
        else:
            stages.append(Stage(direct, "local derivatives", "put in the local derivatives"))
        return stages

    def _chain(self, equation: Equation, variable: Expression) -> Expression | None:
        """∂L/∂u as a product of Jacobians, where it can be written so."""
        if equation.left is self.system.loss:
            return None
        gradient = self.work.handle[equation.left]
        local = jacobian(equation.left, variable)
        if equation.left.is_scalar:
            return multiply(gradient, local) if variable.is_column else None
        if variable.is_column and equation.left.is_column:
            return matmul(local, gradient)
        if self._writes_jacobians(equation, variable):
            return devec(matmul(local, vec(gradient)), variable.shape)
        return None

    def _jacobian_times(self, equation: Equation, variable: Expression) -> Expression | None:
        """The local Jacobian recovered from entries, times the gradient, where there is one."""
        if equation.left is self.system.loss or variable.is_scalar:
            return None
        local = self.working.results.get(jacobian(equation.left, variable))
        if local is None:
            return None
        return devec(matmul(local, vec(self.work.handle[equation.left])), variable.shape)

    # vec and ⊗

    def _vectorised_local(self, equation: Equation, variable: Expression) -> None:
        """∂z/∂vec(W) = x ⊗ I, where the strategy writes Jacobians of matrices."""
        goal = jacobian(equation.left, variable)
        if variable.is_column or equation.left.is_scalar or goal in self.working.id_of:
            return
        if not self._writes_jacobians(equation, variable):
            return
        pulled = self.work.pulled_through(equation, variable)
        product = pulled.arguments[0] if pulled.operation == "devec" else pulled
        if product.operation == "matmul" and len(product.arguments) > 1:
            local = matmul(*product.arguments[:-1])
            stage = Stage(local, "vec and ⊗", "vec(A X B) = (Bᵀ ⊗ A) vec(X), transposed")
            refs = [self.working.id_of[equation.left]]
            step = self.working.note_shared(GRADIENTS, equation, goal, [stage], refs)
            self._devectorise(equation, variable, pulled, step)

    def _devectorise(
        self, equation: Equation, variable: Expression, pulled: Expression, step: int
    ) -> None:
        """(x ⊗ I) g = vec(g xᵀ): the same gradient without vec."""
        seed = self.work.handle[equation.left]
        (plain,) = accumulate(equation.right, [variable], seed, table_pullback)
        if pulled.operation == "devec":
            stage = Stage(plain, "devectorise", "(Bᵀ ⊗ A)ᵀ vec(G) = vec(Aᵀ G Bᵀ)")
            self.working.note_shared(GRADIENTS, equation, pulled, [stage], [step])

    def _writes_jacobians(self, equation: Equation, variable: Expression) -> bool:
        written: list[bool] = []

        def noting(node: Expression, index: int, gradient: Expression) -> Expression:
            written.append(self.work.strategy.jacobian(node, index) is not None)
            return table_pullback(node, index, gradient)

        seed = jacobian(self.system.loss, equation.left)
        accumulate(equation.right, [variable], seed, noting)
        return all(written)

    # entries

    def by_entries(self, variable: Expression, consumers: Sequence[Equation]) -> int | None:
        """For a matrix, whose Jacobian has more than two indices: the chain rule by entries."""
        if variable.is_column or len(consumers) != 1:
            return None
        (equation,) = consumers
        if equation.left is self.system.loss or is_columnwise(equation.right):
            return None
        if self._writes_jacobians(equation, variable):
            return None
        try:
            lines = self.work.local.through(equation, variable, self.work.handle[equation.left])
        except InputError:
            return None
        chain, put_in, result = lines
        outer, inner = self.work.local.free_indices(equation.left, variable)
        local = jacobian(entry(equation.left, *outer), entry(variable, *inner))
        goal = entry(jacobian(self.system.loss, variable), *inner)
        stages = [
            Stage(chain, "chain rule", "every entry that the variable moves, summed"),
            Stage(put_in, "local derivatives", "put in the local derivative by entries"),
            Stage(result, "contract the deltas", "a sum over a δ keeps one term"),
        ]
        refs = [self.working.id_of[local]]
        return self.working.note_shared(GRADIENTS, equation, goal, stages, refs)
