"""The source of a program: a derivation's forward and backward pass as a Python module."""

from __future__ import annotations

import builtins
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from workbench.calculus.dimensions import ONE
from workbench.calculus.expressions import Expression, Kind, walk
from workbench.core.numerics import stable_lines
from workbench.core.parameters import DTYPES, MOST_MEMORY, readable_bytes
from workbench.core.program.buffers import Buffers, assign_buffers, needed_calls
from workbench.core.program.calls import Block, Call, Register
from workbench.core.program.lowering import Lowering
from workbench.core.program.names import SymbolNames
from workbench.core.program.numpy_source import NumPyWriter, inlined, numpy_names
from workbench.derivation.network import BATCH
from workbench.derivation.steps import ELEMENTWISE, Derivation, variable_of
from workbench.derivation.system import System
from workbench.errors import InputError, TooLargeError, close_matches


@dataclass(frozen=True)
class Source:
    """The source of a program and what it needs to run.

    Attributes
    ----------
    text : a Python module that defines `build`.
    buffer_bytes : the memory that its buffers and constants take, and the largest array that a
        call makes on the way; parameters and gradients are not counted.
    implementations : hand-written functions of plugins that the text calls, by name.
    """

    text: str
    buffer_bytes: int
    implementations: Mapping[str, Callable[..., object]]


@dataclass(frozen=True)
class Lowered:
    """A derivation as calls: those of the system's equations, then those of its gradients.

    Attributes
    ----------
    inputs, targets, parameters, gradients : registers whose arrays come from outside, in order.
    loss, output : the registers of the loss and of what the network answers.
    """

    blocks: list[Block]
    inputs: list[Register]
    targets: list[Register]
    parameters: list[Register]
    gradients: list[Register]
    loss: Register
    output: Register
    implementations: Mapping[str, Callable[..., object]]

    @property
    def given(self) -> list[Register]:
        """All registers whose arrays come from outside."""
        return [*self.inputs, *self.targets, *self.parameters, *self.gradients]


def turned_parameters(system: System) -> frozenset[str]:
    """The parameters that are best stored as their transposes: those that multiply an input.

    With a sample a row in memory, Wᵀ (inputs, outputs) makes both W X and its gradient a product
    of two matrices that lie as they are read, which BLAS does faster where they are small.

    >>> from workbench.api import network
    >>> turned_parameters(network("3-4-2").system(batch=True))
    frozenset({'W1'})
    """
    return frozenset(
        left.symbol.name
        for equation in system.equations
        for node in walk(equation.right)
        if node.operation == "matmul"
        for left, right in [node.arguments[-2:]]
        if _is_kind(left, Kind.PARAMETER) and _is_kind(right, Kind.INPUT)
    )


def forward_alone(system: System) -> Derivation:
    """A system with no gradient asked for, whose program is the forward pass alone."""
    return Derivation(system, ELEMENTWISE, steps=(), backward=())


def lower(
    derivation: Derivation,
    sizes: Mapping[str, int],
    turned: Collection[str],
    output: Expression | None = None,
) -> Lowered:
    """Lower a derivation for a batch of known sizes.

    Parameters
    ----------
    output : the symbol of what is predicted; that of the equation before the loss, if there is one,
        if not given.

    Raises
    ------
    InputError
        If an operation cannot be computed in a program.
    """
    system = derivation.system
    lowering = Lowering(sizes)
    free = SymbolNames()
    slopes = {p.symbol.name: free(f"d{p.symbol.name}") for p in system.parameters}
    given: dict[Kind, list[Register]] = {}
    for kind in (Kind.INPUT, Kind.TARGET, Kind.PARAMETER):
        given[kind] = []
        for symbol in system.of_kind(kind):
            name = symbol.symbol.name
            register = _register(symbol, free(name), sizes, is_turned=name in turned, is_given=True)
            given[kind].append(register)
            lowering.give(symbol, register)
    results: dict[Expression, Register] = {}
    gradients: dict[str, Register] = {}
    for line in stable_lines([*system.equations, *derivation.backward]):
        left = line.equation.left
        if left.operation == "jacobian":
            name = variable_of(left).symbol.name
            register = _register(left, slopes[name], sizes, is_turned=name in turned, is_given=True)
            gradients[name] = register
        else:
            register = _register(left, free(left.symbol.name), sizes)
        results[left] = register
        lowering.compute(line, register)
    loss, answer = results[system.loss], results[output or system.equations[-2:][0].left]
    loss.is_kept = answer.is_kept = True
    return Lowered(
        lowering.blocks,
        given[Kind.INPUT],
        given[Kind.TARGET],
        given[Kind.PARAMETER],
        [gradients[s.symbol.name] for s in system.parameters if s.symbol.name in gradients],
        loss,
        answer,
        lowering.implementations,
    )


