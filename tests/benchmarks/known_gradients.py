"""The table of known gradients: how each prints, and how long it takes beside SymPy.

    python tests/benchmarks/known_gradients.py [--rounds 7] [results] [speed]

Results: every row with what is derived, whether it prints in the form of its source, and the
largest relative difference of their values. Speed: for the rows that SymPy can say and gets right,
the time of `expression.diff(variable).doit()` on an expression that is already built, beside ours
from text to text: read, derive, print. The two take turns in one run; SymPy's cache is cleared
before each of its turns, and each of ours has symbols not seen before. Shown are the medians.
"""

from __future__ import annotations

import argparse
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import reduce
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray
from sympy.core.cache import clear_cache
from sympy.matrices.expressions.special import OneMatrix

from tests.known_gradients import FUNCTIONS, Known, rows
from tests.test_known_gradients import (
    EXCEPTIONS,
    is_alike,
    known,
    largest_difference,
    point,
    printed,
    system_of,
)
from workbench.calculus.dimensions import ONE, Dimension
from workbench.calculus.expressions import Expression, walk
from workbench.calculus.functions import VARIABLE, Function
from workbench.core.evaluate import evaluate

Array = NDArray[np.float64]


class Unsupported(Exception):
    """What SymPy has no matrix expression for, or leaves undone."""


# the row, said in SymPy


def in_sympy(root: Expression, scalars_as_traces: bool) -> Any:
    """The expression in SymPy's matrix expressions.

    SymPy keeps a 1×1 product a matrix, which adds to no scalar; its trace does.
    """
    new: dict[Expression, Any] = {}
    for node in walk(root):
        arguments = [new[argument] for argument in node.arguments]
        made = _node(node, arguments)
        if scalars_as_traces and node.is_scalar and getattr(made, "is_Matrix", False):
            made = sympy.Trace(made)
        new[node] = made
    return new[root]


def size(dimension: Dimension) -> Any:
    """A size as a positive whole symbol."""
    return sympy.Add(
        *(
            count * sympy.Mul(*(sympy.Symbol(name, integer=True, positive=True) for name in names))
            for names, count in dimension.terms
        )
    )


def _node(node: Expression, arguments: list[Any]) -> Any:
    shape = size(node.shape[0]), size(node.shape[1])
    if node.number is not None:
        return sympy.Rational(node.number.numerator, node.number.denominator)
    match node.operation:
        case "symbol":
            name = node.symbol.name
            return sympy.Symbol(name) if node.is_scalar else sympy.MatrixSymbol(name, *shape)
        case "size":
            assert isinstance(node.data, Dimension)
            return size(node.data)
        case "ones":
            return OneMatrix(*shape)
        case "identity":
            return sympy.Identity(shape[0])
        case "add":
            return reduce(lambda left, right: left + right, _spread(node, arguments, shape))
        case "multiply":
            return _product(node, arguments)
        case "power":
            exponent = sympy.Rational(str(node.data))
            if node.is_scalar:
                return _plain(arguments[0]) ** exponent
            return sympy.HadamardPower(arguments[0], exponent)
        case "sum":
            rows_, columns = node.arguments[0].shape
            left = [] if rows_ is ONE else [OneMatrix(1, size(rows_))]
            right = [] if columns is ONE else [OneMatrix(size(columns), 1)]
            return reduce(lambda a, b: a * b, [*left, arguments[0], *right])
        case "apply":
            return _applied(node, arguments[0])
        case operation if operation in _CONSTRUCTORS:
            return _CONSTRUCTORS[operation](*arguments)
    raise Unsupported(node.operation)


_CONSTRUCTORS: dict[str, Callable[..., Any]] = {
    "matmul": lambda *factors: reduce(lambda left, right: left * right, factors),
    "transpose": lambda matrix: matrix.T,
    "trace": sympy.Trace,
    "det": sympy.Determinant,
    "inverse": sympy.Inverse,
    "kron": sympy.KroneckerProduct,
    "diag": sympy.DiagMatrix,
    "diagonal": sympy.DiagonalOf,
}


def _plain(value: Any) -> Any:
    return sympy.Trace(value) if getattr(value, "is_Matrix", False) else value


def _spread(node: Expression, arguments: list[Any], shape: tuple[Any, Any]) -> list[Any]:
    """A scalar that is added to a matrix, as a multiple of ones."""
    pairs = zip(node.arguments, arguments, strict=True)
    return [
        _plain(made) * OneMatrix(*shape) if term.is_scalar and not node.is_scalar else made
        for term, made in pairs
    ]


def _product(node: Expression, arguments: list[Any]) -> Any:
    pairs = list(zip(node.arguments, arguments, strict=True))
    scalars = [made for factor, made in pairs if factor.is_scalar]
    if sum(bool(getattr(made, "is_Matrix", False)) for made in scalars) > 1:
        scalars = [_plain(made) for made in scalars]
    matrices = [made for factor, made in pairs if not factor.is_scalar]
    product = sympy.hadamard_product(*matrices) if matrices else sympy.Integer(1)
    return reduce(lambda matrix, scalar: scalar * matrix, scalars, product)


