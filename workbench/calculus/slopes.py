"""The derivative of a function, worked out from its formula the way a person does.

σ′ is found to be σ(1 − σ): differentiate by the rule table, divide the numerator by the
denominator ("split the fraction"), recognise σ in what is left, take out the common factor. Nothing
is looked up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache

from workbench.calculus.algebra import (
    add,
    depends_on,
    diag,
    divide,
    kron,
    matmul,
    multiply,
    power,
    rebuild,
    split_coefficient,
    split_power,
    substitute,
    subtract,
    transpose,
    vec,
    where,
)
from workbench.calculus.dimensions import ONE
from workbench.calculus.expressions import (
    Expression,
    Kind,
    identity,
    jacobian,
    make,
    number,
    ones,
    symbol,
    transform,
    walk,
)
from workbench.calculus.functions import (
    COLUMN_VARIABLE,
    EXP,
    VARIABLE,
    Function,
    by_columns,
    repeated,
)
from workbench.calculus.pullbacks import RULES, gradients
from workbench.calculus.simplify import common_factors, expand, merge_branches, weight
from workbench.errors import InputError

OUTPUT = symbol("a", Kind.VARIABLE)
"""Stands for the function's own value in a derivative written in terms of the output."""

COLUMN_OUTPUT = symbol("a", Kind.VARIABLE, COLUMN_VARIABLE.shape)
COLUMN_GRADIENT = symbol("g", Kind.GRADIENT, COLUMN_VARIABLE.shape)


@dataclass(frozen=True, slots=True)
class Stage:
    """One line of working: the expression reached, by which rule, and why."""

    expression: Expression
    rule: str
    why: str


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
    for found in (_branches(formula), _recognised(formula), _through_denominator(formula)):
        if found is not None:
            extra, form = found
            stages.extend(extra)
            break
    shown = substitute(form, {OUTPUT: function(VARIABLE)})
    factored = common_factors(shown)
    if shown is not stages[-1].expression:
        stages.append(Stage(shown, "recognise", f"what is left is {function.name} itself"))
    if factored is not shown:
        stages.append(Stage(factored, "factor", "take out the common factor"))
    return Slope(tuple(_distinct(stages)), common_factors(form))


def derivative(expression: Expression) -> Expression:
    """d/dz of an expression in `VARIABLE`, before it is worked out."""
    return make("derivative", (expression,), None, expression.shape)


@cache
def differentiate(formula: Expression) -> Expression:
    """The derivative of an elementwise formula by the rule table, with branches gathered."""
    (raw,) = gradients(formula, [VARIABLE], number(1))
    return merge_branches(expand_primes(raw))


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


def _distinct(stages: list[Stage]) -> list[Stage]:
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
    return Stage(merge_branches(add(*parts)), rule.name, rule.statement)


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
    if formula.operation == "power" and isinstance(formula.data, Fraction):
        inner = power(OUTPUT, 1 / formula.data)
        if formula.data.numerator == 1:
            replaced = substitute(plain, {formula.arguments[0]: inner})
    solved = _solve_exponential(formula, OUTPUT)
    if solved is not None:
        replaced = _with_exponential(plain, *solved)
    return ([], replaced) if not depends_on(replaced, VARIABLE) else None


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


@dataclass(frozen=True, slots=True)
class ColumnSlope:
    """The derivative of a columnwise function such as softmax.

    Attributes
    ----------
    stages : the pullback of `COLUMN_GRADIENT` worked out in `COLUMN_VARIABLE`.
    form : the same in terms of `COLUMN_OUTPUT` where the formula is a quotient.
    terms : the pullback as Σ u ⊙ g (v is None) and u (vᵀ g); the Jacobian is Σ diag(u) + u vᵀ.
    """

    stages: tuple[Stage, ...]
    form: Expression
    terms: tuple[tuple[Expression, Expression | None], ...]


@cache
def column_slope(function: Function) -> ColumnSlope:
    """Work out the pullback and the Jacobian of a columnwise function.

    Raises
    ------
    InputError
        If its Jacobian is not a diagonal plus outer products.
    """
    formula = _formula(function)
    (raw,) = gradients(formula, [COLUMN_VARIABLE], COLUMN_GRADIENT)
    plain = merge_branches(expand_primes(raw))
    form = common_factors(expand(_in_column_output(formula, plain)))
    shown = substitute(form, {COLUMN_OUTPUT: function(COLUMN_VARIABLE)})
    stages = [
        Stage(plain, "quotient and chain rule", "pull g back through the formula"),
        Stage(shown, "recognise", f"write it with {function.name} itself"),
    ]
    return ColumnSlope(tuple(_distinct(stages)), form, _linear_terms(function, expand(form)))


