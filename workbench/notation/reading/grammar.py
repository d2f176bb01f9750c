r"""Tokens to a syntax tree, by precedence; what the operands are is decided later.

    comparison = sum (">" | "≥" | "<" | "≤") sum            in [ ], where( ) and { if }
    sum        = ["-"] term {("+" | "-") term}
    term       = product {("⊙" | "⊘" | "⊗") product}
    product    = factor {["*" | "·" | "/"] factor}          side by side is a product
    factor     = atom {"'" | "ᵀ" | "⁻¹" | "^" exponent | ".^" exponent | "[" ranges "]"}
    atom       = number | name | function "(" sum {"," sum} ")" | "(" sum ")" | "|" sum "|"
               | "‖" sum "‖" | "√" factor | "[" row {";" row} "]" | "∂" factor "/" "∂" factor
               | "{" sum "if" comparison "," "else" sum "}"

Products (side by side, `*`) and `/` read from left to right and bind tighter than ⊙, ⊘ and ⊗, as
on paper. LaTeX writes the same with commands: `\frac{a}{b}` for a/b, `\begin{bmatrix} a & b \\ c
& d \end{bmatrix}` for a stack, `\begin{cases}` for a choice, `\odot` for ⊙.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from workbench.notation.reading.atoms import Atoms
from workbench.notation.reading.syntax import Node
from workbench.notation.reading.tokens import Token

LARGEST_EXPONENT = 100


class Parser(Atoms):
    """Reads formulas.

    >>> from workbench.notation.reading.syntax import Words
    >>> from workbench.notation.reading.tokens import Source, tokenize
    >>> source = Source("example", "A' (x + b) ⊙ y")
    >>> tokens = tokenize(source)
    >>> words = Words(lambda name: False, lambda name: True, str)
    >>> Parser(source, tokens, words, 0, len(tokens) - 1).whole().kind
    'elementwise'
    """

    def whole(self) -> Node:
        """A formula that ends where the tokens end."""
        if self.current.kind == "end":
            raise self.unexpected("a formula")
        found = self.sum()
        if self.current.kind != "end":
            raise self.unexpected("an operator or the end")
        return found

    def sum(self) -> Node:
        """A sum of terms with their signs."""
        self.nest()
        start = self.current.start
        signs, terms = [self._sign()], [self.term()]
        while self.at("+", "-"):
            signs.append(self._sign())
            terms.append(self.term())
        self.depth -= 1
        if signs == [1]:
            return terms[0]
        return self.node("sum", terms, tuple(signs), start)

    def _sign(self) -> int:
        """The product of the signs that stand here."""
        sign = 1
        while found := self.accept("+", "-"):
            sign = -sign if found == "-" else sign
        return sign

    def term(self) -> Node:
        """Products with elementwise and Kronecker signs between them, from left to right."""
        start = self.current.start
        parts, signs = [self._product()], [""]
        while sign := self.accept("⊙", "⊘", "⊗"):
            parts.append(self._signed(self._product))
            signs.append(sign)
            is_mixed = (sign == "⊗") != (signs[1] == "⊗")
            if is_mixed or (sign == "⊘" and _is_spelt_out(parts[-1])):
                whole = self.source.quote(start, parts[-1].end)
                raise self.source.error(
                    parts[-1].start, f"{whole!r} can be read in two ways: put parentheses"
                )
        if len(parts) == 1:
            return parts[0]
        return self.node("kron" if "⊗" in signs else "elementwise", parts, tuple(signs), start)

    def _product(self) -> Node:
        start = self.current.start
        factors, signs = [self.factor()], [""]
        while self.at("*", "/", "·", "×") or self.operand_follows():
            sign = self.accept("*", "/", "·", "×")
            if sign is None and self._is_second_number():
                raise self.unexpected("an operator between two numbers")
            is_bare = sign is None and self._is_one()
            factors.append(self._signed(self.factor) if sign else self.factor())
            if is_bare:
                factors[-1] = self.node("ones", (), None, factors[-1].start)
            signs.append({"×": "*", "·": ""}.get(sign or "", sign or ""))
        if len(factors) == 1:
            return factors[0]
        return self.node("product", factors, tuple(signs), start)

    def _is_second_number(self) -> bool:
        """Whether a number stands right behind a number, with no power to tell them apart."""
        behind = self.tokens[min(self.place + 1, self.stop)]
        raised = behind.kind == "superscript" or behind.text == "^"
        return self.current.kind == self.tokens[self.place - 1].kind == "number" and not raised

    def _is_one(self) -> bool:
        """Whether a 1 stands here alone: behind a factor it is the column 𝟏, as in A 1."""
        behind = self.tokens[min(self.place + 1, self.stop)]
        return self.current.text == "1" and behind.text not in ("/", "^", ".^", "'", "[")

    def _signed(self, rule: Callable[[], Node]) -> Node:
        start, sign = self.current.start, self._sign()
        operand = rule()
        return operand if sign > 0 else self.node("sum", (operand,), (-1,), start)

    def factor(self) -> Node:
        """An atom with transposes, powers and ranges behind it."""
        start, base = self.current.start, self.atom()
        while True:
            token = self.current
            if self.accept("'"):
                base = self._transposed(base)
            elif token.kind == "superscript":
                self.place += 1
                base = self._raised(base, token)
            elif self.accept("^"):
                base = self._power(base)
            elif self.accept(".^"):
                base = self.node("power", (base,), (self._exponent(), True), start)
            elif self.at("[") and not token.spaced and self._is_range():
                base = self._block(base)
            elif self.next_are("_", "{", "["):
                self.place += 2
                base = self._block(base)
                self.expect("}")
            else:
                return base

    # blocks

    def _is_range(self) -> bool:
        """Whether what stands in the brackets is a range of rows and columns."""
        depth = 0
        for place in range(self.place, self.stop):
            text = self.tokens[place].text
            depth += (text in ("(", "[", "{")) - (text in (")", "]", "}"))
            if text == ":" or depth == 0:
                return depth > 0
        return False

    def _block(self, base: Node) -> Node:
        """`A[first:last, first:last]`, counted from 1; `:` is all."""
        self.expect("[")
        parts, data = [base], []
        for place in range(2):
            if place and not self.accept(","):
                break
            data.append(":")
            if self.accept(":"):
                if self.at(",", "]"):
                    continue
                raise self.unexpected("',' or ']'")
            first = self.sum()
            last = self.sum() if self.accept(":") else first
            data[-1] = "range"
            parts += [first, last]
        self.expect("]")
        return self.node("index", parts, tuple(data), base.start)

    # powers

    def _raised(self, base: Node, token: Token) -> Node:
        """A base with Unicode superscripts: a transpose, an inverse, both, or a power."""
        number, letter, rest = token.text.partition("T")
        if rest or (letter and number not in ("", "-")):
            raise self.source.error(token.start, f"{token.text!r} is no exponent")
        if number:
            exponent = Fraction(-1) if letter else self._rational(number, token.start)
            base = self.node("power", (base,), (exponent, False), base.start)
        return self._transposed(base) if letter else base

    def _power(self, base: Node) -> Node:
        """What stands behind `^`: ⊤, ⊙ with an exponent, or an exponent."""
        start, braced = base.start, self.accept("{") is not None
        negative = self._is_inverse_transpose() and self.accept("-") is not None
        if self.accept("⊤") or self.word("T"):
            if negative:
                base = self.node("power", (base,), (Fraction(-1), False), start)
            base = self._transposed(base)
        elif self.accept("'"):
            base = self._transposed(base)
        elif self.accept("⊙"):
            exponent = self._value(self.sum()) if braced else self._exponent()
            base = self.node("power", (base,), (exponent, True), start)
        else:
            inner = self.sum() if braced else self._bare_exponent()
            if base.kind == "name" and base.data == "e" and not self.words.is_symbol("e"):
                base = self.node("call", (inner,), ("exp", 0), start)
            else:
                base = self.node("power", (base,), (self._value(inner), False), start)
        if braced:
            self.expect("}")
        return base

    def _transposed(self, base: Node) -> Node:
        """The transpose; that of a 1 is the row 𝟏ᵀ."""
        if base.kind == "number" and base.data == 1 and not base.is_grouped:
            base = self.node("ones", (), None, base.start)
        return self.node("transpose", (base,), None, base.start)

    def _is_inverse_transpose(self) -> bool:
        return self.next_are("-", "⊤") or self.next_are("-", "T")

    def _exponent(self) -> Fraction:
        """A constant exponent, in superscripts, braces or neither."""
        token = self.current
        if token.kind == "superscript":
            self.place += 1
            return self._rational(token.text, token.start)
        if self.accept("{"):
            value = self._value(self.sum())
            self.expect("}")
            return value
        return self._value(self._bare_exponent())

    def _bare_exponent(self) -> Node:
        """An atom with its sign, and the powers stacked on it."""
        self.nest()
        start, sign, base = self.current.start, self._sign(), self.atom()
        if self.accept("^"):
            base = self.node("power", (base,), (self._value(self._bare_exponent()), False), start)
        self.depth -= 1
        return base if sign > 0 else self.node("sum", (base,), (-1,), start)

    def _rational(self, digits: str, start: int) -> Fraction:
        try:
            return self._bounded(Fraction(digits[:20]), start)
        except (ValueError, ZeroDivisionError):
            raise self.source.error(start, f"{digits!r} is no exponent") from None

    def _bounded(self, value: Fraction, start: int) -> Fraction:
        if abs(value) > LARGEST_EXPONENT or value.denominator > LARGEST_EXPONENT:
            raise self.source.error(start, f"an exponent is too large (over {LARGEST_EXPONENT})")
        return value

    def _value(self, node: Node) -> Fraction:
        """The number that an exponent is."""
        return self._bounded(self._constant(node), node.start)

    def _constant(self, node: Node) -> Fraction:
        values = []
        match node.kind, node.data:
            case "number", Fraction() as value:
                return value
            case "sum", tuple() as signs:
                values = [
                    sign * self._value(part) for sign, part in zip(signs, node.parts, strict=True)
                ]
                return sum(values, Fraction(0))
            case "product", tuple() as signs:
                result = Fraction(1)
                for sign, part in zip(signs, node.parts, strict=True):
                    value = self._value(part)
                    if sign == "/" and not value:
                        raise self.source.error(part.start, "division by zero")
                    result = result / value if sign == "/" else result * value
                return result
            case "power", (Fraction() as exponent, bool()) if exponent.denominator == 1:
                base = self._value(node.parts[0])
                if base and (abs(exponent) <= 8 or base == 1):
                    return base**exponent.numerator
                raise self.source.error(node.start, "the exponent is too large or no number")
        raise self.source.error(node.start, "an exponent must be a number")


def _is_spelt_out(node: Node) -> bool:
    """Whether a product is written with * or / and stands in no parentheses."""
    if node.kind != "product" or node.is_grouped:
        return False
    assert isinstance(node.data, tuple)
    return "*" in node.data or "/" in node.data
