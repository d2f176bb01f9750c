"""Backends: which kind of program makes the steps of a training, and with how many threads.

What a step costs is estimated from its calls. A call of NumPy costs about the same whatever it
computes, until arrays are large; plain Python pays for every single number; what numba compiles
saves the calls and some passes through memory, once it is compiled. The constants are
microseconds, measured on one machine; only their ratios matter.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from math import prod
from typing import Any

from workbench.core.program.calls import PRIMITIVES
from workbench.core.program.source import Lowered
from workbench.core.steppers import Learner, Stepper
from workbench.errors import InputError

COST_OF_A_CALL = 0.4
COST_OF_AN_ENTRY = 2e-4
"""Of one pass of NumPy through an array."""

COST_OF_A_NUMBER = 0.03
COST_OF_A_FUNCTION = 0.06
"""A function such as e^x in plain Python, beside the number itself."""

MOST_NUMBERS = 5_000
"""A step of more single numbers is no longer compiled by Python in reasonable time."""

COMPILATION = 6e6
"""What numba takes to compile the loops of a network, with something for its import."""

SMALL_PRODUCT = 2**18
"""OpenBLAS and MKL use one thread for a product of matrices with at most so many terms."""

FEW_TERMS = 2**20
"""A product of at most so many terms gains nothing from a second thread."""


def make_stepper(
    backend: str, learner: Learner, batch_size: int, *, keeps_outputs: bool
) -> Stepper:
    """Make what makes the steps with batches of one size.

    Raises
    ------
    InputError
        If the backend cannot compute this model.
    """
    make: Callable[..., Stepper]
    if backend == "python":
        from workbench.core.steppers.python_stepper import PythonStepper as make
    elif backend == "numba":
        from workbench.core.steppers.numba_stepper import NumbaStepper as make
    else:
        from workbench.core.steppers.numpy_stepper import NumPyStepper as make
    return make(learner, batch_size, keeps_outputs=keeps_outputs)


def choose_backend(wanted: str, learner: Learner, batch_size: int, steps: int) -> str:
    """The backend that is wanted, or with "auto" the one that is expected to be done first.

    Parameters
    ----------
    steps : how many there are going to be.

    Raises
    ------
    InputError
        If plain Python is wanted for float32.
    """
    is_float64 = learner.parameters.dtype == "float64"
    if wanted == "python" and not is_float64:
        raise InputError(
            "the backend python computes in float64, not float32; use --dtype float64, or another "
            "backend"
        )
    if wanted != "auto":
        return wanted
    lowered = learner.lowered(batch_size)
    if lowered.implementations:
        return "numpy"
    calls = [call for block in lowered.blocks for call in block.calls]
    update = len(learner.optimizer.vector_lines().lines)
    updated = learner.parameters.vector.size * (update + 1)
    numbers = sum(call.terms for call in calls) + updated
    functions = sum(prod(c.target.shape) for c in calls if c.operation in PRIMITIVES)
    entries = sum(c.terms for c in calls if c.operation != "dot") + updated
    in_numpy = (len(calls) + update + 2) * COST_OF_A_CALL + entries * COST_OF_AN_ENTRY
    in_python = numbers * COST_OF_A_NUMBER + functions * COST_OF_A_FUNCTION
    is_for_python = is_float64 and numbers <= MOST_NUMBERS and in_python < in_numpy
    least = in_python if is_for_python else in_numpy
    if steps * least > COMPILATION and _is_for_numba(learner, lowered):
        return "numba"
    return "python" if is_for_python else "numpy"


def _is_for_numba(learner: Learner, lowered: Lowered) -> bool:
    """Whether numba is installed and can compute it."""
    if find_spec("numba") is None:
        return False
    from workbench.core.steppers.numba_stepper import numba_program

    try:
        numba_program(lowered, learner.optimizer, keeps_outputs=False)
    except InputError:
        return False
    return True


def choose_threads(wanted: int | None, learner: Learner, batch_size: int) -> int | None:
    """How many threads matrix products should use; None leaves it to the library.

    The library itself uses one thread for what is small, and all it has for what is large; between
    these a second thread costs more than it gains.
    """
    if wanted is not None:
        return wanted
    calls = (call for block in learner.lowered(batch_size).blocks for call in block.calls)
    largest = max((call.terms for call in calls if call.operation == "dot"), default=0)
    return 1 if SMALL_PRODUCT < largest <= FEW_TERMS else None


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Use so many threads for matrix products within; None leaves all as it is."""
    if count is None:
        yield
        return
    with _controller(len(sys.modules)).limit(limits=count, user_api="blas"):
        yield


@lru_cache(maxsize=1)
def _controller(modules: int) -> Any:
    """What controls the libraries of those modules that are loaded; it is slow to find them."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
