"""Optimizers: by hand, against PyTorch, in both forms of their source, and in the corners."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from workbench.calculus.expressions import Kind, symbol
from workbench.core.evaluate import evaluate
from workbench.core.optimizers import (
    OPTIMIZERS,
    Optimizer,
    UpdateRule,
    make_optimizer,
)
from workbench.core.options import FRACTION, Option
from workbench.core.vector_update import ENTRIES_AT_ONCE, FLUSH_INTERVAL, VectorUpdate
from workbench.errors import InputError
from workbench.notation.reading.formulas import parse_formula

Vector = NDArray[Any]
STEPS = 100


def scalars_of(optimizer: Optimizer, step: int) -> dict[str, float]:
    rates = np.array([optimizer.learning_rate])
    return {name: value.item() for name, value in optimizer.scalars(rates, step).items()}


def after(optimizer: Optimizer, *gradients: list[float]) -> list[float]:
    """The parameters, from (1, −2), after one update with each gradient."""
    parameters, gradient = np.array([1.0, -2.0]), np.zeros(2)
    update = VectorUpdate(optimizer, parameters, gradient)
    for step, values in enumerate(gradients, start=1):
        gradient[:] = values
        update.update(scalars_of(optimizer, step))
    return [float(value) for value in parameters]


def gradient_at(parameters: Vector) -> Vector:
    """Of Σ cosh(θ) + sin(3 θ) + θ θ⁺ with θ⁺ the neighbour: neither linear nor separable."""
    neighbours = np.roll(parameters, 1) + np.roll(parameters, -1)
    return np.asarray(np.sinh(parameters) + 3 * np.cos(3 * parameters) + neighbours)


def trained(optimizer: Optimizer, start: Vector) -> Vector:
    parameters, gradient = start.copy(), np.empty_like(start)
    update = VectorUpdate(optimizer, parameters, gradient)
    for step in range(1, STEPS + 1):
        gradient[:] = gradient_at(parameters)
        update.update(scalars_of(optimizer, step))
    return parameters


FRONTS: list[dict[str, float]] = [
    {**decay, **clip}
    for decay in ({"weight_decay": 0.0}, {"weight_decay": 0.05})
    for clip in ({}, {"clip_norm": 2.0}, {"clip_value": 0.7})
]


def named(front: Mapping[str, float]) -> str:
    return ",".join(f"{name}={value}" for name, value in front.items())


each_front = pytest.mark.parametrize("front", FRONTS, ids=named)
each_optimizer = pytest.mark.parametrize("name", OPTIMIZERS)


# --- by hand


def test_sgd_by_hand() -> None:
    # 1 − 0.5·4 = −1 and −2 + 0.5·2 = −1; then −1 − 0.5·2 = −2 and −1 − 0 = −1.
    sgd = make_optimizer("sgd", learning_rate=0.5)
    assert after(sgd, [4, -2]) == [-1, -1]
    assert after(sgd, [4, -2], [2, 0]) == [-2, -1]


def test_clipping_and_decay_by_hand() -> None:
    # ‖(3, −4)‖ = 5, so that 2.5 halves it; the decay adds 0.5·(1, −2) behind that.
    sgd = make_optimizer("sgd", learning_rate=1, clip_norm=2.5, weight_decay=0.5)
    assert after(sgd, [3, -4]) == pytest.approx([1 - (1.5 + 0.5), -2 + (2 + 1)], rel=1e-6)
    assert after(make_optimizer("sgd", learning_rate=1, clip_norm=9), [3, -4]) == [-2, 2]
    assert after(make_optimizer("sgd", learning_rate=1, clip_value=3.5), [3, -4]) == [-2, 1.5]


def test_momentum_and_nesterov_by_hand() -> None:
    # v = (4, −2), then 0.5·(4, −2) + (2, 0) = (4, −1); Nesterov steps by g + 0.5 v.
    momentum = make_optimizer("momentum", learning_rate=0.5, momentum=0.5)
    assert after(momentum, [4, -2], [2, 0]) == [1 - 2 - 2, -2 + 1 + 0.5]
    nesterov = make_optimizer("nesterov", learning_rate=0.5, momentum=0.5)
    assert after(nesterov, [4, -2], [2, 0]) == [1 - 3 - 2, -2 + 1.5 + 0.25]


def test_adam_by_hand() -> None:
    # β₁ = β₂ = 0.5, ε = 1. Step 1: m̂ = g = (4, −2), √v̂ = (4, 2): −0.5·4/5, +0.5·2/3.
    # Step 2, g = (2, 0): m = (2, −0.5), m̂ = m/0.75; v = (6, 1), v̂ = v/0.75 = (8, 4/3).
    adam = make_optimizer("adam", learning_rate=0.5, beta1=0.5, beta2=0.5, epsilon=1)
    first = [1 - 0.4, -2 + 1 / 3]
    assert after(adam, [4, -2]) == pytest.approx(first, rel=1e-14)
    second = [
        first[0] - 0.5 * (8 / 3) / (8**0.5 + 1),
        first[1] + 0.5 * (2 / 3) / ((4 / 3) ** 0.5 + 1),
    ]
    assert after(adam, [4, -2], [2, 0]) == pytest.approx(second, rel=1e-14)


def test_no_memory_is_the_step_of_one_gradient() -> None:
    sign = make_optimizer("adam", learning_rate=0.25, beta1=0, beta2=0, epsilon=1e-30)
    assert after(sign, [1e-3, -1e3]) == [0.75, -1.75]


# --- against PyTorch


def torch_optimizer(torch: Any, name: str, parameters: Any, weight_decay: float) -> Any:
    optim, settings = torch.optim, {"weight_decay": weight_decay}
    momentum = {} if name == "sgd" else {"momentum": 0.9, "nesterov": name == "nesterov"}
    return {
        "rmsprop": lambda: optim.RMSprop([parameters], lr=0.03, **settings),
        "adam": lambda: optim.Adam([parameters], lr=0.03, **settings),
        "adamw": lambda: optim.AdamW([parameters], lr=0.03, **settings),
    }.get(name, lambda: optim.SGD([parameters], lr=0.03, **momentum, **settings))()


@each_optimizer
@each_front
def test_agrees_with_pytorch(name: str, front: dict[str, float]) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle")
    start = np.random.default_rng(0).normal(size=20)
    theirs = torch.tensor(start, requires_grad=True)
    oracle = torch_optimizer(torch, name, theirs, front["weight_decay"])
    for _ in range(STEPS):
        theirs.grad = torch.tensor(gradient_at(theirs.detach().numpy()))
        if "clip_norm" in front:
            torch.nn.utils.clip_grad_norm_([theirs], front["clip_norm"])
        if "clip_value" in front:
            torch.nn.utils.clip_grad_value_([theirs], front["clip_value"])
        oracle.step()
    ours = trained(make_optimizer(name, learning_rate=0.03, **front), start)
    assert np.abs(ours - start).max() > 0.3
    assert ours == pytest.approx(theirs.detach().numpy(), rel=1e-10, abs=1e-10)


# --- the two forms of the source


@each_optimizer
@each_front
def test_plain_python_makes_the_same_steps(name: str, front: dict[str, float]) -> None:
    optimizer = make_optimizer(name, learning_rate=0.03, **front)
    start = np.random.default_rng(1).normal(size=5)
    source = compile("\n".join(optimizer.entry_lines()), "<entry>", "exec")
    norm_source = compile("\n".join(optimizer.norm_lines()), "<norm>", "exec")
    entries = [
        {"theta": float(value), "sqrt": math.sqrt} | dict.fromkeys(optimizer.rule.states, 0.0)
        for value in start
    ]
    for step in range(1, STEPS + 1):
        gradient = gradient_at(np.array([entry["theta"] for entry in entries]))
        scalars: dict[str, Any] = {**scalars_of(optimizer, step), "norm": np.linalg.norm(gradient)}
        exec(norm_source, scalars)
        for entry, value in zip(entries, gradient, strict=True):
            entry |= {**scalars, "g": float(value)}
            exec(source, entry)
    found = [entry["theta"] for entry in entries]
    assert found == pytest.approx(trained(optimizer, start), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "calls"),
    [("sgd", 2), ("momentum", 4), ("nesterov", 5), ("rmsprop", 8), ("adam", 10), ("adamw", 11)],
)
def test_no_call_too_many(name: str, calls: int) -> None:
    source = make_optimizer(name).vector_lines()
    assert len(source.lines) == calls
    assert len(source.scratch) == 1


def test_names_are_those_given() -> None:
    optimizer = make_optimizer("adam", clip_value=0.5, weight_decay=0.1)
    names = {name: f"{name}_" for name in ("theta", "g", "m", "v", "r", "o", "scratch", "constant")}
    source = optimizer.vector_lines(names)
    assert source.scratch == ("scratch_1", "scratch_2")
    assert source.constants == {
        **{"clip_value": 0.5, "constant_1": -0.5, "weight_decay": 0.1},
        **{"beta1": 0.9, "beta2": 0.999},
    }
    assert source.lines[-2:] == (
        "multiply(scratch_1, r_, scratch_1)",
        "subtract(theta_, scratch_1, theta_)",
    )
    assert optimizer.entry_lines({"g": "dW[i]", "theta": "W[i]"})[-2:] == [
        "v = 0.999 * v + dW[i] * dW[i]",
        "W[i] = W[i] - r * m / (sqrt(v) + o)",
    ]


ATOMS = st.sampled_from(["g", "theta", "m", "v", "a", "s", "2", "0.5"])


def combined(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.tuples(parts, parts)
    return st.one_of(
        st.tuples(pair, st.sampled_from("+-*")).map(lambda t: f"({t[0][0]} {t[1]} {t[0][1]})"),
        pair.map(lambda p: f"max({p[0]}, {p[1]})"),
        pair.map(lambda p: f"min({p[0]}, {p[1]})"),
        pair.map(lambda p: f"({p[0]} / (({p[1]})^2 + 1))"),
        parts.map(lambda part: f"sqrt(({part})^2 + 3)"),
        parts.map(lambda part: f"(({part})^2 + 1)^-1.5"),
    )


FORMULAS = st.recursive(ATOMS, combined, max_leaves=8)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["g", "m", "v", "theta"]), FORMULAS), max_size=5))
def test_any_formulas_are_lowered_right(lines: list[tuple[str, str]]) -> None:
    generator = np.random.default_rng(0)
    vectors = {name: generator.normal(size=3) for name in ("theta", "g", "m", "v")}
    values: dict[str, Vector] = {**vectors, "a": np.asarray(0.3), "s": np.asarray(-0.7)}
    vectors = {name: vector.copy() for name, vector in vectors.items()}
    for name, formula in lines:
        symbols = {known: symbol(known, Kind.VARIABLE) for known in values}
        environment = {symbols[known]: value for known, value in values.items()}
        values[name] = np.broadcast_to(evaluate(parse_formula(formula, symbols), environment), 3)
    rule = UpdateRule(
        name="drawn",
        source="",
        default_rate=1,
        states=("m", "v"),
        options={"a": Option(0.3, FRACTION)},
        per_step="s = -0.7 * rate",
        per_entry="\n".join(f"{name} = {formula}" for name, formula in lines),
    )
    optimizer = Optimizer(rule, 1.0, {"a": 0.3})
    update = VectorUpdate(optimizer, vectors["theta"], vectors["g"])
    for name, state in update.states.items():
        state[:] = vectors[name]
    gradient = vectors["g"].copy()
    update.update(scalars_of(optimizer, 1))
    for name, found in {**update.states, "theta": vectors["theta"]}.items():
        assert found == pytest.approx(values[name], rel=1e-9, abs=1e-9)
    assert vectors["g"].tolist() == gradient.tolist()


# --- scalars of a step


@each_optimizer
def test_scalars_of_many_steps_are_those_of_each(name: str) -> None:
    optimizer = make_optimizer(name)
    rates = np.linspace(0.1, 0.3, 7)
    whole = optimizer.scalars(rates, 5)
    for place, rate in enumerate(rates):
        part = optimizer.scalars(np.array([rate]), 5 + place)
        assert {n: v[place] for n, v in whole.items()} == pytest.approx(
            {n: v.item() for n, v in part.items()}, rel=1e-15
        )
    steady = optimizer.scalars(np.full(7, 0.1), 1)
    assert optimizer.is_constant == all(np.ptp(values) == 0 for values in steady.values())


def test_bias_correction_fades() -> None:
    scalars = make_optimizer("adam").scalars(np.ones(1), 10**9)
    assert scalars["r"].item() == pytest.approx(0.1 / 0.001**0.5, rel=1e-12)
    assert scalars["o"].item() == pytest.approx(1e-8 / 0.001**0.5, rel=1e-12)


# --- vectors


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@each_optimizer
def test_chunks_make_no_difference(name: str, dtype: str) -> None:
    generator = np.random.default_rng(0)
    start = generator.normal(size=2 * ENTRIES_AT_ONCE + 7).astype(dtype)
    gradients = generator.normal(size=start.size).astype(dtype)
    optimizer, kept = make_optimizer(name, weight_decay=0.1), gradients.copy()
    whole = start.copy()
    middle = start.size // 3
    parts = [start[:middle].copy(), start[middle:].copy()]
    vectors = [(whole, gradients), (parts[0], gradients[:middle]), (parts[1], gradients[middle:])]
    updates = [VectorUpdate(optimizer, *pair) for pair in vectors]
    for step in range(1, 4):
        for update in updates:
            update.update(scalars_of(optimizer, step))
    assert whole.dtype == dtype
    assert whole.tolist() == np.concatenate(parts).tolist()
    assert gradients.tolist() == kept.tolist()
    assert not np.array_equal(whole, start)


@each_optimizer
@each_front
def test_nothing_is_allocated_after_the_first_step(name: str, front: dict[str, float]) -> None:
    optimizer = make_optimizer(name, **front)
    update = VectorUpdate(optimizer, np.zeros(10_000), np.ones(10_000))
    scalars = scalars_of(optimizer, 1)
    update.update(scalars)
    tracemalloc.start()
    for _ in range(10):
        update.update(scalars)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000


def denormal_count(vector: Vector) -> int:
    return int(np.sum((vector != 0) & (abs(vector) < np.finfo(vector.dtype).tiny)))


@pytest.mark.parametrize("name", ["momentum", "nesterov", "rmsprop", "adam", "adamw"])
def test_decayed_state_is_flushed_to_zero(name: str) -> None:
    optimizer = make_optimizer(name)
    parameters = np.full(4, 1e-40, np.float32)
    update = VectorUpdate(optimizer, parameters, np.zeros(4, np.float32))
    for state in update.states.values():
        state[:] = 5e-39
    update.steps = FLUSH_INTERVAL - 2
    standing = scalars_of(optimizer, 1)
    standing["rate" if "rate" in standing else "r"] = 0.0
    update.update(standing)
    assert all(denormal_count(state) for state in update.states.values())
    update.update(standing)
    assert not any(denormal_count(state) for state in update.states.values())
    assert denormal_count(parameters) == 4


# --- settings


def test_defaults() -> None:
    assert {name: make_optimizer(name).learning_rate for name in OPTIMIZERS} == {
        **{"sgd": 0.1, "momentum": 0.01, "nesterov": 0.01, "rmsprop": 0.01},
        **{"adam": 0.001, "adamw": 0.001},
    }
    assert make_optimizer("adamw").options["weight_decay"] == 0.01
    assert "weight_decay" not in make_optimizer("adam", weight_decay=None).options
    assert make_optimizer("adamw", weight_decay=0).options["weight_decay"] == 0


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("adm", {}, "unknown optimizer 'adm': did you mean adam or adamw"),
        ("sgd", {"learning_rate": 0.0}, "learning rate 0.0; expected a number above 0"),
        ("sgd", {"learning_rate": -1.0}, "learning rate -1.0; expected"),
        ("adam", {"learning_rate": math.nan}, "learning rate nan; expected"),
        ("adam", {"learning_rate": "1"}, "learning rate '1'; expected a number"),
        ("adam", {"learning_rate": 10**400}, "learning rate 1000*; expected a number"),
        ("momentum", {"momentum": 1.0}, "momentum 1.0; expected a number from 0 up to, not"),
        ("momentum", {"momentum": True}, "momentum True; expected a number"),
        (
            "sgd",
            {"momentum": 0.9},
            "sgd has no option momentum, which is one of momentum and nesterov; "
            "known: clip_norm, clip_value, weight_decay",
        ),
        ("adam", {"beta3": 0.9}, r"adam has no option beta3; did you mean beta2 or beta1\?"),
        ("adam", {"epsilon": 0}, "epsilon 0; expected a number above 0"),
        ("sgd", {"clip_norm": 0}, "clip_norm 0; expected a number above 0"),
        ("sgd", {"weight_decay": -1}, "weight_decay -1; expected a number from 0"),
        ("sgd", {"clip_norm": 1, "clip_value": 1}, "expected one of them: leave one out"),
    ],
)
def test_bad_settings(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_optimizer(name, **settings)
