"""Equations as people write them, as systems and expressions: the one entrance for text.

    input x : n                      declarations, one a line or several with commas
    parameter W : m×n, b : m         sizes are names, numbers and their sums and products
    target y                         without a shape, only the kind is declared
    elementwise f                    an undetermined function, with derivatives f′ and f″
    assume sum(y) = 1                what the data are known to satisfy
    a = f(W x + b)                   equations in order; the last one is the output
    L = 1/2 (a - y)' (a - y)         `#` starts a comment

Formulas are in the grammar of `workbench.notation.reading.grammar`. What is not declared is an
input, and its shape follows from the equations.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, count, pairwise

from workbench.calculus.algebra import scaled, split_coefficient, spread
from workbench.calculus.dimensions import Dimension, Shape
from workbench.calculus.expressions import Expression, Kind, symbol, symbols_of
from workbench.calculus.simplify import inner_products
from workbench.derivation.system import Equation, System
from workbench.errors import InputError, close_matches
from workbench.notation.greek import GREEK
from workbench.notation.reading.building import Building
from workbench.notation.reading.formulas import Lookup
from workbench.notation.reading.grammar import Parser
from workbench.notation.reading.inference import Inference
from workbench.notation.reading.known_functions import Functions
from workbench.notation.reading.misfits import Quantity
from workbench.notation.reading.shapes import Size
from workbench.notation.reading.size_names import names_of_sizes
from workbench.notation.reading.statements import Formula, Statements, statements
from workbench.notation.reading.syntax import Node, Words
from workbench.notation.reading.tokens import Source, Token, tokenize

SHORT = 3
"""A name of so few letters, one of them a name itself, is taken for a product without blanks."""

LOSS = "L"
"""The name that an expression without `=` gets."""


def parse_system(
    text: str, *, name: str = "<expression>", functions: Lookup, wrt: Sequence[str] = ()
) -> System:
    """Read a system of equations, or one expression as the equation `L = expression`.

    Parameters
    ----------
    name : what messages call the text, usually the name of its file.
    functions : finds the functions that plugins give, by name.
    wrt : the symbols that are parameters, besides those declared so.

    Raises
    ------
    InputError
        With the place in the text, if it cannot be read, shapes do not fit or stay open, or a
        symbol of `wrt` does not occur.

    >>> found = parse_system("1/2 (W x - y)' (W x - y)", functions=lambda name: None, wrt=["W"])
    >>> found.parameters[0].shape, found.of_kind(Kind.INPUT)[1].shape
    ((m, n), (m, 1))
    """
    reading = Reading(name, text, Functions(functions))
    return reading.system([spelt(wanted) for wanted in wrt])


def parse_expression(
    text: str,
    *,
    symbols: Mapping[str, Expression],
    functions: Lookup,
    name: str = "<expression>",
    shape: Shape | None = None,
) -> Expression:
    """Read one expression in symbols that are all given.

    Parameters
    ----------
    symbols : the symbol of each name; the names of their sizes may be used as well.
    shape : what the expression must be, if that is known; a number then stands for the matrix that
        holds it everywhere, and the size of I or 𝟏 follows.

    Raises
    ------
    InputError
        With the place in the text, at a name that is not given or where shapes do not fit.

    >>> from workbench.calculus.functions import VARIABLE as z
    >>> parse_expression("z * z", symbols={"z": z}, functions=lambda name: None) is z
    False
    """
    reading = Reading(name, text, Functions(functions))
    return reading.expression({spelt(key): value for key, value in symbols.items()}, shape)


def parse_identity(
    text: str, *, functions: Lookup, name: str = "<identity>"
) -> tuple[Expression, Expression]:
    """Read `left = right`, after declarations if there are any; all shapes follow from both sides.

    Raises
    ------
    InputError
        With the place in the text, if it cannot be read or the sides have different shapes.

    >>> left, right = parse_identity("vec(A B) = kron(B', I) vec(A)", functions=lambda name: None)
    >>> left.shape == right.shape
    True
    """
    return Reading(name, text, Functions(functions)).identity()


def spelt(name: str) -> str:
    """The one spelling of a name given outside a text, W_1 or W₁ for W1."""
    tokens = tokenize(Source("name", name))
    return tokens[0].text if len(tokens) == 2 and tokens[0].kind == "name" else name


@dataclass
class Reading:
    """One text on its way to expressions."""

    name: str
    text: str
    functions: Functions
    symbols: dict[str, Expression] = field(default_factory=dict)
    wanted: tuple[str, ...] = ()
    assumed: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.source = Source(self.name, self.text)
        self.tokens: Sequence[Token] = tokenize(self.source)
        self.statements: Statements = statements(self.source, self.tokens)
        self.functions.undetermined.update(self.statements.undetermined)
        self.inference = Inference(self.source, self.functions)
        if not self.statements.formulas:
            raise self.source.error(0, "there is no equation and no expression")

    # the three things that are read

    def system(self, wrt: Sequence[str]) -> System:
        """All statements as a system."""
        self.wanted = tuple(wrt)
        formulas = [f for f in self.statements.formulas if not f.is_assumption]
        if not formulas:
            raise self.source.error(0, "there is no equation and no expression")
        names = self._left_names(formulas)
        self._declare()
        self.inference.later = {
            name: self.tokens[formula.begin].start
            for name, formula in zip(names, formulas, strict=True)
        }
        rights = []
        for name, formula in zip(names, formulas, strict=True):
            rights.append(self._node(formula))
            form = self.inference.form(rights[-1])
            del self.inference.later[name]
            first, last = self.tokens[formula.begin], self.tokens[formula.stop - 1]
            self.inference.quantities[name] = Quantity(form, first.start, last.end)
        sides = [self._sides(f) for f in self.statements.formulas if f.is_assumption]
        self.assumed = {
            token.text
            for formula in self.statements.formulas
            if formula.is_assumption
            for token in self.tokens[formula.begin : formula.stop]
        }
        self._check_wanted(wrt, names)
        self.inference.solve()
        self._make_symbols(wrt, names)
        building = Building(self.inference, self.symbols)
        equations = [
            Equation(self.symbols[name], building.expression(right))
            for name, right in zip(names, rights, strict=True)
        ]
        assumptions = [
            _assumption(building.expression(left), building.expression(right))
            for left, right in sides
        ]
        for left, right in assumptions:
            self._check_assumption(left, right)
        return System(
            tuple(equations), tuple(assumptions), listed=self._listed(equations), text=self.text
        )

    def _listed(self, equations: Sequence[Equation]) -> tuple[Expression, ...]:
        """What is declared and used, in the order of the text, and every parameter."""
        used = set(symbols_of(*(equation.right for equation in equations)))
        named = [
            self.symbols[name] for name in self.statements.declarations if name in self.symbols
        ]
        wanted = [s for s in self.symbols.values() if s.symbol.kind is Kind.PARAMETER]
        first = [s for s in named if s in used or s.symbol.kind is Kind.PARAMETER]
        lost = [s for s in wanted if s not in used]
        return tuple(dict.fromkeys((*first, *lost)))

    def _check_assumption(self, left: Expression, right: Expression) -> None:
        for given in symbols_of(left, right):
            if given.symbol.kind is not Kind.TARGET:
                raise InputError(
                    f"{self.name}: assume is for targets, and {given.symbol.name} is none; a "
                    "matrix that is its own transpose is declared `input S : n×n symmetric`"
                )

    def expression(self, symbols: Mapping[str, Expression], shape: Shape | None) -> Expression:
        """The one expression of the text in given symbols."""
        formula = self._only_formula()
        if formula.equals > formula.begin:
            raise self.source.error(self.tokens[formula.equals].start, "expected an expression")
        self.inference.is_closed = True
        for name, given in symbols.items():
            form = (Size(given.shape[0]), Size(given.shape[1]))
            self.inference.quantities[name] = Quantity(form, 0, 0)
            for dimension in given.shape:
                for size in dimension.names:
                    self.inference.sizes[spelt(size)] = Dimension.named(size)
        self.symbols = dict(symbols)
        node = self._node(formula)
        form = self.inference.form(node)
        if shape is not None:
            self.inference.expect(node, form, shape)
        self.inference.solve()
        found = Building(self.inference, symbols).expression(node)
        return found if shape is None else spread(found, shape)

    def identity(self) -> tuple[Expression, Expression]:
        """The two sides of the one equation of the text."""
        formula = self._only_formula()
        if formula.equals == formula.begin:
            raise self.source.error(
                self.tokens[formula.stop].start, "expected '=': an identity has two sides"
            )
        self._declare()
        parsed = self._parsed(formula.begin, formula.equals), self._node(formula)
        for size in names_of_sizes(*parsed).difference(self.statements.declarations):
            self.inference.sizes.setdefault(size, Dimension.named(size))
        left, right = self._sides(formula)
        self.inference.solve()
        self._make_symbols((), ())
        building = Building(self.inference, self.symbols)
        sides = building.expression(left), building.expression(right)
        shape = next((side.shape for side in sides if not side.is_scalar), sides[0].shape)
        return spread(sides[0], shape), spread(sides[1], shape)

    # formulas

    def _only_formula(self) -> Formula:
        formula, *others = self.statements.formulas
        if others:
            start = self.tokens[others[0].begin].start
            raise self.source.error(start, "expected the end: one formula is read here")
        return formula

    def _node(self, formula: Formula) -> Node:
        """The right side of a formula."""
        begin = formula.begin if formula.equals == formula.begin else formula.equals + 1
        return self._parsed(begin, formula.stop)

    def _parsed(self, begin: int, stop: int) -> Node:
        return Parser(self.source, self.tokens, self._words, begin, stop).whole()

    def _sides(self, formula: Formula) -> tuple[Node, Node]:
        """Both sides of an equation, of equal shape."""
        if formula.equals == formula.begin:
            raise self.source.error(self.tokens[formula.begin].start, "expected an equation")
        left = self._parsed(formula.begin, formula.equals)
        right = self._node(formula)
        whole = Node("equation", (left, right), None, left.start, right.end)
        self.inference.joined(
            whole, (left, right), [self.inference.form(left), self.inference.form(right)]
        )
        return left, right

    @property
    def _words(self) -> Words:
        return Words(self.functions.is_function, self._is_symbol, self._unknown)

    def _is_symbol(self, name: str) -> bool:
        return name in self._named

    def _unknown(self, name: str) -> str:
        return "" if name in self._plain else self.functions.unknown(name)

    @cached_property
    def _named(self) -> frozenset[str]:
        """The names that are declared, defined, given or asked for."""
        defined = [formula.name for formula in self.statements.formulas]
        return frozenset((*self.statements.declarations, *defined, *self.symbols, *self.wanted))

    @cached_property
    def _plain(self) -> frozenset[str]:
        """The names that stand somewhere without a parenthesis right behind them."""
        return frozenset(
            token.text
            for token, behind in pairwise(self.tokens)
            if token.kind == "name" and (behind.text != "(" or behind.spaced)
        )

    def _left_names(self, formulas: Sequence[Formula]) -> list[str]:
        """The name that each equation defines."""
        lines: dict[str, int] = {}
        for formula in formulas:
            start = self.tokens[formula.begin].start
            name = formula.name
            if formula.equals == formula.begin:
                if formula is not formulas[-1]:
                    raise self.source.error(start, "expected an equation `name = formula`")
                name = self._free_loss(lines)
            elif not name:
                shown = self.source.quote(start, self.tokens[formula.equals].start)
                raise self.source.error(
                    start, f"{shown} cannot be defined; an equation is `name = formula`"
                )
            declared = self.statements.declarations.get(name)
            if declared is not None or name in lines or name in self.functions.undetermined:
                line = self.source.line(declared.start) if declared else lines.get(name, 1)
                word = "declared" if name not in lines else "defined"
                raise self.source.error(start, f"{name} is {word} in line {line} already")
            lines[name] = self.source.line(start)
        return list(lines)

    def _free_loss(self, defined: Mapping[str, int]) -> str:
        taken = {*self._plain, *defined}
        others = (f"{LOSS}{number}" for number in count(1))
        return next(name for name in chain((LOSS, "loss"), others) if name not in taken)

    # symbols

    def _declare(self) -> None:
        for declaration in self.statements.declarations.values():
            self.inference.declare(declaration)

    def _check_wanted(self, wrt: Sequence[str], defined: Sequence[str]) -> None:
        known = [name for name in self.inference.quantities if name not in defined[-1:]]
        for wanted in wrt:
            if wanted not in known:
                what = "is the output" if wanted in defined else "does not occur"
                raise InputError(f"{self.name}: {wanted} {what}; {close_matches(wanted, known)}")

    def _refuse_glued(self, name: str, start: int) -> None:
        """A name such as Wx where W and x are names as well is a forgotten blank."""
        if name in self._named or len(name) < 2:
            return
        known = {*self._named, *self.inference.quantities}
        is_short = len(name) <= SHORT and not known.isdisjoint(name)
        is_latex = "\\" in self.text and f"{{{name}}}" not in self.text
        if name.isalpha() and name not in GREEK and (is_short or is_latex or set(name) <= known):
            raise self.source.error(
                start,
                f"{name} is one name here; write `{' '.join(name)}` for the product, or declare "
                f"`input {name}`",
            )
        if re.fullmatch("(Sigma|sum)_?[a-z]", name):
            raise self.source.error(
                start, "entries are not indexed here: write sum(y .* log(p)) for Σᵢ yᵢ log pᵢ"
            )
        if name[0] == "d" and "d" in self.inference.quantities and name[1:] in known:
            raise self.source.error(
                start, f"derivatives are not written here: name {name[1:]} by --wrt instead"
            )

    def _make_symbols(self, wrt: Sequence[str], defined: Sequence[str]) -> None:
        for name, quantity in self.inference.quantities.items():
            declared = self.statements.declarations.get(name)
            self._refuse_glued(name, quantity.start)
            kind = declared.kind if declared is not None else Kind.INPUT
            if name in self.assumed and kind is Kind.INPUT:
                kind = Kind.TARGET
            if name in defined:
                kind = Kind.LOSS if name == defined[-1] else Kind.INTERMEDIATE
            elif name in wrt:
                kind = Kind.PARAMETER
            rows, columns = (size.dimension for size in quantity.form)
            assert rows is not None and columns is not None
            is_symmetric = declared is not None and declared.is_symmetric
            self.symbols[name] = symbol(name, kind, (rows, columns), symmetric=is_symmetric)


def _assumption(left: Expression, right: Expression) -> tuple[Expression, Expression]:
    """An assumption in the form in which its left side occurs, without a number before it."""
    coefficient, rest = split_coefficient(left)
    return inner_products(rest), spread(scaled(1 / coefficient, right), rest.shape)
