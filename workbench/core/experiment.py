"""Experiments: all that decides a training, as a TOML file says it.

    network = "64-32:relu-10:softmax"
    epochs = 20
    learning_rate = 3e-3

    [data]
    train = "examples/data/digits.csv"
    target = "label"

    [schedule]
    kind = "cosine"

`network` may also be the path of a file of equations (`.eq`), or the equations themselves; then the
tables `[sizes]`, `[inputs]` and `[values]` say what the data leave open. What is left out has its
default. Paths are relative to the current directory, as on the command line. A run keeps its
experiment with everything filled in, so that it can be repeated.

`plugins` lists files that are programs, and training by an experiment's file, a run's
`settings.toml` among them, runs them: whoever trains by a file trusts it. What only reads a run, or
goes on with it, runs none but those that are named again.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np

from workbench.core.places import whereabouts
from workbench.core.schedules import Schedule
from workbench.core.settings import Settings
from workbench.derivation.steps import Strategy
from workbench.errors import InputError, close_matches

EQUATION_TABLES = ("sizes", "inputs", "values")
"""What is said of equations, besides themselves."""

MOST_BITS = 63
"""The most of a whole number in TOML, besides its sign."""

LONGEST = 2**20
"""The most bytes of an experiment's file."""


@dataclass(frozen=True, kw_only=True)
class DataFiles:
    """Where the samples come from.

    Attributes
    ----------
    train, validation, test : files; shares of the first are held out where there are none.
    target : the columns to predict; the last that is not ignored if there are none.
    ignore : the columns that are no inputs either.
    header : whether the first row holds names; None finds out.
    missing : what is done about missing values: "refuse", "mean" or "drop".
    decimal : the mark before the fraction of a number.
    cache : the folder for what large text is converted to; beside the file if None.
    """

    train: str
    validation: str | None = None
    test: str | None = None
    target: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    header: bool | None = None
    missing: str = "refuse"
    decimal: str = "."
    cache: str | None = None


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A model, its data and the settings of its training.

    Attributes
    ----------
    network : as text, 64-32:relu-10:softmax; or equations, or the path of a file of them.
    activation : of the layers that name none; None takes the usual one, and equations have none.
    loss : its name; None takes the usual one, and that of equations is "equations".
    plugins : files of plugins.
    sizes, inputs, values : of equations, as in `workbench.core.fitting`.
    settings : as they are written, with the name of a strategy; see `Settings`.
    """

    network: str
    activation: str | None = None
    loss: str | None = None
    plugins: tuple[str, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)
    inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)
    data: DataFiles
    settings: Mapping[str, Any] = field(default_factory=dict)

    def make_settings(self, strategy: Callable[[str], Strategy]) -> Settings:
        """Check the settings.

        Parameters
        ----------
        strategy : gives the strategy of a name.

        >>> from workbench.derivation.steps import ELEMENTWISE
        >>> experiment = Experiment(network="2-1", data=DataFiles(train="d.csv"))
        >>> experiment.make_settings(lambda name: ELEMENTWISE).epochs
        50
        """
        return _made(self.settings, strategy)

    def to_values(self) -> dict[str, Any]:
        """Return all of it in the types of TOML; what is None is left out.

        >>> Experiment(network="2-1", data=DataFiles(train="d.csv")).to_values()["data"]
        {'train': 'd.csv', 'target': [], 'ignore': [], 'missing': 'refuse', 'decimal': '.'}
        """
        values = {
            name: getattr(self, name) for name in ("network", "activation", "loss", "plugins")
        }
        tables = {"schedule", "class_weights"}
        settings = sorted(self.settings.items(), key=lambda item: item[0] in tables)
        own = {name: getattr(self, name) or None for name in EQUATION_TABLES}
        plain: dict[str, Any] = _plain({**values, **dict(settings), **own, "data": vars(self.data)})
        return plain

    def to_toml(self) -> str:
        """Write it."""
        import tomli_w

        return tomli_w.dumps(self.to_values(), multiline_strings=True)

    @classmethod
    def from_values(cls, values: Mapping[str, Any], where: str) -> Experiment:
        """Rebuild it from what `to_values` gave, or a person wrote.

        Parameters
        ----------
        where : what messages call the place of the values.

        Raises
        ------
        InputError
            If a name is not known, missing or has a value of another type.

        >>> values = {"network": "2-1", "epoch": 5, "data": {"train": "d.csv"}}
        >>> Experiment.from_values(values, "a.toml")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        workbench.errors.InputError: a.toml: unknown setting 'epoch'; did you mean epochs? ...
        """
        own, of_data = get_type_hints(cls), get_type_hints(DataFiles)
        del own["data"], own["settings"]
        settings = _setting_types()
        data = _checked(values, {"data": dict[str, Any]}, ("data",), where, known=settings | own)
        files = _checked(data["data"], of_data, ("train",), f"{where}: [data]")
        given = _checked(values, {**own, **settings}, ("network",), where, known={"data": dict})
        return cls(
            data=DataFiles(**files),
            settings={name: given[name] for name in given if name in settings},
            **{name: given[name] for name in given if name in own},
        )


def read_experiment(path: str | Path) -> dict[str, Any]:
    """Read what a TOML file says of an experiment.

    Raises
    ------
    InputError
        If the file cannot be read or is no TOML.
    """
    try:
        with Path(path).open("rb") as stream:
            content = stream.read(LONGEST + 1)
        if len(content) > LONGEST:
            raise InputError(f"{path}: longer than {LONGEST:,} bytes; expected an experiment")
        return tomllib.loads(content.decode("utf-8-sig"))
    except OSError as error:
        place = whereabouts(path) if isinstance(error, FileNotFoundError) else ""
        raise InputError(f"{path}: cannot be read: {error.strerror}{place}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no TOML: {error}") from None


def _checked(
    values: Mapping[str, Any],
    types: Mapping[str, Any],
    required: tuple[str, ...],
    where: str,
    known: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """The values of these names, each of its type; others must be known elsewhere."""
    for name in values:
        if name not in types and name not in known:
            hint = close_matches(name, [*types, *known])
            raise InputError(f"{where}: unknown setting {name!r}; {hint}")
    for name in required:
        if name not in values:
            raise InputError(f"{where}: there is no {name!r}; expected {_EXAMPLES[name]}")
    found = {}
    for name in values:
        if name in types:
            _require_numbers(values[name], f"{where}: {name}")
            found[name] = _typed(values[name], types[name], f"{where}: {name}")
    return found


def _require_numbers(value: Any, what: str) -> None:
    """Refuse numbers, also within tables and lists, that no setting can be."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            _require_numbers(item, f"{what}.{name}")
    elif isinstance(value, list | tuple):
        for item in value:
            _require_numbers(item, what)
    elif isinstance(value, int) and value.bit_length() > MOST_BITS:
        raise InputError(
            f"{what} is a whole number beyond 2^{MOST_BITS}; expected a smaller one, or with an "
            "exponent: 1e20"
        )
    elif isinstance(value, float) and not isfinite(value):
        raise InputError(f"{what} = {value}; expected a finite number")


