"""What the targets call each operation. One walk lowers the graph; a language words the result."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from fractions import Fraction

from workbench.core.emit.code import (
    ATOM,
    CHOICE,
    COMPARISON,
    Code,
    call,
    call_of_tuple,
    power,
    product_of,
)
from workbench.core.emit.code import number as number_code

Sizes = tuple[str, str]
"""Rows and columns as source text."""


class Language(ABC):
    """The words of one target.

    Attributes
    ----------
    prefix : what stands before the name of a function.
    special : what stands before erf and ndtr.
    helpers : the helper functions that the code so far calls, by name.
    """

    prefix: str
    special = "special."

    def __init__(self) -> None:
        self.helpers: set[str] = set()

    def function(self, name: str, argument: Code) -> Code:
        """A primitive function."""
        if name in ("erf", "Phi"):
            return call(self.special + {"erf": "erf", "Phi": "ndtr"}[name], argument)
        return call(self.prefix + name, argument)

    def constant(self, name: str) -> Code:
        """A named constant, π."""
        return Code(f"{self.prefix}{name}")

    def power(self, base: Code, exponent: Fraction) -> Code:
        """A positive power other than 1."""
        if exponent == Fraction(1, 2):
            return call(f"{self.prefix}sqrt", base)
        return power(base, number_code(exponent))

    def helper(self, name: str, *arguments: Code) -> Code:
        """A function that the emitted module defines itself."""
        self.helpers.add(name)
        return call(name, *arguments)

    @abstractmethod
    def log_one_plus_exp(self, argument: Code) -> Code:
        """log(1 + eᵘ) without overflow."""

    @abstractmethod
    def where(self, condition: Code, yes: Code, no: Code) -> Code:
        """A choice, entry by entry."""

    @abstractmethod
    def larger(self, operation: str, left: Code, right: Code) -> Code:
        """The operation "maximum" or "minimum"."""

    @abstractmethod
    def truth_as_number(self, truth: Code, is_scalar: bool) -> Code:
        """1 where it holds, else 0."""


class Scalars(Language):
    """Python's own floats and `math`."""

    prefix = "math."

    def function(self, name: str, argument: Code) -> Code:
        """A primitive function; Φ(u) = ½ erfc(−u/√2)."""
        match name:
            case "abs":
                return call("abs", argument)
            case "sign":
                return self.helper("sign", argument)
            case "arctan":
                return call("math.atan", argument)
            case "Phi":
                scaled = product_of([argument], [Code("math.sqrt(2)")], minus=True)
                return product_of([Code("0.5"), call("math.erfc", scaled)])
            case _:
                return call(f"math.{name}", argument)

    def power(self, base: Code, exponent: Fraction) -> Code:
        """`math.pow` for broken exponents: a negative base then raises, and gives no complex."""
        if exponent.denominator == 1 or exponent == Fraction(1, 2):
            return super().power(base, exponent)
        return call("math.pow", base, number_code(exponent))

    def log_one_plus_exp(self, argument: Code) -> Code:
        """By a helper function."""
        return self.helper("log_one_plus_exp", argument)

    def where(self, condition: Code, yes: Code, no: Code) -> Code:
        """A conditional expression."""
        chosen = f"{yes.held(COMPARISON)} if {condition.held(COMPARISON)} else"
        return Code(f"{chosen} {no.held(COMPARISON)}", CHOICE)

    def larger(self, operation: str, left: Code, right: Code) -> Code:
        """`max` or `min`."""
        return call(operation[:3], left, right)

    def truth_as_number(self, truth: Code, is_scalar: bool) -> Code:
        """`float` of a truth value."""
        return call("float", truth)


class Floats(Scalars):
    """Those of plain Python, where the exponential of a large number is infinite, no error."""

    def function(self, name: str, argument: Code) -> Code:
        """A primitive function, the exponential by a helper function."""
        return self.helper(name, argument) if name == "exp" else super().function(name, argument)


