"""Spark, for whoever outgrows one machine: its workers read pages and indices, with the parsers that run locally.

The driver lists a source, and cuts it into the batches in which `build_dataset` reads it, too. The workers read and
parse them, put each snapshot together, and hand its tables on as the Parquet files that a dataset is made of.

Files are not read with Spark's `binaryFile`: it passes over folders whose names begin with `_`, as `_cache` does, and
over empty files, without a word, where a page that is lost has to be a row in `rejected`. And of an index the checksum
and, in layout 3, the place stand in another file. So the sources read, which know all that: from a disk that all
workers see, from servers and from S3.
"""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial, reduce
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from cachestats.dataset.dataset import Dataset, open_dataset
from cachestats.dataset.parquet import check_columns, write_parquet
from cachestats.dataset.writer import Writer
from cachestats.decode import decode
from cachestats.errors import ArgumentError, CachestatsError, SourceError
from cachestats.ingest.assemble import flatten, in_order, with_dictionaries
from cachestats.ingest.build import (
    Build,
    Snapshot,
    SpecsSummary,
    checked_threads,
    names_in,
    snapshot_row,
    summarize_specs,
)
from cachestats.ingest.closures import add_requirements, requirements_table
from cachestats.ingest.inputs import Document
from cachestats.ingest.inputs import to_table as documents_table
from cachestats.ingest.read import Reading, chunks, edges_beside, parse_chunk, read_piece
from cachestats.ingest.workers import Progress, Workers
from cachestats.rejection import FAILURES, Rejection
from cachestats.rejection import to_table as rejected_table
from cachestats.schema import TABLES, DType, Table
from cachestats.sources.archive import ArchiveSource
from cachestats.sources.detect import open_sources
from cachestats.sources.items import Batch, Known, Source
from cachestats.sources.mirror import IndexBatch
from cachestats.sources.request import Given
from cachestats.sources.storage.base import Network
from cachestats.spack_releases import rules_of_sources

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row, SparkSession
    from pyspark.sql.types import StructType

_ROWS_AT_ONCE = 1 << 16
_STORED = tuple(table.name for table in TABLES.values() if table.by_snapshot)
_TYPES: dict[DType, str] = {
    "string": "string",
    "int64": "long",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamp",
}

# What workers hand on. A piece is handed on in the two files in which it is laid down, beside notes on what was read.
_READ = pa.schema({"snapshot": pa.string(), "notes": pa.binary(), "records": pa.binary(), "edges": pa.binary()})
_PARTS = pa.schema({"table": pa.string(), "file": pa.binary()})
_FILES = pa.schema({"snapshot": pa.string(), "table": pa.string(), "facts": pa.binary(), "file": pa.binary()})


@dataclass(frozen=True)
class SparkTables:
    """The tables of a dataset as Spark DataFrames, with the columns and types of `cachestats.data_dictionary()`.

    Nothing is read before one of them is asked for. What was read is kept on the workers, in memory or on their disks,
    until `unpersist`.

    Attributes
    ----------
    specs, variants, dependencies, requirements, rejected, documents : pyspark.sql.DataFrame
        The tables. Rows come in any order.
    sources : dict
        Where they come from, for `write_dataset`.
    """

    specs: DataFrame
    variants: DataFrame
    dependencies: DataFrame
    requirements: DataFrame
    rejected: DataFrame
    documents: DataFrame
    sources: dict[Source, Given] = field(repr=False)
    _parts: DataFrame = field(repr=False)

    def unpersist(self) -> None:
        """Let go of what was read; whoever asks after that reads it again."""
        self._parts.unpersist()


def read_site(spark: SparkSession, path: str | os.PathLike[str], *, network: Network | None = None) -> SparkTables:
    """Read pages of the cache site on the workers of a Spark session.

    Every entry of every page is a row of `specs`, or is counted in `rejected`.

    Parameters
    ----------
    spark
        The session; none of Spark Connect. Its workers need cachestats with what it depends on.
    path
        A checkout of the cache site (the root, `_cache`, one snapshot's folder) on a disk that driver and workers see
        at the same path, or the address of one that begins with https://, http://, s3:// or s3a://. No archive: it
        cannot be read in parts.
    network
        How to deal with servers; a `cachestats.Network`.

    Raises
    ------
    SourceError
        If the path does not exist, cannot be listed, or has no pages.
    CachestatsError
        If pyspark is not installed, or the workers lack pyarrow or cachestats.

    Examples
    --------
    >>> from cachestats.spark import read_site
    >>> tables = read_site(spark, "data/_cache")
    >>> tables.specs.where("package = 'py-propcache'").select("hash").distinct().count()
    68
    """
    return _read(spark, path, network, indices=False)


