"""Write one table of a dataset to a single file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cachestats.atomic import replaced_file
from cachestats.dataset.dataset import Dataset, find_snapshots, find_table, one_state
from cachestats.dataset.parquet import parquet_writer, read_coded
from cachestats.dataset.paths import arrow_path
from cachestats.dataset.rows import as_array, compact, ranks_of
from cachestats.dataset.subset import Subset, as_subset
from cachestats.errors import ArgumentError
from cachestats.schema import Table

_ROW_GROUP = 1 << 18
"""The most rows of a row group: readers skip groups by their snapshots, and read several at the same time."""


def export_table(
    specs: Dataset | Subset, table: str, out: str | os.PathLike[str], *, snapshots: Iterable[str] | None = None
) -> int:
    """Write one table of a dataset to a single file for BI tools, and return its number of rows.

    Parameters
    ----------
    specs
        The dataset, or a subset of it: its snapshots, and of the tables `specs`, `variants` and `dependencies` the rows
        of its specs.
    table
        Name of the table.
    out
        The file to write. Its extension determines the format: `.parquet` (zstd, sorted by snapshot and then in the
        order of the table) or `.csv`. An existing file is replaced once the new one is complete.
    snapshots
        Names of snapshots: write only the rows that belong to these, or to no known snapshot, such as a page that could
        not be read. By default all rows. The table `targets` has no snapshots and is always written completely.

    Returns
    -------
    int
        The number of rows that were written.

    Raises
    ------
    ArgumentError
        If there is no such table or snapshot, or the extension is neither of these.
    DatasetError
        If the file cannot be written, or the dataset is damaged.
    RebuiltError
        If another process publishes to the dataset during the export.

    Examples
    --------
    >>> import cachestats as cs
    >>> cs.export_table(cs.example_dataset().where(package="hdf5"), "specs", "hdf5.csv")
    26
    """
    target = arrow_path(out)
    if target.suffix not in {".parquet", ".csv"}:
        raise ArgumentError(
            f"expected a file that ends in .parquet or .csv, found {target.name!r}", hint=f"try {target.stem}.parquet"
        )
    find_table(table)
    subset = as_subset(specs)
    if snapshots is not None:
        subset = subset.at(find_snapshots(subset.dataset, snapshots))
    with replaced_file(target) as unfinished, one_state(subset.dataset):
        return write_table(subset, table, unfinished, kind=target.suffix[1:], kept=kept_hashes(subset))


def kept_hashes(subset: Subset) -> dict[str, pa.Array] | None:
    """Return the hashes of the specs of a subset by snapshot, or None if it has all specs of its snapshots."""
    if subset.is_whole:
        return None
    found = subset.encoded("snapshot", "hash").unique().collect(engine="streaming")
    names = dict(subset.dataset.names.of_codes("snapshot", found["snapshot"], subset.snapshots).iter_rows())
    parts = found.partition_by("snapshot", as_dict=True)
    return {names[code]: part["hash"].to_arrow().cast(pa.string()) for (code,), part in parts.items()}


def write_table(subset: Subset, table: str, path: Path, *, kind: str, kept: dict[str, pa.Array] | None) -> int:
    """Write the rows of a table that belong to a subset to a file batch by batch; return the number of rows.

    `kept` are its `kept_hashes`.
    """
    import pyarrow.csv as pv

    declared, is_parquet = find_table(table), kind == "parquet"
    # From Parquet to Parquet, text is copied as dictionary codes, in two thirds of the time and memory; in CSV it is
    # written out.
    text = pa.dictionary(pa.int32(), pa.string()) if is_parquet else pa.string()
    fields = [field.remove_metadata() for field in declared.arrow()]
    schema = pa.schema([field.with_type(text) if field.type == pa.string() else field for field in fields])
    sort = ("snapshot", *declared.sort) if declared.by_snapshot else declared.sort
    # A hash repeats in the snapshots of a row group, so that each column has a dictionary.
    writer: Any = parquet_writer(path, declared, schema, sort, plain=()) if is_parquet else pv.CSVWriter(path, schema)
    rows = 0
    with writer:
        batches = _batches(subset, declared, schema, kept)
        for batch in _row_groups(batches) if is_parquet else batches:
            rows += batch.num_rows
            writer.write_table(batch)
        if not rows:  # some readers do not accept a file without row groups
            writer.write_table(schema.empty_table())
    return rows


def _batches(
    subset: Subset, declared: Table, schema: pa.Schema, kept: dict[str, pa.Array] | None
) -> Iterator[pa.Table]:
    """Yield the rows of a table that belong to a subset, in their order; no batch is empty."""
    snapshots = subset.snapshots
    for snapshot, files in subset.dataset.files_by_snapshot(declared.name, snapshots=snapshots).items():
        for batch in _of_file(files[0], schema) if len(files) == 1 else _merged(files, declared, schema):
            part = batch if snapshots is None or declared.by_snapshot else _of_snapshots(batch, snapshots)
            if kept is not None and "hash" in part.column_names and snapshot is not None:
                part = _of_specs(part, kept.get(snapshot, pa.array([], pa.string())), subset.filters.get("stack"))
            if part.num_rows:
                yield part


def _of_specs(batch: pa.Table, hashes: pa.Array, stacks: Sequence[str | None] | None) -> pa.Table:
    """Return the rows of some specs and, where there are stacks, only those of these stacks."""
    found = batch.filter(pc.is_in(batch.column("hash").cast(pa.string()), hashes))
    if stacks is None or "stack" not in batch.column_names:
        return found
    return found.filter(pc.is_in(found.column("stack").cast(pa.string()), pa.array([*stacks], pa.string())))


def _row_groups(batches: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Join batches into tables that are row groups of a file.

    Most specs of a snapshot are in the next one, too, and a row group contains a hash once: if each snapshot had a row
    group of its own, the files would be half as large again.
    """
    waiting: list[pa.Table] = []
    for batch in batches:
        if waiting and sum(part.num_rows for part in waiting) + batch.num_rows > _ROW_GROUP:
            yield pa.concat_tables(waiting).unify_dictionaries()
            waiting = []
        waiting.append(batch)
    if waiting:
        yield pa.concat_tables(waiting).unify_dictionaries()


