"""How the command behaves at its edges: start-up, pipes, signals, locales and errors."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workbench import __main__ as program

COMMAND = [sys.executable, "-m", "workbench"]
HEAVY = {"numpy", "scipy", "sympy", "matplotlib", "pandas", "torch"}
PLUGIN = """\
from workbench.plugins import hookimpl
from workbench.plugins.records import Activation

@hookimpl
def workbench_activations():
    yield Activation(name="manners", formula="z * sigmoid(z)")
"""


def run(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
        stdin=subprocess.DEVNULL,
        env=os.environ | variables,
        timeout=60,
    )


def one_error_line(finished: subprocess.CompletedProcess[str]) -> str:
    (line,) = finished.stderr.splitlines()
    assert line.startswith("workbench: error: ")
    return line


@pytest.mark.parametrize("arguments", [["--help"], ["plugins", "--help"], ["derive", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    script = f"""
import sys
from workbench.__main__ import main
sys.argv = ["workbench", *{arguments}]
try:
    main()
finally:
    print(*sorted({HEAVY} & set(sys.modules)), file=sys.stderr)
"""
    command = [sys.executable, "-c", script]
    finished = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60)
    assert finished.returncode == 0
    assert finished.stdout.startswith("Usage: workbench")
    assert finished.stderr.strip() == ""


def test_help_names_every_subcommand() -> None:
    listed = run("--help").stdout
    for name in ("derive", "gradcheck", "train", "predict", "plot", "plugins"):
        assert f"\n  {name} " in listed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["derivee"], "No such command 'derivee'"),
        (["plugins", "--jsn"], "No such option: --jsn (did you mean --json?)"),
        (["derive", "--o", "x"], "No such option: --o (did you mean -o?)"),
        (["--plugin"], "'--plugin' requires an argument"),
        (["plugins", "--plugin", "[bold]W[i].py"], "plugin file [bold]W[i].py: No such file"),
        (["--plugin", "σ.py", "plugins"], "plugin file σ.py: No such file"),
        (["plugins", "check", "--plugin", "σ.py"], "plugin file σ.py: No such file"),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line(arguments: list[str], message: str) -> None:
    finished = run(*arguments)
    assert finished.returncode == 2
    assert message in one_error_line(finished)
    assert finished.stdout == ""


def test_what_a_program_cannot_show_does_not_go_with_emit() -> None:
    given = ["--format", "text", "--wrt", "W1", "--layout", "denominator"]
    finished = run("derive", "2-2-1", "--emit", "program", *given)
    assert finished.returncode == 2
    assert "--layout, --format, --wrt: does not go with --emit" in one_error_line(finished)
    assert run("derive", "2-2-1", "--emit", "program", "--batch").returncode == 0


def test_plugin_files_may_stand_before_and_after_the_subcommand(tmp_path: Path) -> None:
    before, after = tmp_path / "before.py", tmp_path / "after.py"
    before.write_text(PLUGIN.replace("manners", "given_before"))
    after.write_text(PLUGIN.replace("manners", "given_after"))
    listed = run("--plugin", before, "plugins", "--json", "--plugin", after).stdout
    assert '"given_before"' in listed
    assert '"given_after"' in listed


def test_unicode_is_printed_whatever_the_locale(tmp_path: Path) -> None:
    plugin = tmp_path / "σ.py"
    plugin.write_text(PLUGIN)
    finished = run("plugins", "--plugin", plugin, LC_ALL="C", PYTHONIOENCODING="ascii")
    assert finished.returncode == 0
    assert "σ.py" in finished.stdout


def test_a_closed_pipe_ends_quietly() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    finished = subprocess.run(
        [*COMMAND, "plugins"], stdout=writing, stderr=subprocess.PIPE, encoding="utf-8", timeout=60
    )
    os.close(writing)
    assert finished.returncode == 141
    assert "Broken" not in finished.stderr
    assert "Exception ignored" not in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_told_in_one_line() -> None:
    with open("/dev/full", "w") as full:
        finished = subprocess.run(
            [*COMMAND, "--help"], stdout=full, stderr=subprocess.PIPE, encoding="utf-8", timeout=60
        )
    assert finished.returncode == 74
    assert "cannot write to standard output: No space left" in one_error_line(finished)


def test_an_interrupt_ends_quietly(tmp_path: Path) -> None:
    plugin = tmp_path / "interrupts.py"
    plugin.write_text("import signal\nsignal.raise_signal(signal.SIGINT)\n")
    finished = run("plugins", "--plugin", plugin)
    assert (finished.returncode, finished.stdout, finished.stderr) == (130, "", "")


@pytest.mark.parametrize("debug", ["", "1"])
def test_an_unexpected_error_tells_how_to_see_its_traceback(
    debug: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def divide(arguments: list[str]) -> int:
        return len(arguments) // 0

    monkeypatch.setattr(program, "_invoke", divide)
    monkeypatch.setenv("WORKBENCH_DEBUG", debug)
    with pytest.raises(SystemExit) as ending:
        program.main()
    assert ending.value.code == 70
    told = capsys.readouterr().err
    assert told.endswith("set WORKBENCH_DEBUG=1 to see the traceback\n")
    assert "unexpected ZeroDivisionError: " in told
    assert ("Traceback" in told) == bool(debug)
