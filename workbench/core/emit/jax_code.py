"""A `jax.custom_vjp` whose backward pass is the derivation's."""

from __future__ import annotations

from workbench.core.emit.code import bracketed, exploded
from workbench.core.emit.languages import Jax
from workbench.core.emit.lowered import docstring
from workbench.core.emit.module import Module
from workbench.derivation.steps import Derivation

ARRAY = "jax.Array"

HELPERS = {
    "log_det": '''def log_det(matrix: jax.Array) -> jax.Array:
    """log det, without overflow; not a number where the determinant is negative."""
    sign, logarithm = jnp.linalg.slogdet(matrix)
    return jnp.log(sign) + logarithm


''',
}


def jax_code(derivation: Derivation, name: str, what: str) -> str:
    """A module with a function that can be compiled and differentiated once."""
    module = Module(derivation, Jax(), name, indent=4)
    typed = [f"{f}: Callable[[{ARRAY}], {ARRAY}]" for f in module.callables]
    typed += [f"{v}: {ARRAY}{' | float' * s.is_scalar}" for s, v in module.arguments.items()]
    imports = ["import math"] if module.calls("math.") else []
    if module.callables:
        imports += ["from collections.abc import Callable", "from functools import partial"]
    imports += ["from typing import Any", "", "import jax"]
    if module.calls("jnp.") or module.scalars or module.language.helpers:
        imports.append("import jax.numpy as jnp")
    if module.calls("special."):
        imports.append("from jax.scipy import special")
    arguments = [*module.callables, *module.arguments.values()]
    returned = f"Returns {module.loss}, which JAX differentiates by the derivation."
    words = [[returned], module.shape_table(), module.constant_arguments(), module.assumptions()]
    lines = [
        *docstring(what, [["In JAX, as derived; columns are (n, 1)."]], 0),
        "",
        *imports,
        "",
        "",
        *module.helpers(HELPERS),
        *module.check_function(ARRAY, scalars=True),
        *_decorator(module),
        *exploded(f"def {module.name}(", typed, f") -> {ARRAY}:", 0),
        *docstring(what, words, 4),
        *bracketed("loss, _ = _forward(", arguments, ")", 4),
        "    return loss",
        "",
        "",
        *_forward_text(module, typed),
        "",
        "",
        *_backward_text(module),
        "",
        "",
        f"{module.name}.defvjp(_forward, _backward)",
        "",
    ]
    return "\n".join(lines)


def _scalars_as_arrays(module: Module) -> list[str]:
    """Lines that let a scalar be a number, in the precision of the first matrix."""
    matrices = [v for s, v in module.arguments.items() if not s.is_scalar]
    made = f", {matrices[0]}.dtype)" if matrices else ") * 1.0"
    return [f"    {v} = jnp.asarray({v}{made}" for v in module.scalars]


def _decorator(module: Module) -> list[str]:
    if not module.callables:
        return ["@jax.custom_vjp"]
    places = ", ".join(map(str, range(len(module.callables))))
    places += "," if len(module.callables) == 1 else ""
    return [f"@partial(jax.custom_vjp, nondiff_argnums=({places}))"]


def _forward_text(module: Module, typed: list[str]) -> list[str]:
    lines = module.forward_lines(module.saved)
    return [
        *exploded("def _forward(", typed, f") -> tuple[{ARRAY}, Any]:", 0),
        '    """The value, and what the backward pass needs."""',
        *_scalars_as_arrays(module),
        *module.check_call(scalars=True),
        *module.size_lines(lines, 4),
        *module.body(lines, 4),
        *exploded("saved = {", [f'"{name}": {name}' for name in module.saved], "}", 4),
        f"    return {module.loss}, saved",
    ]


def _tuple(items: list[str]) -> list[str]:
    """A return of a tuple, also of one thing, as `defvjp` asks for."""
    if len(items) == 1:
        return [f"    return ({items[0]},)"]
    return exploded("return (", items, ")", 4)


def _backward_text(module: Module) -> list[str]:
    results = {module.arguments[p]: name for p, name in module.gradients.items()}
    returned = [
        f"cotangent * {results[argument]}" if argument in results else "None"
        for argument in module.arguments.values()
    ]
    typed = [f"{f}: Callable[[{ARRAY}], {ARRAY}]" for f in module.callables]
    head = [*typed, "saved: Any", f"cotangent: {ARRAY}"]
    return [
        *exploded("def _backward(", head, ") -> Any:", 0),
        '    """The gradients as they were derived."""',
        *(f'    {name} = saved["{name}"]' for name in module.saved),
        *module.size_lines(module.backward_lines, 4),
        *module.body(module.backward_lines, 4),
        *_tuple(returned),
    ]
