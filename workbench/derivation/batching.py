"""The batch form of a system: equations about one sample, written for many, a sample a column.

A column x of n entries becomes X of n×B, a number of a sample a row 1×B, and what is the same for
every sample stays what it is. Each operation has one rule. What couples more than the entries of a
column has none (a matrix that differs between samples, say), and such a system is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn

from workbench.calculus.algebra import add, multiply, power, split_scalars, spread
from workbench.calculus.blocks import ZERO, block, vstack
from workbench.calculus.dimensions import ONE, Shape
from workbench.calculus.expressions import Expression, Kind, describe, ones, size, symbol, walk
from workbench.calculus.functions import Function, repeated
from workbench.calculus.matrices import matmul, total, transpose
from workbench.calculus.rewriting import rebuild
from workbench.calculus.simplify import ELEMENTWISE, inner_products
from workbench.derivation.network import BATCH
from workbench.derivation.system import Equation, System
from workbench.errors import InputError

WEIGHTS = "s"
"""What the weights of the samples are called, where that name is free."""


GIVEN = (Kind.INPUT, Kind.TARGET, Kind.PARAMETER)
"""The kinds of symbols that no equation defines."""


class BatchFormError(InputError):
    """A system of one sample that cannot be written for a batch."""


def batched(
    system: System,
    *,
    reduction: str = "mean",
    weighted: bool = False,
    fixed: Sequence[str] = (),
) -> System:
    """The system of a batch, whose loss is that of its samples taken together.

    Terms of the loss that do not depend on a sample, such as a penalty on the weights, count once
    in a mean and in a weighted sum, and once a sample in a sum. What is given stands in the same
    order in both systems.

    Parameters
    ----------
    system : the equations of one sample, with a scalar loss.
    reduction : how the samples are taken together, "mean" or "sum".
    weighted : whether the loss is Σ sᵢ ℓᵢ instead, with the weights s (B×1) among the targets, as
        `weights_of` finds them.
    fixed : the inputs and targets that are the same for every sample.

    Raises
    ------
    BatchFormError
        If an equation has no batch form; the message names it and says why.
    InputError
        If the loss is no number or depends on no sample, or a size of the system is called B.

    >>> from workbench.calculus.algebra import subtract
    >>> from workbench.calculus.dimensions import Dimension
    >>> m, n = Dimension.named("m"), Dimension.named("n")
    >>> W, x = symbol("W", Kind.PARAMETER, (m, n)), symbol("x", Kind.INPUT, (n, ONE))
    >>> y = symbol("y", Kind.TARGET, (m, ONE))
    >>> loss = Equation(symbol("L", Kind.LOSS), total(power(subtract(matmul(W, x), y), 2)))
    >>> [(s.symbol.name, s.shape) for s in batched(System((loss,))).of_kind(Kind.INPUT)]
    [('X', (n, B))]
    """
    _refuse_unfit(system)
    return _Batching(system, fixed).system(reduction, weighted)


def is_batch(system: System) -> bool:
    """Whether the equations are about a batch already: a size of theirs is called B."""
    sizes = {name for s in system.symbols for part in s.shape for name in part.names}
    return not sizes.isdisjoint(BATCH.names)


def weights_of(system: System) -> Expression | None:
    """The weights of the samples in a weighted batch system, else None."""
    targets = system.of_kind(Kind.TARGET)
    return next((target for target in targets if target.shape == (BATCH, ONE)), None)


def require_scalar_loss(system: System) -> None:
    """Refuse a loss that is more than one number.

    Raises
    ------
    InputError
        If it is.
    """
    name = system.loss.symbol.name
    if not system.loss.is_scalar:
        raise InputError(
            f"{name} is {describe(system.loss.shape)}; training needs a loss that is one number, "
            f"such as sum({name}.^2), as the last equation"
        )


def _refuse_unfit(system: System) -> None:
    require_scalar_loss(system)
    if is_batch(system):
        raise InputError(
            f"the equations have a size {BATCH!r}, so they are for a batch already; call the size "
            "by another name if they are for one sample"
        )


@dataclass
class _Batching:
    """One system on its way to its batch form.

    A row of a sample is held as its transpose, so that everything that differs between samples has
    a column for each of them. A matrix that differs has no form, but applies to vectors.

    Attributes
    ----------
    forms : what differs between samples, with its batch form; None for a matrix.
    name : the left side of the equation at hand.
    """

    single: System
    fixed: Sequence[str]
    forms: dict[Expression, Expression | None] = field(default_factory=dict)
    name: str = ""

    def __post_init__(self) -> None:
        self.taken = {s.symbol.name for s in self.single.symbols}
        for given in self.single.of_kind(Kind.INPUT, Kind.TARGET):
            if given.symbol.name not in self.fixed:
                self.name = given.symbol.name
                self.forms[given] = self._symbol(given)

    def system(self, reduction: str, weighted: bool) -> System:
        """The batch form of every equation and assumption."""
        equations = [self._equation(equation) for equation in self.single.equations[:-1]]
        equations.append(self._loss(reduction, weighted))
        return replace(
            self.single,
            equations=tuple(equations),
            assumptions=tuple(self._assumption(*pair) for pair in self.single.assumptions),
            listed=tuple(self.forms.get(s) or s for s in self.single.of_kind(*GIVEN)),
        )

    # equations

    def _equation(self, equation: Equation) -> Equation:
        self.name = equation.left.symbol.name
        if not self.varies(equation.right):
            return equation
        left = self.forms[equation.left] = self._symbol(equation.left)
        return Equation(left, self.form(equation.right))

    def _symbol(self, one: Expression) -> Expression:
        """X for x, unless another symbol is called X; a number of each sample keeps its name."""
        if ONE not in one.shape:
            self._refuse(one)
        rows = one.shape[0] * one.shape[1]
        name, kind = one.symbol.name, one.symbol.kind
        capital = name[0].upper() + name[1:]
        is_free = not one.is_scalar and capital not in self.taken
        return symbol(capital if is_free else name, kind, (rows, BATCH))

    def _loss(self, reduction: str, weighted: bool) -> Equation:
        """The samples taken together, and what does not depend on them."""
        left, right = self.single.equations[-1].left, self.single.equations[-1].right
        self.name = left.symbol.name
        if not self.varies(right):
            raise InputError(f"{self.name} depends on no sample; there is nothing to learn from")
        terms = right.arguments if right.operation == "add" else (right,)
        samples = self.form(add(*(term for term in terms if self.varies(term))))
        same = add(*(term for term in terms if not self.varies(term)))
        if weighted:
            return Equation(left, add(matmul(samples, self._weights()), same))
        loss = inner_products(total(samples))
        if reduction == "mean":
            return Equation(left, add(multiply(power(size(BATCH), -1), loss), same))
        return Equation(left, add(loss, multiply(size(BATCH), same)))

    def _weights(self) -> Expression:
        name = WEIGHTS
        while name in self.taken:
            name += "_"
        return symbol(name, Kind.TARGET, (BATCH, ONE))

    def _assumption(self, left: Expression, right: Expression) -> tuple[Expression, Expression]:
        """What is known of a sample, 𝟏ᵀy = 1, known of each: 𝟏ᵀY = 𝟏ᵀ."""
        if not self.varies(left):
            return left, right
        form = self.form(left)
        return form, spread(self._operand(right, form.shape), form.shape)

    # forms

    def varies(self, root: Expression) -> bool:
        """Whether a value differs between samples; finds the forms of all that it is made of."""
        for node in walk(root):
            if node not in self.forms and any(part in self.forms for part in node.arguments):
                self.forms[node] = self._form(node) if ONE in node.shape else None
        return root in self.forms

    def form(self, node: Expression) -> Expression:
        """The batch form of what differs between samples."""
        form = self.forms[node] if self.varies(node) else None
        if form is None:
            self._refuse(node)
        return form

    def _form(self, node: Expression) -> Expression:
        """The form of a number, a column or a row, whose parts have theirs."""
        match node.operation:
            case "transpose":
                return self.form(node.arguments[0])
            case "sum":
                return self._sum(node.arguments[0])
            case "matmul":
                is_turned = not node.is_column
                first, *others = node.arguments if is_turned else node.arguments[::-1]
                return self._product(others, self._vector(first), is_turned)
            case "vstack" | "hstack":
                return vstack(*map(self._wide_form, node.arguments))
            case "block":
                assert isinstance(node.data, tuple)
                start = node.data[0] if node.is_column else node.data[1]
                rows = node.shape[0] * node.shape[1]
                return block(self.form(node.arguments[0]), start, rows, ZERO, BATCH)
            case operation if operation in ELEMENTWISE:
                return self._elementwise(node)
        self._refuse(node)

    def _elementwise(self, node: Expression) -> Expression:
        function = node.data
        if isinstance(function, Function) and function.columnwise and not node.is_column:
            self._refuse(node)
        scalars, rest = split_scalars(node)
        shape = (node.shape[0] * node.shape[1], BATCH)
        if scalars and rest is not None:
            if not self.varies(rest):
                return matmul(_column(rest), self.form(multiply(*scalars)))
            return multiply(self._operand(multiply(*scalars), shape), self.form(rest))
        return rebuild(node, tuple(self._operand(part, shape) for part in node.arguments))

    def _operand(self, part: Expression, shape: Shape) -> Expression:
        """One operand of an elementwise operation of this shape."""
        if part.is_scalar and not self.varies(part):
            return part
        return repeated(self._wide_form(part), shape)

    def _sum(self, summed: Expression) -> Expression:
        if ONE in summed.shape:
            return _sums_of_columns(self.form(summed))
        return _sums_of_columns(self._applied(summed, ones((summed.shape[1], ONE)), False))

    # products: a vector is of n×1 while it is the same for every sample, else of n×B

    def _product(
        self, factors: Sequence[Expression], vector: Expression, is_turned: bool
    ) -> Expression:
        for factor in factors:
            vector = self._applied(factor, vector, is_turned)
        return vector

    def _applied(self, matrix: Expression, vector: Expression, is_turned: bool) -> Expression:
        """A matrix, or its transpose if it is turned, times a vector."""
        if not self.varies(matrix):
            return matmul(transpose(matrix) if is_turned else matrix, vector)
        if ONE in matrix.shape:
            return self._scaled_or_summed(matrix, vector, matrix.is_column is not is_turned)
        match matrix.operation:
            case "transpose":
                return self._applied(matrix.arguments[0], vector, not is_turned)
            case "diag":
                return multiply(self.form(matrix.arguments[0]), _wide(vector))
            case "matmul":
                factors = matrix.arguments if is_turned else matrix.arguments[::-1]
                return self._product(factors, vector, is_turned)
            case "add":
                terms = (spread(term, matrix.shape) for term in matrix.arguments)
                return add(*(_wide(self._applied(term, vector, is_turned)) for term in terms))
        scalars, rest = split_scalars(matrix)
        if not scalars or rest is None:
            self._refuse(matrix)
        product = _wide(self._applied(rest, vector, is_turned))
        return multiply(self._operand(multiply(*scalars), product.shape), product)

    def _scaled_or_summed(
        self, given: Expression, vector: Expression, is_column: bool
    ) -> Expression:
        """A column of each sample times a number, or a row of each sample times a column."""
        form = self.form(given)
        if is_column:
            return multiply(form, repeated(_wide(vector), form.shape))
        if vector.is_column:
            return matmul(transpose(vector), form)
        return _sums_of_columns(multiply(form, vector))

    def _vector(self, given: Expression) -> Expression:
        return self.form(given) if self.varies(given) else _column(given)

    def _wide_form(self, given: Expression) -> Expression:
        return _wide(self._vector(given))

    def _refuse(self, node: Expression) -> NoReturn:
        matrix = next((part for part in (node, *node.arguments) if ONE not in part.shape), node)
        what = matrix.symbol.name if matrix.operation == "symbol" else matrix.operation
        where = "" if what == self.name else f"the equation of {self.name} has no batch form: "
        raise BatchFormError(
            f"{where}{what} is {describe(matrix.shape)} and differs between samples; in a batch a "
            "sample is a column or a number"
        )


def _column(vector: Expression) -> Expression:
    return vector if vector.is_column else transpose(vector)


def _wide(vector: Expression) -> Expression:
    """A vector of every sample; one that is the same for all is repeated, w 𝟏ᵀ."""
    return matmul(vector, ones((ONE, BATCH))) if vector.is_column else vector


def _sums_of_columns(form: Expression) -> Expression:
    return matmul(ones((ONE, form.shape[0])), form)
