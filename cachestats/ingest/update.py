"""An update: read the inputs that changed, and merge them into the tables of their snapshots."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from cachestats.dataset.dataset import open_dataset
from cachestats.dataset.writer import Writer
from cachestats.errors import ArgumentError
from cachestats.ingest.existing import Existing
from cachestats.ingest.make import Staged, StagedSnapshot, make
from cachestats.ingest.plan import Plan, SnapshotPlan, plan_frame, plan_of_update, plan_with_whole
from cachestats.ingest.plausible import Limits, check
from cachestats.ingest.publish import is_changed, publish
from cachestats.ingest.read import ReadResult, read_sources
from cachestats.ingest.remember import made_by, remembered_requests, source_records
from cachestats.ingest.sizes import NO_SIZE
from cachestats.ingest.workers import Progress, Workers, checked_workers
from cachestats.naming import snapshot_order
from cachestats.sources.detect import open_sources
from cachestats.sources.items import Previous, Source
from cachestats.sources.request import SourceRequest
from cachestats.sources.storage.network import Network

if TYPE_CHECKING:
    import polars as pl

logger = logging.getLogger(__name__)


def update_dataset(
    path: str | os.PathLike[str],
    *sources: str | os.PathLike[str],
    prune: bool = False,
    recheck: bool = False,
    snapshots: Iterable[str] = (),
    stacks: Iterable[str] = (),
    allow_shrink: bool = False,
    max_rejected: float = 0.01,
    sizes: bool = False,
    network: Network | None = None,
    workers: int | None = None,
    wait: float = 600.0,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """Bring a dataset up to date with its sources in place, and return a table of what changed, not the dataset.

    Only changed files are read: a page if its size or date changed (its specs are replaced only if its contents
    changed, too), an index if its checksum or entity tag changed. Files that are gone from a source stay in the dataset
    unless `prune` is set. If nothing changed, nothing is written.

    Parameters
    ----------
    path
        The dataset's folder.
    *sources
        Sources to look at, which the dataset remembers from then on; by default those that it remembers, with the
        `snapshots`, `stacks`, `sizes`, hosts and signing that they were given with.
    prune
        Drop files that are gone from the sources.
    recheck
        Trust neither dates nor tags, and read everything again. By default servers are also not asked again about
        weekly snapshots and releases, which do not change once they are published.
    snapshots, stacks
        Look only at these; if no source is named, for this run only.
    allow_shrink, max_rejected, network, workers, wait, progress
        As in `build_dataset`.
    sizes
        Read the sizes of binaries from now on; those that were not found before are requested again.

    Returns
    -------
    One row per snapshot in which something came, changed or went, the newest last: `snapshot, change, files_came,
    files_changed, files_gone` (pages and indices), `specs_added, specs_removed, num_specs`. The change is `came`,
    `changed`, `went`, `kept` (something is gone from the source now, and kept in the dataset) or `failed` (an index
    could not be read, and the snapshot was left as it was).

    Raises
    ------
    DatasetError
        If there is no dataset at `path`, or it remembers no sources and none is given.
    SourceError, RejectedError, ShrinkError, ArgumentError, BusyError
        As `build_dataset` does.

    Examples
    --------
    >>> import cachestats as cs
    >>> ds = cs.build_dataset("data/_cache", out=tmp / "dataset")
    >>> cs.update_dataset(ds.path).height
    0
    """
    limits, count = Limits(max_rejected, allow_shrink).checked(), checked_workers(workers)
    open_dataset(path)  # it must exist
    with Writer(path, wait=wait) as writer, Workers(count, progress) as pool:
        existing = Existing.read(writer.path)
        request = SourceRequest.for_any(snapshots, stacks, network, sizes=sizes)
        opened = open_sources(remembered_requests(request, sources, existing))
        previous = _previous(existing, opened, recheck=recheck, sizes=sizes)
        result = read_sources([*opened], previous, pool, writer.scratch / "new")
        plan = plan_of_update(result, existing, [*opened], prune=prune)
        wants_sizes = any(request.sizes for request in opened.values())
        staged = make(plan.ready, result, existing.manifest, writer, pool, sizes=wants_sizes)
        if tangled := plan.snapshots.keys() - staged.keys():
            _check_sources(plan.only(tangled), [*opened])
            again = _forget(previous, result, plan.only(tangled))
            whole = read_sources([*opened], again, pool, writer.scratch / "whole")
            plan, result = plan_with_whole(plan, result, whole, existing.inputs, tangled)
            for name in tangled - plan.snapshots.keys():
                logger.warning(
                    "%s: left as it was, because files that are gone contradict others; --prune drops them", name
                )
            rest = make(plan.only(tangled), result, existing.manifest, writer, pool, sizes=wants_sizes)
            staged = {**staged, **rest}
        records = source_records(opened, existing, result.files, keeps_selections=not sources)
        check(result, staged, existing, limits)
        if is_changed(plan, result, staged, existing, records):
            publish(plan, result, staged, existing, records, writer)
    return _changes(plan, result, staged, existing)


def plan_update(
    path: str | os.PathLike[str],
    *sources: str | os.PathLike[str],
    prune: bool = False,
    recheck: bool = False,
    snapshots: Iterable[str] = (),
    stacks: Iterable[str] = (),
    sizes: bool = False,
    network: Network | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """Read the inputs that changed and return what `update_dataset` would do with them. Nothing is written.

    Only a publication that another process left unfinished is finished first, as in `plan_build`.

    Parameters
    ----------
    path, *sources, prune, recheck, snapshots, stacks, sizes, network, workers, progress
        As in `update_dataset`.

    Returns
    -------
    A table like that of `plan_build`.

    Raises
    ------
    DatasetError, SourceError, ArgumentError
        As `update_dataset`.

    Examples
    --------
    >>> import cachestats as cs
    >>> ds = cs.build_dataset("data/_cache", out=tmp / "dataset")
    >>> cs.plan_update(ds.path)["action"].unique().to_list()
    ['keep']
    """
    count = checked_workers(workers)
    open_dataset(path)  # it must exist, and its last publication be finished
    existing = Existing.read(Path(path))
    request = SourceRequest.for_any(snapshots, stacks, network, sizes=sizes)
    opened = open_sources(remembered_requests(request, sources, existing))
    previous = _previous(existing, opened, recheck=recheck, sizes=sizes)
    with TemporaryDirectory(prefix="cachestats-") as scratch, Workers(count, progress) as pool:
        result = read_sources([*opened], previous, pool, Path(scratch) / "new")
    return plan_frame(plan_of_update(result, existing, [*opened], prune=prune), result, existing.inputs)


def _previous(existing: Existing, opened: Mapping[Source, SourceRequest], *, recheck: bool, sizes: bool) -> Previous:
    """Return the record of earlier reads that the sources compare with."""
    return Previous(
        _fingerprints(existing, opened),
        existing.inputs.column("digest"),
        existing.inputs.labels(),
        _to_read_again(existing, opened, sizes),
        recheck,
    )


def _fingerprints(existing: Existing, opened: Iterable[Source]) -> dict[str, str | None]:
    """Return the fingerprints by which changes are detected.

    An archive has one fingerprint for all its members, whatever was selected from it, so a source whose selection
    changed has none.
    """
    fingerprints: dict[str, str | None] = {**existing.inputs.column("fingerprint")}
    for source in opened:
        before = existing.manifest.sources.get(source.name)
        now = ([*source.selection.snapshots], [*source.selection.stacks])
        if before is not None and (before.snapshots, before.stacks) != now:
            for one in existing.inputs.take(existing.inputs.have("source", [source.name])):
                fingerprints[one.origin] = None
    return fingerprints


def _to_read_again(existing: Existing, opened: Mapping[Source, SourceRequest], sizes: bool) -> frozenset[str]:
    """Return the origins of inputs that must be read again although they did not change."""
    inputs, before = existing.inputs, existing.manifest.sources
    if existing.manifest.made_by != made_by():
        logger.info("reading everything again, because another version of cachestats made the dataset")
        return frozenset(inputs.rows)
    # Sizes were not requested before, or not all of them were found.
    new = [
        source.name
        for source, request in opened.items()
        if request.sizes and not (source.name in before and before[source.name].sizes)
    ]
    again = inputs.have("source", new)
    if sizes:
        lacking = existing.rejected.filter(pc.equal(existing.rejected.column("rule"), NO_SIZE)).column("snapshot")
        again |= inputs.have("snapshot", lacking.to_pylist())
    again &= ~inputs.have("stack", [None])
    return frozenset(inputs.table.column("origin").filter(pa.array(again)).to_pylist())


def _check_sources(plan: Plan, opened: Iterable[Source]) -> None:
    """Check that some snapshots can be read completely from these sources.

    Raises
    ------
    ArgumentError
        If another source contributes to one of them.
    """
    others = {one.source for found in plan.snapshots.values() for one in found.kept}
    if others := others - {source.name for source in opened}:
        raise ArgumentError(
            f"expected all sources of {', '.join(sorted(plan.snapshots))}, found that it has "
            f"others: {', '.join(sorted(others))}",
            hint="update without naming a source, to look at all; if one was moved, build from its new location",
        )


def _forget(previous: Previous, result: ReadResult, plan: Plan) -> Previous:
    """Return the record of earlier and present reads, with the inputs of these snapshots marked to be read again."""
    new = result.inputs
    return Previous(
        {**previous.fingerprints, **{origin: one.fingerprint for origin, one in new.items()}},
        {**previous.digests, **{origin: one.digest for origin, one in new.items()}},
        {**previous.labels, **{origin: (str(one.snapshot), one.stack) for origin, one in new.items() if one.stack}},
        frozenset(one.origin for found in plan.snapshots.values() for one in (*found.kept, *found.read)),
    )


class _Change(NamedTuple):
    snapshot: str
    change: str
    files_came: int
    files_changed: int
    files_gone: int
    specs_added: int
    specs_removed: int
    num_specs: int


def _changes(plan: Plan, result: ReadResult, staged: Staged, existing: Existing) -> pl.DataFrame:
    """Return what came, changed and went, one row per snapshot."""
    import polars as pl

    newly_gone = plan.now_gone & ~plan.was_gone | plan.dropped & plan.now_gone
    gone = Counter(one.snapshot for one in existing.inputs.take(newly_gone))
    before = existing.manifest.snapshots
    names = {*staged, *filter(None, gone), *result.incomplete}
    rows = []
    for name in sorted(names, key=snapshot_order):
        planned = plan.snapshots.get(name, SnapshotPlan())
        digests = {one.origin: one.digest for one in planned.dropped}
        made = staged.get(name, StagedSnapshot())
        if name in staged:
            change = ("changed" if name in before else "came") if made.row else "went"
            num_specs = made.row["num_specs"] if made.row else 0
        else:
            change = "failed" if name in result.incomplete else "kept"
            num_specs = before[name].num_specs if name in before else 0
        rows.append(
            _Change(
                snapshot=name,
                change=change,
                files_came=sum(one.origin not in digests for one in planned.read),
                files_changed=sum(digests.get(one.origin, one.digest) != one.digest for one in planned.read),
                files_gone=gone[name],
                specs_added=made.specs_added,
                specs_removed=made.specs_removed,
                num_specs=num_specs,
            )
        )
    texts = {"snapshot", "change"}
    schema = {name: pl.String if name in texts else pl.Int64 for name in _Change._fields}
    return pl.DataFrame(rows, schema=schema, orient="row")
