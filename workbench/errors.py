"""Every error that a user can cause, each with the exit code it ends the program with.

A message says what was given, what was expected, where, and the way out. `close_matches` words
the last of these for a misspelt name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches


class WorkbenchError(Exception):
    """Base of the family: a problem that is told in one message, never by a traceback."""

    exit_code = 2


class InputError(WorkbenchError):
    """Something the user gave (an option, a file, a formula, a plugin) cannot be used."""


class ShapeError(InputError):
    """An expression was put together from operands whose shapes do not fit."""


class TooLargeError(InputError):
    """A request would need more memory than allowed; raised before any of it is allocated."""


class StorageError(InputError):
    """A file cannot be written: the disk is full or fails, or permission is missing."""

    exit_code = 74


class CheckFailedError(WorkbenchError):
    """A derivation step, a gradient or a plugin disagrees with its numbers."""

    exit_code = 1


class NotFiniteError(WorkbenchError):
    """Training met a loss or a gradient that is not finite."""

    exit_code = 4


MOST_LISTED = 24
"""A message lists at most this many known names."""


def close_matches(given: str, known: Iterable[str]) -> str:
    """Say which known names are near a misspelt one, and list the first of them.

    >>> close_matches("sigmod", ["relu", "sigmoid"])
    'did you mean sigmoid? (known: relu, sigmoid)'
    >>> close_matches("zzz", ["relu", "sigmoid"])
    'known: relu, sigmoid'
    """
    names = sorted(known)
    more = f", … ({len(names)} in all)" if len(names) > MOST_LISTED else ""
    listing = "known: " + ", ".join(names[:MOST_LISTED]) + more
    matches = nearest(given, names)
    return f"did you mean {' or '.join(matches)}? ({listing})" if matches else listing


def nearest(given: str, known: Iterable[str]) -> list[str]:
    """The known names, at most three, that one may stand for: shortened, or else misspelt.

    >>> options = ["learning-rate", "batch-size", "optimizer"]
    >>> nearest("lr", options), nearest("size", options), nearest("optimiser", options)
    (['learning-rate'], ['batch-size'], ['optimizer'])
    """
    names = sorted(known, key=lambda name: (not name.startswith(given), name))
    shortened = [name for name in names if len(given) > 1 and _shortens(given, name)]
    return shortened[:3] or get_close_matches(given, names, n=3, cutoff=0.5)


def _shortens(given: str, name: str) -> bool:
    """Whether a text is the beginning of a name, or of a word in it, or its initials."""
    words = re.split("[-_ ]", name)
    initials = "".join(word[:1] for word in words)
    return given == initials or any(part.startswith(given) for part in (name, *words))
