"""The Gaussian error linear unit, with the normal distribution Φ. Hendrycks & Gimpel (2016)."""

from workbench import Activation

gelu = Activation(
    name="gelu",
    formula="z * Phi(z)",
    description="z times the normal distribution function Φ. Hendrycks & Gimpel (2016).",
)
