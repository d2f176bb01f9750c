"""The derivative of a function, worked out from its formula the way a person does.

σ′ is found to be σ(1 − σ): differentiate by the rule table, divide the numerator by the
denominator ("split the fraction"), recognise σ in what is left, take out the common factor. Nothing
is looked up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache

from workbench.calculus.algebra import (
    add,
    divide,
    multiply,
    power,
    split_coefficient,
    split_power,
    subtract,
    where,
)
from workbench.calculus.expressions import (
    Expression,
    Kind,
    make,
    number,
    symbol,
    transform,
    walk,
)
from workbench.calculus.functions import (
    EXP,
    VARIABLE,
    Function,
)
from workbench.calculus.pullbacks import RULES, gradients
from workbench.calculus.rewriting import depends_on, rebuild, substitute
from workbench.calculus.simplify import common_factors, expand, merge_branches, weight
from workbench.errors import InputError

OUTPUT = symbol("a", Kind.VARIABLE)
"""Stands for the function's own value in a derivative written in terms of the output."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One line of working: the expression reached, by which rule, and why.

    Without words of its own, a stage is explained by what its rules say.
    """

    expression: Expression
    rule: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Slope:
    """The derivative of an elementwise function.

    Attributes
    ----------
    stages : the working in `VARIABLE`, first line to last; all are equal.
    form : the derivative in `VARIABLE` and `OUTPUT`, what is computed.
    """

    stages: tuple[Stage, ...]
    form: Expression


@cache
def slope(function: Function) -> Slope:
    """Work out f′ of an elementwise function, with every line of working.

    Raises
    ------
    InputError
        If the function is not elementwise.

    >>> from workbench.calculus.functions import EXP
    >>> slope(Function("grow", formula=EXP(VARIABLE))).form is OUTPUT
    True
    """
    formula = function.formula
    if formula is None or function.columnwise:
        raise InputError(f"{function.name} has no elementwise formula to differentiate")
    stages = [
        Stage(derivative(formula), "definition", f"differentiate the formula of {function.name}")
    ]
    stages.append(_outermost(formula))
    plain = differentiate(formula)
    stages.append(Stage(plain, "differentiate", "apply the rules to what is left and simplify"))
    decaying = expand(_decaying(plain))
    if weight(decaying) < weight(plain):
        plain = decaying
        stages.append(Stage(plain, "divide through", "divide above and below by the exponential"))
    form = plain
    found = _branches(formula) or _recognised(formula) or _through_denominator(formula)
    if found is not None:
        working, form = found
        stages.extend(working)
    shown = substitute(form, {OUTPUT: function(VARIABLE)})
    stages.append(Stage(shown, "recognise", f"what is left is {function.name} itself"))
    stages.append(Stage(common_factors(shown), "factor", "take out the common factor"))
    return Slope(tuple(distinct(stages)), common_factors(form))


def derivative(expression: Expression) -> Expression:
    """d/dz of an expression in `VARIABLE`, before it is worked out."""
    return make("derivative", (expression,), None, expression.shape)


@cache
def differentiate(formula: Expression) -> Expression:
    """The derivative of an elementwise formula by the rule table, with branches gathered."""
    (raw,) = gradients(formula, [VARIABLE], number(1))
    return merge_branches(expand_primes(raw))


@cache
def nth_derivative(formula: Expression, order: int) -> Expression:
    """An elementwise formula differentiated some times over."""
    for _ in range(order):
        formula = differentiate(formula)
    return formula


def expand_primes(expression: Expression) -> Expression:
    """Replace every σ′(u) by what σ′ was worked out to be, in terms of u and σ(u).

    A plugin's hand-written slope is what its program runs, so that σ′ stays an atom.
    """

    def rule(node: Expression, arguments: tuple[Expression, ...]) -> Expression:
        function = node.data
        if isinstance(function, Function) and _may_be_expanded(function):
            value = make("apply", arguments, base(function), node.shape)
            return at(slope(base(function)).form, arguments[0], value)
        return node if arguments == node.arguments else rebuild(node, arguments)

    return transform(expression, rule)


def _may_be_expanded(function: Function) -> bool:
    """Whether this is a derivative to put in; one with a hand-written slope stays an atom."""
    if function.order != 1 or function.formula is None:
        return False
    return function.implementation is None or function.implementation.slope is None


def base(function: Function) -> Function:
    """The function of which this is a derivative."""
    return replace(function, order=0)


def at(form: Expression, argument: Expression, value: Expression) -> Expression:
    """A derivative's form at an argument, given the function's value there."""
    return substitute(form, {VARIABLE: argument, OUTPUT: value})


def distinct(stages: Sequence[Stage]) -> list[Stage]:
    """The stages without those that repeat the one before."""
    kept: list[Stage] = []
    for stage in stages:
        if not kept or stage.expression is not kept[-1].expression:
            kept.append(stage)
    return kept


def _outermost(formula: Expression) -> Stage:
    """The chain rule applied once: the outermost rule, times the derivatives of its arguments."""
    rule = RULES.get(formula.operation)
    if rule is None or not formula.arguments:
        return Stage(differentiate(formula), "differentiate", "the derivative of the variable is 1")
    parts = []
    for index, argument in enumerate(formula.arguments):
        if depends_on(argument, VARIABLE):
            outer = rule.pullback(formula, index, number(1))
            inner = number(1) if argument is VARIABLE else derivative(argument)
            parts.append(multiply(outer, inner))
    return Stage(merge_branches(add(*parts)), rule.name)


Found = tuple[list[Stage], Expression]


def _branches(formula: Expression) -> Found | None:
    """A formula in branches is recognised branch by branch."""
    if formula.operation != "where":
        return None
    condition, *branches = formula.arguments
    forms = []
    for branch in branches:
        found = _recognised(branch) or _through_denominator(branch)
        forms.append(found[1] if found else differentiate(branch))
    return [], where(condition, forms[0], forms[1])


def _recognised(formula: Expression) -> Found | None:
    """The formula (or the exponential in it) occurs in its own derivative: tanh, eᶻ − 1, √·."""
    plain = differentiate(formula)
    if formula is VARIABLE:
        return None
    replaced = substitute(plain, {formula: OUTPUT})
    exponent = formula.data
    if isinstance(exponent, Fraction) and exponent.denominator % 2 == 0:
        replaced = _with_root(plain, formula.arguments[0], exponent)
    solved = _solve_exponential(formula, OUTPUT)
    if solved is not None:
        replaced = _with_exponential(plain, *solved)
    return ([], replaced) if not depends_on(replaced, VARIABLE) else None


def _with_root(expression: Expression, base: Expression, exponent: Fraction) -> Expression:
    """With a = baseᵏ and k half a whole number, so that base ≥ 0, every power baseʲ as a^(j/k)."""

    def rule(node: Expression, arguments: tuple[Expression, ...]) -> Expression:
        if node.operation == "power" and node.arguments[0] is base:
            assert isinstance(node.data, Fraction)
            return power(OUTPUT, node.data / exponent)
        return node if arguments == node.arguments else rebuild(node, arguments)

    return transform(expression, rule)


def _through_denominator(formula: Expression) -> Found | None:
    """Split the fraction: write the numerator in terms of the denominator, then recognise.

    With D the denominator and e its only exponential, e = (D − c₀)/c₁ turns formula and derivative
    into sums of powers of D; where the formula is α + β/D with numbers α, β, 1/D follows from it.
    """
    normal = expand(_decaying(formula))
    denominators = {
        node.arguments[0]
        for node in walk(normal)
        if node.operation == "power" and node.arguments[0].operation == "add" and _negative(node)
    }
    if len(denominators) != 1:
        return None
    (denominator,) = denominators
    short = symbol("D", Kind.VARIABLE)
    solved = _solve_exponential(denominator, short)
    if solved is None:
        return None
    split = expand(
        _with_exponential(substitute(differentiate(normal), {denominator: short}), *solved)
    )
    itself = expand(_with_exponential(substitute(normal, {denominator: short}), *solved))
    slope_in_inverse = _affine_in_inverse(itself, short)
    shown = Stage(
        substitute(split, {short: denominator}),
        "split the fraction",
        "write the numerator in terms of the denominator",
    )
    if slope_in_inverse is None or depends_on(split, VARIABLE):
        return None
    alpha, beta = slope_in_inverse
    inverse = divide(subtract(OUTPUT, alpha), beta)
    form = expand(substitute(split, {short: power(inverse, -1)}))
    return [shown], form


def _negative(node: Expression) -> bool:
    return isinstance(node.data, Fraction) and node.data < 0


def _affine_in_inverse(
    expression: Expression, short: Expression
) -> tuple[Expression, Expression] | None:
    """α and β with expression = α + β/D, both numbers, else None."""
    alpha, beta = Fraction(0), Fraction(0)
    for term in expression.arguments if expression.operation == "add" else (expression,):
        coefficient, rest = split_coefficient(term)
        if rest.number == 1:
            alpha = coefficient
        elif rest is power(short, -1):
            beta = coefficient
        else:
            return None
    return (number(alpha), number(beta)) if beta else None


def _solve_exponential(
    expression: Expression, value: Expression
) -> tuple[Expression, Expression] | None:
    """From `c₀ + c₁ eᵘ = value`, the exponential eᵘ and (value − c₀)/c₁; else None."""
    constant, found = Fraction(0), None
    for term in expression.arguments if expression.operation == "add" else (expression,):
        coefficient, rest = split_coefficient(term)
        if rest.number == 1:
            constant = coefficient
        elif rest.operation == "apply" and rest.data == EXP and found is None:
            found = (coefficient, rest)
        else:
            return None
    if found is None:
        return None
    coefficient, exponential = found
    solved = multiply(number(1 / coefficient), subtract(value, number(constant)))
    return exponential, solved


def _with_exponential(
    expression: Expression, exponential: Expression, solved: Expression
) -> Expression:
    """Replace an exponential and its powers, e^(ku) by solvedᵏ."""
    base_, rate = split_power(exponential)

    def rule(node: Expression, arguments: tuple[Expression, ...]) -> Expression:
        if node.operation == "apply" and node.data == EXP:
            other, exponent = split_power(node)
            if other is base_ and (exponent / rate).denominator == 1:
                return power(solved, exponent / rate)
        return node if arguments == node.arguments else rebuild(node, arguments)

    return transform(expression, rule)


def _decaying(formula: Expression) -> Expression:
    """Write denominators with decaying exponentials: `eᶻ/(1 + eᶻ)` as `1/(1 + e⁻ᶻ)`."""

    def rule(node: Expression, arguments: tuple[Expression, ...]) -> Expression:
        node = node if arguments == node.arguments else rebuild(node, arguments)
        if node.operation != "power" or not _negative(node):
            return node
        rates = [
            split_power(part)
            for term in node.arguments[0].arguments
            for part in (term.arguments if term.operation == "multiply" else (term,))
            if part.operation == "apply" and part.data == EXP
        ]
        growing = [pair for pair in rates if pair[1] > 0]
        if node.arguments[0].operation != "add" or not growing:
            return node
        exponential = power(*max(growing, key=lambda pair: pair[1]))
        reduced = expand(multiply(node.arguments[0], power(exponential, -1)))
        assert isinstance(node.data, Fraction)
        return multiply(power(exponential, node.data), power(reduced, node.data))

    return transform(formula, rule)
