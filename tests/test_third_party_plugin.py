"""The plugin project in `examples/plugin`, as a stranger would use it: installed, or as one file.

Everything runs in processes of its own, in a directory of its own, so that nothing of the plugin
reaches the interpreter of the tests.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
PROJECT, XOR = EXAMPLES / "plugin", EXAMPLES / "data" / "xor.csv"
FILE = PROJECT / "workbench_snake.py"
NETWORK = "2-4:snake-1:softsign", "--loss", "log_cosh"
RECORDS = {"snake": "activation", "softsign": "activation", "log_cosh": "loss"}


@dataclass(frozen=True)
class User:
    """Someone at a shell, with the plugin installed in `packages` or given before the command."""

    directory: Path
    packages: Path | None = None
    options: tuple[str, ...] = ()

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a Python command line."""
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        if self.packages is not None:
            environment["PYTHONPATH"] = str(self.packages)
        return subprocess.run(
            [sys.executable, *map(str, command)],
            cwd=self.directory,
            env=environment | {"PYTHONWARNINGS": "error"},
            capture_output=True,
            encoding="utf-8",
            timeout=60,
        )

    def workbench(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command of the workbench."""
        return self.run("-m", "workbench", *self.options, *arguments)

    def succeed(self, *arguments: str | Path) -> str:
        """Run a command that has to succeed without a word on standard error; its output."""
        finished = self.workbench(*arguments)
        assert (finished.returncode, finished.stderr) == (0, ""), finished.stdout
        return finished.stdout


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project built and installed, without a network, into a directory of its own."""
    place = tmp_path_factory.mktemp("installed")
    source = shutil.copytree(PROJECT, place / "source")
    offline = "--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"
    command = [sys.executable, "-m", "pip", "install", "--quiet", *offline]
    subprocess.run([*command, "--target", str(place / "packages"), str(source)], check=True)
    return place / "packages"


@pytest.fixture(params=["installed", "file"])
def user(request: pytest.FixtureRequest, tmp_path: Path) -> User:
    if request.param == "file":
        return User(tmp_path, options=("--plugin", str(FILE)))
    return User(tmp_path, request.getfixturevalue("packages"))


def test_plugins_lists_and_proves_the_records(user: User) -> None:
    origin = "workbench-snake: workbench_snake" if user.packages else str(FILE)
    rows = {row["name"]: row for row in json.loads(user.succeed("plugins", "--json"))}
    for name, kind in RECORDS.items():
        assert (rows[name]["kind"], rows[name]["origin"]) == (kind, origin)
        assert user.succeed("plugins", "check", name).split()[:3] == ["pass", kind, name]
    assert rows["snake"]["derivative"] == "1 + 2 sin(z) cos(z)"


def test_derive(user: User) -> None:
    written = user.succeed("derive", *NETWORK)
    assert "snake′(z)" in written
    assert "1 + 2 sin(z) cos(z)" in written
    assert written.count("all passed") == 2
    derivation = json.loads(user.succeed("derive", *NETWORK, "--format", "json"))
    assert set(derivation["gradients"]) == {"W1", "b1", "W2", "b2"}
    assert all(step["check"]["passed"] for step in derivation["steps"] if step["check"])
    source = user.succeed("derive", *NETWORK, "--emit", "program")
    assert "softsign_value(" in source
    assert "softsign_slope(" in source
    compile(source, "emitted", "exec")


def test_gradcheck_under_every_strategy(user: User) -> None:
    lines = user.succeed("gradcheck", *NETWORK, "--format", "jsonl").splitlines()
    verdicts = [json.loads(line) for line in lines]
    assert {verdict["strategy"] for verdict in verdicts} == {"diagonal", "elementwise", "kronecker"}
    assert {verdict["verdict"] for verdict in verdicts} == {"pass"}
    assert len(verdicts) == 3 * 4


def test_train_predict_and_plot(user: User) -> None:
    settings = "--epochs", "300", "--batch-size", "4", "--learning-rate", "0.05"
    lines = user.succeed("train", *NETWORK, XOR, *settings, "--run", "run").splitlines()
    assert json.loads(lines[-1])["loss"] < 0.05 < json.loads(lines[0])["loss"]
    assert json.loads(lines[-1])["accuracy"] == 1.0

    predictions = user.succeed("predict", "run", XOR).splitlines()
    assert [line.rpartition(",")[2] for line in predictions[1:]] == ["0", "1", "1", "0"]

    figures = {
        "activation": ("snake", "softsign"),
        "network": NETWORK,
        "boundary": ("run", "--data", XOR),
    }
    for kind, arguments in figures.items():
        user.succeed("plot", kind, *arguments, "-o", f"{kind}.svg")
        assert "</svg>" in (user.directory / f"{kind}.svg").read_text("utf-8")


def test_the_option_may_stand_last(tmp_path: Path) -> None:
    user = User(tmp_path)
    assert "snake" in user.succeed("derive", "2-2:snake-1", "--form", "matrix", "--plugin", FILE)
    assert "pass" in user.succeed("plugins", "check", "log_cosh", "--plugin", FILE)
    user.succeed("plot", "activation", "snake", "-o", "snake.png", "--plugin", FILE)


def test_without_the_plugin_its_names_are_unknown(tmp_path: Path) -> None:
    finished = User(tmp_path).workbench("derive", "2-2:snake-1")
    assert (finished.returncode, finished.stdout) == (2, "")
    assert "unknown activation 'snake'" in finished.stderr


def test_installed_and_given_again_as_a_file_is_refused(packages: Path, tmp_path: Path) -> None:
    user = User(tmp_path, packages, ("--plugin", str(FILE)))
    finished = user.workbench("derive", "2-2:snake-1")
    assert (finished.returncode, finished.stdout) == (2, "")
    assert finished.stderr.count("\n") == 1
    for origin in ("workbench-snake: workbench_snake", str(FILE)):
        assert origin in finished.stderr


def test_a_wrong_slope_is_caught_and_named(tmp_path: Path) -> None:
    right = "np.square(1 / (1 + np.abs(z)))"
    source = FILE.read_text("utf-8")
    assert right in source
    wrong = tmp_path / "wrong.py"
    wrong.write_text(source.replace(right, f"1.01 * {right}"), "utf-8")
    user = User(tmp_path, options=("--plugin", str(wrong)))
    for command in (("plugins", "check", "softsign"), ("gradcheck", *NETWORK)):
        finished = user.workbench(*command)
        assert finished.returncode == 1
        assert "softsign" in finished.stdout + finished.stderr


def test_the_projects_own_tests_pass(packages: Path) -> None:
    project = packages.parent / "source"
    finished = User(project, packages).run("-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert " passed" in finished.stdout
