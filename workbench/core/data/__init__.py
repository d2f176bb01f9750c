r"""Data sets: files read into arrays, split into two parts, and prepared for a network.

>>> import tempfile, pathlib
>>> source = pathlib.Path(tempfile.mkdtemp(), "xor.csv")
>>> _ = source.write_text("x0,x1,y\n0,0,0\n0,1,1\n1,0,1\n1,1,0\n")
>>> dataset = load(source)
>>> train, validation = split(dataset, validation=0.25, seed=0)
>>> preparation = Preparation.fit(train)
>>> preparation.apply(train.inputs).shape, len(validation)
((3, 2), 1)
"""

from __future__ import annotations

from workbench.core.data.dataset import Dataset, load, split
from workbench.core.data.preparation import Preparation

__all__ = ["Dataset", "Preparation", "load", "split"]
