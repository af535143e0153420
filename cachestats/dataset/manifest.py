"""The manifest of a dataset: its sources, its snapshots, its files, and the numbers of rows of its tables.

The first line of `manifest.json` has the checksum of all lines after it.
"""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path

import msgspec

from cachestats.decode import JsonError, decode
from cachestats.errors import DamagedError, DatasetError
from cachestats.regular import read_regular
from cachestats.schema import SCHEMA_VERSION, STORED_TABLES, TABLES

MANIFEST = "manifest.json"

_FIRST_LINE = re.compile(rb'\{"crc32": "([0-9a-f]{8})",\n')


class FileRecord(msgspec.Struct, frozen=True):
    """What a file of a dataset must be."""

    size: int
    """The number of its bytes."""
    crc32: str
    """The CRC-32 of its bytes, as eight hexadecimal digits."""


class SourceRecord(msgspec.Struct, frozen=True):
    """A source as a dataset remembers it, enough to open it again."""

    kind: str
    location: str
    """A URL without secrets, or a path relative to the dataset."""
    snapshots: list[str]
    """The snapshots selected from it; all if none is named."""
    stacks: list[str]
    """The stacks selected from it; all if none is named."""
    allow_hosts: list[str]
    signed: bool
    sizes: bool
    without_index: bool = False
    """Whether its spec files are read instead of its indices."""
    name: str | None = None
    """The name given to its snapshot; that of the snapshot itself if none is."""
    files: int = 0
    """Pages and indices found in it."""
    passed_over: int = 0
    """Other files found in it."""
    folders: dict[str, str] = {}
    """Folders of pages inside it, each with the checksum by which an update sees that none of its pages changed."""
    is_whole: bool = False
    """Whether these folders have all inputs of it."""
    by_git: dict[str, str] = {}
    """The checksum by which `update --git` sees that a folder is as it was, whatever its dates are."""
    commit: str | None = None
    """The commit that these are of."""


class BucketRecord(msgspec.Struct, frozen=True):
    """A bucket of a snapshot: the numbers of its specs and packages, and the rows and files of its tables."""

    num_specs: int
    num_packages: int
    rows: dict[str, int]
    files: dict[str, FileRecord] = {}


class SnapshotRecord(msgspec.Struct, frozen=True):
    """A snapshot of a dataset: the number of its specs, the numbers of rows of its tables, and its buckets."""

    num_specs: int
    rows: dict[str, int]
    buckets: list[BucketRecord]
    """One for each file of the tables that large snapshots have several files of; a small one has one bucket."""
    files: dict[str, FileRecord] = {}
    """The files of the tables that no snapshot has several files of."""


class RunRecord(msgspec.Struct, frozen=True):
    """A build or an update that wrote or removed snapshots."""

    ended: str
    """When it published, in ISO 8601 (UTC)."""
    seconds: float
    """How long it took, from the moment at which no other process was writing."""
    snapshots: int
    """The snapshots that it wrote or removed."""
    num_specs: int
    """The specs of all snapshots afterwards."""
    num_rejected: int
    """The specs that were rejected in all snapshots afterwards."""


class _Version(msgspec.Struct, frozen=True):
    schema_version: int


class Manifest(msgspec.Struct, frozen=True):
    """The contents of `manifest.json`."""

    schema_version: int = SCHEMA_VERSION
    made_by: dict[str, str] = {}
    """The versions of the packages that determine what is read from a source."""
    sources: dict[str, SourceRecord] = {}
    snapshots: dict[str, SnapshotRecord] = {}
    tables: dict[str, int] = {}
    """The number of rows of each table."""
    files: dict[str, FileRecord] = {}
    """The files of the tables that have one file for all snapshots."""
    num_gone: int = 0
    """The number of inputs that are gone from their sources and kept."""
    runs: list[RunRecord] = []
    """The last builds and updates, the newest last."""


def manifest_bytes(manifest: Manifest) -> bytes:
    """Return the contents of the file of a manifest."""
    lines = json.dumps(msgspec.to_builtins(manifest), indent=1).removeprefix("{\n").encode() + b"\n"
    return b'{"crc32": "%08x",\n' % zlib.crc32(lines) + lines


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest of a dataset, or None if there is none.

    Raises
    ------
    DamagedError
        If it cannot be read, or has another checksum.
    DatasetError
        If it has another schema version.
    """
    try:
        data = read_regular(folder / MANIFEST)
        version = decode(data, _Version).schema_version
        if version == SCHEMA_VERSION:
            _check_sum(data)
            manifest = decode(data, Manifest)
            _check_tables(manifest)
            return manifest
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, JsonError) as error:
        raise DamagedError(
            f"expected a manifest in {folder / MANIFEST}, found one that cannot be read: {error}",
            hint=f"make the dataset again from all its sources: cachestats build SOURCE... --out {folder} --repair",
        ) from error
    raise DatasetError(
        f"expected a dataset of schema version {SCHEMA_VERSION}, found version {version} in {folder / MANIFEST}",
        hint="build the dataset again, into a new folder, with `cachestats build`",
    )


def _check_sum(data: bytes) -> None:
    if not (first := _FIRST_LINE.match(data)):
        raise JsonError("expected its checksum in the first line")
    found = f"{zlib.crc32(memoryview(data)[first.end() :]):08x}"
    if found != first[1].decode():
        raise JsonError(f"it has the checksum {found}, not {first[1].decode()}")


def _check_tables(manifest: Manifest) -> None:
    """Check that the rows and the files of all tables are there."""
    tables = STORED_TABLES.values()
    by_snapshot = {table.name for table in tables if table.by_snapshot}
    in_buckets = {table.name for table in tables if table.in_buckets}
    for snapshot in manifest.snapshots.values():
        if snapshot.rows.keys() != {name for name in by_snapshot if name in TABLES}:
            raise JsonError(f"expected the rows of each table in each snapshot, found those of {[*snapshot.rows]}")
        if snapshot.files.keys() != by_snapshot - in_buckets:
            raise JsonError(f"expected the files of each table in each snapshot, found those of {[*snapshot.files]}")
        if any(bucket.files.keys() != in_buckets for bucket in snapshot.buckets):
            raise JsonError("expected the files of each table in each bucket")
    if manifest.files.keys() != STORED_TABLES.keys() - by_snapshot:
        raise JsonError(f"expected the files of each table, found those of {[*manifest.files]}")
