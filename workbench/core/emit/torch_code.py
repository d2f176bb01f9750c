"""A `torch.autograd.Function` whose backward pass is the derivation's."""

from __future__ import annotations

from workbench.core.emit.code import WIDTH, bracketed, exploded
from workbench.core.emit.languages import Torch
from workbench.core.emit.lowered import docstring
from workbench.core.emit.module import Module
from workbench.derivation.steps import Derivation

TENSOR = "torch.Tensor"

HELPERS = {
    "kron": '''def kron(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """The Kronecker product; `torch.kron` itself takes no transposed views."""
    return torch.kron(left.contiguous(), right.contiguous())


''',
    "log_det": '''def log_det(matrix: torch.Tensor) -> torch.Tensor:
    """log det, without overflow; not a number where the determinant is negative."""
    sign, logarithm = torch.linalg.slogdet(matrix)
    return torch.log(sign) + logarithm


''',
}


AS_TENSOR = '''def _as_tensor(value: torch.Tensor | float, like: torch.Tensor) -> torch.Tensor:
    """A number as a tensor of the type of another, on its device."""
    return value if isinstance(value, torch.Tensor) else like.new_tensor(float(value))


'''


def torch_code(derivation: Derivation, name: str, what: str) -> str:
    """A module with a `Function` and a function that applies it, in the precision it is given."""
    module = Module(derivation, Torch(), name, indent=8)
    typed = [f"{f}: Callable[[{TENSOR}], {TENSOR}]" for f in module.callables]
    typed += [f"{argument}: {TENSOR}" for argument in module.arguments.values()]
    given = [f"{f}: Callable[[{TENSOR}], {TENSOR}]" for f in module.callables]
    given += [f"{v}: {TENSOR}{' | float' * s.is_scalar}" for s, v in module.arguments.items()]
    imports = ["from collections.abc import Callable"] if module.callables else []
    imports += ["from typing import Any", "", "import torch"]
    imports.append("from torch.autograd.function import once_differentiable")
    if module.calls("math."):
        imports.insert(0, "import math")
    lines = [
        *docstring(what, [["In PyTorch, as derived; columns are (n, 1)."]], 0),
        "",
        *imports,
        "",
        "",
        *module.helpers(HELPERS),
        *(AS_TENSOR.splitlines() if module.scalars else []),
        *module.check_function(TENSOR, scalars=True),
        f"class {module.class_name}(torch.autograd.Function):",
        '    """The value, and in its backward pass the gradients as they were derived."""',
        "",
        *_forward(module, typed),
        "",
        *_backward(module),
        "",
        "",
        *exploded(f"def {module.name}(", given, f") -> {TENSOR}:", 0),
        *docstring(what, _words(module), 4),
        *_scalars_as_tensors(module),
        *module.check_call(scalars=True),
        *bracketed(
            f"loss: {TENSOR} = {module.class_name}.apply(",
            [*module.callables, *module.arguments.values()],
            ")",
            4,
        ),
        "    return loss",
        "",
    ]
    return "\n".join(lines)


def _scalars_as_tensors(module: Module) -> list[str]:
    """Lines that let a scalar be a number; where all are, in double precision."""
    matrices = [v for s, v in module.arguments.items() if not s.is_scalar]
    like = matrices[0] if matrices else "_double"
    made = ["    _double = torch.zeros((), dtype=torch.float64)"] if not matrices else []
    return made + [f"    {v} = _as_tensor({v}, {like})" for v in module.scalars]


def _words(module: Module) -> list[list[str]]:
    returned = f"Returns {module.loss}, which autograd differentiates by the derivation."
    table = module.shape_table()
    return [[returned], table, module.constant_arguments(), module.assumptions()]


def _forward(module: Module, typed: list[str]) -> list[str]:
    lines = module.forward_lines(module.saved)
    kept = [f"        ctx.{name} = {name}" for name in module.backward_callables]
    return [
        "    @staticmethod",
        *exploded("def forward(", ["ctx: Any", *typed], f") -> {TENSOR}:", 4),
        *module.size_lines(lines, 8),
        *module.body(lines, 8),
        *kept,
        *bracketed("ctx.save_for_backward(", module.saved, ")", 8),
        f"        return {module.loss}",
    ]


def _backward(module: Module) -> list[str]:
    results = {module.arguments[p]: name for p, name in module.gradients.items()}
    returned = ["None"] * len(module.callables)
    returned += [
        f"cotangent * {results[argument]}" if argument in results else "None"
        for argument in module.arguments.values()
    ]
    kept = [f"        {name} = ctx.{name}" for name in module.backward_callables]
    return [
        "    @staticmethod",
        "    @once_differentiable",
        f"    def backward(ctx: Any, cotangent: {TENSOR}) -> Any:",
        *_unpacked(module.saved),
        *kept,
        *module.size_lines(module.backward_lines, 8),
        *module.body(module.backward_lines, 8),
        *module.returned(returned, 8),
    ]


def _unpacked(saved: list[str]) -> list[str]:
    """The saved tensors as variables again."""
    line = f"        {', '.join(saved)} = ctx.saved_tensors"
    if not saved:
        return []
    if len(saved) == 1:
        return [f"        ({saved[0]},) = ctx.saved_tensors"]
    return [line] if len(line) <= WIDTH else exploded("(", saved, ") = ctx.saved_tensors", 8)
