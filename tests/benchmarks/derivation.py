"""The time that derivations take: networks, a transformer block, long systems, and SymPy beside.

    python tests/benchmarks/derivation.py [networks] [transformer] [systems] [sympy]

Networks: `workbench derive` as a whole process, 10 and 100 layers, each 5 wide, derived in matrix
form, checked by numbers and written; the targets are 100 layers in less than 10 times the time of
10, and within 2 s. Transformer: `examples/transformer.eq` read, derived, checked and written; the
target is 2 s. Systems: 100 to 1,000 equations `h = tanh(W h + x)` that share W; the target is
linear growth, a steady time an equation. SymPy: the gradients of such a chain of scalar equations,
since SymPy has no functions of matrices; for SymPy it is one formula, as it has no intermediates.

What is compared takes turns, so that what else the machine does meets all alike; shown are medians.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter

import workbench as wb
from workbench.derivation.differentiate import derive

LAYERS = 10, 100
WIDTH = 5
DETAILS = "brief", "paper", "full"
EQUATIONS = 100, 200, 400, 700, 1000
CELLS = 2, 4, 8, 16
TRANSFORMER = Path(__file__).parents[2] / "examples" / "transformer.eq"


def seconds(work: Callable[[], object]) -> float:
    """How long something takes once."""
    begin = perf_counter()
    work()
    return perf_counter() - begin


def in_turns(works: Mapping[object, Callable[[], object]], rounds: int) -> dict[object, float]:
    """The median seconds of each of several things that take turns."""
    times: dict[object, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            times[name].append(seconds(work))
    return {name: median(found) for name, found in times.items()}


# networks


def process(*arguments: str) -> Callable[[], object]:
    """`workbench derive` as a process of its own."""
    command = [sys.executable, "-m", "workbench", "derive", *arguments]
    return partial(subprocess.run, command, check=True, stdout=subprocess.DEVNULL)


def print_networks(rounds: int) -> None:
    """A table of 10 and 100 layers at every detail."""
    print(f"{'detail':9}{'layers':>7}{'median s':>10}{'ratio':>7}")
    for detail in DETAILS:
        times = in_turns(
            {
                layers: process(
                    "-".join([str(WIDTH)] * (layers + 1)), "--form", "matrix", "--detail", detail
                )
                for layers in LAYERS
            },
            rounds,
        )
        for layers in LAYERS:
            ratio = times[layers] / times[LAYERS[0]]
            print(f"{detail:9}{layers:>7}{times[layers]:>10.3f}{ratio:>7.2f}", flush=True)


# a transformer block


def print_transformer(rounds: int) -> None:
    """The block in every voice, and as a process."""
    system = wb.read_equations(TRANSFORMER)
    works: dict[object, Callable[[], object]] = {
        f"{voice}, derived and checked": partial(wb.derive, system, voice=voice)
        for voice in ("chain", "differentials", "entries")
    }
    works["chain, derived alone"] = partial(derive, system)
    works["chain, the whole command"] = process(str(TRANSFORMER))
    for name, time in in_turns(works, rounds).items():
        print(f"{name:36}{time:>10.3f} s", flush=True)


# long systems


def recurrent(equations: int) -> str:
    """A cell with shared weights over many steps."""
    lines = ["parameter W : n×n", "input x : n, h0 : n"]
    lines += [f"h{t} = tanh(W h{t - 1} + x)" for t in range(1, equations)]
    return "\n".join([*lines, f"L = 1/2 ‖h{equations - 1}‖²"])


def print_systems(rounds: int) -> None:
    """The time of reading, deriving and checking an equation, as equations become more."""
    print(f"{'equations':>9}{'read s':>9}{'derive s':>10}{'with checks s':>15}{'ms/equation':>13}")
    sources = {count: recurrent(count) for count in EQUATIONS}
    systems = {count: wb.equations(source) for count, source in sources.items()}
    read = in_turns({n: partial(wb.equations, s) for n, s in sources.items()}, rounds)
    plain = in_turns({n: partial(derive, s) for n, s in systems.items()}, rounds)
    whole = in_turns({n: partial(wb.derive, s) for n, s in systems.items()}, rounds)
    for count in EQUATIONS:
        each = 1e3 * (read[count] + whole[count]) / count
        times = f"{read[count]:>9.3f}{plain[count]:>10.3f}{whole[count]:>15.3f}"
        print(f"{count:>9}{times}{each:>13.2f}", flush=True)


# SymPy


def cells(count: int) -> str:
    """A recurrent cell of scalars."""
    lines = ["parameter w, u, b", "input x, h0, y"]
    lines += [f"h{t} = tanh(w h{t - 1} + u x + b)" for t in range(1, count + 1)]
    return "\n".join([*lines, f"L = 1/2 (h{count} - y)^2"])


def by_sympy(count: int) -> None:
    """The same gradients; without named intermediates, SymPy differentiates one formula."""
    import sympy
    from sympy.core.cache import clear_cache

    clear_cache()
    w, u, b, x, h, y = sympy.symbols("w u b x h0 y", real=True)
    for _ in range(count):
        h = sympy.tanh(w * h + u * x + b)
    loss = (h - y) ** 2 / 2
    for parameter in (w, u, b):
        sympy.diff(loss, parameter)


def ours(count: int) -> None:
    """From text to the derivation with its steps."""
    derive(wb.equations(cells(count)))


def print_sympy(rounds: int) -> None:
    """Our derivation with its steps, from text, beside SymPy's results."""
    print(f"{'cells':>5}{'SymPy s':>10}{'ours s':>10}{'ratio':>8}")
    for count in CELLS:
        times = in_turns(
            {
                "SymPy": partial(by_sympy, count),
                "ours": partial(ours, count),
            },
            rounds,
        )
        theirs, own = times["SymPy"], times["ours"]
        print(f"{count:>5}{theirs:>10.3f}{own:>10.3f}{theirs / own:>8.1f}", flush=True)


TABLES: dict[str, Callable[[int], None]] = {
    "networks": print_networks,
    "transformer": print_transformer,
    "systems": print_systems,
    "sympy": print_sympy,
}


def main() -> None:
    """Print the tables that are asked for, all if none is."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("tables", nargs="*", metavar="|".join(TABLES))
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    for name in arguments.tables or TABLES:
        TABLES[name](arguments.rounds)


if __name__ == "__main__":
    main()
