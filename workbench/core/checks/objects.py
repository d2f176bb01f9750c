"""Evaluate expressions on arrays of Python numbers: residues of a prime, or 50 digits.

What only moves entries about or adds and multiplies them is inherited from `evaluate`; a subclass
says what a number, a power and a function are, and on which side of a branch a point lies.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from fractions import Fraction
from functools import reduce
from typing import Any

import numpy as np

from workbench.calculus.dimensions import Dimension
from workbench.calculus.expressions import Expression
from workbench.core.array_operations import OPERATIONS
from workbench.core.evaluate import Array, Evaluation
from workbench.errors import InputError

COMPARISONS = {
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "maximum": np.greater,
    "minimum": np.less,
}


class ObjectEvaluation(Evaluation, ABC):
    """An evaluation whose arrays hold Python numbers. Takes the arguments of `evaluate`."""

    @abstractmethod
    def _number(self, value: Fraction) -> Any:
        """An exact number."""

    @abstractmethod
    def _constant(self, name: str) -> Any:
        """A named constant."""

    @abstractmethod
    def _real(self, node: Expression, value: Array) -> Array:
        """What tells the branches of a node's value apart: numbers that can be compared."""

    @abstractmethod
    def _power(self, base: Array, exponent: Fraction) -> Array:
        """The elementwise power."""

    @abstractmethod
    def _applied(self, node: Expression, argument: Array) -> Array:
        """A function of its argument."""

    @abstractmethod
    def _weight(self, entry: Any) -> Any:
        """What the largest of is taken for a pivot; 0 where an entry cannot be one."""

    @abstractmethod
    def _within(self, index: str, place: int) -> ObjectEvaluation:
        """The same evaluation with an index bound."""

    def _reduced(self, value: Array) -> Array:
        """The representatives of the values, if there are many."""
        return value

    def _by_entries(self, node: Expression) -> Array:
        if node in self.environment:
            return self.environment[node]
        if node.operation != "index_sum":
            return self._node(node, [self._by_entries(part) for part in node.arguments])
        assert isinstance(node.data, tuple)
        index, dimension = node.data
        places = range(dimension.size(self.sizes))
        body = node.arguments[0]
        parts = [self._within(index, place)._by_entries(body) for place in places]
        return self._reduced(np.asarray(sum(parts), dtype=object))

    def _node(self, node: Expression, arguments: list[Array]) -> Array:
        if node in self.environment:
            return self.environment[node]
        if not node.arguments:
            return self._leaf(node)
        match node.operation:
            case "power":
                assert isinstance(node.data, Fraction)
                found = self._power(arguments[0], node.data)
            case "apply":
                found = self._applied(node, arguments[0])
            case "where":
                found = np.where(self._real(node.arguments[0], arguments[0]) != 0, *arguments[1:])
            case operation if operation in COMPARISONS:
                sides = zip(node.arguments, arguments, strict=True)
                holds = COMPARISONS[operation](*(self._real(*side) for side in sides))
                choice = (1, 0) if operation.startswith("greater") else tuple(arguments)
                found = np.where(holds, *(np.asarray(value, dtype=object) for value in choice))
            case "diag":
                found = arguments[0] * np.eye(arguments[0].shape[-2], dtype=int).astype(object)
            case "multiply" | "matmul" | "kron":
                pair = OPERATIONS[node.operation]
                found = reduce(lambda left, right: self._reduced(pair(left, right)), arguments)
            case "inverse":
                found = self._eliminated(arguments[0])[0]
            case "det":
                found = self._eliminated(arguments[0])[1]
            case _:
                found = super()._node(node, arguments)
        return self._reduced(np.asarray(found, dtype=object))

    def _leaf(self, node: Expression) -> Array:
        if node.number is not None:
            return _scalar(self._number(node.number))
        match node.operation:
            case "constant":
                return _scalar(self._constant(str(node.data)))
            case "size":
                assert isinstance(node.data, Dimension)
                return _scalar(self._number(Fraction(node.data.size(self.sizes))))
            case "symbol" | "jacobian" | "numerator_jacobian":
                if self.leaf is None:
                    raise InputError(f"no value is given for {node!r}")
                return self.leaf(node, self.indices)
        return super()._leaf(node).astype(int).astype(object)

    def _eliminated(self, matrices: Array) -> tuple[Array, Array]:
        """Inverses and determinants by Gauss and Jordan."""
        inverses = np.empty(matrices.shape, dtype=object)
        determinants = np.empty((*matrices.shape[:-2], 1, 1), dtype=object)
        for place in np.ndindex(*matrices.shape[:-2]):
            inverses[place], determinants[place] = self._eliminate(matrices[place])
        return inverses, determinants

    def _eliminate(self, matrix: Array) -> tuple[Array, Any]:
        size = len(matrix)
        work = np.concatenate([matrix, np.eye(size, dtype=int).astype(object)], axis=1)
        minus, determinant = self._number(Fraction(-1)), _scalar(self._number(Fraction(1)))
        for step in range(size):
            pivot = max(range(step, size), key=lambda row: self._weight(work[row, step]))
            if pivot != step:
                work[[step, pivot]] = work[[pivot, step]]
                determinant = self._reduced(determinant * minus)
            head = work[step, step : step + 1].copy()
            determinant = self._reduced(determinant * head)
            work[step] = self._reduced(work[step] * self._power(head, Fraction(-1)))
            for row in set(range(size)) - {step}:
                factor = self._reduced(work[row, step : step + 1] * minus)
                work[row] = self._reduced(work[row] + factor * work[step])
        return work[:, size:], determinant.item()


def _scalar(value: Any) -> Array:
    return np.array([[value]], dtype=object)
