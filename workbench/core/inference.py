"""The forward pass of a trained model, for any number of samples."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.core.data.sources import Samples
from workbench.core.parameters import Parameters
from workbench.core.program.program import ForwardProgram, compile_forward
from workbench.core.sample_loop import ForwardLoop
from workbench.core.trainable import Trainable, as_trainable
from workbench.derivation.network import Network

Array = NDArray[Any]

LARGEST_BATCH = 1024
"""The most samples that go through the model at a time."""


class ForwardPass:
    """A model with its parameters, applied chunk by chunk.

    The parameters are shared, not copied: what training changes is used at once.
    """

    def __init__(self, model: Network | Trainable, parameters: Parameters):
        self.model = as_trainable(model)
        self.parameters = parameters
        self._programs: dict[int, ForwardProgram | ForwardLoop] = {}

    def predict(self, inputs: Array) -> Array:
        """Return the outputs (samples, outputs) for prepared inputs (samples, features).

        Raises
        ------
        InputError
            If the equations predict nothing.
        """
        inputs = np.ascontiguousarray(inputs, self.parameters.dtype)
        self.model.require_prediction()
        outputs = np.empty((len(inputs), self.model.outputs), self.parameters.dtype)
        with np.errstate(all="ignore"):
            for chunk in Samples(inputs, outputs).batches(LARGEST_BATCH):
                chunk.targets[...] = self._program(len(chunk.inputs)).predict(chunk.inputs)
        return outputs

    def evaluate(self, samples: Samples) -> tuple[float, Array]:
        """Return the mean loss of a sample, each by its weight, and the outputs."""
        model = self.model
        outputs = np.empty((len(samples.inputs), model.outputs), self.parameters.dtype)
        places = Samples(samples.inputs, outputs).batches(LARGEST_BATCH)
        total = 0.0
        with np.errstate(all="ignore"):
            for chunk, place in zip(samples.batches(LARGEST_BATCH), places, strict=True):
                program = self._program(len(chunk.inputs))
                shares = None if chunk.weights is None else model.shares(chunk.weights)
                loss = program.forward(chunk.inputs, chunk.targets, shares)
                total += loss * model.loss_weight(counted(chunk))
                place.targets[...] = program.outputs
        return total / counted(samples), outputs

    def _program(self, size: int) -> ForwardProgram | ForwardLoop:
        """The program for batches of a size; kept are that of the largest and the latest other."""
        if size not in self._programs:
            self._programs = {
                known: program
                for known, program in self._programs.items()
                if LARGEST_BATCH in (known, size)
            }
            self._programs[size] = compile_forward(
                self.model, batch_size=size, parameters=self.parameters
            )
        return self._programs[size]


def counted(samples: Samples) -> float:
    """How many samples there are, or what their weights sum to.

    >>> counted(Samples(np.zeros((3, 1)), np.zeros((3, 1)), np.array([1.0, 0.5, 0.5])))
    2.0
    """
    return len(samples.inputs) if samples.weights is None else float(samples.weights.sum())
