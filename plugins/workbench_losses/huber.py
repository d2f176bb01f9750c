"""Quadratic near the target, linear beyond distance 1. Huber (1964)."""

from workbench import Loss

huber = Loss(
    name="huber",
    formula="sum(where(abs(a - y) > 1, abs(a - y) - 1/2, 1/2 * (a - y)^2))",
    description="Quadratic near the target, linear beyond distance 1. Huber (1964).",
)
