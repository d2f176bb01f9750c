"""Steppers: what makes training steps, each for one kind of program.

- **numpy**: calls on arrays, for models of any size.
- **python**: plain Python on single numbers, for models of a few neurons in float64.
- **numba**: compiled loops, or single numbers, where the package is installed.

All are made from the same derivation and the same formulas of the optimizer, and change the same
vectors.
"""

from __future__ import annotations

from workbench.core.steppers.base import Batches, Learner, NotFinite, Stepper, Steps, StepScalars

__all__ = ["Batches", "Learner", "NotFinite", "StepScalars", "Stepper", "Steps"]
