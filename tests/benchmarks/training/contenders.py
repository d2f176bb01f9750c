"""Who takes part, in what, and the ratios that the workbench has to reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.benchmarks.training import jax_numpy, others, ours, pytorch
from tests.benchmarks.training.workloads import CASES, Case, Data, Steps, Workload


@dataclass(frozen=True)
class Contender:
    """One way to train.

    Attributes
    ----------
    build : makes the steps of a case, importing its library; fails where that is missing.
    unit : the steps that come at once, of which any number is a multiple.
    own_threads : whether it chooses the number of threads itself; others get their best.
    fits : the cases that it takes part in.
    agrees : whether it computes what the others do, such that its losses must be theirs.
    networks : how many it trains at once; its times are those of one.
    """

    name: str
    build: Callable[[Case, Data], Steps]
    unit: Callable[[Workload], int] = lambda workload: 1
    own_threads: bool = False
    fits: Callable[[Case], bool] = lambda case: True
    agrees: bool = True
    networks: int = 1


@dataclass(frozen=True)
class Target:
    """A ratio of two contenders' times that must not be exceeded.

    `other` names one contender or several, of which the fastest counts.
    """

    case: str
    name: str
    other: tuple[str, ...]
    most: float


BACKENDS = "python", "numpy", "numba"
LONG = ", long epochs"
REPLICAS = 1024


def _epoch(workload: Workload) -> int:
    return workload.batches


def _chunk(workload: Workload) -> int:
    return workload.chunk


def _is_xor(case: Case) -> bool:
    return case.workload.name == "W1"


def _is_any(case: Case) -> bool:
    return True


def _is_no_xor(case: Case) -> bool:
    return not _is_xor(case)


def _ours(backend: str) -> list[Contender]:
    """One backend: on the samples as they are, and for XOR in epochs of 1,000 steps, too."""
    fits = _is_xor if backend == "python" else _is_any  # plain Python computes in float64 alone
    settings: dict[str, Any] = {} if backend == "auto" else {"backend": backend}
    plain = Contender(
        f"ours {backend}", partial(ours.workbench, **settings), _epoch, own_threads=True, fits=fits
    )
    long = Contender(
        f"ours {backend}{LONG}",
        partial(ours.workbench, copies=1000, **settings),
        _chunk,
        own_threads=True,
        fits=_is_xor,
        agrees=False,
    )
    return [plain, long]


CONTENDERS = {
    contender.name: contender
    for contender in (
        *(one for backend in ("auto", *BACKENDS) for one in _ours(backend)),
        Contender(
            "ours replicas",
            partial(ours.workbench, replicas=REPLICAS),
            _epoch,
            own_threads=True,
            fits=_is_xor,
            agrees=False,
            networks=REPLICAS,
        ),
        Contender("PyTorch", pytorch.pytorch),
        Contender("PyTorch fused", partial(pytorch.pytorch, fused=True)),
        Contender("JAX loop", jax_numpy.jit_loop),
        Contender("JAX scan", jax_numpy.scan, _chunk),
        Contender("scikit-learn fit", others.scikit_learn, _epoch, fits=_is_no_xor),
        Contender("scikit-learn partial", others.scikit_learn_partial, fits=_is_xor, agrees=False),
        Contender("MyGrad", others.mygrad),
        Contender("HIPS autograd", others.hips_autograd),
        Contender("products alone", others.products, fits=_is_no_xor, agrees=False),
    )
}

TARGETS = (
    *(
        target
        for form in ("", LONG)
        for target in (
            Target("W1 sgd", f"ours python{form}", ("PyTorch",), 0.012),
            Target("W1 sgd", f"ours numpy{form}", ("JAX loop",), 0.5),
        )
    ),
    Target("W1 sgd", "ours replicas", ("ours numpy",), 0.01),
    Target("W2 sgd", "ours auto", ("PyTorch",), 0.17),
    Target("W2 adam", "ours auto", ("PyTorch fused",), 0.2),
    *(Target(f"W2 {rule}", "ours auto", ("JAX loop",), 0.65) for rule in ("sgd", "adam")),
    *(Target(f"W2 {rule}", "ours auto", ("scikit-learn fit",), 0.26) for rule in ("sgd", "adam")),
    *(Target(f"W3 {rule}", "ours numpy", ("PyTorch",), 1.05) for rule in ("sgd", "adam")),
    Target("W3 sgd", "ours numba", ("PyTorch",), 0.8),
    Target("W3 adam", "ours numba", ("PyTorch fused",), 0.75),
    Target("W4 sgd", "ours auto", ("products alone",), 1.1),
    *(
        Target(case.name, "ours auto", tuple(f"ours {backend}" for backend in BACKENDS), 1.1)
        for case in CASES
    ),
)