def read_mirrors(spark: SparkSession, path: str | os.PathLike[str], *, network: Network | None = None) -> SparkTables:
    """Read the indices of build-cache mirrors on the workers of a Spark session.

    Snapshot and stack of an index come from its place, as in `build_dataset`, and its checksum is verified. An index
    is read by one task: give a worker some gigabytes for each core if indices have hundreds of megabytes. Of a
    snapshot one of whose indices cannot be read there is nothing but a row in `rejected`.

    Parameters
    ----------
    spark
        The session; none of Spark Connect. Its workers need cachestats with what it depends on.
    path
        A mirror of layout 1, 2 or 3 with its views, a folder of them (`<snapshot>/`, its stacks in
        `<snapshot>/<stack>/`), or a catalogue of mirrors (`cache_spack_io_index.json`); on a disk that driver and
        workers see at the same path, or at an address that begins with https://, http://, s3:// or s3a://. Sizes of
        binaries are not read.
    network
        How to deal with servers; a `cachestats.Network`.

    Raises
    ------
    SourceError
        If the path does not exist, cannot be listed, or has no index.
    CachestatsError
        If pyspark is not installed, or the workers lack pyarrow or cachestats.

    Examples
    --------
    >>> from cachestats.spark import read_mirrors
    >>> read_mirrors(spark, "data/_cache")
    Traceback (most recent call last):
        ...
    cachestats.errors.SourceError: expected indices `build_cache/index.json` in data/_cache, found pages only
    hint: read them with read_site
    """
    return _read(spark, path, network, indices=True)


def write_dataset(
    tables: SparkTables | DataFrame,
    out: str | os.PathLike[str],
    *,
    allow_shrink: bool = False,
    max_rejected: float = 0.01,
    wait: float = 600.0,
    progress: Progress | None = None,
) -> Dataset:
    """Write tables of a Spark session as a dataset, as `build_dataset` does, and return it.

    The workers sort and compress a file for each snapshot, the driver puts the files into their places, all at once:
    it needs no more memory than the files of a few snapshots. Of the same source `build_dataset` writes the same
    files, byte by byte. Snapshots replace those of the dataset; its other snapshots stay.

    Parameters
    ----------
    tables
        What `read_site` or `read_mirrors` returned, or a DataFrame with the columns of `specs`; then the tables
        `variants`, `dependencies`, `requirements` and `documents` have nothing of its snapshots.
    out
        Folder of the dataset, on a disk of the driver; made where it does not exist.
    allow_shrink, max_rejected, wait, progress
        As in `build_dataset`.

    Raises
    ------
    ArgumentError
        If a frame lacks a column, has another type or a null where none may be, or has a row twice.
    RejectedError, ShrinkError, DatasetError, BusyError
        As `build_dataset` does.

    Examples
    --------
    >>> from cachestats.spark import read_site, write_dataset
    >>> ds = write_dataset(read_site(spark, "data/_cache"), tmp / "dataset")
    >>> ds.manifest["tables"]["specs"]
    524
    """
    _need_pyspark()
    checked_threads(None, max_rejected)
    if isinstance(tables, SparkTables):
        frames = {name: getattr(tables, name) for name in _STORED}
        small, sources = [tables.documents, tables.rejected], tables.sources
    else:
        frames, small, sources = {"specs": tables}, [], {}
    frames = {name: _checked(frame, TABLES[name]) for name, frame in frames.items()}
    with Writer(out, wait=wait) as writer, ThreadPoolExecutor(1) as pool:
        build = _SparkBuild(writer, Workers(pool, 1, progress), sources)
        if small:
            build.take_notes(*small)
        build.put_files(frames)
        build.check(max_rejected=max_rejected, allow_shrink=allow_shrink)
        build.publish()
    return open_dataset(out)


