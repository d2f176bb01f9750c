"""The constructors of expressions, with the laws that always hold applied as a node is built.

Sums and products are flat and collect equal terms and powers, numbers come first, transposes are
pushed inwards, ones and zeros vanish. Elementwise operations take equal shapes, or a scalar with
anything; a matrix product with a 1×1 factor is a scalar multiple.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from workbench.calculus.dimensions import SCALAR, Shape
from workbench.calculus.expressions import (
    Expression,
    describe,
    make,
    number,
    ones,
    zero,
)
from workbench.errors import InputError, ShapeError

LARGEST_NUMBER = 10**100
"""Bound on numerators and denominators of exact numbers; beyond it a formula is refused."""


def add(*terms: Expression) -> Expression:
    """The elementwise sum; like terms are collected.

    Raises
    ------
    ShapeError
        If two terms have different shapes and neither is a scalar.
    """
    shape = _common_shape("sum", terms)
    total: dict[int, tuple[Fraction, Expression]] = {}
    for term in flatten("add", terms):
        coefficient, rest = split_coefficient(term)
        rest = _without_ones(rest)
        collected = total.get(rest.form, (Fraction(0), rest))[0] + coefficient
        total[rest.form] = (collected, total.get(rest.form, (collected, rest))[1])
    kept = [scaled(coefficient, rest) for coefficient, rest in total.values() if coefficient]
    kept = [term for term in kept if not is_zero(term)]
    if not kept:
        return zero(shape)
    if len(kept) == 1:
        return spread(kept[0], shape)
    first_positive = next((t for t in kept if split_coefficient(t)[0] > 0), kept[0])
    kept.sort(key=lambda term: term is not first_positive)
    if all(term.is_scalar for term in kept):
        return spread(make("add", tuple(kept), None, SCALAR), shape)
    return make("add", tuple(kept), None, shape)


def _without_ones(term: Expression) -> Expression:
    """s 𝟏 as s, since a scalar in a sum stands in every entry."""
    if term.operation == "ones":
        return number(1)
    if term.operation == "multiply" and term.arguments[-1].operation == "ones":
        return multiply(*term.arguments[:-1])
    return term


def subtract(left: Expression, right: Expression) -> Expression:
    """left − right, elementwise."""
    return add(left, negate(right))


def negate(expression: Expression) -> Expression:
    """−expression."""
    return multiply(number(-1), expression)


def multiply(*factors: Expression) -> Expression:
    """The elementwise product ⊙, with scalars multiplying anything; equal bases collect powers.

    Raises
    ------
    ShapeError
        If two factors have different shapes and neither is a scalar.
    """
    shape = _common_shape("elementwise product", factors)
    coefficient = Fraction(1)
    powers: dict[int, tuple[Expression, Fraction]] = {}
    for factor in flatten("multiply", factors):
        if factor.number is not None:
            coefficient = _bounded(coefficient * factor.number)
        elif is_zero(factor):
            return zero(shape)
        elif factor.operation != "ones":
            base, exponent = split_power(factor)
            known = powers.get(base.form, (base, Fraction(0)))
            powers[base.form] = (known[0], known[1] + exponent)
    if coefficient == 0:
        return zero(shape)
    kept = [power(base, exponent) for base, exponent in powers.values() if exponent]
    kept = [factor for factor in kept if factor.operation != "ones"]
    loose = [factor.number for factor in kept if factor.number is not None]
    if loose or any(factor.operation == "multiply" for factor in kept):
        again = multiply(number(coefficient), *kept)
        return spread(again, shape)
    if coefficient == -1 and len(kept) == 1 and kept[0].operation == "add":
        return spread(add(*(negate(term) for term in kept[0].arguments)), shape)
    kept.sort(key=lambda factor: not factor.is_scalar)
    if all(factor.is_scalar for factor in kept) and shape != SCALAR:
        kept.append(ones(shape))
    if coefficient != 1 or not kept:
        kept.insert(0, number(coefficient))
    return kept[0] if len(kept) == 1 else make("multiply", tuple(kept), None, shape)


def divide(left: Expression, right: Expression) -> Expression:
    """left ⊘ right, elementwise.

    Raises
    ------
    InputError
        If the divisor is zero.
    """
    return multiply(left, power(right, Fraction(-1)))


def power(base: Expression, exponent: int | Fraction) -> Expression:
    """The elementwise power with a constant exponent.

    Raises
    ------
    InputError
        If a number would become too large, or zero is raised to a negative power.
    """
    exponent = Fraction(exponent)
    if exponent == 0:
        return ones(base.shape)
    if exponent == 1 or base.operation == "ones":
        return base
    if is_zero(base):
        if exponent < 0:
            raise InputError("division by zero")
        return base
    if base.number is not None:
        if base.number < 0 and exponent.denominator % 2 == 0:
            raise InputError(f"{base.number} has no real power of exponent {exponent}")
        exact = _exact_power(base.number, exponent)
        if exact is not None:
            return number(exact)
    if base.operation in ("greater", "greater_equal"):
        if exponent > 0:
            return base
        exponent = Fraction(-1)
    if base.operation == "power" and isinstance(base.data, Fraction):
        inner = base.data
        if exponent.denominator == 1 or inner.numerator % 2 == 1:
            return power(base.arguments[0], inner * exponent)
    if base.operation == "multiply" and exponent.denominator == 1:
        return multiply(*(power(factor, exponent) for factor in base.arguments))
    if is_exponential(base):
        return make(
            "apply", (multiply(number(exponent), base.arguments[0]),), base.data, base.shape
        )
    return make("power", (base,), exponent, base.shape)


def where(condition: Expression, yes: Expression, no: Expression) -> Expression:
    """Entry by entry, `yes` where the condition holds, else `no`."""
    shape = _common_shape("where", (condition, yes, no))
    if condition.shape == shape:
        yes, no = _without_ones(yes), _without_ones(no)
    if yes.form == no.form:
        return spread(yes, shape)
    if yes.number == 1 and is_zero(no):
        return spread(condition, shape)
    return make("where", (condition, yes, no), None, shape)


def greater(left: Expression, right: Expression) -> Expression:
    """The indicator [left > right], 1 where it holds and 0 elsewhere."""
    return make("greater", (left, right), None, _common_shape("comparison", (left, right)))


def greater_equal(left: Expression, right: Expression) -> Expression:
    """The indicator [left ≥ right]."""
    return make("greater_equal", (left, right), None, _common_shape("comparison", (left, right)))


def maximum(left: Expression, right: Expression) -> Expression:
    """The larger of two, entry by entry."""
    return make("maximum", (left, right), None, _common_shape("max", (left, right)))


def minimum(left: Expression, right: Expression) -> Expression:
    """The smaller of two, entry by entry."""
    return make("minimum", (left, right), None, _common_shape("min", (left, right)))


def split_coefficient(term: Expression) -> tuple[Fraction, Expression]:
    """A term as its number and the rest: `3 a b` is 3 and `a b`."""
    if term.number is not None:
        return term.number, number(1)
    if term.operation == "multiply" and term.arguments[0].number is not None:
        rest = term.arguments[1:]
        if len(rest) == 1 and rest[0].shape == term.shape:
            return term.arguments[0].number, rest[0]
        return term.arguments[0].number, make("multiply", rest, None, term.shape)
    return Fraction(1), term


def scaled(coefficient: Fraction, expression: Expression) -> Expression:
    """A numeric multiple."""
    return expression if coefficient == 1 else multiply(number(coefficient), expression)


def split_power(factor: Expression) -> tuple[Expression, Fraction]:
    """A factor as its base and exponent; exponentials are powers of themselves.

    e^(−a − b) is the power −1 of e^(a + b), so that the two cancel.
    """
    if factor.operation == "power" and isinstance(factor.data, Fraction):
        return factor.arguments[0], factor.data
    if is_exponential(factor):
        coefficient, rest = split_coefficient(factor.arguments[0])
        if rest.operation == "add" and split_coefficient(rest.arguments[0])[0] < 0:
            coefficient, rest = -coefficient, negate(rest)
        return make("apply", (rest,), factor.data, factor.shape), coefficient
    return factor, Fraction(1)


def split_scalars(factor: Expression) -> tuple[list[Expression], Expression | None]:
    """The 1×1 factors of an expression and what remains (None if nothing does)."""
    if factor.is_scalar:
        return [factor], None
    if factor.operation == "multiply":
        scalars = [part for part in factor.arguments if part.is_scalar]
        if scalars:
            rest = [part for part in factor.arguments if not part.is_scalar]
            return scalars, multiply(*rest)
    return [], factor


def spread(expression: Expression, shape: Shape) -> Expression:
    """A scalar as the matrix of this shape that holds it everywhere."""
    if expression.shape == shape:
        return expression
    return multiply(expression, ones(shape))


def is_exponential(expression: Expression) -> bool:
    """Whether this is eᵘ, the primitive."""
    function = expression.data
    return (
        expression.operation == "apply"
        and getattr(function, "name", None) == "exp"
        and getattr(function, "formula", None) is None
    )


def is_zero(expression: Expression) -> bool:
    """Whether this is the number or the matrix zero."""
    return expression.operation == "zero" or expression.number == 0


def flatten(operation: str, items: Iterable[Expression]) -> list[Expression]:
    """The items, those of this operation replaced by their own arguments."""
    flat: list[Expression] = []
    for item in items:
        flat.extend(item.arguments if item.operation == operation else (item,))
    return flat


def _common_shape(what: str, items: Iterable[Expression]) -> Shape:
    shape = SCALAR
    for item in items:
        if item.is_scalar:
            continue
        if shape not in (SCALAR, item.shape):
            raise ShapeError(f"{what}: shapes {describe(shape)} and {describe(item.shape)} differ")
        shape = item.shape
    return shape


def _exact_power(base: Fraction, exponent: Fraction) -> Fraction | None:
    if exponent.denominator != 1:
        return None
    if abs(exponent) > 100:
        raise InputError(f"the power {base}^{exponent} is too large")
    return _bounded(base**exponent.numerator)


def _bounded(value: Fraction) -> Fraction:
    if max(abs(value.numerator), value.denominator) > LARGEST_NUMBER:
        raise InputError("a number in the formula is too large (beyond 10^100)")
    return value
