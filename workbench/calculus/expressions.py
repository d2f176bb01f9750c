"""Expressions: an immutable, hash-consed graph of typed matrix operations.

Every expression is a matrix with symbolic dimensions; a vector is a column, a scalar is 1×1. Shapes
are checked when a node is built, so an ill-shaped formula cannot exist. The constructors in
`workbench.calculus.algebra` apply the laws that hold everywhere (sums and products are flat,
numbers are collected, ones and zeros vanish); this module only holds the node and its leaves.

Two expressions that are built alike are the same object. Two that differ only in the order of
commuting operands, or in the way a trace or an inner product is turned, are different objects
(people care about the order) of equal `form`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from weakref import WeakValueDictionary

from workbench.calculus.dimensions import ONE, SCALAR, Dimension, Shape

COMMUTATIVE = frozenset({"add", "multiply"})


class Kind(StrEnum):
    """What a symbol stands for."""

    INPUT = "input"
    TARGET = "target"
    PARAMETER = "parameter"
    INTERMEDIATE = "intermediate"
    LOSS = "loss"
    VARIABLE = "variable"
    GRADIENT = "gradient"


@dataclass(frozen=True, slots=True)
class Symbol:
    """A name with its kind; `W1` is shown as W₁. A symmetric matrix is its own transpose."""

    name: str
    kind: Kind
    symmetric: bool = False


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True)
class Expression:
    """One node: an operation on arguments, with what else defines it and its shape.

    Build nodes by the constructors, never directly: they share equal nodes, check shapes and
    apply the laws.

    Attributes
    ----------
    operation : the name of the operation, a key of the rule table.
    arguments : the operands.
    data : what else defines the node (a number, a symbol, a function …).
    shape : rows and columns.
    form : equal for two expressions that differ only in the order of commuting operands, in the
        factor that a trace starts with, or in which way round an inner product stands.
    """

    operation: str
    arguments: tuple[Expression, ...]
    data: Hashable
    shape: Shape
    form: int

    def __repr__(self) -> str:
        inner = ", ".join(
            [repr(argument) for argument in self.arguments]
            + ([] if self.data is None else [_short(self.data)])
        )
        return f"{self.operation}({inner})"

    @property
    def is_scalar(self) -> bool:
        """Whether this is 1×1."""
        return self.shape == SCALAR

    @property
    def is_column(self) -> bool:
        """Whether this has one column."""
        return self.shape[1] == ONE

    @property
    def symbol(self) -> Symbol:
        """The symbol of a symbol node."""
        if not isinstance(self.data, Symbol):
            raise TypeError(f"{self!r} is not a symbol")
        return self.data

    @property
    def number(self) -> Fraction | None:
        """The value of a number node, else None."""
        return self.data if isinstance(self.data, Fraction) and not self.arguments else None


def _short(data: Hashable) -> str:
    name = getattr(data, "name", None)
    return str(name if name is not None else data)


_nodes: WeakValueDictionary[Hashable, Expression] = WeakValueDictionary()
_forms: dict[Hashable, int] = {}


def make(
    operation: str,
    arguments: tuple[Expression, ...],
    data: Hashable,
    shape: Shape,
    alike: Iterable[tuple[Expression, ...]] = (),
) -> Expression:
    """The one node of this operation on these arguments (hash-consing).

    Parameters
    ----------
    alike : other arguments that give the same value, as the turns of a trace do; all have one form.
    """
    key = (operation, arguments, data, shape)
    node = _nodes.get(key)
    if node is None:
        children = [argument.form for argument in arguments]
        if operation in COMMUTATIVE:
            children.sort()
        for others in alike:
            children = min(children, [argument.form for argument in others])
        form = _forms.setdefault((operation, tuple(children), data, shape), len(_forms))
        node = Expression(operation, arguments, data, shape, form)
        _nodes[key] = node
    return node


def number(value: int | Fraction) -> Expression:
    """An exact number, a scalar.

    >>> number(2) is number(Fraction(2))
    True
    """
    return make("number", (), Fraction(value), SCALAR)


def symbol(name: str, kind: Kind, shape: Shape = SCALAR, *, symmetric: bool = False) -> Expression:
    """A named quantity."""
    return make("symbol", (), Symbol(name, kind, symmetric), shape)


def constant(name: str) -> Expression:
    """A named real constant (`pi`)."""
    return make("constant", (), name, SCALAR)


def size(dimension: Dimension) -> Expression:
    """A dimension as a scalar, as in a mean over `m` entries."""
    return make("size", (), dimension, SCALAR) if dimension.names else number(dimension.size({}))


def zero(shape: Shape) -> Expression:
    """The matrix of zeros."""
    return number(0) if shape == SCALAR else make("zero", (), None, shape)


def ones(shape: Shape) -> Expression:
    """The matrix of ones; `ones((m, ONE))` is the column 𝟏."""
    return number(1) if shape == SCALAR else make("ones", (), None, shape)


def identity(dimension: Dimension) -> Expression:
    """The identity matrix `I_n`."""
    return number(1) if dimension == ONE else make("identity", (), None, (dimension, dimension))


def jacobian(of: Expression, by: Expression) -> Expression:
    """The Jacobian ∂of/∂by of two symbols, before it is worked out.

    Denominator layout: rows run over the entries of `by`, columns over those of `of`, and a matrix
    counts as its vec. The gradient of a scalar has the shape of its variable.
    """
    shape = by.shape if of.is_scalar else (length(by), length(of))
    return make("jacobian", (), (of, by), shape)


def change(of: Expression) -> Expression:
    """The differential dU of a symbol or a gradient U, of its shape."""
    return make("differential", (), of, of.shape)


def total_jacobian(of: Expression, by: Expression) -> Expression:
    """The Jacobian d of/d by through all the equations between two symbols, over vec."""
    if of is by:
        return identity(length(of))
    return make("total_jacobian", (), (of, by), (length(by), length(of)))


def hessian(of: Expression, by: Expression) -> Expression:
    """The Hessian ∂²of/∂vec(by)∂vec(by)ᵀ of a scalar symbol, before it is worked out."""
    return make("hessian", (), (of, by), (length(by), length(by)))


def inner(left: Expression, right: Expression) -> Expression:
    """The inner product ⟨A, B⟩ = tr(Aᵀ B), the sum of the products of entries."""
    return make("inner", (left, right), None, SCALAR)


def length(expression: Expression) -> Dimension:
    """The number of entries, the length of the vec.

    >>> length(identity(Dimension.named("n")))
    n·n
    """
    return expression.shape[0] * expression.shape[1]


def describe(shape: Shape) -> str:
    """A shape in plain words for messages, `m_1×m_0`."""

    rows, columns = (
        f"({dimension!r})" if len(dimension.terms) > 1 else repr(dimension) for dimension in shape
    )
    return f"{rows}×{columns}"


def walk(*roots: Expression) -> Iterator[Expression]:
    """Every node below the roots once, arguments before the nodes that use them."""
    seen: set[Expression] = set()
    stack: list[tuple[Expression, bool]] = [(root, False) for root in reversed(roots)]
    while stack:
        node, done = stack.pop()
        if done:
            yield node
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((argument, False) for argument in reversed(node.arguments))


def symbols_of(*roots: Expression) -> tuple[Expression, ...]:
    """The symbol nodes below the roots, in order of first occurrence."""
    return tuple(node for node in walk(*roots) if node.operation == "symbol")


def transform(
    root: Expression, rule: Callable[[Expression, tuple[Expression, ...]], Expression]
) -> Expression:
    """Rebuild a graph from its leaves up: `rule(node, new arguments)` gives each new node."""
    new: dict[Expression, Expression] = {}
    for node in walk(root):
        new[node] = rule(node, tuple(new[argument] for argument in node.arguments))
    return new[root]


Bindings = Mapping[Expression, Expression]
