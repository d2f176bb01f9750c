"""Steps sample by sample, for equations that have no batch form."""

from __future__ import annotations

import math

import numpy as np

from workbench.core.program.program import compile_model
from workbench.core.sample_loop import SampleLoop
from workbench.core.steppers.base import Batches, Learner, Steps, StepScalars
from workbench.core.trainable import Trainable
from workbench.core.vector_update import VectorUpdate


class SampleStepper:
    """Steps whose gradients are sums over those of the samples.

    Here `Batches.samples` are the rows of inputs and of targets, and the samples' shares if the
    loss is weighted.
    """

    def __init__(self, model: Trainable, learner: Learner, batch_size: int, *, keeps_outputs: bool):
        self._learner, self._keeps_outputs = learner, keeps_outputs
        program = compile_model(
            model,
            batch_size=batch_size,
            dtype=learner.parameters.dtype,
            strategy=learner.derivation.strategy,
            parameters=learner.parameters,
            gradients=learner.gradients,
        )
        assert isinstance(program, SampleLoop)
        self._program, self._shape = program, model.output_shape
        self.source = program.source
        self._update = VectorUpdate(
            learner.optimizer,
            learner.parameters.vector,
            learner.gradients.vector,
            {name: state.vector for name, state in learner.states.items()},
        )

    def run(self, batches: Batches, scalars: StepScalars, steps: Steps) -> None:
        """Make a step with each batch."""
        names, gradients = self._learner.optimizer.scalar_names, self._learner.gradients.vector
        values = [np.broadcast_to(scalars[name], len(batches)).tolist() for name in names]
        with np.errstate(all="ignore"):
            for arrays, *numbers in zip(batches.arrays, *values, strict=True):
                place = arrays[-1] if self._keeps_outputs else None
                data = arrays[:-1] if self._keeps_outputs else arrays
                loss = self._program.step(*data)
                square = float(np.dot(gradients, gradients))
                if not math.isfinite(loss + square):
                    square = self._learner.examine(loss)
                if place is not None:
                    place[...] = self._program.predict(data[0]).reshape(place.shape)
                self._update.update(dict(zip(names, numbers, strict=True)))
                steps.losses.append(loss)
                steps.squares.append(square)
