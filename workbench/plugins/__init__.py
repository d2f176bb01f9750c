"""Plugins: what an author writes, the hooks that ask for it, and the registry that holds it.

>>> from workbench.plugins import hookimpl
>>> hookimpl.project_name
'workbench'
"""

from __future__ import annotations

from workbench.plugins.hookspecs import hookimpl

__all__ = ["hookimpl"]
