"""What the formats that are Python source share: the forward pass as code, and numbers as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.core.emit.code import WIDTH
from workbench.core.emit.languages import Arrays
from workbench.core.emit.lowered import Lowered, docstring
from workbench.core.emit.names import Names
from workbench.core.export.forward import Trained

MOST_EMBEDDED = 10_000
"""The numbers that a source holds in itself; more stand in a file beside it."""


class ForwardCode(Lowered):
    """The preparation and the forward pass of a model in a language.

    Attributes
    ----------
    given : the variable of the inputs, a sample a column.
    """

    def __init__(self, trained: Trained, language: Arrays, taken: tuple[str, ...]) -> None:
        names = Names(*taken)
        tasks = (*trained.preparing, *trained.layers)
        symbols = [
            *trained.parameters_of(trained.layers),
            *trained.parameters_of(trained.preparing),
        ]
        arguments = {symbol: names.new(symbol.symbol.name) for symbol in symbols}
        arguments[trained.given] = self.given = names.new(trained.given.symbol.name)
        sizes = trained.model.system.sizes
        super().__init__(arguments, tasks, sizes, language, names, indent=4)
        self._trained = trained
        self._prepared = len([line for line in self.lines if line.task in trained.preparing])

    def body_lines(self, indent: int, cast: str) -> list[str]:
        """All lines; `cast` turns the prepared inputs into the type of the model."""
        preparing, layers = self.lines[: self._prepared], self.lines[self._prepared :]
        return [
            *self.size_lines(self.lines, indent),
            *self.body(preparing, indent),
            *(f"{' ' * indent}{line.name} = {line.name}{cast}" for line in preparing[-1:]),
            *self.body(layers, indent),
        ]

    @property
    def like(self) -> str:
        """The variable of a parameter, whose type the model's numbers have."""
        return next(iter(self.arguments.values()))

    @property
    def output(self) -> str:
        """The variable of the outputs, a sample a column."""
        return self.name_of(self._trained.layers[-1].equation.left)

    @property
    def arrays(self) -> Mapping[str, str]:
        """For each of the trained arrays, its variable."""
        return {s.symbol.name: v for s, v in self.arguments.items() if v != self.given}


def module_head(
    trained: Trained, package: str, imports: Sequence[str], *, uses_math: bool, embedded: bool
) -> list[str]:
    """The lines with which a source begins: what it is, its imports, and the names of columns.

    Parameters
    ----------
    package : what it computes in.
    embedded : whether it holds the parameters itself.
    """
    standard = [
        *(["import math"] if uses_math else []),
        *([] if embedded else ["from pathlib import Path"]),
    ]
    return [
        *docstring(
            f"{trained.title} as training left it, in {package} alone.",
            [["A batch has a sample a row; in the formulas a sample is a column."]],
            0,
        ),
        "",
        *([*standard, ""] if standard else []),
        *imports,
        "",
        *_names_of_columns(trained),
        "",
        "",
    ]


def predict_docstring(trained: Trained, indent: int) -> list[str]:
    """What the function of a source gives for what."""
    first, last = trained.model.input_width, trained.model.outputs
    what = f"The outputs (samples, {last}) for inputs (samples, {first}) as they are in the data."
    gaps = "A missing input is NaN, for which alone X ≥ X does not hold."
    return docstring(what, [[gaps]] if trained.preparation.fill is not None else [], indent)


def _names_of_columns(trained: Trained) -> list[str]:
    """Lines that define the names of inputs, targets and classes."""
    lines = []
    for name, value in trained.description.items():
        if not isinstance(value, str):
            lines += [f"{name.upper()} = [", *_filled(map(repr, value), 4), "]"]
    return lines


def number_lines(array: NDArray[Any], indent: int) -> list[str]:
    """A number, a vector or a matrix as lines of Python that give back its very bits.

    >>> number_lines(np.array([[0.5, 1.0], [2.0, 3.0]]), 0)
    ['[', '    [0.5, 1.0],', '    [2.0, 3.0],', '],']
    """
    write = "{:.9g}".format if array.dtype == np.float32 else repr
    margin = " " * indent
    if array.ndim == 0:
        return [f"{margin}{write(array.item())},"]
    if array.ndim == 1:
        return [f"{margin}[", *_filled(map(write, array.tolist()), indent + 4), f"{margin}],"]
    lines = []
    for row in array.tolist():
        *others, last = map(write, row)
        first, *others = [*others, f"{last}]"]
        lines += _filled([f"[{first}", *others], indent + 4)
    return [f"{margin}[", *lines, f"{margin}],"]


def _filled(items: Iterable[str], indent: int) -> list[str]:
    """Items, a comma after each, in as few lines as they take."""
    lines = [" " * indent]
    for item in items:
        if len(lines[-1]) + len(item) + 2 > WIDTH and lines[-1].strip():
            lines.append(" " * indent)
        lines[-1] += f"{' ' if lines[-1].strip() else ''}{item},"
    return lines
