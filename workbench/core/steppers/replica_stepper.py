"""Steps of many replicas of a model side by side, a group of them at a time.

A replica whose loss or gradient is not finite is frozen: what it holds stays as before the step.
What the program goes on to compute in its place is of no account, and reaches no other replica.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.core.parameters import Parameters
from workbench.core.program.buffers import assign_buffers
from workbench.core.program.replica_source import replica_loop, replicated
from workbench.core.samples import chosen_classes
from workbench.core.steppers.base import Learner

Array = NDArray[Any]

CACHE = 2**20
"""The bytes that a step of one group should not need more of."""

NARROWEST = 64
"""Groups of fewer replicas spend their time on calls."""


@dataclass(frozen=True)
class Replicas:
    """What all replicas hold.

    Attributes
    ----------
    parameters : (entries, replicas), the entries in the order of one model's vector.
    states : the optimizer's, by name, likewise.
    frozen_at : (replicas,), the number of the step that a replica could not make; 0 for none.
    """

    parameters: Array
    states: Mapping[str, Array]
    frozen_at: NDArray[np.int64]

    @classmethod
    def begin(cls, parameters: Array, states: Sequence[str]) -> Replicas:
        """Start with states of zero."""
        zeros = {name: np.zeros_like(parameters) for name in states}
        return cls(parameters, zeros, np.zeros(parameters.shape[1], np.int64))

    @property
    def count(self) -> int:
        """The number of replicas."""
        return len(self.frozen_at)


class Rows(NamedTuple):
    """What steps came to, (steps, replicas): losses, squared norms of gradients, right answers."""

    losses: Array
    squares: Array
    correct: Array

    @classmethod
    def empty(cls, steps: int, replicas: int, dtype: np.dtype[Any]) -> Rows:
        """Make room."""
        shape = steps, replicas
        return cls(np.empty(shape, dtype), np.empty(shape), np.zeros(shape, np.int64))


def groups(learner: Learner, batch_size: int, replicas: int) -> list[slice]:
    """Groups of replicas, of which what a step needs stays in the cache."""
    width = group_width(learner, batch_size, replicas)
    return [slice(start, min(start + width, replicas)) for start in range(0, replicas, width)]


def group_width(learner: Learner, batch_size: int, replicas: int) -> int:
    """How many replicas a group has, such that what a step needs of them stays in the cache."""
    parameters = learner.parameters.vector
    vectors = 2 + len(learner.states) + len(learner.optimizer.vector_lines().scratch)
    buffers = assign_buffers(learner.lowered(batch_size).blocks).bytes(parameters.itemsize)
    widest = max(NARROWEST, CACHE // (vectors * parameters.nbytes + buffers))
    groups = -(-replicas // widest)
    return -(-replicas // groups)


def stored_views(matrix: Array, like: Parameters) -> Iterator[Array]:
    """Views of the arrays of a model as they are stored, with a last axis of replicas.

    Parameters
    ----------
    matrix : (entries, replicas).
    like : the parameters of one model.
    """
    start = 0
    for name in like:
        shape = like.stored(name).shape
        end = start + like[name].size
        yield matrix[start:end].reshape(*shape, matrix.shape[1])
        start = end


class ReplicaStepper:
    """Makes steps of groups of one width with batches of one size.

    Parameters
    ----------
    learner : that of one replica.
    keeps_correct : whether right answers are counted.

    Raises
    ------
    InputError
        If the strategy forms matrices that replicas cannot.
    """

    def __init__(self, learner: Learner, width: int, batch_size: int, *, keeps_correct: bool):
        like, optimizer = learner.parameters, learner.optimizer
        lowered = replicated(learner.lowered(batch_size), width)
        source = replica_loop(lowered, optimizer, like.dtype, keeps_correct=keeps_correct)
        shape = like.vector.size, width
        self._theta, self._gradients = np.zeros(shape, like.dtype), np.zeros(shape, like.dtype)
        self._states = {name: np.zeros(shape, like.dtype) for name in optimizer.rule.states}
        self._frozen = np.zeros(width, bool)
        self._names = optimizer.scalar_names
        namespace: dict[str, Any] = dict(lowered.implementations)
        exec(compile(source, "<workbench program>", "exec"), namespace)
        self._train, self._forward, self._losses, self._outputs = namespace["build"](
            *stored_views(self._theta, like),
            *stored_views(self._gradients, like),
            *(self._theta, self._gradients, *self._states.values(), self._frozen),
            *(np.minimum, self._examine, np.isfinite, chosen_classes),
        )

    def run(
        self,
        replicas: Replicas,
        group: slice,
        first: int,
        batches: Sequence[tuple[Array, ...]],
        scalars: Mapping[str, Array],
        rows: Rows,
    ) -> None:
        """Make a step with each batch.

        Parameters
        ----------
        group : which of the replicas.
        first : the number of the first step.
        scalars : the optimizer's, each (steps, 1) or (steps, replicas).
        rows : room for what the steps come to.
        """
        self._load(replicas, group)
        for name, state in self._states.items():
            state[...] = replicas.states[name][:, group]
        numbers = (scalars[name] for name in self._names)
        places = [list(part[:, group]) for part in rows]
        own = [list(v if v.shape[1] == 1 else v[:, group]) for v in numbers]
        with np.errstate(all="ignore"):
            self._train(count(first), batches, *places, *own)
        replicas.parameters[:, group][:, ~self._frozen] = self._theta[:, ~self._frozen]
        for name, state in self._states.items():
            replicas.states[name][:, group] = state

    def forward(
        self, replicas: Replicas, group: slice, batch: tuple[Array, ...]
    ) -> tuple[Array, Array]:
        """The losses (replicas,) and the outputs (samples, outputs, replicas) of a group."""
        self._load(replicas, group)
        with np.errstate(all="ignore"):
            self._forward(*batch)
        return self._losses, self._outputs

    def _load(self, replicas: Replicas, group: slice) -> None:
        self._at_work = replicas, group
        self._frozen[:] = replicas.frozen_at[group] > 0
        self._theta[...] = replicas.parameters[:, group]

    def _examine(self, number: int, losses: Array, squares: Array) -> None:
        """Freeze the replicas that cannot make a step; what only overflows in the norm goes on."""
        is_finite = np.isfinite(losses) & np.isfinite(self._gradients).all(axis=0)
        broken = ~(is_finite | self._frozen)
        replicas, group = self._at_work
        replicas.parameters[:, group][:, broken] = self._theta[:, broken]
        replicas.frozen_at[group][broken] = number
        self._frozen |= broken
        overflowed = is_finite & ~np.isfinite(squares)
        large = self._gradients[:, overflowed].astype(np.float64)
        squares[overflowed] = np.einsum("pk,pk->k", large, large)
