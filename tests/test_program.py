"""Programs: the arrays that training computes, against functions written out again by hand here."""

from __future__ import annotations

import ast
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any

import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special

import workbench as wb
from workbench.calculus.functions import VARIABLE, Function, Implementation
from workbench.core.faults import faults
from workbench.core.gradcheck import gradcheck
from workbench.core.program import Program, compile_network
from workbench.derivation.network import Network
from workbench.errors import InputError, TooLargeError
from workbench.notation.reading.formulas import parse_formula
from workbench.plugins.build import build_strategy
from workbench.plugins.registry import load_registry

Array = NDArray[Any]
STRATEGIES = {
    name: build_strategy(name, load_registry()) for name in ("elementwise", "diagonal", "kronecker")
}
STEP = 1e-30


def _positive(z: Array) -> Array:
    return np.asarray(np.real(z) > 0)


def _softmax(z: Array) -> Array:
    return np.asarray(np.exp(z) / np.exp(z).sum(axis=1, keepdims=True))


def _absolute(u: Array) -> Array:
    return np.where(_positive(u), u, -u)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "identity": lambda z: z,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "relu": lambda z: np.where(_positive(z), z, 0),
    "leaky_relu": lambda z: np.where(_positive(z), z, 0.01 * z),
    "elu": lambda z: np.where(_positive(z), z, np.exp(z) - 1),
    "softplus": lambda z: np.log(1 + np.exp(z)),
    "swish": lambda z: z / (1 + np.exp(-z)),
    "gelu": lambda z: z * special.ndtr(z),
    "softmax": _softmax,
}
LOSSES: dict[str, Callable[[Array, Array], Array]] = {
    "half_squared_error": lambda a, y: ((a - y) ** 2).sum(axis=1) / 2,
    "mean_squared_error": lambda a, y: ((a - y) ** 2).mean(axis=1),
    "cross_entropy": lambda a, y: -(y * np.log(a)).sum(axis=1),
    "binary_cross_entropy": lambda a, y: -(y * np.log(a) + (1 - y) * np.log(1 - a)).mean(axis=1),
    "absolute_error": lambda a, y: _absolute(a - y).sum(axis=1),
    "huber": lambda a, y: np.where(
        np.real(_absolute(a - y)) > 1, _absolute(a - y) - 0.5, (a - y) ** 2 / 2
    ).sum(axis=1),
}
LOGARITHMIC = ("cross_entropy", "binary_cross_entropy")
"""Defined for outputs in (0, 1) only: there the output layer is placed near 0.3, where every
activation gives such a value, so that no row of the table has to be left out."""


def test_the_tables_hold_every_built_in() -> None:
    registry = load_registry()
    assert set(ACTIVATIONS) == set(registry.activations)
    assert set(LOSSES) == set(registry.losses)
    assert set(STRATEGIES) == set(registry.strategies)


def _point(loss: str) -> tuple[dict[str, Array], Array, Array]:
    """Parameters, inputs and targets of a 3-4-2 network, five samples."""
    random = np.random.default_rng(11)
    parameters = {
        "W1": random.normal(size=(4, 3)),
        "b1": random.normal(size=4),
        "W2": random.normal(size=(2, 4)),
        "b2": random.normal(size=2),
    }
    if loss in LOGARITHMIC:
        parameters["W2"] *= 0.03
        parameters["b2"] = np.array([0.3, 0.25])
    targets = random.uniform(0.1, 0.9, (5, 2)) * (3 if loss == "huber" else 1)
    if loss == "cross_entropy":
        targets /= targets.sum(axis=1, keepdims=True)
    return parameters, random.normal(size=(5, 3)), targets


def _loss_by_hand(
    activation: str, loss: str, parameters: dict[str, Array], inputs: Array, targets: Array
) -> complex:
    hidden = ACTIVATIONS[activation](inputs @ parameters["W1"].T + parameters["b1"])
    outputs = ACTIVATIONS[activation](hidden @ parameters["W2"].T + parameters["b2"])
    return complex(LOSSES[loss](outputs, targets).mean())


