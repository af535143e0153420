"""Write files atomically: under a temporary name next to the target, and then renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cachestats.errors import reported


@contextmanager
def written(target: Path) -> Iterator[Path]:
    """Yield a temporary path to write to, and rename the file to the target once it is complete."""
    target = target.resolve()
    if target.exists() and not target.is_file():  # a device is written to, not replaced
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
