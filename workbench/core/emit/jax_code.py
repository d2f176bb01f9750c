"""A `jax.custom_vjp` whose backward pass is the derivation's."""

from __future__ import annotations

from workbench.core.emit.code import bracketed, exploded
from workbench.core.emit.languages import Jax
from workbench.core.emit.module import Module, docstring
from workbench.derivation.steps import Derivation

ARRAY = "jax.Array"

HELPERS = {
    "log_det": '''def log_det(matrix: jax.Array) -> jax.Array:
    """log det, without overflow; not a number where the determinant is negative."""
    sign, logarithm = jnp.linalg.slogdet(matrix)
    return jnp.log(sign) + logarithm


''',
}


def jax_code(derivation: Derivation, name: str) -> str:
    """A module with a function that can be compiled and differentiated once."""
    module = Module(derivation, Jax(), name, indent=4)
    typed = [f"{f}: Callable[[{ARRAY}], {ARRAY}]" for f in module.callables]
    typed += [f"{argument}: {ARRAY}" for argument in module.arguments.values()]
    imports = ["import math"] if module.calls("math.") else []
    if module.callables:
        imports += ["from collections.abc import Callable", "from functools import partial"]
    imports += ["from typing import Any", "", "import jax"]
    if module.calls("jnp.") or module.language.helpers:
        imports.append("import jax.numpy as jnp")
    if module.calls("special."):
        imports.append("from jax.scipy import special")
    arguments = [*module.callables, *module.arguments.values()]
    words = [module.shape_table(), module.constant_arguments(), module.assumptions()]
    lines = [
        '"""The loss in JAX, its gradients as derived; columns are (n, 1)."""',
        "",
        *imports,
        "",
        "",
        *module.helpers(HELPERS),
        *module.check_function(ARRAY, scalars=True),
        *_decorator(module),
        *exploded(f"def {module.name}(", typed, f") -> {ARRAY}:", 0),
        *docstring(f"The loss {module.loss}, which JAX differentiates.", words, 4),
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
        '    """The loss, and what the backward pass needs."""',
        *module.check_call(scalars=True),
        *module.size_lines(lines, 4),
        *module.body(lines, 4),
        *exploded("saved = {", [f'"{name}": {name}' for name in module.saved], "}", 4),
        f"    return {module.loss}, saved",
    ]


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
        *module.returned(returned, 4),
    ]
