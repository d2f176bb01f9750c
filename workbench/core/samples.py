"""Samples: data sets as the arrays that go into programs, once they fit the model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from workbench.calculus.functions import VARIABLE
from workbench.core.data.preparation import Preparation
from workbench.core.data.sources import Conversion, SampleSource, open_source
from workbench.core.data.stored_dataset import (
    AnyDataset,
    StoredDataset,
    distinct_values,
    filled_chunks,
)
from workbench.core.evaluate import evaluate
from workbench.core.trainable import Trainable, as_trainable
from workbench.derivation.network import BATCH, Network
from workbench.errors import InputError
from workbench.notation.text import text

Array = NDArray[Any]
D = TypeVar("D", bound=AnyDataset)

MOST_VALUES = 1000
"""So many different targets at most may be meant as classes."""


def recognise_classes(outputs: int, dataset: D) -> D:
    """Take one column of numbers as classes where the model's outputs show that they are meant so.

    They do with one output for each of the column's values, or one output for values 0 and 1.
    """
    if dataset.classes is not None or len(dataset.target_names) != 1:
        return dataset
    values = distinct_values(dataset, max(2, outputs))
    if values is None or not (
        outputs == len(values) > 1 or (outputs == 1 and values.tolist() == [0, 1])
    ):
        return dataset
    classes = tuple(str(value).removesuffix(".0") for value in values.tolist())
    if isinstance(dataset, StoredDataset):
        return replace(dataset, classes=classes, class_values=values)
    return replace(
        dataset, outcomes=np.searchsorted(values, dataset.outcomes[:, 0]), classes=classes
    )


def require_fit(model: Network | Trainable, dataset: AnyDataset) -> None:
    """Refuse a data set whose inputs, targets or classes are not what the model takes."""
    model = as_trainable(model)
    features = len(dataset.input_names)
    if features != model.input_width:
        raise InputError(
            f"{_has(model, model.input_width, 'input')}, {dataset.source} has "
            f"{_count(features, 'column')} besides the target "
            f"{', '.join(map(repr, dataset.target_names))}{_way_out(model, 'begin', features)}"
        )
    outputs = model.target_width
    if dataset.classes is not None:
        if outputs != len(dataset.classes) and not (outputs == 1 and len(dataset.classes) == 2):
            _refuse_classes(model, dataset, dataset.classes)
    elif outputs != len(dataset.target_names):
        _refuse_numbers(model, dataset)


def sample_source(
    model: Network | Trainable,
    dataset: AnyDataset,
    preparation: Preparation,
    dtype: DTypeLike,
    *,
    seed: int = 0,
    class_weights: Array | None = None,
) -> SampleSource:
    """Return what gives a data set that fits the model, prepared and in the type given.

    Classes become one output each, or one output of 0 and 1 where the network has only one.

    Raises
    ------
    InputError
        If the targets are not what the loss takes, or a number is not finite in the type.
    """
    model = as_trainable(model)
    conversion = Conversion(dataset, preparation, dtype, model.target_width, class_weights)
    if model.system.assumptions:
        for targets in _targets(dataset, model.target_width):
            require_assumptions(model, targets, dataset.source)
    return open_source(conversion, seed)


def out_of_reach(network: Network, dataset: AnyDataset) -> str | None:
    """Say so if numbers are to be learnt that the last activation never gives.

    >>> from workbench.api import network
    >>> from workbench.core.data import Dataset
    >>> targets = np.array([[12.0], [30.0]])
    >>> prices = Dataset(np.zeros((2, 1)), targets, ("size",), ("price",), None, "d.csv", True)
    >>> out_of_reach(network("1-1:tanh"), prices)
    'the targets go from 12 to 30, but tanh gives -1 to 1; end the network with 1:identity'
    """
    function = network.activations[-1]
    if dataset.classes is not None or function.columnwise or function.formula is None:
        return None
    with np.errstate(all="ignore"):
        points = np.concatenate([np.linspace(-100, 100, 2001), [-1e9, 1e9]])
        values = evaluate(function.formula, {VARIABLE: points})
    finite = values[np.isfinite(values)]
    ranges = [(chunk.outcomes.min(), chunk.outcomes.max()) for chunk in filled_chunks(dataset)]
    least, most = min(low for low, _ in ranges), max(high for _, high in ranges)
    if not finite.size or (least >= finite.min() - 1e-3 and most <= finite.max() + 1e-3):
        return None
    return (
        f"the targets go from {least:g} to {most:g}, but {function.name} gives {finite.min():g} to "
        f"{finite.max():g}; end the network with {network.widths[-1]}:identity"
    )


def _targets(dataset: AnyDataset, outputs: int) -> Iterator[Array]:
    """The different targets of classes, or all targets, some at a time."""
    if dataset.classes is None:
        yield from (chunk.outcomes for chunk in dataset.chunks())
    elif outputs == 1:
        yield np.array([[0.0], [1.0]])
    else:
        yield np.eye(outputs)


def chosen_classes(outputs: Array) -> NDArray[np.intp]:
    """Return the place of each sample's class (samples,) from outputs (samples, outputs).

    The class is that of the largest output; a single output means class 1 from 0.5 on.

    >>> chosen_classes(np.array([[0.2], [0.5]]))
    array([0, 1])
    """
    if outputs.shape[1] == 1:
        return (outputs[:, 0] >= 0.5).astype(np.intp)
    return np.asarray(outputs.argmax(axis=1))


def _refuse_classes(model: Trainable, dataset: AnyDataset, classes: tuple[str, ...]) -> None:
    shown = ", ".join(classes[:3]) + (", …" if len(classes) > 3 else "")
    one = ", or with 1 for the probability of the second" if len(classes) == 2 else ""
    raise InputError(
        f"{_has(model, model.target_width, 'output')}, the target "
        f"{dataset.target_names[0]!r} of {dataset.source} has {len(classes)} classes ({shown})"
        f"{_way_out(model, 'end', len(classes), one)}"
    )


def _refuse_numbers(model: Trainable, dataset: AnyDataset) -> None:
    names = ", ".join(map(repr, dataset.target_names))
    columns = len(dataset.target_names)
    values = distinct_values(dataset, MOST_VALUES) if columns == 1 else None
    if values is None:
        more = ""
    elif len(values) == 1:
        more = f"; every value of that column is {values[0]:g}"
    else:
        more = f", or with {len(values)} if its {len(values)} values are classes"
    raise InputError(
        f"{_has(model, model.target_width, 'output')}, {dataset.source} has "
        f"{_count(columns, 'column')} of numbers as target ({names})"
        f"{_way_out(model, 'end', columns, more)}"
    )


def require_assumptions(model: Network | Trainable, targets: Array, source: str) -> None:
    """Refuse targets (samples, outputs) for which the loss's gradient would not be true."""
    model = as_trainable(model)
    sizes = {**model.system.sizes, BATCH.names[0]: 1}
    columns = {
        part.symbol: part.of(targets).reshape(-1, *(d.size(sizes) for d in part.symbol.shape))
        for part in model.targets
    }
    for sides in model.system.assumptions:
        left, right = (evaluate(side, columns, sizes) for side in sides)
        broken = np.flatnonzero(np.abs(left - right).max(axis=(-2, -1)) > 1e-6)
        if broken.size:
            reason = f"the equations assume {' = '.join(map(text, sides))}"
            if model.network is not None:
                reason = (
                    "it is for classes with one output each, that is targets that sum to 1; use "
                    "another loss, or as many outputs as classes"
                )
            raise InputError(
                f"the loss {model.loss} does not fit the targets of {source}, such as "
                f"{targets[broken[0]].tolist()}: {reason}"
            )


def _has(model: Trainable, number: int, noun: str) -> str:
    """Say how many of something a model has."""
    subject = "the equations have" if model.network is None else f"the network {model.network} has"
    return f"{subject} {_count(number, noun)}"


def _way_out(model: Trainable, verb: str, width: int, more: str = "") -> str:
    """Say which width a network should begin or end with."""
    return "" if model.network is None else f"; {verb} the network with {width}{more}"


def _count(number: int, noun: str) -> str:
    """Word a count.

    >>> _count(1, "input"), _count(64, "input")
    ('1 input', '64 inputs')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
