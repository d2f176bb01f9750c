"""The memory that a training of replicas takes, said beforehand.

What a replica holds is there for all of them; what a step needs on the way, for one group.
"""

from __future__ import annotations

from collections.abc import Iterable

from workbench.core.data.sources import SampleSource
from workbench.core.mean_loss import SAMPLES_AT_ONCE
from workbench.core.memory import PROGRAMS, Memory
from workbench.core.program.buffers import assign_buffers
from workbench.core.program.replica_source import replicated
from workbench.core.rounds import Rounds
from workbench.core.settings import Settings
from workbench.core.steppers import Learner
from workbench.core.steppers.replica_stepper import group_width
from workbench.core.vector_update import FLUSH_INTERVAL

ROOM = 2**18
"""About how many losses are kept of steps between two pauses."""

DOUBLE = 8
"""The bytes of a number in a sum, a count or a place."""

SUMS, FIGURES = 3, 6
"""The numbers of a replica besides its entries and the step that froze it."""


def replica_memory(
    learner: Learner, rounds: Rounds, validation: SampleSource | None, settings: Settings
) -> Memory:
    """The memory of a training of replicas, worked out from sizes alone.

    Parameters
    ----------
    learner : that of one replica.
    validation : gives the samples of the validation part, if there is one.
    """
    one, itemsize = learner.parameters.vector.nbytes, learner.parameters.dtype.itemsize
    replicas, states = settings.replicas, len(learner.states)
    width = group_width(learner, settings.batch_size, replicas)
    widths = {width, replicas % width} - {0}
    validated, sizes = 0, set(rounds.sizes)
    if validation is not None:
        further = _validation_sizes(validation.count, settings.batch_size) - sizes
        sizes |= further
        validated = validation.held_bytes(validation.count) + sum(
            _program_bytes(learner, width, further) for width in widths
        )
    return Memory(
        parameters=(replicas + 2) * one + (1 + SUMS + FIGURES) * DOUBLE * replicas,
        gradients=(1 + sum(widths) * len(sizes)) * one,
        optimizer=(1 + replicas) * states * one + _scalar_bytes(learner, itemsize, settings),
        steps=PROGRAMS
        + sum(_program_bytes(learner, width, rounds.sizes) for width in widths)
        + _row_bytes(rounds, itemsize, settings) * replicas,
        validation=validated,
        samples=rounds.held_bytes(itemsize),
    )


def _program_bytes(learner: Learner, width: int, sizes: Iterable[int]) -> int:
    """What the programs of a group hold besides gradients, for batches of these sizes."""
    itemsize = learner.parameters.dtype.itemsize
    vectors = 2 + len(learner.states) + len(learner.optimizer.vector_lines().scratch)
    held = vectors * width * learner.parameters.vector.nbytes
    return sum(
        held + assign_buffers(replicated(learner.lowered(size), width).blocks).bytes(itemsize)
        for size in sizes
    )


def _scalar_bytes(learner: Learner, itemsize: int, settings: Settings) -> int:
    """The optimizer's scalars of the steps that are worked out at once, in both types."""
    rates = settings.replicas if settings.rates or settings.rate_range else 1
    scalars = len(learner.optimizer.scalar_names)
    return FLUSH_INTERVAL * rates * scalars * (DOUBLE + itemsize)


def _row_bytes(rounds: Rounds, itemsize: int, settings: Settings) -> int:
    """What is kept of a replica's steps between two pauses, and what is made of it."""
    is_single = rounds.steps == 1
    steps = settings.epochs if is_single else rounds.steps
    kept = min(steps, FLUSH_INTERVAL, max(1, ROOM // settings.replicas))
    return kept * (itemsize + (2 + (FIGURES if is_single else 1)) * DOUBLE)


def _validation_sizes(count: int, batch_size: int) -> set[int]:
    """The sizes of the batches in which a validation part is gone through."""
    chunks = {min(count, SAMPLES_AT_ONCE), count % SAMPLES_AT_ONCE} - {0}
    return {size for c in chunks for size in (min(c, batch_size), c % batch_size)} - {0}
