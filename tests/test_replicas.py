"""Replicas: each comes to what a training of its own comes to, whatever becomes of the others."""

from __future__ import annotations

import json
import re
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench import __main__ as program
from workbench.core.checkpoint import Checkpoint
from workbench.core.data import Dataset
from workbench.core.optimizers import OPTIMIZERS
from workbench.core.replicas import ReplicaTraining
from workbench.core.schedules import Schedule
from workbench.core.settings import Settings
from workbench.core.steppers import replica_stepper
from workbench.core.training import Training
from workbench.derivation.network import Network
from workbench.errors import InputError, NotFiniteError, TooLargeError
from workbench.plugins.build import build_network, build_strategy
from workbench.plugins.registry import load_registry

XOR = Path(__file__).parents[1] / "examples" / "data" / "xor.csv"
REGISTRY = load_registry()
RATES = (0.01, 0.1)

Capture = pytest.CaptureFixture[str]


def network(text: str, loss: str | None = None) -> Network:
    return build_network(text, loss=loss, registry=REGISTRY)


def samples(count: int, classes: int) -> Dataset:
    """Random inputs with random classes, or with a number above 0 for no classes."""
    generator = np.random.default_rng(count)
    inputs, names = generator.normal(size=(count, 3)), ("u", "v", "w")
    if not classes:
        outcomes = generator.uniform(0.1, 0.9, size=(count, 2))
        return Dataset(inputs, outcomes, names, ("y", "z"), None, "data.csv", True)
    labels = np.concatenate([np.arange(classes), generator.integers(0, classes, count - classes)])
    return Dataset(inputs, labels, names, ("kind",), tuple("abc"[:classes]), "data.csv", True)


def alone(training: ReplicaTraining, place: int, data: Dataset, validation: Any) -> Training:
    """The training of one replica alone."""
    settings = training.settings
    rate = settings.rates[place % len(settings.rates)] if settings.rates else settings.learning_rate
    own = replace(
        settings, replicas=1, rates=(), learning_rate=rate, initial_seed=training.seeds[place]
    )
    assert training.model.network is not None
    return Training(training.model.network, data, validation, own)


def figures(record: dict[str, Any]) -> dict[str, Any]:
    """What is told of a record."""
    return {name: value for name, value in record.items() if value is not None}


def assert_alike(
    model: Network, data: Dataset, settings: Settings, validation: Dataset | None = None
) -> ReplicaTraining:
    """Each replica ends with the parameters and the last record of a training of its own."""
    training = ReplicaTraining(model, data, validation, settings)
    *_, last = training
    records = training.replica_records()
    assert len(records) == last.to_json()["replicas"] == settings.replicas
    for place, record in enumerate(records):
        one = alone(training, place, data, validation)
        *_, expected = one
        told = {"replica": place, "initial_seed": training.seeds[place], **expected.to_json()}
        assert figures(record) == pytest.approx(figures(told), rel=1e-10, abs=1e-12)
        found = training.replicas.parameters[:, place]
        np.testing.assert_allclose(found, one.parameters.vector, rtol=1e-10, atol=1e-12)
    return training


