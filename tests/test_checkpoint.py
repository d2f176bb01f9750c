"""Checkpoints: what is written comes back bit by bit, and nothing else is taken for it."""

from __future__ import annotations

import json
import os
import pickle
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from workbench.core.checkpoint import (
    Checkpoint,
    read_checkpoint,
    read_values,
    write_checkpoint,
)
from workbench.core.safetensors_file import LONGEST_HEADER, TYPES
from workbench.errors import InputError

Array = NDArray[Any]

STATE = Checkpoint(
    {
        "parameters/W1": np.arange(6.0).reshape(2, 3),
        "parameters/b1": np.array([0.5, -0.0]),
        "optimizer/velocity": np.linspace(-1, 1, 8, dtype=np.float32),
    },
    {"epoch": 3, "network": "3-2:tanh", "loss_sum": 0.1 + 0.2},
)

numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.booleans()
values = st.recursive(
    st.none() | numbers | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
any_array = st.sampled_from(list(TYPES.values())).flatmap(
    lambda dtype: arrays(dtype, array_shapes(min_dims=0, min_side=0, max_dims=3, max_side=4))
)


def same(first: Array, second: Array) -> bool:
    return (
        first.dtype == second.dtype and first.shape == second.shape and bits(first) == bits(second)
    )


def bits(array: Array) -> bytes:
    return array.tobytes()


@given(
    st.dictionaries(st.text("abW12/_", min_size=1), any_array, max_size=4),
    st.dictionaries(st.text(), values, max_size=4),
    st.booleans(),
)
def test_what_is_written_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    written: dict[str, Array],
    said: dict[str, Any],
    transposed: bool,
) -> None:
    path = tmp_path_factory.getbasetemp() / "last.safetensors"
    state = {name: array.T if transposed else array for name, array in written.items()}
    write_checkpoint(path, Checkpoint(state, said))
    back = read_checkpoint(path, {name: np.empty_like(array) for name, array in state.items()})
    assert back.values == said == read_values(path)
    assert json.dumps(back.values) == json.dumps(said)
    assert back.arrays.keys() == state.keys()
    assert all(same(back.arrays[name], array) for name, array in state.items())


def test_other_programs_read_it(tmp_path: Path) -> None:
    package = pytest.importorskip("safetensors.numpy")
    write_checkpoint(tmp_path / "state", STATE)
    read = package.load_file(tmp_path / "state")
    assert read.keys() == STATE.arrays.keys()
    assert all(same(read[name], array) for name, array in STATE.arrays.items())


def test_any_changed_bit_is_noticed_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "state"
    state = Checkpoint({"b1": np.array([0.5, -0.0])}, {"epoch": 3, "loss": 1e-7})
    write_checkpoint(path, state)
    content = path.read_bytes()
    harmless = 0
    with path.open("r+b", buffering=0) as stream:
        for place, byte in enumerate(content):
            for bit in range(8):
                os.pwrite(stream.fileno(), bytes([byte ^ 1 << bit]), place)
                try:
                    back = read_checkpoint(path, state.arrays)
                except InputError as error:
                    assert str(error).isprintable()
                else:
                    assert back.values == state.values
                    assert same(back.arrays["b1"], state.arrays["b1"])
                    harmless += 1
            os.pwrite(stream.fileno(), bytes([byte]), place)
    assert harmless == 1, "the e of 1e-7 in upper case"


def test_any_lost_end_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "state"
    write_checkpoint(path, STATE)
    content = path.read_bytes()
    for length in (*range(len(content)), len(content) + 1):
        path.write_bytes((content + b"\0")[:length])
        with pytest.raises(InputError, match="is broken: "):
            read_checkpoint(path, STATE.arrays)


def altered(change: Callable[[dict[str, Any]], Any]) -> bytes:
    """A checkpoint of one array, with another header."""
    own = {"format": 1, "sha256": "", "data_sha256": "", "values": {}}
    header = {
        "__metadata__": {"workbench": json.dumps(own)},
        "a": {"dtype": "F64", "shape": [2], "data_offsets": [0, 16]},
    }
    change(header)
    return with_header(json.dumps(header).encode())


def with_header(text: bytes) -> bytes:
    return len(text).to_bytes(8, "little") + text + bytes(16)


def entry(**record: Any) -> bytes:
    return altered(lambda header: header["a"].update(record))


def own(**record: Any) -> bytes:
    said = {"format": 1, "sha256": "", "data_sha256": "", "values": {}, **record}
    return altered(lambda header: header.update(__metadata__={"workbench": json.dumps(said)}))


