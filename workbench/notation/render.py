"""Expressions as people write them. One walk over the graph; a dialect says how a thing looks."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import groupby

from workbench.calculus.algebra import multiply, power, split_coefficient
from workbench.calculus.dimensions import ONE, Dimension
from workbench.calculus.expressions import Expression, number
from workbench.calculus.functions import ABS, EXP, Function
from workbench.calculus.matrices import transpose
from workbench.derivation.subscripts import bounds, shown_factors
from workbench.notation.dialect import ATOM, POWER, PRODUCT, SUM, Dialect, Piece


class Renderer(Dialect):
    """Walks an expression; subclasses give the look of each part."""

    def render(self, expression: Expression) -> str:
        """The expression as text."""
        return self.piece(expression).text

    def piece(self, node: Expression) -> Piece:
        """One node, with how tightly it holds together."""
        method = getattr(self, f"_{node.operation}", None)
        if method is None:
            inner = ", ".join(self.render(argument) for argument in node.arguments)
            return Piece(self.call(node.operation, inner), ATOM)
        result: Piece = method(node)
        return result

    def held(self, node: Expression, level: int) -> str:
        """A node in parentheses unless it holds together at least as tightly as asked."""
        piece = self.piece(node)
        return piece.text if piece.level >= level else self.parenthesise(piece.text)

    # operations

    def _symbol(self, node: Expression) -> Piece:
        return Piece(self.name(node.symbol.name), ATOM)

    def _number(self, node: Expression) -> Piece:
        value = node.number
        assert value is not None
        if value < 0:
            return Piece(self.minus + self.fraction_number(-value).text, SUM)
        return self.fraction_number(value)

    def _constant(self, node: Expression) -> Piece:
        return Piece(self.name(str(node.data)), ATOM)

    def _size(self, node: Expression) -> Piece:
        assert isinstance(node.data, Dimension)
        return self.dimension(node.data)

    def dimension(self, dimension: Dimension) -> Piece:
        """A size, as in a mean over `m` entries."""
        products = [
            [*([] if names and count == 1 else [str(count)]), *map(self.name, names)]
            for names, count in dimension.terms
        ]
        if len(products) > 1:
            return Piece(" + ".join(map(self.product_sign.join, products)), SUM)
        (factors,) = products or [["0"]]
        return Piece(self.product_sign.join(factors), ATOM if len(factors) == 1 else PRODUCT)

    def _zero(self, node: Expression) -> Piece:
        return Piece("0", ATOM)

    def _ones(self, node: Expression) -> Piece:
        one = self.special("ones")
        if node.is_column:
            return Piece(one, ATOM)
        if node.shape[0] == ONE:
            return Piece(self.transposed(one), POWER)
        return Piece(one + self.product_sign + self.transposed(one), PRODUCT)

    def _identity(self, node: Expression) -> Piece:
        shown = self.dimension(node.shape[0]).text
        return Piece(self.special("identity", shown), ATOM)

    def _add(self, node: Expression) -> Piece:
        text = ""
        for place, term in enumerate(node.arguments):
            coefficient, rest = split_coefficient(term)
            if coefficient < 0:
                shown = rest if coefficient == -1 else multiply(number(-coefficient), rest)
                sign = self.minus if place == 0 else f" {self.minus} "
                text += sign + self.held(shown, PRODUCT)
            else:
                text += ("" if place == 0 else " + ") + self.held(term, PRODUCT)
        return Piece(text, SUM)

    def _multiply(self, node: Expression) -> Piece:
        coefficient, rest = split_coefficient(node)
        if coefficient == -1:
            return Piece(self.minus + self.held(rest, PRODUCT), SUM)
        if coefficient < 0:
            positive = multiply(number(-coefficient), rest)
            return Piece(self.minus + self.held(positive, PRODUCT), SUM)
        scalars: list[Expression] = []
        matrices: list[Expression] = []
        for factor in node.arguments:
            (scalars if factor.is_scalar else matrices).append(factor)
        divisors = [factor for factor in scalars if _is_plain_reciprocal(factor)]
        if matrices and divisors:
            below = [power(factor.arguments[0], -_exponent(factor)) for factor in divisors]
            top = multiply(*(factor for factor in node.arguments if factor not in divisors))
            above = self.piece(top)
            if self.slash_fractions and self._divides(matrices) and len(divisors) == len(scalars):
                above = Piece(self.parenthesise(above.text), ATOM)
            return self.quotient(above, self._product_of(below, False), False)
        front = self._quotient_of(scalars, False, followed=bool(matrices)) if scalars else None
        if not matrices:
            assert front is not None
            return front
        back = self._quotient_of(matrices, elementwise=True)
        if front is None:
            return back
        lead = front.text
        slashed = self.slash_fractions and self._divides(scalars)
        if front.level < PRODUCT or (slashed and front.level < ATOM):
            lead = self.parenthesise(lead)
        is_single = len(matrices) == 1 and not self._divides(matrices)
        if is_single and back.level >= PRODUCT:
            return Piece(lead + self.product_sign + back.text, PRODUCT)
        return Piece(lead + self.product_sign + self.parenthesise(back.text), PRODUCT)

    def _divides(self, factors: Sequence[Expression]) -> bool:
        return any(_is_reciprocal(factor) for factor in factors)

    def _quotient_of(
        self, factors: Sequence[Expression], elementwise: bool, *, followed: bool = False
    ) -> Piece:
        """Factors with negative powers go below the line; `followed` by more factors or not."""
        above = [factor for factor in factors if not _is_reciprocal(factor)]
        below = [power(f.arguments[0], -_exponent(f)) for f in factors if _is_reciprocal(f)]
        fractions = [f.number for f in above if f.number is not None]
        if below and fractions:
            above = [f for f in above if f.number is None]
            if fractions[0].numerator != 1:
                above.insert(0, number(fractions[0].numerator))
            if fractions[0].denominator != 1:
                below.insert(0, number(fractions[0].denominator))
        open_end = not followed or bool(below)
        top = self._product_of(above, elementwise, open_end) if above else Piece("1", ATOM)
        if not below:
            return top
        if elementwise and len(above) == 1 and above[0].operation == "kron":
            top = Piece(self.parenthesise(top.text), ATOM)
        return self.quotient(top, self._product_of(below, elementwise), elementwise)

    def _product_of(
        self, factors: Sequence[Expression], elementwise: bool, open_end: bool = True
    ) -> Piece:
        """Factors side by side; at an open end a matrix product needs no parentheses."""
        if len(factors) == 1 and (open_end or factors[0].operation != "matmul"):
            return self.piece(factors[0])
        sign = self.hadamard_sign if elementwise else self.product_sign
        if any(factor.operation == "jacobian" for factor in factors) and not elementwise:
            sign = self.chain_sign
        level = POWER if not elementwise else PRODUCT
        texts = []
        for place, factor in enumerate(factors):
            piece = self.piece(factor)
            is_last = open_end and place == len(factors) - 1
            if factor.operation == "matmul" and is_last and not elementwise:
                texts.append(piece.text)
                continue
            loose = piece.level < level or factor.operation in ("multiply", "matmul", "kron")
            is_partial = factor.operation == "jacobian"
            texts.append(self.parenthesise(piece.text) if loose and not is_partial else piece.text)
        return Piece(sign.join(texts), PRODUCT)

    def _power(self, node: Expression) -> Piece:
        exponent, inner = _exponent(node), node.arguments[0]
        if exponent < 0:
            positive = self.piece(power(inner, -exponent))
            return self.quotient(Piece("1", ATOM), positive, not node.is_scalar)
        squared = _root_of_norm(inner)
        if squared is not None and exponent.denominator == 2:
            norm = self.norm(self.render(squared))
            return (
                Piece(norm, ATOM)
                if exponent.numerator == 1
                else self.superscript(norm, 2 * exponent)
            )
        if exponent == Fraction(1, 2):
            return self.root(self.render(inner))
        if ONE not in node.shape:
            return self.hadamard_power(self.held(inner, ATOM), exponent)
        return self.superscript(self.held(inner, ATOM), exponent)

    def _matmul(self, node: Expression) -> Piece:
        texts = []
        for factor, run in groupby(node.arguments):
            piece, count = self.piece(factor), len(list(run))
            if count > 1:
                piece = self.superscript(self.held(factor, ATOM), Fraction(count))
            texts.append(piece.text if piece.level >= POWER else self.parenthesise(piece.text))
        return Piece(self.product_sign.join(texts), PRODUCT)

    def _transpose(self, node: Expression) -> Piece:
        if node.arguments[0].operation == "inverse":
            return Piece(self.inverted(self._base(node.arguments[0]), transposed=True), POWER)
        return Piece(self.transposed(self.held(node.arguments[0], ATOM)), POWER)

    def _inverse(self, node: Expression) -> Piece:
        return Piece(self.inverted(self._base(node), transposed=False), POWER)

    def _base(self, node: Expression) -> str:
        return self.held(node.arguments[0], ATOM)

    def _vstack(self, node: Expression) -> Piece:
        return Piece(self.stack(list(map(self.render, node.arguments)), vertical=True), ATOM)

    def _hstack(self, node: Expression) -> Piece:
        return Piece(self.stack(list(map(self.render, node.arguments)), vertical=False), ATOM)

    def _block(self, node: Expression) -> Piece:
        assert isinstance(node.data, tuple)
        ranges = []
        for place, start in enumerate(node.data):
            length, whole = node.shape[place], node.arguments[0].shape[place]
            first, last = self.dimension(start + ONE).text, self.dimension(start + length).text
            ranges.append(":" if length is whole else f"{first}:{last}")
        return Piece(self.part(self.held(node.arguments[0], ATOM), ranges), ATOM)

    def _commutation(self, node: Expression) -> Piece:
        assert isinstance(node.data, tuple)
        rows, columns = (self.dimension(dimension).text for dimension in node.data)
        return Piece(self.commutation_matrix(rows, columns), ATOM)

    def _trace(self, node: Expression) -> Piece:
        return Piece(self.call(self.special("trace"), self.render(node.arguments[0])), ATOM)

    def _det(self, node: Expression) -> Piece:
        return Piece(self.call(self.special("det"), self.render(node.arguments[0])), ATOM)

    def _kron(self, node: Expression) -> Piece:
        text = self.kron_sign.join(self.held(factor, POWER) for factor in node.arguments)
        return Piece(text, PRODUCT)

    def _apply(self, node: Expression) -> Piece:
        function, argument = node.data, node.arguments[0]
        assert isinstance(function, Function)
        if function == EXP:
            return self.exponential(argument)
        if function == ABS and ONE in argument.shape:
            return Piece(self.special("absolute", self.render(argument)), ATOM)
        return Piece(self.call(self.function(function), self.render(argument)), ATOM)

    def _where(self, node: Expression) -> Piece:
        condition, yes, no = (self.render(argument) for argument in node.arguments)
        if node.arguments[0].operation.startswith("greater"):
            condition = self.comparison(node.arguments[0])
        return self.cases(condition, yes, no)

    def comparison(self, node: Expression) -> str:
        """A comparison without the brackets of an indicator."""
        sign = " > " if node.operation == "greater" else f" {self.special('at_least')} "
        return self.render(node.arguments[0]) + sign + self.render(node.arguments[1])

    def _greater(self, node: Expression) -> Piece:
        return Piece(f"[{self.comparison(node)}]", ATOM)

    _greater_equal = _greater

    def _maximum(self, node: Expression) -> Piece:
        inner = ", ".join(self.render(argument) for argument in node.arguments)
        return Piece(self.call(self.special("max"), inner), ATOM)

    def _minimum(self, node: Expression) -> Piece:
        inner = ", ".join(self.render(argument) for argument in node.arguments)
        return Piece(self.call(self.special("min"), inner), ATOM)

    def _sum(self, node: Expression) -> Piece:
        squared = _root_of_norm(node)
        if squared is not None:
            return self.superscript(self.norm(self.render(squared)), Fraction(2))
        return Piece(self.call(self.special("sum"), self.render(node.arguments[0])), ATOM)

    def _jacobian(self, node: Expression) -> Piece:
        return self.partial(*self._sides(node))

    def _sides(self, node: Expression) -> tuple[str, str]:
        """What is differentiated and by what; matrices through vec."""
        assert isinstance(node.data, tuple)
        of, by = node.data
        sides = []
        for side in (of, by):
            text = self.render(side)
            is_matrix = not of.is_scalar and not side.is_column
            sides.append(self.call(self.special("vec"), text) if is_matrix else text)
        return sides[0], sides[1]

    def _total_jacobian(self, node: Expression) -> Piece:
        return self.partial(*self._sides(node), total=True)

    def _differential(self, node: Expression) -> Piece:
        assert isinstance(node.data, Expression)
        of = self.render(node.data)
        return Piece(f"d{of if node.data.operation == 'symbol' else self.parenthesise(of)}", ATOM)

    def _hessian(self, node: Expression) -> Piece:
        assert isinstance(node.data, tuple)
        of, by = node.data
        text = self.render(by)
        variable = text if by.is_column else self.call(self.special("vec"), text)
        return self.second_partial(self.render(of), variable, by.is_scalar)

    def _inner(self, node: Expression) -> Piece:
        left, right = map(self.render, node.arguments)
        return Piece(self.inner_product(left, right), ATOM)

    _numerator_jacobian = _jacobian

    def _derivative(self, node: Expression) -> Piece:
        operator = self.partial("", "z")
        inner = self.held(node.arguments[0], POWER)
        return Piece(operator.text + self.product_sign + inner, SUM)

    def _entry(self, node: Expression) -> Piece:
        assert isinstance(node.data, tuple)
        return Piece(self.indexed(self.held(node.arguments[0], ATOM), node.data), ATOM)

    def _delta(self, node: Expression) -> Piece:
        assert isinstance(node.data, tuple)
        return Piece(self.kronecker_delta(node.data), ATOM)

    def _index_sum(self, node: Expression) -> Piece:
        assert isinstance(node.data, tuple)
        return Piece(self.summation(node.data[0], self.held(node.arguments[0], PRODUCT)), PRODUCT)

    def _index_product(self, node: Expression) -> Piece:
        body = self.held(node.arguments[0], PRODUCT)
        return Piece(self.product_over(*bounds(node), body), PRODUCT)

    def _spelled_product(self, node: Expression) -> Piece:
        one, two, last = (self.held(factor, PRODUCT) for factor in shown_factors(node))
        shown = (one, two, self.special("dots"), last)
        return Piece(self.product_sign.join(shown), POWER)

    def _column_max(self, node: Expression) -> Piece:
        return Piece(self.call(self.special("max"), self.render(node.arguments[0])), ATOM)


def _exponent(node: Expression) -> Fraction:
    assert isinstance(node.data, Fraction)
    return node.data


def _root_of_norm(node: Expression) -> Expression | None:
    """The A of ‖A‖², written as the sum of the squares of its entries or as xᵀ x."""
    inner = node.arguments[0] if node.arguments else node
    if node.operation == "sum" and inner.operation == "power" and inner.data == Fraction(2):
        return None if inner.is_column else inner.arguments[0]
    if node.operation == "matmul" and node.is_scalar and len(node.arguments) == 2:
        left, right = node.arguments
        return right if left is transpose(right) else None
    return None


def _is_plain_reciprocal(factor: Expression) -> bool:
    """Whether a factor divides by something other than a size."""
    return _is_reciprocal(factor) and factor.arguments[0].operation != "size"


def _is_reciprocal(factor: Expression) -> bool:
    return factor.operation == "power" and _exponent(factor) < 0
