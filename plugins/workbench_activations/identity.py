"""The identity, for a linear output layer."""

from workbench import Activation

identity = Activation(
    name="identity",
    formula="z",
    description="The identity, for a linear output layer.",
)
