"""Training: mini-batches through the compiled derivation, an optimizer's step each.

A `Training` is iterated: every epoch gives its record, and after the last one `parameters` are the
trained ones. Between two spans of steps it pauses for its caller, who may look at its `state`,
keep that, or end it. A training that is given the state of another of the same settings goes on as
that one would have, bit by bit: the order of the samples follows from the seed and the number of
the epoch, and the sums of an epoch that is not over are part of the state.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from itertools import repeat
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.core.backends import choose_backend, choose_threads, make_stepper, threads
from workbench.core.checkpoint import PREFIX, Checkpoint
from workbench.core.data.class_weights import class_weights
from workbench.core.data.preparation import Preparation
from workbench.core.data.sources import Samples, SampleSource
from workbench.core.data.stored_dataset import AnyDataset
from workbench.core.diagnosis import first_not_finite
from workbench.core.inference import ForwardPass
from workbench.core.initialisers import initialise
from workbench.core.mean_loss import mean_loss
from workbench.core.memory import Memory, require_room, training_memory
from workbench.core.program.program import derived
from workbench.core.program.source import turned_parameters
from workbench.core.progress import EpochRecord, Progress
from workbench.core.rounds import Round, Rounds
from workbench.core.samples import chosen_classes, require_fit, sample_source
from workbench.core.settings import Settings
from workbench.core.steppers import Batches, Learner, NotFinite, Stepper, Steps, StepScalars
from workbench.core.steppers.sample_stepper import SampleStepper
from workbench.core.trainable import Trainable, as_trainable
from workbench.core.vector_update import FLUSH_INTERVAL, flush_denormals
from workbench.derivation.network import Network
from workbench.errors import InputError, NotFiniteError

Array = NDArray[Any]

SPAN = 0.05
"""The seconds of steps between two pauses, about."""

WINDOW = 1024
"""The steps whose learning rates are worked out at once."""


class Training:
    """A model and the samples to train it on; iterate it to train.

    Attributes
    ----------
    model : a network or equations, as training sees them.
    parameters : the model's, changed by every step.
    preparation : what was done to the inputs of the training part, for new inputs.
    forward_pass : the model as it is at the moment, to predict with.
    backend, threads : what makes the steps; None leaves the number of threads to the library.
    progress : how far it is.
    best : parameters and progress as of the best validation since the training began or went on.
    epochs_a_pause : where pauses are wanted at multiples of so many epochs; 0 for none.
    pause : called between two spans of steps, none if not set; what it raises ends the training,
        which can be iterated again.
    """

    def __init__(
        self,
        model: Network | Trainable,
        training: AnyDataset,
        validation: AnyDataset | None = None,
        settings: Settings | None = None,
    ):
        self.settings = settings = settings or Settings()
        chosen = settings.class_weights
        self.model = model = as_trainable(model, weighted=chosen is not None)
        require_fit(model, training)
        self.preparation = Preparation.fit(training, standardise=settings.standardise)
        self._class_weights = None if chosen is None else class_weights(training, chosen)
        source = self._open(training, settings.seed)
        self._validation = self._open(validation) if validation else None
        if settings.patience is not None and self._validation is None:
            raise InputError(
                f"a patience of {settings.patience} epochs needs a validation part; give a share, "
                "such as --validation 0.2, or a file of its own"
            )
        self._has_classes = training.classes is not None and model.meets_targets
        self._rounds = Rounds(model, source, settings.batch_size, keeps_outputs=self._has_classes)
        derivation = derived(model, settings.strategy)
        self.parameters = initialise(
            model.network or model.parameters,
            settings.starting_seed,
            settings.dtype,
            settings.initialiser,
            turned=turned_parameters(model.system),
        )
        optimizer = settings.make_optimizer()
        self._learner = Learner.begin(derivation, self.parameters, optimizer, model.output)
        self.backend = self._choose_backend()
        size = min(settings.batch_size, self._rounds.count)
        self.threads = choose_threads(settings.threads, self._learner, size)
        require_room(self.memory, model.title, size, settings)
        self._steppers: dict[int, Stepper] = {}
        self.forward_pass = ForwardPass(model, self.parameters)
        self.progress = Progress()
        self.best: Checkpoint | None = None
        self.pause: Callable[[], None] = lambda: None
        self.epochs_a_pause = 0
        self._steps_a_span = 1
        self._constant: Mapping[str, float] | None = None
        if settings.schedule.is_constant and optimizer.is_constant:
            scalars = optimizer.scalars(self._rates(1, 1), 1)
            self._constant = {name: float(values[0]) for name, values in scalars.items()}
        self._last_window: tuple[int, Mapping[str, Array]] = (-1, {})

    @property
    def steps_per_epoch(self) -> int:
        """The batches of an epoch, the last of which may be smaller."""
        return self._rounds.steps

    @property
    def source(self) -> str:
        """The Python source of what makes the steps: forward pass, backward pass and update."""
        return self._stepper(min(self.settings.batch_size, self._rounds.count)).source

    @property
    def memory(self) -> Memory:
        """What it is going to hold at most."""
        return training_memory(self._learner, self.backend, self._rounds, self._validation)

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
        while not self.is_finished:
            with threads(self.threads):
                records = self._train_epochs()
            yield from records
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
        for part in self._rounds.of(progress.epoch + 1, progress.batch):
            self._make_steps(part)
        return [self._end_epoch()]

    def _train_single_steps(self) -> list[EpochRecord]:
        """Make some epochs of one step each."""
        progress, part = self.progress, self._rounds.repeated
        batches = part.batches
        count = min(self._steps_a_span, self.settings.epochs - progress.epoch, len(batches))
        if self.epochs_a_pause:
            count = min(count, self.epochs_a_pause - progress.epoch % self.epochs_a_pause)
        steps = self._run(self._stepper(batches.size), batches[:count])
        shares: Iterable[float | None] = repeat(None)
        if batches.outputs is not None:
            chosen = _chosen(batches.outputs[: len(steps) * batches.size])
            right = chosen.reshape(len(steps), -1) == part.classes
            shares = (right.sum(axis=1) / batches.size).tolist()
        weight = self.model.loss_weight(part.counted[0]) / part.counted[0]
        figures = zip(
            range(progress.epoch + 1, progress.epoch + 1 + len(steps)),
            range(progress.step + 1, progress.step + 1 + len(steps)),
            (np.array(steps.losses, np.float64) * weight).tolist(),
            shares,
            repeat(None),
            repeat(None),
            self._rates(progress.step + 1, len(steps)).tolist(),
            np.sqrt(np.array(steps.squares, np.float64)).tolist(),
            strict=False,
        )
        progress.epoch += len(steps)
        progress.step += len(steps)
        return list(map(EpochRecord._make, figures))

    def _end_epoch(self) -> EpochRecord:
        """Close the epoch: validate, look whether it is the best, and begin the sums anew."""
        progress = self.progress
        loss, right = self._validate()
        record = EpochRecord(
            progress.epoch + 1,
            progress.step,
            progress.losses / progress.counted,
            progress.correct / self._rounds.count if self._has_classes else None,
            loss,
            right,
            float(self._rates(progress.step, 1)[0]),
            progress.norms / self.steps_per_epoch,
        )
        progress.epoch += 1
        progress.losses = progress.norms = progress.counted = 0.0
        progress.batch = progress.correct = 0
        if loss is not None:
            self._compare_with_best(loss)
        return record

    def _compare_with_best(self, loss: float) -> None:
        """Keep the parameters if their validation loss is the best, and finite."""
        progress, best = self.progress, self.progress.best_loss
        if loss < (math.inf if best is None else best - self.settings.least_improvement):
            progress.best_loss, progress.best_epoch = loss, progress.epoch
            arrays = {f"{PREFIX}{name}": array.copy() for name, array in self.parameters.items()}
            self.best = Checkpoint(arrays, asdict(progress))

    def _validate(self) -> tuple[float | None, float | None]:
        """The mean loss of the validation part, each by its weight, and how many are right."""
        if self._validation is None:
            return None, None
        correct = 0

        def count(samples: Samples, outputs: Array) -> None:
            nonlocal correct
            if self._has_classes:
                correct += int(np.count_nonzero(chosen_classes(outputs) == samples.classes))

        loss = mean_loss(self.forward_pass, self._validation, count)
        return loss, correct / self._validation.count if self._has_classes else None

    # steps

    def _make_steps(self, part: Round) -> None:
        """Make a step with each batch, and pause now and then."""
        batches, size = part.batches, part.batches.size
        start, stepper = 0, self._stepper(size)
        while start < len(batches):
            some = batches[start : start + self._steps_a_span]
            steps = self._run(stepper, some)
            end = start + len(steps)
            self._add_up(steps, part.counted[start:end])
            if some.outputs is not None and part.classes is not None:
                chosen = _chosen(some.outputs[: len(steps) * size])
                right = chosen == part.classes[start * size : end * size]
                self.progress.correct += int(np.count_nonzero(right))
            start = end
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

    def _add_up(self, steps: Steps, counted: NDArray[np.float64]) -> None:
        """Add steps, and what their batches count, to the sums of the epoch, one after another."""
        progress = self.progress
        losses = np.array(steps.losses, np.float64) * self.model.loss_weight(counted)
        norms = np.sqrt(np.array(steps.squares, np.float64))
        sums = np.array([progress.losses, progress.norms, progress.counted])
        rows = np.column_stack([sums, (losses, norms, counted)])
        progress.losses, progress.norms, progress.counted = rows.cumsum(axis=1)[:, -1].tolist()
        progress.step += len(steps)
        progress.batch += len(steps)

    def _scalars(self, count: int) -> StepScalars:
        """The optimizer's scalars for the next steps, of one window."""
        if self._constant is not None:
            return self._constant
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
        where = self._place_of_the_not_finite(batches.data[0])
        advice = "" if self.settings.standardise else ", or standardise the inputs"
        advice += ", or less weight decay" if learner.optimizer.options.get("weight_decay") else ""
        return NotFiniteError(
            f"epoch {progress.epoch + 1}, step {progress.step + 1} (batch {progress.batch + 1} of "
            f"{self.steps_per_epoch}): not finite from {where} on; expected finite numbers; use a "
            f"learning rate below {learner.optimizer.learning_rate:g}{advice}"
        )

    def _place_of_the_not_finite(self, batch: tuple[Array, ...]) -> str:
        """Name the first tensor with such numbers in the step with a batch."""
        model, derivation = self.model, self._learner.derivation
        cases, size = [batch], len(batch[0])
        if not model.is_batch:
            cases = [model.views(*(rows[[place]] for rows in batch[:2])) for place in range(size)]
        weights = () if model.weights is None else (model.weights,)
        symbols = (*(part.symbol for part in (*model.inputs, *model.targets)), *weights)
        names = [symbol.symbol.name for symbol in symbols]
        for arrays in cases:
            given = dict(zip(names, arrays, strict=True)) | dict(self.parameters)
            if (where := first_not_finite(derivation, given, size)) is not None:
                return where
        return "a sum that is rounded otherwise in the program"

    def _open(self, dataset: AnyDataset, seed: int = 0) -> SampleSource:
        require_fit(self.model, dataset)
        return sample_source(
            self.model,
            dataset,
            self.preparation,
            self.settings.dtype,
            seed=seed,
            class_weights=self._class_weights,
        )

    # programs

    def _choose_backend(self) -> str:
        settings, steps = self.settings, self.settings.epochs * self.steps_per_epoch
        if self.model.is_batch:
            size = min(settings.batch_size, self._rounds.count)
            return choose_backend(settings.backend, self._learner, size, steps)
        if settings.backend not in ("auto", "numpy"):
            raise InputError(
                f"the backend {settings.backend} needs a batch form, and these equations have "
                "none; use --backend numpy"
            )
        return "numpy"

    def _stepper(self, size: int) -> Stepper:
        if size not in self._steppers:
            keeps_outputs, learner = self._has_classes, self._learner
            self._steppers[size] = (
                make_stepper(self.backend, learner, size, keeps_outputs=keeps_outputs)
                if self.model.is_batch
                else SampleStepper(self.model, learner, size, keeps_outputs=keeps_outputs)
            )
        return self._steppers[size]


def _chosen(outputs: Array) -> NDArray[np.intp]:
    """The places of the classes of samples from their outputs, of any shape."""
    return chosen_classes(outputs.reshape(len(outputs), -1))
