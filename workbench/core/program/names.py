"""Names in the source of programs: each its own, and none that means something else there."""

from __future__ import annotations

import builtins
import math
import re
from collections.abc import Iterable
from keyword import iskeyword

import numpy as np

_OWN_NAMES = frozenset(
    {
        *("build", "step", "forward", "predict", "train", "dtype", "special"),
        *("batches", "numbers", "samples", "starts", "scalars", "vectors", "chunks"),
        *("losses", "squares", "outputs", "correct"),
        *("parameters", "gradients", "buffers"),
        *("examine", "are_finite", "chosen_classes"),
        *("at", "done", "i", "j"),
    }
)
"""The functions of programs, what these are given, and the variables of their loops."""

_MADE_NAME = re.compile(
    r"(t|work|mask|scalar|scratch|constant)\d+"  # values, buffers and numbers, counted
    r"|.*_\d+"  # an entry of an array, an array of ones, a number
    r"|.*_(T|column|all|rows|turned)"  # a view
    r"|.*_(value|slope)"  # a plugin's function
)
"""The names that programs make up."""


class FreeNames:
    """Gives names that are not taken yet.

    >>> free = FreeNames(["v"])
    >>> free("v"), free("rate")
    ('v_', 'rate')
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)

    def __call__(self, name: str) -> str:
        """The name itself, or with underscores behind it."""
        while self._is_taken(name):
            name += "_"
        self._taken.add(name)
        return name

    def _is_taken(self, name: str) -> bool:
        return name in self._taken


class SymbolNames(FreeNames):
    """Gives names for symbols, and none that means something else in some program.

    >>> free = SymbolNames()
    >>> free("W1"), free("lambda"), free("square"), free("work1"), free("b1_0")
    ('W1', 'lambda_', 'square_', 'work1_', 'b1_0_')
    """

    def _is_taken(self, name: str) -> bool:
        return (
            super()._is_taken(name)
            or iskeyword(name)
            or any(hasattr(module, name) for module in (builtins, math, np))
            or name in _OWN_NAMES
            or _MADE_NAME.fullmatch(name) is not None
        )
