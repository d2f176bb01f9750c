"""The grammar of plugin formulas: what it reads, what it refuses and where; nothing is run."""

from __future__ import annotations

from math import cosh, erf, exp, log, pi, sin, sqrt
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workbench.calculus.expressions import Expression
from workbench.calculus.functions import COLUMN_SIZE, COLUMN_VARIABLE, VARIABLE, Function
from workbench.core.evaluate import evaluate
from workbench.errors import InputError
from workbench.notation.reading.formulas import parse_formula
from workbench.plugins.build import build_function
from workbench.plugins.registry import load_registry

Z = 0.7
VARIABLES = {"z": VARIABLE}
REGISTRY = load_registry()


def _lookup(name: str) -> Function | None:
    return build_function(name, REGISTRY) if name in REGISTRY.activations else None


def _parsed(formula: str) -> Expression:
    return parse_formula(formula, VARIABLES, _lookup)


GOOD: dict[str, float] = {
    "z": Z,
    "2": 2,
    ".5 + 1.25e-1 + 2.": 2.625,
    "1 - 2 - 3": -4,
    "12 / 3 / 2": 2,
    "2 + 3 * 4": 14,
    "-z^2": -(Z**2),
    "(-z)^2": Z**2,
    "2^-1": 0.5,
    "2^3^2": 512,
    "z ** 2 ** 3": Z**8,
    "z^(1/2)": sqrt(Z),
    "--z": Z,
    "+z - -z": 2 * Z,
    "z^(2 - 2)": 1,
    "3*z/z": 3,
    "pi * z": pi * Z,
    "π·z − 1": pi * Z - 1,
    "exp(z) × exp(-2*z)": exp(-Z),
    "log(1 + exp(z))": log(1 + exp(Z)),
    "sqrt(z) * sqrt(z)": Z,
    "abs(-z) * sign(-z)": -Z,
    "Phi(z)": (1 + erf(Z / sqrt(2))) / 2,
    "max(z, 1) + min(z, 1)": 1 + Z,
    "where(z > 1/2, 10, 20)": 10,
    "where(z < 1/2, 10, 20)": 20,
    "where(1 <= z, 10, where(z ≥ 0, sin(z), 30))": sin(Z),
    "sigmoid(z) * tanh(0)": 0,
    "swish(2*z)": 2 * Z / (1 + exp(-2 * Z)),
    "log(cosh(z))": log(cosh(Z)),
    "  z\n + 1\t": Z + 1,
    "(" * 39 + "z" + ")" * 39: Z,
}


@pytest.mark.parametrize("formula", GOOD)
def test_a_formula_means_what_it_says(formula: str) -> None:
    found = evaluate(_parsed(formula), {VARIABLE: np.array(Z)})
    assert float(found) == pytest.approx(GOOD[formula], rel=1e-14)


def test_sum_and_mean_run_over_the_entries_of_a_sample() -> None:
    column = np.array([[1.0], [2.0], [6.0]])
    for formula, truth in ("z - mean(z)", column - 3), ("z / sum(z^2)", column / 41):
        parsed = parse_formula(formula, {"z": COLUMN_VARIABLE})
        found = evaluate(parsed, {COLUMN_VARIABLE: column}, {COLUMN_SIZE.names[0]: 3})
        np.testing.assert_allclose(found, truth, rtol=1e-15)


