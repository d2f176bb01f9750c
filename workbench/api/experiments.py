"""Experiments opened: their data read, their model built, their training ready to be iterated."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workbench.api.arguments import require_plugins
from workbench.core.checkpoint import Checkpoint
from workbench.core.conditions import conditions, differences
from workbench.core.data import AnyDataset, Parts, open_dataset, split
from workbench.core.data.files import Progress
from workbench.core.evaluation import ClassScores, NumberScores, score
from workbench.core.experiment import Experiment, read_experiment
from workbench.core.runs import SETTINGS, RunWriter
from workbench.core.samples import out_of_reach, recognise_classes, require_fit
from workbench.core.settings import Settings
from workbench.core.training import Training
from workbench.errors import InputError
from workbench.plugins.build import build_network, build_strategy
from workbench.plugins.registry import load_registry


@dataclass(frozen=True)
class Opened:
    """An experiment that is ready to be trained.

    Attributes
    ----------
    experiment : with all that was left open filled in; opening that gives the same training.
    test : the part that training never sees; empty if none was asked for.
    notes : what a person should know before the training begins.
    conditions : what the last bits of the training rest on.
    """

    experiment: Experiment
    training: Training
    test: AnyDataset
    notes: tuple[str, ...]
    conditions: dict[str, Any]

    def state(self) -> Checkpoint:
        """The state of the training at this moment, with what a run needs to be loaded."""
        state = self.training.state()
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
            "backend": training.backend,
            "threads": training.threads,
            "epochs": training.settings.epochs,
            "steps": training.settings.epochs * training.steps_per_epoch,
        }

    def test_scores(self) -> ClassScores | NumberScores | None:
        """How well the network as it is does on the test part; None if there is none."""
        if not len(self.test):
            return None
        return score(self.training.forward_pass, self.training.preparation, self.test)


def resume_experiment(
    path: str | Path, *, epochs: int | None = None, plugins: Sequence[str | Path] = ()
) -> tuple[Opened, RunWriter]:
    """Open the experiment of a run and go on where its last checkpoint left off.

    Parameters
    ----------
    epochs : how many there are to be in all; None leaves them as they are.
    plugins : the run's plugin files, which are programs and run only if they are named.

    Raises
    ------
    InputError
        If the run is in use or damaged, or its data are not those it was begun with.
    """
    settings = Path(path) / SETTINGS
    values = read_experiment(settings)
    require_plugins(values.get("plugins", ()), plugins, path)
    if epochs is not None:
        values["epochs"] = epochs
    opened = open_experiment(Experiment.from_values(values, str(settings)))
    state = opened.training.state()
    writer, checkpoint = RunWriter.resume(path, state.arrays)
    with ExitStack() as on_failure:
        on_failure.enter_context(writer)
        notes = differences(checkpoint.values["conditions"], opened.conditions)
        told = [f"{note}: the last bits of the numbers may differ" for note in notes]
        opened.training.restore(checkpoint)
        on_failure.pop_all()
    return replace(opened, notes=(*opened.notes, *told)), writer


def open_experiment(experiment: Experiment, *, progress: Progress | None = None) -> Opened:
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
    built = build_network(
        experiment.network,
        activation=experiment.activation,
        loss=experiment.loss,
        registry=registry,
    )
    dataset = recognise_classes(built, _read(experiment, progress))
    require_fit(built, dataset)
    parts = _parts(experiment, dataset, settings)
    training = Training(built, parts.train, parts.validation, settings)
    notes = [note for note in (out_of_reach(built, dataset), _dropped(dataset)) if note]
    resolved = replace(
        experiment,
        network=str(built),
        loss=built.loss.name,
        data=replace(experiment.data, target=dataset.target_names, header=dataset.header),
        settings=replace(settings, backend=training.backend, threads=training.threads).to_values(),
    )
    named = {"training": parts.train, "validation": parts.validation, "test": parts.test}
    return Opened(resolved, training, parts.test, tuple(notes), conditions(named))


def _read(experiment: Experiment, progress: Progress | None) -> AnyDataset:
    data = experiment.data
    return open_dataset(
        data.train,
        targets=data.target,
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
