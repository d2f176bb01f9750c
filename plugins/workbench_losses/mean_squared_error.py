"""The mean squared distance over the outputs."""

from workbench import Loss

mean_squared_error = Loss(
    name="mean_squared_error",
    formula="mean((a - y)^2)",
    aliases=("mse",),
    description="The mean squared distance over the outputs.",
)
