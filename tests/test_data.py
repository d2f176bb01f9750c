"""Reading text: what is accepted, what is refused, and in which words."""

from __future__ import annotations

import csv
import gzip
import io
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.core.data import Preparation, load
from workbench.core.data.sources import Conversion, open_source
from workbench.errors import InputError, TooLargeError

EXAMPLES = Path(__file__).parent.parent / "examples" / "data"


def write(folder: Path, content: str | bytes, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# --- good input: content -> inputs, targets


GOOD: dict[str, tuple[str, Any, Any]] = {
    "header": ("x,y\n1,2\n3,4\n", [[1], [3]], [[2], [4]]),
    "no header": ("1,2\n3,4\n", [[1], [3]], [[2], [4]]),
    "no line end": ("x,y\n1,2", [[1]], [[2]]),
    "CRLF": ("x,y\r\n1,2\r\n", [[1]], [[2]]),
    "old Mac line ends": ("x,y\r1,2\r3,4", [[1], [3]], [[2], [4]]),
    "byte order mark": ("\ufeff1,2\n3,4\n", [[1], [3]], [[2], [4]]),
    "blank lines at the end": ("x,y\n1,2\n\n \r\n\n", [[1]], [[2]]),
    "semicolons": ("x;y\n1;2\n", [[1]], [[2]]),
    "tabs": ("x\ty\n1\t2\n", [[1]], [[2]]),
    "spaces": ("x, y\n 1 , 2 \n", [[1]], [[2]]),
    "quotes after spaces": ('x, "y"\n1, "2"\n', [[1]], [[2]]),
    "quotes": ('"x; of ""a""","y"\n"1","2"\n', [[1]], [[2]]),
    "a line end in a quoted name": ('"x\n1","y"\n1,2\n', [[1]], [[2]]),
    "exponents and signs": ("-1e-3,+.5\n1.,2E2\n", [[-0.001], [1]], [[0.5], [200]]),
    "header with one column called NA": ("x,NA,y\n1,2,3\n", [[1, 2]], [[3]]),
    "a single row of data": ("1,2,3\n", [[1, 2]], [[3]]),
    "classes without a header": ("1,a\n2,b\n", [[1], [2]], [[1, 0], [0, 1]]),
    "classes in natural order": ("x,y\n1,b\n2,10\n3,9\n", [[1], [2], [3]], None),
}


@pytest.mark.parametrize("case", GOOD)
def test_good_input(case: str, tmp_path: Path) -> None:
    content, inputs, targets = GOOD[case]
    categorical = True if "classes" in case else None
    dataset = load(write(tmp_path, content), categorical=categorical)
    assert dataset.inputs.tolist() == inputs
    if targets is None:
        assert dataset.classes == ("9", "10", "b")
        targets = [[0, 0, 1], [0, 1, 0], [1, 0, 0]]
    assert dataset.targets.tolist() == targets


def test_names_and_chosen_targets(tmp_path: Path) -> None:
    named = load(write(tmp_path, "a,b,c\n1,2,3\n"), targets=["c", "a"])
    assert (named.input_names, named.target_names) == (("b",), ("c", "a"))
    assert named.targets.tolist() == [[3, 1]]
    numbered = load(write(tmp_path, "1,2,3\n"), targets=["1"])
    assert (numbered.input_names, numbered.target_names) == (
        ("column_2", "column_3"),
        ("column_1",),
    )


def test_header_can_be_told(tmp_path: Path) -> None:
    path = write(tmp_path, "2019,2020\n1,2\n")
    assert len(load(path)) == 2
    assert load(path, header=True).input_names == ("2019",)
    mixed = write(tmp_path, "year,2020\n1,2\n")
    assert load(mixed, header=True).input_names == ("year",)


def test_numbers_are_classes_on_request(tmp_path: Path) -> None:
    path = write(tmp_path, "x,y\n1,10\n2,9\n3,10\n")
    assert load(path).classes is None
    assert load(path, categorical=True).classes == ("9", "10")


def test_class_names_are_kept_as_they_are(tmp_path: Path) -> None:
    path = write(tmp_path, 'x,y\r\n1,"a\r\nb"\r\n2,"c, d "\r\n')
    assert load(path).classes == ("a\r\nb", "c, d")


def test_only_tabs_separate_in_tsv(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column is left for the inputs"):
        load(write(tmp_path, "1,5\n2,5\n", "data.tsv"))


def test_file_endings(tmp_path: Path) -> None:
    plain = "x,y\n1,2\n"
    for name, content in [
        ("data", plain.encode()),
        ("data.tsv", b"x,1\ty\n1\t2\n"),
        ("data.csv.gz", gzip.compress(plain.encode())),
    ]:
        assert load(write(tmp_path, content, name)).targets.tolist() == [[2]]


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    give_standard_input(monkeypatch, b"x,y\n1,2\n")
    assert load("-").targets.tolist() == [[2]]
    give_standard_input(monkeypatch, b"x,y\n1\n")
    with pytest.raises(InputError, match=r"^standard input:2: 1 cell, expected 2"):
        load("-")


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with ThreadPoolExecutor() as threads:
        threads.submit(path.write_text, "x,y\n1,2\n")
        assert load(path).targets.tolist() == [[2]]


def give_standard_input(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_shipped_examples() -> None:
    xor = load(EXAMPLES / "xor.csv")
    assert (xor.inputs.tolist(), xor.input_names) == (
        [[0, 0], [0, 1], [1, 0], [1, 1]],
        ("x0", "x1"),
    )
    assert xor.targets.ravel().tolist() == [0, 1, 1, 0]
    digits = load(EXAMPLES / "digits.csv", targets=["label"], categorical=True)
    assert digits.inputs.shape == (1797, 64)
    assert digits.classes == tuple("0123456789")
    assert digits.targets.sum(axis=0).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert (digits.inputs.min(), digits.inputs.max()) == (0, 16)
    assert (digits.input_names[0], digits.input_names[-1]) == ("pixel_0_0", "pixel_7_7")


# --- bad input: content -> message


BAD: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "data.csv is empty"),
    "only line ends": ("\r\n\n", "data.csv is empty"),
    "header only": ("x,y\n", "data.csv has a header but no rows"),
    "blank first line": ("\nx,y\n1,2\n", "data.csv:1: the first line is blank"),
    "blank line between": ("x,y\n1,2\n\n3,4\n", "data.csv:3: blank line between the rows"),
    "short row": ("x,y,z\n1,2,3\n4,5\n", "data.csv:3: 2 cells, expected 3 (separated by ',')"),
    "long row": ("1;2\n3;4;5\n", "data.csv:2: 3 cells, expected 2 (separated by ';')"),
    "ragged after quotes": ('"a\nb",y\n1,2\n3\n', "data.csv:4: 1 cell, expected 2"),
    "text": ("x,y\n1,2\nabc,4\n", "data.csv:3:1: column 'x': 'abc' is not a number"),
    "text, no header": ("1,2\nabc,4\n", "data.csv:2:1: column 'column_1': 'abc' is not"),
    "underscore": ("x,y\n1_000,2\n", "data.csv:2:1: column 'x': '1_000' is not a number"),
    "empty cell": ("x,y\n1,2\n,4\n", "data.csv:3:1: column 'x': missing value ''"),
    "NA": ("x,y\n1,2\nNA,4\n", "data.csv:3:1: column 'x': missing value 'NA'"),
    "?": ("1,2\n?,4\n", "data.csv:2:1: column 'column_1': missing value '?'"),
    "? in the first row": ("?,2\n1,4\n", "data.csv:1:1: column 'column_1': missing value '?'"),
    "? in the first row of classes": ("?,a\n1,b\n", "data.csv:1:1: column 'column_1': missing"),
    "decimal comma": ("0,5;1\n1,5;2\n", "data.csv:1:1: column 'column_1': '0,5' is not a number"),
    "missing class": ("x,y\n1,a\n2,\n", "data.csv:3:2: column 'y': missing value ''"),
    "missing target": ("x,y\n1,2\n2,NA\n", "data.csv:3:2: column 'y': missing value 'NA'"),
    "NaN": ("x,y\n1,2\nnan,4\n", "data.csv:3:1: column 'x': missing value 'nan'"),
    "infinite": ("x,y\n1,2\n-inf,4\n", "data.csv:3:1: column 'x': '-inf' is not a finite"),
    "control character": ("x,y\n1,2\n3\x1d,4\n", "data.csv:3:1: column 'x': '3\\x1d' is not a"),
    "overflow": ("x,y\n1,2\n1e999,4\n", "data.csv:3:1: column 'x': '1e999' is not a finite"),
    "infinite target": ("x,y\n1,2\n1,inf\n", "data.csv:3:2: column 'y': 'inf' is not a finite"),
    "text among target numbers": ("x,y\n1,2\n1,two\n", "data.csv:3:2: column 'y': 'two' is not"),
    "first row with a mistake": ("1,2,x3\n4,5,6\n", "data.csv:1:3: 'x3' stands above numbers"),
    "duplicate names": ("x,y,x\n1,2,3\n", "data.csv:1:3: column 1 has the name 'x' too"),
    "column without a name": (",x,y\n0,1,2\n", "data.csv:1:1: a column without a name"),
    "one column": ("x\n1\n2\n", "data.csv: no column is left for the inputs: all 1 are targets"),
    "one class": ("x,y\n1,a\n2,a\n", "data.csv: column 'y' holds one class only, 'a'"),
    "not UTF-8": (b"x,y\n1,2\n\xe9,4\n", "data.csv:3: byte 0xe9 is not UTF-8 text"),
    "UTF-16": ("x,y\n1,2\n".encode("utf-16"), "data.csv:1: byte 0xff is not UTF-8 text"),
    "NUL": (b"x,y\n1,2\n\0,4\n", "data.csv:3: byte 0x00 is not UTF-8 text"),
    "open quote": ('x,y\n1,"2\n3,4\n', "data.csv:2: the quotes do not fit"),
    "text after a quote": ('x,y\n1,"2"3\n', "data.csv:2: the quotes do not fit"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content, message = BAD[case]
    write(tmp_path, content)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        load("data.csv")
    assert str(caught.value).startswith(message)


def test_a_fault_far_down_is_found(tmp_path: Path) -> None:
    rows = ["x,y"] + ["1,2"] * 50_000
    rows[40_000] = "1,2x"
    with pytest.raises(InputError, match=r"data\.csv:40001:2: column 'y': '2x' is not a number"):
        load(write(tmp_path, "\n".join(rows)), categorical=False)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (["lable"], "there is no column 'lable' for the target; did you mean label?"),
        (["2"], "there is no column '2' for the target"),
        (["label", "label"], "a target column is given twice: label, label"),
        (["x", "label"], "no column is left for the inputs: all 2 are targets"),
    ],
)
def test_bad_targets(targets: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        load(write(tmp_path, "x,label\n1,2\n"), targets=targets)


def test_several_targets_must_be_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, "x,a,b\n1,p,q\n2,r,s\n")
    with pytest.raises(InputError, match=r"2 targets \(a, b\) of classes; expected one column"):
        load(path, targets=["a", "b"])


def test_text_target_refused_where_numbers_are_needed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data\.csv:2:2: column 'y': 'a' is not a number"):
        load(write(tmp_path, "x,y\n1,a\n2,b\n"), categorical=False)


def test_unreadable_sources(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such file: .*nothing\.csv'; expected a CSV"):
        load(tmp_path / "nothing.csv")
    with pytest.raises(InputError, match=r"cannot read .*: Is a directory"):
        load(tmp_path)


def test_one_hot_that_would_not_fit_is_refused(tmp_path: Path) -> None:
    rows = "\n".join(f"1,{number}.5" for number in range(20_000))
    dataset = load(write(tmp_path, rows), categorical=True)
    with pytest.raises(TooLargeError, match=r"20,000 classes in 20,000 rows needs 3\.2 GB"):
        dataset.targets  # noqa: B018
    conversion = Conversion(dataset, Preparation.fit(dataset), "float32", 20_000)
    with pytest.raises(TooLargeError, match=r"20,000 outputs, needs 1\.6 GB"):
        next(open_source(conversion, seed=0).blocks(1, 32))


# --- properties

finite = st.floats(allow_nan=False, allow_infinity=False)
names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8).map(
    lambda text: "n " + " ".join(text.split())
)
in_tmp_path = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[list[float]]]:
    width = draw(st.integers(2, 5))
    header = draw(st.lists(names.map(str.strip), min_size=width, max_size=width, unique=True))
    row = st.lists(finite, min_size=width, max_size=width)
    return header, draw(st.lists(row, min_size=1, max_size=20))


