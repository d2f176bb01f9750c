"""Settings: how to train."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from workbench.core.optimizers import IN_FRONT, OPTIMIZERS, Optimizer, make_optimizer
from workbench.core.options import COUNT, NOT_NEGATIVE, POSITIVE
from workbench.core.parameters import DTYPES
from workbench.core.schedules import Schedule
from workbench.derivation.steps import ELEMENTWISE, Strategy
from workbench.errors import InputError, close_matches

BACKENDS = ("auto", "python", "numpy", "numba")

MOST_THREADS = 4096

OPTIMIZER_OPTIONS = tuple(
    dict.fromkeys([*(name for rule in OPTIMIZERS.values() for name in rule.options), *IN_FRONT])
)
"""The options of all optimizers, each a field of the settings."""

LEARNING_RATES = ("learning_rate", "rates", "rate_range")
"""The settings of which one at most says how large steps are."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to train.

    Attributes
    ----------
    learning_rate : None takes the optimizer's default, as does None for all that is set of it:
        `momentum`, `beta1`, `beta2`, `alpha`, `epsilon`, `weight_decay`, `clip_norm`,
        `clip_value`.
    schedule : how the learning rate goes from step to step.
    initialiser : the name of a scheme, or a file of starting parameters.
    dtype : "float32" or "float64".
    validation, test : the shares of the samples that are held out.
    stratify : whether each class has its share of each part.
    standardise : whether inputs get mean 0 and deviation 1, as found on the training part.
    class_weights : None, "balanced", or the weights of classes by name; 1 for those not named.
    patience : training ends after so many epochs without a better validation loss; None: never.
    least_improvement : by which the validation loss must fall to be better.
    backend : what kind of program makes the steps; "auto" takes the fastest.
    threads : of matrix products; None decides by their size.
    seed : of the split, the starting weights and the order of the samples.
    initial_seed : of the starting weights alone; None takes `seed`.
    replicas : the networks that are trained side by side; replica k starts from `initial_seed` + k.
    rates : their learning rates, one after another and over again, in place of `learning_rate`.
    rate_range : the least and the largest of their learning rates; each is the same multiple of the
        one before.
    """

    epochs: int = 50
    batch_size: int = 32
    optimizer: str = "adam"
    learning_rate: float | None = None
    momentum: float | None = None
    beta1: float | None = None
    beta2: float | None = None
    alpha: float | None = None
    epsilon: float | None = None
    weight_decay: float | None = None
    clip_norm: float | None = None
    clip_value: float | None = None
    schedule: Schedule = field(default_factory=Schedule)
    initialiser: str = "auto"
    dtype: str = "float64"
    strategy: Strategy = ELEMENTWISE
    validation: float = 0.0
    test: float = 0.0
    stratify: bool = True
    standardise: bool = True
    class_weights: str | Mapping[str, float] | None = None
    patience: int | None = None
    least_improvement: float = 0.0
    backend: str = "auto"
    threads: int | None = None
    seed: int = 0
    initial_seed: int | None = None
    replicas: int = 1
    rates: tuple[float, ...] = ()
    rate_range: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 1), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise InputError(f"{name} {value!r}; expected a whole number from {least}")
        for name, known in (("dtype", DTYPES), ("backend", BACKENDS)):
            value = getattr(self, name)
            if value not in known:
                raise InputError(f"unknown {name} {value!r}: {close_matches(str(value), known)}")
        for name in ("patience", "threads"):
            if getattr(self, name) is not None:
                COUNT.require(name, getattr(self, name))
        if self.threads is not None and self.threads > MOST_THREADS:
            raise InputError(f"threads {self.threads:,}; expected at most {MOST_THREADS:,}")
        NOT_NEGATIVE.require("least_improvement", self.least_improvement)
        self._require_replicas()
        self.make_optimizer()

    def _require_replicas(self) -> None:
        """Refuse what makes no replicas."""
        COUNT.require("replicas", self.replicas)
        seed = self.starting_seed
        if not isinstance(seed, int) or seed < 0:
            raise InputError(f"initial_seed {self.initial_seed!r}; expected a whole number from 0")
        for name in ("rates", "rate_range"):
            for rate in getattr(self, name):
                POSITIVE.require(name, rate)
            if getattr(self, name) and self.replicas == 1:
                raise InputError(f"{name} are given for one network; expected replicas = 2 or more")
        given = [name for name in LEARNING_RATES if getattr(self, name) not in (None, ())]
        if len(given) > 1:
            raise InputError(
                f"{' and '.join(given)} are given; expected one of them: leave one out"
            )
        if len(self.rates) > self.replicas:
            raise InputError(
                f"{len(self.rates)} rates for {self.replicas} replicas; expected at most one each"
            )
        if self.rate_range and (
            len(self.rate_range) != 2 or self.rate_range[0] >= self.rate_range[1]
        ):
            raise InputError(
                f"rate_range {self.rate_range!r}; expected two rates, the least, then the largest"
            )

    @property
    def starting_seed(self) -> int:
        """The seed of the starting weights."""
        return self.seed if self.initial_seed is None else self.initial_seed

    def make_optimizer(self) -> Optimizer:
        """Make the optimizer.

        >>> Settings(optimizer="sgd").make_optimizer().learning_rate
        0.1
        """
        options = {name: getattr(self, name) for name in OPTIMIZER_OPTIONS}
        return make_optimizer(self.optimizer, learning_rate=self.learning_rate, **options)

    def to_values(self) -> dict[str, Any]:
        """Return all settings in the types of TOML, with the optimizer's defaults filled in.

        What is None or empty is left out.

        >>> values = Settings(optimizer="momentum").to_values()
        >>> values["momentum"], "beta1" in values
        (0.9, False)
        """
        optimizer = self.make_optimizer()
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        rate = None if self.rates or self.rate_range else optimizer.learning_rate
        values |= {"learning_rate": rate, **optimizer.options}
        values |= {"strategy": self.strategy.name, "schedule": self.schedule.to_values()}
        return {name: value for name, value in values.items() if value not in (None, ())}
