"""Systems nobody thought of: every voice and strategy is right on them, and all give one result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from random import Random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import workbench as wb
from workbench.calculus.algebra import (
    add,
    divide,
    greater,
    maximum,
    multiply,
    negate,
    power,
    where,
)
from workbench.calculus.blocks import ZERO, block, hstack, vstack
from workbench.calculus.dimensions import ONE, SCALAR, Dimension, Shape
from workbench.calculus.expressions import (
    Expression,
    Kind,
    identity,
    number,
    ones,
    symbol,
    symbols_of,
    walk,
)
from workbench.calculus.functions import EXP, LOG, SIN, TANH, Function, undetermined
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
from workbench.core.checks.verify import verify
from workbench.derivation.differentiate import derive
from workbench.derivation.naming import with_named_parts
from workbench.derivation.steps import Derivation, Strategy
from workbench.derivation.system import Equation, System
from workbench.derivation.voice import VoiceName
from workbench.notation.text import text
from workbench.plugins.build import build_function, build_strategy
from workbench.plugins.registry import load_registry

M, N = Dimension.named("m"), Dimension.named("n")
STRATEGIES = "elementwise", "diagonal", "kronecker"

SYMBOLS = [
    symbol(name, kind, shape)
    for name, kind, shape in (
        ("c", Kind.PARAMETER, SCALAR),
        ("w", Kind.PARAMETER, (N, ONE)),
        ("b", Kind.PARAMETER, (M, ONE)),
        ("W", Kind.PARAMETER, (M, N)),
        ("A", Kind.PARAMETER, (N, N)),
        ("t", Kind.INPUT, SCALAR),
        ("x", Kind.INPUT, (N, ONE)),
        ("X", Kind.INPUT, (N, N)),
        ("y", Kind.TARGET, (M, ONE)),
    )
]
SHAPES: list[Shape] = [SCALAR, (N, ONE), (M, ONE), (M, N), (N, N), (N, M)]


@cache
def functions() -> tuple[Function, ...]:
    """Known ones, an undetermined one, and some of plugins, with and without a kink."""
    plugins = (build_function(name, load_registry()) for name in ("sigmoid", "swish", "elu"))
    return (TANH, SIN, undetermined("f"), *plugins)


@cache
def softmax() -> Function:
    return build_function("softmax", load_registry())


@cache
def strategy(name: str) -> Strategy:
    return build_strategy(name, load_registry())


Maker = Callable[["Writing", Shape, int], Expression]


@dataclass
class Writing:
    """Draws expressions in the symbols that there are so far."""

    random: Random
    symbols: list[Expression]

    def of(self, shape: Shape, depth: int) -> Expression:
        """A random expression of a shape, defined wherever its symbols have values."""
        if depth <= 0:
            return self.leaf(shape)
        return self.random.choice(makers(shape))(self, shape, depth - 1)

    def leaf(self, shape: Shape) -> Expression:
        leaves = [s for s in self.symbols if s.shape == shape]
        turned = [transpose(s) for s in self.symbols if s.shape == shape[::-1] and s not in leaves]
        return self.random.choice(leaves + turned or [ones(shape)])

    def is_so(self) -> bool:
        return self.random.random() < 0.5


def positive(u: Expression) -> Expression:
    """1 + u², entry by entry."""
    return add(number(1), power(u, 2))


def definite(A: Expression) -> Expression:
    """I + A Aᵀ."""
    return add(identity(A.shape[0]), matmul(A, transpose(A)))


def _sum(w: Writing, shape: Shape, depth: int) -> Expression:
    second = w.of(shape if w.is_so() else SCALAR, depth)
    return add(w.of(shape, depth), negate(second) if w.is_so() else second)


def _elementwise(w: Writing, shape: Shape, depth: int) -> Expression:
    u, v = w.of(shape, depth), w.of(shape, depth)
    return multiply(u, v) if w.is_so() else divide(u, positive(v))


def _scaled(w: Writing, shape: Shape, depth: int) -> Expression:
    return multiply(number(Fraction(-3, 2)), w.of(SCALAR, depth), w.of(shape, depth))


def _product(w: Writing, shape: Shape, depth: int) -> Expression:
    inner = M if w.is_so() else N
    return matmul(w.of((shape[0], inner), depth), w.of((inner, shape[1]), depth))


def _applied(w: Writing, shape: Shape, depth: int) -> Expression:
    function = w.random.choice(functions())
    return function(w.of(shape, depth))


def _formula(w: Writing, shape: Shape, depth: int) -> Expression:
    u = w.of(shape, depth)
    ways = (
        lambda: power(u, 2),
        lambda: LOG(positive(u)),
        lambda: power(positive(u), Fraction(1, 2)),
        lambda: EXP(negate(positive(u))),
    )
    return w.random.choice(ways)()


def _chosen(w: Writing, shape: Shape, depth: int) -> Expression:
    u, v = w.of(shape, depth), w.of(shape, depth)
    ways = (
        lambda: where(greater(u, v), u, power(v, 2)),
        lambda: maximum(u, number(0)),
    )
    return w.random.choice(ways)()


def _number_of(w: Writing, shape: Shape, depth: int) -> Expression:
    square = definite(w.of((N, N), depth))
    whole = w.of(w.random.choice(SHAPES), depth)
    ways = (
        lambda: total(whole),
        lambda: power(add(number(1), total(power(whole, 2))), Fraction(1, 2)),
        lambda: trace(w.of((N, N), depth)),
        lambda: LOG(det(square)),
        lambda: TANH(det(square)),
        lambda: trace(inverse(square)),
        lambda: total(kron(w.of((M, N), 0), w.of((N, ONE), depth))),
    )
    return w.random.choice(ways)()


def _inner(w: Writing, shape: Shape, depth: int) -> Expression:
    u = w.of((N, ONE), depth)
    ways = (
        lambda: matmul(transpose(u), w.of((N, ONE), depth)),
        lambda: matmul(transpose(u), inverse(definite(w.of((N, N), depth))), u),
        lambda: matmul(transpose(vec(w.of((M, N), depth))), vec(w.of((M, N), depth))),
        lambda: matmul(
            transpose(vec(w.of((N, M), depth))), commutation(M, N), vec(w.of((M, N), depth))
        ),
    )
    return w.random.choice(ways)()


def _square(w: Writing, shape: Shape, depth: int) -> Expression:
    if w.is_so():
        return diag(w.of((N, ONE), depth))
    return inverse(definite(w.of((N, N), depth)))


def _column(w: Writing, shape: Shape, depth: int) -> Expression:
    ways: list[Callable[[], Expression]] = [
        lambda: softmax()(w.of(shape, depth)),
        lambda: matmul(w.of((shape[0], N), depth), ones((N, ONE))),
        lambda: matmul(diag(w.of(shape, depth)), w.of(shape, depth)),
    ]
    if shape[0] is N:
        ways.append(lambda: diagonal(w.of((N, N), depth)))
    if shape[0] is M:
        row = transpose(w.of((N, ONE), depth))
        ways.append(lambda: matmul(kron(row, identity(M)), vec(w.of((M, N), depth))))
    return w.random.choice(ways)()


def _part(w: Writing, shape: Shape, depth: int) -> Expression:
    """A part of a stack, or a stack within a product."""
    upper, lower = w.of(shape, depth), w.of((N, shape[1]), depth)
    if w.is_so():
        whole = TANH(vstack(upper, lower))
        return block(whole, ZERO, shape[0], ZERO, shape[1])
    beside = hstack(w.of((shape[0], N), depth), w.of((shape[0], M), depth))
    return matmul(beside, vstack(lower, w.of((M, shape[1]), depth)))


def _through_vec(w: Writing, shape: Shape, depth: int) -> Expression:
    rows, columns = shape
    ways = (
        lambda: devec(power(vec(w.of(shape, depth)), 2), shape),
        lambda: devec(kron(w.of((columns, ONE), depth), w.of((rows, ONE), depth)), shape),
        lambda: devec(
            matmul(kron(w.of((columns, N), 0), w.of((rows, M), 0)), vec(w.of((M, N), depth))), shape
        ),
    )
    return w.random.choice(ways)()


@cache
def makers(shape: Shape) -> list[Maker]:
    """What makes an expression of a shape."""
    found: list[Maker] = [_sum, _elementwise, _scaled, _product, _applied, _applied]
    found += [_formula, _chosen]
    if shape == SCALAR:
        return [*found, _number_of, _number_of, _inner, _inner]
    if ONE not in shape:
        found += [_through_vec, lambda w, s, d: softmax()(w.of(s, d))]
    if shape == (N, N):
        found += [_square, _square]
    if shape[1] is ONE:
        found += [_column, _column]
    return [*found, _part]


def random_system(random: Random, most: int = 4) -> System:
    """Up to `most` equations and the loss; they share parameters; the loss depends on all."""
    writing = Writing(random, list(SYMBOLS))
    equations = []
    for place in range(random.randint(1, most)):
        shape = random.choice(SHAPES)
        right = writing.of(shape, random.randint(1, 2))
        if right.arguments:
            left = symbol(f"h{place + 1}", Kind.INTERMEDIATE, shape)
            equations.append(Equation(left, right))
            writing.symbols.append(left)
    loss = writing.of(SCALAR, 2)
    parameter = random.choice([s for s in SYMBOLS if s.symbol.kind is Kind.PARAMETER])
    used = {s for e in equations for s in symbols_of(e.right)} | set(symbols_of(loss))
    loose = [e.left for e in equations if e.left not in used]
    rest = [total(power(left, 2)) for left in (*loose, parameter)]
    equations.append(Equation(symbol("L", Kind.LOSS), add(loss, *rest)))
    return System(tuple(equations))


def told(derivation: Derivation) -> str:
    """The system and what was found, for messages."""
    lines = [f"{text(e.left)} = {text(e.right)}" for e in derivation.system.equations]
    lines += [f"{text(step.goal)} = {text(step.result)}" for step in derivation.failed]
    return "\n".join(lines)


ONCE_WRONG: dict[str, tuple[str, str]] = {
    "a mean that is drawn anew with what it is the mean of": (
        "parameter x : n\ninput e : 1\nmu = mean(x)\nc = x - mu\ns = sqrt(mean(c.^2) + e)\n"
        "L = sum(c.^3) / s",
        "elementwise",
    ),
    "a scalar in several entries": (
        "parameter c : 1\ninput x : n, y : n\nr = c x - y\nL = 1/2 r' r",
        "elementwise",
    ),
    "softmax of more than the variable": (
        "parameter w : n\ninput a : n\nh = softmax(tanh(w))\nL = a' h",
        "elementwise",
    ),
    "devec of (B ⊗ A) v of another shape than A V Bᵀ: ShapeError": (
        "parameter W : m×n, w : n\nh = kron(w', eye(m)) vec(W)\nL = h' h",
        "kronecker",
    ),
    "a formula with branches at a constant: AxisError": (
        "parameter x : n\nh = elu(ones(n)) .* x\nL = norm(h)^2",
        "elementwise",
    ),
    "exponentials within a branch modulo a prime: arrays of two shapes, ValueError": (
        "parameter W : m×n, A : n×n\ninput X : n×n, y : m, t : 1\nh1 = sigmoid(max(W, 0))\n"
        "h2 = sin(y)\nh3 = X' ./ (1 + (A - t).^2)\nh4 = devec(vec(h1 .* W).^2, m, n)\n"
        "L = norm(h2)^2 + norm(h3)^2 + norm(h4)^2",
        "elementwise",
    ),
    "a function of a row as a factor: devec of m×n to m×n": (
        "parameter W : m×n, y : m\nh = sigmoid(y') W ones(n)\nL = h^2",
        "kronecker",
    ),
    "a part of a stack by entries: IndexError": (
        "parameter W : m×n\nh = tanh([W'; W'])[1:n, :]\nL = norm(h)^2",
        "elementwise",
    ),
    "row sums times a column: diag needs a column": (
        "parameter W : m×n, y : m\nh = y .* (W ones(n))\nL = norm(h)^2",
        "elementwise",
    ),
    "row sums divided by a column: shapes differ": (
        "parameter A : n×n, w : n\nh = A ones(n) ./ (1 + w.^4)\nL = norm(h)^2",
        "elementwise",
    ),
    "a scalar of a matrix through vec: devec of n×n": (
        "parameter A : n×n, x : n\nh = x' A x\nL = h^2 + sum(A .* A)",
        "kronecker",
    ),
    "a bound index that a Jacobian's column has: devec of n×n": (
        "parameter b : n, W : n×n\nh = sum(W b)\nL = h^2",
        "elementwise",
    ),
}
"""What it was about, and the smallest system found with the strategy that it needs."""


def verified_in_every_voice(system: System, way: str) -> None:
    """Every step of every voice passes, and all voices find the same."""
    found: dict[str, dict[str, int]] = {}
    for voice in VoiceName:
        derivation = verify(derive(system, strategy=strategy(way), voice=voice, expand=False))
        assert not derivation.failed, told(derivation)
        assert all(step.check is not None for step in derivation.results), told(derivation)
        found[voice] = {text(step.goal): step.result.form for step in derivation.results}
    first, *others = found.values()
    assert all(other == first for other in others), told(derivation)


@pytest.mark.parametrize(("source", "way"), ONCE_WRONG.values(), ids=ONCE_WRONG)
def test_small_systems_that_were_wrong(source: str, way: str) -> None:
    system = wb.equations(source)
    for given_ in (system, with_named_parts(system)):
        verified_in_every_voice(given_, way)


@pytest.mark.parametrize("way", STRATEGIES)
@settings(max_examples=6, phases=[Phase.explicit, Phase.generate])
@given(seed=st.integers(0, 10**6))
def test_every_voice_passes_and_all_find_the_same(way: str, seed: int) -> None:
    system = quick_system(Random(seed))
    verified_in_every_voice(system, way)


def quick_system(random: Random, most: int = 4) -> System:
    """A random system without nested inverses, whose entries take long."""
    while _inverses(system := random_system(random, most)) > 1:
        pass
    return system


def _inverses(system: System) -> int:
    nodes = (node for e in system.equations for node in walk(e.right))
    return sum(node.operation == "inverse" for node in nodes)
