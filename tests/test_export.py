"""What is exported predicts as the network that was trained does, wherever it is loaded."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import DTypeLike, NDArray

from workbench import __main__ as program
from workbench import api
from workbench.cli.export import ExportFormat
from workbench.core import export as exporting
from workbench.core.data import Preparation
from workbench.core.export import FORMATS, Trained, exported
from workbench.core.inference import ForwardPass
from workbench.core.parameters import Parameters, parameter_shapes
from workbench.core.trainable import as_trainable
from workbench.errors import InputError
from workbench.plugins.registry import load_registry

Array = NDArray[Any]

XOR = Path(__file__).parents[1] / "examples" / "data" / "xor.csv"

ACTIVATIONS = tuple(load_registry(()).activations)

UNUSUAL = """\
from workbench import Activation, hookimpl

@hookimpl
def workbench_activations():
    formulas = {
        "waves": "tan(z / 1e4) + sinh(z / 1e3) * cosh(z / 1e3) - sin(z) * cos(z)",
        "bends": "arctan(z) * sign(z) - abs(z)^(3/2) / 1e3 + erf(z)",
        "hinges": "max(min(z, 1), -1) + where(z >= 0, 1, 0) * where(z > 1, sqrt(z), 1 / (1 + z^2))",
        "shares": "(z - mean(z)) / sqrt(1 + sum(z^2)) + mean(log(1 + exp(z)))",
        "level": "0 * z + pi",
    }
    for name, formula in formulas.items():
        yield Activation(name=name, formula=formula)