def _of_snapshots(batch: pa.Table, names: Sequence[str]) -> pa.Table:
    """Return the rows that belong to some snapshots, or to no known snapshot."""
    if "snapshot" not in batch.column_names:
        return batch
    column = batch.column("snapshot").cast(pa.string())
    return batch.filter(pc.or_(pc.is_in(column, pa.array([*names], pa.string())), pc.is_null(column)))


def _merged(files: list[Path], declared: Table, schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield the rows of a snapshot that is stored in several files, in the order of the table.

    The files are sorted, and no two have rows with the same value in the first column of the order: a package, or the
    hash of a spec, belongs to one bucket.
    """
    # Column by column: reading all of them at once and sorting them would take three times the memory of the rows.
    first = declared.sort[0]
    sorted_by = _column(files, declared, first)
    order = pa.array(np.argsort(ranks_of(sorted_by), kind="stable"))
    names = [column.name for column in declared.columns]
    columns = (sorted_by if name == first else _column(files, declared, name) for name in names)
    rows = pa.table([column.take(order) for column in columns], names=names)
    for start in range(0, len(order), _at_once(schema)):
        yield compact(rows.slice(start, _at_once(schema)), declared).cast(schema)


def _column(files: list[Path], declared: Table, name: str) -> pa.Array:
    """Return a column of several files."""
    # Each thread that reads would keep memory of its own.
    parts = [read_coded(declared.name, file, [name], use_threads=False) for file in files]
    return as_array(pa.concat_tables(parts).unify_dictionaries().column(name))


def _of_file(file: Path, schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield the rows of a file in tables of this schema, whose text columns may be dictionaries."""
    coded = [field.name for field in schema if pa.types.is_dictionary(field.type)]
    for batch in pq.ParquetFile(file, read_dictionary=coded).iter_batches(_at_once(schema)):
        yield pa.Table.from_arrays(batch.columns, schema=schema)


def _at_once(schema: pa.Schema) -> int:
    """Return the number of rows to hold at once: plain text takes more memory than dictionary codes."""
    return _ROW_GROUP if any(pa.types.is_dictionary(field.type) for field in schema) else _ROW_GROUP // 8
