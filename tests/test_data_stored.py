"""Data larger than memory: the same samples, statistics and parts as in memory, in little of it."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from workbench.core.data import Dataset, Preparation, StoredDataset, load, open_dataset, split
from workbench.core.data import sources as sources_module
from workbench.core.data import stored as stored_module
from workbench.core.data.class_weights import class_weights
from workbench.core.data.sources import Conversion, Samples, SampleSource, open_source
from workbench.core.samples import out_of_reach, recognise_classes, require_fit, sample_source
from workbench.errors import InputError
from workbench.plugins.build import build_network
from workbench.plugins.registry import load_registry

in_tmp_path = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)


@pytest.fixture(autouse=True)
def small_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven rows of three float64 a stretch, a pool of some stretches."""
    monkeypatch.setattr(stored_module, "STRETCH", 7 * 24)
    monkeypatch.setattr(sources_module, "POOL", 500)


def table(rows: int, classes: int = 0) -> Any:
    """An array of two inputs, the first of which counts, and a target."""
    generator = np.random.default_rng(rows)
    targets = np.arange(rows) ** 2 % classes if classes else generator.normal(size=rows)
    return np.column_stack([np.arange(rows), generator.normal(3, 2, size=rows), targets])


def both(folder: Path, array: Any, **options: Any) -> tuple[Dataset, StoredDataset]:
    """One file, read into memory and left where it is."""
    path = folder / "data.npy"
    np.save(path, array)
    left = open_dataset(path, memory=0, **options)
    assert isinstance(left, StoredDataset)
    return load(path, **options), left


def source_of(
    data: Any, *, outputs: int = 1, dtype: str = "float64", seed: int = 0
) -> SampleSource:
    return open_source(Conversion(data, Preparation.fit(data), dtype, outputs), seed)


def collected(blocks: Iterator[Samples]) -> Any:
    """The rows of all blocks, inputs and targets side by side."""
    return np.concatenate([np.hstack(block[:2]) for block in blocks])


def in_order(rows: Any) -> Any:
    return rows[np.lexsort(rows.T)]


# --- sources


@in_tmp_path
@given(
    rows=st.integers(1, 60),
    batch_size=st.integers(1, 70),
    start=st.integers(0, 5),
    epoch=st.integers(1, 3),
    parts=st.booleans(),
)
@example(rows=60, batch_size=3, start=4, epoch=1, parts=False)
def test_an_epoch_is_every_sample_once_from_any_batch_on(
    rows: int, batch_size: int, start: int, epoch: int, parts: bool, tmp_path: Path
) -> None:
    for data in both(tmp_path, table(rows)):
        part = split(data, 0.5, 1).train if parts and rows > 1 else data
        source = source_of(part)
        blocks = []
        for block in source.blocks(epoch, batch_size):
            blocks.append(np.hstack(block[:2]))
        assert all(len(block) % batch_size == 0 for block in blocks[:-1])
        whole = np.concatenate(blocks)
        np.testing.assert_array_equal(in_order(whole), in_order(collected(source.chunks(13))))
        rest = [np.hstack(block[:2]) for block in source.blocks(epoch, batch_size, start)]
        expected = whole[start * batch_size :]
        np.testing.assert_array_equal(np.concatenate([expected[:0], *rest]), expected)


