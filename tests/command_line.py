"""The command line run within a test's process, and what it leaves behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench import __main__ as program

DATA = Path(__file__).parents[1] / "examples" / "data"
XOR, DIGITS = DATA / "xor.csv", DATA / "digits.csv"

Capture = pytest.CaptureFixture[str]


def workbench(*arguments: str | Path) -> int:
    """Run a command line within this process."""
    return program._run([str(argument) for argument in arguments])


def contents(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}
