"""The reference: what it prints is what the code does; `examples/reference.md` is up to date."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from workbench.calculus import pullbacks
from workbench.calculus.algebra import multiply
from workbench.calculus.dimensions import ONE, Dimension
from workbench.calculus.expressions import (
    Expression,
    Kind,
    change,
    number,
    symbol,
    symbols_of,
    walk,
)
from workbench.calculus.functions import Function
from workbench.calculus.identities import IDENTITIES, Identity
from workbench.calculus.matrices import matmul
from workbench.calculus.pullbacks import RULES, Rule
from workbench.cli.reference import reference
from workbench.core.checks.refute import Outcome, exact_test, judge
from workbench.core.evaluate import evaluate
from workbench.derivation.proof import prove
from workbench.notation.grammar_reference import (
    binds_tighter,
    example,
    infix_operators,
    levels,
    parsed,
)
from workbench.notation.latex import latex
from workbench.notation.reading import equations
from workbench.notation.reading.spellings import COMMANDS, SIGNS
from workbench.notation.reading.tokens import Source, tokenize
from workbench.notation.reading.vocabulary import BUILTINS
from workbench.notation.reference import TYPICAL, sides, statement, worked
from workbench.notation.tables import (
    Block,
    Code,
    Formulas,
    Heading,
    Table,
    page_markdown,
    page_text,
)
from workbench.notation.text import text

EXAMPLES = Path(__file__).parents[1] / "examples"
SIZES = {"m": 2, "n": 3, "p": 4, "q": 5}
STEP = 1e-30

application = typer.Typer()
application.command()(reference)
runner = CliRunner()


def printed_now(*arguments: str) -> str:
    finished = runner.invoke(application, arguments)
    assert finished.exit_code == 0, finished.output
    return finished.output


printed = cache(printed_now)

# the command


def test_the_example_is_what_is_printed() -> None:
    committed = (EXAMPLES / "reference.md").read_text(encoding="utf-8")
    assert printed("--format", "markdown") == committed, (
        "out of date: run `workbench reference --format markdown -o examples/reference.md`"
    )


def test_the_parts_put_together_are_the_whole(tmp_path: Path) -> None:
    for form in ("text", "markdown"):
        parts = [printed(part, "--format", form) for part in ("rules", "identities", "grammar")]
        assert "\n".join(parts) == printed("--format", form)
    assert printed() == printed("--format", "text")
    file = tmp_path / "rules.txt"
    assert printed("rules", "-o", str(file)) == ""
    assert file.read_text(encoding="utf-8") == printed("rules")


def test_an_unknown_part_is_refused() -> None:
    finished = runner.invoke(application, ["rule"])
    assert finished.exit_code == 2
    assert "rules" in finished.output


def test_lines_fit_a_terminal() -> None:
    wide = [line for line in printed().splitlines() if len(line) > 125]
    assert wide == []


# rules


def test_every_rule_is_shown_and_nothing_else() -> None:
    assert {node.operation for node in TYPICAL} == set(RULES)


@pytest.mark.parametrize(
    "row",
    [
        "Z = A B ⇒ Ā = Z̄ Bᵀ, B̄ = Aᵀ Z̄ | dA B + A dB",
        "Z = A⁻¹ ⇒ Ā = −A⁻ᵀ Z̄ A⁻ᵀ | −A⁻¹ dA A⁻¹",
        "z = det(A) ⇒ Ā = z̄ det(A) A⁻ᵀ | det(A) tr(A⁻¹ dA)",
        "z = tr(A) ⇒ Ā = z̄ I | tr(dA)",
        "Z = c A ⇒ c̄ = sum(Z̄ ⊙ A), Ā = c Z̄ | dc A + c dA",
        "Z = f(A) ⇒ Ā = f′(A) ⊙ Z̄ | f′(A) ⊙ dA",
        "Z = [A; B] ⇒ Ā = Z̄[1:m, :], B̄ = Z̄[1 + m:m + p, :] | [dA; 0] + [0; dB]",
    ],
)
def test_rules_are_those_of_giles(row: str) -> None:
    """Giles (2008), and Magnus and Neudecker (1988), by hand."""
    rules = map(worked, TYPICAL)
    assert row in {f"{statement(rule)} | {text(rule.change)}" for rule in rules}


def test_the_page_follows_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong row is printed as wrong: there is no second place where it is written."""
    before = printed("rules")
    rule = RULES["matmul"]

    def wrong(node: Expression, index: int, gradient: Expression) -> Expression:
        return multiply(number(Fraction(7)), rule.pullback(node, index, gradient))

    monkeypatch.setitem(pullbacks.RULES, "matmul", Rule(rule.name, wrong))
    assert "Ā  = 7 Z̄ Bᵀ" in printed_now("rules")
    assert "Ā  = Z̄ Bᵀ" in before


