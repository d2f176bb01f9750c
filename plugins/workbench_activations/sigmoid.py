"""The logistic function."""

from workbench import Activation

sigmoid = Activation(
    name="sigmoid",
    formula="1 / (1 + exp(-z))",
    symbol="σ",
    aliases=("logistic",),
    description="The logistic function.",
)
