"""What was found out about an identity, as a document and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from workbench.calculus.dimensions import Dimension
from workbench.calculus.expressions import (
    Expression,
    constant,
    describe,
    make,
    number,
    size,
    symbols_of,
    walk,
)
from workbench.core.checks.refute import Counterexample, Judgement, Outcome, as_number
from workbench.core.checks.residues import PRIMES
from workbench.core.evaluate import Array
from workbench.derivation.steps import Step
from workbench.notation.document import Document, Line, Section, Sentence
from workbench.notation.formats import both_texts
from workbench.tensors.indices import entry

COUNTEREXAMPLE = "Counterexample"
DIFFERENCE = "Where the sides differ"


def judgement_document(judgement: Judgement) -> Document:
    """A judgement arranged for reading: the proof, or the counterexample, and what was tested.

    >>> from workbench.calculus.functions import VARIABLE
    >>> from workbench.core.checks.refute import judge
    >>> judgement_document(judge(VARIABLE, VARIABLE)).title
    'Identity proved'
    """
    title = f"Identity {judgement.outcome}"
    sections: list[Section] = []
    if judgement.counterexample is not None:
        sections = _counterexample_sections(judgement, judgement.counterexample)
    elif judgement.proof is not None:
        grouped: dict[str, list[Line]] = {}
        for step in judgement.proof.steps:
            grouped.setdefault(step.section, []).extend(_lines(step))
        sections = [Section(title, tuple(lines)) for title, lines in grouped.items()]
    return Document(title, tuple(_notes(judgement)), tuple(sections), _closing(judgement))


def _lines(step: Step) -> list[Line]:
    last = len(step.stages)
    return [
        Line(
            str(step.id) if last == 1 else f"{step.id}.{place}",
            (step.goal,),
            stage.expression,
            (stage.rule,),
            stage,
            step.refs if place == last else (),
            step.goal.shape,
            place > 1,
        )
        for place, stage in enumerate(step.stages, start=1)
    ]


def _notes(judgement: Judgement) -> list[Sentence]:
    notes: list[Sentence] = [(judgement.left, " = ", judgement.right, ". ", *_verdict(judgement))]
    if judgement.left is judgement.right:
        notes.append(("The laws of matrices give both sides the same form as they are read.",))
    if symbols := symbols_of(judgement.left, judgement.right):
        notes.append(tuple(_shapes(symbols)))
    for symbol, meaning in judgement.given.items():
        notes.append((symbol, " stands for the commutation matrix ", meaning, "."))
    return notes


def _verdict(judgement: Judgement) -> Sentence:
    match judgement.outcome:
        case Outcome.PROVED:
            return (f"Proved{_reach(judgement)}, wherever both sides are defined.",)
        case Outcome.REFUTED if judgement.counterexample is None:
            return ("Refuted: the sides differ modulo a prime. No small example was found.",)
        case Outcome.REFUTED:
            return ("Refuted: the sides differ for the numbers below.",)
    return ("Undecided: no proof by entries was found, and no numbers for which the sides differ.",)


def _reach(judgement: Judgement) -> str:
    """For which shapes a proof is: there is only one where no size has a name."""
    symbols = symbols_of(judgement.left, judgement.right)
    if any(
        dimension.names
        for node in walk(judgement.left, judgement.right)
        for dimension in node.shape
    ):
        return " for every shape"
    if not symbols:
        return ""
    return " for numbers" if all(s.is_scalar for s in symbols) else " for these shapes"


def _shapes(symbols: Sequence[Expression]) -> Iterator[str | Expression]:
    """What was taken for a matrix, a column or a number."""
    for symbol in symbols:
        yield "Here " if symbol is symbols[0] else ", "
        yield from (symbol, " : ", _shape(symbol))
    yield "."


def _shape(symbol: Expression) -> str:
    if symbol.is_scalar:
        return "1 (a number)"
    return describe(symbol.shape)


def _closing(judgement: Judgement) -> Sentence:
    test = judgement.test
    at: list[str | Expression] = []
    for sizes in test.sizes:
        at += [", " if at else " at sizes " if sizes else "", *_sizes(sizes)]
    draws = "1 random draw" if len(test.sizes) == 1 else f"{len(test.sizes)} random draws"
    count = f"{draws} modulo the prime {PRIMES[0]}"
    if test.holds and judgement.counterexample is not None:
        agree = f"Exact test: modulo a prime, where a root has no sign, the sides agree at {count}"
        return (agree, *at, ". They differ on another branch, as the numbers above show.")
    if test.holds:
        words = (f"Exact test: it holds at {count}", *at)
        bound = f"; at each of these sizes the probability of an error is below {test.bound:.0e}"
        beyond = "" if judgement.proof else ". This says nothing of other sizes or branches"
        return (*words, f"{bound}{beyond}.")
    if test.holds is False:
        return (f"Exact test: it fails at the last of {count}", *at, ".")
    return ("Exact test: nothing can be said modulo a prime, of such functions or at such sizes.",)


def _sizes(sizes: Mapping[str, int]) -> list[str | Expression]:
    words: list[str | Expression] = []
    for name, length in sizes.items():
        words += [", " if words else "(", size(Dimension.named(name)), f"={length}"]
    return [*words, ")"] if words else []


def _counterexample_sections(judgement: Judgement, found: Counterexample) -> list[Section]:
    drawn = [_line(size(Dimension.named(name)), number(n)) for name, n in found.sizes.items()]
    drawn += [_line(symbol, _matrix(value)) for symbol, value in found.values.items()]
    sections = [Section(COUNTEREXAMPLE, tuple(drawn))] if drawn else []
    sides = ((judgement.left, found.left), (judgement.right, found.right))
    lines = [_line(side, _matrix(value)) for side, value in sides]
    if found.left.size > 1:
        row, column = found.place
        wanted = [place for place, n in zip(found.place, found.left.shape, strict=True) if n > 1]
        places = [str(place + 1) for place in wanted]
        lines += [_line(entry(side, *places), _number(value[row, column])) for side, value in sides]
    return [*sections, Section(DIFFERENCE, tuple(lines))]


def _line(left: Expression, right: Expression) -> Line:
    return Line("", (left,), right, (), None, (), right.shape)


def _matrix(values: Array) -> Expression:
    """Numbers as a matrix, rows of zeros written out as well."""
    rows = [_stacked("hstack", [_number(value) for value in row]) for row in values]
    return _stacked("vstack", rows)


def _stacked(operation: str, parts: list[Expression]) -> Expression:
    if len(parts) == 1:
        return parts[0]
    length = Dimension.number(len(parts))
    rows, columns = parts[0].shape
    shape = (length, columns) if operation == "vstack" else (rows, length)
    return make(operation, tuple(parts), None, shape)


def _number(value: float) -> Expression:
    exact = as_number(float(value))
    return constant(f"{float(value):.6g}") if exact is None else number(exact)


def judgement_json(judgement: Judgement) -> str:
    """A judgement as one JSON object.

    >>> from workbench.calculus.functions import VARIABLE
    >>> from workbench.core.checks.refute import judge
    >>> json.loads(judgement_json(judge(VARIABLE, VARIABLE)))["outcome"]
    'proved'
    """
    test = judgement.test
    content = {
        "left": both_texts(judgement.left),
        "right": both_texts(judgement.right),
        "outcome": judgement.outcome.value,
        "given": {s.symbol.name: both_texts(meaning) for s, meaning in judgement.given.items()},
        "proof": None if judgement.proof is None else [_step(s) for s in judgement.proof.steps],
        "exact_test": {
            "holds": test.holds,
            "prime": PRIMES[0],
            "sizes": [dict(sizes) for sizes in test.sizes],
            "error_bound": test.bound if test.holds else None,
        },
        "counterexample": _example(judgement.counterexample),
    }
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def _step(step: Step) -> dict[str, Any]:
    return {
        "id": step.id,
        "section": step.section,
        "goal": both_texts(step.goal),
        "stages": [{**both_texts(s.expression), "rule": s.rule, "why": s.why} for s in step.stages],
        "refs": list(step.refs),
    }


def _example(found: Counterexample | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "sizes": dict(found.sizes),
        "values": {symbol.symbol.name: value.tolist() for symbol, value in found.values.items()},
        "left": found.left.tolist(),
        "right": found.right.tolist(),
        "row": found.place[0] + 1,
        "column": found.place[1] + 1,
    }