def _is_evaluable(node: Expression) -> bool:
    return not (isinstance(node.data, Function) and node.data.is_undetermined)


NODES = [pytest.param(node, id=text(node)) for node in TYPICAL if _is_evaluable(node)]


@pytest.mark.parametrize("node", NODES)
def test_gradients_and_differentials_are_the_complex_step(node: Expression) -> None:
    """dZ is the derivative of Z along dA, and ⟨Z̄, dZ⟩ = ⟨Ā, dA⟩ + ⟨B̄, dB⟩."""
    random = np.random.default_rng(0)
    rule = worked(node)

    def drawn(of: Expression) -> np.ndarray:
        return random.normal(size=tuple(dimension.size(SIZES) for dimension in of.shape))

    values = {s: drawn(s) for s in symbols_of(node)}
    moves = {s: drawn(s) for s in values}
    moved = {s: value + 1j * STEP * moves[s] for s, value in values.items()}
    truth = np.imag(evaluate(node, moved, SIZES)) / STEP
    known = values | {change(s): move for s, move in moves.items()}
    np.testing.assert_allclose(evaluate(rule.change, known, SIZES), truth, atol=1e-12)

    seeds = [s for _, side in rule.gradients for s in symbols_of(side) if s not in values]
    known |= dict.fromkeys(seeds, drawn(node))
    left = sum(
        (evaluate(pulled, known, SIZES) * moves[argument]).sum()
        for argument, (_, pulled) in zip(
            (a for a in node.arguments if a.operation == "symbol"), rule.gradients, strict=True
        )
    )
    right = (known[seeds[0]] * truth).sum() if seeds else 0.0
    assert left == pytest.approx(right, abs=1e-10)


# identities


def _parameters() -> list[object]:
    return [pytest.param(one, id=f"{one.group}: {one.name}") for one in IDENTITIES]


@pytest.mark.parametrize("one", _parameters())
def test_every_identity_is_proved_as_it_is_written(one: Identity) -> None:
    left, right = sides(one)
    assert left is not right, "a law that is applied as it is read proves nothing"
    judgement = judge(left, right)
    assert judgement.test.holds is not False
    if one.group == "Determinants":
        assert (judgement.outcome, judgement.test.holds) == (Outcome.UNDECIDED, True)
    else:
        assert judgement.outcome is Outcome.PROVED


@pytest.mark.parametrize("one", _parameters())
def test_twice_the_right_side_is_not_proved(one: Identity) -> None:
    left, right = sides(one)
    assert prove(left, multiply(number(2), right)) is None


@pytest.mark.parametrize("one", _parameters())
def test_what_the_constructors_make_of_a_side_is_equal_to_it(one: Identity) -> None:
    """Each law of `matrices.py` and `blocks.py` that is applied on the way, at random residues."""
    built = equations.parse_identity(one.text, functions=lambda name: None)
    for written, side in zip(sides(one), built, strict=True):
        assert exact_test(written, side).holds is not False
        assert one.group == "Determinants" or prove(written, side) is not None


def test_laws_are_not_applied_as_an_identity_is_read() -> None:
    laws = next(one for one in IDENTITIES if one.name == "Kronecker product transposed")
    left, right = sides(laws)
    assert [node.operation for node in walk(left)] == ["symbol", "symbol", "kron", "transpose"]
    assert right.operation == "kron"
    built = equations.parse_identity(laws.text, functions=lambda name: None)
    assert built[0] is built[1]


