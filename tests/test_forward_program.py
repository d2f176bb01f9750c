"""The forward pass alone: the bits of the whole program, without what a backward pass takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import workbench as wb
from workbench.core.inference import LARGEST_BATCH, ForwardPass
from workbench.core.initialisers import initialise
from workbench.core.parameters import Parameters
from workbench.core.program import program
from workbench.core.program.program import compile_forward, compile_model, compile_network
from workbench.core.program.source import turned_parameters
from workbench.core.trainable import Trainable, trainable_equations, trainable_network
from workbench.errors import InputError
from workbench.plugins.build import build_network
from workbench.plugins.registry import load_registry


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("text", ["5-4", "6-7:gelu-5:relu-3:softmax", "3-8:softplus-2:sigmoid"])
def test_it_is_that_of_the_whole_program(
    text: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = build_network(text, registry=load_registry())
    model, generator = trainable_network(network), np.random.default_rng(0)
    parameters = initialise(network, 0, dtype, turned=turned_parameters(model.system))
    inputs = generator.normal(size=(9, network.widths[0])).astype(dtype)
    targets = np.eye(network.widths[-1], dtype=dtype)[generator.integers(0, 2, 9)]
    whole = compile_network(network, batch_size=9, dtype=dtype, parameters=parameters)
    monkeypatch.delattr(program, "derive")
    alone = compile_forward(model, batch_size=9, parameters=parameters)
    assert alone.forward(inputs, targets) == whole.forward(inputs, targets)
    assert alone.outputs.tobytes() == whole.outputs.tobytes()
    assert alone.predict(inputs).tobytes() == whole.predict(inputs).tobytes()
    assert isinstance(alone, program.ForwardProgram)
    assert alone.buffer_bytes < whole.buffer_bytes
    assert "def step(" not in alone.source


def test_an_empty_batch_is_refused() -> None:
    network = build_network("2-1", registry=load_registry())
    with pytest.raises(InputError, match="at least one sample, not 0"):
        compile_forward(trainable_network(network), batch_size=0, parameters=initialise(network, 0))


def attention() -> Trainable:
    """Equations without a batch form: their program is one of a sample."""
    text = (Path(__file__).parents[1] / "examples" / "attention.eq").read_text(encoding="utf-8")
    sizes = {"n": 2, "k": 2}
    return trainable_equations(wb.equations(text), text, columns="abcdef", targets=6, sizes=sizes)


def weighted() -> Trainable:
    return trainable_network(build_network("6-6", registry=load_registry()), weighted=True)


@pytest.mark.parametrize("make", [attention, weighted])
def test_a_prediction_is_an_array_of_its_own(make: Callable[[], Trainable]) -> None:
    model, generator = make(), np.random.default_rng(0)
    parameters = Parameters(model.parameters, turned=turned_parameters(model.system))
    parameters.vector[:] = generator.normal(size=parameters.vector.size)
    program = compile_model(model, batch_size=3, parameters=parameters)
    inputs, targets = generator.normal(size=(2, 3, 6))
    first = program.predict(inputs)
    assert first.tobytes() == program.outputs.tobytes()
    kept = first.copy()
    program.forward(2 * inputs, targets)
    program.step(inputs, targets)
    assert first.tobytes() == kept.tobytes()


@pytest.mark.parametrize("make", [attention, weighted])
def test_arrays_of_another_length_are_refused(make: Callable[[], Trainable]) -> None:
    model = make()
    program = compile_model(model, batch_size=3)
    arrays = np.zeros((2, 3, 6))
    for call in program.forward, program.step:
        assert call(arrays[0], arrays[1], np.ones(3)) >= 0
        for wrong in np.ones(2), np.ones((3, 1)), np.ones(()):
            with pytest.raises(InputError, match=r"weights of shape .*takes \(3,\)"):
                call(arrays[0], arrays[1], wrong)
        with pytest.raises(InputError, match=r"targets of shape \(2, 6\).*takes \(3, 6\)"):
            call(arrays[0], arrays[1, :2])
    with pytest.raises(InputError, match=r"inputs of shape \(2, 6\).*takes \(3, 6\)"):
        program.predict(arrays[0, :2])


def test_weights_are_refused_where_the_loss_is_made_without() -> None:
    program = compile_network(build_network("2-1", registry=load_registry()), batch_size=3)
    arrays = np.zeros((3, 2)), np.zeros((3, 1)), np.ones(3)
    for call in program.forward, program.step:
        with pytest.raises(InputError, match=r"weights are given, .* or compile .* weighted=True"):
            call(*arrays)


def test_few_programs_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the largest batch and of the latest other size."""
    sizes: list[int] = []

    def compiled(*given: Any, batch_size: int, **named: Any) -> Any:
        sizes.append(batch_size)
        return compile_forward(*given, batch_size=batch_size, **named)

    monkeypatch.setattr("workbench.core.inference.compile_forward", compiled)
    network = build_network("1-1", registry=load_registry())
    forward_pass = ForwardPass(network, initialise(network, 0))
    for rows in (3, LARGEST_BATCH + 3, LARGEST_BATCH + 3, 5, 5, LARGEST_BATCH, 3):
        forward_pass.predict(np.zeros((rows, 1)))
    assert sizes == [3, LARGEST_BATCH, 5, 3]
