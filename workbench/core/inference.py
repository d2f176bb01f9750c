"""The forward pass of a trained network, for any number of samples."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.core.data.sources import Samples
from workbench.core.parameters import Parameters
from workbench.core.program import Program, compile_network
from workbench.derivation.network import LossFunction, Network

Array = NDArray[Any]

CHUNK = 1024
"""The most samples that go through the network at a time."""


class ForwardPass:
    """A network with its parameters, applied chunk by chunk.

    The parameters are shared, not copied: what training changes is used at once.
    """

    def __init__(self, network: Network, parameters: Parameters):
        self.network = network
        self.parameters = parameters
        self._programs: dict[int, Program] = {}

    def predict(self, inputs: Array) -> Array:
        """Return the outputs (samples, outputs) for prepared inputs (samples, features)."""
        inputs = np.ascontiguousarray(inputs, self.parameters.dtype)
        outputs = np.empty((len(inputs), self.network.widths[-1]), self.parameters.dtype)
        with np.errstate(all="ignore"):
            for chunk in Samples(inputs, outputs).batches(CHUNK):
                chunk.targets[...] = self._program(len(chunk.inputs)).predict(chunk.inputs)
        return outputs

    def evaluate(self, samples: Samples) -> tuple[float, Array]:
        """Return the mean loss of a sample, and the outputs (samples, outputs)."""
        outputs = np.empty_like(samples.targets)
        places = Samples(samples.inputs, outputs).batches(CHUNK)
        total = 0.0
        with np.errstate(all="ignore"):
            for chunk, place in zip(samples.batches(CHUNK), places, strict=True):
                size = len(chunk.inputs)
                program = self._program(size)
                loss = program.forward(chunk.inputs, chunk.targets)
                total += loss * loss_weight(self.network.loss, size)
                place.targets[...] = program.outputs
        return total / len(outputs), outputs

    def _program(self, size: int) -> Program:
        if size not in self._programs:
            dtype, parameters = self.parameters.dtype, self.parameters
            self._programs[size] = compile_network(
                self.network, batch_size=size, dtype=dtype, parameters=parameters
            )
        return self._programs[size]


def loss_weight(loss: LossFunction, size: int) -> int:
    """Return what turns the loss of a batch into the sum over its samples."""
    return size if loss.reduction == "mean" else 1
