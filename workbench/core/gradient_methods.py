"""What a check of gradients may be asked for: how numbers are made, and how many."""

from __future__ import annotations

from enum import StrEnum

MOST_ENTRIES = 1_000
"""So many entries of a parameter are compared at most, if nothing else is asked for."""


class Method(StrEnum):
    """How the numbers are made."""

    AUTO = "auto"
    COMPLEX = "complex"
    CENTRAL = "central"
