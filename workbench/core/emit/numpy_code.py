"""A pure NumPy function of loss and gradients, and what it shares with the one in plain Python."""

from __future__ import annotations

from collections.abc import Callable

from workbench.calculus.expressions import Expression
from workbench.core.emit.code import exploded
from workbench.core.emit.languages import Arrays
from workbench.core.emit.lowered import docstring
from workbench.core.emit.module import Module
from workbench.derivation.steps import Derivation

ARRAY = "NDArray[np.float64]"

QUIET = ['@np.errstate(over="ignore")  # 1 / (1 + np.exp(1000)) is 0']
"""A line before a function in which an exponential may become infinite in a denominator."""

HELPERS = {
    "log_det": '''def log_det(matrix: NDArray[np.float64]) -> float:
    """log det, without overflow; not a number where the determinant is negative."""
    sign, logarithm = np.linalg.slogdet(matrix)
    return float(np.log(sign) + logarithm)


''',
}


def numpy_code(derivation: Derivation, name: str, what: str) -> str:
    """A module with one function in NumPy: double precision, nothing changed in place."""
    module = Module(derivation, Arrays(), name, indent=4)
    imports = ["from collections.abc import Callable"] if module.callables else []
    imports.append(f"from typing import {'Any, ' if module.callables else ''}NamedTuple")
    if module.has_matrices or module.calls("np."):
        imports += ["", "import numpy as np"]
    if module.has_matrices:
        imports.append("from numpy.typing import NDArray")
    if module.calls("special."):
        imports += [*([] if "" in imports else [""]), "from scipy import special"]
    lines = [
        *docstring(what, [["In NumPy, as derived; columns are (n, 1)."]], 0),
        "",
        *imports,
        "",
        "",
        *gradients_class(module, _type_of),
        *module.helpers(HELPERS),
        *module.check_function(ARRAY, scalars=False),
        *(QUIET if module.has_infinite_denominators else []),
        *loss_and_gradients(module, what, _type_of, "Callable[[Any], Any]"),
    ]
    return "\n".join(lines)


def _type_of(symbol: Expression) -> str:
    return "float" if symbol.is_scalar else ARRAY


def gradients_class(module: Module, type_of: Callable[[Expression], str]) -> list[str]:
    """A named tuple with a field for each gradient."""
    return [
        "class Gradients(NamedTuple):",
        '    """The gradient by each parameter, of the shape of that parameter."""',
        "",
        *(f"    {module.arguments[p]}: {type_of(p)}" for p in module.gradients),
        "",
        "",
    ]


def loss_and_gradients(
    module: Module, what: str, type_of: Callable[[Expression], str], callable_type: str
) -> list[str]:
    """The function that computes the forward pass and the backward pass."""
    forward = module.forward_lines(module.saved)
    parameters = [f"{name}: {callable_type}" for name in module.callables]
    parameters += [f"{v}: {type_of(symbol)}" for symbol, v in module.arguments.items()]
    results = [f"{module.arguments[p]}={name}" for p, name in module.gradients.items()]
    paragraphs = [module.shape_table(), module.assumptions()]
    return [
        *exploded(f"def {module.name}(", parameters, ") -> tuple[float, Gradients]:", 0),
        *docstring(what, paragraphs, 4),
        *module.check_call(scalars=False),
        *module.size_lines([*forward, *module.backward_lines], 4),
        *module.body(forward, 4),
        *module.body(module.backward_lines, 4),
        *exploded("gradients = Gradients(", results, ")", 4),
        f"    return float({module.loss}), gradients",
        "",
    ]
