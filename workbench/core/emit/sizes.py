"""The sizes of a system as source text: where each is read from, and the shapes that must hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from workbench.calculus.dimensions import Dimension
from workbench.calculus.expressions import Expression
from workbench.core.emit.code import PRODUCT, UNARY, Code, product_of, sum_of
from workbench.core.emit.names import Names
from workbench.errors import InputError


class SizeNames:
    """Every named dimension as a Python variable.

    Attributes
    ----------
    reading : for each variable, in an order in which they can be computed, where it is read.
    """

    def __init__(
        self,
        arguments: Mapping[Expression, str],
        used: Sequence[Dimension],
        known: Mapping[str, int],
        names: Names,
    ) -> None:
        wanted = dict.fromkeys(name for dimension in used for name in dimension.names)
        self._variables = {name: names.new(name) for name in wanted}
        self.reading: dict[str, str] = {}
        places = [
            (dimension, f"{variable}.shape[{axis}]")
            for argument, variable in arguments.items()
            if not argument.is_scalar
            for axis, dimension in enumerate(argument.shape)
        ]
        missing = set(wanted)
        while missing:
            found = self._solved(places, missing)
            if found is None:
                name = min(missing)
                if name not in known:
                    raise InputError(
                        f"the size {name} cannot be read off the shape of any input, target or "
                        f"parameter; declare one that has {name} rows or columns"
                    )
                found = name, str(known[name])
            name, text = found
            missing.discard(name)
            self.reading[self._variables[name]] = text

    def _solved(
        self, places: Sequence[tuple[Dimension, str]], missing: set[str]
    ) -> tuple[str, str] | None:
        """A size that a shape tells, given those that are known: first those that are one."""
        for dimension, text in places:
            for name in missing.intersection(dimension.names):
                if dimension is Dimension.named(name):
                    return name, text
        for dimension, text in places:
            unknown = [name for name in dimension.names if name in missing]
            if len(unknown) == 1 and (found := self._from_sum(dimension, unknown[0], text)):
                return unknown[0], found
        return None

    def _from_sum(self, dimension: Dimension, name: str, text: str) -> str | None:
        """n from a shape such as `m n + k`, if it is linear in n."""
        holding = [(names, count) for names, count in dimension.terms if name in names]
        if len(holding) != 1 or holding[0][0].count(name) != 1:
            return None
        names, count = holding[0]
        rest = Dimension(tuple(term for term in dimension.terms if term != holding[0]))
        others = Dimension(((tuple(n for n in names if n != name), count),))
        above = Code(text) if not rest.terms else sum_of([(False, Code(text)), (True, self(rest))])
        if others is Dimension.number(1):
            return above.text
        return f"{above.held(PRODUCT)} // {self(others).held(UNARY)}"

    def __call__(self, dimension: Dimension) -> Code:
        """A dimension as source text."""
        terms = [(count < 0, self._product(names, abs(count))) for names, count in dimension.terms]
        return sum_of(terms) if terms else Code("0")

    def _product(self, names: Sequence[str], count: int) -> Code:
        factors = [Code(str(count))] if count != 1 or not names else []
        return product_of([*factors, *(Code(self._variables[name]) for name in names)])

    def pair(self, expression: Expression) -> tuple[str, str]:
        """Rows and columns of an expression as source text."""
        rows, columns = expression.shape
        return self(rows).text, self(columns).text

    def shape(self, expression: Expression) -> str:
        """The shape as a tuple; that of a scalar is empty."""
        return "()" if expression.is_scalar else f"({', '.join(self.pair(expression))})"
