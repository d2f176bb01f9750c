"""Every row of the rule table, wrong in every way that keeps the shapes, is found by the checks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import pytest

from workbench.calculus import blocks, matrices, square
from workbench.calculus.algebra import add as plus
from workbench.calculus.algebra import (
    greater,
    greater_equal,
    maximum,
    minimum,
    multiply,
    negate,
    power,
    spread,
    where,
)
from workbench.calculus.dimensions import ONE, Dimension, Shape
from workbench.calculus.expressions import Expression, Kind, number, symbol, walk
from workbench.calculus.functions import EXP
from workbench.calculus.pullbacks import RULES, Pullback, Rule
from workbench.core.checks.verify import verify
from workbench.core.evaluate import Array, Indices, evaluate
from workbench.derivation.differentiate import derive
from workbench.derivation.steps import Derivation
from workbench.derivation.system import Equation, System
from workbench.errors import WorkbenchError
from workbench.plugins.build import build_function
from workbench.plugins.registry import load_registry

M, N, P = (Dimension.named(name) for name in "mnp")
SIZES = {"m": 2, "n": 3, "p": 4}
ZERO = blocks.ZERO


def _parameter(name: str, shape: Shape) -> Expression:
    return symbol(name, Kind.PARAMETER, shape)


A, B, C = _parameter("A", (M, N)), _parameter("B", (M, N)), _parameter("C", (N, P))
S, T, X = _parameter("S", (N, N)), _parameter("T", (N, N)), _parameter("x", (N, ONE))
LONG, TALL, WIDE = (
    _parameter("v", (M * N, ONE)),
    _parameter("D", (P, N)),
    _parameter("E", (M, P)),
)
SIGMOID, SOFTMAX = (build_function(name, load_registry()) for name in ("sigmoid", "softmax"))

VALUES: dict[str, list[Expression]] = {
    "add": [plus(A, B)],
    "multiply": [multiply(A, B), multiply(S, T)],
    "power": [power(A, 3), power(S, 2)],
    "matmul": [matrices.matmul(A, C), matrices.matmul(S, T), matrices.matmul(S, T, X)],
    "transpose": [matrices.transpose(A), matrices.transpose(S)],
    "apply": [SIGMOID(A), EXP(S), SOFTMAX(A)],
    "where": [where(greater(A, B), power(A, 2), B)],
    "maximum": [maximum(A, B)],
    "minimum": [minimum(A, B)],
    "greater": [multiply(greater(A, B), A)],
    "greater_equal": [multiply(greater_equal(A, B), B)],
    "sum": [matrices.total(A)],
    "vec": [matrices.vec(A)],
    "devec": [matrices.devec(LONG, (M, N))],
    "diag": [matrices.diag(X)],
    "diagonal": [square.diagonal(S)],
    "inverse": [matrices.inverse(S)],
    "det": [square.det(S)],
    "trace": [square.trace(S)],
    "vstack": [blocks.vstack(A, TALL), blocks.vstack(A, B)],
    "hstack": [blocks.hstack(A, WIDE), blocks.hstack(A, B)],
    "block": [blocks.block(LONG, ZERO, M, ZERO, ONE), blocks.block(S, ZERO, N, ZERO, ONE)],
    "kron": [matrices.kron(A, TALL), matrices.kron(A, B), matrices.kron(A, X, TALL)],
}
"""For each rule, values that use it once, so that no two mistakes cancel."""


def _system(value: Expression) -> System:
    """The sum of squares of a value, or of exponentials where the value itself has powers."""
    has_powers = any(node.operation == "power" for node in walk(value))
    outer = EXP(value) if has_powers else power(value, 2)
    return System((Equation(symbol("L", Kind.LOSS), matrices.total(outer)),))


# Mutations


def _reordered(pulled: Expression) -> Expression | None:
    """The transpose's entries in the shape of the original."""
    if pulled.is_column or pulled.shape[0] == ONE:
        return None
    turned = matrices.transpose(pulled)
    return matrices.devec(matrices.vec(turned), pulled.shape)


def _factors(pulled: Expression) -> tuple[Expression, ...]:
    return pulled.arguments if pulled.operation in ("multiply", "matmul", "kron") else ()


def _without(place: int) -> Mutation:
    def mutate(rule: Rule, node: Expression, index: int, gradient: Expression) -> Expression | None:
        pulled = rule.pullback(node, index, gradient)
        factors = _factors(pulled)
        if place >= len(factors):
            return None
        build = {"multiply": multiply, "matmul": matrices.matmul, "kron": matrices.kron}
        kept = factors[:place] + factors[place + 1 :]
        return build[pulled.operation](*kept)

    return mutate


