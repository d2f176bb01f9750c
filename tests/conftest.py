"""What all tests share: steady settings for hypothesis, `--update-golden` and `--full`."""

from __future__ import annotations

import hypothesis
import pytest

hypothesis.settings.register_profile("workbench", deadline=None, derandomize=True)
hypothesis.settings.load_profile("workbench")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write what is printed now to tests/golden instead of comparing",
    )
    parser.addoption("--full", action="store_true", help="run the long forms of the tests")
