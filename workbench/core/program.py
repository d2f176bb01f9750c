"""The program that runs: forward and backward pass, compiled from a derivation.

A derivation's equations (those of the system, then those of its backward pass) are lowered to
NumPy calls on buffers made once, printed as Python source, and that source is what is executed.
There is no other backward pass.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from workbench.calculus.dimensions import ONE
from workbench.calculus.expressions import Expression, Kind
from workbench.core.calls import Block, Call, Register
from workbench.core.emission import (
    Buffers,
    assign_buffers,
    call_text,
    needed_calls,
    numpy_names,
)
from workbench.core.lowering import Lowering
from workbench.core.numerics import stable_lines
from workbench.core.parameters import MOST_MEMORY, Parameters, parameter_shapes
from workbench.derivation.differentiate import derive
from workbench.derivation.network import BATCH, Network
from workbench.derivation.steps import ELEMENTWISE, Derivation, Strategy, variable_of
from workbench.derivation.system import Equation
from workbench.errors import InputError, TooLargeError, close_matches
from workbench.notation.text import text

Array = NDArray[Any]

DTYPES = ("float32", "float64")


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


class Program:
    """A compiled forward and backward pass for batches of one size.

    Attributes
    ----------
    source : the Python source that runs.
    batch_size : the number of samples a call takes.
    buffer_bytes : the memory it takes besides parameters and gradients.
    parameters, gradients : arrays by name, views of one vector each; `step` fills the gradients.
    bare_step : `step` without its checks of shapes and its guard against NumPy's warnings, for
        loops with their own.
    outputs : (samples, outputs), the network's output in the latest `step` or `forward`.

    >>> from workbench.plugins.build import build_network
    >>> from workbench.plugins.registry import load_registry
    >>> program = compile_network(build_network("2-1", registry=load_registry()), batch_size=1)
    >>> program.step(np.ones((1, 2)), np.ones((1, 1)))
    0.125
    >>> program.gradients["W1"]
    array([[-0.125, -0.125]])
    """

    def __init__(
        self,
        source: Source,
        derivation: Derivation,
        batch_size: int,
        parameters: Parameters,
        gradients: Parameters,
    ) -> None:
        self.source = source.text
        self.buffer_bytes = source.buffer_bytes
        self.derivation = derivation
        self.batch_size = batch_size
        self.parameters = parameters
        self.gradients = gradients
        namespace: dict[str, Any] = dict(source.implementations)
        exec(compile(source.text, "<workbench program>", "exec"), namespace)
        (given,) = derivation.system.of_kind(Kind.INPUT)
        self._input_shape = batch_size, given.shape[0].size(derivation.system.sizes)
        names = [parameter.symbol.name for parameter in derivation.system.parameters]
        arrays = [parameters[name] for name in names] + [gradients[name] for name in names]
        self.bare_step, self._forward, self._predict, self.outputs = namespace["build"](*arrays)

    def step(self, inputs: Array, targets: Array) -> float:
        """Forward and backward pass of one batch.

        Parameters
        ----------
        inputs : (batch_size, features), of the program's dtype, row by row in memory.
        targets : (batch_size, outputs), likewise.

        Returns
        -------
        The loss of the batch; `gradients` then hold ∂L/∂parameter.

        Raises
        ------
        InputError
            If inputs or targets do not have those shapes.
        """
        self._require_shapes(inputs, targets)
        with np.errstate(all="ignore"):
            return float(self.bare_step(inputs, targets))

    def forward(self, inputs: Array, targets: Array) -> float:
        """The loss of one batch; `outputs` then hold the network's output."""
        self._require_shapes(inputs, targets)
        with np.errstate(all="ignore"):
            return float(self._forward(inputs, targets))

    def predict(self, inputs: Array) -> Array:
        """The network's output for one batch, (batch_size, outputs), as a fresh array."""
        self._require_shapes(inputs)
        with np.errstate(all="ignore"):
            self._predict(inputs)
        return np.array(self.outputs)

    def _require_shapes(self, inputs: Array, targets: Array | None = None) -> None:
        _require_shape("inputs", inputs, self._input_shape)
        if targets is not None:
            _require_shape("targets", targets, self.outputs.shape)


def _require_shape(what: str, array: Array, expected: tuple[int, ...]) -> None:
    if np.shape(array) != expected:
        raise InputError(
            f"{what} of shape {np.shape(array)}; this program takes {expected}, a sample a row"
        )


