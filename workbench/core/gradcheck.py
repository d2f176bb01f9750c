"""Hold the gradients that training uses against numbers that do not come from the derivation.

The analytic side is the compiled program. The numeric side runs the system's equations forward
only: by the complex step where every function is analytic (Squire and Trapp, 1998), else by central
differences with one Richardson extrapolation (Richardson, 1911). Where a kink lies within the step,
the verdict is *undecided* rather than wrong; likewise where a gradient is no more than rounding,
and where the loss is defined at no point drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.calculus.expressions import Expression, Kind, walk
from workbench.calculus.functions import Function
from workbench.core.checks.draws import Point, Values, draw_point
from workbench.core.evaluate import evaluate, magnitude
from workbench.core.faults import faults
from workbench.core.program import Program, compile_network
from workbench.derivation.network import BATCH, Network
from workbench.derivation.steps import Strategy
from workbench.derivation.system import Equation, System
from workbench.errors import InputError

Array = NDArray[Any]

COMPLEX_STEP = 1e-30
DIFFERENCE_STEP = 1e-4
COMPLEX_TOLERANCE = 1e-9
DIFFERENCE_TOLERANCE = 1e-6
MOST_ENTRIES = 1_000
MOST_DRAWS = 20
CHUNK = 2**21
"""Numbers held at once while many entries are moved side by side."""

ROUNDING = 100 * float(np.finfo(float).eps)
"""What rounding may leave of numbers that cancel, relative to their size."""

_KINKED = frozenset({"where", "maximum", "minimum", "greater", "greater_equal"})


class Method(StrEnum):
    """How the numbers are made."""

    AUTO = "auto"
    COMPLEX = "complex"
    CENTRAL = "central"


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
    message: str = ""


def gradcheck(
    network: Network,
    strategies: Sequence[Strategy],
    *,
    batch_size: int = 4,
    seed: int = 0,
    method: Method = Method.AUTO,
    step: float | None = None,
    entries: int = MOST_ENTRIES,
) -> Iterator[Verdict]:
    """Check every parameter's gradient under every strategy.

    Parameters
    ----------
    step : of the central differences, relative to the size of the entry moved.
    entries : at most so many entries of a parameter are compared, drawn by the seed.

    Raises
    ------
    InputError
        If the complex step is asked for where a function is not analytic, or the step is not
        between 0 and 1.

    >>> from workbench.derivation.steps import ELEMENTWISE
    >>> from workbench.plugins.build import build_network
    >>> from workbench.plugins.registry import load_registry
    >>> network = build_network("2-2-1", registry=load_registry())
    >>> {verdict.verdict for verdict in gradcheck(network, [ELEMENTWISE])}
    {'pass'}
    """
    if step is not None and not 0 < step < 1:
        raise InputError(f"the step of the differences must lie between 0 and 1, not {step}")
    system = network.system(batch=True)
    kinked = _has_kinks(system)
    if method is Method.COMPLEX and kinked:
        raise InputError(f"the complex step needs analytic functions; {kinked} has a kink")
    if method is Method.AUTO:
        method = Method.CENTRAL if kinked or step is not None else Method.COMPLEX
    programs = [
        compile_network(network, batch_size=batch_size, strategy=strategy)
        for strategy in strategies
    ]
    numeric = _Numeric(network, system, batch_size, seed, method, step or DIFFERENCE_STEP, entries)
    names = ", ".join(sentence for f in _functions(system) for sentence in faults(f))
    for program in programs:
        yield from numeric.verdicts(program, names)


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
    return "the loss" if _is_kinked(system.equations[-1].right) else None


def _is_kinked(expression: Expression) -> bool:
    return any(
        node.operation in _KINKED
        or (isinstance(node.data, Function) and node.data.name in ("abs", "sign"))
        for node in walk(expression)
    )


class _Numeric:
    """Numeric gradients of one system at one random point."""

    def __init__(
        self,
        network: Network,
        system: System,
        batch_size: int,
        seed: int,
        method: Method,
        step: float,
        entries: int,
    ) -> None:
        self.network = network
        self.system = system
        self.method = method
        self.step = step
        self.sizes = {**network.sizes, BATCH.names[0]: batch_size}
        self.random = np.random.default_rng(seed)
        self.point = self._telling_point()
        self.values = self.point.values
        terms = magnitude(system.equations[-1].right, self.values, self.sizes)
        self.noise = ROUNDING * float(np.sum(terms))
        self.indices = {
            p: np.sort(self.random.permutation(self.values[p].size)[:entries])
            for p in system.parameters
        }
        self.gradients: dict[Expression, tuple[Array, Array, Array]] = {}

    def _telling_point(self) -> Point:
        """A point where the loss is defined, and if possible no intermediate is zero throughout."""
        best = draw_point(self.system, self.sizes, self.random)
        point = best
        for _ in range(MOST_DRAWS):
            is_alive = all(bool(np.any(point.values[e.left])) for e in self.system.equations)
            if is_alive or not best.is_defined:
                break
            point = draw_point(self.system, self.sizes, self.random)
        return point if point.is_defined else best

    def _run(self, values: Values, equations: Sequence[Equation]) -> None:
        for equation in equations:
            values[equation.left] = evaluate(equation.right, values, self.sizes)

    def _losses(self, parameter: Expression, moved: Array) -> Array:
        """The loss for each of many values (n, rows, columns) of one parameter."""
        first = self.system.equations.index(self.system.consumers(parameter)[0])
        values = {**self.values, parameter: moved}
        self._run(values, self.system.equations[first:])
        return np.broadcast_to(values[self.system.loss].reshape(-1), (len(moved),))

    def _moved(self, parameter: Expression, places: Array, amounts: Array) -> Array:
        base = self.values[parameter]
        dtype = np.result_type(base, amounts)
        moved = np.repeat(base[None].astype(dtype), len(places), axis=0)
        moved.reshape(len(places), -1)[np.arange(len(places)), places] += amounts
        return moved

    def _in_chunks(self, parameter: Expression, run: Callable[[Array], Array]) -> Array:
        places = self.indices[parameter]
        largest = max(self.values[s].size for s in self.system.symbols if s in self.values)
        count = max(1, CHUNK // max(largest, 1))
        parts = [run(places[i : i + count]) for i in range(0, len(places), count)]
        return np.concatenate(parts)

    def gradient(self, parameter: Expression) -> tuple[Array, Array, Array]:
        """The numeric gradient at the chosen entries, how uncertain each is, and its rounding."""
        if parameter not in self.gradients:
            if self.method is Method.COMPLEX:
                found = self._in_chunks(parameter, lambda p: self._complex(parameter, p))
                noise = np.full_like(found, self.noise)
                self.gradients[parameter] = found, np.zeros_like(found), noise
            else:
                self.gradients[parameter] = self._richardson(parameter)
        return self.gradients[parameter]

    def _complex(self, parameter: Expression, places: Array) -> Array:
        step = np.full(len(places), 1j * COMPLEX_STEP)
        return np.imag(self._losses(parameter, self._moved(parameter, places, step))) / COMPLEX_STEP

    def _richardson(self, parameter: Expression) -> tuple[Array, Array, Array]:
        """(4 d(h/2) − d(h)) / 3, for the step of a ladder that agrees best with its half."""
        best = np.full(len(self.indices[parameter]), np.nan)
        doubt = np.full(len(best), np.inf)
        noise = np.full(len(best), np.inf)
        for shrink in (1.0, 1 / 16, 1 / 256):
            whole = self._differences(parameter, self.step * shrink)
            half = self._differences(parameter, self.step * shrink / 2)
            difference = np.abs(whole - half)
            better = difference < doubt
            best[better] = ((4 * half - whole) / 3)[better]
            doubt[better] = difference[better]
            noise[better] = self.noise / (self.step * shrink)
        return best, doubt, noise

    def _differences(self, parameter: Expression, step: float) -> Array:
        return self._in_chunks(parameter, lambda places: self._central(parameter, places, step))

    def _central(self, parameter: Expression, places: Array, step: float) -> Array:
        amounts = step * np.maximum(1.0, np.abs(self.values[parameter].reshape(-1)[places]))
        above = self._losses(parameter, self._moved(parameter, places, amounts))
        below = self._losses(parameter, self._moved(parameter, places, -amounts))
        return (above - below) / (2 * amounts)

    def verdicts(self, program: Program, names: str) -> Iterator[Verdict]:
        """One verdict a parameter, from one step of the program at this point."""
        for parameter in self.system.parameters:
            values = self.values[parameter]
            program.parameters[parameter.symbol.name][...] = values.reshape(
                program.parameters[parameter.symbol.name].shape
            )
        loss = program.step(self._rows(Kind.INPUT), self._rows(Kind.TARGET))
        for parameter in self.system.parameters:
            yield self._verdict(program, parameter, loss, names)

    def _rows(self, kind: Kind) -> Array:
        """The inputs or the targets, a sample a row; zeros if no equation mentions them."""
        for symbol in self.system.of_kind(kind):
            return np.ascontiguousarray(self.values[symbol].T)
        widths = self.network.widths
        width = widths[0] if kind is Kind.INPUT else widths[-1]
        return np.zeros((self.sizes[BATCH.names[0]], width))

    def _verdict(self, program: Program, parameter: Expression, loss: float, names: str) -> Verdict:
        name = parameter.symbol.name
        places = self.indices[parameter]
        analytic = program.gradients[name].reshape(-1)[places]
        found = self.gradient(parameter)
        with np.errstate(all="ignore"):
            errors = np.abs(analytic - found[0]) / _scale(analytic, found[0])
            errors = np.where(np.isfinite(errors), errors, np.inf)
            verdict, message = self._judge(analytic, found, errors, loss)
        worst = int(np.argmax(errors))
        if verdict == "fail" and names:
            message = names
        shape = program.gradients[name].shape
        error = float(errors[worst])
        return Verdict(
            program.derivation.strategy.name,
            name,
            shape,
            verdict,
            error if np.isfinite(error) else None,
            tuple(int(i) for i in np.unravel_index(places[worst], shape)),
            _finite(analytic[worst]),
            _finite(found[0][worst]),
            self.method.value,
            len(places),
            message,
        )

    @property
    def _tolerance(self) -> float:
        return COMPLEX_TOLERANCE if self.method is Method.COMPLEX else DIFFERENCE_TOLERANCE

    def _judge(
        self, analytic: Array, found: tuple[Array, Array, Array], errors: Array, loss: float
    ) -> tuple[str, str]:
        numeric, doubt, noise = found
        if not self.point.is_defined:
            return "undecided", "the loss is not defined at any point drawn"
        if not self.point.is_as_assumed:
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
        truth = float(np.squeeze(self.values[self.system.loss]))
        return bool(abs(loss - truth) <= self._tolerance * abs(truth) + self.noise)


def _scale(analytic: Array, numeric: Array) -> Array:
    """The larger of each pair of entries, at least a thousandth of the largest."""
    scale = np.maximum(np.maximum(np.abs(analytic), np.abs(numeric)), 1e-300)
    largest = np.max(scale, initial=0, where=np.isfinite(scale))
    return np.asarray(np.maximum(scale, 1e-3 * largest))


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
