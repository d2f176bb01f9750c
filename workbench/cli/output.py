"""Writing a command's result to standard output or, whole or not at all, to a file."""

from __future__ import annotations

import sys
from pathlib import Path

from workbench.core.atomic import replace_file
from workbench.errors import InputError


def write_output(content: str | bytes, path: Path | None) -> None:
    """Print the content, or replace a file by it in one move.

    Raises
    ------
    InputError
        If the content is no text and standard output is a terminal.
    StorageError
        If the file cannot be written; what was there before is still there.

    >>> write_output("done\\n", None)
    done
    """
    if path is None or str(path) == "-":
        _print(content)
    else:
        replace_file(path, content)


def _print(content: str | bytes) -> None:
    if isinstance(content, str):
        sys.stdout.write(content)
        return
    if sys.stdout.isatty():
        raise InputError("what is to be written is no text for a terminal; give -o FILE")
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
