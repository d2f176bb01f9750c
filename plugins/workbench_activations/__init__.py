"""The built-in activations. Each is a formula; everything else is worked out from it."""

from collections.abc import Iterable

from workbench import Activation, hookimpl
from workbench_activations.elu import elu
from workbench_activations.gelu import gelu
from workbench_activations.identity import identity
from workbench_activations.leaky_relu import leaky_relu
from workbench_activations.relu import relu
from workbench_activations.sigmoid import sigmoid
from workbench_activations.softmax import softmax
from workbench_activations.softplus import softplus
from workbench_activations.swish import swish
from workbench_activations.tanh import tanh


@hookimpl
def workbench_activations() -> Iterable[Activation]:
    """Yield the built-in activations."""
    yield from (
        identity, sigmoid, tanh, relu, leaky_relu, elu, softplus, swish, gelu, softmax,
    )  # fmt: skip
