"""Points of the exact test: random residues, and real values that decide the branches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from functools import cached_property
from math import prod
from random import Random
from typing import TypeVar

import numpy as np

from workbench.calculus.expressions import Expression, Kind, symbols_of
from workbench.calculus.functions import COLUMN_SIZE, COLUMN_VARIABLE, VARIABLE
from workbench.core.checks.draws import Values, as_declared, draw_point, shape_of
from workbench.core.checks.residues import PRIMES, Atoms, Inapplicable, Residues
from workbench.core.evaluate import Array, Environment, Indices, evaluate
from workbench.derivation.system import Equation, System

Built = TypeVar("Built")
MOST_DRAWS = 200
"""Of what a root without a value in the field depends on."""


class _Undefined(Inapplicable):
    """An equation has no value modulo a prime of the chain."""

    def __init__(self, equation: Equation, level: int) -> None:
        super().__init__(f"{equation.left!r} has no value")
        self.equation, self.level = equation, level


class SystemPoint:
    """Random residues for the symbols of a system, and a real point that decides the branches."""

    def __init__(self, system: System, sizes: Mapping[str, int], seed: int) -> None:
        self.system, self.sizes, self.seed = system, sizes, seed
        self.random = Random(seed)
        self.atoms = Atoms(Random(seed + 1))
        self.symbols = frozenset(self.system.symbols)
        self._used = {e.left: symbols_of(e.right) for e in system.equations}
        self._environments = [SystemValues(self, level) for level in range(len(PRIMES))]
        self.is_as_assumed = self._assume()

    @cached_property
    def _real(self) -> Values:
        random = np.random.default_rng(self.seed)
        point = draw_point(self.system, self.sizes, random)
        if not point.is_defined:
            raise Inapplicable("the loss is defined at no point drawn")
        return point.values

    def real(self, node: Expression, indices: Indices) -> Array:
        """A node at the real point."""
        return evaluate(node, self._real, self.sizes, indices)

    def environment(self, level: int) -> SystemValues:
        """Values of all symbols modulo one prime, worked out as they are asked for."""
        return self._environments[level]

    def settled(self, build: Callable[[], Built]) -> Built:
        """What is built on the values, all drawn anew that a value without a root depends on.

        Raises
        ------
        Inapplicable
            If no point was drawn at which all roots exist.
        """
        needed = {(0, equation.left): None for equation in self.system.equations}
        for _ in range(MOST_DRAWS):
            before = dict(self.atoms.roots)
            try:
                for level, symbol in needed:
                    self._environments[level][symbol]
                return build()
            except _Undefined as undefined:
                self.atoms.roots = before
                needed[undefined.level, undefined.equation.left] = None
                self._forget(self._sources(undefined.equation), undefined.level)
        raise Inapplicable("no point was drawn at which all roots exist")

    def _forget(self, symbols: Sequence[Expression], level: int) -> None:
        """Draw symbols anew modulo one prime, and so what depends on them modulo those before."""
        changed = set(symbols)
        for equation in self.system.equations:
            if not changed.isdisjoint(self._used[equation.left]):
                changed.add(equation.left)
        for place, environment in enumerate(self._environments[: level + 1]):
            environment.forget(changed if place == level else changed - set(symbols))

    def at(self, expression: Expression, values: Environment, level: int) -> Array:
        """An expression's residue modulo one prime."""
        return Residues(self, level, 0, values, self.sizes).value(expression)

    def drawn(self, symbol: Expression, level: int) -> Array:
        """Random residues for a symbol."""
        rows, columns = shape_of(symbol, self.sizes)
        drawn = [self.random.randrange(1, PRIMES[-1]) for _ in range(rows * columns)]
        values = np.array(drawn, dtype=object).reshape(rows, columns) % PRIMES[level]
        return as_declared(symbol, values)

    def _sources(self, equation: Equation) -> list[Expression]:
        """The parameters nearest above an equation, or the inputs if there are none."""
        pending, seen = [equation], {equation.left}
        inputs: list[Expression] = []
        while pending:
            used = [s for e in pending for s in symbols_of(e.right) if s not in seen]
            seen.update(used)
            parameters = [s for s in used if s.symbol.kind is Kind.PARAMETER]
            if parameters:
                return parameters
            inputs += [s for s in used if s.symbol.kind is Kind.INPUT]
            pending = [self.system.definitions[s] for s in used if s in self.system.definitions]
        return inputs

    def _assume(self) -> bool:
        """Scale or shift the targets so that what is assumed of them holds, if one of both does."""
        if not self.system.assumptions:
            return True
        return all(self._assume_at(level) for level in range(len(PRIMES)))

    def _assume_at(self, level: int) -> bool:
        targets = {s: self.drawn(s, level) for s in self.system.of_kind(Kind.TARGET)}
        for candidate in self._candidates(targets, level):
            pairs = (
                [self.at(side, candidate, level) for side in pair]
                for pair in self.system.assumptions
            )
            if all(np.all(left == right) for left, right in pairs):
                self._environments[level].known.update(candidate)
                return True
        return False

    def _candidates(self, drawn: Values, level: int) -> Iterator[Values]:
        prime = PRIMES[level]
        inverse = np.frompyfunc(lambda a: pow(a, -1, prime) if a % prime else 0, 1, 1)
        for pair in self.system.assumptions:
            if not all(s in drawn for side in pair for s in symbols_of(side)):
                return
            left, right = (self.at(side, drawn, level) for side in pair)
            yield {s: v * right * inverse(left) % prime for s, v in drawn.items()}
            yield {s: (v + (right - left) * inverse(len(v))) % prime for s, v in drawn.items()}


