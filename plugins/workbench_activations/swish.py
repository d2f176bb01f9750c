"""Swish, also called SiLU. Hendrycks & Gimpel (2016); Ramachandran, Zoph & Le (2017)."""

from workbench import Activation

swish = Activation(
    name="swish",
    formula="z * sigmoid(z)",
    aliases=("silu",),
    description="Also called SiLU. Hendrycks & Gimpel (2016); Ramachandran et al. (2017).",
)
