"""The training loop as source: forward pass, backward pass and update of each batch in turn.

All that a step does is straight-line code within one loop: nothing is looked up or called on the
way. Loss and gradient are looked at before the update, so that if one of them is not finite the
parameters are still those that led there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from workbench.core.optimizers import Optimizer
from workbench.core.program.buffers import Buffers, assign_buffers, needed_calls
from workbench.core.program.calls import Register
from workbench.core.program.names import FreeNames
from workbench.core.program.numpy_source import NumPyWriter
from workbench.core.program.source import Lowered, numpy_module

NUMPY_DOCSTRING = """Make train, which makes a step with each batch.

    It appends each step's loss and the square of its gradient's norm to two lists, and puts what
    the network answers into the batch's outputs. It asks `examine` where one is not finite.
    """


def numpy_loop(
    lowered: Lowered,
    buffers: Buffers,
    optimizer: Optimizer,
    dtype: np.dtype[Any],
    *,
    in_chunks: bool,
    keeps_outputs: bool,
) -> str:
    """A module whose `build` makes the function `train(batches, losses, squares, *scalars)`.

    Parameters
    ----------
    in_chunks : whether the vectors are updated piece by piece; `build` then takes `chunks`, tuples
        of pieces of parameters, gradients, states and scratch vectors, in place of the whole.
    keeps_outputs : whether a batch has a place for outputs; see `loop_buffers`.
    """
    writer = NumPyWriter(buffers)
    step = writer.lines(needed_calls(lowered.blocks, results_of(lowered, keeps_outputs)))
    free = FreeNames([*buffers.places.values(), *(r.name for r in lowered.given)])
    names = {name: free(name) for name in names_of(optimizer)}
    gradients, chunks, norm = map(free, ("gradients", "chunks", "norm"))
    square = free("squared_norm")
    update = optimizer.vector_lines(names)
    vectors = [names[name] for name in ("theta", "g", *optimizer.rule.states)]
    vectors += update.scratch
    change = list(update.lines)
    if in_chunks:
        change = [f"for {', '.join(vectors)} in {chunks}:", *(f"    {line}" for line in change)]
    loss = buffers.places.get(lowered.loss, lowered.loss.name)
    lines = [
        *step,
        f"{square} = {gradients}.dot({gradients})",
        f"if not isfinite({loss} + {square}):",
        f"    {square} = examine({loss})",
        *([f"{norm} = {square} ** 0.5"] if optimizer.needs_norm else []),
        *optimizer.norm_lines({**names, "norm": norm}),
        f"# the optimizer {optimizer.rule.name}",
        *change,
        f"losses.append({loss})",
        f"squares.append({square})",
    ]
    batch = [register.name for register in data_of(lowered)]
    batch += [lowered.output.name] if keeps_outputs else []
    scalars = [names[name] for name in optimizer.scalar_names]
    function = [
        "def train(batches, losses, squares, *scalars):",
        f"    for {tuple_of(batch)}, {', '.join(scalars)} in zip(batches, *scalars):",
        *(f"        {line}" for line in lines),
    ]
    held = [register.name for register in (*lowered.parameters, *lowered.gradients)]
    return numpy_module(
        writer,
        lowered,
        dtype,
        [*held, gradients, *([chunks] if in_chunks else vectors), "examine"],
        NUMPY_DOCSTRING,
        [f"{name} = array({value!r}, dtype)" for name, value in update.constants.items()],
        [f"    {line}" for line in function],
        "train",
    )


def results_of(lowered: Lowered, keeps_outputs: bool) -> list[Register]:
    """What a step has to compute: loss, gradients and, if they are kept, outputs."""
    return [lowered.loss, *([lowered.output] if keeps_outputs else []), *lowered.gradients]


def loop_buffers(lowered: Lowered, *, keeps_outputs: bool) -> Buffers:
    """Buffers for a loop; outputs that are kept are computed in the batch's place for them."""
    blocks = needed_calls(lowered.blocks, results_of(lowered, keeps_outputs))
    return assign_buffers(blocks, [lowered.output] if keeps_outputs else [])


def data_of(lowered: Lowered) -> list[Register]:
    """What a batch brings; a place for targets even if the loss ignores them."""
    return [*lowered.inputs, *(lowered.targets or [Register((), name="_")])]


def names_of(optimizer: Optimizer) -> list[str]:
    """All that the optimizer's equations call by name."""
    scalars = (*optimizer.scalar_names, "clip", "scratch")
    return ["theta", "g", *optimizer.rule.states, *optimizer.options, *scalars]


def tuple_of(entries: Sequence[str]) -> str:
    """A tuple of Python, to be made or to be taken apart."""
    return f"({', '.join(entries)}{',' if len(entries) == 1 else ''})"