class SystemValues(Mapping[Expression, Array]):
    """The values of a system's symbols modulo one prime: drawn, or by their equations."""

    def __init__(self, point: SystemPoint, level: int) -> None:
        self.point, self.level = point, level
        self.known: Values = {}

    def __getitem__(self, symbol: Expression) -> Array:
        if symbol not in self.known:
            if symbol not in self:
                raise KeyError(symbol)
            equation = self.point.system.definitions.get(symbol)
            if equation is None:
                self.known[symbol] = self.point.drawn(symbol, self.level)
            else:
                found = self._defined(equation)
                shape = shape_of(symbol, self.point.sizes)
                self.known[symbol] = np.broadcast_to(found, shape)
        return self.known[symbol]

    def __contains__(self, node: object) -> bool:
        return node in self.point.symbols

    def __iter__(self) -> Iterator[Expression]:
        return iter(self.point.symbols)

    def __len__(self) -> int:
        return len(self.point.symbols)

    def _defined(self, equation: Equation) -> Array:
        try:
            return self.point.at(equation.right, self, self.level)
        except _Undefined:
            raise
        except Inapplicable as reason:
            raise _Undefined(equation, self.level) from reason

    def forget(self, symbols: Set[Expression]) -> None:
        """Draw symbols anew, or work them out anew."""
        self.known = {s: v for s, v in self.known.items() if s not in symbols}


class VariablePoint:
    """Residues and real values for the variable of a formula."""

    def __init__(self, shape: tuple[int, int], real: Array, seed: int) -> None:
        self.shape, self.at = shape, real
        self.random = Random(seed)
        self.atoms = Atoms(Random(seed + 1))
        self._environments: dict[int, Environment] = {}

    def environment(self, level: int) -> Environment:
        """Random residues modulo one prime."""
        if level not in self._environments:
            drawn = [self.random.randrange(1, PRIMES[-1]) for _ in range(prod(self.shape))]
            value = np.array(drawn, dtype=object).reshape(self.shape) % PRIMES[level]
            self._environments[level] = {VARIABLE: value, COLUMN_VARIABLE: value}
        return self._environments[level]

    def real(self, node: Expression, indices: Indices) -> Array:
        """A node at the real point."""
        sizes = {COLUMN_SIZE.names[0]: self.shape[0]}
        return evaluate(node, {VARIABLE: self.at, COLUMN_VARIABLE: self.at}, sizes)
