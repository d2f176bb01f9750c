"""The tiers of proof: exact identities modulo a prime, 50 digits, and what each can tell."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from workbench.calculus import matrices, square
from workbench.calculus.algebra import add, divide, multiply, negate, power, subtract
from workbench.calculus.dimensions import ONE, Dimension
from workbench.calculus.expressions import Expression, Kind, number, ones, size, symbol
from workbench.calculus.functions import (
    COSH,
    EXP,
    LOG,
    PRIMITIVES,
    SIN,
    SINH,
    TANH,
    VARIABLE,
    Function,
    undetermined,
)
from workbench.core.checks.degrees import DRAWN, Degree, degree
from workbench.core.checks.precise import Precise
from workbench.core.checks.residue_points import VariablePoint
from workbench.core.checks.residues import PRIMES, SLOT, Inapplicable, Residues
from workbench.core.checks.verify import verify
from workbench.core.evaluate import evaluate
from workbench.derivation.differentiate import derive
from workbench.derivation.network import PREDICTION, TARGET, LossFunction, Network
from workbench.derivation.second_order import second_order
from workbench.derivation.steps import Check, Derivation, Tier
from workbench.derivation.system import Equation, System
from workbench.derivation.voice import VoiceName
from workbench.notation.reading.formulas import parse_formula
from workbench.plugins.build import build_function
from workbench.plugins.registry import load_registry

REGISTRY = load_registry()
EVERY = (Tier.SHAPES, Tier.FLOAT64, Tier.EXACT)
M, N, K, T = (Dimension.named(name) for name in "mnkT")
S = symbol("S", Kind.PARAMETER, (N, N))
R = symbol("R", Kind.PARAMETER, (N, N))


def _checks(derivation: Derivation) -> list[Check]:
    return [step.check for step in derivation.steps if step.check is not None]


def _residue(
    expression: Expression, seed: int = 0, order: int = 0, at: VariablePoint | None = None
) -> Any:
    """The residue of a formula in one variable at a random point, its slope with order 1."""
    point = at or VariablePoint((1, 1), np.array([[0.3]]), seed)
    moved = point.environment(0)[VARIABLE] + (1 << SLOT if order else 0)
    found = Residues(point, 0, order, {VARIABLE: moved}, {}).value(expression).item()
    return found >> SLOT if order else found


def _integers(matrix: np.ndarray[Any, Any], expression: Expression) -> np.ndarray[Any, Any]:
    """The residues of an expression of S, for a matrix of whole numbers."""
    point = VariablePoint((1, 1), np.array([[0.3]]), 0)
    values = {S: matrix.astype(object) % PRIMES[0]}
    return Residues(point, 0, 0, values, {"n": len(matrix)}).value(expression)


# The field


def test_the_primes_are_a_chain_and_small_numbers_are_squares() -> None:
    sympy = pytest.importorskip("sympy")
    assert all(sympy.isprime(p) for p in PRIMES)
    assert PRIMES[0].bit_length() == 61
    assert all(p == 2 * q + 1 for p, q in pairwise(PRIMES))
    for p in PRIMES:
        assert all(pow(a, (p - 1) // 2, p) == 1 for a in range(2, 17))


@given(st.lists(st.integers(-9, 9), min_size=9, max_size=9))
@settings(max_examples=30, deadline=None)
def test_determinants_and_inverses_are_those_of_whole_numbers(entries: list[int]) -> None:
    sympy = pytest.importorskip("sympy")
    matrix = np.array(entries).reshape(3, 3)
    exact = sympy.Matrix(3, 3, entries)
    if exact.det() == 0:
        with pytest.raises(Inapplicable):
            _integers(matrix, matrices.inverse(S))
        return
    assert _integers(matrix, square.det(S)).item() == int(exact.det()) % PRIMES[0]
    adjugate = multiply(square.det(S), matrices.inverse(S))
    expected = np.array(exact.adjugate().tolist(), dtype=object) % PRIMES[0]
    assert np.all(_integers(matrix, adjugate) == expected)


TWO = number(2)
IDENTITIES: list[tuple[Expression, Expression]] = [
    (EXP(add(VARIABLE, TWO)), multiply(EXP(VARIABLE), EXP(TWO))),
    (EXP(multiply(number(3), VARIABLE)), power(EXP(VARIABLE), 3)),
    (power(EXP(VARIABLE), Fraction(1, 2)), EXP(multiply(number(Fraction(1, 2)), VARIABLE))),
    (
        EXP(EXP(add(VARIABLE, TWO))),
        EXP(multiply(EXP(VARIABLE), EXP(TWO))),
    ),
    (subtract(power(COSH(VARIABLE), 2), power(SINH(VARIABLE), 2)), number(1)),
    (TANH(VARIABLE), divide(SINH(VARIABLE), COSH(VARIABLE))),
    (SIN(negate(VARIABLE)), negate(SIN(VARIABLE))),
    (
        add(power(SIN(VARIABLE), 2), power(PRIMITIVES["cos"](VARIABLE), 2)),
        number(1),
    ),
    (
        power(number(6), Fraction(1, 2)),
        multiply(*(power(number(a), Fraction(1, 2)) for a in (2, 3))),
    ),
]


@pytest.mark.parametrize(("left", "right"), IDENTITIES)
def test_identities_hold_in_the_field(left: Expression, right: Expression) -> None:
    assert all(_residue(left, seed) == _residue(right, seed) for seed in range(3))
    assert _residue(left) != _residue(add(right, number(Fraction(1, 10**30))))


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "swish", "gelu", "softplus", "elu", "relu"])
def test_a_slope_is_that_of_series(name: str) -> None:
    """f′ as an atom, and the coefficient of ε in f(z + ε)."""
    function = build_function(name, REGISTRY)
    assert _residue(function(VARIABLE), order=1) == _residue(function.prime(VARIABLE))


def test_slopes_by_hand() -> None:
    """(z³)′ = 3z², (eᶻ²)′ = 2z eᶻ², (log z)′ = 1/z, and f′ of an undetermined f."""
    f, square = undetermined("f"), power(VARIABLE, 2)
    for formula, slope in [
        (power(VARIABLE, 3), multiply(number(3), square)),
        (EXP(square), multiply(TWO, VARIABLE, EXP(square))),
        (LOG(VARIABLE), power(VARIABLE, -1)),
        (f(square), multiply(TWO, VARIABLE, f.prime(square))),
        (f.prime(VARIABLE), f.prime.prime(VARIABLE)),
    ]:
        point = VariablePoint((1, 1), np.array([[0.3]]), 0)
        assert _residue(formula, order=1, at=point) == _residue(slope, at=point)
    point = VariablePoint((1, 1), np.array([[0.3]]), 0)
    values = [_residue(g(VARIABLE), at=point) for g in (f, f.prime, undetermined("g"), f)]
    assert len(set(values[:3])) == 3
    assert values[0] == values[3]


def test_degrees_by_hand() -> None:
    """σ = 1/(1 + e⁻ᶻ) is of degree (1, 1) in e^−z; a sum of three such has three denominators."""
    sigmoid = build_function("sigmoid", REGISTRY)
    found = degree(sigmoid(VARIABLE), {VARIABLE: DRAWN}, {})
    assert (found.above, found.below) == (1, 1)
    assert found.times(3).below == 3
    assert degree(square.det(S), {S: DRAWN}, {"n": 4}) == Degree(4)


# Steps


@pytest.mark.parametrize("activation", list(REGISTRY.activations))
def test_every_step_of_every_activation_is_proved(activation: str) -> None:
    for batch in False, True:
        network = wb.network("2-3-2", activation=activation)
        for check in _checks(verify(derive(network.system(batch=batch)))):
            assert check.tiers == EVERY
            assert check.chance is not None
            assert check.chance < 1e-8


@pytest.mark.parametrize("loss", list(REGISTRY.losses))
def test_every_step_of_every_loss_is_proved(loss: str) -> None:
    network = wb.network("2-3-3:softmax", loss=loss)
    for system in network.system(batch=True), network.scalar_system():
        assert {check.tiers for check in _checks(verify(derive(system)))} == {EVERY}


def _attention() -> System:
    """softmax(KᵀQ/√k), a layer norm (with roots in the field) and a residual connection."""
    equations: list[Equation] = []

    def let(name: str, value: Expression, kind: Kind = Kind.INTERMEDIATE) -> Expression:
        left = symbol(name, kind, value.shape)
        equations.append(Equation(left, value))
        return left

    weights = [symbol(f"W{name}", Kind.PARAMETER, (K, M)) for name in "QKV"]
    inputs = symbol("X", Kind.INPUT, (M, T))
    queries, keys, values = (let(w.symbol.name[1], matrices.matmul(w, inputs)) for w in weights)
    scores = matrices.matmul(matrices.transpose(keys), queries)
    scaled = let("S", multiply(power(size(K), Fraction(-1, 2)), scores))
    chosen = let("P", build_function("softmax", REGISTRY)(scaled))
    output = symbol("WO", Kind.PARAMETER, (M, K))
    mixed = let("U", add(inputs, matrices.matmul(output, values, chosen)))
    down = ones((ONE, M))
    mean = let("mu", multiply(power(size(M), -1), matrices.matmul(down, mixed)))
    centred = let("C", subtract(mixed, matrices.matmul(matrices.transpose(down), mean)))
    variance = multiply(power(size(M), -1), matrices.matmul(down, power(centred, 2)))
    inverse = let("r", power(add(variance, number(Fraction(1, 10**5))), Fraction(-1, 2)))
    normal = multiply(centred, matrices.matmul(matrices.transpose(down), inverse))
    target = symbol("Y", Kind.TARGET, (M, T))
    let("L", matrices.total(power(subtract(normal, target), 2)), Kind.LOSS)
    return System(tuple(equations))


def test_attention_with_a_layer_norm_is_proved() -> None:
    assert {check.tiers for check in _checks(verify(derive(_attention())))} == {EVERY}


def test_inverses_and_determinants_are_proved() -> None:
    loss = symbol("L", Kind.LOSS)
    for value in (
        LOG(square.det(add(matrices.matmul(S, R), matrices.transpose(S)))),
        square.trace(matrices.matmul(matrices.inverse(add(S, R)), R)),
    ):
        derivation = verify(derive(System((Equation(loss, value),))))
        assert {check.tiers for check in _checks(derivation)} <= {
            EVERY,
            (*EVERY[:2], Tier.PRECISE, Tier.EXACT),
        }


@pytest.mark.parametrize("voice", list(VoiceName))
def test_every_voice_is_proved(voice: VoiceName) -> None:
    derivation = verify(derive(wb.network("2-3-2").system(batch=True), voice=voice))
    assert {check.tiers for check in _checks(derivation)} == {EVERY}


def test_hessians_and_jacobians_of_vectors_are_proved() -> None:
    system = wb.network("2-3").system()
    ends_in_a_vector = derive(System(system.equations[:-1]))
    for derivation in second_order(derive(system)), ends_in_a_vector:
        verified = verify(derivation)
        assert {check.tiers for check in _checks(verified)} == {EVERY}
        last = derivation.steps[-1]
        wrong = replace(last.stages[-1], expression=multiply(TWO, last.result))
        changed = replace(last, stages=(*last.stages[:-1], wrong))
        (failed,) = verify(derivation.with_steps([*derivation.steps[:-1], changed])).failed
        assert failed.id == last.id


def _with_result(derivation: Derivation, change: Any) -> tuple[Derivation, int]:
    step = derivation.results[0]
    wrong = replace(step.stages[-1], expression=change(step.result))
    changed = replace(step, stages=(*step.stages[:-1], wrong))
    steps = [changed if s is step else s for s in derivation.steps]
    return derivation.with_steps(steps), step.id


def _check_of(derivation: Derivation, id_: int) -> Check:
    (check,) = (step.check for step in derivation.steps if step.id == id_)
    assert check is not None
    return check


def test_what_float64_cannot_see_is_found() -> None:
    derivation = derive(wb.network("2-3-2").system())
    factor = number(1 + Fraction(1, 10**25))
    wrong, place = _with_result(derivation, lambda result: multiply(factor, result))
    check = _check_of(verify(wrong), place)
    assert Tier.FLOAT64 in check.tiers
    assert Tier.EXACT not in check.tiers
    assert check.max_relative_error < 1e-12
    assert not check.passed


@pytest.mark.parametrize(
    "text",
    [
        "parameter x : m\ninput D : m×m\nL = sum(softplus(sign(softmax(x))) .* D x)",
        "parameter W : m×n\nL = norm(sigmoid(max(W, 0)) .* W)^2",
        "parameter x : n\nL = norm(elu(ones(n)) .* x)^2",
    ],
)
def test_functions_of_what_does_not_move_are_proved(text: str) -> None:
    """Branches and exponents of an argument that is the same for all directions."""
    assert {check.tiers for check in _checks(verify(derive(wb.equations(text))))} == {EVERY}


def test_a_relation_the_field_lacks_is_left_to_the_other_tiers() -> None:
    """log 2 + log 3 = log 6 and not log 7, but logarithms are atoms here."""
    derivation = derive(wb.network("2-3-2").system())
    for whole in 6, 7:
        ratio = divide(add(LOG(number(2)), LOG(number(3))), LOG(number(whole)))
        changed, place = _with_result(derivation, partial(multiply, ratio))
        check = _check_of(verify(changed), place)
        assert check.passed == (whole == 6)
        assert Tier.EXACT not in check.tiers
        assert check.chance is None


def test_a_stage_of_another_shape_fails() -> None:
    derivation = derive(wb.network("2-3-2").system())
    wrong, place = _with_result(derivation, matrices.vec)
    check = _check_of(verify(wrong), place)
    assert not check.passed
    assert check.tiers == ()


# 50 digits


STEEP = Function("steep", parse_formula("exp(1000*z) / (1 + exp(1000*z))", {"z": VARIABLE}))
NOTHING = "sum((a - y)^2) - sum(a^2) + 2*sum(a*y) - sum(y^2)"


PLAIN = wb.network("2-3")
SATURATED = replace(PLAIN, activations=(STEEP,))
CANCELLED = replace(
    PLAIN,
    loss=LossFunction("mine", parse_formula(NOTHING, {"a": PREDICTION, "y": TARGET}), "mean", ()),
)


@pytest.mark.parametrize("network", [SATURATED, CANCELLED])
def test_overflow_and_cancellation_are_settled_by_digits(network: Network) -> None:
    """A saturated function whose stages overflow; a loss of zero, whose gradient is rounding."""
    found: set[Tier] = set()
    for system in network.system(), network.system(batch=True), network.scalar_system():
        derivation = verify(derive(system))
        assert not derivation.failed
        found.update(tier for check in _checks(derivation) for tier in check.tiers)
    assert Tier.PRECISE in found


@pytest.mark.parametrize("network", [SATURATED, CANCELLED])
def test_wrong_lines_fail_where_digits_decide(network: Network) -> None:
    def change(result: Expression) -> Expression:
        larger = multiply(number(Fraction("1.0001")), result)
        return add(larger, multiply(number(Fraction(1, 10**9)), ones(result.shape)))

    wrong, place = _with_result(derive(network.system()), change)
    assert not _check_of(verify(wrong), place).passed


@pytest.mark.parametrize("name", [*PRIMITIVES, *REGISTRY.activations])
def test_fifty_digits_and_float64_agree(name: str) -> None:
    function = PRIMITIVES.get(name) or build_function(name, REGISTRY)
    random = Random(1)
    points = np.array([[0.2 + random.random()] for _ in range(4)])
    formula = function(VARIABLE)
    if function.columnwise:
        column = symbol("c", Kind.INPUT, (N, ONE))
        found = Precise(50).value(function(column), {column: Precise(50).whole(points)}, {"n": 4})
        expected = evaluate(function(column), {column: points}, {"n": 4})
    else:
        found = Precise(50).value(formula, {VARIABLE: Precise(50).whole(points)}, {})
        expected = evaluate(formula, {VARIABLE: points})
    np.testing.assert_allclose(found.astype(float), expected, rtol=1e-14)
