r"""Characters to tokens: plain ASCII, Unicode and LaTeX give the same stream.

`W1`, `W_1`, `W₁`, `W_{1}` and `\mathbf{W}_1` are all the name `W1`; `.*`, `⊙` and `\odot` are all
the operator `⊙`. What LaTeX writes only for its looks (`\left`, `\,`, `$`, `&=`) is left out.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from unicodedata import normalize, numeric

from workbench.errors import InputError, close_matches
from workbench.notation.greek import GREEK
from workbench.notation.reading.spellings import (
    ACCENTS,
    COMMANDS,
    FONTS,
    GREEK_NAMES,
    LAYOUT,
    MATRICES,
    ONE_LETTER,
    SIGNS,
    SPACING,
    SUBSCRIPT_CLASS,
    SUBSCRIPTS,
    SUPERSCRIPTS,
    WORDS,
)

LONGEST_TEXT = 80_000
LONGEST_NUMBER = 25

_BRACES = r"\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}"
_TOKEN = re.compile(
    r"(?P<space>[^\S\n]+|[$]+|~|[#%][^\n]*)"
    r"|(?P<newline>\n)"
    r"|(?P<number>(?:[0-9]+(?:\.(?![*/^'])[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2}(?![0-9A-Za-z]))?)"
    r"|(?P<vulgar>[¼-¾⅐-⅞])"
    r"|(?P<name>[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)*|[Α-Ωα-ωϑϕϵ][0-9]*)"
    r"|(?P<ones>𝟏|𝟙)"
    r"|(?P<command>\\(?:[A-Za-z]+\*?|.))"
    r"|(?P<superscript>[⁰¹²³⁴-⁹⁻⁺ᐟᵀ]+)"
    r"|(?P<operator>\*\*|\.[*/^']|\|\||<=|>=|:=|[-+*/^'’′″‴=<>≤≥⩽⩾(){}\[\]|‖∥,;:&_−–×·⋅∙∗∘⊙⊘⊗√∑∂⊤∈ℝ])"
)
_SUBSCRIPT = re.compile(
    rf"[^\S\n]*_[^\S\n]*(?P<braces>{_BRACES})|_(?P<plain>[A-Za-z0-9]+|[Α-Ωα-ω])"
    rf"|(?P<small>[{SUBSCRIPT_CLASS}]+)"
)
_LAYER = re.compile(r"\s*\^\s*\{\s*\(\s*([0-9]{1,4})\s*\)\s*\}")
_ARGUMENT = re.compile(rf"\s*(?:(?P<braces>{_BRACES})|(?P<plain>\\?[A-Za-z]+|[0-9]))")
_CONTENT = re.compile(r"\\(?:mathrm|text|mathit|mathbf|operatorname|mathsf)\b\s*|[\s{}]|\\,")


class TextError(InputError):
    """Text that cannot be read; the message starts with the place."""


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text.

    Attributes
    ----------
    kind : number, name, ones, operator, superscript, newline or end.
    text : in its one spelling: `⊙` for `.*`, `W1` for `W_{1}`.
    start, end : where it stands.
    spaced : whether blank space stands before it.
    base, subscript : of a name with a subscript, its two parts as they were written.
    """

    kind: str
    text: str
    start: int
    end: int
    spaced: bool = False
    base: str = ""
    subscript: str = ""


@dataclass(frozen=True)
class Source:
    """The text that is read, with the name under which messages cite it."""

    name: str
    text: str

    @cached_property
    def _lines(self) -> list[int]:
        return [0, *(match.end() for match in re.finditer("\n", self.text))]

    def line(self, offset: int) -> int:
        """The number of the line, from 1, at an offset."""
        return bisect_right(self._lines, offset)

    def error(self, offset: int, message: str) -> TextError:
        """An error that points at a character.

        >>> str(Source("model.eq", "a = b\\nc = ?").error(10, "what is this?"))
        'model.eq:2:5: what is this?'
        """
        line = self.line(offset)
        return TextError(f"{self.name}:{line}:{offset - self._lines[line - 1] + 1}: {message}")

    def quote(self, start: int, end: int) -> str:
        """A part of the text for a message, on one line and not too long."""
        words = " ".join(self.text[start:end].split())
        return words if len(words) <= 48 else words[:45] + "…"


