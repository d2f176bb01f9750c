"""Symbols whose subscripts are symbols, as in W_{n+1}, and products over such a subscript.

A subscript is a letter or a number, with a number added or subtracted: `W_n+1`, `x_N-1`, `m_n`.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from re import fullmatch
from typing import Any, TypeVar, cast

from workbench.calculus.algebra import scaled, split_coefficient
from workbench.calculus.blocks import ZERO, block
from workbench.calculus.dimensions import SCALAR, Dimension
from workbench.calculus.expressions import (
    Expression,
    identity,
    jacobian,
    make,
    size,
    symbol,
    transform,
)
from workbench.calculus.matrices import devec, matmul
from workbench.calculus.rewriting import rebuild
from workbench.errors import InputError

PRODUCTS = ("index_product", "spelled_product")
"""∏ over a subscript, and the same with its first and last factors written out."""

Moving = TypeVar("Moving", bound=Hashable)

Bindings = Mapping[str, str]
"""What stands for the letter, or in place of the number, of a subscript."""


def split_subscript(name: str) -> tuple[str, str] | None:
    """The letters and the subscript of a name that has one.

    >>> split_subscript("W_n+1"), split_subscript("W12"), split_subscript("m_0")
    (('W', 'n+1'), ('W', '12'), ('m', '0'))
    """
    match = fullmatch(r"([A-Za-z]+?)(?:_?(\d+)|_([A-Za-z](?:[+-]\d+)?))", name)
    return (match[1], match[2] or match[3]) if match else None


def shifted(subscript: str, by: int) -> str:
    """A subscript with a number added.

    >>> shifted("n", 1), shifted("N-1", 1), shifted("3", -1)
    ('n+1', 'N', '2')
    """
    head, offset = _parts(subscript)
    if head.isdigit():
        return str(int(head) + offset + by)
    return f"{head}{offset + by:+d}" if offset + by else head


def _parts(subscript: str) -> tuple[str, int]:
    """The letter or number, and what is added to it."""
    match = fullmatch(r"([A-Za-z]|\d+)([+-]\d+)?", subscript)
    if match is None:
        raise InputError(f"a subscript is a letter or a number, as in n+1, not {subscript!r}")
    return match[1], int(match[2] or 0)


def at(
    expression: Expression, bindings: Bindings, known: Mapping[str, Expression] | None = None
) -> Expression:
    """An expression at other subscripts.

    Parameters
    ----------
    bindings : `{"n": "n+1"}` moves by one, `{"n": "2", "N": "4"}` goes to a real layer, and
        `{"1": "N"}` the other way.
    known : symbols to use under their names, if there are any.

    Raises
    ------
    InputError
        If a product does not run upwards between two numbers.

    >>> from workbench.calculus.expressions import Kind
    >>> from workbench.calculus.dimensions import ONE
    >>> b = symbol("b_n", Kind.PARAMETER, (Dimension.named("m_n"), ONE))
    >>> at(b, {"n": "n+1"}).symbol.name, at(b, {"n": "2"}).shape
    ('b_n+1', (m_2, 1))
    """
    names = known or {}

    def rule(node: Expression, arguments: tuple[Expression, ...]) -> Expression:
        match node.operation:
            case "symbol":
                name = _renamed(node.symbol.name, bindings, "")
                shape, kind = _moved(node.shape, bindings), node.symbol.kind
                moved = symbol(name, kind, shape, symmetric=node.symbol.symmetric)
                return names.get(name, moved)
            case "jacobian" | "numerator_jacobian":
                assert isinstance(node.data, tuple)
                of, by = (at(side, bindings, known) for side in node.data)
                if node.operation == "jacobian":
                    return jacobian(of, by)
                return make(node.operation, (), (of, by), _moved(node.shape, bindings))
            case operation if operation in PRODUCTS:
                index, first, last = bounds(node)
                (body,) = arguments
                ends = _subscript(first, bindings), _subscript(last, bindings)
                if any(end.isdigit() for end in ends):
                    return _multiplied(body, index, ends, known)
                product = index_product(body, index, *ends)
                return product if operation == "index_product" else spelled_out(product)
            case "size":
                assert isinstance(node.data, Dimension)
                return size(_moved(node.data, bindings))
            case "devec":
                return devec(arguments[0], _moved(node.shape, bindings))
            case "block":
                assert isinstance(node.data, tuple)
                above, left, rows, columns = _moved((*node.data, *node.shape), bindings)
                return block(arguments[0], above, rows, left, columns)
            case "index_sum" | "entry" | "delta":
                return make(node.operation, arguments, _moved(node.data, bindings), SCALAR)
            case "identity":
                return identity(_moved(node.shape[0], bindings))
            case _ if not arguments:
                data, shape = _moved((node.data, node.shape), bindings)
                return make(node.operation, (), data, shape)
        return node if arguments == node.arguments else rebuild(node, arguments)

    return transform(expression, rule)


def index_product(body: Expression, index: str, first: str, last: str) -> Expression:
    """∏ of a matrix over a subscript, the first factor leftmost; the empty product is I.

    Parameters
    ----------
    body : the factor, in which `index` is the subscript.
    first, last : where the product begins and ends; it is empty if `last` is one below `first`.

    Raises
    ------
    InputError
        If one factor does not fit the next.

    >>> from workbench.calculus.expressions import Kind
    >>> W = symbol("W_k", Kind.INPUT, (Dimension.named("m_k"), Dimension.named("m_k+1")))
    >>> index_product(W, "k", "n", "N-1").shape
    (m_n, m_N)
    """
    rows, columns = body.shape
    behind = _moved(rows, {index: shifted(index, 1)})
    if columns is not behind:
        raise InputError(
            f"the factors of a product do not fit: {columns!r} columns, {behind!r} rows"
        )
    start, end = _moved(rows, {index: first}), _moved(columns, {index: last})
    if last == shifted(first, -1):
        return identity(start)
    return make("index_product", (body,), (index, first, last), (start, end))


def spelled_out(product: Expression) -> Expression:
    """The same product, to be shown as its first two factors, dots and the last one.

    >>> from workbench.calculus.expressions import Kind
    >>> W = symbol("W_k", Kind.INPUT, (Dimension.named("m_k"), Dimension.named("m_k+1")))
    >>> spelled_out(index_product(W, "k", "n", "N")).operation
    'spelled_product'
    """
    return make("spelled_product", product.arguments, product.data, product.shape)


def bounds(product: Expression) -> tuple[str, str, str]:
    """The subscript that a product runs over, where it begins and where it ends."""
    assert isinstance(product.data, tuple)
    index, first, last = product.data
    return index, first, last


def shown_factors(product: Expression) -> tuple[Expression, Expression, Expression]:
    """The first, the second and the last factor of a product that is spelled out.

    >>> from workbench.calculus.expressions import Kind
    >>> W = symbol("W_k", Kind.INPUT, (Dimension.named("m_k"), Dimension.named("m_k+1")))
    >>> [factor.symbol.name for factor in shown_factors(index_product(W, "k", "n", "N-1"))]
    ['W_n', 'W_n+1', 'W_N-1']
    """
    index, first, last = bounds(product)
    (body,) = product.arguments
    one, two, end = (at(body, {index: place}) for place in (first, shifted(first, 1), last))
    return one, two, end


def absorbed(expression: Expression) -> Expression:
    """A matrix product with the factor before a ∏ taken into it, if it is the factor before.

    >>> from workbench.calculus.expressions import Kind
    >>> W = symbol("W_k", Kind.INPUT, (Dimension.named("m_k"), Dimension.named("m_k+1")))
    >>> product = matmul(at(W, {"k": "n"}), index_product(W, "k", "n+1", "N"))
    >>> absorbed(product) is index_product(W, "k", "n", "N")
    True
    """
    scale, product = split_coefficient(expression)
    factors = product.arguments if product.operation == "matmul" else ()
    for place, factor in enumerate(factors):
        if factor.operation != "index_product":
            continue
        index, first, last = bounds(factor)
        before = shifted(first, -1)
        number_before, front = split_coefficient(at(factor.arguments[0], {index: before}))
        parts = front.arguments if front.operation == "matmul" else (front,)
        if factors[max(0, place - len(parts)) : place] == parts:
            whole = index_product(factor.arguments[0], index, before, last)
            chain = matmul(*factors[: place - len(parts)], whole, *factors[place + 1 :])
            return scaled(scale / number_before, chain)
    return expression


def _multiplied(
    body: Expression, index: str, ends: tuple[str, str], known: Mapping[str, Expression] | None
) -> Expression:
    """A product between two numbers, multiplied out."""
    first, last = (int(end) if end.isdigit() else None for end in ends)
    if first is None or last is None or last < first - 1:
        raise InputError(f"a product from {ends[0]} to {ends[1]} has no factors to multiply")
    factors = [at(body, {index: str(place)}, known) for place in range(first, last + 1)]
    return matmul(*factors) if factors else identity(_moved(body.shape[0], {index: ends[0]}))


def _subscript(subscript: str, bindings: Bindings) -> str:
    head, offset = _parts(subscript)
    return shifted(bindings[head], offset) if head in bindings else subscript


def _renamed(name: str, bindings: Bindings, mark: str) -> str:
    """A name at another subscript; `mark` stands before a subscript that is a number."""
    parts = split_subscript(name)
    if parts is None or _parts(parts[1])[0] not in bindings:
        return name
    found = _subscript(parts[1], bindings)
    return parts[0] + (mark if found.lstrip("-").isdigit() else "_") + found


def _moved(data: Moving, bindings: Bindings) -> Moving:
    """What defines a node, at other subscripts: dimensions, alone or in tuples."""
    moved: Any = data
    if isinstance(data, Dimension):
        moved = ZERO
        for names, count in data.terms:
            product = Dimension.number(count)
            for name in names:
                product = product * Dimension.named(_renamed(name, bindings, "_"))
            moved = moved + product
    elif isinstance(data, tuple):
        moved = tuple(_moved(part, bindings) for part in data)
    return cast(Moving, moved)
