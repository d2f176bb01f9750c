"""Optimizers: how a step changes the parameters, each written once, as formulas.

With θ the parameters, g the gradient, η (`rate`) the learning rate and t the number of the step,
from 1, a rule has equations of two kinds. Those of a step give scalars from η, t and the options.
Those of an entry are carried out in order for each entry of θ and give the new values of the
vectors of state and of θ. All are read by the grammar of formulas into expressions; whole vectors
and single entries are updated by source that is made from these, and by nothing else.

The results are those of PyTorch's optimizers. A state is scaled where that saves work: then its
rule says what it is in terms of the paper's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.calculus.expressions import Expression, Kind, symbol, symbols_of
from workbench.core import update_lines
from workbench.core.evaluate import evaluate
from workbench.core.options import FRACTION, NOT_NEGATIVE, POSITIVE, Option, resolve
from workbench.core.update_lines import VectorSource, base_name
from workbench.derivation.system import Equation
from workbench.errors import InputError, close_matches
from workbench.notation.reading.formulas import parse_formula

Array = NDArray[Any]

NO_NAMES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class UpdateRule:
    """One optimizer as formulas.

    Attributes
    ----------
    source : where the formulas are from.
    states : the names of the vectors of state, all zero at first.
    default_rate : the learning rate where none is given.
    per_entry : equations, a line each, of the states and `theta` from these, the gradient `g`, the
        options and the scalars of the step.
    per_step : equations, a line each, of scalars from `rate`, `t` and the options.
    """

    name: str
    source: str
    default_rate: float
    per_entry: str
    per_step: str = ""
    states: tuple[str, ...] = ()
    options: Mapping[str, Option] = field(default_factory=dict)


SGD = UpdateRule(
    name="sgd",
    source="Robbins and Monro, A stochastic approximation method, 1951",
    default_rate=0.1,
    per_entry="theta = theta - rate * g",
)

MOMENTUM = UpdateRule(
    name="momentum",
    source="Sutskever et al., On the importance of initialization and momentum in deep learning, "
    "2013, equations 1 and 2, with the learning rate outside the velocity v",
    default_rate=0.01,
    states=("v",),
    options={"momentum": Option(0.9, FRACTION)},
    per_entry="""
        v = momentum * v + g
        theta = theta - rate * v
    """,
)

NESTEROV = UpdateRule(
    name="nesterov",
    source="Sutskever et al., 2013, equations 3 and 4, at the point that is looked ahead to; "
    "v is the momentum times the velocity",
    default_rate=0.01,
    states=("v",),
    options={"momentum": Option(0.9, FRACTION)},
    per_entry="""
        v = momentum * (v + g)
        theta = theta - rate * (g + v)
    """,
)

RMSPROP = UpdateRule(
    name="rmsprop",
    source="Hinton, Neural networks for machine learning, lecture 6e, 2012; "
    "v is the mean of g² over 1 - alpha",
    default_rate=0.01,
    states=("v",),
    options={"alpha": Option(0.99, FRACTION), "epsilon": Option(1e-8, POSITIVE)},
    per_step="""
        c = 1 / sqrt(1 - alpha)
        r = rate * c
        o = epsilon * c
    """,
    per_entry="""
        v = alpha * v + g^2
        theta = theta - r * g / (sqrt(v) + o)
    """,
)

_MOMENTS = {
    "beta1": Option(0.9, FRACTION),
    "beta2": Option(0.999, FRACTION),
    "epsilon": Option(1e-8, POSITIVE),
}
_CORRECTION = """
    c = sqrt((1 - exp(t * log(beta2))) / (1 - beta2))
    r = rate * c * (1 - beta1) / (1 - exp(t * log(beta1)))
    o = epsilon * c
"""
"""Bias correction, for states m and v that are the paper's over 1 − β₁ and 1 − β₂.

