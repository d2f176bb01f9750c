"""Moves on products: numbers and inner products in front, ⊗ merged, divisions cancelled.

Each move takes a node whose arguments are tidy and gives an equal one, or the node itself.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from workbench.calculus.algebra import (
    add,
    multiply,
    power,
    split_coefficient,
    split_scalars,
    spread,
)
from workbench.calculus.dimensions import ONE, Dimension
from workbench.calculus.expressions import Expression, number
from workbench.calculus.matrices import (
    commutation,
    devec,
    kron,
    matmul,
    total,
    transpose,
    vec,
)
from workbench.calculus.rewriting import rebuild
from workbench.calculus.simplify import cancel, divisions, expand
from workbench.calculus.square import trace


def numbers_in_front(node: Expression) -> Expression:
    """(2 a − 2 b) c as 2 (a − b) c, and (−a − b) c as −(a + b) c."""
    scale, factors = Fraction(1), []
    for factor in node.arguments:
        taken, rest = split_number(factor)
        scale *= taken
        factors.append(rest)
    if len(node.arguments) == 1 or factors == list(node.arguments):
        return node
    product = matmul(*factors) if node.operation == "matmul" else multiply(*factors)
    return spread(multiply(number(scale), product), node.shape)


def split_number(expression: Expression) -> tuple[Fraction, Expression]:
    """The number that all terms of a sum share, negative if all are, and what remains."""
    if expression.operation != "add":
        return Fraction(1), expression
    found = [split_coefficient(term)[0] for term in expression.arguments]
    sizes = {abs(value) for value in found}
    common = sizes.pop() if len(sizes) == 1 else Fraction(1)
    if all(value < 0 for value in found):
        common = -common
    if common == 1:
        return common, expression
    inner = add(*(multiply(number(1 / common), term) for term in expression.arguments))
    return common, spread(inner, expression.shape)


def merged(node: Expression) -> Expression:
    """(A ⊗ B)(C ⊗ D) = AC ⊗ BD, also where one is 1 ⊗ D; (A ⊗ B) vec X = vec(B X Aᵀ)."""
    chain = list(node.arguments)
    for place, (left, right) in enumerate(pairwise(chain)):
        together = _together(left, right)
        if together is not None:
            return matmul(*chain[:place], *together, *chain[place + 2 :])
    return node


def _together(left: Expression, right: Expression) -> tuple[Expression, ...] | None:
    if "kron" in (left.operation, right.operation):
        if right.operation == "commutation" and len(left.arguments) == 2:
            first, second = left.arguments
            if right.data == (first.shape[1], second.shape[1]):
                return commutation(first.shape[0], second.shape[0]), kron(second, first)
        product = _mixed_product(left, right)
        return None if product is None else (product,)
    if "diag" in (left.operation, right.operation):
        for one, other in ((left, right), (right, left)):
            if one.operation == "add" and other.operation == "diag" and _meets_diagonal(one):
                terms = (spread(term, one.shape) for term in one.arguments)
                pairs = ((t, right) if one is left else (left, t) for t in terms)
                return (add(*(matmul(*pair) for pair in pairs)),)
    return None


def _meets_diagonal(factor: Expression) -> bool:
    """Whether a term of a sum is shorter once a diagonal matrix is beside it: I, 𝟏 vᵀ, v 𝟏ᵀ."""
    for term in factor.arguments:
        rest = split_scalars(term)[1] or term
        ends = rest.arguments if rest.operation == "matmul" else (rest,)
        if rest.operation == "identity" or "ones" in (ends[0].operation, ends[-1].operation):
            return True
    return False


def _mixed_product(left: Expression, right: Expression) -> Expression | None:
    if right.operation == "vec" and len(left.arguments) == 2:
        inner, (outer, first) = right.arguments[0], left.arguments
        if inner.shape == (first.shape[1], outer.shape[1]):
            return vec(matmul(first, inner, transpose(outer)))
    lefts, rights = _kron_factors(left), _kron_factors(right)
    if len(lefts) < len(rights):
        lefts = _padded(lefts, [factor.shape[0] for factor in rights], 1)
    elif len(rights) < len(lefts):
        rights = _padded(rights, [factor.shape[1] for factor in lefts], 0)
    if len(lefts) != len(rights):
        return None
    if any(a.shape[1] is not b.shape[0] for a, b in zip(lefts, rights, strict=True)):
        return None
    return kron(*(matmul(a, b) for a, b in zip(lefts, rights, strict=True)))


def _kron_factors(matrix: Expression) -> list[Expression]:
    return list(matrix.arguments) if matrix.operation == "kron" else [matrix]


def _padded(factors: list[Expression], sizes: list[Dimension], axis: int) -> list[Expression]:
    """1 ⊗ D or D ⊗ 1 in place of D, whichever meets the sizes; unchanged if neither does."""
    for place, wanted in enumerate(sizes):
        others = sizes[:place] + sizes[place + 1 :]
        if factors[0].shape[axis] is wanted and all(other is ONE for other in others):
            return [*[number(1)] * place, factors[0], *[number(1)] * (len(others) - place)]
    return factors


def inner_products_in_front(node: Expression) -> Expression:
    """u vᵀ w as (vᵀ w) u: what is 1×1 within a chain goes in front."""
    parts: list[list[Expression]] = [[]]
    for factor in node.arguments:
        parts[-1].append(factor)
        if factor.is_column:
            parts.append([])
    products = [matmul(*part) for part in parts if part]
    scalars = [product for product in products if product.is_scalar]
    if len(products) < 2 or not scalars:
        return node
    rest = [product for product in products if not product.is_scalar]
    return multiply(*scalars, matmul(*rest)) if rest else multiply(*scalars)


def diagonals_applied(node: Expression) -> Expression:
    """diag(u) v as u ⊙ v, and vᵀ diag(u) as (v ⊙ u)ᵀ."""
    chain = node.arguments
    if node.is_scalar or not any(factor.operation == "diag" for factor in chain):
        return node
    if node.is_column:
        column = chain[-1]
        for factor in reversed(chain[:-1]):
            if factor.operation == "diag":
                column = multiply(factor.arguments[0], column)
            else:
                column = matmul(factor, column)
        return column
    if node.shape[0] is ONE:
        return transpose(diagonals_applied(transpose(node)))
    return node


def divisions_cancelled(node: Expression) -> Expression:
    """p ⊙ (s − y ⊘ p) as s p − y: multiplied out where that removes divisions."""
    sums = [factor for factor in node.arguments if factor.operation == "add"]
    return cancel(node) if any(map(divisions, sums)) else node


def one_denominator(node: Expression) -> Expression:
    """1/((1 + q/c) c) as 1/(c + q)."""
    below = [f for f in node.arguments if f.operation == "power" and f.data == Fraction(-1)]
    for factor in below:
        inner = factor.arguments[0]
        for other in below:
            scale = other.arguments[0]
            if other is factor or inner.operation != "add" or not scale.is_scalar:
                continue
            whole = expand(multiply(scale, inner))
            if divisions(whole) < divisions(inner):
                kept = [f for f in node.arguments if f not in (factor, other)]
                return spread(multiply(*kept, power(whole, -1)), node.shape)
    return node


# sums of entries, traces, vec


def numbers_outside(node: Expression) -> Expression:
    """diag(2 u) as 2 diag(u), vec(2 A) as 2 vec(A)."""
    coefficient, rest = split_coefficient(node.arguments[0])
    if coefficient == 1 or rest.shape != node.arguments[0].shape:
        return node
    return multiply(number(coefficient), rebuild(node, (rest,)))


def trace_of_square(node: Expression) -> Expression:
    """tr(Xᵀ X) is ‖X‖²."""
    factors = node.arguments[0].arguments
    is_square = node.arguments[0].operation == "matmul" and len(factors) == 2
    if is_square and factors[0] is transpose(factors[1]):
        return total(power(factors[1], 2))
    return node


def vec_of_square(node: Expression) -> Expression:
    """vec(X)ᵀ vec(X) is ‖X‖²."""
    last = node.arguments[-1]
    if last.operation == "vec" and node.arguments == (transpose(last), last):
        return total(power(last.arguments[0], 2))
    return node


def inner_product(node: Expression) -> Expression:
    """sum(u ⊙ v) is uᵀ v, sum(Aᵀ ⊙ B) is tr(A B), sum(I ⊙ A) is tr A, ‖A ⊗ B‖² splits."""
    inner = node.arguments[0]
    if inner.operation == "power" and inner.data == Fraction(2):
        base = inner.arguments[0]
        if base.operation == "transpose":
            return total(power(base.arguments[0], 2))
        if inner.is_column:
            return matmul(transpose(base), base)
        if inner.shape[0] is ONE:
            return matmul(base, transpose(base))
        if base.operation == "kron":
            return multiply(*(total(power(factor, 2)) for factor in base.arguments))
    factors = inner.arguments if inner.operation == "multiply" else ()
    if len(factors) != 2:
        return node
    left, right = factors
    if any(f.operation == "power" and f.data == Fraction(-1) for f in factors):
        return node
    if inner.is_column:
        return matmul(transpose(left), right)
    if inner.shape[0] is ONE:
        return matmul(left, transpose(right))
    for one, other in ((left, right), (right, left)):
        if one.operation == "identity":
            return trace(other)
        if one.operation == "transpose" or _has_inner_one(one):
            return trace(matmul(transpose(one), other))
    return node


def _has_inner_one(matrix: Expression) -> bool:
    """Whether a product is that of a column and a row."""
    return matrix.operation == "matmul" and any(f.is_column for f in matrix.arguments[:-1])


def devectorised(node: Expression) -> Expression:
    """devec of sums and of (B ⊗ A) c, taken inside: A devec(c) Bᵀ."""
    inner, (rows, columns) = node.arguments[0], node.shape
    if inner.operation == "add":
        terms = (spread(term, inner.shape) for term in inner.arguments)
        return add(*(devec(term, node.shape) for term in terms))
    scalars, rest = split_scalars(inner)
    if scalars and rest is not None:
        return multiply(*scalars, devec(rest, node.shape))
    if inner.operation not in ("matmul", "kron"):
        return node
    first, last = inner.arguments[0], inner.arguments[-1]
    if inner.operation == "matmul" and first.operation == "kron" and len(first.arguments) == 2:
        outer, left = first.arguments
        if (left.shape[0], outer.shape[0]) == (rows, columns):
            column = matmul(*inner.arguments[1:])
            middle = devec(column, (left.shape[1], outer.shape[1]))
            return matmul(left, middle, transpose(outer))
    if inner.operation == "kron" and (last.shape[0], first.shape[0]) == (rows, columns):
        return matmul(last, transpose(first))
    return node


def outer_product(node: Expression) -> Expression:
    """A column and a row are multiplied with ⊗ as without: u ⊗ vᵀ = u vᵀ."""
    if len(node.arguments) == 2:
        left, right = node.arguments
        if left.is_column and right.shape[0] is ONE:
            return matmul(left, right)
        if right.is_column and left.shape[0] is ONE:
            return matmul(right, left)
    return node


def diagonal_of_product(node: Expression) -> Expression:
    """The diagonal of u vᵀ is u ⊙ v."""
    inner = node.arguments[0]
    if inner.operation == "matmul":
        for place, factor in enumerate(inner.arguments[:-1], start=1):
            if factor.is_column:
                left = matmul(*inner.arguments[:place])
                return multiply(left, transpose(matmul(*inner.arguments[place:])))
    return node
