"""Derivations as one HTML page: MathML, nothing fetched, and no script.

Every step folds. A symbol shows what it means while it is pointed at, touched or has the focus:
the symbols of a step are numbered, and the step holds a note for each number, which the style sheet
shows at the foot of the window. The same is written in a table. Whatever comes from users is
escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from html import escape
from zlib import crc32

from workbench.calculus.dimensions import SCALAR, Dimension
from workbench.calculus.expressions import Expression
from workbench.calculus.functions import Function
from workbench.derivation.steps import Check
from workbench.notation.document import (
    RESULTS,
    Document,
    Line,
    Meaning,
    Section,
    Sentence,
    shape_text,
)
from workbench.notation.formats import GIVEN
from workbench.notation.html_style import STYLE
from workbench.notation.mathml import mathml, matrix
from workbench.notation.substitution import mathml_with
from workbench.notation.values import Value, cell_mathml, cells

SYMBOLS = "Symbols"

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def as_html(documents: Sequence[Document], *, fragment: bool = False) -> str:
    """A whole page, or with `fragment` one element with its style, as notebooks show it.

    >>> import workbench as wb
    >>> page = as_html([wb.derive(wb.network("2-1")).document])
    >>> page.splitlines()[0], "<script" in page
    ('<!DOCTYPE html>', False)
    """
    base = _fragment_name(documents) if fragment else ""
    articles = [
        _Article(shown, base if place == 1 else f"{base}part-{place}-", len(documents))
        for place, shown in enumerate(documents, start=1)
    ]
    heading = documents[0].title if len(documents) == 1 else "Derivations"
    body = "\n".join(
        (
            '<div class="workbench" lang="en">',
            f'<nav aria-label="Contents"><ul>{"".join(a.contents() for a in articles)}</ul></nav>',
            f"<main><h1>{escape(heading)}</h1>",
            *(article.body() for article in articles),
            "</main>",
            "</div>",
        )
    )
    style = f"<style>{STYLE}{_note_rules(body)}</style>"
    if fragment:
        return f"{style}\n{body}\n"
    return "\n".join(
        (
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(heading)}</title>",
            style,
            "<style>body { margin: 0; }</style>",
            "</head>",
            "<body>",
            body,
            "</body>",
            "</html>\n",
        )
    )


def _fragment_name(documents: Sequence[Document]) -> str:
    """What the names within a fragment begin with, so that two of a notebook stay apart."""
    told = [(shown.title, shown.notes, shown.is_worked) for shown in documents]
    return f"w{crc32(repr(told).encode()):08x}-"


class _Article:
    """One derivation of a page; its names in the page are its own."""

    def __init__(self, document: Document, prefix: str, count: int) -> None:
        self.document = document
        self.prefix = prefix
        self.is_alone = count == 1
        self.marks: dict[Expression | Function | str, str] = {
            _key(meaning): f"symbol-{place}" for place, meaning in enumerate(document.symbols)
        }
        self.groups = 0
        self.reached: set[int] = set()
        results = [section for section in document.sections if section.title == RESULTS]
        others = [section for section in document.sections if section.title != RESULTS]
        self.sections = [*results, *others]

    # parts of the page

    def contents(self) -> str:
        titles = [section.title for section in self.sections]
        if self.document.given:
            titles.insert(0, GIVEN)
        links = "".join(
            f'<li><a href="#{self._section_id(title)}">{escape(title)}</a></li>'
            for title in [*titles, SYMBOLS]
        )
        return links if self.is_alone else f'<li class="title">{self._title()}</li>{links}'

    def body(self) -> str:
        document = self.document
        parts = [] if self.is_alone else [f"<h2>{self._title()}</h2>"]
        parts += [self._group(f"<p>{self._sentence(note)}</p>") for note in document.notes]
        if document.given:
            given = self._group(f'<ul class="given">{self._given()}</ul>')
            parts.append(self._section(GIVEN, given))
        for section in self.sections:
            self.reached.clear()
            is_results = section.title == RESULTS
            rows = self._results(section) if is_results else self._steps(section)
            parts.append(self._section(section.title, rows))
        parts.append(self._section(SYMBOLS, self._table()))
        parts.append(self._group(f"<p>{self._sentence(document.closing)}</p>"))
        return f"<article>{chr(10).join(parts)}</article>"

    def _section(self, title: str, content: str) -> str:
        level = "h2" if self.is_alone else "h3"
        name = self._section_id(title)
        heading = f'<{level} id="{name}">{escape(title)}</{level}>'
        return f'<section aria-labelledby="{name}">{heading}\n{content}</section>'

    def _section_id(self, title: str) -> str:
        return self.prefix + re.sub(r"[^a-z]+", "-", title.lower())

    def _title(self) -> str:
        return escape(self.document.title)

    def _group(self, content: str) -> str:
        """The content with a note on each symbol in it.

        The keyboard reaches a symbol where it first stands in a section.
        """
        self.groups += 1
        symbols = self.document.symbols
        found: dict[int, int] = {}

        def numbered(match: re.Match[str]) -> str:
            symbol = int(match[1])
            if symbol in found:
                return f'class="k{found[symbol]}" tabindex="-1"'
            place = found[symbol] = len(found)
            stop = -1 if symbol in self.reached else 0
            self.reached.add(symbol)
            note = self._note_id(place)
            return f'class="k{place}" tabindex="{stop}" aria-describedby="{note}"'

        shown = re.sub(r'class="symbol-(\d+)" tabindex="-1"', numbered, content)
        notes = "".join(
            f'<p id="{self._note_id(place)}" role="tooltip">{_note(symbols[symbol])}</p>'
            for symbol, place in found.items()
        )
        return (
            f'<div class="group">{shown}<div class="notes">{notes}</div></div>' if notes else shown
        )

    def _note_id(self, place: int) -> str:
        return f"{self.prefix}note-{self.groups}-{place}"

    # steps

    def _steps(self, section: Section) -> str:
        groups: list[list[Line]] = []
        for line in section.lines:
            if line.is_continuation:
                groups[-1].append(line)
            else:
                groups.append([line])
        return "\n".join(map(self._step, groups))

    def _step(self, lines: Sequence[Line]) -> str:
        first, last = lines[0], lines[-1]
        number = first.label.partition(".")[0]
        rules = dict.fromkeys(self._sentence(line.rule) for line in lines)
        refs = tuple(dict.fromkeys(ref for line in lines for ref in line.refs))
        remark = f'<span class="rule">{", ".join(rules)}</span> {self._references(refs)}'
        summary = (
            f'<span class="label">({number})</span>'
            f"{self._formula(first.left, last)}"
            f'<span class="shape">{_line_shape(first)}</span>'
            f'<span class="remark">{remark}</span>'
            f"{_verdict(last.check, first.rule == ('given',))}"
        )
        work = self._stages(lines) if len(lines) > 1 else f"<p>{self._reason(first)}</p>"
        return self._group(
            f'<details class="step" id="{self.prefix}step-{number}">'
            f'<summary class="row">{summary}</summary>\n'
            f'<div class="work">{work}{_checked(last.check)}</div></details>'
        )

    def _stages(self, lines: Sequence[Line]) -> str:
        rows = []
        for line in lines:
            left = "" if line.is_continuation else self._sides(line.left)
            rows.append(
                f'<li><span class="label">({line.label})</span>'
                f'<div class="left scroll">{left}</div>'
                f'<div class="right scroll">{self._right(line)}</div>'
                f'<div class="reason">{self._reason(line)}</div></li>'
            )
        return f'<ol class="stages">{"".join(rows)}</ol>'

    def _reason(self, line: Line) -> str:
        why = "" if (line.why,) == line.rule else escape(line.why)
        rule = f'<span class="rule">{self._sentence(line.rule)}{":" if why else ""}</span>'
        why = f'<span class="why">{why}</span>' if why else ""
        return " ".join(part for part in (rule, why, self._references(line.refs)) if part)

    def _results(self, section: Section) -> str:
        rows = (
            f'<div class="result row"><span class="label">{self._links(line.refs)}</span>'
            f"{self._formula(line.left, line)}"
            f'<span class="shape">{_line_shape(line)}</span>'
            f"{_verdict(line.check)}</div>"
            for line in section.lines
        )
        return f"<ul>{''.join(f'<li>{self._group(row)}</li>' for row in rows)}</ul>"

    def _references(self, refs: Iterable[int]) -> str:
        links = self._links(refs)
        return f'<span class="refs">from {links}</span>' if links else ""

    def _links(self, refs: Iterable[int]) -> str:
        return ", ".join(f'<a href="#{self.prefix}step-{ref}">({ref})</a>' for ref in refs)

    # mathematics

    def _formula(self, left: Sequence[Expression], line: Line) -> str:
        """`left = right` in a box of its own that scrolls."""
        shown = self._sides((*left, line.right)) + _value(line.value, line.right)
        return f'<span class="scroll">{shown}</span>'

    def _sides(self, sides: Iterable[Expression]) -> str:
        return _math("<mo>=</mo>".join(mathml(side, self.marks) for side in sides))

    def _right(self, line: Line) -> str:
        shown = _math(f'<mo form="infix">=</mo>{mathml(line.right, self.marks)}')
        return shown + _value(line.value, line.right)

    def _sentence(self, sentence: Sentence) -> str:
        return "".join(
            escape(part) if isinstance(part, str) else _math(mathml(part, self.marks))
            for part in sentence
        )

    def _given(self) -> str:
        rows = []
        for meaning in self.document.given:
            sides = f"{mathml(meaning.shown, self.marks)}<mo>=</mo>{_numbers(meaning.value)}"
            rows.append(f'<li class="scroll">{_math(sides)}</li>')
        return "".join(rows)

    def _table(self) -> str:
        titles = ["Symbol", "What", "Shape", "Definition", "Step"]
        if self.document.is_worked:
            titles.append("Value")
        head = "".join(f'<th scope="col">{title}</th>' for title in titles)
        rows = "".join(map(self._table_row, self.document.symbols))
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        return (
            f'<div class="scroll" tabindex="0" role="region" aria-label="{SYMBOLS}">{table}</div>'
        )

    def _table_row(self, meaning: Meaning) -> str:
        definition = _math(mathml(meaning.definition)) if meaning.definition is not None else ""
        step = meaning.step
        link = self._links([step] if step else [])
        found = [escape(meaning.role), _shape(meaning), definition, link]
        if self.document.is_worked:
            found.append(_math(_numbers(meaning.value)) if meaning.value is not None else "")
        row = "".join(f"<td>{cell}</td>" for cell in found)
        return f'<tr><th scope="row">{_math(mathml(meaning.shown))}</th>{row}</tr>'


@lru_cache(maxsize=1024)
def _note(meaning: Meaning) -> str:
    """What a symbol means, in a line."""
    words = [_math(mathml(meaning.shown)), escape(meaning.role), _shape(meaning)]
    if meaning.definition is not None:
        words.append(_math(f"<mo>=</mo>{mathml(meaning.definition)}"))
    return "".join(f'<span class="part">{word}</span>' for word in words if word)


def _note_rules(body: str) -> str:
    """The style that shows a symbol's note, and marks where else in the step the symbol stands."""
    most = max((int(place) for place in re.findall(r'class="k(\d+)"', body)), default=-1)
    found = []
    for place in range(most + 1):
        state = f".workbench .group:has(.k{place}:is(:hover, :focus))"
        found.append(f"{state} > .notes > :nth-child({place + 1}) {{ display: block; }}\n")
        found.append(f"{state} .k{place} {{ background: var(--mark); }}\n")
    return "".join(found)


