r"""Text as lines, block by block: UTF-8, without its byte order mark and what is blank at its end.

No more than a block and a line are in memory, however large the file is.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator

from workbench.core.data.files import Readable
from workbench.errors import InputError

BLOCK = 2**18
"""The bytes that are read at a time."""

LONGEST_LINE = 2**22
"""The most bytes of a line."""

BLANK = b"\r\n "


def read_lines(stream: Readable, name: str) -> Iterator[str]:
    r"""Yield each line with its end; a line ends with `\n`, `\r` or `\r\n`.

    >>> list(read_lines(io.BytesIO(b"\xef\xbb\xbfx,y\r\n1,2\r\n\r\n"), "data.csv"))
    ['x,y\r\n', '1,2']
    """
    count, blank, undecoded, rest = 0, b"", b"", ""
    block = stream.read(BLOCK).removeprefix(codecs.BOM_UTF8)
    while block:
        content = (blank + block).rstrip(BLANK)
        blank = (blank + block)[len(content) :]
        content = undecoded + content
        try:
            text, used = _decode(content)
        except UnicodeDecodeError as error:
            _refuse(content, error.start, rest, count, name)
        undecoded = content[used:]
        *lines, rest = _split(rest + text)
        yield from lines
        count += len(lines)
        if len(rest) + len(blank) > LONGEST_LINE:
            raise InputError(
                f"{name}:{count + 1}: a line of more than {LONGEST_LINE:,} bytes; expected a row "
                "of cells a line"
            )
        block = stream.read(BLOCK)
    if undecoded:
        _refuse(undecoded, 0, rest, count, name)
    if rest:
        yield rest


def _decode(content: bytes) -> tuple[str, int]:
    """Return the text of whole characters and the bytes they took; NUL is no text."""
    nul = content.find(0)
    decoded = codecs.utf_8_decode(content if nul < 0 else content[:nul], "strict", False)
    if nul >= 0:
        raise UnicodeDecodeError("utf-8", content, nul, nul + 1, "NUL")
    return decoded


def _split(text: str) -> list[str]:
    """Split into lines with their ends; the last is what has no end yet."""
    lines = list(io.StringIO(text, newline=""))
    return lines if lines and not lines[-1].endswith(("\r", "\n")) else [*lines, ""]


def _refuse(content: bytes, fault: int, before: str, count: int, name: str) -> None:
    line = count + len(_split(before + content[:fault].decode(errors="replace")))
    raise InputError(
        f"{name}:{line}: byte 0x{content[fault]:02x} is not UTF-8 text; "
        "save the file as CSV in UTF-8"
    )
