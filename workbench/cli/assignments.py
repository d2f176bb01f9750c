"""Options whose values are lists or assignments: A,B,... and NAME=NUMBER."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from workbench.errors import InputError


def parsed_class_weights(text: str) -> str | dict[str, float]:
    """Read `balanced`, or `a=1,b=2`.

    >>> parsed_class_weights("a=1,b=2.5")
    {'a': 1.0, 'b': 2.5}
    """
    return assigned("--class-weights", text.split(","), float) if "=" in text else text


def numbers(option: str, text: str) -> list[float]:
    """Read numbers between commas.

    >>> numbers("--rates", "0.5,0.1")
    [0.5, 0.1]
    """
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{option} {text!r}; expected numbers with commas between") from None


def assigned(option: str, given: Sequence[str], read: Callable[[str], Any]) -> dict[str, Any]:
    """Read each value given to an option; the name ends at the last sign of equality.

    >>> assigned("--size", ["m=16"], int)
    {'m': 16}
    """
    found = {}
    for part in given:
        name, sign, value = part.rpartition("=")
        try:
            found[name.strip()] = read(value.strip())
        except ValueError:
            sign = ""
        if not sign:
            what = "COLUMN,..." if read is _columns else "NUMBER"
            raise InputError(f"{option} {part!r}; expected NAME={what}")
    return found


def _columns(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


OF_EQUATIONS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "sizes": ("--size", int),
    "inputs": ("--input", _columns),
    "values": ("--set", float),
}
"""What is said of equations: the option, and what reads its values."""
