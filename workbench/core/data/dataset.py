"""Data sets: the inputs and targets of a table, and their two parts.

A target is **numbers** (regression) or **classes** (classification). Where the caller does not say
which, a column of text holds classes and a column of numbers numbers. Classes become a one-hot
matrix. Regression targets stay as they are: only inputs are ever standardised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workbench.core.data.arrays import open_arrays
from workbench.core.data.files import format_ending, require_memory
from workbench.core.data.table import Matrix, Table, parse_columns, parse_number
from workbench.core.data.text import open_text
from workbench.errors import InputError


@dataclass(frozen=True, eq=False)
class Dataset:
    """Inputs (samples, features) and targets (samples, outputs), a sample a row.

    With `classes`, the targets are one-hot in that order, and `target_names` has one name.
    `header` tells whether the names were in the file or are `column_1`, `column_2`, ...
    """

    inputs: Matrix
    targets: Matrix
    input_names: tuple[str, ...]
    target_names: tuple[str, ...]
    classes: tuple[str, ...] | None
    source: str
    header: bool

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.inputs)

    def take(self, rows: NDArray[np.intp]) -> Dataset:
        """Return the data set of some samples, in the order given."""
        return replace(self, inputs=self.inputs[rows], targets=self.targets[rows])


def open_table(
    source: str | Path, *, targets: Sequence[str] | None = (), header: bool | None = None
) -> Table:
    """Open a table in the format its ending tells; without a known ending it is text.

    `targets` are the target columns, none given meaning the last; None where there is no target.
    """
    if format_ending(str(source)) in (".npy", ".npz"):
        return open_arrays(str(source), targets)
    return open_text(str(source), targets, header)


def load(
    source: str | Path,
    *,
    targets: Sequence[str] = (),
    categorical: bool | None = None,
    header: bool | None = None,
) -> Dataset:
    r"""Read a data set; `-` is standard input.

    >>> import tempfile, pathlib
    >>> source = pathlib.Path(tempfile.mkdtemp(), "flowers.csv")
    >>> _ = source.write_text("width,length,name\n1,2.5,iris\n2,0.5,rose\n3,4,iris\n")
    >>> flowers = load(source)
    >>> flowers.inputs.shape, flowers.classes
    ((3, 2), ('iris', 'rose'))
    >>> flowers.targets
    array([[1., 0.],
           [0., 1.],
           [1., 0.]])
    """
    table = open_table(source, targets=targets, header=header)
    chosen = table.targets
    features = [index for index in range(len(table.names)) if index not in set(chosen)]
    if categorical is False:
        numbers, _ = table.read([*features, *chosen], ())
        inputs, outputs, classes = numbers[:, : len(features)], numbers[:, len(features) :], None
    else:
        inputs, columns = table.read(features, chosen)
        outputs, classes = _targets(table, columns, categorical=bool(categorical))
    return Dataset(
        np.ascontiguousarray(inputs),
        np.ascontiguousarray(outputs),
        tuple(table.names[index] for index in features),
        tuple(table.names[index] for index in chosen),
        classes,
        table.source,
        table.header,
    )


def _targets(
    table: Table, columns: Sequence[Sequence[str]], *, categorical: bool
) -> tuple[Matrix, tuple[str, ...] | None]:
    """Return targets (samples, outputs) and their classes, if there are any."""
    if not categorical:
        try:
            return parse_columns(columns, len(columns[0])), None
        except ValueError:
            _refuse_mixture(table, columns)
    names = [table.names[index] for index in table.targets]
    if len(names) > 1:
        raise InputError(
            f"{table.source}: {len(names)} targets ({', '.join(names)}) of classes; "
            "expected one column of classes, or columns of numbers"
        )
    return one_hot(columns[0], f"{table.source}: column {names[0]!r}")


def _refuse_mixture(table: Table, columns: Sequence[Sequence[str]]) -> None:
    """Name the first cell that is no number, if there are numbers at all."""
    if any(parse_number(cell) is not None for column in columns for cell in column):
        try:
            table.read(table.targets, ())
        except InputError as error:
            raise InputError(f"{error}; if these are classes, choose a loss for classes") from None


def one_hot(labels: Sequence[str], where: str) -> tuple[Matrix, tuple[str, ...]]:
    """Return the one-hot matrix (samples, classes) of labels, and the classes in natural order.

    >>> one_hot(["10", "9", "10"], "data.csv")
    (array([[0., 1.],
           [1., 0.],
           [0., 1.]]), ('9', '10'))
    """
    classes = tuple(sorted(set(labels), key=_natural))
    if len(classes) == 1:
        raise InputError(f"{where} holds one class only, {classes[0]!r}; expected two or more")
    what = f"{where} with {len(classes):,} classes in {len(labels):,} rows"
    require_memory(8 * len(labels) * len(classes), what, "for numbers, choose a regression loss")
    numbers = {name: number for number, name in enumerate(classes)}
    matrix = np.zeros((len(labels), len(classes)))
    matrix[np.arange(len(labels)), [numbers[label] for label in labels]] = 1.0
    return matrix, classes


def _natural(label: str) -> tuple[bool, float, str]:
    """Order numbers by value, then everything else as text."""
    number = parse_number(label)
    return (number is None, 0.0 if number is None else number, label)


def split(dataset: Dataset, validation: float, seed: int) -> tuple[Dataset, Dataset]:
    """Return a training and a validation part, shuffled by the seed.

    The validation part takes the share `validation` of all samples, rounded, and of each class
    within one sample; 0 gives an empty part.
    """
    if not 0 <= validation < 1:
        raise InputError(
            f"validation share {validation:g}; expected a number from 0 up to, not including, 1"
        )
    order = np.random.default_rng(seed).permutation(len(dataset))
    if dataset.classes is not None:
        grouped = np.argsort(dataset.targets[order].argmax(axis=1), kind="stable")
        chosen = _evenly_spaced(len(dataset), validation)[np.argsort(grouped)]
    else:
        chosen = _evenly_spaced(len(dataset), validation)
    train, held_out = dataset.take(order[~chosen]), dataset.take(order[chosen])
    if not len(train) or (validation > 0 and not len(held_out)):
        raise InputError(
            f"a validation share of {validation:g} of {len(dataset)} samples leaves "
            f"{len(train)} to train and {len(held_out)} to validate; "
            "expected at least one each; use another share, or 0"
        )
    return train, held_out


def _evenly_spaced(count: int, share: float) -> NDArray[np.bool_]:
    """Mark a share of `count` places, such that any stretch holds its share within one.

    >>> _evenly_spaced(6, 0.5).astype(int)
    array([1, 0, 1, 0, 1, 0])
    """
    marks = np.floor(np.arange(count + 1) * share + 0.5)
    return np.asarray(np.diff(marks) > 0)
