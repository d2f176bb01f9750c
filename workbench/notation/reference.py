"""The rule table and the identities as pages, each worked out from what the calculus itself does.

A rule is shown by what it makes of a typical node: nothing here says what a derivative is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from unicodedata import normalize

from workbench.calculus.algebra import (
    add,
    greater,
    greater_equal,
    is_zero,
    maximum,
    minimum,
    multiply,
    power,
    where,
)
from workbench.calculus.blocks import block, hstack, vstack
from workbench.calculus.columns import pullback
from workbench.calculus.differentials import pushforward
from workbench.calculus.dimensions import ONE, Dimension, Shape
from workbench.calculus.expressions import (
    Expression,
    Kind,
    change,
    symbol,
    symbols_of,
    zero,
)
from workbench.calculus.functions import Function
from workbench.calculus.identities import Identity
from workbench.calculus.matrices import (
    devec,
    diag,
    inverse,
    kron,
    matmul,
    total,
    transpose,
    vec,
)
from workbench.calculus.pullbacks import RULES
from workbench.calculus.square import det, diagonal, trace
from workbench.notation.reading.as_written import identity_as_written
from workbench.notation.reading.known_functions import softmax
from workbench.notation.tables import MACRON, Block, Code, Formulas, Heading, Table, shapes
from workbench.notation.text import text


@dataclass(frozen=True, slots=True)
class Worked:
    """A rule applied to a typical node.

    Attributes
    ----------
    name : what a person calls the rule.
    node : the right side of Z = …
    gradients : for each operand its gradient, in terms of that of Z.
    change : the differential of Z.
    """

    name: str
    node: Expression
    gradients: tuple[tuple[Expression, Expression], ...]
    change: Expression

    @property
    def result(self) -> Expression:
        """The symbol that the node defines: Z, or z for a scalar or a column."""
        return _symbol("z" if self.node.is_column else "Z", self.node.shape)


def _symbol(name: str, shape: Shape, kind: Kind = Kind.INPUT) -> Expression:
    return symbol(name, kind, shape)


def _barred(of: Expression) -> Expression:
    name = normalize("NFC", of.symbol.name + MACRON)
    return _symbol(name, of.shape, Kind.GRADIENT)


def _typical() -> Iterator[Expression]:
    m, n, p, q = map(Dimension.named, "mnpq")
    A, B, C = _symbol("A", (m, n)), _symbol("B", (m, n)), _symbol("C", (m, n))
    S, x = _symbol("A", (n, n)), _symbol("x", (n, ONE))
    right, far = _symbol("B", (n, p)), _symbol("B", (p, q))
    f = Function("f", symbol="f", latex="f")
    yield from (add(A, B), multiply(A, B), multiply(_symbol("c", (ONE, ONE)), A), power(A, 3))
    yield from (matmul(A, right), transpose(A), kron(A, far), f(A), softmax()(x))
    yield from (where(greater(C, zero(C.shape)), A, B), maximum(A, B), minimum(A, B))
    yield from (greater(A, B), greater_equal(A, B))
    yield from (total(A), trace(S), det(S), inverse(S), diag(x), diagonal(S))
    yield from (vec(A), devec(_symbol("x", (m * n, ONE)), (m, n)))
    yield from (vstack(A, _symbol("B", (p, n))), hstack(A, _symbol("B", (m, p))))
    yield block(_symbol("A", (m + p, n + q)), m, p, n, q)


TYPICAL: tuple[Expression, ...] = tuple(_typical())
"""Nodes that show every rule of the table at work."""


def worked(node: Expression) -> Worked:
    """What the rule of a node's operation makes of it.

    >>> n = Dimension.named("n")
    >>> found = worked(transpose(_symbol("A", (n, n))))
    >>> [text(side) for side in found.gradients[0]], text(found.change)
    (['Ā', 'Z̄ᵀ'], 'dAᵀ')
    """
    name = RULES[node.operation].name
    seed = _barred(Worked(name, node, (), node).result)
    gradients, changes = [], []
    for index, argument in enumerate(node.arguments):
        if argument.operation == "symbol":
            gradients.append((_barred(argument), pullback(node, index, seed)))
            changes.append(pushforward(node, index, change(argument)))
    moved = [part for part in changes if not is_zero(part)]
    return Worked(name, node, tuple(gradients), add(*moved) if moved else zero(node.shape))


def statement(rule: Worked) -> str:
    """A rule on one line.

    >>> m, n = Dimension.named("m"), Dimension.named("n")
    >>> statement(worked(transpose(_symbol("A", (m, n)))))
    'Z = Aᵀ ⇒ Ā = Z̄ᵀ'
    """
    gradients = ", ".join(f"{text(left)} = {text(right)}" for left, right in rule.gradients)
    return f"{text(rule.result)} = {text(rule.node)} ⇒ {gradients}"


@cache
def rule_statements() -> dict[str, str]:
    """What each rule says, by the name of the rule.

    >>> rule_statements()["matrix product"]
    'Z = A B ⇒ Ā = Z̄ Bᵀ, B̄ = Aᵀ Z̄'
    """
    found: dict[str, str] = {}
    for node in TYPICAL:
        rule = worked(node)
        found.setdefault(rule.name, statement(rule))
    return found


def rule_blocks() -> list[Block]:
    """The rule table.

    >>> rule_blocks()[0]
    Heading(level=1, title='Rules')
    """
    blocks: list[Block] = [Heading(1, "Rules"), RULES_NOTE]
    for name, rules in groupby(map(worked, TYPICAL), lambda rule: rule.name):
        blocks.append(Heading(2, name[0].upper() + name[1:]))
        blocks.extend(Formulas(tuple(_formulas(rule)), symbols_of(rule.node)) for rule in rules)
    return blocks


def _formulas(rule: Worked) -> Iterator[tuple[Expression, Expression]]:
    yield rule.result, rule.node
    yield from rule.gradients
    yield change(rule.result), rule.change


RULES_NOTE = (
    "Reverse mode: for each operation, the gradient of every operand, from the gradient Z̄ of the "
    "result, so that ⟨Z̄, dZ⟩ = ⟨Ā, dA⟩ + ⟨B̄, dB⟩. The differential dZ is read off the same rule. "
    "Gradients have the shape of what they belong to."
)


# identities


@dataclass(frozen=True, slots=True)
class Established:
    """An identity with how it is established, in a few words."""

    identity: Identity
    how: str


def sides(identity: Identity) -> tuple[Expression, Expression]:
    """The two sides as they are written, with no law applied.

    >>> from workbench.calculus.identities import IDENTITIES
    >>> tuple(map(text, sides(IDENTITIES[1])))
    ('(A B)ᵀ', 'Bᵀ Aᵀ')
    """
    return identity_as_written(identity.text, functions=lambda name: None, name=identity.name)


def identity_blocks(found: Sequence[Established]) -> list[Block]:
    """The identities in groups, each with the shapes of its symbols and how it is established.

    >>> identity_blocks([])[0]
    Heading(level=1, title='Identities')
    """
    blocks: list[Block] = [Heading(1, "Identities"), IDENTITIES_NOTE]
    for group, members in groupby(found, lambda one: one.identity.group):
        rows = tuple(_row(one) for one in members)
        blocks += [Heading(2, group), Table(IDENTITY_COLUMNS, rows, in_line=2)]
    return blocks


def _row(one: Established) -> tuple[str | Code, ...]:
    left, right = sides(one.identity)
    shown = Code(f"{text(left)} = {text(right)}")
    return one.identity.name, shown, shapes(symbols_of(left, right)), one.how, one.identity.source


IDENTITY_COLUMNS = ("name", "identity", "shapes", "established", "stated in")
IDENTITIES_NOTE = (
    "Each holds wherever both sides are defined. It is read as it stands, with no law applied, and "
    "then proved for every shape by its entries, or, where no proof is found, compared exactly "
    "at random points modulo a 61-bit prime, which speaks for the sizes tried only. "
    '`workbench prove "IDENTITY"` shows how.'
)
