"""The local derivatives of a system, equation by equation: by the rule table and by entries."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.calculus.columns import column_jacobian, column_jacobian_stages
from workbench.calculus.derivation import Detail
from workbench.calculus.dimensions import ONE
from workbench.calculus.entries import by_entries, differentiate_entry, entry, recover
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
from workbench.calculus.system import Equation, System
from workbench.calculus.working import Working

FUNCTIONS = "Derivatives of the functions"
LOCAL = "Local derivatives"


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

    def slope_id(self, equation: Equation) -> int | None:
        """The step that worked out the derivative of the equation's function."""
        function = equation.right.data
        if not isinstance(function, Function) or function.formula is None:
            return None
        if function.columnwise:
            return self.working.id_of.get(column_jacobian_stages(function)[0])
        return self.working.id_of[function.prime(VARIABLE)]

    def derivative(self, equation: Equation, variable: Expression) -> None:
        """∂v/∂u of one equation: for scalars by the table, else by entries."""
        goal = jacobian(equation.left, variable)
        refs = [self.working.id_of[equation.left], self.slope_id(equation)]
        if variable.is_scalar and equation.left.is_scalar:
            stages = self._scalar(equation, variable)
            self.working.note(LOCAL, goal, stages, refs)
            return
        if is_columnwise(equation.right):
            full = _column_jacobian(equation)
            if equation.left.is_column and full is not None:
                why = "the Jacobian of the function, at this argument"
                self._shared(equation, goal, [Stage(full, "columnwise function", why)], refs)
            return
        by_entry, body = self._by_entries(equation, variable)
        matrix = _as_matrix(body, equation.left, variable)
        if matrix is not None:
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
        stages = [Stage(raw, *rules_on_the_way(equation.right, variable))]
        if (put_in := expanded(raw, [equation])) is not raw:
            stages.append(Stage(put_in, "expand", "put in the derivative of the function"))
        return stages

    def _by_entries(self, equation: Equation, variable: Expression) -> tuple[int, Expression]:
        outer, inner = free_indices(equation.left, variable)
        fresh = "".join(letter for letter in "lnst" if letter not in outer)
        body = by_entries(equation.right, outer, fresh)
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


def function_values(equations: Sequence[Equation]) -> dict[Expression, Expression]:
    """Function values by the names that the equations give them: σ(z₁) is x₁."""
    return {e.right: e.left for e in equations if e.right.operation == "apply"}


def expanded(expression: Expression, equations: Sequence[Equation]) -> Expression:
    """σ′ replaced by what it was worked out to be, in the names of the equations."""
    return substitute(expand_primes(expression), function_values(equations))


def free_indices(left: Expression, variable: Expression) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names for the indices of ∂left/∂variable: variable by i, j; left by the next letters."""
    inner = tuple("ij"[: sum(dimension != ONE for dimension in variable.shape)])
    letters = "jk" if len(inner) < 2 else "kl"
    return tuple(letters[: sum(d != ONE for d in left.shape)]), inner


def _as_matrix(body: Expression, left: Expression, variable: Expression) -> Expression | None:
    if not (left.is_column and variable.is_column):
        return None
    return recover(body, "i", "j", (length(variable), length(left)))


def is_columnwise(node: Expression) -> bool:
    """Whether a node applies a function that couples the entries of a column."""
    return isinstance(node.data, Function) and node.data.columnwise


def _column_jacobian(equation: Equation) -> Expression | None:
    function, argument = equation.right.data, equation.right.arguments[0]
    assert isinstance(function, Function)
    return column_jacobian(function, argument, equation.left)


def rules_on_the_way(right: Expression, variable: Expression) -> tuple[str, str]:
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
