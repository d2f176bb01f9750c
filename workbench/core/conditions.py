"""What a training rests on besides its settings: its samples, its plugin files and the machine.

One or two threads, another processor or another version of NumPy change the last bits of a product
of matrices. So a training that is resumed is the same bit by bit only under the same conditions;
they are kept with every checkpoint.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from workbench.core.data.dataset import Dataset
from workbench.core.data.stored_dataset import AnyDataset
from workbench.errors import InputError

SAMPLES = "samples"
"""The condition without which a training cannot go on at all."""

PLUGINS = "plugin files"
"""The condition that says what functions are: the name and the digest of each file."""


def conditions(
    parts: Mapping[str, AnyDataset],
    *,
    backend: str,
    threads: int | None,
    plugins: Iterable[tuple[str, str]] = (),
) -> dict[str, Any]:
    """The conditions of a training at this moment, in the types of JSON.

    Parameters
    ----------
    parts : the data sets by the names of their parts.
    backend : what makes the steps.
    threads : of matrix products; None asks the library how many it takes.
    plugins : the name and the digest of each plugin file.
    """
    found = {f"{SAMPLES} of {name}": _digest(data) for name, data in parts.items() if len(data)}
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    compiler = {"numba": _version("numba")} if backend == "numba" else {}
    return {
        **found,
        PLUGINS: [list(file) for file in plugins],
        "workbench": _version("backprop-workbench"),
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        **compiler,
        "BLAS": f"{blas.get('name')} {blas.get('version')}",
        "BLAS threads": threads or _library_threads(),
        "processor": f"{platform.machine()}, {os.cpu_count()} cores",
    }


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """What differs from the conditions that a checkpoint was written under, and what of it.

    Raises
    ------
    InputError
        If the samples differ.

    >>> list(differences({"NumPy": "2.0"}, {"NumPy": "2.4"}))
    ['NumPy was 2.0 and is 2.4: the last bits of the numbers may differ']
    """
    yield from edited_plugins(before, now.get(PLUGINS, ()))
    for name in {**before, **now}:
        if name == PLUGINS or before.get(name) == now.get(name):
            continue
        if name.startswith(SAMPLES):
            raise InputError(
                f"the {name} are not those that the run was begun with; give back the same data, "
                "or begin a new run"
            )
        yield (
            f"{name} was {before.get(name)} and is {now.get(name)}: the last bits of the numbers "
            "may differ"
        )


def edited_plugins(before: Mapping[str, Any], now: Iterable[Iterable[str]]) -> Iterator[str]:
    """Which plugin files are not what they were when a checkpoint was written, and what of it.

    Parameters
    ----------
    before : the conditions that it was written under.
    now : the name and the digest of each file as it is.

    >>> list(edited_plugins({PLUGINS: [["a.py", "9f86"], ["b.py", "e3b0"]]}, [("b.py", "e3b0")]))
    ['the plugin file a.py was edited since the run was trained: results follow what it says now']
    """
    files = {tuple(file) for file in now}
    for name, digest in before.get(PLUGINS, ()):
        if (name, digest) not in files:
            yield (
                f"the plugin file {name} was edited since the run was trained: results follow what "
                "it says now"
            )


def _digest(data: AnyDataset) -> str:
    """What tells samples from others: all numbers in memory; of a file its size and its time."""
    digest = sha256(repr((data.input_names, data.target_names, data.classes)).encode())
    if isinstance(data, Dataset):
        for array in (data.inputs, data.outcomes):
            digest.update(repr((array.shape, array.dtype.str)).encode())
            digest.update(np.ascontiguousarray(array).data)
    else:
        about = Path(data.source).stat()
        digest.update(repr((about.st_size, about.st_mtime_ns, data.part)).encode())
    return digest.hexdigest()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _library_threads() -> int | None:
    """How many threads the libraries of matrix products take; None if that is not known."""
    from threadpoolctl import threadpool_info

    counts = (pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
    return max(counts, default=None)
