"""What is computed: every equation in primitive operations, and how often each node is used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from workbench.calculus.algebra import spread
from workbench.calculus.expressions import Expression, jacobian, transform, walk
from workbench.calculus.functions import VARIABLE, Function
from workbench.calculus.rewriting import rebuild, substitute
from workbench.calculus.slopes import at as slope_at
from workbench.calculus.slopes import base, nth_derivative, slope
from workbench.core.numerics import LOG_ONE_PLUS_EXP, ComputedEquation, stable_lines
from workbench.derivation.steps import DERIVATIVES, Derivation, variable_of
from workbench.derivation.system import Equation
from workbench.errors import InputError

ELEMENTWISE = frozenset(
    {"add", "multiply", "power", "apply", "where", "greater", "greater_equal", "maximum", "minimum"}
)


@dataclass(frozen=True, slots=True)
class Task:
    """An equation as it is read, and the expression that is computed for it.

    Attributes
    ----------
    computed : of primitive operations alone.
    line : the form in which it is computed, which may be another formula than the one read.
    is_backward : whether it belongs to the backward pass.
    """

    equation: Equation
    computed: Expression
    line: ComputedEquation
    is_backward: bool


def tasks_of(derivation: Derivation) -> tuple[Task, ...]:
    """The forward pass, then the backward pass, then what is asked for and not yet there."""
    forward = derivation.system.equations
    equations = [*forward, *derivation.backward]
    known = {e.left for e in equations}
    for parameter, gradient in derivation.gradients.items():
        if not any(_is_gradient(left, parameter) for left in known):
            equations.append(Equation(jacobian(derivation.system.loss, parameter), gradient))
    return computed(equations, len(forward))


def computed(equations: Sequence[Equation], forward: int) -> tuple[Task, ...]:
    """What is computed for each equation, of which so many are the forward pass."""
    plain = [Equation(e.left, _by_formula(e.right)) for e in equations]
    stable = stable_lines(plain)
    return tuple(
        Task(equation, primitive(line.computed), line, place >= forward)
        for place, (equation, line) in enumerate(zip(equations, stable, strict=True))
    )


def _is_gradient(left: Expression, parameter: Expression) -> bool:
    return left.operation in DERIVATIVES and variable_of(left) is parameter


def _by_formula(expression: Expression) -> Expression:
    """Without hand-written functions, and with every f′ written out that has a formula."""

    def rule(node: Expression, arguments: tuple[Expression, ...]) -> Expression:
        node = node if arguments == node.arguments else rebuild(node, arguments)
        function = node.data
        if not isinstance(function, Function) or function.formula is None:
            return node
        plain = replace(function, implementation=None)
        if not plain.order:
            return plain(node.arguments[0])
        return _derivative_at(plain, node.arguments[0])

    return transform(expression, rule)


def _derivative_at(function: Function, argument: Expression) -> Expression:
    if function.columnwise:
        raise InputError(f"{function.name}′ couples the entries of a column and cannot be emitted")
    if function.order == 1:
        return slope_at(slope(base(function)).form, argument, base(function)(argument))
    return substitute(nth_derivative(function.formula, function.order), {VARIABLE: argument})


def primitive(expression: Expression) -> Expression:
    """An expression with every function replaced by its formula."""

    def rule(node: Expression, arguments: tuple[Expression, ...]) -> Expression:
        node = node if arguments == node.arguments else rebuild(node, arguments)
        function = node.data
        if not isinstance(function, Function) or function.formula is None:
            return node
        return spread(primitive(function.at(node.arguments[0])), node.shape)

    return transform(expression, rule)


def is_constant(node: Expression) -> bool:
    """Whether a node is a number that depends on no symbol, only on sizes."""
    return all(
        part.is_scalar
        and (
            part.operation in ("number", "constant", "size")
            or (part.operation in ELEMENTWISE and not is_undetermined(part))
        )
        for part in walk(node)
    )


def is_undetermined(node: Expression) -> bool:
    """Whether a node applies a function of which nothing is known."""
    function = node.data
    return (
        isinstance(function, Function) and function.is_undetermined and function != LOG_ONE_PLUS_EXP
    )


def uses(roots: Sequence[Expression]) -> Mapping[Expression, int]:
    """How often the value of each node is read; a transpose is read through.

    >>> from workbench.calculus.matrices import matmul, transpose
    >>> from workbench.calculus.dimensions import Dimension
    >>> from workbench.calculus.expressions import Kind, symbol
    >>> n = Dimension.named("n")
    >>> a = symbol("A", Kind.INPUT, (n, n))
    >>> uses([matmul(a, transpose(a))])[a]
    2
    """
    found: Counter[Expression] = Counter(roots)
    for node in reversed(list(walk(*roots))):
        for argument in node.arguments:
            found[argument] += found[node] if node.operation == "transpose" else 1
    return found
