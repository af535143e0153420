"""Write Spark tables as a dataset."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

from cachestats.dataset.dataset import Dataset, open_dataset
from cachestats.dataset.manifest import BucketRecord, FileRecord, SnapshotRecord
from cachestats.dataset.parquet import read_coded
from cachestats.dataset.rows import compact
from cachestats.dataset.writer import Writer
from cachestats.decode import decode
from cachestats.errors import ArgumentError, require_extra
from cachestats.findings import FAILURES, findings_in
from cachestats.ingest.buckets import bucket_count, split
from cachestats.ingest.existing import Existing
from cachestats.ingest.inputs import Input
from cachestats.ingest.limits import Limits
from cachestats.ingest.make import StagedSnapshot, snapshot_row
from cachestats.ingest.part import Part, missing_hashes, summarize_specs, write_bucket
from cachestats.ingest.plan import SnapshotPlan, plan_of_build
from cachestats.ingest.plausible import check
from cachestats.ingest.publish import publish
from cachestats.ingest.read import ReadResult
from cachestats.ingest.remember import source_records
from cachestats.ingest.workers import Progress, Workers
from cachestats.schema import TABLES
from cachestats.sources.items import Source
from cachestats.spark.frames import FILES, STORED, checked, columns
from cachestats.spark.make import Facts, make_file, to_file
from cachestats.spark.read import SparkTables

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row


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

    The workers sort and compress a file for each snapshot, and the driver publishes the files all at once: it needs no
    more memory than the files of a few snapshots take. From the same source `build_dataset` writes the same files, byte
    for byte. Snapshots replace those of the dataset; its other snapshots are kept.

    Parameters
    ----------
    tables
        The tables that `read_site` or `read_mirrors` returned, or a DataFrame with the columns of `specs`, in which
        case the tables `variants`, `dependencies`, `requirements` and `inputs` have no rows for its snapshots.
    out
        Folder of the dataset, on a disk of the driver; created if it does not exist.
    allow_shrink, max_rejected, wait, progress
        As in `build_dataset`.

    Returns
    -------
    Dataset
        The dataset in `out`.

    Raises
    ------
    ArgumentError
        If a frame lacks a column, has a wrong type or a null in a required column, or has a row twice.
    RejectedError, ShrinkError, DatasetError, BusyError
        As in `build_dataset`.
    CachestatsError
        If pyspark is not installed.

    Examples
    --------
    Given a Spark session `spark`, with workers on this machine:

    >>> import cachestats as cs
    >>> from cachestats.spark import read_site, write_dataset
    >>> pages = cs.export_site(cs.example_dataset(), "site")
    >>> ds = write_dataset(read_site(spark, "site"), "dataset")
    >>> ds.manifest.tables["specs"]
    139
    """
    require_extra("spark", "pyspark", "pandas", purpose="Spark")
    limits = Limits(max_rejected, allow_shrink).checked()
    if isinstance(tables, SparkTables):
        frames, sources = {name: getattr(tables, name) for name in STORED}, tables.sources
        result = _result(tables.inputs, tables.rejected, sources)
    else:
        frames, sources, result = {"specs": tables}, {}, ReadResult()
    frames = {name: checked(frame, TABLES[name]) for name, frame in frames.items()}
    with Writer(out, wait=wait) as writer, Workers(1, progress) as workers:
        existing = Existing.read(writer.path)
        files = _stage_files(frames, writer, workers)
        names = [source.name for source in sources]
        plan = plan_of_build(result, existing.inputs, names, also=(snapshot for snapshot, _ in files))
        staged = {name: _staged(name, planned, files, writer) for name, planned in plan.snapshots.items()}
        check(result, staged, existing, limits)
        publish(plan, result, staged, existing, source_records(sources, existing, result.files), writer)
    return open_dataset(out)


