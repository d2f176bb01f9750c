"""The grammar of equations: what is read, in which shapes, and how everything else is refused."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import block_diag
from scipy.special import logsumexp, softmax

from workbench.calculus.dimensions import ONE, Dimension
from workbench.calculus.expressions import Expression, Kind, symbol
from workbench.calculus.functions import Function
from workbench.core.evaluate import evaluate
from workbench.derivation.system import System
from workbench.notation.reading.equations import parse_expression, parse_system
from workbench.notation.reading.vocabulary import ALIASES, BUILTINS
from workbench.plugins.build import build_function
from workbench.plugins.registry import load_registry

Array = NDArray[Any]
M, N = Dimension.named("m"), Dimension.named("n")
SIZES = {"m": 2, "n": 3}
RANDOM = np.random.default_rng(5)
SHAPES = {
    **dict.fromkeys(("s", "t"), (ONE, ONE)),
    **dict.fromkeys(("x", "y"), (N, ONE)),
    **dict.fromkeys(("u", "b"), (M, ONE)),
    **dict.fromkeys(("A", "W1"), (M, N)),
    **dict.fromkeys(("C",), (N, M)),
    **dict.fromkeys(("S", "T1"), (N, N)),
    "P": (M, M),
    "v": (M + N, ONE),
    "q": (M * N, ONE),
}
SYMBOLS = {name: symbol(name, Kind.INPUT, shape) for name, shape in SHAPES.items()}
VALUES = {
    name: RANDOM.uniform(0.2, 1.5, [dimension.size(SIZES) for dimension in shape])
    for name, shape in SHAPES.items()
}
F = Function("f", symbol="f", latex="f")


@cache
def functions(name: str) -> Function | None:
    registry = load_registry()
    for record in registry.activations.values():
        if name in (record.name, record.symbol, *record.aliases):
            return build_function(record.name, registry)
    return F if name == "f" else None


def read(words: str) -> Expression:
    return parse_expression(words, symbols=SYMBOLS, functions=functions)


def system(words: str, *wrt: str) -> System:
    return parse_system(words, name="model.eq", functions=functions, wrt=wrt)


# what a formula means: plain NumPy is the judge


def vec(matrix: Array) -> Array:
    return matrix.reshape(-1, 1, order="F")


def commutation(rows: int, columns: int) -> Array:
    units = np.eye(rows * columns).reshape(rows * columns, columns, rows).transpose(0, 2, 1)
    return np.hstack([vec(unit.T) for unit in units])


E = np.exp
MEANINGS: dict[str, Callable[..., Any]] = {
    "W1 x + b": lambda W1, x, b: W1 @ x + b,
    "A C + b": lambda A, C, b: A @ C + b,
    "b + A C": lambda A, C, b: A @ C + b,
    "A' u": lambda A, u: A.T @ u,
    "A .* W1": lambda A, W1: A * W1,
    "A ./ W1": lambda A, W1: A / W1,
    "A .^ 2": lambda A: A**2,
    "S^2": lambda S: S @ S,
    "S.^2": lambda S: S**2,
    "S^3 x": lambda S, x: S @ S @ S @ x,
    "S^0": lambda S: np.eye(3),
    "S^-1": lambda S: np.linalg.inv(S),
    "S^-2": lambda S: np.linalg.inv(S @ S),
    "inv(S) x": lambda S, x: np.linalg.solve(S, x),
    "x^-1": lambda x: 1 / x,
    "x^2": lambda x: x**2,
    "transpose(A)": lambda A: A.T,
    "-x^2": lambda x: -(x**2),
    "2^-1 x": lambda x: x / 2,
    "s^2^3": lambda s: s**8,
    "1/2 x": lambda x: x / 2,
    "s/t x": lambda s, t, x: s / t * x,
    "s/(t s)": lambda s, t: 1 / t,
    "s - t - s": lambda s, t: -t,
    "s / t / s": lambda s, t: 1 / t,
    "-(-s) + - t": lambda s, t: s - t,
    "2 s - 1.5e-1 + .5": lambda s: 2 * s + 0.35,
    "(x' y) x": lambda x, y: (x.T @ y) * x,
    "x' y A": lambda x, y, A: (x.T @ y) * A,
    "x y' x": lambda x, y: x @ y.T @ x,
    "A x .* u": lambda A, x, u: (A @ x) * u,
    "u .* A x": lambda A, x, u: u * (A @ x),
    "A .* (u x')": lambda A, u, x: A * (u @ x.T),
    "x / (1 + exp(-x))": lambda x: x / (1 + E(-x)),
    "exp(x) / sum(exp(x))": lambda x: softmax(x),
    "1 / (1 + e^(-x))": lambda x: 1 / (1 + E(-x)),
    "sum(A)": lambda A: A.sum(),
    "mean(A)": lambda A: A.mean(),
    "sum(A, rows)": lambda A: A.sum(axis=1, keepdims=True),
    "sum(A, columns)": lambda A: A.sum(axis=0, keepdims=True),
    "rowsum(A) + colsum(C)'": lambda A, C: A.sum(axis=1, keepdims=True) + C.sum(0)[:, None],
    "mean(A, rows)": lambda A: A.mean(axis=1, keepdims=True),
    "mean(A, columns)": lambda A: A.mean(axis=0, keepdims=True),
    "rowmean(A) + colmean(C)'": lambda A, C: A.mean(axis=1, keepdims=True) + C.mean(0)[:, None],
    "A 1": lambda A: A.sum(axis=1, keepdims=True),
    "1' A": lambda A: A.sum(axis=0, keepdims=True),
    "A ones(n) + ones(m)": lambda A: A.sum(axis=1, keepdims=True) + 1,
    "A - zeros(m, n)": lambda A: A,
    "eye(m) + P": lambda P: P + np.eye(2),
    "S + s I": lambda S, s: S + s * np.eye(3),
    "tr(S)": lambda S: np.trace(S),
    "tr(A C)": lambda A, C: np.trace(A @ C),
    "det(P)": lambda P: np.linalg.det(P),
    "log(det(P)^2)": lambda P: np.log(np.linalg.det(P) ** 2),
    "logdet(S' S)": lambda S: np.log(np.linalg.det(S.T @ S)),
    "norm(x)": lambda x: np.linalg.norm(x),
    "norm(A)^2": lambda A: (A**2).sum(),
    "norm(-x, 1)": lambda x: x.sum(),
    "norm(-s)": lambda s: s,
    "sqrt(A)": lambda A: np.sqrt(A),
    "vec(A)": vec,
    "devec(q, m, n)": lambda q: q.reshape(2, 3, order="F"),
    "devec(vec(A)) + A": lambda A: 2 * A,
    "kron(A, C)": np.kron,
    "kron(x, y)' kron(x, y)": lambda x, y: np.kron(x, y).T @ np.kron(x, y),
    "K(m, n) vec(A)": lambda A: vec(A.T),
    "K vec(A) + q - q": lambda A: vec(A.T),
    "K(m, n)": lambda: commutation(2, 3),
    "diag(x) y": lambda x, y: x * y,
    "diag(S)": lambda S: np.diag(S)[:, None],
    "diagonal(S)": lambda S: np.diag(S)[:, None],
    "outer(u, x)": lambda u, x: u @ x.T,
    "dot(x, y)": lambda x, y: x.T @ y,
    "max(x, 1) + min(x, y)": lambda x, y: np.maximum(x, 1) + np.minimum(x, y),
    "where(x > y, x, 2)": lambda x, y: np.where(x > y, x, 2),
    "{x if x <= y, else -y}": lambda x, y: np.where(x <= y, x, -y),
    "[x > y] .* x": lambda x, y: (x > y) * x,
    "s[s > 1/2]": lambda s: s * (s > 0.5),
    "[u; x]": lambda u, x: np.vstack([u, x]),
    "vstack(u, x) + v": lambda u, x, v: np.vstack([u, x]) + v,
    "[P, A]": lambda P, A: np.hstack([P, A]),
    "hstack(P, A) v": lambda P, A, v: np.hstack([P, A]) @ v,
    "[P, 0; 0, S]": lambda P, S: block_diag(P, S),
    "[P, A; C, S] v": lambda P, A, C, S, v: np.block([[P, A], [C, S]]) @ v,
    "[x; s]": lambda x, s: np.vstack([x, s]),
    "v[1:m]": lambda v: v[:2],
    "v[m+1:m+n, :]": lambda v: v[2:],
    "softmax(A)": lambda A: softmax(A, axis=0),
    "softmax(A, rows)": lambda A: softmax(A, axis=1),
    "softmax(A, columns)": lambda A: softmax(A, axis=0),
    "logsumexp(x)": lambda x: logsumexp(x),
    "logsumexp(A)": lambda A: logsumexp(A, axis=0, keepdims=True),
    "logsumexp(A, rows)": lambda A: logsumexp(A, axis=1, keepdims=True),
    "log sum(x)": lambda x: np.log(x.sum()),
    "sin cos x": lambda x: np.sin(np.cos(x)),
    "sigmoid(x) + relu(-x)": lambda x: 1 / (1 + E(-x)),
    "|-x| + abs(s)": lambda x, s: x + s,
    "|s| t |s|": lambda s, t: s * t * s,
    "pi s": lambda s: np.pi * s,
    "sum(x) / n": lambda x: x.mean(),
    "sum(A) / (m n)": lambda A: A.mean(),
    "1/n S": lambda S: S / 3,
}


@pytest.mark.parametrize("words", MEANINGS)
def test_a_formula_means_what_it_says(words: str) -> None:
    judge = MEANINGS[words]
    names = judge.__code__.co_varnames if hasattr(judge, "__code__") else ()
    given = {"kron(A, C)": ("A", "C"), "vec(A)": ("A",)}.get(words, names)
    expected = np.asarray(judge(*(VALUES[name] for name in given)))
    found = read(words)
    values = {SYMBOLS[name]: value for name, value in VALUES.items()}
    shape = tuple(dimension.size(SIZES) for dimension in found.shape)
    numbers = np.broadcast_to(evaluate(found, values, SIZES), shape)
    np.testing.assert_allclose(numbers, np.broadcast_to(expected, shape), rtol=1e-10)
    assert shape == (expected.shape or (1, 1))


def test_every_function_of_the_language_is_in_the_table_of_meanings() -> None:
    read_somewhere = {word for words in MEANINGS for word in _words(words)}
    assert set(BUILTINS) - {"tr"} <= read_somewhere
    assert set(ALIASES.values()) <= {*BUILTINS, "log", "sign", "arctan"}


def _words(words: str) -> set[str]:
    return set("".join(c if c.isalpha() else " " for c in words).split())


SPELLINGS: list[tuple[str, ...]] = [
    ("W1 x + b", "W₁ x + b", r"\mathbf{W}_1 x + b", r"W_{1} \, x + b", "W_1*x+b", r"W^{(1)} x + b"),
    ("A'", "Aᵀ", "A^T", "A^⊤", r"A^\top", r"A^{\top}", r"A^{T}", r"A^{\mathsf{T}}", "A′", "A.'"),
    ("inv(S)", "S^-1", "S⁻¹", r"S^{-1}"),
    ("inv(S)'", "S⁻ᵀ", "S^-T", r"S^{-\top}", "(S')^-1", r"S^{-T}"),
    ("A .* W1", "A ⊙ W₁", r"A \odot W_1", "A ∘ W_1", r"A \circ W_1"),
    ("A ./ W1", "A ⊘ W₁", r"A \oslash W_1"),
    ("kron(A, C)", "A ⊗ C", r"A \otimes C"),
    ("1/2 x", "½ x", r"\frac{1}{2} x", r"\tfrac12 x", "0.5 x", r"\frac{x}{2}", "x/2", "x*1/2"),
    ("norm(x)^2", "‖x‖²", r"\lVert x \rVert^2", r"\left\| x \right\|_2^{2}", "||x||^2", "x'x"),
    ("norm(A)", "‖A‖_F", r"\left\lVert A \right\rVert_F", r"\|A\|_{F}"),
    ("sigmoid(x)", "σ(x)", r"\sigma(x)", r"\sigma\left(x\right)", r"\operatorname{sigmoid} x"),
    ("f'(x)", "f′(x)", r"f'\left(x\right)", "f '(x)"),
    ("f''(x)", "f″(x)", "f′′(x)"),
    ("sigmoid'(x)", "σ′(x)", r"\sigma'(x)"),
    ("tr(A C)", r"\operatorname{tr}(A C)", r"\tr(A C)", "trace(A C)", r"\text{tr}\left(A C\right)"),
    ("log(x)", r"\log x", r"\ln(x)", "ln(x)"),
    ("exp(-x)", "e^(-x)", r"e^{-x}", r"\exp\left(-x\right)", r"\mathrm{e}^{-x}"),
    ("sqrt(s)", "√s", "√(s)", r"\sqrt{s}", "s^(1/2)", "s^0.5", r"\sqrt[2]{s}"),
    ("abs(s)", "|s|", r"\lvert s \rvert", r"\left| s \right|"),
    ("A 1", "A 𝟏", r"A \mathbf{1}", "A ones(n)", r"A \mathbf{1}_n", "A 𝟏ₙ", r"A \mathbb{1}_{n}"),
    ("S + I", "S + I_n", "S + Iₙ", r"S + I_{n}", "S + eye(n)", r"S + \mathbf{I}"),
    ("K(m, n)", r"K_{m,n}", "K_{m, n}"),
    ("[u; x]", r"\begin{bmatrix} u \\ x \end{bmatrix}", r"\begin{pmatrix} u \\ x \end{pmatrix}"),
    ("[P, A]", r"\begin{bmatrix} P & A \end{bmatrix}"),
    ("v[m+1:m+n, :]", r"v_{[m+1:m+n,\,:]}", "v[1 + m:m + n]"),
    ("where(x > 0, x, s)", "{x if x > 0, else s}",
     r"\begin{cases} x & \text{if } x > 0 \\ s & \text{otherwise} \end{cases}"),
    ("[x >= 0]", "[x ≥ 0]", r"[x \ge 0]", r"\left[ x \geq 0 \right]", "[0 <= x]"),
    ("S.^2", "S ⊙ S", "S^⊙2", "S^⊙²", r"S^{\odot 2}", "S.^{2}"),
    ("x^(3/2)", "x³ᐟ²", r"x^{3/2}", "x.^1.5"),
    ("sum(A)", "∑ A", r"\sum A", r"\operatorname{sum}\left(A\right)"),
    ("s - t", "s − t", "s–t", "-t + s"),
    ("pi s", "π s", r"\pi s", "π·s", r"\pi \cdot s", "π × s"),
    ("x' y", "xᵀy", r"x^\top y", r"\boldsymbol{x}^{\top} \boldsymbol{y}", "dot(x, y)"),
    ("2 s", "2s", "2*s", "2·s", "(2)(s)", r"2 \times s"),
    ("max(x, 0)", r"\max(x, 0)", r"\max\left(x, 0\right)"),
]  # fmt: skip


@pytest.mark.parametrize("spellings", SPELLINGS, ids=lambda spellings: spellings[0])
def test_ascii_unicode_and_latex_give_the_same_node(spellings: tuple[str, ...]) -> None:
    first = read(spellings[0])
    for spelling in spellings[1:]:
        assert read(spelling).form == first.form, spelling
