"""Slope 1/100 below zero. Maas, Hannun & Ng (2013)."""

from workbench import Activation

leaky_relu = Activation(
    name="leaky_relu",
    formula="where(z > 0, z, z / 100)",
    kinks=(0.0,),
    description="Slope 1/100 below zero. Maas, Hannun & Ng (2013).",
)
