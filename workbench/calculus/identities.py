"""The identities that the calculus rests on, each in the grammar of `workbench prove`.

They are what the constructors of `workbench.calculus.matrices` and `blocks` apply as expressions
are built, what `workbench.calculus.tidy` rewrites by, and what a derivation with vec and ⊗ cites.
None is taken on trust: each is read as it is written, with no law applied, and proved or tested.
"""

from __future__ import annotations

from dataclasses import dataclass

DEFINITION = "by definition"
ELEMENTARY = "elementary"
HENDERSON_SEARLE = "Henderson and Searle (1981)"
HORN_JOHNSON = "Horn and Johnson (1991), ch. 5"
MAGNUS_NEUDECKER = "Magnus and Neudecker (1988), ch. 2"
COMMUTATION = "Magnus and Neudecker (1979)"
PRODUCTS = "Magnus and Neudecker (1988), ch. 3"
COOKBOOK = "Petersen and Pedersen (2012), section 1"
SHERMAN_MORRISON = "Sherman and Morrison (1950)"
WOODBURY = "Woodbury (1950)"
ADJOINT = "Giles (2008)"


@dataclass(frozen=True, slots=True)
class Identity:
    """An equation between two expressions that holds wherever both sides are defined.

    Attributes
    ----------
    group : what it is about.
    name : what a person calls it.
    statement : `left = right`, in the grammar of formulas.
    source : where it is stated.
    shapes : declarations, for what the statement leaves open.
    """

    group: str
    name: str
    statement: str
    source: str
    shapes: str = ""

    @property
    def text(self) -> str:
        """The declarations and the statement, as `workbench prove` reads them.

        >>> Identity("", "", "(x ⊗ I) g = vec(g xᵀ)", "", "input x : n").text
        'input x : n\\n(x ⊗ I) g = vec(g xᵀ)'
        """
        return f"{self.shapes}\n{self.statement}" if self.shapes else self.statement


def _group(name: str, *rows: tuple[str, ...]) -> tuple[Identity, ...]:
    return tuple(Identity(name, *row) for row in rows)


