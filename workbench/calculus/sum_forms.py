"""Moves on sums: factors that terms share are taken out where what remains is short.

Each move takes a node whose arguments are tidy and gives an equal one, or the node itself.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from fractions import Fraction
from functools import partial

from workbench.calculus.algebra import (
    add,
    is_zero,
    multiply,
    power,
    scaled,
    split_coefficient,
    split_power,
    split_scalars,
    spread,
)
from workbench.calculus.dimensions import Shape
from workbench.calculus.expressions import Expression, number
from workbench.calculus.matrices import kron, matmul
from workbench.calculus.product_forms import split_number

LONGEST_REST = 2
"""How many matrix factors may remain of a term when every term of a sum shares one."""

Chain = tuple[Expression, ...]
End = tuple[int, Shape, bool]
"""What terms must have in common at one end to share a factor there."""


def shared_factors(node: Expression) -> Expression:
    """A x + Aᵀ x as (A + Aᵀ) x.

    A factor that all terms share is taken out if little remains, one that some terms share only if
    single matrices remain of them.
    """
    for side in (-1, 0):
        for inside in _grouped(node.arguments, partial(_end, side=side)):
            chains = [_chain(term) for term in inside]
            left, right = _common_ends(chains)
            rests = [chain[left : len(chain) - right] for chain in chains]
            longest = max(map(len, rests))
            everywhere = len(inside) == len(node.arguments) and longest <= LONGEST_REST
            if everywhere or (longest == 1 and all(_is_single(*rest) for rest in rests)):
                return _replaced(node, inside, _taken_out(inside, rests, left, right))
    return node


def _common_ends(chains: Sequence[Chain]) -> tuple[int, int]:
    """How many factors chains share on the left and on the right, one of each left over."""
    shortest = min(map(len, chains))
    left = right = 0
    while left < shortest - 1 and len({chain[left].form for chain in chains}) == 1:
        left += 1
    while left + right < shortest - 1 and len({chain[-1 - right].form for chain in chains}) == 1:
        right += 1
    return left, right


def _grouped(
    terms: Iterable[Expression], key: Callable[[Expression], Hashable | None]
) -> list[list[Expression]]:
    """Terms of equal key, for keys that two or more have."""
    groups: dict[Hashable, list[Expression]] = {}
    for term in terms:
        found = key(term)
        if found is not None:
            groups.setdefault(found, []).append(term)
    return [group for group in groups.values() if len(group) > 1]


def _replaced(node: Expression, inside: Sequence[Expression], together: Expression) -> Expression:
    terms = [term for term in node.arguments if term not in inside]
    terms.insert(node.arguments.index(inside[0]), together)
    return spread(add(*terms), node.shape)


def _chain(term: Expression) -> Chain:
    """The factors of a term that is a matrix product or a Kronecker product, without scalars."""
    _, rest = split_scalars(term)
    if rest is None or rest.operation not in ("matmul", "kron"):
        return ()
    return rest.arguments


def _put_together(term: Expression, factors: Sequence[Expression]) -> Expression:
    """Factors combined in the way that those of a term are."""
    return kron(*factors) if _is_kron(term) else matmul(*factors)


def _is_kron(term: Expression) -> bool:
    _, rest = split_scalars(term)
    return rest is not None and rest.operation == "kron"


def _end(term: Expression, side: int) -> End | None:
    """The form of the first (side 0) or last (side −1) factor, and the shape of the others."""
    chain = _chain(term)
    if not chain:
        return None
    others = _put_together(term, chain[1:] if side == 0 else chain[:-1])
    return chain[side].form, others.shape, _is_kron(term)


def _is_single(rest: Expression) -> bool:
    """Whether what remains of a term is no sum, nor the transpose of one."""
    inner = rest.arguments[0] if rest.operation == "transpose" else rest
    return inner.operation != "add"


def _taken_out(
    terms: Sequence[Expression], rests: Sequence[Chain], left: int, right: int
) -> Expression:
    kept = []
    for term, rest in zip(terms, rests, strict=True):
        scalars, _ = split_scalars(term)
        kept.append(multiply(*scalars, _put_together(term, rest)))
    inner = add(*kept)
    if inner.operation == "add":
        inner = elementwise_factors(inner, divisors=True)
    chain = _chain(terms[0])
    before, after = chain[:left], chain[len(chain) - right :]
    return _put_together(terms[0], [*before, inner, *after])


def shared_divisors(node: Expression) -> Expression:
    """a/s − b/s as (a − b)/s, for terms that are divided by the same scalars."""
    for inside in _grouped(node.arguments, _divisors):
        if len(inside) < len(node.arguments) or not node.is_scalar:
            divisor = multiply(*_divisor_factors(inside[0]))
            rest = add(*(multiply(term, power(divisor, -1)) for term in inside))
            return _replaced(node, inside, multiply(divisor, rest))
    return node


def _divisor_factors(term: Expression) -> list[Expression]:
    scalars, _ = split_scalars(term) if not term.is_scalar else (_parts(term), None)
    return [
        s
        for s in scalars
        if s.operation == "power"
        and isinstance(s.data, Fraction)
        and s.data < 0
        and s.arguments[0].operation != "size"
    ]


def _divisors(term: Expression) -> Hashable | None:
    return tuple(sorted(factor.form for factor in _divisor_factors(term))) or None


def elementwise_factors(node: Expression, *, divisors: bool = False) -> Expression:
    """`p ⊙ g − s p` as `p ⊙ (g − s)`: what every term of a sum is multiplied by stands in front.

    Scalars that all terms are divided by are taken out if they are whole powers or sizes, or
    always with `divisors`.
    """
    powers: list[dict[int, tuple[Expression, Fraction]]] = []
    for term in node.arguments:
        _, rest = split_coefficient(term)
        powers.append(
            {base.form: (base, exponent) for base, exponent in map(split_power, _parts(rest))}
        )
    factors = []
    for form, (base, _) in powers[0].items():
        exponents = [known[form][1] for known in powers if form in known]
        if len(exponents) < len(powers) or base.number is not None or base.operation == "ones":
            continue
        if min(exponents) > 0:
            factors.append(power(base, min(exponents)))
        elif max(exponents) < 0 and base.is_scalar:
            is_whole = max(exponents).denominator == 1 and not node.is_scalar
            if divisors or base.operation == "size" or is_whole:
                factors.append(power(base, max(exponents)))
    if not factors:
        return node
    inverse = [power(factor, -1) for factor in factors]
    inner = add(*(multiply(term, *inverse) for term in node.arguments))
    return node if is_zero(inner) else spread(multiply(*factors, inner), node.shape)


def _parts(term: Expression) -> tuple[Expression, ...]:
    return term.arguments if term.operation == "multiply" else (term,)


def common_number(node: Expression) -> Expression:
    """2 A + 2 B as 2 (A + B)."""
    common, rest = split_number(node)
    if abs(common) == 1:
        return node
    return (
        multiply(number(common), rest)
        if common > 0
        else multiply(number(-common), scaled(Fraction(-1), rest))
    )
