"""Bytes of a file or of standard input, held in no more memory than allowed."""

from __future__ import annotations

import gzip
import io
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import PurePath
from typing import BinaryIO, Protocol, cast

from workbench.core.places import whereabouts
from workbench.errors import InputError, TooLargeError

LIMIT = 2**30
"""The most bytes that one file, one array or one table of targets may take in memory."""

BLOCK = 2**20

ENDINGS = (".csv", ".tsv", ".tab", ".npy", ".npz")
"""What the name of a file of data ends in, as a rule."""

FORMATS = "a CSV, TSV, .npy or .npz file, or - for standard input"


ReportProgress = Callable[[int, int], None]
"""What is told the bytes read so far, and in all."""


class Readable(Protocol):
    """What gives bytes block by block: a file, a member of an archive, a decompressor."""

    def read(self, size: int = ..., /) -> bytes:
        """Return up to `size` bytes, none at the end."""


def display_name(source: str) -> str:
    """Name a source the way messages do.

    >>> display_name("-"), display_name("data/xor.csv")
    ('standard input', 'data/xor.csv')
    """
    return "standard input" if source == "-" else source


def format_ending(source: str) -> str:
    """Return the ending that tells the format, in lower case, without `.gz`.

    >>> format_ending("a/data.TSV.gz"), format_ending("data.npz"), format_ending("data")
    ('.tsv', '.npz', '')
    """
    path = PurePath(source.lower())
    return PurePath(path.stem).suffix if path.suffix == ".gz" else path.suffix


def require_memory(size: int, what: str, way_out: str) -> None:
    """Refuse a request of `size` bytes above `LIMIT`, before anything is allocated.

    >>> require_memory(8 * 10**12, "the array", "use fewer rows")
    Traceback (most recent call last):
        ...
    workbench.errors.TooLargeError: the array needs 8,000.0 GB, allowed are 1.1 GB; use fewer rows
    """
    if size > LIMIT:
        raise TooLargeError(
            f"{what} needs {_gigabytes(size)}, allowed are {_gigabytes(LIMIT)}; {way_out}"
        )


def read_limited(stream: Readable, name: str) -> bytes:
    """Read a stream to its end in blocks, and stop as soon as it exceeds `LIMIT`."""
    collected = io.BytesIO()
    while block := stream.read(BLOCK):
        if collected.tell() + len(block) > LIMIT:
            raise TooLargeError(f"{name} holds more than {_gigabytes(LIMIT)}; use fewer rows")
        collected.write(block)
    return collected.getvalue()


def read_bytes(source: str) -> bytes:
    """Return the bytes of a file (decompressed where it ends in `.gz`) or of standard input."""
    with open_stream(source) as stream:
        return read_limited(stream, display_name(source))


@contextmanager
def open_stream(source: str, progress: ReportProgress | None = None) -> Iterator[Readable]:
    """Open a file (decompressed where it ends in `.gz`) or standard input.

    What goes wrong until it is closed again is told as an `InputError`. `progress` is called with
    the bytes read so far and in all.
    """
    name = display_name(source)
    try:
        with nullcontext(sys.stdin.buffer) if source == "-" else open(source, "rb") as stream:
            watched = _Watched(stream, file_size(source), progress) if progress else stream
            packed = source.lower().endswith(".gz")
            yield gzip.GzipFile(fileobj=cast(BinaryIO, watched)) if packed else watched
    except FileNotFoundError:
        raise InputError(
            f"no such file: {name!r}{whereabouts(source)}; expected {FORMATS}"
        ) from None
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise InputError(f"{name} is broken: not a complete gzip file; pack it again") from None
    except OSError as error:
        reason = error.strerror or "reading failed"
        raise InputError(f"cannot read {name!r}: {reason}; expected {FORMATS}") from None


def is_file(source: str) -> bool:
    """Tell whether a source can be read more than once, as a pipe cannot."""
    return source != "-" and os.path.isfile(source)


def file_size(source: str) -> int:
    """Return the bytes of a file on the disk; 0 for what is no file."""
    return os.path.getsize(source) if is_file(source) else 0


class _Watched:
    """A file that tells how far it has been read."""

    def __init__(self, stream: BinaryIO, size: int, progress: ReportProgress):
        self._stream, self._size, self._progress = stream, size, progress

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, none at the end."""
        block = self._stream.read(size)
        self._progress(self._stream.tell(), self._size)
        return block


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:,.1f} GB" if size < 10**24 else "over 10^15 GB"
