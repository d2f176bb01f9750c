"""The training loop in single numbers, as plain Python and as what numba compiles."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from workbench.core.optimizers import Optimizer
from workbench.core.program.buffers import needed_calls
from workbench.core.program.calls import Register
from workbench.core.program.loops import data_of, names_of, results_of, tuple_of
from workbench.core.program.names import FreeNames
from workbench.core.program.python_source import PythonWriter
from workbench.core.program.source import Lowered

_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d*(?:e[+-]?\d+)?|e[+-]?\d+)")
_CALLED = re.compile(r"\w+(?=\()|\binf\b")


class NumberStep:
    """A step in single numbers: the lines of forward pass, backward pass and update.

    Attributes
    ----------
    vectors : the names of the parameters' entries and of those of each state, in the order of the
        flat vectors.
    scalars : the names of the optimizer's scalars.
    loss, square : the names of the loss and of the square of the gradient's norm.

    Raises
    ------
    InputError
        If a plugin gives a function of arrays.
    """

    def __init__(self, lowered: Lowered, optimizer: Optimizer, *, keeps_outputs: bool) -> None:
        self._writer, self._lowered, self._optimizer = PythonWriter(), lowered, optimizer
        self._outputs = [lowered.output] if keeps_outputs else []
        results = results_of(lowered, keeps_outputs)
        blocks = needed_calls(lowered.blocks, results)
        self._step = self._writer.lines(blocks, results)
        parameters, states = self._entries(lowered.parameters), optimizer.rule.states
        free = FreeNames([*self._entries(lowered.given), *self._writer.known_names])
        self.vectors = [parameters, *([free(f"{s}_{p}") for p in parameters] for s in states)]
        self._names = {name: free(name) for name in names_of(optimizer)}
        self.scalars = [self._names[name] for name in optimizer.scalar_names]
        self.loss = str(self._writer.names(lowered.loss))
        self.square, self._norm, self._check = map(free, ("squared_norm", "norm", "check"))

    @property
    def lines(self) -> list[str]:
        """The lines of a step, in a loop that they leave where a number is not finite."""
        gradients = self._entries(self._lowered.gradients)
        optimizer, names, square, check = self._optimizer, self._names, self.square, self._check
        lines = [
            *self._step,
            f"{square} = {' + '.join(f'{name} * {name}' for name in gradients)}",
            f"{check} = {self.loss} + {square}",
            not_finite(check),
            "    break",
            *([f"{self._norm} = sqrt({square})"] if optimizer.needs_norm else []),
            *optimizer.norm_lines({**names, "norm": self._norm}),
            f"# the optimizer {optimizer.rule.name}",
        ]
        for gradient, parameter, *states in zip(gradients, *self.vectors, strict=True):
            own = dict(zip(optimizer.rule.states, states, strict=True))
            lines += optimizer.entry_lines({**names, **own, "theta": parameter, "g": gradient})
        return lines

    @property
    def data(self) -> list[Sequence[str]]:
        """The names of the entries of each input and target of a batch."""
        return [self._entries([register]) for register in data_of(self._lowered)]

    @property
    def outputs(self) -> Sequence[str]:
        """The names of the entries of what the network answers, if it is wanted."""
        return self._entries(self._outputs)

    def _entries(self, registers: Iterable[Register]) -> list[str]:
        return [str(name) for register in registers for name in self._writer.names(register).flat]


def python_loop(lowered: Lowered, optimizer: Optimizer, *, keeps_outputs: bool) -> str:
    """A module with the function `train(batches, losses, squares, outputs, vectors, *scalars)`.

    A batch is a tuple of lists of numbers, and `vectors` holds the list of the parameters and those
    of the optimizer's states. Losses, squares and outputs are appended to lists.
    """
    step = NumberStep(lowered, optimizer, keeps_outputs=keeps_outputs)
    held = [tuple_of(names) for names in step.vectors]
    batch = tuple_of([tuple_of(names) for names in step.data])
    code = [
        "def train(batches, losses, squares, outputs, vectors, *scalars):",
        f"    {tuple_of(held)} = vectors",
        "    try:",
        f"        for {batch}, {', '.join(step.scalars)} in zip(batches, *scalars):",
        *(f"            {line}" for line in step.lines),
        f"            losses.append({step.loss})",
        f"            squares.append({step.square})",
        *([f"            outputs.extend({tuple_of(step.outputs)})"] if keeps_outputs else []),
        "    finally:",
        *(f"        vectors[{place}][:] = {entries}" for place, entries in enumerate(held)),
        "",
    ]
    return "\n".join([*imports_of(code), "", "", *code])


class TypedNumbers:
    """Names for the numbers in source, so that they are of the type of the arrays.

    Attributes
    ----------
    names : by number, as it is written.

    >>> typed = TypedNumbers()
    >>> typed.line("x = y[3] + 1e-05 * 2.0"), typed.constants
    ('x = y[3] + number_1 * number_2', ['number_1 = dtype(1e-05)', 'number_2 = dtype(2.0)'])
    """

    def __init__(self) -> None:
        self.names: dict[str, str] = {}

    @property
    def constants(self) -> list[str]:
        """The lines that give the names their numbers, of the type called `dtype`."""
        return [f"{name} = dtype({number})" for number, name in self.names.items()]

    def line(self, line: str) -> str:
        """A line with names for numbers, unless it is a comment."""
        if line.lstrip().startswith("#"):
            return line
        return _NUMBER.sub(self._name, line)

    def _name(self, found: re.Match[str]) -> str:
        return self.names.setdefault(found[0], f"number_{len(self.names) + 1}")


def numba_numbers(lowered: Lowered, optimizer: Optimizer, *, keeps_outputs: bool) -> str:
    """A module with the function `train(samples, starts, outputs, losses, squares, vectors,
    scalars)`, which returns how many steps it made.

    All are arrays, or tuples of arrays: the samples of all batches, the first sample of each batch,
    and places for outputs, losses and squares. After every step parameters and states are rounded
    to their type, so that it does not matter which steps are made by one call.
    """
    step = NumberStep(lowered, optimizer, keeps_outputs=keeps_outputs)
    lines = []
    for place, (register, names) in enumerate(zip(data_of(lowered), step.data, strict=True)):
        for number, name in enumerate(names):
            lines.append(f"{name} = samples[{place}][{_index('at', number, register.shape)}]")
    for place, name in enumerate(step.scalars):
        lines.append(f"{name} = scalars[{place}][step]")
    lines += [*step.lines, f"losses[step] = {step.loss}", f"squares[step] = {step.square}"]
    shape = lowered.output.shape
    for number, name in enumerate(step.outputs):
        lines.append(f"outputs[{_index(f'step * {shape[0]}', number, shape)}] = {name}")
    held = [(p, n, name) for p, names in enumerate(step.vectors) for n, name in enumerate(names)]
    lines += [f"{name} = dtype({name})" for _, _, name in held]
    typed = TypedNumbers()
    body = [typed.line(line) for line in lines]
    code = [
        "def train(samples, starts, outputs, losses, squares, vectors, scalars):",
        *(f"    {name} = vectors[{place}][{number}]" for place, number, name in held),
        "    done = 0",
        "    for step in range(len(starts)):",
        "        at = starts[step]",
        *(f"        {line}" for line in body),
        "        done += 1",
        *(f"    vectors[{place}][{number}] = {name}" for place, number, name in held),
        "    return done",
        "",
    ]
    return "\n".join([*imports_of(code), "", *typed.constants, "", "", *code])


def _index(first: str, number: int, shape: tuple[int, ...]) -> str:
    """The place of a batch's entry, by its number, where the rows of the batch begin at `first`.

    >>> _index("at", 5, (2, 3)), _index("at", 1, (2,))
    ('at + 1, 2', 'at + 1')
    """
    row, *column = divmod(number, shape[1]) if len(shape) == 2 else (number,)
    return ", ".join([f"{first} + {row}", *map(str, column)])


def not_finite(name: str) -> str:
    """The line that asks whether a number is not finite; numba folds x − x and with it `isfinite`.

    >>> not_finite("loss")
    'if not -inf < loss < inf:'
    """
    return f"if not -inf < {name} < inf:"


def imports_of(code: Iterable[str]) -> list[str]:
    """The line that imports what code takes from the module `math`.

    >>> imports_of(["y = exp(x)"])
    ['from math import exp']
    """
    called = {name for line in code for name in _CALLED.findall(line)}
    functions = sorted(called & set(dir(math)))
    return [f"from math import {', '.join(functions)}"] if functions else []
