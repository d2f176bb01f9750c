"""Identities: those of the books are proved, false ones refuted, and nothing false is proved."""

from __future__ import annotations

import json
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from workbench import api
from workbench.calculus.algebra import add, multiply, subtract
from workbench.calculus.blocks import block, hstack, vstack
from workbench.calculus.dimensions import ONE, Dimension
from workbench.calculus.expressions import Expression, Kind, identity, number, symbol, symbols_of
from workbench.calculus.matrices import (
    commutation,
    inverse,
    kron,
    matmul,
    total,
    transpose,
    vec,
)
from workbench.calculus.square import det, diagonal, trace
from workbench.cli.prove import prove as command
from workbench.core.checks.judgements import judgement_document
from workbench.core.checks.refute import Judgement, Outcome, counterexample, exact_test, judge
from workbench.core.evaluate import evaluate
from workbench.derivation.proof import ENTRIES, prove
from workbench.errors import InputError
from workbench.notation.formats import as_text
from workbench.notation.reading.as_written import identity_as_written
from workbench.plugins.build import build_function
from workbench.plugins.registry import load_registry

REGISTRY = load_registry(())
FUNCTIONS = {name: build_function(name, REGISTRY) for name in REGISTRY.activations}


def judged(text: str) -> Judgement:
    return judge(*identity_as_written(text, functions=FUNCTIONS.get))


TRUE = """
vec(A B C) = kron(C', A) vec(B)
kron(x, I) g = vec(g x')
kron(A, B)' = kron(A', B')
kron(A, B) kron(C, D) = kron(A C, B D)
vec(X') = K vec(X)
K(p, m) kron(A, B) K(n, q) = kron(B, A) | input A : m×n, B : p×q
sum(G .* (V X)) = sum((G X') .* V)
sum(G .* (W V)) = sum((W' G) .* V)
sum(G .* (v 𝟏')) = (G 𝟏)' v | input G : m×n, v : m
tr(A B) = tr(B A)
tr(A B C D) = tr(C D A B)
tr(A' B) = vec(A)' vec(B)
tr(A' B C D') = vec(A)' kron(D, B) vec(C)
diag(u) v = u .* v
(A B)' = B' A'
diag(u) A diag(v) = A .* (u v')
kron(A .* B, C .* D) = kron(A, C) .* kron(B, D)
(a a') .* (b b') = (a .* b) (a .* b)'
diag(A B') = (A .* B) 𝟏 | input A : m×n, B : m×n
(A B)^-1 = B^-1 A^-1
(A B C)^-1 = C^-1 B^-1 A^-1
(A + u v')^-1 = A^-1 - A^-1 u v' A^-1 / (1 + v' A^-1 u)
(A + U C V)^-1 = A^-1 - A^-1 U (C^-1 + V A^-1 U)^-1 V A^-1
(I + A B)^-1 A = A (I + B A)^-1
(X' X + c I)^-1 X' = X' (X X' + c I)^-1
A^-1 - B^-1 = A^-1 (B - A) B^-1
x' A x = tr(A x x')
sum(A) = 𝟏' A 𝟏 | input A : m×n
[A, B] [x; y] = A x + B y | input A : m×n, B : m×p, x : n, y : p
[A; B] C = [A C; B C] | input A : m×n, B : p×n, C : n×q
softmax(x + c) = softmax(x) | input x : n, c : 1
sum(softmax(x)) = 1 | input x : n
logsumexp(x + c) = c + logsumexp(x) | input x : n, c : 1
sigmoid(-x) = 1 - sigmoid(x)
sum(sigmoid(-A)) + sum(sigmoid(A)) = sum(A .* A ./ (A .* A)) | input A : m×n
tanh(x) = 2 sigmoid(2 x) - 1
tanh(2 x) = 2 tanh(x) / (1 + tanh(x)^2)
sin(x)^2 + cos(x)^2 = 1
max(x, 0) - max(-x, 0) = x
abs(x)^2 = x^2
f(A') = f(A)' | elementwise f
(u + v)' (u + v) = u' u + 2 u' v + v' v
"""


def source(line: str) -> str:
    identity_text, _, declared = line.partition(" | ")
    return f"{declared}\n{identity_text}"


