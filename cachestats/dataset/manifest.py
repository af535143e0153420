"""The manifest of a dataset: what it was read from, which snapshots it has, and how many rows its tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from cachestats.decode import JsonError, decode
from cachestats.errors import DatasetError
from cachestats.regular import read_regular
from cachestats.schema import SCHEMA_VERSION, TABLES

MANIFEST = "manifest.json"


class _Version(msgspec.Struct):
    schema_version: int


class _Source(msgspec.Struct):
    kind: str
    location: str
    snapshots: list[str]
    stacks: list[str]
    allow_hosts: list[str]
    signed: bool
    sizes: bool
    files: int
    passed_over: int


class _Snapshot(msgspec.Struct):
    num_specs: int
    rows: dict[str, int]


class _Manifest(_Version):
    """What `manifest.json` holds; it is handed out as plain dictionaries."""

    made_by: dict[str, str]
    sources: dict[str, _Source]
    snapshots: dict[str, _Snapshot]
    tables: dict[str, int]


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return the manifest of a dataset, or None where there is none.

    Raises
    ------
    DatasetError
        If it cannot be read, or is of another schema version.
    """
    try:
        data = read_regular(folder / MANIFEST)
        version = decode(data, _Version).schema_version
        if version == SCHEMA_VERSION:
            manifest = decode(data, _Manifest)
            tables = {table.name for table in TABLES.values() if table.by_snapshot}
            if any(snapshot.rows.keys() != tables for snapshot in manifest.snapshots.values()):
                raise JsonError(f"expected the rows of {', '.join(sorted(tables))} of each snapshot")
            return dict(msgspec.to_builtins(manifest))
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
