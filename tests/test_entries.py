"""Entries and their derivatives, each held against numbers."""

from time import perf_counter

import numpy as np
import pytest

import workbench as wb
from workbench.calculus.algebra import add, multiply
from workbench.calculus.blocks import ZERO, block, hstack, vstack
from workbench.calculus.dimensions import ONE, SCALAR, Dimension
from workbench.calculus.expressions import (
    Expression,
    Kind,
    identity,
    number,
    ones,
    symbol,
    symbols_of,
)
from workbench.calculus.functions import COLUMN_VARIABLE, EXP, LOG, Function, undetermined
from workbench.calculus.matrices import (
    commutation,
    devec,
    diag,
    inverse,
    kron,
    matmul,
    total,
    transpose,
    vec,
)
from workbench.calculus.square import det, diagonal, trace
from workbench.core.evaluate import evaluate
from workbench.errors import InputError
from workbench.tensors.entries import by_entries, differentiate_entry, recover

m, n, p = map(Dimension.named, "mnp")
SIZES = {"m": 2, "n": 3, "p": 4}
A = symbol("A", Kind.PARAMETER, (m, n))
B = symbol("B", Kind.PARAMETER, (n, p))
S = symbol("S", Kind.PARAMETER, (n, n))
R = symbol("R", Kind.PARAMETER, (n, n))
x = symbol("x", Kind.PARAMETER, (n, ONE))
g = symbol("g", Kind.PARAMETER, (m, ONE))
v = symbol("v", Kind.PARAMETER, (m * n, ONE))


def values_of(expression: Expression, seed: int = 0) -> dict[Expression, np.ndarray]:
    random = np.random.default_rng(seed)
    return {s: random.normal(size=[d.size(SIZES) for d in s.shape]) for s in symbols_of(expression)}


@pytest.mark.parametrize(
    "expression",
    [
        matmul(A, S, B),
        transpose(matmul(A, S)),
        matmul(transpose(vec(matmul(A, S, B))), kron(transpose(B), A), vec(S)),
        matmul(transpose(vec(A)), vec(matmul(A, S))),
        devec(matmul(kron(x, identity(m)), g), (m, n)),
        devec(v, (m, n)),
        matmul(devec(v, (m, n)), x),
        trace(matmul(S, R, S)),
        multiply(trace(S), A),
        diagonal(matmul(S, R)),
        matmul(diag(x), S),
        matmul(A, ones((n, ONE))),
        matmul(ones((ONE, m)), A),
        matmul(inverse(add(S, R)), x),
        multiply(det(S), x),
        matmul(hstack(S, R), vstack(x, matmul(R, x))),
        matmul(transpose(vstack(x, g)), vstack(x, g)),
        matmul(transpose(vec(S)), commutation(n, n), vec(R)),
        total(kron(A, B)),
        undetermined("f")(matmul(A, S)),
    ],
    ids=repr,
)
def test_entries_are_those_of_the_matrix(expression: Expression) -> None:
    free = tuple("ij"[: sum(d is not ONE for d in expression.shape)])
    body = by_entries(expression, free, "klst")
    values = values_of(expression)
    whole = np.broadcast_to(
        evaluate(expression, values, SIZES), [d.size(SIZES) for d in expression.shape]
    )
    for place in np.ndindex(*whole.shape):
        bound = [i for i, d in zip(place, expression.shape, strict=True) if d is not ONE]
        indices = dict(zip(free, bound, strict=True))
        found = evaluate(body, values, SIZES, indices).item()
        assert found == pytest.approx(whole[place], rel=1e-10, abs=1e-12)


def test_an_entry_that_needs_a_pair_of_indices_is_refused() -> None:
    with pytest.raises(InputError, match="single indices"):
        by_entries(vec(A), ("k",))
    with pytest.raises(InputError, match="single indices"):
        by_entries(block(matmul(A, S), ZERO, m, ONE, Dimension.number(2)), ("i", "j"))


