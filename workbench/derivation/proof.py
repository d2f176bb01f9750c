"""Proofs of identities by entries, for every shape at once.

Both sides are written for one entry, contracted, and brought to the normal form; where that is the
same, so are the sides, whatever the sizes. Inverses are multiplied out of the way first: `L = R`
follows from `M L = M R` for an M whose inverse is written in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

from workbench.calculus.algebra import subtract
from workbench.calculus.expressions import Bindings, Expression, number, transform, walk
from workbench.calculus.functions import Function
from workbench.calculus.matrices import matmul
from workbench.calculus.rewriting import rebuild
from workbench.calculus.slopes import Stage, distinct, expand_primes
from workbench.derivation.steps import Step
from workbench.errors import InputError
from workbench.tensors.indices import entry
from workbench.tensors.normal_form import normal_form
from workbench.tensors.positions import Names, Position, SplitError, index_of
from workbench.tensors.reduction import reduced, without_denominators
from workbench.tensors.sums import plus, scaled
from workbench.tensors.terms import Sum, expression_of
from workbench.tensors.writing import Writing

DEFINITIONS = "Definitions"
ENTRIES = "Entries"
CONCLUSION = "Conclusion"

MOST_MULTIPLIERS = 2
"""How many times both sides are multiplied by a matrix whose inverse occurs."""


@dataclass(frozen=True, slots=True)
class Proof:
    """An identity that holds for every shape, with the lines that show it.

    Attributes
    ----------
    left, right : the two sides.
    steps : in the order of reading; the last one has the left side as its goal and the right side
        as its result.
    """

    left: Expression
    right: Expression
    steps: tuple[Step, ...]


def prove(left: Expression, right: Expression, given: Bindings | None = None) -> Proof | None:
    """Look for a proof that two expressions of one shape are equal wherever both are defined.

    None means that none was found, not that there is none.

    Parameters
    ----------
    given : what symbols stand for, K for a commutation matrix.

    Raises
    ------
    InputError
        If the shapes differ.

    >>> from workbench.calculus.dimensions import Dimension
    >>> from workbench.calculus.expressions import Kind, symbol
    >>> from workbench.calculus.square import trace
    >>> n = Dimension.named("n")
    >>> A, B = (symbol(name, Kind.INPUT, (n, n)) for name in "AB")
    >>> prove(trace(matmul(A, B)), trace(matmul(B, A))) is not None
    True
    """
    if left.shape != right.shape:
        raise InputError("the two sides of an identity have different shapes")
    for first, last in _readings(left, right):
        for multipliers in _multipliers(first, last):
            steps = _attempt(first, last, multipliers, given or {})
            if steps is not None:
                return Proof(left, right, _with_definitions(steps, left, right, first, last))
    if left.form == right.form:
        why = "what an expression is put together from is put in one form, for every shape"
        stage = Stage(right, "the same expression", why)
        return Proof(left, right, (Step(1, CONCLUSION, left, (stage,)),))
    return None


def _readings(left: Expression, right: Expression) -> Iterator[tuple[Expression, Expression]]:
    """The sides as they are, then with functions written out."""
    yield left, right
    written = spelled_out(left), spelled_out(right)
    if written != (left, right):
        yield written


def spelled_out(expression: Expression) -> Expression:
    """Functions replaced by their formulas, where they have one.

    >>> from workbench.calculus.functions import EXP, VARIABLE
    >>> double = Function("twice", formula=EXP(VARIABLE))
    >>> spelled_out(double(VARIABLE)) is EXP(VARIABLE)
    True
    """

    def rule(node: Expression, arguments: tuple[Expression, ...]) -> Expression:
        function = node.data
        if isinstance(function, Function) and function.formula is not None and not function.order:
            return spelled_out(function.at(arguments[0]))
        return node if arguments == node.arguments else rebuild(node, arguments)

    return transform(expand_primes(expression), rule)


Multiplier = tuple[Expression, bool]
"""A matrix, and whether it is multiplied from the left."""


def _multipliers(left: Expression, right: Expression) -> Iterator[tuple[Multiplier, ...]]:
    """Which matrices to multiply both sides by, fewest first."""
    yield ()
    inverted = [node.arguments[0] for node in walk(left, right) if node.operation == "inverse"]
    choices = [
        (matrix, is_left)
        for matrix in dict.fromkeys(reversed(inverted))
        for is_left in (True, False)
        if matrix.shape[0] is left.shape[0 if is_left else 1]
    ]
    for count in range(1, MOST_MULTIPLIERS + 1):
        yield from product(choices, repeat=count)


def _attempt(
    left: Expression,
    right: Expression,
    multipliers: tuple[Multiplier, ...],
    given: Bindings,
) -> list[Step] | None:
    chain = [(left, right)]
    for matrix, is_left in multipliers:
        before = chain[-1]
        chain.append(
            (matmul(matrix, before[0]), matmul(matrix, before[1]))
            if is_left
            else (matmul(before[0], matrix), matmul(before[1], matrix))
        )
    try:
        steps = _by_entries(*chain[-1], given)
    except InputError:
        return None
    if steps is None:
        return None
    for one, other in reversed(chain[:-1]):
        why = "a matrix whose inverse is written is invertible, so it can be taken off both sides"
        stage = Stage(other, "take off an invertible factor", why)
        steps.append(Step(len(steps) + 1, CONCLUSION, one, (stage,), (len(steps),)))
    return steps


def _with_definitions(
    steps: list[Step], left: Expression, right: Expression, first: Expression, last: Expression
) -> tuple[Step, ...]:
    """The steps after those that write the functions out, and before the conclusion from them."""
    if (left, right) == (first, last):
        return tuple(steps)
    why = "each function by its formula"
    given = [
        (side, Stage(written, "definition", why))
        for side, written in ((left, first), (right, last))
        if side is not written
    ]
    ahead = [
        Step(number, DEFINITIONS, side, (stage,)) for number, (side, stage) in enumerate(given, 1)
    ]
    shift = len(ahead)
    moved = [
        Step(s.id + shift, s.section, s.goal, s.stages, tuple(ref + shift for ref in s.refs))
        for s in steps
    ]
    stage = Stage(right, "put in the definitions", "both sides are what was compared")
    refs = (*range(1, shift + 1), moved[-1].id)
    return (*ahead, *moved, Step(moved[-1].id + 1, CONCLUSION, left, (stage,), refs))


# entries


def _by_entries(left: Expression, right: Expression, given: Bindings) -> list[Step] | None:
    """The steps that compare every entry; None if they are not found to agree."""
    free = Names(frozenset(name for node in walk(left, right) for name in _words(node)))
    row, column = free.new(), free.new()
    while True:
        try:
            return _all_cases(left, right, free, (row, column), given)
        except SplitError as demand:
            free.split(demand)


def _words(node: Expression) -> set[str]:
    words = {name for dimension in node.shape for name in dimension.names}
    return words | ({node.symbol.name} if node.operation == "symbol" else set())


def _all_cases(
    left: Expression,
    right: Expression,
    free: Names,
    indices: tuple[str, str],
    given: Bindings,
) -> list[Step] | None:
    """One comparison for each part of a stack that the entry can lie in."""
    steps: list[Step] = []
    compared: list[int] = []
    for place in product(*map(free.positions, indices, left.shape)):
        found = _Comparison(free, place, len(steps), given).steps(left, right)
        if found is None:
            return None
        steps.extend(found)
        compared.append(steps[-1].id)
    if not left.is_scalar:
        stage = Stage(right, "equal entries", "every entry of the two sides is the same")
        steps.append(Step(len(steps) + 1, CONCLUSION, left, (stage,), tuple(compared)))
    return steps


class _Comparison:
    """The two sides at one position."""

    def __init__(
        self, free: Names, place: tuple[Position, ...], offset: int, given: Bindings
    ) -> None:
        self.place, self.offset, self.given = place, offset, given
        self.indices = tuple(index_of(position) for position in place if position)
        digits = {digit.name for position in place for digit in position if digit.name}
        self.taken = free.taken | digits

    def steps(self, left: Expression, right: Expression) -> list[Step] | None:
        sides = [self._side(left), self._side(right)]
        forms = [form for _, form in sides]
        difference = reduced(plus(forms[0], scaled(forms[1], Fraction(-1))))
        common = expression_of(forms[0], self.taken)
        if difference:
            return self._over_denominators(left, right, difference, sides)
        steps = []
        for place, (side, (stages, _)) in enumerate(zip((left, right), sides, strict=True)):
            if common.form != stages[-1].expression.form:
                stages.append(Stage(common, "normal form", NORMAL))
            elif len(stages) > 1:
                stages[-1] = Stage(common, stages[-1].rule, stages[-1].why)
            goal = self._goal(side)
            steps.append(self._step(place, goal, stages))
        goals = self._goal(left), self._goal(right)
        if goals[0] is not goals[1]:
            stage = Stage(goals[1], "compare", "both are the same sum of the same terms")
            refs = (self.offset + 1, self.offset + 2)
            steps.append(Step(self.offset + 3, ENTRIES, goals[0], (stage,), refs))
        return steps

    def _step(self, place: int, goal: Expression, stages: list[Stage]) -> Step:
        return Step(self.offset + place + 1, ENTRIES, goal, tuple(distinct(stages)))

    def _goal(self, side: Expression) -> Expression:
        return entry(side, *self.indices)

    def _side(self, side: Expression) -> tuple[list[Stage], Sum]:
        """One side: written for an entry, contracted, multiplied out, without inverses."""
        written = self._written(side)
        plain = normal_form(written[1])
        form = reduced(plain)
        stages = [Stage(written[0], "by entries", "a product is a sum over the index in between")]
        if any(node.operation == "delta" for node in walk(written[0])):
            stages.append(Stage(written[1], "contract the deltas", "a sum over a δ keeps one term"))
        if form is not plain:
            shown = expression_of(plain, self.taken)
            stages.append(Stage(shown, "normal form", NORMAL))
            shown = expression_of(form, self.taken)
            stages.append(Stage(shown, "cancel", "a matrix meets its inverse, d meets 1/d"))
        return stages, form

    def _written(self, side: Expression) -> list[Expression]:
        """The entry with its deltas, and contracted."""
        names = Names(self.taken)
        while True:
            try:
                found = []
                for contracts in (False, True):
                    names.back_to(0)
                    writing = Writing(names, contracts=contracts, given=self.given)
                    found.append(writing.entry(side, *self.place))
                return found
            except SplitError as demand:
                if demand.name in self.taken:
                    raise
                names.split(demand)

    def _over_denominators(
        self,
        left: Expression,
        right: Expression,
        difference: Sum,
        sides: list[tuple[list[Stage], Sum]],
    ) -> list[Step] | None:
        if without_denominators(difference):
            return None
        goals = [self._goal(left), self._goal(right)]
        steps = []
        for place, (goal, (stages, form)) in enumerate(zip(goals, sides, strict=True)):
            shown = expression_of(form, self.taken)
            steps.append(self._step(place, goal, [*stages, Stage(shown, "normal form", NORMAL)]))
        stages = [
            Stage(expression_of(difference, self.taken), "subtract", "the terms they share go"),
            Stage(number(0), "common denominator", "over one denominator the numerators cancel"),
        ]
        refs = (self.offset + 1, self.offset + 2)
        goal = subtract(goals[0], goals[1])
        steps.append(Step(self.offset + 3, ENTRIES, goal, tuple(stages), refs))
        return steps


NORMAL = "multiply out, name what is summed over alike, and order the factors"
