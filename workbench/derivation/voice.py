"""Voices: the same derivation told by Jacobians, by differentials or by entries."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from workbench.calculus.expressions import Expression
from workbench.calculus.slopes import Stage
from workbench.derivation.system import Equation

if TYPE_CHECKING:
    from workbench.derivation.differentiate import Differentiation

Told = tuple[list[Stage], list[int | None]]
"""The lines of a step and the ids of the steps they rest on."""


class VoiceName(StrEnum):
    """How the steps are told. Vec and ⊗ are the chain rule in the kronecker strategy."""

    CHAIN = "chain"
    DIFFERENTIALS = "differentials"
    ENTRIES = "entries"


class Voice(Protocol):
    """Writes the lines that lead to the gradients of a derivation."""

    def __init__(self, work: Differentiation) -> None: ...

    def prepare(self) -> None:
        """Note what is worked out once for each equation, before any gradient."""

    def gradient(self, variable: Expression, consumers: Sequence[Equation]) -> Told:
        """The lines of ∂L/∂u up to what the rules give, noting other steps on the way."""
