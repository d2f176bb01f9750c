"""Functions of one variable: the primitives, and those that a plugin gives by a formula.

An activation stays an atom, `σ(z)` with its derivative `σ′(z)`, until someone asks for it to be
expanded. What it expands to is worked out from the formula, never stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache

from workbench.calculus.algebra import add, divide, multiply, negate, power, spread, subtract
from workbench.calculus.dimensions import ONE, Dimension, Shape
from workbench.calculus.expressions import (
    Expression,
    Kind,
    constant,
    make,
    number,
    ones,
    size,
    symbol,
    symbols_of,
    transform,
)
from workbench.calculus.matrices import matmul
from workbench.calculus.rewriting import rebuild, substitute
from workbench.errors import InputError

VARIABLE = symbol("z", Kind.VARIABLE)
"""The variable of an elementwise formula."""

COLUMN_SIZE = Dimension.named("m")
COLUMN_VARIABLE = symbol("z", Kind.VARIABLE, (COLUMN_SIZE, ONE))
"""The variable of a formula that couples the entries of a column, such as softmax."""


@dataclass(frozen=True, slots=True)
class Implementation:
    """Hand-written NumPy for a function and its derivative, kept for the core; opaque here."""

    value: Callable[..., object]
    slope: Callable[..., object] | None = None


@dataclass(frozen=True, slots=True)
class Function:
    """A function applied to a matrix, entry by entry or column by column.

    Attributes
    ----------
    name : how it is called in formulas.
    order : how many times the function is differentiated.
    formula : the expression in `VARIABLE` or `COLUMN_VARIABLE`; None for a primitive.
    slope : a primitive's derivative as a function of its argument.
    symbol, latex : how it is printed.
    kinks : where the derivative jumps.
    implementation : hand-written arrays-in, arrays-out code, held to the formula.
    """

    name: str
    formula: Expression | None = None
    order: int = 0
    symbol: str = ""
    latex: str = ""
    kinks: tuple[float, ...] = ()
    slope: Callable[[Expression], Expression] | None = field(default=None, compare=False)
    implementation: Implementation | None = None

    @property
    def columnwise(self) -> bool:
        """Whether the entries of a column are coupled, as in softmax."""
        return self.formula is not None and _couples(self.formula)

    @property
    def is_undetermined(self) -> bool:
        """Whether nothing is known of this function but its name."""
        return self.formula is None and self.slope is None

    @property
    def prime(self) -> Function:
        """The derivative as an atom, f′."""
        return replace(self, order=self.order + 1)

    def __call__(self, argument: Expression) -> Expression:
        """This function of an expression, as one node."""
        if self == EXP and argument.operation == "apply" and argument.data == LOG:
            return argument.arguments[0]
        if self == LOG and argument.operation == "apply" and argument.data == EXP:
            return argument.arguments[0]
        if self == LOG and argument.number is not None and argument.number <= 0:
            raise InputError(f"log({argument.number}) is no real number")
        if argument.number is not None and self.formula is None and self.name in _EXACT:
            exact = _EXACT[self.name].get(argument.number)
            if exact is not None:
                return number(exact)
        return make("apply", (argument,), self, argument.shape)

    def at(self, argument: Expression) -> Expression:
        """The formula with its variable replaced by an expression.

        A columnwise formula is taken column by column: its sums become sums down each column.
        """
        if self.formula is None:
            return self(argument)
        if self.columnwise:
            return by_columns(self.formula, {COLUMN_VARIABLE: argument})
        return substitute(self.formula, {VARIABLE: argument})


def undetermined(name: str) -> Function:
    """An elementwise function of which nothing is known but its name; its derivative is f′.

    >>> undetermined("f").prime.order
    1
    """
    return Function(name, symbol=name, latex=name)


@cache
def _couples(formula: Expression) -> bool:
    return COLUMN_VARIABLE in symbols_of(formula)


def repeated(expression: Expression, shape: Shape) -> Expression:
    """A scalar, or a row with one entry a column, as a matrix of this shape."""
    if expression.shape == (ONE, shape[1]) and not expression.is_scalar:
        return matmul(ones((shape[0], ONE)), expression)
    return spread(expression, shape)


def by_columns(formula: Expression, bindings: Mapping[Expression, Expression]) -> Expression:
    """A formula about one column, applied to every column of the matrices bound to its symbols.

    Sums over the column become rows (1×columns), and a row that meets a matrix is repeated down
    its columns. The result of a scalar formula is a row with one entry a column.
    """
    target = next(iter(bindings.values()))
    rows, columns = target.shape

    def rule(node: Expression, arguments: tuple[Expression, ...]) -> Expression:
        if node in bindings:
            return bindings[node]
        if node.operation == "size" and node.data == COLUMN_SIZE:
            return size(rows)
        if node.operation == "sum":
            return matmul(ones((ONE, rows)), arguments[0])
        if node.operation in ("ones", "zero") and node.shape == (COLUMN_SIZE, ONE):
            return make(node.operation, (), None, (rows, columns))
        shapes = {argument.shape for argument in arguments if not argument.is_scalar}
        if len(shapes) > 1:
            arguments = tuple(
                matmul(ones((rows, ONE)), argument)
                if argument.shape == (ONE, columns)
                else argument
                for argument in arguments
            )
        return rebuild(node, arguments) if node.arguments else node

    return transform(formula, rule)


_EXACT: dict[str, dict[Fraction, int]] = {
    "exp": {Fraction(0): 1},
    "log": {Fraction(1): 0},
    "sin": {Fraction(0): 0},
    "cos": {Fraction(0): 1},
    "tanh": {Fraction(0): 0},
    "abs": {Fraction(0): 0},
}


def _primitive(name: str, slope: Callable[[Expression], Expression], latex: str = "") -> Function:
    return Function(name, symbol=name, latex=latex or rf"\{name}", slope=slope)


def _gaussian(argument: Expression) -> Expression:
    """φ(u) = e^(−u²/2) / √(2π)."""
    scale = power(multiply(number(2), constant("pi")), Fraction(-1, 2))
    return multiply(scale, EXP(multiply(number(Fraction(-1, 2)), power(argument, 2))))


EXP: Function = _primitive("exp", lambda u: EXP(u))
LOG: Function = _primitive("log", lambda u: divide(number(1), u))
SIN: Function = _primitive("sin", lambda u: COS(u))
COS: Function = _primitive("cos", lambda u: negate(SIN(u)))
TAN: Function = _primitive("tan", lambda u: power(COS(u), -2))
SINH: Function = _primitive("sinh", lambda u: COSH(u))
COSH: Function = _primitive("cosh", lambda u: SINH(u))
TANH: Function = _primitive("tanh", lambda u: subtract(number(1), power(TANH(u), 2)))
ARCTAN: Function = _primitive("arctan", lambda u: power(add(number(1), power(u, 2)), -1))
SIGN: Function = _primitive("sign", lambda u: number(0), r"\operatorname{sign}")
ABS: Function = _primitive("abs", lambda u: SIGN(u), r"\operatorname{abs}")
ERF: Function = _primitive(
    "erf",
    lambda u: multiply(number(2), power(constant("pi"), Fraction(-1, 2)), EXP(negate(power(u, 2)))),
    r"\operatorname{erf}",
)
NORMAL_CDF = Function("Phi", symbol="Φ", latex=r"\Phi", slope=_gaussian)

PRIMITIVES = {
    function.name: function
    for function in (
        EXP, LOG, SIN, COS, TAN, SINH, COSH, TANH, ARCTAN, SIGN, ABS, ERF, NORMAL_CDF,
    )
}  # fmt: skip
"""Every function that a formula can use without a plugin (besides sqrt, max, min, where)."""