def test_names_are_told_apart() -> None:
    assert len({(one.group, one.name) for one in IDENTITIES}) == len(IDENTITIES)
    assert len({one.statement for one in IDENTITIES}) == len(IDENTITIES)


@pytest.mark.parametrize(
    "shown",
    [
        "vec(A B C) = (Cᵀ ⊗ A) vec(B)",
        "(x ⊗ I) g = vec(g xᵀ)",
        "(A ⊗ B)ᵀ = Aᵀ ⊗ Bᵀ",
        "(A ⊗ B) (C ⊗ D) = (A C) ⊗ (B D)",
        "K(m, n) vec(A) = vec(Aᵀ)",
        "sum(G ⊙ (V X)) = sum((G Xᵀ) ⊙ V)",
    ],
)
def test_the_identities_of_the_notes_are_printed(shown: str) -> None:
    lines = printed("identities").splitlines()
    place = next(place for place, line in enumerate(lines) if shown in line)
    assert "; proof by entries; " in lines[place + 1]


# the grammar


def test_precedence_is_that_of_the_parser() -> None:
    found = levels()
    order = ["compare", "sum", "elementwise", "product", "power"]
    assert sorted(order, key=found.__getitem__) == order
    assert len({found[kind] for kind in order}) == 5
    assert found["kron"] == found["elementwise"]
    assert binds_tighter("*", "⊙")
    assert not binds_tighter("⊙", "*")


def test_the_operators_are_found() -> None:
    signs = [">", "<", "≥", "≤", "+", "-", "*", "/", "·", "×", "⊙", "⊘", "⊗", "^", ".^"]
    assert set(infix_operators()) == {*signs, ""}


@pytest.mark.parametrize("sign", infix_operators())
def test_every_spelling_of_an_operator_is_the_operator(sign: str) -> None:
    right = "2" if sign in ("^", ".^") else "b"
    expected = parsed(f"[a {sign} {right}]")
    assert expected is not None
    others = [other for other, meant in SIGNS.items() if meant == sign]
    others += [f"\\{command}" for command, meant in COMMANDS.items() if meant == sign]
    for other in others:
        assert tokenize(Source("", other))[0].text == sign
        found = parsed(f"[a {other} {right}]")
        assert found is not None
        assert (found.kind, found.data) == (expected.kind, expected.data)


def test_parentheses_are_asked_for_where_the_page_says_so() -> None:
    assert parsed("A ⊗ B ⊙ C") is None
    assert parsed("A ⊘ B * C") is None


@pytest.mark.parametrize("name", BUILTINS)
def test_every_function_builds_and_its_spellings_are_read(name: str) -> None:
    built = example(BUILTINS[name].usage)
    assert built is not None
    symbols = {s.symbol.name: s for s in symbols_of(built)}
    sizes = {d.names[0]: d for node in walk(built) for d in node.shape if len(d.names) == 1}
    for side, size in sizes.items():
        symbols.setdefault(f"size_{side}", symbol(f"size_{side}", Kind.INPUT, (size, ONE)))
    for shown in (text(built), latex(built)):
        found = equations.parse_expression(
            shown, symbols=symbols, functions=lambda name: None, shape=built.shape
        )
        assert found.form == built.form, shown


def test_every_function_is_on_the_page() -> None:
    page = printed("grammar")
    for builtin in BUILTINS.values():
        assert builtin.usage in page
        assert builtin.meaning in page


# pages


def test_pages_keep_columns_and_escape_bars() -> None:
    n = Dimension.named("n")
    A, B = (symbol(name, Kind.INPUT, (n, n)) for name in "AB")
    blocks: list[Block] = [
        Heading(1, "One"),
        "Words with `code`.",
        Table(("a", "b"), (("Z̄", Code("|x|")), ("long", "y"))),
        Formulas(((A, matmul(A, B)),), (A, B)),
    ]
    shown = page_text(blocks)
    assert shown == (
        "One\n===\n\nWords with code.\n\n  a     b\n  Z̄     |x|\n  long  y\n\n"
        "  A = A B    A : n×n, B : n×n\n"
    )
    assert "| Z̄ | `\\|x\\|` |" in page_markdown(blocks)
    assert r"A &= A\, B && A \in \mathbb{R}^{n \times n},\; B \in" in page_markdown(blocks)
