"""Calls as loops that numba compiles: for small networks single numbers, for others loops and BLAS.

Elementwise calls on arrays of one shape that follow each other share a loop, so that what one
writes the next one reads from a register of the processor.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from workbench.core.optimizers import Optimizer
from workbench.core.program.buffers import needed_calls
from workbench.core.program.calls import (
    Register,
)
from workbench.core.program.python_source import PythonWriter
from workbench.core.program.source import Lowered

INDICES = ("i", "j")

_FLOAT = re.compile(r"(?<![\w.])\d+\.\d*(?:e[+-]?\d+)?")


def numba_numbers(lowered: Lowered, optimizer: Optimizer, *, keeps_outputs: bool) -> str:
    """The function `train` in single numbers, with arrays for what goes in and out.

    Its arguments are those of `numba_loop` without the arrays of single parameters and gradients.
    """
    writer = PythonWriter()
    outputs = [lowered.output] if keeps_outputs else []
    results = [lowered.loss, *outputs, *lowered.gradients]
    step = writer.lines(needed_calls(lowered.blocks, results), results)

    def entries(registers: Iterable[Register]) -> list[str]:
        return [str(name) for register in registers for name in writer.names(register).flat]

    parameters, gradients = entries(lowered.parameters), entries(lowered.gradients)
