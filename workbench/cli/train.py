"""The command `workbench train`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.options import (
    ActivationOption,
    DataArgument,
    HeaderOption,
    LossOption,
    NetworkArgument,
    PluginOption,
    SeedOption,
    StrategyOption,
)

if TYPE_CHECKING:
    from workbench.core.training import EpochRecord, Training

TargetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        metavar="COLUMN",
        help="Column to predict, by name (by number from 1 without a header); repeatable; "
        "the last if not given.",
        show_default=False,
    ),
]

RateOption = Annotated[
    float | None,
    typer.Option(help="Step size; if not given, 0.1 for sgd, 0.01 momentum, 0.001 adam."),
]

RunOption = Annotated[
    Path | None,
    typer.Option(metavar="DIRECTORY", help="Keep settings, metrics and parameters there."),
]


def train(
    network: NetworkArgument,
    data: DataArgument,
    target: TargetOption = None,
    activation: ActivationOption = "sigmoid",
    loss: LossOption = None,
    epochs: Annotated[int, typer.Option(help="Passes through the training part.")] = 50,
    batch_size: Annotated[int, typer.Option(help="Samples a step.")] = 32,
    optimizer: Annotated[str, typer.Option(metavar="NAME", help="sgd, momentum or adam.")] = "adam",
    learning_rate: RateOption = None,
    momentum: Annotated[
        float | None, typer.Option(help="Of the optimizer momentum; 0.9 if not given.")
    ] = None,
    validation: Annotated[float, typer.Option(help="Share of the samples held out.")] = 0.0,
    seed: SeedOption = 0,
    dtype: Annotated[str, typer.Option(metavar="NAME", help="float32 or float64.")] = "float64",
    strategy: StrategyOption = "elementwise",
    standardise: Annotated[
        bool, typer.Option(help="Give inputs mean 0 and deviation 1, fitted on the training part.")
    ] = True,
    header: HeaderOption = None,
    run: RunOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the run that is there.")] = False,
    plugin: PluginOption = None,
) -> None:
    """Train a network by its compiled derivation; print one JSON record an epoch."""
    from workbench.core.data import load
    from workbench.core.runs import RunWriter, require_place
    from workbench.core.samples import out_of_reach
    from workbench.core.training import Settings
    from workbench.core.training import train as start
    from workbench.plugins.build import build_network, build_strategy
    from workbench.plugins.registry import load_registry

    registry = load_registry(plugin or ())
    settings = Settings(
        epochs=epochs,
        batch_size=batch_size,
        optimizer=optimizer,
        learning_rate=learning_rate,
        momentum=momentum,
        dtype=dtype,
        strategy=build_strategy(strategy, registry),
        validation=validation,
        standardise=standardise,
        seed=seed,
    )
    built = build_network(network, activation=activation, loss=loss, registry=registry)
    if run is not None:
        require_place(run, force=force)
    dataset = load(data, targets=target or (), header=header)
    training = start(built, dataset, settings)
    keeping = run and RunWriter(
        run, training, source=dataset.source, plugin_files=plugin or (), force=force
    )
    if warning := out_of_reach(built, dataset):
        print(f"workbench: warning: {warning}", file=sys.stderr)
    try:
        with keeping or nullcontext() as writer:
            for record in _with_progress(training):
                if writer is not None:
                    writer.record(record)
                print(json.dumps(record.to_json(), allow_nan=False), flush=True)
    except KeyboardInterrupt:
        if run is not None and run.is_dir():
            print(f"workbench: interrupted; the last full epoch is in {run}", file=sys.stderr)
        raise


def _with_progress(training: Training) -> Iterator[EpochRecord]:
    """The records of a training; between them one line on standard error, if that is a terminal."""
    if not sys.stderr.isatty():
        yield from training
        return
    try:
        for record in training:
            _rewrite("")
            yield record
            _rewrite(_progress(record, training.settings.epochs))
    finally:
        _rewrite("")


def _rewrite(line: str) -> None:
    """Put a line in place of the last one written, if it was the last."""
    sys.stderr.write("\r\x1b[K" + line[: get_terminal_size().columns - 1])
    sys.stderr.flush()


def _progress(record: EpochRecord, epochs: int) -> str:
    """One line: how far, and how well.

    >>> from workbench.core.training import EpochRecord
    >>> _progress(EpochRecord(25, 100, 0.5, 0.75, None, None, 0.1, 2.0), 50)
    'epoch 25/50 ██████████░░░░░░░░░░ loss 0.5 accuracy 0.75'
    """
    filled = 20 * record.epoch // epochs
    figures = {
        "loss": record.loss,
        "accuracy": record.accuracy,
        "validation loss": record.validation_loss,
        "validation accuracy": record.validation_accuracy,
    }
    words = [f"{name} {value:.4g}" for name, value in figures.items() if value is not None]
    bar = "█" * filled + "░" * (20 - filled)
    return " ".join((f"epoch {record.epoch}/{epochs} {bar}", *words))
