"""Equations and the table that they are trained on, fitted to one another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from workbench.calculus.expressions import Kind, symbols_of
from workbench.core.columns import known_width
from workbench.core.data.dataset import Columns, Dataset
from workbench.core.samples import D, recognise_classes
from workbench.core.trainable import Trainable, exact_values, trainable_equations
from workbench.core.whole_numbers import whole_sizes
from workbench.derivation.system import System

ALIKE = 0.7
"""How like each other a name and a declared one are that may be its misspelling, from 0 to 1."""


@dataclass(frozen=True)
class Fitting:
    """Equations, and what is said of the columns that go into them.

    Attributes
    ----------
    system : the equations.
    sizes, inputs, values : as `sizes`, `chosen` and `values` of `trainable_equations`.
    """

    system: System
    sizes: Mapping[str, int] = field(default_factory=dict)
    inputs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)

    def fit(self, dataset: D, *, weighted: bool = False) -> tuple[Trainable, D]:
        """The model, and the data set with its columns in the order in which inputs take them.

        A column of numbers is taken as classes where the size of the targets shows that it is meant
        so.

        Raises
        ------
        InputError
            If columns and equations do not fit.
        """
        if (width := self._target_width) is not None:
            dataset = recognise_classes(width, dataset)
        model = self.model(dataset, weighted=weighted)
        return model, _with_inputs(dataset, model.input_columns)

    def model(self, columns: Columns, *, weighted: bool = False) -> Trainable:
        """The model for columns of these names, whose classes are known.

        >>> from workbench.api import equations
        >>> from workbench.core.data import Preparation
        >>> import numpy as np
        >>> text = "parameter W : k×n, b : k; target y : k; p = W x + b; L = ‖p − y‖²"
        >>> zero, one = np.zeros(2), np.ones(2)
        >>> columns = Preparation(zero, one, ("u", "v"), ("kind",), ("p", "q", "r"), True)
        >>> Fitting(equations(text)).model(columns).parameters["W"]
        (3, 2)
        """
        targets = len(columns.target_names)
        if columns.classes is not None:
            is_single = len(columns.classes) == 2 and self._target_width == 1
            targets = 1 if is_single else len(columns.classes)
        return trainable_equations(
            self.system,
            self.system.text,
            columns=columns.input_names,
            targets=targets,
            chosen=self.inputs,
            sizes=self.sizes,
            values=exact_values(self.values),
            weighted=weighted,
        )

    def doubts(self) -> Iterator[str]:
        """What may be a slip of the pen: an input that is not declared, a parameter without effect.

        >>> from workbench.api import equations
        >>> text = "target y : 1; parameter w, bias : 1; p = w' x + bais; L = (p - y)^2"
        >>> for doubt in Fitting(equations(text)).doubts():
        ...     print(doubt)
        bais is not declared, so it is an input and takes columns; did you mean bias?
        the loss does not depend on the parameter bias
        """
        system = self.system
        declared = [symbol.symbol.name for symbol in system.listed]
        is_listed = any(symbol.symbol.kind is Kind.INPUT for symbol in system.listed)
        for symbol in system.of_kind(Kind.INPUT):
            name = symbol.symbol.name
            if name in declared or name in self.inputs or name in self.values:
                continue
            near = get_close_matches(name, declared, n=1, cutoff=ALIKE)
            if near or is_listed:
                hint = f"; did you mean {near[0]}?" if near else ""
                yield f"{name} is not declared, so it is an input and takes columns{hint}"
        used = {part for equation in system.equations for part in symbols_of(equation.right)}
        for parameter in system.parameters:
            if parameter not in used:
                yield f"the loss does not depend on the parameter {parameter.symbol.name}"

    @property
    def _target_width(self) -> int | None:
        """The number of targets of a sample, where the equations and the sizes say it."""
        targets = [s for s in self.system.of_kind(Kind.TARGET) if s.symbol.name not in self.values]
        return known_width(targets, whole_sizes(self.sizes))


def _with_inputs(dataset: D, names: Sequence[str]) -> D:
    """The data set with these columns as inputs, in this order; the others are ignored."""
    if tuple(names) == dataset.input_names:
        return dataset
    places = [dataset.input_names.index(name) for name in names]
    unused = (name for name in dataset.input_names if name not in names)
    dataset = replace(
        dataset, input_names=tuple(names), ignored_names=(*dataset.ignored_names, *unused)
    )
    if isinstance(dataset, Dataset):
        return replace(dataset, inputs=dataset.inputs[:, places])
    return replace(dataset, inputs=tuple(dataset.inputs[place] for place in places))