# --- what replicas come to


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_replicas_come_to_what_each_comes_to_alone(
    optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Five replicas in groups of three and two; 14 samples in batches of 4, 4, 4 and 2.
    monkeypatch.setattr(replica_stepper, "NARROWEST", 3)
    monkeypatch.setattr(replica_stepper, "CACHE", 0)
    clipped = {"sgd": {"clip_norm": 0.3}, "adam": {"clip_value": 0.01}}.get(optimizer, {})
    settings = Settings(
        epochs=5,
        batch_size=4,
        optimizer=optimizer,
        schedule=Schedule(kind="cosine", warmup_steps=3, per="step"),
        class_weights={"a": 2.0, "b": 1.0, "c": 0.5},
        weight_decay=0.01,
        replicas=5,
        rates=RATES,
        initial_seed=7,
        **clipped,  # type: ignore[arg-type]
    )
    model = network("3-5:tanh-3:softmax")
    training = assert_alike(model, samples(14, 3), settings, samples(9, 3))
    assert [group.stop - group.start for group in training._groups] == [3, 2]


@pytest.mark.parametrize("batch_size", [5, 32])
@pytest.mark.parametrize("activation", REGISTRY.activations)
def test_every_activation_in_replicas(activation: str, batch_size: int) -> None:
    settings = Settings(epochs=3, batch_size=batch_size, optimizer="sgd", replicas=2, rates=RATES)
    model = network(f"3-4:{activation}-2:{activation}", "half_squared_error")
    assert_alike(model, samples(11, 0), settings)


@pytest.mark.parametrize("loss", REGISTRY.losses)
def test_every_loss_in_replicas(loss: str) -> None:
    settings = Settings(epochs=2, batch_size=4, replicas=2)
    for text, data in (("3-2-3:softmax", samples(11, 3)), ("3-2-1:sigmoid", samples(11, 2))):
        try:
            Training(network(text, loss), data, None, settings)
        except InputError:
            continue
        assert_alike(network(text, loss), data, settings)


def test_the_figures_of_a_record() -> None:
    settings = Settings(epochs=2, optimizer="sgd", replicas=4, rate_range=(0.01, 0.1))
    training = ReplicaTraining(network("3-4-2:softmax"), samples(11, 2), None, settings)
    *_, last = training
    losses = [record["loss"] for record in training.replica_records()]
    rates = [record["learning_rate"] for record in training.replica_records()]
    told = last.to_json()
    expected = [np.mean(losses), min(losses), np.median(losses), max(losses)]
    names = ["loss", "loss_least", "loss_median", "loss_most"]
    assert [told[name] for name in names] == pytest.approx(expected, rel=1e-12)
    assert rates == pytest.approx([0.01 * 10 ** (k / 3) for k in range(4)], rel=1e-12)
    best = int(np.argmin(losses))
    assert told["best_replica"] == best
    assert training.best is not None
    np.testing.assert_array_equal(training.parameters.vector, training.replicas.parameters[:, best])


# --- what is not finite


@pytest.mark.parametrize(("batch_size", "epochs"), [(4, 60), (32, 300)])
def test_a_replica_that_diverges_is_frozen_and_disturbs_nobody(
    batch_size: int, epochs: int
) -> None:
    data, rates = samples(14, 0), (0.01, 30.0, 0.02)
    settings = Settings(
        epochs=epochs, batch_size=batch_size, optimizer="sgd", replicas=3, rates=rates
    )
    training = ReplicaTraining(network("3-4:relu-2:identity"), data, None, settings)
    *_, last = training
    told, record = last.to_json(), training.replica_records()[1]
    assert (told["frozen"], record["finite"], record["loss"]) == (1, False, None)
    assert told["loss"] == pytest.approx(
        np.mean([training.replica_records()[place]["loss"] for place in (0, 2)]), rel=1e-12
    )
    for place in range(3):
        one = alone(training, place, data, None)
        if place == 1:
            with pytest.raises(NotFiniteError) as error:
                list(one)
            found = re.match(r"epoch (\d+), step (\d+) ", str(error.value))
            assert found is not None
            assert [str(record[name]) for name in ("epoch", "step")] == list(found.groups())
        else:
            list(one)
        own = training.replicas.parameters[:, place]
        np.testing.assert_allclose(own, one.parameters.vector, rtol=1e-10)


def test_a_training_ends_when_all_replicas_are_frozen() -> None:
    settings = Settings(epochs=90, optimizer="sgd", replicas=2, rates=(1e6, 1e7))
    training = ReplicaTraining(network("3-4:relu-2:identity"), samples(14, 0), None, settings)
    with pytest.raises(NotFiniteError, match=r"the last of 2 replicas .* below 1e\+06"):
        list(training)


# --- going on


class Stop(Exception):
    pass


def stopped_at(training: ReplicaTraining, pause: int) -> Checkpoint:
    """The state of a training at one of its pauses."""

    def pauses() -> Iterator[None]:
        yield from [None] * pause
        raise Stop

    waiting = pauses()
    training.pause, training.epochs_a_pause = lambda: next(waiting), 3
    with pytest.raises(Stop):
        list(training)
    state = training.state()
    return Checkpoint({n: a.copy() for n, a in state.arrays.items()}, dict(state.values))


@pytest.mark.parametrize("batch_size", [4, 32])
@pytest.mark.parametrize("pause", [0, 3, 8])
def test_a_state_leads_to_the_same_end(batch_size: int, pause: int) -> None:
    settings = Settings(
        epochs=30, batch_size=batch_size, optimizer="adam", replicas=3, rates=(1e-2, 1e300, 1e-3)
    )

    def fresh() -> ReplicaTraining:
        return ReplicaTraining(network("3-4-2:softmax"), samples(14, 2), None, settings)

    whole, other = fresh(), fresh()
    records = [record.to_json() for record in whole]
    state = stopped_at(fresh(), pause)
    other.restore(state)
    rest = [record.to_json() for record in other]
    assert rest == records[len(records) - len(rest) :]
    assert rest
    for name, array in other.state().arrays.items():
        np.testing.assert_array_equal(array, whole.state().arrays[name])


def test_a_state_holds_what_is_told_at_the_end() -> None:
    """A training restored at its end tells, and has learned, the same without another step."""
    settings = Settings(epochs=3, batch_size=4, replicas=3, rates=RATES, dtype="float32")

    def fresh() -> ReplicaTraining:
        data, validation = samples(14, 2), samples(6, 2)
        return ReplicaTraining(network("3-4-2:softmax"), data, validation, settings)

    whole, other = fresh(), fresh()
    assert other.replica_records() == []
    list(whole)
    other.restore(whole.state())
    assert list(other) == []
    assert other.replica_records() == whole.replica_records()
    np.testing.assert_array_equal(other.parameters.vector, whole.parameters.vector)
    assert whole.best is not None
    assert other.best is not None
    assert other.best.values == whole.best.values
    for name, array in whole.best.arrays.items():
        np.testing.assert_array_equal(other.best.arrays[name], array)


def test_a_norm_that_overflows_freezes_no_replica() -> None:
    """The gradient is finite in float32, the square of its norm is not."""
    raw = samples(12, 0)
    data = replace(raw, inputs=raw.inputs * 1e13, outcomes=raw.outcomes * 1e10)
    settings = Settings(
        epochs=2,
        batch_size=4,
        optimizer="sgd",
        clip_norm=1.0,
        dtype="float32",
        standardise=False,
        initialiser="zeros",
        replicas=2,
        rates=(1e-12, 1e-11),
    )
    training = ReplicaTraining(network("3-2:identity"), data, None, settings)
    *_, last = training
    for place, record in enumerate(training.replica_records()):
        *_, expected = alone(training, place, data, None)
        assert record["gradient_norm"] > np.finfo(np.float32).max ** 0.5
        assert record["gradient_norm"] == pytest.approx(expected.gradient_norm, rel=1e-5)
        assert record["loss"] == pytest.approx(expected.loss, rel=1e-5)
    assert last.to_json()["frozen"] == 0


# --- memory


@pytest.mark.parametrize(
    "given",
    [
        {"batch_size": 32, "replicas": 1000},
        {"batch_size": 32, "replicas": 4000, "optimizer": "sgd"},
        {"batch_size": 32, "replicas": 1500, "rate_range": (0.01, 0.1)},
    ],
)
def test_the_memory_of_replicas_is_what_was_said(given: dict[str, Any]) -> None:
    model, settings = network("3-5-3:softmax"), Settings(epochs=3, **given)
    list(ReplicaTraining(model, samples(8, 3), None, Settings(epochs=1, replicas=2)))
    tracemalloc.start()
    try:
        training = ReplicaTraining(model, samples(300, 3), samples(60, 3), settings)
        said = training.memory.total
        tracemalloc.reset_peak()
        list(training)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= 1.1 * said
    assert said <= 2 * peak


def test_too_many_replicas_are_refused_before_they_are_made() -> None:
    settings = Settings(replicas=10**10, rate_range=(0.1, 0.2))
    with pytest.raises(
        TooLargeError, match=r"10,000,000,000 replicas of 3-4.* hold .* fewer replicas"
    ):
        ReplicaTraining(network("3-4-2"), samples(8, 0), None, settings)


# --- the command


def test_a_run_of_replicas(tmp_path: Path, capsys: Capture) -> None:
    def workbench(*arguments: object) -> list[dict[str, Any]]:
        assert program._run([str(argument) for argument in arguments]) == 0
        told = capsys.readouterr()
        assert told.err == ""
        return [json.loads(line) for line in told.out.splitlines() if line.startswith("{")]

    run, again = tmp_path / "run", tmp_path / "again"
    train = "train", "2-3-1", XOR, "--optimizer", "sgd", "--epochs", "5"
    more = "--replicas", "3", "--rates", "0.5,0.1", "--initial-seed", "4"
    printed = workbench(*train, *more, "--run", run)
    assert printed == [
        json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()
    ]
    (one,) = workbench(*train, "--initial-seed", "5", "--learning-rate", "0.1")[-1:]
    replicas = [json.loads(line) for line in (run / "replicas.jsonl").read_text().splitlines()]
    expected = figures({"replica": 1, "initial_seed": 5, **one})
    assert figures(replicas[1]) == pytest.approx(expected, rel=1e-10)
    best = min(replicas, key=lambda record: record["loss"])["replica"]
    assert printed[-1]["best_replica"] == best

    assert program._run(["evaluate", str(run), str(XOR), "--format", "json"]) == 0
    assert program._run(["export", str(run), "--format", "npz"]) == 0
    capsys.readouterr()
    workbench("train", run / "settings.toml", "--run", again)
    for name in ("metrics.jsonl", "replicas.jsonl", "last.safetensors", "settings.toml"):
        assert (run / name).read_bytes() == (again / name).read_bytes()
    workbench("train", "--resume", again, "--epochs", "9")
    workbench(*train[:-1], "9", *more, "--run", run, "--force")
    assert (run / "replicas.jsonl").read_bytes() == (again / "replicas.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"patience": 3}, "patience 3 is for one network, and there are to be 2 replicas"),
        ({"backend": "python"}, "backend 'python' is for one network"),
        ({"replicas": 0}, "replicas 0; expected a whole number from 1"),
        ({"rates": (0.1, -1.0)}, "rates -1.0; expected a number above 0"),
        ({"rates": (0.1, 0.2, 0.3)}, "3 rates for 2 replicas; expected at most one each"),
        ({"rate_range": (0.2, 0.1)}, "expected two rates, the least, then the largest"),
        ({"rates": (0.1,), "rate_range": (0.1, 0.2)}, "expected one of them: leave one out"),
        ({"rates": (0.1,), "learning_rate": 1.0}, "learning_rate and rates are given; ex"),
        ({"rates": (0.1,), "replicas": 1}, "expected replicas = 2 or more"),
        ({"initial_seed": -1}, "initial_seed -1; expected a whole number from 0"),
        (
            {"strategy": build_strategy("diagonal", REGISTRY)},
            "replicas cannot compute diag; use --strategy elementwise",
        ),
    ],
)
def test_what_replicas_cannot_do(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        settings = Settings(**{"replicas": 2, "epochs": 1, **given})
        list(ReplicaTraining(network("3-4-2"), samples(8, 0), None, settings))
