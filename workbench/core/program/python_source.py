"""Calls as plain Python on single numbers: what is fastest for networks of a few neurons.

Every entry of every array is a variable of its own, and a value that is read once is written where
it is read. A step of 2-2-1 then takes less time than six calls of NumPy.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from math import sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.core.program.calls import (
    COLUMN,
    TRANSPOSE,
    Block,
    Call,
    Constant,
    Operand,
    Part,
    Register,
)
from workbench.core.program.numpy_source import comments
from workbench.errors import InputError

Entries = NDArray[Any]
"""An array of formulas, or of names, in the shape of the array whose entries they are."""

LONGEST = 200
"""A formula of more characters gets a line of its own."""

ATOM, PRODUCT, SUM, TEST = 3, 2, 1, 0
"""How tightly a formula holds together: what is looser gets parentheses."""

_NAME = re.compile(r"[A-Za-z_]\w*")


class Formula(NamedTuple):
    """An expression of Python, and how tightly it holds together."""

    text: str
    level: int = ATOM

    def within(self, level: int) -> str:
        """The text as an operand of what holds together as tightly as `level`."""
        return self.text if self.level >= level else f"({self.text})"


ZERO, UNIT = Formula("0.0"), Formula("1.0")

FUNCTIONS = {
    "sqrt": "sqrt({0})",
    "power": "pow({0}, {1})",
    "exp": "exp({0})",
    "log": "log({0})",
    "sin": "sin({0})",
    "cos": "cos({0})",
    "tan": "tan({0})",
    "sinh": "sinh({0})",
    "cosh": "cosh({0})",
    "tanh": "tanh({0})",
    "arctan": "atan({0})",
    "abs": "abs({0})",
    "erf": "erf({0})",
    "Phi": f"(0.5 * erfc({-1 / sqrt(2)!r} * ({{0}})))",
    "sign": "((({0}) > 0.0) - (({0}) < 0.0))",
    "logaddexp": "(({1} if ({0}) < ({1}) else {0}) + log1p(exp(-abs(({0}) - ({1})))))",
}
"""Functions of the module `math`, which raise an error where NumPy gives ∞ or a NaN."""

TESTS = {
    "maximum": "{1} if {0} < {1} else {0}",
    "minimum": "{1} if {0} > {1} else {0}",
    "greater": "{0} > {1}",
    "greater_equal": "{0} >= {1}",
    "where": "{1} if {0} else {2}",
}
"""Written so that a NaN stays one."""


class PythonWriter:
    """Writes calls as lines of Python, an entry a line."""

    def __init__(self) -> None:
        self._names: dict[Register, Entries] = {}
        self._inlined: dict[str, Formula] = {}

    def names(self, register: Register) -> Entries:
        """The name of each entry, in an array of the register's shape.

        >>> PythonWriter().names(Register((2,), name="b1"))
        array(['b1_0', 'b1_1'], dtype=object)
        """
        if register not in self._names:
            stem = register.name or f"t{len(self._names)}"
            places = np.ndindex(register.shape)
            names = ["_".join([stem, *map(str, place)]) for place in places]
            self._names[register] = _array(names, register.shape)
        return self._names[register]

    @property
    def known_names(self) -> list[str]:
        """The names of all entries that a line or `names` has named so far."""
        return [str(name) for names in self._names.values() for name in names.flat]

    def lines(self, blocks: Sequence[Block], wanted: Iterable[Register]) -> list[str]:
        """The calls of all equations, each under the equation itself.

        Raises
        ------
        InputError
            If a call is of a hand-written function, which takes arrays.
        """
        uses = Counter(
            name
            for block in blocks
            for _, formula in self._formulas(block)
            for name in _NAME.findall(formula.text)
        )
        uses.update({name: 2 for register in wanted for name in self.names(register).flat})
        lines: list[str] = []
        for block in blocks:
            written = [
                f"{name} = {formula.text}"
                for name, formula in self._formulas(block)
                if not self._inline(name, formula, uses)
            ]
            if written:
                lines += [*(f"# {comment}" for comment in comments(block)), *written]
        return lines

    def _inline(self, name: str, formula: Formula, uses: Mapping[str, int]) -> bool:
        """Keep the formula of what is read once for its reader."""
        if uses[name] == 1 and len(formula.text) <= LONGEST:
            self._inlined[name] = formula
        return name in self._inlined

    def _formulas(self, block: Block) -> Iterator[tuple[str, Formula]]:
        """The name and the formula of each entry that a block computes, in order.

        A call's formulas are made once those before it have been taken, so that they can be in it.
        """
        for call in block.calls:
            names = self.names(call.target)
            formulas = np.broadcast_to(self._computed(call), names.shape)
            yield from zip(names.flat, formulas.flat, strict=True)

    def _computed(self, call: Call) -> Entries:
        operands = [self._read(operand) for operand in call.operands]
        first = operands[0]
        match call.operation:
            case "dot":
                return _dot(first, operands[1])
            case "vdot":
                return _dot(first.reshape(-1), operands[1].reshape(-1))
            case "sum":
                return _array([_sum(first.flat)], ())
            case "row_max":
                rows = first.reshape(-1, first.shape[-1])
                return _array([_largest(list(row)) for row in rows], call.target.shape)
            case "concatenate 0" | "concatenate 1":
                return np.concatenate(operands, int(call.operation[-1]))
            case "diag":
                places = range(len(first))
                entries = [first[i] if i == j else ZERO for i in places for j in places]
                return _array(entries, call.target.shape)
            case "diagonal":
                return _array([first[i, i] for i in range(len(first))], first.shape[:1])
            case "kron":
                left, right = map(np.atleast_2d, operands)  # a vector is a row, as in np.kron
                products = [_multiply(*pair) for pair in product(left.flat, right.flat)]
                grid = _array(products, (*left.shape, *right.shape))
                return grid.transpose(0, 2, 1, 3).reshape(call.target.shape)
        *spread, _ = np.broadcast_arrays(*operands, np.empty(call.target.shape))
        masks = [operand.is_boolean for operand in call.operands]
        formulas = []
        for place in np.ndindex(call.target.shape):
            values: list[Formula] = [entries.item(place) for entries in spread]
            formulas.append(entry(call.operation, values, masks))
        return _array(formulas, call.target.shape)

    def _read(self, operand: Operand) -> Entries:
        """An operand's entries: names, or what is written in their place."""
        if isinstance(operand.source, Constant):
            numbers = np.full(operand.source.shape, operand.source.value)
            if operand.source.is_identity:
                numbers = np.eye(operand.source.shape[0])
            texts = [repr(float(number)) for number in numbers.flat]
            found = [Formula(text, PRODUCT if text[0] == "-" else ATOM) for text in texts]
        else:
            names = self.names(operand.source).flat
            found = [self._inlined.get(name, Formula(name)) for name in names]
        entries = _array(found, operand.source.shape)
        for view in operand.views:
            if isinstance(view, Part):
                entries = entries[tuple(slice(*bounds) for bounds in view.bounds)]
            elif isinstance(view, tuple):
                entries = entries.reshape(view)
            else:
                entries = {TRANSPOSE: entries.T, COLUMN: entries[..., None]}[view]
        return entries


