"""One layer of any size, a = f(z) with z = W x + b: its Jacobians, and its weights in three ways.

What lies behind the layer enters through its gradient g = ∂L/∂a, or G = ∂L/∂Z for a batch: the loss
is ⟨g, a⟩, which has this gradient, and any other loss that has it gives the same results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from workbench.calculus.algebra import add, multiply
from workbench.calculus.dimensions import ONE, Dimension
from workbench.calculus.expressions import Expression, Kind, jacobian, number, ones, symbol
from workbench.calculus.functions import Function, undetermined
from workbench.calculus.matrices import matmul, total, transpose
from workbench.calculus.slopes import Stage
from workbench.derivation.collecting import Collected, step_at
from workbench.derivation.differentiate import derive
from workbench.derivation.network import BATCH
from workbench.derivation.steps import (
    ELEMENTWISE,
    GRADIENTS,
    Derivation,
    Step,
    Strategy,
    variable_of,
)
from workbench.derivation.system import Equation, System
from workbench.tensors.entries import by_entries, entry, index_sum, plain_sum, recover
from workbench.tensors.indices import uses

DIAGONAL = "Why a diagonal Jacobian acts entry by entry"
BY_ENTRIES = "The gradient of W by entries"
BY_PULLBACK = "The gradient of W by the pullback"
CONTRACT = "contract the deltas"
BY_VEC = "The gradient of W by vec and ⊗"

ROWS, COLUMNS = Dimension.named("m"), Dimension.named("n")
L, W = symbol("L", Kind.LOSS), symbol("W", Kind.PARAMETER, (ROWS, COLUMNS))
B = symbol("b", Kind.PARAMETER, (ROWS, ONE))


def derive_layer(
    activation: Function | None = None, strategies: Sequence[Strategy] = ()
) -> tuple[Derivation, Derivation]:
    """One layer for one sample, and its sums for a whole batch.

    In denominator layout, with x of shape n×1, W of m×n and δ = ∂L/∂z = f′(z) ⊙ g of m×1:
    ∂z⁽ᵏ⁾/∂W⁽ⁱʲ⁾ = δ_ik x⁽ʲ⁾ and ∂L/∂W = δ xᵀ, ∂L/∂x = Wᵀ δ, ∂L/∂b = δ. For Z = W X + b 𝟏ᵀ:
    ∂L/∂W = G Xᵀ, ∂L/∂X = Wᵀ G, ∂L/∂b = G 𝟏.

    Parameters
    ----------
    activation : an undetermined f if not given.
    strategies : ways of writing the gradients, besides the rule table's own.

    >>> layer, batch = derive_layer()
    >>> [step.section for step in layer.steps][-2:]
    ['The gradient of W by entries', 'The gradient of W by the pullback']
    """
    function = activation if activation is not None else undetermined("f")
    return _one_sample(function, strategies), _batch()


def _one_sample(function: Function, strategies: Sequence[Strategy]) -> Derivation:
    x = symbol("x", Kind.PARAMETER, (COLUMNS, ONE))
    g = symbol("g", Kind.INPUT, (ROWS, ONE))
    z, a = (symbol(name, Kind.INTERMEDIATE, (ROWS, ONE)) for name in "za")
    affine = Equation(z, add(matmul(W, x), B))
    system = System((affine, Equation(a, function(z)), Equation(L, matmul(transpose(g), a))))
    own = derive(system)
    others = [derive(system, strategy=s) for s in strategies if s.name != ELEMENTWISE.name]
    writing = _Layer(g)
    for derivation in (own, *others):
        writing.write(derivation.steps)
    return own.with_steps(writing.collected.steps)


def _batch() -> Derivation:
    X = symbol("X", Kind.PARAMETER, (COLUMNS, BATCH))
    Z = symbol("Z", Kind.INTERMEDIATE, (ROWS, BATCH))
    G = symbol("G", Kind.INPUT, Z.shape)
    affine = Equation(Z, add(matmul(W, X), matmul(B, ones((ONE, BATCH)))))
    derivation = derive(System((affine, Equation(L, total(multiply(G, Z))))))
    named = {name.symbol.name: G for name, goal in derivation.names.items() if goal is _by(Z)}
    steps = [step_at(step, {}, named) for step in derivation.steps]
    steps = [replace(s, name=None) if s.name is s.result else s for s in steps]
    return derivation.with_steps([_from_behind(step, G) for step in steps])


def _by(variable: Expression) -> Expression:
    return jacobian(L, variable)


def _from_behind(step: Step, gradient: Expression) -> Step:
    """The step that ends in the given gradient says that it is given."""
    if step.result is not gradient:
        return step
    why = "the loss stands for any that has this gradient; nothing else of it is used"
    return replace(step, stages=(Stage(gradient, "gradient from behind", why),))


class _Layer:
    """The steps of one layer, those about W last, while they are arranged."""

    def __init__(self, behind: Expression) -> None:
        self.behind = behind
        self.collected = Collected()
        self.has_pullback = self.has_diagonal = False

    def write(self, steps: Sequence[Step]) -> None:
        """The steps of one strategy that are not told yet."""
        numbers: dict[int, int] = {}
        of_weights = {step.id: section for step in steps if (section := _about_weights(step))}
        for step in steps:
            if step.section == GRADIENTS and not self.has_diagonal:
                self._diagonal(steps, numbers)
            if step.id not in of_weights:
                shown = _from_behind(step, self.behind)
                numbers[step.id] = self.collected.add(shown, step.section, numbers)
        for step in steps:
            if step.goal is _by(W):
                numbers[step.id] = self._gradient(step, numbers, of_weights)
            elif step.id in of_weights:
                known = len(self.collected.steps)
                numbers[step.id] = self.collected.add(step, of_weights[step.id], numbers)
                if step.goal.operation == "entry" and numbers[step.id] > known:
                    self._outer(numbers[step.id])

    def _diagonal(self, steps: Sequence[Step], numbers: Mapping[int, int]) -> None:
        """diag(u) g is u ⊙ g: each of its entries is a sum over a δ."""
        self.has_diagonal = True
        for step in steps:
            if step.result.operation == "diag" and step.id in numbers:
                product = matmul(step.result, self.behind)
                left = by_entries(step.result, ("i", "k"))
                term = multiply(left, by_entries(self.behind, ("k",)))
                stages = [
                    Stage(plain_sum("k", ROWS, term), "by entries", "row times column"),
                    Stage(index_sum("k", ROWS, term), CONTRACT, "a sum over a δ keeps one term"),
                ]
                goal, refs = entry(product, "i"), [numbers[step.id]]
                summed = self.collected.note(DIAGONAL, goal, stages, refs)
                matrix = recover(stages[-1].expression, "i", "", product.shape)
                if matrix is not None:
                    gathered = Stage(matrix, "gather entries", "this holds for each entry")
                    self.collected.note(DIAGONAL, product, [gathered], [summed])

    def _outer(self, by_entry: int) -> None:
        """Entries α⁽ⁱ⁾ β⁽ʲ⁾ are those of α βᵀ."""
        body = self.collected[by_entry].result
        factors = body.arguments if body.operation == "multiply" else (body,)
        moving = [factor for factor in factors if uses(factor, "i")]
        alpha = recover(multiply(*moving), "i", "", (ROWS, ONE))
        others = [factor for factor in factors if factor not in moving]
        beta = recover(multiply(number(1), *others), "j", "", (COLUMNS, ONE))
        if alpha is not None and beta is not None:
            stage = Stage(
                matmul(alpha, transpose(beta)), "outer product", "α⁽ⁱ⁾ β⁽ʲ⁾ is (α βᵀ)⁽ⁱʲ⁾"
            )
            self.collected.note(BY_ENTRIES, _by(W), [stage], [by_entry])

    def _gradient(self, step: Step, numbers: Mapping[int, int], sections: Mapping[int, str]) -> int:
        """∂L/∂W by the pullback alone, or through a Jacobian over vec and back."""
        refs = {ref: numbers[ref] for ref in step.refs if ref in numbers}
        stacked = [n for n in numbers.values() if self.collected[n].goal is step.result]
        if stacked:
            plain = replace(self.collected[stacked[0]].stages[-1], rule="devectorise")
            return self.collected.add(
                replace(step, stages=(*step.stages, plain), refs=(*step.refs, -1)),
                BY_VEC,
                {**refs, -1: stacked[0]},
            )
        if not self.has_pullback:
            self.has_pullback = True
            cited = [new for old, new in refs.items() if sections.get(old) != BY_ENTRIES]
            return self.collected.note(BY_PULLBACK, step.goal, step.stages, cited)
        return self.collected.add(step, BY_PULLBACK, refs)


def _about_weights(step: Step) -> str | None:
    """The section of a gradient's step that is about W."""
    goal = step.goal
    if step.section != GRADIENTS:
        return None
    if goal.operation == "entry":
        return BY_ENTRIES if goal.arguments[0] is _by(W) else None
    if goal.operation == "devec":
        return BY_VEC if goal.shape == W.shape else None
    if goal.operation != "jacobian" or variable_of(goal) is not W:
        return None
    return BY_PULLBACK if goal is _by(W) else BY_VEC
