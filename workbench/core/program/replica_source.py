"""Replicas as NumPy: the calls of one model, printed for many of them side by side.

Every array that depends on parameters gets a last axis, an entry a replica; what a batch brings has
none and is read by all. A call then does for all replicas at once what it did for one.

What is fast: a product with what has no replicas is one product of matrices, that of all replicas
next to each other; any other sum of products is an `einsum` along the replicas, which reads its
operands once and makes nothing on the way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from workbench.core.optimizers import Optimizer
from workbench.core.program.buffers import Buffers, assign_buffers, needed_calls
from workbench.core.program.calls import TRANSPOSE, Block, Call, Constant, Operand, Register
from workbench.core.program.loops import data_of, names_of, tuple_of
from workbench.core.program.names import FreeNames
from workbench.core.program.numpy_source import NumPyWriter
from workbench.core.program.source import Lowered, numpy_module
from workbench.errors import InputError

DOCSTRING = """Make train, which makes a step of all replicas with each batch, and forward.

    Each step has rows for the replicas' losses, for the squares of their gradients' norms and for
    how many samples they have right. `examine` is asked where a replica that is not frozen yet has
    a number that is not finite. forward computes losses and outputs only.
    """


def replicated(lowered: Lowered, width: int) -> Lowered:
    """The same calls with a last axis of `width` replicas wherever no batch brings the array."""
    data = {*lowered.inputs, *lowered.targets}
    wider: dict[Register, Register] = {register: register for register in data}

    def widen(register: Register) -> Register:
        if register not in wider:
            wider[register] = replace(register, shape=(*register.shape, width))
        return wider[register]

    def read(operand: Operand) -> Operand:
        if isinstance(operand.source, Constant) or operand.source in data:
            return operand
        views = tuple((*view, width) if isinstance(view, tuple) else view for view in operand.views)
        return replace(operand, source=widen(operand.source), views=views)

    def compute(call: Call) -> Call:
        return Call(call.operation, tuple(map(read, call.operands)), widen(call.target))

    blocks = [Block(block.line, list(map(compute, block.calls))) for block in lowered.blocks]
    return replace(
        lowered,
        blocks=blocks,
        parameters=list(map(widen, lowered.parameters)),
        gradients=list(map(widen, lowered.gradients)),
        loss=widen(lowered.loss),
        output=widen(lowered.output),
    )


class ReplicaWriter(NumPyWriter):
    """Writes calls whose arrays have a last axis of replicas, but for those in `data`."""

    def __init__(self, buffers: Buffers, data: Iterable[Register]) -> None:
        super().__init__(buffers)
        self._data = frozenset(data)

    def line(self, call: Call) -> str:
        """One call as a line of Python."""
        target = self._name(call.target)
        operands = [self._operand(operand) for operand in call.operands]
        axes = self._rank(call.operands[0])
        match call.operation:
            case "dot":
                left, right = call.operands
                return self._dot(left, right, call.target)
            case "vdot":
                return self._einsum(call.operands, ["ij"[:axes]] * 2, "", target)
            case "sum":
                return f"add.reduce({operands[0]}, {tuple(range(axes))}, None, {target})"
            case "row_max":
                return f"maximum.reduce({operands[0]}, {axes - 1}, None, {target})"
            case "maximum" | "minimum":
                return f"{call.operation}({', '.join(operands)}, out={target})"
            case "kron" | "diag" | "diagonal":
                raise InputError(
                    f"replicas cannot compute {call.operation}; use --strategy elementwise"
                )
        return super().line(call)

    def _by_places(self, call: Call) -> list[str]:
        return [self.line(call)]

    def _dot(self, left: Operand, right: Operand, target: Register) -> str:
        out, rows = self._name(target), target.shape[0] if self._rank(left) == 2 else 1
        first, second = self._read_alone(left), self._read_alone(right)
        if self._is_shared(left) and self._is_shared(right):
            return f"{out}[...] = dot({first}, {second})[..., None]"
        if self._is_shared(left) and not right.views:
            whole = self._flat(out, rows) if self._rank(left) == 2 else self._flat(out)
            return f"dot({first}, {self._flat(second, right.source.shape[0])}, {whole})"
        if self._is_shared(right) and self._rank(right) == 1 and left.views == (TRANSPOSE,):
            source = left.source
            assert isinstance(source, Register)
            turned = self._flat(self._name(source), source.shape[0])
            return f"dot({second}, {turned}, {self._flat(out)})"
        if self._rank(left) == self._rank(right) == 2 and _columns(left) == 1:
            return f"multiply({self._operand(left)}, {self._operand(right)}, {out})"
        labels = ["ij"[2 - self._rank(left) :], "jp"[: self._rank(right)]]
        result = labels[0][:-1] + labels[1][1:]
        return self._einsum((left, right), labels, result, out)

    def _einsum(
        self, operands: Sequence[Operand], labels: Sequence[str], result: str, out: str
    ) -> str:
        """A sum of products for each replica, by the labels of the other axes."""
        read = ", ".join(map(self._read_alone, operands))
        given = ",".join(
            axes if self._is_shared(operand) else f"{axes}k"
            for operand, axes in zip(operands, labels, strict=True)
        )
        if all(map(self._is_shared, operands)):
            return f'{out}[...] = einsum("{given}->{result}", {read})'
        return f'einsum("{given}->{result}k", {read}, out={out})'

    def _flat(self, name: str, rows: int | None = None) -> str:
        """A view made once: the replicas of all but the first axis next to each other."""
        shape, suffix = ("-1", "all") if rows is None else (f"{rows}, -1", "rows")
        return self.hoisted.setdefault(f"{name}.reshape({shape})", f"{name}_{suffix}")

    def _operand(self, operand: Operand) -> str:
        alone = self._read_alone(operand)
        return f"{alone}[..., None]" if self._is_shared(operand) else alone

    def _read_alone(self, operand: Operand) -> str:
        """An operand in a call that names its axes."""
        turned = [place for place, view in enumerate(operand.views) if view == TRANSPOSE]
        if self._is_shared(operand) or not turned:
            return super()._operand(operand)
        assert isinstance(operand.source, Register)
        name = self._name(operand.source)
        if operand.views == (TRANSPOSE,):
            return self.hoisted.setdefault(f"{name}.swapaxes(0, 1)", f"{name}_turned")
        raise InputError("replicas cannot compute this reshaped transpose; use one replica")

    def _is_shared(self, operand: Operand) -> bool:
        """Whether it is an array without replicas."""
        source = operand.source
        return bool(source.shape) if isinstance(source, Constant) else source in self._data

    def _rank(self, operand: Operand) -> int:
        """The number of its axes besides that of the replicas."""
        is_wide = isinstance(operand.source, Register) and operand.source not in self._data
        return operand.dimensions - is_wide

    def _name(self, register: Register) -> str:
        return self.buffers.places.get(register, register.name)


def _columns(operand: Operand) -> int | None:
    """The number of columns of a matrix that is not reshaped."""
    is_turned = operand.views == (TRANSPOSE,)
    return operand.source.shape[not is_turned] if is_turned or not operand.views else None


def replica_loop(
    lowered: Lowered, optimizer: Optimizer, dtype: np.dtype[Any], *, keeps_correct: bool
) -> str:
    """A module whose `build` makes the functions `train` and `forward`, the losses and the outputs.

    They are `train(numbers, batches, losses, squares, correct, *scalars)`, with the numbers of the
    steps, and `forward(*batch)`. `build` takes parameters, gradients, their matrices (entries,
    replicas), those of the states, `frozen`, and the functions `min` of arrays, `examine`,
    `are_finite` and `chosen_classes`.

    Parameters
    ----------
    lowered : with replicas.
    keeps_correct : whether the right answers of every step are counted; a batch then brings the
        classes of its samples (samples, 1) last.

    Raises
    ------
    InputError
        If a strategy forms matrices that replicas cannot.
    """
    buffers = assign_buffers(lowered.blocks)
    data = data_of(lowered)
    writer = ReplicaWriter(buffers, data)
    step = writer.lines(needed_calls(lowered.blocks, [lowered.loss, *lowered.gradients]))
    forward = writer.lines(needed_calls(lowered.blocks, [lowered.loss, lowered.output]))
    free = FreeNames([*buffers.places.values(), *(r.name for r in lowered.given)])
    names = {name: free(name) for name in names_of(optimizer)}
    update = optimizer.vector_lines(names)
    theta, gradients = names["theta"], names["g"]
    number, check, finite, frozen = map(free, ("number", "check", "finite", "frozen"))
    square, norm, answers = map(free, ("squared_norm", "norm", "answers"))
    classes = free("classes")
    loss_row, square_row, correct_row = map(free, ("loss_row", "square_row", "correct_row"))
    loss = buffers.places[lowered.loss]
    output = buffers.places.get(lowered.output, lowered.output.name)
    size, width = lowered.output.shape[0], lowered.loss.shape[0]
    counting = f"add.reduce(equal(chosen_classes({answers}), {classes}), 0, None, {correct_row})"
    lines = [
        *step,
        f"copyto({loss_row}, {loss})",
        f'einsum("pk,pk->k", {gradients}, {gradients}, out={square})',
        f"copyto({square_row}, {square})",
        f"add({loss_row}, {square}, {check})",
        f"are_finite({check}, {finite})",
        f"logical_or({finite}, {frozen}, {finite})",
        f"if count_nonzero({finite}) < {width}:",
        f"    examine({number}, {loss_row}, {square_row})",
        *([f"{norm} = array(sqrt({square_row}), dtype)"] if optimizer.needs_norm else []),
        *optimizer.norm_lines({**names, "norm": norm}),
        f"# the optimizer {optimizer.rule.name}",
        *update.lines,
        *([counting] if keeps_correct else []),
    ]
    batch = [*(register.name for register in data), *([classes] if keeps_correct else [])]
    rows = [number, tuple_of(batch), loss_row, square_row, correct_row]
    scalars = [names[name] for name in optimizer.scalar_names]
    bodies = [
        "    def train(numbers, batches, losses, squares, correct, *scalars):",
        f"        for {', '.join([*rows, *scalars])} in zip(",
        "            numbers, batches, losses, squares, correct, *scalars",
        "        ):",
        *(f"            {line}" for line in lines),
        "",
        f"    def forward({', '.join(batch[: len(data)])}):",
        *(f"        {line}" for line in forward),
        "",
    ]
    made = [f"{name} = array({value!r}, dtype)" for name, value in update.constants.items()]
    made += [f"{name} = empty_like({theta})" for name in update.scratch]
    made += [
        f"{square} = empty({width}, dtype)",
        f"{check} = empty({width}, dtype)",
        f"{finite} = empty({width}, bool)",
        f"{answers} = {output}.reshape({size}, -1, {width})",
    ]
    held = [register.name for register in (*lowered.parameters, *lowered.gradients)]
    matrices = [theta, gradients, *(names[state] for state in optimizer.rule.states)]
    arguments = [*held, *matrices, frozen, "min", "examine", "are_finite", "chosen_classes"]
    returned = f"train, forward, {loss}, {answers}"
    return numpy_module(writer, lowered, dtype, arguments, DOCSTRING, made, bodies, returned)
