"""Networks, programs, checks and trainings from Python, and trained models loaded."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import DTypeLike, NDArray

from workbench.api.arguments import (
    Files,
    Names,
    arrays_of,
    files_of,
    known,
    names_of,
    refuse_without_file,
    require_plugins,
)
from workbench.api.experiments import equations_of, fitting_of, refuse_for_network
from workbench.api.trained import Model
from workbench.core.conditions import edited_plugins
from workbench.core.data import AnyDataset, Arrays, Dataset, Missing, StoredDataset, from_arrays
from workbench.core.data import load as load_data
from workbench.core.experiment import Experiment, settings_of
from workbench.core.fitting import Fitting
from workbench.core.gradcheck import NOTHING, Verdict
from workbench.core.gradcheck import gradcheck as check_gradients
from workbench.core.gradient_methods import MOST_ENTRIES, Method
from workbench.core.inference import ForwardPass
from workbench.core.opening import train as start_training
from workbench.core.parameters import Parameters
from workbench.core.program import Program, compile_network
from workbench.core.runs import SETTINGS, Run, load_run
from workbench.core.trainable import EQUATIONS, NO_PREDICTION, Trainable, trainable_network
from workbench.core.training import Training
from workbench.core.whole_numbers import whole_number
from workbench.derivation.network import Network
from workbench.derivation.system import System
from workbench.errors import InputError
from workbench.plugins.build import build_network, build_strategy
from workbench.plugins.registry import Registry, load_registry

Array = NDArray[Any]

ARGUMENTS = (
    *("target", "ignore", "header", "missing", "decimal"),
    *("sizes", "inputs", "values", "plugins"),
)
"""What `train` takes by name besides settings."""


def network(
    architecture: str,
    *,
    activation: str | None = None,
    loss: str | None = None,
    plugins: Files = (),
) -> Network:
    """A network such as `2-2-1` or `64-32:tanh-10:softmax`.

    Parameters
    ----------
    activation : of the layers that name none, sigmoid if not given.
    loss : its name; cross-entropy after softmax, else half the squared error, if not given.
    plugins : plugin files to load besides those installed.

    Raises
    ------
    InputError
        If the text or a name in it cannot be understood.

    >>> network("2-3:relu-1").parameter_count
    13
    """
    registry = _registry(plugins)
    return build_network(architecture, activation=activation, loss=loss, registry=registry)


def program(
    network: Network,
    *,
    batch_size: int,
    dtype: DTypeLike = "float64",
    strategy: str = "elementwise",
    parameters: Parameters | None = None,
    gradients: Parameters | None = None,
    plugins: Files = (),
) -> Program:
    """Compile a network's forward and backward pass; see `workbench.core.program`.

    Parameters
    ----------
    dtype : float32 or float64, of every array.
    strategy : the name of the way Jacobians are written.
    parameters, gradients : arrays to compute with; zeros if not given.

    Raises
    ------
    InputError
        If a name is unknown, the batch is empty or the program would need too much memory.

    >>> program(network("2-2-1"), batch_size=4).batch_size
    4
    """
    chosen = build_strategy(strategy, _registry(plugins))
    return compile_network(
        network,
        batch_size=whole_number("batch_size", batch_size),
        dtype=dtype,
        strategy=chosen,
        parameters=parameters,
        gradients=gradients,
    )


def gradcheck(
    model: Network | System | str,
    *,
    strategies: Names = (),
    batch_size: int = 4,
    seed: int = 0,
    method: Method | str = Method.AUTO,
    step: float | None = None,
    entries: int = MOST_ENTRIES,
    sizes: Mapping[str, int] = NOTHING,
    values: Mapping[str, float] = NOTHING,
    plugins: Files = (),
) -> list[Verdict]:
    """Hold the gradients of a model's program against numbers; see `workbench.core.gradcheck`.

    Parameters
    ----------
    model : as in `train`.
    strategies : the name or names of those to check; all if empty.
    method : "auto", "complex" or "central".

    >>> {verdict.verdict for verdict in gradcheck(network("2-2-1"))}
    {'pass'}
    """
    registry = _registry(plugins)
    names = names_of(strategies) or tuple(registry.strategies)
    built = _built(model, registry)
    if isinstance(built, Network):
        refuse_for_network(str(built), {"sizes": sizes, "values": values})
    verdicts = check_gradients(
        built,
        [build_strategy(name, registry) for name in names],
        batch_size=batch_size,
        seed=seed,
        method=_method(method),
        step=step,
        entries=entries,
        sizes=sizes,
        values=values,
    )
    return list(verdicts)


def train(
    model: Network | System | str,
    data: str | Path | AnyDataset | Arrays,
    *,
    target: Names = (),
    ignore: Names = (),
    header: bool | None = None,
    missing: Missing | str | None = None,
    decimal: str | None = None,
    strategy: str = "elementwise",
    sizes: Mapping[str, int] = NOTHING,
    inputs: Mapping[str, Sequence[str]] = NOTHING,
    values: Mapping[str, float] = NOTHING,
    plugins: Files = (),
    **settings: Any,
) -> Training:
    """A training ready to be iterated: each epoch gives its record.

    Parameters
    ----------
    model : a network, or equations of one sample with a scalar loss; or a text: a network's such as
        `2-2-1`, that of equations, or the path of a file of them that ends in `.eq`.
    data : a data set, or a file to read one from; or two arrays in memory, the inputs (samples,
        features) and what is to be predicted: the number or the class of each sample, or numbers
        (samples, outputs).
    target : of a file, the column or columns to predict, by name, or by number where they have no
        names; the last if empty.
    ignore : of a file, the column or columns that are no inputs either, likewise.
    header, missing, decimal : of a file, and `missing` of arrays, as in
        `workbench.core.data.load`.
    sizes, inputs, values : of equations: sizes that the data leave open, the columns of an input,
        and the value of what is the same for every sample, each by name.
    settings : fields of `workbench.core.settings.Settings`; a schedule may be its name or a mapping
        of its settings.

    Raises
    ------
    InputError
        If a setting is unknown or of another type, or model and data do not fit.

    Warns
    -----
    UserWarning
        If equations predict nothing.

    >>> training = train("2-2-1", "examples/data/xor.csv", epochs=2, batch_size=4)
    >>> [record.epoch for record in training]
    [1, 2]
    >>> inputs, names = [[0.0, 1.0], [2.0, 0.5], [1.0, 1.0]], ["iris", "rose", "iris"]
    >>> train("2-2:softmax", (inputs, names)).preparation.classes
    ('iris', 'rose')
    """
    registry = _registry(plugins)
    chosen = settings_of(
        {"strategy": strategy, **settings},
        lambda name: build_strategy(name, registry),
        known=ARGUMENTS,
    )
    built = _built(model, registry)
    dataset = _read(
        data,
        target=names_of(target),
        ignore=names_of(ignore),
        header=header,
        missing=missing,
        decimal=decimal,
    )
    if isinstance(built, Network):
        refuse_for_network(str(built), {"sizes": sizes, "inputs": inputs, "values": values})
        return start_training(built, dataset, chosen)
    fitting = Fitting(built, sizes, inputs, values)
    fitted, dataset = fitting.fit(dataset, weighted=chosen.class_weights is not None)
    if fitted.output is None:
        warnings.warn(NO_PREDICTION, stacklevel=2)
    return start_training(fitted, dataset, chosen)


def _read(
    data: str | Path | AnyDataset | Arrays,
    *,
    target: tuple[str, ...],
    ignore: tuple[str, ...],
    header: bool | None,
    missing: Missing | str | None,
    decimal: str | None,
) -> AnyDataset:
    """Data as they are given to `train`, read if they are in a file."""
    way = Missing.REFUSE if missing is None else missing
    if isinstance(data, str | Path):
        return load_data(
            data,
            targets=target,
            ignore=ignore,
            header=header,
            missing=way,
            decimal="." if decimal is None else decimal,
        )
    of_file = {"target": target, "ignore": ignore, "header": header, "decimal": decimal}
    if isinstance(data, Dataset | StoredDataset):
        refuse_without_file({**of_file, "missing": missing})
        return data
    inputs, targets = arrays_of(data)
    refuse_without_file(of_file)
    return from_arrays(inputs, targets, missing=way)


def load(run: str | Path, *, plugins: Files = ()) -> Model:
    """Load the model of a run directory.

    Plugin files are programs: those that the run was trained with run only if they are named.

    Raises
    ------
    InputError
        If the run cannot be read, or was trained with a plugin file that is not named.

    Warns
    -----
    UserWarning
        If such a plugin file is not what it was then.
    """
    model = open_model(run, plugins=plugins)
    for note in model.notes:
        warnings.warn(note, stacklevel=2)
    return model


def open_model(run: str | Path, *, plugins: Files = ()) -> Model:
    """Load the model of a run directory and leave its notes to be told by the caller."""
    found = load_run(run)
    require_plugins(found.plugin_files, plugins, found.path)
    registry = _registry(plugins)
    model = _model_of(found, registry)
    parameters = found.parameters(model.parameters)
    decimal = found.settings.get("data", {}).get("decimal", ".")
    return Model(
        found.preparation,
        ForwardPass(model, parameters),
        decimal,
        found.checkpoint.stem,
        found.values.get("epoch"),
        (
            *filter(None, [found.unfinished]),
            *edited_plugins(found.values.get("conditions", {}), registry.files),
        ),
    )


def _built(model: Network | System | str, registry: Registry) -> Network | System:
    """A model, read if it is a text."""
    if isinstance(model, Network | System):
        return model
    if not isinstance(model, str):
        raise InputError(f"{model!r:.80} is no model; expected a network, equations, or a text")
    system = equations_of(model, registry)
    return build_network(model, registry=registry) if system is None else system


def _model_of(run: Run, registry: Registry) -> Trainable:
    """What a run trained."""
    if run.loss != EQUATIONS:
        return trainable_network(build_network(run.network, loss=run.loss, registry=registry))
    experiment = Experiment.from_values(run.settings, str(run.path / SETTINGS))
    fitting = fitting_of(experiment, registry)
    if fitting is None:
        raise InputError(f"{run.path / SETTINGS}: the network is no equations; train it again")
    return fitting.model(run.preparation)


def _registry(plugins: Files) -> Registry:
    return load_registry(files_of(plugins))


def _method(given: Method | str) -> Method:
    return Method(known("method", given, list(Method)))