def compile_network(
    network: Network,
    *,
    batch_size: int,
    dtype: DTypeLike = np.float64,
    strategy: Strategy = ELEMENTWISE,
    parameters: Parameters | None = None,
    gradients: Parameters | None = None,
) -> Program:
    """Derive a network's gradients for a batch and compile them.

    Parameters
    ----------
    parameters, gradients : arrays to compute with; zeros if not given.

    Raises
    ------
    InputError
        If the batch is empty, or the type neither float32 nor float64.
    TooLargeError
        If the program would not fit in `MOST_MEMORY`; nothing has been allocated then.
    """
    if batch_size < 1:
        raise InputError(f"a batch holds at least one sample, not {batch_size}")
    derivation = _derived(network, strategy)
    source = write_source(derivation, batch_size, dtype, str(network))
    if parameters is None:
        parameters = Parameters(parameter_shapes(network), dtype)
    if gradients is None:
        gradients = parameters.zeros_like()
    return Program(source, derivation, batch_size, parameters, gradients)


@lru_cache(maxsize=8)
def _derived(network: Network, strategy: Strategy) -> Derivation:
    """A batch's derivation, which does not depend on how many samples the batch holds."""
    return derive(network.system(batch=True), strategy=strategy)


def write_source(
    derivation: Derivation, batch_size: int, dtype: DTypeLike = np.float64, title: str = ""
) -> Source:
    """Print a derivation's forward and backward pass as a Python module.

    Raises
    ------
    InputError
        If the type is neither float32 nor float64.
    TooLargeError
        If buffers, constants, parameters and gradients would take more than `MOST_MEMORY` bytes.
    """
    return _Writer(derivation, batch_size, _float_type(dtype), title).write()


