"""Files that are replaced whole or not at all, and what is said when that fails."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from workbench.errors import InputError, StorageError

TEMPORARY = re.compile(r"\.workbench-[0-9a-f]{16}")
"""The names of files that are being written; one that is found was left by a killed process."""

Content = bytes | memoryview


def replace_file(path: str | Path, content: str | bytes | Iterable[Content]) -> None:
    """Put a file with this content in the place of what is there, if anything.

    The content is written to a new file beside it and brought to the disk, then takes the name of
    the old one in one move: whatever happens, the name stands for all of the old content or all of
    the new. A device or a pipe is written to and stays what it is.

    Parameters
    ----------
    content : text, written as UTF-8, or bytes, at once or in pieces.

    Raises
    ------
    StorageError
        If the file cannot be written; what was there before is still there.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "result.txt")
    >>> replace_file(path, "done")
    >>> path.read_text()
    'done'
    """
    if isinstance(content, str):
        content = content.encode()
    pieces = [content] if isinstance(content, bytes) else content
    place = Path(os.path.realpath(path))
    with writing(path):
        if place.exists() and not place.is_file():
            _write(os.open(place, os.O_WRONLY), pieces)
        else:
            with _temporary_beside(place) as temporary:
                _write(_create(temporary, like=place), pieces)
                os.replace(temporary, place)
            sync_folder(place.parent)


def write_all(descriptor: int, content: Content) -> None:
    """Write every byte, in as many calls as the system wants."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the file system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Turn an operating system's refusal into one line that names the file and the reason.

    >>> with reading("missing.txt"):
    ...     open("missing.txt")
    Traceback (most recent call last):
        ...
    workbench.errors.InputError: missing.txt: cannot be read: No such file or directory
    """
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {_reason(error)}") from error


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Do as `reading` does for what is written.

    >>> with writing("result.txt"):
    ...     raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    Traceback (most recent call last):
        ...
    workbench.errors.StorageError: result.txt: cannot be written: No space left on device
    """
    try:
        yield
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__


@contextmanager
def _temporary_beside(place: Path) -> Iterator[Path]:
    """Give a path in the same folder, where nothing is left if the context fails."""
    temporary = place.with_name(f".workbench-{os.urandom(8).hex()}")
    try:
        yield temporary
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _create(temporary: Path, like: Path) -> int:
    """Open a new file that may be read and written by whoever might the old one."""
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    if like.exists():
        with suppress(OSError):
            os.fchmod(descriptor, stat.S_IMODE(like.stat().st_mode))
    return descriptor


def _write(descriptor: int, pieces: Iterable[Content]) -> None:
    """Write the pieces, bring them to the disk and close."""
    try:
        for piece in pieces:
            write_all(descriptor, piece)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
