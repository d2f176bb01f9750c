"""Half the squared distance, ½‖a − y‖²."""

from workbench import Loss

half_squared_error = Loss(
    name="half_squared_error",
    formula="1/2 * sum((a - y)^2)",
    description="Half the squared distance, ½‖a − y‖².",
)
