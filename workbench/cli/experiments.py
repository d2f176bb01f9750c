"""What the arguments and options of `workbench train` say of an experiment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.cli.assignments import OF_EQUATIONS, assigned, numbers, parsed_class_weights
from workbench.errors import InputError

if TYPE_CHECKING:
    from workbench.core.experiment import Experiment

DATA_OPTIONS = {"target", "ignore", "header", "missing", "decimal", "cache"}
DATA_FILES = {"data": "train", "validation_data": "validation", "test_data": "test"}
"""The options that name files, and what an experiment calls these."""

EXPERIMENT_SUFFIX = ".toml"

SCHEDULE_OPTIONS = {
    *("per", "every", "factor", "least_rate"),
    *("warmup_epochs", "warmup_steps", "warmup_start"),
}


def experiment_of(given: Mapping[str, Any]) -> Experiment:
    """What the arguments and options say, over what a file says.

    The file stands in place of the network, or in place of the data behind another network.

    >>> experiment_of({"network": "2-1", "data": "d.csv", "epochs": 3}).data.train
    'd.csv'
    """
    from workbench.core.experiment import Experiment
    from workbench.core.settings import LEARNING_RATES

    given = dict(given)
    values, where = _begun(given)
    if not given.keys().isdisjoint(LEARNING_RATES):
        values = {name: value for name, value in values.items() if name not in LEARNING_RATES}
    for name, value in given.items():
        if name in DATA_FILES:
            _put(values, "data", DATA_FILES[name], value)
        elif name in DATA_OPTIONS:
            _put(values, "data", name, value)
        elif name == "schedule":
            _put(values, "schedule", "kind", value)
        elif name in SCHEDULE_OPTIONS:
            _put(values, "schedule", name, value)
        elif name == "plugin":
            values["plugins"] = _with_plugins(values.get("plugins", []), value)
        elif name == "class_weights":
            values[name] = parsed_class_weights(value)
        elif name in ("rates", "rate_range"):
            values[name] = numbers(option_of(name), value)
        elif name in OF_EQUATIONS:
            option, read = OF_EQUATIONS[name]
            for symbol, found in assigned(option, value, read).items():
                _put(values, name, symbol, found)
        else:
            values[name] = value
    experiment = Experiment.from_values(values, where)
    if experiment.activation is not None and _is_equations(experiment.network):
        raise InputError(
            f"the activation {experiment.activation} is given for equations, which say themselves "
            "what they apply; leave it out"
        )
    return experiment


def option_of(name: str) -> str:
    """How what is given by this name is written on the command line.

    >>> option_of("batch_size"), option_of("sizes")
    ('--batch-size', '--size')
    """
    return OF_EQUATIONS[name][0] if name in OF_EQUATIONS else f"--{name.replace('_', '-')}"


def _begun(given: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """What the file among the arguments says, or the network alone, and where that is said.

    The arguments that are used up are taken out.
    """
    from workbench.core.experiment import read_experiment

    network, data = given.pop("network", None), given.get("data")
    if network is None:
        raise InputError(
            "there is nothing to train; expected a network and its data, an experiment's .toml "
            "file, or --resume RUN; see workbench train --help"
        )
    _require_order(network, data)
    if network.endswith(EXPERIMENT_SUFFIX):
        if data is not None and data.endswith(EXPERIMENT_SUFFIX):
            raise InputError(f"{network} and {data} are two experiments; expected one of them")
        return read_experiment(network), network
    if data is not None and data.endswith(EXPERIMENT_SUFFIX):
        return read_experiment(given.pop("data")) | {"network": network}, data
    return {"network": network}, "the command line"


def _require_order(network: str, data: str | None) -> None:
    """Refuse data where the network is expected."""
    from workbench.core.data.files import ENDINGS, format_ending

    is_swapped = data is not None and _is_network(data) and not _is_network(network)
    if is_swapped or format_ending(network) in ENDINGS:
        shown = data if is_swapped else "2-2-1"
        raise InputError(
            f"{network} stands where the network is expected, which comes before the data: "
            f"workbench train {shown} {network}"
        )


def _is_network(text: str) -> bool:
    """Whether a text is a network, equations, or the path of a file of either."""
    from workbench.derivation.network import WRITTEN

    is_file = text.endswith(EXPERIMENT_SUFFIX)
    return is_file or _is_equations(text) or bool(WRITTEN.fullmatch(text))


def _is_equations(text: str) -> bool:
    """Whether a text is equations, or the path of a file of them."""
    from workbench.notation.reading import EQUATIONS_SUFFIX

    return "=" in text or text.endswith(EQUATIONS_SUFFIX)


def _with_plugins(listed: Any, files: list[Path]) -> Any:
    """The plugin files of an experiment and more; what is no list of them is left to be refused."""
    names = [listed] if isinstance(listed, str) else listed
    return [*names, *map(str, files)] if isinstance(names, list) else listed


def _put(values: dict[str, Any], table: str, name: str, value: Any) -> None:
    """Set a value of a table; what is no table is left to be refused."""
    held = values.get(table, {})
    if isinstance(held, dict):
        values[table] = {**held, name: value}
