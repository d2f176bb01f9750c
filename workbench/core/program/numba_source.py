"""The training loop as numba compiles it for arrays: loops, and BLAS for products of matrices.

Elementwise calls on arrays of one shape that follow each other share a loop. An entry is a variable
within it, and is written to its array at the end: the next call finds it in a register of the
processor, and the compiler need not fear that what is written is read under another name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from workbench.core.optimizers import Optimizer
from workbench.core.program.buffers import Allocation, Buffers, needed_calls
from workbench.core.program.calls import (
    COLUMN,
    ELEMENTWISE,
    TRANSPOSE,
    Block,
    Call,
    Constant,
    Operand,
    Register,
)
from workbench.core.program.loops import data_of, names_of, results_of
from workbench.core.program.names import FreeNames
from workbench.core.program.number_loops import TypedNumbers, imports_of, not_finite
from workbench.core.program.numpy_source import comments
from workbench.core.program.python_source import ATOM, PRODUCT, Formula, entry
from workbench.core.program.source import Lowered
from workbench.errors import InputError

INDICES = ("i", "j")
"""The variables of the loops over rows and columns."""


def numba_loop(
    lowered: Lowered, buffers: Buffers, optimizer: Optimizer, *, keeps_outputs: bool
) -> tuple[str, list[Allocation]]:
    """A module with the function `train(samples, starts, outputs, losses, squares, vectors,
    scalars, parameters, gradients, buffers)`, which returns how many steps it made.

    All are arrays, or tuples of arrays. `vectors` are those of parameters, gradients and states;
    `parameters` and `gradients` are views of the first two, one for each.

    Parameters
    ----------
    buffers : those of `loop_buffers`.

    Returns
    -------
    The source, and name, shape and truth-valuedness of each of the buffers, in order.

    Raises
    ------
    InputError
        If numba cannot compute it: a plugin's function of arrays, a Jacobian that is written out.
    """
    free = FreeNames([*buffers.places.values(), *(r.name for r in lowered.given)])
    writer = _NumbaWriter(buffers, lowered.parameters, free)
    step = writer.lines(needed_calls(lowered.blocks, results_of(lowered, keeps_outputs)))
    names = {name: free(name) for name in names_of(optimizer)}
    square, norm, check, place = map(free, ("squared_norm", "norm", "check", "k"))
    vectors = [names[name] for name in ("theta", "g", *optimizer.rule.states)]
    entries = {name: f"{names[name]}[{place}]" for name in ("theta", "g", *optimizer.rule.states)}
    held = {name: free(f"{names[name]}_{place}") for name in entries}
    scalars = [names[name] for name in optimizer.scalar_names]
    loss = buffers.places.get(lowered.loss, lowered.loss.name)
    data = data_of(lowered)
    size = data[0].shape[0]
    numbered = list(enumerate(lowered.gradients))
    place_of_outputs = f"outputs[step * {size} : (step + 1) * {size}]"
    lines = [
        *(f"{register.name} = samples[{n}][at : at + {size}]" for n, register in enumerate(data)),
        *([f"{lowered.output.name} = {place_of_outputs}"] if keeps_outputs else []),
        *(f"{name} = scalars[{number}][step]" for number, name in enumerate(scalars)),
        *step,
        *(f"gradients[{n}][()] = {r.name}" for n, r in numbered if not r.shape),
        f"{square} = 0.0",
        f"for {place} in range(len({names['g']})):",
        f"    {square} += {entries['g']} * {entries['g']}",
        f"{check} = {loss} + {square}",
        not_finite(check),
        "    break",
        *([f"{norm} = sqrt({square})"] if optimizer.needs_norm else []),
        *optimizer.norm_lines({**names, "norm": norm}),
        f"# the optimizer {optimizer.rule.name}",
        f"for {place} in range(len({names['theta']})):",
        *(f"    {held[name]} = {entry}" for name, entry in entries.items()),
        *(f"    {line}" for line in optimizer.entry_lines({**names, **held})),
        *(f"    {entry} = {held[name]}" for name, entry in entries.items() if name != "g"),
        f"losses[step] = {loss}",
        f"squares[step] = {square}",
    ]
    given = [
        *((register.name, f"parameters[{n}]") for n, register in enumerate(lowered.parameters)),
        *((r.name, f"gradients[{n}]") for n, r in numbered if r.shape),
        *((name, f"vectors[{number}]") for number, name in enumerate(vectors)),
        *((name, f"buffers[{n}]") for n, (name, _, _) in enumerate(writer.allocations)),
        *buffers.aliases.items(),
    ]
    typed = TypedNumbers()
    body = [typed.line(line) for line in lines]
    code = [
        "def train(samples, starts, outputs, losses, squares, vectors, scalars, parameters, "
        "gradients, buffers):",
        *(f"    {name} = {value}" for name, value in given),
        "    done = 0",
        "    for step in range(len(starts)):",
        "        at = starts[step]",
        *(f"        {line}" for line in body),
        "        done += 1",
        "    return done",
        "",
    ]
    head = [*imports_of(code), "from numpy import dot", "", *typed.constants, "", ""]
    return "\n".join([*head, *code]), writer.allocations


class _NumbaWriter:
    """Writes calls as loops, and keeps what must be there before the first step.

    A number is a variable, unless it is a parameter, which is an entry of the vector of all.

    Attributes
    ----------
    allocations : name, shape and truth-valuedness of each buffer.
    """

    def __init__(self, buffers: Buffers, parameters: Sequence[Register], free: FreeNames) -> None:
        self._buffers, self._parameters, self._free = buffers, frozenset(parameters), free
        self.allocations = list(buffers.allocations)
        self._ones: dict[Constant, str] = {}
        self._variables: dict[str, str] = {}

    def lines(self, blocks: Iterable[Block]) -> list[str]:
        """The calls of all equations; a loop may go over the calls of several."""
        lines: list[str] = []
        group: list[Call] = []
        for block in blocks:
            heading = [f"# {comment}" for comment in comments(block)]
            for call in block.calls:
                if group and not self._joins(call, group):
                    lines += self._loop(group)
                    group = []
                lines += heading
                heading = []
                if call.target.shape and call.operation in _IN_LOOPS:
                    group.append(call)
                else:
                    lines += self._alone(call)
        return [*lines, *self._loop(group)]

    def _joins(self, call: Call, group: Sequence[Call]) -> bool:
        """Whether a call can be in one loop with others: nobody reads what stands elsewhere."""
        if call.operation not in _IN_LOOPS or call.target.shape != group[0].target.shape:
            return False
        written = {self._buffer(other.target) for other in group}
        moved = {
            self._buffer(operand.source)
            for other in (*group, call)
            for operand in other.operands
            if isinstance(operand.source, Register)
            and (operand.views or operand.source.shape != call.target.shape)
        }
        return moved.isdisjoint({*written, self._buffer(call.target)})

    def _loop(self, group: Sequence[Call]) -> list[str]:
        """One loop, or two of them nested, over the entries of arrays of one shape."""
        if not group:
            return []
        lines, indent = [], ""
        for index, size in zip(INDICES, group[0].target.shape, strict=False):
            lines.append(f"{indent}for {index} in range({size}):")
            indent += "    "
        at = INDICES[: len(group[0].target.shape)]
        known: dict[str, tuple[str, str]] = {}
        for call in group:
            values = [self._known_entry(operand, at, known) for operand in call.operands]
            masks = [operand.is_boolean for operand in call.operands]
            formula = entry(call.operation, values, masks)
            place = f"{self._place(call.target)}[{', '.join(at)}]"
            if len(group) == 1:
                return [*lines, f"{indent}{place} = {formula.text}"]
            name = self._variable(call.target, at)
            known[self._buffer(call.target)] = name, place
            lines.append(f"{indent}{name} = {formula.text}")
        return [*lines, *(f"{indent}{place} = {name}" for name, place in known.values())]

    def _known_entry(
        self, operand: Operand, at: Sequence[str], known: Mapping[str, tuple[str, str]]
    ) -> Formula:
        """An operand's entry, by its variable if the loop has computed it."""
        if (
            isinstance(operand.source, Register)
            and (buffer := self._buffer(operand.source)) in known
        ):
            return Formula(known[buffer][0])
        return self._entry(operand, at)

    def _variable(self, target: Register, at: Sequence[str]) -> str:
        """What an entry of an array is called within a loop."""
        key = f"{self._place(target)}_{''.join(at)}"
        if key not in self._variables:
            self._variables[key] = self._free(key)
        return self._variables[key]

    def _entry(self, operand: Operand, at: Sequence[str]) -> Formula:
        """An operand's entry at the place of the loop."""
        if isinstance(operand.source, Constant):
            text = repr(operand.source.value)
            return Formula(text, PRODUCT if text[0] == "-" else ATOM)
        name, indices = self._place(operand.source), list(at)
        if not operand.source.shape:
            return Formula(f"{name}[()]" if operand.source in self._parameters else name)
        for view in reversed(operand.views):
            if view == TRANSPOSE:
                indices.reverse()
            elif view == COLUMN:
                indices = indices[:1]
            else:
                raise InputError(
                    "numba is not given arrays of another shape; use the backend numpy"
                )
        return Formula(f"{name}[{', '.join(indices[-len(operand.source.shape) :])}]")

    def _alone(self, call: Call) -> list[str]:
        """A call that is no loop over the entries of its target."""
        target = self._place(call.target)
        if call.operation == "dot" and call.target.shape:
            return [f"dot({', '.join(map(self._array, call.operands))}, {target})"]
        if call.operation in ("dot", "vdot", "sum"):
            return self._reduction(call, target)
        if call.operation == "row_max" and call.target.shape:
            (operand,) = call.operands
            rows, columns = self._shape(operand)
            first, other = (self._entry(operand, ("i", j)).text for j in ("0", "j"))
            return [
                f"for i in range({rows}):",
                f"    {target}[i] = {first}",
                f"    for j in range(1, {columns}):",
                f"        if not {other} <= {target}[i]:",
                f"            {target}[i] = {other}",
            ]
        if not call.target.shape and call.operation in _IN_LOOPS:
            values = [self._entry(operand, ()) for operand in call.operands]
            text = entry(call.operation, values, [False] * len(values)).text
            return [f"{target} = {text}"]
        raise _refusal(call.operation)

    def _reduction(self, call: Call, target: str) -> list[str]:
        """A sum over all entries."""
        shape = self._shape(call.operands[0])
        lines, indent = [f"{target} = 0.0"], ""
        for index, size in zip(INDICES, shape, strict=False):
            lines.append(f"{indent}for {index} in range({size}):")
            indent += "    "
        at = INDICES[: len(shape)]
        factors = (self._entry(operand, at).within(ATOM) for operand in call.operands)
        return [*lines, f"{indent}{target} += {' * '.join(factors)}"]

    def _array(self, operand: Operand) -> str:
        """An operand as an array with its views."""
        if isinstance(operand.source, Constant):
            name = self._ones_array(operand.source)
        else:
            name = self._place(operand.source)
        if any(view != TRANSPOSE for view in operand.views):
            raise _refusal("arrays of another shape")
        return name + ".T" * len(operand.views)

    def _ones_array(self, constant: Constant) -> str:
        if constant.value != 1.0 or constant.is_identity:
            raise _refusal("identity matrices")
        if constant not in self._ones:
            self._ones[constant] = constant.name
            self.allocations.append((constant.name, constant.shape, False))
        return self._ones[constant]

    def _shape(self, operand: Operand) -> tuple[int, ...]:
        shape = operand.source.shape
        for view in operand.views:
            if view == TRANSPOSE:
                shape = shape[::-1]
            elif isinstance(view, tuple):
                shape = view
        return shape

    def _place(self, source: Register | Constant) -> str:
        assert isinstance(source, Register)
        return self._buffers.places.get(source, source.name)

    def _buffer(self, source: Register | Constant) -> str:
        """The buffer in which a register is, by whatever name it goes."""
        place = self._place(source)
        return self._buffers.aliases.get(place, place)


def _refusal(what: str) -> InputError:
    return InputError(f"the backend numba does not compute with {what}; use the backend numpy")


_IN_LOOPS = ELEMENTWISE | {"copy", "where"}
"""What is done entry by entry."""
