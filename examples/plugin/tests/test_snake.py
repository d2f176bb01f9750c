"""The plugin held to what is known about its functions."""

import math
import subprocess
import sys

import numpy as np
import pytest

import workbench as wb


def run(network: wb.Network, value: float) -> tuple[float, float, float]:
    """Output, loss and gradient by the pre-activation of a 1-1 network at one input, target 0."""
    program = wb.program(network, batch_size=1)
    program.parameters["W1"][...] = 1.0
    loss = program.step(np.array([[value]]), np.zeros((1, 1)))
    return float(program.outputs[0, 0]), loss, float(program.gradients["b1"][0])


@pytest.mark.parametrize("z", [-3.0, -0.5, 0.0, 0.5, 3.0])
def test_snake(z: float) -> None:
    output, _, gradient = run(wb.network("1-1:snake"), z)
    assert output == pytest.approx(z + math.sin(z) ** 2)
    assert gradient == pytest.approx(output * (1 + math.sin(2 * z)))


@pytest.mark.parametrize("z", [-1e3, -0.5, 0.0, 0.5, 1e3])
def test_softsign(z: float) -> None:
    output, _, gradient = run(wb.network("1-1:softsign"), z)
    assert output == pytest.approx(z / (1 + abs(z)))
    assert gradient == pytest.approx(output / (1 + abs(z)) ** 2)


@pytest.mark.parametrize("difference", [-1e6, -1.0, -1e-3, 0.0, 1e-3, 1.0, 1e6])
def test_log_cosh(difference: float) -> None:
    _, loss, gradient = run(wb.network("1-1:identity", loss="log_cosh"), difference)
    assert loss == pytest.approx(np.logaddexp(difference, -difference) - math.log(2), abs=1e-15)
    assert gradient == pytest.approx(math.tanh(difference))


@pytest.mark.parametrize("name", ["snake", "softsign", "log_cosh"])
def test_conformance(name: str) -> None:
    command = [sys.executable, "-m", "workbench", "plugins", "check", name]
    finished = subprocess.run(command, capture_output=True, encoding="utf-8")
    assert finished.returncode == 0, finished.stdout + finished.stderr
