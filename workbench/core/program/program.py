"""The program that runs: forward and backward pass, compiled from a derivation.

A derivation's equations (those of the system, then those of its backward pass) are lowered to
calls on buffers made once, printed as Python source, and that source is what is executed.
There is no other backward pass.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from workbench.core.parameters import Parameters
from workbench.core.program.source import (
    Source,
    forward_alone,
    turned_parameters,
    write_source,
)
from workbench.core.sample_loop import ForwardLoop, SampleLoop, require_shape
from workbench.core.trainable import Trainable, trainable_network
from workbench.derivation.differentiate import derive
from workbench.derivation.network import Network
from workbench.derivation.steps import ELEMENTWISE, Derivation, Strategy
from workbench.errors import InputError

Array = NDArray[Any]


class ForwardProgram:
    """A compiled forward pass for batches of one size.

    Attributes
    ----------
    source : the Python source that runs.
    batch_size : the number of samples a call takes.
    buffer_bytes : the memory it takes besides parameters and gradients.
    parameters : arrays by name, views of one vector.
    outputs : (samples, outputs), what is predicted in the latest `forward` or `predict`.
    """

    def __init__(
        self,
        source: Source,
        model: Trainable,
        batch_size: int,
        parameters: Parameters,
        functions: tuple[Any, ...],
    ) -> None:
        self.source = source.text
        self.buffer_bytes = source.buffer_bytes
        self.model = model
        self.batch_size = batch_size
        self.parameters = parameters
        self._forward, self._predict, outputs = functions
        if model.output is None:
            outputs = np.empty(0, parameters.dtype)
        self.outputs = outputs.reshape(batch_size, model.outputs)

    def forward(self, inputs: Array, targets: Array, weights: Array | None = None) -> float:
        """The loss of one batch; `outputs` then hold what is predicted.

        Parameters
        ----------
        inputs : (batch_size, features), of the program's dtype, row by row in memory.
        targets : (batch_size, outputs), likewise.
        weights : (batch_size,), what each sample counts in the loss, as `Trainable.shares` gives
            it; all the same if not given.

        Raises
        ------
        InputError
            If an array does not have its shape, or there are weights and the loss is made without.
        """
        arrays = self._arrays(inputs, targets, weights)
        with np.errstate(all="ignore"):
            return float(self._forward(*arrays))

    def predict(self, inputs: Array) -> Array:
        """What is predicted for one batch, (batch_size, outputs), as a fresh array."""
        require_shape("inputs", inputs, (self.batch_size, self.model.input_width))
        with np.errstate(all="ignore"):
            self._predict(*self.model.views(inputs))
        return np.array(self.outputs)

    def _arrays(self, inputs: Array, targets: Array, weights: Array | None) -> tuple[Array, ...]:
        require_shape("inputs", inputs, (self.batch_size, self.model.input_width))
        require_shape("targets", targets, (self.batch_size, self.model.target_width))
        if weights is not None:
            self._require_weighted()
            require_shape("weights", weights, (self.batch_size,))
        elif self.model.weights is not None:
            weights = self.model.shares(np.ones(self.batch_size, self.parameters.dtype))
        return self.model.views(inputs, targets, weights)

    def _require_weighted(self) -> None:
        if self.model.weights is None:
            raise InputError(
                f"weights are given, but the program of {self.model.title} is made for samples "
                "without; leave them out, or compile the model made with weighted=True"
            )


class Program(ForwardProgram):
    """A compiled forward and backward pass for batches of one size.

    Attributes
    ----------
    gradients : arrays by name, views of one vector, which `step` fills; it may leave anything in
        `outputs`.
    bare_step : `step` without its checks of shapes and its guard against NumPy's warnings, for
        loops with their own; it takes every input, then every target.

    >>> from workbench.plugins.build import build_network
    >>> from workbench.plugins.registry import load_registry
    >>> program = compile_network(build_network("2-1", registry=load_registry()), batch_size=1)
    >>> program.step(np.ones((1, 2)), np.ones((1, 1)))
    0.125
    >>> program.gradients["W1"]
    array([[-0.125, -0.125]])
    """

    def __init__(
        self,
        source: Source,
        model: Trainable,
        derivation: Derivation,
        batch_size: int,
        parameters: Parameters,
        gradients: Parameters,
    ) -> None:
        self.bare_step, *functions = _build(source, parameters, gradients)
        super().__init__(source, model, batch_size, parameters, tuple(functions))
        self.derivation = derivation
        self.gradients = gradients

    def step(self, inputs: Array, targets: Array, weights: Array | None = None) -> float:
        """Forward and backward pass of one batch.

        Takes the arguments of `forward`, and returns the loss of the batch; `gradients` then hold
        ∂L/∂parameter.
        """
        arrays = self._arrays(inputs, targets, weights)
        with np.errstate(all="ignore"):
            return float(self.bare_step(*arrays))


def _build(source: Source, *given: Parameters) -> tuple[Any, ...]:
    """The functions that a source defines, and the array of its outputs."""
    namespace: dict[str, Any] = dict(source.implementations)
    exec(compile(source.text, "<workbench program>", "exec"), namespace)
    arrays = [held.stored(name) for held in given for name in held]
    built: tuple[Any, ...] = namespace["build"](*arrays)
    return built


def compile_network(
    network: Network,
    *,
    batch_size: int,
    dtype: DTypeLike = np.float64,
    strategy: Strategy = ELEMENTWISE,
    parameters: Parameters | None = None,
    gradients: Parameters | None = None,
) -> Program:
    """Derive a network's gradients for a batch and compile them; see `compile_model`."""
    found = compile_model(
        trainable_network(network),
        batch_size=batch_size,
        dtype=dtype,
        strategy=strategy,
        parameters=parameters,
        gradients=gradients,
    )
    assert isinstance(found, Program)
    return found


