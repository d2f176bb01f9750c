"""A network of symbolic depth, and one layer of any size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from workbench.calculus.algebra import add, multiply, negate
from workbench.calculus.dimensions import ONE, Dimension
from workbench.calculus.expressions import Expression, Kind, identity, jacobian, symbol
from workbench.calculus.functions import COS, Function, undetermined
from workbench.calculus.matrices import diag, kron, matmul, transpose
from workbench.core.checks.induction import verify_depth
from workbench.core.checks.verify import verify
from workbench.core.evaluate import evaluate
from workbench.derivation.induction import (
    INDUCTION,
    STEP,
    UNROLLED,
    DepthDerivation,
    derive_depth,
    layers,
)
from workbench.derivation.layer import BY_ENTRIES, BY_PULLBACK, BY_VEC, derive_layer
from workbench.derivation.layout import Layout, in_layout
from workbench.derivation.steps import ELEMENTWISE, Step, Strategy, Tier
from workbench.derivation.subscripts import at, index_product, shifted, split_subscript
from workbench.errors import InputError
from workbench.notation.document import document
from workbench.notation.formats import as_text
from workbench.notation.render import Renderer
from workbench.plugins.build import build_function, build_loss, build_strategy
from workbench.plugins.registry import load_registry
from workbench.tensors.entries import delta, entry

REGISTRY = load_registry()
STRATEGIES = [build_strategy(n, REGISTRY) for n in ("elementwise", "diagonal", "kronecker")]
SIGMOID = build_function("sigmoid", REGISTRY)


def derived(
    activation: Function | str = SIGMOID,
    loss: str = "half_squared_error",
    strategy: Strategy = ELEMENTWISE,
) -> DepthDerivation:
    function = build_function(activation, REGISTRY) if isinstance(activation, str) else activation
    return derive_depth(function, build_loss(loss, REGISTRY), strategy)


@pytest.fixture(scope="module")
def plain() -> DepthDerivation:
    return derived()


def in_layer(name: str, place: str, columns: str = "") -> Expression:
    """z, x, b, δ or W of a layer as the derivation writes it."""
    kinds = {"z": Kind.INTERMEDIATE, "x": Kind.VARIABLE, "delta": Kind.GRADIENT}
    wide = Dimension.named(f"m_{columns}") if columns else ONE
    kind = kinds.get(name, Kind.PARAMETER)
    return symbol(f"{name}_{place}", kind, (Dimension.named(f"m_{place}"), wide))


def factor(place: str) -> Expression:
    behind = shifted(place, 1)
    weight = in_layer("W", behind, place)
    return matmul(diag(SIGMOID.prime(in_layer("z", place))), transpose(weight))


def test_every_line_holds_in_networks_of_one_to_five_layers(plain: DepthDerivation) -> None:
    verified = verify_depth(plain)
    assert not verified.failed
    for step in verified.steps:
        if not step.is_definition:
            assert step.check is not None
            assert {Tier.SHAPES, Tier.FLOAT64, Tier.EXACT} <= set(step.check.tiers)
            assert [draw["N"] for draw in step.check.sizes] == [1, 2, 3, 4, 5]
            assert step.check.max_relative_error < 1e-12


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
@pytest.mark.parametrize(
    ("activation", "loss"),
    [
        ("relu", "half_squared_error"),
        ("softmax", "cross_entropy"),
        ("identity", "huber"),
        ("gelu", "half_squared_error"),
        (undetermined("f"), "half_squared_error"),
        (COS, "half_squared_error"),
    ],
)
def test_any_activation_loss_and_strategy(
    activation: Function | str, loss: str, strategy: Strategy
) -> None:
    verified = verify_depth(derived(activation, loss, strategy), depths=(1, 3), seeds=(0,))
    assert not verified.failed
    assert all(step.check for step in verified.steps if not step.is_definition)


def test_the_recursion_and_the_product_are_those_of_the_notes(plain: DepthDerivation) -> None:
    said = {(step.section, step.goal): step.result for step in plain.steps}
    loss = plain.system.loss
    z, w, b = in_layer("z", "n"), in_layer("W", "n", "n-1"), in_layer("b", "n")
    delta_n = in_layer("delta", "n")
    recursion = matmul(factor("n"), in_layer("delta", "n+1"))
    assert said[INDUCTION, jacobian(loss, z)] is recursion
    assert said[INDUCTION, jacobian(loss, b)] is delta_n
    outer = matmul(delta_n, transpose(in_layer("x", "n-1")))
    assert said[INDUCTION, jacobian(loss, w)] is outer
    product = index_product(factor("k"), "k", "n", "N-1")
    assert said[UNROLLED, jacobian(loss, z)] is matmul(product, in_layer("delta", "N"))


def test_a_step_speaks_of_each_layer_it_can(plain: DepthDerivation) -> None:
    counts = {step.id: len(list(plain.instances(step, 5))) for step in plain.steps}
    claim, recursion = plain.results[0], plain.steps[plain.results[1].id - 2]
    assert (claim.section, recursion.section) == (UNROLLED, INDUCTION)
    assert (counts[claim.id], counts[recursion.id]) == (5, 4)
    assert all(counts[step.id] == 4 for step in plain.steps if step.section == STEP and step.name)
    assert not list(plain.instances(recursion, 1))


def test_the_product_against_numpy_alone(plain: DepthDerivation) -> None:
    """dL/dz of layer 2 of 4, by the complex step through a forward pass written here."""
    random = np.random.default_rng(7)
    widths = [3, 4, 2, 5, 6]
    weights = [random.normal(size=pair) for pair in zip(widths[1:], widths, strict=False)]
    target = random.normal(size=(widths[-1], 1))

    def forward(z: np.ndarray) -> tuple[list[np.ndarray], complex]:
        values = [z]
        for weight in weights[2:]:
            values.append(weight @ (1 / (1 + np.exp(-values[-1]))))
        error = 1 / (1 + np.exp(-values[-1])) - target
        return values, 0.5 * np.sum(error**2)

    z = random.normal(size=(widths[2], 1))
    truth = [np.imag(forward(z + 1e-30j * unit[:, None])[1]) / 1e-30 for unit in np.eye(len(z))]
    values, _ = forward(z)
    known = {s.symbol.name: s for s in layers(plain.activation, plain.loss, 4).symbols}
    claim = at(plain.gradients[in_layer("z", "n")], {"n": "2", "N": "4"}, known)
    environment = {known[f"z{place + 2}"]: value for place, value in enumerate(values)}
    environment |= {known["W3"]: weights[2], known["W4"]: weights[3]}
    out = 1 / (1 + np.exp(-values[-1]))
    last = at(in_layer("delta", "N"), {"N": "4"})
    environment[last] = (out - target) * out * (1 - out)
    found = evaluate(claim, environment, {f"m_{place}": w for place, w in enumerate(widths)})
    np.testing.assert_allclose(found[:, 0], truth, rtol=1e-12)


def changed(step: Step, result: Expression) -> Step:
    return replace(step, stages=(replace(step.stages[-1], expression=result),))


def mutants(step: Step) -> dict[str, Expression]:
    """Wrong claims about δ_n, as the product over a wrong factor or range or to a wrong end."""
    weight, end = transpose(in_layer("W", "k+1", "k")), in_layer("delta", "N")
    z, slope = in_layer("z", "k"), SIGMOID.prime

    def over(body: Expression, first: str = "n", last: str = "N-1") -> Expression:
        return matmul(index_product(body, "k", first, last), end)

    return {
        "no σ′": over(weight),
        "σ for σ′": over(matmul(diag(SIGMOID(z)), weight)),
        "σ′ behind": over(matmul(weight, diag(slope(in_layer("z", "k+1"))))),
        "a sign": negate(step.result),
        "a factor of two": add(step.result, step.result),
        "one factor short": over(factor("k"), "n+1"),
    }


MUTANTS = ["no σ′", "σ for σ′", "σ′ behind", "a sign", "a factor of two", "one factor short"]


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_wrong_claim_fails(plain: DepthDerivation, mutant: str) -> None:
    claim = plain.results[0]
    wrong = changed(claim, mutants(claim)[mutant])
    verified = verify_depth(replace(plain, steps=(*plain.steps[:-1], wrong)), (1, 2, 3), (0,))
    assert [step.id for step in verified.failed] == [claim.id]


def test_a_wrong_recursion_and_a_wrong_weight_gradient_fail(plain: DepthDerivation) -> None:
    steps = list(plain.steps)
    recursion = next(step for step in steps if step.section == INDUCTION)
    weights = plain.results[1]
    transposed = transpose(in_layer("W", "n+1", "n"))
    steps[recursion.id - 1] = changed(recursion, matmul(transposed, in_layer("delta", "n+1")))
    steps[weights.id - 1] = changed(weights, negate(weights.result))
    verified = verify_depth(replace(plain, steps=tuple(steps)), (2, 3), (0,))
    assert [step.id for step in verified.failed] == [recursion.id, weights.id]


def test_a_claim_about_no_layer_fails(plain: DepthDerivation) -> None:
    claim = plain.results[0]
    nowhere = at(in_layer("delta", "n"), {"n": "n+9"})
    wrong = replace(changed(claim, nowhere), goal=jacobian(plain.system.loss, in_layer("z", "n+9")))
    verified = verify_depth(replace(plain, steps=(*plain.steps[:-1], wrong)), (1, 2), (0,))
    assert [step.id for step in verified.failed] == [claim.id]


def test_numerator_layout_holds_too(plain: DepthDerivation) -> None:
    turned = in_layout(plain, Layout.NUMERATOR)
    assert isinstance(turned, DepthDerivation)
    assert not verify_depth(turned, (1, 3), (0,)).failed


def test_subscripts_move_and_products_fit() -> None:
    assert split_subscript("net") is None
    assert shifted("n+1", -2) == "n-1"
    body = factor("k")
    product = index_product(body, "k", "n", "N-1")
    assert at(product, {"n": "N"}) is identity(Dimension.named("m_N"))
    assert at(product, {"n": "N-2"}).data == ("k", "N-2", "N-1")
    assert at(product, {"n": "1", "N": "3"}) is matmul(
        at(factor("k"), {"k": "1"}), at(factor("k"), {"k": "2"})
    )
    with pytest.raises(InputError, match="do not fit"):
        index_product(transpose(body), "k", "n", "N")
    with pytest.raises(InputError, match="no factors"):
        at(product, {"n": "5", "N": "2"})


@pytest.mark.skipif(not hasattr(Renderer, "_index_product"), reason="∏ has no look yet")
def test_the_product_as_text(plain: DepthDerivation) -> None:
    shown = as_text(document(plain, "N layers", Layout.DENOMINATOR))
    assert "∂L/∂zₙ = (∏_{k=n…N−1} diag(σ′(zₖ)) Wₖ₊₁ᵀ) δ_N" in shown
    assert "diag(σ′(zₙ)) Wₙ₊₁ᵀ diag(σ′(zₙ₊₁)) Wₙ₊₂ᵀ ⋯ diag(σ′(z_{N−1})) W_Nᵀ δ_N" in shown


# one layer


@pytest.mark.parametrize("activation", [None, "sigmoid", "softmax", "relu"])
def test_a_layer_and_its_batch_hold(activation: str | None) -> None:
    function = build_function(activation, REGISTRY) if activation else None
    for derivation in derive_layer(function, STRATEGIES):
        assert not verify(derivation).failed
        for laid_out in Layout:
            turned = verify(in_layout(derivation, laid_out), seeds=(1,))
            assert all(s.check and s.check.passed for s in turned.steps if not s.is_definition)


def test_the_weight_gradient_three_ways_is_one() -> None:
    layer, _ = derive_layer(strategies=STRATEGIES)
    (W,) = (p for p in layer.gradients if p.symbol.name == "W")
    ways = [step for step in layer.steps if step.goal is jacobian(layer.system.loss, W)]
    assert [step.section for step in ways] == [BY_ENTRIES, BY_PULLBACK, BY_VEC]
    assert len({step.result for step in ways}) == 1
    by_vec = ways[-1].stages[-2].expression
    assert (by_vec.operation, by_vec.arguments[0].arguments[0].operation) == ("devec", "kron")


def test_the_third_order_tensor_and_its_matrix() -> None:
    layer, _ = derive_layer(strategies=STRATEGIES)
    known = {s.symbol.name: s for s in layer.system.symbols}
    said = {step.goal: step.result for step in layer.steps}
    W, x, z, a = (known[name] for name in "Wxza")
    tensor = said[jacobian(entry(z, "k"), entry(W, "i", "j"))]
    assert tensor is multiply(delta("i", "k"), entry(x, "j"))
    assert said[jacobian(z, W)] is kron(x, identity(z.shape[0]))
    assert said[jacobian(z, x)] is transpose(W)
    assert said[jacobian(z, known["b"])] is identity(z.shape[0])
    g, slope = known["g"], undetermined("f").prime(z)
    assert said[jacobian(a, z)] is diag(slope)
    assert said[matmul(diag(slope), g)].form == multiply(slope, g).form


def test_a_batch_in_the_form_of_the_notes() -> None:
    _, batch = derive_layer()
    known = {s.symbol.name: s for s in batch.system.symbols}
    W, X, G = (known[name] for name in "WXG")
    said = {step.goal: step.result for step in batch.steps}
    assert said[jacobian(batch.system.loss, W)] is matmul(G, transpose(X))
    assert said[jacobian(batch.system.loss, X)] is matmul(transpose(W), G)
    assert as_text(document(batch, "A batch", Layout.DENOMINATOR)).count("∂L/∂b = G 𝟏 ") == 2
