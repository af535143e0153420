"""Where the files of a dataset are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from cachestats.dataset.manifest import Manifest, SnapshotRecord
from cachestats.errors import DatasetError
from cachestats.schema import STORED_TABLES, Table
from cachestats.text import file_stem


def arrow_path(path: str | os.PathLike[str]) -> Path:
    """Return the path of a dataset, or of a table or a folder of tables to write.

    Raises
    ------
    DatasetError
        If it is not UTF-8: Arrow and Polars open no others.
    """
    found = Path(path)
    try:
        str(found).encode()
    except UnicodeEncodeError:
        raise DatasetError(
            f"expected a path in UTF-8 for tables, found {os.fsencode(found)!r}", hint="give it another name"
        ) from None
    return found


def table_file(folder: Path, table: Table, snapshot: str | None = None, bucket: int | None = None) -> Path:
    """Return the path of a table, of one snapshot of it, or of one bucket of a snapshot, in the folder of a dataset."""
    if snapshot is None:
        return folder / f"{table.name}.parquet"
    # No name of a snapshot has a `~` in its stem, so that no bucket is taken for a snapshot.
    number = "" if bucket is None else f"~{bucket:03}"
    return folder / table.name / f"{file_stem(snapshot)}{number}.parquet"


def buckets_in(record: SnapshotRecord) -> tuple[int | None, ...]:
    """Return the buckets in which a snapshot is stored; None alone if it has one file a table."""
    return tuple(range(len(record.buckets))) if len(record.buckets) > 1 else (None,)


def snapshot_files(folder: Path, table: Table, snapshot: str, record: SnapshotRecord) -> list[Path]:
    """Return the files of one snapshot of a table."""
    return [
        table_file(folder, table, snapshot, bucket) for bucket in (buckets_in(record) if table.in_buckets else (None,))
    ]


def files_by_snapshot(folder: Path, manifest: Manifest) -> Iterator[Path]:
    """Yield the files of all snapshots that a manifest names."""
    for table in STORED_TABLES.values():
        if table.by_snapshot:
            for snapshot, record in manifest.snapshots.items():
                yield from snapshot_files(folder, table, snapshot, record)
