"""The figure of activations: each function and its derivative, side by side, kinks marked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.mathtext import MathTextParser
from numpy.typing import NDArray

from workbench.calculus.columns import column_pullback
from workbench.calculus.dimensions import Dimension
from workbench.calculus.expressions import Expression, Kind, symbol
from workbench.calculus.functions import VARIABLE, Function
from workbench.calculus.slopes import OUTPUT, slope
from workbench.core.evaluate import evaluate
from workbench.errors import InputError
from workbench.notation.latex import latex
from workbench.notation.text import text
from workbench.plotting.style import (
    GREY,
    MOST_CURVES,
    curve_style,
    legend_below,
    require_at_most,
    style,
)

POINTS = 400
"""How many points a curve has between two kinks."""

NEARBY = 1e-9
"""How far from a kink, relative to the range, the curve stops on either side."""

COLUMN_LENGTH = 3
"""A function of a whole column is drawn for its first entry, the others being zero."""

_ROWS, _SAMPLES = Dimension.number(COLUMN_LENGTH), Dimension.named("samples")
_COLUMNS = symbol("Z", Kind.VARIABLE, (_ROWS, _SAMPLES))
_GRADIENT = symbol("G", Kind.GRADIENT, (_ROWS, _SAMPLES))

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """A function and its derivative at points in ascending order.

    Attributes
    ----------
    points, values, slopes : of the same length; NaN in `points` separates the pieces of the curve.
    """

    points: Points
    values: Points
    slopes: Points


def tabulate(function: Function, points: Points) -> Curve:
    """The values of a function and of its worked-out derivative.

    >>> from workbench.calculus.algebra import power
    >>> curve = tabulate(Function("square", power(VARIABLE, 2)), np.array([-1.0, 3.0]))
    >>> curve.values, curve.slopes
    (array([1., 9.]), array([-2.,  6.]))
    """
    with np.errstate(all="ignore"):
        if function.columnwise:
            return _tabulate_first_entry(function, points)
        column = points[:, None]
        value = np.broadcast_to(evaluate(function(VARIABLE), {VARIABLE: column}), column.shape)
        known = {VARIABLE: column, OUTPUT: value}
        derivative = np.broadcast_to(evaluate(slope(function).form, known), column.shape)
    return Curve(points, value[:, 0], derivative[:, 0])


def _tabulate_first_entry(function: Function, points: Points) -> Curve:
    """The first entry of the column, and its derivative by the first entry of the argument."""
    columns, first = np.zeros((2, COLUMN_LENGTH, len(points)))
    columns[0], first[0] = points, 1
    output = function(_COLUMNS)
    pulled = column_pullback(function, _COLUMNS, output, _GRADIENT)
    known, sizes = {_COLUMNS: columns, _GRADIENT: first}, {"samples": len(points)}
    return Curve(points, evaluate(output, known, sizes)[0], evaluate(pulled, known, sizes)[0])


def activation_figure(
    functions: Sequence[Function], start: float = -5.0, stop: float = 5.0
) -> Figure:
    """Draw functions on the left and their derivatives on the right.

    Where a derivative jumps, circles mark both of its limits and a dot the value that is used.

    Raises
    ------
    InputError
        If the range is empty or not finite, or there are too many functions.

    >>> from workbench.calculus.functions import EXP
    >>> figure = activation_figure([Function("grow", EXP(VARIABLE))])
    >>> [axes.get_title() for axes in figure.axes]
    ['function', 'derivative']
    """
    if not -math.inf < start < stop < math.inf:
        raise InputError(
            f"no range from {start:g} to {stop:g}; give two numbers, the smaller first"
        )
    require_at_most(MOST_CURVES, len(functions), "activations")
    with style():
        figure = Figure(figsize=(9.0, 4.4))
        values, slopes = figure.subplots(1, 2)
        for index, function in enumerate(functions):
            _draw(values, slopes, function, (start, stop), index)
        values.set(title="function", xlabel="$z$")
        slopes.set(title="derivative", xlabel="$z$")
        legend_below(figure, columns=2)
    return figure


def _draw(
    values: Axes, slopes: Axes, function: Function, ends: tuple[float, float], index: int
) -> None:
    look = curve_style(index)
    kinks = [kink for kink in function.kinks if ends[0] < kink < ends[1]]
    curve = tabulate(function, _pieces(ends, kinks))
    values.plot(curve.points, curve.values, label=_label(function), **look)
    slopes.plot(curve.points, curve.slopes, **look)
    nearby = NEARBY * (ends[1] - ends[0])
    for kink in kinks:
        limits = tabulate(function, np.array([kink - nearby, kink + nearby]))
        used = tabulate(function, np.array([kink]))
        for axes, either, here in (
            (values, limits.values, used.values),
            (slopes, limits.slopes, used.slopes),
        ):
            axes.axvline(kink, color=GREY, linewidth=0.8, linestyle=":", zorder=0)
            axes.plot([kink, kink], either, "o", color=look["color"], markerfacecolor="white")
            axes.plot([kink], here, "o", color=look["color"], markersize=4)


def _pieces(ends: tuple[float, float], kinks: Sequence[float]) -> Points:
    """Points from end to end; at each kink the curve is interrupted."""
    nearby = NEARBY * (ends[1] - ends[0])
    borders = [ends[0] - nearby, *sorted(kinks), ends[1] + nearby]
    pieces: list[Points] = []
    for left, right in pairwise(borders):
        pieces += [np.linspace(left + nearby, right - nearby, POINTS), np.array([np.nan])]
    return np.concatenate(pieces[:-1])


def _label(function: Function) -> str:
    call = f"{function.name}(z)"
    note = f", first of {COLUMN_LENGTH} entries, the others 0" if function.columnwise else ""
    if function.formula is None or text(function.formula) == call:
        return call + note
    return f"{call} = {_formula(function.formula)}{note}"


def _formula(formula: Expression) -> str:
    """A formula as mathematical text, or plain where Matplotlib cannot set it, as with cases."""
    written = f"${latex(formula)}$".replace(r"\frac", r"\dfrac")
    try:
        MathTextParser("path").parse(written)
    except ValueError:
        return text(formula)
    return written
