"""The batch form of a system: its loss and gradients are the means of those of its samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import workbench as wb
from tests.batch_systems import (
    DECLARED,
    RULES,
    Drawing,
    Values,
    drawn,
    evaluated,
    joined,
    shape_of,
)
from workbench.calculus.expressions import Expression, Kind
from workbench.derivation.batching import BatchFormError, batched, weights_of
from workbench.derivation.differentiate import derive
from workbench.derivation.steps import variable_of
from workbench.derivation.system import System
from workbench.errors import InputError
from workbench.notation.text import text

Array = NDArray[Any]
STEP = 1e-30
EXAMPLES = Path(__file__).parents[1] / "examples"


def losses(system: System, samples: Sequence[Mapping[Expression, Array]]) -> Array:
    return np.array([evaluated(system.equations, s)[system.loss].item() for s in samples])


def gradient(
    system: System, samples: list[Values], parameter: Expression, combine: Callable[[Array], Any]
) -> Array:
    """The gradient of the combined losses of the samples, by the complex step."""
    found = np.zeros(shape_of(parameter))
    for index in np.ndindex(found.shape):
        moved = samples[0][parameter].astype(complex)
        moved[index] += 1j * STEP
        changed = [{**sample, parameter: moved} for sample in samples]
        found[index] = np.imag(combine(losses(system, changed))) / STEP
    return found


def check(
    single: System,
    combine: Callable[[Array], Any] = np.mean,
    seed: int = 0,
    fixed: Sequence[str] = (),
    **options: Any,
) -> None:
    """Hold loss and gradients of the batch against those of the samples one by one."""
    batch = batched(single, fixed=fixed, **options)
    samples = drawn(single, fixed, seed)
    given = joined(single, batch, samples)
    weights = weights_of(batch)
    if weights is not None:
        given[weights] = WEIGHTS[:, np.newaxis]
    backward = derive(batch).backward
    known = evaluated((*batch.equations, *backward), given)
    np.testing.assert_allclose(known[batch.loss].item(), combine(losses(single, samples)), 1e-10)
    for goal in (equation.left for equation in backward if equation.left.operation == "jacobian"):
        expected = gradient(single, samples, variable_of(goal), combine)
        np.testing.assert_allclose(known[goal], expected, 1e-10, 1e-10)


WEIGHTS = np.array([0.1, 0.0, 0.4, 0.5])


@pytest.mark.parametrize("formula", RULES)
def test_the_mean_of_each_rule(formula: str) -> None:
    check(wb.equations(f"{DECLARED}\nL = {formula}"))


@pytest.mark.parametrize("formula", RULES[:3])
def test_a_sum_and_a_weighted_sum(formula: str) -> None:
    single = wb.equations(f"{DECLARED}\np = norm(b)^2\nL = {formula}")
    check(single, np.sum, reduction="sum")
    check(single, lambda losses: losses @ WEIGHTS / WEIGHTS.sum(), weighted=True)


@pytest.mark.parametrize("seed", range(40))
def test_the_mean_of_random_equations(seed: int) -> None:
    check(Drawing(seed).system(), seed=seed)


FIXED = {"layer_norm": ("epsilon",), "rnn": ("h0",)}
REFUSED = {
    "attention": "X is d×n and differs between samples",
    "transformer": "X is d×n and differs between samples",
    "regression": "they are for a batch already",
}


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.eq")), ids=lambda file: file.stem)
def test_examples(file: Path) -> None:
    single = wb.read_equations(file)
    if file.stem not in REFUSED:
        check(single, fixed=FIXED.get(file.stem, ()))
        return
    with pytest.raises(InputError, match=REFUSED[file.stem]) as caught:
        batched(single)
    assert isinstance(caught.value, BatchFormError) is (file.stem != "regression")


@pytest.mark.parametrize("architecture", ["2-2-1", "5-4:relu-3:softmax", "1-3:tanh-2:identity"])
def test_networks_written_for_a_batch(architecture: str) -> None:
    network = wb.network(architecture)
    found, expected = batched(network.system()), network.system(batch=True)
    assert (found.equations, found.assumptions) == (expected.equations, expected.assumptions)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("input x : n\nparameter w : n\nP = x x'\nL = w' P w", "P is n×n and differs"),
        ("input x : n, w : n\nL = logdet(diag(w) + x x')", "equation of L .* is n×n and differs"),
        ("input x : n\nparameter w : n\nL = softmax(x') w", "apply is 1×n and differs"),
        ("input x : n\nparameter w : n\nr = x .* w", "r is n×1; training needs a loss that is"),
        ("input x : B\nparameter w : B\nL = x' w", "size B, so they are for a batch already"),
        ("input x : n\nparameter w : n\nL = w' w", "L depends on no sample"),
    ],
)
def test_what_is_refused(source: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        batched(wb.equations(source))


@pytest.mark.parametrize(
    ("formula", "form"),
    [
        ("t w", "w t"),
        ("A x + w", "A X + w 𝟏ᵀ"),
        ("x' A z", "𝟏ᵀ (X ⊙ (A Z))"),
        ("x z' w", "X ⊙ (𝟏 wᵀ Z)"),
        ("t^2 x / (1 + u)", "(𝟏 (t² ⊘ (1 + u))) ⊙ X"),
        ("diag(w) (A b)", "diag(w) A b"),
    ],
)
def test_forms_as_people_write_them(formula: str, form: str) -> None:
    single = wb.equations(f"{DECLARED}\nh = {formula}\nL = sum(h) + t")
    assert text(batched(single).equations[0].right) == form


def test_names_stay_apart() -> None:
    single = wb.equations("input x : n, s : 1\nparameter X : n×n\nL = s norm(X x)^2")
    found = batched(single, weighted=True)
    assert [s.symbol.name for s in found.of_kind(Kind.INPUT, Kind.TARGET)] == ["x", "s", "s_"]
