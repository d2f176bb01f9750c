"""The part of the grammar without precedence: names, calls and whatever stands in brackets."""

from __future__ import annotations

from abc import abstractmethod
from fractions import Fraction

from workbench.notation.reading.syntax import Node, Reader
from workbench.notation.reading.tokens import Token, canonical
from workbench.notation.reading.vocabulary import ALIASES, BY_COLUMNS, BY_ROWS

COMPARISONS = (">", "≥", "<", "≤")
GREEK_NAMED = frozenset({"sigma", "phi", "psi", "Phi", "Psi", "rho", "gamma", "Gamma"})
"""Names of one letter: without parentheses they are symbols even if a function is called so."""

_CLOSING = {"|": "|", "|(": ")|", "‖": "‖", "‖(": ")‖"}
_OPENING = frozenset(
    ("(", "[", "{", "|(", "‖(", "√", "∂", "∑", "frac", "begin matrix", "begin cases")
)


class Atoms(Reader):
    """Reads one operand of a formula."""

    @abstractmethod
    def sum(self) -> Node:
        """A sum of terms."""

    @abstractmethod
    def factor(self) -> Node:
        """An atom with what is raised on it."""

    @abstractmethod
    def term(self) -> Node:
        """A term of a sum."""

    def comparison(self) -> Node:
        """A sum, or two of them compared."""
        start, left = self.current.start, self.sum()
        sign = self.accept(*COMPARISONS)
        return left if sign is None else self.node("compare", (left, self.sum()), sign, start)

    def operand_follows(self) -> bool:
        """Whether a factor stands here; a bar closes if nothing was opened after it."""
        token = self.current
        if token.kind == "name":
            return token.text not in ("if", "else", "otherwise", "for")
        if token.kind in ("number", "ones"):
            return True
        if self.at("|", "‖"):
            return not (self.bars and self.bars[-1] == token.text)
        return token.kind == "operator" and token.text in _OPENING

    def atom(self) -> Node:
        """A number, a name, a call or what stands in brackets."""
        if not self.operand_follows():
            raise self.unexpected("a number, a name or '('")
        token = self.current
        start = token.start
        self.place += 1
        match token.text if token.kind == "operator" else token.kind:
            case "number":
                return self.node("number", (), Fraction(token.text), start)
            case "ones":
                return self.node("ones", self._sizes(token), None, start)
            case "name":
                return self._name(token)
            case "(":
                return self.grouped(self._within("(", ")"), start)
            case "[":
                return self._stack(start, ";", ",", "]")
            case "begin matrix":
                return self._stack(start, "\\\\", "&", "end matrix")
            case "{":
                return self._braced(start)
            case "begin cases":
                return self._cases(start)
            case "|" | "|(":
                inner = self._within(token.text, _CLOSING[token.text])
                return self.node("call", (inner,), ("abs", 0), start)
            case "‖" | "‖(":
                return self._norm(token.text, start)
            case "√":
                return self._root(start)
            case "frac":
                return self._fraction(start)
            case "∂":
                return self._partial(start)
            case _:
                if self.at("_"):
                    raise self.unexpected("a matrix: write sum(…) for the sum of all entries")
                return self.node("call", (self._operand(),), ("sum", 0), start)

    def _operand(self) -> Node:
        """The factor that a sign before it, such as √ or ∂, takes."""
        self.nest()
        operand = self.factor()
        self.depth -= 1
        return operand

    def _within(self, opening: str, closing: str) -> Node:
        self.bars.append(opening)
        inner = self.sum()
        self.bars.pop()
        self.expect(closing)
        return inner

    # names and calls

    def _name(self, token: Token) -> Node:
        name, start = token.text, token.start
        if self.words.is_symbol(name):
            return self.node("name", (), name, start)
        if token.base in ("I", "K"):
            sizes = self._sizes(token)
            if len(sizes) == 1 and token.base == "K" and sizes[0].kind in ("name", "number"):
                return self.node("name", (), canonical(f"K_{sizes[0].data}"), start)
            if sizes or token.base == "I" or (name == "K" and self.current.text == "vec"):
                return self.node("call", sizes, ("eye" if token.base == "I" else "K", 0), start)
        if not self.words.is_function(name):
            called = self.at("(") and not self.current.spaced
            if called and not (len(token.base) == 1 and token.base.isupper()):
                complaint = self.words.unknown_function(name)
                if complaint:
                    raise self.source.error(start, complaint)
            return self.node("name", (), name, start)
        primes = 0
        while self.tokens[self.place + primes].text == "'":
            primes += 1
        self.place += primes
        if self.at("("):
            return self._call(name, primes, start)
        if len(name) == 1 or name in GREEK_NAMED:
            self.place -= primes
            return self.node("name", (), name, start)
        if not self.operand_follows():
            raise self.source.error(start, f"{name} is a function: write {name}(…)")
        argument = self._operand()
        follows = self.current
        if self.operand_follows() and not self.words.is_function(follows.text):
            whole = self.source.quote(start, follows.end)
            raise self.source.error(
                follows.start, f"where does the argument end in {whole!r}? Write {name}(…)"
            )
        return self.node("call", (argument,), (ALIASES.get(name, name), primes), start)

    def _call(self, name: str, primes: int, start: int) -> Node:
        """A call; f(A, rows) and f(A, columns) say along what f is taken."""
        arguments = self._arguments()
        name = ALIASES.get(name, name)
        along = str(arguments[-1].data) if arguments[-1].kind == "name" else ""
        if len(arguments) == 2 and name in BY_COLUMNS and along in ("rows", "columns"):
            if along == "rows" and name not in BY_ROWS:
                turned = self.node("transpose", arguments[:1], None, start)
                inner = self.node("call", (turned,), (name, primes), start)
                return self.node("transpose", (inner,), None, start)
            name = (BY_ROWS if along == "rows" else BY_COLUMNS)[name]
            arguments = arguments[:1]
        return self.node("call", arguments, (name, primes), start)

    def _arguments(self) -> tuple[Node, ...]:
        self.expect("(")
        self.bars.append("(")
        found = [self.comparison()]
        while self.accept(",", ";"):
            found.append(self.comparison())
        self.bars.pop()
        self.expect(")")
        return tuple(found)

    def _sizes(self, token: Token) -> tuple[Node, ...]:
        """The sizes in the subscript of I, K or 𝟏."""
        if token.subscript:
            if token.subscript.isdigit():
                return (self.node("number", (), Fraction(token.subscript), token.start),)
            return (self.node("name", (), canonical(token.subscript), token.start),)
        if not self.next_are("_", "{"):
            return ()
        self.place += 2
        found = [self.sum()]
        while self.accept(","):
            found.append(self.sum())
        self.expect("}")
        return tuple(found)

    # brackets

    def _stack(self, start: int, below: str, beside: str, closing: str) -> Node:
        """Blocks in rows; one comparison alone is the indicator of where it holds."""
        self.bars.append("[")
        rows = [[self.comparison()]]
        while sign := self.accept(below, beside, ";"):
            if self.at(closing):
                break
            if sign == beside:
                rows[-1].append(self.comparison())
            else:
                rows.append([self.comparison()])
        self.bars.pop()
        self.expect(closing)
        if len(rows) == len(rows[0]) == 1:
            return self.grouped(rows[0][0], start)
        parts = [block for row in rows for block in row]
        return self.node("stack", parts, tuple(map(len, rows)), start)

    def _braced(self, start: int) -> Node:
        """A LaTeX group, or a choice `{u if c, else v}`."""
        self.bars.append("{")
        inner = self.sum()
        if self.word("if"):
            condition = self.comparison()
            self.accept(",")
            if not self.word("else", "otherwise"):
                raise self.unexpected("'else'")
            parts = (condition, inner, self.sum())
            inner = self.node("call", parts, ("where", 0), start)
        self.bars.pop()
        self.expect("}")
        return self.grouped(inner, start)

    def _cases(self, start: int) -> Node:
        self.bars.append("{")
        branches: list[tuple[Node, Node]] = []
        while True:
            value = self.sum()
            self.accept(",")
            self.accept("&")
            if self.word("else", "otherwise"):
                break
            self.word("if", "for")
            branches.append((self.comparison(), value))
            self.accept(",")
            self.expect("\\\\")
        self.accept("\\\\")
        self.bars.pop()
        self.expect("end cases")
        for condition, branch in reversed(branches):
            value = self.node("call", (condition, branch, value), ("where", 0), start)
        return self.grouped(value, start)

    def _norm(self, opening: str, start: int) -> Node:
        inner = self._within(opening, _CLOSING[opening])
        order = Fraction(2)
        if self.accept("_"):
            braced = self.accept("{")
            token = self.current
            self.place += 1
            if token.text not in ("F", "1", "2"):
                raise self.source.error(token.start, f"no norm is known by {token.text!r}: 1, 2, F")
            order = Fraction(1) if token.text == "1" else order
            if braced:
                self.expect("}")
        parts = (inner, self.node("number", (), order, start)) if order == 1 else (inner,)
        return self.node("call", parts, ("norm", 0), start)

    def _root(self, start: int) -> Node:
        exponent = Fraction(1, 2)
        if self.next_are("[") and self.tokens[self.place + 1].text.isdigit():
            exponent = Fraction(1, int(self.tokens[self.place + 1].text) or 1)
            self.place += 2
            self.expect("]")
        braced = self.at("(", "{")
        inner = self.atom() if braced else self._operand()
        return self.node("power", (inner,), (exponent, True), start)

    def _fraction(self, start: int) -> Node:
        r"""\frac with two groups, or with two digits as in \frac12."""
        token = self.current
        if token.kind == "number" and len(token.text) == 2 and token.text.isdigit():
            self.place += 1
            return self.node(
                "number", (), Fraction(int(token.text[0]), int(token.text[1]) or 1), start
            )
        above, below = self._group(), self._group()
        if above.kind == below.kind == "jacobian":
            return self.node("jacobian", (*above.parts, *below.parts), None, start)
        return self.grouped(self.node("product", (above, below), ("", "/"), start), start)

    def _group(self) -> Node:
        start = self.current.start
        if not self.at("{"):
            return self.atom()
        self.place += 1
        if self.accept("∂"):
            inner = self.node("jacobian", (self._operand(),), None, start)
            self.expect("}")
            return inner
        self.place -= 1
        return self.atom()

    def _partial(self, start: int) -> Node:
        """∂L/∂W."""
        above = self._operand()
        self.expect("/")
        self.expect("∂")
        return self.node("jacobian", (above, self._operand()), None, start)
