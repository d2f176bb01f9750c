"""Text that is larger than memory, converted once to numbers that can be read where they are.

The numbers stand in one file, as float64 row by row: the inputs, then the targets, or one number
for the class. Behind them stands a JSON text that says what they are and were made from, its length
in eight bytes and a mark. The file is written in blocks, and is there when it is complete.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from workbench.core.atomic import replace_file
from workbench.core.data.encoding import Encoding
from workbench.core.data.files import ReportProgress
from workbench.core.data.stored import StoredArray, StoredColumns
from workbench.core.data.stored_dataset import StoredDataset
from workbench.core.data.table import Missing
from workbench.errors import InputError

MARK = b"workbench-rows-1"
LONGEST_DESCRIPTION = 2**26

DTYPE = np.dtype("<f8")


def convert(
    source: str,
    encoding: Encoding,
    folder: str | Path | None = None,
    progress: ReportProgress | None = None,
) -> StoredDataset:
    """Return the data set of a text, converted unless that has been done before.

    Raises
    ------
    InputError
        If the text has a fault; it names the line and the column.
    StorageError
        If the numbers cannot be written to `folder`, which is that of the text if not given.
    """
    made_from = _origin(source, encoding)
    digest = sha256(json.dumps(made_from["options"]).encode()).hexdigest()[:8]
    place = Path(folder or Path(source).parent) / f"{Path(source).name}.{digest}.rows"
    found = _find(place, made_from)
    if found is None:
        replace_file(place, _converted(encoding, made_from, progress))
        found = _find(place, made_from)
    if found is None:
        raise InputError(f"{source} or {place} has been changed while it was read; start again")
    return _dataset(place, found, encoding)


def _origin(source: str, encoding: Encoding) -> dict[str, Any]:
    """Return what the numbers depend on, in the types of JSON."""
    status, reading = os.stat(source), encoding.reading
    options = {
        "path": os.path.realpath(source),
        "selection": encoding.selection._asdict(),
        "names": encoding.table.names,
        "missing": reading.missing,
        "decimal": reading.decimal,
    }
    origin = {"options": options, "size": status.st_size, "changed": status.st_mtime_ns}
    plain: dict[str, Any] = json.loads(json.dumps(origin))
    return plain


def _converted(
    encoding: Encoding, made_from: dict[str, Any], progress: ReportProgress | None
) -> Iterator[bytes]:
    """Yield the content of the file, block by block."""
    count = dropped = 0
    for rows in encoding.rows(progress):
        count, dropped = count + len(rows.inputs), dropped + rows.dropped
        outcomes = rows.outcomes.reshape(-1, len(encoding.selection.outputs))
        yield np.hstack([rows.inputs, outcomes]).astype(DTYPE).tobytes()
    classes, places = encoding.classes() or (None, None)
    values = None if places is None else np.argsort(places).tolist()
    description = {"made_from": made_from, "rows": count, "dropped": dropped}
    text = json.dumps(description | {"classes": classes, "class_values": values}).encode()
    yield text + len(text).to_bytes(8, "little") + MARK


def _find(place: Path, made_from: dict[str, Any]) -> dict[str, Any] | None:
    """Return what the numbers in a file are; None if they are of another origin or not whole."""
    end = len(MARK) + 8
    try:
        with open(place, "rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - end))
            tail = stream.read(end)
            length = int.from_bytes(tail[:8], "little")
            if not tail.endswith(MARK) or length > min(LONGEST_DESCRIPTION, size - end):
                return None
            stream.seek(size - end - length)
            found: dict[str, Any] = json.loads(stream.read(length))
    except (OSError, ValueError):
        return None
    if found["made_from"] != made_from:
        return None
    selection = made_from["options"]["selection"]
    columns = len(selection["inputs"]) + len(selection["outputs"])
    whole = DTYPE.itemsize * found["rows"] * columns == size - end - length
    return found if whole else None


def _dataset(place: Path, found: dict[str, Any], encoding: Encoding) -> StoredDataset:
    table, selection = encoding.table, encoding.selection
    inputs, outputs = len(selection.inputs), len(selection.outputs)
    names = tuple(table.names[index] for index in (*selection.inputs, *selection.outputs))
    shape = found["rows"], inputs + outputs
    changed = os.stat(place).st_mtime_ns
    array = StoredArray(str(place), 0, shape, DTYPE, by_column=False, changed=changed)
    targets = tuple(range(inputs, inputs + outputs))
    columns = StoredColumns(table.source, (array,), names, targets, table.header)
    values = found["class_values"]
    return StoredDataset(
        columns,
        tuple(range(inputs)),
        targets,
        names[:inputs],
        names[inputs:],
        None if values is None else tuple(found["classes"]),
        table.source,
        table.header,
        Missing(encoding.reading.missing),
        found["dropped"],
        selection.ignored_names,
        None if values is None else np.array(values, np.float64),
    )