def _gradient_by_hand(
    activation: str, loss: str, parameters: dict[str, Array], inputs: Array, targets: Array
) -> dict[str, Array]:
    """The complex step through the functions above."""
    found = {}
    for name, value in parameters.items():
        gradient = np.zeros_like(value)
        for index in np.ndindex(value.shape):
            moved = value.astype(complex)
            moved[index] += 1j * STEP
            changed = {**parameters, name: moved}
            by_hand = _loss_by_hand(activation, loss, changed, inputs, targets)
            gradient[index] = by_hand.imag / STEP
        found[name] = gradient
    return found


def _filled(program: Program, parameters: dict[str, Array]) -> Program:
    for name, value in parameters.items():
        program.parameters[name][...] = value
    return program


def _relative(found: Array, truth: Array) -> float:
    return float(np.linalg.norm(found - truth) / max(float(np.linalg.norm(truth)), 1e-300))


@pytest.mark.parametrize(("activation", "loss"), list(product(ACTIVATIONS, LOSSES)))
def test_gradients_are_the_complex_step_under_every_strategy(activation: str, loss: str) -> None:
    """1e-10 from the complex step, 1e-12 between strategies, for every activation and loss."""
    parameters, inputs, targets = _point(loss)
    value = _loss_by_hand(activation, loss, parameters, inputs, targets).real
    truth = _gradient_by_hand(activation, loss, parameters, inputs, targets)
    network = wb.network("3-4-2", activation=activation, loss=loss)
    first: dict[str, Array] = {}
    for strategy in STRATEGIES.values():
        program = _filled(compile_network(network, batch_size=5, strategy=strategy), parameters)
        assert program.step(inputs, targets) == pytest.approx(value, rel=1e-12)
        assert program.forward(inputs, targets) == pytest.approx(value, rel=1e-12)
        for name, by_hand in truth.items():
            found = program.gradients[name].copy()
            assert np.any(by_hand)
            assert _relative(found, by_hand) < 1e-10, (strategy.name, name)
            assert _relative(found, first.setdefault(name, found)) < 1e-12, (strategy.name, name)


