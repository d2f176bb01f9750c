"""Probabilities of classes; couples the entries of a sample. Bridle (1990)."""

from workbench import Activation

softmax = Activation(
    name="softmax",
    formula="exp(z) / sum(exp(z))",
    description="Probabilities of classes; couples the entries of a sample. Bridle (1990).",
)
