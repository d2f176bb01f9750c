"""Hold a derivation of symbolic depth against real networks of one layer and more.

Every step is put at every layer of each network for which what it mentions exists; what it then
says is held against the numbers of that network, as `verify` does for any system.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from workbench.core.checks.verify import SEEDS, verify
from workbench.derivation.induction import DEPTH, DepthDerivation, layers
from workbench.derivation.steps import DERIVATIVES, Check, Derivation, Step, Tier
from workbench.errors import InputError

DEPTHS = (1, 2, 3, 4, 5)

MEANINGLESS = Check(False, float("inf"), (), ())
"""The record of a line that says nothing of a network: shapes differ, a product runs backwards."""


def verify_depth(
    derivation: DepthDerivation, depths: Sequence[int] = DEPTHS, seeds: Sequence[int] = SEEDS
) -> DepthDerivation:
    """The same derivation, every step carrying the worst record of its checks at all depths.

    The gradients of weights and biases are also held against the complex step through each whole
    network. A step that speaks of no layer of any of these networks has failed.

    Parameters
    ----------
    depths : the numbers of layers of the networks.
    seeds : one draw of sizes and values of each network for each.

    >>> from workbench.calculus.functions import TANH
    >>> from workbench.derivation.induction import derive_depth
    >>> from workbench.calculus.matrices import matmul, transpose
    >>> from workbench.derivation.network import PREDICTION, LossFunction
    >>> squares = LossFunction("squares", matmul(transpose(PREDICTION), PREDICTION))
    >>> verified = verify_depth(derive_depth(TANH, squares), depths=(1, 2), seeds=(0,))
    >>> len(verified.failed), [draw["N"] for draw in verified.results[0].check.sizes]
    (0, [1, 2])
    """
    found = _Found(derivation, tuple(seeds))
    for depth in depths:
        found.at(depth)
    return replace(derivation, steps=tuple(found.checked(step) for step in derivation.steps))


@dataclass
class _Found:
    """The records of each step at the depths so far.

    Attributes
    ----------
    checks : for each step one record a layer that it speaks of.
    sizes : one draw for each depth.
    """

    derivation: DepthDerivation
    seeds: tuple[int, ...]
    checks: dict[int, list[Check]] = field(default_factory=dict)
    sizes: list[Mapping[str, int]] = field(default_factory=list)

    def at(self, depth: int) -> None:
        """Check every step at every layer of a network of this depth."""
        general: list[int] = []
        real: list[Step] = []
        for step in self.derivation.steps:
            try:
                found = list(self.derivation.instances(step, depth))
            except InputError:
                found = []
                self._note(step.id, MEANINGLESS)
            for instance in found:
                if _fits(instance):
                    general.append(step.id)
                    real.append(replace(instance, id=len(general), refs=()))
                else:
                    self._note(step.id, MEANINGLESS)
        verified = verify(_on_network(self.derivation, depth, real), self.seeds)
        draws: list[Mapping[str, int]] = [{}]
        for number, step in zip(general, verified.steps, strict=True):
            if step.check is not None:
                self._note(number, step.check)
                draws = list(step.check.sizes) or draws
        self.sizes.append({DEPTH: depth, **dict(sorted(draws[depth % len(draws)].items()))})

    def _note(self, number: int, check: Check) -> None:
        self.checks.setdefault(number, []).append(check)

    def checked(self, step: Step) -> Step:
        """A step with the worst of its records."""
        if step.is_definition:
            return step
        checks = self.checks.get(step.id)
        if not checks:
            return replace(step, check=Check(False, float("inf"), self.seeds, tuple(self.sizes)))
        chances = [check.chance for check in checks]
        check = Check(
            all(check.passed for check in checks),
            max(check.max_relative_error for check in checks),
            self.seeds,
            tuple(self.sizes),
            tuple(tier for tier in Tier if all(tier in check.tiers for check in checks)),
            None if None in chances else max(c for c in chances if c is not None),
        )
        return replace(step, check=check)


def _fits(step: Step) -> bool:
    """Whether every line has the shape of what it is about; a number stands for any shape."""
    lines = [stage.expression for stage in step.stages]
    return all(line.shape == step.goal.shape or line.number is not None for line in lines)


def _on_network(derivation: DepthDerivation, depth: int, steps: Sequence[Step]) -> Derivation:
    """A real network's derivation made of these steps, with the gradients that they end in."""
    system = layers(derivation.activation, derivation.loss, depth)
    last = {s.goal.data: s.result for s in steps if s.goal.operation in DERIVATIVES}
    gradients = {p: last[system.loss, p] for p in system.parameters if (system.loss, p) in last}
    return Derivation(system, derivation.strategy, tuple(steps), (), gradients)
