"""Starting values: their spread, what they depend on, and files of them, good and bad."""

from __future__ import annotations

import io
import math
import tracemalloc
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import workbench as wb
from workbench.core.initialisers import BLOCK, SCHEMES, initialise
from workbench.core.parameters import Parameters
from workbench.errors import InputError

Array = NDArray[Any]

SHAPES = {"W1": (200, 300), "b1": (200,), "W2": (100, 200), "b2": (100,)}
SPREADS = {
    "glorot": lambda n, m: math.sqrt(2 / (n + m)),
    "glorot_normal": lambda n, m: math.sqrt(2 / (n + m)),
    "he": lambda n, m: math.sqrt(2 / n),
    "he_uniform": lambda n, m: math.sqrt(2 / n),
    "lecun": lambda n, m: math.sqrt(1 / n),
    "uniform": lambda n, m: math.sqrt(1 / (3 * n)),
    "zeros": lambda n, m: 0.0,
}
"""The deviation of each scheme, as its source has it."""


@pytest.mark.parametrize("scheme", SCHEMES)
def test_deviations_are_those_of_the_sources(scheme: str) -> None:
    parameters = initialise(SHAPES, 0, scheme=scheme)
    for name in ("W1", "W2"):
        outputs, inputs = SHAPES[name]
        deviation, entries = SPREADS[scheme](inputs, outputs), parameters[name]
        assert entries.std() == pytest.approx(deviation, rel=0.02)
        assert abs(entries.mean()) <= 4 * deviation / math.sqrt(entries.size)
        most = abs(entries).max()
        if SCHEMES[scheme].distribution == "uniform":
            assert most <= deviation * math.sqrt(3) * (1 + 1e-12)
        else:
            assert most > 3 * deviation
    biases = np.concatenate([parameters["b1"], parameters["b2"]])
    assert bool(biases.any()) == (scheme == "uniform")


def test_uniform_is_that_of_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle")
    torch.manual_seed(0)
    theirs = torch.nn.Linear(300, 20_000)
    ours = initialise({"W": (20_000, 300), "b": (20_000,)}, 0, scheme="uniform")
    for name, tensor in (("W", theirs.weight), ("b", theirs.bias)):
        found, expected = ours[name], tensor.detach().numpy()
        assert found.std() == pytest.approx(expected.std(), rel=0.02)
        assert abs(found).max() == pytest.approx(abs(expected).max(), rel=1e-3)


def test_rectifiers_start_as_he_and_all_others_as_glorot() -> None:
    network = wb.network("300-200:relu-100:tanh")
    auto = initialise(network, 0)
    assert auto["W1"].std() == pytest.approx(SPREADS["he"](300, 200), rel=0.02)
    assert abs(auto["W2"]).max() <= math.sqrt(6 / 300)
    assert auto["W2"].std() == pytest.approx(SPREADS["glorot"](200, 100), rel=0.02)


@pytest.mark.parametrize("name", ["leaky_relu", "relu", "elu", "gelu", "softplus"])
def test_only_what_bends_at_zero_is_a_rectifier(name: str) -> None:
    network = wb.network(f"4-3:{name}")
    auto, he = (initialise(network, 0, scheme=scheme) for scheme in ("auto", "he"))
    assert (auto.vector.tolist() == he.vector.tolist()) == (name in ("relu", "leaky_relu"))


def test_values_of_these_seeds_stay() -> None:
    """As drawn since the first version, layer by layer in one go."""
    generator = np.random.default_rng(np.random.SeedSequence(3, spawn_key=(1,)))
    limit = math.sqrt(6 / (4 + 3))
    first = generator.uniform(-limit, limit, (3, 4))
    second = generator.normal(0.0, math.sqrt(2 / 3), (2, 3))
    parameters = initialise(wb.network("4-3:tanh-2:relu"), 3)
    assert parameters["W1"].tolist() == first.tolist()
    assert parameters["W2"].tolist() == second.tolist()


