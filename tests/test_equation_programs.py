"""Programs of equations in their batch form: every operation, in NumPy and in plain Python."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import workbench as wb
from tests.batch_systems import DECLARED, RULES, SAMPLES, SIZES, Drawing, drawn, evaluated, joined
from workbench.core.parameters import Parameters
from workbench.core.program.buffers import needed_calls
from workbench.core.program.calls import Register
from workbench.core.program.python_source import PythonWriter
from workbench.core.program.source import Lowered, lower, turned_parameters, write_source
from workbench.core.sample_loop import SampleLoop
from workbench.core.trainable import trainable_equations
from workbench.derivation.batching import batched
from workbench.derivation.differentiate import derive
from workbench.derivation.steps import Derivation, variable_of
from workbench.derivation.system import System

Array = NDArray[Any]
EXAMPLES = Path(__file__).parents[1] / "examples"


def stored(register: Register, value: Array) -> Array:
    """A value as it lies in the memory of a register."""
    turned = value.T if register.transposed else value
    return np.ascontiguousarray(turned).reshape(register.shape)


def numpy_step(derivation: Derivation, data: list[Array], held: list[Array]) -> tuple[float, Any]:
    """Loss and gradients of one step of the program in NumPy."""
    source = write_source(derivation, SAMPLES)
    namespace: dict[str, Any] = dict(source.implementations)
    exec(source.text, namespace)
    gradients = [np.full_like(value, np.nan) for value in held]
    step, *_ = namespace["build"](*held, *gradients)
    return float(step(*data)), gradients


def python_step(lowered: Lowered, data: list[Array], held: list[Array]) -> tuple[float, Any]:
    """Loss and gradients of one step in plain Python."""
    writer, results = PythonWriter(), [lowered.loss, *lowered.gradients]
    lines = writer.lines(needed_calls(lowered.blocks, results), results)
    known: dict[str, Any] = dict(vars(math))
    registers = [*lowered.inputs, *lowered.targets, *lowered.parameters]
    for register, value in zip(registers, [*data, *held], strict=True):
        known |= zip(writer.names(register).flat, value.reshape(-1).tolist(), strict=True)
    exec("\n".join(lines), known)
    gradients = [
        np.array([known[name] for name in writer.names(register).flat]).reshape(register.shape)
        for register in lowered.gradients
    ]
    return float(known[str(writer.names(lowered.loss))]), gradients


def check(single: System, seed: int = 0) -> None:
    """Hold a step against the plain evaluation of the derivation."""
    batch = replace(batched(single), sizes=SIZES)
    derivation, given = derive(batch), joined(single, batch, drawn(single, (), seed))
    known = evaluated((*batch.equations, *derivation.backward), given)
    lowered = lower(derivation, SIZES, turned_parameters(batch))
    symbols = [p for p in batch.symbols if p in given and p not in batch.parameters]
    symbols.sort(key=lambda s: s.symbol.kind == "target")
    data = [
        stored(register, given[symbol])
        for register, symbol in zip([*lowered.inputs, *lowered.targets], symbols, strict=True)
    ]
    held = [
        stored(register, given[parameter])
        for register, parameter in zip(lowered.parameters, batch.parameters, strict=True)
    ]
    goals = {
        variable_of(e.left): e.left for e in derivation.backward if e.left.operation == "jacobian"
    }
    for loss, gradients in (
        numpy_step(derivation, data, held),
        python_step(lowered, data, held),
    ):
        np.testing.assert_allclose(loss, known[batch.loss].item(), 1e-10, 1e-10)
        for parameter, register, found in zip(
            batch.parameters, lowered.gradients, gradients, strict=True
        ):
            expected = stored(register, known[goals[parameter]])
            np.testing.assert_allclose(found, expected, 1e-10, 1e-10)


@pytest.mark.parametrize("formula", [rule for rule in RULES if "gelu" not in rule])
def test_every_rule(formula: str) -> None:
    check(wb.equations(f"{DECLARED}\nh = x .* w\nL = {formula}"))


@pytest.mark.parametrize("seed", range(40))
def test_random_equations(seed: int) -> None:
    check(Drawing(seed).system(), seed)


def test_names_that_mean_something_else_in_a_program() -> None:
    check(
        wb.equations(
            "input add : n, lambda : 1, step : 1\ntarget square : n\n"
            "parameter dot : n×n, work1 : n, e : 1\n"
            "ddot = dot add\nL = ‖ddot + work1 − square‖² + lambda e² + step"
        )
    )


TABLES: dict[str, dict[str, Any]] = {
    "network": {"columns": "abc", "targets": 2, "sizes": {"m": 4}},
    "poisson": {"columns": "abc", "targets": 1},
    "regression": {"columns": "abc", "targets": 1, "values": {"lambda": Fraction(1, 100)}},
    "rnn": {"columns": "abcdef", "targets": 2, "sizes": {"m": 3}, "values": {"h0": Fraction(0)}},
    "attention": {"columns": "abcdef", "targets": 6, "sizes": {"n": 2, "k": 2}},
}
"""Tables that suit the examples."""


@pytest.mark.parametrize("name", TABLES)
def test_gradient_descent_on_columns_of_a_table(name: str) -> None:
    """Samples are rows of two arrays; each symbol's part of them is a view."""
    text = (EXAMPLES / f"{name}.eq").read_text(encoding="utf-8")
    model = trainable_equations(wb.equations(text), text, **TABLES[name])
    random = np.random.default_rng(5)
    inputs = random.normal(size=(SAMPLES, len(model.input_columns)))
    targets = random.uniform(0, 1, (SAMPLES, TABLES[name]["targets"]))
    parameters = Parameters(model.parameters, turned=turned_parameters(model.system))
    parameters.vector[:] = random.normal(size=parameters.vector.size) / 3
    gradients = parameters.zeros_like()
    source = write_source(derive(model.system), SAMPLES)
    namespace: dict[str, Any] = {}
    exec(source.text, namespace)
    held = [arrays.stored(p) for arrays in (parameters, gradients) for p in model.parameters]
    one, forward, predict, _ = namespace["build"](*held)

    def batch_step() -> float:
        parts = [part.of(inputs) for part in model.inputs]
        return float(one(*parts, *(part.of(targets) for part in model.targets)))

    def loop_step() -> float:
        return loop.step(inputs, targets)

    loop = SampleLoop(
        model,
        step=one,
        forward=forward,
        predict=predict,
        gradients=gradients.vector,
        batch_size=SAMPLES,
    )
    step = batch_step if model.is_batch else loop_step
    losses = []
    for _ in range(40):
        losses.append(step())
        parameters.vector -= 0.1 * gradients.vector
    assert losses[-1] < 0.9 * losses[0]
    assert all(after <= before + 1e-12 for before, after in pairwise(losses))
