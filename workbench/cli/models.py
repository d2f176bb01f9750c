"""Trained models, as the commands that use one open it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.api.trained import Model


def load_model(run: str | Path, plugins: Sequence[Path] | None) -> Model:
    """Load the model of a run; warn of what is not as it was, and say at a terminal which it is.

    Raises
    ------
    InputError
        If the run cannot be read, or was trained with a plugin file that is not named.
    """
    from workbench.api.models import open_model

    model = open_model(run, plugins=plugins or ())
    for note in model.notes:
        print(f"workbench: warning: {note}", file=sys.stderr)
    if sys.stderr.isatty():
        print(
            f"workbench: the {model.checkpoint} checkpoint of {run}, after epoch {model.epoch}",
            file=sys.stderr,
        )
    return model
