"""The conformance suite: every plugin proved against its own formula, and run in every part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from workbench.core.checks.verify import verify
from workbench.core.faults import faults
from workbench.core.gradcheck import gradcheck
from workbench.derivation.differentiate import derive
from workbench.derivation.network import Network
from workbench.derivation.steps import ELEMENTWISE, Strategy
from workbench.errors import InputError, WorkbenchError, close_matches
from workbench.notation.text import text
from workbench.plugins.build import build_function, build_loss, build_network, build_strategy
from workbench.plugins.records import Activation, JacobianStrategy, Loss
from workbench.plugins.registry import Entry, Registry


@dataclass(frozen=True, slots=True)
class Conformity:
    """How one record fared.

    Attributes
    ----------
    message : what was proved, or the first thing that is wrong.
    """

    kind: str
    name: str
    passed: bool
    message: str


def check(registry: Registry, name: str | None = None) -> Iterator[Conformity]:
    """Check one record by its name, or all.

    Raises
    ------
    InputError
        If no record has the name.

    >>> from workbench.plugins.registry import load_registry
    >>> [verdict.passed for verdict in check(load_registry(), "tanh")]
    [True]
    """
    entries = [e for e in registry.entries if name is None or name in e.names]
    if not entries:
        known = [other for entry in registry.entries for other in entry.names]
        raise InputError(f"no plugin is called {name!r}; {close_matches(str(name), known)}")
    for entry in entries:
        try:
            message = _proof(entry, registry)
        except WorkbenchError as error:
            yield Conformity(entry.kind, entry.record.name, False, str(error))
        else:
            yield Conformity(entry.kind, entry.record.name, True, message)


def _proof(entry: Entry, registry: Registry) -> str:
    record = entry.record
    if isinstance(record, Activation):
        return _activation(record, registry)
    if isinstance(record, Loss):
        return _loss(record, registry)
    return _strategy(record, registry)


def _activation(record: Activation, registry: Registry) -> str:
    function = build_function(record.name, registry)
    for fault in faults(function):
        raise InputError(fault)
    hidden = build_network(f"2-3:{record.name}-2:tanh", registry=registry)
    return _derived(hidden) + ", " + _checked(hidden)


def _loss(record: Loss, registry: Registry) -> str:
    output = "softmax" if record.assumes and "softmax" in registry.activations else "sigmoid"
    build_loss(record.name, registry)
    network = build_network(f"2-3:tanh-2:{output}", loss=record.name, registry=registry)
    return _derived(network) + ", " + _checked(network)


def _strategy(record: JacobianStrategy, registry: Registry) -> str:
    strategy = build_strategy(record.name, registry)
    networks = [
        build_network(f"2-3:tanh-2:{output}", registry=registry)
        for output in ("sigmoid", "softmax")
        if output in registry.activations
    ]
    return "; ".join(
        _derived(network, strategy) + ", " + _checked(network, strategy) for network in networks
    )


def _derived(network: Network, strategy: Strategy = ELEMENTWISE) -> str:
    steps = 0
    for batch in (False, True):
        derivation = verify(derive(network.system(batch=batch), strategy=strategy))
        for step in derivation.failed:
            raise InputError(
                f"in {network}, step ({step.id}) {text(step.goal)} = {text(step.result)} disagrees "
                "with its numbers"
            )
        steps += sum(step.check is not None for step in derivation.steps)
    return f"{steps} steps derived and checked"


def _checked(network: Network, strategy: Strategy = ELEMENTWISE) -> str:
    verdicts = list(gradcheck(network, [strategy]))
    for verdict in verdicts:
        if verdict.verdict != "pass":
            raise InputError(f"in {network}, gradient of {verdict.parameter}: {verdict.message}")
    return f"{len(verdicts)} gradients checked"
