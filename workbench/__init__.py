"""The backpropagation workbench: derive, check, run and plot gradients from one expression graph.

Each name is imported when it is first asked for, so that nobody waits for what he does not use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.api.derivations import Derivation, derive, derive_depth, derive_layer
    from workbench.api.models import gradcheck, load, network, program, train
    from workbench.api.reading import equations, prove, read_equations
    from workbench.api.trained import Model
    from workbench.calculus.expressions import Expression
    from workbench.calculus.functions import Function
    from workbench.core.program import Program
    from workbench.derivation.layout import Layout
    from workbench.derivation.network import Network
    from workbench.derivation.steps import Detail
    from workbench.errors import WorkbenchError
    from workbench.plugins.hookspecs import hookimpl
    from workbench.plugins.records import Activation, JacobianStrategy, Loss

_MODULES = {
    "Activation": "plugins.records",
    "Derivation": "api.derivations",
    "Detail": "derivation.steps",
    "Expression": "calculus.expressions",
    "Function": "calculus.functions",
    "JacobianStrategy": "plugins.records",
    "Layout": "derivation.layout",
    "Loss": "plugins.records",
    "Model": "api.trained",
    "Network": "derivation.network",
    "Program": "core.program",
    "WorkbenchError": "errors",
    "derive": "api.derivations",
    "derive_depth": "api.derivations",
    "derive_layer": "api.derivations",
    "equations": "api.reading",
    "gradcheck": "api.models",
    "hookimpl": "plugins.hookspecs",
    "load": "api.models",
    "network": "api.models",
    "program": "api.models",
    "prove": "api.reading",
    "read_equations": "api.reading",
    "train": "api.models",
}
"""Where each public name is defined."""

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
    if name not in _MODULES:
        raise AttributeError(f"module 'workbench' has no attribute {name!r}")
    return getattr(import_module(f"workbench.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