def _backwards(rule: Rule, node: Expression, index: int, gradient: Expression) -> Expression | None:
    """A product in the opposite order."""
    pulled = rule.pullback(node, index, gradient)
    if pulled.operation != "matmul":
        return None
    return matrices.matmul(*reversed(pulled.arguments))


def _of_the_next(rule: Rule, node: Expression, index: int, gradient: Expression) -> Expression:
    """What another operand gets."""
    return rule.pullback(node, (index + 1) % len(node.arguments), gradient)


def _changed(change: Callable[[Expression], Expression | None]) -> Mutation:
    def mutate(rule: Rule, node: Expression, index: int, gradient: Expression) -> Expression | None:
        return change(rule.pullback(node, index, gradient))

    return mutate


Mutation = Callable[[Rule, Expression, int, Expression], Expression | None]
"""(rule, node, which argument, gradient) → a wrong contribution, None where there is none."""

MUTATIONS: Mapping[str, Mutation] = {
    "negated": _changed(negate),
    "doubled": _changed(lambda pulled: multiply(number(2), pulled)),
    "a little too large": _changed(lambda pulled: multiply(number(Fraction(1001, 1000)), pulled)),
    "transposed": _changed(_reordered),
    "without its first factor": _without(0),
    "without its second factor": _without(1),
    "without its third factor": _without(2),
    "in the opposite order": _backwards,
    "what the next operand gets": _of_the_next,
    "the gradient itself": lambda rule, node, index, gradient: gradient,
    "nothing": _changed(lambda pulled: multiply(number(0), pulled)),
}


@dataclass
class Mutant:
    """A rule that is wrong wherever the mutation applies; `differs` tells whether it did."""

    rule: Rule
    mutation: Mutation
    differs: bool = False

    def pullback(self, node: Expression, index: int, gradient: Expression) -> Expression:
        """The wrong contribution where there is one of the right shape, else the right one."""
        right = self.rule.pullback(node, index, gradient)
        try:
            wrong = self.mutation(self.rule, node, index, gradient)
        except WorkbenchError:
            return right
        if wrong is None or (wrong.shape != right.shape and not wrong.is_scalar):
            return right
        wrong = spread(wrong, right.shape)
        if _are_equal(right, wrong):
            return right
        self.differs = True
        return wrong


def _are_equal(left: Expression, right: Expression) -> bool:
    """Whether two expressions agree at a random point, with any values for all their leaves."""
    if left.form == right.form:
        return True
    random, drawn = np.random.default_rng(0), dict[Expression, Array]()
    sizes = SIZES | {name: 5 for node in walk(left, right) for d in node.shape for name in d.names}
    sizes |= SIZES

    def leaf(node: Expression, indices: Indices) -> Array:
        if node not in drawn:
            shape = tuple(dimension.size(sizes) for dimension in node.shape)
            drawn[node] = random.normal(size=shape)
        return drawn[node]

    try:
        first, second = (evaluate(side, {}, sizes, None, leaf) for side in (left, right))
    except (WorkbenchError, KeyError):
        return False
    return bool(np.allclose(first, second, rtol=1e-9, atol=1e-12))


def _clear_caches() -> None:
    """Forget every derivative that was worked out by a rule."""
    for name, module in list(sys.modules.items()):
        if name.startswith("workbench"):
            for member in list(vars(module).values()):
                if callable(clear := getattr(member, "cache_clear", None)):
                    clear()


@pytest.fixture(autouse=True)
def _without_memory() -> Iterator[None]:
    _clear_caches()
    yield
    _clear_caches()


def _derived(system: System) -> Derivation | None:
    try:
        return derive(system)
    except (WorkbenchError, AssertionError):
        return None


def test_every_rule_has_systems_and_they_are_right() -> None:
    assert set(VALUES) == set(RULES)
    for operation, values in VALUES.items():
        for value in values:
            assert operation in {node.operation for node in walk(value)}
            derivation = verify(derive(_system(value)))
            assert not derivation.failed
            assert all(step.check for step in derivation.results)


@pytest.mark.parametrize("operation", RULES)
def test_no_wrong_rule_survives(operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = RULES[operation]
    told_apart: set[str] = set()
    for name, mutation in MUTATIONS.items():
        for value in VALUES[operation]:
            _clear_caches()
            mutant = Mutant(rule, mutation)
            pullback: Pullback = mutant.pullback
            monkeypatch.setitem(RULES, operation, replace(rule, pullback=pullback))
            derivation = _derived(_system(value))
            monkeypatch.setitem(RULES, operation, rule)
            if mutant.differs:
                found = derivation is None or verify(derivation, seeds=(0,)).failed
                assert found, f"{operation} {name} survives on {value!r}"
                told_apart.add(name)
    is_flat = operation.startswith("greater")
    assert told_apart >= ({"the gradient itself"} if is_flat else {"negated", "doubled", "nothing"})