IDENTITIES: tuple[Identity, ...] = (
    *_group(
        "Transposes and traces",
        ("transposed twice", "(Aᵀ)ᵀ = A", DEFINITION, "input A : m×n"),
        ("product transposed", "(A B)ᵀ = Bᵀ Aᵀ", COOKBOOK),
        ("sum transposed", "(A + B)ᵀ = Aᵀ + Bᵀ", COOKBOOK),
        ("common factor", "A C + B C = (A + B) C", ELEMENTARY),
        ("trace of a transpose", "tr(Aᵀ) = tr(A)", COOKBOOK),
        ("trace turns", "tr(A B C) = tr(C A B)", COOKBOOK),
        ("trace of an outer product", "tr(u vᵀ) = vᵀ u", COOKBOOK),
        ("trace of the identity", "tr(eye(n)) = n", DEFINITION, "input A : n×n"),
        ("inner product", "sum(A ⊙ B) = tr(Aᵀ B)", PRODUCTS, "input A, B : m×n"),
        ("quadratic form", "xᵀ A x = tr(A x xᵀ)", ELEMENTARY),
        ("sum of entries", "sum(A) = 𝟏ᵀ A 𝟏", DEFINITION, "input A : m×n"),
        ("sum of a transpose", "sum(Aᵀ) = sum(A)", ELEMENTARY, "input A : m×n"),
        ("sum of a vec", "sum(vec(A)) = sum(A)", ELEMENTARY, "input A : m×n"),
        ("sum of a product", "sum(A B) = (𝟏ᵀ A) (B 𝟏)", ELEMENTARY, "input A : m×n, B : n×p"),
        ("square of a norm", "‖u + v‖² = uᵀ u + 2 uᵀ v + vᵀ v", ELEMENTARY, "input u, v : n"),
    ),
    *_group(
        "Kronecker products and vec",
        ("vec of a product", "vec(A B C) = (Cᵀ ⊗ A) vec(B)", MAGNUS_NEUDECKER),
        (
            "vec of an outer product", "(x ⊗ I) g = vec(g xᵀ)",
            MAGNUS_NEUDECKER, "input x : n, g : m",
        ),
        ("vec and devec", "devec(vec(A), m, n) = A", DEFINITION, "input A : m×n"),
        ("Kronecker product transposed", "(A ⊗ B)ᵀ = Aᵀ ⊗ Bᵀ", MAGNUS_NEUDECKER),
        ("mixed product", "(A ⊗ B) (C ⊗ D) = (A C) ⊗ (B D)", MAGNUS_NEUDECKER),
        (
            "nested Kronecker products", "A ⊗ (B ⊗ C) = (A ⊗ B) ⊗ C",
            MAGNUS_NEUDECKER, "input A : m×n, B : p×q, C : s×t",
        ),
        ("Kronecker product of a sum", "A ⊗ (B + C) = A ⊗ B + A ⊗ C", MAGNUS_NEUDECKER),
        ("Kronecker product of identities", "eye(m) ⊗ eye(n) = eye(m n)", MAGNUS_NEUDECKER),
        ("columns and rows", "u ⊗ vᵀ = u vᵀ", MAGNUS_NEUDECKER, "input u : m, v : n"),
        ("trace of a Kronecker product", "tr(A ⊗ B) = tr(A) tr(B)", MAGNUS_NEUDECKER),
        (
            "sum of a Kronecker product", "sum(A ⊗ B) = sum(A) sum(B)", ELEMENTARY,
            "input A : m×n, B : p×q",
        ),
        ("trace as a product of vecs", "tr(Aᵀ B) = vec(A)ᵀ vec(B)", MAGNUS_NEUDECKER),
        ("trace of four", "tr(Aᵀ B C Dᵀ) = vec(A)ᵀ (D ⊗ B) vec(C)", MAGNUS_NEUDECKER),
    ),
    *_group(
        "The commutation matrix",
        ("definition", "K(m, n) vec(A) = vec(Aᵀ)", COMMUTATION, "input A : m×n"),
        ("transposed", "K(m, n)ᵀ = K(n, m)", COMMUTATION),
        ("inverse", "K(n, m) K(m, n) = I", COMMUTATION),
        (
            "factors exchanged", "K(p, m) (A ⊗ B) K(n, q) = B ⊗ A", COMMUTATION,
            "input A : m×n, B : p×q",
        ),
        (
            "vec of a Kronecker product", "vec(A ⊗ B) = (I_n ⊗ K(q, m) ⊗ I_p) (vec(A) ⊗ vec(B))",
            PRODUCTS, "input A : m×n, B : p×q",
        ),
    ),
    *_group(
        "Elementwise products and diagonals",
        ("diagonal matrix applied", "diag(u) v = u ⊙ v", HORN_JOHNSON, "input u, v : n"),
        ("between diagonals", "diag(u) A diag(v) = A ⊙ (u vᵀ)", HORN_JOHNSON),
        ("diagonals multiplied", "diag(u) diag(v) = diag(u ⊙ v)", HORN_JOHNSON, "input u, v : n"),
        ("diagonal matrix transposed", "diag(u)ᵀ = diag(u)", DEFINITION, "input u : n"),
        ("diagonal of a diagonal matrix", "diagonal(diag(u)) = u", DEFINITION, "input u : n"),
        ("diagonal of a transpose", "diagonal(Aᵀ) = diagonal(A)", DEFINITION, "input A : n×n"),
        ("diagonal of ones", "diag(ones(n)) = eye(n)", DEFINITION),
        ("diagonal of a product", "diagonal(A Bᵀ) = (A ⊙ B) 𝟏", HORN_JOHNSON, "input A, B : m×n"),
        ("outer products", "(a aᵀ) ⊙ (b bᵀ) = (a ⊙ b) (a ⊙ b)ᵀ", HORN_JOHNSON, "input a, b : n"),
        ("with Kronecker products", "(A ⊙ B) ⊗ (C ⊙ D) = (A ⊗ C) ⊙ (B ⊗ D)", HORN_JOHNSON),
        ("trace of a diagonal", "tr(diag(u)) = sum(u)", ELEMENTARY, "input u : n"),
        ("common factor", "A ⊙ C + B ⊙ C = (A + B) ⊙ C", ELEMENTARY, "input A, B, C : m×n"),
    ),
    *_group(
        "Inverses",
        ("of a product", "(A B)⁻¹ = B⁻¹ A⁻¹", COOKBOOK),
        ("of a transpose", "(Aᵀ)⁻¹ = (A⁻¹)ᵀ", COOKBOOK),
        (
            "of a Kronecker product", "(A ⊗ B)⁻¹ = A⁻¹ ⊗ B⁻¹",
            MAGNUS_NEUDECKER, "input A : m×m, B : n×n",
        ),
        ("of an inverse", "(A⁻¹)⁻¹ = A", DEFINITION, "input A : n×n"),
        ("of a diagonal matrix", "diag(u) diag(𝟏 ⊘ u) = I", ELEMENTARY, "input u : n"),
        ("difference", "A⁻¹ − B⁻¹ = A⁻¹ (B − A) B⁻¹", HENDERSON_SEARLE, "input A, B : n×n"),
        ("push-through", "(I + A B)⁻¹ A = A (I + B A)⁻¹", HENDERSON_SEARLE),
        (
            "Sherman and Morrison", "(A + u vᵀ)⁻¹ = A⁻¹ − A⁻¹ u vᵀ A⁻¹ / (1 + vᵀ A⁻¹ u)",
            SHERMAN_MORRISON,
        ),
        ("Woodbury", "(A + U C V)⁻¹ = A⁻¹ − A⁻¹ U (C⁻¹ + V A⁻¹ U)⁻¹ V A⁻¹", WOODBURY),
    ),
    *_group(
        "Determinants",
        ("of a transpose", "det(Aᵀ) = det(A)", COOKBOOK, "input A : n×n"),
        ("of a product", "det(A B) = det(A) det(B)", COOKBOOK, "input A, B : n×n"),
        ("of an inverse", "det(A⁻¹) = 1 / det(A)", COOKBOOK, "input A : n×n"),
        ("of a rank-one change", "det(I + u vᵀ) = 1 + vᵀ u", COOKBOOK, "input u, v : n"),
    ),
    *_group(
        "Stacks",
        ("beside and above", "[A, B] [C; D] = A C + B D", DEFINITION,
         "input A : m×n, B : m×p, C : n×q, D : p×q"),
        ("product of a stack", "[A; B] C = [A C; B C]", DEFINITION,
         "input A : m×n, B : p×n, C : n×q"),
        ("stack transposed", "[A; B]ᵀ = [Aᵀ, Bᵀ]", DEFINITION, "input A : m×n, B : p×n"),
        ("block of a stack", "[A; B][1:m, :] = A", DEFINITION, "input A : m×n, B : p×n"),
        ("block of a product", "(A B)[1:k, :] = A[1:k, :] B", DEFINITION,
         "input A : k+m×n, B : n×p"),
    ),
    *_group(
        "A batch, Z = W X + b 𝟏ᵀ",
        ("gradient of the weights", "sum(G ⊙ (V X)) = sum((G Xᵀ) ⊙ V)", ADJOINT),
        ("gradient of the inputs", "sum(G ⊙ (W V)) = sum((Wᵀ G) ⊙ V)", ADJOINT),
        ("gradient of the biases", "sum(G ⊙ (v 𝟏ᵀ)) = (G 𝟏)ᵀ v", ADJOINT, "input G : m×n, v : m"),
    ),
    *_group(
        "Functions",
        ("sigmoid mirrored", "1/(1 + e^x) = 1 − 1/(1 + e^(−x))", ELEMENTARY),
        ("tanh and sigmoid", "tanh(x) = 2/(1 + e^(−2 x)) − 1", ELEMENTARY),
        ("tanh doubled", "tanh(2 x) = 2 tanh(x)/(1 + tanh(x)²)", ELEMENTARY),
        ("Pythagoras", "sin(x)² + cos(x)² = 1", ELEMENTARY),
        ("softmax sums to one", "sum(softmax(x)) = 1", ELEMENTARY, "input x : n"),
        ("softmax shifted", "softmax(x + c) = softmax(x)", ELEMENTARY, "input x : n, c : 1"),
        (
            "logsumexp shifted", "logsumexp(x + c) = c + logsumexp(x)",
            ELEMENTARY, "input x : n, c : 1",
        ),
        ("parts of x", "max(x, 0) − max(−x, 0) = x", ELEMENTARY),
    ),
)  # fmt: skip
"""In the order in which they are printed."""