@pytest.mark.parametrize("line", TRUE.strip().splitlines())
def test_identities_of_the_books_are_proved_by_entries(line: str) -> None:
    judgement = judged(source(line))
    assert judgement.outcome is Outcome.PROVED
    assert judgement.proof is not None
    assert judgement.proof.steps[-1].goal in (judgement.left, *_entries(judgement))
    assert judgement.test.holds is not False
    assert judgement.counterexample is None


def _entries(judgement: Judgement) -> list[Expression]:
    assert judgement.proof is not None
    return [step.goal for step in judgement.proof.steps if step.section == ENTRIES]


FALSE = """
A B = B A
kron(A, B) = kron(B, A) | input A : n×n, B : n×n
(A B)' = A' B' | input A : n×n, B : n×n
vec(A B C) = kron(C, A) vec(B) | input A : n×n, B : n×n, C : n×n
vec(X') = vec(X) | input X : n×n
tr(A B) = tr(A) tr(B)
tr(A B C) = tr(B A C)
(A + B)^-1 = A^-1 + B^-1
det(A + B) = det(A) + det(B)
det(2 A) = 2 det(A)
diag(u) A = A diag(u)
sum(A) = sum(A') + 1
softmax(2 x) = softmax(x) | input x : n
sigmoid(-x) = -sigmoid(x)
sqrt(x^2) = x
abs(x) = x
max(x, y) = x
f(x + y) = f(x) + f(y) | elementwise f
(A + u v')^-1 = A^-1 - A^-1 u v' A^-1 / (1 - v' A^-1 u)
"""


@pytest.mark.parametrize("line", FALSE.strip().splitlines())
def test_false_identities_are_refuted_with_numbers(line: str) -> None:
    judgement = judged(source(line))
    assert judgement.outcome is Outcome.REFUTED
    assert judgement.proof is None
    found = judgement.counterexample
    assert found is not None
    values = {s: value.astype(float) for s, value in found.values.items()}
    sides = [evaluate(s, values, found.sizes) for s in (judgement.left, judgement.right)]
    left, right = (np.broadcast_to(side, found.left.shape)[found.place] for side in sides)
    assert abs(left - right) > 1e-6


def test_the_counterexample_is_the_smallest() -> None:
    judgement = judged("A B = B A")
    found = judgement.counterexample
    assert found is not None
    assert list(found.sizes.values()) == [2]
    assert sum(int(np.abs(value).sum()) for value in found.values.values()) == 2


def test_what_holds_at_every_size_tried_without_a_proof_is_undecided() -> None:
    judgement = judged("det(A B) = det(A) det(B)")
    assert judgement.outcome is Outcome.UNDECIDED
    assert judgement.test.holds
    assert judgement.test.bound < 1e-12


def test_a_proof_is_of_every_shape_and_a_special_size_is_none() -> None:
    n = Dimension.named("n")
    x = symbol("x", Kind.INPUT, (n, ONE))
    assert prove(matmul(x, transpose(x)), multiply(matmul(transpose(x), x), identity(n))) is None
    left, right = matmul(transpose(x), x), total(multiply(x, x))
    assert prove(left, right) is not None


def test_blocks_and_stacks_are_compared_part_by_part() -> None:
    z = symbol("z", Kind.INPUT, (m + n + p, ONE))
    picked = block(identity(m + n + p), m, n, Dimension.number(0), m + n + p)
    assert prove(matmul(picked, z), block(z, m, n, Dimension.number(0), ONE)) is not None
    parts = [symbol(name, Kind.INPUT, (d, q)) for name, d in zip("DEF", (m, n, p), strict=True)]
    w = symbol("w", Kind.INPUT, (q, ONE))
    whole = vstack(*(matmul(part, w) for part in parts))
    assert prove(matmul(vstack(*parts), w), whole) is not None
    swapped = [symbol(name, Kind.INPUT, (n, q)) for name in "GH"]
    turned = vstack(*(matmul(part, w) for part in reversed(swapped)))
    assert prove(matmul(vstack(*swapped), w), turned) is None


def test_sides_of_different_shape_are_refused() -> None:
    n = Dimension.named("n")
    x = symbol("x", Kind.INPUT, (n, ONE))
    with pytest.raises(InputError, match="different shapes"):
        prove(x, transpose(x))


