"""Figures: the same bytes every time, the right numbers in them, and clear errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from workbench.core.data import Dataset, Preparation, load
from workbench.derivation.network import Network
from workbench.errors import InputError, StorageError
from workbench.plotting.activation import activation_figure, tabulate
from workbench.plotting.boundary import POINTS, boundary_figure, survey
from workbench.plotting.jacobian import jacobian_figure, local_jacobians
from workbench.plotting.loss import has_large_range, loss_figure, read_history
from workbench.plotting.network import network_figure, run_once
from workbench.plotting.save import METADATA, render, save
from workbench.plugins.build import build_function, build_network
from workbench.plugins.registry import load_registry

XOR = Path(__file__).parent.parent / "examples" / "data" / "xor.csv"
PLANE = Preparation(
    np.array([1.0, 2.0]), np.array([3.0, 0.5]), ("u", "v"), ("one", "two"), None, True
)
RECORDS = [
    {"epoch": 1, "loss": 2.0, "validation_loss": 3.0, "accuracy": 0.5, "seconds": 0.1},
    {"epoch": 2, "loss": None, "finite": False},
    {"epoch": 3, "loss": 0.01, "accuracy": 0.75},
]
LINES = [json.dumps(record).encode() for record in RECORDS]


def network(text: str) -> Network:
    return build_network(text, registry=load_registry())


def outputs(inputs: np.ndarray) -> np.ndarray:
    return np.stack([inputs[:, 0], inputs[:, 0] * inputs[:, 1]], axis=1)


FIGURES: dict[str, Callable[[], Figure]] = {
    "loss": lambda: loss_figure([read_history(LINES, name) for name in ("a$b$", "b")]),
    "activation": lambda: activation_figure(
        [build_function(name, load_registry()) for name in ("relu", "softmax", "gelu")]
    ),
    "jacobian": lambda: jacobian_figure(network("64-32-10"), 1),
    "network": lambda: network_figure(network("6-2-1"), run_once(network("6-2-1"))),
    "boundary": lambda: boundary_figure(outputs, PLANE),
}


# --- bytes


@pytest.mark.parametrize("form", METADATA)
@pytest.mark.parametrize("name", FIGURES)
def test_the_same_input_gives_the_same_bytes(name: str, form: str) -> None:
    first = render(FIGURES[name](), form)
    with matplotlib.rc_context({"font.size": 30, "svg.hashsalt": None, "axes.grid": False}):
        assert render(FIGURES[name](), form) == first
    for varying in (b"dc:date", b"CreationDate", matplotlib.__version__.encode(), b"Software"):
        assert varying not in first


def test_a_failing_write_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "figure.svg"
    path.write_text("precious")

    def fail(descriptor: int, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", fail)
    with pytest.raises(StorageError, match=r"figure\.svg: cannot be written: No space left"):
        save(Figure(), path)
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]


# --- loss


def test_loss_has_gaps_panels_and_a_logarithmic_scale_where_the_range_is_large() -> None:
    history = read_history([LINES[0], b"\n", *LINES[1:]], "run")
    np.testing.assert_array_equal(history.columns["loss"], [2.0, np.nan, 0.01])
    figure = loss_figure([history])
    losses, accuracies = figure.axes
    assert (losses.get_ylabel(), accuracies.get_ylabel()) == ("loss", "accuracy")
    assert (losses.get_yscale(), accuracies.get_yscale()) == ("log", "linear")
    np.testing.assert_array_equal(losses.lines[0].get_ydata(), [2.0, np.nan, 0.01])
    np.testing.assert_array_equal(losses.lines[1].get_ydata(), [3.0, np.nan, np.nan])
    narrow = read_history([b'{"epoch": 1, "loss": 1}', b'{"epoch": 2, "loss": 0.5}'], "run")
    assert not has_large_range([narrow])
    assert len(loss_figure([narrow]).axes) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"hello", "run, line 2: not JSON"),
        (b'{"epoch": 2', "run, line 2: not JSON"),
        (b"\xff\xfe", "run, line 2: not JSON"),
        (b"[" * 100_000, "run, line 2: not JSON"),
        (b"[1, 2]", r"run, line 2: \[1, 2\]; expected a JSON object"),
        (b'{"epoch": 2}', "run, line 2: .* expected a JSON object"),
        (b'{"epoch": 2, "loss": "low"}', "run, line 2, loss: 'low' is no number"),
        (b'{"epoch": 2, "loss": NaN}', "run, line 2, loss: nan is not finite"),
        (b'{"epoch": 2, "loss": true}', "run, line 2, loss: True is no number"),
    ],
)
def test_a_bad_record_is_named_by_its_line(line: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_history([LINES[0], line], "run")


# --- activations


@pytest.mark.parametrize("name", sorted(load_registry().activations))
def test_the_derivative_drawn_is_the_slope_of_the_function_drawn(name: str) -> None:
    function = build_function(name, load_registry())
    points, step = np.array([-4.0, -1.3, -0.2, 0.4, 2.5]), 1e-6
    above, below = (tabulate(function, points + sign * step).values for sign in (1, -1))
    np.testing.assert_allclose(
        tabulate(function, points).slopes, (above - below) / (2 * step), rtol=1e-7, atol=1e-9
    )


def test_softmax_is_drawn_for_its_first_entry() -> None:
    curve = tabulate(build_function("softmax", load_registry()), np.array([0.0, 1.0]))
    first = np.exp([0.0, 1.0]) / (np.exp([0.0, 1.0]) + 2)
    np.testing.assert_allclose(curve.values, first)
    np.testing.assert_allclose(curve.slopes, first * (1 - first))


def test_a_kink_interrupts_the_derivative_and_shows_the_value_used() -> None:
    figure = activation_figure([build_function("relu", load_registry())], -2, 2)
    curve, _, limits, used = figure.axes[1].lines
    points, slopes = (np.asarray(data) for data in curve.get_data())
    (gap,) = np.flatnonzero(np.isnan(points))
    assert (slopes[gap - 1], slopes[gap + 1]) == (0, 1)
    assert points[gap - 1] < 0 < points[gap + 1]
    np.testing.assert_array_equal(limits.get_ydata(), [0, 1])
    np.testing.assert_array_equal(used.get_ydata(), [0])


# --- Jacobians


def test_patterns_are_those_of_the_worked_out_jacobians() -> None:
    by_z, by_x, by_weights = (jacobian.pattern for jacobian in local_jacobians(network("3-2"), 1))
    np.testing.assert_array_equal(by_z, np.eye(2))
    np.testing.assert_array_equal(by_x, np.ones((3, 2)))
    np.testing.assert_array_equal(by_weights, np.kron(np.ones((3, 1)), np.eye(2)))
    np.testing.assert_array_equal(local_jacobians(network("3-4:relu"), 1)[0].pattern, np.eye(4))
    softmax = local_jacobians(network("3-4:softmax"), 1)[0]
    np.testing.assert_array_equal(softmax.pattern, np.ones((4, 4)))


def test_shapes_and_memory_are_the_real_ones() -> None:
    jacobians = local_jacobians(network("64-32-10"), 1)
    shapes = [(jacobian.rows, jacobian.columns) for jacobian in jacobians]
    assert shapes == [(32, 32), (64, 32), (64 * 32, 32)]
    assert [jacobian.dense_bytes for jacobian in jacobians] == [8192, 16384, 64 * 32 * 32 * 8]
    assert [jacobian.compact_bytes for jacobian in jacobians] == [256, 16384, 512]
    titles = [axes.get_title() for axes in jacobian_figure(network("64-32-10"), 1).axes]
    assert "32 × 32\ndense 8 KiB\ncompact 256 B" in titles[0]


def test_a_huge_layer_is_drawn_without_its_arrays() -> None:
    huge = network("10000000-10000000")
    tracemalloc.start()
    figure = jacobian_figure(huge, 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50 * 2**20
    assert "dense 6.8 ZiB" in figure.axes[2].get_title()


# --- networks


def test_the_pass_drawn_is_that_of_the_worked_example() -> None:
    once = run_once(network("2-2-1"), [0.5, -1.0], [1.0], seed=3)
    (w0, w1), (w2, w3) = once.values["W1"]
    ((w4, w5),) = once.values["W2"]

    def sigma(z: float) -> float:
        return float(1 / (1 + np.exp(-z)))

    a0, a1 = sigma(w0 * 0.5 - w1), sigma(w2 * 0.5 - w3)
    a2 = sigma(w4 * a0 + w5 * a1)
    delta2 = (a2 - 1) * a2 * (1 - a2)
    delta0, delta1 = delta2 * w4 * a0 * (1 - a0), delta2 * w5 * a1 * (1 - a1)
    assert once.values["L"].item() == pytest.approx((a2 - 1) ** 2 / 2)
    np.testing.assert_allclose(once.gradients["W2"], [[delta2 * a0, delta2 * a1]])
    np.testing.assert_allclose(
        once.gradients["W1"], [[delta0 * 0.5, -delta0], [delta1 * 0.5, -delta1]]
    )
    np.testing.assert_allclose(once.gradients["b1"].ravel(), [delta0, delta1])


def test_edges_are_numbered_as_in_the_scalar_form() -> None:
    drawn = network("3-2-1")
    once = run_once(drawn, seed=1)
    labels = texts(network_figure(drawn, once))
    weights = np.concatenate([once.values["W1"].ravel(), once.values["W2"].ravel()])
    gradients = np.concatenate([once.gradients["W1"].ravel(), once.gradients["W2"].ravel()])
    assert len(drawn.scalar_system().parameters) == len(weights) + 3
    for number, (weight, gradient) in enumerate(zip(weights, gradients, strict=True)):
        value, slope = (f"{x:.3g}".replace("-", "−") for x in (weight, gradient))
        name = f"w_{{{number}}}"
        assert rf"${name}$ = {value}" + "\n" + rf"$\partial L/\partial {name}$ = {slope}" in labels


def test_a_wide_layer_shows_how_many_neurons_are_left_out() -> None:
    drawn = network("64-4-10:softmax")
    labels = texts(network_figure(drawn, run_once(drawn)))
    assert "⋮\n61 more" in labels
    assert "⋮\n7 more" in labels
    assert sum(label.startswith("$w_") for label in labels) == 3 * 4 + 4 * 3


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts if isinstance(text, Text)]


@pytest.mark.parametrize(
    ("inputs", "target", "message"),
    [
        ([1.0], None, "expected inputs: 2, as the network has; given: 1"),
        (None, [1.0, 2.0], "expected targets: 1, as the network has; given: 2"),
        ([1.0, float("inf")], None, "expected finite numbers"),
    ],
)
def test_a_sample_must_fit_the_network(
    inputs: list[float] | None, target: list[float] | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        run_once(network("2-2-1"), inputs, target)


# --- boundaries


def test_a_plane_covers_the_training_inputs_in_the_units_of_the_data() -> None:
    plane = survey(outputs, PLANE)
    assert plane.extent == (1 - 7.5, 1 + 7.5, 2 - 1.25, 2 + 1.25)
    np.testing.assert_allclose(plane.outputs[0, -1], [2.5, 2.5 * -2.5])
    np.testing.assert_allclose(plane.outputs[-1, 0], [-2.5, 2.5 * -2.5])
    assert plane.outputs.shape == (POINTS, POINTS, 2)


def test_a_plane_with_data_covers_the_data() -> None:
    data = load(XOR)
    preparation = Preparation.fit(data)
    assert survey(outputs, preparation, data).extent == pytest.approx((-0.1, 1.1, -0.1, 1.1))


def test_classes_are_drawn_where_they_are_chosen() -> None:
    classes = Preparation(np.zeros(2), np.ones(2), ("u", "v"), ("kind",), ("low", "high"), True)
    data = Dataset(
        np.eye(2), np.array([1, 0]), ("u", "v"), ("kind",),
        ("high", "low"), "data.csv", True,
    )  # fmt: skip
    figure = boundary_figure(lambda x: np.stack([-x[:, 0], x[:, 0]], axis=1), classes, data)
    chosen = np.asarray(figure.axes[0].images[0].get_array())
    assert (chosen[0, 0], chosen[-1, -1]) == (0, 1)
    labels = figure.axes[0].get_legend_handles_labels()[1]
    assert labels == ["answers low", "answers high", "is high", "is low"]
    colours = [line.get_color() for line in figure.axes[0].lines]
    assert colours[:2] == [colours[3], colours[2]]


@pytest.mark.parametrize(
    ("names", "values", "message"),
    [
        (("a", "b", "c"), 1.0, "two inputs; this run has 3"),
        (("a", "b"), np.nan, "not finite"),
    ],
)
def test_a_run_without_a_plane_is_refused(
    names: tuple[str, ...], values: float, message: str
) -> None:
    zeros, units = np.zeros(len(names)), np.ones(len(names))
    preparation = Preparation(zeros, units, names, ("y",), None, True)
    with pytest.raises(InputError, match=message):
        survey(lambda inputs: np.full((len(inputs), 1), values), preparation)


# --- the command


def run(*arguments: str | Path, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-W", "error", "-m", "workbench", "plot", *map(str, arguments)]
    environment = os.environ | {"SOURCE_DATE_EPOCH": "1", "PYTHONHASHSEED": "random"}
    return subprocess.run(command, input=given, capture_output=True, env=environment, timeout=120)


def test_a_pipe_in_and_a_pipe_out(tmp_path: Path) -> None:
    given = b"\n".join(LINES)
    first, second = (run("loss", "-", "-o", "-", given=given) for _ in range(2))
    assert (first.returncode, first.stderr) == (0, b"")
    assert first.stdout.startswith(b"<?xml")
    assert first.stdout == second.stdout
    assert run("loss", "-", "-o", tmp_path / "loss.svg", given=given).stdout == b""
    assert (tmp_path / "loss.svg").read_bytes() == first.stdout


def test_a_run_is_drawn_from_its_directory(tmp_path: Path) -> None:
    line = ["train", "2-3:tanh-1", str(XOR), "--epochs", "2", "--run", str(tmp_path / "xor")]
    subprocess.run([sys.executable, "-m", "workbench", *line], check=True, capture_output=True)
    for arguments in (["loss"], ["boundary", "--data", XOR]):
        finished = run(*arguments, tmp_path / "xor", "-o", tmp_path / "figure.png")
        assert (finished.returncode, finished.stderr) == (0, b"")
        assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["loss", "-", "-o", "l.jpg"], "format of l.jpg: expected a name that ends in .svg, .png"),
        (["loss", "nowhere", "-o", "l.svg"], "cannot read nowhere/metrics.jsonl: No such file"),
        (["loss", "-", "-o", "l.svg"], "standard input holds no records"),
        (["activation", "sigmod", "-o", "a.svg"], "did you mean sigmoid?"),
        (["activation", "relu", "--from", "5", "-o", "a.svg"], "no range from 5 to 5"),
        (["activation", "relu", "-o", "nowhere/a.svg"], "nowhere/a.svg: cannot be written:"),
        (["jacobian", "3-2", "--layer", "2", "-o", "j.svg"], "no layer 2; its layers are 1 to 1"),
        (["network", "2-2-1", "--input", "-1,x", "-o", "n.svg"], "--input '-1,x': expected"),
        (["network", "9999-9999", "-o", "n.svg"], "99,990,000 parameters"),
        (["boundary", "nowhere", "-o", "b.svg"], "no run in nowhere"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_one_line(arguments: list[str], message: str) -> None:
    finished = run(*arguments)
    (line,) = finished.stderr.decode().splitlines()
    assert finished.returncode == (74 if "cannot be written" in message else 2)
    assert message in line
    assert finished.stdout == b""