"""

Capture = pytest.CaptureFixture[str]


def trained_network(
    architecture: str, dtype: DTypeLike, *, fill: bool = False, plugins: Any = ()
) -> Trained:
    """A network with parameters drawn at random, for inputs far from standard."""
    network = api.network(architecture, plugins=plugins)
    rng = np.random.default_rng(0)
    parameters = Parameters(parameter_shapes(network), dtype)
    parameters.vector[:] = rng.normal(size=parameters.vector.size)
    features = network.widths[0]
    names = tuple(f"größe {place} \"'\\" for place in range(features))
    mean, scale = 2e3 * rng.normal(size=features), rng.uniform(0.5, 2, features)
    means = rng.normal(size=features) if fill else None
    classes = tuple(f"class {place}\n" for place in range(network.widths[-1]))
    preparation = Preparation(mean, scale, names, ("y",), classes, True, means)
    return Trained(as_trainable(network), preparation, parameters)


def raw_inputs(trained: Trained, size: float) -> Array:
    """Inputs as far apart as that, a few of them missing if that is allowed."""
    rng = np.random.default_rng(1)
    inputs = size * rng.normal(size=(9, trained.model.input_width)) + trained.preparation.mean
    if trained.preparation.fill is not None:
        inputs[::4, 0] = np.nan
    return inputs


def expected(trained: Trained, inputs: Array) -> Array:
    forward_pass = ForwardPass(trained.model, trained.parameters)
    return forward_pass.predict(trained.preparation.apply(inputs))


def run_onnx(content: bytes, inputs: Array) -> Array:
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    assert (given.name, session.get_outputs()[0].name) == ("inputs", "outputs")
    kind = {"tensor(float)": np.float32, "tensor(double)": np.float64}[given.type]
    return np.asarray(session.run(["outputs"], {"inputs": inputs.astype(kind)})[0])


def run_torch(source: str, inputs: Array) -> Array:
    torch = pytest.importorskip("torch")
    names: dict[str, Any] = {"__name__": "exported"}
    exec(source, names)
    return np.asarray(names["Network"]()(torch.from_numpy(inputs)).detach())


def run_numpy(source: str, inputs: Array) -> Array:
    names: dict[str, Any] = {"__name__": "exported"}
    exec(source, names)
    return np.asarray(names["predict"](inputs))


RUNS: dict[str, Callable[[Any, Array], Array]] = {
    "onnx": run_onnx,
    "torch": run_torch,
    "numpy-source": run_numpy,
}


def assert_same_predictions(trained: Trained, name: str) -> None:
    if name == "onnx":
        pytest.importorskip("onnx")
    content: Any = exported(trained, name)
    for size in (1.0, 1e3):
        inputs = raw_inputs(trained, size)
        if name == "onnx":  # which may take them in single precision alone
            inputs = inputs.astype(np.float32).astype(np.float64)
        truth, found = expected(trained, inputs), RUNS[name](content, inputs)
        assert np.isfinite(truth).all()
        tolerance = 1e-5 if found.dtype == np.float32 else 1e-10
        assert found.dtype == trained.dtype or exporting.single_precision_reason(trained)
        np.testing.assert_allclose(found, truth, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation(activation: str, dtype: str, name: str) -> None:
    architecture = f"3-5:{activation}-2:{activation}"
    assert_same_predictions(trained_network(architecture, dtype, fill=dtype == "float64"), name)


@pytest.mark.parametrize("name", RUNS)
def test_activations_by_any_formula(name: str, tmp_path: Path) -> None:
    file = tmp_path / "unusual.py"
    file.write_text(UNUSUAL)
    for activation in ("waves", "bends", "hinges", "shares", "level"):
        architecture = f"3-4:{activation}-1:{activation}"
        dtype = "float32" if activation in ("hinges", "level") else "float64"
        assert_same_predictions(trained_network(architecture, dtype, plugins=file), name)


@pytest.mark.parametrize("name", RUNS)
def test_inputs_that_need_no_preparation(name: str) -> None:
    trained = trained_network("3-4:tanh-2", "float32")
    raw = Preparation(np.zeros(3), np.ones(3), ("a", "b", "c"), ("y", "z"), None, True)
    assert_same_predictions(Trained(trained.model, raw, trained.parameters), name)


@pytest.mark.parametrize("name", ["torch", "numpy-source"])
@pytest.mark.parametrize("shape", [(3,), (4, 1), (4, 4), (2, 3, 3)])
def test_inputs_of_another_shape_are_refused(name: str, shape: tuple[int, ...]) -> None:
    source = exported(trained_network("3-4:relu-2", "float64"), name)
    with pytest.raises(ValueError, match=r"expected \(samples, 3\)"):
        RUNS[name](source, np.zeros(shape))


def test_onnx_takes_batches_of_any_size_and_names_its_columns() -> None:
    onnx = pytest.importorskip("onnx")
    trained = trained_network("3-4:relu-2:softmax", "float64")
    content: Any = exported(trained, "onnx")
    assert content == exported(trained, "onnx")
    for samples in (1, 2, 1000):
        assert run_onnx(content, np.zeros((samples, 3))).shape == (samples, 2)
    properties = {p.key: p.value for p in onnx.load_from_string(content).metadata_props}
    assert properties["network"] == "3-4:relu-2:softmax"
    assert properties["loss"] == "cross_entropy"
    assert json.loads(properties["classes"]) == list(trained.preparation.classes or ())
    assert json.loads(properties["input_names"]) == list(trained.preparation.input_names)


def test_arrays_by_name() -> None:
    trained = trained_network("3-4:relu-2:softmax", "float32", fill=True)
    content: Any = exported(trained, "npz")
    with np.load(io.BytesIO(content)) as archive:
        found = dict(archive)
    for name, array in trained.arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    assert found["classes"].tolist() == list(trained.preparation.classes or ())
    assert found["network"] == "3-4:relu-2:softmax"


def test_safetensors_is_read_by_the_package(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors")
    trained = trained_network("2-2:relu-1", "float32", fill=True)
    file = tmp_path / "model.safetensors"
    exporting.export(trained, "safetensors", file)
    length = int.from_bytes(file.read_bytes()[:8], "little")
    header = json.loads(file.read_bytes()[8 : 8 + length])
    starts = [(header[n]["data_offsets"][0], a.itemsize) for n, a in trained.arrays.items()]
    assert length % 8 == 0 and all(start % size == 0 for start, size in starts)
    with safetensors.safe_open(file, "numpy") as opened:
        assert set(opened.keys()) == set(trained.arrays)
        for name, array in trained.arrays.items():
            np.testing.assert_array_equal(opened.get_tensor(name), array)
        metadata = opened.metadata()
    assert json.loads(metadata["classes"]) == list(trained.preparation.classes or ())
    assert metadata["loss"] == "half_squared_error"


def test_pytorch_takes_the_state_of_the_safetensors_file_and_trains_on() -> None:
    torch = pytest.importorskip("torch")
    trained = trained_network("3-4:relu-2:softmax", "float32")
    names: dict[str, Any] = {"__name__": "exported"}
    exec(exported(trained, "torch"), names)
    network = names["Network"]()
    state = {name: torch.from_numpy(np.array(a)) for name, a in trained.arrays.items()}
    network.load_state_dict(state)
    network(torch.from_numpy(raw_inputs(trained, 1.0))).sum().backward()
    assert set(dict(network.named_parameters())) == {"W1", "b1", "W2", "b2"}
    assert all(parameter.grad is not None for parameter in network.parameters())


BARE = """\
import sys, importlib.util
spec = importlib.util.spec_from_file_location("model", sys.argv[1])
model = importlib.util.module_from_spec(spec)
spec.loader.exec_module(model)
import numpy as np
inputs = np.load(sys.argv[2])
outputs = model.predict(inputs)
unwanted = {"workbench", "scipy", "torch"} & set(sys.modules)
assert not unwanted, unwanted
np.save(sys.argv[3], outputs)
"""


@pytest.mark.parametrize("architecture", ["3-5:gelu-2", "200-60:relu-2"])
def test_numpy_source_in_a_process_of_its_own(architecture: str, tmp_path: Path) -> None:
    trained = trained_network(architecture, "float32")
    written = exporting.export(trained, "numpy-source", tmp_path / "model.py")
    is_large = trained.parameters.vector.size > exporting.MOST_EMBEDDED
    assert [file.suffix for file in written] == [".py", ".npz"][: 1 + is_large]
    inputs = raw_inputs(trained, 1.0)
    np.save(tmp_path / "inputs.npy", inputs)
    files = [written[0], tmp_path / "inputs.npy", tmp_path / "outputs.npy"]
    subprocess.run([sys.executable, "-I", "-W", "error", "-c", BARE, *files], check=True)
    outputs = np.load(files[-1])
    np.testing.assert_allclose(outputs, expected(trained, inputs), rtol=1e-5, atol=1e-5)
    alone: Any = exported(trained, "numpy-source")
    np.testing.assert_array_equal(run_numpy(alone, inputs), outputs)


def test_parameters_of_pytorch_beside_the_source(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    trained = trained_network("200-60:relu-2", "float32")
    source, beside = exporting.export(trained, "torch", tmp_path / "model.py")
    assert beside.name == "model.pt"
    inputs = raw_inputs(trained, 1.0)
    names: dict[str, Any] = {"__name__": "exported", "__file__": str(source)}
    exec(source.read_text(), names)
    import torch

    outputs = names["Network"]()(torch.from_numpy(inputs)).detach().numpy()
    np.testing.assert_allclose(outputs, expected(trained, inputs), rtol=1e-5, atol=1e-5)


def test_a_source_does_not_take_the_place_of_its_parameters(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a name that ends in \.py"):
        exporting.export(
            trained_network("200-60:relu-2", "float32"), "numpy-source", tmp_path / "m.npz"
        )
    assert list(tmp_path.iterdir()) == []


# the command


def workbench(*arguments: str | Path) -> int:
    return program._run([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "xor"
    assert workbench("train", "2-3:gelu-1", XOR, "--epochs", "2", "--run", path) == 0
    return path


def test_every_format_of_the_command_is_one_of_the_core() -> None:
    assert [str(name) for name in ExportFormat] == list(FORMATS)


@pytest.mark.parametrize("name", FORMATS)
def test_export_of_a_run(name: str, run: Path, tmp_path: Path, capfdbinary: Any) -> None:
    if name == "onnx":
        pytest.importorskip("onnx")
    file = tmp_path / "model"
    assert workbench("export", run, "--format", name, "-o", file) == 0
    told = capfdbinary.readouterr()
    assert told.out == b""
    assert told.err.endswith(f"workbench: wrote {file}\n".encode())
    assert (b"computes in float32" in told.err) == (name == "onnx")
    assert workbench("export", run, "--format", name, "-o", "-") == 0
    sys.stdout.flush()
    content = capfdbinary.readouterr().out
    assert content == file.read_bytes()
    model = api.load(run)
    assert model.export(name, file) == (file,)
    assert content == file.read_bytes()
    if name in RUNS:
        inputs = np.array([[0.0, 1.0], [1.0, 1.0]])
        text = content if name == "onnx" else content.decode()
        np.testing.assert_allclose(RUNS[name](text, inputs), model.predict(inputs), atol=1e-5)


def test_places_where_none_is_given(run: Path, capsys: Capture) -> None:
    assert workbench("export", run, "--format", "npz") == 0
    assert (run / "model.npz").is_file()
    assert workbench("export", run, "--format", "numpy-source") == 0
    assert "def predict(inputs):" in capsys.readouterr().out


def test_a_terminal_gets_no_binary_file(
    run: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert workbench("export", run, "--format", "npz", "-o", "-") == 2
    assert "give -o FILE" in capsys.readouterr().err


@pytest.mark.parametrize(("package", "name"), [("onnx", "onnx"), ("torch", "torch")])
def test_missing_packages_are_named(
    package: str, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match="pip install"):
        exporting.export(trained_network("200-60:relu-2", "float32"), name, tmp_path / "m.py")
    assert list(tmp_path.iterdir()) == []
