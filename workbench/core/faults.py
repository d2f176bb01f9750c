"""Hand-written functions of plugins held against their own formulas."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.calculus.functions import COLUMN_SIZE, COLUMN_VARIABLE, VARIABLE, Function
from workbench.calculus.rewriting import substitute
from workbench.calculus.slopes import OUTPUT, slope
from workbench.core.evaluate import evaluate

Array = NDArray[Any]

POINTS = np.concatenate([np.linspace(-6.0, 6.0, 97), [-30.0, -12.5, 12.5, 30.0]])
TOLERANCE = 1e-6
STEP = 1e-30


def faults(function: Function) -> Iterator[str]:
    """What is wrong with a function, one sentence each; nothing if all is right.

    The derivative that was worked out is held against the complex step of the formula, and the
    hand-written `value` and `slope`, if there are any, against formula and complex step.

    >>> from workbench.plugins.build import build_function
    >>> from workbench.plugins.registry import load_registry
    >>> list(faults(build_function("relu", load_registry())))
    []
    """
    if function.columnwise:
        yield from _column_faults(function)
        return
    points = _points(function)
    value = _formula(function, points)
    truth = np.imag(_formula(function, points + 1j * STEP)) / STEP
    if not (np.all(np.isfinite(value)) and np.all(np.isfinite(truth))):
        place = points[~(np.isfinite(value) & np.isfinite(truth))][0]
        yield f"the formula of {function.name} is not finite at z = {place:g}"
        return
    derived = evaluate(_in_variable(function), {VARIABLE: points})
    yield from _disagreement(function, "derivative worked out", derived, truth, points)
    written = function.implementation
    if written is not None:
        yield from _call(function, "value", written.value, value, points)
        if written.slope is not None:
            yield from _call(function, "slope", written.slope, truth, points)


def _points(function: Function) -> Array:
    """Points on both sides of every kink, none upon one."""
    near = [kink + side for kink in function.kinks for side in (-1e-3, 1e-3)]
    points = np.concatenate([POINTS, np.array(near)])
    keep = np.ones(points.shape, dtype=bool)
    for kink in (*function.kinks, 0.0):
        keep &= np.abs(points - kink) > 1e-9
    return np.asarray(points[keep])


def _formula(function: Function, points: Array) -> Array:
    assert function.formula is not None
    values = evaluate(function.formula, {VARIABLE: points})
    return np.broadcast_to(np.squeeze(values), points.shape)


def _in_variable(function: Function) -> Any:
    assert function.formula is not None
    return substitute(slope(function).form, {OUTPUT: function.formula})


def _call(
    function: Function, what: str, written: Any, truth: Array, points: Array
) -> Iterator[str]:
    given = points.copy()
    try:
        with np.errstate(all="ignore"):
            found = np.array(written(given))
    except Exception as error:
        yield f"{what} of {function.name} fails: {type(error).__name__}: {error}"
        return
    if not np.array_equal(given, points):
        yield f"{what} of {function.name} writes into its argument; it must leave it as it is"
    if found.shape != points.shape:
        yield f"{what} of {function.name} gives shape {found.shape} for {points.shape}"
        return
    yield from _disagreement(function, what, found, truth, points)


def _disagreement(
    function: Function, what: str, found: Array, truth: Array, points: Array
) -> Iterator[str]:
    found = np.broadcast_to(np.squeeze(found), truth.shape)
    scale = np.maximum(np.abs(truth), 1e-3)
    with np.errstate(all="ignore"):
        errors = np.where(np.isfinite(found), np.abs(found - truth) / scale, np.inf)
    worst = int(np.argmax(errors))
    if errors[worst] > TOLERANCE:
        yield (
            f"the {what} of {function.name} is {found[worst]:.6g} at z = {points[worst]:g}, "
            f"its formula gives {truth[worst]:.6g}"
        )


def _column_faults(function: Function) -> Iterator[str]:
    written = function.implementation
    if written is None:
        return
    columns = np.random.default_rng(0).normal(size=(5, 4))
    assert function.formula is not None
    sizes = {COLUMN_SIZE.names[0]: columns.shape[1]}
    truth = evaluate(function.formula, {COLUMN_VARIABLE: columns[..., None]}, sizes)[..., 0]
    with np.errstate(all="ignore"):
        found = np.asarray(written.value(columns.copy()))
    if found.shape != truth.shape or not np.allclose(found, truth, rtol=TOLERANCE):
        yield f"the value of {function.name} disagrees with its formula"
