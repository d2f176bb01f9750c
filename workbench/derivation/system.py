"""A system: named equations in order, with a scalar loss at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from workbench.calculus.expressions import Expression, Kind, describe, symbol, symbols_of
from workbench.calculus.rewriting import substitute
from workbench.errors import InputError


@dataclass(frozen=True)
class Equation:
    """`left = right`, where `left` is a symbol that earlier equations do not define."""

    left: Expression
    right: Expression

    def __post_init__(self) -> None:
        if self.left.shape != self.right.shape:
            raise InputError(
                f"{self.left.symbol.name} is {describe(self.left.shape)} but its right side is "
                f"{describe(self.right.shape)}"
            )

    @cached_property
    def differentiable(self) -> tuple[Expression, ...]:
        """The parameters and intermediates on the right, in order of first occurrence."""
        wanted = (Kind.PARAMETER, Kind.INTERMEDIATE)
        return tuple(s for s in symbols_of(self.right) if s.symbol.kind in wanted)


@dataclass(frozen=True)
class System:
    """Equations from inputs and parameters to a loss.

    Attributes
    ----------
    equations : in order of evaluation; the last one defines the loss, a scalar if gradients are
        asked for.
    assumptions : equations such as 𝟏ᵀy = 1 that the data are known to satisfy.
    sizes : the real sizes of the dimensions, where they are known.
    listed : symbols in the order in which they are listed, before those that first occur later;
        a parameter among them may have cancelled out of the equations.
    text : the equations as they were written, if they were.

    Raises
    ------
    InputError
        If a symbol is used before it is defined, or defined twice.
    """

    equations: tuple[Equation, ...]
    assumptions: tuple[tuple[Expression, Expression], ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)
    listed: tuple[Expression, ...] = ()
    text: str = field(default="", compare=False, repr=False)

    def __post_init__(self) -> None:
        defined: set[Expression] = set()
        for equation in self.equations:
            for used in symbols_of(equation.right):
                if used.symbol.kind is Kind.INTERMEDIATE and used not in defined:
                    raise InputError(f"{used.symbol.name} is used before it is defined")
            if equation.left in defined:
                raise InputError(f"{equation.left.symbol.name} is defined twice")
            defined.add(equation.left)

    def with_parameters(self, names: Sequence[str]) -> System:
        """The same system in which the inputs and targets of these names are differentiated by."""
        given = self.of_kind(Kind.INPUT, Kind.TARGET)
        moved = {
            s: symbol(s.symbol.name, Kind.PARAMETER, s.shape, symmetric=s.symbol.symmetric)
            for s in given
            if s.symbol.name in names
        }
        if not moved:
            return self
        equations = tuple(Equation(e.left, substitute(e.right, moved)) for e in self.equations)
        assumptions = tuple(
            (substitute(left, moved), substitute(right, moved)) for left, right in self.assumptions
        )
        listed = tuple(moved.get(s, s) for s in self.listed)
        return replace(self, equations=equations, assumptions=assumptions, listed=listed)

    @property
    def loss(self) -> Expression:
        """The symbol of the loss."""
        return self.equations[-1].left

    @cached_property
    def symbols(self) -> tuple[Expression, ...]:
        """Every symbol, those listed first, then in order of first use."""
        found: dict[Expression, None] = dict.fromkeys(self.listed)
        for equation in self.equations:
            found.update(dict.fromkeys(symbols_of(equation.right)))
            found[equation.left] = None
        return tuple(found)

    def of_kind(self, *kinds: Kind) -> tuple[Expression, ...]:
        """The symbols of some kinds, in order of first use."""
        return tuple(s for s in self.symbols if s.symbol.kind in kinds)

    @property
    def parameters(self) -> tuple[Expression, ...]:
        """The symbols that training changes."""
        return self.of_kind(Kind.PARAMETER)

    @cached_property
    def definitions(self) -> Mapping[Expression, Equation]:
        """The equation that defines each intermediate and the loss."""
        return {equation.left: equation for equation in self.equations}

    def consumers(self, symbol: Expression) -> tuple[Equation, ...]:
        """The equations whose right side uses a symbol."""
        return self._consumers.get(symbol, ())

    @cached_property
    def _consumers(self) -> Mapping[Expression, tuple[Equation, ...]]:
        found: dict[Expression, list[Equation]] = {}
        for equation in self.equations:
            for used in equation.differentiable:
                found.setdefault(used, []).append(equation)
        return {used: tuple(equations) for used, equations in found.items()}


def put_in(system: System, keep: Expression | None = None) -> Expression:
    """The last equation's right side with every intermediate but `keep` replaced by its formula."""
    known: dict[Expression, Expression] = {}
    for equation in system.equations:
        if equation.left is not keep:
            known[equation.left] = substitute(equation.right, known)
    return known[system.loss]