That saves two passes: m ← β₁ m + g and v ← β₂ v + g². In the paper m̂ = m (1 − β₁) / (1 − β₁ᵗ) and
v̂ = v (1 − β₂) / (1 − β₂ᵗ), so that √v̂ = √v / c with c = √((1 − β₂ᵗ) / (1 − β₂)), and
η m̂ / (√v̂ + ε) = [η c (1 − β₁) / (1 − β₁ᵗ)] m / (√v + c ε). The powers βᵗ are e^(t log β).
"""

ADAM = UpdateRule(
    name="adam",
    source="Kingma and Ba, Adam: a method for stochastic optimization, 2015, algorithm 1; "
    "m and v are the moments over 1 - beta1 and 1 - beta2",
    default_rate=0.001,
    states=("m", "v"),
    options=_MOMENTS,
    per_step=_CORRECTION,
    per_entry="""
        m = beta1 * m + g
        v = beta2 * v + g^2
        theta = theta - r * m / (sqrt(v) + o)
    """,
)

ADAMW = UpdateRule(
    name="adamw",
    source="Loshchilov and Hutter, Decoupled weight decay regularization, 2019, algorithm 2; "
    "m and v as in adam",
    default_rate=0.001,
    states=("m", "v"),
    options={**_MOMENTS, "weight_decay": Option(0.01, NOT_NEGATIVE)},
    per_step=f"{_CORRECTION}\n shrinkage = 1 - rate * weight_decay",
    per_entry="""
        m = beta1 * m + g
        v = beta2 * v + g^2
        theta = shrinkage * theta - r * m / (sqrt(v) + o)
    """,
)

OPTIMIZERS: Mapping[str, UpdateRule] = {
    rule.name: rule for rule in (SGD, MOMENTUM, NESTEROV, RMSPROP, ADAM, ADAMW)
}
"""The optimizers by name."""

IN_FRONT = {
    "clip_norm": (Option(0.0, POSITIVE), "g = clip * g"),
    "clip_value": (Option(0.0, POSITIVE), "g = max(min(g, clip_value), -clip_value)"),
    "weight_decay": (Option(0.0, NOT_NEGATIVE), "g = g + weight_decay * theta"),
}
"""What any rule may have put in front, in this order: an option and what is done where it is not 0.

