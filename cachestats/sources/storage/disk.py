"""Files on disk."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from cachestats.errors import SourceError
from cachestats.regular import open_regular
from cachestats.sources.storage.base import Fingerprint, Storage
from cachestats.sources.storage.transfer import Opened

_TICK_NS = 1_000_000_000  # some file systems keep times in whole seconds


class DiskStorage(Storage):
    """The disk; symbolic links are followed."""

    is_remote = False
    has_local_paths = True
    has_cheap_fingerprints = True  # size and date

    @cached_property
    def filesystem(self) -> Any:
        """The local file system."""
        from fsspec.implementations.local import LocalFileSystem

        return LocalFileSystem(skip_instance_cache=True)

    def fingerprint(self, path: str) -> Fingerprint:
        """Return size and date, or None if the file was only just written."""
        return self.again(path, lambda: fingerprint_of(os.stat(path)))

    def modified(self, path: str) -> datetime | None:
        """Return when a file was last written."""
        return self.again(path, lambda: datetime.fromtimestamp(os.stat(path).st_mtime, UTC))

    def open_at(self, path: str, offset: int, identity: str | None) -> Opened:
        """Open a file at an offset."""
        file = open_regular(path)
        file.seek(offset)
        return Opened(file, None, offset)

    def refusal(self, path: str, error: Exception) -> SourceError | None:
        """Return the error to raise for a file that is there, but cannot be read."""
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError | NotADirectoryError):
            return SourceError(f"cannot read {self.name(path)}: {error.strerror or error}", hint="check it")
        return None


def disk_fingerprint(path: str) -> Fingerprint:
    """Return the fingerprint of a file on disk, or None if there is no file or it was only just written."""
    try:
        return fingerprint_of(os.stat(path))
    except OSError:
        return None


def fingerprint_of(status: os.stat_result) -> Fingerprint:
    """Return the fingerprint of a file on disk.

    None if the file was only just written: it may be written again within the same tick of the clock.
    """
    fresh = time.time_ns() - status.st_mtime_ns < _TICK_NS
    return None if fresh else size_and_date(status)


def is_as_read(status: os.stat_result, fingerprint: str) -> bool:
    """Whether a file on disk still has the fingerprint that it was read with."""
    return size_and_date(status) == fingerprint


def size_and_date(status: os.stat_result) -> str:
    """Return what tells whether a file on disk was written again, as the text of a fingerprint."""
    return f"{status.st_size} {status.st_mtime_ns}"
