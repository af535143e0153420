"""Checksums of the files of a dataset: made of what is written, and compared before anything is read.

Polars and Arrow take most damage of a Parquet file for other values, and some of it ends the process. So the first time
that a process is to read a file, all of it is compared with the checksum in the manifest, which takes a quarter of a
second a gigabyte. That is remembered as long as the file is the same one, with the same size and date.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cachestats.dataset.manifest import FileRecord
from cachestats.dataset.publication import published_places
from cachestats.errors import DamagedError
from cachestats.regular import open_descriptor
from cachestats.text import counted

if TYPE_CHECKING:
    import pyarrow as pa

_AT_ONCE = 1 << 20  # bytes
_FEW = 8 << 20  # bytes that are read before threads have started
_TICK = 50_000_000  # nanoseconds; file systems do not tell apart the dates of writes that follow each other faster


class Identity(NamedTuple):
    """What tells a file from another one that took its place."""

    device: int
    inode: int
    size: int
    modified: int

    @classmethod
    def of(cls, status: os.stat_result) -> Identity:
        """Return the identity of a file, given its status."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


class FoundFile(NamedTuple):
    """A file that has the checksum in the manifest."""

    path: Path
    identity: Identity


_known: dict[Identity, FileRecord] = {}
"""The files that this process has read completely."""


def record_of(content: bytes | pa.Buffer) -> FileRecord:
    """Return the size and the checksum of the contents of a file."""
    return FileRecord(memoryview(content).nbytes, f"{zlib.crc32(content):08x}")


def find_files(folder: Path, records: Mapping[str, FileRecord]) -> dict[str, FoundFile]:
    """Return where files of a dataset are, by their names, after comparing each with its record.

    Raises
    ------
    DamagedError
        If a file is missing or damaged.
    """
    if len(records) < 2 or sum(record.size for record in records.values()) < _FEW:
        return {name: find_file(folder, name, record) for name, record in records.items()}
    from concurrent.futures import ThreadPoolExecutor  # on first use: most questions read little

    with ThreadPoolExecutor() as pool:  # zlib and the system compute and read without Python's lock
        found = pool.map(lambda name: find_file(folder, name, records[name]), records)
        return dict(zip(records, found, strict=True))


def find_file(folder: Path, name: str, record: FileRecord) -> FoundFile:
    """Return where a file of a dataset is, after comparing it with its record.

    Raises
    ------
    DamagedError
        If the file is missing or damaged.
    """
    problem = "nothing"
    for path in published_places(folder, name):
        try:
            found, identity = _read_record(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            problem = f"one that cannot be read: {error.strerror or error}"
            continue
        if found == record:
            return FoundFile(path, identity)
        problem = "a damaged one: " + (
            f"it has the checksum {found.crc32}, not {record.crc32}"
            if found.size == record.size
            else f"it has {counted(found.size, 'byte')}, not {record.size:,}"
        )
    raise DamagedError(
        f"expected the file {folder / name}, as the manifest of the dataset describes it, found {problem}",
        hint=f"make it again from its sources: cachestats build SOURCE --out {folder} --repair",
    )


def damaged_files(folder: Path, records: Mapping[str, FileRecord]) -> dict[str, DamagedError]:
    """Return what is wrong with each file of a dataset that is missing or damaged, by its name."""
    found = {}
    for name, record in records.items():
        try:
            find_file(folder, name, record)
        except DamagedError as error:
            found[name] = error
    return found


def is_unchanged(found: FoundFile) -> bool:
    """Whether a file is still where it was found."""
    try:
        return Identity.of(found.path.stat()) == found.identity
    except OSError:
        return False


def _read_record(path: Path) -> tuple[FileRecord, Identity]:
    """Return the size and the checksum of a file, and its identity."""
    identity = Identity.of(os.stat(path))
    if (known := _known.get(identity)) is not None:
        return known, identity
    descriptor, status = open_descriptor(path)
    identity = Identity.of(status)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        buffer = bytearray(min(_AT_ONCE, status.st_size + 1))
        size = checksum = 0
        while count := file.readinto(buffer):
            checksum = zlib.crc32(memoryview(buffer)[:count], checksum)
            size += count
    record = FileRecord(size, f"{checksum:08x}")
    if time.time_ns() - identity.modified > _TICK:
        _known[identity] = record
    return record, identity
