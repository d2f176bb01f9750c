"""Where a path is looked for, said to a person."""

from __future__ import annotations

import os
from pathlib import Path


def whereabouts(path: str | Path) -> str:
    """Name the current directory behind a relative path, and nothing behind another.

    >>> whereabouts("/data/xor.csv"), whereabouts("xor.csv") == f" in {os.getcwd()}"
    ('', True)
    """
    if os.path.isabs(path):
        return ""
    try:
        return f" in {os.getcwd()}"
    except OSError:
        return " in a current directory that is gone"
