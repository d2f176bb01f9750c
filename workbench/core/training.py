"""Training: mini-batches through the compiled derivation, an optimizer's step each.

A `Training` is iterated: every epoch gives its record, and after the last one `parameters` are the
trained ones. What is done between two epochs (printing, saving, stopping) is the caller's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.core.data.dataset import Dataset, split
from workbench.core.data.preparation import Preparation
from workbench.core.inference import ForwardPass, loss_weight
from workbench.core.optimizers import Optimizer, make_optimizer
from workbench.core.parameters import initialise
from workbench.core.program import Program, compile_network
from workbench.core.samples import Samples, accuracy, prepare, recognise_classes, require_fit
from workbench.derivation.network import Network
from workbench.derivation.steps import ELEMENTWISE, Strategy
from workbench.errors import InputError, NotFiniteError, close_matches

Array = NDArray[Any]

STREAM = 2
"""The stream of random numbers that orders the samples."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to train.

    Attributes
    ----------
    learning_rate, momentum : None takes the optimizer's default.
    dtype : "float32" or "float64".
    validation : the share of the samples that is held out.
    standardise : whether inputs get mean 0 and deviation 1, as found on the training part.
    seed : of the split, the starting weights and the order of the samples.
    """

    epochs: int = 50
    batch_size: int = 32
    optimizer: str = "adam"
    learning_rate: float | None = None
    momentum: float | None = None
    dtype: str = "float64"
    strategy: Strategy = ELEMENTWISE
    validation: float = 0.0
    standardise: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 1), ("seed", 0)):
            if getattr(self, name) < least:
                value = getattr(self, name)
                raise InputError(f"{name} {value}; expected a whole number from {least}")
        if self.dtype not in ("float32", "float64"):
            hint = close_matches(self.dtype, ["float32", "float64"])
            raise InputError(f"unknown dtype {self.dtype!r}: {hint}")
        self.make_optimizer()

    def make_optimizer(self) -> Optimizer:
        """Make a fresh optimizer.

        >>> Settings(optimizer="sgd").make_optimizer().learning_rate
        0.1
        """
        return make_optimizer(self.optimizer, self.learning_rate, self.momentum)

    def to_json(self) -> dict[str, Any]:
        """Return all settings in the types of JSON, with the defaults filled in.

        >>> Settings(optimizer="momentum").to_json()["momentum"]
        0.9
        """
        optimizer = self.make_optimizer()
        return {field.name: getattr(self, field.name) for field in fields(self)} | {
            "learning_rate": optimizer.learning_rate,
            "momentum": getattr(optimizer, "momentum", None),
            "strategy": self.strategy.name,
        }


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch came to.

    Attributes
    ----------
    epoch, step : how many there have been so far.
    loss : the mean over the training samples, each at its step of this epoch.
    accuracy : the share of those samples whose class was right; None for numbers.
    validation_loss, validation_accuracy : after the epoch; None without a validation part.
    gradient_norm : the mean over the epoch's steps of the Euclidean norm of all gradients.
    seconds : spent on training and validation so far.
    """

    epoch: int
    step: int
    loss: float
    accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    gradient_norm: float
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return the record in the types of JSON, where a number that is not finite is None.

        >>> record = EpochRecord(1, 4, 0.5, None, math.inf, None, 0.1, 0.01).to_json()
        >>> record["validation_loss"], record["finite"]
        (None, False)
        """
        record = asdict(self)
        broken = [name for name, value in record.items() if value and not math.isfinite(value)]
        return record | dict.fromkeys(broken) | ({"finite": False} if broken else {})


Batch = tuple[Array, Array, Array]
"""Views of inputs, targets and the place where the outputs go, a sample a row."""


class Training:
    """A network and the samples to train it on; iterate it to train.

    Attributes
    ----------
    parameters : the network's, changed by every step.
    preparation : what was done to the inputs of the training part, for new inputs.
    forward_pass : the network as it is at the moment, to predict with.
    epoch, step : how many there have been so far.
    """

    def __init__(
        self,
        network: Network,
        training: Dataset,
        validation: Dataset | None = None,
        settings: Settings | None = None,
    ):
        self.network = network
        self.settings = settings = settings or Settings()
        require_fit(network, training)
        self.preparation = Preparation.fit(training, standardise=settings.standardise)
        self._samples = prepare(network, training, self.preparation, settings.dtype)
        self._validation = None
        if validation:
            require_fit(network, validation)
            self._validation = prepare(network, validation, self.preparation, settings.dtype)
        self._has_classes = training.classes is not None
        self._shuffled = Samples(*map(np.empty_like, self._samples))
        self._outputs = np.empty_like(self._samples.targets)
        self._generator = np.random.default_rng(
            np.random.SeedSequence(settings.seed, spawn_key=(STREAM,))
        )
        self.optimizer = settings.make_optimizer()
        self.parameters = initialise(network, settings.seed, settings.dtype)
        self._gradients = self.parameters.zeros_like()
        self._rounds = self._compile()
        self.forward_pass = ForwardPass(network, self.parameters)
        self.epoch = self.step = 0
        self._seconds = 0.0

    def __iter__(self) -> Iterator[EpochRecord]:
        """Train, and yield the record of each epoch; a second iteration goes on from there."""
        while self.epoch < self.settings.epochs:
            yield self._train_epoch()

    def _compile(self) -> list[tuple[Program, list[Batch]]]:
        """Pair each program with its batches: all full ones, then the one that is left."""
        size, count = self.settings.batch_size, len(self._outputs)
        batches = list(self._shuffled.batches(size))
        outputs = Samples(self._shuffled.inputs, self._outputs).batches(size)
        views = [(*batch, place.targets) for batch, place in zip(batches, outputs, strict=True)]
        full = count // size
        parts = ((size, views[:full]), (count % size, views[full:]))
        return [(self._program(size), part) for size, part in parts if part]

    def _program(self, size: int) -> Program:
        return compile_network(
            self.network,
            batch_size=size,
            dtype=self.parameters.dtype,
            strategy=self.settings.strategy,
            parameters=self.parameters,
            gradients=self._gradients,
        )

    def _train_epoch(self) -> EpochRecord:
        begin, first_step = perf_counter(), self.step
        self.epoch += 1
        self._samples.shuffle_into(self._shuffled, self._generator.permutation(len(self._outputs)))
        total_loss = total_norm = 0.0
        with np.errstate(all="ignore"):
            for program, batches in self._rounds:
                losses, norms = self._run(program, batches)
                total_loss += losses * loss_weight(self.network.loss, program.batch_size)
                total_norm += norms
        validation_loss, validation_accuracy = self._validate()
        self._seconds += perf_counter() - begin
        return EpochRecord(
            self.epoch,
            self.step,
            total_loss / len(self._outputs),
            self._accuracy(self._outputs, self._shuffled.targets),
            validation_loss,
            validation_accuracy,
            total_norm / (self.step - first_step),
            self._seconds,
        )

    def _run(self, program: Program, batches: Sequence[Batch]) -> tuple[float, float]:
        """Make a step with each batch; return the sums of the losses and the gradients' norms."""
        step, update = program.bare_step, self.optimizer.update
        parameters, gradients = self.parameters.vector, self._gradients.vector
        dot, isfinite, sqrt = np.dot, math.isfinite, math.sqrt
        keep_outputs = self._has_classes
        losses = norms = 0.0
        for inputs, targets, outputs in batches:
            loss = float(step(inputs, targets))
            squared_norm = dot(gradients, gradients)
            if not (isfinite(loss) and isfinite(squared_norm)):
                squared_norm = self._require_finite(loss)
            update(parameters, gradients)
            self.step += 1
            losses += loss
            norms += sqrt(squared_norm)
            if keep_outputs:
                outputs[...] = program.outputs
        return losses, norms

    def _require_finite(self, loss: float) -> float:
        """Raise, unless only the squares of the gradients overflow; return their sum then."""
        gradients = self._gradients.vector
        if math.isfinite(loss) and np.isfinite(gradients).all():
            return float(np.dot(gradients.astype(np.float64), gradients))
        what = "the gradient is not finite" if math.isfinite(loss) else f"the loss is {loss}"
        advice = "" if self.settings.standardise else ", or standardise the inputs"
        raise NotFiniteError(
            f"epoch {self.epoch}, step {self.step + 1}: {what}; expected finite numbers; "
            f"use a learning rate below {self.optimizer.learning_rate:g}{advice}"
        )

    def _validate(self) -> tuple[float | None, float | None]:
        if self._validation is None:
            return None, None
        loss, outputs = self.forward_pass.evaluate(self._validation)
        return loss, self._accuracy(outputs, self._validation.targets)

    def _accuracy(self, outputs: Array, targets: Array) -> float | None:
        return accuracy(outputs, targets) if self._has_classes else None


def train(network: Network, dataset: Dataset, settings: Settings | None = None) -> Training:
    """Split a data set as the settings say and return the training, ready to be iterated.

    A column of numbers is taken as classes where the network's outputs show that it is meant so.
    """
    settings = settings or Settings()
    dataset = recognise_classes(network, dataset)
    require_fit(network, dataset)
    training, validation = split(dataset, settings.validation, settings.seed)
    return Training(network, training, validation, settings)