HOSTILE = {
    "empty": (b"", "it ends after 0 bytes"),
    "zip": (b"PK\x03\x04" + bytes(60), "is broken: it is a zip archive, as .npz and PyTorch"),
    "pickle": (pickle.dumps(STATE.values), "is broken: it is a pickle, which could run programs"),
    "npy": (b"\x93NUMPY\x01\x00" + bytes(120), "is broken: it is an array in NumPy's own format"),
    "text": (b"epoch,loss\n1,0.5\n" * 4, "it ends after 68 bytes, within its header"),
    "other safetensors": (
        altered(lambda header: header.pop("__metadata__")),
        "in the safetensors format, but no checkpoint of the workbench",
    ),
    "newer": (
        own(format=3),
        "newer workbench: format 3, this one reads up to 1; install the newer",
    ),
    "older": (own(format=0), "its header is not as it was written"),
    "digest": (own(), "its header is not as it was written"),
    "nan": (own(values={"epoch": float("nan")}), "Out of range float values"),
    "values": (own(values=[1]), "its header cannot be understood"),
    "no format": (own(format=None), "its header cannot be understood"),
    "list": (with_header(b"[]"), "its header cannot be understood"),
    "metadata": (altered(lambda header: header.update(__metadata__="x")), "cannot be understood"),
    "no text": (
        altered(lambda header: header.update(__metadata__={"workbench": {}})),
        "__metadata__ holds more than texts",
    ),
    "deep": (with_header(b"[" * 100_000), "its header cannot be understood"),
    "long": ((LONGEST_HEADER + 8).to_bytes(8, "little"), "it ends after 8 bytes"),
    "dtype": (entry(dtype="BF16"), "a is of the type 'BF16'; expected F64, F32"),
    "no dtype": (entry(dtype=[]), "its header cannot be understood"),
    "overlap": (
        altered(lambda h: h.update(b={"dtype": "F64", "shape": [1], "data_offsets": [8, 16]})),
        "b overlaps the array before it",
    ),
    "gap": (entry(shape=[1], data_offsets=[8, 16]), "a follows a gap"),
    "unused": (entry(shape=[1], data_offsets=[0, 8]), "its arrays take 8 bytes, but 16 are there"),
    "backwards": (entry(data_offsets=[16, 0]), r"a has the shape \(2,\), but -16 bytes"),
    "beyond": (entry(data_offsets=[0, 10**12]), "it ends within a"),
    "large": (entry(shape=[2**40]), r"a has the shape \(1099511627776,\), but 16 bytes"),
    "wrapped": (entry(shape=[2**62, 2**62]), r"a has the shape \(4611686018427387904, 461"),
    "negative": (entry(shape=[-2]), "no whole number from 0"),
    "fraction": (entry(shape=[2.0]), "no whole number from 0"),
    "axes": (entry(shape=[2] + [1] * 100), "a has 101 axes; allowed are 8"),
    "name": (
        altered(lambda header: header.update({"\x1b[2J\n": header.pop("a")})),
        "an array has a name that is no text of up to 200 characters",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_is_refused_in_little_memory(case: str, tmp_path: Path) -> None:
    content, message = HOSTILE[case]
    path = tmp_path / "state"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=message) as told:
            read_checkpoint(path, {"a": np.empty(2)})
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    assert str(told.value).isprintable()


def test_a_long_header_is_neither_written_nor_read(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "state", STATE)
    with pytest.raises(InputError, match=r"takes 16,777,[0-9]* bytes; allowed are 16,777,216; use"):
        write_checkpoint(tmp_path / "state", Checkpoint({}, {"classes": "a" * LONGEST_HEADER}))
    assert read_values(tmp_path / "state") == STATE.values
    with (tmp_path / "state").open("wb") as stream:
        stream.write((LONGEST_HEADER + 8).to_bytes(8, "little"))
        stream.truncate(LONGEST_HEADER + 100)
    with pytest.raises(InputError, match="its header takes 16,777,224 bytes; allowed are 16,777,"):
        read_values(tmp_path / "state")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, message in (("pipe", "is no file"), (".", "is no file"), ("none", "No such file")):
        with pytest.raises(InputError, match=message):
            read_values(tmp_path / name)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "shape": (
        {"parameters/W1": np.empty((2, 4))},
        r"of another network: layer 1 differs: W1 has \(2, 3\), expected \(2, 4\); use the network",
    ),
    "dtype": (
        {"parameters/b1": np.empty(2, np.float32)},
        "layer 1 differs: b1 is of float64, expected float32",
    ),
    "missing": ({"parameters/W2": np.empty((1, 2))}, "layer 2 differs: the file has no W2"),
    "surplus": ({"parameters/b1": None}, "layer 1 differs: there is no b1 but in the file"),
    "optimizer": (
        {"optimizer/velocity": None, "optimizer/square": np.empty(8)},
        "of another training: optimizer/square differs: the file has no square; use the training",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_state_of_another_network_is_refused(case: str, tmp_path: Path) -> None:
    changes, message = WRONG[case]
    write_checkpoint(tmp_path / "state", STATE)
    expected = {**STATE.arrays, **changes}
    with pytest.raises(InputError, match=message):
        read_checkpoint(
            tmp_path / "state",
            {name: array for name, array in expected.items() if array is not None},
        )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1}, np.float32(1)])
def test_what_json_cannot_say_leaves_the_old_file(value: Any, tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "state", STATE)
    with pytest.raises((ValueError, TypeError)):
        write_checkpoint(tmp_path / "state", Checkpoint(STATE.arrays, {"best": value}))
    assert read_values(tmp_path / "state") == STATE.values
    assert [entry.name for entry in tmp_path.iterdir()] == ["state"]


@pytest.mark.parametrize("order", ["C", "F"])
def test_no_array_is_copied(order: Literal["C", "F"], tmp_path: Path) -> None:
    def peak(work: Callable[[], object]) -> int:
        tracemalloc.start()
        try:
            work()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    path, size = tmp_path / "state", 2**25
    velocity = np.arange(size // 8).reshape(64, -1).copy(order)
    numbers = velocity.copy()
    state = {"parameters/b1": np.ones(8), "optimizer/velocity": velocity}
    parameters = {"parameters/b1": np.zeros(8)}
    assert peak(lambda: write_checkpoint(path, Checkpoint(state, {}))) < size / 8
    velocity[:] = 0
    assert peak(lambda: read_checkpoint(path, parameters, prefix="parameters/")) < size / 8
    assert peak(lambda: read_checkpoint(path, state)) < size / 8
    assert (velocity == numbers).all()
    assert (parameters["parameters/b1"] == 1).all()
