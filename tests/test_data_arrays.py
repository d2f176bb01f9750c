"""Reading arrays: what is accepted, and what is refused before it takes memory."""

from __future__ import annotations

import gzip
import io
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.core.data import files, load
from workbench.errors import InputError, TooLargeError

in_tmp_path = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def write(folder: Path, content: str | bytes, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def save(folder: Path, name: str = "data.npz", **arrays: Any) -> Path:
    path = folder / name
    np.savez_compressed(path, **arrays)
    return path


def test_npy_is_a_table_without_names(tmp_path: Path) -> None:
    path = tmp_path / "data.npy"
    for array in (np.arange(6).reshape(2, 3), np.asfortranarray(np.arange(6.0).reshape(2, 3))):
        np.save(path, array)
        dataset = load(path, targets=["1"])
        assert dataset.inputs.tolist() == [[1, 2], [4, 5]]
        assert dataset.targets.tolist() == [[0], [3]]


def test_npz_holds_inputs_and_targets(tmp_path: Path) -> None:
    inputs, labels = np.eye(3, 2, dtype=np.float32), np.array(["b", "a", "b"])
    dataset = load(save(tmp_path, X=inputs, y=labels))
    assert dataset.inputs.tolist() == inputs.tolist()
    assert dataset.classes == ("a", "b")
    by_name = load(save(tmp_path, data=inputs, y=labels, t=np.ones((3, 2))), targets=["t"])
    assert by_name.target_names == ("t_1", "t_2")
    numbers = load(save(tmp_path, x=inputs, target=np.array([3.0, 10, 3])), categorical=True)
    assert numbers.classes == ("3", "10")
    assert load(save(tmp_path, anything=np.eye(3))).target_names == ("column_3",)


BAD_ARCHIVES: dict[str, tuple[dict[str, Any], str]] = {
    "no inputs": ({"a": [1], "b": [2]}, "no inputs; expected an array X, x or data.*holds a, b"),
    "no targets": ({"X": np.eye(2), "b": [2, 1]}, "no targets; expected an array y, or --target"),
    "lengths": ({"X": np.eye(2), "y": [1, 2, 3]}, "X has 2 samples, y has 3"),
    "images": ({"X": np.ones((2, 2, 2)), "y": [1, 2]}, r"shape \(2, 2, 2\); expected \(samples"),
    "vector": ({"X": [1, 2], "y": [1, 2]}, r"X has shape \(2,\); expected \(samples, features\)"),
    "one vector": ({"anything": [1, 2]}, r"shape \(2,\); expected \(samples, columns\)"),
    "missing class": ({"X": np.eye(2), "y": ["a", ""]}, "row 2, y: missing value ''"),
    "empty": ({"X": np.ones((0, 2))}, r"shape \(0, 2\)"),
    "pickle": ({"X": np.array([[{}]])}, "an array of object; expected plain numbers or text"),
    "complex": ({"X": np.eye(2) * 1j}, "an array of complex128"),
    "NaN": ({"X": [[1, 2], [np.nan, 3]]}, "row 2, column_1: missing value 'nan'"),
    "infinite": ({"X": [[1, 2], [3, np.inf]]}, "row 2, column_2: 'inf' is not a finite number"),
    "text": ({"X": [["1", "b"], ["a", "b"]]}, "row 2, column_1: 'a' is not a number"),
}


@pytest.mark.parametrize("case", BAD_ARCHIVES)
def test_bad_archives(case: str, tmp_path: Path) -> None:
    arrays, message = BAD_ARCHIVES[case]
    with pytest.raises(InputError, match=message):
        load(save(tmp_path, **arrays))


def test_unknown_target_array(tmp_path: Path) -> None:
    path = save(tmp_path, X=np.eye(2), labels=[1, 2])
    with pytest.raises(InputError, match="no array 'lables' for the target; did you mean labels"):
        load(path, targets=["lables"])


def npy(shape: tuple[int, ...], values: bytes = b"", description: str = "<f8") -> bytes:
    """Write an array's header as it may be, true or not, and the values."""
    stream = io.BytesIO()
    header = {"descr": description, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + values


def archive(content: bytes, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as file:
        file.writestr("X.npy", content)
    return stream.getvalue()


SMALL = 4 * 2**20
ZEROS = bytes(64 * 2**20)

BOMBS = {
    "7 TiB in a header": ("bomb.npy", npy((10**12,)), r"needs 8,000\.0 GB, allowed"),
    "7 TiB in an archive": ("bomb.npz", archive(npy((10**6, 10**6))), r"needs 8,000\.0 GB"),
    "beyond any number": ("bomb.npy", npy((10**2000, 10**2000)), r"needs over 10\^15 GB"),
    "below the limit, but a lie": ("bomb.npy", npy((10**5, 5)), "does not fit its length"),
    "a lie in an archive": ("bomb.npz", archive(npy((10**5, 5))), "does not fit its length"),
    "negative": ("bomb.npy", npy((-1, -8), bytes(64)), "does not begin as a plain array"),
    "an archive that inflates": ("bomb.npz", archive(npy((2**23, 1), ZEROS)), "needs 0.1 GB"),
    "more than its shape": ("bomb.npz", archive(npy((1, 1), ZEROS)), "does not fit its length"),
    "bytes that inflate": ("bomb.csv.gz", gzip.compress(ZEROS), "byte 0x00 is not UTF-8 text"),
    "text that inflates": (
        "bomb.csv.gz",
        gzip.compress(b"1,2\n" * 2**20),
        r"as numbers needs 0\.0 GB, allowed are 0\.0 GB",
    ),
    "not an archive": ("bomb.npz", b"PK\x03\x04 no", "not a readable .npz archive"),
    "another compression": ("bomb.npz", archive(npy((1, 1), bytes(8)), zipfile.ZIP_LZMA), "broken"),
    "not an array": (
        "bomb.npy",
        b"\x93NUMPY\x01\x00\x03\x00{}x",
        "does not begin as a plain array",
    ),
    "no characters": ("bomb.npy", npy((1, 2), bytes([0, 0, 0, 255] * 2), "<U1"), "characters"),
    "records": (
        "bomb.npy",
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff",
        "does not begin as a plain array",
    ),
    "not gzip": ("bomb.csv.gz", b"x,y\n1,2\n", "not a complete gzip file"),
    "cut gzip": ("bomb.csv.gz", gzip.compress(b"x,y\n1,2\n")[:-9], "not a complete gzip file"),
}


@pytest.mark.parametrize("case", BOMBS)
def test_bombs_are_refused_in_little_memory(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, content, message = BOMBS[case]
    path = write(tmp_path, content, name)
    monkeypatch.setattr(files, "LIMIT", SMALL)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=message):
            load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5 * SMALL


def test_seven_tebibytes_are_refused_under_the_real_limit(tmp_path: Path) -> None:
    with pytest.raises(TooLargeError, match=r"needs 8,000\.0 GB, allowed are 1\.1 GB"):
        load(write(tmp_path, archive(npy((10**6, 10**6))), "bomb.npz"))


@in_tmp_path
@given(
    good=st.sampled_from([archive(npy((2, 2), bytes(32))), npy((2, 2), bytes(32))]),
    place=st.floats(0, 1, exclude_max=True),
    byte=st.integers(0, 255),
)
def test_a_damaged_array_ends_in_data_or_in_a_message(
    good: bytes, place: float, byte: int, tmp_path: Path
) -> None:
    damaged = bytearray(good)
    damaged[int(place * len(good))] = byte
    name = "data.npz" if good.startswith(b"PK") else "data.npy"
    try:
        load(write(tmp_path, bytes(damaged), name))
    except InputError as error:
        assert str(error)
