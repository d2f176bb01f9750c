"""Calls as NumPy: straight-line source on buffers made once, with nothing allocated in a step.

What is fast: results by position, `multiply(a, b, out)`; products as a method, `a.dot(b, out)`;
numbers as 0-d arrays of the right type; transposed views made beforehand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import prod

from workbench.core.program.buffers import Buffers
from workbench.core.program.calls import (
    COLUMN,
    ELEMENTWISE,
    TRANSPOSE,
    Block,
    Call,
    Constant,
    Operand,
    Part,
    View,
)
from workbench.notation.text import text

_SUFFIXES = {TRANSPOSE: "_T", COLUMN: "_column"}
"""What is put behind a name for a view of it that is made once."""

_FUNCTIONS = {
    "abs": "absolute",
    "erf": "special.erf",
    "Phi": "special.ndtr",
}
"""What NumPy and SciPy call an operation, where it is not its own name."""

_SIGNS = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}

_OTHERS = {
    "copy": "copyto({out}, {0})",
    "dot": "{0}.dot({1}, {out})",
    "maximum": "maximum({0}, {1}, out={out})",
    "minimum": "minimum({0}, {1}, out={out})",
    "row_max": "maximum.reduce({0}, 1, None, {out})",
}
"""What has an array as result and is not called as a function with the result as last place."""

_SCALARS = {
    "copy": "{0}",
    "dot": "{0}.dot({1})",
    "sum": "add.reduce({0}, None)",
    "row_max": "maximum.reduce({0}, None)",
}
"""What is no function of that name and has a number as result."""

LARGEST_SPREAD = 2**18
"""A number that is compared with an array of more entries stays a number."""

_NUMPY_NAME = re.compile(r"(?<![\w.])([a-z][a-z_]*)(?=[.(])")


class NumPyWriter:
    """Writes calls as lines of source, and keeps what must be made before the first step.

    Attributes
    ----------
    constants : the name of each constant that a line uses.
    hoisted : the name of each view that is made once, by the text that makes it.
    further : the text that makes each further array of whole numbers, by its name.
    """

    def __init__(self, buffers: Buffers) -> None:
        self.buffers = buffers
        self.constants: dict[Constant, str] = {}
        self.hoisted: dict[str, str] = {}
        self.further: dict[str, str] = {}

    def lines(self, blocks: Iterable[Block]) -> list[str]:
        """The calls of all equations, each under the equation itself."""
        lines: list[str] = []
        for block in blocks:
            lines += [f"# {comment}" for comment in comments(block)]
            for call in block.calls:
                if _is_row_max(call):
                    lines += self._by_places(call)
                elif call.operation == "where" and call.target.shape:
                    lines += self._chosen(call)
                else:
                    lines.append(self.line(call))
        return lines

    def line(self, call: Call) -> str:
        """One call as a line of Python."""
        target = self.buffers.places.get(call.target, call.target.name)
        if call.target.shape == ():
            place = f"{target}[...]" if call.target.is_given else target
            return f"{place} = {self._number(call)}"
        operands = [self._operand(operand) for operand in _spread(call)]
        if call.operation in _OTHERS:
            return _OTHERS[call.operation].format(*operands, out=target)
        if call.operation.startswith("concatenate "):
            axis = call.operation.removeprefix("concatenate ")
            return f"concatenate(({', '.join(operands)}), {axis}, {target})"
        if call.operation in ELEMENTWISE:
            name = _FUNCTIONS.get(call.operation, call.operation)
            return f"{name}({', '.join([*operands, target])})"
        return f"{target}[...] = {call.operation.removeprefix('call ')}({', '.join(operands)})"

    def _by_places(self, call: Call) -> list[str]:
        """The largest of each row, by its place: for narrow rows that is faster than to reduce."""
        rows, columns = call.operands[0].source.shape
        source, target = self._operand(call.operands[0]), self.buffers.places[call.target]
        places, starts = f"places_{rows}", f"starts_{rows}_{columns}"
        self.further[places] = f"empty({rows}, int)"
        self.further[starts] = f"arange(0, {rows * columns}, {columns})"
        return [
            f"{source}.argmax(1, {places})",
            f"add({places}, {starts}, {places})",
            f'{source}.take({places}, None, {target}, "clip")',
        ]

    def _chosen(self, call: Call) -> list[str]:
        """One of two for each entry; `where` would make an array of its own, and is no faster."""
        condition, first = call.operands[:2]
        mask, one, other = map(self._operand, call.operands)
        target, shape = self.buffers.places.get(call.target, call.target.name), call.target.shape
        if isinstance(condition.source, Constant):
            return [f"copyto({target}, {one if condition.source.value else other})"]
        is_whole = [not o.views and o.source.shape == shape for o in (condition, first)]
        if is_whole[0] and (is_whole[1] or not first.source.shape):
            put = f"putmask({target}, {mask}, {one})"
        else:
            put = f"copyto({target}, {one}, where={mask})"
        return [f"copyto({target}, {other})", put]

    def _number(self, call: Call) -> str:
        operands = [
            repr(operand.source.value)
            if isinstance(operand.source, Constant) and operand.source.shape == ()
            else self._operand(operand)
            for operand in call.operands
        ]
        if call.operation in _SIGNS:
            return f" {_SIGNS[call.operation]} ".join(operands)
        if call.operation in _SCALARS:
            return _SCALARS[call.operation].format(*operands)
        name = _FUNCTIONS.get(call.operation, call.operation).removeprefix("call ")
        return f"{name}({', '.join(operands)})"

    def _operand(self, operand: Operand) -> str:
        if isinstance(operand.source, Constant):
            return self._constant(operand.source) + _written(operand.views)
        name = self.buffers.places.get(operand.source, operand.source.name)
        if len(operand.views) == 1 and isinstance(view := operand.views[0], str):
            return self.hoisted.setdefault(name + _written([view]), name + _SUFFIXES[view])
        return name + _written(operand.views)

    def _constant(self, constant: Constant) -> str:
        if constant not in self.constants:
            numbers = sum(known.shape == () for known in self.constants)
            name = constant.name if constant.shape else f"constant_{numbers + 1}"
            self.constants[constant] = name
        return self.constants[constant]


def _spread(call: Call) -> Sequence[Operand]:
    """The operands; for the larger or smaller of two, a number as an array unless that is large.

    NumPy compares two arrays twice as fast as an array and a number.
    """
    shape = call.target.shape
    if call.operation not in ("maximum", "minimum") or prod(shape) > LARGEST_SPREAD:
        return call.operands
    return [
        replace(operand, source=replace(operand.source, shape=shape))
        if operand.source == Constant(0.0)
        else operand
        for operand in call.operands
    ]


def _is_row_max(call: Call) -> bool:
    """Whether the largest of each row of a matrix is wanted, as it lies in memory."""
    return (
        call.operation == "row_max" and len(call.target.shape) == 1 and not call.operands[0].views
    )


def _written(views: Sequence[View]) -> str:
    """Views as they stand behind a name."""
    texts = {TRANSPOSE: ".T", COLUMN: "[:, None]"}
    found = []
    for view in views:
        if isinstance(view, Part):
            found.append(view.text)
        else:
            found.append(texts[view] if isinstance(view, str) else f".reshape{_shape(view)}")
    return "".join(found)


def _shape(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))})"


def comments(block: Block) -> list[str]:
    """The equation that a block computes, and the form in which it is computed if another."""
    equation = block.line.equation
    lines = [f"{text(equation.left)} = {text(equation.right)}"]
    if block.line.is_rewritten:
        how = "computed without overflow as" if block.line.is_safe else "computed as"
        lines.append(f"{how} {text(block.line.computed)}")
    return [" ".join(line.split()) for line in lines]


def numpy_names(lines: Iterable[str]) -> list[str]:
    """The names that lines of source call, sorted."""
    code = [line for line in lines if not line.lstrip().startswith("#")]
    return sorted({name for line in code for name in _NUMPY_NAME.findall(line)})


def inlined(line: str, inline: Mapping[str, str]) -> str:
    """A line with names put back for what they stand for."""
    return re.sub(r"\w+", lambda found: inline.get(found[0], found[0]), line)