@in_tmp_path
@given(table=tables(), delimiter=st.sampled_from(",;\t"), quoting=st.sampled_from([0, 1]))
def test_what_is_written_reads_back_equal(
    table: tuple[list[str], list[list[float]]], delimiter: str, quoting: Any, tmp_path: Path
) -> None:
    header, rows = table
    stream = io.StringIO()
    csv.writer(stream, delimiter=delimiter, quoting=quoting).writerows([header, *rows])
    content = stream.getvalue()
    name = "data.tsv" if delimiter == "\t" else "data.csv"
    if any(mark in "".join(header) for mark in ";\t,"):
        header, content = [], content.split("\r\n", 1)[1]
    dataset = load(write(tmp_path, content, name), categorical=False)
    assert np.hstack([dataset.inputs, dataset.targets]).tolist() == rows
    assert not header or [*dataset.input_names, *dataset.target_names] == header


@in_tmp_path
@given(content=st.binary(max_size=60) | st.text("1,2;\n\"x\t \r?'", max_size=40).map(str.encode))
def test_any_bytes_end_in_data_or_in_a_message(content: bytes, tmp_path: Path) -> None:
    for name in ("data.csv", "data.npy", "data.npz", "data.gz"):
        try:
            load(write(tmp_path, content, name))
        except InputError as error:
            assert str(error)


def test_reading_is_fast(tmp_path: Path) -> None:
    """A hundred thousand rows of ten columns; a tenth of what is asked to take some seconds."""
    row = ",".join(f"{number}.25" for number in range(10))
    path = write(tmp_path, "\n".join([row] * 100_000))
    start = time.perf_counter()
    assert load(path).inputs.shape == (100_000, 9)
    assert time.perf_counter() - start < 5
