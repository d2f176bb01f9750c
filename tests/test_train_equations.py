"""Training of equations from a file, from the table to the export; and class weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import workbench as wb
from workbench import __main__ as program
from workbench.api.experiments import open_experiment
from workbench.core.data import Dataset
from workbench.core.experiment import Experiment
from workbench.core.settings import Settings
from workbench.core.trainable import trainable_network
from workbench.core.training import Training
from workbench.derivation.differentiate import derive
from workbench.errors import InputError, NotFiniteError
from workbench.notation.text import text

Array = NDArray[Any]
Capture = pytest.CaptureFixture[str]
EXAMPLES = Path(__file__).parents[1] / "examples"
ROWS = 23


@dataclass(frozen=True)
class Case:
    """An example, its options, and how many columns its table has."""

    name: str
    inputs: int
    targets: int
    options: tuple[str, ...] = ()

    @property
    def file(self) -> Path:
        return EXAMPLES / f"{self.name}.eq"

    def table(self, path: Path) -> Path:
        """Write a table whose targets lie between 0 and 1."""
        random = np.random.default_rng(7)
        rows = np.hstack(
            [random.normal(size=(ROWS, self.inputs)), random.uniform(size=(ROWS, self.targets))]
        )
        names = [f"x{n}" for n in range(self.inputs)] + [f"y{n}" for n in range(self.targets)]
        lines = [",".join(names), *(",".join(map(repr, row)) for row in rows.tolist())]
        (path / "data.csv").write_text("\n".join(lines))
        return path / "data.csv"

    def arguments(self, path: Path, *more: str) -> list[str]:
        targets = [word for n in range(self.targets) for word in ("--target", f"y{n}")]
        given = ["train", str(self.file), str(self.table(path)), *targets, *self.options]
        return [*given, "--batch-size", "5", *more]


CASES = [
    Case("rnn", 6, 2, ("--size", "m=3", "--set", "h0=0.5")),
    Case("regression", 3, 1, ("--set", "lambda=0.1")),
    Case("poisson", 3, 1),
    Case("attention", 6, 6, ("--size", "n=3", "--size", "k=4")),
    Case("network", 2, 1, ("--size", "m=3")),
]


def workbench(*arguments: str | Path) -> int:
    """Run a command line within this process."""
    return program._run([str(argument) for argument in arguments])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_run_that_goes_on_ends_where_one_in_a_piece_does(
    case: Case, tmp_path: Path, capsys: Capture
) -> None:
    more = "--validation", "0.2", "--dtype", "float32", "--backend", "numpy"
    whole, stopped, again = (tmp_path / name for name in ("whole", "stopped", "again"))
    assert workbench(*case.arguments(tmp_path, *more, "--epochs", "4", "--run", str(whole))) == 0
    told = capsys.readouterr()
    assert (told.err, len(told.out.splitlines())) == ("", 4)
    assert workbench(*case.arguments(tmp_path, *more, "--epochs", "2", "--run", str(stopped))) == 0
    assert workbench("train", "--resume", stopped, "--epochs", "4") == 0
    assert workbench("train", whole / "settings.toml", "--run", again) == 0
    trained = [wb.load(run).forward_pass.parameters.vector.tobytes() for run in (whole, stopped)]
    metrics = [(run / "metrics.jsonl").read_bytes() for run in (whole, stopped, again)]
    assert (trained[0], metrics[0]) == (trained[1], metrics[1])
    assert metrics[2] == metrics[0]
    assert (again / "settings.toml").read_bytes() == (whole / "settings.toml").read_bytes()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_run_needs_nothing_else(case: Case, tmp_path: Path, capsys: Capture) -> None:
    """It predicts, is evaluated and exported without the file of the equations."""
    run, data = tmp_path / "run", case.table(tmp_path)
    copied = tmp_path / "model.eq"
    copied.write_bytes(case.file.read_bytes().replace(b"\n", b"\r\n"))
    words = [str(copied) if word == str(case.file) else word for word in case.arguments(tmp_path)]
    assert workbench(*words, "--epochs", "2", "--run", run) == 0
    copied.unlink()
    capsys.readouterr()
    assert workbench("predict", run, data) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split(",") == [f"y{n}" for n in range(case.targets)]
    predicted = np.array([[float(cell) for cell in row.split(",")] for row in rows])
    assert workbench("evaluate", run, data, "--format", "json") == 0
    scores = json.loads(capsys.readouterr().out)
    table = np.genfromtxt(data, delimiter=",", skip_header=1)
    inputs, targets = table[:, : case.inputs], table[:, case.inputs :]
    squares = ((predicted - targets) ** 2).mean(axis=0)
    assert list(scores["mean_squared_error"].values()) == pytest.approx(squares)
    for name in ("npz", "safetensors"):
        assert workbench("export", run, "--format", name) == 0
    if case.name == "attention":
        assert workbench("export", run, "--format", "onnx") == 2
        assert "no batch form" in capsys.readouterr().err
        return
    found = exported_outputs(run, inputs)
    assert len(found) >= 1
    for outputs in found:
        np.testing.assert_allclose(outputs, predicted, 1e-12, 1e-12)


def exported_outputs(run: Path, inputs: Array) -> list[Array]:
    """What the exported files give, those whose packages are installed."""
    model, names = wb.load(run), dict[str, Any]()
    exec(model.exported("numpy-source"), names)
    found = [names["predict"](inputs)]
    try:
        import onnxruntime
        import torch
    except ImportError:
        return found
    exec(model.exported("torch"), names)
    found.append(names["Network"]()(torch.from_numpy(inputs)).detach().numpy())
    session = onnxruntime.InferenceSession(model.exported("onnx"))
    return [*found, session.run(None, {"inputs": inputs})[0]]


# --- what the steps do


def opened(
    case: Case, tmp_path: Path, sizes: dict[str, int], values: dict[str, float], **settings: Any
) -> Training:
    names = [f"y{n}" for n in range(case.targets)]
    described = {
        "network": case.file.read_text(encoding="utf-8"),
        "sizes": sizes,
        "values": values,
        "data": {"train": str(case.table(tmp_path)), "target": names},
        **settings,
    }
    return open_experiment(Experiment.from_values(described, "test")).training


def rnn(torch: Any, p: dict[str, Any], x: Any, y: Any) -> Any:
    h = torch.full((3,), 0.5, dtype=torch.float64)
    for step in range(3):
        h = torch.tanh(p["W"] @ h + p["U"] @ x[2 * step : 2 * step + 2] + p["b"])
    return ((p["V"] @ h - y) ** 2).sum() / 2


def attention(torch: Any, p: dict[str, Any], x: Any, y: Any) -> Any:
    x, y = x.reshape(2, 3), y.reshape(2, 3)
    scores = (p["W_K"] @ x).T @ (p["W_Q"] @ x) / 4**0.5
    return ((p["W_V"] @ x @ torch.softmax(scores, dim=0) - y) ** 2).sum() / 2


def poisson(torch: Any, p: dict[str, Any], x: Any, y: Any) -> Any:
    z = p["w"] @ x + p["b"]
    return torch.exp(z) - y[0] * z


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize(
    ("case", "loss", "sizes", "values"),
    [
        (CASES[0], rnn, {"m": 3}, {"h0": 0.5}),
        (CASES[2], poisson, {}, {}),
        (CASES[3], attention, {"n": 3, "k": 4}, {}),
    ],
    ids=["rnn", "poisson", "attention"],
)
def test_training_agrees_with_pytorch(
    case: Case,
    loss: Callable[..., Any],
    sizes: dict[str, int],
    values: dict[str, float],
    optimizer: str,
    tmp_path: Path,
) -> None:
    """The mean over all samples, step by step; of losses written by hand."""
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle")
    settings = {"epochs": 10, "batch_size": ROWS, "optimizer": optimizer, "learning_rate": 0.05}
    training = opened(case, tmp_path, sizes, values, **settings)
    theirs = {n: torch.tensor(a, requires_grad=True) for n, a in training.parameters.items()}
    table = np.genfromtxt(tmp_path / "data.csv", delimiter=",", skip_header=1)
    x = torch.tensor(training.preparation.apply(table[:, : case.inputs]))
    y = torch.tensor(table[:, case.inputs :])
    kinds = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}
    change = kinds[optimizer](theirs.values(), lr=0.05)
    losses = []
    for _ in range(10):
        change.zero_grad()
        mean = sum(loss(torch, theirs, *sample) for sample in zip(x, y, strict=True)) / ROWS
        mean.backward()
        change.step()
        losses.append(mean.item())
    assert [record.loss for record in training] == pytest.approx(losses, rel=1e-10)
    for name, array in training.parameters.items():
        np.testing.assert_allclose(array, theirs[name].detach().numpy(), 1e-9, 1e-12)


@pytest.mark.parametrize("case", CASES[:3], ids=lambda case: case.name)
def test_every_backend_makes_the_same_steps(case: Case, tmp_path: Path) -> None:
    """With batches of 5, 5, 5, 5 and 3 in an order drawn by the seed."""
    sizes, values = {"m": 3} if case.name == "rnn" else {}, {}
    if case.name != "poisson":
        values = {"h0": 0.5} if case.name == "rnn" else {"lambda": 0.25}
    found = []
    for backend in ("numpy", "python"):
        settings = {"epochs": 3, "batch_size": 5, "backend": backend}
        training = opened(case, tmp_path, sizes, values, **settings)
        found.append([[record.loss for record in training], training.parameters.vector.tolist()])
    for one, other in zip(*found, strict=True):
        assert one == pytest.approx(other, rel=1e-10, abs=1e-14)


def test_numba_changes_a_number_as_it_does_an_array(tmp_path: Path) -> None:
    """Of a model so large that it is compiled as loops over arrays."""
    pytest.importorskip("numba")
    case = Case("poisson", 150, 1)
    ours, theirs = (
        opened(case, tmp_path, {}, {}, epochs=2, optimizer="sgd", backend=backend)
        for backend in ("numpy", "numba")
    )
    losses = [[record.loss for record in training] for training in (ours, theirs)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-10)
    assert ours.parameters["b"] == pytest.approx(theirs.parameters["b"], rel=1e-10)


def test_named_columns_reach_their_inputs(tmp_path: Path, capsys: Capture) -> None:
    """A table whose columns stand in another order trains the same model."""
    table = np.random.default_rng(2).normal(size=(9, 4))
    source = "input a : 2, b : 1\ntarget y : 1\nparameter A : 2×2, c : 2\n"
    source += "h = tanh(A a + b c)\np = sum(h)\nL = (p − y)²"
    (tmp_path / "model.eq").write_text(source, encoding="utf-8")
    predicted = []
    for order in ([0, 1, 2, 3], [2, 1, 0, 3]):
        names = ",".join("uvwy"[place] for place in order)
        run, file = tmp_path / names, tmp_path / f"{names}.csv"
        rows = [",".join(map(repr, row)) for row in table[:, order].tolist()]
        file.write_text("\n".join([names, *rows]))
        given = "train", tmp_path / "model.eq", file, "--input", "a=u,v", "--run", run
        assert workbench(*given, "--epochs", "3") == 0
        model = wb.load(run)
        assert model.preparation.input_names == ("u", "v", "w")
        predicted.append(model.predict(tmp_path / "u,v,w,y.csv").tolist())
    capsys.readouterr()
    assert predicted[0] == predicted[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", "lamda=1"), "'lamda', which is no input; did you mean lambda"),
        ((), "the same for every sample of the batch B; give its value: --set lambda=0.1"),
        (("--set", "lambda=x"), "--set 'lambda=x'; expected NAME=NUMBER"),
        (("--set", "lambda=1", "--size", "m=7"), "take 7 columns, and there are 3"),
        (("--set", "lambda=1", "--size", "k=7"), "there is no size 'k'"),
        (("--set", "lambda=1", "--input", "X=x0,q"), "input X: there is no column 'q'"),
        (("--set", "lambda=1", "--loss", "cross_entropy"), "whose last one is the loss"),
        (("--set", "lambda=1", "--class-weights", "balanced"), "weights of samples need the eq"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(
    arguments: tuple[str, ...], message: str, tmp_path: Path, capsys: Capture
) -> None:
    case = Case("regression", 3, 1, arguments)
    assert workbench(*case.arguments(tmp_path)) == 2
    told = capsys.readouterr()
    assert (told.out, len(told.err.splitlines())) == ("", 1)
    assert message in told.err


def test_options_of_equations_are_not_for_networks(tmp_path: Path, capsys: Capture) -> None:
    data = CASES[1].table(tmp_path)
    assert workbench("train", "3-1", data, "--size", "m=3") == 2
    assert "sizes are given for the network 3-1" in capsys.readouterr().err


def test_a_backend_that_needs_batches_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="python needs a batch form"):
        opened(CASES[3], tmp_path, {"n": 3, "k": 4}, {}, backend="python")


@pytest.mark.parametrize("case", [CASES[2], CASES[3]], ids=lambda case: case.name)
def test_it_says_where_numbers_are_not_finite(case: Case, tmp_path: Path) -> None:
    sizes = {"n": 3, "k": 4} if case.name == "attention" else {}
    settings = {"optimizer": "sgd", "learning_rate": 1e200, "epochs": 9}
    training = opened(case, tmp_path, sizes, {}, **settings)
    place = {"poisson": "rate = ", "attention": r"\w+ = "}[case.name]
    with pytest.raises(NotFiniteError, match=rf"epoch \d, step \d .*: not finite from {place}"):
        list(training)


# --- class weights


def classes(count: int) -> Dataset:
    random = np.random.default_rng(3)
    labels = np.concatenate([np.arange(3), random.integers(0, 2, count - 3)])
    names = ("a", "b", "c", "d")
    inputs = random.normal(size=(count, 4))
    return Dataset(inputs, labels, names, ("kind",), ("p", "q", "r"), "data.csv", True)


WEIGHTS = {"p": 0.5, "q": 3.0, "r": 7.0}


def test_class_weights_agree_with_pytorch() -> None:
    """A hundred steps of mini-batches, the last of an epoch smaller; the epoch's loss too."""
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle")
    data, network = classes(22), wb.network("4-5:tanh-3:softmax")
    settings: Any = {"epochs": 25, "batch_size": 6, "learning_rate": 0.05}
    settings["class_weights"] = WEIGHTS
    training, plain = (
        Training(network, data, None, Settings(backend=backend, **settings))
        for backend in ("numpy", "python")
    )
    theirs = {n: torch.tensor(a, requires_grad=True) for n, a in training.parameters.items()}
    weights = torch.tensor(list(WEIGHTS.values()), dtype=torch.float64)
    criterion = torch.nn.CrossEntropyLoss(weight=weights)
    change = torch.optim.Adam(theirs.values(), lr=0.05)
    whole = weights[torch.tensor(data.outcomes)].sum().item()
    losses = []
    for epoch in range(1, 26):
        total = 0.0
        order = np.random.default_rng(np.random.SeedSequence(0, spawn_key=(2, epoch)))
        for rows in np.split(order.permutation(22), [6, 12, 18]):
            x = torch.tensor(training.preparation.apply(data.inputs[rows]))
            y = torch.tensor(data.outcomes[rows])
            hidden = torch.tanh(x @ theirs["W1"].T + theirs["b1"])
            loss = criterion(hidden @ theirs["W2"].T + theirs["b2"], y)
            change.zero_grad()
            loss.backward()
            change.step()
            total += loss.item() * weights[y].sum().item()
        losses.append(total / whole)
    for ours in (training, plain):
        assert [record.loss for record in ours] == pytest.approx(losses, rel=1e-10)
        for name, array in ours.parameters.items():
            np.testing.assert_allclose(array, theirs[name].detach().numpy(), 0, 1e-10)


