"""The constructors of expressions, with the laws that always hold applied as a node is built.

Sums and products are flat and collect equal terms and powers, numbers come first, transposes are
pushed inwards, ones and zeros vanish. Elementwise operations take equal shapes, or a scalar with
anything; a matrix product with a 1×1 factor is a scalar multiple.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction

from workbench.calculus.dimensions import ONE, SCALAR, Dimension, Shape
from workbench.calculus.expressions import (
    Bindings,
    Expression,
    describe,
    identity,
    length,
    make,
    number,
    ones,
    size,
    symbols_of,
    transform,
    zero,
)
from workbench.errors import InputError, ShapeError

LARGEST_NUMBER = 10**100
"""Bound on numerators and denominators of exact numbers; beyond it a formula is refused."""


def add(*terms: Expression) -> Expression:
    """The elementwise sum; like terms are collected.

    Raises
    ------
    ShapeError
        If two terms have different shapes and neither is a scalar.
    """
    shape = _common_shape("sum", terms)
    total: dict[int, tuple[Fraction, Expression]] = {}
    for term in _flatten("add", terms):
        coefficient, rest = split_coefficient(term)
        rest = number(1) if rest.operation == "ones" else rest
        collected = total.get(rest.form, (Fraction(0), rest))[0] + coefficient
        total[rest.form] = (collected, total.get(rest.form, (collected, rest))[1])
    kept = [scaled(coefficient, rest) for coefficient, rest in total.values() if coefficient]
    kept = [term for term in kept if not is_zero(term)]
    if not kept:
        return zero(shape)
    if len(kept) == 1:
        return spread(kept[0], shape)
    first_positive = next((t for t in kept if split_coefficient(t)[0] > 0), kept[0])
    kept.sort(key=lambda term: term is not first_positive)
    if all(term.is_scalar for term in kept):
        return spread(make("add", tuple(kept), None, SCALAR), shape)
    return make("add", tuple(kept), None, shape)


def subtract(left: Expression, right: Expression) -> Expression:
    """left − right, elementwise."""
    return add(left, negate(right))


def negate(expression: Expression) -> Expression:
    """−expression."""
    return multiply(number(-1), expression)


def multiply(*factors: Expression) -> Expression:
    """The elementwise product ⊙, with scalars multiplying anything; equal bases collect powers.

    Raises
    ------
    ShapeError
        If two factors have different shapes and neither is a scalar.
    """
    shape = _common_shape("elementwise product", factors)
    coefficient = Fraction(1)
    powers: dict[int, tuple[Expression, Fraction]] = {}
    for factor in _flatten("multiply", factors):
        if factor.number is not None:
            coefficient = _bounded(coefficient * factor.number)
        elif is_zero(factor):
            return zero(shape)
        elif factor.operation != "ones":
            base, exponent = split_power(factor)
            known = powers.get(base.form, (base, Fraction(0)))
            powers[base.form] = (known[0], known[1] + exponent)
    if coefficient == 0:
        return zero(shape)
    kept = [power(base, exponent) for base, exponent in powers.values() if exponent]
    kept = [factor for factor in kept if factor.operation != "ones"]
    loose = [factor.number for factor in kept if factor.number is not None]
    if loose or any(factor.operation == "multiply" for factor in kept):
        again = multiply(number(coefficient), *kept)
        return spread(again, shape)
    if coefficient == -1 and len(kept) == 1 and kept[0].operation == "add":
        return spread(add(*(negate(term) for term in kept[0].arguments)), shape)
    kept.sort(key=lambda factor: not factor.is_scalar)
    if all(factor.is_scalar for factor in kept) and shape != SCALAR:
        kept.append(ones(shape))
    if coefficient != 1 or not kept:
        kept.insert(0, number(coefficient))
    return kept[0] if len(kept) == 1 else make("multiply", tuple(kept), None, shape)


def divide(left: Expression, right: Expression) -> Expression:
    """left ⊘ right, elementwise.

    Raises
    ------
    InputError
        If the divisor is zero.
    """
    return multiply(left, power(right, Fraction(-1)))


def power(base: Expression, exponent: int | Fraction) -> Expression:
    """The elementwise power with a constant exponent.

    Raises
    ------
    InputError
        If a number would become too large, or zero is raised to a negative power.
    """
    exponent = Fraction(exponent)
    if exponent == 0:
        return ones(base.shape)
    if exponent == 1 or base.operation == "ones":
        return base
    if is_zero(base):
        if exponent < 0:
            raise InputError("division by zero")
        return base
    if base.number is not None:
        exact = _exact_power(base.number, exponent)
        if exact is not None:
            return number(exact)
    if base.operation == "power" and isinstance(base.data, Fraction):
        inner = base.data
        if exponent.denominator == 1 or inner.numerator % 2 == 1:
            return power(base.arguments[0], inner * exponent)
    if base.operation == "multiply" and exponent.denominator == 1:
        return multiply(*(power(factor, exponent) for factor in base.arguments))
    if is_exponential(base):
        return make(
            "apply", (multiply(number(exponent), base.arguments[0]),), base.data, base.shape
        )
    return make("power", (base,), exponent, base.shape)


def matmul(*factors: Expression) -> Expression:
    """The matrix product; 1×1 factors and numbers move to the front.

    Raises
    ------
    ShapeError
        If the columns of a factor differ from the rows of the next.
    """
    scalars: list[Expression] = []
    matrices: list[Expression] = []
    for factor in _flatten("matmul", factors):
        scalar, matrix = split_scalars(factor)
        scalars.extend(scalar)
        if matrix is not None:
            matrices.extend(matrix.arguments if matrix.operation == "matmul" else (matrix,))
    chain: list[Expression] = []
    for matrix in matrices:
        if chain and chain[-1].shape[1] != matrix.shape[0]:
            raise ShapeError(
                f"matrix product ({describe(chain[-1].shape)})({describe(matrix.shape)}): "
                "the inner dimensions differ"
            )
        _append(chain, matrix)
    if not chain:
        return multiply(*scalars) if scalars else number(1)
    shape = (chain[0].shape[0], chain[-1].shape[1])
    if any(is_zero(matrix) for matrix in chain):
        return zero(shape)
    core = chain[0] if len(chain) == 1 else _product(tuple(chain), shape)
    return multiply(*scalars, core) if scalars else core


def _product(chain: tuple[Expression, ...], shape: Shape) -> Expression:
    """A product of two or more matrices; 𝟏ᵀ A 𝟏 is the sum of A."""
    if chain[0].operation == "ones" and chain[-1].operation == "ones" and shape == SCALAR:
        return total(matmul(*chain[1:-1])) if len(chain) > 2 else size(chain[0].shape[1])
    if chain[0].operation == "ones" and shape == SCALAR:
        return total(matmul(*chain[1:]))
    if len(chain) == 2 and chain[0].operation == "ones" and chain[1].operation == "ones":
        return multiply(size(chain[0].shape[1]), ones(shape))
    return make("matmul", chain, None, shape)


def _append(chain: list[Expression], matrix: Expression) -> None:
    if matrix.operation == "identity" and chain:
        return
    if chain and chain[-1].operation == "identity":
        chain[-1] = matrix
    elif chain and chain[-1].operation == "diag" and matrix.operation == "diag":
        merged = multiply(chain.pop().arguments[0], matrix.arguments[0])
        chain.append(diag(merged))
    else:
        chain.append(matrix)


def transpose(expression: Expression) -> Expression:
    """The transpose, pushed through products, scalar multiples and ⊗."""
    rows, columns = expression.shape
    arguments = expression.arguments
    match expression.operation:
        case _ if expression.is_scalar:
            return expression
        case "transpose":
            return arguments[0]
        case "identity" | "diag":
            return expression
        case "ones" | "zero":
            return make(expression.operation, (), None, (columns, rows))
        case "matmul":
            return matmul(*(transpose(factor) for factor in reversed(arguments)))
        case "kron":
            return kron(*(transpose(factor) for factor in arguments))
        case "multiply":
            scalars, matrix = split_scalars(expression)
            if scalars and matrix is not None:
                return multiply(*scalars, transpose(matrix))
    return make("transpose", (expression,), None, (columns, rows))


def total(expression: Expression) -> Expression:
    """The sum of all entries; scalars move out."""
    if expression.is_scalar:
        return expression
    if is_zero(expression):
        return number(0)
    if expression.operation == "ones":
        return size(length(expression))
    if expression.operation == "add":
        return add(*(total(spread(term, expression.shape)) for term in expression.arguments))
    scalars, matrix = split_scalars(expression)
    if scalars and matrix is not None:
        return multiply(*scalars, total(matrix))
    is_row_of_sums = expression.operation == "matmul" and expression.shape[0] == ONE
    if is_row_of_sums and expression.arguments[0].operation == "ones":
        return total(matmul(*expression.arguments[1:]))
    return make("sum", (expression,), None, SCALAR)


def where(condition: Expression, yes: Expression, no: Expression) -> Expression:
    """Entry by entry, `yes` where the condition holds, else `no`."""
    shape = _common_shape("where", (condition, yes, no))
    if yes.form == no.form:
        return spread(yes, shape)
    if yes.number == 1 and is_zero(no):
        return condition
    return make("where", (condition, yes, no), None, shape)


def greater(left: Expression, right: Expression) -> Expression:
    """The indicator [left > right], 1 where it holds and 0 elsewhere."""
    return make("greater", (left, right), None, _common_shape("comparison", (left, right)))


def greater_equal(left: Expression, right: Expression) -> Expression:
    """The indicator [left ≥ right]."""
    return make("greater_equal", (left, right), None, _common_shape("comparison", (left, right)))


def maximum(left: Expression, right: Expression) -> Expression:
    """The larger of two, entry by entry."""
    return make("maximum", (left, right), None, _common_shape("max", (left, right)))


def minimum(left: Expression, right: Expression) -> Expression:
    """The smaller of two, entry by entry."""
    return make("minimum", (left, right), None, _common_shape("min", (left, right)))


def vec(expression: Expression) -> Expression:
    """The columns stacked into one column; in NumPy, Fortran order."""
    if expression.is_column:
        return expression
    if expression.operation == "devec":
        return expression.arguments[0]
    return make("vec", (expression,), None, (length(expression), ONE))


def devec(expression: Expression, shape: Shape) -> Expression:
    """The matrix of this shape whose vec is the given column.

    Raises
    ------
    ShapeError
        If the column does not have as many entries as the shape.
    """
    if expression.shape != (shape[0] * shape[1], ONE):
        raise ShapeError(f"devec of {describe(expression.shape)} to {describe(shape)}")
    if expression.shape == shape:
        return expression
    if expression.operation == "vec" and expression.arguments[0].shape == shape:
        return expression.arguments[0]
    return make("devec", (expression,), shape, shape)


def kron(*factors: Expression) -> Expression:
    """The Kronecker product ⊗; 1×1 factors are scalar multiples."""
    scalars: list[Expression] = []
    matrices: list[Expression] = []
    for factor in factors:
        scalar, matrix = split_scalars(factor)
        scalars.extend(scalar)
        if matrix is not None:
            matrices.append(matrix)
    if len(matrices) < 2:
        return multiply(*scalars, *matrices)
    if all(matrix.operation == "identity" for matrix in matrices):
        product = Dimension()
        for matrix in matrices:
            product = product * matrix.shape[0]
        return multiply(*scalars, identity(product))
    rows, columns = Dimension(), Dimension()
    for matrix in matrices:
        rows, columns = rows * matrix.shape[0], columns * matrix.shape[1]
    node = make("kron", tuple(matrices), None, (rows, columns))
    return multiply(*scalars, node) if scalars else node


def diag(column: Expression) -> Expression:
    """The diagonal matrix with this column on its diagonal."""
    if not column.is_column:
        raise ShapeError(f"diag needs a column, not {describe(column.shape)}")
    if column.is_scalar:
        return column
    if column.operation == "ones":
        return identity(column.shape[0])
    return make("diag", (column,), None, (column.shape[0], column.shape[0]))


def diagonal(matrix: Expression) -> Expression:
    """The diagonal of a square matrix as a column."""
    if matrix.shape[0] != matrix.shape[1]:
        raise ShapeError(f"diagonal needs a square matrix, not {describe(matrix.shape)}")
    if matrix.is_scalar:
        return matrix
    if matrix.operation == "diag":
        return matrix.arguments[0]
    return make("diagonal", (matrix,), None, (matrix.shape[0], ONE))


def split_coefficient(term: Expression) -> tuple[Fraction, Expression]:
    """A term as its number and the rest: `3 a b` is 3 and `a b`."""
    if term.number is not None:
        return term.number, number(1)
    if term.operation == "multiply" and term.arguments[0].number is not None:
        rest = term.arguments[1:]
        if len(rest) == 1 and rest[0].shape == term.shape:
            return term.arguments[0].number, rest[0]
        return term.arguments[0].number, make("multiply", rest, None, term.shape)
    return Fraction(1), term


def scaled(coefficient: Fraction, expression: Expression) -> Expression:
    """A numeric multiple."""
    return expression if coefficient == 1 else multiply(number(coefficient), expression)


def split_power(factor: Expression) -> tuple[Expression, Fraction]:
    """A factor as its base and exponent; exponentials are powers of themselves."""
    if factor.operation == "power" and isinstance(factor.data, Fraction):
        return factor.arguments[0], factor.data
    if is_exponential(factor):
        coefficient, rest = split_coefficient(factor.arguments[0])
        return make("apply", (rest,), factor.data, factor.shape), coefficient
    return factor, Fraction(1)


def split_scalars(factor: Expression) -> tuple[list[Expression], Expression | None]:
    """The 1×1 factors of an expression and what remains (None if nothing does)."""
    if factor.is_scalar:
        return [factor], None
    if factor.operation == "multiply":
        scalars = [part for part in factor.arguments if part.is_scalar]
        if scalars:
            rest = [part for part in factor.arguments if not part.is_scalar]
            return scalars, multiply(*rest)
    return [], factor


def spread(expression: Expression, shape: Shape) -> Expression:
    """A scalar as the matrix of this shape that holds it everywhere."""
    if expression.shape == shape:
        return expression
    return multiply(expression, ones(shape))


def is_exponential(expression: Expression) -> bool:
    """Whether this is eᵘ, the primitive."""
    function = expression.data
    return (
        expression.operation == "apply"
        and getattr(function, "name", None) == "exp"
        and getattr(function, "formula", None) is None
    )


def is_zero(expression: Expression) -> bool:
    """Whether this is the number or the matrix zero."""
    return expression.operation == "zero" or expression.number == 0


def substitute(expression: Expression, bindings: Bindings) -> Expression:
    """Replace nodes (usually symbols) by other expressions and apply the laws anew."""

    def rule(node: Expression, arguments: tuple[Expression, ...]) -> Expression:
        if node in bindings:
            return bindings[node]
        return node if arguments == node.arguments else rebuild(node, arguments)

    return transform(expression, rule)


def rebuild(node: Expression, arguments: tuple[Expression, ...]) -> Expression:
    """The operation of a node on other arguments."""
    match node.operation:
        case "power":
            assert isinstance(node.data, Fraction)
            return power(arguments[0], node.data)
        case "devec":
            return devec(arguments[0], node.shape)
        case "apply":
            return make("apply", arguments, node.data, arguments[0].shape)
        case "entry" | "index_sum":
            return make(node.operation, arguments, node.data, SCALAR)
        case operation if operation in CONSTRUCTORS:
            return CONSTRUCTORS[operation](*arguments)
        case _:
            return node


def depends_on(expression: Expression, symbol: Expression) -> bool:
    """Whether a symbol occurs in an expression."""
    return symbol in symbols_of(expression)


def _flatten(operation: str, items: Iterable[Expression]) -> list[Expression]:
    flat: list[Expression] = []
    for item in items:
        flat.extend(item.arguments if item.operation == operation else (item,))
    return flat


def _common_shape(what: str, items: Iterable[Expression]) -> Shape:
    shape = SCALAR
    for item in items:
        if item.is_scalar:
            continue
        if shape not in (SCALAR, item.shape):
            raise ShapeError(f"{what}: shapes {describe(shape)} and {describe(item.shape)} differ")
        shape = item.shape
    return shape


def _exact_power(base: Fraction, exponent: Fraction) -> Fraction | None:
    if exponent.denominator != 1:
        return None
    if abs(exponent) > 100:
        raise InputError(f"the power {base}^{exponent} is too large")
    return _bounded(base**exponent.numerator)


def _bounded(value: Fraction) -> Fraction:
    if max(abs(value.numerator), value.denominator) > LARGEST_NUMBER:
        raise InputError("a number in the formula is too large (beyond 10^100)")
    return value


CONSTRUCTORS: dict[str, Callable[..., Expression]] = {
    "add": add,
    "multiply": multiply,
    "matmul": matmul,
    "transpose": transpose,
    "sum": total,
    "where": where,
    "greater": greater,
    "greater_equal": greater_equal,
    "maximum": maximum,
    "minimum": minimum,
    "vec": vec,
    "kron": kron,
    "diag": diag,
    "diagonal": diagonal,
}
