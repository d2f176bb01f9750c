"""The memory that a training takes, said beforehand.

Counted are the arrays that it holds at most at one time: those of the learner, the buffers of every
program, and the samples. What the interpreter and its libraries take comes on top.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from workbench.core.data.sources import SampleSource
from workbench.core.inference import LARGEST_BATCH
from workbench.core.parameters import MOST_MEMORY, readable_bytes
from workbench.core.program.source import Lowered, forward_alone, lower, program_bytes
from workbench.core.rounds import Rounds
from workbench.core.settings import Settings
from workbench.core.steppers import Learner
from workbench.core.vector_update import ENTRIES_AT_ONCE
from workbench.derivation.network import BATCH
from workbench.derivation.steps import ELEMENTWISE
from workbench.errors import TooLargeError

BYTES_OF_A_NUMBER = 32
"""What a number takes in a list of Python: the number itself and its place."""

PROGRAMS = 4 * 10**5
"""About what it takes to write and compile a program."""


@dataclass(frozen=True)
class Memory:
    """Bytes, by what takes them.

    Attributes
    ----------
    optimizer : the vectors of its state, and what a step needs on the way.
    steps : the values that a step computes from a batch, for full batches and for the last one.
    validation : the same for the validation part, its samples, and the best parameters so far.
    samples : the training part, prepared, and what is predicted for it where that is counted.
    """

    parameters: int
    gradients: int
    optimizer: int
    steps: int
    validation: int
    samples: int

    @property
    def total(self) -> int:
        """All of it.

        >>> Memory(100, 100, 200, 600, 0, 1048).total
        2048
        """
        return sum(asdict(self).values())

    def to_json(self) -> dict[str, int]:
        """All parts, and the total, in the types of JSON."""
        return {**asdict(self), "total": self.total}

    def __str__(self) -> str:
        """The total and its parts.

        >>> print(Memory(100, 100, 200, 600, 0, 1048))
        2.0 KiB: parameters 100.0 bytes, gradients 100.0 bytes, optimizer 200.0 bytes, \
steps 600.0 bytes, samples 1.0 KiB
        """
        parts = (f"{name} {readable_bytes(size)}" for name, size in asdict(self).items() if size)
        return f"{readable_bytes(self.total)}: {', '.join(parts)}"


def require_room(memory: Memory, title: str, batch_size: int, settings: Settings) -> None:
    """Refuse steps, or replicas, that hold more than is allowed, before any of it is asked for.

    Raises
    ------
    TooLargeError
        If they do, with the way out.
    """
    most, strategy = readable_bytes(MOST_MEMORY), settings.strategy
    if settings.replicas > 1 and (held := memory.total - memory.samples) > MOST_MEMORY:
        raise TooLargeError(
            f"{settings.replicas:,} replicas of {title} hold {readable_bytes(held)}, more than "
            f"{most}; use fewer replicas, or a smaller batch"
        )
    if memory.steps <= MOST_MEMORY:
        return
    way_out = "use a smaller batch"
    if strategy.name != ELEMENTWISE.name:
        way_out = f"use --strategy {ELEMENTWISE.name}, which forms no Jacobian"
    raise TooLargeError(
        f"a step of {title} with a batch of {batch_size:,} and the {strategy.name} strategy holds "
        f"{readable_bytes(memory.steps)}, more than {most}; {way_out}"
    )


def training_memory(
    learner: Learner, backend: str, rounds: Rounds, validation: SampleSource | None
) -> Memory:
    """The memory of a training, worked out from sizes alone: no program is made.

    Parameters
    ----------
    validation : gives the samples of the validation part, if there is one.
    """
    vector, itemsize = learner.parameters.vector, learner.parameters.dtype.itemsize
    scratch = len(learner.optimizer.vector_lines().scratch) if backend == "numpy" else 0
    samples, steps = rounds.held_bytes(itemsize), PROGRAMS
    if backend == "python":
        samples += rounds.count * rounds.columns * BYTES_OF_A_NUMBER
    else:
        steps += sum(program_bytes(learner.lowered(size), itemsize) for size in rounds.sizes)
    validated = 0
    if validation is not None:
        sizes = {min(validation.count, LARGEST_BATCH), validation.count % LARGEST_BATCH} - {0}
        best = vector.nbytes
        programs = sum(program_bytes(_forward(learner, size), itemsize) for size in sizes)
        validated = validation.held_bytes(validation.count) + programs + best
    return Memory(
        parameters=vector.nbytes,
        gradients=vector.nbytes,
        optimizer=len(learner.states) * vector.nbytes
        + scratch * min(ENTRIES_AT_ONCE, vector.size) * itemsize,
        steps=steps,
        validation=validated,
        samples=samples,
    )


def _forward(learner: Learner, batch_size: int) -> Lowered:
    """The forward pass alone, as validation makes it."""
    system = learner.derivation.system
    sizes = {**system.sizes, BATCH.names[0]: batch_size}
    return lower(forward_alone(system), sizes, learner.parameters.turned, learner.output)
