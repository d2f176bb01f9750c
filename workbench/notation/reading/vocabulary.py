"""The functions of the language besides the elementwise ones: what each takes, gives and builds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from workbench.calculus.algebra import maximum, minimum, multiply, power, where
from workbench.calculus.blocks import hstack, vstack
from workbench.calculus.dimensions import ONE, Dimension, Shape
from workbench.calculus.expressions import (
    Expression,
    identity,
    length,
    ones,
    size,
    zero,
)
from workbench.calculus.functions import ABS, EXP, LOG, PRIMITIVES
from workbench.calculus.matrices import (
    commutation,
    devec,
    diag,
    inverse,
    kron,
    matmul,
    total,
    transpose,
    vec,
)
from workbench.calculus.square import det, diagonal, trace
from workbench.errors import InputError
from workbench.notation.reading.rules import Combined, Diagonal, Presumed
from workbench.notation.reading.shapes import NUMBER, UNIT, Form, Shapes, Size
from workbench.notation.reading.syntax import Node

HALF = Fraction(1, 2)


class Typing(Protocol):
    """What the shape of a call may use."""

    shapes: Shapes
    hidden: dict[int, Sequence[Size]]
    """The sizes of a node that its shape does not tell, such as the m and n of K."""

    def joined(self, node: Node, operands: Sequence[Node], forms: Sequence[Form]) -> Form:
        """The form of operands that are put together entry by entry."""

    def stacked(self, node: Node, forms: Sequence[Form], axis: int) -> Form:
        """The form of blocks below each other (axis 0) or beside each other (axis 1)."""


Shaped = Callable[[Typing, Node, Sequence[Form]], Form]
Built = Callable[[Sequence[Expression], Shape, Sequence[Dimension]], Expression]


@dataclass(frozen=True)
class Builtin:
    """A function of the language.

    Attributes
    ----------
    usage : how it is written.
    meaning : what it is, in a few words.
    arity : the fewest and the most arguments.
    form : the shape of the result, by rules about the shapes of the arguments.
    build : the expression, from those of the arguments, the shape of the result and the sizes.
    sizes : the first argument that is a size, such as the n of eye(n), instead of an expression.
    """

    usage: str
    meaning: str
    arity: tuple[int, int]
    form: Shaped
    build: Built
    sizes: int | None = None


# shapes


def _same(typing: Typing, node: Node, forms: Sequence[Form]) -> Form:
    return forms[0]


def _presumed(typing: Typing, node: Node, forms: Sequence[Form]) -> Form:
    typing.shapes.add(Presumed(node, forms[0]))
    return forms[0]


def _number(typing: Typing, node: Node, forms: Sequence[Form]) -> Form:
    _presumed(typing, node, forms)
    return NUMBER


def _square(typing: Typing, node: Node, forms: Sequence[Form]) -> Form:
    typing.shapes.equate(*forms[0])
    return _presumed(typing, node, forms)


def _number_of_square(typing: Typing, node: Node, forms: Sequence[Form]) -> Form:
    _square(typing, node, forms)
    return NUMBER


def _column_of_square(typing: Typing, node: Node, forms: Sequence[Form]) -> Form:
    return _square(typing, node, forms)[0], UNIT


def _diagonal(typing: Typing, node: Node, forms: Sequence[Form]) -> Form:
    out = (Size(), Size())
    typing.shapes.add(Presumed(node, forms[0]))
    typing.shapes.add(Diagonal(node, forms[0], out))
    return out


def _turned(typing: Typing, node: Node, forms: Sequence[Form]) -> Form:
    rows, columns = _presumed(typing, node, forms)
    return columns, rows


def _stacked_columns(typing: Typing, node: Node, forms: Sequence[Form]) -> Form:
    rows, columns = _presumed(typing, node, forms)
    whole = Size()
    typing.shapes.add(Combined(node, whole, (columns, rows)))
    return whole, UNIT


def _unstacked(typing: Typing, node: Node, forms: Sequence[Form]) -> Form:
    column, *sizes = forms
    out = (sizes[0][0], sizes[1][0]) if len(sizes) == 2 else (Size(), Size())
    typing.shapes.equate(column[1], UNIT)
    for side in out:
        typing.shapes.enlarge(side)
    typing.shapes.add(Combined(node, column[0], (out[1], out[0])))
    return out


def _kron(typing: Typing, node: Node, forms: Sequence[Form]) -> Form:
    out = (Size(), Size())
    for axis in (0, 1):
        typing.shapes.add(Combined(node, out[axis], [form[axis] for form in forms]))
    return out


def _entrywise(typing: Typing, node: Node, forms: Sequence[Form]) -> Form:
    return typing.joined(node, node.parts, forms)


def _below(typing: Typing, node: Node, forms: Sequence[Form]) -> Form:
    return typing.stacked(node, forms, 0)


def _beside(typing: Typing, node: Node, forms: Sequence[Form]) -> Form:
    return typing.stacked(node, forms, 1)


def _row_of(typing: Typing, node: Node, forms: Sequence[Form]) -> Form:
    return UNIT, _presumed(typing, node, forms)[1]


def _column_of(typing: Typing, node: Node, forms: Sequence[Form]) -> Form:
    return _presumed(typing, node, forms)[0], UNIT


def _outer(typing: Typing, node: Node, forms: Sequence[Form]) -> Form:
    for form in forms:
        typing.shapes.equate(form[1], UNIT)
        typing.shapes.add(Presumed(node, form))
    return forms[0][0], forms[1][0]


def _inner(typing: Typing, node: Node, forms: Sequence[Form]) -> Form:
    _outer(typing, node, forms)
    typing.shapes.fit(*forms)
    return NUMBER


def _sized(typing: Typing, node: Node, forms: Sequence[Form]) -> Form:
    return forms[0][0], forms[1][0] if len(forms) > 1 else UNIT


def _eye(typing: Typing, node: Node, forms: Sequence[Form]) -> Form:
    side = forms[0][0] if forms else Size()
    typing.shapes.enlarge(side)
    return side, side


def _commutation(typing: Typing, node: Node, forms: Sequence[Form]) -> Form:
    rows, columns = [form[0] for form in forms] or [Size(), Size()]
    typing.hidden[id(node)] = (rows, columns)
    out = (Size(), Size())
    for side in out:
        typing.shapes.enlarge(side)
    typing.shapes.add(Combined(node, out[0], (rows, columns)))
    typing.shapes.add(Combined(node, out[1], (columns, rows)))
    return out


# expressions


def norm(matrix: Expression) -> Expression:
    """‖x‖ of a column is √(xᵀx); of a matrix it is the Frobenius norm; of a scalar |x|.

    >>> from workbench.calculus.expressions import Kind, symbol
    >>> x = symbol("x", Kind.INPUT, (Dimension.named("n"), ONE))
    >>> power(norm(x), 2) is matmul(transpose(x), x)
    True
    """
    if matrix.is_scalar:
        return ABS(matrix)
    if matrix.is_column:
        return power(matmul(transpose(matrix), matrix), HALF)
    return power(total(power(matrix, 2)), HALF)


def _norm(arguments: Sequence[Expression], shape: Shape, sizes: Sequence[Dimension]) -> Expression:
    if sizes and sizes[0] not in (ONE, Dimension.number(2)):
        raise InputError(f"no norm of order {sizes[0]!r} is known; there are 1 and 2")
    return total(ABS(arguments[0])) if tuple(sizes) == (ONE,) else norm(arguments[0])


def _row_sums(matrix: Expression) -> Expression:
    return matmul(matrix, ones((matrix.shape[1], ONE)))


def _column_sums(matrix: Expression) -> Expression:
    return matmul(ones((ONE, matrix.shape[0])), matrix)


def _log_sum_exp(matrix: Expression) -> Expression:
    return LOG(_column_sums(EXP(matrix)))


def _one(rule: Callable[[Expression], Expression]) -> Built:
    return lambda arguments, shape, sizes: rule(arguments[0])


def _all(rule: Callable[..., Expression]) -> Built:
    return lambda arguments, shape, sizes: rule(*arguments)


def _diag(matrix: Expression) -> Expression:
    return diag(matrix) if matrix.is_column else diagonal(matrix)


def _shared(part: Expression, count: Dimension) -> Expression:
    return multiply(power(size(count), -1), part)


BUILTINS: dict[str, Builtin] = {
    "sqrt": Builtin("sqrt(A)", "√ of each entry", (1, 1), _same, _one(lambda a: power(a, HALF))),
    "sum": Builtin("sum(A)", "the sum of all entries", (1, 1), _number, _one(total)),
    "mean": Builtin(
        "mean(A)", "their mean", (1, 1), _number, _one(lambda a: _shared(total(a), length(a)))
    ),
    "rowsum": Builtin(
        "sum(A, rows)", "the sum of each row: A 𝟏", (1, 1), _column_of, _one(_row_sums)
    ),
    "colsum": Builtin(
        "sum(A, columns)", "the sum of each column: 𝟏ᵀ A", (1, 1), _row_of, _one(_column_sums)
    ),
    "rowmean": Builtin(
        "mean(A, rows)", "the mean of each row", (1, 1), _column_of,
        _one(lambda a: _shared(_row_sums(a), a.shape[1])),
    ),
    "colmean": Builtin(
        "mean(A, columns)", "the mean of each column", (1, 1), _row_of,
        _one(lambda a: _shared(_column_sums(a), a.shape[0])),
    ),
    "norm": Builtin(
        "norm(x), ‖x‖", "the root of the sum of squares; norm(x, 1) sums |x|", (1, 2), _number,
        _norm, sizes=1,
    ),
    "tr": Builtin("tr(A)", "the trace", (1, 1), _number_of_square, _one(trace)),
    "det": Builtin("det(A)", "the determinant", (1, 1), _number_of_square, _one(det)),
    "logdet": Builtin(
        "logdet(A)", "log det(A)", (1, 1), _number_of_square, _one(lambda a: LOG(det(a)))
    ),
    "inv": Builtin("inv(A), A^-1", "the inverse", (1, 1), _square, _one(inverse)),
    "transpose": Builtin("transpose(A), A'", "the transpose", (1, 1), _turned, _one(transpose)),
    "vec": Builtin("vec(A)", "the columns stacked", (1, 1), _stacked_columns, _one(vec)),
    "devec": Builtin(
        "devec(v, m, n)", "the m×n matrix with this vec", (1, 3), _unstacked,
        lambda arguments, shape, sizes: devec(arguments[0], shape), sizes=1,
    ),
    "kron": Builtin("kron(A, B), A ⊗ B", "the Kronecker product", (2, 9), _kron, _all(kron)),
    "diag": Builtin(
        "diag(x)", "the diagonal matrix of a column; of a matrix, its diagonal", (1, 1), _diagonal,
        _one(_diag),
    ),
    "diagonal": Builtin(
        "diagonal(A)", "the diagonal as a column", (1, 1), _column_of_square, _one(diagonal)
    ),
    "max": Builtin("max(A, b)", "the larger, entry by entry", (2, 2), _entrywise, _all(maximum)),
    "min": Builtin("min(A, b)", "the smaller", (2, 2), _entrywise, _all(minimum)),
    "where": Builtin(
        "where(a > b, u, v), {u if a > b, else v}", "u where it holds, else v", (3, 3), _entrywise,
        _all(where),
    ),
    "vstack": Builtin("vstack(A, B), [A; B]", "A above B", (1, 99), _below, _all(vstack)),
    "hstack": Builtin("hstack(A, B), [A, B]", "A beside B", (1, 99), _beside, _all(hstack)),
    "outer": Builtin(
        "outer(u, v)", "u vᵀ", (2, 2), _outer, _all(lambda u, v: matmul(u, transpose(v)))
    ),
    "dot": Builtin(
        "dot(u, v)", "uᵀ v", (2, 2), _inner, _all(lambda u, v: matmul(transpose(u), v))
    ),
    "logsumexp": Builtin(
        "logsumexp(x)", "log sum(exp(x)), of each column", (1, 1), _row_of, _one(_log_sum_exp)
    ),
    "ones": Builtin(
        "ones(n), ones(m, n), 𝟏", "ones", (1, 2), _sized, lambda _, shape, sizes: ones(shape),
        sizes=0,
    ),
    "zeros": Builtin(
        "zeros(n), zeros(m, n)", "zeros", (1, 2), _sized,
        lambda _, shape, sizes: zero(shape), sizes=0,
    ),
    "eye": Builtin(
        "eye(n), I, I_n", "the identity", (0, 1), _eye,
        lambda _, shape, sizes: identity(shape[0]), sizes=0,
    ),
    "K": Builtin(
        "K(m, n), K vec(A)", "the commutation matrix: K vec(A) = vec(Aᵀ) for A of m×n", (0, 2),
        _commutation, lambda _, shape, sizes: commutation(*sizes), sizes=0,
    ),
}  # fmt: skip
"""Every function of the language that is not elementwise, by name."""

BY_ROWS = {"sum": "rowsum", "mean": "rowmean"}
BY_COLUMNS = {"sum": "colsum", "mean": "colmean", "softmax": "softmax", "logsumexp": "logsumexp"}
"""What f(A, rows) and f(A, columns) are; softmax and logsumexp by rows are taken of Aᵀ."""

ALIASES = {
    "trace": "tr", "Tr": "tr", "ln": "log", "inverse": "inv", "sgn": "sign", "atan": "arctan",
    "Diag": "diag",
}  # fmt: skip

KNOWN = frozenset((*BUILTINS, *ALIASES, *PRIMITIVES, "softmax"))
"""Every name that is a function without a plugin."""
