"""The many spellings of one sign: in ASCII, in Unicode and in LaTeX."""

from __future__ import annotations

from workbench.notation.greek import GREEK

GREEK_NAMES = {letter: name for name, letter in GREEK.items()} | {
    "ο": "omicron", "ϵ": "epsilon", "ϑ": "theta", "ϕ": "phi", "ς": "sigma",
}  # fmt: skip
"""Greek letters by the names under which they are known; `σ` and `sigma` are one name."""

ONE_LETTER = str.maketrans("µℓ\u2009\u202f", "μl  ")
"""Characters that look like others and mean them."""

SUBSCRIPT_CLASS = "₀-₉ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ"
SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", "0123456789aehijklmnoprstuvx")
SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ᐟᵀ", "0123456789-+/T")

SIGNS = {
    "−": "-", "–": "-", "**": "^", "⋅": "·", "∙": "·", "∗": "*", ".*": "⊙", "∘": "⊙", "./": "⊘",
    ".'": "'", "′": "'", "″": "''", "‴": "'''", "’": "'", "||": "‖", "∥": "‖", "<=": "≤",
    ">=": "≥", "⩽": "≤", "⩾": "≥", ":=": "=",
}  # fmt: skip
"""Signs that have another spelling in the grammar."""

COMMANDS = {
    "cdot": "·", "times": "×", "ast": "*", "odot": "⊙", "circ": "⊙", "oslash": "⊘", "otimes": "⊗",
    "top": "⊤", "intercal": "⊤", "prime": "'", "partial": "∂", "sqrt": "√", "sum": "∑",
    "frac": "frac", "tfrac": "frac", "dfrac": "frac", "ge": "≥", "geq": "≥", "geqslant": "≥",
    "le": "≤", "leq": "≤", "leqslant": "≤", "gt": ">", "lt": "<", "in": "∈", "lvert": "|(",
    "rvert": ")|", "vert": "|", "lVert": "‖(", "rVert": ")‖", "Vert": "‖", "|": "‖", "{": "(",
    "}": ")", "lbrace": "(", "rbrace": ")", "lbrack": "[", "rbrack": "]", "\\": "\\\\",
    "cr": "\\\\",
}  # fmt: skip
"""LaTeX commands that stand for signs of the grammar."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


SPACING = _words(
    ", ; ! : > [ ] ( ) quad qquad enspace thinspace displaystyle textstyle limits nolimits left "
    "right middle big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr nonumber notag"
) | {" "}
"""Commands that are only about looks."""

FONTS = _words(
    "mathbf mathrm mathit mathsf mathtt mathcal mathbb boldsymbol bm text textbf textrm textit "
    "operatorname symbf symbfit"
)
"""Commands that put a name in a font."""

ACCENTS = {
    "hat": "hat", "widehat": "hat", "bar": "bar", "overline": "bar", "tilde": "tilde",
    "widetilde": "tilde", "dot": "dot", "vec": "",
}  # fmt: skip
"""What an accent adds to a name: \\hat{y} is yhat."""

WORDS = _words(
    "exp log ln sin cos tan sinh cosh tanh arctan det tr trace diag vec max min sign sgn"
)
"""Commands that are names of functions."""

LAYOUT = _words("align aligned alignat equation gather gathered split array")
MATRICES = _words("matrix pmatrix bmatrix Bmatrix smallmatrix")
"""Environments: those that only arrange equations, and those that hold blocks."""
