"""Whole processes, from the start of Python to a trained network: `workbench train` and peers.

As a program this is a peer's script: it reads the same file, trains by the same library calls that
its turns are measured with, and prints a line of JSON an epoch.

    python -m tests.benchmarks.training.whole CONTENDER WORKLOAD FOLDER
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from compileall import compile_dir
from pathlib import Path
from shutil import rmtree
from time import perf_counter

import numpy as np

import workbench
from tests.benchmarks.training.contenders import CONTENDERS, REPLICAS, Target
from tests.benchmarks.training.rounds import OWN, ROOT, Plan, Result, environment
from tests.benchmarks.training.workloads import (
    WORKLOADS,
    Array,
    Case,
    Data,
    Workload,
    load_parameters,
)

EPOCHS = {"W1": 10_000, "W2": 50}
OURS = "workbench train"
ONE_OF_MANY = f"one of {REPLICAS:,} replicas"
PEERS = "PyTorch", "JAX loop", "JAX scan", "scikit-learn fit"
TARGETS = (
    Target("W1 sgd", OURS, ("PyTorch",), 0.06),
    Target("W1 sgd", ONE_OF_MANY, (OURS,), 0.01),
    Target("W2 sgd", OURS, ("PyTorch",), 0.1),
)


def measure_whole(case: Case, plan: Plan, folder: Path) -> Result:
    """Seconds of whole processes, in turns; the times of the result are microseconds of each."""
    workload = case.workload
    write_table(workload, folder)
    compile_dir(Path(workbench.__file__).parent, quiet=1)  # as installers do
    result = Result(case)
    commands = {OURS: (OWN, our_command(case, folder))}
    if workload.name == "W1":
        commands[ONE_OF_MANY] = OWN, [*our_command(case, folder), "--replicas", str(REPLICAS)]
    commands |= {name: ("1", peer_command(name, workload, folder)) for name in PEERS}
    names = list(commands)
    for _ in range(plan.whole):
        for name in names:
            if name not in result.missing:
                threads, command = commands[name]
                result.threads[name] = threads
                _time(name, command, threads, result)
                rmtree(folder / "run", ignore_errors=True)
        names.append(names.pop(0))
    return result


def _time(name: str, command: Sequence[str], threads: str, result: Result) -> None:
    """Add a run's time to the result, or why there is none."""
    begin = perf_counter()
    done = subprocess.run(
        command, cwd=ROOT, env=environment(threads), capture_output=True, text=True
    )
    spent = perf_counter() - begin
    if done.returncode:
        last = done.stderr.strip().splitlines() or ["no message"]
        result.leave_out(name, last[-1])
    else:
        networks = REPLICAS if name == ONE_OF_MANY else 1
        result.times.setdefault(name, []).append(spent / networks * 1e6)


def our_command(case: Case, folder: Path) -> list[str]:
    """`workbench train` with a run directory, and so with all that is kept in it."""
    workload = case.workload
    options = {
        "epochs": EPOCHS[workload.name],
        "batch-size": workload.batch,
        "optimizer": case.optimizer,
        "learning-rate": case.rate,
        "dtype": workload.dtype,
        "run": folder / "run",
    }
    table = str(folder / f"{workload.name}.csv")
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    start = [sys.executable, "-m", "workbench", "train"]
    return [*start, workload.architecture, table, "--no-standardise", *words]


def peer_command(name: str, workload: Workload, folder: Path) -> list[str]:
    """This module as the peer's script."""
    return [sys.executable, "-m", __spec__.name, name, workload.name, str(folder)]


def write_table(workload: Workload, folder: Path) -> None:
    """Write the samples as CSV, the label last."""
    inputs, labels = workload.samples()
    names = [f"x{number}" for number in range(1, inputs.shape[1] + 1)]
    np.savetxt(
        folder / f"{workload.name}.csv",
        np.column_stack((inputs, labels)),
        "%.7g",
        ",",
        header=",".join([*names, "label"]),
        comments="",
    )


def read_table(workload: Workload, folder: Path) -> tuple[Array, Array]:
    """Inputs and labels, read as a script would."""
    table = np.loadtxt(folder / f"{workload.name}.csv", workload.dtype, delimiter=",", skiprows=1)
    return np.ascontiguousarray(table[:, :-1]), table[:, -1].astype(np.int64)


def train(name: str, workload: Workload, folder: Path) -> None:
    """Train a peer and print its records."""
    inputs, labels = read_table(workload, folder)
    outputs = workload.widths[-1]
    targets = labels[:, np.newaxis] if outputs == 1 else np.eye(outputs)[labels]
    parameters = load_parameters(folder / f"{workload.name}.npz")
    data = Data(inputs, labels, targets.astype(workload.dtype), parameters, workload.batch)
    steps = EPOCHS[workload.name] * workload.batches
    losses = CONTENDERS[name].build(Case(workload, "sgd"), data)(steps)
    an_epoch = len(losses) // EPOCHS[workload.name]
    for epoch in range(EPOCHS[workload.name]):
        part = losses[epoch * an_epoch : (epoch + 1) * an_epoch]
        print(json.dumps({"epoch": epoch + 1, "loss": sum(part) / len(part)}), flush=True)


if __name__ == "__main__":
    train(sys.argv[1], WORKLOADS[sys.argv[2]], Path(sys.argv[3]))