# every line of a proof

m, n, p, q = map(Dimension.named, "mnpq")
SIZES = {"m": 2, "n": 3, "p": 4, "q": 5}
A = symbol("A", Kind.INPUT, (m, n))
B = symbol("B", Kind.INPUT, (n, p))
C = symbol("C", Kind.INPUT, (p, q))
S = symbol("S", Kind.INPUT, (n, n))
R = symbol("R", Kind.INPUT, (n, n))
x = symbol("x", Kind.INPUT, (n, ONE))
y = symbol("y", Kind.INPUT, (n, ONE))


@pytest.mark.parametrize(
    ("left", "right", "digits"),
    [
        (vec(matmul(A, B, C)), matmul(kron(transpose(C), A), vec(B)), {"(k,l)": ("q", "m")}),
        (matmul(commutation(m, n), vec(A)), vec(transpose(A)), {"(k,l)": ("m", "n")}),
        (
            matmul(kron(A, S), kron(B, R)),
            kron(matmul(A, B), matmul(S, R)),
            {"(k,l)": ("m", "n"), "(s,t)": ("p", "n")},
        ),
        (
            inverse(add(S, matmul(x, transpose(y)))),
            subtract(
                inverse(S),
                multiply(
                    matmul(inverse(S), x, transpose(y), inverse(S)),
                    _reciprocal := inverse(add(number(1), matmul(transpose(y), inverse(S), x))),
                ),
            ),
            {},
        ),
        (matmul(inverse(matmul(S, R)), x), matmul(inverse(R), inverse(S), x), {}),
    ],
)
def test_every_line_of_a_proof_holds_by_itself(
    left: Expression, right: Expression, digits: dict[str, tuple[str, str]]
) -> None:
    proof = prove(left, right)
    assert proof is not None
    random = np.random.default_rng(1)
    values = {
        s: random.normal(size=[d.size(SIZES) for d in s.shape]) for s in symbols_of(left, right)
    }
    indices: dict[str, int] = {"i": 1, "j": 2, "k": 1, "l": 1, "s": 1, "t": 2}
    for pair, (major, minor) in digits.items():
        first, second = pair[1], pair[3]
        indices[first], indices[second] = SIZES[major] - 1, 1
        indices[pair] = indices[first] * SIZES[minor] + 1
    for step in proof.steps:
        goal = evaluate(step.goal, values, SIZES, indices)
        for stage in step.stages:
            found = evaluate(stage.expression, values, SIZES, indices)
            assert np.allclose(found, goal, rtol=1e-9, atol=1e-9), stage


# nothing false is proved

MATRICES = st.sampled_from([S, R, transpose(S), identity(n), matmul(x, transpose(y))])


