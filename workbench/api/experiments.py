"""Experiments opened: their data read, their model built, their training ready to be iterated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.api.arguments import require_plugins
from workbench.core.checkpoint import PREFIX, Checkpoint, read_checkpoint
from workbench.core.conditions import conditions, differences
from workbench.core.data import AnyDataset, Parts, open_dataset, split
from workbench.core.data.files import ReportProgress
from workbench.core.experiment import EQUATION_TABLES, Experiment
from workbench.core.inference import ForwardPass
from workbench.core.opening import open_training
from workbench.core.parameters import Parameters
from workbench.core.runs import BEST, LAST, SETTINGS, RunWriter, load_run, read_settings
from workbench.core.samples import out_of_reach, recognise_classes, require_fit
from workbench.core.settings import Settings
from workbench.core.trainable import (
    EQUATIONS,
    NO_PREDICTION,
    Trainable,
    trainable_network,
)
from workbench.core.training import Training
from workbench.derivation.system import System
from workbench.errors import InputError
from workbench.notation.reading import EQUATIONS_SUFFIX
from workbench.plugins.build import build_network, build_strategy
from workbench.plugins.registry import Registry, load_registry

if TYPE_CHECKING:
    from workbench.core.fitting import Fitting
    from workbench.core.scores import Scores


@dataclass(frozen=True)
class Opened:
    """An experiment that is ready to be trained.

    Attributes
    ----------
    experiment : with all that was left open filled in; opening that gives the same training.
    test : the part that training never sees; empty if none was asked for.
    notes : what a person should know before the training begins.
    conditions : what the training rests on besides its settings.
    """

    experiment: Experiment
    training: Training
    test: AnyDataset
    notes: tuple[str, ...]
    conditions: dict[str, Any]

    def state(self) -> Checkpoint:
        """The state of the training at this moment, with what a run needs to be loaded."""
        return self._described(self.training.state())

    @property
    def is_finite(self) -> bool:
        """Whether all numbers of the state are finite, so that it is worth keeping."""
        return all(np.isfinite(array).all() for array in self.training.state().arrays.values())

    def best(self) -> Checkpoint | None:
        """The parameters of the best validation, likewise; None if there is none yet."""
        best = self.training.best
        return None if best is None else self._described(best)

    def _described(self, state: Checkpoint) -> Checkpoint:
        about = {
            "preparation": self.training.preparation.to_json(),
            "conditions": self.conditions,
        }
        return Checkpoint(state.arrays, {**state.values, **about})

    def plan(self) -> dict[str, Any]:
        """What the training is going to do, in the types of JSON."""
        training = self.training
        return {
            "network": self.experiment.network,
            "loss": self.experiment.loss,
            "parameters": training.parameters.vector.size,
            "replicas": training.settings.replicas,
            "backend": training.backend,
            "threads": training.threads,
            "epochs": training.settings.epochs,
            "steps": training.settings.epochs * training.steps_per_epoch,
            "memory": training.memory.to_json(),
        }

    def replica_records(self) -> list[dict[str, Any]]:
        """What each replica came to, in the types of JSON; none where there is one model."""
        if self.training.settings.replicas == 1:
            return []
        from workbench.core.replicas import ReplicaTraining

        assert isinstance(self.training, ReplicaTraining)
        return self.training.replica_records()

    def test_scores(self, run: Path | None = None) -> Scores | None:
        """How well the model that is kept does on the test part; None if there is none.

        Parameters
        ----------
        run : where the best parameters are if none were better since the training went on.
        """
        if not len(self.test):
            return None
        from workbench.core.scores import score

        training = self.training
        forward_pass = ForwardPass(training.model, self._kept_parameters(run))
        return score(forward_pass, training.preparation, self.test)

    def _kept_parameters(self, run: Path | None) -> Parameters:
        """The best parameters by validation, if there is any, else those of this moment."""
        training = self.training
        if training.best is not None:
            kept = Parameters(training.model.parameters, training.settings.dtype)
            for name, view in kept.items():
                view[...] = training.best.arrays[f"{PREFIX}{name}"]
            return kept
        if run is not None and (run / BEST).exists():
            return load_run(run).parameters(training.model.parameters)
        return training.parameters


def resume_experiment(
    path: str | Path, *, epochs: int | None = None, plugins: Sequence[str | Path] = ()
) -> tuple[Opened, RunWriter]:
    """Open the experiment of a run and go on where its last checkpoint left off.

    Parameters
    ----------
    epochs : how many there are to be in all; None leaves them as they are.
    plugins : the run's plugin files, which are programs: those that are named here run, wherever
        the run says that they are, and are kept as the run's.

    Raises
    ------
    InputError
        If the run is in use or damaged, is past so many epochs, or its data are not those it was
        begun with.
    """
    kept = read_settings(path)
    wanted = _wanted(path, kept, epochs, plugins)
    opened = _open_to_restore(Experiment.from_values(wanted, str(Path(path) / SETTINGS)))
    writer, checkpoint = RunWriter.resume(path, opened.training.state().arrays)
    with ExitStack() as on_failure:
        on_failure.enter_context(writer)
        if read_settings(path) != kept:
            raise InputError(f"the run {path} was replaced or changed meanwhile; try again")
        opened = _restored(opened, checkpoint, kept, path)
        if wanted != kept:
            writer.keep(SETTINGS, opened.experiment.to_toml())
        on_failure.pop_all()
    return opened, writer


def preview_resumed(
    path: str | Path, *, epochs: int | None = None, plugins: Sequence[str | Path] = ()
) -> Opened:
    """Open the experiment of a run as `resume_experiment` does, but leave the run as it is."""
    kept = read_settings(path)
    wanted = _wanted(path, kept, epochs, plugins)
    opened = _open_to_restore(Experiment.from_values(wanted, str(Path(path) / SETTINGS)))
    checkpoint = read_checkpoint(Path(path) / LAST, opened.training.state().arrays)
    return _restored(opened, checkpoint, kept, path)


def _wanted(
    path: str | Path,
    kept: Mapping[str, Any],
    epochs: int | None,
    plugins: Sequence[str | Path],
) -> dict[str, Any]:
    """The settings of a run with another number of epochs and the plugin files named."""
    require_plugins(kept["plugins"], plugins, path)
    length = _length(kept) if epochs is None else epochs
    return {**kept, "plugins": [str(file) for file in plugins], "epochs": length}


def _length(kept: Mapping[str, Any]) -> int:
    length: int = kept.get("epochs", Settings.epochs)
    return length


def _restored(
    opened: Opened, checkpoint: Checkpoint, kept: Mapping[str, Any], path: str | Path
) -> Opened:
    """The experiment as a checkpoint of the run left it, with notes of what has changed since."""
    told = list(differences(checkpoint.values["conditions"], opened.conditions))
    opened.training.restore(checkpoint)
    told.extend(_changes_of_length(opened.training, _length(kept), path))
    return replace(opened, notes=(*opened.notes, *told))


def _open_to_restore(experiment: Experiment) -> Opened:
    """Open an experiment without its starting values, whose file may be gone."""
    word = experiment.settings.get("initialiser", Settings.initialiser)
    opened = open_experiment(_started_by(experiment, "zeros"))
    return replace(opened, experiment=_started_by(opened.experiment, word))


def _started_by(experiment: Experiment, initialiser: str) -> Experiment:
    return replace(experiment, settings={**experiment.settings, "initialiser": initialiser})


def _changes_of_length(training: Training, before: int, path: str | Path) -> Iterator[str]:
    """What another number of epochs changes besides the end; fewer than are begun are refused."""
    progress, settings = training.progress, training.settings
    begun = progress.epoch + (progress.batch > 0)
    if settings.epochs < begun:
        raise InputError(
            f"the run {path} is in epoch {begun} already, but {settings.epochs} epochs are asked "
            f"for; expected {begun} or more"
        )
    if settings.schedule.kind == "cosine" and progress.step and settings.epochs != before:
        yield (
            f"the cosine schedule goes by the number of epochs: from here on the rates are those "
            f"of a training of {settings.epochs} epochs, which {SETTINGS} repeats, not of this run"
        )


def open_experiment(experiment: Experiment, *, progress: ReportProgress | None = None) -> Opened:
    """Read the data of an experiment, build its model, and prepare its training.

    Parameters
    ----------
    progress : told the bytes read of large text so far, and in all.

    Raises
    ------
    InputError
        If a file cannot be used, a name is unknown, or data and model do not fit.
    """
    registry = load_registry([Path(file) for file in experiment.plugins])
    settings = experiment.make_settings(lambda name: build_strategy(name, registry))
    fitting = fitting_of(experiment, registry)
    dataset = _read(experiment, progress)
    weighted = settings.class_weights is not None
    model, dataset = (
        _network_of(experiment, registry, dataset, weighted=weighted)
        if fitting is None
        else fitting.fit(dataset, weighted=weighted)
    )
    parts = _parts(experiment, dataset, settings)
    training = open_training(model, parts.train, parts.validation, settings)
    limits = None if model.network is None else out_of_reach(model.network, dataset)
    unpredicted = NO_PREDICTION if model.output is None else None
    doubts = () if fitting is None else fitting.doubts()
    notes = [note for note in (*doubts, limits, unpredicted, _dropped(dataset)) if note]
    resolved = replace(
        experiment,
        network=model.text,
        loss=model.loss,
        sizes={} if model.network else model.system.sizes,
        data=replace(experiment.data, target=dataset.target_names, header=dataset.header),
        settings=replace(settings, backend=training.backend, threads=training.threads).to_values(),
    )
    named = {"training": parts.train, "validation": parts.validation, "test": parts.test}
    rests_on = conditions(
        named, backend=training.backend, threads=training.threads, plugins=registry.files
    )
    return Opened(resolved, training, parts.test, tuple(notes), rests_on)


def _network_of(
    experiment: Experiment, registry: Registry, dataset: AnyDataset, *, weighted: bool
) -> tuple[Trainable, AnyDataset]:
    """The network, as training sees it, and the data with classes recognised."""
    built = build_network(
        experiment.network,
        activation=experiment.activation,
        loss=experiment.loss,
        registry=registry,
    )
    dataset = recognise_classes(built.widths[-1], dataset)
    require_fit(built, dataset)
    return trainable_network(built, weighted=weighted), dataset


def fitting_of(experiment: Experiment, registry: Registry) -> Fitting | None:
    """The equations of an experiment, if it has any in place of a network.

    Raises
    ------
    InputError
        If they cannot be read, or what is said of equations is said of a network.
    """
    system = equations_of(experiment.network, registry)
    if system is None:
        tables = {table: getattr(experiment, table) for table in EQUATION_TABLES}
        refuse_for_network(experiment.network, tables)
        return None
    if experiment.loss not in (None, EQUATIONS):
        raise InputError(
            f"the loss {experiment.loss} is given for equations, whose last one is the loss; leave "
            "it out"
        )
    from workbench.core.fitting import Fitting

    return Fitting(system, experiment.sizes, experiment.inputs, experiment.values)


def refuse_for_network(network: str, tables: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse what is said of equations, by the name of its table, where there is a network.

    Raises
    ------
    InputError
        If anything is said.
    """
    for name, said in tables.items():
        if said:
            raise InputError(f"{name} are given for the network {network}; they are for equations")