class _Notes(msgspec.Struct):
    """What came of reading a part of a snapshot, beside its specs."""

    documents: list[Document]
    rejections: list[Rejection]
    is_incomplete: bool


class _Facts(msgspec.Struct):
    """What the driver has to know of a file."""

    rows: int
    specs: SpecsSummary | None
    targets: list[str]
    problem: str | None
    """Why these rows cannot be stored."""


class _SparkBuild(Build):
    """A build of what Spark has read: `take_notes`, `put_files`, then `check` and `publish`."""

    def take_notes(self, documents: DataFrame, rejected: DataFrame) -> None:
        """Take in what was read and what was rejected: as many rows as there are pages, or indices."""
        found = [Document(**row) for row in _checked(documents, TABLES["documents"]).toArrow().to_pylist()]
        rejections = [Rejection(**row) for row in _checked(rejected, TABLES["rejected"]).toArrow().to_pylist()]
        self.reading = Reading(
            documents={document.origin: document for document in found},
            rejections=rejections,
            incomplete={row.snapshot for row in rejections if row.rule in FAILURES and row.snapshot is not None},
        )
        files = self.reading.documents.keys() | {row.origin for row in rejections if row.severity == "error"}
        for source in self.readers:
            self.reading.files[source.name] = len(files)
            self.sources[source.name] |= {"files": len(files), "passed_over": source.passed_over}

    def put_files(self, frames: Mapping[str, DataFrame]) -> None:
        """Have the files of all snapshots made, and put them beside the dataset."""
        facts: dict[tuple[str, str], _Facts] = {}
        files = self.workers.progress(_files(frames), desc="writing snapshots", total=None, unit="file")
        for snapshot, table, told, content in files:
            found = decode(told, _Facts)
            if found.problem:
                raise ArgumentError(
                    f"expected rows of the table {table}, found {found.problem} in {snapshot}",
                    hint="look at the frame; rows that are there twice go with distinct()",
                )
            self.writer.stage_file(table, content, snapshot)
            facts[snapshot, table] = found
        self.snapshots = {snapshot: Snapshot() for snapshot, _ in facts}
        self.replace_snapshots()
        for name, snapshot in self.snapshots.items():
            for table in _STORED:
                if (name, table) not in facts:  # it has no rows
                    facts[name, table], content = _make_file(table, TABLES[table].arrow().empty_table())
                    self.writer.stage_file(table, content, name)
            summary = facts[name, "specs"].specs or summarize_specs(TABLES["specs"].arrow().empty_table())
            snapshot.copies = {document.origin for document in snapshot.read if document.is_copy}
            snapshot.row = snapshot_row(name, snapshot, summary)
            snapshot.targets = set(facts[name, "specs"].targets)
            snapshot.rows = {table: facts[name, table].rows for table in _STORED}


def _read(spark: SparkSession, path: str | os.PathLike[str], network: Network | None, *, indices: bool) -> SparkTables:
    """Return the tables of a source, of its indices or of its pages."""
    _need_pyspark()
    address = re.sub("^s3a://", "s3://", os.fspath(path))  # as Hadoop calls it
    sources = open_sources([Given(address, network=network or Network())])
    (source,) = sources
    if isinstance(source, ArchiveSource):
        raise SourceError(
            f"expected a folder that workers can read in parts, found the archive {source.name}",
            hint="unpack it, or read it with cachestats.build_dataset",
        )
    batches = [batch for batch in source.batches(Known()) if _is_of_index(source, batch) == indices]
    if not batches:
        expected, reader = (
            ("indices `build_cache/index.json`", "read_site") if indices else ("pages `specs.md`", "read_mirrors")
        )
        found = "pages" if indices else "indices"
        raise SourceError(f"expected {expected} in {source.name}, found {found} only", hint=f"read them with {reader}")
    _check_workers(spark)
    work = pa.table({"work": [pickle.dumps((source, batch)) for batch in batches]})
    parts = (
        spark.createDataFrame(work)
        .repartition(len(batches))
        .mapInArrow(_read_batches, _columns(_READ))
        .groupBy("snapshot")
        .applyInArrow(_put_together, _columns(_PARTS))
        .persist()
    )
    frames = {
        name: parts.where(parts["table"] == name).mapInArrow(partial(_rows, name), _schema(TABLES[name]))
        for name in (*_STORED, "rejected", "documents")
    }
    return SparkTables(**frames, sources=sources, _parts=parts)


