"""Schedules: how the learning rate goes from step to step.

With η the rate that the optimizer has, T the length of the training and p how far it is, both
counted from 0 in epochs, or in steps where `per` is "step":

- constant: η.
- step: η factor^⌊p / every⌋.
- cosine: least_rate + (η − least_rate) (1 + cos(π p / T)) / 2 (Loshchilov and Hutter, "SGDR:
  stochastic gradient descent with warm restarts", 2017, equation 5, without restarts).

A warm-up of w epochs, or of w steps, comes in front of any: η (s + (1 − s) q / w) with s
`warmup_start` and q the epochs, or steps, so far (Goyal et al., "Accurate, large minibatch SGD",
2017, section 2.2). Then p is counted from its end, and T is what remains.

The rates are those of PyTorch's `StepLR`, `CosineAnnealingLR` with `T_max` = T, and `LinearLR` with
`total_iters` = w in a `SequentialLR`, each stepped once an epoch or once a step, but for this:
where PyTorch's cosine rises again behind T ours stays at the least rate; and behind a warm-up in
steps, epochs are counted from its end, which PyTorch cannot do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.core.options import COUNT, NOT_NEGATIVE, SHARE, Option, resolve
from workbench.errors import InputError, close_matches

Array = NDArray[np.float64]

UNITS = ("epoch", "step")

WARMUP_START = 0.1

OPTIONS: Mapping[str, Mapping[str, Option]] = {
    "constant": {},
    "step": {"every": Option(10, COUNT), "factor": Option(0.1, SHARE)},
    "cosine": {"least_rate": Option(0.0, NOT_NEGATIVE)},
}
"""The options of each kind of schedule, by its name."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A kind of schedule with its settings; what is None is of another kind, or no warm-up.

    Attributes
    ----------
    per : "epoch" or "step", whichever the rate changes with behind the warm-up.
    every, factor : of the kind "step".
    least_rate : of the kind "cosine".
    warmup_epochs, warmup_steps : the length of the warm-up, in one of these.
    warmup_start : the share of the rate that it begins with; 0.1 if not given.

    >>> schedule = Schedule(kind="step", every=2, warmup_epochs=1)
    >>> schedule.rates(1.0, first=1, count=6, steps_per_epoch=1, total_steps=6).round(3)
    array([0.1 , 1.  , 1.  , 0.1 , 0.1 , 0.01])
    """

    kind: str = "constant"
    per: str = "epoch"
    every: int | None = None
    factor: float | None = None
    least_rate: float | None = None
    warmup_epochs: int | None = None
    warmup_steps: int | None = None
    warmup_start: float | None = None

    def __post_init__(self) -> None:
        for what, name, known in (("schedule", self.kind, OPTIONS), ("unit", self.per, UNITS)):
            if not isinstance(name, str) or name not in known:
                raise InputError(f"unknown {what} {name!r}: {close_matches(str(name), known)}")
        names = {name for options in OPTIONS.values() for name in options}
        given = {name: getattr(self, name) for name in names}
        for name, value in resolve(self.kind, OPTIONS, given).items():
            object.__setattr__(self, name, value)
        self._require_warmup()

    def _require_warmup(self) -> None:
        given = [name for name in ("warmup_epochs", "warmup_steps") if getattr(self, name)]
        for name in given:
            COUNT.require(name, getattr(self, name))
        if len(given) > 1:
            raise InputError(f"{' and '.join(given)} are given; expected one: leave one out")
        if self.warmup_start is not None:
            SHARE.require("warmup_start", self.warmup_start)
            if (self.warmup_epochs, self.warmup_steps) == (None, None):
                raise InputError(
                    f"warmup_start {self.warmup_start:g} is given without a warm-up; expected "
                    "warmup_epochs or warmup_steps too"
                )
        elif given:
            object.__setattr__(self, "warmup_start", WARMUP_START)

    @classmethod
    def from_values(cls, values: object) -> Schedule:
        """Make a schedule from settings as they are read, or from a kind alone.

        >>> Schedule.from_values({"kind": "cosine"}) == Schedule.from_values("cosine")
        True
        """
        if isinstance(values, str):
            values = {"kind": values}
        if not isinstance(values, Mapping):
            raise InputError(f"schedule {values!r}; expected a table such as {{kind = 'cosine'}}")
        known = [field.name for field in fields(cls)]
        for name in values:
            if name not in known:
                raise InputError(f"a schedule has no {name!r}: {close_matches(str(name), known)}")
        return cls(**values)

    def to_values(self) -> dict[str, Any]:
        """Return the settings that say something, in the types of TOML and JSON.

        >>> Schedule(kind="step").to_values()
        {'kind': 'step', 'per': 'epoch', 'every': 10, 'factor': 0.1}
        """
        values = {name: value for name, value in asdict(self).items() if value is not None}
        if not (self.warmup_epochs or self.warmup_steps):
            values.pop("warmup_start", None)
        return values

    @property
    def is_constant(self) -> bool:
        """Whether the rate is the same in every step."""
        return self.kind == "constant" and not (self.warmup_epochs or self.warmup_steps)

    def rates(
        self, rate: float | Array, *, first: int, count: int, steps_per_epoch: int, total_steps: int
    ) -> Array:
        """The learning rates (count,) of consecutive steps; (replicas, count) for many rates.

        Parameters
        ----------
        rate : the one that the optimizer has, or (replicas, 1).
        first : the number of the first of these steps, from 1.
        total_steps : of the whole training.

        Raises
        ------
        InputError
            If the warm-up is longer than the training, or the least rate above the first.
        """
        steps = np.arange(first - 1, first - 1 + count)
        warmup = self.warmup_steps or (self.warmup_epochs or 0) * steps_per_epoch
        if warmup > total_steps:
            raise InputError(
                f"a warm-up of {warmup:,} steps in a training of {total_steps:,}; use a shorter one"
            )
        unit = 1 if self.per == "step" else steps_per_epoch
        position = (steps - warmup) // unit
        behind = self._behind(
            rate, position.astype(float), math.ceil((total_steps - warmup) / unit)
        )
        if not warmup:
            return behind
        unit = 1 if self.warmup_steps else steps_per_epoch
        start = self.warmup_start
        assert start is not None
        share = start + (1 - start) * (steps // unit) / (warmup // unit)
        return np.where(steps < warmup, rate * share, behind)

    def _behind(self, rate: float | Array, position: Array, length: int) -> Array:
        """The rates behind the warm-up, at positions of which those before it are of no account."""
        if self.every is not None and self.factor is not None:
            return rate * self.factor ** np.floor(np.maximum(position, 0) / self.every)
        if self.least_rate is not None:
            if self.least_rate > (least := np.min(rate)):
                raise InputError(
                    f"least_rate {self.least_rate:g}; expected at most the learning rate {least:g}"
                )
            share = (1 + np.cos(np.pi * np.clip(position / max(length, 1), 0, 1))) / 2
            return np.asarray(self.least_rate + (rate - self.least_rate) * share)
        return rate + np.zeros(len(position))
