"""An optimizer at work on two flat vectors, parameters and gradients, chunk by chunk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.core.optimizers import Optimizer
from workbench.core.update_lines import VectorSource

Vector = NDArray[Any]

ENTRIES_AT_ONCE = 2**17
"""The entries updated at a time, so that all of an update's passes find them in the cache."""

FLUSH_INTERVAL = 256
"""The steps between two flushes of denormal numbers, which decaying state would be full of."""


class VectorUpdate:
    """Makes an optimizer's steps on the same two vectors.

    Attributes
    ----------
    states : the optimizer's vectors of state by name, each (parameters,); zero at first, unless
        they are given, whose owner then flushes denormal numbers.
    steps : the number of updates made; with the states all that the next one depends on.

    >>> from workbench.core.optimizers import make_optimizer
    >>> parameters, gradients = np.array([1.0]), np.array([1.0])
    >>> update = VectorUpdate(make_optimizer("momentum", momentum=0.5), parameters, gradients)
    >>> for _ in range(2):
    ...     update.update({"rate": 0.5})
    ...     print(parameters)
    [0.5]
    [-0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        parameters: Vector,
        gradients: Vector,
        states: Mapping[str, Vector] | None = None,
    ):
        self._flushes = states is None
        if states is None:
            states = {name: np.zeros_like(parameters) for name in optimizer.rule.states}
        self.states = states
        self.steps = 0
        self._gradients = gradients
        self._needs_norm = optimizer.needs_norm
        source = optimizer.vector_lines()
        numbers = {**dict.fromkeys((*optimizer.scalar_names, "clip"), 0.0), **source.constants}
        self._numbers = {name: np.array(value, parameters.dtype) for name, value in numbers.items()}
        namespace = {name: getattr(np, name) for name in source.functions} | self._numbers
        exec(_source_text(optimizer, source), namespace)
        self._change, self._limit = namespace["change"], namespace["limit"]
        scratch = [
            np.empty(min(ENTRIES_AT_ONCE, parameters.size), parameters.dtype)
            for _ in source.scratch
        ]
        self._chunks: list[list[Vector]] = []
        for start in range(0, parameters.size, ENTRIES_AT_ONCE):
            vectors = (parameters, gradients, *self.states.values())
            views = [vector[start : start + ENTRIES_AT_ONCE] for vector in vectors]
            self._chunks.append([*views, *(vector[: views[0].size] for vector in scratch)])

    def update(self, scalars: Mapping[str, float]) -> None:
        """Make one step: change the parameters in place; nothing of their size is allocated.

        Parameters
        ----------
        scalars : those of this step, as `Optimizer.scalars` gives them.
        """
        self.steps += 1
        for name, value in scalars.items():
            self._numbers[name][()] = value
        if self._needs_norm:
            self._limit(float(np.linalg.norm(self._gradients)))
        for chunk in self._chunks:
            self._change(*chunk)
        if self._flushes and self.steps % FLUSH_INTERVAL == 0:
            for vector in self.states.values():
                flush_denormals(vector)


def flush_denormals(vector: Vector) -> None:
    """Set to zero what is so small that it is stored with fewer digits, and slow to compute with.

    >>> vector = np.array([1e-310, -2.0])
    >>> flush_denormals(vector)
    >>> vector
    array([ 0., -2.])
    """
    least = np.finfo(vector.dtype).tiny
    for start in range(0, vector.size, ENTRIES_AT_ONCE):
        chunk = vector[start : start + ENTRIES_AT_ONCE]
        chunk[abs(chunk) < least] = 0


def _source_text(optimizer: Optimizer, source: VectorSource) -> str:
    """Functions that change one chunk, and that follow from the norm of all gradients."""
    arguments = ", ".join(["theta", "g", *optimizer.rule.states, *source.scratch])
    limit = optimizer.norm_lines({"clip": "clip[()]"})
    functions = [(f"change({arguments})", source.lines), ("limit(norm)", limit)]
    blocks = [[f"def {head}:", *(lines or ["pass"])] for head, lines in functions]
    return "\n".join("\n    ".join(block) for block in blocks)
