"""Publication of a dataset: files are staged, a commit lists their moves, and any later process can finish them.

The staged files are on the disk before the commit is, and the moves before it is removed, so that a power cut at any
instant leaves what a kill leaves.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from cachestats.atomic import sync
from cachestats.dataset.manifest import MANIFEST, Manifest, read_manifest
from cachestats.dataset.paths import file_records
from cachestats.decode import JsonError, decode
from cachestats.errors import DatasetError
from cachestats.regular import read_regular

STATE = ".cachestats"
LOCK = f"{STATE}/lock"
NEW = f"{STATE}/new"
SCRATCH = f"{STATE}/scratch"
JOURNALS = f"{STATE}/journals"
SPEC_FILES = f"{STATE}/spec-files"
"""Spec files that were read, so that an update need not read them again; removing them costs only time."""
ALERTS = f"{STATE}/alerts.json"
"""Losses that were told and are not made good; removing it costs only that they are told again."""
COMMIT = f"{STATE}/commit.json"
_RECOVERY_SECONDS = 10


class Commit(msgspec.Struct):
    """The list of a publication: files to move to their final locations, then files to remove."""

    move: list[str]
    remove: list[str]


def move_published(folder: Path) -> None:
    """Move published files to their final locations; safe to repeat after a crash at any point. Needs the lock."""
    commit = folder / COMMIT
    if not commit.exists():
        return
    try:
        decided = _decided(folder, read_regular(commit))
        if not all(map(_is_inside, (*decided.move, *decided.remove))):
            raise JsonError("a path outside the dataset")
    except (OSError, JsonError) as error:
        raise DatasetError(
            f"expected a list of files in {commit}, found: {error}", hint="build the dataset again, into a new folder"
        ) from error
    for name in decided.move:
        staged, target = folder / NEW / name, folder / name
        if staged.exists():
            target.parent.mkdir(exist_ok=True)
            os.replace(staged, target)
    for name in decided.remove:
        (folder / name).unlink(missing_ok=True)
    changed = {(folder / name).parent for name in (*decided.move, *decided.remove)}
    sync(path for path in (folder, *changed) if path.exists())
    commit.unlink()


def _decided(folder: Path, commit: bytes) -> Commit:
    """Return the list of a publication; one that is damaged is made again from what was staged.

    The manifest is moved last: if it is no longer staged, only files to remove may be left.
    """
    try:
        return decode(commit, Commit)
    except JsonError:
        staging = folder / NEW
        if not (staging / MANIFEST).exists():
            return Commit([], [])
        staged = {path.relative_to(staging).as_posix() for path in staging.rglob("*") if path.is_file()}
        manifests = [read_manifest(one) for one in (folder, staging)]
        old, new = ({*file_records(one)} if one else set() for one in manifests)
        return Commit([*sorted(staged - {MANIFEST}), MANIFEST], sorted(old - new))


def remove_staged(folder: Path) -> None:
    """Remove what a writer staged and its other files, once they are published or useless. Needs the lock."""
    for name in (NEW, SCRATCH):
        shutil.rmtree(folder / name, ignore_errors=True)


def is_being_written(folder: Path) -> bool:
    """Whether a process is writing to a dataset, or was killed while it did, so that the next one must clean up."""
    return (folder / NEW).exists() or (folder / SCRATCH).exists()


def _is_inside(path: str) -> bool:
    """Whether a path names a file below the folder that it is relative to."""
    return not path.startswith("/") and ".." not in path.split("/") and "\0" not in path


def published_manifest(folder: Path) -> Manifest | None:
    """Return the manifest that was published last, or None if there is none; its files need not be in place yet.

    Raises
    ------
    DatasetError
        If it is damaged, or has another schema version.
    """
    if (folder / COMMIT).exists() and (staged := read_manifest(folder / NEW)) is not None:
        return staged
    return read_manifest(folder)


def published_places(folder: Path, name: str) -> Iterator[Path]:
    """Yield where a published file may be: beside the dataset until it is moved, and then in its place."""
    if (folder / COMMIT).exists():
        yield folder / NEW / name
    yield folder / name


def finish_moves(folder: Path) -> None:
    """Finish a publication that was interrupted, or wait for one in progress.

    Who may not write leaves it as it is: what was published can be read all the same, at `published_places`.
    """
    if not (folder / COMMIT).exists():
        return
    import filelock

    lock = filelock.FileLock(folder / LOCK)
    deadline = time.monotonic() + _RECOVERY_SECONDS
    while (folder / COMMIT).exists() and time.monotonic() < deadline:
        try:
            with lock.acquire(timeout=0.05):
                move_published(folder)
                remove_staged(folder)
        except filelock.Timeout:
            # A build holds the lock from start to end, but a publication takes hardly any time: look again.
            continue
        except OSError:
            return