def equations_of(text: str, registry: Registry) -> System | None:
    """The equations that a text is, or that the file it names holds; None for a network.

    Raises
    ------
    InputError
        If they cannot be read.

    >>> equations_of("2-2-1", load_registry()) is None
    True
    """
    name = "the equations"
    if text.endswith(EQUATIONS_SUFFIX):
        from workbench.api.reading import read_text

        text, name = read_text(text), text
    elif "=" not in text:
        return None
    from workbench.api.reading import read_system

    return read_system("\n".join(text.splitlines()), name, registry)


def _read(experiment: Experiment, progress: ReportProgress | None) -> AnyDataset:
    data = experiment.data
    return open_dataset(
        data.train,
        targets=data.target,
        ignore=data.ignore,
        header=data.header,
        missing=data.missing,
        decimal=data.decimal,
        cache=data.cache,
        progress=progress,
    )


def _parts(experiment: Experiment, dataset: AnyDataset, settings: Settings) -> Parts[AnyDataset]:
    """Split the data, and take a part from its own file where it has one."""
    shares = {"validation": settings.validation, "test": settings.test}
    parts = split(
        dataset, settings.validation, settings.seed, test=settings.test, stratify=settings.stratify
    )
    data = experiment.data
    for name, share in shares.items():
        if (file := getattr(data, name)) is None:
            continue
        if share:
            raise InputError(
                f"the {name} part is given as the file {file} and as a share of {share:g}; "
                "expected one of them"
            )
        part = open_dataset(
            file,
            header=data.header,
            missing=data.missing,
            decimal=data.decimal,
            cache=data.cache,
            like=dataset,
        )
        parts = parts._replace(**{name: part})
    return parts


def _dropped(dataset: AnyDataset) -> str | None:
    if not dataset.dropped:
        return None
    return f"{dataset.source}: {dataset.dropped:,} rows with missing values are left out"