def entry(operation: str, values: Sequence[Formula], masks: Sequence[bool]) -> Formula:
    """One entry of an elementwise operation; truth values as factors choose."""
    match operation:
        case "copy":
            return values[0]
        case "add":
            return _sum(values)
        case "subtract":
            first, second = values
            return Formula(f"{first.within(SUM)} - {second.within(PRODUCT)}", SUM)
        case "multiply" if any(masks):
            factor, mask = sorted(values, key=lambda value: masks[values.index(value)])
            return Formula(f"{factor.within(SUM)} if {mask.within(TEST)} else 0.0", TEST)
        case "multiply":
            return _multiply(*values)
        case "square":
            return _multiply(values[0], values[0])
        case "divide":
            return Formula(f"{values[0].within(PRODUCT)} / {values[1].within(ATOM)}", PRODUCT)
        case "reciprocal":
            return Formula(f"1.0 / {values[0].within(ATOM)}", PRODUCT)
        case "negative":
            return Formula(f"-{values[0].within(ATOM)}", PRODUCT)
    if operation in TESTS:
        return Formula(TESTS[operation].format(*(value.within(SUM) for value in values)), TEST)
    if operation in FUNCTIONS:
        return Formula(FUNCTIONS[operation].format(*(value.text for value in values)))
    raise InputError(
        f"{operation.removeprefix('call ')} is a function of arrays, written by hand; "
        "plain Python computes single numbers; use the backend numpy"
    )


def _dot(left: Entries, right: Entries) -> Entries:
    """A product of two matrices, or of a matrix and a vector, or of two vectors."""
    rows = left.reshape(-1, left.shape[-1])
    columns = right.reshape(len(right), -1).T
    entries = [_sum(map(_multiply, row, column)) for row in rows for column in columns]
    return _array(entries, (*left.shape[:-1], *right.shape[1:]))


def _multiply(left: Formula, right: Formula) -> Formula:
    if ZERO in (left, right):
        return ZERO
    if UNIT in (left, right):
        return right if left == UNIT else left
    return Formula(f"{left.within(PRODUCT)} * {right.within(ATOM)}", PRODUCT)


def _sum(terms: Iterable[Formula]) -> Formula:
    present = [term for term in terms if term != ZERO]
    if len(present) < 2:
        return present[0] if present else ZERO
    first, *rest = present
    return Formula(" + ".join([first.within(SUM), *(t.within(PRODUCT) for t in rest)]), SUM)


def _largest(values: Sequence[Formula]) -> Formula:
    if len(values) == 1:
        return values[0]
    return Formula(f"max({', '.join(value.text for value in values)})")


def _array(entries: Sequence[object], shape: tuple[int, ...]) -> Entries:
    """Objects in an array of a shape; NumPy left to itself would take tuples apart."""
    array = np.empty(len(entries), object)
    array[:] = [None] * len(entries)
    for place, entry in enumerate(entries):
        array[place] = entry
    return array.reshape(shape)
