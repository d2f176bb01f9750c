"""A corpus of small CSV files: each is read right or refused in the words that are expected.

`corpus/expected.toml` holds the cases: a file, options of `load`, and either what is read or the
whole message.
"""

from __future__ import annotations

import csv
import time
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench.core.data import AnyDataset, load, open_dataset
from workbench.core.data import text as text_module
from workbench.errors import InputError

CORPUS = Path(__file__).parent / "corpus"
EXPECTED = CORPUS / "expected.toml"
CASES: list[dict[str, Any]] = tomllib.loads(EXPECTED.read_text(encoding="utf-8"))["case"]

Case = dict[str, Any]
each_case = pytest.mark.parametrize(
    "case", CASES, ids=lambda case: " ".join([case["file"], *map(str, case.get("options", {}))])
)


def outcome(data: AnyDataset) -> Case:
    """What was read, in the form of the expectations."""
    chunks = list(data.chunks())
    found = {
        "inputs": np.concatenate([chunk.inputs for chunk in chunks]).tolist(),
        "names": [*data.input_names, *data.target_names],
        "dropped": data.dropped,
    }
    outcomes = np.concatenate([chunk.outcomes for chunk in chunks]).tolist()
    if data.classes is None:
        return found | {"targets": outcomes}
    return found | {"labels": outcomes, "classes": list(data.classes)}


def require_expected(case: Case, found: Case) -> None:
    np.testing.assert_array_equal(found.pop("inputs"), case["inputs"])
    assert {"targets", "classes"} & set(case) == {"targets", "classes"} & set(found)
    for name in set(found) & set(case):
        assert found[name] == case[name], name


@each_case
def test_the_corpus_is_read_right_or_refused(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CORPUS)
    options = case.get("options", {})
    if "error" in case:
        with pytest.raises(InputError) as caught:
            load(case["file"], **options)
        assert str(caught.value) == case["error"]
    else:
        require_expected(case, outcome(load(case["file"], **options)))


@each_case
def test_converted_files_hold_the_same(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(CORPUS)
    monkeypatch.setattr(text_module, "CELLS_AT_ONCE", 4)
    options = {**case.get("options", {}), "memory": -1, "cache": tmp_path}
    if "error" in case:
        with pytest.raises(InputError) as caught:
            open_dataset(case["file"], **options)
        assert str(caught.value) == case["error"]
        assert not list(tmp_path.iterdir())
    else:
        require_expected(case, outcome(open_dataset(case["file"], **options)))
        (converted,) = tmp_path.iterdir()
        written = converted.stat().st_mtime_ns
        require_expected(case, outcome(open_dataset(case["file"], **options)))
        assert converted.stat().st_mtime_ns == written


def test_every_file_of_the_corpus_has_its_case() -> None:
    files = {path.name for path in CORPUS.iterdir()} - {EXPECTED.name, ".gitattributes"}
    assert files == {case["file"] for case in CASES}
    assert len(files) >= 60


def test_a_long_file_is_read_right_and_fast(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Numbers, missing values, quotes and classes, of which a fault far down is found."""
    rows = 1_000_000 if request.config.getoption("--full") else 50_000
    path = tmp_path / "long.csv"
    numbers = np.random.default_rng(0).normal(size=(rows, 3)) * 10.0 ** np.arange(-5, 10, 5)
    kinds = np.array(["plain", "with, comma", 'with "quotes"', "über"])[np.arange(rows) % 4]
    gaps = np.arange(rows) % 1000 == 17
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["a", "b", "c", "kind"])
        for row, gap, kind in zip(numbers.tolist(), gaps.tolist(), kinds.tolist(), strict=True):
            writer.writerow(["NA" if gap else row[0], *row[1:], kind])
    start = time.perf_counter()
    data = load(path, missing="mean")
    assert time.perf_counter() - start < 20e-6 * rows + 1
    expected = np.where(gaps[:, None] & (np.arange(3) == 0), np.nan, numbers)
    np.testing.assert_array_equal(data.inputs, expected)
    assert data.classes is not None
    assert np.array(data.classes)[data.outcomes].tolist() == kinds.tolist()
    assert load(path, missing="drop").dropped == gaps.sum()
    with pytest.raises(InputError, match=r"long\.csv:19:1: column 'a': missing value 'NA'"):
        load(path)
    with path.open("a", encoding="utf-8") as stream:
        stream.write("1,2,3,plain\n1,2,three,plain\n")
    with pytest.raises(InputError, match=rf"long\.csv:{rows + 3}:3: column 'c': 'three' is not"):
        load(path, missing="drop")


def test_the_place_of_a_fault_does_not_depend_on_the_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Line ends, characters of several bytes and blanks across the edges of blocks."""
    path = tmp_path / "data.csv"
    content = "a,y\r\n1,ä\r2,€\n3,🙂\r\n4, 🙂 \n\r\n \n".encode()
    path.write_bytes(content)
    whole = outcome(load(path))
    assert whole["classes"] == ["ä", "€", "🙂"]
    broken = content.replace(b"\r2,", b"\r2\xff,")
    for block in range(3, len(content)):
        monkeypatch.setattr("workbench.core.data.text_lines.BLOCK", block)
        path.write_bytes(content)
        assert outcome(load(path)) == whole
        path.write_bytes(broken)
        with pytest.raises(InputError, match=r"data\.csv:3: byte 0xff is not UTF-8"):
            load(path)


@pytest.mark.parametrize(
    "content", ["1" * 2**23, "1,2\n" + '"' + "3,4\n" * 2**20, " " * 2**23 + "x"]
)
def test_text_without_end_is_refused_in_little_memory(content: str, tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text(content)
    with pytest.raises(
        InputError, match=r"data\.csv:[12]: (a line of more than|the quotes do not)"
    ):
        load(path)
