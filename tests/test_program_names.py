"""Symbols of any name: whatever a program calls its own things, it computes the same."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from importlib import util
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import workbench as wb
from workbench import Activation
from workbench.api.reading import read_system
from workbench.calculus.expressions import symbol
from workbench.calculus.rewriting import substitute
from workbench.core.backends import make_stepper
from workbench.core.optimizers import make_optimizer
from workbench.core.parameters import Parameters
from workbench.core.program.loops import names_of
from workbench.core.program.program import compile_forward, compile_model, derived
from workbench.core.program.replica_source import replica_loop, replicated
from workbench.core.program.source import turned_parameters, write_source
from workbench.core.steppers import Batches, Learner, Steps, numba_stepper
from workbench.core.steppers.replica_stepper import Replicas, ReplicaStepper, Rows
from workbench.core.trainable import Trainable, trainable_equations
from workbench.derivation.differentiate import derive
from workbench.derivation.steps import ELEMENTWISE
from workbench.derivation.system import Equation, System
from workbench.plugins.registry import Entry, Registry

Array = NDArray[Any]
SAMPLES, STEPS = 2, 3

BACKENDS = [("numpy", 0), ("python", 0), ("numba", 600), ("numba", 0)]
"""Each with how many numbers numba computes one by one."""

SYSTEM = wb.equations(
    "input x : n\ntarget y : 1\nparameter W : m×n, b : m, v : m, c : 1\n"
    "h = tanh(W x + b)\nq = erf(h) + b\np = v' q + c\nr = c^2\nL = (p − y)² + r",
)
OPTIMIZERS = [
    make_optimizer("adam", learning_rate=0.1, clip_norm=0.5),
    make_optimizer("rmsprop", learning_rate=0.1, clip_value=0.5, weight_decay=0.1),
]

MADE_UP = [
    "b_0", "W_0_1", "h_1", "m_c", "m_W_0_0", "v_b_1", "W_T", "h_T", "max_T", "dc", "db_T",
    "dot", "ot", "done", "one", "dtype", "type", "zip", "erf", "inf", "lambda", "lambda_", "t0",
    "t1", "scratch1", "constant1", "constant_1", "number_1", "places_2", "starts_2_2", "i", "j",
    "k", "h_i", "theta_k", "x_column", "h_all", "h_rows", "h_turned", "work1", "mask1",
    "special", "isfinite", "int", "min", "max", "minimum", "range", "len", "examine", "e",
]  # fmt: skip
"""Names that the parts of a program have elsewhere, and such as end in what it puts behind one."""


def renamed(names: Mapping[str, str]) -> Trainable:
    """The equations with other names, for two columns of inputs and one of targets."""
    new = {
        s: symbol(names[s.symbol.name], s.symbol.kind, s.shape)
        for s in SYSTEM.symbols
        if s.symbol.name in names
    }
    equations = (
        Equation(new.get(e.left, e.left), substitute(e.right, new)) for e in SYSTEM.equations
    )
    listed = tuple(new.get(s, s) for s in SYSTEM.listed)
    system: System = replace(SYSTEM, equations=tuple(equations), listed=listed)
    return trainable_equations(system, "", columns="ab", targets=1, sizes={"m": 2})


def learner(model: Trainable, number: int) -> Learner:
    parameters = Parameters(model.parameters, turned=turned_parameters(model.system))
    vector = parameters.vector
    vector[:] = np.linspace(-0.7, 0.9, len(vector))
    derivation = derived(model, ELEMENTWISE)
    return Learner.begin(derivation, parameters, OPTIMIZERS[number % 2], model.output)


def data() -> tuple[Array, Array]:
    generator = np.random.default_rng(3)
    return generator.normal(size=(SAMPLES, 2)), generator.normal(size=(SAMPLES, 1))


def computed(model: Trainable, number: int) -> Iterator[list[float]]:
    """What each kind of program comes to: losses, then parameters or outputs."""
    inputs, targets = data()
    for backend, few in BACKENDS:
        some = learner(model, number)
        numba_stepper.FEW_NUMBERS = few
        stepper = make_stepper(backend, some, SAMPLES, keeps_outputs=True)
        places = np.zeros(SAMPLES * STEPS)
        batches = Batches(model.views(inputs, targets), np.zeros(STEPS, np.int64), SAMPLES, places)
        steps = Steps()
        stepper.run(batches, some.optimizer.scalars(np.full(STEPS, 0.1), 1), steps)
        yield [*steps.losses, *steps.squares, *some.parameters.vector, *places]
    yield replicas(model, number)
    some = learner(model, number)
    held = some.parameters
    program = compile_model(model, batch_size=SAMPLES, parameters=held, gradients=some.gradients)
    alone = compile_forward(model, batch_size=SAMPLES, parameters=held)
    losses = program.step(inputs, targets), alone.forward(inputs, targets)
    yield [*losses, *some.gradients.vector, *program.predict(inputs)[:, 0], *alone.outputs[:, 0]]


def replicas(model: Trainable, number: int) -> list[float]:
    """Losses and parameters of two replicas."""
    some, width = learner(model, number), 2
    start = np.stack([some.parameters.vector, some.parameters.vector / 2], axis=1)
    held = Replicas.begin(start, some.optimizer.rule.states)
    rows = Rows.empty(STEPS, width, np.dtype(np.float64))
    scalars = some.optimizer.scalars(np.full(STEPS, 0.1), 1)
    ReplicaStepper(some, width, SAMPLES, keeps_correct=False).run(
        held,
        slice(0, width),
        1,
        [model.views(*data())] * STEPS,
        {name: values[:, None] for name, values in scalars.items()},
        rows,
    )
    return [*rows.losses.flat, *held.parameters.flat]


@cache
def plain(number: int) -> list[list[float]]:
    """What is computed with the names as they are."""
    return list(computed(renamed({}), number))


def own_names() -> list[str]:
    """Every name in the sources of programs of two kinds of optimizer, and those made up."""
    found = set(MADE_UP)
    for number in range(2):
        model = renamed({})
        some = learner(model, number)
        lowered = replicated(some.lowered(SAMPLES), 2)
        double = np.dtype(np.float64)
        sources = [replica_loop(lowered, some.optimizer, double, keeps_correct=True)]
        for backend, few in BACKENDS:
            numba_stepper.FEW_NUMBERS = few
            sources.append(make_stepper(backend, some, SAMPLES, keeps_outputs=True).source)
        sources.append(compile_model(model, batch_size=SAMPLES).source)
        for node in ast.walk(ast.parse("\n".join(sources))):
            match node:
                case ast.Name(id=name) | ast.arg(arg=name) | ast.FunctionDef(name=name):
                    found.add(name)
        found.update(names_of(some.optimizer))
    return sorted(found)


@pytest.mark.skipif(util.find_spec("numba") is None, reason="numba is not installed")
def test_names_that_mean_something_else_in_a_program(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Numba's source runs as plain Python: what it means does not depend on the compiler."""
    monkeypatch.setattr("numba.njit", lambda **_: lambda function: function)
    monkeypatch.setattr(numba_stepper, "FEW_NUMBERS", 0)
    names, symbols = own_names(), [s.symbol.name for s in SYSTEM.symbols]
    assert {"samples", "starts", "vectors", "zip", "scratch1", "W_0_1", "examine", "h_i"} <= {
        *names
    }
    turns = range(len(symbols)) if request.config.getoption("--full") else (0, 3, 7)
    choices: list[tuple[int, dict[str, str]]] = [(0, {"W": "aX"})]
    for number, first in enumerate(range(0, len(names), len(symbols))):
        group = names[first : first + len(symbols)]
        for turn in turns:
            places = symbols[turn:] + symbols[:turn]
            kept = {name: f"{name}own" for name in symbols}
            choices.append((number, kept | dict(zip(places, group, strict=False))))
    for number, chosen in choices:
        results = zip(computed(renamed(chosen), number), plain(number % 2), strict=True)
        for found, expected in results:
            np.testing.assert_allclose(found, expected, 1e-10, 1e-10, err_msg=str(chosen))


@pytest.mark.parametrize("name", ["x", "cube_value"])
def test_a_symbol_may_be_called_as_a_function_of_a_plugin(name: str) -> None:
    cube = Activation(name="cube", formula="z**3", value=lambda z: z * z * z)
    registry = Registry([Entry(cube, "cube.py")])
    system = read_system(f"parameter {name} : 2\nL = ‖cube({name})‖²", "", registry)
    source = write_source(derive(replace(system, sizes={})), 1)
    namespace: dict[str, Any] = dict(source.implementations)
    exec(source.text, namespace)
    values, gradient = np.array([1.0, 2.0]), np.empty(2)
    step, *_ = namespace["build"](values, gradient)
    assert step() == 65
    assert gradient.tolist() == [6, 192]
