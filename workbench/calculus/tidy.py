"""The form in which a person writes a result: factored, inner products in front, no detours.

`tidy` chooses between forms that are equal for every value; two results that people would call
the same come out alike. The laws that hold as a node is built are in `algebra` and `matrices`; the
moves of `tidy` are in `product_forms` and `sum_forms`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from workbench.calculus import product_forms, sum_forms
from workbench.calculus.algebra import multiply, negate, split_coefficient, spread
from workbench.calculus.expressions import Expression, number, walk
from workbench.calculus.matrices import matmul, transpose
from workbench.calculus.rewriting import rebuild

Move = Callable[[Expression], Expression]

MOVES: dict[str, tuple[Move, ...]] = {
    "matmul": (
        product_forms.numbers_in_front,
        product_forms.merged,
        product_forms.inner_products_in_front,
        product_forms.diagonals_applied,
        product_forms.vec_of_square,
    ),
    "trace": (product_forms.trace_of_square,),
    "diag": (product_forms.numbers_outside,),
    "vec": (product_forms.numbers_outside,),
    "multiply": (
        product_forms.numbers_in_front,
        product_forms.divisions_cancelled,
        product_forms.one_denominator,
    ),
    "sum": (product_forms.inner_product,),
    "devec": (product_forms.devectorised,),
    "kron": (product_forms.outer_product,),
    "diagonal": (product_forms.diagonal_of_product,),
    "add": (
        sum_forms.shared_factors,
        sum_forms.shared_divisors,
        sum_forms.elementwise_factors,
        sum_forms.common_number,
    ),
}
"""What is tried on each operation once its arguments are tidy; the first that moves is taken."""


def tidy(expression: Expression, like: Sequence[Expression] = ()) -> Expression:
    """An expression as a person would write it.

    Parameters
    ----------
    like : expressions that were given; a difference is written the way round it stands there.

    >>> from workbench.calculus.algebra import add
    >>> from workbench.calculus.dimensions import ONE, Dimension
    >>> from workbench.calculus.expressions import Kind, symbol
    >>> n = Dimension.named("n")
    >>> A, x = symbol("A", Kind.INPUT, (n, n)), symbol("x", Kind.INPUT, (n, ONE))
    >>> sum_of_two = add(matmul(A, x), matmul(transpose(A), x))
    >>> tidy(sum_of_two) is matmul(add(A, transpose(A)), x)
    True
    """
    return _Tidying(like).tidy(expression)


class _Tidying:
    """One run, which remembers what each node became."""

    def __init__(self, like: Sequence[Expression]) -> None:
        self.done: dict[Expression, Expression] = {}
        self.on_the_way: set[Expression] = set()
        self.like = like
        self.given = _sums_both_ways(like)
        self.turned = {
            opposite.form: way
            for form, way in self.given.items()
            if (opposite := negate(way)).form not in self.given
        }

    def tidy(self, root: Expression) -> Expression:
        stack = [root]
        while stack:
            node = stack[-1]
            waiting = [part for part in node.arguments if part not in self.done]
            if node in self.done or not waiting:
                stack.pop()
                if node not in self.done:
                    self._settle(node)
            else:
                stack.extend(waiting)
        return self.done[root]

    def _settle(self, node: Expression) -> None:
        """Move a node until nothing moves it, or until it comes back to where it was."""
        self.on_the_way.add(node)
        arguments = tuple(self.done[part] for part in node.arguments)
        current = node if arguments == node.arguments else rebuild(node, arguments)
        if current is node:
            current = self._moved(node)
        if current not in self.on_the_way:
            current = self.tidy(current)
        self.on_the_way.discard(node)
        self.done[node] = current
        self.done.setdefault(current, current)

    def _moved(self, node: Expression) -> Expression:
        if self.like and node.operation in ("matmul", "multiply"):
            turned = self._as_given(node)
            if turned is not node:
                return turned
        for move in MOVES.get(node.operation, ()):
            moved = move(node)
            if moved is not node:
                return moved
        return node

    def _as_given(self, node: Expression) -> Expression:
        """(b − a) c as −(a − b) c, where a − b was given; −(1 − s) c as (s − 1) c, where not."""
        factors, sign = list(node.arguments), 1
        for place, factor in enumerate(factors):
            is_turned = factor.operation == "transpose"
            inner = factor.arguments[0] if is_turned else factor
            given = self.turned.get(inner.form)
            if given is not None:
                factors[place] = transpose(given) if is_turned else given
                sign = -sign
        if sign == 1 and split_coefficient(node)[0] < 0:
            for place, factor in enumerate(factors):
                if factor.operation == "add" and self._is_new_difference(factor):
                    factors[place], sign = negate(factor), -1
                    break
        if factors == list(node.arguments):
            return node
        product = matmul(*factors) if node.operation == "matmul" else multiply(*factors)
        return spread(multiply(number(sign), product), node.shape)

    def _is_new_difference(self, factor: Expression) -> bool:
        signs = {split_coefficient(term)[0] > 0 for term in factor.arguments}
        return signs == {True, False} and factor.form not in self.given


def _sums_both_ways(given: Sequence[Expression]) -> dict[int, Expression]:
    """The sums that were given and their transposes, by their forms."""
    found: dict[int, Expression] = {}
    for node in walk(*given):
        if node.operation == "add":
            for way in (node, transpose(node)):
                if way.operation == "add":
                    found.setdefault(way.form, way)
    return found
