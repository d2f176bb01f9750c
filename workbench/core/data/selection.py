"""Which columns of a table are inputs, which are targets, and what the targets are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from workbench.core.data.dataset import Columns
from workbench.core.data.table import (
    Named,
    Reading,
    Wanted,
    column_names,
    find_columns,
    is_missing,
    parse_number,
)
from workbench.errors import InputError, close_matches


class Selection(NamedTuple):
    """The columns of inputs and targets; whether a target holds classes, and which are known.

    The names of further columns of the training part, which are ignored, are kept.
    """

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    ignored_names: tuple[str, ...]
    categorical: bool
    known: tuple[str, ...] | None = None
    certain: bool = True

    @property
    def wanted(self) -> Wanted:
        """What is to be read of the table."""
        if self.categorical:
            return Wanted(self.inputs, (), self.outputs[0])
        return Wanted(self.inputs, self.outputs)


def select(table: Named, reading: Reading, like: Columns | None) -> Selection:
    """Choose the columns that are asked for, or those of the data that these must be like."""
    if like is not None:
        inputs, outputs = match_both(table, like)
        categorical = like.classes is not None
        return Selection(inputs, outputs, like.ignored_names, categorical, like.classes)
    inputs, outputs, ignored = _divide(table, reading.ignore)
    if reading.categorical is not None:
        categorical = reading.categorical
    else:
        categorical = not any(_begins_with_number(table, index, reading) for index in outputs)
    if categorical and len(outputs) > 1:
        names = ", ".join(table.names[index] for index in outputs)
        raise InputError(
            f"{table.source}: {len(outputs)} targets ({names}) of classes; "
            "expected one column of classes, or columns of numbers"
        )
    certain = reading.categorical is not None
    return Selection(inputs, outputs, ignored, categorical, certain=certain)


def _divide(
    table: Named, ignore: Sequence[str]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[str, ...]]:
    """Return the columns of the inputs and of the targets, and the names of those ignored."""
    names, outputs, where = table.names, table.targets, table.source
    ignored = find_columns(ignore, names, header=table.header, source=where, role="to ignore")
    for index in ignored:
        if index in outputs:
            raise InputError(
                f"{where}: column {names[index]!r} is the target, and to be ignored too; expected "
                "one of them: --target or --ignore"
            )
    left_out = {*outputs, *ignored}
    inputs = tuple(index for index in range(len(names)) if index not in left_out)
    ignored_names = tuple(names[index] for index in dict.fromkeys(ignored))
    if not inputs:
        targets = ", ".join(names[index] for index in outputs)
        others = f" or ignored ({_shortened(ignored_names)})" if ignored else ""
        raise InputError(
            f"{where}: no column is left for the inputs: all {len(names)} are targets ({targets})"
            f"{others}; expected at least one more column"
        )
    return inputs, outputs, ignored_names


def _begins_with_number(table: Named, column: int, reading: Reading) -> bool:
    """Tell whether the first cell that is there is a number; nothing counts as one."""
    present = (text for _, text in table.cells(column) if not is_missing(text))
    first = next(present, None)
    return first is None or parse_number(first, reading.decimal) is not None


def match_both(table: Named, like: Columns) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the columns of the inputs and of the targets.

    They are found by name where both have names; otherwise the table has all columns of training,
    and no more.
    """
    both = (*like.input_names, *like.target_names)
    names, every = table.names, _training_columns(like)
    if not (like.header and table.header):
        is_named = set(both) <= set(names)
        if len(names) != len(every) or (like.header and not is_named):
            raise InputError(
                f"{table.source}: {len(names)} columns without names to match; expected "
                f"{len(every)} as in training: {_shortened(both)}"
            )
        names = names if is_named else every
    return _find(like.input_names, names, table), _find(like.target_names, names, table)


def match_inputs(table: Named, like: Columns) -> tuple[int, ...]:
    """Return the columns of the inputs.

    They are found by name where both have names; further columns do not matter. Otherwise the table
    has the inputs in order; where training had no names either, it may have the other columns of
    training too, with or without the targets.
    """
    if like.header and table.header:
        return _find(like.input_names, table.names, table)
    inputs, every, width = like.input_names, _training_columns(like), len(table.names)
    expected = {f"{len(inputs)} inputs": inputs}
    if not like.header and set(inputs) <= set(every):
        untargeted = [name for name in every if name not in like.target_names]
        inputs = tuple(name for name in untargeted if name in inputs)
        expected = {f"{len(inputs)} inputs": inputs}
        ignored = ""
        if like.ignored_names:
            expected[f"{len(untargeted)} with the columns ignored"] = tuple(untargeted)
            ignored = " and the columns ignored"
        expected[f"{len(every)} with the targets{ignored}"] = every
    for names in expected.values():
        if len(names) == width:
            return tuple(names.index(name) for name in like.input_names)
    raise InputError(
        f"{table.source}: {width} columns without names to match; expected "
        f"{', or '.join(expected)}, in the order of training: {_shortened(inputs)}"
    )


def _training_columns(like: Columns) -> tuple[str, ...]:
    """Return the names of all columns that training had, if they had none in the file, in order.

    Targets from an array of their own come last.
    """
    others = len(like.input_names) + len(like.ignored_names)
    every = column_names(others + len(like.target_names))
    return every if set(like.target_names) <= set(every) else every[:others] + like.target_names


def _find(wanted: Sequence[str], names: Sequence[str], table: Named) -> tuple[int, ...]:
    """Return the places of some names among those of the table's columns."""
    places = {name: place for place, name in enumerate(names)}
    for name in wanted:
        if name not in places:
            raise InputError(
                f"{table.source}: the column {name!r} of training is missing; "
                f"{close_matches(name, table.names)}"
            )
    return tuple(places[name] for name in wanted)


def _shortened(names: Sequence[str]) -> str:
    """Name the first few.

    >>> _shortened(["a", "b", "c", "d", "e"])
    'a, b, c, ...'
    """
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
