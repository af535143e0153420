"""Merge the inputs that changed into the tables of their snapshots: the part of an update that finds something."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from cachestats.dataset.writer import Writer
from cachestats.errors import ArgumentError
from cachestats.ingest.changes import Change
from cachestats.ingest.existing import Existing
from cachestats.ingest.limits import Limits
from cachestats.ingest.look import FirstLook
from cachestats.ingest.make import Staged, StagedSnapshot, make
from cachestats.ingest.plan import Plan, SnapshotPlan, plan_frame, plan_of_update, plan_with_whole
from cachestats.ingest.plausible import check
from cachestats.ingest.publish import is_changed, publish
from cachestats.ingest.read import ReadResult, read_sources
from cachestats.ingest.remember import made_by, source_records
from cachestats.ingest.sizes import NO_SIZE
from cachestats.ingest.workers import Workers
from cachestats.naming import snapshot_order
from cachestats.sources.items import Previous, Source
from cachestats.sources.request import SourceRequest

if TYPE_CHECKING:
    import polars as pl

logger = logging.getLogger(__name__)


def merge(
    look: Callable[[Existing], FirstLook],
    found: FirstLook,
    *,
    prune: bool,
    recheck: bool,
    sizes: bool,
    keeps_selections: bool,
    limits: Limits,
    workers: Workers,
    wait: float,
) -> list[Change]:
    """Read what a first look left in doubt, merge what changed into the dataset, and return what changed.

    Parameters
    ----------
    look
        Looks again, if another process changed the dataset since `found`.
    found
        What the first look found.
    prune, recheck, sizes, wait
        As in `update_dataset`.
    keeps_selections
        Whether the present selections apply to this run only.
    limits
        Losses that are accepted.
    workers
        The workers that read, whose work ends here: before another process may write the dataset.

    Raises
    ------
    SourceError, RejectedError, ShrinkError, ArgumentError, BusyError
        As `update_dataset`.
    """
    with Writer(found.existing.path, wait=wait) as writer, workers:
        now = Existing.read(writer.path)
        if now.manifest != found.existing.manifest:
            found = look(now)
        opened = found.opened
        previous = _previous(found.existing, opened, recheck=recheck, sizes=sizes)
        result = read_sources([*opened], previous, workers, writer.scratch / "new")
        plan, existing = _plan(result, found.existing, [*opened], prune=prune)
        wants_sizes = any(request.sizes for request in opened.values())
        staged = make(plan.ready, result, existing, writer, workers, sizes=wants_sizes)
        if tangled := plan.snapshots.keys() - staged.keys():
            _check_sources(plan.only(tangled), [*opened])
            known = _previous(existing, opened, recheck=recheck, sizes=sizes)
            again = _forget(known, result, plan.only(tangled))
            whole = read_sources([*opened], again, workers, writer.scratch / "whole")
            plan, result = plan_with_whole(plan, result, whole, existing.inputs, tangled)
            for name in tangled - plan.snapshots.keys():
                logger.warning(
                    "%s: left as it was, because files that are gone contradict others; --prune drops them", name
                )
            rest = make(plan.only(tangled), result, existing, writer, workers, sizes=wants_sizes)
            staged = {**staged, **rest}
        records = source_records(opened, existing, result.files, keeps_selections=keeps_selections)
        check(result, staged, existing, limits)
        if is_changed(plan, result, staged, existing, records, found.by_git):
            publish(plan, result, staged, existing, records, writer, found.by_git)
    return _changes(plan, result, staged, existing)


def plan_merge(found: FirstLook, *, prune: bool, recheck: bool, sizes: bool, workers: Workers) -> pl.DataFrame:
    """Read what a first look left in doubt, and return what `merge` would do."""
    previous = _previous(found.existing, found.opened, recheck=recheck, sizes=sizes)
    with TemporaryDirectory(prefix="cachestats-") as scratch:
        result = read_sources([*found.opened], previous, workers, Path(scratch) / "new")
    plan, existing = _plan(result, found.existing, [*found.opened], prune=prune)
    return plan_frame(plan, result, existing)


def _plan(result: ReadResult, existing: Existing, opened: Sequence[Source], *, prune: bool) -> tuple[Plan, Existing]:
    """Return the plan, and the dataset with all inputs of the snapshots in it.

    Pages in settled folders may be of these snapshots, too: other sources have them, or front matter that disagrees
    with its folder.
    """
    plan = plan_of_update(result, existing, opened, prune=prune)
    aside = existing.set_aside
    involved = aside.filter(pc.is_in(aside.column("snapshot"), pa.array([*plan.snapshots], pa.string())))
    if not involved.num_rows:
        return plan, existing
    folders = {origin.rsplit("/", 2)[0] for origin in involved.column("origin").to_pylist()}
    settled = {
        source: {folder: count for folder, count in each.items() if folder not in folders}
        for source, each in existing.settled.items()
    }
    wider = replace(existing, settled=settled)
    result.unchanged |= wider.inputs.rows.keys() - existing.inputs.rows.keys()
    return plan_of_update(result, wider, opened, prune=prune), wider


def _previous(existing: Existing, opened: Mapping[Source, SourceRequest], *, recheck: bool, sizes: bool) -> Previous:
    """Return the record of earlier reads that the sources compare with."""
    return Previous(
        _fingerprints(existing, opened),
        existing.inputs.column("digest"),
        existing.inputs.labels(),
        _to_read_again(existing, opened, sizes),
        recheck,
        _folders(existing),
    )


def _folders(existing: Existing) -> dict[str, int]:
    """Return the settled folders of all sources."""
    return {folder: count for each in existing.settled.values() for folder, count in each.items()}


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
        settled=previous.settled,
    )


def _changes(plan: Plan, result: ReadResult, staged: Staged, existing: Existing) -> list[Change]:
    """Return what came, changed and went, one row per snapshot."""
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
            Change(
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
    return rows