def _is_of_index(source: Source, batch: Batch) -> bool:
    return source.kind == "catalogue" or isinstance(batch, IndexBatch)


def _read_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Read and parse what a task is to read; runs on a worker."""
    for pickled in (row for batch in batches for row in batch.column("work").to_pylist()):
        source, items = pickle.loads(pickled)  # noqa: S301  (the driver wrote it)
        with TemporaryDirectory(prefix="cachestats-") as folder:
            for number, chunk in enumerate(chunks(items())):
                found = parse_chunk(chunk, source, Known(), f"{folder}/{number}")
                yield pa.RecordBatch.from_pylist([*_pieces(found), *_notes(found)], schema=_READ)
                for path in Path(folder).iterdir():
                    path.unlink()


def _pieces(found: Reading) -> Iterator[dict[str, Any]]:
    for snapshot, paths in found.pieces.items():
        for path in paths:
            records, edges = path.read_bytes(), edges_beside(path).read_bytes()
            yield {"snapshot": snapshot, "records": records, "edges": edges}


def _notes(found: Reading) -> Iterator[dict[str, Any]]:
    documents = {document.snapshot for document in found.documents.values()}
    for snapshot in documents | {rejection.snapshot for rejection in found.rejections}:
        notes = _Notes(
            [document for document in found.documents.values() if document.snapshot == snapshot],
            [rejection for rejection in found.rejections if rejection.snapshot == snapshot],
            snapshot in found.incomplete,
        )
        yield {"snapshot": snapshot, "notes": msgspec.json.encode(notes)}


def _put_together(group: pa.Table) -> pa.Table:
    """Put a snapshot together, or what belongs to none; runs on a worker."""
    snapshot = group.column("snapshot")[0].as_py()
    notes = [decode(text.as_py(), _Notes) for text in group.column("notes").drop_null()]
    documents = [document for note in notes for document in note.documents]
    rejections = [rejection for note in notes for rejection in note.rejections]
    pieces = [
        read_piece(pa.BufferReader(records.as_buffer()), pa.BufferReader(edges.as_buffer()), snapshot)
        for records, edges in zip(*(group.column(name).drop_null() for name in ("records", "edges")), strict=True)
    ]
    tables: dict[str, pa.Table] = {}
    if any(note.is_incomplete for note in notes):
        rejections = [row for row in rejections if row.rule in FAILURES]
    elif pieces:
        made = flatten(pieces)
        documents = [document._replace(is_copy=document.origin in made.copies) for document in documents]
        generations = {document.generation for document in documents if document.generation and not document.is_copy}
        rules = rules_of_sources(snapshot, generations, names_libc=summarize_specs(made.specs).name_libc)
        specs = add_requirements(made.specs, made.dependencies, rules)
        tables |= made.tables | {"specs": specs, "requirements": requirements_table(snapshot, specs)}
        rejections = [row for row in rejections if row.origin not in made.copies] + made.rejections
    tables |= {"documents": documents_table(documents), "rejected": rejected_table(rejections)}
    return pa.table({"table": list(tables), "file": [*map(_parquet, tables, tables.values())]}, schema=_PARTS)


def _rows(table: str, parts: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Read what `_put_together` made of a table; runs on a worker."""
    for file in (file for part in parts for file in part.column("file")):
        yield from pq.ParquetFile(pa.BufferReader(file.as_buffer())).iter_batches(_ROWS_AT_ONCE)


def _files(frames: Mapping[str, DataFrame]) -> Iterator[Row]:
    """Yield the files of all snapshots, made by the workers."""
    from pyspark import StorageLevel

    of_tables = [
        frame.groupBy("snapshot").applyInArrow(_to_file(table), _columns(_FILES)) for table, frame in frames.items()
    ]
    # Kept on disk until they are fetched: a few at a time, which Spark would else also make only a few at a time.
    files = reduce(lambda one, other: one.unionAll(other), of_tables).persist(StorageLevel.DISK_ONLY)
    try:
        files.count()
        yield from files.toLocalIterator()
    finally:
        files.unpersist()


