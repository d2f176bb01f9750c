"""Training: one step by hand, whole trainings against PyTorch, and data that do not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench.core import inference
from workbench.core.data import Dataset, load
from workbench.core.data.sources import STREAM, Samples
from workbench.core.inference import ForwardPass
from workbench.core.initialisers import initialise
from workbench.core.opening import train
from workbench.core.optimizers import OPTIMIZERS
from workbench.core.progress import EpochRecord
from workbench.core.settings import Settings
from workbench.core.training import Training
from workbench.derivation.network import Network
from workbench.derivation.steps import Strategy
from workbench.errors import InputError, NotFiniteError
from workbench.plugins.build import build_network, build_strategy
from workbench.plugins.registry import load_registry

EXAMPLES = Path(__file__).parents[1] / "examples" / "data"


def network(text: str, loss: str | None = None) -> Network:
    return build_network(text, loss=loss, registry=load_registry())


def strategy(name: str) -> Strategy:
    return build_strategy(name, load_registry())


def numbers(inputs: Any, targets: Any) -> Dataset:
    """A data set of numbers, from (samples, features) and (samples, outputs)."""
    inputs, targets = np.array(inputs, dtype=float), np.array(targets, dtype=float)
    input_names = tuple(f"x{place}" for place in range(inputs.shape[1]))
    target_names = tuple(f"y{place}" for place in range(targets.shape[1]))
    return Dataset(inputs, targets, input_names, target_names, None, "data.csv", True)


def classes(samples: int, features: int, count: int) -> Dataset:
    """A data set of random inputs and random classes."""
    generator = np.random.default_rng(1)
    inputs = generator.normal(size=(samples, features))
    labels = np.concatenate([np.arange(count), generator.integers(0, count, samples - count)])
    names = tuple(f"x{i}" for i in range(features))
    known = tuple("abcdefghijklmnop"[:count])
    return Dataset(inputs, labels, names, ("kind",), known, "data.csv", True)


def run(training: Training) -> list[EpochRecord]:
    return list(training)


# --- what a step does


def test_one_step_by_hand() -> None:
    # a = 2x gives (2, 6); a − y = (2, 5); L = ½ (4 + 25) / 2; ∂L/∂W = (2·1 + 5·3) / 2;
    # ∂L/∂b = (2 + 5) / 2; a step of 0.1 against both.
    settings = Settings(epochs=1, optimizer="sgd", learning_rate=0.1, standardise=False)
    training = Training(network("1-1:identity"), numbers([[1], [3]], [[0], [1]]), None, settings)
    training.parameters["W1"][:] = 2
    (record,) = training
    assert record.loss == pytest.approx(7.25, rel=1e-15)
    assert record.gradient_norm == pytest.approx((8.5**2 + 3.5**2) ** 0.5, rel=1e-15)
    assert training.parameters["W1"].item() == pytest.approx(2 - 0.85, rel=1e-15)
    assert training.parameters["b1"].item() == pytest.approx(-0.35, rel=1e-15)
    assert (record.epoch, record.step, record.accuracy) == (1, 1, None)
    assert record.validation_loss is record.validation_accuracy is None


def test_the_last_partial_batch_counts_by_its_samples() -> None:
    # With a step too small to matter the mean over batches of 2, 2 and 1 is the mean of all five.
    data = numbers([[1], [2], [3], [4], [5]], [[1], [1], [2], [7], [9]])
    settings = Settings(epochs=1, batch_size=2, optimizer="sgd", learning_rate=1e-12)
    training = Training(network("1-1:identity"), data, data, settings)
    (record,) = training
    assert record.step == 3
    assert record.validation_loss is not None
    assert record.loss == pytest.approx(record.validation_loss, rel=1e-9)


def torch_training(torch: Any, training: Training, inputs: Any, targets: Any) -> list[float]:
    """Repeat a training of 3-5:tanh-3:softmax in PyTorch; give the epochs' losses."""
    settings = training.settings
    names = list(training.parameters)
    mine = {n: torch.tensor(training.parameters[n].copy(), requires_grad=True) for n in names}
    kinds = {
        "sgd": (torch.optim.SGD, {}),
        "momentum": (torch.optim.SGD, {"momentum": 0.9}),
        "nesterov": (torch.optim.SGD, {"nesterov": True, "momentum": 0.9}),
        "rmsprop": (torch.optim.RMSprop, {}),
        "adam": (torch.optim.Adam, {}),
        "adamw": (torch.optim.AdamW, {}),
    }
    make, options = kinds[settings.optimizer]
    optimizer = make(mine.values(), lr=settings.make_optimizer().learning_rate, **options)
    losses = []
    for epoch in range(1, settings.epochs + 1):
        sequence = np.random.SeedSequence(settings.seed, spawn_key=(STREAM, epoch))
        order, total = np.random.default_rng(sequence).permutation(len(inputs)), 0.0
        for start in range(0, len(inputs), settings.batch_size):
            rows = order[start : start + settings.batch_size]
            x, y = torch.tensor(inputs[rows]), torch.tensor(targets[rows].argmax(axis=1))
            hidden = torch.tanh(x @ mine["W1"].T + mine["b1"])
            loss = torch.nn.functional.cross_entropy(hidden @ mine["W2"].T + mine["b2"], y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
        losses.append(total / len(inputs))
    return losses


@pytest.mark.parametrize("backend", ["numpy", "python"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_whole_trainings_agree_with_pytorch(optimizer: str, backend: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle")
    data = classes(14, 3, 3)
    name = "kronecker" if optimizer == "sgd" else "elementwise"
    settings = Settings(
        epochs=6, batch_size=4, optimizer=optimizer, strategy=strategy(name), backend=backend
    )
    training = Training(network("3-5:tanh-3:softmax"), data, None, settings)
    expected = torch_training(
        torch, training, training.preparation.apply(data.inputs), data.targets
    )
    assert [record.loss for record in training] == pytest.approx(expected, rel=1e-10)


# --- what it learns


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("text", "loss"),
    [("2-4:tanh-1", None), ("2-4:tanh-1", "binary_cross_entropy"), ("2-8:relu-2:softmax", None)],
)
def test_xor_is_learnt(text: str, loss: str | None, dtype: str) -> None:
    settings = Settings(epochs=300, optimizer="adam", learning_rate=0.05, dtype=dtype)
    training = train(network(text, loss), load(EXAMPLES / "xor.csv"), settings)
    records = run(training)
    assert records[-1].accuracy == 1
    assert records[-1].loss < 0.05 < records[0].loss
    predicted = training.forward_pass.predict(training.preparation.read(EXAMPLES / "xor.csv"))
    assert predicted[:, -1].round().tolist() == [0, 1, 1, 0]


def test_digits_are_learnt() -> None:
    settings = Settings(epochs=15, learning_rate=0.01, dtype="float32", validation=0.2)
    training = train(network("64-100-10:softmax"), load(EXAMPLES / "digits.csv"), settings)
    last = run(training)[-1]
    assert last.validation_accuracy is not None
    assert last.validation_accuracy > 0.95


def test_the_seed_decides_everything() -> None:
    def trained(seed: int) -> tuple[list[dict[str, Any]], bytes]:
        settings = Settings(epochs=3, batch_size=4, validation=0.25, seed=seed)
        training = train(network("3-4-3:softmax"), classes(21, 3, 3), settings)
        return [r.to_json() for r in training], training.parameters.vector.tobytes()

    assert trained(5) == trained(5)
    assert trained(5) != trained(6)


def test_the_seed_decides_each_part() -> None:
    data = classes(21, 3, 3)
    one, two = (
        train(network("3-4-3:softmax"), data, Settings(validation=0.25, seed=seed))
        for seed in (5, 6)
    )
    assert one.parameters.vector.tolist() != two.parameters.vector.tolist()
    assert one.preparation.mean.tolist() != two.preparation.mean.tolist()


# --- evaluation


@pytest.mark.parametrize("loss", ["half_squared_error", "cross_entropy"])
def test_chunks_make_no_difference(loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    built, data = network("3-5-3:softmax", loss), classes(11, 3, 3)
    parameters, samples = initialise(built, 0), Samples(data.inputs, data.targets)
    whole, outputs = ForwardPass(built, parameters).evaluate(samples)
    monkeypatch.setattr(inference, "LARGEST_BATCH", 4)
    in_chunks, same_outputs = ForwardPass(built, parameters).evaluate(samples)
    assert in_chunks == pytest.approx(whole, rel=1e-14)
    assert same_outputs == pytest.approx(outputs, rel=1e-14)
    predicted = ForwardPass(built, parameters).predict(data.inputs)
    assert predicted == pytest.approx(outputs, rel=1e-14)
    assert ForwardPass(built, parameters).predict(data.inputs[:0]).shape == (0, 3)


def test_the_validation_part_is_held_out() -> None:
    data = numbers(np.arange(20.0)[:, None], np.arange(20.0)[:, None])
    settings = Settings(epochs=1, validation=0.25)
    training = train(network("1-1:identity"), data, settings)
    assert training.preparation.apply(data.inputs).mean() != pytest.approx(0)
    assert run(training)[0].validation_loss is not None
    assert training.progress.step == 1
    assert training.best is not None


# --- numbers that break


def test_divergence_names_epoch_and_step_and_keeps_the_parameters() -> None:
    data = numbers([[1.0], [2], [3]], [[1.0], [2], [4]])
    settings = Settings(batch_size=1, optimizer="sgd", learning_rate=1e60, standardise=False)
    training = Training(network("1-1:identity"), data, None, settings)
    message = (
        r"epoch 2, step 4 \(batch 1 of 3\): not finite from L = .* on; expected finite numbers; "
        r"use a learning rate below 1e\+60, or standardise the inputs"
    )
    epochs = iter(training)
    assert next(epochs).step == 3
    with pytest.raises(NotFiniteError, match=message):
        next(epochs)
    assert np.isfinite(training.parameters.vector).all()


def test_a_large_but_finite_gradient_is_no_divergence() -> None:
    data = numbers([[1e12], [2e12]], [[1e9], [3e9]])
    settings = Settings(
        epochs=1, optimizer="sgd", learning_rate=1e-30, dtype="float32", standardise=False
    )
    training = Training(network("1-1:identity"), data, None, settings)
    training.parameters["W1"][:] = 0
    (record,) = training
    assert record.gradient_norm == pytest.approx(3.5e21, rel=1e-6)


def test_a_validation_loss_that_is_not_finite_is_null_in_json() -> None:
    training_part = numbers([[0.0], [1.0]], [[0.0], [1.0]])
    validation = numbers([[1e200]], [[0.0]])
    settings = Settings(epochs=1, standardise=False)
    (record,) = Training(network("1-1:identity"), training_part, validation, settings)
    written = json.loads(json.dumps(record.to_json(), allow_nan=False))
    assert written["validation_loss"] is None
    assert written["finite"] is False
    assert list(written)[:-1] == list(EpochRecord._fields)


# --- data that do not fit


UNFIT: dict[str, tuple[str, str | None, Dataset, str]] = {
    "inputs": (
        "64-10:softmax",
        None,
        classes(20, 63, 10),
        "has 64 inputs, data.csv has 63 columns besides the target 'kind'; begin the network with",
    ),
    "classes": (
        "2-5:softmax",
        None,
        classes(20, 2, 10),
        r"has 5 outputs, the target 'kind' of data.csv has 10 classes \(a, b, c, …\); end the",
    ),
    "two classes": (
        "2-5:softmax",
        None,
        classes(20, 2, 2),
        "end the network with 2, or with 1 for the probability of the second",
    ),
    "one output of many classes": ("2-1", None, classes(20, 2, 3), "has 1 output, the target"),
    "numbers": (
        "2-3",
        None,
        numbers([[1, 2]] * 4, [[0], [1], [5], [7]]),
        "has 3 outputs, data.csv has 1 column of numbers as target",
    ),
    "several numbers": (
        "2-3",
        None,
        numbers([[1, 2]] * 2, [[0, 1], [1, 5]]),
        r"has 3 outputs, data.csv has 2 columns of numbers as target \('y0', 'y1'\); end .* with 2",
    ),
    "no distribution": (
        "2-2:softmax",
        "cross_entropy",
        numbers([[1, 2]] * 2, [[0, 1], [1, 5]]),
        r"the loss cross_entropy does not fit the targets of data.csv, such as \[1.0, 5.0\]",
    ),
    "one output of a distribution": (
        "2-1",
        "cross_entropy",
        classes(20, 2, 2),
        "the loss cross_entropy does not fit .* or as many outputs as classes",
    ),
    "infinite": ("1-1", None, numbers([[np.inf], [1]], [[1], [2]]), "column 'x0' "),
}


@pytest.mark.parametrize("case", UNFIT)
def test_data_that_do_not_fit_are_refused(case: str) -> None:
    text, loss, data, message = UNFIT[case]
    with pytest.raises(InputError, match=message):
        train(network(text, loss), data, Settings())


def test_numbers_too_large_for_the_type() -> None:
    data = numbers([[1e300], [1.0]], [[1], [2]])
    settings = Settings(dtype="float32", standardise=False)
    with pytest.raises(InputError, match="column 'x0' has values that are not finite in float32"):
        Training(network("1-1"), data, None, settings)


def test_a_column_of_numbers_is_classes_where_the_outputs_say_so() -> None:
    data = numbers([[1.0], [2], [3], [4]], [[7], [10], [7], [8.5]])
    training = train(network("1-3:softmax"), data, Settings(epochs=1))
    assert training.preparation.classes == ("7", "8.5", "10")
    assert run(training)[0].accuracy is not None
    assert train(network("1-1"), data, Settings()).preparation.classes is None
    binary = numbers([[1.0], [2], [3], [4]], [[1], [0], [0], [1]])
    assert train(network("1-1"), binary, Settings()).preparation.classes == ("0", "1")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs 0; expected a whole number from 1"),
        ({"batch_size": -1}, "batch_size -1; expected a whole number from 1"),
        ({"seed": -1}, "seed -1; expected a whole number from 0"),
        ({"dtype": "float16"}, "unknown dtype 'float16': did you mean"),
        ({"optimizer": "sdg"}, r"unknown optimizer 'sdg': did you mean sgd\?"),
    ],
)
def test_bad_settings(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Settings(**change)


# --- early stopping


def test_patience_needs_a_validation_part() -> None:
    data = numbers([[0.0], [1.0]], [[0.0], [1.0]])
    with pytest.raises(InputError, match="a patience of 3 epochs needs a validation part"):
        Training(network("1-1:identity"), data, None, Settings(patience=3))


def test_patience_ends_training_after_epochs_without_a_better_validation_loss() -> None:
    data = numbers([[0.0], [1.0], [2.0], [3.0]], [[0.0], [1.0], [2.0], [3.0]])
    far = numbers([[0.0], [1.0]], [[50.0], [-50.0]])
    settings = Settings(epochs=200, optimizer="sgd", learning_rate=0.5, patience=3)
    training = Training(network("1-1:identity"), data, far, settings)
    losses = [record.validation_loss for record in training]
    best = min(range(len(losses)), key=lambda place: losses[place] or 0.0)
    assert len(losses) == best + 1 + 3 < 200
    assert training.progress.best_epoch == best + 1
    assert training.is_finished


def test_a_training_goes_on_from_the_state_of_another_within_an_epoch() -> None:
    class Enough(Exception):
        pass

    def pause() -> None:
        if stopped.progress.batch == 3:
            raise Enough

    data, settings = classes(21, 3, 3), Settings(epochs=4, batch_size=4, seed=3)
    whole = Training(network("3-4-3:softmax"), data, None, settings)
    expected = [record.to_json() for record in whole]
    stopped = Training(network("3-4-3:softmax"), data, None, settings)
    stopped._steps_a_span, stopped.pause = 1, pause
    found: list[dict[str, Any]] = []
    with pytest.raises(Enough):
        found.extend(record.to_json() for record in stopped)
    state = stopped.state()
    resumed = Training(network("3-4-3:softmax"), data, None, settings)
    resumed.restore(state)
    assert [record.to_json() for record in resumed] == expected[len(found) :]
    assert resumed.parameters.vector.tobytes() == whole.parameters.vector.tobytes()