BAD: list[tuple[str, int, str]] = [
    ("", 1, "the formula is empty"),
    (" \t", 1, "the formula is empty"),
    ("z +", 4, "expected a number, a name or '(', found the end"),
    ("z z", 3, "expected the end or an operator, found 'z'"),
    ("2z", 2, "found 'z'"),
    ("(z", 3, "expected ')', found the end"),
    ("z)", 2, "found ')'"),
    ("z, 1", 2, "found ','"),
    ("1 + * z", 5, "expected a number, a name or '(', found '*'"),
    ("1.5.2", 4, "found '.2'"),
    ("1_000", 2, "found '_000'"),
    ("z = 1", 3, "'=' is not part of a formula"),
    ("z > 0", 3, "found '>'"),
    ("z.real", 2, "'.' is not part of a formula"),
    ("1 + foo(z)", 5, "unknown function 'foo'"),
    ("z + sigmod(z)", 5, "unknown function 'sigmod'"),
    ("z * w", 5, "unknown name 'w'; known: pi, z"),
    ("sin z", 1, "unknown name 'sin'"),
    ("exp()", 5, "expected a number, a name or '(', found ')'"),
    ("1 + exp(z, z)", 5, "exp takes 1 argument, 2 given"),
    ("max(z)", 1, "max takes 2 arguments, 1 given"),
    ("where(z > 0, 1)", 1, "where takes 3 arguments, 2 given"),
    ("where(z, 1, 2)", 8, "expected a comparison such as z > 0"),
    ("2^z", 3, "an exponent must be a number"),
    ("z^101", 3, "the exponent 101 is too large"),
    ("z^1e9", 3, "too large"),
    ("1 / (z - z)", 1, "division by zero"),
    ("z * 10^99 * 10^99 * 10^99 * 10^99", 1, "too large"),
    ("1" * 26, 1, "a number longer than 25 characters"),
    ("sin(z) + nan", 10, "unknown name 'nan'"),
]


@pytest.mark.parametrize(("formula", "column", "message"), BAD)
def test_a_bad_formula_is_refused_with_the_column(formula: str, column: int, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_formula(formula, VARIABLES, _lookup, what="formula of activation 'mine'")
    assert str(caught.value).startswith("formula of activation 'mine'")
    assert f", column {column}: " in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize(("formula", "column"), [("π * $", 5), ("where(z ≥ 0, 1, $)", 17)])
def test_columns_are_those_of_the_text_that_was_given(formula: str, column: int) -> None:
    with pytest.raises(InputError, match=f"column {column}: "):
        _parsed(formula)


HOSTILE = {
    "import": '__import__("os").system("touch {path}")',
    "import without quotes": "__import__(os)",
    "open": "open(z)",
    "attribute": "z.__class__.__base__.__subclasses__()",
    "lambda": "(lambda: z)()",
    "format": "{{z.__class__}}",
    "statement": "z; import os",
    "power tower": "9**9**9**9",
    "power tower with ^": "9^9^9^9",
    "product of powers": "*".join(["(9^20)"] * 90),
    "factorial of digits": "9" * 1999,
    "brackets": "(" * 10_000,
    "calls": "exp(" * 400,
    "signs": "-" * 1_999 + "z",
    "exponents": "z^" * 900 + "z",
    "megabyte": "z+" * 500_000,
    "junk": "\x00\x1b[31m" * 200_000,
    "fullwidth letter": "ｚ + 1",
    "superscript": "z²",
    "homoglyph": "ехр(z)",
    "zero width": "z\u200b + 1",
    "right to left": "\u202e1 + z",
    "line separator": "z\u2028import os",
    "null": "z\x00",
    "surrogate": "\ud800",
    "emoji": "z + 🙂",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_text_is_refused_at_once_and_never_run(what: str, tmp_path: Path) -> None:
    path = tmp_path / "executed"
    start = perf_counter()
    with pytest.raises(InputError) as caught:
        _parsed(HOSTILE[what].format(path=path) if "{" in HOSTILE[what] else HOSTILE[what])
    assert perf_counter() - start < 1
    assert len(str(caught.value)) < 1_000
    assert not path.exists()


WORDS = st.sampled_from(
    [
        *"z()+-*/^,<>.=0123456789 ",
        "**",
        ">=",
        "exp(",
        "where(",
        "max(",
        "sum(",
        "pi",
        "1e9",
        "π",
        "²",
    ]
)


@settings(max_examples=600)
@given(st.text(max_size=60) | st.lists(WORDS, max_size=40).map("".join))
@example("1e99*1e99")
@example("((z^100)^100)^100")
@example("0^-1")
def test_any_text_is_a_formula_or_an_input_error(words: str) -> None:
    try:
        parsed = _parsed(words)
    except InputError as error:
        assert str(error)
    else:
        assert parsed.is_scalar