def _register(
    symbol: Expression,
    name: str,
    sizes: Mapping[str, int],
    *,
    is_turned: bool = False,
    is_given: bool = False,
) -> Register:
    """The register of a symbol or of a gradient: a batch, or what is turned, as its transpose."""
    shape = tuple(dimension.size(sizes) for dimension in symbol.shape if dimension != ONE)
    transposed = is_turned or (symbol.shape[1] == BATCH and symbol.shape[0] != ONE)
    return Register(
        shape[::-1] if transposed else shape,
        name=f"{name}_T" if is_turned else name,
        is_given=is_given,
        transposed=transposed,
    )


def _is_kind(node: Expression, kind: Kind) -> bool:
    return node.operation == "symbol" and node.symbol.kind is kind


def write_source(
    derivation: Derivation,
    batch_size: int,
    dtype: DTypeLike = np.float64,
    title: str = "",
    turned: Collection[str] | None = None,
    output: Expression | None = None,
) -> Source:
    """Print a derivation's forward and backward pass as a Python module.

    Without gradients, as of `forward_alone`, there is no function `step`.

    Parameters
    ----------
    turned : the parameters that are stored as their transposes; see `turned_parameters`.
    output : as in `lower`.

    Raises
    ------
    InputError
        If the type is neither float32 nor float64.
    TooLargeError
        If buffers, constants, parameters and gradients would take more than `MOST_MEMORY` bytes.
    """
    if turned is None:
        turned = turned_parameters(derivation.system)
    return _Writer(derivation, batch_size, float_type(dtype), title, turned, output).write()


def float_type(given: DTypeLike) -> np.dtype[Any]:
    """The type of a program's numbers.

    >>> float_type("float32")
    dtype('float32')
    """
    try:
        found = np.dtype(given)
    except TypeError:
        found = np.dtype(object)
    if found.name not in DTYPES:
        raise InputError(f"unknown dtype {given!r}; {close_matches(str(given), DTYPES)}")
    return found


@dataclass
class _Writer:
    derivation: Derivation
    batch_size: int
    dtype: np.dtype[Any]
    title: str
    turned: Collection[str]
    output: Expression | None

    @cached_property
    def sizes(self) -> dict[str, int]:
        return {**self.derivation.system.sizes, BATCH.names[0]: self.batch_size}

    @cached_property
    def lowered(self) -> Lowered:
        return lower(self.derivation, self.sizes, self.turned, self.output)

    @property
    def has_step(self) -> bool:
        """Whether there is a backward pass to make steps with."""
        return bool(self.lowered.gradients)

    @cached_property
    def buffers(self) -> Buffers:
        return assign_buffers(self.lowered.blocks)

    def write(self) -> Source:
        lowered, writer = self.lowered, NumPyWriter(self.buffers)
        inputs = [register.name for register in lowered.inputs]
        targets = [register.name for register in lowered.targets]
        loss, output = lowered.loss, lowered.output
        functions = [
            *[("step", [*inputs, *targets], loss, [loss, *lowered.gradients])][: self.has_step],
            ("forward", [*inputs, *targets], loss, [loss, output]),
            ("predict", inputs, output, [output]),
        ]
        bodies = []
        for name, arguments, returned, wanted in functions:
            kept = needed_calls(lowered.blocks, wanted)
            bodies += [
                f"    def {name}({', '.join(arguments)}):",
                *(f"        {line}" for line in writer.lines(kept)),
                f"        return {self.buffers.places.get(returned, returned.name)}",
                "",
            ]
        own_bytes = _held_bytes(lowered, writer, self.dtype.itemsize)
        self._refuse_too_large(own_bytes)
        return Source(self._module(writer, bodies), own_bytes, lowered.implementations)

    def _refuse_too_large(self, own_bytes: int) -> None:
        given = (*self.lowered.parameters, *self.lowered.gradients)
        given_bytes = sum(prod(register.shape) for register in given) * self.dtype.itemsize
        if own_bytes + given_bytes <= MOST_MEMORY:
            return
        name = self.derivation.strategy.name
        if given_bytes > MOST_MEMORY:
            way_out = "use narrower layers"
        elif name != ELEMENTWISE.name:
            way_out = f"use --strategy {ELEMENTWISE.name}, which forms no Jacobian"
        else:
            way_out = "use a smaller batch"
        raise TooLargeError(
            f"the {name} strategy on {self.title or 'this system'} with a batch of "
            f"{self.batch_size} needs {readable_bytes(own_bytes + given_bytes)} of memory, more "
            f"than {readable_bytes(MOST_MEMORY)}; {way_out}"
        )

    def _module(self, writer: NumPyWriter, bodies: Sequence[str]) -> str:
        lowered = self.lowered
        arguments = [register.name for register in (*lowered.parameters, *lowered.gradients)]
        output = lowered.output.name if lowered.output.shape else None
        returned = f"{'step, ' if self.has_step else ''}forward, predict, {output}"
        return numpy_module(
            writer, lowered, self.dtype, arguments, self._docstring(), [], bodies, returned
        )

    def _docstring(self) -> str:
        by_hand = ", ".join(self.lowered.implementations)
        plugins = f"    {by_hand}: hand-written functions of plugins.\n" if by_hand else ""
        made = "step, forward and predict" if self.has_step else "forward and predict"
        filled = "step fills the arrays d… with gradients and returns the loss. "
        return (
            f"Make {made} for {self.title or 'the system'}, batch {self.batch_size}, "
            f"{self.dtype}.\n\n"
            f"    {filled if self.has_step else ''}A batch holds a\n"
            "    sample a row, the transpose of the formulas beside the code, where a sample is a\n"
            "    column; …_T is the transpose of a matrix.\n"
            f"{plugins}    "
        )


