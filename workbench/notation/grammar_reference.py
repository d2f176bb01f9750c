"""The grammar as a page, from the tables that the reader of formulas itself works by.

How tightly an operator binds is asked of the parser, and how a formula looks in Unicode and LaTeX
of the renderers, whose output the grammar reads back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from string import punctuation
from textwrap import dedent
from types import MappingProxyType

from workbench.calculus.expressions import Expression
from workbench.calculus.functions import PRIMITIVES, VARIABLE, Function
from workbench.errors import InputError
from workbench.notation.greek import GREEK
from workbench.notation.latex import latex
from workbench.notation.reading import equations, grammar, syntax, tokens
from workbench.notation.reading.spellings import (
    ACCENTS,
    COMMANDS,
    FONTS,
    LAYOUT,
    MATRICES,
    SIGNS,
    WORDS,
)
from workbench.notation.reading.statements import KINDS, MOST_STATEMENTS
from workbench.notation.reading.syntax import Node, Words
from workbench.notation.reading.vocabulary import ALIASES, BUILTINS
from workbench.notation.tables import Block, Cell, Code, Heading, Table
from workbench.notation.text import text

MEANINGS = {
    "compare": "comparison: 1 where it holds, else 0",
    "sum": "sum",
    "elementwise": "product, entry by entry",
    "kron": "Kronecker product",
    "product": "product; one of the two may be a scalar",
    "power": "power: of a square matrix its own",
    "transpose": "transpose",
}
"""What each kind of node that an operator makes stands for, loosest first."""

SPECIAL_MEANINGS = {
    "-": "difference",
    "⊘": "quotient, entry by entry",
    "/": "quotient by a scalar",
    ".^": "power, entry by entry",
}
"""Operators that stand for something else than the others of their kind."""


def grammar_blocks() -> list[Block]:
    """Statements, syntax, operators, functions, names and limits.

    >>> [block.title for block in grammar_blocks() if isinstance(block, Heading)][:3]
    ['Grammar', 'Statements', 'Formulas']
    """
    return [
        Heading(1, "Grammar"),
        Heading(2, "Statements"),
        Code(_listing(equations.__doc__)),
        Table(("words", "declare symbols of the kind"), tuple(_declarations())),
        Heading(2, "Formulas"),
        Code(_listing(grammar.__doc__)),
        Heading(2, "Operators"),
        "From the loosest to the tightest. Those of one level are read from left to right; where "
        "people would differ, as in `A ⊗ B ⊙ C` and `A ⊘ B * C`, parentheses are asked for.",
        Table(("level", "sign", "meaning", "ASCII", "Unicode", "LaTeX"), tuple(_operator_rows())),
        Heading(2, "Functions"),
        Table(("written", "operands", "meaning"), tuple(map(_function, BUILTINS))),
        "The same in Unicode and in LaTeX, as it is printed and read:",
        Table(("ASCII", "Unicode", "LaTeX"), tuple(map(_spelt, BUILTINS))),
        Heading(2, "Functions of each entry"),
        "And every activation that `workbench plugins` lists, by its name or its symbol.",
        Table(
            ("written", "derivative", "Unicode", "LaTeX"),
            tuple(_entrywise(primitive) for primitive in PRIMITIVES.values()),
        ),
        Heading(2, "Names"),
        _paragraph(tokens.__doc__),
        *_words(),
        Heading(2, "Limits"),
        Table(("at most", "of"), tuple(_limits())),
    ]


def _listing(docstring: str | None) -> str:
    """The indented part of a docstring."""
    lines = (docstring or "").splitlines()
    return dedent("\n".join(line for line in lines if line.startswith("    ")))


def _paragraph(docstring: str | None) -> str:
    return " ".join((docstring or "").partition("\n\n")[2].split())


def _declarations() -> Iterator[tuple[Cell, ...]]:
    for kind in dict.fromkeys(KINDS.values()):
        yield Code(", ".join(word for word, meant in KINDS.items() if meant is kind)), kind.value


# operators


@cache
def parsed(formula: str) -> Node | None:
    """The syntax of a formula, None if it has none.

    >>> parsed("a + b c").kind, parsed("a +")
    ('sum', None)
    """
    source = tokens.Source("probe", formula)
    words = Words(lambda name: False, lambda name: True, str)
    try:
        found = tokens.tokenize(source)
        return grammar.Parser(source, found, words, 0, len(found) - 1).whole()
    except InputError:
        return None


@cache
def infix_operators() -> Mapping[str, str]:
    """Every sign that may stand between operands, with the kind of node that it makes.

    >>> found = infix_operators()
    >>> found["⊙"], found["+"], found[""]
    ('elementwise', 'sum', 'product')
    """
    candidates = ["", *punctuation, *(f".{mark}" for mark in punctuation)]
    candidates += [*SIGNS.values(), *COMMANDS.values()]
    kinds = {sign: _kind(f"[a {sign} {_right(sign)}]") for sign in candidates if _is_infix(sign)}
    return MappingProxyType({sign: kind for sign, kind in kinds.items() if kind in MEANINGS})


def _is_infix(sign: str) -> bool:
    """Whether a sign is one operator in its one spelling that goes neither before nor behind."""
    if not sign:
        return True
    try:
        first, *_ = tokens.tokenize(tokens.Source("probe", sign))
    except InputError:
        return False
    is_prefix = _kind(f"{sign} b") in ("call", "power")
    is_postfix = parsed(f"a {sign}") is not None
    return (first.kind, first.text) == ("operator", sign) and not is_prefix and not is_postfix


def _right(sign: str) -> str:
    """An operand that may stand right of a sign: exponents are numbers."""
    return "2" if sign in ("^", ".^") else "b"


def _kind(formula: str) -> str:
    node = parsed(formula)
    return "" if node is None else node.kind


def binds_tighter(inner: str, outer: str) -> bool:
    """Whether one infix sign takes its operands before another, on either side of it.

    >>> binds_tighter("⊙", "+"), binds_tighter("+", "⊙"), binds_tighter("⊙", "⊗")
    (True, False, False)
    """
    kinds = infix_operators()
    first, second = (f"{sign} {_right(sign)}" for sign in (inner, outer))
    roots = {_kind(f"[a {first} {second}]"), _kind(f"[a {second} {first}]")}
    return kinds[inner] != kinds[outer] and roots == {kinds[outer]}


def levels() -> dict[str, int]:
    """How tightly each kind of operator binds, 1 the loosest.

    >>> levels()["sum"] < levels()["elementwise"] == levels()["kron"] < levels()["product"]
    True
    """
    kinds = infix_operators()
    looser = {
        kind: {
            kinds[o]
            for s, own in kinds.items()
            if own == kind
            for o in kinds
            if binds_tighter(s, o)
        }
        for kind in kinds.values()
    }
    counts = sorted({len(kinds) for kinds in looser.values()})
    return {kind: 1 + counts.index(len(found)) for kind, found in looser.items()}


def _operator_rows() -> Iterator[tuple[Cell, ...]]:
    kinds, level = infix_operators(), levels()
    for sign in sorted(kinds, key=lambda sign: (level[kinds[sign]], kinds[sign])):
        kind = kinds[sign]
        meaning = SPECIAL_MEANINGS.get(sign, MEANINGS[kind])
        yield (str(level[kind]), Code(sign or "A B"), meaning, *_spellings(sign))
    spellings = (Code("A'"), Code("Aᵀ"), Code(r"A^\top"))
    yield (str(level["power"]), Code("'"), MEANINGS["transpose"], *spellings)


def _spellings(sign: str) -> tuple[Cell, ...]:
    """All spellings of a sign: ASCII, other Unicode, LaTeX."""
    if not sign:
        return "side by side", "side by side", "side by side"
    others = [sign, *(other for other, meant in SIGNS.items() if meant == sign)]
    commands = (f"\\{command}" for command, meant in COMMANDS.items() if meant == sign)
    plain = (other for other in others if other.isascii())
    return tuple(
        Code(" ".join(found)) for found in (plain, (o for o in others if not o.isascii()), commands)
    )


# functions


def _function(name: str) -> tuple[Cell, ...]:
    builtin = BUILTINS[name]
    fewest, most = builtin.arity
    others = [alias for alias, meant in ALIASES.items() if meant == name]
    usage = ", ".join([builtin.usage, *others])
    count = str(fewest) if fewest == most else f"{fewest} to {most}"
    return Code(usage), count, builtin.meaning


def _spelt(name: str) -> tuple[Cell, ...]:
    usage = BUILTINS[name].usage
    return Code(_first(usage)), *_both(example(usage))


DECLARED = ("", "input A, B : n×n, x, u, v : n, a, b : 1\n", "input v : m n\n")
"""Shapes for operands whose shapes do not follow from how a function is written."""


def example(usage: str) -> Expression | None:
    """What the first of the forms in which a function is written builds.

    >>> text(example("outer(u, v)"))
    'u vᵀ'
    """
    for shapes in DECLARED:
        try:
            system = equations.parse_system(shapes + _first(usage), functions=lambda name: None)
        except InputError:
            continue
        return system.equations[-1].right
    return None


def _first(usage: str) -> str:
    """The part before the first comma that stands in no brackets."""
    depth = 0
    for place, character in enumerate(usage):
        depth += (character in "([{") - (character in ")]}")
        if character == "," and not depth:
            return usage[:place]
    return usage


def _both(expression: Expression | None) -> tuple[Cell, Cell]:
    return ("", "") if expression is None else (Code(text(expression)), Code(latex(expression)))


def _entrywise(function: Function) -> tuple[Cell, ...]:
    others = [alias for alias, meant in ALIASES.items() if meant == function.name]
    slope: Callable[[Expression], Expression] | None = function.slope
    assert slope is not None
    usage = ", ".join([f"{function.name}(z)", *others])
    return Code(usage), Code(text(slope(VARIABLE))), *_both(function(VARIABLE))


# names and limits


def _words() -> Iterator[str]:
    letters = ", ".join(f"{name} {letter}" for name, letter in GREEK.items())
    accents = [command for command, added in ACCENTS.items() if added]
    yield f"Greek letters, by name, as a letter or as a command: {letters}."
    yield f"Commands that are functions: {_commands(sorted(WORDS))}."
    yield f"Commands that put a name in a font, which is ignored: {_commands(sorted(FONTS))}."
    yield f"Accents, each of which makes another name: {_commands(accents)}."
    yield f"Environments of blocks and of branches: {', '.join(sorted({*MATRICES, 'cases'}))}."
    yield f"Environments that only arrange equations: {', '.join(sorted(LAYOUT))}."


def _commands(names: Sequence[str]) -> str:
    return " ".join(f"`\\{name}`" for name in names)


def _limits() -> Iterator[tuple[Cell, ...]]:
    yield f"{tokens.LONGEST_TEXT:,}", "characters in a text"
    yield f"{tokens.LONGEST_NUMBER:,}", "characters in a number"
    yield f"{MOST_STATEMENTS:,}", "equations"
    yield f"{syntax.DEEPEST:,}", "brackets that are open at one place"
    yield f"{grammar.LARGEST_EXPONENT:,}", "as an exponent"
