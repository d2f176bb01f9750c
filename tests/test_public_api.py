"""The public names, and what importing them costs."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import workbench as wb
from workbench.core.data import load
from workbench.core.inference import ForwardPass
from workbench.core.schedules import Schedule

XOR = Path(__file__).parents[1] / "examples" / "data" / "xor.csv"

NAMES = [
    *("Activation", "Derivation", "Detail", "Expression", "Function", "JacobianStrategy"),
    *("Layout", "Loss", "Model", "Network", "Program", "WorkbenchError", "derive"),
    *("derive_depth", "derive_layer", "equations", "gradcheck", "hookimpl", "load", "network"),
    *("program", "prove", "read_equations", "train"),
]

HEAVY = ("numpy", "scipy", "matplotlib", "sympy", "torch")


def test_public_names_are_these() -> None:
    assert sorted(wb.__all__) == sorted(NAMES)
    for name in NAMES:
        assert getattr(wb, name).__doc__


def test_importing_workbench_is_light() -> None:
    code = f"import sys, workbench; print([n for n in {HEAVY} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_derivation_shows_itself_in_a_notebook() -> None:
    shown = wb.derive(wb.network("2-1"))._repr_markdown_()
    assert "$$" in shown
    assert r"\frac{\partial L}{\partial W_{1}}" in shown


def test_choices_are_given_by_name_as_well() -> None:
    network = wb.network("2-2-1")
    by_name = wb.derive(network, layout="numerator", detail="Full")
    assert (by_name.layout, by_name.detail) == (wb.Layout.NUMERATOR, wb.Detail.FULL)
    assert by_name.text() == wb.derive(network, layout=by_name.layout, detail=by_name.detail).text()
    assert wb.derive(network, layout="denominator").text() == wb.derive(network).text()


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ({"layout": "numerater"}, "unknown layout 'numerater'; did you mean numerator"),
        ({"detail": "ful"}, "unknown detail 'ful'; did you mean full"),
        ({"form": "matrx"}, "unknown form 'matrx'; did you mean matrix"),
        ({"wrt": "W3"}, "no symbol is called 'W3'"),
    ],
)
def test_an_unknown_choice_is_refused_by_name(choice: dict[str, str], told: str) -> None:
    with pytest.raises(wb.WorkbenchError, match=told):
        wb.derive(wb.network("2-2-1"), **choice)  # type: ignore[arg-type]


def test_one_name_needs_no_list() -> None:
    derivation = wb.derive(wb.network("2-2-1"), wrt="W1")
    assert [parameter.symbol.name for parameter in derivation.gradients] == ["W1"]
    verdicts = wb.gradcheck(wb.network("2-2-1"), strategies="kronecker", method="central")
    assert {(v.strategy, v.method) for v in verdicts} == {("kronecker", "central")}


def test_a_gradient_is_told_in_the_layout_of_its_document() -> None:
    derivation = wb.derive(wb.network("2-2-1"), layout="numerator")
    assert f"∂L/∂W₁ = {derivation.gradient_text('W1')} " in derivation.text()
    assert derivation.gradient_text("W1") == "x₀ δ₁"


def test_a_program_takes_its_strategy_by_name() -> None:
    program = wb.program(wb.network("2-2-1"), batch_size=2, strategy="kronecker", dtype="float32")
    assert program.derivation.strategy.name == "kronecker"
    assert program.parameters.dtype == np.float32
    for unknown in {"strategy": "kroneker"}, {"dtype": "float63"}, {"dtype": "int64"}:
        with pytest.raises(wb.WorkbenchError, match="unknown"):
            wb.program(wb.network("2-2-1"), batch_size=2, **unknown)  # type: ignore[arg-type]


def test_a_program_refuses_arrays_of_another_shape() -> None:
    """Targets (4,) would be broadcast against outputs (4, 1) and give another loss."""
    program = wb.program(wb.network("2-2-1"), batch_size=4)
    inputs, targets = np.ones((4, 2)), np.ones((4, 1))
    for call in program.step, program.forward:
        call(inputs, targets)
        with pytest.raises(wb.WorkbenchError, match=r"targets of shape \(4,\); .* \(4, 1\)"):
            call(inputs, targets[:, 0])
        with pytest.raises(wb.WorkbenchError, match=r"inputs of shape \(3, 2\); .* \(4, 2\)"):
            call(inputs[:3], targets)
    with pytest.raises(wb.WorkbenchError, match="inputs of shape"):
        program.predict(inputs[0])


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"kinks": [0.0]}, "kinks must be a tuple of finite numbers"),
        ({"kinks": (float("nan"),)}, "kinks must be a tuple of finite numbers"),
        ({"symbol": 3}, "symbol 3 must be letters"),
    ],
)
def test_a_record_with_a_wrong_field_is_refused(fields: dict[str, object], told: str) -> None:
    with pytest.raises(wb.WorkbenchError, match=told):
        wb.Activation(name="mine", formula="z", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"epoch": 2}, "unknown setting 'epoch'; did you mean epochs"),
        ({"taget": "y"}, "unknown setting 'taget'; did you mean target"),
        ({"standardise": "no"}, "standardise = 'no'; expected true or false"),
        ({"schedule": "cosin"}, "unknown schedule 'cosin': did you mean cosine"),
        ({"schedule": {"kind": []}}, r"unknown schedule \[\]"),
        ({"schedule": 3}, "schedule 3; expected a table"),
        ({"strategy": "kroneker"}, "unknown strategy 'kroneker': did you mean kronecker"),
        ({"strategy": 5}, "strategy = 5; expected text"),
        ({"class_weights": {"0": "x"}}, "class_weights.0 = 'x'; expected a number"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(setting: dict[str, object], told: str) -> None:
    with pytest.raises(wb.WorkbenchError, match=told):
        wb.train(wb.network("2-2-1"), XOR, **setting)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"target": 3}, "there is no column '3' for the target; known: x0, x1, y"),
        ({"ignore": [1.5]}, "1.5 is no name; expected a text, or a column's number"),
        ({"sizes": {"k": 2}}, "sizes are given for the network 2-2:sigmoid-1:sigmoid; they are"),
        ({"inputs": {"x": ["x0"]}}, "inputs are given for the network"),
        ({"values": {"c": 1}}, "values are given for the network"),
    ],
)
def test_what_training_has_no_use_for_is_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(wb.WorkbenchError, match=told):
        wb.train("2-2-1", XOR, **given)


@pytest.mark.parametrize(
    "given", [{"target": "y"}, {"ignore": ["x9"]}, {"missing": "qqq"}, {"header": False}]
)
def test_a_data_set_is_no_file_to_be_read(given: dict[str, Any]) -> None:
    with pytest.raises(wb.WorkbenchError, match="says how a file is read, and the data are none"):
        wb.train("2-2-1", load(XOR), **given)


@pytest.mark.parametrize("kind", ["numbers", "classes", "text", "columns"])
def test_arrays_are_those_of_an_archive(kind: str, tmp_path: Path) -> None:
    generator = np.random.default_rng(5)
    inputs = generator.normal(size=(30, 4))
    labels = generator.integers(3, size=30)
    targets, network = {
        "numbers": (generator.normal(size=30), "4-1:identity"),
        "classes": (labels, "4-3:softmax"),
        "text": (np.array(["a", "b", "c"])[labels], "4-3:softmax"),
        "columns": (generator.normal(size=(30, 2)).astype("f4"), "4-2:identity"),
    }[kind]
    np.savez(tmp_path / "data.npz", X=inputs, y=targets)
    file, arrays, lists = (
        wb.train(network, data, epochs=3, validation=0.2)
        for data in (
            tmp_path / "data.npz",
            (inputs, targets),
            (inputs.tolist(), targets.astype(object)),
        )
    )
    assert list(file) == list(arrays) == list(lists)
    assert file.preparation.to_json() == arrays.preparation.to_json()
    model = wb.Model(file.preparation, ForwardPass(file.model, file.parameters))
    scores = model.evaluate(tmp_path / "data.npz")
    assert model.evaluate((inputs, targets)).to_json() == scores.to_json()


def test_arrays_hold_the_columns_of_training_in_order(tmp_path: Path) -> None:
    """Also where a file had names, and others in between that are ignored."""
    table = tmp_path / "table.csv"
    table.write_text("a,id,name,b\n1,p,rose,4\n2,q,iris,3\n4,r,rose,1\n")
    training = wb.train("2-2:softmax", table, target="name", ignore="id", epochs=2)
    list(training)
    model = wb.Model(training.preparation, ForwardPass(training.model, training.parameters))
    inputs, names = np.array([[1, 4], [2, 3], [4, 1]]), ["rose", "iris", "rose"]
    assert model.evaluate((inputs, names)).to_json() == model.evaluate(table).to_json()
    wrong: list[tuple[Any, str]] = [
        ((inputs, ["rose", "iris", "lily"]), "row 3, .*: 'lily' is no class of the training"),
        ((inputs[:, :1], names), "X and y have 1 and 1 columns; expected 2 and 1 as in training"),
        ((np.where(inputs > 3, np.nan, inputs), names), "row 3, a: missing value 'nan'"),
    ]
    for data, told in wrong:
        with pytest.raises(wb.WorkbenchError, match=told):
            model.evaluate(data)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (np.eye(300), "the data are of type ndarray; expected a file, a data set"),
        ({"X": [[1.0, 2.0]] * 999}, "the data are of type dict; expected a file"),
        ((np.eye(2), [1, 2], [3, 4]), "the data are of type tuple of 3; expected a file"),
        (([[1], [2, 3]], [1, 2]), "the arrays: X is no array, but of type list; expected plain"),
        ((np.eye(2), [{}, {}]), "the arrays: y: an array of object; expected plain numbers"),
        ((np.eye(3), [1, 2]), "the arrays: X has 3 samples, y has 2"),
        ((np.eye(3)[0], [1, 2, 3]), r"the arrays: X has shape \(3,\); expected \(samples, feat"),
        (([[1, np.inf], [3, 4]], [1, 2]), "the arrays: row 1, column_2: 'inf' is not a finite"),
        (([[1, 2], [3, 4]], [7, 7]), "end the network with 1; every value of that column is 7$"),
    ],
)
def test_data_of_another_kind_are_refused_in_one_line(data: Any, told: str) -> None:
    with pytest.raises(wb.WorkbenchError, match=told) as caught:
        wb.train("2-2", data)
    assert len(str(caught.value)) < 200
    assert "\n" not in str(caught.value)


def test_missing_inputs_of_arrays_are_filled() -> None:
    data = [[1.0, 2.0], [np.nan, 4.0], [3.0, 6.0]], [0.0, 1.0, 2.0]
    training = wb.train("2-1:identity", data, missing="mean")
    assert training.preparation.mean.tolist() == [2.0, 4.0]
    with pytest.raises(wb.WorkbenchError, match=r"target = .* says how a file is read"):
        wb.train("2-1:identity", data, target="y")


def test_numbers_of_numpy_are_those_of_python(tmp_path: Path) -> None:
    text = "parameter W : k×n, v : k; input x : n, c : 1; target y : 1; p = v' W x; "
    text += "L = (p - y)^2 + c v' v"
    kinds: list[tuple[Any, Any]] = [(1, 0.1), (np.int64(1), np.float64(0.1))]
    found = []
    for one, tenth in kinds:
        sizes, values = {"k": one + one}, {"c": tenth}
        *_, last = wb.train(text, XOR, sizes=sizes, values=values, epochs=2)
        checked = wb.gradcheck(
            text, sizes=sizes, values=values, batch_size=one, strategies="elementwise"
        )
        source = wb.program(wb.network("2-1"), batch_size=one).source
        found.append((last.loss, checked, source))
    assert found[0] == found[1]
    for value in "x", None, 10**400:
        with pytest.raises(wb.WorkbenchError, match=r"the value of c is .*; expected a finite"):
            wb.train(text, XOR, sizes={"k": 2}, values={"c": value})  # type: ignore[dict-item]
    with pytest.raises(wb.WorkbenchError, match=r"size k = 2\.5; expected a whole number from 1"):
        wb.train(text, XOR, sizes={"k": 2.5}, values={"c": 1})  # type: ignore[dict-item]
    np.savetxt(tmp_path / "d.csv", np.arange(12.0).reshape(4, 3), delimiter=",")
    training = wb.train("1-1", tmp_path / "d.csv", target=1, ignore=kinds[1][0] + 1)
    assert training.preparation.input_names == ("column_3",)


def test_settings_are_taken_in_every_form() -> None:
    network, schedule = wb.network("2-2-1"), Schedule(kind="cosine", warmup_steps=2)
    for given in schedule, schedule.to_values():
        assert wb.train(network, XOR, schedule=given).settings.schedule == schedule
    training = wb.train(network, XOR, schedule="cosine", epochs=np.int64(3))
    assert (training.settings.schedule.kind, training.settings.epochs) == ("cosine", 3)
    rates = np.geomspace(0.1, 0.4, 3)
    assert wb.train(network, XOR, replicas=3, rates=rates).settings.rates == tuple(rates)


def test_replicas_are_trained_from_python() -> None:
    *_, last = wb.train(wb.network("2-2-1"), XOR, replicas=4, epochs=2)
    assert last.to_json()["replicas"] == 4


def test_equations_are_kept_as_they_were_written() -> None:
    text = "parameter w : n; target y : 1; p = w' x; L = (p - y)^2"
    assert wb.train(wb.equations(text), XOR).model.text == text


def test_a_model_is_given_as_text_as_well(tmp_path: Path) -> None:
    equations = "parameter w : n, b : 1; target y : 1; p = w' x + b; L = (p - y)^2"
    file = tmp_path / "model.eq"
    file.write_text(equations)
    models: list[list[Any]] = [
        ["2-2-1", wb.network("2-2-1")],
        [equations, wb.equations(equations), str(file)],
    ]
    for same in models:
        losses = [[record.loss for record in wb.train(model, XOR, epochs=3)] for model in same]
        assert losses.count(losses[0]) == len(same)
        verdicts = [wb.gradcheck(model, strategies="elementwise") for model in same]
        assert verdicts.count(verdicts[0]) == len(same)
    with pytest.raises(wb.WorkbenchError, match="3 is no model; expected a network, equations"):
        wb.train(3, XOR)  # type: ignore[arg-type]


def test_files_are_read_as_the_keywords_say(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("a;b;y\n0,5;1,5;2,5\n1,5;;3,5\n4,0;0,5;1,5\n")
    with pytest.raises(wb.WorkbenchError):
        wb.train("2-1", table)
    training = wb.train("2-1", table, decimal=",", missing="mean")
    assert training.preparation.mean.tolist() == [2.0, 1.0]
    training = wb.train("2-1", table, decimal=",", missing="drop")
    assert training.preparation.mean.tolist() == [2.25, 1.0]
    assert wb.train("1-1", table, decimal=",", ignore="b").preparation.input_names == ("a",)


def test_equations_that_predict_nothing_are_trained_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="nothing is predicted: every equation that depends"):
        training = wb.train("parameter w : n; target y : 1; L = log(1 + exp(y w' x))", XOR)
    assert training.model.output is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wb.train("parameter w : n; target y : 1; p = w' x; L = log(1 + exp(y p))", XOR)
