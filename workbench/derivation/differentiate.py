"""From a system to its derivation: reverse mode, equation by equation, every move noted.

What is computed does not depend on the voice in which it is told: a voice writes the lines that
lead to a gradient, the gradient itself comes from the rule table (or a strategy's Jacobians).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from workbench.calculus.algebra import add, multiply, spread
from workbench.calculus.columns import column_pullback
from workbench.calculus.expressions import Expression, Kind, jacobian, number, symbol, zero
from workbench.calculus.functions import Function
from workbench.calculus.matrices import devec, matmul, vec
from workbench.calculus.pullbacks import Pullback, accumulate, table_pullback
from workbench.calculus.recognition import recognise
from workbench.calculus.rewriting import substitute
from workbench.calculus.simplify import (
    assume,
    cancel,
    common_factors,
    divisions,
    expand,
    merge_branches,
    weight,
)
from workbench.calculus.slopes import Stage
from workbench.calculus.tidy import tidy
from workbench.derivation.chain_rule import ChainRule
from workbench.derivation.differential_form import DifferentialForm
from workbench.derivation.entry_form import EntryForm
from workbench.derivation.jacobians import derive_jacobians
from workbench.derivation.local_derivatives import (
    LocalDerivatives,
    expanded,
    function_values,
    is_columnwise,
)
from workbench.derivation.steps import (
    ELEMENTWISE,
    EQUATIONS,
    GRADIENTS,
    Derivation,
    Detail,
    Strategy,
)
from workbench.derivation.system import Equation, System
from workbench.derivation.voice import Voice, VoiceName
from workbench.derivation.working import Working
from workbench.errors import InputError, close_matches

HEAVY = 40
"""A gradient of more nodes than this gets a name even if it is used only once."""

VOICES: Mapping[VoiceName, type[Voice]] = {
    VoiceName.CHAIN: ChainRule,
    VoiceName.DIFFERENTIALS: DifferentialForm,
    VoiceName.ENTRIES: EntryForm,
}


def derive(
    system: System,
    *,
    strategy: Strategy = ELEMENTWISE,
    wrt: Sequence[str] = (),
    detail: Detail = Detail.PAPER,
    voice: VoiceName = VoiceName.CHAIN,
    expand: bool = True,
    functions: Sequence[Function] = (),
) -> Derivation:
    """Work out the gradients of a system's loss, or the Jacobians of what is no scalar.

    Parameters
    ----------
    strategy : how pullbacks are written.
    wrt : the names of the symbols asked for; all parameters if empty.
    detail : with `Detail.FULL`, equations that are alike but for their numbers are each worked out
        by entries; else the first of them stands for all.
    voice : how the steps are told.
    expand : whether σ′ is replaced by what it was worked out to be.
    functions : what may be recognised in results by its formula.

    Raises
    ------
    InputError
        If a name in `wrt` is no symbol of the system, or there is nothing to differentiate by.
    """
    system = system.with_parameters(wrt)
    known = {s.symbol.name: s for s in system.symbols if s is not system.loss}
    for name in wrt:
        if name not in known:
            raise InputError(f"no symbol is called {name!r}; {close_matches(name, known)}")
    wanted = [known[name] for name in dict.fromkeys(wrt)] or list(system.parameters)
    if not wanted:
        raise InputError(
            "nothing to differentiate by: declare a parameter, or name symbols; "
            f"{close_matches('', known)}"
        )
    if not system.loss.is_scalar:
        return derive_jacobians(system, wanted, needed_symbols(system, wanted), strategy, detail)
    work = Differentiation(system, strategy, wanted, detail, voice, expand, functions)
    return work.run()


class Differentiation:
    """The state of one derivation while its steps are written.

    Attributes
    ----------
    handle : what stands for the gradient of each symbol in later formulas: a name, or ∂L/∂u.
    inlined : gradients that are put in where they are used, because they are used once.
    expand : whether σ′ is replaced by what it was worked out to be.
    functions : what may be recognised in results by its formula.
    """

    def __init__(
        self,
        system: System,
        strategy: Strategy,
        wanted: list[Expression],
        detail: Detail,
        voice: VoiceName,
        expand: bool,
        functions: Sequence[Function],
    ) -> None:
        self.expand = expand
        self.functions = functions
        self.system = system
        self.strategy = strategy
        self.wanted = wanted
        self.needed = needed_symbols(system, wanted)
        self.working = Working(detail)
        self.local = LocalDerivatives(system, self.working, self.needed)
        self.handle: dict[Expression, Expression] = {system.loss: number(1)}
        self.inlined: dict[Expression, Expression] = {}
        self.found: dict[Expression, Expression] = {}
        self.backward: list[Equation] = []
        self.names = _Names(system, self.needed)
        self.voice = VOICES[voice](self)

    def run(self) -> Derivation:
        """Write every step, first equation to last gradient."""
        for equation in self.system.equations:
            self.local.functions(equation)
        for equation in self.system.equations:
            given = Stage(equation.right, "given", "an equation of the system")
            self.working.note(EQUATIONS, equation.left, [given])
        self.voice.prepare()
        for equation in reversed(self.system.equations):
            if equation.left in self.needed and equation.left is not self.system.loss:
                self.gradient(equation.left)
            for variable in equation.differentiable:
                is_last = self.system.consumers(variable)[0] is equation
                if variable.symbol.kind is Kind.PARAMETER and variable in self.wanted and is_last:
                    self.gradient(variable)
        for variable in self.wanted:
            if variable not in self.found:
                self.gradient(variable)
        ordered = {variable: self.found[variable] for variable in self.wanted}
        return Derivation(
            self.system, self.strategy, tuple(self.working.steps), tuple(self.backward), ordered
        )

    def gradient(self, variable: Expression) -> None:
        """∂L/∂u, told by the voice, finished and given a name where it needs one."""
        goal = jacobian(self.system.loss, variable)
        consumers = [e for e in self.system.consumers(variable) if e.left in self.needed]
        if consumers:
            told, refs = self.voice.gradient(variable, consumers)
            stages = [*told, *self._finished(variable, consumers)]
        else:
            nothing = Stage(zero(variable.shape), "constant", "the loss does not depend on it")
            stages, refs = [nothing], []
        stages = [replace(s, expression=spread(s.expression, variable.shape)) for s in stages]
        result = stages[-1].expression
        name = self.names.of(variable, result)
        step = self.working.note(GRADIENTS, goal, stages, refs, name)
        self.found[variable] = step.result
        if name is not None or variable in self.wanted:
            self.handle[variable] = name if name is not None else goal
            self.backward.append(Equation(self.handle[variable], step.result))
        else:
            self.handle[variable] = goal
            self.inlined[goal] = step.result

    def pulled(self, consumers: Sequence[Equation], variable: Expression) -> Expression:
        """The gradient of a variable as the rules give it, from those of the equations it is in."""
        parts = add(*(self.pulled_through(equation, variable) for equation in consumers))
        return substitute(parts, self.inlined)

    def pulled_through(self, equation: Equation, variable: Expression) -> Expression:
        """What one equation contributes to the gradient of a variable."""
        seed = self.handle[equation.left]
        if variable.is_scalar and equation.left.is_scalar:
            (local,) = accumulate(equation.right, [variable], number(1), table_pullback)
            return multiply(seed, local)
        (pulled,) = accumulate(equation.right, [variable], seed, self._strategic(equation))
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

    def _finished(self, variable: Expression, consumers: Sequence[Equation]) -> list[Stage]:
        """From what the rules give to what a person would write."""
        put_in = self.pulled(consumers, variable)
        worked_out = merge_branches(expanded(put_in, consumers))
        if self.expand or divisions(cancel(worked_out)) < divisions(put_in):
            put_in = worked_out
        stages = [Stage(put_in, "expand", "put in the derivative of the function")]
        cancelled = cancel(put_in)
        stages.append(Stage(cancelled, "cancel", "multiply out and cancel"))
        bindings = dict(self.system.assumptions)
        assumed = assume(cancelled, bindings) if bindings else cancelled
        if assumed is not cancelled:
            assumed = common_factors(expand(assumed))
            stages.append(Stage(assumed, "assumption", "use what is known of the target"))
        recognised = recognise(assumed, self.functions)
        stages.append(Stage(recognised, "recognise", "a known function by its formula"))
        collected = self._collected(recognised, consumers)
        stages.append(Stage(collected, "collect", "write it as short as it goes"))
        return stages

    def _collected(self, expression: Expression, consumers: Sequence[Equation]) -> Expression:
        """Tidied where a table's own form stands; what a strategy writes out stays written out."""
        writes = any(
            self.strategy.jacobian(node, index) is not None
            for equation in consumers
            for node in (equation.right, *equation.right.arguments)
            for index in range(len(node.arguments))
        )
        given = [equation.right for equation in consumers]
        return expression if writes else tidy(expression, like=given)


