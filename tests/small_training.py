"""A training that does little but keeps itself as a real one does, to be stopped and resumed."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from workbench.core.checkpoint import Checkpoint
from workbench.core.runs import RunWriter

EPOCHS = 5

PREPARATION = {
    "input_names": ["a", "b"],
    "target_names": ["y"],
    "classes": None,
    "header": True,
    "mean": [0.0, 0.5],
    "scale": [1.0, 2.0],
    "fill": None,
}


def settings(seed: int, epochs: int = EPOCHS) -> str:
    return f'network = "2-1:tanh"\nloss = "half_squared_error"\nseed = {seed}\nepochs = {epochs}\n'


class SmallTraining:
    """Descent with momentum on quadratics, others in every epoch: the loss does not always fall."""

    def __init__(self, seed: int = 0, epochs: int = EPOCHS):
        self.seed, self.epochs = seed, epochs
        self.arrays = {
            "parameters/W1": np.full((1, 2), 4.0 + seed),
            "parameters/b1": np.ones(1),
            "optimizer/velocity": np.zeros(3),
        }
        self.epoch = 0
        self.best_loss: float | None = None

    def state(self) -> Checkpoint:
        values = {"epoch": self.epoch, "best_loss": self.best_loss, "preparation": PREPARATION}
        return Checkpoint(self.arrays, values)

    def restore(self, state: Checkpoint) -> None:
        for name, array in state.arrays.items():
            self.arrays[name][...] = array
        self.epoch, self.best_loss = state.values["epoch"], state.values["best_loss"]

    def train_epoch(self) -> dict[str, Any]:
        self.epoch += 1
        order = np.random.SeedSequence(self.seed, spawn_key=(2, self.epoch))
        aims = np.random.default_rng(order).normal(size=(4, 3))
        weight, bias, velocity = self.arrays.values()
        loss = 0.0
        for aim in aims:
            error = np.append(weight.ravel(), bias) - aim
            loss += float(error @ error) / 8
            velocity *= 0.9
            velocity += error
            weight -= 0.05 * velocity[:2]
            bias -= 0.05 * velocity[2]
        return {"epoch": self.epoch, "loss": loss}

    def run(self, writer: RunWriter, until: int | None = None) -> None:
        while self.epoch < (self.epochs if until is None else until):
            record = self.train_epoch()
            best = record["loss"] < (math.inf if self.best_loss is None else self.best_loss)
            self.best_loss = record["loss"] if best else self.best_loss
            writer.record(json.dumps(record) + "\n")
            print(json.dumps(record), flush=True)
            state = self.state()
            finished = self.epoch == self.epochs
            writer.checkpoint(state, best=state if best else None, finished=finished)


def train(path: Path, *, seed: int = 0, epochs: int = EPOCHS, force: bool = False) -> None:
    training = SmallTraining(seed, epochs)
    text = settings(seed, epochs)
    with RunWriter.create(path, text, training.state(), force=force) as writer:
        training.run(writer)


def resume(path: Path, *, seed: int = 0, epochs: int = EPOCHS) -> None:
    training = SmallTraining(seed, epochs)
    writer, state = RunWriter.resume(path, training.arrays)
    with writer:
        training.restore(state)
        training.run(writer)
