"""The grammar of plugin formulas: text in, expressions out, and nothing is ever executed.

    formula    = comparison
    comparison = sum [(">" | ">=" | "<" | "<=") sum]          only inside where(…)
    sum        = product {("+" | "-") product}
    product    = unary {("*" | "/") unary}
    unary      = "-" unary | power
    power      = atom [("^" | "**") unary]                     the exponent is a number
    atom       = number | name | name "(" formula {"," formula} ")" | "(" formula ")"

Names are the variables of the formula, `pi`, the primitives (exp, log, tanh, …), `sqrt`, `max`,
`min`, `where`, `sum` and `mean` (over the entries of one sample), and other activations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from workbench.calculus.algebra import (
    add,
    divide,
    greater,
    greater_equal,
    maximum,
    minimum,
    multiply,
    negate,
    power,
    subtract,
    where,
)
from workbench.calculus.expressions import Expression, constant, length, number, size
from workbench.calculus.functions import PRIMITIVES, Function
from workbench.calculus.matrices import total
from workbench.errors import InputError, WorkbenchError, close_matches

LONGEST_FORMULA = 2_000
DEEPEST_NESTING = 40
LONGEST_NUMBER = 25

Lookup = Callable[[str], Function | None]
"""Finds another function that a formula mentions by name."""

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2})?)"
    r"|(?P<name>[^\W\d]\w*)"
    r"|(?P<operator>\*\*|>=|<=|[-+*/^(),<>≥≤]))"
)
_SPELLINGS = str.maketrans({"−": "-", "·": "*", "×": "*", "⊙": "*"})


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    column: int


def parse_formula(
    text: str,
    variables: Mapping[str, Expression],
    lookup: Lookup = lambda name: None,
    what: str = "formula",
) -> Expression:
    """Read a formula.

    Parameters
    ----------
    variables : the symbols that may occur, by name.
    lookup : finds functions beyond the primitives.
    what : what the formula belongs to, for messages.

    Raises
    ------
    InputError
        With the column of the first character that cannot be read.

    >>> from workbench.calculus.functions import VARIABLE as z
    >>> parse_formula("z * z", {"z": z}) is power(z, 2)
    True
    >>> parse_formula("z * foo(z)", {"z": z})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    workbench.errors.InputError: formula 'z * foo(z)', column 5: unknown function 'foo'; known: ...
    """
    return _Parser(text, variables, lookup, what).parse()


class _Parser:
    def __init__(
        self, text: str, variables: Mapping[str, Expression], lookup: Lookup, what: str
    ) -> None:
        self.text = text
        self.what = what
        self.variables = variables
        self.lookup = lookup
        self.depth = 0
        self.position = 0
        self.functions: dict[str, Callable[..., Expression]] = {
            "sqrt": lambda u: power(u, Fraction(1, 2)),
            "max": maximum,
            "min": minimum,
            "where": where,
            "sum": total,
            "mean": lambda u: divide(total(u), size(length(u))),
            **PRIMITIVES,
        }
        if len(text) > LONGEST_FORMULA:
            raise InputError(
                f"{what} has {len(text):,} characters; at most {LONGEST_FORMULA:,} are read"
            )
        self.tokens = self._tokens(text.translate(_SPELLINGS))

    def _tokens(self, text: str) -> list[_Token]:
        tokens, place = [], 0
        end = len(text.rstrip())
        while place < end:
            match = _TOKEN.match(text, place)
            if match is None:
                column = place + len(text[place:]) - len(text[place:].lstrip())
                raise self._error(column, f"{text[column]!r} is not part of a formula")
            kind = str(match.lastgroup)
            tokens.append(_Token(kind, match.group(kind), match.start(kind)))
            place = match.end()
        return [*tokens, _Token("end", "", end)]

    def _error(self, column: int, message: str) -> InputError:
        shown = self.text if len(self.text) <= 60 else self.text[:57] + "…"
        return InputError(f"{self.what} {shown!r}, column {column + 1}: {message}")

    @property
    def current(self) -> _Token:
        return self.tokens[self.position]

    def parse(self) -> Expression:
        if self.current.kind == "end":
            raise self._error(0, "the formula is empty")
        result = self._guarded(self._sum)
        if self.current.kind != "end":
            raise self._unexpected("the end or an operator")
        return result

    def _unexpected(self, expected: str) -> InputError:
        found = repr(self.current.text) if self.current.text else "the end"
        return self._error(self.current.column, f"expected {expected}, found {found}")

    def _accept(self, *operators: str) -> str | None:
        if self.current.kind == "operator" and self.current.text in operators:
            self.position += 1
            return self.tokens[self.position - 1].text
        return None

    def _expect(self, operator: str) -> None:
        if self._accept(operator) is None:
            raise self._unexpected(repr(operator))

    def _guarded(self, rule: Callable[[], Expression]) -> Expression:
        """Bound the nesting, and say where in the text a constructor refused its operands."""
        column = self.current.column
        self.depth += 1
        if self.depth > DEEPEST_NESTING:
            raise self._error(column, f"nested more than {DEEPEST_NESTING} deep")
        try:
            return rule()
        except WorkbenchError as error:
            if str(error).startswith(self.what + " "):
                raise
            raise self._error(column, str(error)) from error
        finally:
            self.depth -= 1

    def _comparison(self) -> Expression:
        left = self._sum()
        operator = self._accept(">", ">=", "≥", "<", "<=", "≤")
        if operator is None:
            raise self._unexpected("a comparison such as z > 0")
        right = self._sum()
        if operator in ("<", "<=", "≤"):
            left, right = right, left
        return (greater if operator in (">", "<") else greater_equal)(left, right)

    def _sum(self) -> Expression:
        result = self._product()
        while operator := self._accept("+", "-"):
            other = self._product()
            result = add(result, other) if operator == "+" else subtract(result, other)
        return result

    def _product(self) -> Expression:
        result = self._unary()
        while operator := self._accept("*", "/"):
            other = self._unary()
            result = multiply(result, other) if operator == "*" else divide(result, other)
        return result

    def _unary(self) -> Expression:
        if self._accept("-"):
            return negate(self._guarded(self._unary))
        if self._accept("+"):
            return self._guarded(self._unary)
        return self._power()

    def _power(self) -> Expression:
        base = self._atom()
        column = self.current.column
        if self._accept("^", "**") is None:
            return base
        exponent = self._guarded(self._unary)
        if exponent.number is None:
            raise self._error(column + 1, "an exponent must be a number")
        if base.number is None and abs(exponent.number) > 100:
            raise self._error(column + 1, f"the exponent {exponent.number} is too large (over 100)")
        return power(base, exponent.number)

    def _atom(self) -> Expression:
        token = self.current
        if self._accept("("):
            inner = self._guarded(self._sum)
            self._expect(")")
            return inner
        self.position += 1
        if token.kind == "number":
            if len(token.text) > LONGEST_NUMBER:
                raise self._error(token.column, f"a number longer than {LONGEST_NUMBER} characters")
            return number(Fraction(token.text))
        if token.kind == "name":
            if self._accept("("):
                return self._call(token)
            return self._name(token)
        self.position -= 1
        raise self._unexpected("a number, a name or '('")

    def _name(self, token: _Token) -> Expression:
        if token.text in ("pi", "π"):
            return constant("pi")
        if token.text in self.variables:
            return self.variables[token.text]
        hint = close_matches(token.text, ["pi", *self.variables])
        raise self._error(token.column, f"unknown name {token.text!r}; {hint}")

    def _call(self, token: _Token) -> Expression:
        function = self.functions.get(token.text) or self.lookup(token.text)
        if function is None:
            hint = close_matches(token.text, self.functions)
            raise self._error(token.column, f"unknown function {token.text!r}; {hint}")
        arguments = [self._guarded(self._comparison if token.text == "where" else self._sum)]
        while self._accept(","):
            arguments.append(self._guarded(self._sum))
        self._expect(")")
        expected = {"where": 3, "max": 2, "min": 2}.get(token.text, 1)
        if len(arguments) != expected:
            raise self._error(
                token.column,
                f"{token.text} takes {expected} argument{'s' * (expected > 1)}, "
                f"{len(arguments)} given",
            )
        return function(*arguments)