def _to_file(table: str) -> Callable[[pa.Table], pa.Table]:
    """Return how to make the file of one snapshot of a table; runs on a worker."""

    def to_file(group: pa.Table) -> pa.Table:  # no `partial`: Spark looks at the types
        facts, content = _make_file(table, group)
        row = {"snapshot": group.column("snapshot")[0].as_py(), "table": table, "file": content}
        return pa.Table.from_pylist([row | {"facts": msgspec.json.encode(facts)}], schema=_FILES)

    return to_file


def _make_file(table: str, rows: pa.Table) -> tuple[_Facts, bytes]:
    """Return the file of one snapshot of a table, given its rows in any order."""
    declared = TABLES[table]
    try:
        check_columns(declared, rows)
    except ValueError as error:
        return _Facts(0, None, [], str(error)), b""
    data = in_order(with_dictionaries(rows.cast(declared.arrow())), declared)
    if data.num_rows < rows.num_rows:
        key = ", ".join(declared.key)
        return _Facts(0, None, [], f"{rows.num_rows - data.num_rows:,} with a key ({key}) that is there already"), b""
    is_specs = table == "specs"
    facts = _Facts(
        data.num_rows,
        summarize_specs(data) if is_specs else None,
        sorted(names_in(data, "target")) if is_specs else [],
        None,
    )
    return facts, _parquet(table, data)


def _parquet(table: str, data: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    write_parquet(sink, table, data)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _checked(frame: DataFrame, table: Table) -> DataFrame:
    """Return a frame with the columns of a table and no others, once it is known to have them."""
    if not hasattr(frame, "sparkSession"):
        raise ArgumentError(
            f"expected a DataFrame of Spark, found {type(frame).__module__}.{type(frame).__name__}",
            hint="write others with their own writers, or give them to spark.createDataFrame",
        )
    expected = {field.name: field.dataType.simpleString() for field in _schema(table)}
    found = dict(frame.dtypes)
    if missing := expected.keys() - found.keys():
        raise ArgumentError(
            f"expected the columns {', '.join(expected)}, found {', '.join(found) or 'none'}",
            hint=f"keep {', '.join(sorted(missing))} in the frame: it should be as the table {table.name}",
        )
    if other := [name for name, dtype in expected.items() if found[name] != dtype]:
        raise ArgumentError(
            f"expected {', '.join(f'{name} {expected[name]}' for name in other)}, "
            f"found {', '.join(f'{name} {found[name]}' for name in other)}",
            hint="cast them to the types of cachestats.data_dictionary()",
        )
    return frame.select(*expected)


def _schema(table: Table) -> StructType:
    """Return the schema of a table, its descriptions as the comments of its columns."""
    from pyspark.sql.types import StructType

    schema = StructType()
    for column in table.columns:
        schema.add(column.name, _TYPES[column.dtype], column.nullable, {"comment": column.description})
    return schema


def _columns(schema: pa.Schema) -> str:
    return ", ".join(f"`{column.name}` {column.type}" for column in schema)


def _need_pyspark() -> None:
    for package in ("pyspark", "pandas"):
        try:
            import_module(package)
        except ImportError as error:
            raise CachestatsError(
                f"expected the package {package}, found it not installed", hint="pip install 'cachestats[spark]'"
            ) from error


def _check_workers(spark: SparkSession) -> None:
    """Ask the workers for what they need, since Spark's own word for it is a page of Java.

    Raises
    ------
    CachestatsError
        If they lack it.
    """

    def lacking(_: int) -> str | None:  # defined here, so that it travels whole: there may be no cachestats there
        try:
            import pyarrow  # noqa: F401

            import cachestats.spark  # noqa: F401
        except ImportError as error:
            return str(error)
        return None

    tasks = spark.sparkContext.defaultParallelism
    for problem in spark.sparkContext.parallelize(range(tasks), tasks).map(lacking).collect():
        if problem:
            raise CachestatsError(
                f"expected pyarrow and cachestats with what it depends on on Spark's workers, found: {problem}",
                hint="install them there and name that Python in PYSPARK_PYTHON, or send cachestats along with "
                "`spark-submit --py-files cachestats.zip`",
            )
