"""Reads expressions by entries into the normal form: everything multiplied out and contracted.

Identities hold where both sides are defined: denominators are not zero, logarithms have positive
arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import reduce

from workbench.calculus.dimensions import Dimension
from workbench.calculus.expressions import Expression
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
from workbench.errors import InputError
from workbench.tensors.indices import bound_of, indices_of
from workbench.tensors.positions import renamed
from workbench.tensors.sums import (
    ONE_TERM,
    alone,
    contracted,
    limited,
    of_size,
    plus,
    raised,
    scaled,
    times,
)
from workbench.tensors.terms import (
    Atom,
    Naming,
    Nested,
    Sum,
    Term,
    collected,
    key_of_sum,
    names_of_factor,
    unique_name,
)

EVEN = (COS, COSH, ABS)
ODD = (SIN, TAN, ARCTAN, ERF, SIGN)


def normal_form(expression: Expression) -> Sum:
    """The terms of a scalar expression by entries, like terms collected.

    Raises
    ------
    InputError
        If it has too many terms, or an operation has no normal form.

    >>> from workbench.calculus.expressions import number
    >>> from workbench.tensors.indices import index_sum
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
            return limited(term for part in arguments for term in _read(part, naming))
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
            return limited(term for part in summed for term in contracted(part))
        case "entry":
            indices = tuple(renamed(index, naming) for index in indices_of(node))
            return (alone(Atom(arguments[0], indices)),)
        case "delta":
            left, right = (renamed(index, naming) for index in indices_of(node))
            return contracted(replace(ONE_TERM, deltas=((left, right),)))
        case "size":
            assert isinstance(node.data, Dimension)
            return of_size(node.data)
        case "apply":
            assert isinstance(node.data, Function)
            return applied(node.data, collected(_read(arguments[0], naming)))
        case "symbol" | "constant" | "det" | "jacobian":
            return (alone(Atom(node, ())),)
        case _:
            return _branched(node, [collected(_read(part, naming)) for part in arguments])


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
    return (alone(Nested("apply", function, inner)),)


def _exponential(term: Term) -> Sum:
    base = Nested("apply", EXP, (replace(term, coefficient=Fraction(1)),))
    return (alone(base, term.coefficient),)


def _logarithm(term: Term) -> Sum:
    """log of a product as a sum of logs; what is summed over stays together."""
    bound = {name for name, _ in term.bound}
    outside = [p for p in term.factors if bound.isdisjoint(names_of_factor(p[0]))]
    inside = tuple(pair for pair in term.factors if pair not in outside)
    parts: list[Sum] = []
    if inside or term.deltas:
        rest = replace(term, coefficient=Fraction(1), factors=inside)
        parts.append((alone(Nested("apply", LOG, (rest,))),))
    if term.coefficient != 1:
        parts.append((alone(Nested("apply", LOG, (Term(term.coefficient),))),))
    for factor, exponent in outside:
        if isinstance(factor, Nested) and factor.data == EXP:
            parts.append(scaled(factor.inner, exponent))
            continue
        is_power = isinstance(factor, Nested) and factor.operation == "power"
        inner = factor.inner if isinstance(factor, Nested) and is_power else (alone(factor),)
        parts.append(scaled((alone(Nested("apply", LOG, inner)),), exponent))
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
    return (replace(alone(Nested("apply", function, shown)), coefficient=outside),)


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
