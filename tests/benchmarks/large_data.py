"""Training on more data than memory holds: memory and speed, beside a file that fits.

    python tests/benchmarks/large_data.py [--gigabytes 10] [--memory 1] [--folder DIRECTORY]

Writes a `.npy` file of random numbers (a KiB a sample: 255 inputs and a label, in float32) and runs
`workbench train` on it, whose private memory the system limits to what is given. A file of 128 MiB,
which is read as a whole, is trained on before and after. Shown are the largest resident memory,
pages of the file included, and the microseconds a step, from the end of the first epoch to that of
the last. The targets: the memory given, and 1.5 times the time a step of the file that fits.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shutil import disk_usage
from statistics import mean
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np

GIB = 2**30
COLUMNS, CLASSES = 256, 10
ROW = 4 * COLUMNS
BLOCK = 2**16
"""The rows that are written at once."""

BATCH = 128
FITTING = GIB // 8
MOST_RATIO = 1.5
STEPS = 100_000
"""At least so many steps are measured of the file that fits, and two epochs of the large one."""


@dataclass(frozen=True)
class Run:
    """What a run took: microseconds a step, bytes of memory at most, seconds on the whole."""

    step: float
    memory: int
    seconds: float


def write_samples(path: Path, rows: int) -> None:
    """Write a table of so many rows, a block again and again."""
    generator = np.random.default_rng(0)
    block = generator.standard_normal((BLOCK, COLUMNS), dtype=np.float32)
    block[:, -1] = np.argmax(block[:, :CLASSES], axis=1)
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (rows, COLUMNS)}
        np.lib.format.write_array_header_1_0(file, header)
        for first in range(0, rows, BLOCK):
            file.write(block[: rows - first].data)


def train(path: Path, rows: int, epochs: int, limit: Callable[[], None] | None = None) -> Run:
    """Run `workbench train`; the times of its records give the time of a step."""
    network = f"{COLUMNS - 1}-128:relu-{CLASSES}:softmax"
    run = path.with_name("run")
    options = f"--epochs {epochs} --batch-size {BATCH} --optimizer sgd --dtype float32 --force"
    command = [sys.executable, "-m", "workbench", "train", network, str(path), "--run", str(run)]
    begin = perf_counter()
    process = subprocess.Popen(
        [*command, *options.split()], stdout=subprocess.PIPE, preexec_fn=limit, bufsize=0
    )
    assert process.stdout is not None
    ends = [perf_counter() for _ in process.stdout]
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or len(ends) != epochs:
        sys.exit(f"workbench train ended with {process.returncode} after {len(ends)} epochs")
    steps = -(-rows // BATCH) * (epochs - 1)
    step = (ends[-1] - ends[0]) / steps * 1e6
    return Run(step, usage.ru_maxrss * 1024, perf_counter() - begin)


def limit_memory(size: int) -> None:
    """Refuse this process more private memory; files that it maps do not count."""
    resource.setrlimit(resource.RLIMIT_DATA, (size, size))


def main() -> None:
    """Write the files, train, print."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=10, help="of the large file")
    parser.add_argument("--memory", type=float, default=1, help="gigabytes of memory")
    parser.add_argument("--folder", type=Path, help="where the files are written for the while")
    arguments = parser.parse_args()
    size, memory = int(arguments.gigabytes * GIB), int(arguments.memory * GIB)
    if arguments.folder is not None:
        Path(arguments.folder).mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=arguments.folder) as name:
        if disk_usage(name).free < size + 2 * FITTING:
            parser.error(f"{name} lacks the space for {arguments.gigabytes:g} GiB; use --folder")
        fitting, large = Path(name, "fitting.npy"), Path(name, "large.npy")
        write_samples(fitting, FITTING // ROW)
        write_samples(large, size // ROW)
        epochs = 1 + -(-STEPS * BATCH * ROW // FITTING)
        small = partial(train, fitting, FITTING // ROW, epochs)
        before = small()
        measured = train(large, size // ROW, 3, partial(limit_memory, memory))
        report([before, small()], measured, memory)


def report(fitting: list[Run], large: Run, memory: int) -> None:
    """Print the runs and whether the targets are met."""
    for name, run in (("fits", fitting[0]), ("large", large), ("fits", fitting[1])):
        print(f"{name:<8}{run.step:8.1f} µs a step{run.memory / GIB:8.2f} GiB{run.seconds:8.0f} s")
    ratio = large.step / mean(run.step for run in fitting)
    for what, value, most in (
        ("GiB of memory", large.memory / GIB, memory / GIB),
        ("× the time of a step", ratio, MOST_RATIO),
    ):
        print(f"{value:.2f} {what}, at most {most:g}: {'met' if value <= most else 'missed'}")


if __name__ == "__main__":
    main()
