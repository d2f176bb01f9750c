"""Data sets: the inputs of samples, and what is to be predicted of them.

That is **numbers** (regression) or a **class** (classification). A class is held as its place
among all classes; the one-hot vectors that programs take are made batch by batch. Targets that are
numbers stay as they are: only inputs are ever standardised.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from workbench.core.data.files import require_memory
from workbench.core.data.table import Matrix, Missing, parse_number

Labels = NDArray[np.intp]


class Columns(Protocol):
    """The names by which data are matched with those of training."""

    @property
    def input_names(self) -> tuple[str, ...]:
        """The columns of the inputs."""

    @property
    def target_names(self) -> tuple[str, ...]:
        """The columns to predict; one where it holds classes."""

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The names of the classes; None for numbers."""

    @property
    def ignored_names(self) -> tuple[str, ...]:
        """Further columns that the training part had."""

    @property
    def header(self) -> bool:
        """Whether the names were in the file, or are `column_1`, `column_2`, ..."""


class Chunk(NamedTuple):
    """Some samples: inputs (samples, features) and outcomes as in `Dataset`."""

    inputs: Matrix
    outcomes: NDArray[Any]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set in memory, a sample a row.

    Attributes
    ----------
    inputs : numbers (samples, features); NaN where one is missing and to be filled in.
    outcomes : numbers (samples, outputs), or with `classes` the place of each sample's class
        among them (samples,).
    missing : what was done about missing values.
    dropped : how many rows of the file were left out for that.
    ignored_names : the columns of the file that are neither inputs nor targets.

    >>> inputs, labels = np.array([[1.0], [2.0]]), np.array([1, 0])
    >>> Dataset(inputs, labels, ("width",), ("name",), ("iris", "rose"), "data.csv", True).targets
    array([[0., 1.],
           [1., 0.]])
    """

    inputs: Matrix
    outcomes: NDArray[Any]
    input_names: tuple[str, ...]
    target_names: tuple[str, ...]
    classes: tuple[str, ...] | None
    source: str
    header: bool
    missing: Missing = Missing.REFUSE
    dropped: int = 0
    ignored_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.inputs)

    @property
    def targets(self) -> Matrix:
        """What programs are to give: numbers, or one-hot vectors of the classes."""
        if self.classes is None:
            return self.outcomes
        what = f"{self.source} with {len(self.classes):,} classes in {len(self):,} rows"
        require_one_hot(len(self), len(self.classes), np.float64, what)
        one_hot: Matrix = np.eye(len(self.classes))[self.outcomes]
        return one_hot

    @property
    def class_counts(self) -> NDArray[np.int64]:
        """The samples of each class."""
        return np.bincount(self.outcomes, minlength=len(self.classes or ()))

    def chunks(self) -> Iterator[Chunk]:
        """Yield all samples in order, some at a time: here all of them."""
        yield Chunk(self.inputs, self.outcomes)

    def take(self, rows: NDArray[np.intp]) -> Dataset:
        """Return the data set of some samples, in the order given."""
        return replace(self, inputs=self.inputs[rows], outcomes=self.outcomes[rows])


def require_one_hot(samples: int, classes: int, dtype: DTypeLike, what: str) -> None:
    """Refuse one-hot vectors that would take too much memory."""
    size = np.dtype(dtype).itemsize * samples * classes
    require_memory(size, what, "for numbers, choose a regression loss")


def in_natural_order(labels: Sequence[str]) -> tuple[str, ...]:
    """Order numbers by value, then everything else as text.

    >>> in_natural_order(["b", "10", "9", "a"])
    ('9', '10', 'a', 'b')
    """
    return tuple(sorted(labels, key=_natural))


def _natural(label: str) -> tuple[bool, float, str]:
    number = parse_number(label)
    return (number is None, 0.0 if number is None else number, label)
