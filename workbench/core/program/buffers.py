"""Buffers: a place for every register, shared out by lifetime.

A buffer is used again once nobody reads its value any more. An elementwise call writes over an
operand that dies there. Results with names of their own (intermediates) are called by these
wherever they are; what is wanted after the last call keeps its buffer, as do gradients.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TypeAlias

from workbench.core.program.calls import Block, Call, Operand, Register

Allocation: TypeAlias = tuple[str, tuple[int, ...], bool]
"""Name, shape and truth-valuedness of a buffer."""


@dataclass(frozen=True)
class Buffers:
    """A place for every register.

    Attributes
    ----------
    places : what each register's buffer is called; scalars are Python variables.
    allocations : the buffers to make.
    aliases : further names of buffers, with the names in `allocations`.
    """

    places: dict[Register, str]
    allocations: tuple[Allocation, ...]
    aliases: dict[str, str]

    def bytes(self, itemsize: int) -> int:
        """The memory that the buffers take."""
        return sum(
            prod(shape) * (1 if boolean else itemsize) for _, shape, boolean in self.allocations
        )


def assign_buffers(blocks: Sequence[Block], places: Collection[Register] = ()) -> Buffers:
    """Share out buffers among the registers of a program.

    Parameters
    ----------
    places : registers that come with a place for them, besides those that are given.
    """
    calls = [call for block in blocks for call in block.calls]
    given = {call.target for call in calls if call.target.is_given} | {*places}
    first, last = _lifetimes(calls, given)
    merged = _merged_in_place(calls, last, given)
    spans: dict[Register, tuple[int, int]] = {}
    for register in first:
        head = _head(register, merged)
        start, end = spans.get(head, (first[register], last[register]))
        spans[head] = (min(start, first[register]), max(end, last[register]))
    placing = _Placing({register: register.name for register in given})
    for register, span in sorted(spans.items(), key=lambda item: item[1]):
        if register not in given:
            placing.place(register, *span)
    for register, target in merged.items():
        placing.share(register, target)
    return Buffers(placing.places, tuple(placing.allocations), placing.aliases)


def _lifetimes(
    calls: Sequence[Call], given: Collection[Register]
) -> tuple[dict[Register, int], dict[Register, int]]:
    """When each register is first written and last read; those that are given are not counted."""
    first: dict[Register, int] = {}
    last: dict[Register, int] = {}
    for time, call in enumerate(calls):
        if call.target not in given:
            first.setdefault(call.target, time)
            last[call.target] = max(time, last.get(call.target, time))
        for source in registers_of(call):
            if source in first:
                last[source] = time
    return first, last | {register: len(calls) for register in first if register.is_kept}


def registers_of(call: Call) -> Iterable[Register]:
    """The registers that a call reads."""
    return (o.source for o in call.operands if isinstance(o.source, Register))


def _merged_in_place(
    calls: Sequence[Call], last: dict[Register, int], given: Collection[Register]
) -> dict[Register, Register]:
    """For each register that its last reader may overwrite, the one that it makes way for.

    That one comes before it, if it has itself to make way.
    """
    merged: dict[Register, Register] = {}
    for time in range(len(calls) - 1, -1, -1):
        call = calls[time]
        if not call.in_place or not call.target.shape:
            continue
        is_given = _head(call.target, merged) in given
        for operand in call.operands:
            source = operand.source
            if _may_be_overwritten(operand, call, last, time):
                assert isinstance(source, Register)
                if not (source.name and is_given):
                    merged[source] = call.target
                    break
    return merged


def _head(register: Register, merged: dict[Register, Register]) -> Register:
    """The last of those that make way for one another."""
    while register in merged:
        register = merged[register]
    return register


def _may_be_overwritten(operand: Operand, call: Call, last: dict[Register, int], time: int) -> bool:
    source = operand.source
    return (
        isinstance(source, Register)
        and not operand.views
        and source is not call.target
        and last.get(source) == time
        and (source.shape, source.boolean) == (call.target.shape, call.target.boolean)
        and sum(register is source for register in registers_of(call)) == 1
    )


@dataclass
class _Placing:
    """Gives registers their buffers, in the order in which they are first written.

    Attributes
    ----------
    free : every buffer, with the time of its last reading so far.
    """

    places: dict[Register, str]
    allocations: list[Allocation] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)
    free: list[tuple[int, Allocation]] = field(default_factory=list)
    _temporaries: set[str] = field(default_factory=set)
    _scalars: int = 0

    def place(self, register: Register, start: int, end: int) -> None:
        """Find a buffer for what is first written and last read at these times."""
        if not register.shape:
            self._scalars += not register.name
            self.places[register] = register.name or f"scalar{self._scalars}"
        else:
            wanted = (register.shape, register.boolean)
            found = next((f for f in self.free if f[0] < start and f[1][1:] == wanted), None)
            if found is None:
                buffer = (register.name or self._new_name(register), *wanted)
                self.allocations.append(buffer)
            else:
                self.free.remove(found)
                buffer = found[1]
            self.free.append((end, buffer))
            self._call(register, buffer[0])

    def share(self, register: Register, target: Register) -> None:
        """Put a register where another one is."""
        place = self.places[target]
        if register.name:
            self._call(register, self.aliases.get(place, place))
        else:
            self.places[register] = place

    def _call(self, register: Register, buffer: str) -> None:
        """Call the place of a register by its own name; temporaries by that of their buffer."""
        name = register.name
        if not name:
            name = buffer if buffer in self._temporaries else self._new_name(register)
        self.places[register] = name
        if name != buffer:
            self.aliases[name] = buffer

    def _new_name(self, register: Register) -> str:
        name = f"{'mask' if register.boolean else 'work'}{len(self._temporaries) + 1}"
        self._temporaries.add(name)
        return name


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
