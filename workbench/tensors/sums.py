"""Arithmetic of sums of terms: multiplied out, contracted and collected as it goes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from functools import reduce

from workbench.calculus.dimensions import SCALAR, Dimension
from workbench.calculus.expressions import make
from workbench.calculus.functions import ABS, SIGN
from workbench.errors import InputError
from workbench.tensors.terms import (
    Atom,
    Factor,
    Naming,
    Nested,
    Pair,
    Sum,
    Term,
    collected,
    key_of_factor,
    key_of_sum,
    names_of_factor,
    refreshed,
    with_names,
)

MOST_TERMS = 400
"""Normal forms of more terms than this are given up."""

MOST_POWER = 6
"""Powers of sums that are multiplied out at once."""
MOST_BOUND = 12
"""Powers of sums over indices stay powers where their terms would be summed over more indices."""

ONE_TERM = Term(Fraction(1))


def limited(terms: Iterable[Term]) -> Sum:
    """The terms, if there are not too many.

    Raises
    ------
    InputError
        If there are.

    >>> limited([ONE_TERM]) == (ONE_TERM,)
    True
    """
    found = tuple(terms)
    if len(found) > MOST_TERMS:
        raise InputError(f"the normal form has more than {MOST_TERMS} terms")
    return found


def alone(factor: Factor, exponent: Fraction = Fraction(1)) -> Term:
    """A power of one factor as a term.

    >>> from workbench.calculus.functions import VARIABLE
    >>> len(alone(Atom(VARIABLE, ())).factors)
    1
    """
    return Term(Fraction(1), factors=((factor, exponent),))


def of_size(dimension: Dimension) -> Sum:
    """A dimension as a sum of terms.

    >>> len(of_size(Dimension.named("m") + Dimension.named("n")))
    2
    """
    return tuple(
        Term(
            Fraction(times),
            factors=tuple(
                (
                    Atom(make("size", (), Dimension.named(name), SCALAR), ()),
                    Fraction(names.count(name)),
                )
                for name in dict.fromkeys(names)
            ),
        )
        for names, times in dimension.terms
    )


def scaled(terms: Sum, coefficient: Fraction) -> Sum:
    """A multiple.

    >>> scaled((ONE_TERM,), Fraction(3))[0].coefficient
    Fraction(3, 1)
    """
    return tuple(replace(term, coefficient=coefficient * term.coefficient) for term in terms)


def plus(*sums: Sum) -> Sum:
    """The sum of sums, collected.

    >>> plus((ONE_TERM,), (ONE_TERM,))[0].coefficient
    Fraction(2, 1)
    """
    return collected(limited(term for terms in sums for term in terms))


def times(left: Sum, right: Sum) -> Sum:
    """The product of two sums, multiplied out and collected.

    >>> times((Term(Fraction(2)),), (Term(Fraction(3)),))[0].coefficient
    Fraction(6, 1)
    """
    if len(left) * len(right) > MOST_TERMS:
        raise InputError(f"the normal form has more than {MOST_TERMS} terms")
    return collected(
        term for one in left for other in right for term in _product(one, refreshed(other))
    )


def _product(left: Term, right: Term) -> Sum:
    found: dict[str, tuple[Factor, Fraction]] = {}
    for factor, exponent in (*left.factors, *right.factors):
        key = key_of_factor(factor, {})
        known = found.get(key, (factor, Fraction(0)))
        found[key] = (known[0], known[1] + exponent)
    kept, whole = _settled([pair for pair in found.values() if pair[1]])
    term = Term(
        left.coefficient * right.coefficient,
        left.bound + right.bound,
        tuple(kept),
        tuple(dict.fromkeys(left.deltas + right.deltas)),
    )
    return reduce(times, whole, contracted(term))


def _settled(
    factors: list[tuple[Factor, Fraction]],
) -> tuple[list[tuple[Factor, Fraction]], list[Sum]]:
    """Powers of sums that have become whole ones, apart; signs and sizes |u| of high power."""
    kept: list[tuple[Factor, Fraction]] = []
    whole: list[Sum] = []
    for factor, exponent in factors:
        if isinstance(factor, Nested) and factor.data == SIGN and exponent > 2:
            exponent = 2 - exponent % 2
        elif isinstance(factor, Nested) and _is_short(factor.inner, exponent):
            if factor.operation == "power" and exponent >= 1:
                whole.extend([factor.inner] * int(exponent))
                exponent -= int(exponent)
            elif factor.data == ABS and exponent >= 2:
                twice = 2 * (exponent // 2)
                whole.extend([factor.inner] * int(twice))
                exponent -= twice
        if exponent:
            kept.append((factor, exponent))
    return kept, whole


def _is_short(base: Sum, exponent: Fraction) -> bool:
    """Whether a power is short enough to be multiplied out."""
    return exponent * max((len(term.bound) for term in base), default=0) <= MOST_BOUND


def contracted(term: Term) -> Sum:
    """A term without the sums that its deltas or the absence of their index settle.

    >>> n = Dimension.named("n")
    >>> summed = Term(Fraction(1), (("k", n),), deltas=(("i", "k"),))
    >>> contracted(summed) == (ONE_TERM,)
    True
    """
    deltas, bound = list(term.deltas), dict(term.bound)
    kept: list[Pair] = []
    while deltas:
        left, right = sorted(deltas.pop(), key=lambda name: (name in bound, name))
        if left == right:
            continue
        if right in bound:
            del bound[right]
        else:
            kept.append((left, right))
        free = with_names(replace(term, bound=(), deltas=()), {right: left})
        term = replace(free, bound=tuple(bound.items()))
        deltas = [_renamed_pair(pair, {right: left}) for pair in deltas]
    used = {name for factor, _ in term.factors for name in names_of_factor(factor)}
    used.update(name for pair in kept for name in pair)
    loose = [dimension for name, dimension in bound.items() if name not in used]
    rest = tuple((name, dimension) for name, dimension in bound.items() if name in used)
    merged = _merged(replace(term, bound=rest, deltas=tuple(dict.fromkeys(kept))))
    return reduce(times, map(of_size, loose), merged)


def _renamed_pair(pair: Pair, naming: Naming) -> Pair:
    return naming.get(pair[0], pair[0]), naming.get(pair[1], pair[1])


def _merged(term: Term) -> Sum:
    """Equal factors, as a contraction makes them, as one power."""
    keys = [key_of_factor(factor, {}) for factor, _ in term.factors]
    if len(set(keys)) == len(keys):
        return (term,)
    return _product(replace(term, factors=()), replace(ONE_TERM, factors=term.factors))


def raised(base: Sum, exponent: Fraction) -> Sum:
    """A power of a sum.

    Raises
    ------
    InputError
        If zero is divided by.

    >>> raised((Term(Fraction(2)),), Fraction(-1))[0].coefficient
    Fraction(1, 2)
    """
    if not base:
        if exponent < 0:
            raise InputError("division by zero")
        return ()
    is_whole = exponent.denominator == 1
    if is_whole and 0 < exponent <= MOST_POWER and _is_short(base, exponent):
        return reduce(times, [base] * int(exponent))
    if len(base) == 1 and not base[0].bound and is_whole:
        (term,) = base
        if term.deltas:
            raise InputError("division by zero")
        factors = tuple((factor, e * exponent) for factor, e in term.factors)
        number_alone = Term(term.coefficient ** int(exponent))
        return _product(number_alone, replace(ONE_TERM, factors=factors))
    if not is_whole:
        return (alone(Nested("power", None, base), exponent),)
    content, rest = _content(base)
    opaque = (alone(Nested("power", None, rest), exponent),)
    return times(raised((content,), exponent), opaque)


def _content(base: Sum) -> tuple[Term, Sum]:
    """What all terms have in common, as a factor, and what is left."""
    powers: dict[str, list[tuple[Factor, Fraction]]] = {}
    for term in base:
        bound = {name for name, _ in term.bound}
        for factor, exponent in term.factors:
            if bound.isdisjoint(names_of_factor(factor)):
                powers.setdefault(key_of_factor(factor, {}), []).append((factor, exponent))
    shared = []
    for found in powers.values():
        exponents = [exponent for _, exponent in found]
        least = min(exponents) if len(found) == len(base) else min(*exponents, Fraction(0))
        if least:
            shared.append((found[0][0], least))
    lead = min(base, key=lambda term: key_of_sum((replace(term, coefficient=Fraction(1)),), {}))
    content = Term(lead.coefficient, factors=tuple(shared))
    inverse = Term(1 / lead.coefficient, factors=tuple((f, -e) for f, e in shared))
    return content, times(base, (inverse,))
