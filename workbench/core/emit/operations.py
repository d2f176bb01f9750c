"""The source of one node, given that of its arguments.

A column or a row that stands for a matrix (b 𝟏ᵀ) is kept narrow and broadcast where it is used; a
comparison stays a truth value until a number is needed.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from fractions import Fraction

from workbench.calculus.dimensions import ONE, Dimension
from workbench.calculus.expressions import Expression
from workbench.calculus.functions import LOG, Function
from workbench.core.emit.code import (
    ATOM,
    COMPARISON,
    SUM,
    Code,
    call,
    matrix_product,
    number,
    product_of,
    sum_of,
)
from workbench.core.emit.graph import ELEMENTWISE, is_constant, is_undetermined
from workbench.core.emit.languages import Arrays, Language
from workbench.core.emit.names import Names
from workbench.core.emit.sizes import SizeNames
from workbench.core.numerics import LOG_ONE_PLUS_EXP
from workbench.errors import InputError


class Operations:
    """Words the operations of the graph in a language.

    Attributes
    ----------
    callables : for each undetermined function and derivative that occurs, its name.
    code : the source of every node so far.
    named : the nodes whose source is a variable.
    narrow : the nodes whose source is a row or a column that is repeated.
    truths : the nodes whose source is a truth value.
    """

    def __init__(self, language: Language, names: Names, sizes: SizeNames) -> None:
        self.language = language
        self.names = names
        self.sizes = sizes
        self.callables: dict[Function, str] = {}
        self.code: dict[Expression, Code] = {}
        self.named: set[Expression] = set()
        self.narrow: set[Expression] = set()
        self.truths: set[Expression] = set()

    def value(self, node: Expression) -> Code:
        """A node at its full size, in numbers."""
        code = self.entries(node)
        if node in self.narrow:
            return self._arrays.broadcast(code, self.sizes.pair(node))
        return code

    def entries(self, node: Expression) -> Code:
        """A node in numbers, in a form that is broadcast to its size."""
        code = self.code[node]
        return self.language.truth_as_number(code, node.is_scalar) if node in self.truths else code

    @property
    def _arrays(self) -> Arrays:
        assert isinstance(self.language, Arrays)
        return self.language

    def lower(self, node: Expression) -> Code:
        """The source of a node whose arguments have theirs.

        Raises
        ------
        InputError
            If the language has no word for the operation.
        """
        if is_constant(node):
            return self._scalar(node, self._language_of(node))
        if node.operation in ELEMENTWISE:
            return self._elementwise(node)
        if not node.arguments and node.is_scalar:
            return self._scalar(node, self.language)
        if isinstance(self.language, Arrays):
            return self._matrix(node, self.language)
        raise InputError(f"the python target is for scalars and cannot compute {node.operation}")

    def _language_of(self, node: Expression) -> Language:
        """Numbers that depend on sizes alone have a language of their own."""
        if is_constant(node) and isinstance(self.language, Arrays):
            return self.language.constants
        return self.language

    def _scalar(self, node: Expression, language: Language) -> Code:
        """A number, or an operation on numbers."""
        if node.number is not None:
            return number(node.number)
        match node.operation:
            case "constant":
                return language.constant(str(node.data))
            case "size":
                assert isinstance(node.data, Dimension)
                return self.sizes(node.data)
        if node.operation not in ELEMENTWISE:
            raise InputError(f"{node!r} has no value that could be emitted")
        outer, self.language = self.language, language
        code = self._elementwise(node)
        self.language = outer
        return code

    def _elementwise(self, node: Expression) -> Code:
        wide = [argument for argument in node.arguments if not argument.is_scalar]
        if wide and all(argument in self.narrow for argument in wide):
            sides = {self._is_row(argument) for argument in wide}
            if len(sides) == 1:
                self.narrow.add(node)
        match node.operation:
            case "add":
                terms = [term for term in node.arguments if not term.is_scalar]
                is_full = any(not _is_spread(t) and t not in self.narrow for t in terms)
                return sum_of([self._term(term, is_full) for term in node.arguments])
            case "multiply":
                return self._product(node.arguments)
            case "power":
                assert isinstance(node.data, Fraction)
                return self._power(self.entries(node.arguments[0]), node.data)
            case "apply":
                return self._apply(node)
            case "where":
                return self._where(node)
            case "maximum" | "minimum":
                return self._larger(node)
        self.truths.add(node)
        sign = ">" if node.operation == "greater" else ">="
        left, right = (self.entries(argument).held(SUM) for argument in node.arguments)
        return Code(f"{left} {sign} {right}", COMPARISON)

    def _is_row(self, node: Expression) -> bool:
        """Of a narrow node: whether it is a row repeated, not a column."""
        while node.operation != "matmul":
            node = next(a for a in node.arguments if a in self.narrow)
        return node.arguments[0].operation == "ones" and node.arguments[0].is_column

    def _term(self, term: Expression, is_full: bool) -> tuple[bool, Code]:
        """A term of a sum: whether it is subtracted, and what.

        A scalar that is spread over a matrix is broadcast where another term is of full size.
        """
        if term.number is not None and term.number < 0:
            return True, number(-term.number)
        if term.operation != "multiply" or term in self.named:
            return False, self.entries(term)
        factors = term.arguments
        if is_full and _is_spread(term):
            factors = tuple(factor for factor in factors if factor.is_scalar)
        first = factors[0].number
        turned = first is not None and first < 0
        return turned, self._product(factors, turned=turned)

    def _product(self, factors: Sequence[Expression], *, turned: bool = False) -> Code:
        coefficient = factors[0].number
        rest = [factor for factor in factors if factor.number is None]
        above, below = [], []
        plain = [f for f in rest if f not in self.truths]
        truths_stay = coefficient is None and plain and not any(map(is_constant, rest))
        for factor in rest:
            reciprocal = self._reciprocal(factor)
            if reciprocal is not None:
                below.append(reciprocal)
            else:
                above.append(self.code[factor] if truths_stay else self.entries(factor))
        if coefficient is None:
            return product_of(above, below)
        size = abs(coefficient)
        scale = number(size)
        if scale.level < ATOM:
            below.insert(0, number(Fraction(size.denominator)))
            scale = number(Fraction(size.numerator))
        if scale.text != "1" or not above:
            above.insert(0, scale)
        return product_of(above, below, minus=coefficient < 0 and not turned)

    def _reciprocal(self, node: Expression) -> Code | None:
        """What a factor divides by, if it is written as a negative power."""
        if node in self.named:
            return None
        if node.operation == "power" and isinstance(node.data, Fraction) and node.data < 0:
            base = self.entries(node.arguments[0])
            return base if node.data == -1 else self._language_of(node).power(base, -node.data)
        if node in self.narrow and node.operation == "matmul":
            inner = [a for a in node.arguments if a.operation != "ones"]
            return self._reciprocal(inner[0]) if len(inner) == 1 else None
        return None

    def _power(self, base: Code, exponent: Fraction) -> Code:
        if exponent == -1:
            return product_of([], [base])
        if exponent < 0:
            return product_of([], [self.language.power(base, -exponent)])
        return self.language.power(base, exponent)

    def _apply(self, node: Expression) -> Code:
        function, (argument,) = node.data, node.arguments
        assert isinstance(function, Function)
        if function == LOG_ONE_PLUS_EXP:
            return self.language.log_one_plus_exp(self.entries(argument))
        if is_undetermined(node):
            return call(self._callable(function), self.value(argument))
        if function == LOG and argument.operation == "det" and isinstance(self.language, Arrays):
            return self.language.log_det(self.value(argument.arguments[0]))
        return self.language.function(function.name, self.entries(argument))

    def _callable(self, function: Function) -> str:
        if function not in self.callables:
            primes = ("", "_prime", "_second")
            suffix = primes[function.order] if function.order < 3 else f"_order_{function.order}"
            self.callables[function] = self.names.new(function.name + suffix)
        return self.callables[function]

    def _where(self, node: Expression) -> Code:
        """A choice; between two numbers, they take the type of the arrays."""
        condition, yes, no = node.arguments
        choices = self.entries(yes), self.entries(no)
        if isinstance(self.language, Arrays) and is_constant(yes) and is_constant(no):
            choices = self.language.lifted(choices[0]), self.language.lifted(choices[1])
        return self.language.where(self._truth(condition), *choices)

    def _truth(self, condition: Expression) -> Code:
        if condition in self.truths:
            return self.code[condition]
        return Code(f"{self.entries(condition).held(SUM)} != 0", COMPARISON)

    def _larger(self, node: Expression) -> Code:
        left, right = node.arguments
        codes = self.entries(left), self.entries(right)
        if isinstance(self.language, Arrays) and is_constant(left) != is_constant(right):
            bound, other = codes if is_constant(left) else codes[::-1]
            return self.language.clamped(node.operation, other, bound)
        return self.language.larger(node.operation, *codes)

    # matrices

    def _matrix(self, node: Expression, words: Arrays) -> Code:
        one_argument: dict[str, Callable[[Code], Code]] = {
            "transpose": words.transposed,
            "sum": words.summed,
            "vec": words.vec,
            "diag": words.diag,
            "diagonal": words.diagonal,
            "trace": words.trace,
            "inverse": lambda matrix: words.linear("inv", matrix),
            "det": lambda matrix: words.linear("det", matrix),
            "column_max": lambda matrix: words.column_max(matrix, node.is_scalar),
            "devec": lambda column: words.devec(column, self.sizes.pair(node)),
        }
        match node.operation:
            case "ones" | "zero":
                return words.filled(f"{node.operation.rstrip('s')}s", self.sizes.pair(node))
            case "identity":
                return words.identity(self.sizes(node.shape[0]).text)
            case "commutation":
                assert isinstance(node.data, tuple)
                rows, columns = (self.sizes(dimension).text for dimension in node.data)
                return words.commutation(rows, columns, self.sizes(node.shape[0]).text)
            case "matmul":
                return self._matmul(node)
            case "kron":
                return words.kron([self.value(factor) for factor in node.arguments])
            case "vstack" | "hstack":
                return words.stack(node.operation, [self._part(part) for part in node.arguments])
            case "block":
                return self._block(node)
            case operation if operation in one_argument:
                return one_argument[operation](self.value(node.arguments[0]))
        raise InputError(f"{node.operation} cannot be emitted")

    def _part(self, part: Expression) -> Code:
        code = self.value(part)
        if not part.is_scalar:
            return code
        return self._arrays.as_matrix(self._arrays.lifted(code) if is_constant(part) else code)

    def _block(self, node: Expression) -> Code:
        assert isinstance(node.data, tuple)
        matrix = self.value(node.arguments[0]).held(ATOM)
        starts = [self.sizes(start) for start in node.data]
        if node.is_scalar:
            return Code(f"{matrix}[{starts[0].text}, {starts[1].text}]")
        ends = map(operator.add, node.data, node.shape)
        spans = [_span(start, self.sizes(end)) for start, end in zip(starts, ends, strict=True)]
        return Code(f"{matrix}[{', '.join(spans)}]")

    def _matmul(self, node: Expression) -> Code:
        left, right = _split(node.arguments)
        if len(left) == 1 and left[0].operation == "ones" and left[0].is_column:
            self.narrow.add(node)
            return self._chain(right)
        if len(right) == 1 and right[0].operation == "ones" and right[0].shape[0] == ONE:
            self.narrow.add(node)
            return self._chain(left)
        code = self._chain(node.arguments)
        return Code(f"{code.held(ATOM)}[0, 0]") if node.is_scalar else code

    def _chain(self, factors: Sequence[Expression]) -> Code:
        """A product, from the side on which it stays a column or a row."""
        if len(factors) == 1:
            return self.value(factors[0])
        left, right = _split(factors)
        if len(left) == 1 and left[0].operation == "ones" and left[0].shape[0] == ONE:
            return self._arrays.summed(self._chain(right), 0)
        if len(right) == 1 and right[0].operation == "ones" and right[0].is_column:
            return self._arrays.summed(self._chain(left), 1)
        solved = self._solved(left[0]) if len(left) == 1 else None
        if solved is not None:
            return self._arrays.linear("solve", solved, self._chain(right))
        return matrix_product(self._chain(left), self._chain(right))

    def _solved(self, factor: Expression) -> Code | None:
        """The matrix of A⁻¹ or A⁻ᵀ, if the inverse serves one product alone: that is solved for."""
        inner = factor.arguments[0] if factor.operation == "transpose" else factor
        if inner.operation != "inverse" or inner in self.named:
            return None
        matrix = self.value(inner.arguments[0])
        return matrix if inner is factor else self._arrays.transposed(matrix)


def _is_spread(term: Expression) -> bool:
    """Whether a term is a scalar times a matrix of ones."""
    return term.operation == "multiply" and all(
        factor.is_scalar or factor.operation == "ones" for factor in term.arguments
    )


def _split(factors: Sequence[Expression]) -> tuple[Sequence[Expression], Sequence[Expression]]:
    """The product that is taken last."""
    for place in range(1, len(factors)):
        if factors[place].shape[0] == ONE:
            return factors[:place], factors[place:]
    last = len(factors) - 1 if factors[0].shape[0] == ONE and not factors[-1].is_column else 1
    return factors[:last], factors[last:]


def _span(start: Code, end: Code) -> str:
    """A slice, with the spaces that a formatter wants around a colon between formulas."""
    simple = start.text.isalnum() and end.text.isalnum()
    return f"{start.text}:{end.text}" if simple else f"{start.text} : {end.text}"