@pytest.mark.parametrize("kind", ["weighted", "attention"])
def test_a_training_goes_on_in_the_middle_of_an_epoch(kind: str, tmp_path: Path) -> None:
    def made() -> Training:
        if kind == "attention":
            return opened(CASES[3], tmp_path, {"n": 3, "k": 4}, {}, epochs=2, batch_size=5)
        settings = Settings(epochs=2, batch_size=5, class_weights=WEIGHTS)
        return Training(wb.network("4-3:softmax"), classes(22), None, settings)

    whole, stopped, again = made(), made(), made()

    def stop() -> None:
        raise InterruptedError

    stopped.pause = stop
    with pytest.raises(InterruptedError):
        list(stopped)
    assert 0 < stopped.progress.batch < stopped.steps_per_epoch
    again.restore(stopped.state())
    assert list(again) == list(whole)
    assert again.parameters.vector.tobytes() == whole.parameters.vector.tobytes()


def test_weights_stand_before_the_gradient_of_softmax() -> None:
    model = trainable_network(wb.network("4-3:softmax"), weighted=True)
    delta = derive(model.system).backward[0]
    assert text(delta.right) == "(𝟏 sᵀ) ⊙ (X₁ − Y)"


def test_equations_take_class_weights_as_a_network_does(tmp_path: Path) -> None:
    data = classes(22)
    lines = [",".join((*data.input_names, "kind"))]
    for row, label in zip(data.inputs.tolist(), data.outcomes, strict=True):
        lines.append(",".join([*map(repr, row), "pqr"[label]]))
    (tmp_path / "data.csv").write_text("\n".join(lines))
    softmax = "target y : k\nparameter W1 : k×n, b1 : k\n"
    softmax += "z = W1 x + b1\np = softmax(z)\nL = −y' log(p)\nassume sum(y) = 1"
    found = []
    for model in ("4-3:softmax", softmax):
        described = {
            "network": model,
            "epochs": 4,
            "batch_size": 5,
            "validation": 0.2,
            "class_weights": WEIGHTS,
            "data": {"train": str(tmp_path / "data.csv")},
        }
        if model is not softmax:
            described["loss"] = "cross_entropy"
        experiment = open_experiment(Experiment.from_values(described, "test"))
        found.append([record.to_json() for record in experiment.training])
    for one, other in zip(*found, strict=True):
        assert one == pytest.approx(other, rel=1e-12)
    assert found[0][-1]["validation_accuracy"] is not None


