"""What training needs to know of a model: a network's or that of any equations with a scalar loss.

A file of equations says what one sample is worth; its batch form (`workbench.derivation.batching`)
is what a program computes. Equations with a size B are for a batch as they stand. What has no batch
form, such as attention, is computed sample by sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from math import isfinite, prod
from numbers import Real
from types import MappingProxyType
from typing import Any, TypeVar

from numpy.typing import NDArray

from workbench.calculus.algebra import spread
from workbench.calculus.expressions import (
    Expression,
    Kind,
    number,
    symbol,
)
from workbench.calculus.rewriting import substitute
from workbench.core.columns import ColumnAssignment, sample_shape
from workbench.core.prediction import prediction_of, with_prediction
from workbench.derivation.batching import (
    BatchFormError,
    batched,
    is_batch,
    require_scalar_loss,
    weights_of,
)
from workbench.derivation.naming import with_named_parts
from workbench.derivation.network import BATCH, TARGET, Network
from workbench.derivation.system import Equation, System
from workbench.errors import InputError, close_matches

Array = NDArray[Any]
Counted = TypeVar("Counted", float, Array)

EQUATIONS = "equations"
"""What stands in the place of a loss's name where the loss is an equation."""

NO_PREDICTION = (
    "nothing is predicted: every equation that depends on an input depends on a target; give the "
    "prediction an equation of its own, such as p = W x"
)


@dataclass(frozen=True)
class Part:
    """What one symbol takes of a sample's row of inputs, or of targets.

    Attributes
    ----------
    shape : that of one sample: (n,), () of a number, (d, n) of a matrix.
    columns : where its entries stand in the row, one after another.
    """

    symbol: Expression
    shape: tuple[int, ...]
    columns: slice

    def of(self, rows: Array) -> Array:
        """A view of the part of many rows, (samples, *shape).

        >>> import numpy as np
        >>> part = Part(number(0), (2,), slice(1, 3))
        >>> part.of(np.arange(8).reshape(2, 4))
        array([[1, 2],
               [5, 6]])
        """
        return rows[:, self.columns].reshape(len(rows), *self.shape)


@dataclass(frozen=True, eq=False)
class Trainable:
    """Equations with a loss, and how a table's columns go into them.

    Attributes
    ----------
    system : that of a batch; that of one sample if `is_batch` is false. Its sizes are known.
    inputs, targets : what each symbol takes of a row, in the order of declaration.
    input_columns : the names of the table's columns in the order in which the inputs take them;
        empty for the table's own order.
    parameters : the shapes of the arrays that training changes.
    output : what is predicted: what a target is subtracted from, else the last symbol before the
        loss that no target goes into; None if there is neither.
    weights : the weights of the samples (B×1) in a weighted loss.
    reduction : how the loss takes the samples of a batch together, "mean" or "sum".
    text : the network or the equations, as they were written.
    is_batch : whether the system is that of a batch.
    network : the network that it is, if it is one.
    """

    system: System
    inputs: tuple[Part, ...]
    targets: tuple[Part, ...]
    input_columns: tuple[str, ...]
    parameters: Mapping[str, tuple[int, ...]]
    output: Expression | None
    weights: Expression | None
    reduction: str
    text: str
    is_batch: bool = True
    network: Network | None = None

    @property
    def title(self) -> str:
        """What messages and programs call it."""
        return "the equations" if self.network is None else str(self.network)

    @property
    def loss(self) -> str:
        """The name of the loss."""
        return EQUATIONS if self.network is None else self.network.loss.name

    def require_prediction(self) -> None:
        """Refuse equations that predict nothing."""
        if self.output is None:
            raise InputError(NO_PREDICTION)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of one sample's prediction; that of no entry if there is none."""
        return (0,) if self.output is None else sample_shape(self.output, self.system.sizes)

    @property
    def outputs(self) -> int:
        """The number of entries of one sample's prediction."""
        return prod(self.output_shape)

    @property
    def input_width(self) -> int:
        """The number of columns that the inputs take."""
        return _width(self.inputs)

    @property
    def target_width(self) -> int:
        """The number of columns that the targets take."""
        return _width(self.targets)

    @property
    def meets_targets(self) -> bool:
        """Whether the prediction has an entry for each column of targets, to be held against it."""
        return self.outputs == self.target_width

    @property
    def uncompared(self) -> str | None:
        """Why no prediction is held against targets, so that the loss is all that can be told."""
        if self.output is None:
            return NO_PREDICTION
        if self.meets_targets:
            return None
        return (
            f"the prediction {self.output.symbol.name} and the targets of a sample have "
            f"{self.outputs} and {self.target_width} numbers, so the loss is all that is told"
        )

    def views(
        self, inputs: Array, targets: Array | None = None, weights: Array | None = None
    ) -> tuple[Array, ...]:
        """What a program takes, as views of many rows: inputs, targets, the weights if it has any.

        Parameters
        ----------
        inputs, targets : (samples, columns).
        weights : (samples,), what each sample counts in the loss.
        """
        views = [part.of(inputs) for part in self.inputs]
        if targets is not None:
            views += [part.of(targets) for part in self.targets]
        if targets is not None and self.weights is not None:
            assert weights is not None
            views.append(weights)
        return tuple(views)

    def shares(self, weights: Array) -> Array:
        """What each sample of a batch counts in the loss, from the weights w of all (samples,).

        In a mean that is w / Σ w, as in `torch.nn.CrossEntropyLoss`; in a sum it is w itself.
        """
        return weights / weights.sum() if self.reduction == "mean" else weights

    def loss_weight(self, counted: Counted) -> Counted | float:
        """What turns the loss of a batch into the sum over its samples.

        Parameters
        ----------
        counted : the number of samples, or the sum of their weights; of one batch or of several.

        >>> from workbench.api import network
        >>> trainable_network(network("2-1")).loss_weight(8)
        8
        """
        return counted if self.reduction == "mean" else 1.0


