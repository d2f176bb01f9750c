"""What is trained: four networks with their data, the same for every contender."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

Steps = Callable[[int], list[float]]
"""Makes at least so many training steps and returns the losses recorded on the way."""


@dataclass(frozen=True)
class Workload:
    """A network, its batches and how it is trained.

    Attributes
    ----------
    batches : how many different ones there are, which make an epoch.
    chunk : the steps that a compiled loop of JAX makes in one call.
    rates : the learning rate of each optimizer that is measured.
    agreement : the steps over which losses are compared.
    """

    name: str
    widths: tuple[int, ...]
    hidden: str
    output: str
    batch: int
    batches: int
    chunk: int
    dtype: str
    rates: Mapping[str, float]
    agreement: int = 10

    @property
    def classifies(self) -> bool:
        """Whether softmax and cross-entropy end the network, not the half squared error."""
        return self.output == "softmax"

    @property
    def architecture(self) -> str:
        """The network as the workbench writes it.

        >>> WORKLOADS["W2"].architecture
        '64-128:relu-10:softmax'
        """
        first, *hidden, last = self.widths
        middle = [f"{width}:{self.hidden}" for width in hidden]
        return "-".join([str(first), *middle, f"{last}:{self.output}"])

    def samples(self) -> tuple[Array, Array]:
        """Inputs (samples, features) and labels (samples,); every class occurs."""
        if self.name == "W1":
            return np.array([[0, 0], [0, 1], [1, 0], [1, 1]], self.dtype), np.array([0, 1, 1, 0])
        generator = np.random.default_rng(0)
        count = self.batch * self.batches
        inputs = generator.normal(size=(count, self.widths[0])).astype(self.dtype)
        return inputs, generator.permutation(np.arange(count) % self.widths[-1])


XOR = Workload("W1", (2, 2, 1), "sigmoid", "sigmoid", 4, 1, 1000, "float64", {"sgd": 0.5})
SMALL = Workload(
    "W2", (64, 128, 10), "relu", "softmax", 32, 32, 32, "float32", {"sgd": 0.01, "adam": 0.001}
)
MIDDLE = Workload(
    "W3",
    (784, 512, 256, 10),
    "relu",
    "softmax",
    128,
    16,
    16,
    "float32",
    {"sgd": 0.01, "adam": 0.001},
)
LARGE = Workload(
    "W4",
    (1024, 4096, 4096, 1024),
    "relu",
    "softmax",
    512,
    2,
    2,
    "float32",
    {"sgd": 0.01},
    agreement=3,
)
WORKLOADS = {workload.name: workload for workload in (XOR, SMALL, MIDDLE, LARGE)}


class Case(NamedTuple):
    """A workload trained by one optimizer."""

    workload: Workload
    optimizer: str

    @property
    def rate(self) -> float:
        """The learning rate."""
        return self.workload.rates[self.optimizer]

    @property
    def name(self) -> str:
        """The short name.

        >>> Case(SMALL, "adam").name
        'W2 adam'
        """
        return f"{self.workload.name} {self.optimizer}"

    @property
    def title(self) -> str:
        """One line that says what is trained.

        >>> Case(XOR, "sgd").title
        'W1 sgd: 2-2:sigmoid-1:sigmoid, batch 4, float64'
        """
        workload = self.workload
        return f"{self.name}: {workload.architecture}, batch {workload.batch}, {workload.dtype}"


CASES = [Case(workload, rule) for workload in WORKLOADS.values() for rule in workload.rates]


@dataclass(frozen=True, eq=False)
class Data:
    """Samples and starting weights.

    Attributes
    ----------
    inputs : (samples, features).
    labels : (samples,) whole numbers.
    targets : (samples, outputs), one-hot, or the labels as numbers where there is one output.
    parameters : W1 (outputs, inputs), b1 (outputs,), W2, ..., the starting weights.
    batch : the samples of a step.
    """

    inputs: Array
    labels: Array
    targets: Array
    parameters: Mapping[str, Array]
    batch: int

    def batches(self) -> Iterator[tuple[Array, Array, Array]]:
        """Inputs, labels and targets, a batch at a time."""
        for start in range(0, len(self.inputs), self.batch):
            part = slice(start, start + self.batch)
            yield self.inputs[part], self.labels[part], self.targets[part]

    def in_one_batch(self) -> Data:
        """The same samples, all of them in each step: then their order does not matter."""
        return replace(self, batch=len(self.inputs))

    def table(self) -> Array:
        """Inputs and label as one matrix (samples, features + 1), as files hold them."""
        return np.column_stack((self.inputs, self.labels))


def make_data(workload: Workload, parameters: Mapping[str, Array]) -> Data:
    """The samples of a workload, with weights to start from."""
    inputs, labels = workload.samples()
    outputs = workload.widths[-1]
    targets = labels[:, np.newaxis] if outputs == 1 else np.eye(outputs)[labels]
    return Data(inputs, labels, targets.astype(workload.dtype), parameters, workload.batch)


def save_parameters(path: Path, parameters: Mapping[str, Array]) -> None:
    """Keep starting weights for the contenders' processes, row by row in memory."""
    arrays = {name: np.ascontiguousarray(array) for name, array in parameters.items()}
    np.savez(path, allow_pickle=False, **arrays)


def load_parameters(path: Path) -> dict[str, Array]:
    """Read what `save_parameters` kept."""
    with np.load(path) as arrays:
        return dict(arrays)
