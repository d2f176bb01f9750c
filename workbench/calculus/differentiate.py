"""From a system to its derivation: reverse mode, equation by equation, every move noted."""

from __future__ import annotations

import re
from collections.abc import Sequence

from workbench.calculus.algebra import add, devec, matmul, multiply, substitute, vec
from workbench.calculus.derivation import (
    ELEMENTWISE,
    Derivation,
    Detail,
    Step,
    Strategy,
)
from workbench.calculus.entries import (
    by_entries,
    differentiate_entry,
    entry,
    index_sum,
    plain_sum,
    recover,
)
from workbench.calculus.expressions import (
    Expression,
    Kind,
    jacobian,
    length,
    number,
    symbol,
    symbols_of,
    walk,
)
from workbench.calculus.functions import COLUMN_VARIABLE, VARIABLE, Function
from workbench.calculus.pullbacks import RULES, Pullback, accumulate, table_pullback
from workbench.calculus.simplify import assume, cancel, common_factors, expand, merge_branches
from workbench.calculus.slopes import (
    Stage,
    column_jacobian,
    column_jacobian_stages,
    column_pullback,
    expand_primes,
    slope,
)
from workbench.calculus.system import Equation, System
from workbench.errors import InputError, close_matches

FUNCTIONS = "Derivatives of the functions"
EQUATIONS = "Equations"
LOCAL = "Local derivatives"
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
        self.detail = detail
        self.system = system
        self.strategy = strategy
        self.wanted = wanted
        self.needed = _needed(system, wanted)
        self.steps: list[Step] = []
        self.id_of: dict[Expression, int] = {}
        self.handle: dict[Expression, Expression] = {system.loss: number(1)}
        self.inlined: dict[Expression, Expression] = {}
        self.backward: list[Equation] = []
        self.locals: dict[Expression, Expression] = {}
        self.worked_out: dict[str, int] = {}

    def run(self) -> Derivation:
        for equation in self.system.equations:
            self.functions(equation)
        for equation in self.system.equations:
            given = Stage(equation.right, "given", "an equation of the system")
            self.note(EQUATIONS, equation.left, [given])
        for equation in reversed(self.system.equations):
            if equation.left is not self.system.loss:
                for variable in self.moving(equation):
                    self.local(equation, variable)
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
            self.system, self.strategy, tuple(self.steps), tuple(self.backward), ordered
        )

    def moving(self, equation: Equation) -> list[Expression]:
        """The variables of an equation whose local derivatives are shown: with full detail all."""
        if self.detail is not Detail.FULL:
            return [v for v in equation.differentiable if v in self.needed]
        kinds = (Kind.PARAMETER, Kind.INTERMEDIATE, Kind.INPUT)
        return [symbol for symbol in symbols_of(equation.right) if symbol.symbol.kind in kinds]

    def note(
        self,
        section: str,
        goal: Expression,
        stages: Sequence[Stage],
        refs: Sequence[int | None] = (),
        name: Expression | None = None,
    ) -> Step:
        """Number a step and remember it by its goal."""
        kept: list[Stage] = []
        for stage in stages:
            if not kept or stage.expression is not kept[-1].expression:
                kept.append(stage)
        cited = tuple(dict.fromkeys(ref for ref in refs if ref is not None))
        step = Step(len(self.steps) + 1, section, goal, tuple(kept), cited, name)
        self.steps.append(step)
        self.id_of[goal] = step.id
        return step

    def functions(self, equation: Equation) -> None:
        """The derivative of each function that the equation uses, once a function."""
        for node in walk(equation.right):
            function = node.data
            if not isinstance(function, Function) or function.formula is None:
                continue
            argument = COLUMN_VARIABLE if function.columnwise else VARIABLE
            value = function(argument)
            if value in self.id_of:
                continue
            given = Stage(function.formula, "given", f"the formula of {function.name}")
            first = self.note(FUNCTIONS, value, [given])
            if function.columnwise:
                goal, stages = column_jacobian_stages(function)
            else:
                goal, stages = function.prime(argument), slope(function).stages
            self.note(FUNCTIONS, goal, stages, [first.id])

    def slope_id(self, equation: Equation) -> int | None:
        """The step that worked out the derivative of the equation's function."""
        function = equation.right.data
        if not isinstance(function, Function) or function.formula is None:
            return None
        if function.columnwise:
            return self.id_of[column_jacobian_stages(function)[0]]
        return self.id_of[function.prime(VARIABLE)]

    def local(self, equation: Equation, variable: Expression) -> None:
        """∂v/∂u of one equation: for scalars by the table, else by entries."""
        goal = jacobian(equation.left, variable)
        refs = [self.id_of[equation.left], self.slope_id(equation)]
        if variable.is_scalar and equation.left.is_scalar:
            stages = self._scalar_local(equation, variable)
            self.note(LOCAL, goal, stages, refs)
            return
        if _is_columnwise(equation.right):
            if equation.left.is_column:
                full = _column_jacobian(equation)
                why = "the Jacobian of the function, at this argument"
                self.local_step(equation, goal, [Stage(full, "columnwise function", why)], refs)
            return
        by_entry, body = self._local_by_entries(equation, variable)
        matrix = _as_matrix(body, equation.left, variable)
        if matrix is not None:
            why = "row i and column j hold this entry"
            self.local_step(equation, goal, [Stage(matrix, "gather entries", why)], [by_entry])

    def local_step(
        self,
        equation: Equation,
        goal: Expression,
        stages: Sequence[Stage],
        refs: Sequence[int | None],
        section: str = LOCAL,
    ) -> int:
        """A step that equations alike but for their numbers share: the first stands for all."""
        self.locals[goal] = stages[-1].expression
        if goal in self.id_of:
            return self.id_of[goal]
        pattern = re.sub(r"\d+", "", f"{goal!r} from {equation.right!r}")
        known = self.worked_out.get(pattern)
        if known is None or self.detail is Detail.FULL:
            step = self.note(section, goal, stages, refs)
            self.worked_out[pattern] = step.id
        else:
            self.id_of[goal] = known
        return self.id_of[goal]

    def _scalar_local(self, equation: Equation, variable: Expression) -> list[Stage]:
        (raw,) = accumulate(equation.right, [variable], number(1), table_pullback)
        stages = [Stage(raw, *_rules_on_the_way(equation.right, variable))]
        if (expanded := self._expanded(raw, [equation])) is not raw:
            stages.append(Stage(expanded, "expand", "put in the derivative of the function"))
        return stages

    def _local_by_entries(self, equation: Equation, variable: Expression) -> tuple[int, Expression]:
        outer, inner = _free_indices(equation.left, variable)
        fresh = "".join(letter for letter in "lnst" if letter not in outer)
        body = by_entries(equation.right, outer, fresh)
        left, right = entry(equation.left, *outer), entry(variable, *inner)
        written = Stage(body, "by entries", "write the equation for one entry")
        cited = self.local_step(equation, left, [written], [self.id_of[equation.left]])
        raw = differentiate_entry(body, variable, inner, contract=False)
        result = differentiate_entry(body, variable, inner)
        stages = [
            Stage(raw, "differentiate by entries", "an entry's derivative by another is a δ"),
            Stage(result, "contract the deltas", "a sum over a δ keeps one term"),
        ]
        return self.local_step(equation, jacobian(left, right), stages, [cited]), result

    def gradient(self, variable: Expression) -> None:
        """∂L/∂u as chain, local derivatives and result."""
        goal = jacobian(self.system.loss, variable)
        consumers = [e for e in self.system.consumers(variable) if e.left in self.needed]
        refs = [self.id_of.get(jacobian(e.left, variable)) for e in consumers]
        refs += [self.id_of.get(jacobian(self.system.loss, e.left)) for e in consumers]
        refs += [self.slope_id(e) for e in consumers]
        refs += [self.id_of[e.left] for e in consumers if e.left is self.system.loss]
        stages = self._stages(variable, consumers)
        if by_entry := self._gradient_by_entries(variable, consumers):
            refs.insert(0, by_entry)
        name = self._name(variable)
        step = self.note(GRADIENTS, goal, stages, refs, name)
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
        if variable.symbol.kind is not Kind.INTERMEDIATE or self._uses(variable) < 2:
            return None
        suffix = re.sub(r"^\D+", "", variable.symbol.name)
        alike = [
            other
            for other in self.system.of_kind(Kind.INTERMEDIATE)
            if re.sub(r"^\D+", "", other.symbol.name) == suffix and self._uses(other) > 1
        ]
        if alike != [variable]:
            return None
        prefix = "Delta" if not variable.is_column else "delta"
        return symbol(f"{prefix}{suffix}", Kind.GRADIENT, variable.shape)

    def _stages(self, variable: Expression, consumers: Sequence[Equation]) -> list[Stage]:
        """The lines of ∂L/∂u: chain, local Jacobians, pullback, what is known put in, result."""
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
        if not variable.is_scalar or self.system.loss in [e.left for e in consumers]:
            stages.append(Stage(direct, *_rules_on_the_way(consumers[0].right, variable)))
        else:
            stages.append(Stage(direct, "local derivatives", "put in the local derivatives"))
        expanded = merge_branches(self._expanded(direct, consumers))
        stages.append(Stage(expanded, "expand", "put in the derivative of the function"))
        cancelled = cancel(expanded)
        stages.append(Stage(cancelled, "cancel", "multiply out and cancel"))
        bindings = dict(self.system.assumptions)
        assumed = assume(cancelled, bindings) if bindings else cancelled
        if assumed is not cancelled:
            stages.append(
                Stage(_collected(assumed), "assumption", "use what is known of the target")
            )
        return stages

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
        if equation.left is self.system.loss or variable.is_scalar or not equation.left.is_column:
            return None
        local = self.locals.get(jacobian(equation.left, variable))
        return None if local is None else matmul(local, self.handle[equation.left])

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
        return substitute(pulled, self._values([equation]))

    def _strategic(self, equation: Equation) -> Pullback:
        """The strategy's Jacobian where it writes one, the table's row elsewhere."""

        def pullback(node: Expression, index: int, gradient: Expression) -> Expression:
            if equation.left is not self.system.loss:
                local = self.strategy.jacobian(node, index)
                if local is not None:
                    return devec(matmul(local, vec(gradient)), node.arguments[index].shape)
            if _is_columnwise(node):
                assert isinstance(node.data, Function)
                return column_pullback(node.data, node.arguments[0], node, gradient)
            return table_pullback(node, index, gradient)

        return pullback

    def _values(self, equations: Sequence[Equation]) -> dict[Expression, Expression]:
        """Function values by the names that the equations give them: σ(z₁) is x₁."""
        return {e.right: e.left for e in equations if e.right.operation == "apply"}

    def _expanded(self, expression: Expression, equations: Sequence[Equation]) -> Expression:
        return substitute(expand_primes(expression), self._values(equations))

    def _gradient_by_entries(
        self, variable: Expression, consumers: Sequence[Equation]
    ) -> int | None:
        """For a matrix, whose Jacobian has more than two indices: the chain rule by entries."""
        equation = consumers[0]
        if variable.is_column or len(consumers) > 1 or equation.left is self.system.loss:
            return None
        if self._writes_jacobians(equation, variable) or _is_columnwise(equation.right):
            return None
        outer, inner = _free_indices(equation.left, variable)
        left, right = entry(equation.left, *outer), entry(variable, *inner)
        local = jacobian(left, right)
        seed = entry(self.handle[equation.left], *outer)
        chain = multiply(seed, jacobian(left, right))
        put_in = multiply(seed, self.locals[local])
        result = put_in
        dimensions = [d for d in equation.left.shape if d.names]
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
        return self.local_step(equation, goal, stages, [self.id_of[local]], GRADIENTS)


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


