"""Parts of a data set: for training, for validation and for a test at the end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from workbench.core.data.dataset import Dataset
from workbench.core.data.stored_dataset import AnyDataset, StoredDataset
from workbench.errors import InputError

D = TypeVar("D", bound=AnyDataset)

TRAINING, VALIDATION, TEST = 0, 1, 2

STREAM = 1
"""The stream of random numbers that splits what is too large to be shuffled at once."""


class Parts(NamedTuple, Generic[D]):
    """Three parts of one data set, which may be empty but for the first."""

    train: D
    validation: D
    test: D


def split(
    dataset: D,
    validation: float = 0.0,
    seed: int = 0,
    *,
    test: float = 0.0,
    stratify: bool = True,
) -> Parts[D]:
    """Return parts for training, validation and test, shuffled by the seed.

    The validation part takes its share of all samples, rounded, and with `stratify` of each class
    within one sample; the test part of each class within one sample too. A data set that is not in
    memory is split as it is read, each class within two samples of its share.

    Raises
    ------
    InputError
        If the shares are no shares, or leave a part without a sample.
    """
    _require_shares(validation, test)
    parts = _divide(dataset, validation, test, seed, stratify=stratify)
    needed = (1, validation, test)
    if any(share > 0 and not len(part) for share, part in zip(needed, parts, strict=True)):
        also, tested = "", ""
        if test:
            also, tested = f" and a test share of {test:g}", f" and {len(parts.test)} to test"
        raise InputError(
            f"a validation share of {validation:g}{also} of {len(dataset)} samples leaves "
            f"{len(parts.train)} to train and {len(parts.validation)} to validate{tested}; "
            "expected at least one each; use another share, or 0"
        )
    return parts


def _require_shares(validation: float, test: float) -> None:
    for name, share in (("validation", validation), ("test", test)):
        if not 0 <= share < 1:
            raise InputError(
                f"{name} share {share:g}; expected a number from 0 up to, not including, 1"
            )
    if validation + test >= 1:
        raise InputError(
            f"shares of {validation:g} for validation and {test:g} for the test leave nothing to "
            "train; expected a sum below 1"
        )


def _divide(
    dataset: AnyDataset, validation: float, test: float, seed: int, *, stratify: bool
) -> Parts[Any]:
    if isinstance(dataset, StoredDataset):
        return _split_stored(dataset, validation, test, seed, stratify=stratify)
    return _split_in_memory(dataset, validation, test, seed, stratify=stratify)


def _split_in_memory(
    dataset: Dataset, validation: float, test: float, seed: int, *, stratify: bool
) -> Parts[Dataset]:
    order = np.random.default_rng(seed).permutation(len(dataset))
    groups = np.zeros(len(dataset), np.intp)
    if stratify and dataset.classes is not None:
        groups = dataset.outcomes[order]
    grouped = np.argsort(groups, kind="stable")
    marks = np.where(_evenly_spaced(len(dataset), validation), VALIDATION, TRAINING)
    edges = np.cumsum([0, *np.bincount(groups)])
    for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        left = first + np.flatnonzero(marks[first:last] == TRAINING)
        marks[left[: _rounded(last, test) - _rounded(first, test)]] = TEST
    marks = marks[np.argsort(grouped)]
    return Parts(*(dataset.take(order[marks == part]) for part in (TRAINING, VALIDATION, TEST)))


def _split_stored(
    dataset: StoredDataset, validation: float, test: float, seed: int, *, stratify: bool
) -> Parts[StoredDataset]:
    """Mark each row as it is read: of each class every so many samples, after a shuffle.

    Of a class, the next sample with a whole number between n·share and (n + 1)·share goes to the
    part; where that begins differs from class to class, such that the whole has its share too.
    """
    columns = dataset.columns
    marks = np.zeros(len(columns), np.uint8) if dataset.marks is None else dataset.marks.copy()
    stratified = stratify and dataset.classes is not None
    classes = len(dataset.classes or ()) if stratified else 1
    counts = np.zeros(classes, np.int64)
    phases = (np.arange(classes) + 0.5) / classes
    for number in range(columns.stretches if validation or test else 0):
        start = number * columns.rows_at_once
        some = marks[start : start + columns.rows_at_once]
        mine = np.flatnonzero(some == dataset.part)
        generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STREAM, number)))
        order = generator.permutation(mine)
        groups = np.zeros(len(order), np.intp)
        if stratified:
            codes = np.zeros(len(some), np.intp)
            codes[mine] = dataset.stretch(number).outcomes
            groups = codes[order]
        places, more = _places_in_group(groups, classes)
        places += counts[groups]
        counts += more
        validated = np.floor(places * validation + phases[groups])
        chosen = np.floor((places + 1) * validation + phases[groups]) > validated
        ranks = places - validated
        share = test / (1 - validation)
        tested = np.floor((ranks + 1) * share + phases[groups]) > np.floor(
            ranks * share + phases[groups]
        )
        some[order[tested & ~chosen]] = TEST
        some[order[chosen]] = VALIDATION
    return Parts(
        *(replace(dataset, marks=marks, part=part) for part in (TRAINING, VALIDATION, TEST))
    )


def _places_in_group(
    groups: NDArray[np.intp], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count, for each entry, the equal ones before it; and the entries of each group.

    >>> [found.tolist() for found in _places_in_group(np.array([1, 0, 1, 1]), 2)]
    [[0, 0, 1, 2], [1, 3]]
    """
    sizes = np.bincount(groups, minlength=count)
    starts = np.cumsum(sizes) - sizes
    grouped = np.argsort(groups, kind="stable")
    places = np.empty(len(groups), np.int64)
    places[grouped] = np.arange(len(groups)) - starts[groups[grouped]]
    return places, sizes


def _evenly_spaced(count: int, share: float) -> NDArray[np.bool_]:
    """Mark a share of `count` places, such that any stretch holds its share within one.

    >>> _evenly_spaced(6, 0.5).astype(int)
    array([1, 0, 1, 0, 1, 0])
    """
    marks = np.floor(np.arange(count + 1) * share + 0.5)
    return np.asarray(np.diff(marks) > 0)


def _rounded(count: int, share: float) -> int:
    return int(count * share + 0.5)
