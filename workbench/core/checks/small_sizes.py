"""Systems with large sizes written as numbers, checked at smaller ones.

`W : 30×784` is the same mathematics as `W : h×n`: equal numbers become one name, so that every
shape still fits, and a size is drawn for each name.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod

from workbench.calculus.dimensions import Dimension
from workbench.calculus.expressions import Expression, length, make, walk
from workbench.calculus.slopes import Stage
from workbench.derivation.steps import Derivation, Step
from workbench.derivation.system import Equation, System
from workbench.errors import InputError

LARGEST_KEPT = 7
"""Numbers up to here are small enough to be checked as they are."""
MOST_KEPT = 40_000
"""The cost of a derivation (see `cost`) above which its larger numbers become names."""
MOST_NUMBERS = 8_000_000
"""The most numbers that one expression may come to while it is checked."""
MOST_TERMS = 4
"""The factors or terms that a number is taken apart into."""
NOTHING = Dimension.number(0)


def cost(system: System, sizes: Mapping[str, int]) -> int:
    """The most numbers in one array while every entry of a variable is moved in an equation."""
    found = [1, *(length(symbol).size(sizes) for symbol in system.symbols)]
    for equation in system.equations:
        moved = [length(variable).size(sizes) for variable in equation.differentiable]
        largest = max(length(node).size(sizes) for node in walk(equation.right))
        found.append(max([1, *moved]) * largest)
    return max(found)


def require_affordable(numbers: int) -> None:
    """Refuse to allocate more than fits.

    Raises
    ------
    InputError
        If there are too many numbers in one array.

    >>> require_affordable(10**6)
    """
    if numbers > MOST_NUMBERS:
        raise InputError(
            f"the sizes are too large to check: {numbers:.1e} numbers at once, at most "
            f"{MOST_NUMBERS:.0e}; use a name for the size, as in x : n, and small ones are drawn"
        )


def at_small_sizes(derivation: Derivation) -> Iterator[Derivation]:
    """The same derivation with names for large numbers, in the ways in which they may depend.

    First every number is free; then one that is a sum or product of smaller ones stays that, as
    the 400 rows of a stack of 100 and 300 do. Nothing for a derivation that is small.

    >>> import workbench as wb
    >>> small = next(at_small_sizes(wb.derive("parameter W : 30×784\\nL = norm(W)^2")))
    >>> small.system.parameters[0].shape
    (30, 784)
    >>> small.system.parameters[0].shape[1].names
    ('784',)
    """
    literals = _literals(derivation.system)
    if not literals or not _is_large(derivation):
        return
    free = [n for place, n in enumerate(literals) if _spelt(n, literals[:place]) is None]
    for chosen in dict.fromkeys((tuple(literals), tuple(free))):
        try:
            yield _Renaming(chosen).derivation(derivation)
        except InputError:
            continue


def _is_large(derivation: Derivation) -> bool:
    """Whether it costs much even where every size that has a name is 2."""
    lines = [stage.expression for step in derivation.steps for stage in step.stages]
    nodes = list(walk(*(e.right for e in derivation.system.equations), *lines))
    names = {name for node in nodes for d in node.shape for name in d.names}
    sizes = dict.fromkeys(names, 2)
    largest = max(length(node).size(sizes) for node in nodes)
    return max(largest, cost(derivation.system, sizes)) > MOST_KEPT


def _literals(system: System) -> list[int]:
    """The large numbers in the shapes of symbols, from the smallest."""
    terms = (term for s in system.symbols for d in s.shape for term in d.terms)
    return sorted({count for _, count in terms if count > LARGEST_KEPT})


def _spelt(count: int, literals: Sequence[int], terms: int = MOST_TERMS) -> Dimension | None:
    """A number by names for others: itself, a product, or a sum; None if it is none of these."""
    if count <= LARGEST_KEPT:
        return Dimension.number(count)
    if count in literals:
        return Dimension.named(str(count))
    if terms == 0:
        return None
    for literal in reversed(literals):
        rest = None if count % literal else _spelt(count // literal, literals, terms - 1)
        if rest is not None:
            return Dimension.named(str(literal)) * rest
    for literal in reversed(literals):
        rest = _spelt(count - literal, literals, terms - 1) if count > literal else None
        if rest is not None:
            return Dimension.named(str(literal)) + rest
    return None


class _Renaming:
    """Everything rebuilt with other dimensions."""

    def __init__(self, literals: Sequence[int]) -> None:
        self.literals = literals
        self._known: dict[Expression, Expression] = {}

    def derivation(self, old: Derivation) -> Derivation:
        gradients = {self.node(v): self.node(g) for v, g in old.gradients.items()}
        steps = tuple(self.step(step) for step in old.steps)
        return Derivation(self.system(old.system), old.strategy, steps, (), gradients)

    def system(self, old: System) -> System:
        equations = tuple(Equation(self.node(e.left), self.node(e.right)) for e in old.equations)
        assumptions = tuple((self.node(left), self.node(right)) for left, right in old.assumptions)
        listed = tuple(self.node(symbol) for symbol in old.listed)
        return replace(old, equations=equations, assumptions=assumptions, listed=listed)

    def step(self, old: Step) -> Step:
        name = None if old.name is None else self.node(old.name)
        stages = tuple(self.stage(stage) for stage in old.stages)
        return replace(old, goal=self.node(old.goal), stages=stages, name=name)

    def stage(self, old: Stage) -> Stage:
        return replace(old, expression=self.node(old.expression))

    def node(self, root: Expression) -> Expression:
        for old in walk(root):
            if old not in self._known:
                arguments = tuple(self._known[argument] for argument in old.arguments)
                rows, columns = (self.dimension(d) for d in old.shape)
                data = self.data(old.data)
                self._known[old] = make(old.operation, arguments, data, (rows, columns))
        return self._known[root]

    def data(self, old: Hashable) -> Hashable:
        match old:
            case Expression():
                return self.node(old)
            case Dimension():
                return self.dimension(old)
            case tuple():
                return tuple(self.data(part) for part in old)
        return old

    def dimension(self, old: Dimension) -> Dimension:
        new = NOTHING
        for names, count in old.terms:
            size = _spelt(abs(count), self.literals)
            if size is None:
                raise InputError(f"{count} is no size in the system, nor a product or sum of such")
            product = prod((Dimension.named(name) for name in names), start=size)
            new = new + product if count > 0 else new - product
        return new
