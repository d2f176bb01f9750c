"""JAX as a contender: a compiled step called in a loop, and a compiled loop."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle, islice
from typing import Any

from tests.benchmarks.training.workloads import Case, Data, Steps

Step = Callable[[Any, Any], tuple[Any, Any]]
"""From state and batch to the new state and the loss."""


def jit_loop(case: Case, data: Data) -> Steps:
    """A compiled step, called by Python; each loss becomes a number at once."""
    import jax

    state, step, batches = _problem(case, data)
    compiled = jax.jit(step, donate_argnums=0)

    def run(count: int) -> list[float]:
        nonlocal state
        losses = []
        for batch in islice(cycle(batches), count):
            state, loss = compiled(state, batch)
            losses.append(loss.item())
        return losses

    return run


def scan(case: Case, data: Data) -> Steps:
    """A compiled loop of `chunk` steps, whose losses come back together."""
    import jax
    from jax import numpy as jnp

    state, step, batches = _problem(case, data)
    length = case.workload.chunk
    stacked = tuple(map(jnp.stack, zip(*batches, strict=True)))

    def loop(state: Any, batches: Any) -> Any:
        if len(batches[0]) == 1:
            only = tuple(array[0] for array in batches)
            return jax.lax.scan(lambda state, _: step(state, only), state, length=length)
        return jax.lax.scan(step, state, batches)

    compiled = jax.jit(loop, donate_argnums=0)

    def run(count: int) -> list[float]:
        nonlocal state
        losses: list[float] = []
        while len(losses) < count:
            state, chunk = compiled(state, stacked)
            losses += chunk.tolist()
        return losses

    return run


def _problem(case: Case, data: Data) -> tuple[Any, Step, list[Any]]:
    """The state to start from, the step, and the batches."""
    import jax
    from jax import numpy as jnp

    jax.config.update("jax_enable_x64", case.workload.dtype == "float64")
    arrays = list(map(jnp.asarray, data.parameters.values()))
    parameters = list(zip(arrays[::2], arrays[1::2], strict=True))
    batches = [(jnp.asarray(x), jnp.asarray(y)) for x, _, y in data.batches()]
    hidden = {"sigmoid": jax.nn.sigmoid, "relu": jax.nn.relu}[case.workload.hidden]

    def loss_of(parameters: Any, x: Any, y: Any) -> Any:
        *before, (weight, bias) = parameters
        for w, b in before:
            x = hidden(x @ w.T + b)
        z = x @ weight.T + bias
        if case.workload.classifies:
            return -(y * jax.nn.log_softmax(z)).sum(axis=1).mean()
        return 0.5 * ((jax.nn.sigmoid(z) - y) ** 2).sum(axis=1).mean()

    start, update = _optimizer(case, parameters)

    def step(state: Any, batch: Any) -> tuple[Any, Any]:
        parameters, moments = state
        loss, gradients = jax.value_and_grad(loss_of)(parameters, *batch)
        return update(parameters, moments, gradients), loss

    return (parameters, start), step, batches


def _optimizer(case: Case, parameters: Any) -> tuple[Any, Callable[[Any, Any, Any], Any]]:
    """The optimizer's state at the start, and its update."""
    import jax
    from jax import numpy as jnp

    rate = case.rate

    def sgd(parameters: Any, moments: Any, gradients: Any) -> Any:
        return jax.tree.map(lambda p, g: p - rate * g, parameters, gradients), moments

    def adam(parameters: Any, moments: Any, gradients: Any) -> Any:
        means, squares, count = moments
        count = count + 1
        means = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, means, gradients)
        squares = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, squares, gradients)
        first, second = 1 / (1 - 0.9**count), 1 / (1 - 0.999**count)
        parameters = jax.tree.map(
            lambda p, m, v: p - rate * (m * first) / (jnp.sqrt(v * second) + 1e-8),
            parameters,
            means,
            squares,
        )
        return parameters, (means, squares, count)

    if case.optimizer == "sgd":
        return (), sgd
    means, squares = (jax.tree.map(jnp.zeros_like, parameters) for _ in range(2))
    return (means, squares, jnp.zeros((), case.workload.dtype)), adam
