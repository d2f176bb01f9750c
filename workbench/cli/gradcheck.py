"""The command `workbench gradcheck`."""

from __future__ import annotations


def gradcheck() -> None:
    """Hold every gradient against finite differences."""
