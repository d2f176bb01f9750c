"""Buffers: a place for every register, shared out by lifetime.

A buffer is used again once nobody reads its value any more. An elementwise call writes over an
operand that dies there. Results with names of their own (intermediates, gradients) keep theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod

from workbench.core.program.calls import Block, Call, Operand, Register


@dataclass(frozen=True)
class Buffers:
    """A place for every register.

    Attributes
    ----------
    places : the name of each register's buffer; scalars are Python variables.
    allocations : name, shape and truth-valuedness of each buffer to make.
    """

    places: dict[Register, str]
    allocations: tuple[tuple[str, tuple[int, ...], bool], ...]

    def bytes(self, itemsize: int) -> int:
        """The memory that the buffers take."""
        return sum(
            prod(shape) * (1 if boolean else itemsize) for _, shape, boolean in self.allocations
        )


def assign_buffers(blocks: Sequence[Block]) -> Buffers:
    """Share out buffers among the registers of a program."""
    calls = [call for block in blocks for call in block.calls]
    first, last = _lifetimes(calls)
    representative = _merged_in_place(calls, last)
    spans: dict[Register, tuple[int, int]] = {}
    for register in first:
        head = representative.get(register, register)
        start, end = spans.get(head, (first[register], last[register]))
        spans[head] = (min(start, first[register]), max(end, last[register]))
    heads, allocations = _placed(spans)
    places = {register: heads[representative.get(register, register)] for register in first}
    return Buffers(places, tuple(allocations))


def _lifetimes(calls: Sequence[Call]) -> tuple[dict[Register, int], dict[Register, int]]:
    first: dict[Register, int] = {}
    last: dict[Register, int] = {}
    for time, call in enumerate(calls):
        if not call.target.is_given:
            first.setdefault(call.target, time)
            last[call.target] = max(time, last.get(call.target, time))
        for source in registers_of(call):
            if not source.is_given:
                last[source] = time
    return first, last


def registers_of(call: Call) -> Iterable[Register]:
    """The registers that a call reads."""
    return (o.source for o in call.operands if isinstance(o.source, Register))


def _merged_in_place(calls: Sequence[Call], last: dict[Register, int]) -> dict[Register, Register]:
    """For each temporary that its last reader may overwrite, the register that takes its place."""
    merged: dict[Register, Register] = {}
    for time in range(len(calls) - 1, -1, -1):
        call = calls[time]
        if not call.in_place or not call.target.shape:
            continue
        for operand in call.operands:
            if _may_be_overwritten(operand, call, last, time):
                assert isinstance(operand.source, Register)
                merged[operand.source] = merged.get(call.target, call.target)
                break
    return merged


def _may_be_overwritten(operand: Operand, call: Call, last: dict[Register, int], time: int) -> bool:
    source = operand.source
    return (
        isinstance(source, Register)
        and not source.is_given
        and not source.name
        and not operand.views
        and source is not call.target
        and last.get(source) == time
        and (source.shape, source.boolean) == (call.target.shape, call.target.boolean)
        and sum(register is source for register in registers_of(call)) == 1
    )


def _placed(
    spans: dict[Register, tuple[int, int]],
) -> tuple[dict[Register, str], list[tuple[str, tuple[int, ...], bool]]]:
    heads: dict[Register, str] = {}
    allocations = []
    free: list[tuple[int, str, tuple[int, ...], bool]] = []
    count = scalars = 0
    for register, (start, end) in sorted(spans.items(), key=lambda item: item[1]):
        if register.is_given:
            heads[register] = register.name
        elif not register.shape:
            scalars += not register.name
            heads[register] = register.name or f"scalar{scalars}"
        elif register.name:
            heads[register] = register.name
            allocations.append((register.name, register.shape, register.boolean))
        else:
            wanted = (register.shape, register.boolean)
            reusable = [f for f in free if f[0] < start and f[2:] == wanted]
            if reusable:
                name = reusable[0][1]
                free.remove(reusable[0])
            else:
                count += 1
                name = f"{'mask' if register.boolean else 'work'}{count}"
                allocations.append((name, *wanted))
            heads[register] = name
            free.append((end, name, *wanted))
    return heads, allocations


def needed_calls(blocks: Sequence[Block], wanted: Iterable[Register]) -> list[Block]:
    """The blocks with only those calls that the wanted registers rest on."""
    needed = set(wanted)
    kept: list[Block] = []
    for block in reversed(blocks):
        calls = []
        for call in reversed(block.calls):
            if call.target in needed:
                calls.append(call)
                needed.update(registers_of(call))
        kept.append(Block(block.line, calls[::-1]))
    return [block for block in reversed(kept) if block.calls]