def _grown(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    pairs = st.tuples(inner, inner)
    return st.one_of(
        pairs.map(lambda pair: matmul(*pair)),
        pairs.map(lambda pair: add(*pair)),
        pairs.map(lambda pair: multiply(*pair)),
        inner.map(transpose),
        inner.map(lambda matrix: multiply(trace(matrix), S)),
        inner.map(lambda matrix: matmul(matrix, inverse(R))),
        inner.map(lambda matrix: multiply(total(matrix), R)),
        inner.map(lambda matrix: matmul(diagonal(matrix), transpose(x))),
        pairs.map(lambda pair: block(hstack(*pair), Dimension.number(0), n, n, n)),
        pairs.map(lambda pair: matmul(hstack(*pair), vstack(*reversed(pair)))),
    )


EXPRESSIONS = st.recursive(MATRICES, _grown, max_leaves=4)


@settings(max_examples=60, deadline=None)
@given(EXPRESSIONS, EXPRESSIONS)
def test_nothing_is_proved_that_fails_modulo_a_prime(left: Expression, right: Expression) -> None:
    proved = prove(left, right) is not None
    holds = exact_test(left, right).holds
    assert not (proved and holds is False)
    if holds is False:
        return
    assert proved or counterexample(left, right) is None


@settings(max_examples=40, deadline=None)
@given(EXPRESSIONS, EXPRESSIONS, EXPRESSIONS)
def test_ring_laws_are_proved(one: Expression, two: Expression, three: Expression) -> None:
    assert prove(matmul(add(one, two), three), add(matmul(one, three), matmul(two, three)))
    assert prove(trace(matmul(one, two, three)), trace(matmul(three, one, two)))
    assert prove(matmul(transpose(vec(one)), vec(two)), trace(matmul(transpose(one), two)))


# the command

application = typer.Typer()
application.command()(command)
runner = CliRunner()


@pytest.mark.parametrize(
    ("text", "code", "told"),
    [
        ("tr(A B) = tr(B A)", 0, "Proved for every shape"),
        ("A B = B A", 1, "Refuted"),
        ("det(A B) = det(A) det(B)", 2, "Undecided"),
    ],
)
@pytest.mark.parametrize("form", ["text", "latex", "markdown", "json"])
def test_exit_codes_and_formats(text: str, code: int, told: str, form: str, tmp_path: Path) -> None:
    finished = runner.invoke(application, [text, "--format", form])
    assert finished.exit_code == code, finished.output
    if form == "json":
        assert json.loads(finished.output)["outcome"] in told.lower()
    else:
        assert told in finished.output
    file = tmp_path / "proof"
    again = runner.invoke(application, [text, "--format", form, "-o", str(file)])
    assert again.exit_code == code
    assert file.read_text() == finished.output


def test_unreadable_identities_are_told_with_the_place() -> None:
    finished = runner.invoke(application, ["A B = C +"])
    assert isinstance(finished.exception, InputError)
    assert finished.exception.exit_code == 2


def test_det_is_multiplicative_at_a_number() -> None:
    found = counterexample(det(add(S, R)), add(det(S), det(R)))
    assert found is not None
    assert found.sizes == {"n": 2}


@pytest.mark.parametrize(
    ("source", "outcome"),
    [
        ("0 = 1", Outcome.REFUTED),
        ("K(m, n) = K(n, m)", Outcome.REFUTED),
        ("sqrt(8) = 2 sqrt(2)", Outcome.UNDECIDED),
        ("sin(pi) = 0", Outcome.UNDECIDED),
        ("pi = 355/113", Outcome.REFUTED),
        ("tr(eye(n)) = n", Outcome.PROVED),
        ("n = tr(eye(n))", Outcome.PROVED),
        ("sum(ones(m, n)) = m n", Outcome.PROVED),
        ("tr(K(n, n)) = n", Outcome.PROVED),
        ("sum(ones(n)) = n^2", Outcome.REFUTED),
        ("input n : 1\ntr(eye(n)) = n", Outcome.REFUTED),
    ],
)
def test_identities_without_symbols_and_names_of_sizes(source: str, outcome: Outcome) -> None:
    assert judged(source).outcome is outcome
    assert api.prove(source).outcome is outcome


@pytest.mark.parametrize(
    ("source", "name"),
    [("vec(u v') = kron(u, v)", "u"), ("diag(A) = A", "A"), ("tanh(B) = -tanh(-B)", "")],
)
def test_a_matrix_is_not_silently_a_number(source: str, name: str) -> None:
    if name:
        with pytest.raises(InputError, match=f"declare `input {name} : "):
            api.prove(source)
        source = f"input {name} : 1\n{source}"
    told = as_text(judgement_document(api.prove(source)))
    assert ("for every shape" in told) is (name == "" or "v : m" in told)
    assert f"{name or 'B'} : {'1 (a number)' if name else 'm×n'}" in told


def test_there_is_one_point_without_symbols() -> None:
    assert counterexample(number(0), number(1)) is not None


def test_a_refuted_identity_does_not_hold() -> None:
    told = as_text(judgement_document(api.prove("sqrt(x^2) = x")))
    assert "it holds" not in told
    assert "1 random draw modulo" in told


@pytest.mark.parametrize(
    "line", ["sum(A)^20 = sum(A)^20", "sum(A)^20 = sum(A')^20", "sum(A)^5 sum(A) = sum(A')^6"]
)
def test_high_powers_of_sums_are_proved_at_once(line: str) -> None:
    start = perf_counter()
    assert api.prove(f"input A : m×n\n{line}").outcome is Outcome.PROVED
    assert perf_counter() - start < 5
