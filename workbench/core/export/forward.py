"""What is exported: the preparation of inputs and the forward pass as equations, and their arrays.

The preparation is written as equations too, so that every format that computes does so from one
expression graph.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.calculus.algebra import divide, greater_equal, subtract, where
from workbench.calculus.blocks import ZERO, block
from workbench.calculus.dimensions import ONE, Dimension
from workbench.calculus.expressions import Expression, Kind, ones, symbol, symbols_of
from workbench.calculus.matrices import matmul, transpose
from workbench.core.data import Preparation
from workbench.core.emit.graph import Task, computed
from workbench.core.parameters import Parameters
from workbench.core.program.names import FreeNames
from workbench.core.trainable import Trainable
from workbench.derivation.network import BATCH
from workbench.derivation.system import Equation
from workbench.errors import InputError

Array = NDArray[Any]


@dataclass(frozen=True)
class Trained:
    """A model as training left it.

    Attributes
    ----------
    preparation : how raw inputs become the model's; the classes, if it answers with classes.
    """

    model: Trainable
    preparation: Preparation
    parameters: Parameters

    @property
    def title(self) -> str:
        """What it is: The network 2-2-1, or The equations."""
        return f"The network {self.model.network}" if self.model.network else "The equations"

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type in which the model computes."""
        return self.parameters.dtype

    @cached_property
    def arrays(self) -> Mapping[str, Array]:
        """Every array by its name in the equations: the preparation's in float64, then W1, b1, …"""
        found: dict[str, Array] = {}
        if self.preparation.fill is not None:
            found[self._names["fill"]] = self.preparation.fill
        if self.preparation.standardises:
            found[self._names["mean"]] = self.preparation.mean
            found[self._names["scale"]] = self.preparation.scale
        return {**found, **self.parameters}

    @cached_property
    def _names(self) -> Mapping[str, str]:
        """The names of what the equations do not have, which they may not use otherwise."""
        free = FreeNames(symbol.symbol.name for symbol in self.model.system.symbols)
        return {name: free(name) for name in ("X", "F", "R", "P", "fill", "mean", "scale")}

    @cached_property
    def description(self) -> Mapping[str, str | list[str]]:
        """What a reader of the arrays has to know besides: texts and lists of names."""
        classes = self.preparation.classes
        return {
            "network": self.model.text,
            "loss": self.model.loss,
            "input_names": list(self.preparation.input_names),
            "target_names": list(self.preparation.target_names),
            **({} if classes is None else {"classes": list(classes)}),
        }

    @property
    def texts(self) -> Mapping[str, str]:
        """The description as texts alone, lists of names as JSON."""
        return {
            key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for key, value in self.description.items()
        }

    @cached_property
    def _rows(self) -> Expression:
        """What the preparation gives, a sample a column: the only input, or all of them stacked."""
        if not self.model.is_batch:
            raise InputError(
                f"{self.model.title} have no batch form, so no format holds their computation; "
                "export the arrays to safetensors or npz"
            )
        inputs = self.model.inputs
        if len(inputs) == 1 and inputs[0].symbol.shape[1] == BATCH:
            return inputs[0].symbol
        rows = sum((_rows_of(part.symbol) for part in inputs), start=Dimension.number(0))
        return symbol(self._names["R"], Kind.INPUT, (rows, BATCH))

    @cached_property
    def preparing(self) -> tuple[Task, ...]:
        """From raw inputs to those of the model; nothing where the preparation changes nothing.

        A missing input is no number, for which alone X ≥ X does not hold, and becomes its fill.
        """
        prepared = self._rows
        raw = value = symbol(self._names["X"], Kind.INPUT, prepared.shape)
        equations = []
        if self.preparation.fill is not None:
            left = prepared
            if self.preparation.standardises:
                left = symbol(self._names["F"], Kind.INTERMEDIATE, raw.shape)
            filled = where(greater_equal(raw, raw), raw, self._repeated("fill", raw))
            equations.append(Equation(left, filled))
            value = left
        if self.preparation.standardises:
            shifted = subtract(value, self._repeated("mean", raw))
            equations.append(Equation(prepared, divide(shifted, self._repeated("scale", raw))))
        return computed(equations, len(equations))

    @cached_property
    def layers(self) -> tuple[Task, ...]:
        """The forward pass from the prepared inputs to the outputs, a sample a column.

        Raises
        ------
        InputError
            If the equations predict nothing, or have no batch form.
        """
        self.model.require_prediction()
        equations = [*self._parts(), *self._needed()]
        output = equations[-1].left
        if output.shape[1] != BATCH:
            turned = symbol(self._names["P"], Kind.INTERMEDIATE, output.shape[::-1])
            equations.append(Equation(turned, transpose(output)))
        return computed(equations, len(equations))

    def _parts(self) -> Iterator[Equation]:
        """Each input as its part of the prepared ones, if it is not all of them."""
        start, rows = ZERO, self._rows
        for part in self.model.inputs:
            given = part.symbol
            if given is rows:
                return
            taken = block(rows, start, _rows_of(given), ZERO, BATCH)
            start = start + _rows_of(given)
            yield Equation(given, taken if given.shape[1] == BATCH else transpose(taken))

    def _needed(self) -> list[Equation]:
        """The equations that the prediction rests on."""
        output, kept = self.model.output, list[Equation]()
        wanted = {output}
        for equation in reversed(self.model.system.equations):
            if equation.left in wanted:
                kept.append(equation)
                wanted.update(symbols_of(equation.right))
        return kept[::-1]

    @property
    def given(self) -> Expression:
        """The symbol of the inputs as they are given, raw where they are prepared."""
        first = (*self.preparing, *self.layers)[0]
        return next(s for s in symbols_of(first.computed) if s.symbol.kind is Kind.INPUT)

    def parameters_of(self, tasks: Sequence[Task]) -> list[Expression]:
        """The symbols in some equations that stand for `arrays`, in order of first use."""
        symbols = symbols_of(*(task.computed for task in tasks))
        return [s for s in symbols if s.symbol.kind is Kind.PARAMETER]

    def _repeated(self, name: str, like: Expression) -> Expression:
        """A column of numbers, one for each feature, repeated for every sample."""
        rows, columns = like.shape
        column = symbol(self._names[name], Kind.PARAMETER, (rows, ONE))
        return matmul(column, ones((ONE, columns)))


def _rows_of(given: Expression) -> Dimension:
    """The number of columns of a table that an input of a batch takes."""
    return given.shape[0] if given.shape[1] == BATCH else given.shape[1]
