"""Formulas that broke rules once: each derives right, under every strategy, and computes it."""

from __future__ import annotations

import pytest

from workbench.core.checks.verify import verify
from workbench.core.gradcheck import gradcheck
from workbench.derivation.differentiate import derive
from workbench.derivation.layout import Layout, in_layout
from workbench.errors import InputError
from workbench.notation.text import text
from workbench.plugins.build import build_loss, build_network, build_strategy
from workbench.plugins.records import Activation, Loss
from workbench.plugins.registry import Entry, Registry, load_registry

ACTIVATIONS = {
    "layer_norm": "(z - mean(z)) / sqrt(mean((z - mean(z))^2) + 1/100000)",
    "l2_norm": "z / sqrt(sum(z^2))",
    "gate": "z * softmax(z)",
    "inner_scale": "l2_norm(2 * z) * mean(z)",
    "centred_softmax": "softmax(z - mean(z))",
    "softmax_over": "exp(z) / sum(exp(z)) / (1 + exp(z))",
    "log_softmax": "log(exp(z) / sum(exp(z)))",
    "mean_cap": "min(z, mean(z))",
    "mean_branch": "where(z > mean(z), z, z / 10)",
    "norm_relu": "max(z, 0) / (1 + sum(max(z, 0)))",
    "sum_where": "z * sum(where(z > 0, z, 0))",
    "nested_where": "where(z > 1, z^2, where(z > -1, z, -z^2))",
    "root_relu": "max(z, 0)^(1/2)",
    "signed_root": "where(z > 0, sqrt(z), -sqrt(-z))",
    "mish": "z * tanh(softplus(z))",
    "grown_sigmoid": "exp(z) / (1 + exp(z))",
    "inverse_root": "z / sqrt(1 + z^2)",
    "softmax_of_sigmoid": "sigmoid(z) / sum(sigmoid(z))",
    "square": "z^2",
    "cube": "z^3",
    "fourth": "z^4 / 10",
    "shifted_cube": "(1 + z)^3 / 20",
    "three_ways": "max(z, max(-z, sum(z)))",
}

LOSSES = {
    "negative_log": "-sum(y * log(a))",
    "pinball": "mean(max(9/10 * (y - a), (a - y) / 10))",
    "log_cosh": "sum(log(cosh(a - y)))",
    "squared_twice": "sum((a - y)^2) * sum((a - y)^2)",
    "distance": "sqrt(sum((a - y)^2))",
    "softmax_entropy": "-sum(y * log(softmax(a)))",
    "focal": "-sum(y * (1 - a)^2 * log(a))",
    "branch_of_sums": "where(sum(a) > sum(y), sum((a - y)^2), sum(abs(a - y)))",
    "cosine": "1 - sum(a * y) / sqrt(sum(a^2) * sum(y^2))",
    "no_target": "sum(a^4) / (1 + sum(a^2))",
    "scaled_mean": "mean(a * sum(a)) + mean(y)",
}


@pytest.fixture(scope="module")
def registry() -> Registry:
    """The installed plugins and those of this file."""
    records: list[Activation | Loss] = [
        *(Activation(name=name, formula=formula) for name, formula in ACTIVATIONS.items()),
        *(Loss(name=name, formula=formula) for name, formula in LOSSES.items()),
    ]
    return Registry([*load_registry().entries, *(Entry(r, "this test") for r in records)])


CASES = [
    *((f"3-4:{name}-2:tanh", "half_squared_error") for name in ACTIVATIONS),
    *(("3-4:tanh-2:sigmoid", name) for name in LOSSES),
    ("3-4:square-2:square", "negative_log"),
]


@pytest.mark.parametrize(("architecture", "loss"), CASES)
def test_it_derives_and_computes_right(architecture: str, loss: str, registry: Registry) -> None:
    network = build_network(architecture, loss=loss, registry=registry)
    strategies = [build_strategy(name, registry) for name in registry.strategies]
    systems = [network.system(), network.system(batch=True), network.scalar_system()]
    for system in systems:
        for strategy in strategies if system is not systems[2] else strategies[:1]:
            failed = verify(derive(system, strategy=strategy), seeds=(0, 1)).failed
            assert not failed, text(failed[0].goal)
    numerator = in_layout(derive(systems[0], strategy=strategies[-1]), Layout.NUMERATOR)
    assert not verify(numerator, seeds=(0,)).failed
    for verdict in gradcheck(network, strategies):
        assert verdict.verdict == "pass", verdict


def test_a_loss_that_is_constant_has_no_gradient(registry: Registry) -> None:
    network = build_network("2-1:sigmoid", loss="softmax_entropy", registry=registry)
    derivation = verify(derive(network.scalar_system()))
    assert not derivation.failed
    assert text(derivation.backward[0].right) == "0"


@pytest.mark.parametrize("assumption", ["1 = 1", "sum(y) = y", "sum(a) = 1"])
def test_an_assumption_that_says_nothing_of_the_target_is_refused(assumption: str) -> None:
    record = Loss(name="odd", formula="sum((a - y)^2)", assumes=(assumption,))
    odd = Registry([*load_registry().entries, Entry(record, "this test")])
    with pytest.raises(InputError, match="assumption"):
        build_loss("odd", odd)


def test_an_assumption_may_be_written_either_way_round() -> None:
    formula = "-sum(y * log(a))"
    record = Loss(name="turned", formula=formula, assumes=("1 = sum(y)",))
    turned = Registry([*load_registry().entries, Entry(record, "this test")])
    network = build_network("2-3:softmax", loss="turned", registry=turned)
    derivation = verify(derive(network.system(batch=True)))
    assert not derivation.failed
    assert text(derivation.backward[0].right) == "(1/B) (X₁ − Y)"
