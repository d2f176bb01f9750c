"""The formats that hold arrays by name: safetensors and npz."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np

from workbench.core.checkpoint import METADATA, TYPES
from workbench.core.export.forward import Trained


def safetensors_bytes(trained: Trained) -> bytes:
    """The arrays in the safetensors format (https://huggingface.co/docs/safetensors, "Format").

    They are W1, b1, … in the run's type and, where inputs are standardised, mean and scale in
    float64: a network takes (x − mean) / scale. The metadata hold the network and its loss as
    text, and `classes`, `input_names` and `target_names` as JSON.
    """
    header: dict[str, Any] = {METADATA: trained.texts}
    data = []
    start = 0
    for name, array in sorted(trained.arrays.items(), key=lambda item: -item[1].dtype.itemsize):
        data.append(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
        end = start + len(data[-1])
        kind = next(kind for kind, dtype in TYPES.items() if dtype == array.dtype)
        header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": [start, end]}
        start = end
    text = json.dumps(header).encode()
    text = text.ljust(-(-len(text) // 8) * 8)
    return b"".join([len(text).to_bytes(8, "little"), text, *data])


def npz_bytes(trained: Trained) -> bytes:
    """The same arrays as an uncompressed archive of NumPy's, with the metadata as arrays of text.

    `numpy.load` reads it without pickle.
    """
    content = io.BytesIO()
    arrays: dict[str, Any] = {**trained.arrays, **trained.description}
    np.savez(content, allow_pickle=False, **arrays)
    return content.getvalue()
