"""The cross-entropy of class probabilities; with softmax its gradient is p − y."""

from workbench import Loss

cross_entropy = Loss(
    name="cross_entropy",
    formula="-sum(y * log(a))",
    assumes=("sum(y) = 1",),
    description="The cross-entropy of class probabilities; with softmax its gradient is p − y.",
)
