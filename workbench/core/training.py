"""Training: mini-batches through the compiled derivation, an optimizer's step each.

A `Training` is iterated: every epoch gives its record, and after the last one `parameters` are the
trained ones. Between two spans of steps it pauses for its caller, who may look at its `state`,
keep that, or end it. A training that is given the state of another of the same settings goes on as
that one would have, bit by bit: the order of the samples follows from the seed and the number of
the epoch, and the sums of an epoch that is not over are part of the state.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.calculus.expressions import Kind
from workbench.core.backends import choose_backend, choose_threads, make_stepper, threads
from workbench.core.checkpoint import Checkpoint
from workbench.core.data.parts import split
from workbench.core.data.preparation import Preparation
from workbench.core.data.sources import Samples, SampleSource
from workbench.core.data.stored_dataset import AnyDataset
from workbench.core.diagnosis import first_not_finite
from workbench.core.inference import ForwardPass, loss_weight
from workbench.core.initialisers import initialise
from workbench.core.program.program import derived
from workbench.core.program.source import turned_parameters
from workbench.core.samples import D, are_correct, recognise_classes, require_fit, sample_source
from workbench.core.settings import Settings
from workbench.core.steppers import Batches, Learner, NotFinite, Scalars, Stepper, Steps
from workbench.core.vector_update import FLUSH_INTERVAL, flush_denormals
from workbench.derivation.network import Network
from workbench.errors import NotFiniteError

Array = NDArray[Any]

SPAN = 0.05
"""The seconds of steps between two pauses, about."""

WINDOW = 1024
"""The steps whose learning rates are worked out at once."""

REPEATED = 2**18
"""The bytes of outputs that are kept of epochs of one step."""

AT_ONCE = 2**14
"""The samples of the validation part that are taken at a time."""

MOST_EPOCHS_AT_ONCE = 256
"""Where an epoch is a single step, the most that are made between two pauses."""


class EpochRecord(NamedTuple):
    """What one epoch came to.

    Attributes
    ----------
    epoch, step : how many there have been so far.
    loss : the mean over the training samples, each at its step of this epoch.
    accuracy : the share of those samples whose class was right; None for numbers.
    validation_loss, validation_accuracy : after the epoch; None without a validation part.
    learning_rate : of the epoch's last step.
    gradient_norm : the mean over the epoch's steps of the Euclidean norm of all gradients.
    """

    epoch: int
    step: int
    loss: float
    accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    learning_rate: float
    gradient_norm: float

    def to_json(self) -> dict[str, Any]:
        """Return the record in the types of JSON, where a number that is not finite is None.

        >>> record = EpochRecord(1, 4, 0.5, None, math.inf, None, 0.1, 0.01).to_json()
        >>> record["validation_loss"], record["finite"]
        (None, False)
        """
        record: dict[str, Any] = dict(zip(self._fields, self, strict=True))
        if all(value is None or math.isfinite(value) for value in self[2:]):
            return record
        broken = [name for name, value in record.items() if value and not math.isfinite(value)]
        return record | dict.fromkeys(broken) | {"finite": False}


@dataclass
class Progress:
    """How far a training is.

    Attributes
    ----------
    epoch, step : the epochs completed, and the steps made.
    batch : the steps made of the epoch that is not over.
    losses, norms, correct : the sums over these of the samples' losses and of the gradients' norms,
        and the samples whose class was right.
    best_loss, best_epoch : of the best validation so far.
    """

    epoch: int = 0
    step: int = 0
    batch: int = 0
    losses: float = 0.0
    norms: float = 0.0
    correct: int = 0
    best_loss: float | None = None
    best_epoch: int | None = None


class Training:
    """A network and the samples to train it on; iterate it to train.

    Attributes
    ----------
    parameters : the network's, changed by every step.
    preparation : what was done to the inputs of the training part, for new inputs.
    forward_pass : the network as it is at the moment, to predict with.
    backend, threads : what makes the steps; None leaves the number of threads to the library.
    progress : how far it is.
    best : parameters and progress as of the best validation since the training began or went on.
    epochs_a_pause : where pauses are wanted at multiples of so many epochs; 0 for none.
    pause : called between two spans of steps, none if not set; what it raises ends the training,
        which can be iterated again.
    """

    def __init__(
        self,
        network: Network,
        training: AnyDataset,
        validation: AnyDataset | None = None,
        settings: Settings | None = None,
    ):
        self.network = network
        self.settings = settings = settings or Settings()
        require_fit(network, training)
        self.preparation = Preparation.fit(training, standardise=settings.standardise)
        self._source = self._open(training, settings.seed)
        self._validation = self._open(validation) if validation else None
        self._has_classes = training.classes is not None
        derivation = derived(network, settings.strategy)
        turned = turned_parameters(derivation.system)
        self.parameters = initialise(
            network, settings.seed, settings.dtype, settings.initialiser, turned=turned
        )
        optimizer = settings.make_optimizer()
        self._learner = Learner.begin(derivation, str(network), self.parameters, optimizer)
        self.backend = choose_backend(settings.backend, self._learner, settings.batch_size)
        self.threads = choose_threads(settings.threads, self._learner, settings.batch_size)
        self._steppers: dict[int, Stepper] = {}
        self.forward_pass = ForwardPass(network, self.parameters)
        self.progress = Progress()
        self.best: Checkpoint | None = None
        self.pause: Callable[[], None] = lambda: None
        self.epochs_a_pause = 0
        self._steps_a_span = 1
        self._is_constant = settings.schedule.is_constant and optimizer.is_constant
        self._last_window: tuple[int, Mapping[str, Array]] = (-1, {})
        self._known_rounds: tuple[Any, list[tuple[Stepper, Batches, Array]]] = (None, [])

    @property
    def steps_per_epoch(self) -> int:
        """The batches of an epoch, the last of which may be smaller."""
        return -(-self._source.count // self.settings.batch_size)

    @property
    def is_finished(self) -> bool:
        """Whether all epochs are over, or the validation loss has not become better for long."""
        progress, patience = self.progress, self.settings.patience
        if progress.batch or patience is None or progress.best_epoch is None:
            return progress.epoch >= self.settings.epochs
        is_stale = progress.epoch - progress.best_epoch >= patience
        return is_stale or progress.epoch >= self.settings.epochs

    def __iter__(self) -> Iterator[EpochRecord]:
        """Train, and yield the record of each epoch; a second iteration goes on from there."""
        with threads(self.threads):
            while not self.is_finished:
                yield from self._train_epochs()
                self.pause()

    def state(self) -> Checkpoint:
        """All that the rest depends on, besides settings and samples; a step changes its arrays."""
        stores = {"parameters": self.parameters}
        stores |= {f"optimizer/{name}": state for name, state in self._learner.states.items()}
        arrays = {
            f"{store}/{name}": array
            for store, held in stores.items()
            for name, array in held.items()
        }
        return Checkpoint(arrays, asdict(self.progress))

    def restore(self, state: Checkpoint) -> None:
        """Go on from the state of another training with the same settings and samples."""
        for name, array in self.state().arrays.items():
            array[...] = state.arrays[name]
        names = asdict(Progress())
        self.progress = Progress(**{name: state.values[name] for name in names})

    # epochs

    def _train_epochs(self) -> list[EpochRecord]:
        """Train to the end of the epoch, or of several whose only step takes all samples."""
        if self.steps_per_epoch == 1 and self._validation is None:
            return self._train_single_steps()
        progress = self.progress
        size = self.settings.batch_size
        for block in self._source.blocks(progress.epoch + 1, size, progress.batch):
            for stepper, batches, targets in self._rounds(block):
                self._make_steps(stepper, batches, targets)
        return [self._end_epoch()]

    def _train_single_steps(self) -> list[EpochRecord]:
        """Make some epochs of one step each."""
        progress = self.progress
        stepper, batches, targets = self._repeated
        count = min(self._steps_a_span, self.settings.epochs - progress.epoch, len(batches))
        if self.epochs_a_pause:
            count = min(count, self.epochs_a_pause - progress.epoch % self.epochs_a_pause)
        steps = self._run(stepper, batches[:count])
        correct = None
        if batches.outputs is not None:
            outputs = batches.outputs[: len(steps) * len(targets)]
            right = are_correct(outputs, np.tile(targets, (len(steps), 1)))
            correct = (right.reshape(len(steps), -1).sum(axis=1) / len(targets)).tolist()
        weight = loss_weight(self.network.loss, len(targets)) / len(targets)
        rates = self._rates(progress.step + 1, len(steps)).tolist()
        records = [
            EpochRecord(
                progress.epoch + number,
                progress.step + number,
                float(loss) * weight,
                correct and correct[number - 1],
                None,
                None,
                rate,
                math.sqrt(square),
            )
            for number, (loss, square, rate) in enumerate(
                zip(steps.losses, steps.squares, rates, strict=True), start=1
            )
        ]
        progress.epoch += len(steps)
        progress.step += len(steps)
        return records

    def _end_epoch(self) -> EpochRecord:
        """Close the epoch: validate, look whether it is the best, and begin the sums anew."""
        progress, count = self.progress, self._source.count
        loss, right = self._validate()
        record = EpochRecord(
            progress.epoch + 1,
            progress.step,
            progress.losses / count,
            progress.correct / count if self._has_classes else None,
            loss,
            right,
            float(self._rates(progress.step, 1)[0]),
            progress.norms / self.steps_per_epoch,
        )
        progress.epoch += 1
        progress.losses = progress.norms = 0.0
        progress.batch = progress.correct = 0
        if loss is not None:
            self._compare_with_best(loss)
        return record

    def _compare_with_best(self, loss: float) -> None:
        """Keep the parameters if their validation loss is the best."""
        progress, best = self.progress, self.progress.best_loss
        if best is None or loss < best - self.settings.least_improvement:
            progress.best_loss, progress.best_epoch = loss, progress.epoch
            arrays = {f"parameters/{name}": array.copy() for name, array in self.parameters.items()}
            self.best = Checkpoint(arrays, asdict(progress))

    def _validate(self) -> tuple[float | None, float | None]:
        """The mean loss of the validation part, and the share whose class is right."""
        if self._validation is None:
            return None, None
        losses, correct, count = 0.0, 0, self._validation.count
        for chunk in self._validation.chunks(AT_ONCE):
            loss, outputs = self.forward_pass.evaluate(chunk)
            losses += loss * len(outputs)
            if self._has_classes:
                correct += int(np.count_nonzero(are_correct(outputs, chunk.targets)))
        return losses / count, correct / count if self._has_classes else None

    # steps

    def _make_steps(self, stepper: Stepper, batches: Batches, targets: Array) -> None:
        """Make a step with each batch, and pause now and then."""
        start, size = 0, batches.size
        while start < len(batches):
            part = batches[start : start + self._steps_a_span]
            steps = self._run(stepper, part)
            done = len(steps) * size
            outputs = None if part.outputs is None else part.outputs[:done]
            self._add_up(steps, outputs, targets[start * size : start * size + done], size)
            start += len(steps)
            self.pause()

    def _run(self, stepper: Stepper, batches: Batches) -> Steps:
        """Make steps, up to the first that cannot be made; at least one."""
        optimizer, progress = self._learner.optimizer, self.progress
        begin, steps = perf_counter(), Steps()
        interval = FLUSH_INTERVAL if optimizer.rule.states else WINDOW
        batches = batches[: interval - progress.step % interval]
        try:
            stepper.run(batches, self._scalars(len(batches)), steps)
        except NotFinite:
            if not len(steps):
                raise self._not_finite(batches) from None
        if optimizer.rule.states and (progress.step + len(steps)) % FLUSH_INTERVAL == 0:
            for state in self._learner.states.values():
                flush_denormals(state.vector)
        seconds = max(perf_counter() - begin, 1e-9)
        self._steps_a_span = max(1, min(2 * len(steps), int(SPAN * len(steps) / seconds)))
        return steps

    def _add_up(self, steps: Steps, outputs: Array | None, targets: Array, size: int) -> None:
        """Add steps with batches of a size to the sums of the epoch, one after the other."""
        progress, weight = self.progress, loss_weight(self.network.loss, size)
        for loss, square in zip(steps.losses, steps.squares, strict=True):
            progress.losses += float(loss) * weight
            progress.norms += math.sqrt(square)
        progress.step += len(steps)
        progress.batch += len(steps)
        if outputs is not None:
            progress.correct += int(np.count_nonzero(are_correct(outputs, targets)))

    def _scalars(self, count: int) -> Scalars:
        """The optimizer's scalars for the next steps, of one window."""
        if self._is_constant:
            return {"rate": self._learner.optimizer.learning_rate}
        window, start = divmod(self.progress.step, WINDOW)
        scalars = self._window(window)
        return {name: values[start : start + count] for name, values in scalars.items()}

    def _window(self, window: int) -> Mapping[str, Array]:
        """The scalars of WINDOW steps."""
        if self._last_window[0] != window:
            first = window * WINDOW + 1
            optimizer = self._learner.optimizer
            self._last_window = window, optimizer.scalars(self._rates(first, WINDOW), first)
        return self._last_window[1]

    def _rates(self, first: int, count: int) -> Array:
        """The learning rates of consecutive steps."""
        settings, rate = self.settings, self._learner.optimizer.learning_rate
        if settings.schedule.is_constant:
            return np.full(count, rate)
        return settings.schedule.rates(
            rate,
            first=first,
            count=count,
            steps_per_epoch=self.steps_per_epoch,
            total_steps=settings.epochs * self.steps_per_epoch,
        )

    def _not_finite(self, batches: Batches) -> NotFiniteError:
        """Say where the numbers of the next step first are not finite."""
        progress, learner = self.progress, self._learner
        system = learner.derivation.system
        symbols = system.of_kind(Kind.INPUT, Kind.TARGET)
        columns = [array.T for array in batches.data[0]]
        given = dict(zip((s.symbol.name for s in symbols), columns, strict=False))
        given |= {name: array.reshape(len(array), -1) for name, array in self.parameters.items()}
        where = first_not_finite(learner.derivation, given, columns[0].shape[1])
        advice = "" if self.settings.standardise else ", or standardise the inputs"
        return NotFiniteError(
            f"epoch {progress.epoch + 1}, step {progress.step + 1} (batch {progress.batch + 1} of "
            f"{self.steps_per_epoch}): not finite from {where} on; expected finite numbers; use a "
            f"learning rate below {learner.optimizer.learning_rate:g}{advice}"
        )

    # samples

    def _open(self, dataset: AnyDataset, seed: int = 0) -> SampleSource:
        require_fit(self.network, dataset)
        dtype = self.settings.dtype
        return sample_source(self.network, dataset, self.preparation, dtype, seed=seed)

    def _rounds(self, block: Samples) -> list[tuple[Stepper, Batches, Array]]:
        """The batches of a block: all full ones, then the one that is left.

        They are views, which are made once as long as blocks come in the same place.
        """
        key = block.inputs.ctypes.data, len(block.inputs)
        if self._known_rounds[0] != key:
            size, count = self.settings.batch_size, len(block.inputs)
            full = count - count % size
            rounds = []
            for first, last, of in ((0, full, size), (full, count, count - full)):
                if first < last:
                    part = block.rows(first, last)
                    rounds.append((self._stepper(of), self._batches(part, of), part.targets))
            self._known_rounds = key, rounds
        return self._known_rounds[1]

    @cached_property
    def _repeated(self) -> tuple[Stepper, Batches, Array]:
        """All samples as one batch, again and again."""
        (samples,) = self._source.blocks(1, self.settings.batch_size)
        copies = max(1, min(MOST_EPOCHS_AT_ONCE, REPEATED // samples.targets.nbytes))
        shape = (copies * len(samples.targets), samples.targets.shape[1])
        outputs = np.empty(shape, samples.targets.dtype) if self._has_classes else None
        size = len(samples.inputs)
        batches = Batches(_arrays(samples), np.zeros(copies, np.int64), size, outputs)
        return self._stepper(size), batches, samples.targets

    def _batches(self, samples: Samples, size: int) -> Batches:
        outputs = np.empty_like(samples.targets) if self._has_classes else None
        starts = np.arange(0, len(samples.inputs), size)
        return Batches(_arrays(samples), starts, size, outputs)

    def _stepper(self, size: int) -> Stepper:
        if size not in self._steppers:
            self._steppers[size] = make_stepper(
                self.backend, self._learner, size, keeps_outputs=self._has_classes
            )
        return self._steppers[size]


def _arrays(samples: Samples) -> tuple[Array, ...]:
    """What a program takes of a batch."""
    return tuple(array for array in samples if array is not None)


def train(network: Network, dataset: D, settings: Settings | None = None) -> Training:
    """Split a data set as the settings say and return the training, ready to be iterated.

    A column of numbers is taken as classes where the network's outputs show that it is meant so.
    """
    settings = settings or Settings()
    dataset = recognise_classes(network, dataset)
    require_fit(network, dataset)
    parts = split(
        dataset,
        settings.validation,
        settings.seed,
        test=settings.test,
        stratify=settings.stratify,
    )
    return Training(network, parts.train, parts.validation, settings)
