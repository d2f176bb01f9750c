r"""Data sets: files read into arrays, split into parts, and prepared for a network.

>>> import tempfile, pathlib
>>> source = pathlib.Path(tempfile.mkdtemp(), "xor.csv")
>>> _ = source.write_text("x0,x1,y\n0,0,0\n0,1,1\n1,0,1\n1,1,0\n")
>>> dataset = load(source)
>>> train, validation, test = split(dataset, validation=0.25, seed=0)
>>> preparation = Preparation.fit(train)
>>> preparation.apply(train.inputs).shape, len(validation), len(test)
((3, 2), 1, 0)
"""

from __future__ import annotations

from workbench.core.data.arrays import Arrays
from workbench.core.data.dataset import Dataset
from workbench.core.data.loading import from_arrays, load, open_dataset
from workbench.core.data.parts import Parts, split
from workbench.core.data.preparation import Preparation
from workbench.core.data.stored_dataset import AnyDataset, StoredDataset
from workbench.core.data.table import Missing

__all__ = [
    "AnyDataset",
    "Arrays",
    "Dataset",
    "Missing",
    "Parts",
    "Preparation",
    "StoredDataset",
    "from_arrays",
    "load",
    "open_dataset",
    "split",
]
