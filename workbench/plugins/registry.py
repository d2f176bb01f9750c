"""The registry: every activation, loss and strategy that plugins yield, and where each comes from.

Plugins are loaded when `load_registry` is first called, one by one. An installed plugin that breaks
or clashes is left out and named in `Registry.problems`; a plugin file that the user gave must work.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import NamedTuple, TypeAlias, TypeVar

from pluggy import PluginManager, PluginValidationError

from workbench.errors import InputError, close_matches
from workbench.plugins import hookspecs
from workbench.plugins.records import Activation, JacobianStrategy, Loss

Record: TypeAlias = Activation | Loss | JacobianStrategy
RecordType = TypeVar("RecordType", Activation, Loss, JacobianStrategy)

KINDS: Mapping[type[Record], str] = {
    Activation: "activation",
    Loss: "loss",
    JacobianStrategy: "strategy",
}
HOOKS: Mapping[str, type[Record]] = {
    "workbench_activations": Activation,
    "workbench_losses": Loss,
    "workbench_strategies": JacobianStrategy,
}
OWN_DISTRIBUTION = "backprop-workbench"


@dataclass(frozen=True)
class Entry:
    """One record with the plugin it came from."""

    record: Record
    origin: str

    @property
    def kind(self) -> str:
        """The word for the record's type: activation, loss or strategy."""
        return next(kind for known, kind in KINDS.items() if isinstance(self.record, known))

    @property
    def names(self) -> tuple[str, ...]:
        """The record's name and its aliases."""
        return (self.record.name, *getattr(self.record, "aliases", ()))


class PluginFile(NamedTuple):
    """A plugin file as it was when it ran: its name without folders, and the SHA-256 of its bytes.

    >>> PluginFile.of(Path("plugins/mine.py"), b"")  # doctest: +ELLIPSIS
    PluginFile(name='mine.py', digest='e3b0c442...')
    """

    name: str
    digest: str

    @classmethod
    def of(cls, path: Path, source: bytes) -> PluginFile:
        """The file of this content."""
        from hashlib import sha256

        return cls(path.name, sha256(source).hexdigest())


class Registry:
    """Records by name, read-only, sorted.

    Attributes
    ----------
    entries : all records, with where they come from.
    problems : why installed plugins are left out.
    files : the plugin files that were given by path.

    >>> swish = Entry(Activation(name="swish", formula="z * sigmoid(z)"), "swish.py")
    >>> registry = Registry([swish])
    >>> registry.activation("swish").formula
    'z * sigmoid(z)'
    >>> registry.origins["activation", "swish"]
    'swish.py'
    """

    def __init__(
        self,
        entries: Iterable[Entry],
        problems: Iterable[str] = (),
        files: Iterable[PluginFile] = (),
    ) -> None:
        ordered = sorted(entries, key=lambda entry: (entry.kind, entry.record.name))
        self.entries = tuple(ordered)
        self.problems = tuple(problems)
        self.files = tuple(files)
        self.activations = self._by_name(Activation)
        self.losses = self._by_name(Loss)
        self.strategies = self._by_name(JacobianStrategy)
        self.origins: Mapping[tuple[str, str], str] = MappingProxyType(
            {(entry.kind, entry.record.name): entry.origin for entry in ordered}
        )

    def activation(self, name: str) -> Activation:
        """Find an activation by its name or an alias."""
        return self._find(Activation, name)

    def loss(self, name: str) -> Loss:
        """Find a loss by its name or an alias."""
        return self._find(Loss, name)

    def strategy(self, name: str) -> JacobianStrategy:
        """Find a strategy by its name."""
        return self._find(JacobianStrategy, name)

    def _by_name(self, record_type: type[RecordType]) -> Mapping[str, RecordType]:
        records = (entry.record for entry in self.entries)
        return MappingProxyType(
            {record.name: record for record in records if isinstance(record, record_type)}
        )

    def _find(self, record_type: type[RecordType], name: str) -> RecordType:
        known: list[str] = []
        for entry in self.entries:
            if isinstance(entry.record, record_type):
                if name in entry.names:
                    return entry.record
                known.extend(entry.names)
        left_out = "".join(f"; {problem}" for problem in self.problems)
        kind = KINDS[record_type]
        raise InputError(f"unknown {kind} {name!r}: {close_matches(name, known)}{left_out}")


