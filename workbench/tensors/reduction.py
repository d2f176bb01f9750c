"""Reduces terms by what inverses are: M M⁻¹ = I, d/d = 1, sin² + cos² = 1.

For an inverse of a sum, say of M = A + U V, the longest term of M beside M⁻¹ is replaced by the
identity minus the other terms beside it: `U V M⁻¹` by `I − A M⁻¹`. The same holds for denominators,
`e/(1 + e)` is `1 − 1/(1 + e)`. What is left has fewer long terms, so this ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import permutations

from workbench.calculus.blocks import ZERO
from workbench.calculus.expressions import Expression
from workbench.calculus.functions import ABS, COS, SIGN, SIN
from workbench.errors import InputError
from workbench.tensors.normal_form import normal_form
from workbench.tensors.positions import Names, Place, SplitError
from workbench.tensors.sums import scaled, times
from workbench.tensors.terms import (
    Atom,
    Factor,
    Nested,
    Sum,
    Term,
    collected,
    free_names,
    is_symmetric,
    key_of_factor,
    key_of_term,
    names_of_factor,
    refreshed,
    unique_name,
    with_names,
)
from workbench.tensors.writing import Writing

MOST_REDUCTIONS = 300
"""After so many replacements the search for a proof is given up."""

Powers = tuple[tuple[Factor, Fraction], ...]


def reduced(terms: Sum) -> Sum:
    """The terms with every inverse that meets its own matrix taken out.

    Raises
    ------
    InputError
        If that takes too long.

    >>> from workbench.calculus.algebra import add, divide
    >>> from workbench.calculus.expressions import number
    >>> from workbench.calculus.functions import VARIABLE as z
    >>> whole = add(number(1), z)
    >>> len(reduced(normal_form(add(divide(number(1), whole), divide(z, whole)))))
    1
    """
    for _ in range(MOST_REDUCTIONS):
        for place, term in enumerate(terms):
            replacement = _step(term)
            if replacement is not None:
                terms = collected([*terms[:place], *replacement, *terms[place + 1 :]])
                break
        else:
            return terms
    raise InputError(f"more than {MOST_REDUCTIONS} replacements do not end")


def _step(term: Term) -> Sum | None:
    for place, (factor, exponent) in enumerate(term.factors):
        if isinstance(factor, Atom):
            found = _inverse_step(term, place, factor) if exponent == 1 else None
        elif factor.operation == "power" and exponent < 0:
            found = _quotient_step(term, place, factor)
        else:
            found = _circle_step(term, place, factor, exponent) or _sign_step(term, place, factor)
        if found is not None:
            return found
    return None


def _without(term: Term, place: int) -> Term:
    return replace(term, factors=term.factors[:place] + term.factors[place + 1 :])


def _circle_step(term: Term, place: int, factor: Nested, exponent: Fraction) -> Sum | None:
    """sin² = 1 − cos²."""
    if factor.data != SIN or exponent < 2:
        return None
    left = Term(Fraction(1), factors=((factor, exponent - 2),)) if exponent > 2 else None
    rest = _without(term, place)
    cosine = Term(Fraction(-1), factors=((Nested("apply", COS, factor.inner), Fraction(2)),))
    outside = times((rest,), (left,)) if left else (rest,)
    return times(outside, (Term(Fraction(1)), cosine))


def _sign_step(term: Term, place: int, factor: Nested) -> Sum | None:
    """u sign(u) = |u| and u sign(u)² = u, for an entry u."""
    if factor.data != SIGN or len(factor.inner) != 1:
        return None
    (inner,) = factor.inner
    whole = _without(term, place)
    for rest, _ in _matches(inner, whole, {}, frozenset()):
        size = Nested("apply", ABS, factor.inner) if term.factors[place][1] == 1 else None
        factors = ((size, Fraction(1)),) if size else inner.factors
        return times((rest,), (Term(Fraction(1), factors=factors),))
    return None


def _quotient_step(term: Term, place: int, factor: Nested) -> Sum | None:
    """The longest term of d beside d⁻¹ as 1 minus the others beside it."""
    lead = _longest(factor.inner)
    if lead is None:
        return None
    others = [other for other in factor.inner if other is not lead]
    whole = _without(term, place)
    exponent = term.factors[place][1]
    for rest, _ in _matches(refreshed(lead), whole, {}, frozenset()):
        lower = Term(1 / lead.coefficient, factors=((factor, exponent),))
        higher = Term(1 / lead.coefficient, factors=((factor, exponent + 1),))
        found = times((rest,), (higher,)) if exponent != -1 else _over(rest, lead.coefficient)
        minus = times(times((rest,), (lower,)), scaled(tuple(others), Fraction(-1)))
        return collected((*found, *minus))
    return None


def _over(term: Term, divisor: Fraction) -> Sum:
    return times((Term(1 / divisor),), (term,))


def _inverse_step(term: Term, place: int, atom: Atom) -> Sum | None:
    """The longest term of M beside M⁻¹ as I minus the others beside it, on either side."""
    if atom.head.operation != "inverse":
        return None
    orders = [atom.indices]
    if is_symmetric(atom.head):
        orders.append(atom.indices[::-1])
    bound = dict(term.bound)
    whole = _without(term, place)
    for row, column in orders:
        for is_left in (True, False):
            inner, outer = (row, column) if is_left else (column, row)
            if inner not in bound or inner == outer:
                continue
            found = _cancelled(whole, atom.head, inner, outer, is_left)
            if found is not None:
                return found
    return None


def _cancelled(whole: Term, head: Expression, inner: str, outer: str, is_left: bool) -> Sum | None:
    port = unique_name()
    entries = _entries(head.arguments[0], *((port, inner) if is_left else (inner, port)))
    lead = _longest(entries)
    if lead is None or not {port, inner} <= free_names(lead):
        return None
    others = [other for other in entries if other is not lead]
    free = replace(whole, bound=tuple(pair for pair in whole.bound if pair[0] != inner))
    for rest, mapping in _matches(refreshed(lead), free, {inner: inner}, frozenset({port})):
        if any(inner in names_of_factor(factor) for factor, _ in rest.factors):
            continue
        end = mapping[port]
        joined = replace(rest, deltas=(*rest.deltas, (end, outer)))
        one = _over(joined, lead.coefficient)
        indices = (inner, outer) if is_left else (outer, inner)
        inverse = Term(-1 / lead.coefficient, factors=((Atom(head, indices), Fraction(1)),))
        found = list(one)
        for other in others:
            moved = with_names(refreshed(other), {port: end})
            product = times(times((rest,), (inverse,)), (moved,))
            dimension = dict(whole.bound)[inner]
            for part in product:
                summed = replace(part, bound=((inner, dimension), *part.bound))
                found.extend(times((Term(Fraction(1)),), (summed,)))
        return collected(found)
    return None


def _entries(matrix: Expression, row: str, column: str) -> Sum:
    """The entry of a matrix in normal form; none if it has no form by single indices."""
    row_place, column_place = (
        (Place(name, d, ZERO, d),) for name, d in zip((row, column), matrix.shape, strict=True)
    )
    try:
        return normal_form(Writing(Names()).entry(matrix, row_place, column_place))
    except (SplitError, InputError):
        return ()


def _longest(terms: Sum) -> Term | None:
    """The term of the most factors that has no delta; None if there is none with a factor."""
    candidates = [
        term
        for term in terms
        if term.factors and not term.deltas and all(e > 0 for _, e in term.factors)
    ]
    return max(candidates, key=lambda t: (len(t.factors), key_of_term(t)), default=None)


def _matches(
    pattern: Term, term: Term, fixed: dict[str, str], ports: frozenset[str]
) -> Iterator[tuple[Term, dict[str, str]]]:
    """Ways to find the factors of a pattern in a term; what is left of it, and the names.

    What the pattern sums over must occur nowhere else in the term.
    """
    for mapping, left in _assigned(list(pattern.factors), term.factors, fixed, pattern, ports):
        local = {mapping[name] for name, _ in pattern.bound}
        used = {name for factor, _ in left for name in names_of_factor(factor)}
        used.update(name for pair in term.deltas for name in pair)
        if len(local) < len(pattern.bound) or not local <= set(dict(term.bound)) or local & used:
            continue
        bound = tuple(pair for pair in term.bound if pair[0] not in local)
        yield replace(term, bound=bound, factors=left), mapping


def _assigned(
    wanted: list[tuple[Factor, Fraction]],
    present: Powers,
    mapping: dict[str, str],
    pattern: Term,
    ports: frozenset[str],
) -> Iterator[tuple[dict[str, str], Powers]]:
    if not wanted:
        yield mapping, present
        return
    (factor, exponent), *others = sorted(wanted, key=lambda pair: isinstance(pair[0], Nested))
    variables = {name for name, _ in pattern.bound} | ports
    for place, (candidate, power) in enumerate(present):
        if power < exponent:
            continue
        rest = ((candidate, power - exponent),) if power > exponent else ()
        left = (*present[:place], *rest, *present[place + 1 :])
        for extended in _unified(factor, candidate, mapping, variables):
            yield from _assigned(others, left, extended, pattern, ports)


def _unified(
    factor: Factor, candidate: Factor, mapping: dict[str, str], variables: set[str]
) -> Iterator[dict[str, str]]:
    """Namings under which a factor of a pattern is this one."""
    unknown = sorted((names_of_factor(factor) & variables) - set(mapping))
    choices = sorted(names_of_factor(candidate))
    if len(unknown) > 3 or len(choices) > 5:
        return
    goal = key_of_factor(candidate, {})
    for chosen in permutations(choices, len(unknown)) if unknown else [()]:
        extended = {**mapping, **dict(zip(unknown, chosen, strict=True))}
        if key_of_factor(factor, extended) == goal:
            yield extended


def without_denominators(terms: Sum) -> Sum:
    """Terms times every denominator that has no index summed over; zero just when they are.

    Raises
    ------
    InputError
        If that takes too long.

    >>> from workbench.calculus.algebra import add, power
    >>> from workbench.calculus.expressions import number
    >>> from workbench.calculus.functions import VARIABLE as z
    >>> len(without_denominators(normal_form(power(add(number(1), z), -1))))
    1
    """
    for _ in range(6):
        denominators = _denominators(terms)
        if not denominators:
            return terms
        for base, exponent in denominators:
            factor = Term(Fraction(1), factors=((base, -exponent),))
            terms = collected(part for term in terms for part in times((term,), (factor,)))
        terms = reduced(terms)
    return terms


def _denominators(terms: Sequence[Term]) -> list[tuple[Nested, Fraction]]:
    found: dict[str, tuple[Nested, Fraction]] = {}
    for term in terms:
        bound = {name for name, _ in term.bound}
        for factor, exponent in term.factors:
            is_power = isinstance(factor, Nested) and factor.operation == "power"
            if not is_power or exponent >= 0 or bound & names_of_factor(factor):
                continue
            assert isinstance(factor, Nested)
            key = key_of_factor(factor, {})
            if key not in found or exponent < found[key][1]:
                found[key] = (factor, exponent)
    return list(found.values())
