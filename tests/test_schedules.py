"""Schedules: against PyTorch, by hand where it has none, and in the corners."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest

from workbench.core.schedules import OPTIONS, Schedule
from workbench.errors import InputError

EPOCHS, STEPS_PER_EPOCH, RATE = 12, 5, 0.3
TOTAL = EPOCHS * STEPS_PER_EPOCH


def rates(schedule: Schedule, first: int = 1, count: int = TOTAL) -> list[float]:
    found = schedule.rates(
        RATE, first=first, count=count, steps_per_epoch=STEPS_PER_EPOCH, total_steps=TOTAL
    )
    return [float(rate) for rate in found]


def torch_rates(schedule: Schedule) -> list[float]:
    """Those of PyTorch's schedulers, stepped once an epoch or once a step."""
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle")
    kinds = torch.optim.lr_scheduler
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=RATE)
    by_step = schedule.per == "step"
    warmup = (schedule.warmup_steps if by_step else schedule.warmup_epochs) or 0
    length = (TOTAL if by_step else EPOCHS) - warmup
    parts: dict[str, Any] = {
        "constant": lambda: kinds.ConstantLR(optimizer, factor=1),
        "step": lambda: kinds.StepLR(optimizer, schedule.every, schedule.factor),
        "cosine": lambda: kinds.CosineAnnealingLR(optimizer, length, schedule.least_rate),
    }
    scheduler = parts[schedule.kind]()
    if warmup:
        first = kinds.LinearLR(optimizer, schedule.warmup_start, total_iters=warmup)
        scheduler = kinds.SequentialLR(optimizer, [first, scheduler], [warmup])
    found = []
    for step in range(1, TOTAL + 1):
        found.append(optimizer.param_groups[0]["lr"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            optimizer.step()
            if by_step or step % STEPS_PER_EPOCH == 0:
                scheduler.step()
    return found


@pytest.mark.parametrize("warmup", [0, 3])
@pytest.mark.parametrize("per", ["epoch", "step"])
@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "constant"},
        {"kind": "step", "every": 2, "factor": 0.5},
        {"kind": "cosine"},
        {"kind": "cosine", "least_rate": 0.07},
    ],
    ids=str,
)
def test_agrees_with_pytorch(settings: dict[str, Any], per: str, warmup: int) -> None:
    if warmup:
        settings = {**settings, f"warmup_{per}s": warmup, "warmup_start": 0.25}
    schedule = Schedule(per=per, **settings)
    assert rates(schedule) == pytest.approx(torch_rates(schedule), rel=1e-10)


def test_by_hand() -> None:
    per_epoch = rates(Schedule(kind="step", every=3, factor=0.1))[::STEPS_PER_EPOCH]
    assert per_epoch == pytest.approx([0.3] * 3 + [0.03] * 3 + [0.003] * 3 + [0.0003] * 3)
    cosine = rates(Schedule(kind="cosine", per="step", least_rate=0.1))
    assert cosine[0] == 0.3
    assert cosine[TOTAL // 2] == pytest.approx(0.2)
    assert cosine[TOTAL // 3] == pytest.approx(0.1 + 0.2 * 0.75)


def test_epochs_are_counted_from_the_end_of_a_warmup_in_steps() -> None:
    schedule = Schedule(kind="step", every=1, factor=0.5, warmup_steps=2, warmup_start=0.5)
    expected = [0.15, 0.225, *[0.3] * STEPS_PER_EPOCH, *[0.15] * STEPS_PER_EPOCH]
    assert rates(schedule, count=12) == pytest.approx(expected)


def test_the_cosine_stays_at_its_least_rate() -> None:
    schedule = Schedule(kind="cosine", least_rate=0.1)
    assert rates(schedule, first=TOTAL + 1) == pytest.approx([0.1] * TOTAL)


@pytest.mark.parametrize("kind", OPTIONS)
@pytest.mark.parametrize("settings", [{}, {"warmup_epochs": 2}, {"warmup_steps": 7}], ids=str)
def test_portions_are_parts_of_the_whole(kind: str, settings: dict[str, Any]) -> None:
    schedule = Schedule(kind=kind, **settings)
    whole = rates(schedule)
    assert [rate for step in range(1, TOTAL + 1) for rate in rates(schedule, step, 1)] == whole
    assert rates(schedule, 8, 0) == []
    assert Schedule.from_values(schedule.to_values()) == schedule


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "cosin"}, r"unknown schedule 'cosin': did you mean cosine\?"),
        ({"kind": 3}, "unknown schedule 3: known: constant, cosine, step"),
        ({"per": "batch"}, "unknown unit 'batch': known: epoch, step"),
        ({"kind": "cosine", "every": 3}, "cosine has no option every, which is one of step"),
        ({"kind": "step", "every": 0}, "every 0; expected a whole number from 1"),
        ({"kind": "step", "every": 1.5}, "every 1.5; expected a whole number from 1"),
        ({"kind": "step", "factor": 0}, "factor 0; expected a number above 0, at most 1"),
        ({"kind": "cosine", "least_rate": math.inf}, "least_rate inf; expected a number from 0"),
        ({"warmup_epochs": -1}, "warmup_epochs -1; expected a whole number from 1"),
        ({"warmup_epochs": 1, "warmup_steps": 1}, "expected one: leave one out"),
        ({"warmup_steps": 1, "warmup_start": 0}, "warmup_start 0; expected a number above 0, at"),
        (3, "schedule 3; expected a table such as {kind = 'cosine'}"),
        ({"warm_up": 1}, "a schedule has no 'warm_up': did you mean warmup_"),
    ],
)
def test_bad_settings(values: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Schedule.from_values(values)


def test_what_does_not_fit_the_training() -> None:
    with pytest.raises(InputError, match="a warm-up of 65 steps in a training of 60; use a short"):
        rates(Schedule(warmup_epochs=EPOCHS + 1))
    with pytest.raises(InputError, match=r"least_rate 0\.4; expected at most the learning rate"):
        rates(Schedule(kind="cosine", least_rate=0.4))
    assert np.isfinite(rates(Schedule(kind="cosine", warmup_epochs=EPOCHS))).all()
    assert rates(Schedule(kind="step", every=10**300)) == [RATE] * TOTAL
