"""The memory that training takes: predicted by its formula, and measured.

    python -m tests.benchmarks.training.memory

Predicted are parameters and their gradients, the optimizer's state, one batch of activations and
their gradients, and the samples. Measured is the most that NumPy and Python hold at any moment of
an epoch after the first, and by how much that is more than before the epoch: a step should make no
array of its own. The data set is one batch, so that the samples weigh little.
"""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass, replace

from tests.benchmarks.training.ours import start
from tests.benchmarks.training.workloads import CASES as USUAL
from tests.benchmarks.training.workloads import LARGE, MIDDLE, Case, Data, make_data

STATES = {"sgd": 0, "momentum": 1, "adam": 2}
"""How many numbers each optimizer keeps for a parameter."""

WITHIN = 0.1
CASES = [
    Case(replace(workload, rates={rule: 0.001}, batches=1, batch=batch), rule)
    for workload, batch in ((MIDDLE, 1024), (LARGE, 1024))
    for rule in ("sgd", "adam")
]


@dataclass(frozen=True)
class Measured:
    """Bytes: the peak of an epoch, and its excess over what was held before the epoch."""

    peak: int
    excess: int


def predicted(case: Case, data: Data, parameter_count: int) -> int:
    """The bytes that the formula gives."""
    parameters = (2 + STATES[case.optimizer]) * parameter_count
    activations = 2 * data.batch * sum(case.workload.widths[1:])
    return (parameters + activations) * data.inputs.itemsize + samples(data)


def samples(data: Data) -> int:
    """The bytes of inputs and targets."""
    return data.inputs.nbytes + data.targets.nbytes


def measure(case: Case, data: Data) -> tuple[int, Measured]:
    """The number of parameters, and the memory of the third epoch."""
    tracemalloc.start()
    training = start(case, data)
    records = iter(training)
    next(records)
    next(records)
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    next(records)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return training.parameters.vector.size, Measured(peak, peak - before)


def main() -> None:
    """Print a row for each case."""
    print(
        f"{'MiB':<70}" + "".join(f"{word:>12}" for word in ("samples", "predicted", "peak")), end=""
    )
    print(f"{'excess':>12}{'ratio':>8}")
    start(USUAL[0], make_data(USUAL[0].workload, {}))  # modules and rules are loaded by now
    for case in CASES:
        data = make_data(case.workload, {})
        count, measured = measure(case, data)
        expected = predicted(case, data, count)
        ratio = measured.peak / expected
        sizes = samples(data), expected, measured.peak, measured.excess
        verdict = "met" if abs(ratio - 1) <= WITHIN else "missed"
        cells = "".join(f"{size / 2**20:>12.2f}" for size in sizes)
        print(f"{case.title:<70}{cells}{ratio:>8.2f}  {verdict}", flush=True)


if __name__ == "__main__":
    main()
