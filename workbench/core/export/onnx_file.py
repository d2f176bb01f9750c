"""The format ONNX: a model that any runtime of the format computes, preparation included."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.emit.graph import Task
from workbench.core.export.forward import Trained
from workbench.core.export.onnx_graph import Graph, element_type, needs_single
from workbench.errors import InputError, TooLargeError

if TYPE_CHECKING:
    import onnx

OPERATOR_SET = 17
"""The version of the operators, of 2022: read by all runtimes since."""

FILE_VERSION = 8
"""The version of the file format that goes with it."""

MOST_BYTES = 2**31 - 1
"""The largest message of Protocol Buffers, in which an ONNX file consists."""


def single_precision_reason(trained: Trained) -> str | None:
    """Why the file of a float64 network computes in single precision, if it does."""
    function = needs_single([task.computed for task in trained.layers])
    if function is None or trained.dtype == np.float32:
        return None
    return (
        f"the ONNX file computes in float32, not in {trained.dtype} as the run: runtimes of ONNX "
        f"have no {function} in double precision"
    )


def onnx_bytes(trained: Trained) -> bytes:
    """The model as the content of an ONNX file.

    It has one input, `inputs` (batch, features), as they stand in the data, and one output,
    `outputs` (batch, outputs); the batch may have any size. Its numbers are of the run's type,
    float32 where the operators leave no choice (`single_precision_reason`). Inputs are prepared in
    double precision, as in training. The metadata hold `classes`, `input_names` and `target_names`
    as JSON, and the network and its loss as text.

    Raises
    ------
    InputError
        If the package onnx is missing, or ONNX has no operator for an activation.
    TooLargeError
        If the parameters take more than an ONNX file may hold, 2 GiB.
    """
    if find_spec("onnx") is None:
        raise InputError(
            "the format onnx needs the package onnx: pip install 'backprop-workbench[onnx]'"
        )
    from onnx import checker

    dtype = np.dtype(np.float32) if single_precision_reason(trained) else trained.dtype
    needed = trained.parameters.vector.size * dtype.itemsize
    if needed > MOST_BYTES:
        raise TooLargeError(
            f"the parameters of {trained.model.title} take {needed / 2**30:.1f} GiB, an ONNX file "
            "holds less than 2; export to safetensors or npz"
        )
    model = _model(trained, dtype)
    checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _model(trained: Trained, dtype: np.dtype[Any]) -> onnx.ModelProto:
    from onnx import helper

    graph = Graph(dict(trained.model.system.sizes), "inputs", dtype)
    outputs = _fill(graph, trained, dtype)
    graph.nodes.append(helper.make_node("Identity", [outputs], ["outputs"], name="outputs"))
    widths = {"inputs": trained.model.input_width, "outputs": trained.model.outputs}
    ends = {
        name: helper.make_tensor_value_info(name, element_type(dtype), ["batch", width])
        for name, width in widths.items()
    }
    made = helper.make_graph(
        graph.nodes, "network", [ends["inputs"]], [ends["outputs"]], graph.initializers
    )
    model = helper.make_model(
        made,
        producer_name="backprop-workbench",
        opset_imports=[helper.make_opsetid("", OPERATOR_SET)],
        ir_version=FILE_VERSION,
    )
    helper.set_model_props(model, dict(trained.texts))
    return model


def _fill(graph: Graph, trained: Trained, dtype: np.dtype[Any]) -> str:
    """Lower preparation and forward pass, and return the tensor of the outputs."""
    graph.give(trained.given, graph.inputs)
    if trained.preparing:
        graph.cast(trained.given, np.dtype(np.float64))
        _compute(graph, trained, trained.preparing)
        graph.cast(trained.preparing[-1].equation.left, dtype)
    return _compute(graph, trained, trained.layers)


def _compute(graph: Graph, trained: Trained, tasks: Sequence[Task]) -> str:
    """Store the arrays that equations need, lower them, and return the tensor of the last."""
    for symbol in trained.parameters_of(tasks):
        graph.store(symbol, trained.arrays[symbol.symbol.name])
    return [graph.compute(task.equation.left, task.computed) for task in tasks][-1]
