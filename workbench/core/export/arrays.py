"""The formats that hold arrays by name: safetensors and npz."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from workbench.core.export.forward import Trained
from workbench.core.safetensors_file import content_of


def safetensors_bytes(trained: Trained) -> bytes:
    """The arrays in the safetensors format; see `workbench.core.safetensors_file`.

    They are W1, b1, … in the run's type and, where inputs are standardised, mean and scale in
    float64: a network takes (x − mean) / scale. The metadata hold the network and its loss as
    text, and `classes`, `input_names` and `target_names` as JSON.
    """
    return b"".join(content_of(trained.arrays, trained.texts))


def npz_bytes(trained: Trained) -> bytes:
    """The same arrays as an uncompressed archive of NumPy's, with the metadata as arrays of text.

    `numpy.load` reads it without pickle.
    """
    content = io.BytesIO()
    arrays: dict[str, Any] = {**trained.arrays, **trained.description}
    np.savez(content, allow_pickle=False, **arrays)
    return content.getvalue()
