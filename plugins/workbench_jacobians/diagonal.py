"""diag(σ′(z)) g and Wᵀ g: Jacobians between vectors are written out, diagonals as matrices."""

from workbench import Expression, JacobianStrategy
from workbench_jacobians.local import of_elementwise_product, of_function, of_product, of_sum


def _of_product(node: Expression, index: int) -> Expression | None:
    """∂(A x)/∂x = Aᵀ between vectors; a matrix keeps the rule table's form."""
    if node.is_column and node.arguments[index].is_column:
        return of_product(node, index)
    return None


diagonal = JacobianStrategy(
    name="diagonal",
    description="diag(σ′(z)) g: Jacobians between vectors are written out as matrices.",
    rules={
        "apply": of_function,
        "add": of_sum,
        "multiply": of_elementwise_product,
        "matmul": _of_product,
    },
)
