"""Files that are whole or not there: written beside their place, and renamed into it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cachestats.errors import reported


@contextmanager
def written(target: Path) -> Iterator[Path]:
    """Give a path to write to, and put the file into its place once it is whole."""
    target = target.resolve()
    if target.exists() and not target.is_file():  # a device is written to, and not replaced
        with reported(target):
            yield target
        return
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    with reported(target.parent):
        try:
            yield unfinished
            os.replace(unfinished, target)
        finally:
            unfinished.unlink(missing_ok=True)
