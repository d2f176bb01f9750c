"""The statements of a text: declarations, assumptions and equations, one a line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from workbench.calculus.expressions import Kind
from workbench.errors import close_matches
from workbench.notation.reading.grammar import Parser
from workbench.notation.reading.syntax import Node, Words
from workbench.notation.reading.tokens import Source, Token

MOST_STATEMENTS = 5_000

KINDS = {
    "input": Kind.INPUT, "inputs": Kind.INPUT, "parameter": Kind.PARAMETER,
    "parameters": Kind.PARAMETER, "target": Kind.TARGET, "targets": Kind.TARGET,
}  # fmt: skip

KEYWORDS = (*KINDS, "elementwise", "assume")


@dataclass(frozen=True, slots=True)
class Declaration:
    """`parameter W : m×n`; without a shape only the kind is declared.

    Attributes
    ----------
    rows, columns : the sizes; no columns for a column, neither for what stays to be inferred.
    start, end : where the name and its shape stand.
    """

    name: str
    kind: Kind
    rows: Node | None
    columns: Node | None
    is_symmetric: bool
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Formula:
    """A run of tokens that is an equation, an assumption or, without `=`, an expression.

    Attributes
    ----------
    name : what stands left of `=` if it is one name.
    equals : the place of the `=` among the tokens; `begin` if there is none.
    """

    begin: int
    equals: int
    stop: int
    name: str
    is_assumption: bool


@dataclass
class Statements:
    """What a text says, its formulas not yet read.

    Attributes
    ----------
    undetermined : the names declared as elementwise functions.
    """

    declarations: dict[str, Declaration]
    undetermined: dict[str, int]
    formulas: list[Formula]


def statements(source: Source, tokens: Sequence[Token]) -> Statements:
    """Tell declarations from equations, and read the declarations.

    Raises
    ------
    InputError
        If a declaration cannot be read, or a name is declared twice.

    >>> from workbench.notation.reading.tokens import tokenize
    >>> source = Source("example", "input x : n; z = W x")
    >>> found = statements(source, tokenize(source))
    >>> list(found.declarations), [formula.name for formula in found.formulas]
    (['x'], ['z'])
    """
    found = Statements({}, {}, [])
    begin = 0
    for place, token in enumerate(tokens):
        if token.kind in ("newline", "end"):
            if place > begin:
                _Statement(source, tokens, begin, place, found).read()
            begin = place + 1
            if len(found.formulas) > MOST_STATEMENTS:
                raise source.error(token.start, f"more than {MOST_STATEMENTS:,} equations")
    return found


@dataclass
class _Statement:
    source: Source
    tokens: Sequence[Token]
    begin: int
    stop: int
    found: Statements

    def read(self) -> None:
        first, second = self.tokens[self.begin], self.tokens[self.begin + 1]
        if first.kind != "name":
            self._formula(self.begin, False)
            return
        if first.text in KEYWORDS and first.kind == "name" and second.text not in ("=", "("):
            if first.text == "assume":
                self._formula(self.begin + 1, True)
            elif first.text == "elementwise":
                self._elementwise()
            else:
                self._declarations(KINDS[first.text])
            return
        follows = self.begin + 1 < self.stop and second.kind == "name" and second.spaced
        words = [token.text for token in self.tokens[self.begin : self.stop]]
        if follows and ":" in words and "[" not in words and len(first.text) > 3:
            hint = close_matches(first.text, KEYWORDS)
            raise self.source.error(first.start, f"unknown declaration {first.text!r}; {hint}")
        self._formula(self.begin, False)

    def _formula(self, begin: int, is_assumption: bool) -> None:
        depth, places = 0, []
        for place in range(begin, self.stop):
            text = self.tokens[place].text
            if self.tokens[place].kind == "operator":
                depth += (text in ("(", "[", "{")) - (text in (")", "]", "}"))
                if text == "=" and depth == 0:
                    places.append(place)
        if len(places) > 1:
            raise self.source.error(
                self.tokens[places[1]].start, "a second '='; write one equation a line"
            )
        left = self.tokens[begin]
        name = left.text if places and places[0] == begin + 1 and left.kind == "name" else ""
        equals = places[0] if places else begin
        self.found.formulas.append(Formula(begin, equals, self.stop, name, is_assumption))

    def _elementwise(self) -> None:
        for token in self.tokens[self.begin + 1 : self.stop]:
            if token.kind == "name":
                self.found.undetermined[token.text] = token.start
            elif token.text != ",":
                raise self.source.error(token.start, f"expected a name, found {token.text!r}")

    # declarations of symbols

    def _declarations(self, kind: Kind) -> None:
        """`a, b : m×n, c : k`."""
        place, names = self.begin + 1, []
        while place < self.stop:
            token = self.tokens[place]
            if token.kind != "name":
                raise self.source.error(token.start, f"expected a name, found {token.text!r}")
            names.append(token)
            place += 1
            if self._is_at(place, ":", "∈", "in"):
                place = self._shape(names, kind, place + 1)
                names = []
            if place < self.stop:
                if self.tokens[place].text != ",":
                    shown = self.tokens[place]
                    raise self.source.error(
                        shown.start, f"expected ':' or ',', found {shown.text!r}"
                    )
                place += 1
        for token in names:
            self._declare(token, kind, None, None, False, token.end)

    def _is_at(self, place: int, *texts: str) -> bool:
        return place < self.stop and self.tokens[place].text in texts

    def _shape(self, names: Sequence[Token], kind: Kind, place: int) -> int:
        """Read a shape and declare names with it; the place behind it."""
        start = place
        if self._is_at(place, "ℝ", "R") and self._is_at(place + 1, "^"):
            place += 2
        end = place
        while end < self.stop and self.tokens[end].text not in (",", "symmetric"):
            end += 1
        behind = end
        if self._is_at(place, "{") and self.tokens[end - 1].text == "}":
            place, behind, end = place + 1, end, end - 1
        if place >= end:
            raise self.source.error(self.tokens[start].start, "expected a shape such as n or m×n")
        sizes = self._sizes(place, end)
        is_symmetric = self._is_at(behind, "symmetric")
        for token in names:
            last = self.tokens[behind - 1].end
            self._declare(token, kind, *sizes, is_symmetric, last)
        return behind + is_symmetric

    def _sizes(self, place: int, end: int) -> tuple[Node, Node | None]:
        if self.tokens[place].text == "scalar" and end == place + 1:
            return _plain_size("1", self.tokens[place].start), None
        cuts = [
            cut
            for cut in range(place + 1, end)
            if self.tokens[cut].text in ("×", "x", "by") and cut + 1 < end
        ]
        if not cuts:
            glued = self._glued(place, end)
            return glued or (self._size(place, end), None)
        if len(cuts) > 1:
            raise self.source.error(
                self.tokens[cuts[1]].start, "a shape has at most two sizes, as in m×n"
            )
        return self._size(place, cuts[0]), self._size(cuts[0] + 1, end)

    def _glued(self, place: int, end: int) -> tuple[Node, Node] | None:
        """`784x100` and `mxn`, written without blanks."""
        start, stop = self.tokens[place].start, self.tokens[end - 1].end
        match = re.fullmatch(
            r"([0-9]+|[A-Za-z][0-9]*)x([0-9]+|[A-Za-z][0-9]*)", self.source.text[start:stop]
        )
        if match is None:
            return None
        return _plain_size(match[1], start), _plain_size(match[2], start)

    def _size(self, place: int, end: int) -> Node:
        words = Words(lambda name: False, lambda name: True, lambda name: "")
        return Parser(self.source, self.tokens, words, place, end).whole()

    def _declare(
        self,
        token: Token,
        kind: Kind,
        rows: Node | None,
        columns: Node | None,
        is_symmetric: bool,
        end: int,
    ) -> None:
        known = self.found.declarations.get(token.text)
        if known is not None:
            line = self.source.line(known.start)
            raise self.source.error(token.start, f"{token.text} is declared in line {line} already")
        self.found.declarations[token.text] = Declaration(
            token.text, kind, rows, columns, is_symmetric, token.start, end
        )


def _plain_size(text: str, start: int) -> Node:
    if text.isdigit():
        return Node("number", (), Fraction(text[:12]), start, start + len(text))
    return Node("name", (), text, start, start + len(text))
