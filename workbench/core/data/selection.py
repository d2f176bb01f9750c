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
    is_missing,
    parse_number,
)
from workbench.errors import InputError, close_matches


class Selection(NamedTuple):
    """The columns of inputs and targets; whether a target holds classes, and which are known."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
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
        return Selection(inputs, outputs, like.classes is not None, like.classes)
    outputs = table.targets
    inputs = tuple(index for index in range(len(table.names)) if index not in set(outputs))
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
    return Selection(inputs, outputs, categorical, certain=reading.categorical is not None)


def _begins_with_number(table: Named, column: int, reading: Reading) -> bool:
    """Tell whether the first cell that is there is a number; nothing counts as one."""
    present = (text for _, text in table.cells(column) if not is_missing(text))
    first = next(present, None)
    return first is None or parse_number(first, reading.decimal) is not None


def match_both(table: Named, like: Columns) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the columns of the inputs and of the targets.

    They are found by name where both have names; otherwise they are all columns, as in training.
    """
    both = (*like.input_names, *like.target_names)
    if not (like.header and table.header) and not set(both) <= set(table.names):
        if like.header or len(table.names) != len(both):
            raise InputError(
                f"{table.source}: {len(table.names)} columns without names to match; expected "
                f"{len(both)} as in training: {_shortened(both)}"
            )
        places = {name: place for place, name in enumerate(column_names(len(both)))}
    else:
        places = {name: place for place, name in enumerate(table.names)}
    return _find(like.input_names, places, table), _find(like.target_names, places, table)


def match_inputs(table: Named, like: Columns) -> tuple[int, ...]:
    """Return the columns of the inputs.

    They are found by name where both have names; further columns do not matter. Otherwise the table
    has the inputs in order, and may have the targets too where they were in training.
    """
    if like.header and table.header:
        places = {name: place for place, name in enumerate(table.names)}
        return _find(like.input_names, places, table)
    inputs, width = len(like.input_names), len(table.names)
    if width == inputs:
        return tuple(range(width))
    both = inputs + len(like.target_names)
    if width == both and not like.header:
        return tuple(column_names(both).index(name) for name in like.input_names)
    with_targets = "" if like.header else f", or {both} with the targets"
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
