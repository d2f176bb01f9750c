"""Rewriting that is not always wanted: multiplying out, taking out common factors, cancelling.

The laws that always hold are in `workbench.calculus.algebra`; these are the moves a person chooses.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from math import prod

from workbench.calculus.algebra import (
    add,
    multiply,
    power,
    split_coefficient,
    split_power,
    split_scalars,
    spread,
    subtract,
    where,
)
from workbench.calculus.dimensions import ONE, Shape
from workbench.calculus.expressions import Bindings, Expression, number, ones, transform, walk
from workbench.calculus.matrices import devec, matmul, total, transpose
from workbench.calculus.rewriting import rebuild, substitute

ELEMENTWISE = frozenset(
    ("add", "multiply", "power", "apply", "where", "maximum", "minimum", "greater", "greater_equal")
)
"""Operations whose entries depend only on the same entries of their arguments.

A function that couples a column is applied by the same operation; it is expanded before branches
are gathered.
"""

MOST_TERMS = 200
"""Products that would multiply out to more terms than this are left as they are."""


def expand(expression: Expression) -> Expression:
    """Multiply out sums under products and small powers, everywhere, and collect.

    >>> from workbench.calculus.functions import VARIABLE as z
    >>> one = number(1)
    >>> expand(multiply(z, add(one, z))) is add(z, power(z, 2))
    True
    """

    def rule(node: Expression, arguments: tuple[Expression, ...]) -> Expression:
        node = node if arguments == node.arguments else rebuild(node, arguments)
        if node.operation == "power" and _is_small_power_of_sum(node):
            node = _distribute([node.arguments[0]] * int(_exponent(node)), node)
        elif node.operation == "multiply":
            node = _distribute(_factors(node), node)
        return node

    return transform(expression, rule)


def _exponent(node: Expression) -> Fraction:
    assert isinstance(node.data, Fraction)
    return node.data


def _is_small_power_of_sum(node: Expression) -> bool:
    exponent = _exponent(node)
    return (
        node.arguments[0].operation == "add"
        and exponent.denominator == 1
        and 2 <= exponent.numerator <= 6
    )


def _factors(node: Expression) -> list[Expression]:
    """The factors of a product, small powers of sums written out."""
    factors: list[Expression] = []
    for factor in node.arguments:
        if factor.operation == "power" and _is_small_power_of_sum(factor):
            factors.extend([factor.arguments[0]] * int(_exponent(factor)))
        else:
            factors.append(factor)
    return factors


def _distribute(factors: list[Expression], node: Expression) -> Expression:
    """Multiply out, sums with fractions first so that a factor can meet its own reciprocal."""
    fractions = [factor for factor in factors if factor.operation == "add" and _divides(factor)]
    if fractions and len(fractions) < sum(factor.operation == "add" for factor in factors):
        if prod(len(factor.arguments) for factor in fractions) > MOST_TERMS:
            return node
        rest = [factor for factor in factors if factor not in fractions]
        terms = [multiply(*rest, *chosen) for chosen in product(*(f.arguments for f in fractions))]
        return spread(add(*(expand(term) for term in terms)), node.shape)
    choices = [f.arguments if f.operation == "add" else (f,) for f in factors]
    count = prod(len(choice) for choice in choices)
    if count == 1 or count > MOST_TERMS:
        return node
    return spread(add(*(multiply(*chosen) for chosen in product(*choices))), node.shape)


def _divides(factor: Expression) -> bool:
    return any(
        part.operation == "power" and _exponent(part) < 0
        for term in factor.arguments
        for part in (term.arguments if term.operation == "multiply" else (term,))
    )


def common_factors(expression: Expression) -> Expression:
    """Take out what every term of a sum shares: `a − a²` becomes `a (1 − a)`."""
    if expression.operation != "add":
        return expression
    coefficients, terms = zip(*map(split_coefficient, expression.arguments), strict=True)
    powers = [
        {base.form: (base, exponent) for base, exponent in map(split_power, _parts(term))}
        for term in terms
    ]
    factors = []
    for form, (base, _) in powers[0].items():
        exponents = [known[form][1] for known in powers if form in known]
        if len(exponents) == len(powers) and base.number is None and base.operation != "ones":
            if min(exponents) > 0:
                factors.append(power(base, min(exponents)))
            elif max(exponents) < 0:
                factors.append(power(base, max(exponents)))
    sizes = {abs(coefficient) for coefficient in coefficients}
    if len(sizes) == 1 and sizes != {Fraction(1)}:
        factors.append(number(sizes.pop()))
    if not factors:
        return expression
    inverse = [power(factor, -1) for factor in factors]
    inner = add(*(multiply(term, *inverse) for term in expression.arguments))
    return spread(multiply(*factors, inner), expression.shape)


def _parts(term: Expression) -> tuple[Expression, ...]:
    return term.arguments if term.operation == "multiply" else (term,)


def merge_branches(expression: Expression) -> Expression:
    """Gather `[c] u + (1 − [c]) v` into `u where c, else v`, where c decides entry by entry."""
    present = list(walk(expression))
    mixed = _mixed(present)
    conditions = [
        node
        for node in present
        if node.operation in ("greater", "greater_equal") and (node.is_scalar or node not in mixed)
    ]
    for condition in conditions:
        if subtract(number(1), condition) not in present and not _may_be_infinite(expression):
            continue
        yes = _settle(expression, condition, 1)
        no = _settle(expression, condition, 0)
        if condition.shape == (ONE, expression.shape[1]) and not condition.is_scalar:
            condition = matmul(ones((expression.shape[0], ONE)), condition)
        expression = where(condition, yes, no)
    return expression


def _mixed(nodes: Sequence[Expression]) -> set[Expression]:
    """The nodes below an operation that mixes entries: sums, matrix products and the like."""
    mixed: set[Expression] = set()
    for node in reversed(nodes):
        if node in mixed or node.operation not in ELEMENTWISE:
            mixed.update(node.arguments)
    return mixed


def _may_be_infinite(expression: Expression) -> bool:
    """Whether a factor may be infinite, so that zero times it is no number."""
    return any(
        node.operation == "power" and _exponent(node) < 1 and node.arguments[0].operation != "size"
        for node in walk(expression)
    )


def _settle(expression: Expression, condition: Expression, value: int) -> Expression:
    decided = ones(condition.shape) if value else multiply(number(0), condition)
    return substitute(expression, {condition: decided})


def cancel(expression: Expression) -> Expression:
    """Multiply out where that removes divisions, else leave the expression as it is.

    >>> from workbench.calculus.functions import VARIABLE as z
    >>> inverse = power(z, -1)
    >>> cancel(multiply(z, add(z, inverse))) is add(power(z, 2), number(1))
    True
    """
    expanded = common_factors(expand(_without_diagonals(expression)))
    return expanded if divisions(expanded) < divisions(expression) else expression


def _without_diagonals(expression: Expression) -> Expression:
    """Write diagonal matrices as elementwise products, `diag(u) v` as `u ⊙ v`."""

    def rule(node: Expression, arguments: tuple[Expression, ...]) -> Expression:
        node = node if arguments == node.arguments else rebuild(node, arguments)
        if node.operation == "devec" and node.arguments[0].operation != "vec":
            return _devectorised(node)
        if node.operation != "matmul" or not node.is_column:
            return node
        *matrices, column = node.arguments
        for matrix in reversed(matrices):
            column = _applied(matrix, column)
        return column

    return transform(expression, rule)


def _applied(matrix: Expression, column: Expression) -> Expression:
    if matrix.operation == "diag":
        return multiply(matrix.arguments[0], column)
    if matrix.operation == "add":
        return add(*(_applied(term, column) for term in matrix.arguments))
    if matrix.operation == "multiply":
        scalars, rest = split_scalars(matrix)
        if scalars and rest is not None:
            return multiply(*scalars, _applied(rest, column))
    if matrix.operation == "matmul":
        for factor in reversed(matrix.arguments):
            column = _applied(factor, column)
        return column
    if matrix.shape[0] == ONE:
        return total(multiply(transpose(matrix), column))
    return matmul(matrix, column)


def _devectorised(node: Expression) -> Expression:
    """devec of sums, products and (B ⊗ A) vec(X), taken inside."""
    inner, shape = node.arguments[0], node.shape
    match inner.operation:
        case "add":
            return add(*(_devectorised_or(term, shape) for term in inner.arguments))
        case "multiply":
            return multiply(
                *(p if p.is_scalar else _devectorised_or(p, shape) for p in inner.arguments)
            )
        case "power":
            return power(_devectorised_or(inner.arguments[0], shape), _exponent(inner))
        case "matmul" if _is_kron_of_two(inner, shape):
            right, left = inner.arguments[0].arguments
            middle = _devectorised_or(inner.arguments[1], (left.shape[1], right.shape[1]))
            return matmul(left, middle, transpose(right))
    return node


def _is_kron_of_two(product: Expression, shape: Shape) -> bool:
    """Whether a product is (B ⊗ A) times one column, and the shape that of A X Bᵀ."""
    first = product.arguments[0]
    if len(product.arguments) != 2 or first.operation != "kron" or len(first.arguments) != 2:
        return False
    right, left = first.arguments
    return shape == (left.shape[0], right.shape[0])


def _devectorised_or(column: Expression, shape: Shape) -> Expression:
    node = devec(spread(column, (shape[0] * shape[1], ONE)), shape)
    return _devectorised(node) if node.operation == "devec" else node


def divisions(expression: Expression) -> int:
    """How many divisions by something other than a size an expression holds."""
    return sum(
        node.operation == "power" and _exponent(node) < 0 and node.arguments[0].operation != "size"
        for node in walk(expression)
    )


def weight(expression: Expression) -> int:
    """The number of nodes of an expression written out as a tree, divisions counted double."""
    weights: dict[Expression, int] = {}
    for node in walk(expression):
        own = 3 if node.operation == "power" and _exponent(node) < 0 else 1
        weights[node] = own + sum(weights[argument] for argument in node.arguments)
    return weights[expression]


def inner_products(expression: Expression) -> Expression:
    """Write sums of products of columns as inner products, `sum(u ⊙ v)` as `uᵀ v`."""

    def rule(node: Expression, arguments: tuple[Expression, ...]) -> Expression:
        node = node if arguments == node.arguments else rebuild(node, arguments)
        if node.operation != "sum" or not node.arguments[0].is_column:
            return node
        inner = node.arguments[0]
        if inner.operation == "power" and _exponent(inner) == 2:
            return _inner(inner.arguments[0], inner.arguments[0])
        if inner.operation == "multiply" and len(inner.arguments) == 2:
            return _inner(*inner.arguments)
        return node

    return transform(expression, rule)


def _inner(left: Expression, right: Expression) -> Expression:

    return matmul(transpose(left), right)


def assume(expression: Expression, bindings: Bindings) -> Expression:
    """Use assumptions such as 𝟏ᵀY = 𝟏ᵀ, given as replacements, inside longer products too.

    Where it helps, P ((𝟏 sᵀ) ⊙ Y) is taken as (𝟏 sᵀ) ⊙ (P Y).
    """

    def rule(node: Expression, arguments: tuple[Expression, ...]) -> Expression:
        node = node if arguments == node.arguments else rebuild(node, arguments)
        if (found := _assumed(node, bindings)) is not node or node.operation != "matmul":
            return found
        factors = node.arguments[-1].arguments if node.arguments[-1].operation == "multiply" else ()
        rows = [factor.arguments[1:] for factor in factors if _is_repeated_row(factor)]
        rest = multiply(*(factor for factor in factors if not _is_repeated_row(factor)))
        if not rows or rest.shape != node.arguments[-1].shape:
            return node
        product = matmul(*node.arguments[:-1], rest)
        if (found := _assumed(product, bindings)) is product:
            return node
        column = ones((node.shape[0], ONE))
        return multiply(*(matmul(column, *row) for row in rows), found)

    return transform(expression, rule)


def _is_repeated_row(factor: Expression) -> bool:
    first = factor.arguments[0] if factor.operation == "matmul" else factor
    return first is not factor and first.operation == "ones" and first.is_column


def _assumed(node: Expression, bindings: Bindings) -> Expression:
    """A node of which assumptions are used, but not those of its arguments."""
    for left, right in bindings.items():
        if node is left:
            return right
        if node.operation == "matmul" and left.operation == "matmul":
            node = _replaced_within(node, left.arguments, right)
    return node


def _replaced_within(
    node: Expression, pattern: tuple[Expression, ...], replacement: Expression
) -> Expression:
    factors, width = node.arguments, len(pattern)
    first, wanted = factors[0], pattern[0]
    summed = first.operation == wanted.operation == "ones" and first.shape[1] == wanted.shape[1]
    if summed and factors[1:width] == pattern[1:]:
        return matmul(ones((first.shape[0], ONE)), replacement, *factors[width:])
    for start in range(len(factors) - width + 1):
        if factors[start : start + width] == pattern:
            return matmul(*factors[:start], replacement, *factors[start + width :])
    return node
