"""Optimizers: by hand, against PyTorch, and in the corners."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from workbench.core.optimizers import (
    CHUNK,
    FLUSH_INTERVAL,
    OPTIMIZERS,
    SGD,
    Adam,
    Momentum,
    Optimizer,
    make_optimizer,
)
from workbench.errors import InputError

RATE = 0.01


def after(optimizer: Optimizer, *gradients: list[float]) -> list[float]:
    """The parameters, from (1, −2), after one update with each gradient."""
    parameters = np.array([1.0, -2.0])
    for gradient in gradients:
        optimizer.update(parameters, np.array(gradient))
    return [float(value) for value in parameters]


def test_sgd_by_hand() -> None:
    # 1 − 0.5·4 = −1 and −2 + 0.5·2 = −1; then −1 − 0.5·2 = −2 and −1 − 0 = −1.
    assert after(SGD(0.5), [4, -2]) == [-1, -1]
    assert after(SGD(0.5), [4, -2], [2, 0]) == [-2, -1]


def test_momentum_by_hand() -> None:
    # v = (4, −2), then 0.5·(4, −2) + (2, 0) = (4, −1).
    assert after(Momentum(0.5, 0.5), [4, -2]) == [-1, -1]
    assert after(Momentum(0.5, 0.5), [4, -2], [2, 0]) == [-3, -0.5]


def test_adam_by_hand() -> None:
    # β₁ = β₂ = 0.5, ε = 1. Step 1: m̂ = g = (4, −2), √v̂ = (4, 2): −0.5·4/5, +0.5·2/3.
    # Step 2, g = (2, 0): m = (2, −0.5), m̂ = m/0.75; v = (6, 1), v̂ = v/0.75 = (8, 4/3).
    def adam() -> Adam:
        return Adam(0.5, betas=(0.5, 0.5), epsilon=1)

    first = [1 - 0.4, -2 + 1 / 3]
    assert after(adam(), [4, -2]) == pytest.approx(first, rel=1e-15)
    second = [
        first[0] - 0.5 * (8 / 3) / (8**0.5 + 1),
        first[1] + 0.5 * (2 / 3) / ((4 / 3) ** 0.5 + 1),
    ]
    assert after(adam(), [4, -2], [2, 0]) == pytest.approx(second, rel=1e-15)


def torch_optimizer(torch: Any, name: str, parameters: Any) -> Any:
    if name == "adam":
        return torch.optim.Adam([parameters], lr=RATE)
    return torch.optim.SGD([parameters], lr=RATE, momentum=0.9 if name == "momentum" else 0)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-4)])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_agrees_with_pytorch(name: str, dtype: str, tolerance: float) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle")
    generator = np.random.default_rng(0)
    start = generator.normal(size=CHUNK + 5).astype(dtype)
    ours, gradient = start.copy(), np.empty_like(start)
    theirs = torch.tensor(start, requires_grad=True)
    mine, oracle = make_optimizer(name, RATE), torch_optimizer(torch, name, theirs)
    for _ in range(FLUSH_INTERVAL + 10):
        gradient[:] = generator.normal(size=start.size) * 10.0 ** generator.integers(-3, 3)
        mine.update(ours, gradient)
        theirs.grad = torch.tensor(gradient)
        oracle.step()
    change, expected = ours - start, theirs.detach().numpy() - start
    assert np.abs(change - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_gradients_and_types_stay(name: str) -> None:
    parameters, gradients = np.ones(3, np.float32), np.full(3, 2, np.float32)
    make_optimizer(name).update(parameters, gradients)
    assert gradients.tolist() == [2, 2, 2]
    assert parameters.dtype == np.float32
    assert (parameters < 1).all()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_chunks_make_no_difference(name: str) -> None:
    size = 2 * CHUNK + 7
    gradients = np.random.default_rng(0).normal(size=size)
    whole, parts = np.zeros(size), [np.zeros(size // 3), np.zeros(size - size // 3)]
    optimizer, others = make_optimizer(name), [make_optimizer(name) for _ in parts]
    for _ in range(3):
        optimizer.update(whole, gradients)
        pieces = np.split(gradients, [size // 3])
        for other, part, gradient in zip(others, parts, pieces, strict=True):
            other.update(part, gradient)
    assert whole.tolist() == np.concatenate(parts).tolist()


def test_state_survives_other_arrays_of_gradients() -> None:
    same, other = np.zeros(2), np.zeros(2)
    gradients = np.array([1.0, -2.0])
    one, two = Adam(), Adam()
    for _ in range(3):
        one.update(same, gradients)
        two.update(other, gradients.copy())
    assert same.tolist() == other.tolist()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_no_vector_is_allocated_after_the_first_step(name: str) -> None:
    parameters, gradients = np.zeros(10_000), np.ones(10_000)
    optimizer = make_optimizer(name)
    optimizer.update(parameters, gradients)
    tracemalloc.start()
    for _ in range(10):
        optimizer.update(parameters, gradients)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000


def denormal_count(vector: NDArray[Any]) -> int:
    return int(np.sum((vector != 0) & (abs(vector) < np.finfo(vector.dtype).tiny)))


@pytest.mark.parametrize("make", [Momentum, lambda: Adam(betas=(0.9, 0.9))])
def test_decayed_state_is_flushed_to_zero(make: Callable[[], Optimizer]) -> None:
    optimizer = make()
    parameters, gradients = np.zeros(4, np.float32), np.full(4, 1e-35, np.float32)
    optimizer.update(parameters, gradients)
    gradients[:] = 0
    for _ in range(FLUSH_INTERVAL - 2):
        optimizer.update(parameters, gradients)
    assert any(denormal_count(vector) for vector in optimizer._state)
    optimizer.update(parameters, gradients)
    assert not any(denormal_count(vector) for vector in optimizer._state)


@pytest.mark.parametrize(
    ("name", "rate", "momentum", "message"),
    [
        ("adm", None, None, r"unknown optimizer 'adm': did you mean adam\?"),
        ("sgd", 0.0, None, "learning rate 0; expected a number above 0"),
        ("sgd", -1.0, None, "learning rate -1; expected"),
        ("adam", float("nan"), None, "learning rate nan; expected"),
        ("momentum", None, 1.0, "momentum 1; expected a number from 0 up to, not including, 1"),
        ("sgd", None, 0.9, "a momentum of 0.9 is of no use to sgd; use the optimizer momentum"),
    ],
)
def test_bad_settings(name: str, rate: float | None, momentum: float | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_optimizer(name, rate, momentum)
