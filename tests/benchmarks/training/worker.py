"""A contender's process: it takes its turns when told to, and sleeps in between.

Requests come as lines of JSON on standard input, answers go as lines of JSON to standard output.
What libraries print goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from time import perf_counter, process_time, sleep
from typing import Any

import numpy as np

from tests.benchmarks.training.contenders import CONTENDERS, Contender
from tests.benchmarks.training.workloads import WORKLOADS, Case, Data, load_parameters, make_data


class Turns:
    """Steps of one contender in one case, timed.

    Attributes
    ----------
    choice : how it computes, where it chooses that itself.
    """

    def __init__(self, contender: Contender, case: Case, data: Data) -> None:
        self._contender, self._case, self._data = contender, case, data
        self._run = contender.build(case, data)
        self.choice: str | None = getattr(self._run, "choice", None)
        self._unit = contender.unit(case.workload)
        self._count = self._warm_up = 0

    def prepare(self, seconds: float) -> dict[str, Any]:
        """Warm up, and find how many steps a turn of so many seconds takes."""
        self._run(self._unit)
        count, spent = self._unit, self._time(self._unit)
        while spent < seconds / 4:
            count *= 4
            spent = self._time(count)
        units = count * seconds / spent / self._unit
        self._count = max(1, round(units)) * self._unit
        self._warm_up = round(units / 10) * self._unit
        return {"steps": self._count}

    def turn(self) -> dict[str, Any]:
        """Make the steps of a turn, after a tenth of them unmeasured."""
        if self._warm_up:
            self._run(self._warm_up)
        spent = self._time(self._count)
        return {"microseconds": spent / self._count / self._contender.networks * 1e6}

    def agreement(self) -> dict[str, Any]:
        """The losses of the first steps from the start, all samples in each of them."""
        steps = self._case.workload.agreement
        run = self._contender.build(self._case, self._data.in_one_batch())
        return {"losses": run(steps)[:steps]}

    def _time(self, count: int) -> float:
        begin = perf_counter()
        self._run(count)
        return perf_counter() - begin


def settle(longest: float = 0.5) -> None:
    """Wait until the threads of this process have gone to sleep."""
    pause = 0.01
    for _ in range(int(longest / pause)):
        before = process_time()
        sleep(pause)
        if process_time() - before < pause / 10:
            return


def serve(name: str, workload: str, optimizer: str, folder: str) -> None:
    """Build a contender, say so, and answer until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(**content: Any) -> None:
        settle()
        print(json.dumps(content), file=answers, flush=True)

    case = Case(WORKLOADS[workload], optimizer)
    data = make_data(case.workload, load_parameters(Path(folder, f"{workload}.npz")))
    np.seterr(all="ignore")
    try:
        turns = Turns(CONTENDERS[name], case, data)
        answer(choice=turns.choice)
        for line in sys.stdin:
            request = json.loads(line)
            if "prepare" in request:
                answer(**turns.prepare(request["prepare"]))
            elif "agreement" in request:
                answer(**turns.agreement())
            else:
                answer(**turns.turn())
    except Exception as error:
        answer(missing=f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    serve(*sys.argv[1:])
