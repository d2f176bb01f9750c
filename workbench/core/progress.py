"""How far a training is, and what its epochs came to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from json import JSONEncoder
from typing import Any, NamedTuple

encode = JSONEncoder(allow_nan=False, ensure_ascii=False).encode


class EpochRecord(NamedTuple):
    """What one epoch came to.

    Attributes
    ----------
    epoch, step : how many there have been so far.
    loss : the mean over the training samples, each at its step of this epoch.
    accuracy : the share of those samples whose class was right; None for numbers.
    validation_loss, validation_accuracy : after the epoch; None without a validation part.
    learning_rate : of the epoch's last step.
    gradient_norm : the mean over the epoch's steps of the Euclidean norm of all gradients.
    """

    epoch: int
    step: int
    loss: float
    accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    learning_rate: float
    gradient_norm: float

    def to_line(self) -> str:
        """Return the record as a line of JSON, without its end.

        >>> EpochRecord(1, 4, 0.5, None, 0.25, None, 0.1, 1e-5).to_line()[:42]
        '{"epoch": 1, "step": 4, "loss": 0.5, "accu'
        """
        line = _LINE % self
        if "inf" in line or "nan" in line:
            return encode(self.to_json())
        return line.replace("None", "null")

    def to_json(self) -> dict[str, Any]:
        """Return the record in the types of JSON, where a number that is not finite is None.

        >>> record = EpochRecord(1, 4, 0.5, None, math.inf, None, 0.1, 0.01).to_json()
        >>> record["validation_loss"], record["finite"]
        (None, False)
        """
        record: dict[str, Any] = dict(zip(self._fields, self, strict=True))
        if all(value is None or math.isfinite(value) for value in self[2:]):
            return record
        broken = [name for name, value in record.items() if value and not math.isfinite(value)]
        return record | dict.fromkeys(broken) | {"finite": False}


_LINE = "{" + ", ".join(f'"{name}": %r' for name in EpochRecord._fields) + "}"
"""A record as JSON, but for what is None: the numbers of Python are those of JSON."""


@dataclass
class Progress:
    """How far a training is.

    Attributes
    ----------
    epoch, step : the epochs completed, and the steps made.
    batch : the steps made of the epoch that is not over.
    losses, norms, correct : the sums over these of the samples' losses, each by its weight, and of
        the gradients' norms, and the samples whose class was right.
    counted : the samples of these, or the sum of their weights.
    best_loss, best_epoch : of the best validation so far.
    """

    epoch: int = 0
    step: int = 0
    batch: int = 0
    losses: float = 0.0
    norms: float = 0.0
    correct: int = 0
    counted: float = 0.0
    best_loss: float | None = None
    best_epoch: int | None = None
