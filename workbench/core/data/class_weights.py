"""Weights of classes, for data that have many samples of one and few of another."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from workbench.core.data.stored_dataset import AnyDataset
from workbench.core.data.table import Matrix
from workbench.errors import InputError, close_matches

BALANCED = "balanced"

LARGEST = 1e9
"""No class counts so much more than another."""


def class_weights(data: AnyDataset, weights: str | Mapping[str, float]) -> Matrix:
    """Return how much a sample of each class counts (classes,).

    `"balanced"` gives n / (k · n_c) to each of k classes with n_c of n samples, so that all
    classes count the same (King and Zeng, "Logistic Regression in Rare Events Data", 2001). A
    mapping gives weights by name; a class that it does not name has weight 1.

    Raises
    ------
    InputError
        If the data hold no classes, or a weight is of no class or not a number above 0.

    >>> from workbench.core.data import Dataset
    >>> labels = np.array([0, 0, 0, 1])
    >>> data = Dataset(np.zeros((4, 1)), labels, ("x",), ("y",), ("no", "yes"), "data.csv", True)
    >>> class_weights(data, "balanced"), class_weights(data, {"yes": 3})
    (array([0.66666667, 2.        ]), array([1., 3.]))
    """
    if data.classes is None:
        raise InputError(
            f"class weights, but the target {', '.join(map(repr, data.target_names))} of "
            f"{data.source} holds numbers; leave them out"
        )
    if isinstance(weights, str):
        return _balanced(data, weights)
    for name, weight in weights.items():
        if name not in data.classes:
            hint = close_matches(name, data.classes)
            raise InputError(f"a weight for {name!r}, which is no class of {data.source}; {hint}")
        if not 0 < weight <= LARGEST:
            raise InputError(
                f"weight {weight:g} of class {name!r}; expected a number above 0, at most "
                f"{LARGEST:g}"
            )
    return np.array([weights.get(name, 1.0) for name in data.classes])


def _balanced(data: AnyDataset, choice: str) -> Matrix:
    if choice != BALANCED:
        raise InputError(
            f"unknown class weights {choice!r}; expected {BALANCED!r}, or a number for each class"
        )
    counts = data.class_counts
    names = data.classes or ()
    if not counts.all():
        raise InputError(
            f"{data.source}: class {names[int(counts.argmin())]!r} has no sample in the training "
            "part, so nothing balances it; give a weight for each class, or stratify the split"
        )
    return np.asarray(counts.sum() / (len(counts) * counts))
