"""Where a number that is not finite comes from: the first equation of a step that gives one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.calculus.expressions import Expression
from workbench.core.evaluate import evaluate
from workbench.core.numerics import stable_lines
from workbench.derivation.network import BATCH
from workbench.derivation.steps import Derivation
from workbench.notation.text import text

Array = NDArray[Any]


def first_not_finite(
    derivation: Derivation, given: Mapping[str, Array], batch_size: int
) -> str | None:
    """Name the tensor in which a step's computation first is not finite, and its layer.

    Parameters
    ----------
    given : every input, target and parameter by name, as it is stored: a batch with a sample a row.

    >>> from workbench.api import network
    >>> from workbench.derivation.differentiate import derive
    >>> derivation = derive(network("1-1:identity").system(batch=True))
    >>> one = np.ones((1, 1))
    >>> given = {"W1": 1e300 * one, "b1": one, "X0": 1e300 * one, "Y": one}
    >>> first_not_finite(derivation, given, batch_size=1)
    'Z₁ = W₁ X₀ + b₁ 𝟏ᵀ of layer 1'
    """
    sizes = {**derivation.system.sizes, BATCH.names[0]: batch_size}
    dtype = np.result_type(np.float32, *given.values())
    values: dict[Expression, Array] = {}
    for node in derivation.system.symbols:
        if (name := node.symbol.name) in given:
            values[node] = _on_paper(node, given[name], sizes)
            if not np.isfinite(values[node]).all():
                return f"{text(node)}{_layer(node)}"
    with np.errstate(all="ignore"):
        for line in stable_lines([*derivation.system.equations, *derivation.backward]):
            left = line.equation.left
            values[left] = evaluate(line.computed, values, sizes).astype(dtype)
            if not np.isfinite(values[left]).all():
                return f"{text(left)} = {text(line.equation.right)}{_layer(left)}"
    return None


def _on_paper(node: Expression, array: Array, sizes: Mapping[str, int]) -> Array:
    """The array of a symbol as on paper, where a sample is a column or a row."""
    rows, columns = (dimension.size(sizes) for dimension in node.shape)
    floats = np.asarray(array, np.result_type(array, np.float32))
    if node.shape[1] == BATCH:
        return floats.reshape(columns, rows).T
    return floats.reshape(rows, columns)


def _layer(node: Expression) -> str:
    """The layer that the number in a name tells."""
    found = re.search(r"(\d+)\D*$", "".join(map(_digit, text(node))))
    return f" of layer {found[1]}" if found else ""


def _digit(character: str) -> str:
    """A subscript as the digit that it is."""
    place = "₀₁₂₃₄₅₆₇₈₉".find(character)
    return str(place) if place >= 0 else character
