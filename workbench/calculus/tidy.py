"""The form in which a person writes a result: factored, inner products in front, no detours.

`tidy` chooses between forms that are equal for every value; two results that people would call
the same come out alike. The laws that hold as a node is built are in `algebra` and `matrices`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from workbench.calculus.algebra import (
    add,
    is_zero,
    multiply,
    negate,
    power,
    split_coefficient,
    split_power,
    split_scalars,
    spread,
)
from workbench.calculus.dimensions import ONE, Shape
from workbench.calculus.expressions import Expression, number, transform
from workbench.calculus.matrices import (
    devec,
    diagonal,
    kron,
    matmul,
    trace,
    transpose,
    vec,
)
from workbench.calculus.rewriting import rebuild
from workbench.calculus.simplify import cancel, divisions


def tidy(expression: Expression) -> Expression:
    """An expression as a person would write it.

    >>> from workbench.calculus.dimensions import Dimension
    >>> from workbench.calculus.expressions import Kind, symbol
    >>> n = Dimension.named("n")
    >>> A, x = symbol("A", Kind.INPUT, (n, n)), symbol("x", Kind.INPUT, (n, ONE))
    >>> sum_of_two = add(matmul(A, x), matmul(transpose(A), x))
    >>> tidy(sum_of_two) is matmul(add(A, transpose(A)), x)
    True
    """

    def rule(node: Expression, arguments: tuple[Expression, ...]) -> Expression:
        node = node if arguments == node.arguments else rebuild(node, arguments)
        known = _RULES.get(node.operation)
        return node if known is None else known(node)

    return transform(expression, rule)


# products


def _product(node: Expression) -> Expression:
    """Merge ⊗ with its neighbours, take inner products to the front, write diag(u) v as u ⊙ v."""
    chain = _merged([_numbers_out(factor) for factor in node.arguments])
    if chain != list(node.arguments):
        return _again(matmul(*chain))
    for place, factor in enumerate(chain):
        neighbours = chain[max(place - 1, 0) : place] + chain[place + 1 : place + 2]
        if _holds_identity(factor) and any(other.operation == "diag" for other in neighbours):
            terms = (spread(term, factor.shape) for term in factor.arguments)
            return _again(add(*(matmul(*chain[:place], t, *chain[place + 1 :]) for t in terms)))
    cuts = [place for place, factor in enumerate(chain[:-1], start=1) if factor.is_column]
    if len(cuts) > 1:
        inner = [matmul(*chain[a:b]) for a, b in pairwise(cuts)]
        return _again(multiply(*inner, matmul(*chain[: cuts[0]], *chain[cuts[-1] :])))
    if node.is_column and not node.is_scalar:
        return _applied(chain)
    if node.shape[0] is ONE and not node.is_scalar and chain[-1].operation == "diag":
        return multiply(matmul(*chain[:-1]), transpose(chain[-1].arguments[0]))
    return node


def _holds_identity(factor: Expression) -> bool:
    """Whether a factor is a sum with a multiple of I in it."""
    return factor.operation == "add" and any(
        (split_scalars(term)[1] or term).operation == "identity" for term in factor.arguments
    )


def _again(node: Expression) -> Expression:
    known = _RULES.get(node.operation)
    return node if known is None else known(node)


def _applied(chain: list[Expression]) -> Expression:
    """A product that ends in a column, each diagonal matrix taken as an elementwise product."""
    column = chain[-1]
    for factor in reversed(chain[:-1]):
        if factor.operation == "diag":
            column = multiply(factor.arguments[0], column)
        else:
            column = matmul(factor, column)
    return column


def _merged(chain: list[Expression]) -> list[Expression]:
    """(A ⊗ B)(C ⊗ D) = AC ⊗ BD, also where one side is 1 ⊗ D; (A ⊗ B) vec X = vec(B X Aᵀ)."""
    merged = chain[:1]
    for factor in chain[1:]:
        together = _mixed_product(merged[-1], factor)
        if together is None:
            merged.append(factor)
        else:
            merged[-1] = together
    return merged


def _mixed_product(left: Expression, right: Expression) -> Expression | None:
    if "kron" not in (left.operation, right.operation):
        return None
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


def _padded(factors: list[Expression], sizes: list[object], axis: int) -> list[Expression]:
    """1 ⊗ D or D ⊗ 1 in place of D, whichever meets the sizes; unchanged if neither does."""
    for place, wanted in enumerate(sizes):
        others = sizes[:place] + sizes[place + 1 :]
        if factors[0].shape[axis] is wanted and all(other is ONE for other in others):
            return [*[number(1)] * place, factors[0], *[number(1)] * (len(others) - place)]
    return factors


# sums of entries


def _total(node: Expression) -> Expression:
    """sum(u ⊙ v) is uᵀ v, sum(Aᵀ ⊙ B) is tr(A B), sum(I ⊙ A) is tr A."""
    inner = node.arguments[0]
    factors = inner.arguments if inner.operation == "multiply" else ()
    if inner.operation == "power" and inner.data == Fraction(2) and inner.is_column:
        return matmul(transpose(inner.arguments[0]), inner.arguments[0])
    if len(factors) != 2:
        return node
    left, right = factors
    if inner.is_column:
        return matmul(transpose(left), right)
    if inner.shape[0] is ONE:
        return matmul(left, transpose(right))
    for one, other in ((left, right), (right, left)):
        if one.operation == "identity":
            return trace(other)
        if one.operation == "transpose":
            return _again(trace(matmul(one.arguments[0], other)))
    return node


def _devec(node: Expression) -> Expression:
    """devec of sums and of (B ⊗ A) c, taken inside: A devec(c) Bᵀ."""
    inner, (rows, columns) = node.arguments[0], node.shape
    if inner.operation == "add":
        terms = (spread(term, inner.shape) for term in inner.arguments)
        return _sum_or_term(add(*(_again(devec(term, node.shape)) for term in terms)))
    scalars, rest = split_scalars(inner)
    if scalars and rest is not None:
        return multiply(*scalars, _again(devec(rest, node.shape)))
    if inner.operation not in ("matmul", "kron"):
        return node
    first, last = inner.arguments[0], inner.arguments[-1]
    if inner.operation == "matmul" and first.operation == "kron" and len(first.arguments) == 2:
        outer, left = first.arguments
        if (left.shape[0], outer.shape[0]) == (rows, columns):
            column = matmul(*inner.arguments[1:])
            middle = _again(devec(column, (left.shape[1], outer.shape[1])))
            return _again(matmul(left, middle, transpose(outer)))
    if inner.operation == "kron" and (last.shape[0], first.shape[0]) == (rows, columns):
        return matmul(last, transpose(first))
    return node


def _kron(node: Expression) -> Expression:
    """A column times a row is the same with ⊗ as without: u ⊗ vᵀ = u vᵀ."""
    if len(node.arguments) == 2:
        left, right = node.arguments
        if left.is_column and right.shape[0] is ONE:
            return matmul(left, right)
        if right.is_column and left.shape[0] is ONE:
            return matmul(right, left)
    return node


def _diagonal(node: Expression) -> Expression:
    """The diagonal of u vᵀ is u ⊙ v."""
    inner = node.arguments[0]
    if inner.operation == "matmul":
        for place, factor in enumerate(inner.arguments[:-1], start=1):
            if factor.is_column:
                left = matmul(*inner.arguments[:place])
                return multiply(left, transpose(matmul(*inner.arguments[place:])))
    return diagonal(inner)


# sums

End = tuple[int, Shape]
"""What terms must have in common at one end to share a factor there."""


def _sum(node: Expression) -> Expression:
    """Take out factors that terms share, on the left or on the right; then elementwise ones."""
    terms = list(node.arguments)
    while (shared := _most_shared(terms)) is not None:
        form, side = shared
        inside = [term for term in terms if _end(term, side) == form]
        place = terms.index(inside[0])
        together = _taken_out(inside, side)
        terms = [term for term in terms if term not in inside]
        terms.insert(place, together)
    return _sum_or_term(spread(add(*terms), node.shape))


def _sum_or_term(node: Expression) -> Expression:
    return _elementwise_factors(node) if node.operation == "add" else node


def _chain(term: Expression) -> tuple[Expression, ...]:
    """The factors of a term that is a matrix product or a Kronecker product, without scalars."""
    _, rest = split_scalars(term)
    if rest is None or rest.operation not in ("matmul", "kron"):
        return ()
    return rest.arguments


def _put_together(term: Expression, factors: Sequence[Expression]) -> Expression:
    """Factors combined in the way that those of a term are."""
    _, rest = split_scalars(term)
    is_kron = rest is not None and rest.operation == "kron"
    return kron(*factors) if is_kron else matmul(*factors)


def _end(term: Expression, side: int) -> End | None:
    """The form of the first (side 0) or last (side −1) factor, and the shape of the others."""
    chain = _chain(term)
    if not chain:
        return None
    others = _put_together(term, chain[1:] if side == 0 else chain[:-1])
    return chain[side].form, others.shape


def _most_shared(terms: Sequence[Expression]) -> tuple[End, int] | None:
    """The factor at an end of most terms, at least of two."""
    counts: Counter[tuple[End, int]] = Counter()
    for term in terms:
        for side in (0, -1):
            form = _end(term, side)
            if form is not None:
                counts[form, side] += 1
    best = max(counts.items(), key=lambda item: item[1], default=None)
    return best[0] if best is not None and best[1] > 1 else None


def _taken_out(terms: Sequence[Expression], side: int) -> Expression:
    shared = _chain(terms[0])[side]
    rest = []
    for term in terms:
        scalars, _ = split_scalars(term)
        chain = _chain(term)
        kept = chain[1:] if side == 0 else chain[:-1]
        rest.append(multiply(*scalars, _put_together(term, kept)))
    inner = add(*rest)
    if inner.operation == "add":
        inner = _again(_elementwise_factors(inner, divisors=True))
    product = _put_together(terms[0], [shared, inner] if side == 0 else [inner, shared])
    return _flipped(product) if product.operation == "multiply" else product


def _numbers_out(expression: Expression) -> Expression:
    """2 A + 2 B as 2 (A + B)."""
    if expression.operation != "add":
        return expression
    sizes = {abs(split_coefficient(term)[0]) for term in expression.arguments}
    if len(sizes) != 1 or sizes == {1}:
        return expression
    common = sizes.pop()
    inner = add(*(multiply(number(1 / common), term) for term in expression.arguments))
    return multiply(number(common), spread(inner, expression.shape))


def _elementwise_factors(node: Expression, *, divisors: bool = False) -> Expression:
    """`p ⊙ g − s p` as `p ⊙ (g − s)`: what every term of a sum is multiplied by.

    With `divisors`, also the scalars that every term is divided by; sizes are taken out always.
    """
    powers: list[dict[int, tuple[Expression, Fraction]]] = []
    for term in node.arguments:
        _, rest = split_coefficient(term)
        parts = rest.arguments if rest.operation == "multiply" else (rest,)
        powers.append({base.form: (base, exponent) for base, exponent in map(split_power, parts)})
    factors = []
    for form, (base, _) in powers[0].items():
        exponents = [known[form][1] for known in powers if form in known]
        if len(exponents) < len(powers) or base.number is not None or base.operation == "ones":
            continue
        if min(exponents) > 0:
            factors.append(power(base, min(exponents)))
        elif max(exponents) < 0 and (base.operation == "size" or (divisors and base.is_scalar)):
            factors.append(power(base, max(exponents)))
    if not factors:
        return _numbers_out(node)
    inverse = [power(factor, -1) for factor in factors]
    inner = add(*(multiply(term, *inverse) for term in node.arguments))
    if is_zero(inner):
        return node
    return _again(spread(multiply(*factors, _again(inner)), node.shape))


# signs


def _factors(node: Expression) -> Expression:
    """Let divisions cancel, take numbers out of sums, and give a minus to a difference."""
    sums = [factor for factor in node.arguments if factor.operation == "add"]
    if sums and any(map(divisions, sums)):
        cancelled = cancel(node)
        if cancelled is not node:
            return _again(cancelled)
    factors = [_numbers_out(factor) for factor in node.arguments]
    if factors != list(node.arguments):
        return _again(multiply(*factors))
    return _flipped(node)


def _flipped(node: Expression) -> Expression:
    """−(a − b) c as (b − a) c: a minus goes into the first difference it finds."""
    coefficient, rest = split_coefficient(node)
    if coefficient >= 0 or rest is node:
        return node
    turned = _with_flipped_difference(rest)
    return node if turned is None else spread(multiply(number(-coefficient), turned), node.shape)


def _with_flipped_difference(expression: Expression) -> Expression | None:
    if expression.operation == "add":
        signs = {split_coefficient(term)[0] > 0 for term in expression.arguments}
        return negate(expression) if signs == {True, False} else None
    if expression.operation not in ("multiply", "matmul"):
        return None
    arguments = list(expression.arguments)
    for place, argument in enumerate(arguments):
        turned = _with_flipped_difference(argument)
        if turned is not None:
            arguments[place] = turned
            return rebuild(expression, tuple(arguments))
    return None


_RULES = {
    "matmul": _product,
    "sum": _total,
    "devec": _devec,
    "kron": _kron,
    "diagonal": _diagonal,
    "add": _sum,
    "multiply": _factors,
}
"""What is done to each operation once its arguments are tidy."""
