"""Greek letters by their names: `delta` is shown as δ, and δ is read as `delta`."""

from __future__ import annotations

_NAMES = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau "
    "upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"
)
_LETTERS = "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΥΦΨΩ"

GREEK = dict(zip(_NAMES.split(), _LETTERS, strict=True))
"""The letter of each name."""
