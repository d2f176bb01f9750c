"""A dense network of N layers, where N stays a symbol: base case, induction step, unrolled product.

Both cases are worked out by the engine, on systems of a layer or two whose subscripts are symbols;
the equations of these systems are those of a real network, moved to other subscripts. The claim
about all layers is read off the induction step, and then follows from the two cases by the laws of
the expressions alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from workbench.calculus.expressions import Expression, Kind, jacobian, symbol, walk
from workbench.calculus.functions import Function
from workbench.calculus.linear_maps import matrix_of
from workbench.calculus.matrices import matmul, transpose
from workbench.calculus.rewriting import substitute
from workbench.calculus.slopes import Stage
from workbench.derivation.collecting import Collected, step_at
from workbench.derivation.differentiate import derive
from workbench.derivation.network import LossFunction, Network
from workbench.derivation.steps import (
    ELEMENTWISE,
    EQUATIONS,
    GRADIENTS,
    Derivation,
    Step,
    Strategy,
    variable_of,
)
from workbench.derivation.subscripts import (
    absorbed,
    at,
    index_product,
    shifted,
    spelled_out,
    split_subscript,
)
from workbench.derivation.system import Equation, System
from workbench.errors import InputError

BASE = "Base case: the last layer, N"
STEP = "Induction step: from layer n+1 back to layer n, for n below N"
INDUCTION = "By induction: every layer n, from N back to 1"
UNROLLED = "Unrolled: the gradient of every layer n as one product"

LAYER, DEPTH, FACTOR = "n", "N", "k"
"""The letters of any layer, of the last layer, and of the factors of the product."""


@dataclass(frozen=True)
class DepthDerivation(Derivation):
    """The gradients of a network whose depth is a symbol.

    Attributes
    ----------
    activation, loss : what the network is made of, at every depth.
    """

    activation: Function = field(kw_only=True)
    loss: LossFunction = field(kw_only=True)

    def instances(self, step: Step, depth: int) -> Iterator[Step]:
        """What a step says of a real network: once for each layer for which all it names exists."""
        known = {s.symbol.name: s for s in layers(self.activation, self.loss, depth).symbols}
        mentioned = _mentioned(step)
        is_general = any(_subscript(named).startswith(LAYER) for named in mentioned)
        for layer in range(1, depth + 1) if is_general else [depth]:
            bindings = {LAYER: str(layer), DEPTH: str(depth)}
            if all(_exists(at(s, bindings), known, depth) for s in mentioned):
                yield step_at(step, bindings, known)


def derive_depth(
    activation: Function, loss: LossFunction, strategy: Strategy = ELEMENTWISE
) -> DepthDerivation:
    """The gradients of `z_n = W_n x_{n−1} + b_n`, `x_n = σ(z_n)`, n = 1 … N, for a symbolic N.

    In denominator layout, with δ_n = ∂L/∂z_n of shape m_n×1: the last layer; the step
    δ_n = diag(σ′(z_n)) W_{n+1}ᵀ δ_{n+1}; by induction ∂L/∂W_n = δ_n x_{n−1}ᵀ and ∂L/∂b_n = δ_n; and
    δ_n = (∏_{k=n}^{N−1} diag(σ′(z_k)) W_{k+1}ᵀ) δ_N, its factors from left to right as k grows.

    Raises
    ------
    InputError
        If the gradient of a layer is not a matrix times that of the layer behind it.

    >>> from workbench.calculus.functions import undetermined
    >>> from workbench.derivation.network import PREDICTION
    >>> squares = LossFunction("squares", matmul(transpose(PREDICTION), PREDICTION))
    >>> derivation = derive_depth(undetermined("f"), squares)
    >>> [variable.symbol.name for variable in derivation.gradients]
    ['z_n', 'W_n', 'b_n']
    """
    return _Induction(activation, loss, strategy).run()


def layers(
    activation: Function, loss: LossFunction, depth: int, places: Mapping[str, str] | None = None
) -> System:
    """A real network's system, whose input counts as a parameter, so that its gradient exists.

    Parameters
    ----------
    places : what the numbers in its subscripts become, if they are to be symbols.

    >>> from workbench.calculus.functions import undetermined
    >>> from workbench.derivation.network import PREDICTION
    >>> squares = LossFunction("squares", matmul(transpose(PREDICTION), PREDICTION))
    >>> last = layers(undetermined("f"), squares, 1, {"0": "N-1", "1": "N"})
    >>> [parameter.symbol.name for parameter in last.parameters]
    ['W_N', 'x_N-1', 'b_N']
    """
    system = Network((2,) * (depth + 1), (activation,) * depth, loss).system()
    (x,) = system.of_kind(Kind.INPUT)
    free = {x: symbol(x.symbol.name, Kind.PARAMETER, x.shape)}

    def moved(expression: Expression) -> Expression:
        return at(substitute(expression, free), places or {})

    return System(
        tuple(Equation(moved(e.left), moved(e.right)) for e in system.equations),
        tuple((moved(left), moved(right)) for left, right in system.assumptions),
    )


class _Induction:
    """The two cases and what follows from them, while they are written down."""

    def __init__(self, activation: Function, loss: LossFunction, strategy: Strategy) -> None:
        self.activation, self.loss, self.strategy = activation, loss, strategy
        self.collected = Collected()
        self.last = layers(activation, loss, 1, {"0": "N-1", "1": "N"})
        layer = layers(activation, loss, 2, {"0": "n-1", "1": "n", "2": "n+1"}).equations[:3]
        self.z, self.behind = layer[0].left, layer[2].left
        stand_in = Equation(self.last.loss, matmul(transpose(_delta(self.behind)), self.behind))
        self.general = System((*layer, stand_in))

    def run(self) -> DepthDerivation:
        base, step = (_worked_out(s, self.strategy) for s in (self.last, self.general))
        self._write_any_layer(base)
        last = self._write(base, BASE)
        self._suppose()
        layer = self._write([s for s in step if s.goal is not self.last.loss], STEP)
        matrix = self._matrix(self.collected[layer["z_n"]])
        recursion = self._conclude(layer["z_n"], last["z_N"], matmul(matrix, _delta(self.behind)))
        parameters = [self._conclude(layer[f"{w}_n"], last[f"{w}_N"]) for w in "Wb"]
        unrolled = self._unroll(matrix, last["z_N"], recursion)
        results = [self.collected[number] for number in (unrolled, *parameters)]
        equations = [step for step in self.collected.steps if step.section == EQUATIONS]
        return DepthDerivation(
            System(tuple(Equation(s.goal, s.result) for s in equations), self.last.assumptions),
            self.strategy,
            tuple(self.collected.steps),
            (),
            {variable_of(step.goal): step.result for step in results},
            activation=self.activation,
            loss=self.loss,
        )

    def _write_any_layer(self, base: Sequence[Step]) -> None:
        """What holds of the last layer alone holds of any: written for n, cited for all."""
        numbers: dict[int, int] = {}
        for step in base:
            if step.section != GRADIENTS:
                is_loss = step.goal is self.last.loss
                shown = step if is_loss else step_at(step, {DEPTH: LAYER})
                numbers[step.id] = self.collected.add(shown, step.section, numbers)
                for place in (DEPTH, shifted(LAYER, 1)):
                    self.collected.stands_for(numbers[step.id], {LAYER: place})

    def _write(self, steps: Sequence[Step], section: str) -> dict[str, int]:
        """The steps of one case; the numbers of its gradients, by their variables."""
        numbers: dict[int, int] = {}
        found: dict[str, int] = {}
        for step in steps:
            heading = section if step.section == GRADIENTS else step.section
            numbers[step.id] = self.collected.add(step, heading, numbers)
            if step.goal.operation == "jacobian" and self.last.loss in _sides(step.goal):
                found[variable_of(step.goal).symbol.name] = numbers[step.id]
        return found

    def _suppose(self) -> None:
        why = (
            "what lies behind z of layer n+1 acts through the gradient there alone, so the loss "
            "may stand for any function of it with this gradient"
        )
        given = Stage(_delta(self.behind), "induction hypothesis", why)
        self.collected.note(STEP, self._gradient(shifted(LAYER, 1)), [given], [])

    def _gradient(self, place: str) -> Expression:
        """∂L/∂z of a layer."""
        return jacobian(self.last.loss, at(self.z, {LAYER: place}))

    def _matrix(self, step: Step) -> Expression:
        """The M of ∂L/∂z_n = M δ_{n+1}, from the first line without a Jacobian to be worked out."""
        delta = _delta(self.behind)
        known = next(
            stage.expression
            for stage in step.stages
            if all(node.operation != "jacobian" for node in walk(stage.expression))
        )
        return matrix_of(known, delta)

    def _conclude(self, layer: int, last: int, result: Expression | None = None) -> int:
        """A gradient of every layer: both cases say the same, or one starts and one goes on."""
        step, rule = self.collected[layer], "by induction from N, for n below N"
        if result is None:
            result, rule = step.result, "by induction"
            if at(self.collected[last].result, {DEPTH: LAYER}) is not result:
                raise InputError(f"the last layer is no case of {result!r}")
        why = "it holds for N, and for n wherever it holds for n+1"
        return self.collected.note(INDUCTION, step.goal, [Stage(result, rule, why)], [last, layer])

    def _unroll(self, matrix: Expression, last: int, recursion: int) -> int:
        """δ_n = (∏ M_k) δ_N: claimed for layer n+1, then so for layer n; for N it is plain."""
        factor = at(matrix, {LAYER: FACTOR})
        end = _delta(at(self.z, {LAYER: DEPTH}))

        def claim(place: str) -> Expression:
            product = index_product(factor, FACTOR, place, shifted(DEPTH, -1))
            return matmul(product, end)

        start = Stage(claim(DEPTH), "empty product", "the product of no factors is I")
        first = self.collected.note(UNROLLED, self._gradient(DEPTH), [start], [last])
        behind = shifted(LAYER, 1)
        supposed = matmul(matrix, claim(behind))
        whole = absorbed(supposed)
        if whole is not claim(LAYER):
            raise InputError(f"{supposed!r} is not the product over one layer more")
        stages = [
            Stage(matmul(matrix, self._gradient(behind)), "recursion", "for n below N"),
            Stage(supposed, "the product, for layer n+1", "the claim, supposed for layer n+1"),
            Stage(whole, "one factor more", "the factor of layer n stands leftmost"),
        ]
        second = self.collected.note(UNROLLED, self._gradient(LAYER), stages, [recursion])
        product, vector = whole.arguments
        in_order = matmul(spelled_out(product), vector)
        stages = [
            Stage(in_order, "by induction", "it holds for N, and for n wherever it holds for n+1"),
            Stage(whole, "as a product", "its factors from left to right as k grows"),
        ]
        return self.collected.note(UNROLLED, self._gradient(LAYER), stages, [first, second])


def _worked_out(system: System, strategy: Strategy) -> list[Step]:
    """The engine's steps for the first layer of a system, with δ of a layer named after it."""
    wanted = [variable.symbol.name for variable in system.equations[0].differentiable]
    steps = derive(system, strategy=strategy, wrt=wanted).steps
    known = {s.name.symbol.name: _delta(variable_of(s.goal)) for s in steps if s.name is not None}
    for value in system.symbols:
        if _letters(value) == "x":
            known[value.symbol.name] = symbol(value.symbol.name, Kind.VARIABLE, value.shape)
    return [step_at(step, {}, known) for step in steps]


