"""A derivation as a document: sections of numbered lines, in no particular format yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from workbench.calculus.dimensions import Dimension, Shape
from workbench.calculus.expressions import Expression, Kind, number, size, walk
from workbench.calculus.functions import VARIABLE, Function
from workbench.calculus.slopes import Stage
from workbench.derivation.layout import Layout
from workbench.derivation.local_derivatives import LOCAL
from workbench.derivation.steps import EQUATIONS, GRADIENTS, Check, Derivation, Detail, Step, Tier
from workbench.notation.text import dimension_text
from workbench.notation.values import DIGITS, Value, WorkedExample

RESULTS = "Results"
CHANGE = "change"
"""The role of a differential."""

Sentence: TypeAlias = tuple[str | Expression, ...]
"""Words with mathematics between them; each format renders the mathematics in its own way."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line: equal sides, what rule gives it, what it rests on.

    Attributes
    ----------
    label : `25` for a step of one line, `25.2` for the second line of step 25; empty in results.
    left : what the line is about; on later lines of a step it is repeated in `sides` only.
    stage : what the line shows of a step's working; results have none.
    is_continuation : whether the left side stands on an earlier line.
    check : how the step fared against numbers, if it was checked.
    value : what both sides are in the worked example, if there is one.
    """

    label: str
    left: tuple[Expression, ...]
    right: Expression
    rule: Sentence
    stage: Stage | None
    refs: tuple[int, ...]
    shape: Shape
    is_continuation: bool = False
    check: Check | None = None
    value: Value | None = None

    @property
    def why(self) -> str:
        """Why the line holds."""
        return "" if self.stage is None else reason(self.stage)


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and its lines."""

    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a symbol stands for.

    Attributes
    ----------
    shown : the symbol; a function is shown with its variable, a size as a number.
    role : input, parameter, gradient, function, size …
    definition : what it is equal to, if something defines it.
    step : the step that says so; 0 if none does.
    value : its numbers in the worked example, if there is one.
    """

    shown: Expression
    role: str
    definition: Expression | None = None
    step: int = 0
    value: Value | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """Everything a format needs.

    Attributes
    ----------
    title : what is derived.
    notes : conventions and assumptions, a paragraph each.
    sections : in the order of reading.
    closing : how the steps were checked, one sentence.
    symbols : what each symbol means, in order of first use.
    is_worked : whether the lines carry the numbers of a worked example.
    """

    title: str
    notes: tuple[Sentence, ...]
    sections: tuple[Section, ...]
    closing: Sentence
    symbols: tuple[Meaning, ...] = ()
    is_worked: bool = False

    @property
    def given(self) -> tuple[Meaning, ...]:
        """The symbols whose numbers the worked example starts from."""
        starts = (Kind.INPUT, Kind.TARGET, Kind.PARAMETER, CHANGE)
        return tuple(m for m in self.symbols if m.role in starts and m.value is not None)


def document(
    derivation: Derivation,
    title: str,
    layout: Layout,
    detail: Detail = Detail.PAPER,
    example: WorkedExample | None = None,
) -> Document:
    """Arrange a derivation for reading.

    With `Detail.BRIEF` only the equations and the results are kept. With an example every line
    carries its numbers.
    """
    grouped: dict[str, list[Line]] = {}
    for step in derivation.steps:
        if detail > Detail.BRIEF or step.section == EQUATIONS:
            lines = _lines(step, _assumed(derivation), example)
            grouped.setdefault(step.section, []).extend(lines)
    sections = [Section(heading, tuple(lines)) for heading, lines in grouped.items()]
    sections.append(Section(RESULTS, tuple(_results(derivation, example))))
    notes = _notes(derivation, layout)
    if detail is Detail.PAPER and _shares_steps(derivation):
        notes.append((SHARING,))
    if example is not None:
        notes.append(_example_note(derivation, example))
    return Document(
        title,
        tuple(notes),
        tuple(sections),
        closing(derivation),
        tuple(_meanings(derivation, example)),
        example is not None,
    )


def _shares_steps(derivation: Derivation) -> bool:
    """Whether two gradients cite one local derivative, or one gradient by entries."""
    gradients = [step for step in derivation.steps if step.section == GRADIENTS]
    cited = Counter(ref for step in gradients for ref in step.refs)
    return any(
        cited[step.id] > 1
        for step in derivation.steps
        if step.section == LOCAL or (step.section == GRADIENTS and step.goal.operation == "entry")
    )


def _assumed(derivation: Derivation) -> Sentence:
    found: list[str | Expression] = []
    for left, right in derivation.system.assumptions:
        found += [", " if found else "assuming ", left, " = ", right]
    return tuple(found)


def _citing_line(step: Step) -> int:
    """The line of a step that rests on others: where known things are put in, else the last."""
    rules = [stage.rule for stage in step.stages]
    return rules.index("local derivatives") + 1 if "local derivatives" in rules else len(rules)


def _lines(step: Step, assumed: Sentence, example: WorkedExample | None) -> list[Line]:
    left = (step.goal,) if step.name is None else (step.name, step.goal)
    lines = []
    cited = _citing_line(step)
    for place, stage in enumerate(step.stages, start=1):
        label = str(step.id) if len(step.stages) == 1 else f"{step.id}.{place}"
        refs = step.refs if place == cited else ()
        lines.append(
            Line(
                label,
                left,
                stage.expression,
                assumed if stage.rule == "assumption" else (stage.rule,),
                stage,
                refs,
                step.goal.shape,
                place > 1,
                step.check,
                _value_of(step, place - 1, example),
            )
        )
    return lines


def _value_of(step: Step, place: int, example: WorkedExample | None) -> Value | None:
    """The numbers of a stage, unless it is a number itself."""
    if example is None or step.stages[place].expression.number is not None:
        return None
    return example.lines.get((step.id, place))


def _results(derivation: Derivation, example: WorkedExample | None) -> list[Line]:
    """Named gradients first, each before those that use it, then the gradients asked for."""
    named = [step for step in derivation.steps if step.name is not None]
    return [
        Line(
            "",
            (step.goal,) if step.name is None else (step.name, step.goal),
            step.result,
            (),
            None,
            (step.id,),
            step.goal.shape,
            check=step.check,
            value=_value_of(step, len(step.stages) - 1, example),
        )
        for step in (*named, *derivation.results, *derivation.hessians)
    ]


SHARING = (
    "Layers that differ only in their numbers share their local derivatives: a line cites the "
    "first of them."
)


def _meanings(derivation: Derivation, example: WorkedExample | None) -> Iterator[Meaning]:
    """Symbols of the system, named gradients, functions that steps define, and sizes."""
    values = example.symbols if example is not None else {}
    system = derivation.system
    equations = {step.goal: step for step in derivation.steps if step.is_definition}
    for symbol in system.symbols:
        definition = system.definitions.get(symbol)
        step = equations.get(symbol)
        yield Meaning(
            symbol,
            symbol.symbol.kind.value,
            definition.right if definition is not None else None,
            step.id if step is not None else 0,
            values.get(symbol),
        )
    for node, change in values.items():
        if node.operation == "differential":
            yield Meaning(node, CHANGE, value=change)
    for step in derivation.steps:
        if step.name is not None:
            value = values.get(step.name)
            yield Meaning(step.name, Kind.GRADIENT.value, step.goal, step.id, value)
    for goal, step in equations.items():
        if goal.operation == "apply":
            yield Meaning(goal, "function", step.result, step.id)
    for function in _undetermined(derivation):
        yield Meaning(function(VARIABLE), "any function")
    shapes = [symbol.shape for symbol in system.symbols]
    names = dict.fromkeys(name for shape in shapes for d in shape for name in d.names)
    for name in names:
        known = system.sizes.get(name)
        taken = example.sizes.get(name) if example is not None else None
        yield Meaning(
            _size(name),
            "size",
            number(known) if known is not None else None,
            value=Value(((float(taken),),)) if taken is not None else None,
        )


def _example_note(derivation: Derivation, example: WorkedExample) -> Sentence:
    sizes = [(_size(name), f" = {found}") for name, found in example.sizes.items()]
    return (
        "Worked example",
        *((" at ", *_joined(sizes, ", ")) if sizes else ()),
        f": beneath each line stand its numbers, to {DIGITS} digits.",
        *(f" {f.symbol or f.name} stands for a sine." for f in _undetermined(derivation)),
    )


def _undetermined(derivation: Derivation) -> Iterable[Function]:
    """The functions of which nothing is known, in order of first use."""
    functions = (
        node.data for equation in derivation.system.equations for node in walk(equation.right)
    )
    return dict.fromkeys(
        replace(function, order=0)
        for function in functions
        if isinstance(function, Function) and function.is_undetermined
    )


def _notes(derivation: Derivation, layout: Layout) -> list[Sentence]:
    rows = "its variable" if layout is Layout.DENOMINATOR else "its variable, transposed"
    side = "right to left" if layout is Layout.DENOMINATOR else "left to right"
    notes: list[Sentence] = []
    if any(not symbol.is_scalar for symbol in derivation.system.symbols):
        words = (
            f"{layout.value.capitalize()} layout: the gradient of a scalar has the shape of "
            f"{rows}; the chain rule reads from {side}. vec stacks columns. "
            f"Strategy: {derivation.strategy.name}."
        )
        notes.append((words,))
        if derivation.system.sizes:
            notes.append(_sizes(derivation))
    for left, right in derivation.system.assumptions:
        notes.append(("Assumed of the target: ", left, " = ", right, "."))
    return notes


def _sizes(derivation: Derivation) -> Sentence:
    shown: list[Sentence] = [
        (_size(name), f" = {found}") for name, found in derivation.system.sizes.items()
    ]
    if len(shown) > 8:
        shown = [*shown[:4], ("…",), *shown[-2:]]
    if any("B" in d.names for s in derivation.system.symbols for d in s.shape):
        shown.append((_size("B"), " samples, one a column"))
    return ("Sizes: ", *_joined(shown, "; "), ".")


def _size(name: str) -> Expression:
    return size(Dimension.named(name))


def _joined(parts: Sequence[Sentence], separator: str) -> Sentence:
    first, *others = parts
    return (*first, *(word for part in others for word in (separator, *part)))


def shape_text(shape: Shape) -> str:
    """A shape as people write it, `m₂×m₁`.

    >>> from workbench.calculus.dimensions import ONE, Dimension
    >>> shape_text((Dimension.named("m_1"), ONE))
    'm₁×1'
    """

    return "×".join(f"({shown})" if "+" in shown else shown for shown in map(dimension_text, shape))


def reason(stage: Stage) -> str:
    """Why a line holds: in its own words, or what its rules make of a typical node."""
    if stage.why:
        return stage.why
    from workbench.notation.reference import rule_statements

    known = rule_statements()
    return "; ".join(known[name] for name in stage.rule.split(", ") if name in known)


def closing(derivation: Derivation) -> Sentence:
    """How many steps were checked, at which sizes, and the worst relative error."""
    checks = [step.check for step in derivation.steps if step.check is not None]
    if not checks:
        return ("No step has been checked by numbers.",)
    failed = derivation.failed
    worst = max(check.max_relative_error for check in checks)
    first = checks[0]
    verdict = (
        "all passed"
        if not failed
        else f"{len(failed)} failed: " + ", ".join(f"({step.id})" for step in failed)
    )
    steps = "1 step" if len(checks) == 1 else f"{len(checks)} steps"
    return (
        f"{steps} checked by numbers with seeds {', '.join(map(str, first.seeds))}",
        *_drawn_sizes(first.sizes),
        f": {verdict}, worst relative error {worst:.1e}.{_tiers(derivation, checks)}",
    )


def _tiers(derivation: Derivation, checks: Sequence[Check]) -> str:
    """How many steps hold exactly or to many digits as well, and how many were not checked."""
    told = ""
    exact = [check.chance or 0.0 for check in checks if Tier.EXACT in check.tiers]
    if exact:
        told += (
            f" Exact modulo a 61-bit prime: {len(exact)}, where a false step would pass with a "
            f"chance below {max(exact):.0e}."
        )
    precise = sum(Tier.PRECISE in check.tiers for check in checks)
    if precise:
        told += f" Decided in 50 digits: {precise}."
    open_ = sum(step.check is None and not step.is_definition for step in derivation.steps)
    return f"{told} Not checked: {open_}." if open_ else told


def _drawn_sizes(sizes: Sequence[Mapping[str, int]]) -> Sentence:
    if not sizes or not sizes[0]:
        return ()
    names = list(sizes[0])
    shown = names if len(names) <= 5 else names[:4]
    more = "" if len(names) <= 5 else ", …"
    draws: list[Sentence] = [
        ("(", *_joined([(_size(name), f"={draw[name]}") for name in shown], ", "), f"{more})")
        for draw in sizes
    ]
    return (" at sizes ", *_joined(draws, " and "))
