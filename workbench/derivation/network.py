"""A dense network: a short way to write a system, in scalars, in matrices or for a whole batch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from workbench.calculus.algebra import add, multiply, power, scaled, split_coefficient, spread
from workbench.calculus.dimensions import ONE, Dimension
from workbench.calculus.expressions import (
    Expression,
    Kind,
    number,
    ones,
    size,
    symbol,
    transform,
    walk,
)
from workbench.calculus.functions import (
    COLUMN_SIZE,
    COLUMN_VARIABLE,
    Function,
    by_columns,
)
from workbench.calculus.matrices import matmul, total
from workbench.calculus.rewriting import rebuild
from workbench.calculus.simplify import inner_products
from workbench.derivation.system import Equation, System
from workbench.errors import InputError

PREDICTION = symbol("a", Kind.VARIABLE, (COLUMN_SIZE, ONE))
"""The network's output in the formula of a loss."""

TARGET = symbol("y", Kind.TARGET, (COLUMN_SIZE, ONE))
"""The target in the formula of a loss."""

BATCH = Dimension.named("B")

WRITTEN = re.compile(r"\d+(-\d+(:\w+)?)+")
"""How a network is written: 2-2-1, 64-32:tanh-10:softmax."""

MOST_SCALAR_PARAMETERS = 60
"""Beyond this many parameters nobody reads the scalar form."""


@dataclass(frozen=True, slots=True)
class LossFunction:
    """The loss of one sample, a scalar formula in `PREDICTION` and `TARGET`.

    Attributes
    ----------
    reduction : how a batch combines its samples, "mean" or "sum".
    assumptions : pairs (left, right) known of the target, such as (sum(y), 1).
    """

    name: str
    formula: Expression
    reduction: str = "mean"
    assumptions: tuple[tuple[Expression, Expression], ...] = ()


@dataclass(frozen=True)
class Network:
    """A dense network `m_0-m_1-…-m_N` with one activation a layer and a loss.

    Raises
    ------
    InputError
        If there are fewer than two widths, a width is not positive, or the number of
        activations is not the number of layers.
    """

    widths: tuple[int, ...]
    activations: tuple[Function, ...]
    loss: LossFunction

    def __post_init__(self) -> None:
        if len(self.widths) < 2:
            raise InputError("a network needs at least two widths, as in 2-1")
        if any(width < 1 for width in self.widths):
            raise InputError(f"the widths of a network are whole numbers from 1, not {self.widths}")
        if len(self.activations) != len(self.widths) - 1:
            raise InputError(
                f"{len(self.activations)} activations for {len(self.widths) - 1} layers"
            )

    @property
    def parameter_count(self) -> int:
        """The number of weights and biases."""
        return sum((before + 1) * after for before, after in pairwise(self.widths))

    def __str__(self) -> str:
        layers = (
            f"{width}:{activation.name}"
            for width, activation in zip(self.widths[1:], self.activations, strict=True)
        )
        return "-".join((str(self.widths[0]), *layers))

    @property
    def label(self) -> str:
        """The network in few words: `2-2-1, sigmoid`, or its depth where it is deep."""
        names = dict.fromkeys(activation.name for activation in self.activations)
        if len(self.activations) > 8:
            return f"{self.widths[0]}-…-{self.widths[-1]} ({len(self.activations)} layers)"
        if len(names) > 1:
            return str(self)
        return "-".join(map(str, self.widths)) + f", {next(iter(names))}"

    @property
    def sizes(self) -> Mapping[str, int]:
        """The real sizes of the dimensions `m_0`, `m_1`, …"""
        return {f"m_{layer}": width for layer, width in enumerate(self.widths)}

    def system(self, *, batch: bool = False) -> System:
        """The network in matrices, for one sample (a column) or for a batch (a sample a column).

        The dimensions stay symbols, so that the system is as large as the network is deep.
        """
        columns = BATCH if batch else ONE
        rows = [Dimension.named(f"m_{layer}") for layer in range(len(self.widths))]
        base, affine = ("X", "Z") if batch else ("x", "z")
        value = symbol(f"{base}0", Kind.INPUT, (rows[0], columns))
        target = symbol("Y" if batch else "y", Kind.TARGET, (rows[-1], columns))
        equations = []
        for layer, function in enumerate(self.activations, start=1):
            weight = symbol(f"W{layer}", Kind.PARAMETER, (rows[layer], rows[layer - 1]))
            bias = symbol(f"b{layer}", Kind.PARAMETER, (rows[layer], ONE))
            before = symbol(f"{affine}{layer}", Kind.INTERMEDIATE, (rows[layer], columns))
            after = symbol(f"{base}{layer}", Kind.INTERMEDIATE, (rows[layer], columns))
            repeated = matmul(bias, ones((ONE, columns)))
            equations.append(Equation(before, add(matmul(weight, value), repeated)))
            equations.append(Equation(after, function(before)))
            value = after
        bindings = {PREDICTION: value, TARGET: target}
        per_sample = by_columns(self.loss.formula, bindings)
        loss = total(per_sample)
        if batch and self.loss.reduction == "mean":
            loss = multiply(power(size(BATCH), -1), loss)
        equations.append(Equation(symbol("L", Kind.LOSS), inner_products(loss)))
        assumptions = tuple(
            _assumption(by_columns(left, bindings), by_columns(right, bindings))
            for left, right in self.loss.assumptions
        )
        return System(tuple(equations), assumptions, dict(self.sizes))

    def scalar_system(self) -> System:
        """The network written out neuron by neuron, numbered through as on paper.

        Raises
        ------
        InputError
            If the network has more than `MOST_SCALAR_PARAMETERS` parameters.
        """
        if self.parameter_count > MOST_SCALAR_PARAMETERS:
            raise InputError(
                f"the scalar form is for networks of up to {MOST_SCALAR_PARAMETERS} parameters; "
                f"{self.label} has {self.parameter_count:,}: use the matrix form"
            )
        values = [symbol(f"x{place}", Kind.INPUT) for place in range(self.widths[0])]
        equations: list[Equation] = []
        neuron, weight = 0, 0
        for width, function in zip(self.widths[1:], self.activations, strict=True):
            sums = []
            for place in range(neuron, neuron + width):
                terms = []
                for value in values:
                    terms.append(multiply(symbol(f"w{weight}", Kind.PARAMETER), value))
                    weight += 1
                terms.append(symbol(f"b{place}", Kind.PARAMETER))
                sums.append(symbol(f"z{place}", Kind.INTERMEDIATE))
                equations.append(Equation(sums[-1], add(*terms)))
            values = [
                symbol(f"a{place}", Kind.INTERMEDIATE) for place in range(neuron, neuron + width)
            ]
            equations.extend(_written_out(function, sums, values, f"s{neuron}"))
            neuron += width
        names = ["y"] if len(values) == 1 else [f"y{place}" for place in range(len(values))]
        targets = [symbol(name, Kind.TARGET) for name in names]
        entries = {PREDICTION: values, TARGET: targets}
        loss = total(_entrywise(_inlined(self.loss.formula), entries, len(values))[0])
        equations.append(Equation(symbol("L", Kind.LOSS), loss))
        return System(tuple(equations))


