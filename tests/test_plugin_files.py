"""Plugin files after a training: what is said when they are not what they were."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pytest

import workbench as wb
from tests.command_line import XOR, Capture, workbench

SOURCE = """\
from workbench.plugins import hookimpl
from workbench.plugins.records import Activation

@hookimpl
def workbench_activations():
    yield Activation(name="bent", formula="(sqrt(z^2 + 1) - 1) / 2 + z")
"""
EDITED = "the plugin file bent.py was edited since the run was trained: results follow what it says"
PLUGIN = "--plugin", "bent.py"
RESUME = "train", "--resume", "run", *PLUGIN, "--epochs"


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> Path:
    """The file that a run was trained with, in the current directory."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "bent.py"
    file.write_text(SOURCE)
    line = "train", "2-3:bent-1", XOR, "--epochs", "2", "--validation", "0.25", "--run", "run"
    assert workbench(*line, *PLUGIN) == 0
    capsys.readouterr()
    return file


@pytest.mark.parametrize(
    "command",
    [("predict", "run", XOR), ("evaluate", "run", XOR), ("export", "run", "--format", "npz")],
    ids=lambda command: command[0],
)
def test_a_run_is_read_with_a_warning_if_its_plugin_file_was_edited(
    command: tuple[str, ...], plugin: Path, capsys: Capture
) -> None:
    assert workbench(*command, *PLUGIN) == 0
    told = capsys.readouterr().err
    assert "warning" not in told
    assert "checkpoint" not in told
    plugin.write_text(SOURCE.replace("/ 2", "/ 3"))
    assert workbench(*command, *PLUGIN) == 0
    assert f"workbench: warning: {EDITED}" in capsys.readouterr().err


def test_a_run_goes_on_with_a_warning_if_its_plugin_file_was_edited(
    plugin: Path, capsys: Capture
) -> None:
    plugin.write_text(SOURCE.replace("/ 2", "/ 3"))
    assert workbench(*RESUME, "3") == 0
    assert EDITED in capsys.readouterr().err
    assert workbench(*RESUME, "4") == 0
    assert EDITED not in capsys.readouterr().err


def test_python_is_warned_of_an_edited_plugin_file_but_not_of_one_that_was_moved(
    plugin: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    moved = plugin.rename(tmp_path / "elsewhere" / plugin.name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = wb.load("run", plugins=moved)
    assert (model.checkpoint, model.notes) == ("best", ())
    moved.write_text(SOURCE + "\n")
    with pytest.warns(UserWarning, match=EDITED):
        wb.load("run", plugins=moved)


def test_a_terminal_is_told_which_checkpoint_a_model_is_from(
    plugin: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert workbench("predict", "run", XOR, *PLUGIN) == 0
    epoch = wb.load("run", plugins=plugin).epoch
    assert epoch in (1, 2)
    told = f"workbench: the best checkpoint of run, after epoch {epoch}\n"
    assert capsys.readouterr().err == told
    (plugin.parent / "run" / "best.safetensors").unlink()
    assert workbench("predict", "run", XOR, *PLUGIN) == 0
    assert "the last checkpoint of run, after epoch 2" in capsys.readouterr().err


def test_the_table_of_plugins_fits_a_narrow_page(plugin: Path, capsys: Capture) -> None:
    formula = " + ".join(["(sqrt(z^2 + 1) - 1) / 2"] * 12)
    plugin.write_text(SOURCE.replace("(sqrt(z^2 + 1) - 1) / 2 + z", formula))
    assert workbench("plugins", *PLUGIN) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    row = lines.index("activation, from bent.py") + 1
    after = next(place for place, line in enumerate(lines) if line.startswith("loss"))
    assert " ".join(lines[row:after]).count("(sqrt(z^2") == 12
