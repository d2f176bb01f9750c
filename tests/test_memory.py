"""The memory of a training, said beforehand and measured; and buffers that are shared."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import workbench as wb
from workbench import __main__ as program
from workbench.core.data import Dataset
from workbench.core.program.program import Program, compile_model, compile_network
from workbench.core.settings import Settings
from workbench.core.trainable import trainable_equations
from workbench.core.training import Training
from workbench.derivation.network import Network
from workbench.plugins.build import build_network
from workbench.plugins.registry import load_registry

XOR = Path(__file__).parents[1] / "examples" / "data" / "xor.csv"
MIDDLE = "64-128:relu-10:softmax"
LARGE = "784-512:relu-256:relu-10:softmax"


def network(text: str) -> Network:
    return build_network(text, registry=load_registry())


def classes(samples: int, network: Network) -> Dataset:
    generator, count = np.random.default_rng(0), network.widths[-1]
    inputs = generator.normal(size=(samples, network.widths[0]))
    labels = generator.integers(0, count, samples)
    names = tuple(f"x{place}" for place in range(inputs.shape[1]))
    return Dataset(inputs, labels, names, ("y",), tuple(map(str, range(count))), "d.csv", True)


@pytest.mark.parametrize(
    ("text", "samples", "validation", "settings"),
    [
        (MIDDLE, 1797, 0, {"batch_size": 32, "optimizer": "adam"}),
        (MIDDLE, 9000, 1500, {"batch_size": 32, "optimizer": "sgd", "dtype": "float64"}),
        (LARGE, 3000, 0, {"batch_size": 128, "optimizer": "sgd"}),
        (LARGE, 3000, 700, {"batch_size": 128, "optimizer": "adamw"}),
        (LARGE, 2048, 0, {"batch_size": 2048, "optimizer": "adam"}),
        ("64-1024:tanh-1024:elu-10", 3000, 0, {"batch_size": 2000, "optimizer": "momentum"}),
    ],
)
def test_the_memory_is_what_was_said(
    text: str, samples: int, validation: int, settings: dict[str, object]
) -> None:
    built = network(text)
    chosen = Settings(**{"dtype": "float32", **settings, "epochs": 2, "backend": "numpy"})  # type: ignore[arg-type]
    held_out = classes(validation, built) if validation else None
    data = classes(samples, built)
    list(Training(built, classes(20, built), None, chosen))  # rules and modules are there by now
    tracemalloc.start()
    try:
        training = Training(built, data, held_out, chosen)
        said = training.memory
        tracemalloc.reset_peak()
        list(training)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert said.total == pytest.approx(peak, rel=0.1)
    assert said.gradients == said.parameters == training.parameters.vector.nbytes


@pytest.mark.parametrize(("name", "arrays"), [("tanh", 2), ("relu", 2.25), ("sigmoid", 2)])
def test_a_layer_takes_two_arrays(name: str, arrays: float) -> None:
    # The values, and room for the sums, which become the gradient; relu's slope is a mask too.
    batch, width, layers = 1000, 50, 20
    program = compile_network(
        network("-".join(["1", *[f"{width}:{name}"] * layers, "1:identity"])),
        batch_size=batch,
        dtype="float32",
    )
    values = 4 * batch * width * layers
    assert program.buffer_bytes <= 1.1 * arrays * values


def test_a_forward_pass_leaves_gradients_alone() -> None:
    # The last reader of h writes the gradient of w, which has its shape.
    text = "target y : 1; parameter w : 2; h = tanh(w); p = h' x; L = (p - y)^2"
    model = trainable_equations(wb.equations(text), text, columns=["a", "b"], targets=1)
    made = compile_model(model, batch_size=3)
    inputs, targets = np.ones((3, 2)), np.ones((3, 1))
    made.step(inputs, targets)
    assert isinstance(made, Program)
    before = made.gradients.vector.copy()
    assert before.all()
    made.parameters.vector[:] = 0.5
    made.forward(inputs, targets)
    made.predict(inputs)
    assert np.array_equal(made.gradients.vector, before)


def test_the_plan_tells_the_memory(capsys: pytest.CaptureFixture[str]) -> None:
    assert program._run(["train", "2-3-1", str(XOR), "--plan"]) == 0
    memory = json.loads(capsys.readouterr().out)["memory"]
    parts = ["parameters", "gradients", "optimizer", "steps", "validation", "samples"]
    assert list(memory) == [*parts, "total"]
    assert memory["total"] == sum(memory[name] for name in parts)
    assert memory["parameters"] == 8 * 13