@lru_cache(maxsize=8)
def trainable_network(network: Network, *, weighted: bool = False) -> Trainable:
    """A network, as training sees it.

    >>> from workbench.plugins.build import build_network
    >>> from workbench.plugins.registry import load_registry
    >>> found = trainable_network(build_network("4-3-2", registry=load_registry()))
    >>> found.parameters["W1"], found.inputs[0].shape, found.outputs
    ((3, 4), (4,), 2)
    """
    reduction, single = network.loss.reduction, network.system()
    target = symbol(TARGET.symbol.name, Kind.TARGET, single.equations[-2].left.shape)
    listed = replace(single, listed=(*single.of_kind(Kind.INPUT), target))
    system = batched(listed, reduction=reduction, weighted=weighted)
    found = _trainable(system, (), reduction, str(network), weighted=weighted)
    return replace(found, network=network)


def as_trainable(model: Network | Trainable, *, weighted: bool = False) -> Trainable:
    """A model as training sees it, made from a network if it is one.

    Raises
    ------
    InputError
        If the samples have weights, and the model was made without.
    """
    found = trainable_network(model, weighted=weighted) if isinstance(model, Network) else model
    if weighted and found.is_batch and found.weights is None:
        raise InputError(f"{found.title}: made for samples without weights; expected weighted=True")
    return found