def load_registry(files: Sequence[Path] = ()) -> Registry:
    """Load the installed plugins and the plugin files given by path.

    The installed plugins are loaded once a process.

    >>> load_registry([Path("missing.py")])
    Traceback (most recent call last):
    workbench.errors.InputError: plugin file missing.py: No such file or directory
    """
    installed = _load_installed()
    if not files:
        return installed
    entries = installed.entries
    loaded: list[PluginFile] = []
    for path in dict.fromkeys(files):
        source = _read_file(path)
        loaded.append(PluginFile.of(path, source))
        for entry in _run_file(path, source):
            _refuse_clash(entry, entries)
            entries += (entry,)
    return Registry(entries, installed.problems, loaded)


@cache
def _load_installed() -> Registry:
    entries: list[Entry] = []
    problems: list[str] = []
    for entry_point in _installed_entry_points():
        origin = _origin(entry_point)
        try:
            found = _entries(entry_point.load(), origin)
        except (Exception, SystemExit) as error:
            problems.append(f"plugin {entry_point.name} ({origin}) left out: {_reason(error)}")
            continue
        for entry in found:
            try:
                _refuse_clash(entry, entries)
            except InputError as clash:
                problems.append(f"{clash} (the latter is left out)")
            else:
                entries.append(entry)
    return Registry(entries, problems)


def _installed_entry_points() -> list[EntryPoint]:
    """Sort entry points: the workbench's own first, then by name and by distribution.

    Two distributions may use one entry-point name; both are kept.
    """
    return sorted(
        entry_points(group=hookspecs.PROJECT),
        key=lambda found: (_distribution(found) != OWN_DISTRIBUTION, found.name, _origin(found)),
    )


def _distribution(entry_point: EntryPoint) -> str:
    return entry_point.dist.name if entry_point.dist else "unknown distribution"


def _origin(entry_point: EntryPoint) -> str:
    return f"{_distribution(entry_point)}: {entry_point.value}"


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"plugin file {path}: {error.strerror}") from error


def _run_file(path: Path, source: bytes) -> list[Entry]:
    try:
        return _entries(_execute(path, source), str(path))
    except (Exception, SystemExit) as error:
        raise InputError(_file_problem(path, error)) from error


def _execute(path: Path, source: bytes) -> ModuleType:
    """Run a Python file as a module, without leaving a bytecode file beside it."""
    module = ModuleType(f"workbench_plugin_file_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    exec(compile(source, str(path), "exec"), vars(module))
    return module


def _file_problem(path: Path, error: BaseException) -> str:
    line = _line_in(path, error)
    where = f"{path}, line {line}" if line else f"{path}"
    return f"plugin file {where}: {_reason(error)}"


def _line_in(path: Path, error: BaseException) -> int | None:
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno for frame in reversed(frames) if frame.filename == str(path)), None)


def _reason(error: BaseException) -> str:
    """Word an error in one line, with its type unless it is an error of the workbench."""
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    if not isinstance(error, InputError):
        message = f"{type(error).__name__}: {message}"
    return " ".join(message.split())


def _entries(plugin: object, origin: str) -> list[Entry]:
    """Call a plugin's hooks, in a manager of its own, so that it can only break itself."""
    manager = PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(plugin)
    try:
        manager.check_pending()
    except PluginValidationError as error:
        raise InputError(_unknown_hooks(manager)) from error
    found = [Entry(record, origin) for record in _records(manager)]
    if not found:
        names = ", ".join(HOOKS)
        raise InputError(f"gives no records; expected an @hookimpl function yielding them: {names}")
    return found


def _unknown_hooks(manager: PluginManager) -> str:
    hooks = (name for name in vars(manager.hook) if not name.startswith("_"))
    return "; ".join(
        f"unknown hook {name!r}: {close_matches(name, HOOKS)}"
        for name in hooks
        if name not in HOOKS
    )


def _records(manager: PluginManager) -> Iterator[Record]:
    for hook, record_type in HOOKS.items():
        for answer in getattr(manager.hook, hook)():
            if not isinstance(answer, Iterable):
                raise InputError(f"{hook} returned {answer!r}; expected it to yield records")
            for record in answer:
                if not isinstance(record, record_type):
                    expected = record_type.__name__
                    raise InputError(f"{hook} yields {record!r}; expected {expected} records")
                yield record


def _refuse_clash(newcomer: Entry, entries: Iterable[Entry]) -> None:
    for entry in entries:
        shared = set(entry.names) & set(newcomer.names)
        if shared and entry.kind == newcomer.kind:
            raise InputError(
                f"{entry.kind} {min(shared)!r} is given by {entry.origin} and by "
                f"{newcomer.origin}; rename one of them"
            )
