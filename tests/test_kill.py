"""Trainings killed at random moments: nothing unreadable, and no byte other than without it.

With `--full` there are 200 of them.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest

from workbench.core.runs import BEST, LAST, METRICS, SETTINGS, load_run

ROOT = Path(__file__).parents[1]

WORKBENCH = [sys.executable, "-m", "workbench", "train"]
OFTEN = ["--checkpoint-every", "0.01s"]
DATA = [str(ROOT / "examples" / "data" / "digits.csv"), "--validation", "0.2"]
START = [*WORKBENCH, "64-8:relu-10:softmax", *DATA, "--epochs", "60", "--run", "{run}", *OFTEN]
RESUME = [*WORKBENCH, "--resume", "{run}", *OFTEN]
"""Command lines that train, and print something with every epoch; {run} is the directory."""


def start(run: Path) -> subprocess.Popen[bytes]:
    command = RESUME if (run / SETTINGS).exists() else START
    line = [argument.format(run=run) for argument in command]
    return subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(run: Path) -> float:
    """Train to the end; return the seconds since the first epoch."""
    with start(run) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        begin = monotonic()
        process.stdout.read()
        assert process.stderr.read() == b""
    assert process.returncode == 0
    return monotonic() - begin


def kill(run: Path, seconds: float, *, at_once: bool) -> None:
    """Start or go on with a training and kill it, some seconds after its start or first epoch."""
    with start(run) as process:
        assert process.stdout is not None and process.stderr is not None
        if not at_once:
            process.stdout.readline()
        sleep(seconds)
        process.kill()
        assert process.stderr.read() == b""


def contents(run: Path) -> Iterator[bytes]:
    return ((run / name).read_bytes() for name in (SETTINGS, METRICS, LAST, BEST))


def test_a_killed_training_goes_on_to_the_same_bytes(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    duration = finish(tmp_path / "whole")
    chance = random.Random(0)
    for number in range(200 if request.config.getoption("--full") else 4):
        run = tmp_path / str(number)
        for _ in range(1 + number % 2):
            kill(run, duration * chance.random() / 2, at_once=chance.random() < 0.25)
            if run.exists():
                load_run(run)
        finish(run)
        assert list(contents(run)) == list(contents(tmp_path / "whole"))
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
            ["whole", *map(str, range(number + 1))]
        ), "what was left beside it is gone"
