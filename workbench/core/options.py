"""Options: numbers a person may set, each with its default and the values it may take."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from workbench.errors import InputError, close_matches


@dataclass(frozen=True)
class Domain:
    """The values that an option may take, in words and as a test."""

    words: str
    holds: Callable[[float], bool]

    def require(self, name: str, value: object) -> float:
        """Return a value of the domain; a whole number stays one.

        >>> POSITIVE.require("learning rate", 0.5)
        0.5
        >>> FRACTION.require("momentum", 1)
        Traceback (most recent call last):
            ...
        workbench.errors.InputError: momentum 1; expected a number from 0 up to, not including, 1
        """
        if isinstance(value, int | float) and not isinstance(value, bool):
            is_finite = abs(value) <= sys.float_info.max
            if is_finite and self.holds(value):
                return value
        raise InputError(f"{name} {value!r}; expected {self.words}")


POSITIVE = Domain("a number above 0, such as 0.01", lambda value: value > 0)
NOT_NEGATIVE = Domain("a number from 0", lambda value: value >= 0)
FRACTION = Domain("a number from 0 up to, not including, 1", lambda value: 0 <= value < 1)
SHARE = Domain("a number above 0, at most 1", lambda value: 0 < value <= 1)
COUNT = Domain("a whole number from 1", lambda value: isinstance(value, int) and value >= 1)


@dataclass(frozen=True)
class Option:
    """A number that may be set."""

    default: float
    domain: Domain


def resolve(
    owner: str, options: Mapping[str, Mapping[str, Option]], given: Mapping[str, float | None]
) -> dict[str, float]:
    """Return the value of each option of an owner: the one given, or the default for None.

    Parameters
    ----------
    options : those of every owner there is, by name.

    Raises
    ------
    InputError
        If a value is given for an option that the owner has not, or a value outside its domain.

    >>> known = {"sgd": {}, "momentum": {"momentum": Option(0.9, FRACTION)}}
    >>> resolve("momentum", known, {"momentum": None})
    {'momentum': 0.9}
    >>> resolve("sgd", known, {"momentum": 0.5})
    Traceback (most recent call last):
        ...
    workbench.errors.InputError: sgd has no option momentum, which is one of momentum; it has none
    """
    own = options[owner]
    for name, value in given.items():
        if value is not None and name not in own:
            others = " and ".join(other for other in options if name in options[other])
            elsewhere = f", which is one of {others}" if others else ""
            hint = close_matches(name, own) if own else "it has none"
            raise InputError(f"{owner} has no option {name}{elsewhere}; {hint}")
    return {
        name: option.default
        if given.get(name) is None
        else option.domain.require(name, given[name])
        for name, option in own.items()
    }
