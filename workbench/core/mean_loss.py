"""The mean loss of a model over samples that need not fit into memory together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from workbench.core.data.sources import Samples, SampleSource
from workbench.core.inference import ForwardPass, counted

SAMPLES_AT_ONCE = 2**14
"""The most samples that are read at a time."""


def mean_loss(
    forward_pass: ForwardPass, source: SampleSource, see: Callable[[Samples, NDArray[Any]], None]
) -> float:
    """The mean loss of a sample, each by its weight.

    Parameters
    ----------
    see : is shown all samples, some at a time, with their outputs (samples, outputs).
    """
    total, whole = 0.0, 0.0
    for samples in source.chunks(SAMPLES_AT_ONCE):
        loss, outputs = forward_pass.evaluate(samples)
        total += loss * counted(samples)
        whole += counted(samples)
        see(samples, outputs)
    return total / whole