class Arrays(Language):
    """Arrays with two axes, in NumPy's words and double precision.

    Attributes
    ----------
    like : an argument whose type the arrays that are made take on.
    constants : the language of numbers without symbols.
    """

    prefix = "np."

    def __init__(self) -> None:
        super().__init__()
        self.like = ""
        self.constants: Language = self

    def log_one_plus_exp(self, argument: Code) -> Code:
        """`logaddexp`."""
        return call(f"{self.prefix}logaddexp", "0.0", argument)

    def where(self, condition: Code, yes: Code, no: Code) -> Code:
        """`where`."""
        return call(f"{self.prefix}where", condition, yes, no)

    def larger(self, operation: str, left: Code, right: Code) -> Code:
        """`maximum` or `minimum`."""
        return call(self.prefix + operation, left, right)

    def truth_as_number(self, truth: Code, is_scalar: bool) -> Code:
        """`astype`, or `float` of a scalar."""
        return call("float", truth) if is_scalar else Code(f"{truth.held(ATOM)}.astype(float)")

    def clamped(self, operation: str, matrix: Code, bound: Code) -> Code:
        """The operation "maximum" or "minimum" of a matrix and a number without symbols."""
        return self.larger(operation, matrix, bound)

    def filled(self, kind: str, sizes: Sizes) -> Code:
        """The matrix of "ones" or "zeros"."""
        return call(self.prefix + kind, f"({', '.join(sizes)})")

    def identity(self, size: str) -> Code:
        """The identity matrix."""
        return call(f"{self.prefix}eye", size)

    def commutation(self, rows: str, columns: str, length: str) -> Code:
        """K with K vec(A) = vec(Aᵀ): the rows of the identity in another order."""
        places = call(f"{self.prefix}arange", length).text
        return Code(f"{self.identity(length).text}[{places}.reshape({columns}, {rows}).T.ravel()]")

    def lifted(self, constant: Code) -> Code:
        """A number without symbols as a scalar of the target."""
        return constant

    def as_matrix(self, scalar: Code) -> Code:
        """A scalar as a matrix of one entry."""
        return call(f"{self.prefix}reshape", scalar, "(1, 1)")

    def broadcast(self, narrow: Code, sizes: Sizes) -> Code:
        """A row or column repeated to a full matrix."""
        return call(f"{self.prefix}broadcast_to", narrow, f"({', '.join(sizes)})")

    def transposed(self, matrix: Code) -> Code:
        """The transpose."""
        text = matrix.held(ATOM)
        return Code(text.removesuffix(".T") if text.endswith(".T") else f"{text}.T")

    def summed(self, matrix: Code, axis: int | None = None) -> Code:
        """The sum of all entries, or along one axis, which is kept."""
        if axis is None:
            return call(f"{self.prefix}sum", matrix)
        return call(f"{self.prefix}sum", matrix, f"axis={axis}", "keepdims=True")

    def column_max(self, matrix: Code, is_scalar: bool) -> Code:
        """The largest entry of each column."""
        if is_scalar:
            return call(f"{self.prefix}max", matrix)
        return call(f"{self.prefix}max", matrix, "axis=0", "keepdims=True")

    def vec(self, matrix: Code) -> Code:
        """The columns stacked."""
        return Code(f'{matrix.held(ATOM)}.reshape((-1, 1), order="F")')

    def devec(self, column: Code, sizes: Sizes) -> Code:
        """A column cut into columns."""
        return Code(f'{column.held(ATOM)}.reshape(({", ".join(sizes)}), order="F")')

    def diag(self, column: Code) -> Code:
        """The diagonal matrix with this column on its diagonal."""
        return call(f"{self.prefix}diagflat", column)

    def diagonal(self, matrix: Code) -> Code:
        """The diagonal as a column."""
        return Code(f"{self.prefix}diagonal({matrix.text})[:, None]")

    def kron(self, factors: Sequence[Code]) -> Code:
        """The Kronecker product of two or more matrices."""
        left, *others = factors
        for other in others:
            left = self._kron(left, other)
        return left

    def _kron(self, left: Code, right: Code) -> Code:
        return call(f"{self.prefix}kron", left, right)

    def stack(self, operation: str, parts: Sequence[Code]) -> Code:
        """The operation "vstack" or "hstack"."""
        return call_of_tuple(self.prefix + operation, parts)

    def linear(self, operation: str, matrix: Code, *others: Code) -> Code:
        """`inv`, `det` or `solve`."""
        return call(f"{self.prefix}linalg.{operation}", matrix, *others)

    def trace(self, matrix: Code) -> Code:
        """The sum of the diagonal."""
        return call(f"{self.prefix}trace", matrix)

    def log_det(self, matrix: Code) -> Code:
        """log det, without overflow."""
        return self.helper("log_det", matrix)


