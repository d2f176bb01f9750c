"""The parts of a program: registers, ways of reading them, and calls that write them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from workbench.core.numerics import Line


@dataclass(eq=False, slots=True)
class Register:
    """One value: an array of fixed shape (a scalar has shape ()), of numbers or of truth values.

    Attributes
    ----------
    name : its name in the source, if it has one of its own.
    is_given : whether it comes from outside (an input, a parameter, a place for a gradient).
    """

    shape: tuple[int, ...]
    boolean: bool = False
    name: str = ""
    is_given: bool = False


@dataclass(frozen=True, slots=True)
class Operand:
    """A way of reading a register or a named constant.

    Attributes
    ----------
    source : the register, or the constant's name.
    view : what stands behind the name in the source, `.T` or `[:, None]` or a reshape.
    transposed : whether rows and columns are those of the transpose on paper.
    broadcast : whether the array is smaller than the matrix it stands for.
    reshaped_to : the number of axes, where it is not the register's.
    """

    source: Register | str
    view: str = ""
    transposed: bool = False
    broadcast: bool = False
    reshaped_to: int | None = None

    @property
    def dimensions(self) -> int:
        """The number of axes."""
        if self.reshaped_to is not None:
            return self.reshaped_to
        return len(self.source.shape) if isinstance(self.source, Register) else 0

    @property
    def is_boolean(self) -> bool:
        """Whether it holds truth values."""
        return isinstance(self.source, Register) and self.source.boolean

    def oriented(self, transposed: bool) -> Operand:
        """The same operand read with its rows and columns as wanted."""
        if self.transposed == transposed:
            return self
        if self.dimensions == 1 and self.broadcast:
            spread = self.view.endswith("[:, None]")
            view = self.view.removesuffix("[:, None]") if spread else self.view + "[:, None]"
            return replace(self, view=view, transposed=transposed)
        if self.dimensions < 2:
            return replace(self, transposed=transposed)
        return replace(self, view=self.view + ".T", transposed=transposed)


@dataclass(frozen=True, slots=True)
class Call:
    """`template` with its operands and its target filled in.

    Attributes
    ----------
    in_place : whether the target may share memory with an operand of its shape.
    """

    template: str
    operands: tuple[Operand, ...]
    target: Register
    in_place: bool = False


@dataclass
class Block:
    """The calls that compute one equation."""

    line: Line
    calls: list[Call] = field(default_factory=list)


PRIMITIVE_CALLS = {
    "exp": "exp",
    "log": "log",
    "sin": "sin",
    "cos": "cos",
    "tan": "tan",
    "sinh": "sinh",
    "cosh": "cosh",
    "tanh": "tanh",
    "arctan": "arctan",
    "sign": "sign",
    "abs": "absolute",
    "erf": "special.erf",
    "Phi": "special.ndtr",
}
"""What computes each primitive, in NumPy or in SciPy."""
