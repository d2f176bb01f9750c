"""The rules of shapes: what each operation says of the sizes of its operands and of its result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

from workbench.calculus.dimensions import ONE, Dimension
from workbench.notation.reading.shapes import (
    NUMBER,
    STAGES,
    UNIT,
    ConflictError,
    Form,
    Rule,
    Shapes,
    Size,
    is_matrix,
    is_scalar,
)
from workbench.notation.reading.syntax import Node


class AmbiguousError(Exception):
    """A decision that the text leaves open.

    Attributes
    ----------
    node : what it is about.
    """

    def __init__(self, node: Node) -> None:
        super().__init__()
        self.node = node


@dataclass
class Product(Rule):
    """`a b`: a product of matrices, or a multiple by a scalar on either side."""

    node: Node
    left: Form
    right: Form
    out: Form
    operands: tuple[Node, Node]

    def sizes(self) -> Sequence[Size]:
        """The sizes it is about."""
        return (*self.left, *self.right, *self.out)

    def settle(self, shapes: Shapes) -> bool:
        """Draw what follows."""
        inner, outer = self.left[1], self.right[0]
        if inner.is_one and self.right[1].is_one:
            shapes.equate(self.out[1], UNIT)
        if is_scalar(self.left):
            shapes.fit(self.out, self.right)
        elif is_scalar(self.right):
            shapes.fit(self.out, self.left)
        elif self._is_matrix_product:
            self._multiply(shapes)
        elif inner.is_one and outer.is_more:
            shapes.fit(self.left, NUMBER)
            shapes.fit(self.out, self.right)
        elif inner.is_more and outer.is_one and not self.right[1].is_more:
            shapes.fit(self.right, NUMBER)
            shapes.fit(self.out, self.left)
        else:
            return False
        return True

    @property
    def _is_matrix_product(self) -> bool:
        inner, outer = self.left[1], self.right[0]
        is_chained = inner.root() is outer.root() or (inner.is_one and outer.is_one)
        return is_chained or (is_matrix(self.left) and is_matrix(self.right))

    def _multiply(self, shapes: Shapes) -> None:
        shapes.equate(self.left[1], self.right[0])
        shapes.equate(self.out[0], self.left[0])
        shapes.equate(self.out[1], self.right[1])

    def presume(self, shapes: Shapes, stage: int) -> None:
        """Take what people usually mean."""
        inner, outer = self.left[1], self.right[0]
        if stage == 1 and (inner.is_more or (outer.is_more and not inner.is_one)):
            shapes.enlarge(inner)
            shapes.enlarge(outer)
        elif stage == 3 and inner.is_one and outer.is_open:
            if is_matrix(self.out) and self.left[0].is_open:
                raise AmbiguousError(self.operands[0])
            shapes.equate(outer, UNIT)
        elif stage == 4:
            shapes.equate(inner, outer)


@dataclass
class Group:
    """The operands that are put together entry by entry.

    Attributes
    ----------
    out : the form of the result.
    scalars_left, columns_left : how many operands are not known to be scalars, or columns.
    has_product : whether one of the operands is a product, as in W X + b.
    """

    out: Form
    scalars_left: int
    columns_left: int
    has_product: bool = False


@dataclass
class Joined(Rule):
    """An operand of an elementwise operation: of the shape of the result, or a scalar.

    A name alone that is a column may also be added to every column of a matrix. What stands below
    a `/` is a scalar unless something says otherwise.
    """

    node: Node
    form: Form
    group: Group
    operand: Node
    may_repeat: bool = False
    is_divisor: bool = False
    is_column_counted: bool = False

    def sizes(self) -> Sequence[Size]:
        """The sizes it is about."""
        return (*self.form, *self.group.out)

    def settle(self, shapes: Shapes) -> bool:
        """Draw what follows."""
        group, out = self.group, self.group.out
        if not self.is_column_counted and self.form[1].is_one:
            self.is_column_counted = True
            group.columns_left -= 1
            if not group.columns_left:
                shapes.equate(out[1], UNIT)
        if is_scalar(self.form):
            group.scalars_left -= 1
            if not group.scalars_left:
                shapes.fit(out, NUMBER)
        elif is_scalar(out):
            shapes.fit(self.form, NUMBER)
        elif is_matrix(self.form) and (out[1].is_one or not self._may_repeat):
            shapes.fit(self.form, out)
        elif self.form[0].is_more and out[1].is_more:
            shapes.equate(self.form[0], out[0])
        else:
            return False
        return True

    @property
    def _may_repeat(self) -> bool:
        return self.may_repeat and not self.form[1].is_more

    def presume(self, shapes: Shapes, stage: int) -> None:
        """Take what people usually mean."""
        out = self.group.out
        if self.is_divisor and stage < STAGES:
            if stage == 3 and not is_matrix(self.form):
                shapes.fit(self.form, NUMBER)
        elif stage == 2 and is_matrix(out) and not is_matrix(self.form):
            if not self._may_repeat or not out[1].is_more:
                shapes.fit(self.form, out)
            elif self.group.has_product:
                shapes.enlarge(self.form[0])
            else:
                raise AmbiguousError(self.operand)
        elif stage == 4 or (stage == 2 and is_matrix(self.form)):
            shapes.fit(self.form, out)


@dataclass
class Presumed(Rule):
    """An operand that would be no operand as a scalar, as in a sum of entries or a transpose."""

    node: Node
    form: Form

    def sizes(self) -> Sequence[Size]:
        """The sizes it is about."""
        return self.form

    def settle(self, shapes: Shapes) -> bool:
        """Draw what follows."""
        return is_matrix(self.form) or is_scalar(self.form)

    def presume(self, shapes: Shapes, stage: int) -> None:
        """Take what people usually mean."""
        if stage == 1:
            shapes.enlarge(self.form[0])


@dataclass
class Combined(Rule):
    """A size that is the product (of vec, ⊗) or the sum (of stacks) of others."""

    node: Node
    whole: Size
    parts: Sequence[Size]
    is_sum: bool = False

    def sizes(self) -> Sequence[Size]:
        """The sizes it is about."""
        return (self.whole, *self.parts)

    def settle(self, shapes: Shapes) -> bool:
        """Draw what follows."""
        known = [part.dimension for part in self.parts]
        unknown = [part for part in self.parts if part.dimension is None]
        if not self.is_sum and any(part.is_more for part in self.parts):
            shapes.enlarge(self.whole)
        result = Dimension.number(0) if self.is_sum else ONE
        for dimension in known:
            if dimension is not None:
                result = result + dimension if self.is_sum else result * dimension
        if not unknown:
            shapes.know(self.whole, result)
            return True
        if not self.is_sum and result is ONE and len(unknown) == 1:
            shapes.equate(self.whole, unknown[0])
            return True
        whole = self.whole.dimension
        if whole is None or len(unknown) > 1:
            return False
        rest = whole - result if self.is_sum else _quotient(whole, result)
        if rest is None or any(count < 0 for _, count in rest.terms):
            raise ConflictError(whole, result)
        shapes.know(unknown[0], rest)
        return True

    def presume(self, shapes: Shapes, stage: int) -> None:
        """Two products of equally many sizes are equal factor by factor."""
        if self.is_sum:
            return
        mine = [part.root() for part in self.parts if not part.is_one]
        for other in self.whole.root().rules:
            if not isinstance(other, Combined) or other is self or other.is_sum:
                continue
            its = [part.root() for part in other.parts if not part.is_one]
            is_same = other.whole.root() is self.whole.root() and len(mine) == len(its)
            if is_same and set(mine) != set(its):
                for part, its_part in zip(mine, its, strict=True):
                    shapes.equate(part, its_part)
                return


@dataclass
class Aligned(Rule):
    """Two blocks above each other in a stack of rows of blocks: as wide as each other, if open."""

    node: Node
    above: Size
    below: Size

    def sizes(self) -> Sequence[Size]:
        """The sizes it is about."""
        return (self.above, self.below)

    def settle(self, shapes: Shapes) -> bool:
        """Draw what follows."""
        return self.above.dimension is not None and self.below.dimension is not None

    def presume(self, shapes: Shapes, stage: int) -> None:
        """Take what people usually mean."""
        shapes.equate(self.above, self.below)


def _quotient(whole: Dimension, divisor: Dimension) -> Dimension | None:
    """The dimension that times the divisor is the whole, for a divisor of one product."""
    if len(divisor.terms) != 1:
        return ONE if whole is divisor else None
    ((names, count),) = divisor.terms
    found = []
    for others, times in whole.terms:
        left = list(others)
        for name in names:
            if name not in left:
                return None
            left.remove(name)
        if times % count or gcd(times, count) == 0:
            return None
        found.append((tuple(left), times // count))
    return Dimension(tuple(sorted(found)))


@dataclass
class Diagonal(Rule):
    """diag of a column is a matrix; diag of a matrix is its diagonal, a column."""

    node: Node
    form: Form
    out: Form

    def sizes(self) -> Sequence[Size]:
        """The sizes it is about."""
        return self.form

    def settle(self, shapes: Shapes) -> bool:
        """Draw what follows."""
        rows, columns = self.form
        shapes.equate(self.out[0], rows)
        if columns.is_one:
            shapes.equate(self.out[1], rows)
        elif columns.is_more:
            shapes.equate(rows, columns)
            shapes.equate(self.out[1], UNIT)
        else:
            return False
        return True

    def presume(self, shapes: Shapes, stage: int) -> None:
        """Take what people usually mean."""
        if stage == 3:
            shapes.enlarge(self.form[1])


@dataclass
class Inverted(Rule):
    """A negative power: of a square matrix its inverse, of a column entry by entry."""

    node: Node
    form: Form

    def sizes(self) -> Sequence[Size]:
        """The sizes it is about."""
        return self.form

    def settle(self, shapes: Shapes) -> bool:
        """Draw what follows."""
        if self.form[1].is_more:
            shapes.equate(*self.form)
        return self.form[1].dimension is not None or self.form[1].is_more

    def presume(self, shapes: Shapes, stage: int) -> None:
        """Take what people usually mean."""
        if stage == 1 and self.form[0].is_more:
            shapes.enlarge(self.form[1])
