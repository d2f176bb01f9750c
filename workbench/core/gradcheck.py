"""Hold the gradients that training uses against numbers that do not come from the derivation.

The analytic side is the compiled program. The numeric side runs the system's equations forward
only, see `workbench.core.numeric_gradients`. Where a kink lies within the step, the verdict is
*undecided* rather than wrong; likewise where a gradient is no more than rounding, and where the
loss is defined at no point drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.calculus.expressions import Expression, Kind, walk
from workbench.calculus.functions import Function
from workbench.core.checks.draws import distinct_sizes
from workbench.core.checks.small_sizes import require_affordable
from workbench.core.columns import known_width
from workbench.core.faults import faults
from workbench.core.gradient_methods import MOST_ENTRIES, Method
from workbench.core.numeric_gradients import DIFFERENCE_STEP, NumericGradients
from workbench.core.parameters import Parameters
from workbench.core.program.program import compile_model, derived
from workbench.core.program.source import turned_parameters
from workbench.core.trainable import (
    Part,
    Trainable,
    exact_values,
    trainable_equations,
    trainable_network,
    with_values,
)
from workbench.core.whole_numbers import whole_number, whole_sizes
from workbench.derivation.network import BATCH, Network
from workbench.derivation.steps import Strategy
from workbench.derivation.system import System
from workbench.errors import InputError

Array = NDArray[Any]

COMPLEX_TOLERANCE = 1e-9
DIFFERENCE_TOLERANCE = 1e-6

_KINKED = frozenset({"where", "maximum", "minimum", "greater", "greater_equal"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """One parameter's gradient under one strategy.

    Attributes
    ----------
    verdict : "pass", "fail" or "undecided".
    max_relative_error : of the worst entry, relative to the larger of the entry and a thousandth of
        the largest entry; None if not finite.
    worst_index : of that entry, with its analytic and numeric values.
    entries : how many entries were compared.
    samples : how many samples the batch had.
    message : why it did not pass.
    """

    strategy: str
    parameter: str
    shape: tuple[int, ...]
    verdict: str
    max_relative_error: float | None
    worst_index: tuple[int, ...]
    analytic: float | None
    numeric: float | None
    method: str
    entries: int
    samples: int
    message: str = ""


NOTHING: Mapping[str, Any] = MappingProxyType({})


def gradcheck(
    model: Network | System,
    strategies: Sequence[Strategy],
    *,
    batch_size: int = 4,
    seed: int = 0,
    method: Method = Method.AUTO,
    step: float | None = None,
    entries: int = MOST_ENTRIES,
    sizes: Mapping[str, int] = NOTHING,
    values: Mapping[str, float] = NOTHING,
) -> Iterator[Verdict]:
    """Check every parameter's gradient under every strategy.

    Parameters
    ----------
    model : a network, or equations of one sample with a scalar loss, which are checked in the batch
        form that training uses; those that have none, such as attention, at one sample.
    batch_size : the samples drawn; those of equations without a batch form are one.
    sizes, values : of equations: sizes, which are small and drawn if not given, and the value of
        what is the same for every sample, each by name.
    step : of the central differences, relative to the size of the entry moved.
    entries : at most so many entries of a parameter are compared, drawn by the seed.

    Raises
    ------
    InputError
        If the complex step is asked for where a function is not analytic, a number is not in its
        range, such as a step between 0 and 1, or equations cannot be trained.

    >>> from workbench.derivation.steps import ELEMENTWISE
    >>> from workbench.plugins.build import build_network
    >>> from workbench.plugins.registry import load_registry
    >>> network = build_network("2-2-1", registry=load_registry())
    >>> {verdict.verdict for verdict in gradcheck(network, [ELEMENTWISE])}
    {'pass'}
    """
    if step is not None:
        _require_step(step)
    batch_size = whole_number("batch_size", batch_size)
    entries = whole_number("entries", entries)
    random = np.random.default_rng(whole_number("seed", seed, least=0))
    if isinstance(model, Network):
        trainable = trainable_network(model)
    else:
        trainable = _sized(model, sizes, values, random)
    kinked = _has_kinks(trainable.system)
    if method is Method.COMPLEX and kinked:
        raise InputError(f"the complex step needs analytic functions; {kinked} has a kink")
    if method is Method.AUTO:
        method = Method.CENTRAL if kinked or step is not None else Method.COMPLEX
    if not trainable.is_batch:
        batch_size = 1
    numeric = NumericGradients(
        trainable.system,
        {**trainable.system.sizes, BATCH.names[0]: batch_size},
        random,
        method=method,
        step=step or DIFFERENCE_STEP,
        entries=entries,
    )
    programs = [_Program(trainable, strategy, batch_size) for strategy in strategies]
    names = ", ".join(sentence for f in _functions(trainable.system) for sentence in faults(f))
    for program in programs:
        yield from _Comparison(trainable, numeric, program, names).verdicts()


def _require_step(step: object) -> None:
    if not (isinstance(step, float | np.floating) and 0 < step < 1):
        raise InputError(f"the step of the differences must lie between 0 and 1, not {step!s:.80}")


def _sized(
    system: System,
    sizes: Mapping[str, int],
    values: Mapping[str, float],
    random: np.random.Generator,
) -> Trainable:
    """Equations as training sees them, for a table with as many columns as they take."""
    system = with_values(system, exact_values(values))
    drawn = distinct_sizes(system, random)
    drawn.pop(BATCH.names[0], None)
    sizes = {**drawn, **whole_sizes(sizes)}
    inputs, targets = (
        known_width(system.of_kind(kind), sizes) for kind in (Kind.INPUT, Kind.TARGET)
    )
    assert inputs is not None
    assert targets is not None
    require_affordable(inputs + targets)
    columns = [f"column {number}" for number in range(1, inputs + 1)]
    return trainable_equations(system, system.text, columns=columns, targets=targets, sizes=sizes)


def _functions(system: System) -> list[Function]:
    """The activations of a system, once each."""
    found: dict[str, Function] = {}
    for equation in system.equations:
        for node in walk(equation.right):
            if isinstance(node.data, Function) and node.data.formula is not None:
                found[node.data.name] = node.data
    return list(found.values())


def _has_kinks(system: System) -> str | None:
    """The name of a function that is not analytic, if there is one."""
    for function in _functions(system):
        assert function.formula is not None
        if function.kinks or _is_kinked(function.formula):
            return function.name
    kinked = (e.left.symbol.name for e in system.equations if _is_kinked(e.right))
    name = next(kinked, None)
    return None if name is None else f"the formula of {name}"


def _is_kinked(expression: Expression) -> bool:
    return any(
        node.operation in _KINKED
        or (isinstance(node.data, Function) and node.data.name in ("abs", "sign"))
        for node in walk(expression)
    )


class _Program:
    """What training would run, with arrays of its own."""

    def __init__(self, model: Trainable, strategy: Strategy, batch_size: int) -> None:
        self.strategy = strategy.name
        turned = turned_parameters(derived(model, strategy).system)
        self.parameters = Parameters(model.parameters, turned=turned)
        self.gradients = self.parameters.zeros_like()
        self.step = compile_model(
            model,
            batch_size=batch_size,
            strategy=strategy,
            parameters=self.parameters,
            gradients=self.gradients,
        ).step


@dataclass(frozen=True)
class _Comparison:
    """A program's gradients held against numbers.

    Attributes
    ----------
    faults : of functions, which explain why a gradient fails.
    """

    model: Trainable
    numeric: NumericGradients
    program: _Program
    faults: str

    def verdicts(self) -> Iterator[Verdict]:
        """One verdict a parameter, from one step of the program at the point of the numbers."""
        parameters = self.model.system.parameters
        for parameter in parameters:
            held = self.program.parameters[parameter.symbol.name]
            held[...] = self.numeric.values[parameter].reshape(held.shape)
        loss = self.program.step(self._rows(self.model.inputs), self._rows(self.model.targets))
        for parameter in parameters:
            yield self._verdict(parameter, loss)

    def _rows(self, parts: Sequence[Part]) -> Array:
        """The inputs or the targets, a sample a row."""
        samples = self.numeric.sizes[BATCH.names[0]]
        rows = [np.zeros((samples, 0))]
        for part in parts:
            values, shape = self.numeric.values[part.symbol], part.symbol.shape
            by_sample = np.moveaxis(values, shape.index(BATCH), 0) if BATCH in shape else values
            rows.append(by_sample.reshape(samples, -1))
        return np.hstack(rows)

    def _verdict(self, parameter: Expression, loss: float) -> Verdict:
        name = parameter.symbol.name
        places = self.numeric.indices[parameter]
        analytic = self.program.gradients[name].reshape(-1)[places]
        found = self.numeric.gradient(parameter)
        with np.errstate(all="ignore"):
            errors = np.abs(analytic - found[0]) / _scale(analytic, found[0])
            errors = np.where(np.isfinite(errors), errors, np.inf)
            verdict, message = self._judge(analytic, found, errors, loss)
        worst = int(np.argmax(errors))
        if verdict == "fail" and self.faults:
            message = self.faults
        shape = self.program.gradients[name].shape
        error = float(errors[worst])
        return Verdict(
            self.program.strategy,
            name,
            shape,
            verdict,
            error if np.isfinite(error) else None,
            tuple(int(i) for i in np.unravel_index(places[worst], shape)),
            _finite(analytic[worst]),
            _finite(found[0][worst]),
            self.numeric.method.value,
            len(places),
            self.numeric.sizes[BATCH.names[0]],
            message,
        )

    @property
    def _tolerance(self) -> float:
        return COMPLEX_TOLERANCE if self.numeric.method is Method.COMPLEX else DIFFERENCE_TOLERANCE

    def _judge(
        self, analytic: Array, found: tuple[Array, Array, Array], errors: Array, loss: float
    ) -> tuple[str, str]:
        numeric, doubt, noise = found
        if not self.numeric.point.is_defined:
            return "undecided", "the loss is not defined at any point drawn"
        if not self.numeric.point.is_as_assumed:
            return "undecided", "no target drawn satisfies what the loss assumes of it"
        if not self._is_loss(loss):
            return "fail", "the loss of the program differs from the formula"
        if not np.all(np.isfinite(numeric)):
            return "undecided", "the loss is not finite at the point drawn"
        largest = np.maximum(np.abs(analytic), np.abs(numeric))
        wrong = errors > self._tolerance
        if not np.any(largest) or (np.any(wrong) and np.all(largest <= noise)):
            return "undecided", "the gradient is zero throughout, which proves nothing"
        if not np.any(wrong):
            return "pass", ""
        if np.all(np.abs(analytic - numeric)[wrong] <= noise[wrong]):
            return "undecided", "the gradient disagrees by no more than the rounding of the loss"
        doubt = doubt / _scale(analytic, numeric)
        if np.all(doubt[wrong] > np.maximum(self._tolerance, errors[wrong] / 10)):
            return "undecided", "a kink lies within the step of the differences"
        return "fail", "the gradient disagrees with the numbers"

    def _is_loss(self, loss: float) -> bool:
        truth = float(np.squeeze(self.numeric.values[self.model.system.loss]))
        return bool(abs(loss - truth) <= self._tolerance * abs(truth) + self.numeric.noise)


def _scale(analytic: Array, numeric: Array) -> Array:
    """The larger of each pair of entries, at least a thousandth of the largest."""
    scale = np.maximum(np.maximum(np.abs(analytic), np.abs(numeric)), 1e-300)
    largest = np.max(scale, initial=0, where=np.isfinite(scale))
    return np.asarray(np.maximum(scale, 1e-3 * largest))


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
