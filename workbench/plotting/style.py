"""What all figures share: fonts, lines and colours that colour-blind readers can tell apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypedDict

import matplotlib
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from workbench.calculus.expressions import Expression
from workbench.errors import InputError

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""The colours of Okabe and Ito, without the yellow that is hard to see on white."""

SEQUENTIAL = "cividis"
DIVERGING = "PuOr"
"""Colour maps for values that grow from one end, and for values with a sign."""

GREY = "#777777"

_LINES = ("-", "--", "-.", ":")

MOST_CURVES = len(_LINES) * len(COLOURS)
"""So many curves differ in their colour or their line."""

_SETTINGS: Mapping[Any, Any] = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "figure.dpi": 150,
    "font.family": "DejaVu Sans",
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "lines.markersize": 4,
    "mathtext.fontset": "dejavusans",
    "savefig.dpi": 150,
    "svg.fonttype": "path",
    "svg.hashsalt": "workbench",
}


@contextmanager
def style() -> Iterator[None]:
    """Draw within this, and a figure looks the same whatever the user's own settings are.

    >>> with style():
    ...     matplotlib.rcParams["svg.hashsalt"]
    'workbench'
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


class CurveStyle(TypedDict):
    """What tells one curve from another."""

    color: str
    linestyle: str


def curve_style(index: int) -> CurveStyle:
    """The colour and line of the n-th curve: colours first, then other lines.

    >>> curve_style(0) == {"color": "#0072B2", "linestyle": "-"}
    True
    >>> curve_style(7)["linestyle"]
    '--'
    """
    turn, place = divmod(index, len(COLOURS))
    return {"color": COLOURS[place], "linestyle": _LINES[turn % len(_LINES)]}


def require_at_most(most: int, count: int, what: str) -> None:
    """Refuse more curves than can be told apart.

    >>> require_at_most(7, 30, "runs")
    Traceback (most recent call last):
        ...
    workbench.errors.InputError: 30 runs on one figure cannot be told apart; give at most 7
    """
    if count > most:
        raise InputError(f"{count} {what} on one figure cannot be told apart; give at most {most}")


def legend_below(figure: Figure, columns: int) -> None:
    """Name the labelled curves of all axes once, below them."""
    entries: dict[str, Artist] = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        for handle, label in zip(handles, labels, strict=True):
            entries.setdefault(str(label), handle)
    figure.legend(
        list(entries.values()),
        list(entries),
        loc="outside lower center",
        ncols=min(columns, max(1, len(entries))),
    )


def plain(text: str) -> str:
    """A text of the user's as it stands: a $ in it begins no mathematics.

    >>> print(plain("price in $"))
    price in \\$
    """
    return text.replace("$", r"\$")


def mathematical(symbol: Expression) -> str:
    """A symbol as mathematical text: W1 is W with the index 1.

    >>> from workbench.calculus.expressions import Kind, symbol
    >>> mathematical(symbol("W12", Kind.PARAMETER))
    'W_{12}'
    """
    name = symbol.symbol.name
    letter = name.rstrip("0123456789")
    return letter if letter == name else f"{letter}_{{{name.removeprefix(letter)}}}"
