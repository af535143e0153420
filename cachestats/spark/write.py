"""Tables of Spark become a dataset."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from typing import TYPE_CHECKING

from cachestats.dataset.dataset import Dataset, open_dataset
from cachestats.dataset.writer import Writer
from cachestats.decode import decode
from cachestats.errors import ArgumentError
from cachestats.ingest.build import (
    Build,
    Snapshot,
    checked_threads,
    snapshot_row,
    summarize_specs,
)
from cachestats.ingest.inputs import Input
from cachestats.ingest.read import ReadResult
from cachestats.ingest.workers import Progress, Workers
from cachestats.rejection import FAILURES, Rejection
from cachestats.schema import TABLES
from cachestats.spark.frames import FILES, STORED, checked, columns, need_pyspark
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

    The workers sort and compress a file for each snapshot, the driver puts the files into their places, all at once:
    it needs no more memory than the files of a few snapshots. Of the same source `build_dataset` writes the same
    files, byte by byte. Snapshots replace those of the dataset; its other snapshots stay.

    Parameters
    ----------
    tables
        What `read_site` or `read_mirrors` returned, or a DataFrame with the columns of `specs`; then the tables
        `variants`, `dependencies`, `requirements` and `inputs` have nothing of its snapshots.
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
    need_pyspark()
    checked_threads(None, max_rejected)
    if isinstance(tables, SparkTables):
        frames = {name: getattr(tables, name) for name in STORED}
        small, sources = [tables.inputs, tables.rejected], tables.sources
    else:
        frames, small, sources = {"specs": tables}, [], {}
    frames = {name: checked(frame, TABLES[name]) for name, frame in frames.items()}
    with Writer(out, wait=wait) as writer, ThreadPoolExecutor(1) as pool:
        build = _SparkBuild(writer, Workers(pool, 1, progress), sources)
        if small:
            build.take_notes(*small)
        build.put_files(frames)
        build.check(max_rejected=max_rejected, allow_shrink=allow_shrink)
        build.publish()
    return open_dataset(out)


class _SparkBuild(Build):
    """A build of what Spark has read: `take_notes`, `put_files`, then `check` and `publish`."""

    def take_notes(self, inputs: DataFrame, rejected: DataFrame) -> None:
        """Take in what was read and what was rejected: as many rows as there are pages, or indices."""
        found = [Input(**row) for row in checked(inputs, TABLES["inputs"]).toArrow().to_pylist()]
        rejections = [Rejection(**row) for row in checked(rejected, TABLES["rejected"]).toArrow().to_pylist()]
        self.reading = ReadResult(
            inputs={input_.origin: input_ for input_ in found},
            rejections=rejections,
            incomplete={row.snapshot for row in rejections if row.rule in FAILURES and row.snapshot is not None},
        )
        files = self.reading.inputs.keys() | {row.origin for row in rejections if row.severity == "error"}
        for source in self.readers:
            self.reading.files[source.name] = len(files)
            self.sources[source.name] |= {"files": len(files), "passed_over": source.passed_over}

    def put_files(self, frames: Mapping[str, DataFrame]) -> None:
        """Have the files of all snapshots made, and put them beside the dataset."""
        facts: dict[tuple[str, str], Facts] = {}
        files = self.workers.progress(_files(frames), desc="writing snapshots", total=None, unit="file")
        for snapshot, table, told, content in files:
            found = decode(told, Facts)
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
            for table in STORED:
                if (name, table) not in facts:  # it has no rows
                    facts[name, table], content = make_file(table, TABLES[table].arrow().empty_table())
                    self.writer.stage_file(table, content, name)
            summary = facts[name, "specs"].specs or summarize_specs(TABLES["specs"].arrow().empty_table())
            snapshot.copies = {input_.origin for input_ in snapshot.read if input_.is_copy}
            snapshot.row = snapshot_row(name, snapshot, summary)
            snapshot.targets = set(facts[name, "specs"].targets)
            snapshot.rows = {table: facts[name, table].rows for table in STORED}


def _files(frames: Mapping[str, DataFrame]) -> Iterator[Row]:
    """Yield the files of all snapshots, made by the workers."""
    from pyspark import StorageLevel

    of_tables = [
        frame.groupBy("snapshot").applyInArrow(to_file(table), columns(FILES)) for table, frame in frames.items()
    ]
    # Kept on disk until they are fetched: a few at a time, which Spark would else also make only a few at a time.
    files = reduce(lambda one, other: one.unionAll(other), of_tables).persist(StorageLevel.DISK_ONLY)
    try:
        files.count()
        yield from files.toLocalIterator()
    finally:
        files.unpersist()
