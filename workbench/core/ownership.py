"""Directories that one process at a time writes, and that appear and are replaced whole.

A directory is owned by the process that holds the lock on the file `lock` in it; the system takes
the lock away from a process that ends, however it ends. A new directory is built beside its place
under a hidden name and moved there when it is complete; one that was there is moved aside before
and removed after. What a killed process leaves is known by its name and its free lock:

    .NAME.0a1b2c3d.new    not complete, or to be removed: it is removed
    .NAME.0a1b2c3d.old    moved aside: it comes back if its place is vacant, else it is removed
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from workbench.core.atomic import sync_folder, write_all
from workbench.errors import InputError

LOCK = "lock"
"""The name of the file that is locked; it holds the owner's process id."""

NEW, OLD = ".new", ".old"


class InUseError(InputError):
    """Another process owns the directory."""


class Ownership:
    """The ownership of a directory: a context manager that gives it up at its end.

    Attributes
    ----------
    directory : where the directory is now.

    Raises
    ------
    InUseError
        If another process owns it.
    OSError
        If the lock cannot be had for another reason.

    >>> import tempfile
    >>> directory = Path(tempfile.mkdtemp())
    >>> with Ownership(directory), suppress(InUseError):
    ...     Ownership(directory)
    """

    def __init__(self, directory: Path):
        self.directory = directory
        descriptor = _lock(directory / LOCK, os.O_RDWR | os.O_CREAT, shared=False)
        if descriptor is None:
            raise in_use(directory)
        self._descriptor = descriptor
        try:
            os.ftruncate(descriptor, 0)
            write_all(descriptor, str(os.getpid()).encode())
        except BaseException:
            self.give_up()
            raise

    def give_up(self) -> None:
        """Let others own the directory, wherever it was moved."""
        with suppress(OSError):
            os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)

    def __enter__(self) -> Ownership:
        """Do nothing: the directory is owned already."""
        return self

    def __exit__(self, *error: object) -> None:
        """Give up the directory."""
        self.give_up()


def is_owned(directory: Path) -> bool:
    """Tell whether a process, be it this one, owns a directory; nothing in it is changed."""
    try:
        descriptor = _lock(directory / LOCK, os.O_RDONLY, shared=True)
    except FileNotFoundError:
        return False
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is None


def in_use(directory: Path) -> InUseError:
    """Say who owns a directory."""
    try:
        owner = f"process {int((directory / LOCK).read_bytes()[:20])}"
    except (OSError, ValueError):
        owner = "another process"
    return InUseError(
        f"{directory} is in use by {owner}; wait until it ends, or choose another directory"
    )


def is_vacant(place: Path) -> bool:
    """Tell whether nothing, or an empty directory, is at a place.

    >>> import tempfile
    >>> is_vacant(Path(tempfile.mkdtemp()))
    True
    """
    if not os.path.lexists(place):
        return True
    return place.is_dir() and next(place.iterdir(), None) is None


@contextmanager
def replacing(place: Path, *, force: bool) -> Iterator[Ownership]:
    """Build a directory and, if the context ends well, put it in its place.

    What is at the place stays until then, or for good if the context fails. The new directory is
    still owned after the context.

    Parameters
    ----------
    force : whether it may replace what is at the place as the context begins.

    Raises
    ------
    InUseError
        If another process owns the directory at the place, or put one there meanwhile.
    """
    with ExitStack() as until_replaced:
        replaced = force and not is_vacant(place)
        if replaced:
            until_replaced.enter_context(Ownership(place))
        new = _own_sibling(place)
        try:
            yield new
            _move(new.directory, place, replaced=replaced)
            new.directory = place
        except BaseException:
            _remove(new.directory)
            new.give_up()
            raise


def recover(place: Path) -> None:
    """Complete or undo what killed processes left beside a place."""
    with ExitStack() as until_done:
        for sibling in _siblings(place):
            try:
                until_done.enter_context(Ownership(sibling))
            except (InUseError, FileNotFoundError, PermissionError):
                continue
            if sibling.suffix == OLD and is_vacant(place):
                _fill(place, sibling)
                sync_folder(place.parent)
            else:
                _discard(sibling, place)


def _lock(file: Path, flags: int, *, shared: bool) -> int | None:
    """Open and lock a file that is still there then; None if another has locked it."""
    import fcntl  # which only POSIX has, and reading a run does not need

    while True:
        descriptor = os.open(file, flags, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_NB | (fcntl.LOCK_SH if shared else fcntl.LOCK_EX))
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), os.stat(file)):
                    return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _own_sibling(place: Path) -> Ownership:
    """Make a hidden directory; another process that takes it for one left behind may win it."""
    while True:
        directory = _hidden(place)
        os.mkdir(directory)
        try:
            return Ownership(directory)
        except (InUseError, FileNotFoundError):
            continue
        except BaseException:
            _remove(directory)
            raise


def _hidden(place: Path) -> Path:
    """Name a new sibling."""
    return place.with_name(f".{place.name}.{os.urandom(4).hex()}{NEW}")


def _siblings(place: Path) -> list[Path]:
    """Return the directories left beside a place, the last one changed first."""
    pattern = re.compile(rf"\.{re.escape(place.name)}\.[0-9a-f]{{8}}(\{NEW}|\{OLD})")
    try:
        with os.scandir(place.parent) as entries:
            found = [
                (entry.stat(follow_symlinks=False).st_ctime_ns, entry.name)
                for entry in entries
                if pattern.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
            ]
    except FileNotFoundError:
        return []
    return [place.with_name(name) for _, name in sorted(found, reverse=True)]


def _move(directory: Path, place: Path, *, replaced: bool) -> None:
    """Move a complete directory to a place; the one that it replaces goes once that is done."""
    aside = directory.with_suffix(OLD)
    if replaced:
        os.rename(place, aside)
    try:
        _fill(place, directory)
    except (OSError, InUseError):
        if replaced:
            _fill(place, aside)
        raise
    sync_folder(place.parent)
    if replaced:
        _discard(aside, place)


def _fill(place: Path, directory: Path) -> None:
    """Move a directory to a place that must be vacant."""
    try:
        os.rename(directory, place)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise in_use(place) from None
        raise


def _discard(sibling: Path, place: Path) -> None:
    """Remove a sibling that must not come back, not even in part."""
    doomed = _hidden(place)
    os.rename(sibling, doomed)
    _remove(doomed)


def _remove(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
