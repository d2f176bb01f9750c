"""The sum of absolute distances; its derivative at zero is taken as 0."""

from workbench import Loss

absolute_error = Loss(
    name="absolute_error",
    formula="sum(abs(a - y))",
    description="The sum of absolute distances; its derivative at zero is taken as 0.",
)
