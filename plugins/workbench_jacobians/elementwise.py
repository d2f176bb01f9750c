"""σ′(z) ⊙ g and g xᵀ: the rule table as it stands, no Jacobian is written out."""

from workbench import JacobianStrategy

elementwise = JacobianStrategy(
    name="elementwise",
    description="σ′(z) ⊙ g and g xᵀ: no Jacobian is written out; the cheapest to compute.",
)
