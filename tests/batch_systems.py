"""Equations about one sample, by hand and at random, with values for them and for their batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.calculus.algebra import add, divide, maximum, multiply, power, where
from workbench.calculus.algebra import greater as is_greater
from workbench.calculus.blocks import ZERO, block, hstack, vstack
from workbench.calculus.dimensions import ONE, Dimension
from workbench.calculus.expressions import Expression, Kind, number, ones, symbol
from workbench.calculus.functions import SIN, TANH
from workbench.calculus.matrices import diag, matmul, total, transpose
from workbench.core.evaluate import evaluate
from workbench.derivation.batching import GIVEN
from workbench.derivation.network import BATCH
from workbench.derivation.system import Equation, System
from workbench.plugins.build import build_function
from workbench.plugins.registry import load_registry

Array = NDArray[Any]
Values = dict[Expression, Array]
Draw = Callable[[], Expression]
SAMPLES = 4
SIZES = {"n": 3, "m": 2, "k": 5, "d": 3, "h": 2, BATCH.names[0]: SAMPLES}
SOFTMAX = build_function("softmax", load_registry())

DECLARED = """
input x : n, z : n, t : 1, u : 1, v : 4
target y : n
parameter W : n×n, A : n×n, w : n, b : n, c : 1, q : 4
"""
RULES = (
    "norm(W x + b - y)^2",
    "norm(W x - y)^2 + c^2 norm(w)^2",
    "sum(x .* w) + mean(x .* z .* b)",
    "sum(sin(x)) + sum(t w) + c t u",
    "x' A z + x' A' w + w' A x",
    "norm((x z' + A) b + diag(x) (A w) + diag(z) y)^2",
    "norm((t A + c diag(x)) z)^2",
    "norm(t (u A + x w') b)^2",
    "norm((A x z')' w)^2 + sum(A x w' z)",
    "norm(x' A diag(z) - w')^2",
    "sum(A x z') + sum(t A + x w')",
    "norm(softmax(W x + b) - y)^2",
    "sum(x' .* w' / (2 + sin(t)))",
    "norm(max(x, w) + min(x, t) - max(t, c) b)^2",
    "sum(where(x > w, x z' b, t)) + where(t > u, t c, x' w)",
    "norm(x / (1 + t^2) + c / (2 + sin(x)))^2 + t^3",
    "norm([W x; t; w; c])^2",
    "norm([x', t, w'] [A; c b'; W])^2",
    "norm(sin(v .* q)[2:3])^2 + sum(tanh(q' diag(v))[1, 2:4]) t",
    "norm(relu(x - w) + abs(z) - gelu(b .* y))^2",
    "log(1 + exp(-t (w' x + c)))",
    "-sum(y .* log(softmax(W x)))",
    "tr(x w' A) + norm(t w)^2 norm(x)",
    "3 c + t c + norm(b) - 2",
)


def drawn(system: System, fixed: Sequence[str], seed: int) -> list[Values]:
    """Values of what is given, for each of the samples."""
    random = np.random.default_rng(seed)
    samples: list[Values] = [{} for _ in range(SAMPLES)]
    for given in system.of_kind(*GIVEN):
        differs = given.symbol.kind is not Kind.PARAMETER and given.symbol.name not in fixed
        draws = random.uniform(0.2, 1.5, (SAMPLES, *shape_of(given))) - (0.0 if differs else 0.9)
        for place, sample in enumerate(samples):
            sample[given] = draws[place if differs else 0]
    return samples


def shape_of(node: Expression) -> tuple[int, int]:
    return node.shape[0].size(SIZES), node.shape[1].size(SIZES)


def evaluated(equations: Sequence[Equation], given: Mapping[Expression, Array]) -> Values:
    """The values of what is given and of every left side."""
    known = dict(given)
    for equation in equations:
        value = evaluate(equation.right, known, SIZES)
        known[equation.left] = np.broadcast_to(value, shape_of(equation.left))
    return known


def joined(single: System, batch: System, samples: list[Values]) -> Values:
    """The values of the batch's symbols: a sample a column."""
    found = {}
    for many, one in zip(batch.of_kind(*GIVEN), single.of_kind(*GIVEN), strict=False):
        columns = [sample[one].reshape(-1, 1) for sample in samples]
        found[many] = np.hstack(columns) if many.shape[1] == BATCH else samples[0][one]
    return found


