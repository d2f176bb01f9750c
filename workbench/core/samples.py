"""Samples: data sets as the arrays that go into programs, once they fit the network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from workbench.calculus.functions import COLUMN_SIZE, VARIABLE
from workbench.core.data.dataset import Dataset, one_hot
from workbench.core.data.preparation import Preparation
from workbench.core.evaluate import evaluate
from workbench.derivation.network import TARGET, LossFunction, Network
from workbench.errors import InputError

Array = NDArray[Any]


class Samples(NamedTuple):
    """Inputs (samples, features) and targets (samples, outputs), row by row in memory."""

    inputs: Array
    targets: Array

    def shuffle_into(self, other: Samples, order: NDArray[np.intp]) -> None:
        """Copy the samples in another order into arrays of the same shapes.

        >>> samples = Samples(np.array([[1.0], [2.0]]), np.array([[3.0], [4.0]]))
        >>> other = Samples(np.empty((2, 1)), np.empty((2, 1)))
        >>> samples.shuffle_into(other, np.array([1, 0]))
        >>> other.inputs.T, other.targets.T
        (array([[2., 1.]]), array([[4., 3.]]))
        """
        for source, destination in zip(self, other, strict=True):
            np.take(source, order, axis=0, out=destination, mode="clip")

    def batches(self, size: int) -> Iterator[Samples]:
        """Views of `size` samples at a time, the last of what is left.

        >>> samples = Samples(np.zeros((5, 3)), np.zeros((5, 1)))
        >>> [batch.inputs.shape for batch in samples.batches(2)]
        [(2, 3), (2, 3), (1, 3)]
        """
        for start in range(0, len(self.inputs), size):
            end = start + size
            yield Samples(self.inputs[start:end], self.targets[start:end])


def recognise_classes(network: Network, dataset: Dataset) -> Dataset:
    """Take one column of numbers as classes where the network shows that they are meant so.

    It does with one output for each of the column's values, or one output for values 0 and 1.
    """
    values = np.unique(dataset.targets)
    outputs = network.widths[-1]
    meant = outputs == len(values) > 1 or (outputs == 1 and values.tolist() == [0, 1])
    if dataset.classes is not None or dataset.targets.shape[1] != 1 or not meant:
        return dataset
    labels = [str(value).removesuffix(".0") for value in dataset.targets[:, 0].tolist()]
    targets, classes = one_hot(labels, dataset.source)
    return replace(dataset, targets=targets, classes=classes)


def require_fit(network: Network, dataset: Dataset) -> None:
    """Refuse a data set whose inputs, targets or classes are not what the network takes."""
    features = dataset.inputs.shape[1]
    if features != network.widths[0]:
        raise InputError(
            f"the network {network} has {_count(network.widths[0], 'input')}, {dataset.source} has "
            f"{_count(features, 'column')} besides the target "
            f"{', '.join(map(repr, dataset.target_names))}; begin the network with {features}"
        )
    outputs = network.widths[-1]
    if dataset.classes is not None:
        if outputs != len(dataset.classes) and not (outputs == 1 and len(dataset.classes) == 2):
            _refuse_classes(network, dataset, dataset.classes)
    elif outputs != dataset.targets.shape[1]:
        _refuse_numbers(network, dataset)


def prepare(
    network: Network, dataset: Dataset, preparation: Preparation, dtype: DTypeLike
) -> Samples:
    """Return the samples of a data set that fits, prepared and of the type given.

    Classes become one output each, or one output of 0 and 1 where the network has only one.
    """
    targets = dataset.targets
    if dataset.classes is not None and network.widths[-1] == 1:
        targets = targets[:, 1:]
    require_assumptions(network.loss, targets, dataset.source)
    inputs = preparation.apply(dataset.inputs)
    return Samples(
        _converted(inputs, dtype, dataset.input_names, dataset.source),
        _converted(targets, dtype, dataset.target_names, dataset.source),
    )


def out_of_reach(network: Network, dataset: Dataset) -> str | None:
    """Say so if numbers are to be learnt that the last activation never gives.

    >>> from workbench.api import network
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
    least, most = dataset.targets.min(), dataset.targets.max()
    if not finite.size or (least >= finite.min() - 1e-3 and most <= finite.max() + 1e-3):
        return None
    return (
        f"the targets go from {least:g} to {most:g}, but {function.name} gives {finite.min():g} to "
        f"{finite.max():g}; end the network with {network.widths[-1]}:identity"
    )


