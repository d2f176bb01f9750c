"""The built-in Jacobian strategies: three ways of writing the same pullbacks."""

from collections.abc import Iterable

from workbench import JacobianStrategy, hookimpl
from workbench_jacobians.diagonal import diagonal
from workbench_jacobians.elementwise import elementwise
from workbench_jacobians.kronecker import kronecker


@hookimpl
def workbench_strategies() -> Iterable[JacobianStrategy]:
    """Yield the built-in strategies."""
    yield from (elementwise, diagonal, kronecker)
