"""Hold the gradients that training uses against numbers that do not come from the derivation.

The analytic side is the compiled program. The numeric side runs the system's equations forward
only: by the complex step where every function is analytic (Squire and Trapp, 1998), else by central
differences with one Richardson extrapolation (Richardson, 1911). Where a kink lies within the step,
the verdict is *undecided* rather than wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.calculus.derivation import Strategy
from workbench.calculus.expressions import Expression, Kind, walk
from workbench.calculus.functions import Function
from workbench.calculus.network import BATCH, Network
from workbench.calculus.system import Equation, System
from workbench.core.evaluate import evaluate
from workbench.core.faults import faults
from workbench.core.program import Program, compile_network
from workbench.errors import InputError

Array = NDArray[Any]
Values = dict[Expression, Array]

COMPLEX_STEP = 1e-30
DIFFERENCE_STEP = 1e-4
COMPLEX_TOLERANCE = 1e-9
DIFFERENCE_TOLERANCE = 1e-6
MOST_ENTRIES = 1_000
MOST_DRAWS = 20
CHUNK = 2**21
"""Numbers held at once while many entries are moved side by side."""

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

    >>> from workbench.calculus.derivation import ELEMENTWISE
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
    chosen = (Method.CENTRAL if kinked else Method.COMPLEX) if method is Method.AUTO else method
    programs = [
        compile_network(network, batch_size=batch_size, strategy=strategy)
        for strategy in strategies
    ]
    numeric = _Numeric(network, system, batch_size, seed, chosen, step or DIFFERENCE_STEP, entries)
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
        self.system = system
        self.method = method
        self.step = step
        self.sizes = {**network.sizes, BATCH.names[0]: batch_size}
        self.random = np.random.default_rng(seed)
        self.values = self._telling_values()
        self.indices = {
            p: np.sort(self.random.permutation(self.values[p].size)[:entries])
            for p in system.parameters
        }
        self.gradients: dict[Expression, tuple[Array, Array]] = {}

    def _shape(self, node: Expression) -> tuple[int, int]:
        return node.shape[0].size(self.sizes), node.shape[1].size(self.sizes)

    def _telling_values(self) -> Values:
        """Random values at which the loss is finite, and no intermediate is zero throughout."""
        for _ in range(MOST_DRAWS):
            values = {
                symbol: self._draw(symbol)
                for symbol in self.system.of_kind(Kind.INPUT, Kind.TARGET, Kind.PARAMETER)
            }
            self._run(values, self.system.equations)
            alive = all(bool(np.any(values[e.left])) for e in self.system.equations)
            if np.all(np.isfinite(values[self.system.loss])) and alive:
                return values
        return values

    def _draw(self, symbol: Expression) -> Array:
        rows, columns = self._shape(symbol)
        if symbol.symbol.kind is Kind.TARGET:
            if self.system.assumptions:
                return np.eye(rows)[self.random.integers(rows, size=columns)].T
            return self.random.uniform(0.1, 0.9, (rows, columns))
        scale = 1 / np.sqrt(columns) if symbol.symbol.kind is Kind.PARAMETER else 1.0
        return np.asarray(self.random.normal(size=(rows, columns)) * scale)

    def _run(self, values: Values, equations: Sequence[Equation]) -> None:
        with np.errstate(all="ignore"):
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

    def gradient(self, parameter: Expression) -> tuple[Array, Array]:
        """The numeric gradient at the chosen entries, and how uncertain each is."""
        if parameter not in self.gradients:
            if self.method is Method.COMPLEX:
                found = self._in_chunks(parameter, lambda p: self._complex(parameter, p))
                self.gradients[parameter] = found, np.zeros_like(found)
            else:
                self.gradients[parameter] = self._richardson(parameter)
        return self.gradients[parameter]

    def _complex(self, parameter: Expression, places: Array) -> Array:
        step = np.full(len(places), 1j * COMPLEX_STEP)
        return np.imag(self._losses(parameter, self._moved(parameter, places, step))) / COMPLEX_STEP

    def _richardson(self, parameter: Expression) -> tuple[Array, Array]:
        """(4 d(h/2) − d(h)) / 3, for the step of a ladder that agrees best with its half."""
        best = np.full(len(self.indices[parameter]), np.nan)
        doubt = np.full(len(best), np.inf)
        for shrink in (1.0, 1 / 16, 1 / 256):
            whole, half = (
                self._in_chunks(parameter, lambda p, s=s: self._central(parameter, p, s))  # type: ignore[misc]
                for s in (self.step * shrink, self.step * shrink / 2)
            )
            difference = np.abs(whole - half)
            better = difference < doubt
            best[better] = ((4 * half - whole) / 3)[better]
            doubt[better] = difference[better]
        return best, doubt

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
        inputs, targets = (
            np.ascontiguousarray(self.values[s].T)
            for s in self.system.of_kind(Kind.INPUT, Kind.TARGET)
        )
        with np.errstate(all="ignore"):
            program.step(inputs, targets)
        for parameter in self.system.parameters:
            yield self._verdict(program, parameter, names)

    def _verdict(self, program: Program, parameter: Expression, names: str) -> Verdict:
        name = parameter.symbol.name
        places = self.indices[parameter]
        analytic = program.gradients[name].reshape(-1)[places]
        numeric, doubt = self.gradient(parameter)
        scale = np.maximum(np.maximum(np.abs(analytic), np.abs(numeric)), 1e-300)
        scale = np.maximum(scale, 1e-3 * np.max(scale, initial=0, where=np.isfinite(scale)))
        with np.errstate(invalid="ignore"):
            errors = np.abs(analytic - numeric) / scale
        errors = np.where(np.isfinite(errors), errors, np.inf)
        worst = int(np.argmax(errors))
        verdict, message = self._judge(analytic, numeric, doubt / scale, errors)
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
            _finite(numeric[worst]),
            self.method.value,
            len(places),
            message,
        )

    def _judge(
        self, analytic: Array, numeric: Array, doubt: Array, errors: Array
    ) -> tuple[str, str]:
        if not np.all(np.isfinite(numeric)):
            return "undecided", "the loss is not finite at the point drawn"
        if not np.any(analytic) and not np.any(numeric):
            return "undecided", "the gradient is zero throughout, which proves nothing"
        is_complex = self.method is Method.COMPLEX
        tolerance = COMPLEX_TOLERANCE if is_complex else DIFFERENCE_TOLERANCE
        wrong = errors > tolerance
        if not np.any(wrong):
            return "pass", ""
        if np.all(doubt[wrong] > np.maximum(tolerance, errors[wrong] / 10)):
            return "undecided", "a kink lies within the step of the differences"
        return "fail", "the gradient disagrees with the numbers"


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
