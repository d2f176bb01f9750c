"""Figures as bytes and files: SVG, PNG or PDF, the same bytes for the same figure."""

from __future__ import annotations

import io
import sys
from pathlib import Path

from matplotlib.figure import Figure

from workbench.core.atomic import replace_file
from workbench.errors import InputError
from workbench.plotting.style import style

METADATA: dict[str, dict[str, str | None]] = {
    "svg": {"Date": None, "Creator": None},
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
"""For each format, what would tell the time or the version of a library."""

STANDARD_OUTPUT = Path("-")


def figure_format(path: Path) -> str:
    """The format that a file's ending asks for; standard output is SVG.

    Raises
    ------
    InputError
        If it is none of the three.

    >>> figure_format(Path("loss.PNG"))
    'png'
    >>> figure_format(Path("loss.jpg"))
    Traceback (most recent call last):
        ...
    workbench.errors.InputError: cannot tell the format of loss.jpg: \
expected a name that ends in .svg, .png or .pdf
    """
    if path == STANDARD_OUTPUT:
        return "svg"
    ending = path.suffix.lower().lstrip(".")
    if ending not in METADATA:
        raise InputError(
            f"cannot tell the format of {path}: expected a name that ends in .svg, .png or .pdf"
        )
    return ending


def render(figure: Figure, form: str) -> bytes:
    """A figure as the bytes of an SVG, PNG or PDF file.

    >>> render(Figure(), "png")[1:4]
    b'PNG'
    """
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format=form, metadata=METADATA[form])
    return buffer.getvalue()


def save(figure: Figure, path: Path) -> None:
    """Write a figure to a file, at once and whole, or as SVG to standard output.

    Raises
    ------
    InputError
        If the ending is unknown.
    StorageError
        If the file cannot be written; what was there before stays.
    """
    content = render(figure, figure_format(path))
    if path == STANDARD_OUTPUT:
        sys.stdout.buffer.write(content)
        return
    replace_file(path, content)
