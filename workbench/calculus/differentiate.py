"""From a system to its derivation: reverse mode, equation by equation, every move noted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from workbench.calculus.algebra import add, multiply, spread
from workbench.calculus.columns import column_pullback
from workbench.calculus.derivation import (
    ELEMENTWISE,
    Derivation,
    Detail,
    Strategy,
)
from workbench.calculus.dimensions import ONE
from workbench.calculus.entries import (
    entry,
    index_sum,
    plain_sum,
)
from workbench.calculus.expressions import (
    Expression,
    Kind,
    jacobian,
    number,
    symbol,
    zero,
)
from workbench.calculus.functions import Function
from workbench.calculus.local_derivatives import (
    LocalDerivatives,
    expanded,
    free_indices,
    function_values,
    is_columnwise,
    rules_on_the_way,
)
from workbench.calculus.matrices import devec, matmul, vec
from workbench.calculus.pullbacks import Pullback, accumulate, table_pullback
from workbench.calculus.rewriting import substitute
from workbench.calculus.simplify import assume, cancel, common_factors, expand, merge_branches
from workbench.calculus.slopes import Stage
from workbench.calculus.system import Equation, System
from workbench.calculus.working import Working
from workbench.errors import InputError, close_matches

EQUATIONS = "Equations"
GRADIENTS = "Gradients"


def derive(
    system: System,
    *,
    strategy: Strategy = ELEMENTWISE,
    wrt: Sequence[str] = (),
    detail: Detail = Detail.PAPER,
) -> Derivation:
    """Work out the gradients of a system's loss.

    Parameters
    ----------
    strategy : how pullbacks are written.
    wrt : the names of the parameters asked for; all of them if empty.
    detail : with `Detail.FULL`, equations that are alike but for their numbers are each worked out
        by entries; else the first of them stands for all.

    Raises
    ------
    InputError
        If a name in `wrt` is no parameter.
    """
    known = {parameter.symbol.name: parameter for parameter in system.parameters}
    for name in wrt:
        if name not in known:
            raise InputError(f"no parameter is called {name!r}; {close_matches(name, known)}")
    wanted = [known[name] for name in dict.fromkeys(wrt)] or list(system.parameters)
    return _Differentiation(system, strategy, wanted, detail).run()


class _Differentiation:
    """The state of one derivation while its steps are written."""

    def __init__(
        self, system: System, strategy: Strategy, wanted: list[Expression], detail: Detail
    ) -> None:
        self.system = system
        self.strategy = strategy
        self.wanted = wanted
        self.needed = _needed(system, wanted)
        self.working = Working(detail)
        self.local = LocalDerivatives(system, self.working, self.needed)
        self.handle: dict[Expression, Expression] = {system.loss: number(1)}
        self.inlined: dict[Expression, Expression] = {}
        self.backward: list[Equation] = []
        self.named = self._named()

    def run(self) -> Derivation:
        for equation in self.system.equations:
            self.local.functions(equation)
        for equation in self.system.equations:
            given = Stage(equation.right, "given", "an equation of the system")
            self.working.note(EQUATIONS, equation.left, [given])
        for equation in reversed(self.system.equations):
            if equation.left is not self.system.loss:
                for variable in self.local.moving(equation):
                    self.local.derivative(equation, variable)
        for equation in reversed(self.system.equations):
            if equation.left in self.needed and equation.left is not self.system.loss:
                self.gradient(equation.left)
            for variable in equation.differentiable:
                is_last = self.system.consumers(variable)[0] is equation
                if variable.symbol.kind is Kind.PARAMETER and variable in self.wanted and is_last:
                    self.gradient(variable)
        lasts = {e.left: e.right for e in self.backward}
        ordered = {v: lasts[jacobian(self.system.loss, v)] for v in self.wanted}
        return Derivation(
            self.system, self.strategy, tuple(self.working.steps), tuple(self.backward), ordered
        )

    def gradient(self, variable: Expression) -> None:
        """∂L/∂u as chain, local derivatives and result."""
        goal = jacobian(self.system.loss, variable)
        consumers = [e for e in self.system.consumers(variable) if e.left in self.needed]
        for equation in consumers:
            self._vectorised_local(equation, variable)
        refs = [self.working.id_of.get(jacobian(e.left, variable)) for e in consumers]
        refs += [self.working.id_of.get(jacobian(self.system.loss, e.left)) for e in consumers]
        refs += [self.local.slope_id(e) for e in consumers]
        refs += [self.working.id_of[e.left] for e in consumers if e.left is self.system.loss]
        stages = self._stages(variable, consumers)
        if by_entry := self._gradient_by_entries(variable, consumers):
            refs.insert(0, by_entry)
        name = self._name(variable)
        step = self.working.note(GRADIENTS, goal, stages, refs, name)
        if name is not None or variable.symbol.kind is Kind.PARAMETER:
            self.handle[variable] = name if name is not None else goal
            self.backward.append(Equation(self.handle[variable], step.result))
        elif self._uses(variable) > 1:
            self.handle[variable] = goal
            self.backward.append(Equation(goal, step.result))
        else:
            self.handle[variable] = goal
            self.inlined[goal] = step.result

    def _uses(self, variable: Expression) -> int:
        """How many gradients the gradient of an intermediate goes into."""
        return sum(
            argument in self.needed for argument in self.system.definitions[variable].differentiable
        )

    def _name(self, variable: Expression) -> Expression | None:
        """δ with the number of the intermediate, if its gradient is used more than once."""
        suffix = _number_of(variable)
        if self.named.get(suffix) != [variable]:
            return None
        prefix = "Delta" if not variable.is_column else "delta"
        return symbol(f"{prefix}{suffix}", Kind.GRADIENT, variable.shape)

    def _named(self) -> dict[str, list[Expression]]:
        """The intermediates whose gradients are used more than once, by their numbers."""
        found: dict[str, list[Expression]] = {}
        for variable in self.system.of_kind(Kind.INTERMEDIATE):
            if self._uses(variable) > 1:
                found.setdefault(_number_of(variable), []).append(variable)
        return found

    def _stages(self, variable: Expression, consumers: Sequence[Equation]) -> list[Stage]:
        """The lines of ∂L/∂u: chain, local Jacobians, pullback, what is known put in, result."""
        if not consumers:
            nothing = zero(variable.shape)
            return [Stage(nothing, "constant", "the loss does not depend on it")]
        why = "chain rule" if len(consumers) == 1 else "chain rule, one term a use"
        chains = [self._chain(equation, variable) for equation in consumers]
        stages = []
        if all(chain is not None for chain in chains):
            stages.append(Stage(add(*(c for c in chains if c is not None)), "chain rule", why))
        locals_ = [self._jacobian_times(equation, variable) for equation in consumers]
        if all(part is not None for part in locals_):
            known = substitute(add(*(p for p in locals_ if p is not None)), self.inlined)
            stages.append(Stage(known, "local derivatives", "put in the local derivatives"))
        pulled = add(*(self._pulled(equation, variable) for equation in consumers))
        direct = substitute(pulled, self.inlined)
        if stages and stages[-1].rule == "local derivatives" and not variable.is_scalar:
            stages.append(Stage(direct, "entry by entry", "diag(u) v is u ⊙ v"))
        elif not variable.is_scalar or self.system.loss in [e.left for e in consumers]:
            stages.append(Stage(direct, *rules_on_the_way(consumers[0].right, variable)))
        else:
            stages.append(Stage(direct, "local derivatives", "put in the local derivatives"))
        put_in = merge_branches(expanded(direct, consumers))
        stages.append(Stage(put_in, "expand", "put in the derivative of the function"))
        cancelled = cancel(put_in)
        stages.append(Stage(cancelled, "cancel", "multiply out and cancel"))
        bindings = dict(self.system.assumptions)
        assumed = assume(cancelled, bindings) if bindings else cancelled
        if assumed is not cancelled:
            stages.append(
                Stage(_collected(assumed), "assumption", "use what is known of the target")
            )
        shape = variable.shape
        return [replace(s, expression=spread(s.expression, shape)) for s in stages]

    def _chain(self, equation: Equation, variable: Expression) -> Expression | None:
        """∂L/∂u as a product of Jacobians, where it can be written so."""
        if equation.left is self.system.loss:
            return None
        gradient = jacobian(self.system.loss, equation.left)
        gradient = self.handle.get(equation.left, gradient)
        local = jacobian(equation.left, variable)
        if variable.is_scalar and equation.left.is_scalar:
            return multiply(gradient, local)
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
        return devec(matmul(local, vec(self.handle[equation.left])), variable.shape)

    def _vectorised_local(self, equation: Equation, variable: Expression) -> None:
        """∂z/∂vec(W) = x ⊗ I, where the strategy writes Jacobians of matrices."""
        goal = jacobian(equation.left, variable)
        if variable.is_column or equation.left is self.system.loss or goal in self.working.id_of:
            return
        if not self._writes_jacobians(equation, variable):
            return
        pulled = self._pulled(equation, variable)
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
        seed = self.handle[equation.left]
        (plain,) = accumulate(equation.right, [variable], seed, table_pullback)
        if pulled.operation == "devec":
            stage = Stage(plain, "devectorise", "(Bᵀ ⊗ A)ᵀ vec(G) = vec(Aᵀ G Bᵀ)")
            self.working.note_shared(GRADIENTS, equation, pulled, [stage], [step])

    def _writes_jacobians(self, equation: Equation, variable: Expression) -> bool:
        written: list[bool] = []

        def noting(node: Expression, index: int, gradient: Expression) -> Expression:
            written.append(self.strategy.jacobian(node, index) is not None)
            return table_pullback(node, index, gradient)

        seed = jacobian(self.system.loss, equation.left)
        accumulate(equation.right, [variable], seed, noting)
        return all(written)

    def _pulled(self, equation: Equation, variable: Expression) -> Expression:
        seed = self.handle[equation.left]
        if variable.is_scalar and equation.left.is_scalar:
            (local,) = accumulate(equation.right, [variable], number(1), table_pullback)
            return multiply(seed, local)
        pullback = self._strategic(equation)
        (pulled,) = accumulate(equation.right, [variable], seed, pullback)
        return substitute(pulled, function_values([equation]))

    def _strategic(self, equation: Equation) -> Pullback:
        """The strategy's Jacobian where it writes one, the table's row elsewhere."""

        def pullback(node: Expression, index: int, gradient: Expression) -> Expression:
            if equation.left is not self.system.loss:
                local = self.strategy.jacobian(node, index)
                if local is not None:
                    return devec(matmul(local, vec(gradient)), node.arguments[index].shape)
            if is_columnwise(node):
                assert isinstance(node.data, Function)
                return column_pullback(node.data, node.arguments[0], node, gradient)
            return table_pullback(node, index, gradient)

        return pullback

    def _gradient_by_entries(
        self, variable: Expression, consumers: Sequence[Equation]
    ) -> int | None:
        """For a matrix, whose Jacobian has more than two indices: the chain rule by entries."""
        if variable.is_column or len(consumers) != 1:
            return None
        (equation,) = consumers
        if equation.left is self.system.loss:
            return None
        if self._writes_jacobians(equation, variable) or is_columnwise(equation.right):
            return None
        outer, inner = free_indices(equation.left, variable)
        left, right = entry(equation.left, *outer), entry(variable, *inner)
        local = jacobian(left, right)
        seed = entry(self.handle[equation.left], *outer)
        chain = multiply(seed, jacobian(left, right))
        put_in = multiply(seed, self.working.results[local])
        result = put_in
        dimensions = [d for d in equation.left.shape if d != ONE]
        for index, dimension in zip(reversed(outer), reversed(dimensions), strict=True):
            chain = plain_sum(index, dimension, chain)
            result = index_sum(index, dimension, result)
            put_in = plain_sum(index, dimension, put_in)
        goal = entry(jacobian(self.system.loss, variable), *inner)
        stages = [
            Stage(chain, "chain rule", "every entry that the variable moves, summed"),
            Stage(put_in, "local derivatives", "put in the local derivative by entries"),
            Stage(result, "contract the deltas", "a sum over a δ keeps one term"),
        ]
        refs = [self.working.id_of[local]]
        return self.working.note_shared(GRADIENTS, equation, goal, stages, refs)


def _collected(expression: Expression) -> Expression:
    """Collect again once an assumption has been used."""
    return common_factors(expand(expression))


def _needed(system: System, wanted: Sequence[Expression]) -> set[Expression]:
    """The parameters asked for and every symbol that depends on one of them."""
    needed = set(wanted)
    for equation in system.equations:
        if any(variable in needed for variable in equation.differentiable):
            needed.add(equation.left)
    return needed


def _number_of(variable: Expression) -> str:
    """What follows the letters of a symbol's name."""
    return re.sub(r"^\D+", "", variable.symbol.name)
