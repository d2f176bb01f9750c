"""The figure of a layer's local Jacobians: which entries are filled, and what they cost in memory.

A Jacobian is its pullback applied to unit gradients. So the filled entries come from the rule table
itself, and what a pullback has to keep (the symbols in it) is the Jacobian's compact form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from workbench.calculus.expressions import Expression, Kind, length, symbol, symbols_of
from workbench.calculus.pullbacks import gradients
from workbench.calculus.slopes import expand_primes
from workbench.core.evaluate import Array, evaluate
from workbench.derivation.network import Network
from workbench.derivation.system import Equation
from workbench.errors import InputError
from workbench.plotting.style import COLOURS, mathematical, style

WIDEST_DRAWN = 6
"""Layers wider than this are drawn at a smaller size, in proportion."""

ITEM_BYTES = 8
"""The memory of one float64."""

DRAWS = 32
"""An entry is filled if it is not zero at one of so many random points or their negatives."""

CELL = 0.13
"""The side of an entry in inches."""

PANEL_WIDTH = 2.6
MARGIN = 1.5
"""Inches for the texts above and below the patterns."""

UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")

Pattern = NDArray[np.bool_]


@dataclass(frozen=True)
class LocalJacobian:
    """One local Jacobian ∂of/∂by in denominator layout: rows run over `by`, columns over `of`.

    Attributes
    ----------
    of, by : the symbols.
    rows, columns : the real shape.
    kept : the symbols that the pullback needs, with their number of entries.
    pattern : which entries are filled, at the drawn size.
    """

    of: Expression
    by: Expression
    rows: int
    columns: int
    kept: Mapping[Expression, int]
    pattern: Pattern

    @property
    def dense_bytes(self) -> int:
        """The memory of all entries in float64."""
        return self.rows * self.columns * ITEM_BYTES

    @property
    def compact_bytes(self) -> int:
        """The memory of what the pullback keeps in float64."""
        return sum(self.kept.values()) * ITEM_BYTES


def local_jacobians(network: Network, layer: int) -> tuple[LocalJacobian, ...]:
    """∂x/∂z, ∂z/∂x and ∂z/∂vec W of one layer, counted from 1.

    No array of the network's real size is made.

    Raises
    ------
    InputError
        If the network has no such layer.
    """
    count = len(network.activations)
    if not 1 <= layer <= count:
        raise InputError(f"{network} has no layer {layer}; its layers are 1 to {count}")
    system = network.system()
    known = {known.symbol.name: known for known in system.symbols}
    weight, value = known[f"W{layer}"], known[f"x{layer - 1}"]
    affine, activated = (system.definitions[known[f"{name}{layer}"]] for name in "zx")
    sizes = drawn_sizes(network, layer)
    pairs = ((activated, affine.left), (affine, value), (affine, weight))
    return tuple(_local_jacobian(*pair, network.sizes, sizes) for pair in pairs)


def drawn_sizes(network: Network, layer: int) -> dict[str, int]:
    """The sizes at which a layer's patterns are drawn: the real ones, or less in proportion.

    >>> from workbench.calculus.functions import TANH
    >>> from workbench.derivation.network import PREDICTION, LossFunction
    >>> network = Network((64, 32), (TANH,), LossFunction("output", PREDICTION))
    >>> drawn_sizes(network, 1)
    {'m_0': 6, 'm_1': 3}
    """
    names = (f"m_{layer - 1}", f"m_{layer}")
    real = {name: network.sizes[name] for name in names}
    scale = max(1.0, max(real.values()) / WIDEST_DRAWN)
    return {name: max(min(width, 2), round(width / scale)) for name, width in real.items()}


def _local_jacobian(
    equation: Equation, by: Expression, real: Mapping[str, int], drawn: Mapping[str, int]
) -> LocalJacobian:
    seed = symbol("g", Kind.GRADIENT, equation.left.shape)
    (pulled,) = gradients(equation.right, [by], seed)
    pullback = expand_primes(pulled)
    needed = [needed for needed in symbols_of(pullback) if needed is not seed]
    return LocalJacobian(
        of=equation.left,
        by=by,
        rows=length(by).size(real),
        columns=length(equation.left).size(real),
        kept={needed: length(needed).size(real) for needed in needed},
        pattern=_pattern(pullback, seed, needed, drawn),
    )


def _pattern(
    pullback: Expression, seed: Expression, needed: list[Expression], sizes: Mapping[str, int]
) -> Pattern:
    """Which entries of the Jacobian are filled: its columns are the pullbacks of unit gradients."""
    units = np.eye(seed.shape[0].size(sizes))[:, :, None]
    environment: dict[Expression, Array] = {seed: units}
    generator = np.random.default_rng(0)
    for place in needed:
        rows, columns = (dimension.size(sizes) for dimension in place.shape)
        half = generator.normal(size=(DRAWS, 1, rows, columns))
        environment[place] = np.concatenate([half, -half])
    with np.errstate(all="ignore"):
        pulled = evaluate(pullback, environment, sizes)
    rows, columns = (dimension.size(sizes) for dimension in pullback.shape)
    shape = np.broadcast_shapes(pulled.shape, (1, len(units), rows, columns))
    filled = (np.broadcast_to(pulled, shape) != 0).any(axis=0)
    return np.asarray(filled.swapaxes(-1, -2).reshape(len(units), -1).T)


def jacobian_figure(network: Network, layer: int) -> Figure:
    """Draw the local Jacobians of one layer side by side, to one scale.

    >>> from workbench.calculus.functions import TANH
    >>> from workbench.derivation.network import PREDICTION, LossFunction
    >>> network = Network((3, 2), (TANH,), LossFunction("output", PREDICTION))
    >>> print(jacobian_figure(network, 1).axes[2].get_title())
    $\\partial z_{1} / \\partial \\mathrm{vec}\\,W_{1}$
    6 × 2
    dense 96 B
    compact 24 B ($x_{0}$)
    """
    jacobians = local_jacobians(network, layer)
    tallest = max(len(jacobian.pattern) for jacobian in jacobians)
    with style():
        size = (len(jacobians) * PANEL_WIDTH, tallest * CELL + MARGIN)
        figure = Figure(figsize=size)
        for axes, jacobian in zip(figure.subplots(1, len(jacobians)), jacobians, strict=True):
            _draw(axes, jacobian, tallest)
        before, after = network.widths[layer - 1 : layer + 1]
        name = network.activations[layer - 1].name
        figure.suptitle(f"Local Jacobians of layer {layer}: {before:,} → {after:,}, {name}")
        figure.supxlabel(_note(network, layer), fontsize=8)
    return figure


def _draw(axes: Axes, jacobian: LocalJacobian, tallest: int) -> None:
    columns = jacobian.pattern.shape[1]
    axes.pcolormesh(
        jacobian.pattern,
        cmap=ListedColormap(["white", COLOURS[0]]),
        vmin=0,
        vmax=1,
        edgecolors="lightgrey",
        linewidth=0.4,
    )
    half = PANEL_WIDTH / CELL / 2
    axes.set(
        xlim=(columns / 2 - half, columns / 2 + half), ylim=(tallest + 0.2, -0.2), aspect="equal"
    )
    axes.set_anchor("N")
    axes.axis("off")
    axes.set_title(title(jacobian), fontsize=10)


def title(jacobian: LocalJacobian) -> str:
    """Name a local Jacobian, with its real shape, its memory and what its compact form keeps."""
    vec = "" if jacobian.by.is_column else r"\mathrm{vec}\,"
    of, by = mathematical(jacobian.of), mathematical(jacobian.by)
    kept = ", ".join(f"${mathematical(kept)}$" for kept in jacobian.kept)
    return "\n".join(
        (
            rf"$\partial {of} / \partial {vec}{by}$",
            f"{jacobian.rows:,} × {jacobian.columns:,}",
            f"dense {memory(jacobian.dense_bytes)}",
            f"compact {memory(jacobian.compact_bytes)}" + (f" ({kept})" if kept else ""),
        )
    )


def memory(size: int) -> str:
    """A number of bytes in a unit that suits it.

    >>> memory(256), memory(8192), memory(8 * 10**12)
    ('256 B', '8 KiB', '7.3 TiB')
    """
    power = min((size.bit_length() - 1) // 10 if size else 0, len(UNITS) - 1)
    return f"{size / 1024**power:,.1f}".removesuffix(".0") + f" {UNITS[power]}"


def _note(network: Network, layer: int) -> str:
    note = "Denominator layout: a row for each entry of the variable. Memory in float64."
    drawn = tuple(drawn_sizes(network, layer).values())
    real = network.widths[layer - 1 : layer + 1]
    if drawn != real:
        note += (
            f"\nPatterns drawn for {drawn[0]} → {drawn[1]} instead of "
            f"{real[0]:,} → {real[1]:,}; shapes and memory are the real ones."
        )
    return note
