"""The backpropagation workbench: derive, check, run and plot gradients from one expression graph.

What a plugin needs is imported at once; what needs NumPy is imported when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from workbench.calculus.expressions import Expression
from workbench.calculus.functions import Function
from workbench.derivation.layout import Layout
from workbench.derivation.network import Network
from workbench.derivation.steps import Detail
from workbench.errors import WorkbenchError
from workbench.plugins.hookspecs import hookimpl
from workbench.plugins.records import Activation, JacobianStrategy, Loss

if TYPE_CHECKING:
    from workbench.api import (
        Derivation,
        Model,
        derive,
        derive_depth,
        derive_layer,
        equations,
        gradcheck,
        load,
        network,
        program,
        prove,
        read_equations,
        train,
    )
    from workbench.core.program import Program

_FROM_API = frozenset(
    (
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
    )
)

__all__ = [
    "Activation",
    "Derivation",
    "Detail",
    "Expression",
    "Function",
    "JacobianStrategy",
    "Layout",
    "Loss",
    "Model",
    "Network",
    "Program",
    "WorkbenchError",
    "derive",
    "derive_depth",
    "derive_layer",
    "equations",
    "gradcheck",
    "hookimpl",
    "load",
    "network",
    "program",
    "prove",
    "read_equations",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _FROM_API:
        raise AttributeError(f"module 'workbench' has no attribute {name!r}")
    return getattr(import_module("workbench.api"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