class _Names:
    """Short names for gradients of intermediates: δ with the number or the name of its symbol."""

    def __init__(self, system: System, needed: set[Expression]) -> None:
        self.system = system
        self.needed = needed
        self.taken = {s.symbol.name for s in system.symbols}
        self.numbers: dict[str, list[Expression]] = {}
        for variable in system.of_kind(Kind.INTERMEDIATE):
            if self._uses(variable) > 1:
                self.numbers.setdefault(_number_of(variable), []).append(variable)

    def of(self, variable: Expression, result: Expression) -> Expression | None:
        """A name if the gradient is used more than once, or is long and used at all.

        What is a symbol already needs no other name.
        """
        if variable.symbol.kind is not Kind.INTERMEDIATE or not result.arguments:
            return None
        uses = self._uses(variable)
        if uses < 2 and not (uses and weight(result) > HEAVY):
            return None
        prefix = "delta" if variable.is_column else "Delta"
        number_ = _number_of(variable)
        is_alone = self.numbers.get(number_) == [variable]
        name = f"{prefix}{number_}" if is_alone else f"{prefix}_{variable.symbol.name}"
        while name in self.taken:
            name += "_"
        return symbol(name, Kind.GRADIENT, variable.shape)

    def _uses(self, variable: Expression) -> int:
        """How many gradients the gradient of an intermediate goes into."""
        arguments = self.system.definitions[variable].differentiable
        return sum(argument in self.needed for argument in arguments)


def needed_symbols(system: System, wanted: Sequence[Expression]) -> set[Expression]:
    """The symbols asked for and every symbol that depends on one of them."""
    needed = set(wanted)
    for equation in system.equations:
        if any(variable in needed for variable in equation.differentiable):
            needed.add(equation.left)
    return needed


def _number_of(variable: Expression) -> str:
    """What follows the letters of a symbol's name."""
    return re.sub(r"^\D+", "", variable.symbol.name)