def test_both_sources_give_the_same_samples_in_orders_of_their_own(tmp_path: Path) -> None:
    memory, stored = (source_of(data) for data in both(tmp_path, table(100)))
    assert (memory.count, memory.input_shape, memory.target_shape) == (100, (2,), (1,))
    assert (stored.count, stored.input_shape, stored.target_shape) == (100, (2,), (1,))
    for source in (memory, stored):
        one, two = (collected(source.blocks(epoch, 8)) for epoch in (1, 2))
        np.testing.assert_array_equal(one, collected(source.blocks(1, 8)))
        assert one.tolist() != two.tolist()
        assert not (np.diff(one[:20, 0]) > 0).all()
    kept = [in_order(collected(source.blocks(3, 8))) for source in (memory, stored)]
    np.testing.assert_allclose(kept[0], kept[1], rtol=1e-12, atol=1e-14)
    sequential = [collected(source.chunks(9)) for source in (memory, stored)]
    np.testing.assert_allclose(sequential[0], sequential[1], rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(np.diff(sequential[1][:, 0]) > 0, True)


def test_the_order_follows_from_the_seed_and_the_epoch() -> None:
    numbers = np.arange(50.0)[:, None]
    data = Dataset(numbers, numbers, ("x",), ("y",), None, "data", True)
    (block,) = source_of(data, seed=5).blocks(4, 8)
    generator = np.random.default_rng(np.random.SeedSequence(5, spawn_key=(2, 4)))
    assert block.targets.ravel().tolist() == generator.permutation(50).tolist()
    (whole,) = source_of(data).blocks(1, 50)
    assert whole.targets.ravel().tolist() == list(range(50))


@pytest.mark.parametrize("stored", [False, True])
def test_blocks_lie_in_the_same_memory(stored: bool, tmp_path: Path) -> None:
    source = source_of(both(tmp_path, table(100, 4), categorical=True)[stored], outputs=4)
    places = set()
    for epoch, start in ((1, 3), (1, 0), (2, 1)):
        for block in source.blocks(epoch, 5, start):
            assert block.inputs.flags.c_contiguous and block.targets.flags.c_contiguous
            places.add((block.inputs.ctypes.data, block.targets.ctypes.data))
            for _ in source.chunks(10):
                pass
    assert len(places) == 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_classes_become_one_hot_batch_by_batch(dtype: str, tmp_path: Path) -> None:
    for data in both(tmp_path, table(40, 3), categorical=True):
        assert data.classes == ("0", "1")
    for data in both(tmp_path, table(40, 7), categorical=True):
        assert data.classes == ("0", "1", "2", "4")
        for block in source_of(data, outputs=4, dtype=dtype).blocks(1, 8):
            numbers = np.rint(Preparation.fit(data).mean[0] + 11.54339638 * block.inputs[:, 0])
            assert block.targets.dtype == block.inputs.dtype == dtype
            expected = np.searchsorted([0, 1, 2, 4], numbers**2 % 7)
            np.testing.assert_array_equal(block.targets, np.eye(4)[expected])


def test_weights_of_classes_travel_with_the_samples(tmp_path: Path) -> None:
    for data in both(tmp_path, table(40, 3), categorical=True):
        weights = class_weights(data, "balanced")
        assert weights @ data.class_counts == pytest.approx(40)
        assert (weights * data.class_counts).tolist() == pytest.approx([20, 20])
        conversion = Conversion(data, Preparation.fit(data), "float64", 1, weights)
        for block in open_source(conversion, 0).blocks(1, 8):
            assert block.weights is not None
            np.testing.assert_array_equal(block.weights, weights[block.targets[:, 0].astype(int)])
    with pytest.raises(InputError, match=r"a weight for 'maybe', which is no class .* known: 0, 1"):
        class_weights(data, {"maybe": 2.0})
    with pytest.raises(InputError, match="weight -1 of class '1'; expected a number above 0"):
        class_weights(data, {"1": -1.0})
    with pytest.raises(InputError, match="unknown class weights 'even'; expected 'balanced'"):
        class_weights(data, "even")


def test_weights_agree_with_scikit_learn(tmp_path: Path) -> None:
    utils = pytest.importorskip("sklearn.utils")
    data, _ = both(tmp_path, table(40, 7), categorical=True)
    expected = utils.compute_class_weight("balanced", classes=np.arange(4), y=data.outcomes)
    assert class_weights(data, "balanced").tolist() == pytest.approx(expected.tolist())
    some = utils.compute_class_weight({1: 3.0}, classes=np.arange(4), y=data.outcomes)
    assert class_weights(data, {"1": 3.0}).tolist() == some.tolist() == [1, 3, 1, 1]


def test_targets_too_large_for_the_type_are_refused_at_once(tmp_path: Path) -> None:
    data, _ = both(tmp_path, table(9) * np.array([1, 1, 1e300]))
    message = "column 'column_3' has values that are not finite in float32; rescale"
    with pytest.raises(InputError, match=message):
        source_of(data, dtype="float32")


# --- statistics and parts


@in_tmp_path
@given(
    rows=st.integers(1, 60),
    offset=st.sampled_from([0.0, 1e6, -1e3]),
    missing=st.sampled_from(["refuse", "mean", "drop"]),
)
def test_statistics_agree_with_those_in_memory(
    rows: int, offset: float, missing: str, tmp_path: Path
) -> None:
    array = table(rows)
    array[:, 1] += offset
    if missing != "refuse":
        array[1::3, 1] = np.nan
    memory, stored = both(tmp_path, array, missing=missing)
    assert (len(memory), memory.dropped) == (len(stored), stored.dropped)
    one, two = Preparation.fit(memory), Preparation.fit(stored)
    np.testing.assert_allclose(two.mean, one.mean, rtol=1e-12)
    np.testing.assert_allclose(two.scale, one.scale, rtol=1e-12 * max(1, abs(offset) ** 2))
    assert (one.fill is None) == (two.fill is None) == (missing != "mean")
    np.testing.assert_allclose(one.mean, np.nanmean(memory.inputs, axis=0), rtol=1e-12)


@pytest.mark.parametrize("classes", [0, 2, 7])
def test_a_stored_split_keeps_the_shares(classes: int, tmp_path: Path) -> None:
    _, data = both(tmp_path, table(1000, classes), categorical=bool(classes))
    parts = split(data, 0.2, 3, test=0.1)
    rows = [
        collected(source_of(part, outputs=len(data.classes or "1")).chunks(50)) for part in parts
    ]
    assert [len(part) for part in parts] == [len(some) for some in rows]
    assert sum(map(len, parts)) == 1000
    counted = [np.concatenate([chunk.inputs for chunk in part.chunks()])[:, 0] for part in parts]
    assert sorted(np.concatenate(counted)) == list(range(1000))
    for part, share in zip(parts, (0.7, 0.2, 0.1), strict=True):
        assert abs(len(part) - share * 1000) < 3
        if classes:
            assert abs(part.class_counts - share * data.class_counts).max() < 2
    again, other = (split(data, 0.2, seed).validation for seed in (3, 4))
    assert again.marks is not None and parts.validation.marks is not None
    assert not ((again.marks == 1) == (split(data, 0.2, 4).validation.marks == 1)).all()
    assert len(other) == len(again)


def test_networks_take_stored_data(tmp_path: Path) -> None:
    network = build_network("2-4:softmax", registry=load_registry())
    memory, stored = (recognise_classes(4, data) for data in both(tmp_path, table(40, 7)))
    assert memory.classes == stored.classes == ("0", "1", "2", "4")
    for data in (memory, stored):
        require_fit(network, data)
        source = sample_source(network, data, Preparation.fit(data), "float32", seed=1)
        assert collected(source.blocks(1, 8)).shape == (40, 6)
    numbers = both(tmp_path, table(40))[1]
    assert recognise_classes(4, numbers) is numbers
    bounded = build_network("2-1:sigmoid", registry=load_registry())
    assert out_of_reach(bounded, numbers) == out_of_reach(bounded, load(tmp_path / "data.npy"))
    with pytest.raises(InputError, match=r"has 4 outputs, .* 1 column of numbers as target"):
        require_fit(network, numbers)
    distribution = build_network("2-1:softmax", loss="cross_entropy", registry=load_registry())
    with pytest.raises(InputError, match="the loss cross_entropy does not fit the targets"):
        sample_source(distribution, numbers, Preparation.fit(numbers), "float32")


# --- files


@pytest.mark.parametrize("dtype", ["float32", "int16", ">f8", "bool"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_any_kind_and_order(dtype: str, order: Any, tmp_path: Path) -> None:
    array = np.asarray(table(30) > 1 if dtype == "bool" else table(30), dtype, order=order)
    for data in both(tmp_path, array, targets=["2"]):
        chunks = list(data.chunks())
        inputs = np.concatenate([chunk.inputs for chunk in chunks])
        outcomes = np.concatenate([chunk.outcomes for chunk in chunks])
        np.testing.assert_array_equal(inputs, array[:, [0, 2]])
        np.testing.assert_array_equal(outcomes, array[:, [1]])


def test_archives_that_are_not_packed(tmp_path: Path) -> None:
    path, inputs = tmp_path / "data.npz", table(30)
    np.savez(path, X=inputs, y=np.arange(30), t=inputs[:, ::-1])
    for targets in ((), ("t",)):
        memory, stored = load(path, targets=targets), open_dataset(path, targets=targets, memory=0)
        assert memory.input_names == stored.input_names
        assert memory.target_names == stored.target_names
        chunks = list(stored.chunks())
        np.testing.assert_array_equal(np.concatenate([c.inputs for c in chunks]), memory.inputs)
        np.testing.assert_array_equal(np.concatenate([c.outcomes for c in chunks]), memory.outcomes)
    np.savez_compressed(path, X=inputs, y=np.arange(30))
    with pytest.raises(InputError, match=r"X\.npy is packed, and too large to unpack in memory"):
        open_dataset(path, memory=0)


@pytest.mark.parametrize(
    ("value", "place", "options", "message"),
    [
        (np.nan, (20, 1), {}, "row 21, column_2: missing value 'nan'; .* --missing mean"),
        (np.inf, (20, 1), {"missing": "drop"}, "row 21, column_2: 'inf' is not a finite number"),
        (np.nan, (9, 2), {"missing": "mean"}, "row 10, column_3: missing value 'nan'"),
        (0.0, (0, 0), {"targets": ["9"]}, "there is no column '9' for the target"),
    ],
)
def test_faults_of_stored_arrays(
    value: float, place: tuple[int, int], options: Any, message: str, tmp_path: Path
) -> None:
    array = table(30)
    array[place] = value
    np.save(tmp_path / "data.npy", array)
    for read in (load, lambda *given, **more: open_dataset(*given, memory=0, **more)):
        with pytest.raises(InputError, match=message):
            read(tmp_path / "data.npy", **options)


@in_tmp_path
@given(
    name=st.sampled_from(["data.npy", "data.npz"]),
    place=st.floats(0, 1),
    byte=st.binary(min_size=1, max_size=1),
)
def test_damaged_files_end_in_data_or_in_a_message(
    name: str, place: float, byte: bytes, tmp_path: Path
) -> None:
    path = tmp_path / name
    if name.endswith("y"):
        np.save(path, table(9))
    else:
        np.savez(path, X=table(9), y=np.arange(9))
    content = path.read_bytes()
    cut = int(place * len(content))
    for damaged in (content[:cut], content[:cut] + byte + content[cut + 1 :]):
        path.write_bytes(damaged)
        try:
            for chunk in open_dataset(path, memory=-1).chunks():
                assert np.isfinite(chunk.inputs).all()
        except InputError as error:
            assert str(error)


def test_a_file_that_changes_in_use_is_refused(tmp_path: Path) -> None:
    _, data = both(tmp_path, table(30))
    source = source_of(data)
    np.save(tmp_path / "data.npy", table(31))
    with pytest.raises(InputError, match=r"data\.npy has been changed while it was in use"):
        collected(source.blocks(1, 4))


def test_text_is_converted_again_when_it_or_the_options_change(tmp_path: Path) -> None:
    path, cache = tmp_path / "data.csv", tmp_path / "cache"
    cache.mkdir()
    told: list[tuple[int, int]] = []
    options: dict[str, Any] = {"memory": 0, "cache": cache}
    path.write_text("a,y\n1,p\n2,q\n")
    open_dataset(path, **options, progress=lambda *progress: told.append(progress))
    assert told[-1] == (12, 12)
    told.clear()
    first = open_dataset(path, **options, progress=lambda *progress: told.append(progress))
    assert (len(first), first.classes, told) == (2, ("p", "q"), [])
    path.write_text("a,y\n1,p\n2,q\n3,r\n")
    assert len(open_dataset(path, **options)) == 3
    assert len(list(cache.iterdir())) == 1
    path.write_text("a,y\n1,p\n2,q\n4,r\n")
    os.utime(path, ns=(0, 0))
    assert [*open_dataset(path, **options).chunks()][-1].inputs[-1] == 4
    (converted,) = cache.iterdir()
    content = converted.read_bytes()
    for damaged in (content[:-1], content[8:], b"", content[:-9] + b"\xff" + content[-8:]):
        converted.write_bytes(damaged)
        assert len(open_dataset(path, **options)) == 3
        assert converted.read_bytes() == content
    path.write_text("a,y\n1,p\n2,\n3,r\n")
    with pytest.raises(InputError, match=r"data\.csv:3:2: column 'y': missing value"):
        open_dataset(path, **options)
    assert converted.read_bytes() == content
    assert open_dataset(path, **options, missing="drop").dropped == 1
    assert len(list(cache.iterdir())) == 2


def test_large_files_take_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty-four megabytes in less than six, whatever is done with them."""
    monkeypatch.setattr(stored_module, "STRETCH", 2**17)
    monkeypatch.setattr(sources_module, "POOL", 2**20)
    np.save(tmp_path / "data.npy", np.tile(table(1000, 7), (1000, 1)))
    tracemalloc.start()
    try:
        data = open_dataset(tmp_path / "data.npy", categorical=True, memory=2**20)
        train, validation, _ = split(data, 0.25, 0)
        preparation = Preparation.fit(train)
        for part in (train, validation):
            source = open_source(Conversion(part, preparation, "float32", 4), 0)
            assert sum(len(block.inputs) for block in source.blocks(1, 32)) == len(part)
            assert sum(len(chunk.inputs) for chunk in source.chunks(1024)) == len(part)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6 * 2**20


# --- files like those of training


LIKE = {
    "other order": ("kind,b,a\nq,2,1\np,4,3\n", [[1, 2], [3, 4]], ["q", "p"]),
    "further columns": ("id,a,b,kind\n7,1,2,q\n", [[1, 2]], ["q"]),
    "a single class": ("a,b,kind\n1,2,p\n", [[1, 2]], ["p"]),
    "no target": ("a,b\n1,2\n", None, "new.csv: the column 'kind' of training is missing"),
    "no names": ("1,2,p\n", None, "new.csv: 3 columns without names to match; expected 3 as in"),
    "an unknown class": (
        "a,b,kind\n1,2,p\n1,2,r\n",
        None,
        r"new.csv:3:3: column 'kind': 'r' is no class of the training data; known: p, q",
    ),
    "a fault": ("a,b,kind\n1,x,p\n", None, "new.csv:2:2: column 'b': 'x' is not a number"),
}


@pytest.mark.parametrize("case", LIKE)
@pytest.mark.parametrize("memory", [-1, 2**20])
def test_further_files_fit_the_training_part(case: str, memory: int, tmp_path: Path) -> None:
    content, inputs, expected = LIKE[case]
    (tmp_path / "train.csv").write_text("a,b,kind\n1,2,p\n3,4,q\n")
    (tmp_path / "new.csv").write_text(content)
    training = load(tmp_path / "train.csv")
    for like in (training, Preparation.fit(training)):
        if inputs is None:
            with pytest.raises(InputError, match=str(expected)):
                open_dataset(tmp_path / "new.csv", like=like, memory=memory)
            continue
        data = open_dataset(tmp_path / "new.csv", like=like, memory=memory)
        assert data.classes == ("p", "q")
        (chunk,) = data.chunks()
        assert chunk.inputs.tolist() == inputs
        assert [data.classes[label] for label in chunk.outcomes] == list(expected)


def test_further_files_without_names_and_of_numbers_that_are_classes(tmp_path: Path) -> None:
    np.save(tmp_path / "train.npy", [[1, 5, 0], [2, 6, 1]])
    (tmp_path / "new.csv").write_text("3,7,1.0\n4,8,0\n")
    network = build_network("2-1", registry=load_registry())
    training = recognise_classes(network.widths[-1], load(tmp_path / "train.npy"))
    text = load(tmp_path / "new.csv", like=training)
    assert (text.inputs.tolist(), text.outcomes.tolist()) == ([[3, 7], [4, 8]], [1, 0])
    np.save(tmp_path / "new.npy", [[3, 7, 1], [4, 8, 1]])
    for memory in (0, 2**20):
        data = open_dataset(tmp_path / "new.npy", like=training, memory=memory)
        assert next(iter(data.chunks())).outcomes.tolist() == [1, 1]
    np.savez(tmp_path / "train.npz", X=np.eye(2), y=[5, 6])
    np.savez(tmp_path / "new.npz", X=np.eye(2) * 2, y=[7, 8])
    for memory in (0, 2**20):
        data = open_dataset(tmp_path / "new.npz", like=load(tmp_path / "train.npz"), memory=memory)
        assert next(iter(data.chunks())).outcomes.tolist() == [[7], [8]]
    np.save(tmp_path / "new.npy", [[3, 7, 1], [4, 8, 2]])
    for memory in (0, 2**20):
        with pytest.raises(InputError, match="'2' is no class of the training data; known: 0, 1"):
            open_dataset(tmp_path / "new.npy", like=training, memory=memory)
