"""Reads expressions by entries into the normal form: everything multiplied out and contracted.

Identities hold where both sides are defined: denominators are not zero, logarithms have positive
arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from fractions import Fraction
from functools import reduce

from workbench.calculus.dimensions import SCALAR, Dimension
from workbench.calculus.expressions import Expression, make
from workbench.calculus.functions import (
    ABS,
    ARCTAN,
    COS,
    COSH,
    ERF,
    EXP,
    LOG,
    SIGN,
    SIN,
    SINH,
    TAN,
    TANH,
    Function,
)
from workbench.calculus.indices import bound_of, indices_of
from workbench.calculus.positions import renamed
from workbench.calculus.terms import (
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
    unique_name,
    with_names,
)
from workbench.errors import InputError

MOST_TERMS = 400
"""Normal forms of more terms than this are given up."""

ONE_TERM = Term(Fraction(1))
EVEN = (COS, COSH, ABS)
ODD = (SIN, TAN, ARCTAN, ERF, SIGN)


def normal_form(expression: Expression) -> Sum:
    """The terms of a scalar expression by entries, like terms collected.

    Raises
    ------
    InputError
        If it has too many terms, or an operation has no normal form.

    >>> from workbench.calculus.expressions import number
    >>> from workbench.calculus.indices import index_sum
    >>> len(normal_form(index_sum("k", Dimension.named("n"), number(1))))
    1
    """
    return collected(_read(expression, {}))


def _read(node: Expression, naming: Naming) -> Sum:
    if node.number is not None:
        return (Term(node.number),) if node.number else ()
    arguments = node.arguments
    match node.operation:
        case "add":
            return _limited(term for part in arguments for term in _read(part, naming))
        case "multiply":
            return reduce(times, (_read(part, naming) for part in arguments))
        case "power":
            assert isinstance(node.data, Fraction)
            return raised(collected(_read(arguments[0], naming)), node.data)
        case "index_sum":
            index, dimension = bound_of(node.data)
            name = unique_name()
            body = _read(arguments[0], {**naming, index: name})
            summed = (replace(t, bound=((name, dimension), *t.bound)) for t in body)
            return _limited(term for part in summed for term in contracted(part))
        case "entry":
            indices = tuple(renamed(index, naming) for index in indices_of(node))
            return (_alone(Atom(arguments[0], indices)),)
        case "delta":
            left, right = (renamed(index, naming) for index in indices_of(node))
            return contracted(replace(ONE_TERM, deltas=((left, right),)))
        case "size":
            assert isinstance(node.data, Dimension)
            return _size(node.data)
        case "apply":
            assert isinstance(node.data, Function)
            return applied(node.data, collected(_read(arguments[0], naming)))
        case "symbol" | "constant" | "det" | "jacobian":
            return (_alone(Atom(node, ())),)
        case _:
            return _branched(node, [collected(_read(part, naming)) for part in arguments])


def _limited(terms: Iterable[Term]) -> Sum:
    found = tuple(terms)
    if len(found) > MOST_TERMS:
        raise InputError(f"the normal form has more than {MOST_TERMS} terms")
    return found


def _alone(factor: Factor, exponent: Fraction = Fraction(1)) -> Term:
    return Term(Fraction(1), factors=((factor, exponent),))


def _size(dimension: Dimension) -> Sum:
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
    return collected(_limited(term for terms in sums for term in terms))


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
        if isinstance(factor, Nested) and factor.operation == "power" and exponent >= 1:
            whole.extend([factor.inner] * int(exponent))
            exponent -= int(exponent)
        elif isinstance(factor, Nested) and factor.data == ABS and exponent >= 2:
            twice = 2 * (exponent // 2)
            whole.extend([factor.inner] * int(twice))
            exponent -= twice
        elif isinstance(factor, Nested) and factor.data == SIGN and exponent > 2:
            exponent = 2 - exponent % 2
        if exponent:
            kept.append((factor, exponent))
    return kept, whole


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
    return reduce(times, map(_size, loose), merged)


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
    if is_whole and 0 < exponent <= 6:
        return reduce(times, [base] * int(exponent))
    if len(base) == 1 and not base[0].bound and is_whole:
        (term,) = base
        if term.deltas:
            raise InputError("division by zero")
        factors = tuple((factor, e * exponent) for factor, e in term.factors)
        number_alone = Term(term.coefficient ** int(exponent))
        return _product(number_alone, replace(ONE_TERM, factors=factors))
    if not is_whole:
        return (_alone(Nested("power", None, base), exponent),)
    content, rest = _content(base)
    opaque = (_alone(Nested("power", None, rest), exponent),)
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


# functions


def applied(function: Function, inner: Sum) -> Sum:
    """A function of a sum, in terms of exponentials where it is defined by them.

    >>> applied(EXP, ()) == (ONE_TERM,)
    True
    """
    if function.order == 0 and function.formula is None:
        if function == EXP:
            return reduce(times, (_exponential(term) for term in inner), (ONE_TERM,))
        if function == LOG and len(inner) == 1:
            return _logarithm(inner[0])
        if function in DEFINITIONS:
            return DEFINITIONS[function](inner)
        if function in EVEN or function in ODD:
            return _with_parity(function, inner)
    return (_alone(Nested("apply", function, inner)),)


def _exponential(term: Term) -> Sum:
    base = Nested("apply", EXP, (replace(term, coefficient=Fraction(1)),))
    return (_alone(base, term.coefficient),)


def _logarithm(term: Term) -> Sum:
    """log of a product as a sum of logs; what is summed over stays together."""
    bound = {name for name, _ in term.bound}
    outside = [p for p in term.factors if bound.isdisjoint(names_of_factor(p[0]))]
    inside = tuple(pair for pair in term.factors if pair not in outside)
    parts: list[Sum] = []
    if inside or term.deltas:
        rest = replace(term, coefficient=Fraction(1), factors=inside)
        parts.append((_alone(Nested("apply", LOG, (rest,))),))
    if term.coefficient != 1:
        parts.append((_alone(Nested("apply", LOG, (Term(term.coefficient),))),))
    for factor, exponent in outside:
        if isinstance(factor, Nested) and factor.data == EXP:
            parts.append(scaled(factor.inner, exponent))
            continue
        is_power = isinstance(factor, Nested) and factor.operation == "power"
        inner = factor.inner if isinstance(factor, Nested) and is_power else (_alone(factor),)
        parts.append(scaled((_alone(Nested("apply", LOG, inner)),), exponent))
    return plus(*parts)


def _with_parity(function: Function, inner: Sum) -> Sum:
    """f(−u) = ±f(u), and |c u| = |c| |u|."""
    if not inner:
        return () if function in ODD or function == ABS else (ONE_TERM,)
    lead = min(inner, key=lambda term: key_of_sum((replace(term, coefficient=Fraction(1)),), {}))
    sign = 1 if lead.coefficient > 0 else -1
    outside = Fraction(sign if function in ODD else 1)
    scale = Fraction(sign)
    if function in (ABS, SIGN):
        scale = lead.coefficient
        outside *= abs(scale) if function == ABS else 1
    shown = scaled(inner, 1 / scale) if function in (ABS, SIGN) else scaled(inner, scale)
    return (replace(_alone(Nested("apply", function, shown)), coefficient=outside),)


def _doubled(inner: Sum) -> Sum:
    return applied(EXP, scaled(inner, Fraction(2)))


def _tanh(inner: Sum) -> Sum:
    """1 − 2/(e²ᵘ + 1)."""
    below = raised(plus(_doubled(inner), (ONE_TERM,)), Fraction(-1))
    return plus((ONE_TERM,), scaled(below, Fraction(-2)))


def _hyperbolic(sign: int) -> Callable[[Sum], Sum]:
    """(eᵘ ± e⁻ᵘ)/2."""

    def read(inner: Sum) -> Sum:
        falling = applied(EXP, scaled(inner, Fraction(-1)))
        return scaled(plus(applied(EXP, inner), scaled(falling, Fraction(sign))), Fraction(1, 2))

    return read


def _tan(inner: Sum) -> Sum:
    return times(applied(SIN, inner), raised(applied(COS, inner), Fraction(-1)))


DEFINITIONS: dict[Function, Callable[[Sum], Sum]] = {
    TANH: _tanh,
    SINH: _hyperbolic(-1),
    COSH: _hyperbolic(1),
    TAN: _tan,
}
"""Functions that are written in others."""


def _branched(node: Expression, arguments: list[Sum]) -> Sum:
    """Comparisons in signs, max(u, v) = (u + v + |u − v|)/2, a choice as v + [c] (u − v)."""
    if node.operation == "where":
        condition, yes, no = arguments
        return plus(no, times(condition, plus(yes, scaled(no, Fraction(-1)))))
    if node.operation not in ("maximum", "minimum", "greater", "greater_equal"):
        raise InputError(f"{node.operation} has no normal form")
    left, right = arguments
    difference = plus(left, scaled(right, Fraction(-1)))
    half = Fraction(1, 2)
    if node.operation in ("maximum", "minimum"):
        gap = applied(ABS, difference)
        sign = half if node.operation == "maximum" else -half
        return plus(scaled(left, half), scaled(right, half), scaled(gap, sign))
    sign_of = applied(SIGN, difference)
    squared = scaled(times(sign_of, sign_of), half)
    if node.operation == "greater":
        return plus(squared, scaled(sign_of, half))
    return plus((ONE_TERM,), scaled(squared, Fraction(-1)), scaled(sign_of, half))