def _typed(value: Any, hint: Any, what: str) -> Any:
    """A value of the type of a field; one text stands for a list of it."""
    for kind in get_args(hint) if isinstance(hint, UnionType) else (hint,):
        origin = get_origin(kind) or kind
        if origin is float and type(value) is int:
            return float(value)
        if origin is tuple and isinstance(value, list | tuple):
            types = (float, int) if float in get_args(kind) else (str,)
            if all(type(item) in types for item in value):
                return tuple(value)
        elif origin is tuple and type(value) is str and str in get_args(kind):
            return (value,)
        elif origin is Mapping and isinstance(value, dict):
            of = get_args(kind)[1]
            return {name: _typed(item, of, f"{what}.{name}") for name, item in value.items()}
        elif isinstance(origin, type) and type(value) is origin:
            return value
    wanted = str(hint if get_args(hint) else hint.__name__).replace(" | None", "")
    raise InputError(f"{what} = {value!r}; expected {_WORDS.get(wanted, 'a table')}")


_EXAMPLES = {
    "network": 'network = "2-2-1", or a network as argument',
    "data": 'a table [data] with train = "data.csv", or the data as argument',
    "train": 'train = "data.csv", or the data as argument',
}
"""What gives what an experiment cannot do without."""

_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text in quotes",
    "bool": "true or false",
    "tuple[str, ...]": 'a text or a list of texts, such as ["label"]',
    "tuple[float, ...]": "a list of numbers, such as [0.1, 0.3]",
    "dict[str, typing.Any]": "a table",
}
"""What is expected for a type, in words."""


def _plain(value: Any) -> Any:
    """A value in the types of TOML, without what is None."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items() if item is not None}
    return list(value) if isinstance(value, tuple) else value


def settings_of(
    given: Mapping[str, Any], strategy: Callable[[str], Strategy], *, known: Iterable[str] = ()
) -> Settings:
    """Settings as a program gives them, of the same types as in a file.

    Numbers and arrays of NumPy are taken as well, and so is a `Schedule`, its name or a mapping.

    Parameters
    ----------
    strategy : gives the strategy of a name.
    known : names that are no settings, to be proposed for a misspelt one.

    Raises
    ------
    InputError
        If a name is not known or has a value of another type.

    >>> from workbench.derivation.steps import ELEMENTWISE
    >>> settings_of({"epoch": 5}, lambda name: ELEMENTWISE)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    workbench.errors.InputError: train: unknown setting 'epoch'; did you mean epochs? ...
    """
    types = _setting_types()
    plain = {name: _without_arrays(value) for name, value in given.items()}
    if "schedule" in plain:
        schedule = plain["schedule"]
        is_made = isinstance(schedule, Schedule)
        plain["schedule"] = (schedule if is_made else Schedule.from_values(schedule)).to_values()
    return _made(_checked(plain, types, (), "train", known=dict.fromkeys(known)), strategy)


def _made(values: Mapping[str, Any], strategy: Callable[[str], Strategy]) -> Settings:
    """Settings from values whose types are checked."""
    given = dict(values)
    if "schedule" in given:
        given["schedule"] = Schedule.from_values(given["schedule"])
    if "strategy" in given:
        given["strategy"] = strategy(given["strategy"])
    return Settings(**given)


def _setting_types() -> dict[str, Any]:
    """The type of each setting, as it is written."""
    return {**get_type_hints(Settings), "strategy": str, "schedule": dict[str, Any]}


def _without_arrays(value: Any) -> Any:
    """A value with the numbers of Python for those of NumPy."""
    if isinstance(value, Mapping):
        return {name: _without_arrays(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_arrays(item) for item in value]
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
