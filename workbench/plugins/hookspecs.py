"""The hooks: functions that the workbench asks a plugin for. Each yields records.

A plugin is a module (an installed package with an entry point in the group `workbench`, or a file
given by `--plugin`) that defines one or more of these functions, each marked with `hookimpl`.
"""

from __future__ import annotations

from collections.abc import Iterable

from pluggy import HookimplMarker, HookspecMarker

from workbench.plugins.records import Activation, JacobianStrategy, Loss

PROJECT = "workbench"

hookspec = HookspecMarker(PROJECT)
hookimpl = HookimplMarker(PROJECT)


@hookspec
def workbench_activations() -> Iterable[Activation]:
    """Yield activations, each by a formula in the pre-activation `z`.

    >>> from workbench.plugins import hookimpl
    >>> from workbench.plugins.records import Activation
    >>> @hookimpl
    ... def workbench_activations():
    ...     yield Activation(name="swish", formula="z * sigmoid(z)")
    >>> [activation.name for activation in workbench_activations()]
    ['swish']
    """
    raise NotImplementedError


@hookspec
def workbench_losses() -> Iterable[Loss]:
    """Yield losses, each by a formula in the output `a` and the target `y`.

    >>> from workbench.plugins import hookimpl
    >>> from workbench.plugins.records import Loss
    >>> @hookimpl
    ... def workbench_losses():
    ...     yield Loss(name="fourth_power", formula="(a - y)**4")
    >>> [loss.name for loss in workbench_losses()]
    ['fourth_power']
    """
    raise NotImplementedError


@hookspec
def workbench_strategies() -> Iterable[JacobianStrategy]:
    """Yield strategies, each a way of writing the pullbacks through local Jacobians.

    >>> from workbench.plugins import hookimpl
    >>> from workbench.plugins.records import JacobianStrategy
    >>> @hookimpl
    ... def workbench_strategies():
    ...     yield JacobianStrategy(name="plain", description="Every rule as it stands.", rules={})
    >>> [strategy.name for strategy in workbench_strategies()]
    ['plain']
    """
    raise NotImplementedError