def tokenize(source: Source) -> list[Token]:
    r"""The tokens of a text, an `end` token last.

    Raises
    ------
    InputError
        At the first character that is no part of the grammar, or if the text is too long.

    >>> [token.text for token in tokenize(Source("", r"\mathbf{W}_1 x .* y_{out}"))]
    ['W1', 'x', '⊙', 'y_out', '']
    """
    if len(source.text) > LONGEST_TEXT:
        raise InputError(
            f"{source.name}: {len(source.text):,} characters; at most {LONGEST_TEXT:,} are read"
        )
    return _Tokenizer(source).tokens()


@dataclass
class _Tokenizer:
    source: Source
    place: int = 0
    depth: int = 0
    spaced: bool = False
    found: list[Token] = field(default_factory=list)
    environments: list[str] = field(default_factory=list)

    def tokens(self) -> list[Token]:
        self.text = _one_spelling(self.source.text)
        while self.place < len(self.text):
            match = _TOKEN.match(self.text, self.place)
            if match is None:
                shown = self.source.text[self.place]
                raise self.source.error(self.place, f"{shown!r} is not part of the grammar")
            kind, start = str(match.lastgroup), self.place
            self.place = match.end()
            self._take(kind, match[0], start)
        self._add("end", "", self.place)
        return self.found

    def _add(self, kind: str, text: str, start: int, base: str = "", subscript: str = "") -> None:
        token = Token(kind, text, start, self.place, self.spaced, base or text, subscript)
        self.found.append(token)
        self.spaced = False

    def _take(self, kind: str, text: str, start: int) -> None:
        match kind:
            case "space":
                self.spaced = True
            case "newline":
                self._break(start)
            case "number":
                if len(text) > LONGEST_NUMBER:
                    words = f"a number longer than {LONGEST_NUMBER} characters"
                    raise self.source.error(start, words)
                self._add("number", text, start)
            case "vulgar":
                value = Fraction(numeric(text)).limit_denominator(10)
                self._add("number", str(value), start)
            case "name":
                self._name(GREEK_NAMES.get(text[0], text[0]) + text[1:], start)
            case "ones":
                self._name("𝟏", start)
            case "command":
                self._command(text[1:], start)
            case "superscript":
                self._add("superscript", text.translate(SUPERSCRIPTS), start)
            case _:
                self._operator(SIGNS.get(text, text), start)

    def _operator(self, sign: str, start: int) -> None:
        if sign in ("(", "[", "{"):
            self.depth += 1
        elif sign in (")", "]", "}"):
            self.depth = max(self.depth - 1, 0)
        elif not self.depth and not self.environments and sign in ("\\\\", "&", ";"):
            if sign == "&":
                self.spaced = True
            else:
                self._break(start)
            return
        if sign in ("''", "'''"):
            for _ in sign:
                self._add("operator", "'", start)
            return
        self._add("operator", sign, start)

    def _break(self, start: int) -> None:
        """The end of a statement, unless a bracket is open or an operator waits for its operand."""
        last = self.found[-1] if self.found else None
        waits = (
            last is not None and last.kind == "operator" and last.text in "+ - * / · ⊙ ⊘ ⊗ = , ."
        )
        if self.depth or self.environments or waits or last is None or last.kind == "newline":
            self.spaced = True
        else:
            self._add("newline", "\n", start)

    # names

    def _name(self, base: str, start: int) -> None:
        """A name, with the subscript or the number of a layer, as in W^{(3)}, behind it."""
        layer = _LAYER.match(self.text, self.place)
        if layer is not None:
            self.place = layer.end()
            self._add("name", canonical(f"{base}_{layer[1]}"), start)
            return
        match = _SUBSCRIPT.match(self.text, self.place)
        if match is None:
            letters, _, word = base.partition("_")
            kind = "ones" if base == "𝟏" else "name"
            self._add(kind, canonical(base), start, letters, word)
            return
        raw = match["braces"] or match["plain"] or match["small"].translate(SUBSCRIPTS)
        is_block = match["braces"] and raw[1:].lstrip().startswith("[")
        if is_block or (match["braces"] and base in ("I", "K", "𝟏")):
            self._add("ones" if base == "𝟏" else "name", canonical(base), start)
            return
        self.place = match.end()
        subscript = raw[1:-1] if match["braces"] else GREEK_NAMES.get(raw, raw)
        if base == "𝟏":
            self._add("ones", base, start, base, subscript)
            return
        plain = re.sub(r"\\(?=[A-Za-z])|[_']", "", _CONTENT.sub("", subscript)).replace(",", "_")
        whole = canonical(f"{base}_{plain}")
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", whole):
            raise self.source.error(
                start, f"the subscript {subscript!r} is not made of letters and digits"
            )
        self._add("name", whole, start, base, subscript)

    def _command(self, command: str, start: int) -> None:
        command = command.rstrip("*")
        if command in SPACING:
            self._delimiter(command)
        elif command in ("begin", "end"):
            self._environment(command, start)
        elif command in FONTS:
            self._in_font(command, start)
        elif command in ACCENTS and not (command == "vec" and self._calls()):
            inner = _name_of(self._argument(start))
            if inner is None:
                raise self.source.error(start, f"\\{command} needs one name in braces")
            self._name(inner + ACCENTS[command], start)
        elif command in COMMANDS:
            self._operator(COMMANDS[command], start)
        elif command in WORDS:
            self._name(command, start)
        elif (name := command.removeprefix("var")) in GREEK_NAMES.values():
            self._name(name, start)
        else:
            known = [*COMMANDS, *WORDS, *FONTS, *GREEK]
            hint = close_matches(command, [name for name in known if name.isalpha()])
            raise self.source.error(start, f"unknown command \\{command}; {hint.split(' (')[0]}")

    def _delimiter(self, command: str) -> None:
        r"""What \left and \right say of a bar: which of the two it is."""
        self.spaced = self.spaced or command not in ("left", "right")
        match = re.compile(r"\s*(\\\||\|)").match(self.text, self.place)
        if command in ("left", "right") and match is not None:
            bar, start = ("‖" if match[1] == "\\|" else "|"), self.place
            self.place = match.end()
            self._add("operator", bar + "(" if command == "left" else ")" + bar, start)

    def _environment(self, command: str, start: int) -> None:
        name = _inside(self._argument(start)).rstrip("*")
        if name in LAYOUT:
            if command == "end" and self.found:
                self._break(start)
            return
        if name not in MATRICES and name != "cases":
            known = close_matches(name, [*MATRICES, "cases", *LAYOUT])
            raise self.source.error(start, f"unknown environment {name!r}; {known}")
        kind = "cases" if name == "cases" else "matrix"
        if command == "begin":
            self.environments.append(kind)
        elif self.environments:
            self.environments.pop()
        self._add("operator", f"{command} {kind}", start)

    def _argument(self, start: int) -> str:
        match = _ARGUMENT.match(self.text, self.place)
        if match is None:
            raise self.source.error(start, f"{self.text[start : self.place]} needs an argument")
        self.place = match.end()
        plain = match["plain"]
        if plain is not None and plain[0] != "\\" and len(plain) > 1:
            self.place -= len(plain) - 1
            return plain[0]
        return str(match["braces"] or plain)

    def _calls(self) -> bool:
        r"""Whether a parenthesis follows, so that \vec is the function and no arrow."""
        return re.compile(r"\s*(\\left)?\s*\(").match(self.text, self.place) is not None

    def _in_font(self, command: str, start: int) -> None:
        inner = _inside(self._argument(start))
        if inner in ("if", "for", "else", "otherwise", "and"):
            self._add("name", inner, start)
        elif inner == "1":
            self._name("𝟏", start)
        elif inner in ("0", "."):
            self._add("number", "0", start)
        elif inner in ("T", "\\top") and command in ("mathsf", "mathrm", "top"):
            self._add("operator", "⊤", start)
        elif inner == "R" and command == "mathbb":
            self._add("operator", "ℝ", start)
        elif not inner:
            self.spaced = True
        else:
            name = _name_of(inner)
            if name is None:
                raise self.source.error(start, f"\\{command}{{{inner}}} holds more than one name")
            self._name(name, start)


def canonical(name: str) -> str:
    """The one spelling of a name: a number stands right behind its letters, a word behind `_`.

    >>> canonical("W_1"), canonical("net_o1"), canonical("s_0a")
    ('W1', 'net_o1', 's0a')
    """
    match = re.fullmatch(r"([A-Za-z]+)_([0-9]+[a-z]?)", name)
    return match[1] + match[2] if match else name


def _inside(argument: str) -> str:
    return argument[1:-1].strip() if argument.startswith("{") else argument


def _name_of(argument: str) -> str | None:
    """The one name that an argument in braces holds, if it holds one name."""
    inner = re.sub(r"\\(?:mathrm|text|mathbf|mathit)\b|[{}\s]", "", argument)
    inner = inner.replace("\\_", "_").removeprefix("\\").removeprefix("var")
    return inner if re.fullmatch(r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*", inner) else None


def _one_spelling(text: str) -> str:
    """Letters in mathematical fonts as plain ones, character by character."""
    if text.isascii():
        return text
    return "".join(
        normalize("NFKC", character) if "\U0001d400" <= character <= "\U0001d7cb" else character
        for character in text.translate(ONE_LETTER)
    )
