"""A build: read sources, replace the snapshots that they contain, check, and publish."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from cachestats.dataset.dataset import Dataset, open_dataset
from cachestats.dataset.publication import SPEC_FILES, finish_moves
from cachestats.dataset.writer import Writer
from cachestats.ingest.existing import Existing
from cachestats.ingest.limits import Limits
from cachestats.ingest.make import make
from cachestats.ingest.plan import plan_frame, plan_of_build
from cachestats.ingest.plausible import check
from cachestats.ingest.publish import publish
from cachestats.ingest.read import read_sources
from cachestats.ingest.remember import named_requests, source_records
from cachestats.ingest.repair import check_repaired, read_undamaged
from cachestats.ingest.workers import Progress, Workers, checked_workers
from cachestats.sources.detect import open_sources
from cachestats.sources.items import Previous
from cachestats.sources.request import SourceRequest, SpecFileReading
from cachestats.sources.storage.input_limits import InputLimits
from cachestats.sources.storage.network import Network

if TYPE_CHECKING:
    import polars as pl


def build_dataset(
    *sources: str | os.PathLike[str],
    out: str | os.PathLike[str],
    snapshots: Iterable[str] = (),
    stacks: Iterable[str] = (),
    allow_shrink: bool = False,
    max_rejected: float = 0.01,
    sizes: bool = False,
    without_index: bool = False,
    repair: bool = False,
    network: Network | None = None,
    limits: InputLimits | None = None,
    workers: int | None = None,
    wait: float = 600.0,
    progress: Progress | None = None,
) -> Dataset:
    """Read pages of the cache site, or indices of build caches, into a dataset and return it.

    Snapshots in the sources replace those of the dataset; its other snapshots are kept. Either everything is published
    or nothing.

    Parameters
    ----------
    *sources
        Paths, or URLs that begin with https://, http://, s3:// or oci://. Each is one of these: a checkout of the cache
        site (the root, `_cache`, one snapshot's folder, one page) or an archive of one (.tar, .tar.gz, .tar.zst, .zip);
        a build-cache mirror of layout 1, 2 or 3, or a folder of mirrors, as `<snapshot>/` with its stacks in
        `<snapshot>/<stack>/`; an OCI build cache (`oci://HOST/NAME`, or `oci+http://HOST/NAME` without TLS), also as a
        folder with the OCI image layout; a catalogue of mirrors (`cache_spack_io_index.json`); one index; the database
        of an installation (`.spack-db/index.json`, or its folder). Of mirrors and OCI caches only the indices are read.

        With `NAME=SOURCE`, such as `"develop-2026-11-28=/srv/mirror"`, NAME is the name of the source's snapshot, in
        place of the one that its folder gives. The source must have indices of one snapshot, or `snapshots` must select
        one: pages name their snapshots themselves. An existing path or a URL that has a `=` is not split.
    out
        Folder of the dataset; created if it does not exist.
    snapshots, stacks
        Read only these from the sources. If the folders of an index do not name its snapshot and stack, these do: one
        snapshot, by default `local` for an installation, and one stack, by default `root`.
    allow_shrink
        Publish a snapshot even if it has lost more than half of its specs.
    max_rejected
        Share (0 to 1) of the pages and indices, and of the specs, that may be rejected. A snapshot is not published if
        one of its indices cannot be read.
    sizes
        Also read the sizes of binaries, from mirrors of layout 3 and OCI caches: one small file for each spec. A build
        that was killed continues where it stopped.
    without_index
        Read the spec files of mirrors and OCI caches instead of their indices, which may be missing or out of date: one
        or two small files for each spec. Where there is an index, `rejected` lists the specs that it lacks and those
        that only it has. A build that was killed continues where it stopped, and later updates read only new specs.
    repair
        If the dataset is damaged, make what is damaged again, and keep the snapshots that are whole. All files are
        compared with their checksums. A snapshot is read again if one of its files is damaged; all are if the manifest
        or a table of the whole dataset is. The sources must have these snapshots, so that none is lost.
    network
        Settings for servers and object stores.
    limits
        Limits for what the sources may contain.
    workers
        Number of workers, threads and (for large sources) processes; by default one for each CPU that this process may
        use. The number does not change the result.
    wait
        Seconds to wait for another process that is writing the same dataset.
    progress
        Wraps iterables to show a progress bar, such as `tqdm.tqdm`; with `sizes` it is also called in other threads.

    Returns
    -------
    Dataset
        The dataset in `out`, with the snapshots that were read.

    Raises
    ------
    SourceError
        If a source cannot be read or contains neither pages nor indices, or if nothing in any source could be read.
    RejectedError
        If more than `max_rejected` was rejected.
    ShrinkError
        If a snapshot would lose more than half of its specs.
    ArgumentError
        If `max_rejected` is not between 0 and 1, or `workers` is below one.
    DatasetError
        If `out` is not a dataset, is damaged and `repair` is not set, or cannot be written; or if the sources lack a
        snapshot that is to be repaired.
    BusyError
        If another process was still writing the dataset after `wait` seconds.

    Examples
    --------
    >>> import cachestats as cs
    >>> pages = cs.export_site(cs.example_dataset(), "site")  # pages to read
    >>> ds = cs.build_dataset("site", out="dataset")
    >>> ds.manifest.tables["specs"]
    139
    """
    accepted, count = Limits(max_rejected, allow_shrink).checked(), checked_workers(workers)
    reading = SpecFileReading(Path(out) / SPEC_FILES)
    asked = SourceRequest.for_any(
        snapshots, stacks, network, limits, sizes=sizes, without_index=without_index, reading=reading
    )
    requests = asked.at(sources)
    with Writer(out, wait=wait) as writer, Workers(count, progress, reading.stopping) as pool:
        existing = read_undamaged(writer.path) if repair else Existing.read(writer.path)
        opened = open_sources(named_requests(requests, existing))
        result = read_sources([*opened], Previous(), pool, writer.scratch / "new")
        plan = plan_of_build(result, existing.inputs, [source.name for source in opened])
        check_repaired(existing, plan.snapshots)
        staged = make(plan, result, existing, writer, pool, sizes=sizes)
        check(result, staged, existing, accepted)
        publish(plan, result, staged, existing, source_records(opened, existing, result.files), writer)
    return open_dataset(out)


def plan_build(
    *sources: str | os.PathLike[str],
    out: str | os.PathLike[str],
    snapshots: Iterable[str] = (),
    stacks: Iterable[str] = (),
    without_index: bool = False,
    repair: bool = False,
    network: Network | None = None,
    limits: InputLimits | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """Read sources and return what `build_dataset` would do with them. Nothing is written.

    There is one exception: a publication that another process left unfinished is finished first, as whenever a dataset
    is opened. The plan starts from its result, as the build would.

    Parameters
    ----------
    *sources, out, snapshots, stacks, without_index, repair, network, limits, workers, progress
        As in `build_dataset`.

    Returns
    -------
    polars.DataFrame
        One row per snapshot, action and reason, in the order of the snapshots:

        - `snapshot` (String): the snapshot; null for files that could not be read.
        - `action` (String): what happens to the files: `read`, `keep`, `drop`, `read whole` (they did not change, but
          depend on files that are read), or `leave` (the snapshot stays as it is).
        - `reason` (String): why, such as `new`, `changed` or `unchanged`.
        - `num_files` (Int64): the number of pages and indices.

    Raises
    ------
    SourceError, ArgumentError, DatasetError
        As in `build_dataset`.

    Examples
    --------
    >>> import cachestats as cs
    >>> pages = cs.export_site(cs.example_dataset(), "site")
    >>> cs.plan_build("site", out="dataset").rows()
    [('develop-2024-06-02', 'read', 'new', 11), ('develop-2025-03-09', 'read', 'new', 13)]
    """
    count = checked_workers(workers)
    requests = SourceRequest.for_any(snapshots, stacks, network, limits, without_index=without_index).at(sources)
    finish_moves(Path(out))
    existing = read_undamaged(Path(out)) if repair else Existing.read(Path(out))
    with TemporaryDirectory(prefix="cachestats-") as scratch, Workers(count, progress) as pool:
        opened = open_sources(named_requests(requests, existing))
        result = read_sources([*opened], Previous(), pool, Path(scratch) / "new")
    plan = plan_of_build(result, existing.inputs, [source.name for source in opened])
    check_repaired(existing, plan.snapshots)
    return plan_frame(plan, result, existing)
