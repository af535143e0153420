"""A folder that is replaced whole: made beside its place, and renamed into it once it is complete."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cachestats.errors import DatasetError, reported

MARK = "report.json"
"""The file by which a folder is known to be a report: nothing else is ever replaced."""


@contextmanager
def replaced(out: Path) -> Iterator[Path]:
    """Give a new folder to write to, and put it into the place of the old one when all of it was written.

    Raises
    ------
    DatasetError
        If there is something at `out` that is no report, or it cannot be written.
    """
    out = Path(os.path.abspath(out))  # a name such as `.` has to have a parent
    if out.exists() and not (out / MARK).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise DatasetError(
            f"expected a new folder, an empty one or an earlier report, found something else at {out}",
            hint="give another folder as --out",
        )
    new, old = (out.with_name(f".{out.name}.{what}-{os.getpid()}") for what in ("new", "old"))
    with reported(out):
        new.mkdir(parents=True)
        try:
            yield new
            if out.exists():
                out.rename(old)
            new.rename(out)
        finally:
            shutil.rmtree(new, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)
