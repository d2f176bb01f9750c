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

SCHEDULE_OPTIONS = {
    *("per", "every", "factor", "least_rate"),
    *("warmup_epochs", "warmup_steps", "warmup_start"),
}


def experiment_of(given: Mapping[str, Any]) -> Experiment:
    """What the arguments and options say, over what a file says.

    >>> experiment_of({"network": "2-1", "data": "d.csv", "epochs": 3}).data.train
    'd.csv'
    """
    from workbench.core.experiment import Experiment, read_experiment

    values: dict[str, Any] = {}
    where = "the command line"
    given = dict(given)
    network = given.pop("network", None)
    if network is not None:
        _require_order(network, given.get("data"))
    if network is not None and network.endswith(".toml"):
        values, where = read_experiment(network), network
    elif network is not None:
        values["network"] = network
    if not values:
        raise InputError(
            "there is nothing to train; expected a network and its data, an experiment's .toml "
            "file, or --resume RUN; see workbench train --help"
        )
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
            values[name] = numbers(f"--{name.replace('_', '-')}", value)
        elif name in OF_EQUATIONS:
            option, read = OF_EQUATIONS[name]
            for symbol, found in assigned(option, value, read).items():
                _put(values, name, symbol, found)
        else:
            values[name] = value
    return Experiment.from_values(values, where)


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

    return bool(WRITTEN.fullmatch(text)) or "=" in text or text.endswith((".eq", ".toml"))


def _with_plugins(listed: Any, files: list[Path]) -> Any:
    """The plugin files of an experiment and more; what is no list of them is left to be refused."""
    names = [listed] if isinstance(listed, str) else listed
    return [*names, *map(str, files)] if isinstance(names, list) else listed


def _put(values: dict[str, Any], table: str, name: str, value: Any) -> None:
    """Set a value of a table; what is no table is left to be refused."""
    held = values.get(table, {})
    if isinstance(held, dict):
        values[table] = {**held, name: value}
