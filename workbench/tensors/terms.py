"""The normal form of an expression by entries: a sum of terms, each summed over its own indices.

A term is a number times powers of factors under sums: `2 Σₖ A⁽ⁱᵏ⁾ B⁽ᵏʲ⁾`. Two terms that differ in
the names of what is summed over, or in the order of their factors, have the same key. That holds
for every size, since no size is looked at.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from itertools import count

from workbench.calculus.algebra import add, multiply, power
from workbench.calculus.dimensions import Dimension
from workbench.calculus.expressions import Expression, make, number
from workbench.calculus.functions import Function
from workbench.calculus.matrices import transpose
from workbench.tensors.indices import delta, entry, plain_sum
from workbench.tensors.positions import Names, names_in, renamed

Naming = Mapping[str, str]
Pair = tuple[str, str]

MOST_ORDERS = 720
"""Terms more symmetric than this are named as they come."""


@dataclass(frozen=True, slots=True)
class Atom:
    """An entry of a matrix about which nothing else is used, or a scalar."""

    head: Expression
    indices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Nested:
    """A function of a sum of terms, or a power of one; the exponent stands with the factor."""

    operation: str
    data: Hashable
    inner: Sum


Factor = Atom | Nested


@dataclass(frozen=True, slots=True)
class Term:
    """A number times deltas and powers of factors, summed over the bound indices."""

    coefficient: Fraction
    bound: tuple[tuple[str, Dimension], ...] = ()
    factors: tuple[tuple[Factor, Fraction], ...] = ()
    deltas: tuple[Pair, ...] = ()


Sum = tuple[Term, ...]

_unique = count()


def unique_name() -> str:
    """A name for an index that nothing else has."""
    return f"#{next(_unique)}"


def with_names(term: Term, naming: Naming) -> Term:
    """A term with other names for indices, those that it binds aside."""
    naming = {old: new for old, new in naming.items() if old not in dict(term.bound)}
    if not naming:
        return term
    if not set(naming.values()).isdisjoint(dict(term.bound)):
        term = refreshed(term)
    return replace(
        term,
        factors=tuple((named(factor, naming), e) for factor, e in term.factors),
        deltas=tuple((naming.get(a, a), naming.get(b, b)) for a, b in term.deltas),
    )


def named(factor: Factor, naming: Naming) -> Factor:
    """A factor with other names for indices."""
    if isinstance(factor, Atom):
        return Atom(factor.head, tuple(renamed(index, naming) for index in factor.indices))
    return replace(factor, inner=tuple(with_names(term, naming) for term in factor.inner))


def refreshed(term: Term) -> Term:
    """A term with names of its own for what it sums over."""
    naming = {name: unique_name() for name, _ in term.bound}
    free = with_names(replace(term, bound=()), naming)
    return replace(free, bound=tuple((naming[name], d) for name, d in term.bound))


def names_of_factor(factor: Factor) -> set[str]:
    """The free names in a factor."""
    if isinstance(factor, Atom):
        return {name for index in factor.indices for name in names_in(index)}
    return {name for term in factor.inner for name in free_names(term)}


def free_names(term: Term) -> set[str]:
    """The names in a term that it does not sum over."""
    used = {name for factor, _ in term.factors for name in names_of_factor(factor)}
    used.update(name for pair in term.deltas for name in pair)
    return used - {name for name, _ in term.bound}


# keys


@cache
def is_symmetric(matrix: Expression) -> bool:
    """Whether a matrix is its own transpose by the way it is written."""
    return transpose(matrix).form == matrix.form


def key_of_factor(factor: Factor, naming: Naming, depth: int = 0) -> str:
    """Equal for two factors that are the same under a naming."""
    if isinstance(factor, Atom):
        indices = [renamed(index, naming) for index in factor.indices]
        if len(indices) == 2 and is_symmetric(factor.head):
            indices.sort()
        return f"{factor.head.form}[{';'.join(indices)}]"
    data = factor.data
    if isinstance(data, Function):
        data = (data.name, data.order, data.formula.form if data.formula else None)
    return f"{factor.operation}{data}({key_of_sum(factor.inner, naming, depth + 1)})"


def key_of_sum(terms: Sum, naming: Naming, depth: int = 0) -> str:
    """Equal for two sums of the same terms in any order."""
    return "+".join(sorted(f"{t.coefficient}*{key_of_term(t, naming, depth)}" for t in terms))


def key_of_term(term: Term, naming: Naming | None = None, depth: int = 0) -> str:
    """Equal for two terms that differ in their number, in bound names and in order only."""
    outer = {name: new for name, new in (naming or {}).items() if name not in dict(term.bound)}
    orders = _orders(term, outer, depth)
    return min(_key_in_order(term, order, outer, depth) for order in orders)


def _key_in_order(term: Term, order: tuple[str, ...], outer: Naming, depth: int) -> str:
    naming = {**outer, **{name: f"@{depth}.{rank}" for rank, name in enumerate(order)}}
    dimensions = dict(term.bound)
    sums = ",".join(repr(dimensions[name]) for name in order)
    deltas = sorted(
        "δ" + ";".join(sorted((naming.get(a, a), naming.get(b, b)))) for a, b in term.deltas
    )
    factors = sorted(f"{key_of_factor(f, naming, depth)}^{e}" for f, e in term.factors)
    return f"Σ{sums}:{'.'.join(deltas + factors)}"


def _orders(term: Term, outer: Naming, depth: int) -> Iterable[tuple[str, ...]]:
    """The orders of the bound indices that nothing about them tells apart."""
    colors = {name: f"~{dimension!r}" for name, dimension in term.bound}
    pending = [_refined(term, colors, outer, depth)]
    found: list[tuple[str, ...]] = []
    while pending and len(found) < MOST_ORDERS:
        colors = pending.pop()
        classes: dict[str, list[str]] = {}
        for name, color in colors.items():
            classes.setdefault(color, []).append(name)
        tied = [names for _, names in sorted(classes.items()) if len(names) > 1]
        if not tied:
            found.append(tuple(sorted(colors, key=lambda name: colors[name])))
            continue
        for name in tied[0]:
            chosen = {**colors, name: colors[name] + "!"}
            pending.append(_refined(term, chosen, outer, depth))
    return found


def _refined(term: Term, colors: dict[str, str], outer: Naming, depth: int) -> dict[str, str]:
    """Tell bound indices apart by the factors that they stand in."""
    while len(set(colors.values())) < len(colors):
        signatures = {
            name: colors[name] + _signature(term, name, {**outer, **colors}, depth)
            for name in colors
        }
        ranks = {s: f"~{rank:03}" for rank, s in enumerate(sorted(set(signatures.values())))}
        if len(ranks) == len(set(colors.values())):
            break
        colors = {name: ranks[signatures[name]] for name in colors}
    return colors


def _signature(term: Term, name: str, naming: dict[str, str], depth: int) -> str:
    marked = {**naming, name: "*"}
    touching = (
        f"{key_of_factor(factor, marked, depth)}^{exponent}"
        for factor, exponent in term.factors
        if name in names_of_factor(factor)
    )
    return "|".join(sorted(touching))


def collected(terms: Iterable[Term]) -> Sum:
    """Like terms added up.

    >>> collected((Term(Fraction(2)), Term(Fraction(-2))))
    ()
    """
    found: dict[str, Term] = {}
    for term in terms:
        key = key_of_term(term)
        known = found.get(key)
        total = term.coefficient + (known.coefficient if known else 0)
        found[key] = replace(known or term, coefficient=total)
    return tuple(term for term in found.values() if term.coefficient)


# back to expressions


def expression_of(terms: Sum, taken: frozenset[str]) -> Expression:
    """The sum of terms as an expression, with readable names for what is summed over.

    >>> expression_of((Term(Fraction(3)),), frozenset()).number
    Fraction(3, 1)
    """
    return add(number(0), *(_of_term(term, {}, taken) for term in terms))


def _of_term(term: Term, naming: Naming, taken: frozenset[str]) -> Expression:
    pool = Names(taken)
    own = {name: pool.new() for name, _ in term.bound}
    naming, taken = {**naming, **own}, taken | set(own.values())
    outside = [number(term.coefficient), *(delta(*_named_pair(p, naming)) for p in term.deltas)]
    inside: list[Expression] = []
    for factor, exponent in term.factors:
        shown = power(_of_factor(factor, naming, taken), exponent)
        (outside if own.keys().isdisjoint(names_of_factor(factor)) else inside).append(shown)
    body = multiply(number(1), *inside)
    for name, dimension in reversed(term.bound):
        body = plain_sum(own[name], dimension, body)
    return multiply(*outside, body)


def _named_pair(pair: Pair, naming: Naming) -> Pair:
    return naming.get(pair[0], pair[0]), naming.get(pair[1], pair[1])


def _of_factor(factor: Factor, naming: Naming, taken: frozenset[str]) -> Expression:
    if isinstance(factor, Atom):
        indices = [renamed(index, naming) for index in factor.indices]
        return entry(factor.head, *indices) if indices else factor.head
    inner = add(number(0), *(_of_term(term, naming, taken) for term in factor.inner))
    if factor.operation == "power":
        return inner
    assert isinstance(factor.data, Function)
    return make("apply", (inner,), factor.data, inner.shape)