@pytest.mark.parametrize(
    ("expression", "by"),
    [
        (matmul(inverse(S), x), S),
        (matmul(inverse(matmul(R, S, R)), x), R),
        (matmul(inverse(transpose(S)), x), S),
        (LOG(multiply(det(S), det(S))), S),
        (det(add(S, matmul(S, R))), S),
        (trace(matmul(S, inverse(R), S)), R),
        (trace(matmul(S, R, S)), S),
        (matmul(A, S, x), S),
        (devec(matmul(kron(x, identity(m)), g), (m, n)), g),
    ],
    ids=repr,
)
def test_derivatives_by_entries_are_those_of_the_complex_step(
    expression: Expression, by: Expression
) -> None:
    free = tuple("kl"[: sum(d is not ONE for d in expression.shape)])
    inner = tuple("ij"[: sum(d is not ONE for d in by.shape)])
    body = by_entries(expression, free, "stuvw")
    values = values_of(expression, 3)
    shape = values[by].shape
    for contract in (True, False):
        derivative = differentiate_entry(body, by, inner, contract=contract)
        for place in ((0, 0), (shape[0] - 1, shape[1] - 1), (1, 0)):
            moved = {s: value.astype(complex) for s, value in values.items()}
            moved[by][place] += 1e-30j
            truth = np.imag(evaluate(expression, moved, SIZES)) / 1e-30
            outer = tuple(size - 1 for size in truth.shape)
            indices = dict(
                zip(
                    (*free, *inner),
                    [
                        *(i for i, d in zip(outer, expression.shape, strict=True) if d is not ONE),
                        *(i for i, d in zip(place, by.shape, strict=True) if d is not ONE),
                    ],
                    strict=True,
                )
            )
            found = evaluate(derivative, values, SIZES, indices).item()
            assert found == pytest.approx(truth[outer], rel=1e-9, abs=1e-12)


def test_the_derivative_of_an_inverse_is_the_known_one() -> None:
    body = by_entries(inverse(S), ("k", "l"))
    found = differentiate_entry(body, S, ("i", "j"))
    expected = multiply(by_entries(inverse(S), ("k", "i")), by_entries(inverse(S), ("j", "l")))
    assert found.form == multiply(number(-1), expected).form


def test_what_cannot_be_differentiated_by_entries_is_refused_and_not_zero() -> None:
    formula = multiply(EXP(COLUMN_VARIABLE), total(COLUMN_VARIABLE))
    coupled = Function("coupled", formula=formula)
    with pytest.raises(InputError, match="no derivative by entries"):
        differentiate_entry(by_entries(coupled(matmul(S, x)), ("k",)), S, ("i", "j"))


def test_chains_are_recovered_as_products() -> None:
    body = by_entries(matmul(A, S, B), ("i", "j"))
    assert recover(body, "i", "j", (m, p)) is matmul(A, S, B)
    assert recover(body, "j", "i", (p, m)) is transpose(matmul(A, S, B))
    product_entry = by_entries(matmul(S, x), ("i",))
    assert recover(multiply(product_entry, by_entries(g, ("j",))), "i", "j", (n, m)) is matmul(
        S, x, transpose(g)
    )


def test_scalars_stay_scalars() -> None:
    c = symbol("c", Kind.PARAMETER, SCALAR)
    assert by_entries(multiply(c, c), ()) is multiply(c, c)


def test_derivatives_of_too_many_terms_are_given_up_at_once() -> None:
    source = """
    input x : n, c : 1, C : n×n
    parameter A : n×n
    L = logdet((diag(x c) (A' C) (c A)) (diag(x c) (A' C) (c A))' + eye(n))
    """
    start = perf_counter()
    assert not wb.derive(source, voice="entries").failed
    assert perf_counter() - start < 5


def test_sums_beside_each_other_that_share_a_name_are_split_apart() -> None:
    part = matmul(hstack(A, ones((m, m))), vstack(transpose(S), A))
    whole = add(matmul(ones((m, m)), part), matmul(part, S))
    values, indices = values_of(whole), {"i": 1, "j": 2}
    body = by_entries(whole, ("i", "j"), "rtuqab")
    assert evaluate(body, values, SIZES, indices).item() == pytest.approx(
        evaluate(whole, values, SIZES)[1, 2]
    )


def test_an_index_over_a_part_of_a_symbol_is_refused() -> None:
    z = symbol("z", Kind.INPUT, (m + n, ONE))
    with pytest.raises(InputError, match="over a part"):
        by_entries(block(z, ZERO, m, ZERO, ONE), ("i",))
