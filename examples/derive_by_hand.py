"""What one would do by hand: the gradients of a 2-2-1 network, and of a function of one's own.

    python examples/derive_by_hand.py

Four parts: the derivation neuron by neuron, the same in matrices with the numbers of one sample, a
function that nobody has put into the workbench, and the code that a derivation becomes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import workbench as wb

PLUGIN = Path(__file__).parent / "plugin" / "workbench_snake.py"


def by_neurons() -> None:
    """The whole derivation of 2-2-1 with sigmoid and half the squared error, line by line."""
    print(wb.derive(wb.network("2-2-1"), form="scalar").text())


def by_matrices() -> None:
    """Four gradients in matrices, and what they come to for one sample."""
    network = wb.network("2-2-1")
    derivation = wb.derive(network, detail=wb.Detail.BRIEF)
    program = wb.program(network, batch_size=1)

    # A weight has a row for each neuron of its layer and a column for each of its inputs. The
    # numbers are those of Mazur, "A step by step backpropagation example" (2015), first output.
    program.parameters["W1"][...] = [[0.15, 0.20], [0.25, 0.30]]
    program.parameters["b1"][...] = 0.35
    program.parameters["W2"][...] = [[0.40, 0.45]]
    program.parameters["b2"][...] = 0.60
    loss = program.step(np.array([[0.05, 0.10]]), np.array([[0.01]]))

    print(f"loss {loss:.6f}")
    for name, gradient in program.gradients.items():
        values = np.array2string(gradient, precision=6, separator=", ").replace("\n", "")
        print(f"∂L/∂{name} = {derivation.gradient_text(name)} = {values}")


def by_formula() -> None:
    """An activation and a loss that the workbench knows only by their formulas."""
    network = wb.network("2-3:snake-1:identity", loss="log_cosh", plugins=[PLUGIN])
    print(wb.derive(network, wrt=["W1"]).text())

    # The derivation is held against numbers that do not come from it.
    for verdict in wb.gradcheck(network, strategies=["elementwise"]):
        error = verdict.max_relative_error
        print(f"{verdict.parameter}: {verdict.verdict}, relative error {error:.0e}")


def as_code() -> None:
    """The function that `train` runs, compiled from the derivation; it can be pasted elsewhere."""
    network = wb.network("2-2-1")
    program = wb.program(network, batch_size=4)
    print(program.source)


def main() -> None:
    """Print the four parts."""
    for part in (by_neurons, by_matrices, by_formula, as_code):
        heading = str(part.__doc__)
        print(f"{heading}\n{'─' * len(heading)}\n")
        part()
        print()


if __name__ == "__main__":
    main()
