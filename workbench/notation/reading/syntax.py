"""The syntax tree of a formula, and the reader of tokens that the grammar is written in."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace

from workbench.errors import InputError
from workbench.notation.reading.tokens import Source, Token

DEEPEST = 60
"""Formulas nested deeper are refused; brackets and stacked powers count."""

DEEPEST_TREE = 120
"""So are trees deeper than this, such as a name with hundreds of primes."""


@dataclass(frozen=True, slots=True)
class Node:
    """A piece of a formula as it was written.

    Attributes
    ----------
    kind : number, name, ones, call, sum, product, elementwise, kron, power, transpose, compare,
        stack, index or jacobian.
    parts : the operands.
    data : what else was written: the value, the name, the signs between the operands …
    start, end : where it stands, parentheses included.
    depth : how deeply it is nested.
    is_grouped : whether it stands in parentheses.
    """

    kind: str
    parts: tuple[Node, ...]
    data: Hashable
    start: int
    end: int
    depth: int = 0
    is_grouped: bool = False


@dataclass(frozen=True)
class Words:
    """Which names stand for functions and which for symbols.

    Attributes
    ----------
    is_function : whether a function has this name.
    is_symbol : whether a symbol of this name is declared or defined.
    unknown_function : what to say of a call of neither; empty if the name occurs elsewhere too.
    """

    is_function: Callable[[str], bool]
    is_symbol: Callable[[str], bool]
    unknown_function: Callable[[str], str]


@dataclass
class Reader:
    """A run of tokens, read one by one.

    Attributes
    ----------
    place : the token that is read next.
    stop : the first token that is no longer part of the formula.
    depth : how many brackets are open.
    bars : the brackets that are open, innermost last; `|` and `‖` close if they are innermost.
    """

    source: Source
    tokens: Sequence[Token]
    words: Words
    place: int
    stop: int
    depth: int = 0
    bars: list[str] = field(default_factory=list)

    @property
    def current(self) -> Token:
        """The token that is read next; past the last one, an `end`."""
        if self.place < self.stop:
            return self.tokens[self.place]
        token = self.tokens[self.stop]
        return Token("end", "", token.start, token.start)

    def next_are(self, *texts: str) -> bool:
        """Whether these tokens come next, in this order."""
        upcoming = self.tokens[self.place : min(self.place + len(texts), self.stop)]
        return tuple(token.text for token in upcoming) == texts

    def at(self, *texts: str) -> bool:
        """Whether one of these operators comes next."""
        return self.current.kind == "operator" and self.current.text in texts

    def accept(self, *texts: str) -> str | None:
        """Take the next token if it is one of these operators."""
        if not self.at(*texts):
            return None
        self.place += 1
        return self.tokens[self.place - 1].text

    def expect(self, *texts: str) -> None:
        """Take the next token, which must be one of these operators."""
        if self.accept(*texts) is None:
            raise self.unexpected(" or ".join(map(repr, texts)))

    def word(self, *texts: str) -> bool:
        """Take the next token if it is one of these words."""
        if self.current.kind == "name" and self.current.text in texts:
            self.place += 1
            return True
        return False

    def unexpected(self, expected: str) -> InputError:
        """What stands here instead of what was expected."""
        token = self.current
        found = repr(self.source.quote(token.start, token.end)) if token.text.strip() else "the end"
        return self.source.error(token.start, f"expected {expected}, found {found}")

    def nest(self) -> None:
        """Count one more open bracket.

        Raises
        ------
        InputError
            If more than `DEEPEST` are open.
        """
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.source.error(self.current.start, f"nested more than {DEEPEST} deep")

    def node(self, kind: str, parts: Sequence[Node], data: Hashable, start: int) -> Node:
        """A node from `start` to the token read last."""
        depth = 1 + max((part.depth for part in parts), default=0)
        if depth > DEEPEST_TREE:
            raise self.source.error(start, f"nested more than {DEEPEST_TREE} deep")
        return Node(kind, tuple(parts), data, start, self.tokens[self.place - 1].end, depth)

    def grouped(self, node: Node, start: int) -> Node:
        """A node with the brackets around it."""
        end = self.tokens[self.place - 1].end
        return replace(node, start=start, end=end, is_grouped=True)
