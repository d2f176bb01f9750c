"""Whole numbers as a program gives them: those of NumPy become those of Python."""

from __future__ import annotations

from collections.abc import Mapping
from operator import index
from typing import SupportsIndex

from workbench.errors import InputError


def whole_number(what: str, given: SupportsIndex, *, least: int = 1) -> int:
    """A whole number of at least so much, as Python's.

    Raises
    ------
    InputError
        If it is another number, or none.

    >>> whole_number("batch_size", 2.5)
    Traceback (most recent call last):
        ...
    workbench.errors.InputError: batch_size 2.5; expected a whole number from 1
    """
    try:
        number = index(given)
    except TypeError:
        number = None
    if number is None or number < least:
        raise InputError(f"{what} {given!r:.80}; expected a whole number from {least}")
    return number


def whole_sizes(sizes: Mapping[str, SupportsIndex]) -> dict[str, int]:
    """Sizes by name as whole numbers from 1."""
    return {name: whole_number(f"size {name} =", size) for name, size in sizes.items()}
