"""The format torch: one Python file with the network as a module of PyTorch.

A file of source, and not one of TorchScript or of `torch.export`: TorchScript is deprecated, an
exported program is bound to the versions of PyTorch near the one that wrote it, and neither can be
read, changed or trained on. The source needs nothing but PyTorch (2.4 or newer), its forward pass
stands below the formulas that it computes, and PyTorch can compile, export or train it like any
other module. The keys of its state are the names in the safetensors file of the same network.
"""

from __future__ import annotations

import io
from importlib.util import find_spec

import numpy as np

from workbench.core.emit.languages import Torch
from workbench.core.emit.lowered import calls, docstring
from workbench.core.export.forward import Trained
from workbench.core.export.source import (
    ForwardCode,
    module_head,
    number_lines,
    predict_docstring,
)
from workbench.errors import InputError

TAKEN = ("Network", "inputs", "self", "nn", "Path")


def torch_source(trained: Trained, *, embedded: bool) -> str:
    """A module with a class `Network`, its parameters in it or in a .pt file beside it.

    Inputs are prepared in double precision; what follows is in the run's.
    """
    code = ForwardCode(trained, Torch(), TAKEN)
    uses_math = calls(code.lines, "math.")
    imports = ["import torch", "from torch import nn"]
    lines = [
        *module_head(trained, "PyTorch", imports, uses_math=uses_math, embedded=embedded),
        *_network(trained, code),
        "",
        "",
        *_arrays(trained, embedded),
        "",
    ]
    return "\n".join(lines)


def torch_state(trained: Trained) -> bytes:
    """The arrays as a state for `torch.load(..., weights_only=True)`.

    Raises
    ------
    InputError
        If PyTorch is missing.
    """
    if find_spec("torch") is None:
        raise InputError(
            "the parameters of so large a network are written by PyTorch: pip install torch"
        )
    import torch

    content = io.BytesIO()
    torch.save({n: torch.from_numpy(np.array(a)) for n, a in trained.arrays.items()}, content)
    return content.getvalue()


def _network(trained: Trained, code: ForwardCode) -> list[str]:
    features = trained.model.input_width
    made = [
        f'        self.{name} = nn.Parameter(arrays["{name}"])'
        if name in trained.parameters
        else f'        self.register_buffer("{name}", arrays["{name}"])'
        for name in code.arrays
    ]
    given = [
        f"        {variable} = self.{name}{'[:, None]' * (trained.arrays[name].ndim == 1)}"
        for name, variable in code.arrays.items()
    ]
    preparing = [v for name, v in code.arrays.items() if name not in trained.parameters]
    first = preparing[0] if preparing else code.like
    return [
        "class Network(nn.Module):",
        f'    """{trained.title}, with the preparation of inputs as its first step."""',
        "",
        "    def __init__(self) -> None:",
        "        super().__init__()",
        "        arrays = load_arrays()",
        *made,
        "",
        "    def forward(self, inputs: torch.Tensor) -> torch.Tensor:",
        *predict_docstring(trained, 8),
        f"        if inputs.ndim != 2 or inputs.shape[1] != {features}:",
        '            raise ValueError(f"inputs of shape {tuple(inputs.shape)}; '
        f'expected (samples, {features})")',
        *given,
        f"        {code.given} = inputs.to({first}.dtype).T",
        *code.body_lines(8, f".to({code.like}.dtype)"),
        f"        return {code.output}.T",
    ]


def _arrays(trained: Trained, embedded: bool) -> list[str]:
    """The function that gives every array by name."""
    lines = ["def load_arrays() -> dict[str, torch.Tensor]:", *docstring("As trained.", [], 4)]
    if not embedded:
        return [
            *lines,
            '    return torch.load(Path(__file__).with_suffix(".pt"), weights_only=True)',
        ]
    lines.append("    return {")
    for name, array in trained.arrays.items():
        lines += [
            f'        "{name}": torch.tensor(',
            *number_lines(array, 12),
            f"            dtype=torch.{array.dtype},",
            "        ),",
        ]
    return [*lines, "    }"]
