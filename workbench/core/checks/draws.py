"""Random points of a system at which its loss is defined and its kinks are met on both sides.

Parameters are drawn small enough that depth neither saturates nor overflows. Where a value is
undefined (the log of a negative number), the parameters next above it are drawn anew, closer
together and around an offset from a widening range, until it is defined.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.calculus.expressions import Expression, Kind, length, symbols_of, walk
from workbench.calculus.functions import Function
from workbench.core.checks.small_sizes import MOST_NUMBERS, cost, require_affordable
from workbench.core.evaluate import Array, evaluate
from workbench.derivation.system import Equation, System

Values = dict[Expression, Array]

MOST_DRAWS = 60
WORST_CONDITION = 1e6
"""Of a matrix whose inverse or determinant is taken; beyond, the point counts as undefined."""
SMALLEST_SIZES = (2, 3, 4, 5, 6, 7)
TARGET_SCALES = (1.0, 3.0, -1.0)
"""One for each start from the beginning."""


@dataclass(frozen=True)
class Point:
    """Values of every symbol of a system.

    Attributes
    ----------
    values : forward values, the loss among them.
    is_defined : whether all of them are finite.
    is_as_assumed : whether the target satisfies what the system assumes of it.
    """

    values: Values
    is_defined: bool
    is_as_assumed: bool


def draw_point(system: System, sizes: Mapping[str, int], random: np.random.Generator) -> Point:
    """A random point, defined throughout if one was found.

    Raises
    ------
    InputError
        If the sizes are too large.
    """
    nodes = walk(*system.symbols, *(equation.right for equation in system.equations))
    require_affordable(max(length(node).size(sizes) for node in nodes))
    for scale in TARGET_SCALES:
        point = _Drawing(system, sizes, random).point(scale)
        if point.is_defined:
            break
    return point


def shape_of(node: Expression, sizes: Mapping[str, int]) -> tuple[int, int]:
    """Rows and columns of a node as numbers."""
    return node.shape[0].size(sizes), node.shape[1].size(sizes)


def as_declared(symbol: Expression, values: Array) -> Array:
    """Values of a symbol, the upper triangle repeated below where it is declared symmetric."""
    if not symbol.symbol.symmetric:
        return values
    return np.triu(values) + np.swapaxes(np.triu(values, 1), -1, -2)


def distinct_sizes(system: System, random: np.random.Generator) -> dict[str, int]:
    """A size for each dimension, different from those it meets within a few equations.

    All are 2 where the distinct ones would cost too much: sum(x) of n·n·n·n·n·n.
    """
    names: dict[str, None] = {}
    for symbol in system.symbols:
        for dimension in symbol.shape:
            names.update(dict.fromkeys(dimension.names))
    pool = random.permutation(np.array(SMALLEST_SIZES))
    sizes = {name: int(pool[place % len(pool)]) for place, name in enumerate(names)}
    return sizes if cost(system, sizes) <= MOST_NUMBERS else dict.fromkeys(names, SMALLEST_SIZES[0])


@dataclass
class _Drawing:
    system: System
    sizes: Mapping[str, int]
    random: np.random.Generator

    def point(self, target_scale: float) -> Point:
        inputs = self.system.of_kind(Kind.INPUT)
        values = {symbol: self._normal(symbol) for symbol in inputs}
        targets, is_as_assumed = self._targets(target_scale)
        values |= targets
        values |= {symbol: self._parameter(symbol, 1.0, 0.0) for symbol in self.system.parameters}
        for equation in self.system.equations:
            self._settle(equation, values)
        is_defined = all(bool(np.all(np.isfinite(value))) for value in values.values())
        return Point(values, is_defined, is_as_assumed)

    # single symbols

    def _normal(self, symbol: Expression) -> Array:
        """Standard normal entries; a symmetric matrix is drawn positive definite."""
        drawn = self.random.normal(size=shape_of(symbol, self.sizes))
        return drawn @ drawn.T + np.eye(len(drawn)) if symbol.symbol.symmetric else drawn

    def _parameter(self, symbol: Expression, scale: float, offset: float) -> Array:
        """A weight of variance 1/fan-in; only what is added on its own takes the offset."""
        consumers = self.system.consumers(symbol)
        if not consumers:
            return self._normal(symbol) * scale + offset
        equation = consumers[0]
        terms = equation.right.arguments if equation.right.operation == "add" else ()
        fan_in = len(terms) if symbol.is_scalar else symbol.shape[1].size(self.sizes)
        is_added = any(symbols_of(term) == (symbol,) for term in terms)
        values = self._normal(symbol) * scale / np.sqrt(max(fan_in, 1))
        return np.asarray(values + offset if is_added else values)

    def _targets(self, scale: float) -> tuple[Values, bool]:
        """Targets that satisfy what is assumed of them, as far as one of a few forms does."""
        symbols = self.system.of_kind(Kind.TARGET)
        drawn = {s: self.random.uniform(0.1, 0.9, shape_of(s, self.sizes)) for s in symbols}
        for candidate in self._candidates(drawn):
            if len(candidate) == len(drawn) and all(
                self._holds(pair, candidate) for pair in self.system.assumptions
            ):
                is_free = not self.system.assumptions
                return {s: v * scale if is_free else v for s, v in candidate.items()}, True
        return drawn, False

    def _candidates(self, drawn: Values) -> Iterator[Values]:
        """As drawn; scaled or shifted so that a sum (of squares) is right; one class each."""
        yield drawn
        for left, right in self.system.assumptions:
            sides = [evaluate(side, drawn, self.sizes) for side in (left, right)]
            with np.errstate(all="ignore"):
                ratio = sides[1] / sides[0]
                for factor in (ratio, np.sqrt(ratio)) if np.all(ratio) else ():
                    yield {s: v * factor for s, v in drawn.items() if _fits(factor, v)}
            gap = sides[1] - sides[0]
            yield {s: v + gap / len(v) for s, v in drawn.items() if _fits(gap, v)}
        yield {
            s: np.eye(len(v))[self.random.integers(len(v), size=v.shape[1])].T
            for s, v in drawn.items()
        }

    def _holds(self, pair: tuple[Expression, Expression], targets: Values) -> bool:
        if not all(s in targets for side in pair for s in symbols_of(side)):
            return False
        left, right = (evaluate(side, targets, self.sizes) for side in pair)
        return bool(np.allclose(left, right, rtol=1e-12, atol=1e-12))

    # equations

    def _settle(self, equation: Equation, values: Values) -> None:
        """Evaluate an equation, with parameters drawn anew where it would prove too little."""
        self._run([equation], values)
        if self._is_telling(equation, values):
            return
        path = self._path(equation)
        sources = _symbols(path, Kind.PARAMETER) or _symbols(path, Kind.INPUT)
        moved = self._moved_by(sources, equation)
        for attempt in range(MOST_DRAWS):
            scale, offset = 1.0, 0.0
            if not np.all(np.isfinite(values[equation.left])):
                scale = 0.3 ** (attempt % 4)
                offset = float(self.random.uniform(-1, 1)) * (1, 3, 10)[3 * attempt // MOST_DRAWS]
            for symbol in sources:
                values[symbol] = (
                    self._parameter(symbol, scale, offset)
                    if symbol.symbol.kind is Kind.PARAMETER
                    else self._normal(symbol) * scale + offset
                )
            self._run(moved, values)
            if self._is_telling(equation, values):
                return

    def _run(self, equations: Sequence[Equation], values: Values) -> None:
        for equation in equations:
            value = evaluate(equation.right, values, self.sizes)
            values[equation.left] = np.broadcast_to(value, shape_of(equation.left, self.sizes))

    def _path(self, equation: Equation) -> list[Equation]:
        """The equation and those above it, up to the nearest ones with parameters, in order."""
        found = {equation}
        pending = [equation]
        while pending:
            current = pending.pop()
            used = symbols_of(current.right)
            if any(symbol.symbol.kind is Kind.PARAMETER for symbol in used):
                continue
            above = {self.system.definitions[s] for s in used if s in self.system.definitions}
            pending.extend(above - found)
            found |= above
        return [e for e in self.system.equations if e in found]

    def _moved_by(self, sources: Sequence[Expression], last: Equation) -> list[Equation]:
        """The equations up to `last` whose values change with some symbols, in order."""
        places = {e.left: place for place, e in enumerate(self.system.equations)}
        uses = [self.system.consumers(symbol)[:1] for symbol in sources]
        first = min((places[e.left] for found in uses for e in found), default=0)
        first = first if all(uses) else 0
        changed, found = set(sources), []
        for equation in self.system.equations[first : places[last.left] + 1]:
            if changed.intersection(symbols_of(equation.right)):
                changed.add(equation.left)
                found.append(equation)
        return found

    def _is_telling(self, equation: Equation, values: Values) -> bool:
        """Whether the value is defined and every kinked function is met on both its branches."""
        if not np.all(np.isfinite(values[equation.left])):
            return False
        for node in walk(equation.right):
            if node.operation in ("inverse", "det"):
                matrix = evaluate(node.arguments[0], values, self.sizes)
                if not np.linalg.cond(matrix) < WORST_CONDITION:
                    values[equation.left] = np.full_like(values[equation.left], np.nan)
                    return False
            function = node.data
            if isinstance(function, Function) and function.kinks:
                argument = evaluate(node.arguments[0], values, self.sizes)
                if argument.size > 1 and not _on_both_sides(argument, function.kinks):
                    return False
        return True


def _symbols(equations: Sequence[Equation], kind: Kind) -> list[Expression]:
    used = (s for equation in equations for s in symbols_of(equation.right))
    return list(dict.fromkeys(s for s in used if s.symbol.kind is kind))


def _fits(correction: Array, target: Array) -> bool:
    """Whether a correction of a sum, one a column or one for all, fits a target."""
    return bool(np.all(np.isfinite(correction))) and correction.shape[-1:] in (
        (),
        (1,),
        target.shape[-1:],
    )


def _on_both_sides(argument: Array, kinks: Sequence[float]) -> bool:
    return all(bool(np.any(argument > kink) and np.any(argument < kink)) for kink in kinks)
