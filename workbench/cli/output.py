"""Writing a command's result to standard output or, whole or not at all, to a file."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from workbench.errors import InputError


def write_output(content: str, path: Path | None) -> None:
    """Print the content, or replace a file by it in one move.

    Raises
    ------
    InputError
        If the file cannot be written; what was there before is still there.

    >>> write_output("done\\n", None)
    done
    """
    if path is None or str(path) == "-":
        sys.stdout.write(content)
        return
    try:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as f:
            f.write(content)
            f.flush()
            os.fsync(f.fileno())
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
    try:
        os.chmod(f.name, 0o644)
        os.replace(f.name, path)
    except OSError as error:
        Path(f.name).unlink(missing_ok=True)
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