Clipping is that of `torch.nn.utils.clip_grad_norm_` and `clip_grad_value_`; the decay of weights is
the gradient of weight_decay ‖θ‖² / 2, as in PyTorch, unless a rule has an option of that name.
"""

CLIP = "clip = min(1, clip_norm / (norm + 1e-6))"
"""The scalar of clipping by norm, from the Euclidean norm of all gradients."""


@dataclass(frozen=True)
class Optimizer:
    """An update rule with its settings.

    Attributes
    ----------
    options : every option in effect by name, also those put in front.

    >>> optimizer = make_optimizer("momentum")
    >>> print(*optimizer.entry_lines(), sep="\\n")
    v = 0.9 * v + g
    theta = theta - rate * v
    >>> print(*optimizer.vector_lines().lines, sep="\\n")
    multiply(v, momentum, v)
    add(v, g, v)
    multiply(v, rate, scratch1)
    subtract(theta, scratch1, theta)
    """

    rule: UpdateRule
    learning_rate: float
    options: Mapping[str, float]

    @cached_property
    def equations(self) -> tuple[Equation, ...]:
        """What is done to each entry, in order; a primed symbol is the new value of the plain one.

        >>> from workbench.notation.text import text
        >>> for equation in make_optimizer("momentum").equations:
        ...     print(equation.left.symbol.name, "=", text(equation.right))
        v′ = momentum v + g
        theta′ = θ − rate v′
        """
        names = ("theta", "g", "rate", "clip", *self.rule.states)
        scalars = (base_name(equation.left) for equation in self._per_step)
        front = [
            line
            for name, (_, line) in IN_FRONT.items()
            if name in self.options and name not in self.rule.options
        ]
        return self._read("\n".join([*front, self.rule.per_entry]), *names, *scalars)

    @cached_property
    def scalar_names(self) -> tuple[str, ...]:
        """The scalars of the step that the equations use, without the `clip` of a norm."""
        known = {"rate", *(base_name(equation.left) for equation in self._per_step)}
        used = symbols_of(*(equation.right for equation in self.equations))
        return tuple(name for name in map(base_name, used) if name in known)

    @property
    def needs_norm(self) -> bool:
        """Whether a step needs the norm of all gradients, for `norm_lines`."""
        return "clip_norm" in self.options

    @cached_property
    def is_constant(self) -> bool:
        """Whether the scalars are the same in every step as long as the rate is."""
        changing = {"t"}
        for equation in self._per_step:
            if changing.intersection(map(base_name, symbols_of(equation.right))):
                changing.add(base_name(equation.left))
        return changing.isdisjoint(self.scalar_names)

    def scalars(self, rates: Array, first: int) -> dict[str, Array]:
        """The scalars of consecutive steps.

        Parameters
        ----------
        rates : (steps,) or (replicas, steps), the learning rate of each step.
        first : the number of the first of them, from 1.

        Returns
        -------
        As `rates`, of float64, for each name in `scalar_names`.

        >>> adam = make_optimizer("adam", epsilon=1)
        >>> [values.round(3).tolist() for values in adam.scalars(np.array([1.0, 1.0]), 1).values()]
        [[1.0, 0.744], [1.0, 1.414]]
        """
        values = {name: np.asarray(value) for name, value in self.options.items()}
        values |= {"rate": rates, "t": np.arange(first, first + rates.shape[-1], dtype=np.float64)}
        environment = {_symbol(name): value for name, value in values.items()}
        for equation in self._per_step:
            environment[equation.left] = evaluate(equation.right, environment)
        found = {base_name(node): value for node, value in environment.items()}
        return {name: np.broadcast_to(found[name], rates.shape) for name in self.scalar_names}

    def vector_lines(self, names: Mapping[str, str] = NO_NAMES) -> VectorSource:
        """NumPy source that updates whole vectors in place; see `update_lines.vector_lines`.

        Parameters
        ----------
        names : what `theta`, `g`, the states, scalars and options are called in the source, where
            it is not that, and what stands before the number of a `scratch` vector or `constant`.
        """
        kept, scalars = {"theta", *self.rule.states}, {"clip", *self.scalar_names}
        return update_lines.vector_lines(self.equations, kept, scalars, self.options, names)

    def entry_lines(self, names: Mapping[str, str] = NO_NAMES) -> list[str]:
        """Plain Python that updates one entry, with the functions `sqrt`, `min` and `max`."""
        return update_lines.entry_lines(self.equations, self.options, names)

    def norm_lines(self, names: Mapping[str, str] = NO_NAMES) -> list[str]:
        """Plain Python for what follows from `norm` in a step: nothing, or the scalar `clip`.

        >>> make_optimizer("sgd", clip_norm=5).norm_lines()
        ['clip = min(1, 5 / (norm + 1e-06))']
        """
        if not self.needs_norm:
            return []
        return update_lines.entry_lines(self._read(CLIP, "norm"), self.options, names)

    @cached_property
    def _per_step(self) -> tuple[Equation, ...]:
        return self._read(self.rule.per_step, "rate", "t")

    def _read(self, lines: str, *names: str) -> tuple[Equation, ...]:
        """Read equations of these names and the options, in which a name means its latest value."""
        known = {name: _symbol(name) for name in (*names, *self.options)}
        equations = []
        for line in filter(None, map(str.strip, lines.splitlines())):
            name, _, formula = line.partition(" = ")
            right = parse_formula(formula, known, what=f"{self.rule.name}: {name}")
            old = known.get(name)
            known[name] = _symbol(name if old is None else old.symbol.name + "′")
            equations.append(Equation(known[name], right))
        return tuple(equations)


def make_optimizer(
    name: str, *, learning_rate: float | None = None, **options: float | None
) -> Optimizer:
    """Make an optimizer by its name.

    Parameters
    ----------
    options : those of the rule, and `weight_decay`, `clip_norm` and `clip_value` of every rule.
        What is None, the learning rate too, takes the rule's default.

    Raises
    ------
    InputError
        If the optimizer or an option is not known, a value is not allowed, or gradients would be
        clipped in both ways.

    >>> make_optimizer("momentum", learning_rate=0.1).options["momentum"]
    0.9
    """
    if name not in OPTIMIZERS:
        raise InputError(f"unknown optimizer {name!r}: {close_matches(name, OPTIMIZERS)}")
    front = {key: option for key, (option, _) in IN_FRONT.items()}
    known = {other.name: {**front, **other.options} for other in OPTIMIZERS.values()}
    resolved = resolve(name, known, options)
    rule = OPTIMIZERS[name]
    in_effect = {key: value for key, value in resolved.items() if key in rule.options or value}
    if "clip_norm" in in_effect and "clip_value" in in_effect:
        raise InputError("clip_norm and clip_value are given; expected one of them: leave one out")
    rate = rule.default_rate if learning_rate is None else learning_rate
    rate = float(POSITIVE.require("learning rate", rate))
    return Optimizer(rule, rate, MappingProxyType(in_effect))


def _symbol(name: str) -> Expression:
    return symbol(name, Kind.VARIABLE)
