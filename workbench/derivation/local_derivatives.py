"""The local derivatives of a system, equation by equation: by the rule table and by entries."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.calculus.algebra import multiply
from workbench.calculus.columns import column_jacobian, column_jacobian_stages
from workbench.calculus.dimensions import ONE
from workbench.calculus.expressions import (
    Expression,
    Kind,
    jacobian,
    length,
    number,
    symbols_of,
    walk,
)
from workbench.calculus.functions import COLUMN_VARIABLE, VARIABLE, Function
from workbench.calculus.pullbacks import RULES, accumulate, table_pullback
from workbench.calculus.rewriting import substitute
from workbench.calculus.slopes import Stage, expand_primes, slope
from workbench.derivation.steps import Detail
from workbench.derivation.system import Equation, System
from workbench.derivation.working import Working
from workbench.errors import InputError
from workbench.tensors.entries import (
    by_entries,
    differentiate_entry,
    entry,
    index_sum,
    plain_sum,
    recover,
)
from workbench.tensors.indices import Indices

FUNCTIONS = "Derivatives of the functions"
LOCAL = "Local derivatives"

FEWEST_LETTERS = 8
"""With fewer letters left for indices, Greek ones are added."""


class LocalDerivatives:
    """Writes the derivatives of functions and the Jacobians of single equations.

    Attributes
    ----------
    needed : the symbols through which a gradient asked for passes.
    """

    def __init__(self, system: System, working: Working, needed: set[Expression]) -> None:
        self.system = system
        self.working = working
        self.needed = needed
        self._letters = free_letters(system)

    def moving(self, equation: Equation) -> list[Expression]:
        """The variables of an equation whose local derivatives are shown: with full detail all."""
        if self.working.detail is not Detail.FULL:
            return [v for v in equation.differentiable if v in self.needed]
        kinds = (Kind.PARAMETER, Kind.INTERMEDIATE, Kind.INPUT)
        return [symbol for symbol in symbols_of(equation.right) if symbol.symbol.kind in kinds]

    def functions(self, equation: Equation) -> None:
        """The derivative of each function that the equation uses, once a function."""
        for node in walk(equation.right):
            function = node.data
            if not isinstance(function, Function) or function.formula is None:
                continue
            argument = COLUMN_VARIABLE if function.columnwise else VARIABLE
            value = function(argument)
            if _is_a_primitive(function):
                self._known_derivative(function)
                continue
            if value in self.working.id_of:
                continue
            given = Stage(function.formula, "given", f"the formula of {function.name}")
            first = self.working.note(FUNCTIONS, value, [given])
            if function.columnwise:
                goal, stages = column_jacobian_stages(function)
            else:
                goal, stages = function.prime(argument), slope(function).stages
            if stages:
                self.working.note(FUNCTIONS, goal, stages, [first.id])

    def _known_derivative(self, function: Function) -> None:
        """A primitive's derivative, which the rule table gives, in one line."""
        goal = function.prime(VARIABLE)
        if goal not in self.working.id_of:
            known = slope(function).stages[-1].expression
            self.working.note(FUNCTIONS, goal, [Stage(known, "known derivative")])

    def slope_id(self, equation: Equation) -> int | None:
        """The step that worked out the derivative of the equation's function."""
        function = equation.right.data
        if not isinstance(function, Function) or function.formula is None:
            return None
        if function.columnwise:
            return self.working.id_of.get(column_jacobian_stages(function)[0])
        return self.working.id_of.get(function.prime(VARIABLE))

    def derivative(
        self, equation: Equation, variable: Expression, *, gathered: bool = True
    ) -> None:
        """∂v/∂u of one equation: for scalars by the table, else by entries, gathered if wanted.

        Nothing is noted where an operation has no form by entries.
        """
        goal = jacobian(equation.left, variable)
        refs = [self.working.id_of[equation.left], self.slope_id(equation)]
        if variable.is_scalar and equation.left.is_scalar:
            stages = self._scalar(equation, variable)
            self.working.note(LOCAL, goal, stages, refs)
            return
        if is_columnwise(equation.right):
            full = _column_jacobian(equation)
            is_direct = equation.right.arguments == (variable,)
            if equation.left.is_column and full is not None and is_direct:
                why = "the Jacobian of the function, at this argument"
                self._shared(equation, goal, [Stage(full, "columnwise function", why)], refs)
            return
        try:
            by_entry, body = self._by_entries(equation, variable)
        except InputError:
            return
        matrix = self._as_matrix(body, equation.left, variable)
        if matrix is not None and gathered:
            why = "row i and column j hold this entry"
            self._shared(equation, goal, [Stage(matrix, "gather entries", why)], [by_entry])

    def _shared(
        self,
        equation: Equation,
        goal: Expression,
        stages: Sequence[Stage],
        refs: Sequence[int | None],
    ) -> int:
        return self.working.note_shared(LOCAL, equation, goal, stages, refs)

    def _scalar(self, equation: Equation, variable: Expression) -> list[Stage]:
        (raw,) = accumulate(equation.right, [variable], number(1), table_pullback)
        stages = [Stage(raw, rules_on_the_way([equation], variable))]
        if (put_in := expanded(raw, [equation])) is not raw:
            stages.append(Stage(put_in, "expand", "put in the derivative of the function"))
        return stages

    def _by_entries(self, equation: Equation, variable: Expression) -> tuple[int, Expression]:
        outer, inner = self.free_indices(equation.left, variable)
        body = by_entries(equation.right, outer, self.fresh(*outer, *inner))
        left, right = entry(equation.left, *outer), entry(variable, *inner)
        written = Stage(body, "by entries", "write the equation for one entry")
        cited = self._shared(equation, left, [written], [self.working.id_of[equation.left]])
        raw = differentiate_entry(body, variable, inner, contract=False)
        result = differentiate_entry(body, variable, inner)
        stages = [
            Stage(raw, "differentiate by entries", "an entry's derivative by another is a δ"),
            Stage(result, "contract the deltas", "a sum over a δ keeps one term"),
        ]
        return self._shared(equation, jacobian(left, right), stages, [cited]), result

    def free_indices(self, left: Expression, variable: Expression) -> tuple[Indices, Indices]:
        """Names for the indices of ∂left/∂variable: those of left, then those of the variable.

        The variable takes i and j, the left side the letters after them.
        """
        inner = sum(d is not ONE for d in variable.shape)
        outer = sum(d is not ONE for d in left.shape)
        start = max(inner, 1)
        return tuple(self._letters[start : start + outer]), tuple(self._letters[:inner])

    def fresh(self, *taken: str) -> str:
        """Names for the indices that products sum over."""
        return "".join(letter for letter in self._letters if letter not in taken)

    def through(
        self, equation: Equation, variable: Expression, seed: Expression
    ) -> tuple[Expression, Expression, Expression]:
        """What one equation contributes to an entry of ∂L/∂variable, `seed` being ∂L/∂left.

        The chain by entries, with the local derivatives put in, and with the deltas contracted;
        the loss itself is differentiated by entries, which takes the place of the first two.

        Raises
        ------
        InputError
            If the equation has no derivative by entries.
        """
        outer, inner = self.free_indices(equation.left, variable)
        if equation.left is self.system.loss:
            body = by_entries(equation.right, (), self.fresh(*inner))
            raw = differentiate_entry(body, variable, inner, contract=False)
            result = differentiate_entry(body, variable, inner)
            return raw, raw, result
        local = jacobian(entry(equation.left, *outer), entry(variable, *inner))
        if local not in self.working.results:
            raise InputError(f"{equation.left.symbol.name} has no derivative by entries")
        factor = entry(seed, *outer)
        chain, put_in = multiply(factor, local), multiply(factor, self.working.results[local])
        result = put_in
        dimensions = [d for d in equation.left.shape if d is not ONE]
        for index, dimension in zip(reversed(outer), reversed(dimensions), strict=True):
            chain = plain_sum(index, dimension, chain)
            result = index_sum(index, dimension, result)
            put_in = plain_sum(index, dimension, put_in)
        return chain, put_in, result

    def _as_matrix(
        self, body: Expression, left: Expression, variable: Expression
    ) -> Expression | None:
        if not (left.is_column and variable.is_column):
            return None
        outer, _ = self.free_indices(left, variable)
        row, column = self._letters[0], outer[0] if outer else self._letters[-1]
        return recover(body, row, column, (length(variable), length(left)))


