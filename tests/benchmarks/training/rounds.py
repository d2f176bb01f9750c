"""The measurement: contenders in processes of their own take turns, round after round."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from tests.benchmarks.training.contenders import CONTENDERS, Contender
from tests.benchmarks.training.workloads import Case

ROOT = Path(__file__).parents[3]
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NPROC",
)
"""The last is XLA's."""

OWN = "own"
"""In place of a number of threads: the contender's own choice."""

THREADS = "1", str(os.cpu_count())


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes
    ----------
    seconds : of a turn.
    processes : how often every contender starts anew.
    rounds : turns of each process.
    trial : whether each contender's best number of threads is found out, or guessed by size.
    whole : the runs of each whole process.
    """

    seconds: float = 0.25
    processes: int = 3
    rounds: int = 7
    trial: bool = True
    whole: int = 7


FULL = Plan()
QUICK = Plan(seconds=0.05, processes=1, rounds=3, trial=False, whole=1)


class Missing(Exception):
    """A contender cannot take part, for the reason given."""


class Process:
    """The driver's side of `worker`."""

    def __init__(self, contender: Contender, case: Case, threads: str, folder: Path) -> None:
        arguments = contender.name, case.workload.name, case.optimizer, str(folder)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.training.worker", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env=environment(OWN if contender.own_threads else threads),
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and wait for its answer."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it ended, as the missing answer tells
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """Wait for an answer; `Missing` where the contender cannot take part."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise Missing(f"its process ended with {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "missing" in answer:
            raise Missing(answer["missing"])
        return answer

    def end(self) -> None:
        """Let the process end, and wait for it."""
        self._process.communicate()


def environment(threads: str) -> dict[str, str]:
    """This process's environment with so many threads for the numerical libraries."""
    plain = {name: value for name, value in os.environ.items() if name not in THREAD_VARIABLES}
    plain["TF_CPP_MIN_LOG_LEVEL"] = "2"
    return plain if threads == OWN else plain | dict.fromkeys(THREAD_VARIABLES, threads)


@dataclass
class Result:
    """What was measured of a case.

    Attributes
    ----------
    times : microseconds a step of each contender, round by round.
    threads : the number of threads of each, or what it chose itself.
    losses : of the first steps, of those contenders whose losses must agree.
    missing : why contenders did not take part.
    """

    case: Case
    times: dict[str, list[float]] = field(default_factory=dict)
    threads: dict[str, str] = field(default_factory=dict)
    losses: dict[str, list[float]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def leave_out(self, name: str, reason: Missing | str) -> None:
        """Drop a contender that cannot take part, or not any longer."""
        self.missing[name] = str(reason)
        self.times.pop(name, None)
        self.threads.pop(name, None)
        self.losses.pop(name, None)

    def ratios(self, name: str, other: str) -> list[float]:
        """The ratio of two contenders' times in each round."""
        return [a / b for a, b in zip(self.times[name], self.times[other], strict=True)]

    def to_json(self) -> dict[str, Any]:
        """Everything that was measured, in the types of JSON."""
        return {
            "case": self.case.name,
            "microseconds_a_step": self.times,
            "threads": self.threads,
            "losses": self.losses,
            "missing": self.missing,
        }


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """The median, and what a tenth and nine tenths of the values stay below.

    >>> spread([5.0])
    (5.0, 5.0, 5.0)
    >>> spread([float(value) for value in range(11)])
    (5.0, 1.0, 9.0)
    """
    if len(values) == 1:
        return values[0], values[0], values[0]
    tenths = quantiles(values, n=10, method="inclusive")
    return median(values), tenths[0], tenths[-1]


def measure(case: Case, plan: Plan, folder: Path) -> Result:
    """Measure every contender that fits a case; starting weights lie in the folder."""
    result = Result(case)
    names = [contender.name for contender in CONTENDERS.values() if contender.fits(case)]
    for name in names:
        with leaving_out(result, name):
            result.threads[name] = best_threads(CONTENDERS[name], case, plan, folder)
    for generation in range(plan.processes):
        with processes(result, folder) as running:
            for name, process in running.items():
                with leaving_out(result, name):
                    if not generation and CONTENDERS[name].agrees:
                        result.losses[name] = process.ask(agreement=True)["losses"]
                    process.ask(prepare=plan.seconds)
            for turn in range(plan.rounds):
                order = [name for name in running if name not in result.missing]
                first = (generation * plan.rounds + turn) % max(1, len(order))
                for name in order[first:] + order[:first]:
                    with leaving_out(result, name):
                        answer = running[name].ask(turn=True)
                        result.times.setdefault(name, []).append(answer["microseconds"])
    return result


@contextmanager
def leaving_out(result: Result, name: str) -> Iterator[None]:
    """Go on without a contender if it turns out to be missing."""
    try:
        yield
    except Missing as reason:
        result.leave_out(name, reason)


def best_threads(contender: Contender, case: Case, plan: Plan, folder: Path) -> str:
    """The number of threads with which a contender is fastest, after a few turns of each."""
    if contender.own_threads:
        return OWN
    if not plan.trial:
        return THREADS[case.workload.name not in ("W1", "W2")]
    trials = {}
    for threads in dict.fromkeys(THREADS):
        process = Process(contender, case, threads, folder)
        try:
            process.answer()
            process.ask(prepare=plan.seconds / 2)
            trials[threads] = min(process.ask(turn=True)["microseconds"] for _ in range(3))
        finally:
            process.end()
    return min(trials, key=trials.__getitem__)


@contextmanager
def processes(result: Result, folder: Path) -> Iterator[Mapping[str, Process]]:
    """A process of each contender, all of them built and asleep; those that fail are noted."""
    started = {
        name: Process(CONTENDERS[name], result.case, threads, folder)
        for name, threads in result.threads.items()
    }
    try:
        running = {}
        for name, process in started.items():
            with leaving_out(result, name):
                result.threads[name] = process.answer()["choice"] or result.threads[name]
                running[name] = process
        yield running
    finally:
        for process in started.values():
            process.end()