def _key(meaning: Meaning) -> Expression | Function | str:
    """What the renderer meets where the symbol stands."""
    match meaning.shown.data:
        case Function() as function:
            return replace(function, order=0)
        case Dimension() as dimension:
            return dimension.names[0]
    return meaning.shown


def _math(content: str) -> str:
    return f'<math displaystyle="true"><mrow>{content}</mrow></math>'


def _shape(meaning: Meaning) -> str:
    function = meaning.shown.data
    if isinstance(function, Function):
        return "column by column" if function.columnwise else "entry by entry"
    if meaning.role == "size":
        return ""
    return "scalar" if meaning.shown.is_scalar else escape(shape_text(meaning.shown.shape))


def _line_shape(line: Line) -> str:
    shape = "" if line.shape == SCALAR else escape(shape_text(line.shape))
    return shape.replace("×", "×<wbr>")


def _verdict(check: Check | None, is_definition: bool = False) -> str:
    if check is None:
        label, sign, name = (
            ("", "", "definition") if is_definition else ("not checked", "–", "unchecked")
        )
    elif check.passed:
        label, sign, name = "checked by numbers: passed", "✓", "passed"
    else:
        label, sign, name = "checked by numbers: failed", "✗", "failed"
    role = f' role="img" aria-label="{label}" title="{label}"' if label else ""
    return f'<span class="verdict {name}"{role}>{sign}</span>'


