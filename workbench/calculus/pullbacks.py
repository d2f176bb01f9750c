"""The rule table of reverse mode: for Z = op(A, …) and the gradient Z̄, what Ā is.

One row an operation. A row computes, explains itself (`name`, `why`), is tested by itself and is
printed by the documentation; there is no other place where a derivative is written down.

The rules are read off ⟨Z̄, dZ⟩ = ⟨Ā, dA⟩ with ⟨A, B⟩ = tr(AᵀB). See Giles (2008), "Collected matrix
derivative results for forward and reverse mode algorithmic differentiation".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from operator import itemgetter

from workbench.calculus.algebra import (
    add,
    greater,
    is_zero,
    multiply,
    negate,
    power,
    scaled,
    spread,
    subtract,
)
from workbench.calculus.blocks import ZERO, block, unblock
from workbench.calculus.expressions import (
    Expression,
    Kind,
    identity,
    number,
    ones,
    symbol,
    walk,
    zero,
)
from workbench.calculus.functions import Function
from workbench.calculus.matrices import (
    commutation,
    devec,
    diag,
    inverse,
    kron,
    matmul,
    total,
    transpose,
    vec,
)
from workbench.calculus.rewriting import substitute
from workbench.calculus.square import diagonal
from workbench.errors import InputError

Pullback = Callable[[Expression, int, Expression], Expression]
"""(node, which argument, gradient of the node) → contribution to the argument's gradient."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table.

    Attributes
    ----------
    name : what a person calls the rule.
    pullback : the rule as a function on expressions.
    """

    name: str
    pullback: Pullback


def _reduced(argument: Expression, gradient: Expression) -> Expression:
    """A scalar that met a matrix was used once an entry: its gradient is the sum."""
    return total(gradient) if argument.is_scalar else gradient


def _add(node: Expression, index: int, gradient: Expression) -> Expression:
    return _reduced(node.arguments[index], spread(gradient, node.shape))


def _multiply(node: Expression, index: int, gradient: Expression) -> Expression:
    others = [factor for place, factor in enumerate(node.arguments) if place != index]
    product = spread(multiply(gradient, *others), node.shape)
    return _reduced(node.arguments[index], product)


def _power(node: Expression, index: int, gradient: Expression) -> Expression:
    assert isinstance(node.data, Fraction)
    return multiply(gradient, scaled(node.data, power(node.arguments[0], node.data - 1)))


def _matmul(node: Expression, index: int, gradient: Expression) -> Expression:
    before = [transpose(factor) for factor in reversed(node.arguments[:index])]
    after = [transpose(factor) for factor in reversed(node.arguments[index + 1 :])]
    return matmul(*before, gradient, *after)


def _apply(node: Expression, index: int, gradient: Expression) -> Expression:
    function, argument = node.data, node.arguments[0]
    assert isinstance(function, Function)
    if function.columnwise:
        inner = symbol(f"argument of {function.name}", Kind.VARIABLE, argument.shape)
        (pulled,) = gradients(function.at(inner), [inner], gradient)
        return substitute(pulled, {inner: argument})
    if function.slope is not None:
        return multiply(gradient, function.slope(argument))
    return multiply(function.prime(argument), gradient)


def _where(node: Expression, index: int, gradient: Expression) -> Expression:
    condition = node.arguments[0]
    mask = {0: number(0), 1: condition, 2: subtract(number(1), condition)}[index]
    return _reduced(node.arguments[index], spread(multiply(mask, gradient), node.shape))


def _choose(node: Expression, index: int, gradient: Expression) -> Expression:
    left, right = node.arguments
    first = greater(left, right) if node.operation == "maximum" else greater(right, left)
    mask = first if index == 0 else subtract(number(1), first)
    return _reduced(node.arguments[index], spread(multiply(mask, gradient), node.shape))


def _inverse(node: Expression, index: int, gradient: Expression) -> Expression:
    transposed = transpose(node)
    return negate(matmul(transposed, gradient, transposed))


def _det(node: Expression, index: int, gradient: Expression) -> Expression:
    return multiply(gradient, node, transpose(inverse(node.arguments[0])))


def _stack(node: Expression, index: int, gradient: Expression) -> Expression:
    axis = 0 if node.operation == "vstack" else 1
    start = [ZERO, ZERO]
    for part in node.arguments[:index]:
        start[axis] = start[axis] + part.shape[axis]
    rows, columns = node.arguments[index].shape
    return block(spread(gradient, node.shape), start[0], rows, start[1], columns)


def _kron(node: Expression, index: int, gradient: Expression) -> Expression:
    """The factors before and after are taken off one side at a time."""
    before, after = node.arguments[:index], node.arguments[index:]
    pulled = spread(gradient, node.shape)
    if before:
        pulled = _kron_factor(kron(*before), kron(*after), 1, pulled)
    if len(after) > 1:
        pulled = _kron_factor(after[0], kron(*after[1:]), 0, pulled)
    return pulled


def _kron_factor(
    left: Expression, right: Expression, index: int, gradient: Expression
) -> Expression:
    """From vec(A ⊗ B) = P (vec A ⊗ vec B) with P = I ⊗ K ⊗ I (Magnus and Neudecker, 1988, 3.10)."""
    (m, n), (p, q) = left.shape, right.shape
    reorder = kron(identity(n), commutation(m, q), identity(p))
    both = devec(matmul(reorder, vec(gradient)), (p * q, m * n))
    if index == 0:
        return devec(matmul(transpose(both), vec(right)), left.shape)
    return devec(matmul(both, vec(left)), right.shape)


def _flat(node: Expression, index: int, gradient: Expression) -> Expression:
    return zero(node.arguments[index].shape)


RULES: dict[str, Rule] = {
    "add": Rule("sum rule", _add),
    "multiply": Rule("product rule", _multiply),
    "power": Rule("power rule", _power),
    "matmul": Rule("matrix product", _matmul),
    "transpose": Rule("transpose", lambda n, i, g: transpose(g)),
    "apply": Rule("chain rule", _apply),
    "where": Rule("branches", _where),
    "maximum": Rule("maximum", _choose),
    "minimum": Rule("minimum", _choose),
    "greater": Rule("indicator", _flat),
    "greater_equal": Rule("indicator", _flat),
    "sum": Rule(
        "sum of entries",
        lambda n, i, g: multiply(g, ones(n.arguments[0].shape)),
    ),
    "vec": Rule("vec", lambda n, i, g: devec(g, n.arguments[0].shape)),
    "devec": Rule("devec", lambda n, i, g: vec(g)),
    "diag": Rule("diag", lambda n, i, g: diagonal(g)),
    "diagonal": Rule("diagonal", lambda n, i, g: diag(g)),
    "inverse": Rule("inverse", _inverse),
    "det": Rule("determinant", _det),
    "trace": Rule(
        "trace",
        lambda n, i, g: multiply(g, identity(n.arguments[0].shape[0])),
    ),
    "vstack": Rule("stack", _stack),
    "hstack": Rule("stack", _stack),
    "block": Rule("block", lambda n, i, g: unblock(g, n)),
    "kron": Rule(
        "Kronecker product",
        _kron,
    ),
}
"""Every operation that has a derivative, with its rule."""


def gradients(
    root: Expression, targets: Sequence[Expression], seed: Expression
) -> tuple[Expression, ...]:
    """Pull a gradient of `root` back to each target, adding up the contributions.

    Parameters
    ----------
    root : the expression that is differentiated.
    targets : nodes below it (usually symbols).
    seed : the gradient of `root`, of its shape.

    Raises
    ------
    InputError
        If an operation on the way has no rule.
    """
    return accumulate(root, targets, seed, table_pullback)


def table_pullback(node: Expression, index: int, gradient: Expression) -> Expression:
    """One row of the table applied."""
    rule = RULES.get(node.operation)
    if rule is None:
        raise InputError(f"there is no derivative rule for {node.operation}")
    return rule.pullback(node, index, gradient)


def accumulate(
    root: Expression, targets: Sequence[Expression], seed: Expression, pullback: Pullback
) -> tuple[Expression, ...]:
    """Reverse mode with any pullback: visit the graph from the root, sum what each node gets.

    Contributions are added up in the order in which a reader meets the uses, from the left.
    """
    order = list(walk(root))
    needed: set[Expression] = set(targets)
    for node in order:
        if any(argument in needed for argument in node.arguments):
            needed.add(node)
    place: dict[Expression, Place] = {root: ()}
    contributions: dict[Expression, list[tuple[Place, Expression]]] = {root: [((), seed)]}
    for node in reversed(order):
        if node not in needed or node not in contributions or node in targets:
            continue
        gradient = _added_up(contributions[node])
        for index, argument in enumerate(node.arguments):
            if argument in needed:
                here = (*place[node], index)
                place[argument] = min(here, place.get(argument, here))
                part = pullback(node, index, gradient)
                if not is_zero(part):
                    contributions.setdefault(argument, []).append((here, part))
    return tuple(
        _added_up(contributions[target]) if target in contributions else zero(target.shape)
        for target in targets
    )


Place = tuple[int, ...]
"""The way from the root to a node, which operand at each step."""


def _added_up(contributions: list[tuple[Place, Expression]]) -> Expression:
    return add(*(part for _, part in sorted(contributions, key=itemgetter(0))))
