"""The forward pass alone: the bits of the whole program, without what a backward pass takes."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.core.initialisers import initialise
from workbench.core.program import program
from workbench.core.program.program import compile_forward, compile_network
from workbench.core.program.source import turned_parameters
from workbench.core.trainable import trainable_network
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