def free_letters(system: System) -> str:
    """Letters for indices that name nothing in the system, those that people use first."""
    sizes = {name for s in system.symbols for d in s.shape for name in d.names}
    taken = sizes | {s.symbol.name for s in system.symbols}
    free = "".join(letter for letter in "ijklnstpqruvmabcdefgh" if letter not in taken)
    return free if len(free) >= FEWEST_LETTERS else free + "αβγδεζηθικ"


def _is_a_primitive(function: Function) -> bool:
    """Whether a formula is but another name, as that of tanh is tanh itself."""
    formula = function.formula
    assert formula is not None
    return formula.operation == "apply" and formula.arguments == (VARIABLE,)


def function_values(equations: Sequence[Equation]) -> dict[Expression, Expression]:
    """Function values by the names that the equations give them: σ(z₁) is x₁."""
    return {e.right: e.left for e in equations if e.right.operation == "apply"}


def expanded(expression: Expression, equations: Sequence[Equation]) -> Expression:
    """σ′ replaced by what it was worked out to be, in the names of the equations."""
    return substitute(expand_primes(expression), function_values(equations))


def is_columnwise(node: Expression) -> bool:
    """Whether a node applies a function that couples the entries of a column."""
    return isinstance(node.data, Function) and node.data.columnwise


def _column_jacobian(equation: Equation) -> Expression | None:
    function, argument = equation.right.data, equation.right.arguments[0]
    assert isinstance(function, Function)
    return column_jacobian(function, argument, equation.left)


def rules_on_the_way(equations: Sequence[Equation], *variables: Expression) -> str:
    """Names of the rules between variables and the left sides, outermost first."""
    found: dict[str, None] = {}
    for equation in equations:
        nodes = list(walk(equation.right))
        below: set[Expression] = set(variables)
        for node in nodes:
            if any(argument in below for argument in node.arguments):
                below.add(node)
        for node in reversed([node for node in nodes if node in below and node.arguments]):
            constants = [a for a in node.arguments if a not in below]
            is_multiple = node.operation == "multiply" and not any(map(symbols_of, constants))
            if not is_multiple and node.operation != "transpose":
                found[RULES[node.operation].name] = None
    return ", ".join(found) or "definition"
