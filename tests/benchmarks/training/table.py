"""What was measured, as text."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from statistics import median
from typing import Any

from tests.benchmarks.training.contenders import Target
from tests.benchmarks.training.rounds import Result, spread

PEER = "PyTorch"
PACKAGES = "numpy", "numba", "torch", "jax", "scikit-learn", "mygrad", "autograd"


def machine_line() -> str:
    """Cores and versions."""
    versions = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            versions.append(f"{package} {version(package)}")
    return f"{platform.machine()}, {os.cpu_count()} cores; {', '.join(versions)}"


def result_lines(result: Result, title: str, unit: float = 1.0) -> Iterator[str]:
    """A heading and a row for each contender; times are divided by the unit."""
    rounds = max(map(len, result.times.values()), default=0)
    yield f"{title} ({rounds} rounds)"
    yield _row("", "threads", "median", "10 %", "90 %", f"/ {PEER}", "losses differ")
    for name, times in result.times.items():
        cells = [figures(value / unit) for value in spread(times)]
        ratio = f"{median(result.ratios(name, PEER)):.3f}" if PEER in result.times else ""
        yield _row(name, result.threads[name], *cells, ratio, _disagreement(result, name))
    reasons = {name: reason.splitlines()[0] for name, reason in result.missing.items()}
    for reason in dict.fromkeys(reasons.values()):
        names = [name for name in reasons if reasons[name] == reason]
        yield f"  left out: {', '.join(names)} ({reason})"


def _disagreement(result: Result, name: str) -> str:
    """The largest relative difference of the losses from the median ones."""
    if name not in result.losses:
        return ""
    middle = [median(step) for step in zip(*result.losses.values(), strict=True)]
    pairs = zip(result.losses[name], middle, strict=True)
    return f"{max(abs(loss - usual) / abs(usual) for loss, usual in pairs):.0e}"


@dataclass(frozen=True)
class Verdict:
    """A target and the ratio measured: median, 10 % and 90 %; None where a contender is missing."""

    target: Target
    other: str
    ratio: tuple[float, float, float] | None

    @property
    def word(self) -> str:
        """Met, missed by how much, or open.

        >>> target = Target("W2 sgd", "ours auto", ("PyTorch",), 0.2)
        >>> Verdict(target, "PyTorch", (0.25, 0.24, 0.26)).word
        'missed by 25 %'
        """
        if self.ratio is None:
            return "not measured"
        excess = self.ratio[0] / self.target.most - 1
        return "met" if excess <= 0 else f"missed by {excess * 100:.0f} %"

    def to_json(self) -> dict[str, Any]:
        """The verdict in the types of JSON."""
        return {
            "case": self.target.case,
            "contender": self.target.name,
            "other": self.other,
            "most": self.target.most,
            "ratio": self.ratio,
            "verdict": self.word,
        }


def judge(targets: Sequence[Target], results: Sequence[Result]) -> list[Verdict]:
    """Hold the targets of the cases measured against their results."""
    by_case = {result.case.name: result for result in results}
    return [_judged(target, by_case[target.case]) for target in targets if target.case in by_case]


def _judged(target: Target, result: Result) -> Verdict:
    found = [name for name in target.other if name in result.times]
    if target.name not in result.times or not found:
        return Verdict(target, " or ".join(target.other), None)
    fastest = min(found, key=lambda name: median(result.times[name]))
    return Verdict(target, fastest, spread(result.ratios(target.name, fastest)))


def verdict_lines(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """A row for each target."""
    yield _row("target", "required", "measured", "10 %", "90 %")
    for verdict in verdicts:
        target = verdict.target
        name = f"{target.case}: {target.name} / {verdict.other}"
        measured = list(map(figures, verdict.ratio)) if verdict.ratio else ["", "", ""]
        yield _row(name, f"≤ {target.most:g}", *measured) + f"   {verdict.word}"


def figures(value: float) -> str:
    """A positive number with three figures, or more before the point.

    >>> figures(0.01234), figures(1763.8)
    ('0.0123', '1,764')
    """
    return f"{value:,.{max(0, 2 - math.floor(math.log10(value)))}f}"


def _row(name: str, *cells: str) -> str:
    return f"{name:<66}" + "".join(f"{cell:>14}" for cell in cells)
