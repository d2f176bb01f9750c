"""The cross-entropy of independent yes-or-no outputs; goes with sigmoid."""

from workbench import Loss

binary_cross_entropy = Loss(
    name="binary_cross_entropy",
    formula="-mean(y * log(a) + (1 - y) * log(1 - a))",
    description="The cross-entropy of independent yes-or-no outputs; goes with sigmoid.",
)
