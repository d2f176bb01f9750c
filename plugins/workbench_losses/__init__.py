"""The built-in losses. Each is the formula of one sample; everything else is worked out from it."""

from collections.abc import Iterable

from workbench import Loss, hookimpl
from workbench_losses.absolute_error import absolute_error
from workbench_losses.binary_cross_entropy import binary_cross_entropy
from workbench_losses.cross_entropy import cross_entropy
from workbench_losses.half_squared_error import half_squared_error
from workbench_losses.huber import huber
from workbench_losses.mean_squared_error import mean_squared_error


@hookimpl
def workbench_losses() -> Iterable[Loss]:
    """Yield the built-in losses."""
    yield from (
        half_squared_error,
        mean_squared_error,
        cross_entropy,
        binary_cross_entropy,
        absolute_error,
        huber,
    )