def _delta(variable: Expression) -> Expression:
    """The name of the gradient of z_n, δ_n."""
    parts = split_subscript(variable.symbol.name)
    assert parts is not None
    return symbol(f"delta_{parts[1]}", Kind.GRADIENT, variable.shape)


def _letters(named: Expression) -> str:
    parts = split_subscript(named.symbol.name)
    return parts[0] if parts is not None else named.symbol.name


def _subscript(named: Expression) -> str:
    parts = split_subscript(named.symbol.name)
    return parts[1] if parts is not None else ""


def _sides(goal: Expression) -> tuple[Expression, ...]:
    """What is differentiated and by what."""
    data = goal.data if isinstance(goal.data, tuple) else ()
    return tuple(side for side in data if isinstance(side, Expression))


def _mentioned(step: Step) -> set[Expression]:
    """Every symbol of a step, those inside derivatives that are not worked out among them."""
    pending = [step.goal, *(stage.expression for stage in step.stages)]
    found: set[Expression] = set()
    while pending:
        for node in walk(pending.pop()):
            if node.operation == "symbol":
                found.add(node)
            pending.extend(_sides(node))
    return found


def _exists(named: Expression, known: Mapping[str, Expression], depth: int) -> bool:
    """Whether a network has this symbol; one without a number for a subscript does not say."""
    place = _subscript(named)
    if named.symbol.kind is Kind.GRADIENT:
        return 1 <= int(place) <= depth
    return not place.lstrip("-").isdigit() or named.symbol.name in known
