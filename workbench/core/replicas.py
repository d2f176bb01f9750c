"""Replicas: many networks of one kind, trained side by side in one program.

They share the data, their split and the order of the samples, all of which follow from the seed.
Replica k starts with the values that the seed `initial_seed + k` draws, and learns at the rate of
its own if rates are given. It comes to what a training of its own would come to, but for rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.core.checkpoint import PREFIX, Checkpoint
from workbench.core.data.sources import Samples
from workbench.core.data.stored_dataset import AnyDataset
from workbench.core.inference import counted
from workbench.core.initialisers import initialise
from workbench.core.mean_loss import SAMPLES_AT_ONCE
from workbench.core.memory import Memory
from workbench.core.program.source import turned_parameters
from workbench.core.progress import EpochRecord, Progress
from workbench.core.replica_memory import ROOM, replica_memory
from workbench.core.replica_records import ReplicaRecord, filled, summary
from workbench.core.rounds import Round
from workbench.core.samples import chosen_classes
from workbench.core.settings import Settings
from workbench.core.steppers.replica_stepper import (
    Replicas,
    ReplicaStepper,
    Rows,
    groups,
    stored_views,
)
from workbench.core.trainable import Trainable
from workbench.core.training import SPAN, Training
from workbench.core.vector_update import FLUSH_INTERVAL, flush_denormals
from workbench.derivation.network import Network
from workbench.errors import InputError, NotFiniteError

Array = NDArray[Any]

ONE_THREAD = 1
"""Products of a group are flat, and gain nothing from a second thread."""


class ReplicaTraining(Training):
    """Networks of one kind, and the samples to train them on; iterate it to train.

    `parameters` and `forward_pass` are those of the best replica as of the last epoch, and `best`
    is it as a checkpoint of one network.

    Attributes
    ----------
    seeds : the seed of each one's starting values.

    Raises
    ------
    InputError
        If something is wanted that is for one network only.
    """

    def __init__(
        self,
        model: Network | Trainable,
        training: AnyDataset,
        validation: AnyDataset | None = None,
        settings: Settings | None = None,
    ):
        settings = settings or Settings()
        _require_for_many(settings)
        super().__init__(model, training, validation, settings)
        self.threads = settings.threads or ONE_THREAD
        first = settings.starting_seed
        self.seeds = range(first, first + settings.replicas)
        self._own_rates = _rates_of(settings)
        self._groups = groups(self._learner, settings.batch_size, settings.replicas)
        self._programs: dict[tuple[int, int], ReplicaStepper] = {}
        self._rows = Rows.empty(0, settings.replicas, self.parameters.dtype)
        self._sums = np.zeros((3, settings.replicas))
        self._figures = np.zeros((len(self._figure_names), settings.replicas))
        self._known_scalars: tuple[int, Mapping[str, Array]] = (-1, {})

    @cached_property
    def replicas(self) -> Replicas:
        """What all of them hold, drawn when it is first asked for: a plan needs none of it."""
        return Replicas.begin(self._drawn(), self._learner.optimizer.rule.states)

    @property
    def memory(self) -> Memory:
        """What it is going to hold at most."""
        return replica_memory(self._learner, self._rounds, self._validation, self.settings)

    def state(self) -> Checkpoint:
        """All that the rest depends on, besides settings and samples; a step changes its arrays."""
        held = {"parameters": self.replicas.parameters}
        held |= {f"optimizer/{name}": state for name, state in self.replicas.states.items()}
        like = self.parameters
        arrays = {
            f"{store}/{name}": view.swapaxes(0, 1) if name in like.turned else view
            for store, matrix in held.items()
            for name, view in zip(like, stored_views(matrix, like), strict=True)
        }
        arrays |= {f"replicas/best/{name}": array for name, array in like.items()}
        own = {
            "replicas/frozen_at": self.replicas.frozen_at,
            "replicas/sums": self._sums,
            "replicas/figures": self._figures,
        }
        return Checkpoint({**arrays, **own}, super().state().values)

    def restore(self, state: Checkpoint) -> None:
        """Go on from the state of another training with the same settings and samples."""
        super().restore(state)
        if self.progress.epoch:
            self.best = self._best_replica()

    def replica_records(self) -> list[dict[str, Any]]:
        """What each replica came to in the last epoch, in the types of JSON; none before the first.

        That of a frozen one tells the step that it could not make.
        """
        if not self.progress.epoch:
            return []
        figures = dict(zip(self._figure_names, self._figures, strict=True))
        records = []
        for place, seed in enumerate(self.seeds):
            step = int(self.replicas.frozen_at[place])
            own = {name: float(values[place]) for name, values in figures.items()}
            epoch = -(-step // self.steps_per_epoch) if step else self.progress.epoch
            record = EpochRecord(epoch, step or self.progress.step, **filled(own))
            records.append({"replica": place, "initial_seed": seed, **record.to_json()})
        return records

    # epochs

    def _train_single_steps(self) -> list[EpochRecord]:
        """Make some epochs of one step each."""
        progress, part = self.progress, self._rounds.repeated
        most = min(self.settings.epochs - progress.epoch, len(part.batches))
        if self.epochs_a_pause:
            most = min(most, self.epochs_a_pause - progress.epoch % self.epochs_a_pause)
        rows = self._advance(part, 0, most)
        steps, weight = len(rows.losses), self.model.loss_weight(part.counted[0])
        figures = {"loss": rows.losses * (weight / part.counted[0])}
        if self._has_classes:
            figures["accuracy"] = rows.correct / part.batches.size
        figures["learning_rate"] = self._learning_rates(progress.step + 1, steps)
        figures["gradient_norm"] = np.sqrt(rows.squares)
        progress.epoch += steps
        progress.step += steps
        return self._records(figures)

    def _end_epoch(self) -> EpochRecord:
        """Close the epoch: validate, and begin the sums anew."""
        progress = self.progress
        losses, norms, correct = self._sums[:, None]
        figures = {"loss": losses / progress.counted}
        if self._has_classes:
            figures["accuracy"] = correct / self._rounds.count
        figures |= self._validation_figures()
        figures["learning_rate"] = self._learning_rates(progress.step, 1)
        figures["gradient_norm"] = norms / self.steps_per_epoch
        progress.epoch += 1
        progress.batch, progress.counted = 0, 0.0
        (record,) = self._records(figures)
        self._sums[...] = 0
        return record

    def _records(self, figures: Mapping[str, Array]) -> list[EpochRecord]:
        """The records of the epochs that have just ended, from figures (epochs, replicas)."""
        progress, epochs = self.progress, len(figures["loss"])
        ends = progress.step - self.steps_per_epoch * np.arange(epochs)[::-1, None]
        frozen_at = self.replicas.frozen_at
        is_frozen = (frozen_at > 0) & (frozen_at <= ends)
        if is_frozen.any():
            figures = {name: np.where(is_frozen, np.nan, v) for name, v in figures.items()}
        for row, name in zip(self._figures, self._figure_names, strict=True):
            row[:] = figures[name][-1]
        summaries = {name: summary(name, values) for name, values in figures.items()}
        ranking = figures.get("validation_loss", figures["loss"])
        best = np.where(np.isfinite(ranking), ranking, np.inf).argmin(axis=1)
        records: list[EpochRecord] = []
        for place, frozen in enumerate(is_frozen.sum(axis=1).tolist()):
            told = {name: values[place] for s in summaries.values() for name, values in s.items()}
            means = filled({name: told.pop(name) for name in figures})
            end = progress.epoch - epochs + 1 + place
            record = ReplicaRecord(end, int(ends[place, 0]), **means)
            record.replicas, record.frozen = self.replicas.count, frozen
            record.best_replica, record.spread = int(best[place]), told
            records.append(record)
        self._take(int(best[-1]))
        return records

    def _take(self, best: int) -> None:
        """Make the best replica's parameters those of the one network."""
        self.parameters.vector[:] = self.replicas.parameters[:, best]
        self.best = self._best_replica()

    def _best_replica(self) -> Checkpoint:
        """The parameters of the best replica, as of the end of the last epoch."""
        epoch = self.progress.epoch
        arrays = {f"{PREFIX}{name}": array.copy() for name, array in self.parameters.items()}
        return Checkpoint(arrays, asdict(Progress(epoch, epoch * self.steps_per_epoch)))

    @property
    def _figure_names(self) -> tuple[str, ...]:
        """The figures that an epoch has."""
        accuracy = ("accuracy",) if self._has_classes else ()
        validated = ("loss", *accuracy) if self._validation else ()
        names = "loss", *accuracy, *(f"validation_{name}" for name in validated)
        return *names, "learning_rate", "gradient_norm"

    def _validation_figures(self) -> dict[str, Array]:
        """The mean loss of each replica on the validation part, and the share of right answers."""
        if self._validation is None:
            return {}
        whole, (losses, correct) = 0.0, np.zeros((2, 1, self.replicas.count))
        for chunk in self._validation.chunks(SAMPLES_AT_ONCE):
            for batch in chunk.batches(self.settings.batch_size):
                whole += counted(batch)
                for group in self._groups:
                    self._validate_group(batch, group, losses[0, group], correct[0, group])
        figures = {"validation_loss": losses / whole}
        if self._has_classes:
            figures["validation_accuracy"] = correct / self._validation.count
        return figures

    def _validate_group(self, batch: Samples, group: slice, losses: Array, correct: Array) -> None:
        """Add what the replicas of a group come to on a batch."""
        shares = None if batch.weights is None else self.model.shares(batch.weights)
        stepper = self._replica_stepper(group, len(batch.inputs))
        views = self.model.views(batch.inputs, batch.targets, shares)
        found, outputs = stepper.forward(self.replicas, group, views)
        losses += found * self.model.loss_weight(counted(batch))
        if self._has_classes:
            assert batch.classes is not None
            correct += np.count_nonzero(chosen_classes(outputs) == batch.classes[:, None], axis=0)

    # steps

    def _make_steps(self, part: Round) -> None:
        """Make a step with each batch, and pause now and then."""
        progress, start = self.progress, 0
        while start < len(part.batches):
            rows = self._advance(part, start, len(part.batches) - start)
            norms = np.sqrt(rows.squares)
            for place, count in enumerate(part.counted[start : start + len(norms)].tolist()):
                weight = self.model.loss_weight(count)
                self._sums += rows.losses[place] * weight, norms[place], rows.correct[place]
                progress.counted += count
            progress.step += len(norms)
            progress.batch += len(norms)
            start += len(norms)
            self.pause()

    def _advance(self, part: Round, start: int, most: int) -> Rows:
        """Make steps with some of the batches, at most so many; the next call writes over them."""
        begin, progress, replicas = perf_counter(), self.progress, self.replicas
        until_flush = FLUSH_INTERVAL - progress.step % FLUSH_INTERVAL
        number = min(self._steps_a_span, most, until_flush, max(1, ROOM // replicas.count))
        size = part.batches.size
        batches = part.batches.data[start : start + number]
        if part.classes is not None and self._has_classes:
            classes = part.classes.reshape(-1, size, 1)
            places = range(start, start + number)
            batches = [
                (*batch, classes[place % len(classes)])
                for place, batch in zip(places, batches, strict=True)
            ]
        if len(self._rows.losses) < number:
            self._rows = Rows.empty(number, replicas.count, self.parameters.dtype)
        rows = Rows(*(part[:number] for part in self._rows))
        scalars = self._replica_scalars(number)
        for group in self._groups:
            stepper = self._replica_stepper(group, size)
            stepper.run(replicas, group, progress.step + 1, batches, scalars, rows)
        if number == until_flush:
            for state in replicas.states.values():
                flush_denormals(state.reshape(-1))
        if replicas.frozen_at.all():
            raise self._all_frozen()
        seconds = max(perf_counter() - begin, 1e-9)
        self._steps_a_span = max(1, min(2 * number, int(SPAN * number / seconds)))
        return rows

    def _replica_scalars(self, count: int) -> Mapping[str, Array]:
        """The optimizer's scalars for the next steps, (steps, 1) or (steps, replicas)."""
        window, start = divmod(self.progress.step, FLUSH_INTERVAL)
        if self._constant is not None:
            window = 0
        if self._known_scalars[0] != window:
            first = window * FLUSH_INTERVAL + 1
            rates = self._learning_rates(first, FLUSH_INTERVAL).T
            found = self._learner.optimizer.scalars(rates, first)
            dtype = self.parameters.dtype
            self._known_scalars = window, {n: v.T.astype(dtype, "C") for n, v in found.items()}
        return {n: v[start : start + count] for n, v in self._known_scalars[1].items()}

    def _learning_rates(self, first: int, count: int) -> Array:
        """The rates of consecutive steps, (steps, replicas), or (steps, 1) if all are the same."""
        settings, rates = self.settings, self._own_rates[:, None]
        if settings.schedule.is_constant:
            return np.broadcast_to(rates, (len(rates), count)).T
        return settings.schedule.rates(
            rates,
            first=first,
            count=count,
            steps_per_epoch=self.steps_per_epoch,
            total_steps=settings.epochs * self.steps_per_epoch,
        ).T

    def _all_frozen(self) -> NotFiniteError:
        last = int(self.replicas.frozen_at.max())
        epoch = -(-last // self.steps_per_epoch)
        advice = "" if self.settings.standardise else ", or standardise the inputs"
        return NotFiniteError(
            f"epoch {epoch}, step {last}: the last of {self.replicas.count} replicas has a loss or "
            f"a gradient that is not finite; expected finite numbers; use learning rates below "
            f"{self._own_rates.min():g}{advice}"
        )

    # programs

    def _choose_backend(self) -> str:
        if not self.model.is_batch:
            raise InputError("replicas need a batch form, and these equations have none; train one")
        return "numpy"

    def _replica_stepper(self, group: slice, size: int) -> ReplicaStepper:
        key = group.stop - group.start, size
        if key not in self._programs:
            self._programs[key] = ReplicaStepper(
                self._learner, *key, keeps_correct=self._has_classes
            )
        return self._programs[key]

    def _drawn(self) -> Array:
        """The starting values of all replicas (entries, replicas)."""
        model, settings = self.model, self.settings
        turned = turned_parameters(model.system)
        starts = np.empty((self.parameters.vector.size, len(self.seeds)), settings.dtype)
        for place, seed in enumerate(self.seeds):
            starts[:, place] = initialise(
                model.network or model.parameters,
                seed,
                settings.dtype,
                settings.initialiser,
                turned=turned,
            ).vector
        return starts


def _require_for_many(settings: Settings) -> None:
    """Refuse what is for one network only."""
    for name, known in (("backend", ("auto", "numpy")), ("patience", (None,))):
        if (value := getattr(settings, name)) not in known:
            raise InputError(
                f"{name} {value!r} is for one network, and there are to be "
                f"{settings.replicas} replicas; leave it out"
            )


def _rates_of(settings: Settings) -> Array:
    """The learning rate of each replica, or one for all."""
    if settings.rate_range:
        least, largest = settings.rate_range
        return np.geomspace(least, largest, settings.replicas)
    if settings.rates:
        return np.resize(np.array(settings.rates), settings.replicas)
    return np.array([settings.make_optimizer().learning_rate])
