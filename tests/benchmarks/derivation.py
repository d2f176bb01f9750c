"""The time that `workbench derive` takes as a whole process, for networks of 10 and 100 layers.

    python tests/benchmarks/derivation.py

Every layer is 5 wide; the matrix form is derived, checked by numbers, and written. The networks
take turns, so that what else the machine does meets both alike; shown are the median and the
shortest time. The targets: 100 layers in less than 10 times the time of 10, and within 2 s.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from statistics import median
from time import perf_counter

LAYERS = 10, 100
WIDTH = 5
DETAILS = "brief", "paper", "full"


def seconds(layers: int, *options: str) -> float:
    """How long one process takes."""
    network = "-".join([str(WIDTH)] * (layers + 1))
    command = [sys.executable, "-m", "workbench", "derive", network, "--form", "matrix", *options]
    begin = perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return perf_counter() - begin


def main() -> None:
    """Measure at every detail, and print a table."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    print(f"{'detail':9}{'layers':>7}{'median s':>10}{'least s':>9}{'ratio of medians':>18}")
    for detail in DETAILS:
        times: dict[int, list[float]] = {layers: [] for layers in LAYERS}
        for _ in range(rounds):
            for layers in LAYERS:
                times[layers].append(seconds(layers, "--detail", detail))
        few = median(times[LAYERS[0]])
        for layers in LAYERS:
            middle, least = median(times[layers]), min(times[layers])
            ratio = f"{middle / few:.2f}"
            print(f"{detail:9}{layers:>7}{middle:>10.3f}{least:>9.3f}{ratio:>18}", flush=True)


if __name__ == "__main__":
    main()
