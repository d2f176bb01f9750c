"""A program of one sample, run over the samples of a batch: for equations without a batch form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.core.trainable import Trainable
from workbench.errors import InputError

Array = NDArray[Any]


class ForwardLoop:
    """Loss and outputs of a batch from those of its samples.

    Parameters
    ----------
    model : equations of one sample.
    forward : gives the loss of one sample from its inputs and targets.
    predict : gives the output of one sample from its inputs, of the shape of `model.output`.
    batch_size : the number of samples.

    Attributes
    ----------
    outputs : (samples, outputs), what is predicted in the latest `forward` or `predict`.
    """

    def __init__(
        self,
        model: Trainable,
        *,
        forward: Callable[..., float],
        predict: Callable[..., Array | float],
        batch_size: int,
        dtype: np.dtype[Any],
    ) -> None:
        self.model = model
        self.outputs = np.empty((batch_size, model.outputs), dtype)
        self._forward, self._predict = forward, predict
        self._equal = np.full(batch_size, 1 / batch_size)

    def forward(self, inputs: Array, targets: Array, weights: Array | None = None) -> float:
        """The loss of the samples; `outputs` then hold what is predicted.

        Parameters
        ----------
        inputs, targets : (samples, columns).
        weights : (samples,), what each sample counts in the loss, as `Trainable.shares` gives it;
            all the same if not given.

        Raises
        ------
        InputError
            If an array does not have that shape.
        """
        samples = self._weighted(inputs, targets, weights)
        loss: float = sum(weight * float(self._forward(*sample)) for weight, sample in samples)
        if self.model.output is not None:
            self._fill_outputs(inputs)
        return loss

    def predict(self, inputs: Array) -> Array:
        """What is predicted for the samples, (samples, outputs), as a fresh array.

        The prediction of a sample is a row, itself row by row if it is a matrix.
        """
        self._fill_outputs(inputs)
        return self.outputs.copy()

    def _fill_outputs(self, inputs: Array) -> None:
        for place, sample in zip(self.outputs, self._samples(inputs), strict=True):
            place[...] = np.reshape(self._predict(*sample), -1)

    def _weighted(
        self, inputs: Array, targets: Array, weights: Array | None
    ) -> Iterator[tuple[float, tuple[Array, ...]]]:
        """What each sample counts, and what the program of one sample takes."""
        require_shape("targets", targets, (len(self.outputs), self.model.target_width))
        weights = self._equal if weights is None else weights
        require_shape("weights", weights, self._equal.shape)
        return zip(weights.tolist(), self._samples(inputs, targets), strict=True)

    def _samples(self, inputs: Array, targets: Array | None = None) -> Iterator[tuple[Array, ...]]:
        """What the program of one sample takes, for each of them."""
        require_shape("inputs", inputs, (len(self.outputs), self.model.input_width))
        return zip(*self.model.views(inputs, targets), strict=True)


def require_shape(what: str, array: Array, expected: tuple[int, ...]) -> None:
    """Refuse what a program would take for something else.

    >>> require_shape("targets", np.ones(4), (4, 1))
    Traceback (most recent call last):
        ...
    workbench.errors.InputError: targets of shape (4,); this program takes (4, 1), a sample a row
    """
    if np.shape(array) != expected:
        raise InputError(
            f"{what} of shape {np.shape(array)}; this program takes {expected}, a sample a row"
        )


class SampleLoop(ForwardLoop):
    """Loss, gradients and outputs of a batch from those of its samples, in buffers made once.

    Parameters
    ----------
    step : gives the loss of one sample from its inputs and targets, and fills `gradients`.
    forward, predict, batch_size : as of `ForwardLoop`.
    gradients : (parameters,), of one sample after `step`, of the batch after `SampleLoop.step`.
    source : of the program of one sample.
    """

    def __init__(
        self,
        model: Trainable,
        *,
        step: Callable[..., float],
        forward: Callable[..., float],
        predict: Callable[..., Array | float],
        gradients: Array,
        batch_size: int,
        source: str = "",
    ) -> None:
        super().__init__(
            model, forward=forward, predict=predict, batch_size=batch_size, dtype=gradients.dtype
        )
        self.source = source
        self.gradients = gradients
        self._step = step
        self._total = np.empty_like(gradients)

    def step(self, inputs: Array, targets: Array, weights: Array | None = None) -> float:
        """Forward and backward pass of one batch.

        Takes the arguments of `forward`, and returns the loss of the batch; `gradients` then hold
        its gradient.
        """
        loss, total, gradients = 0.0, self._total, self.gradients
        total.fill(0)
        for weight, sample in self._weighted(inputs, targets, weights):
            loss += weight * float(self._step(*sample))
            np.multiply(gradients, weight, gradients)
            np.add(total, gradients, total)
        np.copyto(gradients, total)
        return loss