def accuracy(outputs: Array, targets: Array) -> float:
    """Return the share of samples whose class is right, from two arrays (samples, outputs).

    The class is that of the largest output; a single output means class 1 from 0.5 on.

    >>> accuracy(np.array([[0.7, 0.3], [0.2, 0.8]]), np.array([[1.0, 0.0], [1.0, 0.0]]))
    0.5
    """
    return float(np.mean(chosen_classes(outputs) == chosen_classes(targets)))


def chosen_classes(outputs: Array) -> NDArray[np.intp]:
    """Return the number of each sample's class (samples,) from outputs (samples, outputs).

    >>> chosen_classes(np.array([[0.2], [0.5]]))
    array([0, 1])
    """
    if outputs.shape[1] == 1:
        return (outputs[:, 0] >= 0.5).astype(np.intp)
    return np.asarray(outputs.argmax(axis=1))


def _refuse_classes(network: Network, dataset: Dataset, classes: tuple[str, ...]) -> None:
    shown = ", ".join(classes[:3]) + (", …" if len(classes) > 3 else "")
    one = ", or with 1 for the probability of the second" if len(classes) == 2 else ""
    raise InputError(
        f"the network {network} has {_count(network.widths[-1], 'output')}, the target "
        f"{dataset.target_names[0]!r} of {dataset.source} has {len(classes)} classes ({shown}); "
        f"end the network with {len(classes)}{one}"
    )


def _refuse_numbers(network: Network, dataset: Dataset) -> None:
    names = ", ".join(map(repr, dataset.target_names))
    columns = dataset.targets.shape[1]
    values = len(np.unique(dataset.targets))
    classes = f", or with {values} if its {values} values are classes" if columns == 1 else ""
    raise InputError(
        f"the network {network} has {_count(network.widths[-1], 'output')}, {dataset.source} has "
        f"{_count(columns, 'column')} of numbers as target ({names}); end the network with "
        f"{columns}{classes}"
    )


def require_assumptions(loss: LossFunction, targets: Array, source: str) -> None:
    """Refuse targets (samples, outputs) for which the loss's gradient would not be true."""
    columns = {TARGET: targets[:, :, np.newaxis]}
    sizes = {COLUMN_SIZE.names[0]: targets.shape[1]}
    for sides in loss.assumptions:
        left, right = (evaluate(side, columns, sizes) for side in sides)
        broken = np.flatnonzero(np.abs(left - right).max(axis=(-2, -1)) > 1e-6)
        if broken.size:
            raise InputError(
                f"the loss {loss.name} does not fit the targets of {source}, such as "
                f"{targets[broken[0]].tolist()}: it is for classes with one output each, that is "
                "targets that sum to 1; use another loss, or as many outputs as classes"
            )


def _converted(values: Array, dtype: DTypeLike, names: tuple[str, ...], source: str) -> Array:
    """The values (samples, columns) in another type, refused where that makes them infinite."""
    with np.errstate(over="ignore"):
        converted = np.ascontiguousarray(values, dtype)
    finite = np.isfinite(converted).all(axis=0)
    if not finite.all():
        column = int(np.argmin(finite))
        name = names[column] if column < len(names) else names[0]
        raise InputError(
            f"{source}: column {name!r} has values that are not finite in {np.dtype(dtype)}; "
            "rescale or drop them"
        )
    return converted


def _count(number: int, noun: str) -> str:
    """Word a count.

    >>> _count(1, "input"), _count(64, "input")
    ('1 input', '64 inputs')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