def compile_model(
    model: Trainable,
    *,
    batch_size: int,
    dtype: DTypeLike = np.float64,
    strategy: Strategy = ELEMENTWISE,
    parameters: Parameters | None = None,
    gradients: Parameters | None = None,
) -> Program | SampleLoop:
    """Derive a model's gradients for a batch and compile them, sample by sample if need be.

    Parameters
    ----------
    parameters, gradients : arrays to compute with; zeros if not given.

    Raises
    ------
    InputError
        If the batch is empty, or the type neither float32 nor float64.
    TooLargeError
        If the program would not fit in `MOST_MEMORY`; nothing has been allocated then.
    """
    _require_samples(batch_size)
    derivation = derived(model, strategy)
    turned = turned_parameters(derivation.system) if parameters is None else parameters.turned
    source = write_source(derivation, batch_size, dtype, model.title, turned, model.output)
    if parameters is None:
        parameters = Parameters(model.parameters, dtype, turned)
    if gradients is None:
        gradients = parameters.zeros_like()
    if model.is_batch:
        return Program(source, model, derivation, batch_size, parameters, gradients)
    step, forward, predict, _ = _build(source, parameters, gradients)
    return SampleLoop(
        model,
        step=step,
        forward=forward,
        predict=predict,
        gradients=gradients.vector,
        batch_size=batch_size,
        source=source.text,
    )


def compile_forward(
    model: Trainable, *, batch_size: int, parameters: Parameters
) -> ForwardProgram | ForwardLoop:
    """Compile a model's forward pass alone: nothing is derived, and no gradient has a place.

    Raises
    ------
    InputError
        If the batch is empty.
    TooLargeError
        As for `compile_model`.
    """
    _require_samples(batch_size)
    dtype, turned = parameters.dtype, parameters.turned
    derivation = forward_alone(model.system)
    source = write_source(derivation, batch_size, dtype, model.title, turned, model.output)
    functions = _build(source, parameters)
    if model.is_batch:
        return ForwardProgram(source, model, batch_size, parameters, functions)
    forward, predict, _ = functions
    return ForwardLoop(model, forward=forward, predict=predict, batch_size=batch_size, dtype=dtype)


def _require_samples(batch_size: int) -> None:
    if batch_size < 1:
        raise InputError(f"a batch holds at least one sample, not {batch_size}")


@lru_cache(maxsize=8)
def derived(model: Trainable, strategy: Strategy) -> Derivation:
    """A batch's derivation, which does not depend on how many samples the batch holds."""
    return derive(model.system, strategy=strategy)