def numpy_module(
    writer: NumPyWriter,
    lowered: Lowered,
    dtype: np.dtype[Any],
    arguments: Sequence[str],
    docstring: str,
    made: Sequence[str],
    bodies: Sequence[str],
    returned: str,
) -> str:
    """A module that defines `build`, which makes constants, buffers and views, then functions.

    Parameters
    ----------
    arguments : what `build` takes.
    made : further lines that make something before the first step.
    bodies : the lines of the functions, which may use what is made; `writer` wrote their calls.
    returned : what `build` returns.
    """
    making = [f"{name} = {constant.text}" for constant, name in writer.constants.items()]
    making += [f"{name} = {text}" for name, text in writer.further.items()]
    for name, shape, boolean in writer.buffers.allocations:
        making.append(f"{name} = empty({shape}, {'bool' if boolean else 'dtype'})")
    making += [f"{name} = {buffer}" for name, buffer in writer.buffers.aliases.items()]
    known = {*arguments, *(line.partition(" ")[0] for line in making)}
    inline = {v: k for k, v in writer.hoisted.items() if re.split(r"\W", k)[0] not in known}
    making += [f"{v} = {k}" for k, v in writer.hoisted.items() if v not in inline]
    making += made
    body = [inlined(line, inline) for line in bodies]
    called = numpy_names([*making, *body])
    own = {*dir(builtins), "isfinite"}
    imports = [name for name in called if hasattr(np, name) and name not in own]
    imported = ["from math import isfinite"] if "isfinite" in called else []
    imported.append(f"from numpy import {', '.join([*imports, f'{dtype} as dtype'])}")
    if any("special." in line for line in body):
        imported.append("from scipy import special")
    code = [
        f"def build({', '.join(arguments)}):",
        f'    """{docstring}"""',
        *(f"    {line}" for line in making),
        "",
        *body,
        f"    return {returned}",
    ]
    return "\n".join([*imported, "", "", *code, ""])


def program_bytes(lowered: Lowered, itemsize: int) -> int:
    """The memory that the program of calls takes in NumPy, as in `Source.buffer_bytes`."""
    writer = NumPyWriter(assign_buffers(lowered.blocks))
    writer.lines(lowered.blocks)
    return _held_bytes(lowered, writer, itemsize)


def _held_bytes(lowered: Lowered, writer: NumPyWriter, itemsize: int) -> int:
    """The memory of buffers and constants, and of the largest array made on the way."""
    calls = [call for block in lowered.blocks for call in block.calls]
    entries = sum(prod(constant.shape) for constant in writer.constants)
    entries += max((prod(c.target.shape) for c in calls if _makes_array(c)), default=0)
    return writer.buffers.bytes(itemsize) + entries * itemsize


def _makes_array(call: Call) -> bool:
    """Whether a call makes an array of its own, which is then copied to its target."""
    return call.operation in ("kron", "diag", "diagonal") or call.operation[:4] == "call"