def _assumption(left: Expression, right: Expression) -> tuple[Expression, Expression]:
    """An assumption in the form in which its left side occurs, without a number before it."""
    coefficient, rest = split_coefficient(left)
    return inner_products(rest), spread(scaled(1 / coefficient, right), rest.shape)


def _written_out(
    function: Function, arguments: list[Expression], values: list[Expression], sum_name: str
) -> list[Equation]:
    """The equations of one layer's activation; sums over the layer get names of their own."""
    if not function.columnwise:
        pairs = zip(values, arguments, strict=True)
        return [Equation(value, function(argument)) for value, argument in pairs]
    assert function.formula is not None
    equations: list[Equation] = []
    entries = {COLUMN_VARIABLE: arguments}
    formula = _inlined(function.formula)
    for node in walk(formula):
        if node.operation == "sum":
            right = _entrywise(node, entries, len(arguments))[0]
            suffix = chr(ord("a") + len(equations)) if equations else ""
            left = symbol(sum_name + suffix, Kind.INTERMEDIATE)
            equations.append(Equation(left, right))
            entries[node] = [left] * len(arguments)
    rights = _entrywise(formula, entries, len(arguments))
    equations.extend(Equation(*pair) for pair in zip(values, rights, strict=True))
    return equations


def _inlined(formula: Expression) -> Expression:
    """A formula with the functions in it that couple entries replaced by their own formulas."""

    def rule(node: Expression, arguments: tuple[Expression, ...]) -> Expression:
        node = node if arguments == node.arguments else rebuild(node, arguments)
        function = node.data
        if isinstance(function, Function) and function.columnwise and not function.order:
            return _inlined(function.at(node.arguments[0]))
        return node

    return transform(formula, rule)


def _entrywise(
    formula: Expression, entries: Mapping[Expression, list[Expression]], count: int
) -> list[Expression]:
    """A formula about a column of known length, as the list of its entries."""
    found: dict[Expression, list[Expression]] = {}
    for node in walk(formula):
        if node in entries:
            found[node] = list(entries[node])
        elif node.operation == "sum":
            found[node] = [add(*found[node.arguments[0]])] * count
        elif node.operation == "size":
            found[node] = [number(Fraction(count))] * count
        elif node.operation == "ones":
            found[node] = [number(1)] * count
        elif not node.arguments:
            found[node] = [node] * count
        else:
            columns = [found[argument] for argument in node.arguments]
            found[node] = [
                rebuild(node, tuple(column[place] for column in columns)) for place in range(count)
            ]
    return found[formula]