def _float_type(given: DTypeLike) -> np.dtype[Any]:
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
    hoisted: dict[str, str] = field(default_factory=dict)

    @cached_property
    def sizes(self) -> dict[str, int]:
        return {**self.derivation.system.sizes, BATCH.names[0]: self.batch_size}

    def write(self) -> Source:
        system = self.derivation.system
        lowering = Lowering(self.sizes)
        for symbol in system.of_kind(Kind.INPUT, Kind.TARGET, Kind.PARAMETER):
            lowering.give(symbol, symbol.symbol.name)
        results = self._lower(lowering)
        buffers = assign_buffers(lowering.blocks)
        own_bytes = self._bytes(lowering, buffers)
        self._refuse_too_large(own_bytes)
        loss = results[system.loss]
        output = results[system.equations[-2].left]
        gradients = [results[e.left] for e in self.derivation.backward]
        functions = [
            ("step", lowering.blocks, self._inputs(True), loss, [loss, *gradients]),
            ("forward", None, self._inputs(True), loss, [loss, output]),
            ("predict", None, self._inputs(False), output, [output]),
        ]
        bodies = []
        for name, blocks, arguments, returned, wanted in functions:
            kept = needed_calls(blocks or lowering.blocks, wanted)
            bodies.append(self._function(name, arguments, kept, returned, buffers))
        source = self._module(lowering, buffers, bodies, output)
        return Source(source, own_bytes, lowering.implementations)

    def _lower(self, lowering: Lowering) -> dict[Expression, Register]:
        results: dict[Expression, Register] = {}
        equations = [*self.derivation.system.equations, *self.derivation.backward]
        for line in stable_lines(equations):
            left = line.equation.left
            results[left] = register = self._place(left, lowering)
            lowering.compute(line, register)
        return results

    def _place(self, left: Expression, lowering: Lowering) -> Register:
        transposed = left.shape[1] == BATCH and left.shape[0] != ONE
        sizes = [dimension.size(self.sizes) for dimension in left.shape if dimension != ONE]
        shape = tuple(reversed(sizes)) if transposed else tuple(sizes)
        if left.operation == "jacobian":
            return Register(shape, name=f"d{variable_of(left).symbol.name}", is_given=True)
        return Register(shape, name=left.symbol.name)

    def _bytes(self, lowering: Lowering, buffers: Buffers) -> int:
        """The memory of buffers and constants, and of the largest array made on the way."""
        calls = [call for block in lowering.blocks for call in block.calls]
        entries = sum(map(_constant_size, lowering.constants))
        entries += max((prod(c.target.shape) for c in calls if _makes_array(c)), default=0)
        return buffers.bytes(self.dtype.itemsize) + entries * self.dtype.itemsize

    def _refuse_too_large(self, own_bytes: int) -> None:
        shapes = [parameter.shape for parameter in self.derivation.system.parameters]
        entries = sum(rows.size(self.sizes) * columns.size(self.sizes) for rows, columns in shapes)
        given_bytes = 2 * entries * self.dtype.itemsize
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
            f"{self.batch_size} needs {_gibibytes(own_bytes + given_bytes)} of memory, more than "
            f"{_gibibytes(MOST_MEMORY)}; {way_out}"
        )

    def _inputs(self, with_target: bool) -> str:
        """The arguments of a function; a target is one of them even if the loss ignores it."""
        names = [s.symbol.name for s in self.derivation.system.of_kind(Kind.INPUT)]
        if with_target:
            targets = self.derivation.system.of_kind(Kind.TARGET)
            names += [s.symbol.name for s in targets] or ["Y"]
        return ", ".join(names)

    def _function(
        self, name: str, arguments: str, blocks: list[Block], result: Register, buffers: Buffers
    ) -> list[str]:
        lines = [f"    def {name}({arguments}):"]
        for block in blocks:
            lines.extend(f"        # {comment}" for comment in _comments(block))
            lines.extend(
                "        " + call_text(call, buffers, self.hoisted) for call in block.calls
            )
        return [*lines, f"        return {buffers.places.get(result, result.name)}", ""]

    def _module(
        self, lowering: Lowering, buffers: Buffers, bodies: list[list[str]], output: Register
    ) -> str:
        names = [p.symbol.name for p in self.derivation.system.parameters]
        arguments = ", ".join([*names, *(f"d{name}" for name in names)])
        given = {s.symbol.name for s in self.derivation.system.of_kind(Kind.INPUT, Kind.TARGET)}
        inline = {v: k for k, v in self.hoisted.items() if re.split(r"\W", k)[0] in given}
        body = [_inlined(line, inline) for lines in bodies for line in lines]
        made = [f"    {name} = {value}" for name, value in lowering.constants.items()]
        for name, shape, boolean in buffers.allocations:
            made.append(f"    {name} = empty({shape}, {'bool' if boolean else 'dtype'})")
        made += [f"    {v} = {k}" for k, v in self.hoisted.items() if v not in inline]
        code = [
            f"def build({arguments}):",
            f'    """{self._docstring(lowering)}"""',
            *made,
            "",
            *body,
        ]
        code.append(f"    return step, forward, predict, {output.name}")
        imports = [name for name in numpy_names([*made, *body]) if hasattr(np, name)]
        header = [f"from numpy import {', '.join([*imports, f'{self.dtype} as dtype'])}"]
        if any("special." in line for line in body):
            header.append("from scipy import special")
        return "\n".join([*header, "", "", *code, ""])

    def _docstring(self, lowering: Lowering) -> str:
        by_hand = ", ".join(lowering.implementations)
        plugins = f"    {by_hand}: hand-written functions of plugins.\n" if by_hand else ""
        return (
            f"Make step, forward and predict for {self.title or 'the system'}, batch "
            f"{self.batch_size}, {self.dtype}.\n\n"
            "    step fills the arrays d… with gradients and returns the loss. A batch holds a\n"
            "    sample a row, the transpose of the formulas beside the code, where a sample is a\n"
            "    column.\n"
            f"{plugins}    "
        )


def _constant_size(name: str) -> int:
    """The number of entries of a constant: ones_3_4, zeros_3, identity_3 or constant_1."""
    kind, *numbers = name.split("_")
    if kind == "constant":
        return 1
    sizes = [int(number) for number in numbers]
    return sizes[0] ** 2 if kind == "identity" else prod(sizes)


def _gibibytes(count: int) -> str:
    return f"{count / 2**30:,.1f} GiB"


def _makes_array(call: Call) -> bool:
    """Whether a call makes an array of its own, which is then copied to its target."""
    return call.template.startswith("{out}[...] = ") and call.template != "{out}[...] = {0}"


def _comments(block: Block) -> list[str]:
    equation: Equation = block.line.equation
    lines = [f"{text(equation.left)} = {text(equation.right)}"]
    if block.line.is_rewritten:
        how = "computed without overflow as" if block.line.is_safe else "computed as"
        lines.append(f"{how} {text(block.line.computed)}")
    return [" ".join(line.split()) for line in lines]


def _inlined(line: str, inline: Mapping[str, str]) -> str:
    for short, long in inline.items():
        line = line.replace(short, long)
    return line