def _checked(check: Check | None) -> str:
    if check is None:
        return ""
    verdict = "Passed" if check.passed else "Failed"
    tiers = f" ({', '.join(check.tiers)})" if check.tiers else ""
    seeds = ", ".join(map(str, check.seeds))
    error = f"{check.max_relative_error:.1e}" if check.max_relative_error else "0"
    chance = f"; chance of an accident {check.chance:.0e}" if check.chance is not None else ""
    words = f"{verdict}{tiers} with seeds {seeds}: worst relative error {error}{chance}."
    return f'<p class="checked">{words}</p>'


def _value(value: Value | None, formula: Expression | None = None) -> str:
    """`= ` and the numbers; of a scalar formula first with the numbers of its symbols put in."""
    if value is None:
        return ""
    shown = f'<mo form="infix">=</mo>{_numbers(value)}'
    if formula is not None and value.parts:
        filled = mathml_with(formula, dict(value.parts))
        shown = f'<mo form="infix">=</mo>{filled}{shown}' if filled != _numbers(value) else shown
    for place, (name, where) in enumerate(value.place):
        at = "&#160;&#160;at&#160;" if place == 0 else ",&#160;"
        column = where if isinstance(where, tuple) else (where,)
        numbers = _numbers(Value(tuple((entry,) for entry in column)))
        shown += f"<mtext>{at}</mtext><mi>{escape(name)}</mi><mo>=</mo>{numbers}"
    return f'<span class="value">{_math(shown)}</span>'


def _numbers(value: Value | None) -> str:
    if value is None:
        return ""
    rows = [[cell_mathml(cell) for cell in row] for row in cells(value)]
    return rows[0][0] if value.is_scalar else matrix(rows)
