"""The figure of a trained network with two inputs: what it answers everywhere in their plane."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from workbench.core.data import Dataset, Preparation
from workbench.core.samples import chosen_classes
from workbench.errors import InputError
from workbench.plotting.style import (
    COLOURS,
    SEQUENTIAL,
    legend_below,
    plain,
    require_at_most,
    style,
)

POINTS = 201
"""How many points the plane has in each direction."""

DEVIATIONS = 2.5
"""How far the plane reaches from the mean of the training inputs, in standard deviations."""

MARGIN = 0.1
"""How far the plane reaches beyond the data points that are drawn, relative to their range."""

MOST_PANELS = 4

THRESHOLD = 0.5
"""Where a single output changes from the first class to the second."""

Array = NDArray[np.float64]
Predict = Callable[[Array], Array]


@dataclass(frozen=True)
class Plane:
    """A network's outputs over a rectangle of its two inputs.

    Attributes
    ----------
    extent : left, right, bottom, top, in the units of the data.
    outputs : (points up, points to the right, outputs).
    """

    extent: tuple[float, float, float, float]
    outputs: Array


def survey(predict: Predict, preparation: Preparation, data: Dataset | None = None) -> Plane:
    """Evaluate a network over the range of its training inputs, or of the data given.

    Parameters
    ----------
    predict : outputs (samples, outputs) for prepared inputs (samples, 2).

    Raises
    ------
    InputError
        If there are not exactly two inputs, or an output is not finite.
    """
    count = len(preparation.input_names)
    if count != 2:
        raise InputError(f"a boundary is drawn for two inputs; this run has {count}")
    low, high = _range(preparation, data)
    right, up = (np.linspace(low[place], high[place], POINTS) for place in range(2))
    grid = np.stack(np.meshgrid(right, up), axis=-1).reshape(-1, 2)
    outputs = np.asarray(predict(preparation.apply(grid)), dtype=float)
    if not np.isfinite(outputs).all():
        raise InputError("this run's outputs are not finite everywhere; train it again")
    extent = (float(low[0]), float(high[0]), float(low[1]), float(high[1]))
    return Plane(extent, outputs.reshape(POINTS, POINTS, -1))


def boundary_figure(
    predict: Predict, preparation: Preparation, data: Dataset | None = None
) -> Figure:
    """Draw the regions of the classes, or the outputs where there is one or they are numbers.

    Raises
    ------
    InputError
        If there are not exactly two inputs, or too many outputs or classes for one figure.

    >>> preparation = Preparation(np.zeros(2), np.ones(2), ("x", "y"), ("sum",), None, True)
    >>> figure = boundary_figure(lambda inputs: inputs.sum(axis=1, keepdims=True), preparation)
    >>> figure.axes[0].get_title()
    'sum'
    """
    plane = survey(predict, preparation, data)
    count = plane.outputs.shape[-1]
    with style():
        if preparation.classes is not None and count > 1:
            require_at_most(len(COLOURS), count, "classes")
            figure = Figure(figsize=(5.5, 5.0))
            _draw_regions(figure.add_subplot(), plane, preparation.classes)
        else:
            if count > MOST_PANELS:
                raise InputError(f"{count} outputs; at most {MOST_PANELS} fit on a figure")
            figure = Figure(figsize=(1.0 + 4.5 * count, 4.5))
            panels = figure.subplots(1, count, squeeze=False)[0]
            for place, (axes, title) in enumerate(zip(panels, _titles(preparation), strict=True)):
                _draw_output(figure, axes, plane, place, title)
                if preparation.classes is not None:
                    _draw_threshold(axes, plane)
        for axes in figure.axes[: count if preparation.classes is None else 1]:
            axes.set(xlabel=plain(preparation.input_names[0]))
            axes.set(ylabel=plain(preparation.input_names[1]))
            axes.grid(visible=False)
            if data is not None and preparation.classes is not None:
                _draw_classes(axes, data, preparation.classes)
            elif data is not None:
                _draw_numbers(axes, data, figure.axes.index(axes))
        if preparation.classes is not None:
            legend_below(figure, columns=4)
    return figure


def _range(preparation: Preparation, data: Dataset | None) -> tuple[Array, Array]:
    if data is None:
        reach = DEVIATIONS * preparation.scale
        return preparation.mean - reach, preparation.mean + reach
    low, high = data.inputs.min(axis=0), data.inputs.max(axis=0)
    reach = np.where(high > low, MARGIN * (high - low), 1.0)
    return low - reach, high + reach


def _titles(preparation: Preparation) -> tuple[str, ...]:
    if preparation.classes is None:
        return preparation.target_names
    return (f"output: {preparation.classes[1]} from {THRESHOLD}",)


def _draw_regions(axes: Axes, plane: Plane, classes: tuple[str, ...]) -> None:
    chosen = chosen_classes(plane.outputs.reshape(-1, len(classes))).reshape(POINTS, POINTS)
    axes.imshow(
        chosen,
        extent=plane.extent,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        cmap=ListedColormap(COLOURS[: len(classes)]),
        vmin=-0.5,
        vmax=len(classes) - 0.5,
        alpha=0.4,
    )
    for place, name in enumerate(classes):
        axes.plot([], [], "s", color=COLOURS[place], alpha=0.4, label=f"answers {plain(name)}")


def _draw_output(figure: Figure, axes: Axes, plane: Plane, place: int, title: str) -> None:
    image = axes.imshow(
        plane.outputs[:, :, place],
        extent=plane.extent,
        origin="lower",
        aspect="auto",
        cmap=SEQUENTIAL,
    )
    figure.colorbar(image, ax=axes)
    axes.set_title(plain(title))


def _draw_threshold(axes: Axes, plane: Plane) -> None:
    output = plane.outputs[:, :, 0]
    if output.min() < THRESHOLD <= output.max():
        left, right, bottom, top = plane.extent
        right_way, up = np.linspace(left, right, POINTS), np.linspace(bottom, top, POINTS)
        axes.contour(right_way, up, output, levels=[THRESHOLD], colors="white", linewidths=1.5)


def _draw_classes(axes: Axes, data: Dataset, classes: tuple[str, ...]) -> None:
    for place, name in enumerate(data.classes or ()):
        if name not in classes:
            known = ", ".join(classes)
            raise InputError(f"{data.source} has the class {name!r}; the run knows {known}")
        points = data.inputs[data.outcomes == place]
        colour = COLOURS[classes.index(name) % len(COLOURS)]
        label = f"is {plain(name)}"
        axes.plot(*points.T, "o", color=colour, markeredgecolor="white", label=label)


def _draw_numbers(axes: Axes, data: Dataset, place: int) -> None:
    """Draw the data in the colours of the outputs: where they agree, a point is hard to see."""
    low, high = axes.images[0].get_clim()
    axes.scatter(
        data.inputs[:, 0],
        data.inputs[:, 1],
        c=data.outcomes[:, place],
        vmin=low,
        vmax=high,
        cmap=SEQUENTIAL,
        edgecolors="white",
    )