@pytest.mark.parametrize("scheme", ["auto", "uniform", "lecun"])
def test_values_depend_neither_on_type_nor_on_place(scheme: str) -> None:
    shapes = {"W1": (BLOCK // 50, 99), "b1": (BLOCK // 50,), "v": (5,), "s": ()}
    double = initialise(shapes, 3, scheme=scheme)
    single = initialise(shapes, 3, np.float32, scheme)
    turned = initialise(shapes, 3, scheme=scheme, turned=["W1"])
    assert single.vector.tolist() == double.vector.astype(np.float32).tolist()
    assert all(turned[name].tolist() == double[name].tolist() for name in shapes)
    assert turned.stored("W1").flags.c_contiguous
    assert initialise(shapes, 4, scheme=scheme)["v"].tolist() != double["v"].tolist()


def test_equations_start_without_symmetry() -> None:
    parameters = initialise({"w_1": (), "w_2": (), "b_1": (), "v": (3,), "bias": (3,)}, 0)
    drawn = np.concatenate([parameters[name].reshape(-1) for name in ("w_1", "w_2", "v")])
    assert len(set(drawn.tolist())) == 5
    assert parameters["b_1"] == 0
    assert not parameters["bias"].any()


def test_drawing_needs_little_memory() -> None:
    tracemalloc.start()
    parameters = initialise({"W": (4_000, 500)}, 0, np.float32)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < parameters.vector.nbytes + 4 * BLOCK * 8


def test_an_unknown_scheme_is_told() -> None:
    with pytest.raises(InputError, match=r"unknown initialiser 'glorott', .*mean glorot"):
        initialise({"W": (1, 1)}, 0, scheme="glorott")


# --- files

SMALL: dict[str, tuple[int, ...]] = {"W1": (3, 2), "b1": (3,), "s": ()}


def arrays(shapes: Mapping[str, tuple[int, ...]] = SMALL) -> dict[str, Array]:
    generator = np.random.default_rng(0)
    return {name: np.asarray(generator.normal(size=shape)) for name, shape in shapes.items()}


def save(path: Path, content: Mapping[str, Array]) -> Path:
    if path.suffix == ".npz":
        entries: dict[str, Any] = dict(content)
        np.savez_compressed(path, **entries)
    else:
        from safetensors.numpy import save_file

        save_file({name: array.copy(order="C") for name, array in content.items()}, path)
    return path


def read(path: Path, shapes: Mapping[str, tuple[int, ...]] = SMALL) -> Parameters:
    return initialise(shapes, 0, scheme=str(path))


each_format = pytest.mark.parametrize("ending", [".npz", ".safetensors"])


@each_format
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_files_are_read_as_written(ending: str, dtype: str, tmp_path: Path) -> None:
    content = {name: array.astype(dtype) for name, array in arrays().items()}
    content["W1"] = np.asfortranarray(content["W1"])
    found = read(save(tmp_path / f"start{ending}", content))
    assert {name: found[name].tolist() for name in SMALL} == {
        name: array.tolist() for name, array in content.items()
    }


def test_the_parameters_of_a_checkpoint_are_found(tmp_path: Path) -> None:
    content = {f"parameters/{name}": array for name, array in arrays().items()}
    path = save(tmp_path / "best.safetensors", {**content, "optimizer/m": np.zeros(9)})
    assert read(path)["W1"].tolist() == content["parameters/W1"].tolist()


@each_format
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"W1": np.ones((3, 4))}, r"layer 1 differs: W1 has \(3, 4\), expected \(3, 2\); use a"),
        ({"b1": None}, "layer 1 differs: the file has no b1"),
        ({"W2": np.ones((1, 3))}, "layer 2 differs: there is no W2 but in the file"),
        ({"s": np.ones(1)}, r"s differs: s has \(1,\), expected \(\)"),
        ({"b1": np.arange(3)}, "layer 1 differs: b1 is of int64, expected float64"),
        ({"W1": np.array([[1, 2], [3, np.nan], [5, 6.0]])}, "W1 holds more than finite numbers"),
    ],
    ids=str,
)
def test_other_parameters_are_refused(
    ending: str, change: dict[str, Array | None], message: str, tmp_path: Path
) -> None:
    changed = {**arrays(), **change}
    content = {name: array for name, array in changed.items() if array is not None}
    with pytest.raises(InputError, match=message):
        read(save(tmp_path / f"start{ending}", content))


@each_format
def test_no_damage_goes_unnoticed_or_raises_anything_else(ending: str, tmp_path: Path) -> None:
    path = save(tmp_path / f"start{ending}", arrays())
    content = path.read_bytes()
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(InputError):
            read(path)
    generator = np.random.default_rng(0)
    for place in generator.integers(len(content), size=150):
        broken = bytearray(content)
        broken[place] ^= 1 << int(generator.integers(8))
        path.write_bytes(broken)
        try:
            assert np.isfinite(read(path).vector).all()
        except InputError as error:
            assert "\n" not in str(error)


def npz_of(header: str, content: bytes) -> bytes:
    text = header.encode().ljust(118, b" ")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        prefix = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little")
        archive.writestr("W.npy", prefix + text + content)
    return stream.getvalue()


HOSTILE = {
    "huge.npz": npz_of(
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000), }", b""
    ),
    "inflating.npz": npz_of(
        "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2), }", bytes(10**8)
    ),
    "objects.npz": npz_of("{'descr': '|O', 'fortran_order': False, 'shape': (2, 2), }", bytes(32)),
    "header.safetensors": (2**60).to_bytes(8, "little") + b"{",
    "huge.safetensors": (69).to_bytes(8, "little")
    + b'{"W":{"dtype":"F64","shape":[1000000,1000000],"data_offsets":[0,8]}}'.ljust(69)
    + bytes(8),
    "pickle.safetensors": b"\x80\x04K\x01.",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_in_little_memory(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(HOSTILE[name])
    tracemalloc.start()
    with pytest.raises(InputError, match=name):
        read(path, {"W": (2, 2)})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "missing.npz")
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "folder.npz")
