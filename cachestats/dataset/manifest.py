"""The manifest of a dataset: its sources, its snapshots, and the numbers of rows of its tables."""

from __future__ import annotations

from pathlib import Path

import msgspec

from cachestats.decode import JsonError, decode
from cachestats.errors import DatasetError
from cachestats.regular import read_regular
from cachestats.schema import SCHEMA_VERSION, TABLES

MANIFEST = "manifest.json"


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
    """A bucket of a snapshot: the numbers of its specs and packages, and of the rows of its tables."""

    num_specs: int
    num_packages: int
    rows: dict[str, int]


class SnapshotRecord(msgspec.Struct, frozen=True):
    """A snapshot of a dataset: the number of its specs, the numbers of rows of its tables, and its buckets."""

    num_specs: int
    rows: dict[str, int]
    buckets: list[BucketRecord]
    """One for each file of the tables that large snapshots have several files of; a small one has one bucket."""


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
    num_gone: int = 0
    """The number of inputs that are gone from their sources and kept."""


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest of a dataset, or None if there is none.

    Raises
    ------
    DatasetError
        If it cannot be read, or has another schema version.
    """
    try:
        data = read_regular(folder / MANIFEST)
        version = decode(data, _Version).schema_version
        if version == SCHEMA_VERSION:
            manifest = decode(data, Manifest)
            tables = {table.name for table in TABLES.values() if table.by_snapshot}
            if any(snapshot.rows.keys() != tables for snapshot in manifest.snapshots.values()):
                raise JsonError(f"expected the rows of {', '.join(sorted(tables))} of each snapshot")
            return manifest
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, JsonError) as error:
        raise DatasetError(
            f"expected a manifest in {folder / MANIFEST}, found one that cannot be read: {error}",
            hint="build the dataset again, into a new folder",
        ) from error
    raise DatasetError(
        f"expected a dataset of schema version {SCHEMA_VERSION}, found version {version} in {folder}",
        hint="build the dataset again, into a new folder, with `cachestats build`",
    )
