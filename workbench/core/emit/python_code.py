"""Plain Python for systems of scalars: floats and `math`, nothing else."""

from __future__ import annotations

from workbench.calculus.expressions import Expression, describe
from workbench.core.emit.languages import Floats
from workbench.core.emit.lowered import docstring
from workbench.core.emit.module import Module
from workbench.core.emit.numpy_code import gradients_class, loss_and_gradients
from workbench.derivation.steps import Derivation
from workbench.errors import InputError

HELPERS = {
    "exp": '''def exp(value: float) -> float:
    """eᵛ, infinite where no float is large enough, so that 1 / (1 + eᵛ) is 0."""
    return math.exp(value) if value < 709.0 else math.inf


''',
    "log_one_plus_exp": '''def log_one_plus_exp(value: float) -> float:
    """log(1 + eᵛ), without overflow."""
    return max(value, 0.0) + math.log1p(math.exp(-abs(value)))


''',
    "sign": '''def sign(value: float) -> float:
    """1, 0 or −1."""
    return float(value > 0) - float(value < 0)


''',
}


def python_code(derivation: Derivation, name: str, what: str) -> str:
    """A module with one function of floats.

    Raises
    ------
    InputError
        If a symbol of the system is not a scalar.
    """
    for symbol in derivation.system.symbols:
        if not symbol.is_scalar:
            raise InputError(
                f"the python target is for scalars, and {symbol.symbol.name} is "
                f"{describe(symbol.shape)}; derive with --form scalar, or emit numpy"
            )
    module = Module(derivation, Floats(), name, indent=4)
    helpers = module.helpers(HELPERS)
    callables = "from collections.abc import Callable"
    lines = [
        *docstring(what, [["In plain Python, as derived."]], 0),
        "",
        *(["import math"] if module.calls("math.") or helpers else []),
        *([callables] if module.callables else []),
        "from typing import NamedTuple",
        "",
        "",
        *gradients_class(module, _type_of),
        *helpers,
        *loss_and_gradients(module, what, _type_of, "Callable[[float], float]"),
    ]
    return "\n".join(lines)


def _type_of(symbol: Expression) -> str:
    return "float"
