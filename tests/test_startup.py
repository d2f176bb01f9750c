"""What a command imports, and that it imports nothing it does not need."""

from __future__ import annotations

import subprocess
import sys

import pytest

CALCULUS = ("workbench.calculus", "workbench.derivation", "workbench.notation", "numpy")
TRAINING = ("train", "2-2-1", "examples/data/xor.csv", "--epochs", "1", "--batch-size", "4")

NOT_NEEDED = {
    ("--version",): (*CALCULUS, "workbench.cli.derive", "workbench.plugins"),
    ("--help",): (*CALCULUS, "workbench.plugins"),
    ("train", "--help"): (*CALCULUS, "workbench.cli.derive", "workbench.plugins"),
    ("derive", "2-2-1"): (
        *("scipy", "mpmath", "workbench.core.training", "workbench.core.emit.module"),
        *("workbench.notation.reference", "workbench.notation.reading.equations"),
    ),
    TRAINING: (
        *("scipy", "mpmath", "matplotlib", "workbench.cli.derive"),
        *("workbench.core.checks", "workbench.core.emit.module"),
        *("workbench.api.models", "workbench.core.fitting", "workbench.core.scores"),
    ),
}


@pytest.mark.parametrize("command", NOT_NEEDED, ids=" ".join)
def test_a_command_imports_only_what_it_needs(command: tuple[str, ...]) -> None:
    python = [sys.executable, "-X", "importtime", "-m", "workbench", *command]
    done = subprocess.run(python, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "typer" in imported
    assert not imported.intersection(NOT_NEEDED[command])
