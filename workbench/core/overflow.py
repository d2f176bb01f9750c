"""Where floating point goes wrong: exponentials that overflow, divisions by what rounds to 0."""

from __future__ import annotations

from collections.abc import Collection
from fractions import Fraction
from functools import cache

from workbench.calculus.algebra import split_coefficient
from workbench.calculus.expressions import Expression, walk
from workbench.calculus.functions import ABS, COSH, EXP, LOG, SINH, Function

_GROWING = (EXP, COSH, SINH)


def is_safe(
    expression: Expression,
    overflowing: Collection[Expression] = (),
    exponential: Collection[Expression] = (),
) -> bool:
    """Whether no exponential in an expression leads to ∞, to 0/0 or to the logarithm of 0.

    It is enough for an exponential to stand in a denominator that is above a number, 1/(1 + eᵘ), or
    to have its largest exponent taken off. A False is a doubt, not a proof.

    Parameters
    ----------
    overflowing : symbols whose values may overflow.
    exponential : symbols made of exponentials, which may round to 0.

    >>> from workbench.calculus.algebra import add, power
    >>> from workbench.calculus.expressions import Kind, number, symbol
    >>> x = symbol("x", Kind.INPUT)
    >>> is_safe(EXP(x)), is_safe(power(add(number(1), EXP(x)), -1))
    (False, True)
    """
    grows, small = set(overflowing), set(exponential)
    for node in walk(expression):
        if any(argument in small for argument in node.arguments):
            small.add(node)
        inner_grows = any(argument in grows for argument in node.arguments)
        inner = node.arguments[0] if node.arguments else node
        match node.operation:
            case "apply":
                assert isinstance(node.data, Function)
                if node.data in _GROWING:
                    small.add(node)
                    inner_grows |= not (is_bounded(inner) and node.data == EXP)
                elif node.data == LOG:
                    inner_grows |= inner in small and not _is_shifted_sum(inner)
                elif node.data.formula is not None:
                    if reaches_exponential(node, ()):
                        small.add(node)
                    inner_grows |= not is_safe(node.data.formula)
            case "power" if isinstance(node.data, Fraction) and node.data < 0:
                inner_grows = (inner in small or inner in grows) and not _has_floor(inner)
            case "where":
                inner_grows = any(argument in overflowing for argument in node.arguments)
        if inner_grows:
            grows.add(node)
    return expression not in grows


def is_positive(expression: Expression) -> bool:
    """Whether an expression is known to be above zero: exponentials, and what is made of them.

    >>> from workbench.calculus.expressions import Kind, symbol
    >>> x = symbol("x", Kind.INPUT)
    >>> is_positive(EXP(x)), is_positive(x)
    (True, False)
    """
    if expression.number is not None:
        return expression.number > 0
    match expression.operation:
        case "size" | "constant" | "ones":
            return True
        case "apply":
            function = expression.data
            assert isinstance(function, Function)
            return function in (EXP, COSH)
        case "add" | "multiply" | "matmul" | "sum" | "power":
            return all(is_positive(argument) for argument in expression.arguments)
    return False


def reaches_exponential(expression: Expression, known: Collection[Expression]) -> bool:
    """Whether a value is an exponential, or sums, products and powers of such.

    Parameters
    ----------
    known : the symbols of which this is known.

    >>> from workbench.calculus.expressions import Kind, symbol
    >>> x = symbol("x", Kind.INPUT)
    >>> reaches_exponential(EXP(x), ()), reaches_exponential(x, ())
    (True, False)
    """
    if expression in known:
        return True
    arguments = expression.arguments
    match expression.operation:
        case "apply":
            function = expression.data
            assert isinstance(function, Function)
            formula = function.formula
            return function in _GROWING or (formula is not None and _has_exponential(formula))
        case "add" | "multiply" | "power" | "sum" | "transpose":
            return any(reaches_exponential(argument, known) for argument in arguments)
        case "matmul":
            others = [argument for argument in arguments if argument.operation != "ones"]
            return len(others) == 1 and reaches_exponential(others[0], known)
    return False


def is_bounded(exponent: Expression) -> bool:
    """Whether an exponent is a number, or u less the largest u, or −c |u|, or −c u².

    >>> from workbench.calculus.algebra import negate
    >>> from workbench.calculus.expressions import Kind, symbol
    >>> x = symbol("x", Kind.INPUT)
    >>> is_bounded(negate(ABS(x))), is_bounded(x)
    (True, False)
    """
    if exponent.number is not None:
        return True
    if any(node.operation == "column_max" for node in walk(exponent)):
        return True
    coefficient, rest = split_coefficient(exponent)
    if rest.operation == "power" and isinstance(rest.data, Fraction):
        return coefficient < 0 and rest.data > 0 and rest.data % 2 == 0
    return coefficient < 0 and rest.operation == "apply" and rest.data == ABS


@cache
def _has_exponential(formula: Expression) -> bool:
    return any(node.operation == "apply" and node.data in _GROWING for node in walk(formula))


def _is_shifted_sum(node: Expression) -> bool:
    """Whether a node is a sum of e^(u − max u), which is at least 1."""
    *repeats, last = node.arguments or (node,)
    return (
        node.operation in ("sum", "matmul")
        and all(factor.operation == "ones" for factor in repeats)
        and last.operation == "apply"
        and last.data == EXP
        and is_bounded(last.arguments[0])
    )


def _has_floor(node: Expression) -> bool:
    """Whether a value stays above a positive number, however large it grows."""
    if _is_shifted_sum(node) or node.number is not None:
        return True
    match node.operation:
        case "apply":
            return node.data == COSH
        case "add":
            return is_positive(node) and any(_has_floor(term) for term in node.arguments)
        case "multiply" | "power":
            return all(_has_floor(argument) for argument in node.arguments)
        case "matmul":
            return all(_has_floor(a) or a.operation == "ones" for a in node.arguments)
        case "ones":
            return True
    return False
