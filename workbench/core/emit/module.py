"""The parts of an emitted module that the targets share: names, lines, signatures, checks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from workbench.calculus.algebra import is_exponential
from workbench.calculus.expressions import Expression, Kind, jacobian, walk
from workbench.core.emit.code import bracketed, exploded, names_in
from workbench.core.emit.graph import tasks_of
from workbench.core.emit.languages import Language
from workbench.core.emit.lines import Line
from workbench.core.emit.lowered import Lowered, calls
from workbench.core.emit.names import Names, identifier
from workbench.core.overflow import is_bounded
from workbench.derivation.steps import Derivation
from workbench.errors import InputError
from workbench.notation.text import text

CHECK = "_check_shapes"
OWN_NAMES = (
    CHECK,
    "_forward",
    "_backward",
    "_as_tensor",
    "_double",
    "exp",
    "kron",
    "log_det",
    "log_one_plus_exp",
    "sign",
)


class Module(Lowered):
    """A derivation lowered into a language, parameters first, and the text around it."""

    def __init__(self, derivation: Derivation, language: Language, name: str, indent: int) -> None:
        if identifier(name) != name or name in OWN_NAMES:
            raise InputError(
                f"the function cannot be called {name!r}; give a name such as {identifier(name)}_1"
            )
        self.derivation = derivation
        self.name = name
        self.class_name = "".join(part[:1].upper() + part[1:] for part in name.split("_"))
        self.class_name += "Function" if self.class_name == name else ""
        names = Names(name, self.class_name, *OWN_NAMES)
        arguments = {symbol: names.new(symbol.symbol.name) for symbol in self._given()}
        sizes = derivation.system.sizes
        super().__init__(arguments, tasks_of(derivation), sizes, language, names, indent)

    def _given(self) -> list[Expression]:
        """Parameters, then inputs and targets, each in order of first use."""
        system = self.derivation.system
        if not self.derivation.gradients:
            raise InputError("there is no gradient to emit; declare a parameter")
        given = [s for s in system.symbols if s not in system.definitions]
        return sorted(given, key=lambda symbol: symbol.symbol.kind is not Kind.PARAMETER)

    # what is computed

    @cached_property
    def loss(self) -> str:
        """The name of the loss."""
        return self.name_of(self.derivation.system.loss)

    @cached_property
    def gradients(self) -> Mapping[Expression, str]:
        """For each parameter asked for, the name of its gradient."""
        loss = self.derivation.system.loss
        return {p: self.name_of(jacobian(loss, p)) for p in self.derivation.gradients}

    @property
    def callables(self) -> tuple[str, ...]:
        """The undetermined functions, each with its derivatives, that the code calls."""
        found = self._lowering.callables
        order = sorted(found, key=lambda function: (function.name, function.order))
        return tuple(found[function] for function in order)

    @cached_property
    def backward_lines(self) -> list[Line]:
        """The lines of the backward pass that the gradients need."""
        later = [line for line in self.lines if line.task.is_backward]
        return _needed(later, set(self.gradients.values()))

    def forward_lines(self, also: Iterable[str] = ()) -> list[Line]:
        """The lines of the forward pass that the loss needs, and other names besides."""
        first = [line for line in self.lines if not line.task.is_backward]
        return _needed(first, {self.loss, *also})

    @cached_property
    def saved(self) -> list[str]:
        """What the backward pass reads of arguments and of the forward pass, in order."""
        read = self.read_by(self.backward_lines)
        forward = [line.name for line in self.lines if not line.task.is_backward]
        return [name for name in (*self.arguments.values(), *forward) if name in read]

    # text

    def shape_table(self) -> list[str]:
        """For the docstring: every argument with its shape and what it is."""
        return [
            f"{variable} : {self._shape_words(symbol)}, {symbol.symbol.kind.value}"
            for symbol, variable in self.arguments.items()
        ]

    def _shape_words(self, symbol: Expression) -> str:
        return "a number" if symbol.is_scalar else self.sizes.shape(symbol)

    def assumptions(self) -> list[str]:
        """What the gradients take for granted of the target, where a step used it."""
        used = any(s.rule == "assumption" for step in self.derivation.steps for s in step.stages)
        pairs = self.derivation.system.assumptions if used else ()
        return [f"The gradients hold where {text(a)} = {text(b)}." for a, b in pairs]

    def check_function(self, array: str, *, scalars: bool) -> list[str]:
        """A function that holds the shapes of the arguments against each other."""
        checked = {s: v for s, v in self.arguments.items() if scalars or not s.is_scalar}
        if not checked:
            return []
        rows = [f'("{v}", {v}, {self.sizes.shape(s)})' for s, v in checked.items()]
        axes = [f'("{v}", {v})' for s, v in checked.items() if not s.is_scalar]
        lines = exploded(
            f"def {CHECK}(", (f"{v}: {array}" for v in checked.values()), ") -> None:", 0
        )
        lines.append('    """A matrix has two axes (a column is n×1), and sizes that fit."""')
        if axes:
            lines += exploded("for name, array in [", axes, "]:", 4)
            lines += [
                "        if array.ndim != 2:",
                '            raise ValueError(f"{name} needs two axes, not shape {array.shape}")',
            ]
        lines += self.reading(self.with_sizes(names_in(" ".join(rows))), 4)
        lines += exploded("for name, array, shape in [", rows, "]:", 4)
        return [
            *lines,
            "        if array.shape != shape:",
            '            raise ValueError(f"{name} has shape {array.shape}, expected {shape}")',
            "",
            "",
        ]

    def check_call(self, *, scalars: bool) -> list[str]:
        """The call of that function."""
        checked = [v for s, v in self.arguments.items() if scalars or not s.is_scalar]
        if not checked:
            return []
        return bracketed(f"{CHECK}(", checked, ")", 4)

    @property
    def scalars(self) -> list[str]:
        """The names of the arguments that are scalars."""
        return [variable for symbol, variable in self.arguments.items() if symbol.is_scalar]

    @property
    def has_matrices(self) -> bool:
        """Whether an argument is not a scalar."""
        return not all(symbol.is_scalar for symbol in self.arguments)

    def calls(self, prefix: str) -> bool:
        """Whether the code calls something of a module, `special.`."""
        return calls(self._used_lines, prefix)

    @property
    def has_infinite_denominators(self) -> bool:
        """Whether a large exponential may occur that does no harm, as in 1 / (1 + eᵘ)."""
        used = dict.fromkeys(
            line.task.computed for line in self._used_lines if line.task.line.is_safe
        )
        exponentials = filter(is_exponential, walk(*used))
        return any(not is_bounded(node.arguments[0]) for node in exponentials)

    @property
    def _used_lines(self) -> list[Line]:
        return [*self.forward_lines(self.saved), *self.backward_lines]

    @property
    def backward_callables(self) -> list[str]:
        """The undetermined functions that the backward pass calls."""
        read = self.read_by(self.backward_lines)
        return [name for name in self.callables if name in read]

    def constant_arguments(self) -> list[str]:
        """For the docstring: the arguments without a derived gradient."""
        names = [v for symbol, v in self.arguments.items() if symbol not in self.gradients]
        return [f"Taken as constant, without a gradient: {', '.join(names)}."] if names else []

    def returned(self, items: list[str], indent: int) -> list[str]:
        """A return of one thing or of several, each in its own line."""
        if len(items) == 1:
            return [f"{' ' * indent}return {items[0]}"]
        return exploded("return (", items, ")", indent)


def _needed(lines: Sequence[Line], wanted: set[str]) -> list[Line]:
    """The lines that the wanted names rest on."""
    kept = []
    for line in reversed(lines):
        if line.name in wanted:
            kept.append(line)
            wanted = wanted | line.reads
    return kept[::-1]