@pytest.mark.parametrize("architecture", ["3-4:tanh-2", "3-4:relu-3:softmax", "2-3:softmax-1:gelu"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_batch_is_the_mean_of_its_samples(architecture: str, strategy: str) -> None:
    """Batches of one, two and five, with the same buffers used again and again."""
    network = wb.network(architecture)
    random = np.random.default_rng(0)
    inputs = random.normal(size=(5, network.widths[0]))
    targets = random.dirichlet(np.ones(network.widths[-1]), 5)
    single = compile_network(network, batch_size=1, strategy=STRATEGIES[strategy])
    single.parameters.vector[...] = random.normal(size=single.parameters.vector.shape)
    one = []
    for sample in range(5):
        loss = single.step(inputs[[sample]], targets[[sample]])
        one.append((loss, single.gradients.vector.copy(), single.outputs.copy()))
    for count in (1, 2, 5):
        batch = compile_network(network, batch_size=count, strategy=STRATEGIES[strategy])
        batch.parameters.vector[...] = single.parameters.vector
        loss = batch.step(inputs[:count], targets[:count])
        assert loss == pytest.approx(np.mean([row[0] for row in one[:count]]), rel=1e-13)
        mean = np.mean([row[1] for row in one[:count]], axis=0)
        assert _relative(batch.gradients.vector, mean) < 1e-13
        rows = np.concatenate([row[2] for row in one[:count]])
        assert batch.predict(inputs[:count]) == pytest.approx(rows, rel=1e-14)


# Far out


Exact = Callable[[Any], Any]
EXACT: dict[str, Exact] = {
    "softplus": lambda z: mpmath.log(1 + mpmath.exp(z)),
    "swish": lambda z: z / (1 + mpmath.exp(-z)),
    "gelu": lambda z: z * mpmath.ncdf(z),
}
FAR = (-1000.0, -100.0, -20.0, -1.0, 0.5, 20.0, 100.0, 1000.0)
DTYPES = [np.float32, np.float64]


def _held(dtype: Any, found: float, exact: Any, size: float = 1.0) -> None:
    """Finite, and right to a few units in the last place of the largest number involved."""
    truth = float(exact)
    assert np.isfinite(found)
    assert abs(found - truth) <= 8 * np.finfo(dtype).eps * max(abs(truth), size)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("z", FAR)
def test_sigmoid_with_binary_cross_entropy_far_out(z: float, dtype: Any) -> None:
    """At each y: loss log(1 + eᶻ) − y z, gradient σ(z) − y, to 50 digits."""
    network = wb.network("1-1", loss="binary_cross_entropy")
    program = _filled(compile_network(network, batch_size=1, dtype=dtype), {"W1": np.ones((1, 1))})
    for y in (0.0, 0.25, 1.0):
        with np.errstate(over="ignore"):
            loss = program.step(np.full((1, 1), z, dtype), np.full((1, 1), y, dtype))
        with mpmath.workdps(50):
            exact = mpmath.log(1 + mpmath.exp(z)) - mpmath.mpf(y) * z
            slope = 1 / (1 + mpmath.exp(-mpmath.mpf(z))) - y
            _held(dtype, loss, exact)
            _held(dtype, float(program.gradients["b1"][0]), slope)
            _held(dtype, float(program.gradients["W1"][0, 0]), slope * z, abs(z))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "z", [(1000, -1000, 0), (-1000, -999, -1000), (1000, 1000, 999), (1, 2, 3)]
)
def test_softmax_with_cross_entropy_far_out(z: tuple[float, ...], dtype: Any) -> None:
    """Loss log Σ eᶻ − y·z and gradient p − y, to 50 digits."""
    program = _filled(
        compile_network(wb.network("3-3:softmax"), batch_size=1, dtype=dtype), {"W1": np.eye(3)}
    )
    for y in (1.0, 0.0, 0.0), (0.25, 0.5, 0.25):
        with mpmath.workdps(50):
            total = mpmath.fsum(mpmath.exp(entry) for entry in z)
            exact = mpmath.log(total) - mpmath.fdot(y, z)
            slopes = [mpmath.exp(entry) / total - share for entry, share in zip(z, y, strict=True)]
            loss = program.step(np.array([z], dtype), np.array([y], dtype))
            _held(dtype, loss, exact, 1000)
            for found, slope in zip(program.gradients["b1"], slopes, strict=True):
                _held(dtype, float(found), slope)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", EXACT)
def test_activations_far_out(name: str, dtype: Any) -> None:
    """f(z) and f′(z) from ½ (f(z) − y)² with y = f(z) − 1 to 50 digits, at up to ±1000."""
    network = wb.network(f"1-1:{name}")
    program = _filled(compile_network(network, batch_size=1, dtype=dtype), {"W1": np.ones((1, 1))})
    for z in FAR:
        with mpmath.workdps(50):
            value = EXACT[name](mpmath.mpf(z))
            slope = mpmath.diff(EXACT[name], mpmath.mpf(z))
        target = np.full((1, 1), float(value) - 1, dtype)
        with np.errstate(over="ignore", under="ignore"):
            loss = program.step(np.full((1, 1), z, dtype), target)
        assert np.isfinite(loss)
        _held(dtype, float(program.outputs[0, 0]), value)
        error = float(program.outputs[0, 0]) - float(target[0, 0])
        _held(dtype, float(program.gradients["b1"][0]), slope * error, 4)


# What is emitted


EMITTED = ["2-2-1", "3-4:tanh-3:softmax", "3-4:relu-2:sigmoid", "3-4:swish-2:gelu", "2-3:elu-1"]


@pytest.mark.parametrize("architecture", EMITTED)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_emitted_source_is_what_runs(architecture: str, strategy: str) -> None:
    network = wb.network(architecture)
    random = np.random.default_rng(3)
    program = compile_network(network, batch_size=4, strategy=STRATEGIES[strategy])
    program.parameters.vector[...] = random.normal(size=program.parameters.vector.shape)
    inputs = random.normal(size=(4, network.widths[0]))
    targets = random.dirichlet(np.ones(network.widths[-1]), 4)
    names = [p.symbol.name for p in program.derivation.system.parameters]
    gradients = program.gradients.zeros_like()
    namespace: dict[str, Any] = {}
    exec(program.source, namespace)
    arrays = [held.stored(name) for held in (program.parameters, gradients) for name in names]
    step, forward, predict, outputs = namespace["build"](*arrays)
    assert step(inputs, targets) == program.step(inputs, targets)
    for name in names:
        np.testing.assert_array_equal(gradients[name], program.gradients[name])
    assert forward(inputs, targets) == program.forward(inputs, targets)
    predict(inputs)
    np.testing.assert_array_equal(outputs, program.predict(inputs))


def _calls(source: str) -> set[str]:
    """The names that a source calls or looks attributes up on."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Lambda | ast.Global | ast.ClassDef | ast.While | ast.For)
    functions = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return {ast.unparse(function).rpartition(".")[2] for function in functions}


def test_the_source_calls_numpy_and_nothing_else() -> None:
    for architecture, strategy in product(EMITTED, STRATEGIES.values()):
        source = compile_network(wb.network(architecture), batch_size=4, strategy=strategy).source
        for name in _calls(source):
            assert hasattr(np, name) or hasattr(np.ndarray, name) or name in ("ndtr", "reduce")
        imports = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
        assert {node.module for node in imports} <= {"numpy", "scipy"}
        assert "import" not in source.split("def build", 1)[1]


@pytest.mark.parametrize(
    ("architecture", "loss", "call"),
    [
        ("2-3:softmax", "cross_entropy", "argmax"),
        ("2-3:softplus", "half_squared_error", "logaddexp"),
        ("2-3:sigmoid", "binary_cross_entropy", "logaddexp"),
    ],
)
def test_the_source_says_where_another_form_is_computed(
    architecture: str, loss: str, call: str
) -> None:
    source = compile_network(wb.network(architecture, loss=loss), batch_size=4).source
    lines = [line.strip() for line in source.splitlines()]
    said = [place for place, line in enumerate(lines) if line.startswith("# computed ")]
    assert said
    for place in said:
        assert lines[place - 1].startswith("# ")  # the formula that is shown
    calls = [place for place, line in enumerate(lines) if f"{call}(" in line]
    assert calls
    assert min(said) < min(calls)
    plain = compile_network(wb.network("2-3:tanh"), batch_size=4).source
    assert "# computed " not in plain


def test_the_source_holds_no_text_of_the_user() -> None:
    """A name, a symbol and a formula with line breaks in them stay data."""
    formula = parse_formula("z\n* 2\n+ tanh(z)", {"z": VARIABLE})
    function = Function("mine", formula, symbol="s\n        injected = 1\n        #")
    network = replace(wb.network("2-2:tanh-1"), activations=(function, function))
    source = compile_network(network, batch_size=1).source
    assert "injected" not in {
        node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)
    }


# What is refused


@pytest.mark.parametrize("strategy", ["diagonal", "kronecker"])
def test_a_request_too_large_is_refused_before_anything_is_allocated(strategy: str) -> None:
    network = wb.network("1000-1000-10")
    tracemalloc.start()
    with pytest.raises(TooLargeError, match=r"needs [\d.,]+ [GT]iB .*--strategy elementwise"):
        compile_network(network, batch_size=100, strategy=STRATEGIES[strategy])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**23


def test_a_batch_too_large_for_any_strategy_is_refused_with_a_way_out() -> None:
    with pytest.raises(TooLargeError, match=r"needs [\d.,]+ GiB .*use a smaller batch"):
        compile_network(wb.network("784-1000-10"), batch_size=10_000_000)
    with pytest.raises(InputError, match="at least one sample"):
        compile_network(wb.network("2-2-1"), batch_size=0)


def test_parameters_too_large_are_refused_as_well() -> None:
    with pytest.raises(TooLargeError):
        compile_network(wb.network("10000000-10000000-1"), batch_size=1)


# Hand-written functions


def _hand_written(factor: float) -> tuple[Network, list[str]]:
    """tanh by hand in the hidden layer, its slope off by a factor, and what was called."""
    called: list[str] = []

    def value(z: Array) -> Array:
        called.append("value")
        return np.tanh(z)

    def slope(z: Array) -> Array:
        called.append("slope")
        return factor * (1 - np.tanh(z) ** 2)

    formula = parse_formula("tanh(z)", {"z": VARIABLE})
    mine = Function("mine", formula, symbol="mine", implementation=Implementation(value, slope))
    network = wb.network("3-4-2:tanh")
    return replace(network, activations=(mine, network.activations[1])), called


def test_a_hand_written_value_and_slope_are_what_runs() -> None:
    network, called = _hand_written(1.0)
    parameters, inputs, targets = _point("half_squared_error")
    program = _filled(compile_network(network, batch_size=5), parameters)
    program.step(inputs, targets)
    assert sorted(called) == ["slope", "value"]
    truth = _gradient_by_hand("tanh", "half_squared_error", parameters, inputs, targets)
    for name, by_hand in truth.items():
        assert _relative(program.gradients[name], by_hand) < 1e-12


def test_a_slope_wrong_by_a_hundredth_is_caught_and_named() -> None:
    for factor, expected in (1.0, "pass"), (1.01, "fail"), (-1.0, "fail"):
        network, _ = _hand_written(factor)
        verdicts = list(gradcheck(network, list(STRATEGIES.values())))
        assert len(verdicts) == 4 * len(STRATEGIES)
        for verdict in verdicts:
            is_before = verdict.parameter in ("W1", "b1")
            assert verdict.verdict == (expected if is_before else "pass")
            assert ("slope of mine" in verdict.message) == (verdict.verdict == "fail")
        assert bool(list(faults(network.activations[0]))) == (expected == "fail")


# Another implementation


@cache
def _torch() -> Any:
    return pytest.importorskip("torch", reason="PyTorch is an oracle in an extra of its own")


@pytest.mark.parametrize(
    ("architecture", "loss"),
    [
        ("4-5:tanh-3:softmax", "cross_entropy"),
        ("3-6:relu-4:sigmoid-2:sigmoid", "binary_cross_entropy"),
        ("5-4:gelu-6:softplus-3:identity", "huber"),
    ],
)
def test_gradients_are_those_of_pytorch(architecture: str, loss: str) -> None:
    torch = _torch()
    network = wb.network(architecture, loss=loss)
    program = compile_network(network, batch_size=7)
    random = np.random.default_rng(5)
    program.parameters.vector[...] = random.normal(size=program.parameters.vector.shape)
    inputs = random.normal(size=(7, network.widths[0]))
    targets = random.dirichlet(np.ones(network.widths[-1]), 7)
    leaves = {
        p.symbol.name: torch.tensor(program.parameters[p.symbol.name], requires_grad=True)
        for p in program.derivation.system.parameters
    }
    value = torch.tensor(inputs)
    for layer, activation in enumerate(network.activations, start=1):
        value = torch.nn.functional.linear(value, leaves[f"W{layer}"], leaves[f"b{layer}"])
        if layer == len(network.activations) and loss == "cross_entropy":
            break
        functions = {**vars(torch), **vars(torch.nn.functional), "identity": lambda z: z}
        value = functions[activation.name](value)
    y = torch.tensor(targets)
    f = torch.nn.functional
    losses = {
        "cross_entropy": lambda: f.cross_entropy(value, y),
        "binary_cross_entropy": lambda: f.binary_cross_entropy(value, y),
        "huber": lambda: f.huber_loss(value, y, reduction="sum") / 7,
    }
    truth = losses[loss]()
    truth.backward()
    assert program.step(inputs, targets) == pytest.approx(truth.item(), rel=1e-12)
    for name, leaf in leaves.items():
        assert _relative(program.gradients[name], leaf.grad.numpy()) < 1e-12, name