class Jax(Arrays):
    """JAX; what is made takes the type of the first argument."""

    prefix = "jnp."

    def __init__(self) -> None:
        super().__init__()
        self.constants = Scalars()

    def truth_as_number(self, truth: Code, is_scalar: bool) -> Code:
        """`astype`."""
        return Code(f"{truth.held(ATOM)}.astype({self.like}.dtype)")

    def filled(self, kind: str, sizes: Sizes) -> Code:
        """The matrix of "ones" or "zeros"."""
        return call(f"jnp.{kind}", f"({', '.join(sizes)})", f"{self.like}.dtype")

    def identity(self, size: str) -> Code:
        """The identity matrix."""
        return call("jnp.eye", size, f"dtype={self.like}.dtype")

    def lifted(self, constant: Code) -> Code:
        """An array without axes."""
        return call("jnp.asarray", constant, f"{self.like}.dtype")


class Torch(Arrays):
    """PyTorch; what is made takes the type and the device of the first argument."""

    prefix = "torch."

    def __init__(self) -> None:
        super().__init__()
        self.constants = Scalars()

    def function(self, name: str, argument: Code) -> Code:
        """A primitive function."""
        if name == "Phi":
            return call("torch.special.ndtr", argument)
        return call(f"torch.{name}", argument)

    def log_one_plus_exp(self, argument: Code) -> Code:
        """`logaddexp`; `softplus` would round from 20 on."""
        return call("torch.logaddexp", call("torch.zeros_like", argument), argument)

    def clamped(self, operation: str, matrix: Code, bound: Code) -> Code:
        """`clamp`."""
        end = "min" if operation == "maximum" else "max"
        return call("torch.clamp", matrix, f"{end}={bound.text}")

    def truth_as_number(self, truth: Code, is_scalar: bool) -> Code:
        """`to` the type of the first argument."""
        return Code(f"{truth.held(ATOM)}.to({self.like}.dtype)")

    def filled(self, kind: str, sizes: Sizes) -> Code:
        """The matrix of "ones" or "zeros"."""
        return call(f"{self.like}.new_{kind}", f"({', '.join(sizes)})")

    def identity(self, size: str) -> Code:
        """The identity matrix."""
        return Code(f"torch.eye({size}).to({self.like})")

    def commutation(self, rows: str, columns: str, length: str) -> Code:
        """K with K vec(A) = vec(Aᵀ)."""
        places = f"torch.arange({length}).reshape({columns}, {rows}).T.ravel()"
        return Code(f"torch.eye({length})[{places}].to({self.like})")

    def _kron(self, left: Code, right: Code) -> Code:
        return self.helper("kron", left, right)

    def lifted(self, constant: Code) -> Code:
        """A tensor without axes."""
        return call(f"{self.like}.new_tensor", constant)

    def as_matrix(self, scalar: Code) -> Code:
        """A tensor of shape (1, 1)."""
        return Code(f"{scalar.held(ATOM)}.reshape(1, 1)")

    def summed(self, matrix: Code, axis: int | None = None) -> Code:
        """The sum of all entries, or along one axis, which is kept."""
        if axis is None:
            return call("torch.sum", matrix)
        return call("torch.sum", matrix, f"dim={axis}", "keepdim=True")

    def column_max(self, matrix: Code, is_scalar: bool) -> Code:
        """The largest entry of each column."""
        return call("torch.amax", matrix, *(() if is_scalar else ("dim=0", "keepdim=True")))

    def vec(self, matrix: Code) -> Code:
        """The columns stacked."""
        return Code(f"{matrix.held(ATOM)}.T.reshape(-1, 1)")

    def devec(self, column: Code, sizes: Sizes) -> Code:
        """A column cut into columns."""
        return Code(f"{column.held(ATOM)}.reshape({sizes[1]}, {sizes[0]}).T")
