"""The public names, and what importing them costs."""

from __future__ import annotations

import subprocess
import sys

import workbench as wb

NAMES = [
    *("Activation", "Derivation", "Detail", "Expression", "Function", "JacobianStrategy"),
    *("Layout", "Loss", "Model", "Network", "Program", "WorkbenchError", "derive"),
    *("gradcheck", "hookimpl", "load", "network", "program", "train"),
]

HEAVY = ("numpy", "scipy", "matplotlib", "sympy", "torch")


def test_public_names_are_these() -> None:
    assert sorted(wb.__all__) == sorted(NAMES)
    for name in NAMES:
        assert getattr(wb, name).__doc__


def test_importing_workbench_is_light() -> None:
    code = f"import sys, workbench; print([n for n in {HEAVY} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_derivation_shows_itself_in_a_notebook() -> None:
    shown = wb.derive(wb.network("2-1"))._repr_markdown_()
    assert "$$" in shown
    assert r"\frac{\partial L}{\partial W_{1}}" in shown
