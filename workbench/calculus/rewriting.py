"""Building an expression anew: with other arguments, or with other nodes in place of some."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from workbench.calculus.algebra import (
    add,
    greater,
    greater_equal,
    maximum,
    minimum,
    multiply,
    power,
    where,
)
from workbench.calculus.blocks import block, hstack, vstack
from workbench.calculus.dimensions import SCALAR
from workbench.calculus.expressions import Bindings, Expression, inner, make, symbols_of, transform
from workbench.calculus.matrices import (
    devec,
    diag,
    inverse,
    kron,
    matmul,
    total,
    transpose,
    vec,
)
from workbench.calculus.square import det, diagonal, trace


def substitute(expression: Expression, bindings: Bindings) -> Expression:
    """Replace nodes (usually symbols) by other expressions and apply the laws anew."""

    def rule(node: Expression, arguments: tuple[Expression, ...]) -> Expression:
        if node in bindings:
            return bindings[node]
        return node if arguments == node.arguments else rebuild(node, arguments)

    return transform(expression, rule)


def rewrite(expression: Expression, rule: Callable[[Expression], Expression]) -> Expression:
    """Give every node over to a rule, from the leaves up, its arguments rewritten before it."""

    def renew(node: Expression, arguments: tuple[Expression, ...]) -> Expression:
        return rule(node if arguments == node.arguments else rebuild(node, arguments))

    return transform(expression, renew)


def rebuild(node: Expression, arguments: tuple[Expression, ...]) -> Expression:
    """The operation of a node on other arguments."""
    match node.operation:
        case "power":
            assert isinstance(node.data, Fraction)
            return power(arguments[0], node.data)
        case "devec":
            return devec(arguments[0], node.shape)
        case "block":
            assert isinstance(node.data, tuple)
            (above, left), (rows, columns) = node.data, node.shape
            return block(arguments[0], above, rows, left, columns)
        case "apply":
            return make("apply", arguments, node.data, arguments[0].shape)
        case "entry" | "index_sum":
            return make(node.operation, arguments, node.data, SCALAR)
        case operation if operation in CONSTRUCTORS:
            return CONSTRUCTORS[operation](*arguments)
        case _:
            return node


def depends_on(expression: Expression, symbol: Expression) -> bool:
    """Whether a symbol occurs in an expression."""
    return symbol in symbols_of(expression)


CONSTRUCTORS: dict[str, Callable[..., Expression]] = {
    "add": add,
    "multiply": multiply,
    "matmul": matmul,
    "transpose": transpose,
    "sum": total,
    "where": where,
    "greater": greater,
    "greater_equal": greater_equal,
    "maximum": maximum,
    "minimum": minimum,
    "vec": vec,
    "kron": kron,
    "diag": diag,
    "diagonal": diagonal,
    "inner": inner,
    "inverse": inverse,
    "trace": trace,
    "det": det,
    "vstack": vstack,
    "hstack": hstack,
}
"""What builds each operation from its arguments."""
