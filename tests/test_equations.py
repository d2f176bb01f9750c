"""Systems and identities from text: kinds, shapes that nothing declares, and everything refused."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.calculus.expressions import Expression, Kind, describe, symbols_of
from workbench.calculus.functions import VARIABLE, Function
from workbench.derivation.system import System
from workbench.errors import InputError
from workbench.notation.reading.equations import parse_expression, parse_identity, parse_system
from workbench.notation.text import text
from workbench.plugins.build import build_function
from workbench.plugins.registry import load_registry


@cache
def functions(name: str) -> Function | None:
    registry = load_registry()
    for record in registry.activations.values():
        if name in (record.name, record.symbol, *record.aliases):
            return build_function(record.name, registry)
    return None


def system(words: str, *wrt: str) -> System:
    return parse_system(words, name="model.eq", functions=functions, wrt=wrt)


# shapes that nothing declares


INFERRED: dict[str, str] = {
    "1/2 (W x + b - y)' (W x + b - y)": "W m×n, x n×1, b m×1, y m×1",
    "Z = W X + b; sum(Z)": "W m×n, X n×p, b m×1, Z m×p",
    "z = w1 x1 + w2 x2 + b; (z - y)^2": "w1 1×1, x1 1×1, w2 1×1, x2 1×1, b 1×1, z 1×1, y 1×1",
    "x' A x + c' x + d": "x m×1, A m×m, c m×1, d 1×1",
    "tr(A X B)": "A m×n, X n×p, B p×m",
    "logdet(A X A')": "A m×n, X n×n",
    "vec(X)' kron(A, B) vec(X)": "X m×n, A n×n, B m×m",
    "w' x + b": "w m×1, x m×1, b 1×1",
    "sum(x .* y)": "x m×1, y m×1",
    "[x; 1]' A [x; 1]": "x m×1, A (1 + m)×(1 + m)",
    "S = softmax(Q K1' / sqrt(d), rows); sum(S V)": "Q m×n, K1 p×n, d 1×1, S m×p, V p×q",
    "input x : n\nh = tanh(U x + V h0)\nsum(h)": "x n×1, U m×n, V m×p, h0 p×1, h m×1",
    "input W : 10 x 784\nsum(W x)": "W 10×784, x 784×1",
    "input W : m by n, c : 2 m\nnorm([W x; W x] - c)": "W m×n, c 2·m×1, x n×1",
    "input n : 1\nsum(x) / n": "n 1×1, x m×1",
    "Y = X + relu(W X); norm(Y)": "X m×n, W m×m, Y m×n",
    "input X : 4×5\nsum(X[2:3, :] y) + sum(X[:, 5])": "X 4×5, y 5×1",
    "input m : 1\nx' x + m": "m 1×1, x n×1",
    "c A x": "c 1×1, A m×n, x n×1",
    "(A + u v')^-1": "A m×m, u m×1, v m×1",
    "x / norm(x)": "x m×1",
    "(Y - A B)' (Y - A B)": "Y m×n, A m×p, B p×n",
}


@pytest.mark.parametrize("words", INFERRED)
def test_shapes_follow_from_the_equations(words: str) -> None:
    found = {s.symbol.name: describe(s.shape) for s in system(words).symbols}
    found.pop("L")
    expected = dict(entry.split(" ", 1) for entry in INFERRED[words].split(", "))
    assert found == expected


def test_a_system_has_kinds_assumptions_and_order() -> None:
    found = system(
        "# a layer\n\ninput x : n; parameter W : m×n, b\ntarget y : m\nelementwise g\n"
        "parameter S : m×m symmetric   # a metric\nassume sum(y) = 1\n"
        "z = W x + b\na = g(z)\nL = (a - y)' S (a - y) + g'(c)",
        "c",
    )
    kinds = {s.symbol.name: s.symbol.kind for s in found.symbols}
    assert [equation.left.symbol.name for equation in found.equations] == ["z", "a", "L"]
    assert (
        kinds["x"] is Kind.INPUT and kinds["y"] is Kind.TARGET and kinds["z"] is Kind.INTERMEDIATE
    )
    assert kinds["W"] is kinds["b"] is kinds["c"] is Kind.PARAMETER and kinds["L"] is Kind.LOSS
    assert next(s for s in found.symbols if s.symbol.name == "S").symbol.symmetric
    ((left, right),) = found.assumptions
    assert text(left) == "sum(y)" and right.number == 1
    assert text(found.equations[1].right) == "g(z)"


def test_latex_align_with_layers_and_hats() -> None:
    found = system(
        r"""\begin{align*}
            z^{(1)} &= \mathbf{W}^{(1)} x + \boldsymbol{b}^{(1)} \\
            \hat{y} &= \sigma(z^{(1)}) \\
            L &= \tfrac{1}{2} \left\lVert \hat{y} - y \right\rVert_2^2
        \end{align*}""",
        "W_1",
    )
    assert [text(e.left) for e in found.equations] == ["z₁", "yhat", "L"]
    assert [s.symbol.name for s in found.parameters] == ["W1"]


def test_an_expression_alone_is_the_loss() -> None:
    assert system("x' x").loss.symbol.name == "L"
    assert system("L' x").loss.symbol.name == "loss"


def test_wrt_makes_any_given_symbol_a_parameter() -> None:
    assert [s.symbol.name for s in system("input x : n\nx' x", "x").parameters] == ["x"]
    assert [s.symbol.name for s in system("δ₂' x_1", "delta2").parameters] == ["delta2"]


IDENTITIES: dict[str, str] = {
    "vec(A B C) = kron(C', A) vec(B)": "A m×n, B n×p, C p×q",
    "kron(x, I) g = vec(g x')": "x m×1, g n×1",
    "kron(A, B) kron(C, D) = kron(A C, B D)": "A m×n, B p×q, C n×r, D q×s",
    "vec(X') = K vec(X)": "X m×n",
    "vec(X') = K(m, n) vec(X)": "X m×n",
    "tr(A' B) = vec(A)' vec(B)": "A m×n, B m×n",
    "diag(u) A diag(v) = A .* (u v')": "u m×1, A m×n, v n×1",
    "(I + A B)^-1 A = A (I + B A)^-1": "A m×n, B n×m",
    "sum(G .* (v 1')) = (G 1)' v": "G m×n, v m×1",
    "softmax(x + c 1) = softmax(x)": "x m×1, c 1×1",
    "input A : k×k\nA - A = 0": "",
}


@pytest.mark.parametrize("words", IDENTITIES)
def test_both_sides_of_an_identity_have_one_shape(words: str) -> None:
    left, right = parse_identity(words, functions=functions)
    assert left.shape == right.shape
    found: dict[str, str] = {}
    for side in (left, right):
        found |= {s.symbol.name: describe(s.shape) for s in _symbols(side)}
    expected = dict(e.split(" ", 1) for e in IDENTITIES[words].split(", ") if e)
    assert found == expected


def _symbols(side: Expression) -> list[Expression]:
    return list(symbols_of(side))


# what is refused, and where


REFUSED: list[tuple[str, str, str]] = [
    (
        "parameter W : m×n\ninput x : k\n\nz = W x\nL = z' z", "4:5",
        "W x is (m×n)(k×1): n and k differ; W : m×n (line 1), x : k (line 2)",
    ),
    ("input a : m, b : n\na + b", "2:1", "a is m×1, the rest n×1: m and n differ in a + b"),
    ("input x : n, y : n\nx * y", "2:1", "x * y is (n×1)(n×1): n and 1 differ; entry by"),
    ("input x : n, A : m×n\nx A", "2:1", "x A is (n×1)(m×n): m and 1 differ"),
    ("input A : m×n\ntr(A)", "2:1", "m and n differ in tr(A); A : m×n (line 1)"),
    ("input A : m×n\nA^-1", "2:1", "m and n differ in A^-1"),
    ("input A, B : n×n\nA / B", "2:5", "division by the matrix B: entry by entry is ./"),
    ("z = a\na = 1", "1:5", "a is used before line 2 defines it"),
    ("z = z + 1", "1:5", "z is used before line 1 defines it"),
    ("z = 1\nz = 2", "2:1", "z is defined in line 1 already"),
    ("input z\nz = 2", "2:1", "z is declared in line 1 already"),
    ("input x : n\ninput x : m\nx' x", "2:7", "x is declared in line 1 already"),
    ("inptu x : n\nx' x", "1:1", "unknown declaration 'inptu'; did you mean input"),
    ("x + y\nz = 2", "1:1", "expected an equation"),
    ("x y = 2", "1:1", "x y cannot be defined"),
    ("z = 1 = 2", "1:7", "a second '='"),
    ("input x : n×m×k\nx", "1:14", "at most two sizes"),
    ("input x : 0\nx", "1:11", "a size is a whole number from 1"),
    ("input x : 1/2\nx", "1:11", "is no size"),
    ("input S : m×n symmetric\nS", "1:7", "S is symmetric, so it must be square"),
    ("L = sum(sigmod(z))", "1:9", "unknown function 'sigmod'"),
    ("sum(f2(x))", "1:5", "Declare `elementwise f2`"),
    ("sin", "1:1", "sin is a function: write sin(…)"),
    ("tr A B", "1:6", "where does the argument end"),
    ("tr(A, B)", "1:1", "tr takes 1 argument, 2 given"),
    ("max(x)", "1:1", "max takes 2 arguments, 1 given"),
    ("norm(x, 3)", "1:1", "no norm of order 3"),
    ("softmax'(x)", "1:1", "softmax′ has no formula"),
    ("X - mu", "1:5", "is mu a scalar or a vector? Declare `input mu : 1` or `input mu : n`"),
    ("parameter z : n\ny = a b\nz' y", "2:5", "is a a scalar or a vector?"),
    ("input W : m×n, x : n\nsum(Wx)", "2:5", "Wx is one name here; write `W x` for the product"),
    ("A .* B * C", "1:1", "can be read in two ways: put parentheses"),
    ("x ./ y * 2", "1:6", "can be read in two ways"),
    ("A .* B ⊗ C", "1:10", "can be read in two ways"),
    ("x^y", "1:3", "an exponent must be a number"),
    ("S^(1/2)\n", "1:1", "no power 1/2 of the matrix S"),
    ("x^101", "1:3", "too large"),
    ("9^9^9^9", "1:5", "too large"),
    ("1 / (x - x)", "1:1", "division by zero"),
    ("log(-1)", "1:1", "no real number"),
    ("2 3", "1:3", "an operator between two numbers"),
    ("(x", "1:3", "expected ')', found the end"),
    ("x)", "1:2", "found ')'"),
    ("x +", "1:4", "found the end"),
    ("[x; y", "1:6", "found the end"),
    ("{x if x > 0}", "1:12", "expected 'else'"),
    ("‖x‖_3", "1:5", "no norm is known by '3'"),
    ("input x : n\nx[2:1]", "2:3", "which may be none"),
    ("input x : n\nx[m:m]", "2:3", "may reach beyond 1:n"),
    (r"\foo{x}", "1:1", r"unknown command \foo"),
    (r"\opertorname{tr}(A)", "1:1", "did you mean operatorname"),
    (r"\begin{tabular} x", "1:1", "unknown environment 'tabular'"),
    ("x_{a+b}", "1:1", "the subscript 'a+b' is not made of letters and digits"),
    ("det(I)", "1:5", "the size of I does not follow from anything"),
    ("x ? y", "1:3", "'?' is not part of the grammar"),
    ("", "1:1", "there is no equation"),
    ("# nothing", "1:1", "there is no equation"),
    ("L = ", "1:5", "found the end"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "place", "message"), REFUSED)
def test_a_bad_text_is_refused_where_it_is_bad(words: str, place: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        system("input S : n×n\n" * words.startswith("S^(") + words)
    place = "2:1" if words.startswith("S^(") else place
    assert str(caught.value).startswith(f"model.eq:{place}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_names_in_wrt_and_in_expressions_are_named_with_close_matches() -> None:
    with pytest.raises(InputError, match=r"model\.eq: Wq does not occur; did you mean W"):
        system("W x", "Wq")
    with pytest.raises(InputError, match="z is the output"):
        system("z = W x", "z")
    with pytest.raises(InputError, match="1:5: unknown name 'zz'; did you mean z"):
        parse_expression("z + zz", symbols={"z": VARIABLE}, functions=functions)


HOSTILE: dict[str, str] = {
    "import": "__import__('os').system('touch {path}')",
    "open": "open({path})",
    "power tower": "9^9^9^9",
    "brackets": "(" * 10_000,
    "square brackets": "[" * 10_000,
    "braces": "{" * 10_000,
    "bars": "|" * 9_999,
    "norms": "‖" * 9_999 + "x",
    "calls": "sin(" * 5_000,
    "bare calls": "sin " * 5_000 + "x",
    "roots": "√" * 10_000 + "x",
    "partials": "∂" * 10_000 + "x",
    "primes": "x" + "'" * 10_000,
    "exponents": "e^" * 5_000 + "x",
    "subscripts": "x_{" * 5_000,
    "fractions": r"\frac{" * 5_000,
    "cases": r"\begin{cases}" * 3_000,
    "fonts": r"\mathbf{" * 5_000,
    "blocks": "[x;" * 5_000,
    "ranges": "x" + "[:,:]" * 5_000,
    "megabyte": "a" * 1_000_000,
    "megabyte of sums": "x+" * 500_000,
    "many equations": "x=1\n" * 100_000,
    "many short equations": "a\n" * 39_000,
    "long number": "9" * 50_000,
    "large size": "ones(99999999999999999999)",
    "junk": "\x00\x1b[31m" * 10_000,
    "null": "x\x00",
    "surrogate": "\ud800",
    "emoji": "x + 🙂",
    "homoglyph": "ехр(z)",
    "zero width": "x\u200b + 1",
    "right to left": "\u202e1 + x",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_text_is_refused_at_once_and_never_run(what: str, tmp_path: Path) -> None:
    path = tmp_path / "executed"
    words = HOSTILE[what].replace("{path}", str(path))
    start = perf_counter()
    with pytest.raises(InputError) as caught:
        system(words)
    assert perf_counter() - start < 1
    assert len(str(caught.value)) < 1_000
    assert "\n" not in str(caught.value)
    assert not path.exists()


LARGE: Mapping[str, str] = {
    "sum": " + ".join(f"x{place}" for place in range(3_000)),
    "product": " ".join(f"x{place}" for place in range(3_000)),
    "equations": "x0 = x\n" + "\n".join(
        f"x{n + 1} = tanh(W x{n} + b{n})" for n in range(1_000)
    ) + "\nL = x1000' x1000",
}  # fmt: skip


@pytest.mark.parametrize("what", LARGE)
def test_large_text_is_read_in_time(what: str) -> None:
    start = perf_counter()
    found = system(LARGE[what])
    assert perf_counter() - start < 2
    assert len(found.symbols) > 2_000


PIECES = st.sampled_from(
    [
        *"xyWAS+-*/^'()[]{}|‖;,:=.123 \n&⊙⊗ᵀ²½𝟏Σσ′√∂",
        *(" .* ", "./", ".^", "⁻¹", "^T", "sum(", "tr(", "inv(", "kron(", "vec(", "[x > 0]"),
        *(r"\frac{", r"\left(", r"\right)", r"\\", r"\begin{bmatrix}", r"\end{bmatrix}"),
        *(r"\sigma ", "input ", " if ", " else ", "e^", "I", "K(m,n)", "x[1:2]", "W_{1}"),
        *("ones(n)", "m×n", "f(", "1"),
    ]
)  # fmt: skip


@settings(max_examples=800, deadline=None)
@given(st.text(max_size=40) | st.lists(PIECES, max_size=25).map("".join))
def test_any_text_is_a_system_or_an_input_error(words: str) -> None:
    try:
        found = system(words)
    except InputError as error:
        assert str(error)
    else:
        assert found.equations
