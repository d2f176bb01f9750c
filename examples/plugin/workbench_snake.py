"""A plugin for the workbench: an activation by its formula, one with hand-written NumPy, a loss."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from workbench import Activation, Loss, hookimpl

snake = Activation(
    name="snake",
    formula="z + sin(z)^2",
    description="Learns what is periodic. Ziyin, Hartwig & Ueda (2020).",
)
"""A formula is enough: the derivative, the program, the checks and the plots follow from it."""


def _value(z: Any) -> Any:
    return z / (1 + np.abs(z))


def _slope(z: Any) -> Any:
    return np.square(1 / (1 + np.abs(z)))


softsign = Activation(
    name="softsign",
    formula="z / (1 + abs(z))",
    value=_value,
    slope=_slope,
    description="Like tanh, with longer tails. Turian, Bergstra & Bengio (2009).",
)
"""`train` runs the two functions; `workbench plugins check softsign` holds them to the formula."""

log_cosh = Loss(
    name="log_cosh",
    formula="sum(abs(a - y) + log(1 + exp(-2 * abs(a - y))) - log(2))",
    description="log cosh(a − y): like a square near the target, linear far away, and smooth.",
)
"""Written as `sum(log(cosh(a - y)))` it would overflow for differences beyond 710.

log cosh(d) = |d| + log(1 + exp(−2|d|)) − log 2 for every d, and this exponential is at most 1.
"""


@hookimpl
def workbench_activations() -> Iterable[Activation]:
    """Yield the activations."""
    yield snake
    yield softsign


@hookimpl
def workbench_losses() -> Iterable[Loss]:
    """Yield the loss."""
    yield log_cosh
