"""Second derivatives: a Hessian is the matrix of the differential of a gradient.

d(∂L/∂X) is linear in dX, so vec d(∂L/∂X) = H vec dX, and H is the Hessian of L with respect to
vec X (Magnus and Neudecker, 1988, chapter 10). Where no matrix of products, ⊗ and diag says it, the
Hessian is given by its entries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from workbench.calculus.algebra import add, is_zero, multiply
from workbench.calculus.closed_form import gradient
from workbench.calculus.differentials import differential
from workbench.calculus.expressions import (
    Expression,
    Kind,
    change,
    hessian,
    jacobian,
    symbol,
    symbols_of,
    transform,
    zero,
)
from workbench.calculus.functions import Function
from workbench.calculus.linear_maps import matrix_of
from workbench.calculus.matrices import total, transpose
from workbench.calculus.rewriting import rebuild, substitute
from workbench.calculus.slopes import Stage, distinct
from workbench.calculus.tidy import tidy
from workbench.derivation.local_derivatives import free_letters
from workbench.derivation.steps import SECOND_ORDER, Derivation, Step, variable_of
from workbench.derivation.system import Equation, System, put_in
from workbench.errors import InputError
from workbench.tensors.entries import by_entries, differentiate_entry, entry


def second_order(derivation: Derivation, functions: Sequence[Function] = ()) -> Derivation:
    """The same derivation with the Hessian of the loss by each variable that was asked for.

    Parameters
    ----------
    functions : what may be recognised in results by its formula.

    Raises
    ------
    InputError
        If a Hessian can be written neither as a matrix nor by entries.
    """
    if not derivation.system.loss.is_scalar:
        raise InputError("second derivatives are those of a scalar: end with one, such as sum(L)")
    steps = list(derivation.steps)
    by_goal = {step.goal: step for step in steps}
    loss = derivation.system.loss
    for variable in derivation.gradients:
        known = by_goal[jacobian(loss, variable)]
        refs = (known.id,)
        for goal, stages in _told(derivation.system, variable, functions):
            if stages[-1].expression is not known.result:
                step = Step(len(steps) + 1, SECOND_ORDER, goal, tuple(distinct(stages)), refs)
                steps.append(step)
                refs = (step.id,)
    return replace(derivation, steps=tuple(steps))


def _told(
    system: System, variable: Expression, functions: Sequence[Function]
) -> list[tuple[Expression, list[Stage]]]:
    """d(∂L/∂X), and the Hessian read off it."""
    whole = gradient(put_in(system), variable, functions)
    named = with_names(whole, system)
    moved = change(variable)
    by_change = symbol(f"d{variable.symbol.name}", Kind.VARIABLE, variable.shape)
    changed = tidy(differential(whole, {variable: by_change}))
    shown = with_names(substitute(changed, {by_change: moved}), system)
    first = Stage(named, "put in", "the gradient in one formula")
    second = Stage(shown, "differential", "what a change of the variable does to its gradient")
    told = [
        (jacobian(system.loss, variable), [first]),
        (change(jacobian(system.loss, variable)), [second]),
    ]
    goal = hessian(system.loss, variable)
    try:
        constant = is_zero(changed)
        matrix = zero(goal.shape) if constant else tidy(matrix_of(changed, by_change))
    except InputError:
        return [*told, _by_entries(system, variable, whole)]
    read = Stage(with_names(matrix, system), "read off", "vec d(∂L/∂X) = H vec dX")
    return [*told, (goal, [read])]


def _by_entries(
    system: System, variable: Expression, whole: Expression
) -> tuple[Expression, list[Stage]]:
    """∂²L/∂X[i,j]∂X[k,l], where no matrix form was found."""
    letters = free_letters(system)
    count = 1 if variable.is_column else 2
    rows, columns = tuple(letters[:count]), tuple(letters[count : 2 * count])
    body = by_entries(whole, rows, letters[2 * count :])
    raw = differentiate_entry(body, variable, columns, contract=False)
    result = differentiate_entry(body, variable, columns)
    goal = jacobian(entry(jacobian(system.loss, variable), *rows), entry(variable, *columns))
    return goal, [
        Stage(with_names(raw, system), "differentiate by entries", "no matrix form was found"),
        Stage(with_names(result, system), "contract the deltas", "a sum over a δ keeps one term"),
    ]


def with_names(expression: Expression, system: System) -> Expression:
    """Intermediates by their names again, wherever what defines them occurs."""
    for equation in system.equations[:-1]:
        turned = transpose(equation.right)
        named = {equation.right: equation.left, turned: transpose(equation.left)}
        if equation.right.arguments:
            expression = substitute(expression, named)
            if equation.right.operation == "add":
                expression = _part_of_sums(expression, equation)
    return expression


def _part_of_sums(expression: Expression, equation: Equation) -> Expression:
    """r = x + V a recognised within the longer sum x + V a − y."""
    terms = set(equation.right.arguments)

    def rule(node: Expression, arguments: tuple[Expression, ...]) -> Expression:
        if node.operation == "add" and terms < set(arguments):
            rest = [term for term in arguments if term not in terms]
            return add(equation.left, *rest)
        return node if arguments == node.arguments else rebuild(node, arguments)

    return transform(expression, rule)


def along_a_direction(derivation: Derivation) -> System:
    """A system that ends in s = Σ ⟨∂L/∂p, V_p⟩, the derivative of the loss along a direction V.

    The gradients of s are the Hessian times V, so that deriving this system gives the
    Hessian-vector product by the same rules (Pearlmutter, 1994, "Fast exact multiplication by the
    Hessian"). V_p are inputs, of the shapes of the parameters p.

    Raises
    ------
    InputError
        If a gradient was written with Jacobians that have no derivative of their own.
    """
    system, known = derivation.system, dict[Expression, Expression]()
    equations = list(system.equations)
    for equation in derivation.backward:
        name = _plain_name(equation.left)
        left = symbol(name, Kind.INTERMEDIATE, equation.left.shape)
        equations.append(Equation(left, substitute(equation.right, known)))
        known[equation.left] = left
    terms = []
    for variable, result in derivation.gradients.items():
        direction = symbol(f"V_{variable.symbol.name}", Kind.INPUT, variable.shape)
        named = known.get(jacobian(system.loss, variable))
        value = named if named is not None else substitute(result, known)
        terms.append(total(multiply(value, direction)))
    equations.append(Equation(symbol("s", Kind.LOSS), tidy(add(*terms))))
    listed = tuple(dict.fromkeys((*system.listed, *derivation.gradients)))
    return replace(system, equations=_used(equations), listed=listed)


def _used(equations: list[Equation]) -> tuple[Equation, ...]:
    """The equations that the last one rests on."""
    needed = {equations[-1].left}
    kept = []
    for equation in reversed(equations):
        if equation.left in needed:
            kept.append(equation)
            needed.update(symbols_of(equation.right))
    return tuple(reversed(kept))


def _plain_name(left: Expression) -> str:
    """δ₂ keeps its name, ∂L/∂W is called G_W."""
    if left.operation == "symbol":
        return left.symbol.name
    return f"G_{variable_of(left).symbol.name}"
