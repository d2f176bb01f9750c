"""Settings: how to train."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from workbench.core.optimizers import Optimizer, make_optimizer
from workbench.core.options import COUNT, NOT_NEGATIVE
from workbench.core.schedules import Schedule
from workbench.derivation.steps import ELEMENTWISE, Strategy
from workbench.errors import InputError, close_matches

BACKENDS = ("auto", "python", "numpy", "numba")

DTYPES = ("float32", "float64")

OPTIMIZER_OPTIONS = (
    *("momentum", "beta1", "beta2", "alpha", "epsilon"),
    *("weight_decay", "clip_norm", "clip_value"),
)


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
    class_weights : None, "balanced", or the weight of each class by name.
    patience : training ends after so many epochs without a better validation loss; None: never.
    least_improvement : by which the validation loss must fall to be better.
    backend : what kind of program makes the steps; "auto" takes the fastest.
    threads : of matrix products; None decides by their size.
    seed : of the split, the starting weights and the order of the samples.
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
        NOT_NEGATIVE.require("least_improvement", self.least_improvement)
        self.make_optimizer()

    def make_optimizer(self) -> Optimizer:
        """Make the optimizer.

        >>> Settings(optimizer="sgd").make_optimizer().learning_rate
        0.1
        """
        options = {name: getattr(self, name) for name in OPTIMIZER_OPTIONS}
        return make_optimizer(self.optimizer, learning_rate=self.learning_rate, **options)

    def to_values(self) -> dict[str, Any]:
        """Return all settings in the types of TOML, with the optimizer's defaults filled in.

        What is None is left out.

        >>> values = Settings(optimizer="momentum").to_values()
        >>> values["momentum"], "beta1" in values
        (0.9, False)
        """
        optimizer = self.make_optimizer()
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values |= {"learning_rate": optimizer.learning_rate, **optimizer.options}
        values |= {"strategy": self.strategy.name, "schedule": self.schedule.to_values()}
        return {name: value for name, value in values.items() if value is not None}
