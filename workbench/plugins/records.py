"""The records that plugins yield: what an author writes, nothing that can be worked out from it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from types import MappingProxyType
from typing import Any

from workbench.derivation.steps import JacobianRule
from workbench.errors import InputError

ArrayFunction = Callable[[Any], Any]

_SYMBOL = re.compile(r"[^\W\d_]{1,20}")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")


@dataclass(frozen=True, kw_only=True)
class Activation:
    """An activation, by its formula in `z`.

    Attributes
    ----------
    name : a Python identifier; how networks and other formulas call it.
    formula : in `z`; with `sum` or `mean` it couples the entries of a sample, as softmax does.
    kinks : where the derivative jumps. At a kink the formula's own convention holds: in
        `max(u, v)` and `where(u > v, …)` a tie counts as the second branch.
    symbol : how it is printed, `σ`; its name if not given.
    value, slope : the function and its derivative in NumPy, array in, array out, for speed; they
        are held to the formula by `workbench plugins check`.
    aliases : other names for it.
    description : a line for `workbench plugins`.

    Raises
    ------
    InputError
        If a field has the wrong type or form; `slope` needs `value`.

    >>> Activation(name="swish", formula="z * sigmoid(z)").name
    'swish'
    """

    name: str
    formula: str
    kinks: tuple[float, ...] = ()
    symbol: str | None = None
    value: ArrayFunction | None = None
    slope: ArrayFunction | None = None
    aliases: tuple[str, ...] = ()
    description: str = ""

    def __post_init__(self) -> None:
        _require_names("activation", self.name, self.aliases)
        _require_text("activation", self.name, "formula", self.formula)
        if self.symbol is not None and not _is_symbol(self.symbol):
            raise InputError(
                f"activation {self.name!r}: symbol {self.symbol!r} must be letters, at most 20"
            )
        if not _are_kinks(self.kinks):
            raise InputError(
                f"activation {self.name!r}: kinks must be a tuple of finite numbers, "
                f"not {self.kinks!r}"
            )
        for label, function in (("value", self.value), ("slope", self.slope)):
            if function is not None and not callable(function):
                raise InputError(f"activation {self.name!r}: {label} must be a function")
        if self.slope is not None and self.value is None:
            raise InputError(f"activation {self.name!r}: slope is given without value")


@dataclass(frozen=True, kw_only=True)
class Loss:
    """A loss, by its formula for one sample in the output `a` and the target `y`.

    Attributes
    ----------
    formula : a scalar: the entries of a sample are put together by `sum` or `mean`.
    reduction : how the samples of a batch are put together, "mean" or "sum".
    assumes : what is known of every target, such as "sum(y) = 1"; a step that uses it says so.

    Raises
    ------
    InputError
        If a field has the wrong type or form.

    >>> Loss(name="squares", formula="sum((a - y)^2)").reduction
    'mean'
    """

    name: str
    formula: str
    reduction: str = "mean"
    assumes: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    description: str = ""

    def __post_init__(self) -> None:
        _require_names("loss", self.name, self.aliases)
        _require_text("loss", self.name, "formula", self.formula)
        if self.reduction not in ("mean", "sum"):
            raise InputError(
                f"loss {self.name!r}: reduction {self.reduction!r} must be 'mean' or 'sum'"
            )
        for assumption in self.assumes:
            if not isinstance(assumption, str) or assumption.count("=") != 1:
                raise InputError(
                    f"loss {self.name!r}: assumption {assumption!r} must read 'left = right'"
                )


@dataclass(frozen=True, kw_only=True)
class JacobianStrategy:
    """A way of writing pullbacks.

    Attributes
    ----------
    rules : for an operation's name ("apply", "matmul", "add" …) a function of the node and the
        index of an argument. It gives the local Jacobian ∂vec(node)/∂vec(argument) in denominator
        layout, (entries of argument)×(entries of node), or None to leave the rule table's form.

    >>> JacobianStrategy(name="plain", description="The rule table as it stands.").rules
    mappingproxy({})
    """

    name: str
    description: str
    rules: Mapping[str, JacobianRule] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _require_names("strategy", self.name, self.aliases)
        if not all(callable(rule) for rule in self.rules.values()):
            raise InputError(f"strategy {self.name!r}: every rule must be a function")
        object.__setattr__(self, "rules", MappingProxyType(dict(self.rules)))


def _require_names(kind: str, name: object, aliases: object) -> None:
    if not isinstance(aliases, tuple):
        raise InputError(f"{kind} {name!r}: aliases must be a tuple of names, not {aliases!r}")
    for given in (name, *aliases):
        if not isinstance(given, str) or _NAME.fullmatch(given) is None:
            raise InputError(
                f"{kind} name {given!r}: expected letters, digits and _, starting with a letter"
            )


def _is_symbol(given: object) -> bool:
    return isinstance(given, str) and _SYMBOL.fullmatch(given) is not None


def _are_kinks(given: object) -> bool:
    return isinstance(given, tuple) and all(
        isinstance(kink, int | float) and isfinite(kink) for kink in given
    )


def _require_text(kind: str, name: str, label: str, text: object) -> None:
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"{kind} {name!r}: {label} must be a text, not {text!r}")
