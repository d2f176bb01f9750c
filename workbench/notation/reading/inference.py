"""Shapes for every piece of a text: declared, following from the equations, or asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from workbench.calculus.dimensions import ONE, Dimension, Shape
from workbench.errors import close_matches
from workbench.notation.reading.known_functions import Functions
from workbench.notation.reading.misfits import (
    Quantity,
    form_text,
    node_misfit,
    question,
    rule_misfit,
)
from workbench.notation.reading.rules import (
    Aligned,
    AmbiguousError,
    Combined,
    Group,
    Inverted,
    Joined,
    Presumed,
    Product,
)
from workbench.notation.reading.shapes import (
    NUMBER,
    UNIT,
    ConflictError,
    Form,
    MisfitError,
    Shapes,
    Size,
    is_scalar,
)
from workbench.notation.reading.sizes import dimension_of
from workbench.notation.reading.statements import Declaration
from workbench.notation.reading.syntax import Node
from workbench.notation.reading.tokens import Source
from workbench.notation.reading.vocabulary import BUILTINS

SIZE_NAMES = ("m", "n", "p", "q", "r", "s", "k", "l", "d", "h", "t", "u", "v")
"""Names for sizes that nothing declares, in the order in which they are given."""


@dataclass
class Inference:
    """The forms of all nodes of a text.

    Attributes
    ----------
    quantities : the symbols in their one spelling, in order of first occurrence.
    sizes : the names of sizes in their one spelling, with the dimensions they stand for.
    later : the names that equations further down define, with where they do.
    is_closed : whether every symbol is given, so that an unknown name is an error.
    """

    source: Source
    functions: Functions
    quantities: dict[str, Quantity] = field(default_factory=dict)
    sizes: dict[str, Dimension] = field(default_factory=dict)
    later: dict[str, int] = field(default_factory=dict)
    is_closed: bool = False
    shapes: Shapes = field(default_factory=Shapes)
    forms: dict[int, Form] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    hidden: dict[int, Sequence[Size]] = field(default_factory=dict)

    def form(self, node: Node) -> Form:
        """Rows and columns of a node, with the rules that say what they are.

        Raises
        ------
        InputError
            At a name that is not known, or operands that do not fit.
        """
        if id(node) not in self.forms:
            self.nodes.append(node)
            try:
                self.forms[id(node)] = self._form(node)
            except ConflictError as conflict:
                raise node_misfit(self.source, self.quantities, node, str(conflict)) from conflict
        return self.forms[id(node)]

    def _form(self, node: Node) -> Form:
        if node.kind == "name":
            return self._name(node)
        if node.kind == "call":
            return self._call(node)
        forms = [self.form(part) for part in node.parts if node.kind not in ("index", "ones")]
        match node.kind:
            case "sum":
                return self.joined(node, node.parts, forms, may_repeat=True)
            case "elementwise" | "compare":
                out = self.joined(node, node.parts, forms)
                self.shapes.add(Presumed(node, out))
                return out
            case "product":
                return self._product(node, forms)
            case "kron":
                return BUILTINS["kron"].form(self, node, forms)
            case "power":
                assert isinstance(node.data, tuple)
                if node.data[0] < 0 and not node.data[1]:
                    self.shapes.add(Inverted(node, forms[0]))
                return forms[0]
            case "transpose":
                self.shapes.add(Presumed(node, forms[0]))
                return forms[0][1], forms[0][0]
            case "stack":
                return self._stack(node)
            case "index":
                return self._block(node)
            case "jacobian":
                return self._jacobian(node, forms)
            case "ones":
                rows = [Size(self.dimension(part)) for part in node.parts] or [Size()]
                self.shapes.enlarge(rows[0])
                return rows[0], UNIT
        return NUMBER

    def _name(self, node: Node) -> Form:
        name = str(node.data)
        if name in self.quantities:
            return self.quantities[name].form
        if name in self.later:
            line = self.source.line(self.later[name])
            raise self.source.error(node.start, f"{name} is used before line {line} defines it")
        if name in self.sizes or name == "pi":
            return NUMBER
        if self.is_closed:
            hint = close_matches(name, [*self.quantities, *self.sizes])
            raise self.source.error(node.start, f"unknown name {name!r}; {hint}")
        form: Form = (Size(), UNIT)
        if name[0].isupper():
            form = (Size(), Size())
            for size in form:
                self.shapes.enlarge(size)
        self.quantities[name] = Quantity(form, node.start, node.end)
        return form

    def declare(self, declaration: Declaration) -> None:
        """Take a declared symbol in, with its shape if that is declared as well."""
        name = declaration.name
        if declaration.rows is None:
            self._name(Node("name", (), name, declaration.start, declaration.end))
            return
        sizes = [Size(self._declared(declaration.rows)), UNIT]
        if declaration.columns is not None:
            sizes[1] = Size(self._declared(declaration.columns))
        if declaration.is_symmetric and sizes[0].known is not sizes[1].known:
            raise self.source.error(
                declaration.start,
                f"{name} is symmetric, so it must be square, not {form_text((sizes[0], sizes[1]))}",
            )
        self.quantities[name] = Quantity(
            (sizes[0], sizes[1]), declaration.start, declaration.end, is_declared=True
        )

    def _declared(self, node: Node) -> Dimension:
        """A declared size; the names in it are sizes from here on."""
        dimension = self.dimension(node)
        if not dimension.terms or any(count < 0 for _, count in dimension.terms):
            raise self.source.error(node.start, "a size is a whole number from 1")
        for name in dimension.names:
            self.sizes[name] = Dimension.named(name)
        return dimension

    def dimension(self, node: Node) -> Dimension:
        """The size that a piece of text such as `m n + 1` stands for."""
        return dimension_of(node, self.source, self.sizes)

    # operations

    def _call(self, node: Node) -> Form:
        assert isinstance(node.data, tuple)
        name, primes = node.data
        builtin = BUILTINS.get(name)
        if builtin is None:
            form = self.form(node.parts[0])
            function = self.functions.find(name)
            self._check_arity(node, (1, 1))
            if function is not None and function.columnwise:
                if primes:
                    raise self.source.error(node.start, f"{name}′ has no formula entry by entry")
                self.shapes.add(Presumed(node, form))
            return form
        if primes:
            raise self.source.error(node.start, f"{name} has no derivative ′ of its own")
        self._check_arity(node, builtin.arity)
        first = len(node.parts) if builtin.sizes is None else builtin.sizes
        forms = [self.form(part) for part in node.parts[:first]]
        forms += [(Size(self.dimension(part)), UNIT) for part in node.parts[first:]]
        return builtin.form(self, node, forms)

    def _check_arity(self, node: Node, arity: tuple[int, int]) -> None:
        assert isinstance(node.data, tuple)
        fewest, most = arity
        if not fewest <= len(node.parts) <= most:
            count = str(fewest) if fewest == most else f"{fewest} to {most}"
            raise self.source.error(
                node.start,
                f"{node.data[0]} takes {count} argument{'s' * (count != '1')}, "
                f"{len(node.parts)} given",
            )

    def joined(
        self, node: Node, operands: Sequence[Node], forms: Sequence[Form], may_repeat: bool = False
    ) -> Form:
        """The form of operands that are put together entry by entry."""
        if len(forms) == 1:
            return forms[0]
        out = (Size(), Size())
        has_product = any(operand.kind == "product" for operand in operands)
        group = Group(out, len(forms), len(forms), has_product)
        for operand, form in zip(operands, forms, strict=True):
            repeats = may_repeat and operand.kind == "name"
            self.shapes.add(Joined(node, form, group, operand, repeats))
        return out

    def _product(self, node: Node, forms: Sequence[Form]) -> Form:
        assert isinstance(node.data, tuple)
        result, before = forms[0], node.parts[0]
        for sign, form, part in zip(node.data[1:], forms[1:], node.parts[1:], strict=True):
            if sign == "/":
                if part.kind == "name" and form[1].is_more and form[0].dimension is None:
                    self.shapes.fit(form, NUMBER)
                out = (Size(), Size())
                group = Group(out, 2, 2)
                self.shapes.add(Joined(node, result, group, before))
                self.shapes.add(Joined(node, form, group, part, is_divisor=True))
                result = out
            else:
                out = (Size(), Size())
                self.shapes.add(Product(node, result, form, out, (before, part)))
                result = out
            before = part
        return result

    def stacked(self, node: Node, forms: Sequence[Form], axis: int) -> Form:
        """The form of blocks below each other (axis 0) or beside each other (axis 1)."""
        whole, across = Size(), 1 - axis
        for form in forms[1:]:
            self.shapes.equate(forms[0][across], form[across])
        self.shapes.enlarge(whole)
        lengths = [form[axis] for form in forms]
        self.shapes.add(Combined(node, whole, lengths, is_sum=True))
        return (whole, forms[0][1]) if axis == 0 else (forms[0][0], whole)

    def expect(self, node: Node, form: Form, shape: Shape) -> None:
        """Say what the shape of a formula must be; a scalar may stand for a matrix."""
        wanted = (Size(shape[0]), Size(shape[1]))
        self.shapes.add(Joined(node, form, Group(wanted, 2, 2), node))

    def _stack(self, node: Node) -> Form:
        assert isinstance(node.data, tuple)
        rows, place = [], 0
        before: list[Form] = []
        for count in node.data:
            parts = node.parts[place : place + count]
            forms = [self._block_form(part) for part in parts]
            if len(before) == count > 1:
                for above, below in zip(before, forms, strict=True):
                    self.shapes.add(Aligned(node, above[1], below[1]))
            before = forms
            rows.append(forms[0] if count == 1 else self.stacked(node, forms, 1))
            place += count
        return rows[0] if len(rows) == 1 else self.stacked(node, rows, 0)

    def _block_form(self, node: Node) -> Form:
        """A block of a stack; a 0 there is a block of zeros of whatever shape fits."""
        if node.kind == "number" and node.data == 0:
            self.nodes.append(node)
            self.forms[id(node)] = (Size(), Size())
        form = self.form(node)
        if node.kind == "name":
            self.shapes.add(Presumed(node, form))
        return form

    def _block(self, node: Node) -> Form:
        assert isinstance(node.data, tuple)
        base = self.form(node.parts[0])
        sizes, place = list(base), 1
        for axis, kind in enumerate(node.data):
            if kind == "range":
                first, last = (self.dimension(part) for part in node.parts[place : place + 2])
                count = last - (first - ONE)
                if any(number < 0 for _, number in count.terms) or not count.terms:
                    shown = self.source.quote(node.parts[place].start, node.parts[place + 1].end)
                    raise self.source.error(
                        node.parts[place].start,
                        f"the range {shown} holds {count!r} entries, which may be none",
                    )
                sizes[axis], place = Size(count), place + 2
        return sizes[0], sizes[1]

    def _jacobian(self, node: Node, forms: Sequence[Form]) -> Form:
        of, by = forms
        if is_scalar(of):
            return by
        out = (Size(), Size())
        for axis, form in enumerate((by, of)):
            self.shapes.add(Combined(node, out[axis], (form[1], form[0])))
        return out

    # solving

    def solve(self) -> None:
        """Find all sizes: what follows, what is usually meant, and names for what stays free.

        Raises
        ------
        InputError
            If operands do not fit, or it stays open whether a symbol is a scalar.
        """
        try:
            self.shapes.presume()
            for quantity in self.quantities.values():
                for size in quantity.form:
                    if size.is_open:
                        self.shapes.equate(size, UNIT)
                        self.shapes.settle()
            for is_last in (False, True):
                self._name_sizes(is_last)
        except AmbiguousError as open_choice:
            raise question(self.source, self.quantities, open_choice.node) from None
        except MisfitError as misfit:
            raise rule_misfit(self.source, self.quantities, misfit) from misfit
        except ConflictError as conflict:
            node = self.shapes.node or self.nodes[0]
            raise node_misfit(self.source, self.quantities, node, str(conflict)) from conflict

    def _name_sizes(self, is_last: bool) -> None:
        taken = {*self.quantities, *self.sizes}
        names = _size_names(taken)
        combined = {
            rule.whole.root()
            for rule in self.shapes.rules
            if isinstance(rule, Combined) and not rule.is_done
        }
        for quantity in self.quantities.values():
            for size in quantity.form:
                if size.dimension is None and (is_last or size.root() not in combined):
                    name = next(names)
                    self.sizes[name] = Dimension.named(name)
                    self.shapes.know(size, self.sizes[name])
                    self.shapes.settle()

    def shape(self, node: Node) -> Shape:
        """The shape of a node, once everything is solved."""
        rows, columns = self.known(node, self.form(node))
        return rows, columns

    def known(self, node: Node, sizes: Sequence[Size]) -> list[Dimension]:
        """The sizes of a node, once everything is solved.

        Raises
        ------
        InputError
            If nothing tells one of them.
        """
        found = [dimension for dimension in (size.dimension for size in sizes) if dimension]
        if len(found) < len(sizes):
            shown = self.source.quote(node.start, node.end)
            raise self.source.error(
                node.start,
                f"the size of {shown} does not follow from anything: declare it, or write it, as "
                "in eye(n), ones(n), zeros(m, n) or K(m, n)",
            )
        return found


def _size_names(taken: set[str]) -> Iterator[str]:
    yield from (name for name in SIZE_NAMES if name not in taken)
    count = 1
    while True:
        yield from (f"n{count}" for _ in range(f"n{count}" not in taken))
        count += 1
