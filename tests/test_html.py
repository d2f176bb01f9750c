"""HTML pages: MathML of the right form, pages that stand alone, and nothing that runs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

import workbench as wb
from workbench.calculus.algebra import (
    add,
    divide,
    greater,
    maximum,
    multiply,
    negate,
    power,
    where,
)
from workbench.calculus.blocks import block, hstack, vstack
from workbench.calculus.dimensions import ONE, SCALAR, Dimension
from workbench.calculus.expressions import Expression, Kind, identity, ones, symbol
from workbench.calculus.functions import ABS, EXP, undetermined
from workbench.calculus.matrices import (
    commutation,
    diag,
    inverse,
    kron,
    matmul,
    total,
    transpose,
    vec,
)
from workbench.calculus.slopes import Stage
from workbench.calculus.square import det, trace
from workbench.core.worked_example import worked_example
from workbench.derivation.differentiate import derive
from workbench.derivation.layout import Layout
from workbench.derivation.system import Equation, System
from workbench.notation.document import Document, Line, Section, document
from workbench.notation.html import as_html
from workbench.notation.mathml import mathml
from workbench.notation.substitution import mathml_with
from workbench.notation.text import text
from workbench.tensors.entries import delta, entry, index_sum

N = Dimension.named("n")
A = symbol("QA", Kind.PARAMETER, (N, N))
B = symbol("QB_1", Kind.INPUT, (N, N))
X = symbol("qx", Kind.INPUT, (N, ONE))
T = symbol("qt2", Kind.PARAMETER)
NAMED = (A, B, X, T)
F = undetermined("f")

SQUARES = st.recursive(
    st.sampled_from([A, B, identity(N), diag(X), matmul(X, transpose(X))]),
    lambda inner: st.one_of(
        st.builds(add, inner, inner),
        st.builds(multiply, inner, inner),
        st.builds(matmul, inner, inner),
        st.builds(transpose, inner),
        st.builds(inverse, inner),
        st.builds(negate, inner),
        st.builds(F, inner),
        st.builds(F.prime, inner),
        st.builds(EXP, inner),
        st.builds(ABS, inner),
        st.builds(maximum, inner, inner),
        st.builds(lambda a, b: where(greater(a, b), a, b), inner, inner),
        st.builds(lambda a: power(a, 2), inner),
        st.builds(lambda a: multiply(T, a), inner),
    ),
    max_leaves=6,
)
TOPS: tuple[Callable[[Expression], Expression], ...] = (
    lambda a: a,
    trace,
    det,
    total,
    lambda a: power(total(power(a, 2)), Fraction(1, 2)),
    lambda a: divide(T, trace(a)),
    lambda a: vstack(a, B),
    lambda a: hstack(a, X),
    lambda a: block(vstack(a, B), N, N, Dimension(()), ONE),
    lambda a: matmul(commutation(N, N), vec(a)),
    lambda a: kron(a, ones((N, ONE))),
    lambda a: multiply(delta("i", "j"), index_sum("k", N, entry(B, "i", "k"))),
)


@st.composite
def expressions(draw: st.DrawFn) -> Expression:
    return draw(st.sampled_from(TOPS))(draw(SQUARES))


CHILDREN = {"msup": 2, "msub": 2, "msubsup": 3, "mfrac": 2, "munder": 2}
TOKENS = {"mi", "mn", "mo", "mtext"}
CORE = {*CHILDREN, *TOKENS, "mrow", "msqrt", "mstyle", "mtable", "mtr", "mtd", "math"}


@given(expressions())
def test_mathml_has_the_elements_and_the_children_that_browsers_draw(found: Expression) -> None:
    root = ET.fromstring(mathml(found, {node: f"s{n}" for n, node in enumerate(NAMED)}))
    for element in root.iter():
        assert element.tag in CORE
        assert len(element) == CHILDREN.get(element.tag, len(element))
        assert bool((element.text or "").strip()) == (element.tag in TOKENS)
        assert not (element.tail or "").strip()
    places = Counter(element.get("class") for element in root.iter() if element.get("class"))
    written = text(found)
    for place, node in enumerate(NAMED):
        assert places[f"s{place}"] == written.count(text(node))


# pages


@dataclass
class Page(HTMLParser):
    """What a page holds, and whether its elements close."""

    tags: list[str] = field(default_factory=list)
    attributes: list[tuple[str, str]] = field(default_factory=list)
    words: str = ""
    open_tags: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    @staticmethod
    def of(source: str) -> Page:
        page = Page()
        page.feed(source)
        page.close()
        assert not page.open_tags
        return page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in ("meta", "wbr"):
            self.open_tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open_tags.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open_tags[-1:] != ["style"]:
            self.words += data

    def named(self, name: str) -> list[str]:
        return [value for found, value in self.attributes if found == name]


@cache
def _document(architecture: str, *, numbers: bool = False, **settings: Any) -> Document:
    derivation = wb.derive(wb.network(architecture), **settings)
    example = worked_example(derivation) if numbers else None
    return document(
        derivation, derivation.title, derivation.layout, derivation.detail, example=example
    )


SHOWN = {
    "scalar and matrix": lambda: [_document("2-2-1", form="scalar"), _document("2-2-1")],
    "kronecker": lambda: [_document("2-2-1", strategy="kronecker", numbers=True)],
    "batch": lambda: [_document("4-5:relu-3:softmax", batch=True, numbers=True)],
    "full": lambda: [_document("2-2-1", detail="full", layout="numerator")],
    "brief": lambda: [_document("2-2-1", detail="brief")],
}


@pytest.mark.parametrize("name", SHOWN)
def test_a_page_stands_alone_and_nothing_in_it_runs(name: str) -> None:
    source = as_html(SHOWN[name]())
    page = Page.of(source)
    assert source.startswith("<!DOCTYPE html>")
    assert not {"script", "link", "img", "iframe", "object", "embed", "form"} & set(page.tags)
    assert not [found for found, _ in page.attributes if found.startswith("on")]
    assert not re.search(r"https?://|url\(|@import", source)
    assert all(target.startswith("#") for target in page.named("href"))
    assert len(page.named("lang")) == 2


@pytest.mark.parametrize("name", SHOWN)
def test_whatever_is_pointed_at_is_there(name: str) -> None:
    documents = SHOWN[name]()
    page = Page.of(as_html(documents))
    names = Counter(page.named("id"))
    assert max(names.values()) == 1
    aims = {target[1:] for target in page.named("href")}
    aims |= {*page.named("aria-describedby"), *page.named("aria-labelledby")}
    if name == "brief":
        aims = {aim for aim in aims if not aim.startswith("step-")}
    assert aims <= set(names)


def _lines(documents: list[Document]) -> Iterator[Line]:
    for shown in documents:
        for section in shown.sections:
            yield from section.lines


@pytest.mark.parametrize("name", SHOWN)
def test_every_line_is_there_with_its_rule_and_reason(name: str) -> None:
    documents = SHOWN[name]()
    source = as_html(documents)
    unmarked = re.sub(r' (class="k\d+"|tabindex="-?\d"|aria-describedby="[^"]*")', "", source)
    words = Page.of(source).words
    for line in _lines(documents):
        assert mathml(line.right) in unmarked
        assert line.why in words
        if line.label:
            assert f"({line.label})" in words or f"({line.label.partition('.')[0]})" in words


def test_two_derivations_on_a_page_keep_their_steps_apart() -> None:
    documents = SHOWN["scalar and matrix"]()
    names = Page.of(as_html(documents)).named("id")
    numbers = [{line.label.partition(".")[0] for line in _lines([d])} - {""} for d in documents]
    assert {f"step-{number}" for number in numbers[0]} < set(names)
    assert {f"part-2-step-{number}" for number in numbers[1]} < set(names)


def test_each_symbol_in_a_step_has_a_note_and_the_style_that_shows_it() -> None:
    (shown,) = documents = SHOWN["batch"]()
    source = as_html(documents)
    named = {mathml(meaning.shown): meaning for meaning in shown.symbols}
    groups = re.findall(r'(?s)<div class="group">(.*?)<div class="notes">(.*?)</div></div>', source)
    assert len(groups) > 30
    for content, notes in groups:
        places = {int(place) for place in re.findall(r'class="k(\d+)"', content)}
        written = re.findall(r'<p id="([^"]*)" role="tooltip">(.*?)</p>', notes)
        assert places == set(range(len(written)))
        for place, (name, note) in enumerate(written):
            state = f".workbench .group:has(.k{place}:is(:hover, :focus))"
            assert f"{state} > .notes > :nth-child({place + 1}) {{ display: block; }}" in source
            marked = rf'class="k{place}" tabindex="-?\d" aria-describedby="{name}">(.*?)</'
            (symbol,) = re.findall(marked, content)
            assert symbol in note
            assert any(m.role in note and shown in note for shown, m in named.items())


def test_the_table_says_what_each_symbol_means() -> None:
    (shown,) = SHOWN["batch"]()
    source = as_html([shown])
    table = source[source.index("<tbody>") : source.index("</tbody>")]
    rows = re.findall(r"<tr>.*?</tr>", table)
    assert len(rows) == len(shown.symbols)
    for row, meaning in zip(rows, shown.symbols, strict=True):
        assert mathml(meaning.shown) in row
        assert meaning.role in row
        assert meaning.definition is None or mathml(meaning.definition) in row
    assert Page.of(rows[0]).words.startswith("W1parameterm₁×m₀")


def test_each_symbol_is_reached_by_the_keyboard_once_in_a_section() -> None:
    (shown,) = SHOWN["full"]()
    source = as_html([shown])
    for section in source.split("<section")[2:-1]:
        notes = dict(re.findall(r'<p id="([^"]*)" role="tooltip">(.*?)</p>', section))
        stops = re.findall(r'tabindex="(-?\d)" aria-describedby="([^"]*)"', section)
        reached = [notes[note] for stop, note in stops if stop == "0"]
        assert len(reached) == len(set(reached))
        assert set(reached) == {notes[note] for _, note in stops}


def test_the_same_derivation_gives_the_same_page() -> None:
    first, again = (as_html([_document.__wrapped__("2-2-1", numbers=True)]) for _ in range(2))
    assert first == again


def test_the_verdict_stands_beside_each_step() -> None:
    (shown,) = SHOWN["kronecker"]()
    steps = {line.label.partition(".")[0]: line for line in _lines([shown]) if line.label}
    checked = [line for line in steps.values() if line.check is not None]
    source = as_html([shown])
    results = sum(line.check is not None for line in shown.sections[-1].lines)
    assert source.count("checked by numbers: passed") == 2 * (len(checked) + results)
    failed = _with_failed(shown, checked[3])
    assert as_html([failed]).count('class="verdict failed"') == 1


def _with_failed(shown: Document, culprit: Line) -> Document:
    """The document with one line's check failed."""
    assert culprit.check is not None
    check = replace(culprit.check, passed=False)
    sections = tuple(
        replace(
            section,
            lines=tuple(
                replace(line, check=check) if line is culprit else line for line in section.lines
            ),
        )
        for section in shown.sections
    )
    return replace(shown, sections=sections)


HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>&amp;'


def test_hostile_names_and_words_are_inert() -> None:
    w = symbol(f"w{HOSTILE}", Kind.PARAMETER, (N, ONE))
    x = symbol(f"x{HOSTILE}", Kind.INPUT, (N, ONE))
    loss = symbol("L", Kind.LOSS, SCALAR)
    function = replace(F, name=f"f{HOSTILE}", symbol=f"f{HOSTILE}")
    size = symbol("k", Kind.PARAMETER, (Dimension.named(HOSTILE), ONE))
    right = add(total(function(multiply(w, x))), total(size))
    derivation = derive(System((Equation(loss, right),)))
    example = worked_example(derivation)
    shown = document(derivation, HOSTILE, Layout.DENOMINATOR, example=example)
    hostile = replace(shown, sections=tuple(map(_with_hostile_words, shown.sections)))
    source = as_html([hostile])
    page = Page.of(source)
    assert not {"script", "img"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert f"w{HOSTILE}" in page.words
    assert page.words.count("<script>") >= 5


def _with_hostile_words(section: Section) -> Section:
    lines = tuple(
        replace(line, rule=(HOSTILE,), stage=Stage(line.right, HOSTILE, HOSTILE))
        for line in section.lines
    )
    return Section(HOSTILE, lines)


def test_a_fragment_brings_its_style_and_touches_nothing_around_it() -> None:
    source = as_html([_document("2-1")], fragment=True)
    Page.of(source)
    assert source.startswith("<style>\n.workbench {")
    style = source[len("<style>") : source.index("</style>")]
    outer = re.sub(r"\{[^{}]*\}", "", re.sub(r"\{[^{}]*\}", "", re.sub(r"\{[^{}]*\}", "", style)))
    selectors = [line.strip() for line in outer.splitlines() if line.strip()]
    assert all(selector.startswith(".workbench") for selector in selectors)
    assert "<html" not in source
    others = as_html([_document("2-2-1")], fragment=True)
    names = [set(Page.of(shown).named("id")) for shown in (source, others)]
    assert not names[0] & names[1]
    for shown, known in zip((source, others), names, strict=True):
        assert {target[1:] for target in Page.of(shown).named("href")} <= known


def test_numbers_stand_beneath_the_formulas() -> None:
    source = as_html(SHOWN["batch"]())
    assert source.count('class="value"') > 40
    scalar = _document("2-2-1", form="scalar", numbers=True)
    source = as_html([scalar])
    filled = [line for line in _lines([scalar]) if line.value is not None and line.value.parts]
    assert len(filled) > 50
    for line in filled:
        assert line.value is not None
        assert mathml_with(line.right, dict(line.value.parts)) in source
