"""Write, read and check the Parquet files of the tables."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cachestats.errors import DatasetError
from cachestats.regular import open_regular
from cachestats.schema import ENCODED_SPECS, ENGINE_TABLES, SCHEMA_VERSION, STORED_TABLES, Table

# Hashes repeat over a whole snapshot: with a million rows per group their dictionary is written once. Pages have an
# index, too.
ROW_GROUP = 1 << 20

# Numbers of names are packed into bits, in which zstd finds few repetitions within the 20,000 rows that pyarrow puts in
# a page. In pages of up to a megabyte, and with these levels, columns with a dictionary take a sixth less, for some 3%
# of the time of a build. Another level for all of them would cost as much again. Hashes grow with the level.
_LEVEL = 4
_LEVEL_OF_VARIANTS = 5  # their texts are the largest of the other columns

_MANY_NAMES = frozenset({"hash", "dependency_hash", "variants"})
# No dictionary makes these smaller within a snapshot. The rows of a hash follow each other, which zstd sees in plain
# text, but not in the bits of codes: without a dictionary, hashes take a fifth less.
_PLAIN = frozenset({"hash", "spec", "name", "code", "digest", "fingerprint", "origin"})


def to_parquet(table: str, data: pa.Table) -> pa.Buffer:
    """Return the Parquet file of a table, or of one snapshot of it. `data` is sorted as the table declares.

    A file is small beside the rows that it is made of, and its checksum is computed while it is in memory.
    """
    declared, sink = STORED_TABLES[table], pa.BufferOutputStream()
    with parquet_writer(sink, declared, data.schema, declared.sort) as writer:
        rows = pa.Table.from_arrays(data.columns, schema=writer.schema)
        for part in _row_groups(rows, declared.row_group_by):
            writer.write_table(part, row_group_size=ROW_GROUP)
    return sink.getvalue()


def _row_groups(rows: pa.Table, by: str | None) -> Iterator[pa.Table]:
    """Yield the rows, split where the value of a column changes if there is one."""
    if by is None or not rows.num_rows:
        yield rows
        return
    start = 0
    for runs in pc.run_end_encode(rows.combine_chunks().column(by)).chunks:
        for end in runs.run_ends.to_pylist():
            yield rows.slice(start, end - start)
            start = end


@contextmanager
def damage_told(table: str, file: Path) -> Iterator[None]:
    """Turn errors from reading a file into one that says which table was expected there."""
    try:
        open_regular(file).close()  # Arrow would wait for a pipe
        yield
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DatasetError(
            f"expected the table {table} in {file}, found a file that cannot be read: {error}",
            hint="build the dataset again, into a new folder",
        ) from error


def read_file(
    file: Path,
    columns: list[str] | None = None,
    as_dictionaries: list[str] | None = None,
    *,
    use_threads: bool = True,
) -> pa.Table:
    """Return the rows of a Parquet file. (`pq.read_table` imports all of pandas, where it is installed.)"""
    try:
        opened = pq.ParquetFile(file, read_dictionary=as_dictionaries)
    except KeyError as error:
        raise ValueError(f"expected the column {error.args[0].decode()}, found none") from None
    with opened:
        return opened.read(columns, use_threads=use_threads)


def read_whole(table: str, file: Path) -> pa.Table:
    """Return a table, or one snapshot of it, with its declared schema."""
    declared = STORED_TABLES[table]
    with damage_told(table, file):
        found = read_file(file)
        check_columns(declared, found)
        return found.cast(declared.arrow())


def read_coded(table: str, file: Path, columns: list[str] | None = None, *, use_threads: bool = True) -> pa.Table:
    """Return a table, or one snapshot of it, its text dictionary-encoded, each column as a single chunk."""
    declared = STORED_TABLES[table]
    texts = {column.name for column in declared.columns if column.dtype == "string"}
    with damage_told(table, file):
        # Where names hardly repeat, each page has its own dictionary: making a new one is faster.
        found = read_file(file, columns, [*(texts - _MANY_NAMES)], use_threads=use_threads)
        check_columns(declared, found, columns)
    return pa.table(
        {
            name: (column.dictionary_encode() if name in _MANY_NAMES else column.unify_dictionaries()).combine_chunks()
            for name, column in zip(found.column_names, found.columns, strict=True)
        }
    )


def read_names(file: Path, columns: Collection[str]) -> pa.Table:
    """Return the rows of a file of the table `names` that name the codes in some columns."""
    with damage_told("names", file), pq.ParquetFile(file) as opened:
        groups = opened.metadata
        first = [groups.row_group(number).column(0).statistics for number in range(groups.num_row_groups)]
        wanted = [number for number, found in enumerate(first) if found and found.min in columns]
        return opened.read_row_groups(wanted).cast(STORED_TABLES["names"].arrow())


def read_codes(file: Path) -> npt.NDArray[np.int64]:
    """Return the codes of the specs in a file of the table `encoded_specs`."""
    with damage_told("encoded_specs", file):
        codes: npt.NDArray[np.int64] = read_file(file, ["spec"]).column("spec").to_numpy()
        return codes


def check_columns(declared: Table, found: pa.Table, columns: Iterable[str] | None = None) -> None:
    """Check that a table has its declared columns and no others, and no nulls in required ones.

    Raises
    ------
    ValueError
        If it does not.
    """
    expected = list(columns or [column.name for column in declared.columns])
    if found.column_names != expected:
        raise ValueError(f"expected the columns {', '.join(expected)}, found {', '.join(found.column_names)}")
    for column in declared.columns:
        if column.name in expected and not column.nullable and found.column(column.name).null_count:
            raise ValueError(f"expected no nulls in {column.name}")


def parquet_writer(
    file: Path | pa.NativeFile,
    table: Table,
    schema: pa.Schema,
    sort: Iterable[str],
    *,
    plain: Collection[str] = _PLAIN,
) -> pq.ParquetWriter:
    """Return a writer for rows of this schema that stores the table's declared schema and descriptions in the file.

    Text may be dictionary-encoded, which is several times faster to write. Readers that use the stored Arrow schema
    would then see dictionaries, so the declared schema is stored, with plain strings.

    Statistics are kept only of columns by which rows are skipped: of all, they are a third of the time it takes to
    write. The tables of the engine have no descriptions, which take as long to read as their rows.

    Columns in `plain` have no dictionary.
    """
    declared = table.arrow()
    skipped_by = {"snapshot", *list(sort)[:1], *([table.row_group_by] if table.row_group_by else [])} & {
        *declared.names
    }
    fields = [field.with_type(schema.field(field.name).type).remove_metadata() for field in declared]
    writer = pq.ParquetWriter(
        file,
        pa.schema(fields),
        compression="zstd",
        compression_level={
            column.name: _LEVEL_OF_VARIANTS if column.name == "variants" and column.dtype == "string" else _LEVEL
            for column in table.columns
            if column.name not in _PLAIN
        },
        max_rows_per_page=ROW_GROUP,
        store_schema=False,
        write_page_index=True,
        write_page_checksum=True,  # for other programs: a dataset has checksums of whole files
        write_statistics=sorted(skipped_by),
        use_dictionary=[name for name in declared.names if name not in plain],
        # In the tables that other tools read, only what every reader of Parquet knows.
        column_encoding={"hash": "DELTA_LENGTH_BYTE_ARRAY"} if table is ENCODED_SPECS else None,
        sorting_columns=pq.SortingColumn.from_ordering(
            pa.schema(fields), [(name, "ascending") for name in sort], "at_end"
        ),
    )
    metadata = {"cachestats.schema_version": str(SCHEMA_VERSION), "cachestats.table": table.name}
    if table.name not in ENGINE_TABLES:
        metadata["ARROW:schema"] = base64.b64encode(declared.serialize().to_pybytes()).decode()
        metadata["cachestats.columns"] = json.dumps({column.name: column.description for column in table.columns})
    writer.add_key_value_metadata(metadata)
    return writer
