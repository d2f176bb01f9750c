"""One training step, ours beside PyTorch eager: forward, backward, update, loss recorded.

    python tests/benchmarks/training_step.py

64-128-10 relu, batch 32, float32, SGD. Three contenders start from the same weights and take the
same batches, in turns, many rounds each:

- ours: the compiled program's `step`, then the optimizer's `update`;
- train: all that `workbench train` does, with the gradient's norm, the check that everything is
  finite, the outputs kept for the accuracy, and an epoch's shuffling, shared among its steps;
- PyTorch: `nn.Linear`, `nn.ReLU` and `torch.optim.SGD`, with `loss.item()`.

Shown are medians over the rounds: of the time of a step, and of its ratio to PyTorch's in the same
round. The number of threads is set for both by the environment, a process each.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from itertools import cycle, islice
from statistics import median
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

import workbench as wb
from workbench.core.data import Dataset
from workbench.core.optimizers import SGD
from workbench.core.parameters import initialise
from workbench.core.training import Settings, Training

Array = NDArray[np.float32]
Steps = Callable[[int], list[float]]
"""Makes so many steps and returns the losses that were recorded."""

INPUTS, HIDDEN, OUTPUTS = 64, 128, 10
BATCH, BATCHES, RATE = 32, 32, 0.01
STEPS_A_TURN = 10 * BATCHES
TARGET = 0.2
CASES = {"softmax": "softmax, cross-entropy", "relu": "relu, half squared error"}
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def samples() -> tuple[Array, NDArray[np.int64]]:
    """Inputs (samples, 64) and labels (samples,)."""
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(BATCH * BATCHES, INPUTS)).astype(np.float32)
    return inputs, generator.integers(OUTPUTS, size=len(inputs))


def ours(network: wb.Network) -> Steps:
    """Program and optimizer."""
    inputs, labels = samples()
    targets = np.eye(OUTPUTS, dtype=np.float32)[labels]
    parameters = initialise(network, 0, np.float32)
    program = wb.program(network, batch_size=BATCH, dtype=np.float32, parameters=parameters)
    optimizer = SGD(RATE)
    batches = [
        (inputs[i : i + BATCH], targets[i : i + BATCH]) for i in range(0, len(inputs), BATCH)
    ]

    def run(count: int) -> list[float]:
        step, update = program.step, optimizer.update
        vector, gradients = parameters.vector, program.gradients.vector
        losses = []
        for x, y in islice(cycle(batches), count):
            losses.append(step(x, y))
            update(vector, gradients)
        return losses

    return run


def train(network: wb.Network) -> Steps:
    """The loop of `workbench train`, epoch by epoch."""
    inputs, labels = samples()
    dataset = Dataset(
        inputs.astype(np.float64),
        np.eye(OUTPUTS)[labels],
        tuple(f"x{i}" for i in range(INPUTS)),
        ("label",),
        tuple(map(str, range(OUTPUTS))),
        "random numbers",
        False,
    )
    settings = Settings(
        epochs=sys.maxsize,
        batch_size=BATCH,
        optimizer="sgd",
        learning_rate=RATE,
        dtype="float32",
        standardise=False,
    )
    epochs = iter(Training(network, dataset, settings=settings))

    def run(count: int) -> list[float]:
        return [record.loss for record in islice(epochs, count // BATCHES)]

    return run


def pytorch(network: wb.Network, output: str) -> Steps:
    """PyTorch, one operation after the other."""
    import torch
    from torch import nn

    inputs, labels = samples()
    x_all, y_all = torch.from_numpy(inputs), torch.from_numpy(labels)
    layers: list[nn.Module] = [nn.Linear(INPUTS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, OUTPUTS)]
    if output == "relu":
        layers.append(nn.ReLU())
        y_all = nn.functional.one_hot(y_all, OUTPUTS).float()
    model = nn.Sequential(*layers)
    start = initialise(network, 0, np.float32)
    with torch.no_grad():
        for parameter, name in zip(model.parameters(), ("W1", "b1", "W2", "b2"), strict=True):
            parameter.copy_(torch.from_numpy(start[name]))
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    batches = list(zip(x_all.split(BATCH), y_all.split(BATCH), strict=True))
    if output == "softmax":
        criterion: Callable[..., torch.Tensor] = nn.CrossEntropyLoss()
    else:
        squares = nn.MSELoss(reduction="sum")

        def criterion(a: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return squares(a, y) * (0.5 / BATCH)

    def run(count: int) -> list[float]:
        losses = []
        for x, y in islice(cycle(batches), count):
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    return run


def measure(contenders: Mapping[str, Steps], rounds: int) -> dict[str, list[float]]:
    """Microseconds a step of each contender in each round; the order turns round by round."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    for _ in range(rounds):
        for name in names:
            run = contenders[name]
            run(BATCHES)
            begin = perf_counter()
            run(STEPS_A_TURN)
            times[name].append((perf_counter() - begin) / STEPS_A_TURN * 1e6)
        names.append(names.pop(0))
    return times


def compare(output: str, threads: str, rounds: int) -> None:
    """Print a row for each contender."""
    network = wb.network(f"{INPUTS}-{HIDDEN}:relu-{OUTPUTS}:{output}")
    contenders = {"PyTorch": pytorch(network, output), "ours": ours(network)}
    losses = {name: run(STEPS_A_TURN) for name, run in contenders.items()}
    difference = max(abs(np.subtract(losses["ours"], losses["PyTorch"])) / losses["PyTorch"])
    times = measure({**contenders, "train": train(network)}, rounds)
    for name in ("PyTorch", "ours", "train"):
        ratio = median(x / y for x, y in zip(times[name], times["PyTorch"], strict=True))
        cells = (CASES[output], threads, name, f"{median(times[name]):.1f}", f"{ratio:.3f}")
        print(row(*cells, f"{difference:.0e}" if name == "ours" else ""), flush=True)


def row(*cells: str) -> str:
    """One line of the table."""
    words, numbers = cells[:3], cells[3:]
    return "".join(map(str.ljust, words, (26, 9, 9))) + "".join(f"{cell:>14}" for cell in numbers)


def main() -> None:
    """Measure every case with one thread and with as many as the libraries take."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        output, threads = arguments.case.split(",")
        compare(output, threads, arguments.rounds)
        return
    if find_spec("torch") is None:
        parser.error("PyTorch is not installed; pip install -e '.[oracle]'")
    print("64-128-10 relu, batch 32, float32 SGD; the target is a ratio of at most", TARGET)
    print(row("output, loss", "threads", "", "µs a step", "ratio", "loss differs"), flush=True)
    for threads in ("1", "default"):
        plain = {k: v for k, v in os.environ.items() if k not in THREAD_VARIABLES}
        environment = plain | (dict.fromkeys(THREAD_VARIABLES, "1") if threads == "1" else {})
        for output in CASES:
            case = f"--case={output},{threads}", f"--rounds={arguments.rounds}"
            subprocess.run([sys.executable, __file__, *case], env=environment, check=True)


if __name__ == "__main__":
    main()
