"""A derivation in the formats that people and programs read: text, LaTeX, Markdown, JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from textwrap import fill
from typing import Any

from workbench.calculus.dimensions import SCALAR
from workbench.calculus.expressions import Expression
from workbench.derivation.steps import Check, Derivation, Step, variable_of
from workbench.notation.document import (
    Document,
    Line,
    Meaning,
    Section,
    Sentence,
    reason,
    shape_text,
)
from workbench.notation.latex import latex
from workbench.notation.substitution import latex_with, text_with
from workbench.notation.text import text
from workbench.notation.values import Value, value_latex, value_lines

WIDEST_FORMULA = 58
"""Rules stand in a column behind formulas up to this wide."""

WIDEST_LINE = 118
"""A remark that would end further right gets a line of its own."""

GIVEN = "Numbers of the worked example"


def as_text(document: Document, *, reasons: bool = False) -> str:
    """A document for a terminal; with `reasons`, why each rule applies is told as well."""
    blocks = [_underlined(document.title, "=")]
    blocks.extend(fill(_text_sentence(note), 100) for note in document.notes)
    if document.given:
        rows = (_text_given(meaning) for meaning in document.given)
        blocks.append("\n".join([_underlined(GIVEN, "-"), "", *rows]))
    for section in document.sections:
        lines = [_underlined(section.title, "-"), ""]
        lines.extend(_text_lines(section, reasons))
        blocks.append("\n".join(lines))
    blocks.append(fill(_text_sentence(document.closing), 100))
    return "\n\n".join(blocks) + "\n"


def _text_sentence(sentence: Sentence) -> str:
    return "".join(part if isinstance(part, str) else text(part) for part in sentence)


def _underlined(title: str, mark: str) -> str:
    return f"{title}\n{mark * len(title)}"


def _text_lines(section: Section, reasons: bool) -> list[str]:
    labels = max((len(line.label) for line in section.lines), default=0) + 2
    rows = [(line, _text_formula(line)) for line in section.lines]
    width = min(max((len(formula) for _, formula in rows), default=0), WIDEST_FORMULA)
    found = []
    for line, formula in rows:
        label = f"({line.label})".rjust(labels) if line.label else " " * (labels - 2)
        remark = _remark(line, reasons)
        row = f"  {label} {formula.ljust(width)}  {remark}".rstrip()
        if len(row) > WIDEST_LINE and remark:
            indent = " " * (labels + 7)
            below = fill(remark, WIDEST_LINE, initial_indent=indent, subsequent_indent=indent)
            row = f"  {label} {formula}\n{below}"
        found.append(row)
        if line.value is not None:
            left = len(formula) - len(text(line.right)) - len("= ")
            filled = text_with(line.right, dict(line.value.parts)) if line.value.parts else ""
            found += _beneath(line.value, len(f"  {label} ") + left, filled)
    return found


def _text_given(meaning: Meaning) -> str:
    assert meaning.value is not None
    start = f"  {text(meaning.shown)} "
    first, *others = _beneath(meaning.value, len(start))
    return "\n".join([start + first.lstrip(), *others])


def _beneath(value: Value, indent: int, filled: str = "") -> list[str]:
    """`= ` and the numbers, in line with the sign of the formula above.

    What a formula is with the numbers of its symbols put in comes first, if it says more.
    """
    first, *others = value_lines(value)
    if filled and filled != value_lines(replace(value, place=()))[0]:
        first = f"{filled} = {first}"
    return [" " * indent + "= " + first, *(" " * (indent + 2) + other for other in others)]


def _text_formula(line: Line) -> str:
    left = " = ".join(text(side) for side in line.left)
    if line.is_continuation:
        left = " " * len(left)
    return f"{left} = {text(line.right)}"


def _remark(line: Line, reasons: bool) -> str:
    shape = "" if line.is_continuation or _is_scalar(line) else f"[{shape_text(line.shape)}]"
    rule = _text_sentence(line.rule)
    rule = f"{rule}: {line.why}" if reasons and line.why else rule
    refs = "from " + ", ".join(f"({ref})" for ref in line.refs) if line.refs else ""
    return "  ".join(part for part in (shape, rule, refs) if part)


def _is_scalar(line: Line) -> bool:
    return line.shape == SCALAR


_PREAMBLE = r"""\documentclass[11pt]{article}
\usepackage[a4paper, landscape, margin=20mm]{geometry}
\usepackage{amsmath, amssymb}
\setlength{\parindent}{0pt}
\allowdisplaybreaks
\begin{document}
"""


def as_latex(documents: Sequence[Document], *, fragment: bool = False) -> str:
    """A LaTeX document, or with `fragment` its `align*` environments alone."""
    if fragment:
        return "\n".join(_align(section) for d in documents for section in d.sections) + "\n"
    parts = [_PREAMBLE.rstrip()]
    for document in documents:
        parts.append(rf"\section*{{{_escaped(document.title)}}}")
        parts.extend(_latex_sentence(note) + r"\par" for note in document.notes)
        if document.given:
            parts.append(rf"\subsection*{{{GIVEN}}}")
            parts.append(rf"\[{_latex_given(document)}\]")
        for section in document.sections:
            parts.append(rf"\subsection*{{{_escaped(section.title)}}}")
            parts.append(_align(section))
        parts.append(_latex_sentence(document.closing))
    return "\n".join([*parts, r"\end{document}"]) + "\n"


def _align(section: Section) -> str:
    rows = []
    for line in section.lines:
        left = " = ".join(latex(side) for side in line.left)
        shown = "" if line.is_continuation else left
        remark = _latex_remark(line)
        tag = rf" \tag{{{line.label}}}" if line.label else ""
        rows.append(f"{shown} &= {latex(line.right)}{remark}{tag}")
        if line.value is not None:
            rows.append(f" &= {_latex_beneath(line.value, line.right)} &&")
    return "\\begin{align*}\n" + " \\\\\n".join(rows) + "\n\\end{align*}"


def _latex_given(document: Document) -> str:
    """Every given symbol with its numbers, a few on a line."""
    rows = [
        f"{latex(meaning.shown)} &= {value_latex(meaning.value)}"
        for meaning in document.given
        if meaning.value is not None
    ]
    lines = [" & ".join(rows[start : start + 4]) for start in range(0, len(rows), 4)]
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"


def _latex_beneath(value: Value, formula: Expression) -> str:
    shown = value_latex(value)
    filled = latex_with(formula, dict(value.parts)) if value.parts else ""
    return (
        f"{filled} = {shown}"
        if filled not in ("", value_latex(replace(value, place=())))
        else shown
    )


def _latex_remark(line: Line) -> str:
    refs = ", ".join(f"({ref})" for ref in line.refs)
    rule = _words_in_mathematics(line.rule, _escaped)
    parts = [rule, rf"\text{{{'; ' if rule else ''}{refs}}}" if refs else ""]
    return f" && {''.join(parts)}" if any(parts) else " &&"


def _latex_sentence(sentence: Sentence) -> str:
    """Words with the mathematics between dollars."""
    return "".join(_escaped(p) if isinstance(p, str) else f"${latex(p)}$" for p in sentence)


def _words_in_mathematics(sentence: Sentence, escaped: Callable[[str], str] = str) -> str:
    """The other way round: within a formula, where no dollar may stand."""
    return "".join(
        rf"\text{{{escaped(part)}}}" if isinstance(part, str) else latex(part) for part in sentence
    )


_ESCAPES = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "…": r"\ldots{}",
    "⊗": r"$\otimes$",
}


def _escaped(words: str) -> str:
    return "".join(_ESCAPES.get(character, character) for character in words)


def as_markdown(document: Document) -> str:
    """Markdown whose mathematics GitHub and Jupyter show."""
    parts = [f"# {document.title}", *map(_markdown_sentence, document.notes)]
    if document.given:
        parts.append(f"## {GIVEN}\n\n$$\n{_latex_given(document)}\n$$")
    for section in document.sections:
        parts.append(f"## {section.title}")
        parts.extend(_markdown_steps(section))
    return "\n\n".join([*parts, _markdown_sentence(document.closing)]) + "\n"


def _markdown_sentence(sentence: Sentence) -> str:
    return "".join(part if isinstance(part, str) else f"${latex(part)}$" for part in sentence)


def _markdown_steps(section: Section) -> list[str]:
    groups: list[list[Line]] = []
    for line in section.lines:
        if line.is_continuation:
            groups[-1].append(line)
        else:
            groups.append([line])
    return [_markdown_step(group) for group in groups]


def _markdown_step(lines: Sequence[Line]) -> str:
    rows = []
    for line in lines:
        left = "" if line.is_continuation else " = ".join(latex(side) for side in line.left)
        label = rf" && \text{{({line.label})}}" if line.label else ""
        rule = f" && {_words_in_mathematics(line.rule)}" if line.rule else ""
        rows.append(rf"{left} &= {latex(line.right)}{rule}{label}")
        if line.value is not None:
            rows.append(rf" &= {_latex_beneath(line.value, line.right)}")
    body = " \\\\\n".join(rows)
    refs = ", ".join(f"({ref})" for ref in lines[-1].refs)
    block = f"$$\n\\begin{{aligned}}\n{body}\n\\end{{aligned}}\n$$"
    return f"{block}\n\nfrom {refs}" if refs else block


def as_json(derivation: Derivation, **about: Any) -> str:
    """The steps and the gradients as one JSON object.

    Parameters
    ----------
    about : what else the object says first (the network, the loss, the form …).
    """
    gradients = {
        variable_of(step.goal).symbol.name: {
            "text": text(step.result),
            "latex": latex(step.result),
            "shape": shape_text(step.goal.shape),
            "step": step.id,
        }
        for step in derivation.results
    }
    steps = [_json_step(step) for step in derivation.steps]
    content = {**about, "steps": steps, "gradients": gradients}
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def _json_step(step: Step) -> dict[str, Any]:
    return {
        "id": step.id,
        "section": step.section,
        "goal": both_texts(step.goal),
        "name": both_texts(step.name) if step.name is not None else None,
        "rule": step.stages[-1].rule,
        "before": both_texts(step.stages[0].expression),
        "after": both_texts(step.result),
        "why": reason(step.stages[-1]),
        "stages": [
            {**both_texts(s.expression), "rule": s.rule, "why": reason(s)} for s in step.stages
        ],
        "shapes": {
            "goal": shape_text(step.goal.shape),
            "after": shape_text(step.result.shape),
        },
        "refs": list(step.refs),
        "check": _json_check(step.check),
    }


def both_texts(expression: Expression) -> dict[str, str]:
    """An expression in Unicode and in LaTeX, for JSON."""
    return {"text": text(expression), "latex": latex(expression)}


def _json_check(check: Check | None) -> dict[str, Any] | None:
    if check is None:
        return None
    finite = check.max_relative_error < float("inf")
    return {
        "passed": check.passed,
        "tiers": [tier.value for tier in check.tiers],
        "chance": check.chance,
        "max_relative_error": check.max_relative_error if finite else None,
        "seeds": list(check.seeds),
        "sizes": [dict(draw) for draw in check.sizes],
    }
