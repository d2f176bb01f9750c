"""What the renderers print, the grammar reads back: to the same node, or to one of equal form."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from workbench.calculus import algebra, matrices
from workbench.calculus.blocks import block, hstack, vstack
from workbench.calculus.dimensions import ONE, SCALAR, Dimension, Shape
from workbench.calculus.expressions import (
    Expression,
    Kind,
    constant,
    identity,
    jacobian,
    number,
    ones,
    size,
    symbol,
    walk,
)
from workbench.calculus.functions import ABS, COS, EXP, LOG, SIN, TANH, Function
from workbench.calculus.square import det, diagonal, trace
from workbench.derivation.differentiate import derive
from workbench.errors import InputError
from workbench.notation.latex import latex
from workbench.notation.reading.equations import parse_expression
from workbench.notation.reading.vocabulary import norm
from workbench.notation.text import text
from workbench.plugins.build import build_function, build_network
from workbench.plugins.registry import load_registry

M, N = Dimension.named("m_1"), Dimension.named("n")
BOTH, PAIRS = M + N, M * N
ZERO = Dimension.number(0)


def _symbol(name: str, *shape: Dimension) -> Expression:
    return symbol(name, Kind.INPUT, (shape[0], shape[1]) if shape else SCALAR)


SYMBOLS = [
    *(_symbol(name) for name in ("s", "t1", "alpha", "lambda", "net_o1", "c")),
    *(_symbol(name, N, ONE) for name in ("x", "delta2", "mu")),
    *(_symbol(name, M, ONE) for name in ("u", "b1")),
    *(_symbol(name, M, N) for name in ("A", "W12")),
    *(_symbol(name, N, M) for name in ("C", "Theta")),
    *(_symbol(name, N, N) for name in ("S", "T1")),
    *(_symbol(name, M, M) for name in ("P", "Q")),
    _symbol("r", ONE, N),
    _symbol("v", BOTH, ONE),
    _symbol("Z", BOTH, N),
    _symbol("q", PAIRS, ONE),
    _symbol("G", PAIRS, PAIRS),
]
NAMED = {found.symbol.name: found for found in SYMBOLS}
SHAPES = list(dict.fromkeys(found.shape for found in SYMBOLS))
SIGMOID = build_function("sigmoid", load_registry())
SWISH = build_function("swish", load_registry())
SOFTMAX = build_function("softmax", load_registry())
F = Function("f", symbol="f", latex="f")
GAUSS = Function("gauss", symbol="gauss", latex=r"\operatorname{gauss}")
FUNCTIONS = [EXP, LOG, SIN, COS, TANH, ABS, SIGMOID, SWISH, SOFTMAX, F, GAUSS]
PRIMED = [TANH.prime, SIGMOID.prime, SIGMOID.prime.prime, F.prime, F.prime.prime, GAUSS.prime]
LOOKUP = {name: function for function in FUNCTIONS for name in (function.name, function.symbol)}
NUMBERS = [Fraction(n) for n in ("2", "-1", "1/2", "-1/3", "3/4", "7", "-5/2", "1/10")]
EXPONENTS = [Fraction(n) for n in ("2", "3", "-1", "-2", "1/2", "-1/2", "3/2", "-3")]


def _built(draw: st.DrawFn, shape: Shape, depth: int) -> Expression:
    """A random expression of a shape."""
    makers = _makers(shape) if depth else [_leaf]
    maker = draw(st.sampled_from(makers))
    try:
        return maker(draw, shape, depth - 1)
    except InputError:
        return _leaf(draw, shape, 0)


Maker = Callable[[st.DrawFn, Shape, int], Expression]
Build = Callable[..., Expression]


def _makers(shape: Shape) -> list[Maker]:
    found: list[Maker] = [_leaf, _sum, _product, _elementwise, _power, _applied, _chosen, _turned]
    found += [_scaled, _scaled]
    if shape == SCALAR:
        found += [_number_of, _number_of, _inner]
    if shape[0] is shape[1] and shape != SCALAR:
        found += [_square]
    if shape[0] in (BOTH, PAIRS) or shape[1] is PAIRS:
        found += [_composite, _composite]
    if shape in ((N, ONE), (M, N), (M, ONE), (N, N)):
        found += [_part]
    return found


def _leaf(draw: st.DrawFn, shape: Shape, depth: int) -> Expression:
    leaves = [found for found in SYMBOLS if found.shape == shape]
    if shape == SCALAR:
        leaves += [number(value) for value in NUMBERS]
        leaves += [constant("pi"), size(N), size(M * N)]
    elif shape[1] is ONE or shape[0] is ONE:
        leaves.append(ones(shape))
    if shape[0] is shape[1] and shape != SCALAR:
        leaves.append(identity(shape[0]))
    if shape == (PAIRS, PAIRS):
        leaves.append(matrices.commutation(M, N))
    return draw(st.sampled_from(leaves or [ones(shape)]))


def _sum(draw: st.DrawFn, shape: Shape, depth: int) -> Expression:
    terms = [_built(draw, shape, depth) for _ in range(draw(st.integers(2, 3)))]
    terms[0] = algebra.negate(terms[0]) if draw(st.booleans()) else terms[0]
    return algebra.subtract(*terms) if len(terms) == 2 else algebra.add(*terms)


def _product(draw: st.DrawFn, shape: Shape, depth: int) -> Expression:
    inner = draw(st.sampled_from((M, N)))
    left = _built(draw, (shape[0], inner), depth)
    return matrices.matmul(left, _built(draw, (inner, shape[1]), depth))


def _elementwise(draw: st.DrawFn, shape: Shape, depth: int) -> Expression:
    builds: tuple[Build, ...] = (algebra.multiply, algebra.divide)
    build = draw(st.sampled_from(builds))
    return build(_built(draw, shape, depth), _built(draw, shape, depth))


def _scaled(draw: st.DrawFn, shape: Shape, depth: int) -> Expression:
    factors = [number(draw(st.sampled_from(NUMBERS))), _built(draw, SCALAR, depth)]
    factors = factors[draw(st.integers(0, 1)) :]
    return algebra.multiply(*factors, _built(draw, shape, depth))


def _power(draw: st.DrawFn, shape: Shape, depth: int) -> Expression:
    return algebra.power(_built(draw, shape, depth), draw(st.sampled_from(EXPONENTS)))


def _applied(draw: st.DrawFn, shape: Shape, depth: int) -> Expression:
    function: Function = draw(st.sampled_from([*FUNCTIONS, *PRIMED]))
    return function(_built(draw, shape, depth))


def _chosen(draw: st.DrawFn, shape: Shape, depth: int) -> Expression:
    one, other = _built(draw, shape, depth), _built(draw, shape, depth)
    condition = draw(st.sampled_from((algebra.greater, algebra.greater_equal)))
    compared = condition(one, draw(st.sampled_from((other, number(0)))))
    chosen = algebra.where(compared, other, one)
    bound = algebra.maximum(one, number(0)), algebra.minimum(one, other)
    return draw(st.sampled_from((compared, chosen, *bound)))


def _turned(draw: st.DrawFn, shape: Shape, depth: int) -> Expression:
    return matrices.transpose(_built(draw, shape[::-1], depth))


def _number_of(draw: st.DrawFn, shape: Shape, depth: int) -> Expression:
    inner = _built(draw, draw(st.sampled_from(SHAPES)), depth)
    square = _built(draw, draw(st.sampled_from(((N, N), (M, M)))), depth)
    found = (
        lambda: matrices.total(inner),
        lambda: norm(inner),
        lambda: algebra.power(norm(inner), 2),
        lambda: trace(square),
        lambda: det(square),
        lambda: LOG(det(square)),
    )
    build: Callable[[], Expression] = draw(st.sampled_from(found))
    return build()


def _inner(draw: st.DrawFn, shape: Shape, depth: int) -> Expression:
    left = _built(draw, (N, ONE), depth)
    return matrices.matmul(matrices.transpose(left), _built(draw, (N, ONE), depth))


def _square(draw: st.DrawFn, shape: Shape, depth: int) -> Expression:
    if draw(st.booleans()):
        return matrices.diag(_built(draw, (shape[0], ONE), depth))
    inverse = matrices.inverse(_built(draw, shape, depth))
    return matrices.transpose(inverse) if draw(st.booleans()) else inverse


def _composite(draw: st.DrawFn, shape: Shape, depth: int) -> Expression:
    rows, columns = shape
    if rows is BOTH:
        return vstack(_built(draw, (M, columns), depth), _built(draw, (N, columns), depth))
    if columns is BOTH:
        return hstack(_built(draw, (rows, M), depth), _built(draw, (rows, N), depth))
    if columns is ONE and draw(st.booleans()):
        return matrices.vec(_built(draw, draw(st.sampled_from(((M, N), (N, M)))), depth))
    factors = [(M, M), (N, N)] if columns is PAIRS else [(M, ONE), (N, ONE)]
    return matrices.kron(*(_built(draw, factor, depth) for factor in factors))


def _part(draw: st.DrawFn, shape: Shape, depth: int) -> Expression:
    if shape == (M, N) and draw(st.booleans()):
        return matrices.devec(draw(st.sampled_from(FUNCTIONS))(NAMED["q"]), shape)
    if shape[1] is N and shape[0] in (M, N):
        whole = _built(draw, (BOTH, N), depth)
        return block(whole, M if shape[0] is N else ZERO, shape[0], ZERO, N)
    if shape == (N, ONE):
        return diagonal(_built(draw, (N, N), depth))
    return block(_built(draw, (BOTH, ONE), depth), ZERO, shape[0], ZERO, ONE)


@st.composite
def expressions(draw: st.DrawFn) -> Expression:
    """Any expression, of any shape."""
    return _built(draw, draw(st.sampled_from(SHAPES)), draw(st.integers(0, 4)))


def read(words: str, shape: Shape) -> Expression:
    return parse_expression(words, symbols=NAMED, functions=LOOKUP.get, shape=shape)


def is_told(expression: Expression) -> bool:
    """Whether what is printed tells everything.

    It does not where a matrix of zeros is an operand (0 has no shape to show), where sizes are
    added or multiplied (`m n` is read as one size), and where a sum of scalars is a term of a sum
    of matrices.
    """
    for node in walk(expression):
        sizes = [part for part in node.arguments if any(n.operation == "size" for n in walk(part))]
        if node.operation in ("add", "multiply") and len(sizes) > 1:
            return False
        if node.operation == "add" and any(part.operation == "add" for part in node.arguments):
            return False
        if node.operation == "zero" and node is not expression:
            return False
    return True


def sizes_follow(expression: Expression, error: InputError) -> bool:
    """Whether an error is more than the size of an I or 𝟏 that only the shape would tell."""
    hides = any(node.operation in ("identity", "ones", "devec") for node in walk(expression))
    return "does not follow from anything" not in str(error) or not hides


def reads_back(expression: Expression, words: str) -> bool:
    try:
        found = read(words, expression.shape)
    except InputError as error:
        if sizes_follow(expression, error):
            raise AssertionError(f"{words}: {error}") from error
        return True
    return found is expression or found.form == expression.form


S, X = NAMED["S"], NAMED["x"]
DIFFICULT = [
    algebra.divide(algebra.power(S, -1), NAMED["s"]),
    algebra.multiply(number(2), algebra.power(S, -1)),
    algebra.multiply(matrices.kron(NAMED["P"], S), algebra.power(NAMED["G"], -1)),
    ABS(algebra.add(ABS(NAMED["s"]), NAMED["c"])),
    norm(algebra.multiply(norm(X), X)),
    algebra.power(matrices.total(algebra.power(X, 2)), Fraction(1, 2)),
    algebra.multiply(matrices.matmul(matrices.transpose(X), X), X),
    matrices.matmul(matrices.transpose(X), X, matrices.transpose(X), NAMED["mu"]),
    algebra.power(S, 3),
    matrices.matmul(S, S, S),
    matrices.inverse(matrices.matmul(S, S)),
    algebra.power(EXP(X), 2),
    algebra.power(algebra.power(NAMED["s"], 2), Fraction(1, 2)),
    algebra.where(algebra.greater(X, number(0)), X, EXP(X)),
    algebra.multiply(algebra.greater(X, number(0)), X),
    vstack(matrices.matmul(NAMED["A"], NAMED["C"]), NAMED["C"]),
    matrices.devec(NAMED["q"], (M, N)),
    algebra.divide(matrices.total(S), size(M * N)),
    matrices.commutation(M, N),
]


@pytest.mark.parametrize("expression", DIFFICULT, ids=text)
def test_a_difficult_expression_reads_back(expression: Expression) -> None:
    assert reads_back(expression, text(expression))
    assert reads_back(expression, latex(expression))


@settings(max_examples=600, deadline=None)
@given(expressions())
def test_text_reads_back(expression: Expression) -> None:
    assume(is_told(expression))
    assert reads_back(expression, text(expression)), text(expression)


@settings(max_examples=600, deadline=None)
@given(expressions())
def test_latex_reads_back(expression: Expression) -> None:
    assume(is_told(expression))
    assert reads_back(expression, latex(expression)), latex(expression)


@pytest.mark.parametrize("render", [text, latex])
def test_derivatives_read_back(render: Callable[[Expression], str]) -> None:
    for of, by in ((NAMED["s"], S), (X, NAMED["mu"]), (X, S), (S, X)):
        goal = jacobian(of, by)
        assert read(render(goal), goal.shape) is goal


@pytest.mark.parametrize("render", [text, latex])
def test_whole_derivations_read_back(render: Callable[[Expression], str]) -> None:
    """Every line of the derivation of a network, goals and results alike."""
    registry = load_registry()
    network = build_network("3-4:tanh-2:softmax", registry=registry)
    derivation = derive(network.system(batch=True))
    named = {step.name.symbol.name: step.name for step in derivation.steps if step.name}
    symbols = {s.symbol.name: s for s in derivation.system.symbols} | named
    count = 0
    for step in derivation.results:
        for expression in (step.goal, step.result):
            functions = {name: build_function(name, registry) for name in registry.activations}
            words = render(expression)
            found = parse_expression(
                words, symbols=symbols, functions=functions.get, shape=expression.shape
            )
            assert found.form == expression.form, words
            count += 1
    assert count >= 8