def _applied(node: Expression, argument: Any) -> Any:
    function = node.data
    assert isinstance(function, Function)
    dummy = sympy.Dummy("z", real=True)
    if function.name in FUNCTIONS:
        rule = sympy.Function(function.name)
    elif function.formula is None:
        primitive = getattr(sympy, {"abs": "Abs"}.get(function.name, function.name))
        rule = sympy.Lambda(dummy, primitive(dummy))
    elif not function.columnwise:
        rule = sympy.Lambda(dummy, in_sympy(function.at(VARIABLE), False).subs("z", dummy))
    else:
        raise Unsupported(function.name)
    return rule(_plain(argument)) if node.is_scalar else argument.applyfunc(rule)


# the value of what SymPy finds


class Value:
    """The value of a SymPy expression, some of whose array nodes SymPy cannot evaluate itself."""

    def __init__(self, names: Mapping[Any, Any]) -> None:
        self.names = names

    def __call__(self, node: Any) -> Any:
        """The value of a node.

        Raises
        ------
        Unsupported
            If a derivative was left undone, or the kind of node is not known here.
        """
        if node in self.names:
            return self.names[node]
        if node.is_number:
            return float(node)
        kind = type(node).__name__
        if kind in _WITH_PLACES:
            inner, *places = node.args
            return _WITH_PLACES[kind](self(inner), *places)
        if kind in _VALUES:
            return _VALUES[kind](*map(self, node.args))
        if kind == "ElementwiseApplyFunction":
            return self._applied(node.function, self(node.args[-1]))
        return self._function(node)

    def _applied(self, function: Any, argument: Any) -> Any:
        if isinstance(function, sympy.Lambda):
            (variable,) = function.variables
            found = Value({**self.names, variable: argument})(function.expr)
            return np.broadcast_to(found, np.shape(argument))
        dummy = sympy.Dummy("z")
        return Value({**self.names, dummy: argument})(function(dummy))

    def _function(self, node: Any) -> Any:
        """A function of numbers; an undetermined one takes the stand-in that ours takes."""
        order, name = 0, type(node).__name__
        if isinstance(node, sympy.Derivative):
            name, order = type(node.expr).__name__, len(node.variables)
            if name not in FUNCTIONS or {*node.variables} != {*node.expr.args}:
                raise Unsupported("a derivative left undone")
            node = node.expr
        if name in FUNCTIONS:
            ours = Function(name, order=order)(VARIABLE)
            return evaluate(ours, {VARIABLE: np.asarray(self(node.args[0]))})
        rule = getattr(np, name.lower(), None)
        if rule is None or len(node.args) != 1:
            raise Unsupported(name)
        return rule(self(node.args[0]))


def _times(*factors: Any) -> Any:
    product: Any = 1.0
    for factor in factors:
        both = np.ndim(product) == 2 and np.ndim(factor) == 2
        product = product @ factor if both else product * factor
    return product


def _diagonals(array: Any, groups: tuple[Any, ...], kept: bool) -> Array:
    """Each group of axes read along its diagonal, which becomes a last axis or is summed."""
    letters: Any = list(range(array.ndim))
    for group in groups:
        for axis in group:
            letters[int(axis)] = int(group[0])
    ends = [int(group[0]) for group in groups]
    rest = [letter for letter in dict.fromkeys(letters) if letter not in ends]
    order: Any = [*rest, *ends] if kept else rest
    return np.asarray(np.einsum(array, letters, order))


_VALUES: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("Add", "MatAdd", "ArrayAdd"), lambda *terms: sum(terms[1:], terms[0])),
    "Mul": lambda *factors: reduce(np.multiply, factors),
    "MatMul": _times,
    "Pow": lambda base, exponent: base**exponent,
    "MatPow": lambda base, exponent: np.linalg.matrix_power(base, int(exponent)),
    "HadamardProduct": lambda *factors: reduce(np.multiply, factors),
    "HadamardPower": lambda base, exponent: base**exponent,
    "ArrayTensorProduct": lambda *factors: reduce(np.multiply.outer, factors),
    "Transpose": np.transpose,
    "Trace": np.trace,
    "Inverse": lambda matrix, exponent=-1: np.linalg.inv(matrix),
    "OneMatrix": lambda rows_, columns: np.ones((int(rows_), int(columns))),
    "Identity": lambda length: np.eye(int(length)),
    "DiagMatrix": lambda column: np.diag(np.ravel(column)),
}
_WITH_PLACES: dict[str, Callable[..., Any]] = {
    "ArrayContraction": lambda array, *groups: _diagonals(array, groups, kept=False),
    "ArrayDiagonal": lambda array, *groups: _diagonals(array, groups, kept=True),
    "PermuteDims": lambda array, order: np.transpose(array, [int(place) for place in order]),
}


