"""The public Python API: networks by name, derivations that show themselves, programs.

>>> import workbench as wb
>>> derivation = wb.derive(wb.network("2-2-1"))
>>> print(derivation.gradient_text("W2"))
δ₂ x₁ᵀ
"""

from __future__ import annotations

from workbench.api.derivations import (
    Derivation,
    derive,
    derive_depth,
    derive_layer,
    equations,
    prove,
    read_equations,
)
from workbench.api.models import Model, gradcheck, load, network, program, train
from workbench.core.program import Program

__all__ = [
    "Derivation",
    "Model",
    "Program",
    "derive",
    "derive_depth",
    "derive_layer",
    "equations",
    "gradcheck",
    "load",
    "network",
    "program",
    "prove",
    "read_equations",
    "train",
]
