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

    They are found by name where both have names; otherwise the table has all columns of training.
    """
    both = (*like.input_names, *like.target_names)
    if not (like.header and table.header) and not set(both) <= set(table.names):
        width = len(both) + len(like.ignored_names)
        if like.header or len(table.names) != width:
            raise InputError(
                f"{table.source}: {len(table.names)} columns without names to match; expected "
                f"{width} as in training: {_shortened(both)}"
            )
        places = {name: place for place, name in enumerate(column_names(width))}
    else:
        places = {name: place for place, name in enumerate(table.names)}
    return _find(like.input_names, places, table), _find(like.target_names, places, table)


def match_inputs(table: Named, like: Columns) -> tuple[int, ...]:
    """Return the columns of the inputs.

    They are found by name where both have names; further columns do not matter. Otherwise the table
    has the inputs in order, and may have the other columns too where they were in training.
    """
    if like.header and table.header:
        places = {name: place for place, name in enumerate(table.names)}
        return _find(like.input_names, places, table)
    inputs, width = len(like.input_names), len(table.names)
    if width == inputs:
        return tuple(range(width))
    whole = inputs + len(like.target_names) + len(like.ignored_names)
    if width == whole and not like.header:
        places = {name: place for place, name in enumerate(column_names(whole))}
        return tuple(places[name] for name in like.input_names)
    ignored = " and the columns ignored" if like.ignored_names else ""
    with_targets = "" if like.header else f", or {whole} with the targets{ignored}"
    raise InputError(
        f"{table.source}: {width} columns without names to match; expected {inputs} inputs"
        f"{with_targets}, in the order of training: {_shortened(like.input_names)}"
    )


def _find(names: Sequence[str], places: dict[str, int], table: Named) -> tuple[int, ...]:
    for name in names:
        if name not in places:
            raise InputError(
                f"{table.source}: the column {name!r} of training is missing; "
                f"{close_matches(name, table.names)}"
            )
    return tuple(places[name] for name in names)


def _shortened(names: Sequence[str]) -> str:
    """Name the first few.

    >>> _shortened(["a", "b", "c", "d", "e"])
    'a, b, c, ...'
    """
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
