"""Training loops as source: forward pass, backward pass and update of each batch in turn.

All that a step does is straight-line code within one loop: nothing is looked up or called on the
way. Loss and gradient are looked at before the update, so that if one of them is not finite the
parameters are still those that led there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from workbench.core.optimizers import Optimizer
from workbench.core.program.buffers import Buffers, needed_calls
from workbench.core.program.calls import Register
from workbench.core.program.numpy_source import NumPyWriter
from workbench.core.program.python_source import PythonWriter
from workbench.core.program.source import Lowered, numpy_module

NUMPY_DOCSTRING = """Make train, which makes a step with each batch.

    It appends each step's loss and the square of its gradient's norm to two lists, and puts what
    the network answers into the batch's outputs. It asks `examine` where one is not finite.
    """

_CALLED = re.compile(r"(\w+)\(")

PYTHON_DOCSTRING = """Make a step with each batch, all in single numbers.

    Lists of numbers are taken, and parameters and states given back in them. Loss, the square of
    the gradient's norm and outputs of each step are appended to lists. It ends early before a step
    whose loss or gradient is not finite.
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
    keeps_outputs : whether a batch has a place for outputs.
    """
    writer = NumPyWriter(buffers)
    step = writer.lines(needed_calls(lowered.blocks, [lowered.loss, *lowered.gradients]))
    free = FreeNames([*buffers.places.values(), *(r.name for r in lowered.given)])
    names = {name: free(name) for name in _names_of(optimizer)}
    gradients, outputs, chunks, norm = map(free, ("gradients", "outputs", "chunks", "norm"))
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
        f"{square} = dot({gradients}, {gradients})",
        f"if not isfinite({loss} + {square}):",
        f"    {square} = examine({loss})",
        *([f"{norm} = {square} ** 0.5"] if optimizer.needs_norm else []),
        *optimizer.norm_lines({**names, "norm": norm}),
        f"# the optimizer {optimizer.rule.name}",
        *change,
        *([f"copyto({outputs}, {lowered.output.name})"] if keeps_outputs else []),
        f"losses.append({loss})",
        f"squares.append({square})",
    ]
    batch = [register.name for register in _data(lowered)]
    batch += [outputs] if keeps_outputs else []
    scalars = [names[name] for name in optimizer.scalar_names]
    function = [
        "def train(batches, losses, squares, *scalars):",
        f"    for {_tuple(batch)}, {', '.join(scalars)} in zip(batches, *scalars):",
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


def python_loop(lowered: Lowered, optimizer: Optimizer, *, keeps_outputs: bool) -> str:
    """A module with the function `train(batches, losses, squares, outputs, vectors, *scalars)`.

    A batch is a tuple of lists of numbers, and `vectors` holds the list of the parameters and those
    of the optimizer's states, in the order of the flat vectors.

    Raises
    ------
    InputError
        If plain Python cannot compute it, since a plugin gives a function of arrays.
    """
    writer = PythonWriter()
    outputs = [lowered.output] if keeps_outputs else []
    results = [lowered.loss, *outputs, *lowered.gradients]
    step = writer.lines(needed_calls(lowered.blocks, results), results)

    def entries(registers: Iterable[Register]) -> list[str]:
        return [str(name) for register in registers for name in writer.names(register).flat]

    parameters, gradients = entries(lowered.parameters), entries(lowered.gradients)
    states = {state: [f"{state}_{name}" for name in parameters] for state in optimizer.rule.states}
    free = FreeNames([*parameters, *gradients, *entries(lowered.given)])
    names = {name: free(name) for name in _names_of(optimizer)}
    square, norm, check = map(free, ("squared_norm", "norm", "check"))
    update = []
    for place, (parameter, gradient) in enumerate(zip(parameters, gradients, strict=True)):
        own = {state: entry[place] for state, entry in states.items()}
        update += optimizer.entry_lines(names | own | {"theta": parameter, "g": gradient})
    loss = str(writer.names(lowered.loss))
    lines = [
        *step,
        f"{square} = {' + '.join(f'{name} * {name}' for name in gradients)}",
        f"{check} = {loss} + {square}",
        f"if {check} - {check} != 0.0:",
        "    break",
        *([f"{norm} = sqrt({square})"] if optimizer.needs_norm else []),
        *optimizer.norm_lines({**names, "norm": norm}),
        f"# the optimizer {optimizer.rule.name}",
        *update,
        f"losses.append({loss})",
        f"squares.append({square})",
        *(f"outputs.append({_tuple(entries([output]))})" for output in outputs),
    ]
    batch = [_tuple(entries([register])) for register in _data(lowered)]
    scalars = [names[name] for name in optimizer.scalar_names]
    held = [_tuple(entry) for entry in (parameters, *states.values())]
    code = [
        "def train(batches, losses, squares, outputs, vectors, *scalars):",
        f'    """{PYTHON_DOCSTRING}"""',
        f"    {_tuple(held)} = vectors",
        "    try:",
        f"        for {_tuple(batch)}, {', '.join(scalars)} in zip(batches, *scalars):",
        *(f"            {line}" for line in lines),
        "    finally:",
        *(f"        vectors[{place}][:] = {entry}" for place, entry in enumerate(held)),
        "",
    ]
    called = {name for line in code for name in _CALLED.findall(line)}
    return "\n".join(
        [f"from math import {', '.join(sorted(called & set(dir(math))))}", "", "", *code]
    )


def _data(lowered: Lowered) -> list[Register]:
    """What a batch brings; a place for targets even if the loss ignores them."""
    return [*lowered.inputs, *(lowered.targets or [Register((), name="_")])]


def _names_of(optimizer: Optimizer) -> list[str]:
    """All that the optimizer's equations call by name."""
    scalars = (*optimizer.scalar_names, "clip", "scratch")
    return ["theta", "g", *optimizer.rule.states, *optimizer.options, *scalars]


class FreeNames:
    """Gives names that are not taken yet.

    >>> free = FreeNames(["v"])
    >>> free("v"), free("rate")
    ('v_', 'rate')
    """

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)

    def __call__(self, name: str) -> str:
        """The name itself, or with underscores behind it."""
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name


def _tuple(entries: Sequence[str]) -> str:
    """A tuple of Python, to be made or to be taken apart."""
    return f"({', '.join(entries)}{',' if len(entries) == 1 else ''})"
