"""Read sources on the workers of a Spark session."""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from cachestats.errors import CachestatsError, SourceError, require_extra
from cachestats.ingest.read import ReadResult, chunks, edges_beside, parse_chunk
from cachestats.schema import TABLES
from cachestats.sources.detect import open_sources
from cachestats.sources.items import Previous, ReadTask, Source
from cachestats.sources.mirror import IndexTask
from cachestats.sources.request import SourceRequest
from cachestats.sources.storage.input_limits import InputLimits
from cachestats.sources.storage.network import Network
from cachestats.spark.frames import PARTS, READ, STORED, columns, schema
from cachestats.spark.make import Notes, assemble_snapshot

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_ROWS_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class SparkTables:
    """The tables of a dataset as Spark DataFrames, with the columns and types of `cachestats.data_dictionary()`.

    `read_site` and `read_mirrors` return it. Nothing is read until one of the tables is used. The result of reading is
    kept on the workers, in memory or on their disks, until `unpersist`.

    Attributes
    ----------
    specs, variants, dependencies, requirements, rejected, inputs : pyspark.sql.DataFrame
        The tables. Rows are in any order.
    sources : dict
        The sources of the tables, for `write_dataset`.

    Examples
    --------
    Given a Spark session `spark`, with workers on this machine:

    >>> import cachestats as cs
    >>> from cachestats.spark import read_site
    >>> pages = cs.export_site(cs.example_dataset(), "site")
    >>> tables = read_site(spark, "site")
    >>> tables.specs.where("stack = 'e4s'").select("package").distinct().count()
    11
    >>> tables.unpersist()
    """

    specs: DataFrame
    variants: DataFrame
    dependencies: DataFrame
    requirements: DataFrame
    rejected: DataFrame
    inputs: DataFrame
    sources: dict[Source, SourceRequest] = field(repr=False)
    _parts: DataFrame = field(repr=False)

    def unpersist(self) -> None:
        """Release the result of reading; using the tables after that reads the sources again."""
        self._parts.unpersist()


def read_site(
    spark: SparkSession,
    path: str | os.PathLike[str],
    *,
    network: Network | None = None,
    limits: InputLimits | None = None,
) -> SparkTables:
    """Read pages of the cache site on the workers of a Spark session.

    Every entry of every page is a row of `specs`, or is counted in `rejected`.

    Parameters
    ----------
    spark
        The session; not one of Spark Connect. Its workers need cachestats and its dependencies.
    path
        A checkout of the cache site (the root, `_cache`, one snapshot's folder) on a disk that driver and workers see
        at the same path, or at a URL that begins with https://, http://, s3:// or s3a://. It must not be an archive,
        which cannot be read in parts.
    network
        Settings for servers and object stores; a `cachestats.Network`.
    limits
        Limits for what the source may contain; a `cachestats.InputLimits`.

    Returns
    -------
    SparkTables
        The tables of the dataset.

    Raises
    ------
    SourceError
        If the path does not exist, cannot be listed, or has no pages.
    CachestatsError
        If pyspark is not installed, or the workers lack pyarrow or cachestats.

    Examples
    --------
    Given a Spark session `spark`, with workers on this machine:

    >>> import cachestats as cs
    >>> from cachestats.spark import read_site
    >>> pages = cs.export_site(cs.example_dataset(), "site")
    >>> tables = read_site(spark, "site")
    >>> tables.specs.where("package = 'hdf5'").select("hash").distinct().count()
    13
    """
    return _read(spark, path, network or Network(), limits or InputLimits(), indices=False)


def read_mirrors(
    spark: SparkSession,
    path: str | os.PathLike[str],
    *,
    network: Network | None = None,
    limits: InputLimits | None = None,
) -> SparkTables:
    """Read the indices of build-cache mirrors on the workers of a Spark session.

    Snapshot and stack of an index come from its location, as in `build_dataset`, and its checksum is verified. An index
    is read by one task: give a worker some gigabytes for each core if indices have hundreds of megabytes. If one of its
    indices cannot be read, a snapshot has only rows in `rejected`.

    Parameters
    ----------
    spark
        The session; not one of Spark Connect. Its workers need cachestats and its dependencies.
    path
        A mirror of layout 1, 2 or 3 with its views, a folder of mirrors (`<snapshot>/`, with stacks in
        `<snapshot>/<stack>/`), or a catalogue of mirrors (`cache_spack_io_index.json`); on a disk that driver and
        workers see at the same path, or at a URL that begins with https://, http://, s3:// or s3a://. Sizes of
        binaries are not read. `NAME=SOURCE` names its one snapshot, as in `build_dataset`.
    network
        Settings for servers and object stores; a `cachestats.Network`.
    limits
        Limits for what the source may contain; a `cachestats.InputLimits`.

    Returns
    -------
    SparkTables
        The tables of the dataset.

    Raises
    ------
    SourceError
        If the path does not exist, cannot be listed, or has no index.
    CachestatsError
        If pyspark is not installed, or the workers lack pyarrow or cachestats.

    Examples
    --------
    Given a Spark session `spark`, with workers on this machine, an index is written and read:

    >>> import json
    >>> from pathlib import Path
    >>> from cachestats.spark import read_mirrors
    >>> arch = {"platform": "linux", "platform_os": "ubuntu22.04", "target": {"name": "x86_64_v3"}}
    >>> node = {"name": "zlib-ng", "version": "2.2.3", "hash": "fvnrghamgcwonwqvbw5ocmsitaekh2rm", "arch": arch}
    >>> installs = {node["hash"]: {"spec": node, "in_buildcache": True}}
    >>> index = Path("mirror/develop-2025-03-09/e4s/build_cache/index.json")
    >>> index.parent.mkdir(parents=True)
    >>> size = index.write_text(json.dumps({"database": {"version": "8", "installs": installs}}))
    >>> read_mirrors(spark, "mirror").specs.select("snapshot", "stack", "package", "target").collect()
    [Row(snapshot='develop-2025-03-09', stack='e4s', package='zlib-ng', target='x86_64_v3')]
    """
    return _read(spark, path, network or Network(), limits or InputLimits(), indices=True)


