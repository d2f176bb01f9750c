"""What is exported: the preparation of inputs and the forward pass as equations, and their arrays.

The preparation is written as equations too, so that every format that computes does so from one
expression graph.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.calculus.algebra import divide, greater_equal, subtract, where
from workbench.calculus.dimensions import ONE
from workbench.calculus.expressions import Expression, Kind, ones, symbol, symbols_of
from workbench.calculus.matrices import matmul
from workbench.core.data import Preparation
from workbench.core.emit.graph import Task, computed
from workbench.core.parameters import Parameters
from workbench.derivation.network import Network
from workbench.derivation.system import Equation

Array = NDArray[Any]


@dataclass(frozen=True)
class Trained:
    """A network as training left it.

    Attributes
    ----------
    preparation : how raw inputs become the network's; the classes, if it answers with classes.
    """

    network: Network
    preparation: Preparation
    parameters: Parameters

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type in which the network computes."""
        return self.parameters.dtype

    @cached_property
    def arrays(self) -> Mapping[str, Array]:
        """Every array by its name in the equations: the preparation's in float64, then W1, b1, …"""
        found: dict[str, Array] = {}
        if self.preparation.fill is not None:
            found["fill"] = self.preparation.fill
        if self._standardises:
            found |= {"mean": self.preparation.mean, "scale": self.preparation.scale}
        return {**found, **self.parameters}

    @property
    def _standardises(self) -> bool:
        return bool(self.preparation.mean.any() or (self.preparation.scale != 1).any())

    @cached_property
    def description(self) -> Mapping[str, str | list[str]]:
        """What a reader of the arrays has to know besides: texts and lists of names."""
        classes = self.preparation.classes
        return {
            "network": str(self.network),
            "loss": self.network.loss.name,
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
    def preparing(self) -> tuple[Task, ...]:
        """From raw inputs X to X₀; nothing where the preparation changes nothing.

        A missing input is no number, for which alone X ≥ X does not hold, and becomes its fill.
        """
        (prepared,) = self.network.system(batch=True).of_kind(Kind.INPUT)
        raw = value = symbol("X", Kind.INPUT, prepared.shape)
        equations = []
        if self.preparation.fill is not None:
            left = symbol("F", Kind.INTERMEDIATE, raw.shape) if self._standardises else prepared
            equations.append(
                Equation(left, where(greater_equal(raw, raw), raw, _repeated("fill", raw)))
            )
            value = left
        if self._standardises:
            shifted = subtract(value, _repeated("mean", raw))
            equations.append(Equation(prepared, divide(shifted, _repeated("scale", raw))))
        return computed(equations, len(equations))

    @cached_property
    def layers(self) -> tuple[Task, ...]:
        """The forward pass from the prepared inputs to the outputs, a sample a column."""
        equations = self.network.system(batch=True).equations[:-1]
        return computed(equations, len(equations))

    @property
    def given(self) -> Expression:
        """The symbol of the inputs as they are given, raw where they are prepared."""
        first = (*self.preparing, *self.layers)[0]
        return next(s for s in symbols_of(first.computed) if s.symbol.kind is Kind.INPUT)

    def parameters_of(self, tasks: Sequence[Task]) -> list[Expression]:
        """The symbols in some equations that stand for `arrays`, in order of first use."""
        symbols = symbols_of(*(task.computed for task in tasks))
        return [s for s in symbols if s.symbol.kind is Kind.PARAMETER]


def _repeated(name: str, like: Expression) -> Expression:
    """A column of numbers, one for each feature, repeated for every sample."""
    rows, columns = like.shape
    return matmul(symbol(name, Kind.PARAMETER, (rows, ONE)), ones((ONE, columns)))
