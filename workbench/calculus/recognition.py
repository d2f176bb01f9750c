"""Known functions recognised by their formulas: eᶻ ⊘ (1 + eᶻ) is σ(z), eᶻ/sum(eᶻ) is softmax(z)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache

from workbench.calculus.algebra import (
    add,
    is_exponential,
    multiply,
    negate,
    power,
    split_scalars,
)
from workbench.calculus.expressions import Expression, transform, walk
from workbench.calculus.functions import Function
from workbench.calculus.matrices import matmul
from workbench.calculus.rewriting import rebuild
from workbench.calculus.simplify import weight


def recognise(expression: Expression, functions: Sequence[Function]) -> Expression:
    """Write f(u) for the formula of f wherever that is shorter; only exponentials are looked at.

    >>> from workbench.calculus.expressions import number
    >>> from workbench.calculus.functions import EXP, VARIABLE
    >>> logistic = Function("logistic", formula=power(add(number(1), EXP(negate(VARIABLE))), -1))
    >>> grown = multiply(EXP(VARIABLE), power(add(number(1), EXP(VARIABLE)), -1))
    >>> recognise(grown, [logistic]) is logistic(VARIABLE)
    True
    """
    exponents = [node.arguments[0] for node in walk(expression) if is_exponential(node)]
    if not exponents:
        return expression
    arguments = dict.fromkeys(u for v in exponents for u in (v, negate(v)))
    patterns = [
        (pattern, function(argument))
        for function in functions
        if _is_exponential_quotient(function)
        for argument in arguments
        if not (function.columnwise and argument.is_scalar)
        for pattern in _patterns(function, argument)
    ]

    for operation in ("multiply", "power"):
        expression = _folded(expression, operation, patterns)
    return expression


def _folded(
    expression: Expression, operation: str, patterns: Sequence[tuple[Expression, Expression]]
) -> Expression:
    def rule(node: Expression, arguments: tuple[Expression, ...]) -> Expression:
        node = node if arguments == node.arguments else rebuild(node, arguments)
        if node.operation == operation:
            written = [_shortened(node, pattern, known) for pattern, known in patterns]
            node = min([node, *written], key=weight)
        return node

    return transform(expression, rule)


@cache
def _is_exponential_quotient(function: Function) -> bool:
    formula = function.formula
    if formula is None or function.order:
        return False
    nodes = list(walk(formula))
    divides = any(node.operation == "power" and _is_negative(node) for node in nodes)
    return (
        divides and any(map(is_exponential, nodes)) and formula.operation in ("multiply", "power")
    )


def _patterns(function: Function, argument: Expression) -> Iterator[Expression]:
    """The formula, and the formula above and below multiplied by its exponential."""
    written = function.at(argument)
    yield written
    for node in walk(written):
        if node.operation != "power" or not _is_negative(node):
            continue
        below = node.arguments[0]
        exponential = next((t for t in below.arguments if is_exponential(t)), None)
        if below.operation == "add" and exponential is not None:
            grown = add(*(multiply(term, power(exponential, -1)) for term in below.arguments))
            whole = multiply(written, power(node, -1), power(exponential, -1), power(grown, -1))
            yield whole


def _is_negative(node: Expression) -> bool:
    return isinstance(node.data, Fraction) and node.data < 0


def _shortened(node: Expression, pattern: Expression, known: Expression) -> Expression:
    """A product that holds the pattern, with the known function in its place."""
    if pattern.shape == node.shape or pattern.is_scalar:
        return multiply(node, power(pattern, -1), known)
    scalars, column = split_scalars(pattern)
    for factor in node.arguments:
        if scalars and factor.operation == "matmul" and column in factor.arguments:
            chain = [known if part is column else part for part in factor.arguments]
            others = [other for other in node.arguments if other is not factor]
            return multiply(*others, power(multiply(*scalars), -1), matmul(*chain))
    return node
