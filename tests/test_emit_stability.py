"""Emitted code at extreme values: finite, and right to the last digits of 50-digit arithmetic."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray

from workbench import api

Array = NDArray[Any]
GIVEN = "input y : n\nparameter x : n\n"
EXTREME = {
    "sigmoid in one": "-sum(y .* log(sigmoid(x)) + (1-y) .* log(1-sigmoid(x)))",
    "sigmoid by hand": "-sum(y .* log(1/(1+exp(-x))) + (1-y) .* log(1-1/(1+exp(-x))))",
    "sigmoid in parts": "e = exp(-x)\np = 1 / (1 + e)\nq = 1 - p\n"
    "-sum(y .* log(p) + (1-y) .* log(q))",
    "softmax in one": "-y' log(softmax(x))",
    "softmax by hand": "-y' log(exp(x) / sum(exp(x)))",
    "softmax in parts": "e = exp(x)\ns = sum(e)\np = e / s\n-y' log(p)",
    "logsumexp in one": "sum(y) * log(sum(exp(x)))",
    "logsumexp in parts": "e = exp(x)\ns = sum(e)\nsum(y) * log(s)",
    "softplus in one": "y' softplus(x)",
    "softplus in parts": "e = exp(x)\nz = 1 + e\na = log(z)\ny' a",
}
SHARES = np.array([[0.25], [0.5], [0.25]])


def _to_50_digits(name: str, x: Array) -> tuple[Any, list[Any]]:
    """Loss and gradient by hand."""
    with mpmath.workdps(50):
        entries, shares = ([mpmath.mpf(float(v)) for v in c.ravel()] for c in (x, SHARES))
        below = mpmath.fsum(mpmath.exp(u) for u in entries)
        softmax = [mpmath.exp(u) / below for u in entries]
        sigmoid = [1 / (1 + mpmath.exp(-u)) for u in entries]
        losses = [mpmath.log1p(mpmath.exp(u)) for u in entries]
        linear = mpmath.fsum(s * u for s, u in zip(shares, entries, strict=True))
        match name.split()[0]:
            case "sigmoid":
                return mpmath.fsum(losses) - linear, list(map(operator.sub, sigmoid, shares))
            case "softmax":
                return mpmath.log(below) - linear, list(map(operator.sub, softmax, shares))
            case "logsumexp":
                return mpmath.log(below), softmax
        loss = mpmath.fsum(map(operator.mul, shares, losses))
        return loss, list(map(operator.mul, shares, sigmoid))


def _extreme(name: str) -> api.Derivation:
    *parts, last = EXTREME[name].splitlines()
    return api.derive(api.equations(GIVEN + "\n".join([*parts, f"L = {last}"])))


@pytest.mark.parametrize("target", ["numpy", "torch", "jax"])
@pytest.mark.parametrize("name", EXTREME)
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_extreme_values_are_right_to_the_last_digits(name: str, target: str) -> None:
    namespace: dict[str, Any] = {}
    if target != "numpy":
        pytest.importorskip(target)
    exec(_extreme(name).code(target), namespace)
    function = namespace["loss_and_gradients"]
    for size_ in (50.0, -50.0, 1000.0, -1000.0):
        for x in (size_ * np.array([[1.0], [-1.0], [0.001]]), np.full((3, 1), size_)):
            loss, gradient = _at(function, target, x)
            exact, by_hand = _to_50_digits(name, x)
            assert abs(loss - exact) <= 1e-14 * max(1, abs(exact))
            for found, expected in zip(gradient.ravel(), by_hand, strict=True):
                assert abs(found - expected) <= 1e-15


def _at(function: Callable[..., Any], target: str, x: Array) -> tuple[float, Array]:
    if target == "numpy":
        loss, (gradient,) = function(x, SHARES)
        return loss, gradient
    if target == "torch":
        torch = pytest.importorskip("torch")
        leaf = torch.tensor(x, requires_grad=True)
        result = function(leaf, torch.tensor(SHARES))
        return result.item(), torch.autograd.grad(result, leaf)[0].numpy()
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        value, slope = jax.value_and_grad(function)(jax.numpy.asarray(x), jax.numpy.asarray(SHARES))
        return float(value), np.asarray(slope)


@pytest.mark.parametrize("loss", ["exp(x)/(1+exp(x))", "log(z)", "y log(sigmoid(x))", "swish(x)"])
def test_plain_python_never_raises_for_large_numbers(loss: str) -> None:
    source = f"input y\nparameter x\nz = 1 + exp(x)\nL = y {loss}"
    namespace: dict[str, Any] = {}
    exec(api.derive(api.equations(source)).code("python"), namespace)
    for x in (-1000.0, -50.0, 50.0, 1000.0):
        value, found = namespace["loss_and_gradients"](*[x, 0.5])
        assert np.isfinite(value) and np.isfinite(found.x)


def test_a_definition_put_in_is_not_called_stable() -> None:
    sources = {
        "e = exp(-x)\np = 1 / (1 + e)\nL = sum(p)": "p = 1 / (1 + e)",
        "a = tanh(x)\nz = 3 + a\nL = sum(log(z))": "L = np.sum(np.log(z))",
    }
    for source, line in sources.items():
        found = api.derive(api.equations("parameter x : n\n" + source)).code("numpy")
        forward = found.partition("# ∂L/∂x")[0]
        assert line in forward and "computed" not in forward
