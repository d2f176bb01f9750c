"""Numerator layout: every Jacobian transposed, the chain rule read from left to right.

The derivation itself is in denominator layout. A gradient G becomes the row (or the transposed
matrix) G′ with G = G′ᵀ; each line is rewritten with that and transposed as a whole.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from workbench.calculus.algebra import add, multiply
from workbench.calculus.expressions import Expression, Kind, make, symbol, transform
from workbench.calculus.matrices import transpose
from workbench.calculus.rewriting import rebuild
from workbench.derivation.steps import Derivation, Step
from workbench.tensors.entries import entry


class Layout(StrEnum):
    """Which way derivatives are laid out.

    For y with n entries and x with m, ∂y/∂x is m×n in denominator layout, n×m in numerator layout.
    """

    DENOMINATOR = "denominator"
    NUMERATOR = "numerator"


def in_layout(derivation: Derivation, layout: Layout) -> Derivation:
    """The same derivation laid out the other way; nothing changes in denominator layout."""
    if layout is Layout.DENOMINATOR:
        return derivation
    return derivation.with_steps([_numerator(step) for step in derivation.steps])


def _numerator(step: Step) -> Step:
    if step.is_definition or step.goal.operation == "apply":
        return step
    stages = tuple(replace(s, expression=_laid_out(s.expression)) for s in step.stages)
    name = _leaf(step.name) if step.name is not None else None
    return replace(step, goal=_laid_out(step.goal), stages=stages, name=name)


def _laid_out(expression: Expression) -> Expression:
    """An expression in the leaves of the other layout, transposed unless it is a scalar."""

    def rule(node: Expression, arguments: tuple[Expression, ...]) -> Expression:
        if _is_derivative(node):
            return _transposed(_leaf(node))
        if node.operation == "entry" and _is_derivative(node.arguments[0]):
            assert isinstance(node.data, tuple)
            return entry(_leaf(node.arguments[0]), *reversed(node.data))
        return node if arguments == node.arguments else rebuild(node, arguments)

    return _transposed(transform(expression, rule))


def _is_derivative(node: Expression) -> bool:
    if node.is_scalar:
        return False
    return node.operation == "jacobian" or (
        node.operation == "symbol" and node.symbol.kind is Kind.GRADIENT
    )


def _leaf(node: Expression) -> Expression:
    """The node of the other layout for a Jacobian or a named gradient."""
    shape = (node.shape[1], node.shape[0])
    if node.is_scalar:
        return node
    if node.operation == "symbol":
        return symbol(node.symbol.name, Kind.GRADIENT, shape)
    return make("numerator_jacobian", (), node.data, shape)


def _transposed(expression: Expression) -> Expression:
    """The transpose, pushed through sums and elementwise products as well."""
    if expression.operation == "add":
        return add(*(_transposed(term) for term in expression.arguments))
    if expression.operation == "multiply":
        return multiply(*(_transposed(factor) for factor in expression.arguments))
    if expression.operation == "power":
        return rebuild(expression, (_transposed(expression.arguments[0]),))
    return transpose(expression)