# both, on one row


def sympy_is_right(row: Known, found: Any) -> bool:
    """Whether SymPy's result has the known value; an axis of length 1 may be missing."""
    system = system_of(row)
    values, sizes = point(row, 0)
    names: dict[Any, Any] = {
        sympy.Symbol(name, integer=True, positive=True): float(length)
        for name, length in sizes.items()
    }
    for symbol in system.symbols:
        if symbol in values:
            value = values[symbol]
            names[_node(symbol, [])] = float(value.item()) if symbol.is_scalar else value
    want = evaluate(known(row), values, sizes)
    have = np.asarray(Value(names)(found), dtype=float)
    return have.size == want.size and bool(
        np.allclose(have.reshape(-1), np.asarray(want).reshape(-1), rtol=1e-8, atol=1e-10)
        and [length for length in have.shape if length > 1]
        == [length for length in np.shape(want) if length > 1]
    )


def sympy_ways(row: Known) -> list[tuple[Any, Any]]:
    """The ways to say a row in SymPy that it gets right, as expression and variable."""
    system = system_of(row)
    loss = system.equations[-1].right
    (variable,) = system.parameters
    ways = []
    for scalars_as_traces in (False, True):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                said = in_sympy(loss, scalars_as_traces), _node(variable, [])
                if sympy_is_right(row, said[0].diff(said[1]).doit()):
                    ways.append(said)
        except Exception:  # SymPy raises whatever its innards meet; such a row is not compared
            continue
    return ways


def sympy_time(expression: Any, variable: Any) -> float:
    """Milliseconds of one derivative, from an empty cache."""
    clear_cache()
    begin = perf_counter()
    expression.diff(variable).doit()
    return (perf_counter() - begin) * 1e3


def our_time(row: Known, number: int) -> float:
    """Milliseconds from text to text, with symbols not seen before."""
    new = renamed(row, number)
    begin = perf_counter()
    printed(new)
    return (perf_counter() - begin) * 1e3


def renamed(row: Known, number: int) -> Known:
    """The same row with other names for its symbols and sizes."""
    names = {
        word
        for line in row.declarations
        if line.startswith("input")
        for word in re.findall(r"[A-Za-z]+", line.removeprefix("input").split(" symmetric")[0])
    }
    pattern = re.compile(r"\b(" + "|".join(sorted(names)) + r")\b")

    def again(text: str) -> str:
        return pattern.sub(rf"\g<1>{number}", text)

    return replace(
        row,
        declarations=tuple(
            "input" + again(line.removeprefix("input")) if line.startswith("input") else line
            for line in row.declarations
        ),
        loss=again(row.loss),
        variable=again(row.variable),
    )


# the tables


def print_results(table: tuple[Known, ...]) -> None:
    """Every row with what is derived, and the share that prints as the source does."""
    alike = 0
    for row in table:
        same = is_alike(row)
        alike += same
        mark = "alike" if same else EXCEPTIONS.get(str(row), "DIFFERS")
        kind = "gradient" if row.order == 1 else "Hessian"
        print(f"{row.name} | {kind} of {row.loss} by {row.variable} | {row.source}")
        print(f"    {printed(row)} | {mark} | {largest_difference(row):.0e}")
    print(f"{alike} of {len(table)} print in the form of their source ({alike / len(table):.1%})")


def print_speed(table: tuple[Known, ...], rounds: int) -> None:
    """The rows that SymPy gets right, its time beside ours."""
    print(f"{'':44}{'SymPy ms':>10}{'ours ms':>10}{'ratio':>8}")
    ratios = []
    for row in (row for row in table if row.order == 1):
        ways = sympy_ways(row)
        if not ways:
            continue
        theirs: list[list[float]] = [[] for _ in ways]
        ours: list[float] = []
        for number in range(1, rounds + 1):
            for times, way in zip(theirs, ways, strict=True):
                times.append(sympy_time(*way))
            ours.append(our_time(row, number))
        best, own = min(map(median, theirs)), median(ours)
        ratios.append(best / own)
        print(f"{row.name[:43]:44}{best:>10.2f}{own:>10.2f}{best / own:>8.1f}", flush=True)
    first = sum(row.order == 1 for row in table)
    print(f"SymPy {sympy.__version__} gets {len(ratios)} of {first} gradients right;")
    print(f"on these the median of the ratios is {median(ratios):.1f}, the least {min(ratios):.1f}")


def main() -> None:
    """Print the tables that are asked for, both if none is."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("tables", nargs="*", metavar="results|speed")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    wanted = arguments.tables or ["results", "speed"]
    if "results" in wanted:
        print_results(rows())
    if "speed" in wanted:
        print_speed(rows(), arguments.rounds)


if __name__ == "__main__":
    main()
