"""Initialisers: the values that parameters start with, drawn by the seed or read from a file."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from workbench.calculus.functions import VARIABLE, Function
from workbench.core.evaluate import evaluate
from workbench.core.parameter_files import READERS, load_parameters
from workbench.core.parameters import Parameters, parameter_shapes
from workbench.derivation.network import Network
from workbench.errors import InputError, close_matches

Array = NDArray[Any]
Shape = tuple[int, ...]

STREAM = 1
"""The stream of random numbers that starting values are drawn from."""

BLOCK = 2**16
"""The entries drawn at a time, which bounds what is needed besides the parameters."""


@dataclass(frozen=True)
class Scheme:
    """A distribution around 0 for the weights from n inputs to m outputs.

    Attributes
    ----------
    source : where the scheme is from.
    distribution : "uniform", between ∓spread, or "normal", of the deviation `spread`.
    spread : from n and m.
    biases : whether those are drawn too, with the n of their layer; else they start at zero.
    """

    source: str
    distribution: str
    spread: Callable[[int, int], float]
    biases: bool = False

    def draw(
        self, generator: np.random.Generator, inputs: int, outputs: int, shape: Shape
    ) -> Array:
        """Draw values; the numbers are the same in whatever portions they are drawn."""
        spread = self.spread(inputs, outputs)
        if self.distribution == "normal":
            return np.asarray(generator.normal(0.0, spread, shape))
        return np.asarray(generator.uniform(-spread, spread, shape))


_GLOROT = (
    "Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, "
    "2010, equations 12 and 16"
)
_HE = "He et al., Delving deep into rectifiers, 2015, equation 10"

SCHEMES: Mapping[str, Scheme] = {
    "glorot": Scheme(_GLOROT, "uniform", lambda n, m: math.sqrt(6 / (n + m))),
    "glorot_normal": Scheme(_GLOROT, "normal", lambda n, m: math.sqrt(2 / (n + m))),
    "he": Scheme(_HE, "normal", lambda n, m: math.sqrt(2 / n)),
    "he_uniform": Scheme(_HE, "uniform", lambda n, m: math.sqrt(6 / n)),
    "lecun": Scheme(
        "LeCun et al., Efficient backprop, 1998, equation 16",
        "normal",
        lambda n, m: math.sqrt(1 / n),
    ),
    "uniform": Scheme("torch.nn.Linear", "uniform", lambda n, m: math.sqrt(1 / n), biases=True),
    "zeros": Scheme("every entry 0", "uniform", lambda n, m: 0.0),
}
"""The schemes by name."""

AUTO = "auto"
"""`he` for layers that rectify and `glorot` for all others."""


def initialise(
    model: Network | Mapping[str, Shape],
    seed: int,
    dtype: DTypeLike = np.float64,
    scheme: str = AUTO,
    *,
    turned: Collection[str] = (),
) -> Parameters:
    """Make starting parameters.

    The numbers do not depend on the type, but for rounding, nor on how they lie in memory.

    Parameters
    ----------
    model : a network, or the shape of each parameter: a matrix (m, n) leads from n inputs to m
        outputs, a vector (n,) from n to one, and what is no matrix and has a name that begins with
        b is a bias.
    scheme : `auto`, a name in `SCHEMES`, or a `.npz` or `.safetensors` file of all parameters.
    turned : the matrices that shall lie column by column.

    Raises
    ------
    InputError
        If there is no such scheme, or the file does not hold these parameters.

    >>> parameters = initialise({"W1": (2, 3), "b1": (2,)}, seed=0)
    >>> bool((abs(parameters["W1"]) < (6 / (3 + 2)) ** 0.5).all()), parameters["b1"]
    (True, array([0., 0.]))
    """
    shapes = parameter_shapes(model) if isinstance(model, Network) else model
    if scheme.endswith(tuple(READERS)):
        of = str(model) if isinstance(model, Network) else "these equations"
        return load_parameters(scheme, shapes, dtype, of=of, turned=turned)
    if scheme != AUTO and scheme not in SCHEMES:
        hint = close_matches(scheme, [AUTO, *SCHEMES])
        raise InputError(f"unknown initialiser {scheme!r}, and no {' or '.join(READERS)}: {hint}")
    parameters = Parameters(shapes, dtype, turned)
    rectifying = _rectifying(model) if isinstance(model, Network) else set()
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STREAM,)))
    inputs = 1
    for name, view in parameters.items():
        fitting = "he" if name in rectifying else "glorot"
        chosen = SCHEMES[fitting if scheme == AUTO else scheme]
        if not _is_bias(name, view.shape):
            inputs, outputs = _fans(view.shape)
            _fill(view, chosen, generator, inputs, outputs)
        elif chosen.biases:
            _fill(view, chosen, generator, inputs, 1)
    return parameters


def rectifies(function: Function) -> bool:
    """Tell whether a function bends at 0 and lets less through on the left, as relu does.

    >>> from workbench.calculus.functions import ABS, TANH
    >>> rectifies(Function("magnitude", ABS(VARIABLE), kinks=(0.0,))), rectifies(TANH)
    (False, False)
    """
    if 0.0 not in function.kinks or function.formula is None or function.columnwise:
        return False
    left, right = (
        evaluate(function.formula, {VARIABLE: np.array([[place]])}).item() for place in (-1.0, 1.0)
    )
    return bool(abs(left) < abs(right))


def _rectifying(network: Network) -> set[str]:
    """The weights of the layers that rectify."""
    layers = enumerate(network.activations, start=1)
    return {f"W{layer}" for layer, activation in layers if rectifies(activation)}


def _is_bias(name: str, shape: Shape) -> bool:
    return len(shape) < 2 and name.startswith("b")


def _fans(shape: Shape) -> tuple[int, int]:
    """The inputs and outputs of a weight."""
    outputs, inputs = {0: (1, 1), 1: (1, *shape), 2: shape}[len(shape)]
    return inputs, outputs


def _fill(
    view: Array, scheme: Scheme, generator: np.random.Generator, inputs: int, outputs: int
) -> None:
    """Draw all entries, some rows at a time."""
    if view.ndim == 0:
        view[...] = scheme.draw(generator, inputs, outputs, ())
        return
    rows = max(1, BLOCK // math.prod(view.shape[1:]))
    for start in range(0, len(view), rows):
        part = view[start : start + rows]
        part[...] = scheme.draw(generator, inputs, outputs, part.shape)
