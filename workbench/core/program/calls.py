"""The parts of a program: registers, constants, ways of reading them, and calls that write them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import isqrt, prod
from typing import TypeAlias

from workbench.core.numerics import ComputedEquation

TRANSPOSE = "T"
COLUMN = "column"
"""A vector as a column, to be repeated along the rows of a matrix."""


@dataclass(frozen=True, slots=True)
class Part:
    """A view of the entries from one place up to another on each axis."""

    bounds: tuple[tuple[int, int], ...]

    @property
    def text(self) -> str:
        """What stands behind the array in the source.

        >>> Part(((0, 4), (1, 3))).text
        '[0:4, 1:3]'
        """
        return f"[{', '.join(f'{start}:{stop}' for start, stop in self.bounds)}]"


View: TypeAlias = str | tuple[int, ...] | Part
"""TRANSPOSE, COLUMN, a new shape or a part."""


@dataclass(eq=False, slots=True)
class Register:
    """One value: an array of fixed shape (a scalar has shape ()), of numbers or of truth values.

    Attributes
    ----------
    name : its name in the source, if it has one of its own.
    is_given : whether it comes from outside (an input, a parameter, a place for a gradient).
    transposed : whether rows and columns are those of the transpose on paper.
    is_kept : whether it is wanted after the last call.
    """

    shape: tuple[int, ...]
    boolean: bool = False
    name: str = ""
    is_given: bool = False
    transposed: bool = False
    is_kept: bool = False


@dataclass(frozen=True, slots=True)
class Constant:
    """An array of one number, or an identity matrix; made once, before the first step.

    >>> Constant(1.0, (3, 4)).name, Constant(0.5).text
    ('ones_3_4', 'array(0.5, dtype)')
    """

    value: float
    shape: tuple[int, ...] = ()
    is_identity: bool = False

    @property
    def name(self) -> str:
        """What it is called in the source; single numbers are numbered there."""
        kind = "identity" if self.is_identity else {0.0: "zeros", 1.0: "ones"}[self.value]
        sizes = self.shape[:1] if self.is_identity else self.shape
        return "_".join([kind, *map(str, sizes)])

    @property
    def text(self) -> str:
        """The NumPy expression that makes it."""
        if self.is_identity:
            return f"eye({self.shape[0]}, dtype=dtype)"
        if not self.shape:
            return f"array({self.value!r}, dtype)"
        return f"{'ones' if self.value else 'zeros'}({self.shape}, dtype)"


@dataclass(frozen=True, slots=True)
class Operand:
    """A way of reading a register or a constant.

    Attributes
    ----------
    views : what is done to the array before it is read, in order.
    transposed : whether rows and columns are those of the transpose on paper.
    broadcast : whether the array is smaller than the matrix it stands for.
    """

    source: Register | Constant
    views: tuple[View, ...] = ()
    transposed: bool = False
    broadcast: bool = False

    @property
    def dimensions(self) -> int:
        """The number of axes, a column counted as the vector that it is made of."""
        shapes = [view for view in self.views if isinstance(view, tuple)]
        return len(shapes[-1] if shapes else self.source.shape)

    @property
    def is_boolean(self) -> bool:
        """Whether it holds truth values."""
        return isinstance(self.source, Register) and self.source.boolean

    def viewed(self, view: View) -> Operand:
        """The same operand with one view more."""
        return replace(self, views=(*self.views, view))

    def oriented(self, transposed: bool) -> Operand:
        """The same operand read with its rows and columns as wanted."""
        if self.transposed == transposed:
            return self
        turned = replace(self, transposed=transposed)
        if self.dimensions == 1 and self.broadcast:
            if self.views[-1:] == (COLUMN,):
                return replace(turned, views=self.views[:-1])
            return turned.viewed(COLUMN)
        return turned if self.dimensions < 2 else turned.viewed(TRANSPOSE)


_TRIGONOMETRIC = {"sin", "cos", "tan", "arctan", "sinh", "cosh", "tanh"}
PRIMITIVES = frozenset({"exp", "log", "sign", "abs", "erf", "Phi", *_TRIGONOMETRIC})
"""Functions of one number that every target knows by itself."""

_ARITHMETIC = {"add", "subtract", "multiply", "divide", "negative", "square", "reciprocal"}
_COMPARISONS = {"maximum", "minimum", "greater", "greater_equal"}
ELEMENTWISE = PRIMITIVES | _ARITHMETIC | _COMPARISONS | {"power", "sqrt", "logaddexp"}
"""Operations on arrays entry by entry, which may write over an operand."""


@dataclass(frozen=True, slots=True)
class Call:
    """An operation on operands, whose result goes to a register.

    Besides the elementwise operations there are: copy; where; dot (a product of matrices, a matrix
    and a vector, or two vectors); vdot (the sum of the products of all entries); sum (of all
    entries); row_max (of each row, or of a vector); concatenate 0 or 1, the axis; kron, diag,
    diagonal; and `call name`, a hand-written function.
    """

    operation: str
    operands: tuple[Operand, ...]
    target: Register

    @property
    def terms(self) -> int:
        """The single operations that it takes, about."""
        if self.operation not in ("dot", "vdot", "sum", "row_max"):
            return prod(self.target.shape)
        first = prod(self.operands[0].source.shape)
        if self.operation != "dot" or not self.target.shape:
            return first
        second = prod(self.operands[1].source.shape)
        return isqrt(first * second * prod(self.target.shape))

    @property
    def in_place(self) -> bool:
        """Whether the target may share memory with an operand of its shape."""
        return self.operation in ELEMENTWISE


@dataclass
class Block:
    """The calls that compute one equation."""

    line: ComputedEquation
    calls: list[Call] = field(default_factory=list)
