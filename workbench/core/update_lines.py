"""Source of updates: equations of one entry, as calls on whole vectors or as plain Python.

A primed symbol (m′) is the new value of the plain one and is kept in the same place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from workbench.calculus.algebra import power, split_coefficient
from workbench.calculus.expressions import Expression, number, symbols_of, walk
from workbench.core.emit.code import ATOM, Code, product_of
from workbench.core.emit.languages import Scalars
from workbench.core.emit.names import Names
from workbench.core.emit.operations import Operations
from workbench.core.emit.sizes import SizeNames
from workbench.core.evaluate import evaluate
from workbench.derivation.system import Equation
from workbench.errors import InputError

PRIME = "′"

Step = tuple[str, Expression | None]
"""A function of what there is so far and another operand, or of the former alone."""


@dataclass(frozen=True)
class VectorSource:
    """An update of whole vectors.

    Attributes
    ----------
    lines : calls of NumPy's functions, which take the place of the result as last argument.
    functions : the functions that they call.
    scratch : the names of further vectors, of any content, that they need.
    constants : the names and values of numbers, to be given as 0-d arrays of the vectors' type.
    """

    lines: tuple[str, ...]
    functions: frozenset[str]
    scratch: tuple[str, ...]
    constants: Mapping[str, float]


def base_name(node: Expression) -> str:
    """The name of a symbol without primes, that of its place.

    >>> from workbench.calculus.expressions import Kind, symbol
    >>> base_name(symbol("m′", Kind.VARIABLE))
    'm'
    """
    return node.symbol.name.rstrip(PRIME)


def entry_lines(
    equations: Sequence[Equation], options: Mapping[str, float], names: Mapping[str, str]
) -> list[str]:
    """One assignment an equation, for numbers; options are written as their values.

    Parameters
    ----------
    names : what symbols are called in the source, where it is not their own name.
    """
    operations = Operations(_Entries(), Names(), SizeNames({}, (), {}, Names()))
    lines = []
    for equation in equations:
        for node in walk(equation.right):
            if node.operation == "symbol":
                name = base_name(node)
                value = repr(options[name]) if name in options else names.get(name, name)
                operations.code[node] = Code(value)
            else:
                operations.code[node] = operations.lower(node)
        left = base_name(equation.left)
        lines.append(f"{names.get(left, left)} = {operations.code[equation.right].text}")
    return lines


class _Entries(Scalars):
    """Python's floats, with functions by their bare names; a square is a product.

    The product of large numbers is infinite, where the operator `**` would raise.
    """

    prefix = ""

    def power(self, base: Code, exponent: Fraction) -> Code:
        """A positive power other than 1."""
        if exponent == 2 and base.level == ATOM and not base.text.endswith(")"):
            return product_of([base, base])
        return super().power(base, exponent)


def vector_lines(
    equations: Sequence[Equation],
    kept: Collection[str],
    scalars: Collection[str],
    options: Mapping[str, float],
    names: Mapping[str, str],
) -> VectorSource:
    """Calls on whole vectors, in place; every part that occurs twice is computed once.

    Parameters
    ----------
    kept : the vectors whose new value takes the place of the old; that of any other vector (the
        gradient) stands in scratch space.
    scalars : the names of numbers that change from step to step.
    options : the values of those that do not.
    names : what symbols are called in the source where it is not their own name, and what stands
        before the number of a `scratch` vector and of another `constant`.
    """
    lowering = _Lowering(equations, {*scalars, *options}, options, names)
    for equation in equations:
        name = base_name(equation.left)
        lowering.compute(equation, names.get(name, name) if name in kept else None)
    return VectorSource(
        tuple(lowering.lines),
        frozenset(line.partition("(")[0] for line in lowering.lines),
        tuple(lowering.scratch),
        lowering.constants,
    )


class _Lowering:
    """Lowers equations in order, and keeps count of who is still to read each place.

    Attributes
    ----------
    places : where the value of each node is.
    reads : how often each node is read in all.
    readers : how often what is in a place will still be read.
    """

    def __init__(
        self,
        equations: Sequence[Equation],
        scalars: Collection[str],
        options: Mapping[str, float],
        names: Mapping[str, str],
    ) -> None:
        self.scalars, self.options, self.names = scalars, options, names
        self.lines: list[str] = []
        self.scratch: list[str] = []
        self.constants: dict[str, float] = {}
        self.places: dict[Expression, str] = {}
        self.numbers: Counter[str] = Counter()
        self.reads: Counter[Expression] = Counter()
        self.readers: Counter[str] = Counter()
        for equation in equations:
            self._count(equation.right)
        for node, count in self.reads.items():
            if node.operation == "symbol" and node not in self.places:
                self.places[node] = self._name(base_name(node))
                self.readers[self.places[node]] += 0 if PRIME in node.symbol.name else count

    def compute(self, equation: Equation, target: str | None) -> None:
        """Lower one equation, and leave its result in the target if there is one."""
        place = self._lower(equation.right, target)
        self.readers[place] -= 1
        if target is not None and place != target:
            self.lines.append(f"copyto({target}, {place})")
            place = target
        self.places[equation.left] = place
        self.readers[place] += self.reads[equation.left]

    def _count(self, node: Expression) -> None:
        self.reads[node] += 1
        if self.reads[node] > 1:
            return
        if self._depends_on(self.options, node):
            self.places[node] = self._constant(node)
        elif node.operation != "symbol":
            first, steps = self._steps(node)
            for operand in (first, *(other for _, other in steps if other is not None)):
                self._count(operand)

    def _lower(self, node: Expression, target: str | None) -> str:
        """Return the place of a node's value, computed now unless it is known.

        Parameters
        ----------
        target : a place to be preferred, once nobody is to read it any more.
        """
        if node not in self.places:
            first, steps = self._steps(node)
            target = target if self.reads[node] == 1 else None
            place = self._lower(first, target)
            for function, other in steps:
                operands = [place] if other is None else [place, self._lower(other, target)]
                place = self._call(function, operands, target)
            self.places[node] = place
            self.readers[place] = self.reads[node]
        return self.places[node]

    def _call(self, function: str, operands: Sequence[str], target: str | None) -> str:
        """Write one call into a place that nobody is to read any more."""
        self.readers.subtract(operands)
        places = [place for place in (target, *self.scratch) if place and not self.readers[place]]
        if not places:
            places = [self._numbered("scratch")]
            self.scratch += places
        out = f"out={places[0]}" if function in _OUT_BY_NAME else places[0]
        self.lines.append(f"{function}({', '.join([*operands, out])})")
        self.readers[places[0]] = 1
        return places[0]

    def _steps(self, node: Expression) -> tuple[Expression, list[Step]]:
        """A node as a first operand and what is done to it in turn."""
        match node.operation:
            case "add":
                first, *others = node.arguments
                return first, [_added(term) for term in others]
            case "multiply":
                return self._product(node.arguments)
            case "power":
                (base,) = node.arguments
                assert isinstance(node.data, Fraction)
                if node.data < 0:
                    return self._product([node])
                if node.data in _POWERS:
                    return base, [(_POWERS[node.data], None)]
                return base, [("power", number(node.data))]
            case "maximum" | "minimum":
                left, right = node.arguments
                return left, [(node.operation, right)]
        raise InputError(f"an update cannot compute {node.operation}")

    def _product(self, factors: Sequence[Expression]) -> tuple[Expression, list[Step]]:
        """The vectors first, so that what is done by scalars is done in one place."""
        ordered = sorted(factors, key=lambda factor: self._depends_on(self.scalars, factor))
        above = [factor for factor in ordered if not _is_reciprocal(factor)]
        first = above[0] if above else number(1)
        return first, [
            ("divide", power(factor, -1)) if _is_reciprocal(factor) else ("multiply", factor)
            for factor in ordered
            if factor is not first
        ]

    def _depends_on(self, known: Collection[str], node: Expression) -> bool:
        """Whether a node depends on these names alone."""
        return all(base_name(part) in known for part in symbols_of(node))

    def _constant(self, node: Expression) -> str:
        """A name for a number, that of its option if it is one."""
        values = {part: np.asarray(self.options[base_name(part)]) for part in symbols_of(node)}
        is_option = node.operation == "symbol"
        place = self._name(base_name(node)) if is_option else self._numbered("constant")
        self.constants[place] = float(evaluate(node, values))
        return place

    def _numbered(self, kind: str) -> str:
        self.numbers[kind] += 1
        return f"{self._name(kind)}{self.numbers[kind]}"

    def _name(self, name: str) -> str:
        return self.names.get(name, name)


_OUT_BY_NAME = ("maximum", "minimum")
"""The functions to which NumPy wants the place of the result given by name."""

_POWERS = {Fraction(2): "square", Fraction(1, 2): "sqrt"}


def _added(term: Expression) -> Step:
    coefficient, rest = split_coefficient(term)
    is_subtracted = coefficient == -1 and rest.number is None
    return ("subtract", rest) if is_subtracted else ("add", term)


def _is_reciprocal(factor: Expression) -> bool:
    exponent = factor.data if factor.operation == "power" else 0
    return isinstance(exponent, Fraction) and exponent < 0