def _result(inputs: DataFrame, rejected: DataFrame, sources: Iterable[Source]) -> ReadResult:
    """Return the inputs that were read and the findings: as many rows as there are pages or indices."""
    found = [Input(**row) for row in checked(inputs, TABLES["inputs"]).toArrow().to_pylist()]
    findings = findings_in(checked(rejected, TABLES["rejected"]).toArrow())
    files = {one.origin for one in found} | {row.origin for row in findings if row.severity == "error"}
    return ReadResult(
        inputs={one.origin: one for one in found},
        findings=findings,
        incomplete={row.snapshot for row in findings if row.rule in FAILURES and row.snapshot is not None},
        files=Counter({source.name: len(files) for source in sources}),
    )


class _StagedFile(NamedTuple):
    facts: Facts
    record: FileRecord


def _stage_files(
    frames: Mapping[str, DataFrame], writer: Writer, workers: Workers
) -> dict[tuple[str, str], _StagedFile]:
    """Stage the files of all snapshots, made by the workers; return them by snapshot and table."""
    files: dict[tuple[str, str], _StagedFile] = {}
    for snapshot, table, told, content in workers.progress(
        _files(frames), desc="writing snapshots", total=None, unit="file"
    ):
        found = decode(told, Facts)
        if found.problem:
            raise ArgumentError(
                f"expected rows of the table {table}, found {found.problem} in {snapshot}",
                hint="check the frame; distinct() removes rows that appear twice",
            )
        files[snapshot, table] = _StagedFile(found, writer.stage_file(table, content, snapshot))
    return files


def _staged(
    name: str, planned: SnapshotPlan, files: Mapping[tuple[str, str], _StagedFile], writer: Writer
) -> StagedSnapshot:
    """Return a snapshot whose files were staged, after staging files for tables without rows."""
    of_tables = {table: files[name, table] for table in STORED if (name, table) in files}
    for table in STORED:
        if table not in of_tables:  # it has no rows
            facts, content = make_file(table, TABLES[table].arrow().empty_table())
            of_tables[table] = _StagedFile(facts, writer.stage_file(table, content, name))
    specs, requirements = of_tables["specs"].facts, of_tables["requirements"].record
    summary = specs.specs or summarize_specs(TABLES["specs"].arrow().empty_table())
    copies = frozenset(one.origin for one in planned.read if one.is_copy)
    entries = sum(one.num_specs or 0 for one in planned.read) or summary.num_specs
    buckets = _divide(name, bucket_count(entries), writer)
    return StagedSnapshot(
        row=snapshot_row(name, planned, copies, summary),
        record=SnapshotRecord(
            summary.num_specs,
            {table: of_tables[table].facts.rows for table in STORED},
            buckets,
            {"requirements": requirements},
        ),
        written=tuple(range(len(buckets))) if len(buckets) > 1 else (None,),
        targets=frozenset(specs.targets),
        copies=copies,
    )


def _divide(name: str, count: int, writer: Writer) -> list[BucketRecord]:
    """Divide the staged files of a snapshot into buckets, and encode them: the driver has all of a snapshot at hand."""
    files = {table: writer.staged_file(table, name) for table in ("specs", "variants", "dependencies")}
    tables = {table: compact(read_coded(table, file), TABLES[table]) for table, file in files.items()}
    for file in files.values():
        file.unlink()
    missing = missing_hashes(tables["specs"], tables["dependencies"])
    part = Part(name, writer.path, writer.staging, count, frozenset(range(count)), (), frozenset())
    return [write_bucket(part, bucket, found, missing) for bucket, found in split(tables, count, part.buckets)]


def _files(frames: Mapping[str, DataFrame]) -> Iterator[Row]:
    """Yield the files of all snapshots, made by the workers."""
    from pyspark import StorageLevel

    of_tables = [
        frame.groupBy("snapshot").applyInArrow(to_file(table), columns(FILES)) for table, frame in frames.items()
    ]
    # Kept on disk until they are fetched, a few at a time; otherwise Spark would also make only a few at a time.
    files = reduce(lambda one, other: one.unionAll(other), of_tables).persist(StorageLevel.DISK_ONLY)
    try:
        files.count()
        yield from files.toLocalIterator()
    finally:
        files.unpersist()
