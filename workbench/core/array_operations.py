"""What operations and functions do to arrays: matrices of shape (…, rows, columns).

Real and complex numbers both work; a comparison of complex numbers looks at the real parts.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

UNDEFINED = complex(np.nan, np.nan)
"""The value of what has none among the real numbers."""


def power(base: Array, exponent: float) -> Array:
    """A power with a real exponent; undefined where the real one is."""
    if exponent == -1:
        return np.asarray(1 / base)
    if exponent.is_integer():
        return np.asarray(base ** int(exponent) if exponent > 0 else 1 / base ** int(-exponent))
    if np.iscomplexobj(base):
        base = np.where(np.real(base) < 0, UNDEFINED, base)
    return np.asarray(np.sqrt(base) if exponent == 0.5 else base**exponent)


def _log(value: Array) -> Array:
    """Undefined where the real log is, so that no branch of the complex one is taken for it."""
    if np.iscomplexobj(value):
        value = np.where(np.real(value) <= 0, UNDEFINED, value)
    return np.asarray(np.log(value))


def _product(*factors: Array) -> Array:
    return reduce(operator.matmul, factors)


def _kron(left: Array, right: Array) -> Array:
    product = left[..., :, None, :, None] * right[..., None, :, None, :]
    rows, columns = left.shape[-2] * right.shape[-2], left.shape[-1] * right.shape[-1]
    return product.reshape(*product.shape[:-4], rows, columns)


def _vec(value: Array) -> Array:
    return np.swapaxes(value, -1, -2).reshape(*value.shape[:-2], -1, 1)


def _diag(column: Array) -> Array:
    return np.asarray(column * np.eye(column.shape[-2]))


def _diagonal(matrix: Array) -> Array:
    return np.diagonal(matrix, axis1=-2, axis2=-1)[..., None]


def commutation(rows: int, columns: int) -> Array:
    """The matrix K for which K vec(A) = vec(Aᵀ), for A (rows, columns).

    >>> (commutation(2, 3) @ [11, 21, 12, 22, 13, 23]).tolist()
    [11.0, 12.0, 13.0, 21.0, 22.0, 23.0]
    """
    places = np.arange(rows * columns).reshape(columns, rows).T.reshape(-1)
    return np.eye(rows * columns)[places]


def _inverse(matrix: Array) -> Array:
    """Undefined where the matrix is singular."""
    try:
        return np.linalg.inv(matrix)
    except np.linalg.LinAlgError:
        return np.full_like(matrix, np.nan)


def _stacked(axis: int) -> Callable[..., Array]:
    def stack(*parts: Array) -> Array:
        parts = tuple(np.atleast_2d(part) for part in parts)
        lead = np.broadcast_shapes(*(part.shape[:-2] for part in parts))
        return np.concatenate(
            [np.broadcast_to(part, (*lead, *part.shape[-2:])) for part in parts], axis=axis
        )

    return stack


def _add(*terms: Array) -> Array:
    return reduce(operator.add, terms)


def _multiply(*factors: Array) -> Array:
    return reduce(operator.mul, factors)


def where(condition: Array, yes: Array, no: Array) -> Array:
    """One of two values, entry by entry."""
    return np.where(np.real(condition) != 0, yes, no)


OPERATIONS: dict[str, Callable[..., Array]] = {
    "add": _add,
    "multiply": _multiply,
    "matmul": _product,
    "transpose": lambda value: np.swapaxes(value, -1, -2),
    "sum": lambda value: value.sum(axis=(-2, -1), keepdims=True),
    "where": where,
    "greater": lambda left, right: (np.real(left) > np.real(right)).astype(float),
    "greater_equal": lambda left, right: (np.real(left) >= np.real(right)).astype(float),
    "maximum": lambda left, right: where(np.real(left) > np.real(right), left, right),
    "minimum": lambda left, right: where(np.real(left) < np.real(right), left, right),
    "vec": _vec,
    "kron": lambda *factors: reduce(_kron, factors),
    "diag": _diag,
    "diagonal": _diagonal,
    "inner": lambda left, right: (left * right).sum(axis=(-2, -1), keepdims=True),
    "inverse": _inverse,
    "det": lambda matrix: np.asarray(np.linalg.det(matrix))[..., None, None],
    "trace": lambda matrix: np.asarray(np.trace(matrix, axis1=-2, axis2=-1))[..., None, None],
    "vstack": _stacked(-2),
    "hstack": _stacked(-1),
}
"""The value of each operation that rests on those of its arguments alone."""


def _scipy_function(name: str) -> Callable[[Array], Array]:
    def call(value: Array) -> Array:
        from scipy import special

        return np.asarray(getattr(special, name)(value))

    return call


PRIMITIVE_VALUES: dict[str, Callable[[Array], Array]] = {
    "exp": np.exp,
    "log": _log,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "arctan": np.arctan,
    "sign": lambda value: np.sign(np.real(value)),
    "abs": lambda value: np.sign(np.real(value)) * value,
    "erf": _scipy_function("erf"),
    "Phi": _scipy_function("ndtr"),
}
"""The value of each primitive, for real and complex arrays."""
