"""scikit-learn, MyGrad and HIPS autograd as contenders, and the matrix products alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import cycle, islice
from typing import Any

import numpy as np

from tests.benchmarks.training.workloads import Array, Case, Data, Steps

Update = Callable[[Sequence[Array]], None]
"""Changes parameters in place by their gradients."""


def scikit_learn(case: Case, data: Data) -> Steps:
    """`fit`: an epoch's losses come as their mean."""
    model = _perceptron(case, data)
    epoch_steps = len(data.inputs) // data.batch

    def run(count: int) -> list[float]:
        before = len(model.loss_curve_)
        model.max_iter = -(-count // epoch_steps)
        model.fit(data.inputs, data.labels)
        return list(map(float, model.loss_curve_[before:]))

    return run


def scikit_learn_partial(case: Case, data: Data) -> Steps:
    """`partial_fit`, a batch a call."""
    model = _perceptron(case, data)
    batches = [(x, labels) for x, labels, _ in data.batches()]

    def run(count: int) -> list[float]:
        losses = []
        for x, labels in islice(cycle(batches), count):
            model.partial_fit(x, labels)
            losses.append(float(model.loss_))
        return losses

    return run


def _perceptron(case: Case, data: Data) -> Any:
    """A scikit-learn network with the weights given; `fit` goes on from them."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    warnings.simplefilter("ignore", ConvergenceWarning)
    workload = case.workload
    model = MLPClassifier(
        workload.widths[1:-1],
        activation={"sigmoid": "logistic", "relu": "relu"}[workload.hidden],
        solver=case.optimizer,
        alpha=0.0,
        batch_size=data.batch,
        learning_rate_init=case.rate,
        momentum=0.0,
        nesterovs_momentum=False,
        tol=0.0,
        n_iter_no_change=10**9,
        shuffle=False,
        warm_start=True,
    )
    model.partial_fit(data.inputs, data.labels, classes=np.unique(data.labels))
    start = list(data.parameters.values())
    for coefficients, weight in zip(model.coefs_, start[::2], strict=True):
        coefficients[...] = weight.T
    for intercepts, bias in zip(model.intercepts_, start[1::2], strict=True):
        intercepts[...] = bias
    return model


def mygrad(case: Case, data: Data) -> Steps:
    """MyGrad, with the update in NumPy."""
    mg: Any = import_module("mygrad")
    activations: Any = import_module("mygrad.nnet.activations")
    losses_of: Any = import_module("mygrad.nnet.losses")

    hidden = getattr(activations, case.workload.hidden)
    classifies = case.workload.classifies
    parameters = [mg.tensor(array) for array in data.parameters.values()]
    layers = list(zip(parameters[::2], parameters[1::2], strict=True))
    update = _numpy_update(case, [parameter.data for parameter in parameters])

    def loss_of(x: Any, labels: Array, y: Array) -> Any:
        *before, (weight, bias) = layers
        for w, b in before:
            x = hidden(mg.matmul(x, w.T) + b)
        z = mg.matmul(x, weight.T) + bias
        if classifies:
            return losses_of.softmax_crossentropy(z, labels)
        return mg.sum((activations.sigmoid(z) - y) ** 2) * (0.5 / len(y))

    def run(count: int) -> list[float]:
        losses = []
        for batch in islice(cycle(data.batches()), count):
            loss = loss_of(*batch)
            loss.backward()
            update([parameter.grad for parameter in parameters])
            losses.append(loss.item())
        return losses

    return run


def hips_autograd(case: Case, data: Data) -> Steps:
    """HIPS autograd, with the update in NumPy."""
    anp: Any = import_module("autograd.numpy")
    value_and_grad: Any = import_module("autograd").value_and_grad
    logsumexp: Any = import_module("autograd.scipy.special").logsumexp

    def sigmoid(z: Any) -> Any:
        return 1 / (1 + anp.exp(-z))

    def relu(z: Any) -> Any:
        return anp.maximum(z, 0)

    hidden = {"sigmoid": sigmoid, "relu": relu}[case.workload.hidden]
    classifies = case.workload.classifies
    parameters = [array.copy() for array in data.parameters.values()]
    update = _numpy_update(case, parameters)

    def loss_of(parameters: Any, x: Any, y: Array) -> Any:
        *before, (weight, bias) = zip(parameters[::2], parameters[1::2], strict=True)
        for w, b in before:
            x = hidden(anp.dot(x, w.T) + b)
        z = anp.dot(x, weight.T) + bias
        if classifies:
            return anp.mean(logsumexp(z, axis=1) - anp.sum(y * z, axis=1))
        return anp.sum((sigmoid(z) - y) ** 2) * (0.5 / len(y))

    both = value_and_grad(loss_of)

    def run(count: int) -> list[float]:
        losses = []
        for x, _, y in islice(cycle(data.batches()), count):
            loss, gradients = both(parameters, x, y)
            update(gradients)
            losses.append(loss.item())
        return losses

    return run


def _numpy_update(case: Case, parameters: Sequence[Array]) -> Update:
    """The optimizer's formula, array by array."""
    means = list(map(np.zeros_like, parameters))
    squares = list(map(np.zeros_like, parameters))
    rate, steps = case.rate, 0

    def sgd(gradients: Sequence[Array]) -> None:
        for p, g in zip(parameters, gradients, strict=True):
            p -= rate * g

    def adam(gradients: Sequence[Array]) -> None:
        nonlocal steps
        steps += 1
        first, second = 1 / (1 - 0.9**steps), 1 / (1 - 0.999**steps)
        for p, g, m, v in zip(parameters, gradients, means, squares, strict=True):
            m += 0.1 * (g - m)
            v += 0.001 * (g * g - v)
            p -= rate * (m * first) / (np.sqrt(v * second) + 1e-8)

    return {"sgd": sgd, "adam": adam}[case.optimizer]


def products(case: Case, data: Data) -> Steps:
    """Nothing but a step's matrix products, by `numpy.dot` into arrays made once."""
    weights = list(data.parameters.values())[::2]
    widths, batch, dtype = case.workload.widths, data.batch, case.workload.dtype
    generator = np.random.default_rng(0)
    outputs = [generator.random((batch, width)).astype(dtype) for width in widths]
    deltas = [generator.random((batch, width)).astype(dtype) for width in widths]
    results = list(map(np.empty_like, outputs)), list(map(np.empty_like, weights))
    calls: list[tuple[Array, Array, Array]] = []
    for layer, weight in enumerate(weights):
        calls.append((outputs[layer], weight.T, results[0][layer + 1]))
        calls.append((deltas[layer + 1].T, outputs[layer], results[1][layer]))
        if layer:
            calls.append((deltas[layer + 1], weight, results[0][layer]))

    def run(count: int) -> list[float]:
        dot = np.dot
        for _ in range(count):
            for left, right, out in calls:
                dot(left, right, out)
        return [0.0] * count

    return run
