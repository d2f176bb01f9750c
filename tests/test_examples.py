"""The scripts in `examples`, run as they stand, from another directory."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def output_of(name: str, directory: Path, *arguments: str) -> str:
    """What a script prints; it must succeed without a word on standard error."""
    finished = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        cwd=directory,
        env=os.environ | {"PYTHONWARNINGS": "error", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    assert list(directory.iterdir()) == []
    return finished.stdout


def test_digits_reaches_its_accuracy(tmp_path: Path) -> None:
    *each, last = output_of("digits.py", tmp_path, "--seeds", "3", "--epochs", "40").splitlines()
    accuracies = [float(line.rpartition(" ")[2]) for line in each]
    mean = float(last.removeprefix("mean of 3: "))
    assert len(accuracies) == 3
    assert mean == pytest.approx(sum(accuracies) / 3, abs=1e-4)
    assert mean >= 0.97


def test_derive_by_hand(tmp_path: Path) -> None:
    written = output_of("derive_by_hand.py", tmp_path)
    assert "σ′(z)" in written
    assert written.count("all passed") == 2

    # Worked out in Mazur, "A step by step backpropagation example" (2015): E_o1, δ_o1, δ_o1 out_h1.
    assert "loss 0.274811" in written
    assert "∂L/∂b2 = δ₂ = [0.138499]" in written
    assert "∂L/∂W2 = δ₂ x₁ᵀ = [[0.082167, 0.082668]]" in written

    assert re.findall(r"^\w+: (\w+), relative error", written, re.MULTILINE) == ["pass"] * 4
    source = written[written.index("from numpy import") :]
    namespace: dict[str, object] = {}
    exec(source, namespace)
    assert callable(namespace["build"])