def trainable_equations(
    system: System,
    text: str,
    *,
    columns: Sequence[str],
    targets: int,
    chosen: Mapping[str, Sequence[str]] | None = None,
    sizes: Mapping[str, int] | None = None,
    values: Mapping[str, Fraction] | None = None,
    weighted: bool = False,
) -> Trainable:
    """Equations, as training sees them, with a table's columns for their inputs and targets.

    Parameters
    ----------
    system, text : the equations of one sample, or of a batch if a size is called B, and as they
        were written.
    columns : the names of the table's columns besides the targets.
    targets : the number of columns of targets, after classes have become one column each.
    chosen : the columns of inputs by name; the other inputs take the columns that are left, in
        order.
    sizes : of dimensions by name, where the table leaves them open.
    values : of inputs and targets that are the same for every sample; a vector has the value in
        every entry.
    weighted : whether the samples have weights.

    Raises
    ------
    InputError
        If a name is unknown, columns and sizes do not fit, or a size stays open; the message says
        which option settles it.

    >>> from workbench.api import equations
    >>> source = "target y : 1; parameter w : n; p = w' x; L = (p - y)^2 + c w' w"
    >>> names, values = ["height", "weight"], {"c": Fraction(1, 10)}
    >>> system = equations(source)
    >>> found = trainable_equations(system, source, columns=names, targets=1, values=values)
    >>> found.parameters["w"], found.inputs[0].columns
    ((2,), slice(0, 2, None))
    """
    require_scalar_loss(system)
    system = with_values(system, values or {})
    if prediction_of(system) is None:
        system = with_named_parts(system)
    system = with_prediction(system)
    table = ColumnAssignment(system, tuple(columns), targets, dict(chosen or {}))
    system = replace(system, sizes=table.solved(sizes or {}))
    ordered = table.ordered(system.sizes)
    if is_batch(system):
        if weighted:
            raise InputError(
                f"weights of samples need the equations of one sample; these are for a batch of "
                f"{BATCH!r}"
            )
        return _trainable(system, ordered, "mean", text)
    try:
        batch = batched(system, weighted=weighted)
    except BatchFormError:
        return _trainable(system, ordered, "mean", text, is_batch=False)
    return _trainable(batch, ordered, "mean", text, weighted=weighted)


def _trainable(
    system: System,
    input_columns: tuple[str, ...],
    reduction: str,
    text: str,
    *,
    weighted: bool = False,
    is_batch: bool = True,
) -> Trainable:
    weights = weights_of(system) if weighted else None
    targets = [target for target in system.of_kind(Kind.TARGET) if target is not weights]
    shapes = {p.symbol.name: sample_shape(p, system.sizes) for p in system.parameters}
    return Trainable(
        system,
        _parts(system.of_kind(Kind.INPUT), system.sizes),
        _parts(targets, system.sizes),
        input_columns,
        MappingProxyType(shapes),
        prediction_of(system),
        weights,
        reduction,
        text,
        is_batch,
    )


def _parts(symbols: Iterable[Expression], sizes: Mapping[str, int]) -> tuple[Part, ...]:
    """The parts of a row that symbols take one after another."""
    parts, start = [], 0
    for given in symbols:
        shape = sample_shape(given, sizes)
        parts.append(Part(given, shape, slice(start, start + prod(shape))))
        start += prod(shape)
    return tuple(parts)


def _width(parts: Sequence[Part]) -> int:
    return max((part.columns.stop for part in parts), default=0)


def exact_values(values: Mapping[str, float]) -> dict[str, Fraction]:
    """Values by name as the decimal fractions that they are written as.

    Raises
    ------
    InputError
        If one is no finite number.

    >>> exact_values({"lambda": 0.1})
    {'lambda': Fraction(1, 10)}
    """
    return {name: _exact_value(name, value) for name, value in values.items()}


def _exact_value(name: str, value: object) -> Fraction:
    try:
        if isinstance(value, Real) and isfinite(value):
            return Fraction(repr(float(value)))
    except OverflowError:
        pass
    raise InputError(f"the value of {name} is {value!s:.80}; expected a finite number")


def with_values(system: System, values: Mapping[str, Fraction]) -> System:
    """The system with numbers for what is the same for every sample.

    Raises
    ------
    InputError
        If a name is that of no input or target.

    >>> from workbench.api import equations
    >>> system = equations("input c : 1; parameter w : 2; L = c w' w")
    >>> with_values(system, {"c": Fraction(1, 2)}).of_kind(Kind.INPUT)
    ()
    """
    given = {s.symbol.name: s for s in system.of_kind(Kind.INPUT, Kind.TARGET)}
    for name in values:
        if name not in given:
            raise InputError(
                f"a value is given for {name!r}, which is no input; {close_matches(name, given)}"
            )
    put_in = {given[name]: spread(number(v), given[name].shape) for name, v in values.items()}
    equations = (Equation(e.left, substitute(e.right, put_in)) for e in system.equations)
    listed = tuple(s for s in system.listed if s not in put_in)
    return replace(system, equations=tuple(equations), listed=listed)
