"""The command `workbench train`."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.experiments import experiment_of, option_of
from workbench.cli.options import PluginOption
from workbench.errors import InputError

if TYPE_CHECKING:
    from workbench.api.experiments import Opened
    from workbench.core.runs import RunWriter

Option = typer.Option

NOT_OF_EXPERIMENTS = {"run", "resume", "force", "checkpoint_every", "plan", "tensorboard"}


def train(
    context: typer.Context,
    network: Annotated[
        str | None,
        typer.Argument(
            metavar="[NETWORK|FILE.eq|FILE.toml]",
            help="Widths from input to output, 2-2-1, with an activation where a layer has its "
            "own: 64-32:tanh-10:softmax; or a file of equations; or one that says all that the "
            "options can.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="[DATA]",
            help="CSV or TSV file, .npy or .npz, or - for standard input; or FILE.toml, by which "
            "to train NETWORK.",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        list[str] | None,
        Option(
            metavar="COLUMN",
            help="Column to predict, by name (by number from 1 without a header); repeatable; the "
            "last if not given.",
            show_default=False,
        ),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        Option(
            metavar="COLUMN",
            help="Column that is no input either and may hold anything, given like a target; "
            "repeatable.",
            show_default=False,
        ),
    ] = None,
    sizes: Annotated[
        list[str] | None,
        Option(
            "--size",
            metavar="NAME=NUMBER",
            help="Size that the columns leave open in a file of equations; repeatable.",
            show_default=False,
        ),
    ] = None,
    inputs: Annotated[
        list[str] | None,
        Option(
            "--input",
            metavar="NAME=COLUMN,...",
            help="The columns of an input of equations; the others share what is left, in order.",
            show_default=False,
        ),
    ] = None,
    values: Annotated[
        list[str] | None,
        Option(
            "--set",
            metavar="NAME=NUMBER",
            help="Value of an input of equations that is the same for every sample.",
            show_default=False,
        ),
    ] = None,
    header: Annotated[
        bool | None,
        Option("--header/--no-header", help="Whether the first row has names; found out if not."),
    ] = None,
    missing: Annotated[
        str | None, Option(metavar="WAY", help="Missing values: refuse (default), mean or drop.")
    ] = None,
    decimal: Annotated[
        str | None, Option(metavar="MARK", help="Before a number's fraction: . (default) or ,")
    ] = None,
    cache: Annotated[
        str | None, Option(metavar="FOLDER", help="Where large text is converted to, once.")
    ] = None,
    validation: Annotated[
        float | None, Option(help="Share of the samples that validates; 0 if not given.")
    ] = None,
    test: Annotated[
        float | None, Option(help="Share of the samples kept for a test at the end.")
    ] = None,
    validation_data: Annotated[
        str | None, Option(metavar="FILE", help="The validation part, in place of a share.")
    ] = None,
    test_data: Annotated[
        str | None, Option(metavar="FILE", help="The test part, in place of a share.")
    ] = None,
    stratify: Annotated[
        bool | None,
        Option("--stratify/--no-stratify", help="Whether each class has its share of each part."),
    ] = None,
    standardise: Annotated[
        bool | None,
        Option(
            "--standardise/--no-standardise",
            help="Whether inputs get mean 0 and deviation 1, as in the training part.",
        ),
    ] = None,
    class_weights: Annotated[
        str | None,
        Option(
            metavar="WEIGHTS",
            help="How much classes count: balanced, or a=2,b=0.5; those not named count 1.",
        ),
    ] = None,
    activation: Annotated[
        str | None,
        Option(metavar="NAME", help="Activation of the layers that name none; sigmoid."),
    ] = None,
    loss: Annotated[
        str | None,
        Option(metavar="NAME", help="After softmax cross_entropy, else half_squared_error."),
    ] = None,
    initialiser: Annotated[
        str | None,
        Option(metavar="NAME|FILE", help="auto, glorot, he, lecun, uniform, zeros or a file."),
    ] = None,
    epochs: Annotated[int | None, Option(help="Passes through the training part; 50.")] = None,
    batch_size: Annotated[int | None, Option(help="Samples a step; 32.")] = None,
    optimizer: Annotated[
        str | None,
        Option(metavar="NAME", help="sgd, momentum, nesterov, rmsprop, adam (default) or adamw."),
    ] = None,
    learning_rate: Annotated[
        float | None, Option(help="Step size; the optimizer's own if not given.")
    ] = None,
    momentum: Annotated[float | None, Option(help="Of momentum and nesterov; 0.9.")] = None,
    beta1: Annotated[float | None, Option(help="Of adam and adamw; 0.9.")] = None,
    beta2: Annotated[float | None, Option(help="Of adam and adamw; 0.999.")] = None,
    alpha: Annotated[float | None, Option(help="Of rmsprop; 0.99.")] = None,
    epsilon: Annotated[float | None, Option(help="Of rmsprop, adam and adamw; 1e-8.")] = None,
    weight_decay: Annotated[float | None, Option(help="Of the weights; 0, adamw 0.01.")] = None,
    clip_norm: Annotated[float | None, Option(help="Longest gradient.")] = None,
    clip_value: Annotated[float | None, Option(help="Largest entry of a gradient.")] = None,
    schedule: Annotated[
        str | None, Option(metavar="NAME", help="Of the rate: constant (default), step, cosine.")
    ] = None,
    per: Annotated[
        str | None, Option(metavar="UNIT", help="The rate changes every epoch (default) or step.")
    ] = None,
    every: Annotated[int | None, Option(help="Of the schedule step: how often; 10.")] = None,
    factor: Annotated[float | None, Option(help="Of the schedule step: by how much; 0.1.")] = None,
    least_rate: Annotated[float | None, Option(help="Of the schedule cosine: its end; 0.")] = None,
    warmup_epochs: Annotated[int | None, Option(help="Epochs of growing rate at first.")] = None,
    warmup_steps: Annotated[int | None, Option(help="Steps of growing rate at first.")] = None,
    warmup_start: Annotated[
        float | None, Option(help="Share of the rate that it grows from at first; 0.1.")
    ] = None,
    patience: Annotated[
        int | None, Option(help="End after so many epochs without a better validation loss.")
    ] = None,
    least_improvement: Annotated[
        float | None, Option(help="By which a better validation loss is less; 0.")
    ] = None,
    seed: Annotated[int | None, Option(help="Seed of every random number; 0.")] = None,
    replicas: Annotated[
        int | None, Option(help="So many networks side by side, each from its own seed; 1.")
    ] = None,
    rates: Annotated[
        str | None,
        Option(metavar="A,B,...", help="Learning rates of the replicas, over and over again."),
    ] = None,
    rate_range: Annotated[
        str | None,
        Option(metavar="LEAST,LARGEST", help="Learning rates of the replicas, evenly by ratio."),
    ] = None,
    initial_seed: Annotated[
        int | None, Option(help="Of the starting weights alone; replica k takes it + k; the seed.")
    ] = None,
    dtype: Annotated[
        str | None, Option(metavar="NAME", help="float32 or float64 (default).")
    ] = None,
    strategy: Annotated[
        str | None, Option(metavar="NAME", help="How local Jacobians are written; elementwise.")
    ] = None,
    backend: Annotated[
        str | None,
        Option(metavar="NAME", help="What makes the steps: auto (default), python, numpy, numba."),
    ] = None,
    threads: Annotated[int | None, Option(help="Of matrix products; by size if not given.")] = None,
    run: Annotated[
        Path | None,
        Option(metavar="DIRECTORY", help="Keep settings, metrics and checkpoints there."),
    ] = None,
    checkpoint_every: Annotated[
        str | None,
        Option(metavar="INTERVAL", help="Epochs, such as 10, or seconds, such as 30s (default)."),
    ] = None,
    resume: Annotated[
        Path | None,
        Option(metavar="RUN", help="Go on with a run; of all else only --epochs may be given."),
    ] = None,
    force: Annotated[
        bool, Option("--force", help="Replace the run or the event files that are there.")
    ] = False,
    tensorboard: Annotated[
        Path | None,
        Option(metavar="DIRECTORY", help="Write event files for TensorBoard there."),
    ] = None,
    plan: Annotated[
        bool,
        Option(
            "--plan", help="Print what would be done, and the memory in bytes, as JSON; no more."
        ),
    ] = False,
    plugin: PluginOption = None,
) -> None:
    """Train a network by its compiled derivation; print one JSON record an epoch.

    Example: workbench train 2-2-1 examples/data/xor.csv --epochs 500 --run runs/xor
    """
    from workbench.cli.session import PIPE_CLOSED, Interval, Session, Stopped

    interval = Interval.parse(checkpoint_every or "30s")
    given = {
        name: value
        for name, value in context.params.items()
        if value not in (None, [], ()) and name not in NOT_OF_EXPERIMENTS
    }
    with ExitStack() as stack:
        if tensorboard is not None:
            from workbench.core.tensorboard import EventFile, require_room

            require_room(tensorboard, is_shared=plan or force or resume is not None)
        if resume is not None and (run is not None or force):
            raise InputError(
                f"--resume {resume} goes on in its own directory; leave out --run and --force"
            )
        if resume is None and run is None:
            if checkpoint_every:
                raise InputError("--checkpoint-every is of a run that is kept; add --run DIRECTORY")
            if force and tensorboard is None:
                raise InputError(
                    "--force replaces what is kept; add --run or --tensorboard DIRECTORY"
                )
        opened, writer = (
            _begun(given, run, force=force, plan=plan)
            if resume is None
            else _resumed(_run_of(resume), given, plan=plan)
        )
        if writer is not None:
            stack.enter_context(writer)
        for note in opened.notes:
            print(f"workbench: warning: {note}", file=sys.stderr)
        if plan:
            _print_plan(opened)
            return
        events = None
        if tensorboard is not None:
            events = EventFile(tensorboard, opened.training.progress.epoch + 1)
            stack.enter_context(events)
        if resume is not None:
            _tell_where(opened)
        try:
            Session(opened, writer, interval, events).run()
        except Stopped as stopped:
            if writer is not None and stopped.status != PIPE_CLOSED:
                print(
                    f"workbench: stopped; go on with: workbench train --resume {writer.path}",
                    file=sys.stderr,
                )
            raise typer.Exit(stopped.status) from None


def _begun(
    given: dict[str, Any], run: Path | None, *, force: bool, plan: bool
) -> tuple[Opened, RunWriter | None]:
    """A training from its beginning, and what keeps it."""
    from workbench.api.experiments import open_experiment
    from workbench.core import runs

    experiment = experiment_of(given)
    if run is not None and not plan:
        runs.require_place(run, force=force)
    opened = open_experiment(experiment, progress=_conversion_progress())
    if run is None or plan:
        return opened, None
    text = opened.experiment.to_toml()
    return opened, runs.RunWriter.create(run, text, opened.state(), force=force)


def _run_of(given: Path) -> Path:
    """The directory of a run, also where a file is given that it goes on from."""
    from workbench.core.runs import LAST, SETTINGS

    if not given.is_file():
        return given
    if given.name not in (LAST, SETTINGS):
        raise InputError(
            f"--resume {given} is a file; a run goes on from its {LAST}: give its directory, "
            f"--resume {given.parent}"
        )
    return given.parent


def _resumed(run: Path, given: dict[str, Any], *, plan: bool) -> tuple[Opened, RunWriter | None]:
    """A training as its last checkpoint left it, and what keeps it."""
    from workbench.api.experiments import preview_resumed, resume_experiment

    for name, value in given.items():
        if name in ("network", "data"):
            raise InputError(
                f"--resume {run} takes model and data from the run; leave out {value!r}"
            )
        if name not in ("epochs", "plugin"):
            raise InputError(
                f"{option_of(name)} cannot change in a run that goes on; begin a new one: "
                f"workbench train {run}/settings.toml {option_of(name)} ... --run ..."
            )
    wanted = {"epochs": given.get("epochs"), "plugins": given.get("plugin", [])}
    return (preview_resumed(run, **wanted), None) if plan else resume_experiment(run, **wanted)


def _tell_where(opened: Opened) -> None:
    """Tell a terminal where a training goes on, and everyone if there is no more to do."""
    training = opened.training
    where = f"{training.progress.epoch} of {training.settings.epochs}"
    if training.is_finished:
        told = f"the run is finished, after {where} epochs; give --epochs for more"
    elif sys.stderr.isatty():
        told = f"going on after epoch {where}"
    else:
        return
    print(f"workbench: {told}", file=sys.stderr)


def _print_plan(opened: Opened) -> None:
    import json

    print(json.dumps(opened.plan(), ensure_ascii=False, indent=2))


def _conversion_progress() -> Any:
    """Show on a terminal how far the conversion of large text is."""
    if not sys.stderr.isatty():
        return None

    def show(done: int, whole: int) -> None:
        ending = "\r\x1b[K" if done >= whole else ""
        sys.stderr.write(f"\r\x1b[Kconverting: {done / max(whole, 1):.0%}{ending}")
        sys.stderr.flush()

    return show
