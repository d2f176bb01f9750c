"""Differentials: how a small change of the symbols changes an expression, to first order.

There is no second table: the change of Z = op(A, …) along dA is read off the pullback of op, from
⟨Z̄, dZ⟩ = ⟨Ā, dA⟩ for every Z̄ (Magnus and Neudecker, 1988, chapter 5).
"""

from __future__ import annotations

from collections.abc import Mapping

from workbench.calculus.algebra import add, is_zero, multiply, spread
from workbench.calculus.columns import pullback
from workbench.calculus.expressions import Expression, Kind, number, symbol, walk, zero
from workbench.calculus.matrices import total
from workbench.calculus.pullbacks import gradients
from workbench.calculus.tidy import tidy


def differential(root: Expression, changes: Mapping[Expression, Expression]) -> Expression:
    """The change of an expression, linear in the changes of some of its nodes.

    >>> from workbench.calculus.dimensions import Dimension
    >>> from workbench.calculus.matrices import inverse, matmul
    >>> n = Dimension.named("n")
    >>> A, dA = symbol("A", Kind.INPUT, (n, n)), symbol("dA", Kind.VARIABLE, (n, n))
    >>> found = differential(inverse(A), {A: dA})
    >>> found is multiply(number(-1), matmul(inverse(A), dA, inverse(A)))
    True
    """
    moved: dict[Expression, Expression] = {}
    for node in walk(root):
        if node in changes:
            moved[node] = changes[node]
            continue
        parts = [
            pushforward(node, index, moved[argument])
            for index, argument in enumerate(node.arguments)
            if argument in moved
        ]
        parts = [part for part in parts if not is_zero(part)]
        if parts:
            moved[node] = spread(add(*parts), node.shape)
    return moved.get(root, zero(root.shape))


def pushforward(node: Expression, index: int, change: Expression) -> Expression:
    """The change of one node along the change of one argument."""
    seed = symbol("Z̄", Kind.GRADIENT, node.shape)
    pulled = pullback(node, index, seed)
    (change_of_node,) = gradients(total(multiply(pulled, change)), [seed], number(1))
    return tidy(change_of_node)