class Drawing:
    """Random equations: every operation that has a batch form, in any combination."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        n = Dimension.named("n")
        self.columns = [
            *(symbol(name, Kind.INPUT, (n, ONE)) for name in ("x", "X")),
            *(symbol(name, Kind.PARAMETER, (n, ONE)) for name in ("w", "b")),
        ]
        self.numbers = [symbol("t", Kind.INPUT), symbol("c", Kind.PARAMETER), number(2)]
        self.matrices = [symbol(name, Kind.PARAMETER, (n, n)) for name in ("W", "A")]
        self.size = n

    def system(self) -> System:
        """A few equations, each of which may use those before it, and a loss of the last."""
        equations = []
        for place in range(3):
            is_column = self.random.random() < 0.6
            right = self.column(3) if is_column else self.number(3)
            left = symbol(f"h{place}", Kind.INTERMEDIATE, right.shape)
            equations.append(Equation(left, right))
            (self.columns if is_column else self.numbers).append(left)
        loss = add(
            total(multiply(self.columns[-1], self.columns[0])), self.number(2), self.numbers[-1]
        )
        return System((*equations, Equation(symbol("L", Kind.LOSS), loss)))

    def _choice(self, choices: Sequence[Draw]) -> Expression:
        return choices[int(self.random.integers(len(choices)))]()

    def _known(self, expressions: Sequence[Expression]) -> Expression:
        return expressions[int(self.random.integers(len(expressions)))]

    def _smaller(self, depth: int) -> tuple[Draw, Draw]:
        return partial(self.column, depth - 1), partial(self.number, depth - 1)

    def column(self, depth: int) -> Expression:
        if depth == 0 or self.random.random() < 0.2:
            return self._known(self.columns)
        column, scalar = self._smaller(depth)
        half = Dimension.named("h")
        return self._choice(
            [
                lambda: add(column(), column()),
                lambda: add(column(), scalar()),
                lambda: multiply(column(), column()),
                lambda: multiply(scalar(), column()),
                lambda: multiply(scalar(), ones((self.size, ONE))),
                lambda: TANH(column()),
                lambda: SOFTMAX(TANH(column())),
                lambda: matmul(self.matrix(depth - 1), column()),
                lambda: transpose(matmul(transpose(column()), self.matrix(depth - 1))),
                lambda: maximum(column(), column()),
                lambda: where(is_greater(column(), scalar()), column(), scalar()),
                lambda: divide(column(), add(number(1), power(scalar(), 2))),
                lambda: block(vstack(column(), column()), half, self.size, ZERO, ONE),
                lambda: transpose(
                    block(
                        hstack(transpose(column()), scalar(), transpose(column())),
                        ZERO,
                        ONE,
                        half,
                        self.size,
                    )
                ),
            ]
        )

    def number(self, depth: int) -> Expression:
        if depth == 0 or self.random.random() < 0.2:
            return self._known(self.numbers)
        column, scalar = self._smaller(depth)
        return self._choice(
            [
                lambda: add(scalar(), scalar()),
                lambda: multiply(scalar(), scalar()),
                lambda: SIN(scalar()),
                lambda: total(column()),
                lambda: matmul(transpose(column()), column()),
                lambda: matmul(transpose(column()), self.matrix(depth - 1), column()),
                lambda: total(self.matrix(depth - 1)),
                lambda: where(is_greater(scalar(), scalar()), scalar(), scalar()),
            ]
        )

    def matrix(self, depth: int) -> Expression:
        if depth <= 0 or self.random.random() < 0.4:
            return self._known(self.matrices)
        column, _ = self._smaller(depth)
        return self._choice(
            [
                lambda: matmul(column(), transpose(column())),
                lambda: diag(column()),
                lambda: transpose(self.matrix(depth - 1)),
                lambda: multiply(self.number(depth - 1), self.matrix(depth - 1)),
                lambda: add(self.matrix(depth - 1), self.matrix(depth - 1)),
                lambda: matmul(self.matrix(depth - 1), self.matrix(depth - 1)),
            ]
        )
