"""The exponential linear unit, α = 1. Clevert, Unterthiner & Hochreiter (2016)."""

from workbench import Activation

elu = Activation(
    name="elu",
    formula="where(z > 0, z, exp(z) - 1)",
    description="The exponential linear unit, α = 1. Clevert, Unterthiner & Hochreiter (2016).",
)