def _free_indices(
    left: Expression, variable: Expression
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names for the indices of ∂left/∂variable: variable by i, j; left by the next letters."""
    inner = tuple("ij"[: sum(bool(dimension.names) for dimension in variable.shape)])
    letters = "jk" if len(inner) < 2 else "kl"
    return tuple(letters[: sum(bool(d.names) for d in left.shape)]), inner


def _as_matrix(body: Expression, left: Expression, variable: Expression) -> Expression | None:
    if not (left.is_column and variable.is_column):
        return None
    return recover(body, "i", "j", (length(variable), length(left)))


def _is_columnwise(node: Expression) -> bool:
    return isinstance(node.data, Function) and node.data.columnwise


def _column_jacobian(equation: Equation) -> Expression:
    function, argument = equation.right.data, equation.right.arguments[0]
    assert isinstance(function, Function)
    return column_jacobian(function, argument, equation.left)


def _rules_on_the_way(right: Expression, variable: Expression) -> tuple[str, str]:
    """Names and statements of the rules between a variable and the root, outermost first."""
    below = {node for node in walk(right) if variable in symbols_of(node) and node is not variable}
    found: dict[str, str] = {}
    for node in reversed([node for node in walk(right) if node in below]):
        constants = [a for a in node.arguments if a not in below and a is not variable]
        is_multiple = node.operation == "multiply" and all(not symbols_of(c) for c in constants)
        if not is_multiple and node.operation != "transpose":
            rule = RULES[node.operation]
            found[rule.name] = rule.statement
    return ", ".join(found) or "definition", "; ".join(found.values())
