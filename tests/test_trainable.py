"""What training sees of a model: how a table's columns and sizes go into equations."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import workbench as wb
from workbench.core.evaluate import evaluate
from workbench.core.sample_loop import SampleLoop
from workbench.core.trainable import Trainable, trainable_equations, trainable_network
from workbench.derivation.differentiate import derive
from workbench.derivation.steps import variable_of
from workbench.errors import InputError
from workbench.notation.text import text

Array = NDArray[Any]
EXAMPLES = Path(__file__).parents[1] / "examples"

LAYERS = """
input x : n, t : 1
target y : k
parameter W : m×n, b : m, V : k×m, c : 1
h = tanh(W x + t b)
p = V h + c
r = p − y
q = lambda ‖V‖²
L = ‖r‖² + q
"""
"""lambda is not declared, so it is an input; it stands behind those that are."""


def model(source: str, columns: str = "a b c", targets: int = 1, **options: Any) -> Trainable:
    system = wb.equations(source)
    return trainable_equations(system, source, columns=columns.split(), targets=targets, **options)


def test_inputs_take_columns_in_order() -> None:
    found = model(LAYERS, "a b c d", 2, sizes={"m": 5}, values={"lambda": Fraction(1, 10)})
    assert [(p.symbol.symbol.name, p.shape, p.columns) for p in found.inputs] == [
        ("X", (3,), slice(0, 3)),
        ("t", (), slice(3, 4)),
    ]
    assert [(p.shape, p.columns) for p in found.targets] == [((2,), slice(0, 2))]
    assert found.parameters == {"W": (5, 3), "b": (5,), "V": (2, 5), "c": ()}
    assert found.system.sizes == {"m": 5, "n": 3, "k": 2}
    assert found.input_columns == ("a", "b", "c", "d")
    assert found.output is not None
    assert (found.output.symbol.name, found.outputs) == ("P", 2)
    rows = np.arange(8.0).reshape(2, 4)
    assert found.inputs[0].of(rows).tolist() == [[0, 1, 2], [4, 5, 6]]
    assert found.inputs[1].of(rows).tolist() == [3, 7]


def test_named_columns_go_to_their_input() -> None:
    chosen = {"t": ["b"], "x": ["d", "a"]}
    values = {"lambda": Fraction(0)}
    found = model(LAYERS, "a b c d", 2, sizes={"m": 5}, values=values, chosen=chosen)
    assert found.input_columns == ("d", "a", "b")
    assert found.parameters["W"] == (5, 2)
    found = model(LAYERS, "a b c d", 2, sizes={"m": 5}, values=values, chosen={"t": ["b"]})
    assert found.input_columns == ("a", "c", "d", "b")


def test_values_stand_in_the_equations() -> None:
    fixed = model(
        "input x : n, h : n\ntarget y : 1\nparameter w : n\np = w' (x + h)\nL = (p − y)^2",
        "a b",
        values={"h": Fraction(3, 2)},
    )
    assert [p.symbol.symbol.name for p in fixed.inputs] == ["X"]
    assert "3/2" in text(fixed.system.equations[0].right)


def test_equations_of_a_batch_stay_as_they_are() -> None:
    source = (EXAMPLES / "regression.eq").read_text(encoding="utf-8")
    found = model(source, "a b", values={"lambda": Fraction(1, 2)})
    assert found.system.equations[0] == wb.equations(source).equations[0]
    assert (found.parameters, found.outputs, found.weights) == ({"w": (2,)}, 1, None)
    assert [(p.symbol.symbol.name, p.shape) for p in found.targets] == [("y", ())]


def test_one_formula_is_split_into_its_parts() -> None:
    found = model("target y : m\nparameter W : m×n, b : m\nL = ‖tanh(W x + b) − y‖²", "a b", 3)
    assert found.output is not None
    assert found.output.symbol.name == "A"


@pytest.mark.parametrize(
    ("loss", "predicted"),
    [
        ("(w' x - y)^2", "w' x"),
        ("(2 y - w' x - 1)^2", "w' x / 2 + 1 / 2"),
        ("sin(w' x)^2 + (w' x - y)^2", "w' x"),
    ],
)
def test_what_a_target_is_subtracted_from_is_the_prediction(loss: str, predicted: str) -> None:
    declared = "target y : 1\nparameter w : n\n"
    first, *others = model(f"{declared}L = {loss}", "a b").system.equations
    stated = model(f"{declared}p = {predicted}\nL = (p - y)^2", "a b").system.equations[0]
    assert (first, others[-1].left.symbol.name) == (stated, "L")


def test_a_cell_predicts_what_it_is_held_to() -> None:
    """Not its last state, which no target goes into either."""
    source = (EXAMPLES / "rnn.eq").read_text(encoding="utf-8")
    options: Any = {"sizes": {"m": 3}, "values": {"h0": Fraction(0)}}
    found = model(source, "a b c d e f", 2, **options)
    assert found.output is not None
    assert (found.output.symbol.name, found.outputs) == ("P", 2)
    assert found.meets_targets


def test_networks() -> None:
    network = wb.network("4-3:relu-2:softmax")
    plain, weighted = trainable_network(network), trainable_network(network, weighted=True)
    assert plain.system.equations == network.system(batch=True).equations
    assert plain.parameters == {"W1": (3, 4), "b1": (3,), "W2": (2, 3), "b2": (2,)}
    assert plain.output is not None
    assert (plain.output.symbol.name, plain.outputs, plain.weights) == ("X2", 2, None)
    assert weighted.weights is not None
    assert [p.symbol.symbol.name for p in weighted.targets] == ["Y"]


@pytest.mark.parametrize(
    ("source", "columns", "targets", "options", "message"),
    [
        ("L = (w' x - y)^2", "a b", 1, {}, "no parameter; declare it .* `parameter W"),
        ("parameter w : n\nL = (w' x - y)^2", "a b", 3, {}, "no target; declare .* `target y : 3`"),
        (LAYERS, "a b c", 2, {}, "size m of W (m×n) does not follow .*: --size m=16"),
        (LAYERS, "a b c", 2, {"sizes": {"M": 3}}, "no size 'M'; known: k, m, n"),
        (LAYERS, "a b c", 2, {"sizes": {"m": 0}}, "size m = 0; expected a whole number from 1"),
        (LAYERS, "a b c", 2, {"sizes": {"m": 3, "n": 4}}, "take 6 columns, and there are 3"),
        (LAYERS, "a b", 2, {"sizes": {"m": 3}}, "take 2 . n columns, and there are 2 besides"),
        (LAYERS, "a b c", 2, {"values": {"lamda": 1}}, "'lamda', which is no input; did you mean"),
        (LAYERS, "a b c", 2, {"chosen": {"z": ["a"]}}, "'z', which is no input"),
        (LAYERS, "a b c", 2, {"chosen": {"t": ["z"]}}, "input t: there is no column 'z'"),
        (LAYERS, "a b c", 2, {"chosen": {"t": ["a", "a"]}}, "column 'a' is given .* twice"),
        (LAYERS, "a b c", 2, {"chosen": {"t": ["a", "b"]}}, "take 1 columns, and there are 2"),
        ("target y : 1\nparameter w : n, v : m\nL = (w' x + v' z - y)^2", "a b c", 1, {},
         "n of x .* name its columns: --input x=a,b"),
        ("input X : B×m, c : 1\ntarget y : B\nparameter w : m\nL = c ‖X w − y‖²", "a b", 1, {},
         "c is 1×1, the same for every sample .*: --set c=0.1"),
        ("input X : B×m\ntarget y : B\nparameter w : m\nL = ‖X w − y‖²", "a b", 1,
         {"weighted": True}, "weights of samples need the equations of one sample"),
    ],
)  # fmt: skip
def test_what_is_refused(
    source: str, columns: str, targets: int, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message.replace("(m×n)", r"\(m×n\)")):
        model(source, columns, targets, **options)


def test_what_has_no_prediction_says_how_to_give_one() -> None:
    with pytest.raises(InputError, match="an equation of its own, such as p = W x"):
        model("target y : 1\nparameter w : n\nL = exp(-y (w' x))", "a b").require_prediction()


def test_a_loop_over_samples_gives_the_mean() -> None:
    """Attention, by plain evaluation of one sample at a time."""
    source = (EXAMPLES / "attention.eq").read_text(encoding="utf-8")
    names = " ".join(f"c{place}" for place in range(6))
    found = model(source, names, 6, sizes={"n": 2, "k": 4})
    output = found.output
    assert output is not None and not found.is_batch
    backward = derive(found.system).backward
    random = np.random.default_rng(3)
    parameters = {
        p: random.normal(size=found.parameters[p.symbol.name]) for p in found.system.parameters
    }
    gradients = np.empty(sum(map(np.size, parameters.values())))

    def known(*sample: Array) -> dict[Any, Array]:
        values = {
            **parameters,
            **{p.symbol: v for p, v in zip((*found.inputs, *found.targets), sample, strict=False)},
        }
        equations = found.system.equations if len(sample) == 2 else found.system.equations[:-1]
        for equation in equations:
            values[equation.left] = evaluate(equation.right, values, found.system.sizes)
        return values

    def step(*sample: Array) -> float:
        values = known(*sample)
        for equation in backward:
            values[equation.left] = evaluate(equation.right, values, found.system.sizes)
        by_name = {
            variable_of(e.left): values[e.left] for e in backward if e.left.operation == "jacobian"
        }
        gradients[:] = np.concatenate([by_name[p].reshape(-1) for p in parameters])
        return float(values[found.system.loss].item())

    loop = SampleLoop(
        found,
        step=step,
        forward=lambda *s: float(known(*s)[found.system.loss].item()),
        predict=lambda *s: known(*s)[output],
        gradients=gradients,
        batch_size=3,
    )
    inputs, targets = random.normal(size=(2, 3, 6))
    rows = [
        (step(i.reshape(3, 2), t.reshape(3, 2)), gradients.copy())
        for i, t in zip(inputs, targets, strict=True)
    ]
    losses, each = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    assert loop.step(inputs, targets) == pytest.approx(losses.mean(), 1e-14)
    np.testing.assert_allclose(gradients, each.mean(axis=0), 1e-13)
    assert loop.forward(inputs, targets) == pytest.approx(losses.mean(), 1e-14)
    weights = np.array([0.5, 0.0, 2.0])
    assert loop.step(inputs, targets, weights) == pytest.approx(losses @ weights, 1e-14)
    np.testing.assert_allclose(gradients, weights @ each, 1e-13)
    expected = [known(row.reshape(3, 2))[output].reshape(-1) for row in inputs]
    np.testing.assert_allclose(loop.predict(inputs), expected, 1e-14)
