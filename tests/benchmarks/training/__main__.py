"""The speed of training: ours beside PyTorch, JAX, scikit-learn, MyGrad and HIPS autograd.

    python -m tests.benchmarks.training [--quick] [--only W2] [--json FILE]

Four networks, W1 to W4 (see `workloads`), are trained by every contender on the same samples from
the same weights; each step records its loss. A contender is a process of its own, which sleeps but
for its turns. A turn is a quarter of a second of steps; in each round every contender has one, and
the order turns from round to round. All processes start anew three times. Shown are the medians
over the rounds and what a tenth and nine tenths of them stay below, in microseconds a step; ratios
are those of times of the same round. The losses of the first steps, with all samples in each, show
that contenders compute the same.

Ours is all that `wb.train` does: records, gradient norms, accuracy, checks, shuffling. The others
do what a step needs. They run with one thread or one a core, whichever is faster in a trial; ours
chooses by itself. The whole processes are `workbench train`, with a run directory, and scripts of
the same calls of the peers.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.training import contenders, whole
from tests.benchmarks.training.ours import start
from tests.benchmarks.training.rounds import FULL, QUICK, Plan, Result, measure
from tests.benchmarks.training.table import judge, machine_line, result_lines, verdict_lines
from tests.benchmarks.training.workloads import (
    CASES,
    WORKLOADS,
    Case,
    make_data,
    save_parameters,
)

QUICK_LOOK = "W1", "W2", "W3"


def measure_steps(cases: list[Case], plan: Plan, folder: Path) -> list[Result]:
    """Measure and print every case's steps."""
    results = []
    for case in cases:
        results.append(measure(case, plan, folder))
        print(*result_lines(results[-1], f"{case.title}; µs a step"), "", sep="\n", flush=True)
    return results


def measure_processes(cases: list[Case], plan: Plan, folder: Path) -> list[Result]:
    """Measure and print the whole processes of those cases that have some."""
    results = []
    for case in cases:
        if case.name in {target.case for target in whole.TARGETS}:
            results.append(whole.measure_whole(case, plan, folder))
            epochs = f"{whole.EPOCHS[case.workload.name]:,} epochs"
            title = f"{case.title}; seconds of a whole process, {epochs}"
            print(*result_lines(results[-1], title, 1e6), "", sep="\n", flush=True)
    return results


def main() -> None:
    """Measure what is asked for, print tables and verdicts."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="a look, too short to judge by; W4 only if named"
    )
    parser.add_argument("--only", choices=WORKLOADS, action="append", help="repeatable")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all measurements there")
    arguments = parser.parse_args()
    plan = QUICK if arguments.quick else FULL
    names = arguments.only or (QUICK_LOOK if arguments.quick else WORKLOADS)
    cases = [case for case in CASES if case.workload.name in names]
    print(machine_line(), "", sep="\n")
    with TemporaryDirectory() as name:
        folder = Path(name)
        for case in cases:
            parameters = start(case, make_data(case.workload, {})).parameters
            save_parameters(folder / f"{case.workload.name}.npz", parameters)
        steps = measure_steps(cases, plan, folder)
        processes = measure_processes(cases, plan, folder)
    verdicts = judge(contenders.TARGETS, steps) + judge(whole.TARGETS, processes)
    print(*verdict_lines(verdicts), sep="\n")
    if arguments.json:
        content = {
            "steps": [result.to_json() for result in steps],
            "processes": [result.to_json() for result in processes],
            "verdicts": [verdict.to_json() for verdict in verdicts],
        }
        arguments.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
