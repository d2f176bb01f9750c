"""The README's commands run as written, and what it quotes is what they print."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks like a clone, with the files that the README asks to write."""
    folder = tmp_path_factory.mktemp("clone")
    (folder / "examples").symlink_to(ROOT / "examples")
    for _language, body in BLOCKS:
        if name := re.match(r"# (\w+\.(?:py|toml))\n", body):
            (folder / name[1]).write_text(body, encoding="utf-8")
    return folder


def run(script: str, folder: Path) -> str:
    """Run a block in bash with this environment's commands; fail if any line does."""
    binaries = Path(sys.executable).parent
    prelude = f"set -euo pipefail; export PATH={binaries}:$PATH\n"
    done = subprocess.run(
        ["bash", "-c", prelude + script], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def commands() -> list[str]:
    return [body for language, body in BLOCKS if language == "sh" and "pip install" not in body]


def test_commands_and_python_run_in_order(clone: Path) -> None:
    assert len(commands()) >= 7
    for body in commands():
        run(body, clone)
    for language, body in BLOCKS:
        if language == "python" and not body.startswith("# "):
            run(f"python - <<'END'\n{body}\nEND", clone)


@pytest.mark.parametrize(
    ("command", "quoted"),
    [
        (before[1].splitlines()[-1].split("&&")[-1].strip(), block[1])
        for before, block in pairwise(BLOCKS)
        if block[0] == "text"
    ],
)
def test_quoted_output_is_printed(command: str, quoted: str, clone: Path) -> None:
    printed = [comparable(line) for line in run(command, clone).splitlines()]
    for line in quoted.splitlines():
        if line != "…":
            assert comparable(line) in printed


def comparable(line: str) -> str:
    """A line without its spacing and without the size of a rounding error."""
    return re.sub(r"[0-9.]+e-[0-9]+", "tiny", " ".join(line.split()))
