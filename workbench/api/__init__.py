"""The public Python API: networks by name, derivations that show themselves, programs.

`workbench` has every name of it; each is imported when it is first asked for.

>>> import workbench as wb
>>> derivation = wb.derive(wb.network("2-2-1"))
>>> print(derivation.gradient_text("W2"))
δ₂ x₁ᵀ
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.api.derivations import Derivation, derive, derive_depth, derive_layer
    from workbench.api.models import gradcheck, load, network, program, train
    from workbench.api.reading import equations, prove, read_equations
    from workbench.api.trained import Model
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


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'workbench.api' has no attribute {name!r}")
    import workbench

    return getattr(workbench, name)