def _read(
    spark: SparkSession, path: str | os.PathLike[str], network: Network, limits: InputLimits, *, indices: bool
) -> SparkTables:
    """Return the tables of a source, of its indices or of its pages."""
    require_extra("spark", "pyspark", "pandas", purpose="Spark")
    (request,) = SourceRequest("", network=network, limits=limits).at([path])
    address = re.sub("^s3a://", "s3://", request.address)  # Hadoop's name for S3
    sources = open_sources([replace(request, address=address)])
    (source,) = sources
    if source.is_sequential:
        raise SourceError(
            f"expected a source that workers can read in parts, found one read from start to end: {source.name}",
            hint="unpack it, or read it with cachestats.build_dataset",
        )
    tasks = [task for task in source.batches(Previous()) if _is_of_index(source, task) == indices]
    if not tasks:
        expected, reader = (
            ("indices `build_cache/index.json`", "read_site") if indices else ("pages `specs.md`", "read_mirrors")
        )
        found = "pages" if indices else "indices"
        raise SourceError(f"expected {expected} in {source.name}, found {found} only", hint=f"read them with {reader}")
    _check_workers(spark)
    work = pa.table({"work": [pickle.dumps((source, task)) for task in tasks]})
    parts = (
        spark.createDataFrame(work)
        .repartition(len(tasks))
        .mapInArrow(_read_tasks, columns(READ))
        .groupBy("snapshot")
        .applyInArrow(assemble_snapshot, columns(PARTS))
        .persist()
    )
    frames = {
        name: parts.where(parts["table"] == name).mapInArrow(partial(_rows, name), schema(TABLES[name]))
        for name in (*STORED, "rejected", "inputs")
    }
    return SparkTables(**frames, sources=sources, _parts=parts)


def _is_of_index(source: Source, task: ReadTask) -> bool:
    return not source.may_have_pages or isinstance(task, IndexTask)


def _read_tasks(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Carry out read tasks, and parse the items; runs on a worker."""
    for pickled in (row for batch in batches for row in batch.column("work").to_pylist()):
        source, items = pickle.loads(pickled)  # noqa: S301  (the driver wrote it)
        with TemporaryDirectory(prefix="cachestats-") as folder:
            for number, chunk in enumerate(chunks(items())):
                found = parse_chunk(chunk, source, Previous(), f"{folder}/{number}")
                yield pa.RecordBatch.from_pylist([*_fragments(found), *_notes(found)], schema=READ)
                for path in Path(folder).iterdir():
                    path.unlink()


def _fragments(found: ReadResult) -> Iterator[dict[str, Any]]:
    for snapshot, paths in found.fragments.items():
        for path in paths:
            records, edges = path.read_bytes(), edges_beside(path).read_bytes()
            yield {"snapshot": snapshot, "records": records, "edges": edges}


def _notes(found: ReadResult) -> Iterator[dict[str, Any]]:
    inputs = {input_.snapshot for input_ in found.inputs.values()}
    for snapshot in inputs | {finding.snapshot for finding in found.findings}:
        notes = Notes(
            [input_ for input_ in found.inputs.values() if input_.snapshot == snapshot],
            [finding for finding in found.findings if finding.snapshot == snapshot],
            snapshot in found.incomplete,
        )
        yield {"snapshot": snapshot, "notes": msgspec.json.encode(notes)}


def _rows(table: str, parts: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a table that `assemble_snapshot` made; runs on a worker."""
    for file in (file for part in parts for file in part.column("file")):
        yield from pq.ParquetFile(pa.BufferReader(file.as_buffer())).iter_batches(_ROWS_AT_ONCE)


def _check_workers(spark: SparkSession) -> None:
    """Check that the workers have their dependencies, since Spark's own message is a page of Java.

    Raises
    ------
    CachestatsError
        If they lack one.
    """

    def lacking(_: int) -> str | None:  # defined here, so that it is pickled whole: workers may lack cachestats
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
                f"expected pyarrow and cachestats with its dependencies on Spark's workers, found: {problem}",
                hint="install them there and name that Python in PYSPARK_PYTHON, or send cachestats along with "
                "`spark-submit --py-files cachestats.zip`",
            )
