r"""What the functions of the Python API are given: one name or several, one file or several.

>>> names_of("W1"), names_of(["W1", "b1"]), names_of(3)
(('W1',), ('W1', 'b1'), ('3',))
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import InputError, close_matches

Names = str | int | Sequence[str | int]
Files = str | Path | Sequence[str | Path]

if TYPE_CHECKING:
    from workbench.core.data import Arrays


def names_of(given: Names) -> tuple[str, ...]:
    """One name or several, as several; a column without a name has its number.

    Raises
    ------
    InputError
        If something else is given.
    """
    several = [given] if isinstance(given, str) or not isinstance(given, Iterable) else [*given]
    for name in several:
        if not isinstance(name, str | Integral):
            raise InputError(f"{name!r:.80} is no name; expected a text, or a column's number")
    return tuple(map(str, several))


def refuse_without_file(given: Mapping[str, object]) -> None:
    """Refuse what says how a file is read, by name, where the data are no file.

    Raises
    ------
    InputError
        If any of it is said, that is, neither None nor empty.
    """
    for name, value in given.items():
        if value not in (None, ()):
            raise InputError(
                f"{name} = {value!r:.80} says how a file is read, and the data are none; leave it "
                "out, or give it to workbench.core.data.load"
            )


def arrays_of(data: object) -> Arrays:
    """The arrays of inputs and of targets that are given as data.

    Raises
    ------
    InputError
        If something else is given.

    >>> arrays_of(5)
    Traceback (most recent call last):
        ...
    workbench.errors.InputError: the data are of type int; expected a file, a data set of \
workbench.core.data, or two arrays (X, y)
    """
    if isinstance(data, tuple) and len(data) == 2:
        return data
    count = f" of {len(data)}" if isinstance(data, tuple) else ""
    raise InputError(
        f"the data are of type {type(data).__name__}{count}; expected a file, a data set of "
        "workbench.core.data, or two arrays (X, y)"
    )


def files_of(given: Files) -> list[Path]:
    """One file or several, as several."""
    return [Path(given)] if isinstance(given, str | Path) else [Path(file) for file in given]


def known(what: str, given: str, names: Sequence[str]) -> str:
    """A name in lower case, if it is known.

    Raises
    ------
    InputError
        If it is not.
    """
    name = str(given).lower()
    if name not in names:
        raise InputError(f"unknown {what} {given!r}; {close_matches(name, names)}")
    return name


def require_plugins(needed: Iterable[str | Path], named: Files, run: str | Path) -> None:
    """Refuse a run whose plugin files are not named: they are programs, and run only if they are.

    >>> require_plugins(["mish.py"], ["plugins/mish.py"], "runs/x")
    """
    given = {file.name for file in files_of(named)}
    for file in map(Path, needed):
        if file.name not in given:
            raise InputError(
                f"the run {run} was trained with the plugin file {file}; a plugin file is a "
                f"program, so name it to have it run: --plugin {file}"
            )
