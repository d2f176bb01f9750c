"""Local Jacobians ∂vec(node)/∂vec(argument), in denominator layout, that strategies share."""

from workbench import Expression, Function
from workbench.calculus.algebra import multiply, spread
from workbench.calculus.columns import column_jacobian
from workbench.calculus.expressions import identity, length, number
from workbench.calculus.matrices import diag, kron, matmul, transpose, vec


def of_function(node: Expression, index: int) -> Expression | None:
    """∂f(Z)/∂Z: diag(vec f′(Z)) entry by entry; softmax and its like couple a column."""
    function, argument = node.data, node.arguments[0]
    assert isinstance(function, Function)
    if function.columnwise:
        return column_jacobian(function, argument, node)
    slope = function.slope(argument) if function.slope else function.prime(argument)
    return diag(vec(spread(slope, argument.shape)))


def of_sum(node: Expression, index: int) -> Expression | None:
    """∂(A + B)/∂A = I."""
    argument = node.arguments[index]
    return identity(length(argument)) if argument.shape == node.shape else None


def of_elementwise_product(node: Expression, index: int) -> Expression | None:
    """∂(A ⊙ B)/∂A = diag(vec B)."""
    if node.arguments[index].shape != node.shape:
        return None
    others = (factor for place, factor in enumerate(node.arguments) if place != index)
    return diag(vec(spread(multiply(number(1), *others), node.shape)))


def of_product(node: Expression, index: int) -> Expression:
    """∂vec(A X B)/∂vec(X) = B ⊗ Aᵀ, the transpose of Bᵀ ⊗ A."""
    argument = node.arguments[index]
    before, after = node.arguments[:index], node.arguments[index + 1 :]
    left = matmul(*before) if before else identity(argument.shape[0])
    right = matmul(*after) if after else identity(argument.shape[1])
    return kron(right, transpose(left))
