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

from workbench.calculus.expressions import Kind
from workbench.core.parameters import Parameters, parameter_shapes
from workbench.core.program.source import Source, turned_parameters, write_source
from workbench.derivation.differentiate import derive
from workbench.derivation.network import Network
from workbench.derivation.steps import ELEMENTWISE, Derivation, Strategy
from workbench.errors import InputError

Array = NDArray[Any]


class Program:
    """A compiled forward and backward pass for batches of one size.

    Attributes
    ----------
    source : the Python source that runs.
    batch_size : the number of samples a call takes.
    buffer_bytes : the memory it takes besides parameters and gradients.
    parameters, gradients : arrays by name, views of one vector each; `step` fills the gradients.
    bare_step : `step` without its checks of shapes and its guard against NumPy's warnings, for
        loops with their own.
    outputs : (samples, outputs), the network's output in the latest `step` or `forward`.

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
        derivation: Derivation,
        batch_size: int,
        parameters: Parameters,
        gradients: Parameters,
    ) -> None:
        self.source = source.text
        self.buffer_bytes = source.buffer_bytes
        self.derivation = derivation
        self.batch_size = batch_size
        self.parameters = parameters
        self.gradients = gradients
        namespace: dict[str, Any] = dict(source.implementations)
        exec(compile(source.text, "<workbench program>", "exec"), namespace)
        (given,) = derivation.system.of_kind(Kind.INPUT)
        self._input_shape = batch_size, given.shape[0].size(derivation.system.sizes)
        names = [parameter.symbol.name for parameter in derivation.system.parameters]
        arrays = [held.stored(name) for held in (parameters, gradients) for name in names]
        self.bare_step, self._forward, self._predict, self.outputs = namespace["build"](*arrays)

    def step(self, inputs: Array, targets: Array) -> float:
        """Forward and backward pass of one batch.

        Parameters
        ----------
        inputs : (batch_size, features), of the program's dtype, row by row in memory.
        targets : (batch_size, outputs), likewise.

        Returns
        -------
        The loss of the batch; `gradients` then hold ∂L/∂parameter.

        Raises
        ------
        InputError
            If inputs or targets do not have those shapes.
        """
        self._require_shapes(inputs, targets)
        with np.errstate(all="ignore"):
            return float(self.bare_step(inputs, targets))

    def forward(self, inputs: Array, targets: Array) -> float:
        """The loss of one batch; `outputs` then hold the network's output."""
        self._require_shapes(inputs, targets)
        with np.errstate(all="ignore"):
            return float(self._forward(inputs, targets))

    def predict(self, inputs: Array) -> Array:
        """The network's output for one batch, (batch_size, outputs), as a fresh array."""
        self._require_shapes(inputs)
        with np.errstate(all="ignore"):
            self._predict(inputs)
        return np.array(self.outputs)

    def _require_shapes(self, inputs: Array, targets: Array | None = None) -> None:
        _require_shape("inputs", inputs, self._input_shape)
        if targets is not None:
            _require_shape("targets", targets, self.outputs.shape)


def _require_shape(what: str, array: Array, expected: tuple[int, ...]) -> None:
    if np.shape(array) != expected:
        raise InputError(
            f"{what} of shape {np.shape(array)}; this program takes {expected}, a sample a row"
        )


def compile_network(
    network: Network,
    *,
    batch_size: int,
    dtype: DTypeLike = np.float64,
    strategy: Strategy = ELEMENTWISE,
    parameters: Parameters | None = None,
    gradients: Parameters | None = None,
) -> Program:
    """Derive a network's gradients for a batch and compile them.

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
    if batch_size < 1:
        raise InputError(f"a batch holds at least one sample, not {batch_size}")
    derivation = derived(network, strategy)
    turned = turned_parameters(derivation.system) if parameters is None else parameters.turned
    source = write_source(derivation, batch_size, dtype, str(network), turned)
    if parameters is None:
        parameters = Parameters(parameter_shapes(network), dtype, turned)
    if gradients is None:
        gradients = parameters.zeros_like()
    return Program(source, derivation, batch_size, parameters, gradients)


@lru_cache(maxsize=8)
def derived(network: Network, strategy: Strategy) -> Derivation:
    """A batch's derivation, which does not depend on how many samples the batch holds."""
    return derive(network.system(batch=True), strategy=strategy)
