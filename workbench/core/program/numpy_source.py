"""Calls as NumPy: straight-line source on buffers made once, with nothing allocated in a step.

What is fast: results by position, `multiply(a, b, out)`; numbers as 0-d arrays of the right type;
transposed views made beforehand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

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
    "dot": "dot({0}, {1}, {out})",
    "maximum": "maximum({0}, {1}, out={out})",
    "minimum": "minimum({0}, {1}, out={out})",
    "where": "{out}[...] = where({0}, {1}, {2})",
    "row_max": "maximum.reduce({0}, 1, None, {out})",
}
"""What has an array as result and is not called as a function with the result as last place."""

_SCALARS = {
    "copy": "{0}",
    "sum": "add.reduce({0}, None)",
    "row_max": "maximum.reduce({0}, None)",
}
"""What is no function of that name and has a number as result."""

_NUMPY_NAME = re.compile(r"(?<![\w.])([a-z][a-z_]*)(?=[.(])")


class NumPyWriter:
    """Writes calls as lines of source, and keeps what must be made before the first step.

    Attributes
    ----------
    constants : the name of each constant that a line uses.
    hoisted : the name of each view that is made once, by the text that makes it.
    """

    def __init__(self, buffers: Buffers) -> None:
        self.buffers = buffers
        self.constants: dict[Constant, str] = {}
        self.hoisted: dict[str, str] = {}

    def lines(self, blocks: Iterable[Block]) -> list[str]:
        """The calls of all equations, each under the equation itself."""
        lines: list[str] = []
        for block in blocks:
            lines += [f"# {comment}" for comment in comments(block)]
            lines += [self.line(call) for call in block.calls]
        return lines

    def line(self, call: Call) -> str:
        """One call as a line of Python."""
        target = self.buffers.places.get(call.target, call.target.name)
        if call.target.shape == ():
            place = f"{target}[...]" if call.target.is_given else target
            return f"{place} = {self._number(call)}"
        operands = [self._operand(operand) for operand in call.operands]
        if call.operation in _OTHERS:
            return _OTHERS[call.operation].format(*operands, out=target)
        if call.operation.startswith("concatenate "):
            axis = call.operation.removeprefix("concatenate ")
            return f"concatenate(({', '.join(operands)}), {axis}, {target})"
        if call.operation in ELEMENTWISE:
            name = _FUNCTIONS.get(call.operation, call.operation)
            return f"{name}({', '.join([*operands, target])})"
        return f"{target}[...] = {call.operation.removeprefix('call ')}({', '.join(operands)})"

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
    for short, long in inline.items():
        line = line.replace(short, long)
    return line
