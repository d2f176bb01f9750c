"""The hyperbolic tangent."""

from workbench import Activation

tanh = Activation(
    name="tanh",
    formula="tanh(z)",
    description="The hyperbolic tangent.",
)
