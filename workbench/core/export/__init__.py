"""Trained models in the formats of others, each with the preparation of inputs.

    onnx           the computation, for any runtime of ONNX
    safetensors    the arrays by name
    npz            the arrays by name, for NumPy
    torch          a Python file with a module of PyTorch
    numpy-source   a Python file with a function in NumPy

A Python file holds the parameters in itself; where they are more than `MOST_EMBEDDED` numbers,
they stand in a file beside it, which has the same name but for the ending.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

from workbench.core.atomic import replace_file
from workbench.core.export.arrays import npz_bytes, safetensors_bytes
from workbench.core.export.forward import Trained
from workbench.core.export.numpy_source import numpy_source
from workbench.core.export.onnx_file import onnx_bytes, single_precision_reason
from workbench.core.export.source import MOST_EMBEDDED
from workbench.core.export.torch_source import torch_source, torch_state
from workbench.errors import InputError, close_matches

__all__ = [
    "FORMATS",
    "MOST_EMBEDDED",
    "Trained",
    "ending",
    "export",
    "exported",
    "single_precision_reason",
]


class WriteSource(Protocol):
    """Writes a Python file."""

    def __call__(self, trained: Trained, *, embedded: bool) -> str:
        """The source, with the parameters in it or with a line that reads them."""


class SourceFormat(NamedTuple):
    """A format that is a Python file, and the file of parameters that may stand beside it."""

    write: WriteSource
    ending: str
    arrays: Callable[[Trained], bytes]


BINARY_FORMATS = {"onnx": onnx_bytes, "safetensors": safetensors_bytes, "npz": npz_bytes}

SOURCE_FORMATS = {
    "torch": SourceFormat(torch_source, ".pt", torch_state),
    "numpy-source": SourceFormat(numpy_source, ".npz", npz_bytes),
}

FORMATS = (*BINARY_FORMATS, *SOURCE_FORMATS)


def exported(trained: Trained, name: str) -> str | bytes:
    """The content of one file that needs no other, text for a Python file.

    Raises
    ------
    InputError
        If the format is unknown, needs a package that is missing, or cannot hold the network.

    >>> from workbench.api import network, train
    >>> training = train(network("2-1"), "examples/data/xor.csv", epochs=1)
    >>> trained = Trained(training.model, training.preparation, training.parameters)
    >>> "def predict(inputs):" in exported(trained, "numpy-source")
    True
    """
    _require_format(name)
    if name in SOURCE_FORMATS:
        return SOURCE_FORMATS[name].write(trained, embedded=True)
    return BINARY_FORMATS[name](trained)


def export(trained: Trained, name: str, path: Path) -> tuple[Path, ...]:
    """Write a file, and one of parameters beside it where the format says so; return their paths.

    Each takes the place of the one before in one move, the parameters first.

    Raises
    ------
    InputError
        As for `exported`, and if both files would have one name.
    StorageError
        If a file cannot be written.
    """
    _require_format(name)
    if name not in SOURCE_FORMATS or trained.parameters.vector.size <= MOST_EMBEDDED:
        replace_file(path, exported(trained, name))
        return (path,)
    source = SOURCE_FORMATS[name]
    beside = path.with_suffix(source.ending)
    if beside == path:
        raise InputError(
            f"{path}: the format {name} is a Python file, and its parameters are to be in a file "
            f"of this name; expected a name that ends in .py"
        )
    replace_file(beside, source.arrays(trained))
    replace_file(path, source.write(trained, embedded=False))
    return path, beside


def ending(name: str) -> str:
    """The usual ending of a file of a format.

    >>> ending("npz"), ending("torch")
    ('.npz', '.py')
    """
    _require_format(name)
    return ".py" if name in SOURCE_FORMATS else f".{name}"


def _require_format(name: str) -> None:
    if name not in FORMATS:
        raise InputError(f"unknown format {name!r} to export to; {close_matches(name, FORMATS)}")
