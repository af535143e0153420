"""Where the files of a dataset are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from cachestats.dataset.manifest import FileRecord, Manifest, SnapshotRecord
from cachestats.errors import DamagedError, DatasetError
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


def file_name(table: Table, snapshot: str | None = None, bucket: int | None = None) -> str:
    """Return the path of a table, of one snapshot of it, or of one bucket of a snapshot, in the folder of a dataset."""
    if snapshot is None:
        return f"{table.name}.parquet"
    # No name of a snapshot has a `~` in its stem, so that no bucket is taken for a snapshot.
    number = "" if bucket is None else f"~{bucket:03}"
    return f"{table.name}/{file_stem(snapshot)}{number}.parquet"


def table_file(folder: Path, table: Table, snapshot: str | None = None, bucket: int | None = None) -> Path:
    """Return what `file_name` returns, with the folder of the dataset."""
    return folder / file_name(table, snapshot, bucket)


def buckets_in(record: SnapshotRecord) -> tuple[int | None, ...]:
    """Return the buckets in which a snapshot is stored; None alone if it has one file a table."""
    return tuple(range(len(record.buckets))) if len(record.buckets) > 1 else (None,)


def snapshot_files(table: Table, snapshot: str, record: SnapshotRecord) -> list[str]:
    """Return the names of the files of one snapshot of a table."""
    buckets = buckets_in(record) if table.in_buckets else (None,)
    return [file_name(table, snapshot, bucket) for bucket in buckets]


def snapshot_file_names(snapshot: str, record: SnapshotRecord) -> Iterator[str]:
    """Yield the names of all files of a snapshot."""
    for table in STORED_TABLES.values():
        if table.by_snapshot:
            yield from snapshot_files(table, snapshot, record)


def stored_files(folder: Path) -> set[str]:
    """Return the names of the files in the folder of a dataset that have the place of a file of its tables."""
    patterns = [
        f"{table.name}/*.parquet" if table.by_snapshot else file_name(table) for table in STORED_TABLES.values()
    ]
    return {path.relative_to(folder).as_posix() for pattern in patterns for path in folder.glob(pattern)}


def check_no_tables(folder: Path) -> None:
    """Check that a folder without a manifest is no dataset that has lost it.

    Raises
    ------
    DamagedError
        If there are files that have the place of tables.
    """
    if files := stored_files(folder):
        raise DamagedError(
            f"expected a manifest in {folder}, found none beside {min(files)}",
            hint="if this is a dataset, make it again from all its sources: cachestats build SOURCE... --out "
            f"{folder} --repair",
        )


def file_records(manifest: Manifest) -> dict[str, FileRecord]:
    """Return the records of all files of a dataset, by their names."""
    found = {file_name(STORED_TABLES[name]): record for name, record in manifest.files.items()}
    for snapshot, record in manifest.snapshots.items():
        found |= {file_name(STORED_TABLES[name], snapshot): file for name, file in record.files.items()}
        for number, bucket in zip(buckets_in(record), record.buckets, strict=True):
            found |= {file_name(STORED_TABLES[name], snapshot, number): file for name, file in bucket.files.items()}
    return found
