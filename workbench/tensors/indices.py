"""Expressions by entries: entries of matrices, Kronecker deltas, and sums over an index."""

from __future__ import annotations

from collections.abc import Hashable

from workbench.calculus.algebra import add, is_zero, multiply
from workbench.calculus.dimensions import SCALAR, Dimension
from workbench.calculus.expressions import Expression, jacobian, make, number, transform, walk
from workbench.calculus.rewriting import rebuild
from workbench.tensors.positions import names_in, renamed

Indices = tuple[str, ...]
INDEXED = ("entry", "delta")


def entry(matrix: Expression, *indices: str) -> Expression:
    """One entry as a scalar: `entry(x, "i")` of a column, `entry(W, "i", "j")` of a matrix.

    >>> from workbench.calculus.expressions import Kind, symbol
    >>> n = Dimension.named("n")
    >>> entry(symbol("A", Kind.INPUT, (n, n)), "i", "j")
    entry(symbol(A), ('i', 'j'))
    """
    if matrix.is_scalar:
        return matrix
    return make("entry", (matrix,), indices, SCALAR)


def delta(left: str, right: str) -> Expression:
    """The Kronecker delta δ_ij: 1 where the indices agree, else 0.

    >>> delta("j", "i") is delta("i", "j"), delta("i", "i").number
    (True, Fraction(1, 1))
    """
    if left == right:
        return number(1)
    return make("delta", (), tuple(sorted((left, right))), SCALAR)


def index_sum(index: str, dimension: Dimension, body: Expression) -> Expression:
    """The sum over an index, contracted where a δ says so.

    >>> n = Dimension.named("n")
    >>> index_sum("k", n, multiply(delta("k", "i"), delta("k", "j"))) is delta("i", "j")
    True
    """
    if is_zero(body):
        return body
    if body.operation == "add":
        return add(*(index_sum(index, dimension, term) for term in body.arguments))
    factors = body.arguments if body.operation == "multiply" else (body,)
    for place, factor in enumerate(factors):
        if factor.operation == "delta" and index in indices_of(factor):
            (other,) = [name for name in indices_of(factor) if name != index]
            rest = multiply(number(1), *factors[:place], *factors[place + 1 :])
            return rename(rest, index, other)
    free = [factor for factor in factors if not uses(factor, index)]
    bound = [factor for factor in factors if uses(factor, index)]
    summed = make("index_sum", (multiply(number(1), *bound),), (index, dimension), SCALAR)
    return multiply(*free, summed)


def plain_sum(index: str, dimension: Dimension, body: Expression) -> Expression:
    """The sum over an index, left as it is.

    >>> plain_sum("k", Dimension.named("n"), delta("i", "k")).operation
    'index_sum'
    """
    return body if is_zero(body) else make("index_sum", (body,), (index, dimension), SCALAR)


def indices_of(node: Expression) -> Indices:
    """The indices of an entry or a delta.

    >>> indices_of(delta("i", "j"))
    ('i', 'j')
    """
    return node.data if isinstance(node.data, tuple) and node.operation in INDEXED else ()


def uses(expression: Expression, index: str) -> bool:
    """Whether an index occurs in an expression.

    >>> uses(delta("i", "j"), "i"), uses(delta("i", "j"), "k")
    (True, False)
    """
    return any(
        any(index in names_in(place) for place in indices_of(node))
        if node.operation in INDEXED
        else node.operation == "jacobian" and any(uses(part, index) for part in _pair(node))
        for node in walk(expression)
    )


def _pair(node: Expression) -> tuple[Expression, Expression]:
    """The two ends, ∂of and ∂by, of a Jacobian node."""
    assert isinstance(node.data, tuple)
    return node.data[0], node.data[1]


def rename(expression: Expression, old: str, new: str) -> Expression:
    """The same expression with one index for another.

    >>> rename(delta("i", "j"), "j", "k") is delta("i", "k")
    True
    """

    def rule(node: Expression, arguments: tuple[Expression, ...]) -> Expression:
        if node.operation in INDEXED:
            indices = tuple(renamed(index, {old: new}) for index in indices_of(node))
            if node.operation == "delta":
                return delta(*indices)
            return entry(node.arguments[0], *indices)
        if node.operation == "jacobian":
            return jacobian(*(rename(part, old, new) for part in _pair(node)))
        return node if arguments == node.arguments else rebuild(node, arguments)

    return transform(expression, rule)


def bound_of(data: Hashable) -> tuple[str, Dimension]:
    """The index of a sum, and what it runs over.

    >>> bound_of(plain_sum("k", Dimension.named("n"), delta("i", "k")).data)
    ('k', n)
    """
    assert isinstance(data, tuple)
    return data[0], data[1]


def names_of(expression: Expression) -> set[str]:
    """Every name of an index in an expression, bound or free.

    >>> sorted(names_of(delta("i", "j")))
    ['i', 'j']
    """
    found = {n for node in walk(expression) for i in indices_of(node) for n in names_in(i)}
    sums = (node for node in walk(expression) if node.operation == "index_sum")
    return found | {bound_of(node.data)[0] for node in sums}
