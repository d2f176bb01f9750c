"""The command `workbench derive`."""

from __future__ import annotations


def derive() -> None:
    """Write the derivation of a network's gradients, checked."""
