"""The Parquet files of the tables: written, read whole, checked, and put together into one for export."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cachestats.atomic import written
from cachestats.dataset import Dataset, find_snapshots, find_table
from cachestats.errors import ArgumentError, DatasetError
from cachestats.regular import open_regular
from cachestats.schema import SCHEMA_VERSION, TABLES, Table

# Hashes repeat over a whole snapshot: with a million rows their dictionary is written once. Pages have an index too.
_ROW_GROUP = 1 << 20


def export_table(
    dataset: Dataset, table: str, out: str | os.PathLike[str], *, snapshots: Iterable[str] | None = None
) -> int:
    """Write one table of a dataset into a single file for BI tools and return its number of rows.

    Parameters
    ----------
    dataset
        The dataset.
    table
        Name of the table.
    out
        The file to write; `.parquet` (zstd, sorted by snapshot and then as the table is) or `.csv`, by its ending.
        An existing file is replaced once the new one is whole.
    snapshots
        Names of snapshots: write what belongs to these only, or to none that is known, as a page that could not be
        read. By default everything. `targets` knows no snapshots, and is always whole.

    Raises
    ------
    ArgumentError
        If there is no such table or snapshot, or the ending is neither.
    DatasetError
        If the file cannot be written.

    Examples
    --------
    >>> import cachestats as cs
    >>> cs.export_table(ds, "specs", tmp / "specs.parquet")
    524
    """
    target = Path(out)
    if target.suffix not in {".parquet", ".csv"}:
        raise ArgumentError(
            f"expected a file that ends in .parquet or .csv, found {target.name!r}", hint=f"try {target.stem}.parquet"
        )
    find_table(table)
    chosen = None if snapshots is None else find_snapshots(dataset, snapshots)
    with written(target) as unfinished:
        return write_table(dataset, table, unfinished, snapshots=chosen, kind=target.suffix[1:])


def write_table(dataset: Dataset, table: str, path: Path, *, snapshots: list[str] | None, kind: str) -> int:
    """Write a table, or what of it belongs to some snapshots, into a file as it goes, and return its number of rows."""
    import pyarrow.csv as pv

    declared, is_parquet = find_table(table), kind == "parquet"
    # Text goes from Parquet to Parquet as codes, in two thirds of the time and memory; in CSV it is written out.
    text = pa.dictionary(pa.int32(), pa.string()) if is_parquet else pa.string()
    fields = [field.remove_metadata() for field in declared.arrow()]
    schema = pa.schema([field.with_type(text) if field.type == pa.string() else field for field in fields])
    sort = ("snapshot", *declared.sort) if declared.by_snapshot else declared.sort
    writer: Any = _parquet_writer(path, declared, schema, sort) if is_parquet else pv.CSVWriter(path, schema)
    rows = 0
    with writer:
        for file in dataset.files(table, snapshots=snapshots):
            for batch in _batches(file, schema):
                part = batch if snapshots is None or declared.by_snapshot else _of_snapshots(batch, snapshots)
                rows += part.num_rows
                if part.num_rows:
                    writer.write_table(part)
        if not rows:  # a file without any row group is more than some readers expect
            writer.write_table(schema.empty_table())
    return rows


def _of_snapshots(batch: pa.Table, names: list[str]) -> pa.Table:
    """Return the rows that belong to some snapshots, or to none that is known."""
    if "snapshot" not in batch.column_names:
        return batch
    column = batch.column("snapshot").cast(pa.string())
    return batch.filter(pc.or_(pc.is_in(column, pa.array(names, pa.string())), pc.is_null(column)))


def _batches(file: Path, schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield a file's rows in tables of this schema, which may have its text as dictionaries."""
    coded = [field.name for field in schema if pa.types.is_dictionary(field.type)]
    # A table brings its whole dictionaries along, so coded ones should be few; of plain text less fits into memory.
    rows = _ROW_GROUP if coded else _ROW_GROUP // 8
    try:
        for batch in pq.ParquetFile(file, read_dictionary=coded).iter_batches(rows):
            yield pa.Table.from_arrays(batch.columns, schema=schema)
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(
            f"expected a whole Parquet file, found one that cannot be read: {file}: {error}",
            hint="build the dataset again",
        ) from error


def write_parquet(place: Path | pa.NativeFile, table: str, data: pa.Table) -> None:
    """Write the Parquet file of a table, or of one snapshot of it. `data` is sorted as the table is declared."""
    declared = TABLES[table]
    with _parquet_writer(place, declared, data.schema, declared.sort) as writer:
        writer.write_table(pa.Table.from_arrays(data.columns, schema=writer.schema), row_group_size=_ROW_GROUP)


@contextmanager
def damage_told(table: str, file: Path) -> Iterator[None]:
    """Say of a file that cannot be read what it should be."""
    try:
        open_regular(file).close()  # Arrow would wait for a pipe
        yield
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DatasetError(
            f"expected the table {table} in {file}, found none that can be read: {error}",
            hint="build the dataset again, into a new folder",
        ) from error


def read_whole(table: str, file: Path) -> pa.Table:
    """Return a table, or one snapshot of it, as it is declared."""
    declared = TABLES[table]
    with damage_told(table, file):
        found = pq.read_table(file, partitioning=None)
        check_columns(declared, found)
        return found.cast(declared.arrow())


def check_columns(declared: Table, found: pa.Table, columns: Iterable[str] | None = None) -> None:
    """Refuse a table that lacks columns, has others, or has nulls where none may be.

    Raises
    ------
    ValueError
        If it does.
    """
    expected = list(columns or [column.name for column in declared.columns])
    if found.column_names != expected:
        raise ValueError(f"expected the columns {', '.join(expected)}, found {', '.join(found.column_names)}")
    for column in declared.columns:
        if column.name in expected and not column.nullable and found.column(column.name).null_count:
            raise ValueError(f"expected no nulls in {column.name}")


def _parquet_writer(
    place: Path | pa.NativeFile, table: Table, schema: pa.Schema, sort: Iterable[str]
) -> pq.ParquetWriter:
    """Return a writer for rows of this schema that puts the table's own schema and descriptions into the file.

    Text may come dictionary-encoded, which is several times faster to write. Readers that go by Arrow's schema would
    then see dictionaries, so the schema stored is the declared one, with plain strings.
    """
    declared = table.arrow()
    fields = [field.with_type(schema.field(field.name).type).remove_metadata() for field in declared]
    writer = pq.ParquetWriter(
        place,
        pa.schema(fields),
        compression="zstd",
        store_schema=False,
        write_page_index=True,
        sorting_columns=pq.SortingColumn.from_ordering(
            pa.schema(fields), [(name, "ascending") for name in sort], "at_end"
        ),
    )
    writer.add_key_value_metadata(
        {
            "ARROW:schema": base64.b64encode(declared.serialize().to_pybytes()).decode(),
            "cachestats.schema_version": str(SCHEMA_VERSION),
            "cachestats.table": table.name,
            "cachestats.columns": json.dumps({column.name: column.description for column in table.columns}),
        }
    )
    return writer


def check_files(dataset: Dataset) -> None:
    """Read every file of a dataset.

    Raises
    ------
    DatasetError
        If one is not there, or is not what the manifest says.
    """
    for table in TABLES:
        for file in dataset.files(table):
            read_whole(table, file)