def _in_column_output(formula: Expression, plain: Expression) -> Expression:
    """For a = n/s with a scalar s: write n as a s, and let s cancel."""
    if formula.operation != "multiply":
        return plain
    scalars = [factor for factor in formula.arguments if factor.is_scalar]
    columns = [factor for factor in formula.arguments if not factor.is_scalar]
    sums = [factor for factor in scalars if factor.operation == "power"]
    if len(sums) != 1 or len(columns) != 1:
        return plain
    scale = symbol("s", Kind.VARIABLE)
    hidden = substitute(plain, {sums[0].arguments[0]: scale})
    rest = [factor for factor in scalars if factor is not sums[0]]
    assert isinstance(sums[0].data, Fraction)
    numerator = divide(COLUMN_OUTPUT, multiply(*rest, power(scale, sums[0].data)))
    written = expand(substitute(hidden, {columns[0]: numerator}))
    return plain if depends_on(written, scale) else written


def _linear_terms(
    function: Function, expanded: Expression
) -> tuple[tuple[Expression, Expression | None], ...]:
    terms: list[tuple[Expression, Expression | None]] = []
    for term in expanded.arguments if expanded.operation == "add" else (expanded,):
        factors = term.arguments if term.operation == "multiply" else (term,)
        holders = [factor for factor in factors if depends_on(factor, COLUMN_GRADIENT)]
        others = [factor for factor in factors if factor not in holders]
        left = multiply(number(1), *others)
        if holders == [COLUMN_GRADIENT]:
            terms.append((left, None))
        elif len(holders) == 1 and holders[0].operation == "sum":
            inside = substitute(holders[0].arguments[0], {COLUMN_GRADIENT: number(1)})
            terms.append((left, inside))
        else:
            raise InputError(
                f"the Jacobian of {function.name} is not a diagonal plus outer products"
            )
    return tuple(terms)


def column_pullback(
    function: Function, argument: Expression, value: Expression, gradient: Expression
) -> Expression:
    """The gradient of the argument of a columnwise function, column by column."""
    bindings = {COLUMN_VARIABLE: argument, COLUMN_OUTPUT: value, COLUMN_GRADIENT: gradient}
    return by_columns(column_slope(function).form, bindings)


def column_jacobian(function: Function, argument: Expression, value: Expression) -> Expression:
    """∂f/∂z of a columnwise function of a matrix, in denominator layout over vec.

    For one column this is Σ diag(u) + u vᵀ. For several it is block diagonal, which is written
    diag(vec U) (I ⊗ 𝟏𝟏ᵀ) diag(vec V).
    """
    return _jacobian_of_terms(column_slope(function).terms, argument, value)


def _jacobian_of_terms(
    terms: tuple[tuple[Expression, Expression | None], ...],
    argument: Expression,
    value: Expression,
) -> Expression:
    rows, columns = argument.shape
    bindings = {COLUMN_VARIABLE: argument, COLUMN_OUTPUT: value}
    parts = []
    for outer, inner in terms:
        left = repeated(by_columns(outer, bindings), argument.shape)
        if inner is None:
            parts.append(diag(vec(left)))
            continue
        right = repeated(by_columns(inner, bindings), argument.shape)
        if columns == ONE:
            parts.append(matmul(left, transpose(right)))
        else:
            block = kron(identity(columns), ones((rows, rows)))
            parts.append(matmul(diag(vec(left)), block, diag(vec(right))))
    return add(*parts)


def column_jacobian_stages(function: Function) -> tuple[Expression, tuple[Stage, ...]]:
    """The Jacobian ∂p/∂z of p = f(z) as a goal and its lines, first in z and then in p."""
    value = function(COLUMN_VARIABLE)
    (raw,) = gradients(_formula(function), [COLUMN_VARIABLE], COLUMN_GRADIENT)
    plain = _linear_terms(function, expand(merge_branches(expand_primes(raw))))
    stages = [
        Stage(
            _jacobian_of_terms(plain, COLUMN_VARIABLE, value),
            "quotient and chain rule",
            "a diagonal from each entry itself, an outer product from each sum",
        ),
        Stage(
            column_jacobian(function, COLUMN_VARIABLE, value),
            "recognise",
            f"what is left is {function.name} itself",
        ),
    ]
    return jacobian(value, COLUMN_VARIABLE), tuple(_distinct(stages))


def _formula(function: Function) -> Expression:
    assert function.formula is not None
    return function.formula
