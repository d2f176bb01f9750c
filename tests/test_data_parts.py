"""Splitting and preparing: two parts without a leak, and new inputs like those of training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.data import Dataset, Preparation, load, split
from workbench.errors import InputError


def write(folder: Path, content: str | bytes, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# --- the two parts


def numbered(count: int, classes: int = 0) -> Dataset:
    """A data set whose inputs are the numbers of its samples."""
    inputs = np.arange(count, dtype=np.float64).reshape(-1, 1)
    names = tuple(str(number) for number in range(classes)) or None
    outcomes = (np.arange(count) ** 2) % classes if classes else inputs
    return Dataset(inputs, outcomes, ("x",), ("y",), names, "numbered", True)


@given(
    count=st.integers(2, 200),
    classes=st.sampled_from([0, 2, 3, 7]),
    shares=st.tuples(st.floats(0, 0.9), st.sampled_from([0, 0.1, 0.5])),
    seed=st.integers(0, 1000),
)
def test_split_keeps_every_sample_once_and_each_class_in_its_share(
    count: int, classes: int, shares: tuple[float, float], seed: int
) -> None:
    dataset = numbered(count, classes)
    try:
        parts = split(dataset, shares[0], seed, test=shares[1])
    except InputError as error:
        assert "leave nothing to train" in str(error) or "leaves" in str(error)
        return
    assert sorted(np.concatenate([part.inputs[:, 0] for part in parts])) == list(range(count))
    assert len(parts.validation) == int(count * shares[0] + 0.5)
    for part in parts:
        places = part.inputs[:, 0].astype(int)
        np.testing.assert_array_equal(part.outcomes, dataset.outcomes[places])
    if classes:
        for part, share in zip(parts[1:], shares, strict=True):
            assert abs(part.class_counts - share * dataset.class_counts).max() < 1 + 1e-9


def test_a_split_is_what_it_always_was() -> None:
    train, validation, test = split(numbered(12, 3), 0.25, seed=1)
    assert validation.inputs.ravel().tolist() == [11, 1, 9]
    assert (len(train), len(test)) == (9, 0)


def test_split_without_strata_and_the_test_part_apart_from_validation() -> None:
    dataset = numbered(40, 2)
    plain = split(dataset, 0.25, 3, stratify=False)
    assert plain.validation.inputs.tolist() == split(numbered(40), 0.25, 3)[1].inputs.tolist()
    same = split(dataset, 0.25, 3, test=0.25).validation
    assert same.inputs.tolist() == split(dataset, 0.25, 3).validation.inputs.tolist()


def test_split_depends_on_the_seed_only() -> None:
    dataset = numbered(100, 3)
    first, again, other = (split(dataset, 0.25, seed)[1].inputs for seed in (1, 1, 2))
    assert first.tolist() == again.tolist() != other.tolist()
    assert sorted(first.ravel()) != first.ravel().tolist()


def test_split_without_validation() -> None:
    assert [len(part) for part in split(numbered(4), 0, seed=0)] == [4, 0, 0]


@pytest.mark.parametrize(
    ("share", "message"),
    [
        (0.01, "leaves 4 to train and 0 to validate; expected at least one each"),
        (0.99, "leaves 0 to train and 4 to validate; expected at least one each"),
        (1.0, "validation share 1; expected a number from 0"),
        (-0.1, "validation share -0.1; expected"),
        (float("nan"), "validation share nan; expected"),
    ],
)
def test_bad_shares(share: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        split(numbered(4), share, seed=0)


# --- preparation


def test_preparation_knows_the_training_part_only() -> None:
    train = split(numbered(10), 0.3, seed=0).train
    preparation = Preparation.fit(train)
    assert preparation.mean == pytest.approx(train.inputs.mean())
    assert preparation.mean != pytest.approx(numbered(10).inputs.mean())
    prepared = preparation.apply(train.inputs)
    assert prepared.mean() == pytest.approx(0)
    assert prepared.std() == pytest.approx(1)
    others = preparation.apply(np.array([[1000.0]]))
    assert others.item() == pytest.approx((1000 - train.inputs.mean()) / train.inputs.std())


def test_constant_columns_keep_their_scale() -> None:
    inputs = np.column_stack([np.full(7, 0.1), np.arange(7.0)])
    train = Dataset(inputs, inputs, ("a", "b"), ("y",), None, "data", True)
    assert Preparation.fit(train).scale.tolist() == [1, 2]
    plain = Preparation.fit(train, standardise=False)
    assert plain.apply(inputs).tolist() == inputs.tolist()


def test_numbers_too_large_to_standardise() -> None:
    inputs = np.array([[1e308], [-1e308]])
    with pytest.raises(InputError, match="column 'x' has numbers too large to standardise"):
        Preparation.fit(Dataset(inputs, inputs, ("x",), ("y",), None, "data", True))


def test_preparation_survives_json(tmp_path: Path) -> None:
    dataset = load(write(tmp_path, "a,b,kind\n0.1,7,p\n0.7,8,q\n1e-9,9,p\n"))
    preparation = Preparation.fit(dataset)
    again = Preparation.from_json(json.loads(json.dumps(preparation.to_json(), allow_nan=False)))
    assert again.apply(dataset.inputs).tolist() == preparation.apply(dataset.inputs).tolist()
    assert (again.classes, again.target_names) == (("p", "q"), ("kind",))


@pytest.mark.parametrize(
    "damage",
    [
        {"mean": [0.0]},
        {"mean": [0.0, float("nan")]},
        {"scale": [1.0, 0.0]},
        {"scale": [1.0, float("nan")]},
        {"mean": "x"},
        {"input_names": "ab"},
        {"classes": [1, 2]},
        {"fill": [1.0]},
        {"fill": [1.0, float("inf")]},
    ],
)
def test_broken_record_of_a_preparation(damage: dict[str, Any], tmp_path: Path) -> None:
    record = Preparation.fit(load(write(tmp_path, "a,b,y\n1,2,3\n4,5,6\n"))).to_json() | damage
    with pytest.raises(InputError, match="the run's record of its preparation is broken"):
        Preparation.from_json(record)


TRAINED_ON = {"names": "a,b,y\n0,0,5\n2,4,6\n", "numbers": "0,0,5\n2,4,6\n"}

NEW_INPUTS = {
    "in another order": ("names", "b,a\n4,0\n", None),
    "with target and more": ("names", "id,y,b,a\nk7,?,4,0\n", None),
    "without names": ("names", "0,4\n", None),
    "by position": ("numbers", "0,4\n", None),
    "by position with the target": ("numbers", "0,4,9\n", None),
    "by position under other names": ("numbers", "p,q\n0,4\n", None),
    "a name is missing": ("names", "a,bb\n0,4\n", "the column 'b' of training is missing; did you"),
    "too many without names": (
        "names",
        "0,4,9\n",
        "3 columns without names.*expected 2 inputs, in",
    ),
    "too few": ("numbers", "0\n", "1 columns .*expected 2 inputs, or 3 with the targets"),
    "text in an input": ("names", "a,b\nx,4\n1,2\n", r"new\.csv:2:1: column 'a': 'x' is not"),
}


@pytest.mark.parametrize("case", NEW_INPUTS)
def test_new_inputs_get_the_preparation_of_training(case: str, tmp_path: Path) -> None:
    trained_on, content, message = NEW_INPUTS[case]
    preparation = Preparation.fit(load(write(tmp_path, TRAINED_ON[trained_on])))
    path = write(tmp_path, content, "new.csv")
    if message is None:
        assert preparation.read(path).tolist() == [[-1, 1]]
    else:
        with pytest.raises(InputError, match=message):
            preparation.read(path)


def test_target_in_front_without_names(tmp_path: Path) -> None:
    path = write(tmp_path, "5,0,0\n6,2,4\n")
    preparation = Preparation.fit(load(path, targets=["1"]))
    assert preparation.read(path).tolist() == [[-1, -1], [1, 1]]


def test_new_inputs_from_arrays(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, X=np.array([[0, 0], [2, 4]]), y=np.array([5, 6]))
    preparation = Preparation.fit(load(path))
    assert preparation.read(path).tolist() == [[-1, -1], [1, 1]]
    np.save(tmp_path / "new.npy", [[0, 4]])
    assert preparation.read(tmp_path / "new.npy").tolist() == [[-1, 1]]


def test_inputs_of_another_width() -> None:
    preparation = Preparation.fit(numbered(3))
    with pytest.raises(InputError, match=r"inputs of shape \(1, 2\); expected \(samples, 1\)"):
        preparation.apply(np.ones((1, 2)))


# --- missing inputs


GAPS = "a,b,y\n1,10,0\n?,20,0\n3,?,0\n8,60,0\n"


def test_missing_inputs_become_the_mean_of_training(tmp_path: Path) -> None:
    data = load(write(tmp_path, GAPS), missing="mean")
    train = data.take(np.array([0, 1, 2]))
    preparation = Preparation.fit(train)
    assert preparation.fill is not None
    assert preparation.fill.tolist() == [2, 15]
    assert preparation.scale.tolist() == pytest.approx([(2 / 3) ** 0.5, (50 / 3) ** 0.5])
    new = np.array([[np.nan, 15.0], [2.0, np.nan]])
    assert preparation.apply(new).tolist() == [[0, 0], [0, 0]]
    path = write(tmp_path, "b;a\n15;\nNA;2\n", "new.csv")
    again = Preparation.from_json(json.loads(json.dumps(preparation.to_json(), allow_nan=False)))
    assert again.read(path).tolist() == [[0, 0], [0, 0]]
    assert again.read(write(tmp_path, "b;a\n15;2,0\n"), decimal=",").tolist() == [[0, 0]]
    plain = Preparation.fit(train, standardise=False)
    assert plain.apply(new).tolist() == [[2, 15], [2, 15]]


def test_missing_inputs_are_prepared_as_scikit_learn_does(tmp_path: Path) -> None:
    impute = pytest.importorskip("sklearn.impute")
    scale = pytest.importorskip("sklearn.preprocessing")
    data = load(write(tmp_path, GAPS), missing="mean")
    filled = impute.SimpleImputer().fit_transform(data.inputs)
    expected = scale.StandardScaler().fit_transform(filled)
    assert Preparation.fit(data).apply(data.inputs) == pytest.approx(expected, rel=1e-14)


def test_means_that_training_kept_fill_where_it_did_not_have_to(tmp_path: Path) -> None:
    """As if the rows of training had been read with missing="mean", of which none is missing."""
    path = write(tmp_path, "a,b,y\n1,10,0\n3,30,0\n")
    kept = Preparation.fit(load(path)).filling("mean")
    filled = Preparation.fit(load(path, missing="mean"))
    new = np.array([[np.nan, 15.0], [2.0, np.nan]])
    assert kept.apply(new).tolist() == filled.apply(new).tolist()
    assert filled.filling(None) is filled
    gap = write(tmp_path, "a,b\n?,1\n", "new.csv")
    with pytest.raises(InputError, match=r"'\?'; fill it in, or use .* --missing mean$"):
        filled.filling("refuse").read(gap)
    raw = Preparation.fit(load(path), standardise=False)
    with pytest.raises(InputError, match=r"'\?'; fill it in$"):
        raw.read(gap)
    with pytest.raises(InputError, match="--missing mean, but training neither filled"):
        raw.filling("mean")


def test_missing_inputs_that_nothing_fills(tmp_path: Path) -> None:
    data = load(write(tmp_path, GAPS), missing="drop")
    assert (len(data), data.dropped) == (2, 2)
    with pytest.raises(InputError, match=r"new\.csv:2:1: column 'a': missing value '\?'"):
        Preparation.fit(data).read(write(tmp_path, "a,b\n?,1\n", "new.csv"))
    gone = load(write(tmp_path, GAPS), missing="mean").take(np.array([1]))
    with pytest.raises(InputError, match="column 'a' has no value in the training part"):
        Preparation.fit(gone)


@pytest.mark.parametrize("text", [False, True])
def test_missing_values_of_arrays(text: bool, tmp_path: Path) -> None:
    inputs = np.array([[1, 2], [np.nan, 3], [4, 5]])
    labels = np.array(["p", "q", "NA"])
    np.savez(tmp_path / "data.npz", X=inputs.astype("U4") if text else inputs, y=labels)
    with pytest.raises(InputError, match="row 2, column_1: missing value 'nan'"):
        load(tmp_path / "data.npz")
    with pytest.raises(InputError, match="row 3, y: missing value 'NA'"):
        load(tmp_path / "data.npz", missing="mean")
    np.savez(tmp_path / "data.npz", X=inputs.astype("U4") if text else inputs, y=labels[[0, 1, 1]])
    filled = load(tmp_path / "data.npz", missing="mean")
    np.testing.assert_array_equal(filled.inputs, inputs)
    dropped = load(tmp_path / "data.npz", missing="drop")
    assert (dropped.inputs.tolist(), dropped.outcomes.tolist()) == ([[1, 2], [4, 5]], [0, 1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"missing": "men"}, r"unknown way 'men' with missing values: did you mean mean\?"),
        ({"decimal": ";"}, "decimal mark ';'; expected '.' or ','"),
    ],
)
def test_bad_ways_of_reading(options: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load("nowhere.csv", **options)  # type: ignore[arg-type]
