"""Programs: a derivation's equations as source that runs, for several targets.

calls         registers, ways of reading them, calls that write them
lowering      expressions to a flat list of calls
buffers       places for the registers, shared out by lifetime
numpy_source  the calls as NumPy on arrays made once
python_source the calls as plain Python on single numbers
source        a module of straight-line source
program       a forward and backward pass, compiled
"""

from __future__ import annotations

from workbench.core.program.program import Program, compile_network
from workbench.core.program.source import Source, write_source

__all__ = ["Program", "Source", "compile_network", "write_source"]
