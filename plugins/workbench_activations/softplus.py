"""A smooth relu. Dugas et al. (2001)."""

from workbench import Activation

softplus = Activation(
    name="softplus",
    formula="log(1 + exp(z))",
    description="A smooth relu. Dugas et al. (2001).",
)
