"""Trainings opened: one function for one model and for replicas of it."""

from __future__ import annotations

from workbench.core.data.parts import split
from workbench.core.data.stored_dataset import AnyDataset
from workbench.core.samples import D, recognise_classes, require_fit
from workbench.core.settings import Settings
from workbench.core.trainable import Trainable
from workbench.core.training import Training
from workbench.derivation.network import Network


def train(model: Network | Trainable, dataset: D, settings: Settings | None = None) -> Training:
    """Split a data set as the settings say and return the training, ready to be iterated.

    A column of numbers is taken as classes where a network's outputs show that it is meant so.
    """
    settings = settings or Settings()
    if isinstance(model, Network):
        dataset = recognise_classes(model.widths[-1], dataset)
    require_fit(model, dataset)
    parts = split(
        dataset,
        settings.validation,
        settings.seed,
        test=settings.test,
        stratify=settings.stratify,
    )
    return open_training(model, parts.train, parts.validation, settings)


def open_training(
    model: Network | Trainable,
    training: AnyDataset,
    validation: AnyDataset | None,
    settings: Settings,
) -> Training:
    """The training of one model, or of as many replicas of it as the settings say."""
    if settings.replicas == 1:
        return Training(model, training, validation, settings)
    from workbench.core.replicas import ReplicaTraining

    return ReplicaTraining(model, training, validation, settings)
