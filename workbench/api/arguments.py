"""What the functions of the Python API are given: one name or several, one file or several.

>>> names_of("W1"), names_of(["W1", "b1"])
(('W1',), ('W1', 'b1'))
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from workbench.errors import InputError, close_matches

Names = str | Sequence[str]
Files = str | Path | Sequence[str | Path]


def names_of(given: Names) -> tuple[str, ...]:
    """One name or several, as several."""
    return (given,) if isinstance(given, str) else tuple(given)


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
