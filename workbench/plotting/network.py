"""The figure of a network: forward values in its neurons, weights and their gradients on its edges.

All numbers are read off the derivation: its equations forwards, then those of its backward pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from workbench.calculus.expressions import Kind
from workbench.core.evaluate import Array, evaluate
from workbench.core.initialisers import initialise
from workbench.core.samples import require_assumptions
from workbench.derivation.differentiate import derive
from workbench.derivation.network import Network
from workbench.errors import InputError, TooLargeError
from workbench.plotting.style import DIVERGING, GREY, style

MOST_NEURONS = 3
"""So many neurons of a layer are drawn, then an ellipsis; a layer with one more is drawn whole."""

MOST_LAYERS = 8

MOST_PARAMETERS = 10_000_000

SPACING, RADIUS, LABEL = 1.6, 0.42, 1.08
"""Inches between the neurons of a layer, a neuron's radius, and from a neuron to its labels."""

ELLIPSIS = 0.7
"""Where the ellipsis stands, in spacings below the last neuron that is drawn."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Pass:
    """One forward and one backward pass, by the names of the matrix form (`W1`, `z1`, `x1`, `L`).

    Attributes
    ----------
    values : every symbol of the system.
    gradients : ∂L/∂W and ∂L/∂b of every layer.
    """

    values: Mapping[str, Array]
    gradients: Mapping[str, Array]


def run_once(
    network: Network,
    inputs: Sequence[float] | None = None,
    target: Sequence[float] | None = None,
    seed: int = 0,
) -> Pass:
    """Evaluate the derivation of a network for one sample, with weights as training starts them.

    Without `inputs` they are drawn at random; without `target` it is 1 for the first output and 0
    for the others.

    Raises
    ------
    InputError
        If the inputs or targets are not finite or not as many as the network takes, or it is too
        large.

    >>> from workbench.calculus.matrices import total
    >>> from workbench.calculus.functions import TANH
    >>> from workbench.derivation.network import PREDICTION, LossFunction
    >>> once = run_once(Network((2, 1), (TANH,), LossFunction("sum", total(PREDICTION))), [0.5, 2])
    >>> slope = 1 - once.values["x1"] ** 2
    >>> bool(np.allclose(once.gradients["W1"], slope * [0.5, 2]))
    True
    """
    if network.parameter_count > MOST_PARAMETERS:
        raise TooLargeError(
            f"{network} has {network.parameter_count:,} parameters; "
            f"a figure of one pass is drawn for up to {MOST_PARAMETERS:,}"
        )
    if inputs is None:
        inputs = np.random.default_rng(seed).normal(size=network.widths[0]).round(2).tolist()
    if target is None:
        target = [1.0] + [0.0] * (network.widths[-1] - 1)
    require_assumptions(network, np.array([target], dtype=float), "--target")
    system = network.system()
    named: dict[str, Array] = {
        "x0": _column("inputs", inputs, network.widths[0]),
        "y": _column("targets", target, network.widths[-1]),
        **initialise(network, seed),
    }
    given = system.of_kind(Kind.INPUT, Kind.TARGET, Kind.PARAMETER)
    values = {symbol: named[symbol.symbol.name] for symbol in given}
    values = {s: value.reshape(len(value), -1) for s, value in values.items()}
    derivation = derive(system)
    for equation in (*system.equations, *derivation.backward):
        values[equation.left] = evaluate(equation.right, values, system.sizes)
    gradients = {
        parameter.symbol.name: evaluate(gradient, values, system.sizes)
        for parameter, gradient in derivation.gradients.items()
    }
    return Pass({symbol.symbol.name: values[symbol] for symbol in system.symbols}, gradients)


def _column(what: str, given: Sequence[float], width: int) -> Array:
    if len(given) != width:
        raise InputError(f"expected {what}: {width}, as the network has; given: {len(given)}")
    if not np.isfinite(given).all():
        raise InputError(f"{what} {', '.join(map(str, given))}: expected finite numbers")
    return np.array(given, dtype=float)


def network_figure(network: Network, once: Pass) -> Figure:
    """Draw a network with the numbers of one pass; wide layers by their first neurons.

    Raises
    ------
    InputError
        If the network has too many layers for one figure.

    >>> from workbench.calculus.matrices import total
    >>> from workbench.calculus.functions import TANH
    >>> from workbench.derivation.network import PREDICTION, LossFunction
    >>> network = Network((2, 1), (TANH,), LossFunction("sum", total(PREDICTION)))
    >>> len(network_figure(network, run_once(network)).axes[0].patches)
    3
    """
    count = len(network.activations)
    if count > MOST_LAYERS:
        raise InputError(f"a network of {count} layers; at most {MOST_LAYERS} fit on a figure")
    layers = _layers(network.widths)
    right, top = layers[-1].horizontal + 2.2, max(layer.position(0)[1] for layer in layers)
    with style():
        figure = Figure(figsize=(right + 0.8, 2 * top + 2.2))
        axes = figure.add_subplot()
        axes.set(xlim=(-0.8, right), ylim=(-top - 0.9, top + 0.5), aspect="equal")
        axes.axis("off")
        limit = _largest_gradient(once)
        colours = ScalarMappable(Normalize(-limit, limit), colormaps[DIVERGING])
        for place, (before, after) in enumerate(pairwise(layers), start=1):
            gradient = once.gradients[f"W{place}"]
            _draw_edges(axes, before, after, once.values[f"W{place}"], gradient, colours)
        for place, layer in enumerate(layers):
            _draw_layer(axes, layer, place, once)
        _draw_loss(axes, layers[-1], once)
        _explain_colours(figure, axes, colours, limit)
    return figure


@dataclass(frozen=True)
class _Layer:
    """Where a layer stands, and the numbers of its first neuron and first incoming weight."""

    horizontal: float
    width: int
    first_neuron: int
    first_weight: int

    @property
    def shown(self) -> int:
        return _shown(self.width)

    def position(self, place: float) -> Point:
        last = self.shown - 1 + (ELLIPSIS if self.shown < self.width else 0)
        return self.horizontal, SPACING * (last / 2 - place)


def _shown(width: int) -> int:
    return width if width <= MOST_NEURONS + 1 else MOST_NEURONS


def _layers(widths: Sequence[int]) -> list[_Layer]:
    """The layers from left to right, numbered through as in the scalar form; the input is x₀ …"""
    neurons = [0, 0, *accumulate(widths[1:])]
    weights = [0, 0, *accumulate(before * after for before, after in pairwise(widths))]
    gap = LABEL * (1 + max(map(_shown, widths[1:])))
    return [
        _Layer(max(gap, 3 * LABEL) * place, width, neurons[place], weights[place])
        for place, width in enumerate(widths)
    ]


def _largest_gradient(once: Pass) -> float:
    weights = (gradient for name, gradient in once.gradients.items() if name.startswith("W"))
    largest = max(float(abs(gradient).max()) for gradient in weights)
    return largest if 0 < largest < float("inf") else 1.0


def _explain_colours(figure: Figure, axes: Axes, colours: ScalarMappable, limit: float) -> None:
    figure.colorbar(
        colours,
        ax=axes,
        location="bottom",
        label=r"gradient $\partial L/\partial w$ (colour of the edges)",
        ticks=[-limit, 0, limit],
        format=lambda value, _: _text(value),
        fraction=0.05,
        aspect=40,
        shrink=0.5,
    )


def _draw_edges(
    axes: Axes,
    before: _Layer,
    after: _Layer,
    weights: Array,
    gradients: Array,
    colours: ScalarMappable,
) -> None:
    """Draw the edges between two layers; so far from their source, their labels are in line."""
    fraction = 1 / (after.shown + 1)
    for target in range(after.shown):
        for source in range(before.shown):
            start, end = before.position(source), after.position(target)
            number = after.first_weight + target * before.width + source
            gradient = gradients[target, source]
            line = [start[0], end[0]], [start[1], end[1]]
            axes.plot(*line, color=GREY, linewidth=2.6, zorder=1)
            axes.plot(*line, color=colours.to_rgba(gradient), linewidth=1.8, zorder=1)
            name = f"w_{{{number}}}"
            label = f"${name}$ = {_text(weights[target, source])}\n{_gradient(name, gradient)}"
            _write(axes, _between(start, end, fraction), label)


def _draw_layer(axes: Axes, layer: _Layer, place: int, once: Pass) -> None:
    for slot in range(layer.shown):
        position, number = layer.position(slot), layer.first_neuron + slot
        axes.add_patch(Circle(position, RADIUS, facecolor="white", edgecolor="black", zorder=2))
        value = _text(once.values[f"x{place}"][slot, 0])
        if place == 0:
            _write(axes, position, f"$x_{{{number}}}$ = {value}")
            continue
        before = _text(once.values[f"z{place}"][slot, 0])
        _write(axes, position, f"$z_{{{number}}}$ = {before}\n$a_{{{number}}}$ = {value}")
        bias, name = once.values[f"b{place}"][slot, 0], f"b_{{{number}}}"
        gradient = _gradient(name, once.gradients[f"b{place}"][slot, 0])
        beneath = position[0], position[1] - RADIUS - 0.16
        _write(axes, beneath, f"${name}$ = {_text(bias)}\n{gradient}")
    if layer.shown < layer.width:
        _write(
            axes,
            layer.position(layer.shown - 1 + ELLIPSIS),
            f"⋮\n{layer.width - layer.shown:,} more",
        )


def _draw_loss(axes: Axes, layer: _Layer, once: Pass) -> None:
    end = layer.horizontal + 1.6, 0.0
    targets = once.values.get("y")
    for slot in range(layer.shown):
        start = layer.position(slot)
        axes.plot([start[0], end[0]], [start[1], end[1]], color=GREY, linewidth=1, zorder=1)
        name = "y" if layer.width == 1 else f"y_{{{slot}}}"
        if targets is not None:
            label = f"${name}$ = {_text(targets[slot, 0])}"
            _write(axes, _between(start, end, 0.5), label)
    _write(axes, end, f"$L$ = {_text(once.values['L'][0, 0])}", fontsize=10)


def _between(start: Point, end: Point, fraction: float) -> Point:
    return (
        start[0] + fraction * (end[0] - start[0]),
        start[1] + fraction * (end[1] - start[1]),
    )


def _gradient(name: str, value: float) -> str:
    return rf"$\partial L/\partial {name}$ = {_text(value)}"


def _text(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")


def _write(axes: Axes, position: Point, text: str, fontsize: float = 7.5) -> None:
    background = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
    axes.text(
        *position, text, fontsize=fontsize, ha="center", va="center", bbox=background, zorder=3
    )
