"""Arguments of `workbench train` that are not as they should be: what is meant is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command_line import XOR, Capture, workbench
from workbench.cli.experiments import experiment_of

EQUATIONS = XOR.parents[1] / "regression.eq"

WAYS: dict[str, tuple[str, str]] = {
    "swapped": ("{xor} 2-2-1", "comes before the data: workbench train 2-2-1 {xor}"),
    "no network": ("{xor}", "comes before the data: workbench train 2-2-1 {xor}"),
    "swapped input": ("- 2-2-1", "workbench train 2-2-1 -"),
    "swapped equations": ("xor model.eq", "workbench train model.eq xor"),
    "lr": ("2-1 {xor} --lr 1", "No such option: --lr (did you mean --learning-rate or --least-"),
    "batch": ("2-1 {xor} --batch 1", "--batch (did you mean --batch-size?); see workbench train"),
    "optim": ("2-1 {xor} --optim sgd", "--optim (did you mean --optimizer?)"),
    "epoch": ("2-1 {xor} --epoch 1", "--epoch (did you mean --epochs or --warmup-epochs?)"),
    "misspelt": ("2-1 {xor} --optimiser sgd", "--optimiser (did you mean --optimizer"),
    "nothing near": ("2-1 {xor} --xyzzy", "No such option: --xyzzy; see workbench train --help"),
    "warm-up": ("2-1 {xor} --warmup-start 0.5", "warmup_start 0.5 is given without a warm-up"),
    "argument": ("e.toml --network 2-2-1", "No such option: --network; see workbench train"),
    "experiments": ("a.toml b.toml", "a.toml and b.toml are two experiments; expected one of them"),
    "elsewhere": ("2-1 my/data.csv", "no such file: 'my/data.csv' in {here}; expected a CSV"),
    "no model": ("my.eq {xor}", "my.eq: cannot be read: No such file or directory in {here}"),
    "no experiment": ("my.toml", "my.toml: cannot be read: No such file or directory in {here}"),
    "no start": ("2-1 {xor} --initialiser my.npz", "no such file: 'my.npz' in {here}; expected"),
    "activation": ("{equations} {xor} --activation relu", "the activation relu is given for equat"),
    "rates": (
        "2-1 {xor} --rates 1,2 --learning-rate 3 --replicas 2",
        "learning_rate and rates are",
    ),
    "too large": (f"2-1 {{xor}} --seed 1{'0' * 30}", "seed is a whole number beyond 2^63"),
}


@pytest.mark.parametrize("case", WAYS)
def test_what_is_meant_is_said_in_one_line(case: str, capsys: Capture) -> None:
    places = {"xor": XOR, "here": Path.cwd(), "equations": EQUATIONS}
    line, message = (text.format(**places) for text in WAYS[case])
    assert workbench("train", *line.split()) == 2
    (complaint,) = capsys.readouterr().err.splitlines()
    assert message in complaint


def test_a_warm_up_begins_at_its_start(capsys: Capture) -> None:
    options = "--warmup-epochs", "2", "--warmup-start", "0.5", "--learning-rate", "1"
    assert workbench("train", "2-1", XOR, "--epochs", "3", *options) == 0
    records = map(json.loads, capsys.readouterr().out.splitlines())
    assert [record["learning_rate"] for record in records] == [0.5, 0.75, 1]


@pytest.mark.parametrize(("table", "option"), [("plugins", "--plugin"), ("sizes", "--size")])
def test_options_over_a_file_of_another_type(
    table: str, option: str, tmp_path_factory: pytest.TempPathFactory, capsys: Capture
) -> None:
    file = tmp_path_factory.mktemp("experiment") / "e.toml"
    file.write_text(f'network = "2-1"\n{table} = 3\n[data]\ntrain = "{XOR}"\n')
    assert workbench("train", file, option, "m=3") == 2
    assert f"{table} = 3; expected a " in capsys.readouterr().err


def test_an_experiment_is_trained_with_another_network(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "e.toml"
    file.write_text(f'network = "2-1"\nlearning_rate = 0.5\n[data]\ntrain = "{XOR}"\n')
    assert workbench("train", "2-3-1", file, "--epochs", "2", "--plan") == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["network"], plan["epochs"]) == ("2-3:sigmoid-1:sigmoid", 2)
    experiment = experiment_of({"network": "2-3-1", "data": str(file), "rates": "1,2"})
    assert experiment.settings == {"rates": (1.0, 2.0)}
    assert experiment.data.train == str(XOR)


def test_what_is_given_is_left_as_it_is() -> None:
    given = {"network": "2-1", "data": "d.csv", "plugin": [XOR]}
    assert experiment_of(given) == experiment_of(given)
