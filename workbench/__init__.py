"""The backpropagation workbench: derive, check, run and plot gradients from one expression graph."""

from __future__ import annotations

from workbench.calculus.expressions import Expression
from workbench.calculus.functions import Function
from workbench.errors import WorkbenchError
from workbench.plugins.hookspecs import hookimpl
from workbench.plugins.records import Activation, JacobianStrategy, Loss

__all__ = [
    "Activation",
    "Expression",
    "Function",
    "JacobianStrategy",
    "Loss",
    "WorkbenchError",
    "hookimpl",
]