def test_logistic_regression_of_classes_that_are_apart_goes_on_for_ever(tmp_path: Path) -> None:
    """p rounds to 0 and 1, where log(p), log(1 − p) and 1/(1 − p) as written are not finite."""
    text = (EXAMPLES / "logistic.eq").read_text(encoding="utf-8")
    (tmp_path / "apart.csv").write_text("x,y\n-3,0\n-2,0\n2,1\n3,1\n")
    training = wb.train(
        wb.equations(text),
        tmp_path / "apart.csv",
        optimizer="sgd",
        learning_rate=1e3,
        epochs=50,
        dtype="float32",
    )
    losses = [record.loss for record in training]
    assert losses[-1] < 1e-6 < losses[0]


def test_equations_that_predict_nothing_are_trained_with_a_warning(
    tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "loss.eq").write_text("parameter w : n; target y : 1; L = log(1 + exp(y w' x))")
    data = EXAMPLES / "data" / "xor.csv"
    run = tmp_path / "run"
    assert workbench("train", tmp_path / "loss.eq", data, "--epochs", "1", "--run", run) == 0
    assert "workbench: warning: nothing is predicted" in capsys.readouterr().err
    assert workbench("predict", run, data) == 2
    assert "error: nothing is predicted" in capsys.readouterr().err
    assert workbench("evaluate", run, data) == 0
    assert capsys.readouterr().out.split()[::2] == ["samples", "loss"]
