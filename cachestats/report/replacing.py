"""Replace a folder as a whole: write the new one next to it, and rename it into place once it is complete."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock

from cachestats.decode import JsonError, decode
from cachestats.errors import BusyError, DatasetError, reported
from cachestats.regular import read_regular

MARK = "report.json"
"""The file that identifies a folder as a report."""
_OWN_KEY = "dataset_schema_version"


@contextmanager
def replaced(out: Path, names: Collection[str]) -> Iterator[Path]:
    """Yield a new folder to write to, and replace the old one with it when everything has been written.

    `names` are the files and folders at the top level of a report; a folder that contains anything else is not
    replaced.

    Raises
    ------
    BusyError
        If another process is writing a report there.
    DatasetError
        If `out` is something other than a report, or it cannot be written.
    """
    out = out.resolve()  # replace the target of a link, not the link
    new, old, lock = (out.with_name(f".{out.name}.{what}") for what in ("new", "old", "lock"))
    with reported(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        held = filelock.FileLock(lock)
        try:
            held.acquire(timeout=0)
        except filelock.Timeout:
            raise BusyError(
                f"another process is writing a report to {out}", hint="try again when it has finished"
            ) from None
        try:
            _recover(out, new, old)
            _refuse_foreign(out, names)
            new.mkdir()
            yield new
            if out.exists():
                out.rename(old)
            new.rename(out)
        finally:
            _recover(out, new, old)
            lock.unlink(missing_ok=True)
            held.release()


def _recover(out: Path, new: Path, old: Path) -> None:
    """Restore the old report if the new one did not replace it, and remove leftovers."""
    if old.exists() and not out.exists():
        old.rename(out)
    shutil.rmtree(new, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def _refuse_foreign(out: Path, names: Collection[str]) -> None:
    if not out.exists():
        return
    found = {path.name for path in out.iterdir()} if out.is_dir() else {out.name}
    others = sorted(found - set(names))
    if found and (others or not _is_report(out / MARK)):
        raise DatasetError(
            f"expected a new folder, an empty one or an earlier report at {out}, found "
            f"{others[0] if others else f'another {MARK}'} there",
            hint="choose another folder as --out",
        )


def _is_report(mark: Path) -> bool:
    try:
        return _OWN_KEY in decode(read_regular(mark), dict[str, Any])
    except (OSError, JsonError):
        return False
