"""Text into mathematics: tokens, syntax, shapes, systems of equations."""

from __future__ import annotations

EQUATIONS_SUFFIX = ".eq"
"""How the name of a file of equations ends."""
