"""Plan each snapshot before any table is made: which inputs were read, which are kept and which are dropped.

A plan is a value made from the result of reading and the existing dataset. It refers to inputs of the dataset by masks
over the table `inputs`, which may have a hundred thousand rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from cachestats.ingest.existing import Existing
from cachestats.ingest.inputs import Input, Inputs, Mask
from cachestats.ingest.read import ReadResult
from cachestats.naming import snapshot_order
from cachestats.sources.items import Source

if TYPE_CHECKING:
    import polars as pl

_ACROSS_INPUTS = frozenset({"duplicate-hash", "second-page", "stacks-disagree"})
"""Rules of findings that involve more than one page or index."""


@dataclass(frozen=True)
class SnapshotPlan:
    """The inputs of one snapshot."""

    read: tuple[Input, ...] = ()
    """Inputs that were read now."""
    kept: tuple[Input, ...] = ()
    """Inputs that were not read again; their rows are copied from the existing tables."""
    dropped: tuple[Input, ...] = ()
    """Inputs whose rows are not kept, because they were read again or are gone."""

    @property
    def packages(self) -> set[str]:
        """Packages with a page that was read or dropped."""
        return {one.package for one in (*self.read, *self.dropped) if one.package is not None}

    @property
    def stacks(self) -> set[str]:
        """Stacks with an index that was read or dropped."""
        return {one.stack for one in (*self.read, *self.dropped) if one.stack is not None}

    @property
    def is_tangled(self) -> bool:
        """Whether new rows cannot be separated from kept ones by package or by stack."""
        packages, stacks = self.packages, self.stacks
        return any(
            one.package in packages
            or one.stack in stacks
            or (stacks and one.package is not None)
            or (packages and one.stack is not None)
            for one in self.kept
        )


@dataclass(frozen=True)
class Plan:
    """The snapshots in which something changes, and the earlier inputs that are not kept."""

    snapshots: Mapping[str, SnapshotPlan]
    dropped: Mask
    """Rows of the earlier inputs that are not kept."""
    was_gone: Mask
    """Rows of the earlier inputs that were already known to be gone from their sources."""
    now_gone: Mask
    """Rows of the earlier inputs found to be gone this time, whether or not that was already known."""
    is_gone: Mask
    """Rows of the earlier inputs that count as gone from now on."""
    to_read_whole: frozenset[str] = frozenset()
    """Snapshots that must be read completely, since the kept inputs depend on those that were read."""

    @property
    def ready(self) -> Plan:
        """The part of the plan that can be carried out with the inputs that were read."""
        return self.only(self.snapshots.keys() - self.to_read_whole)

    def only(self, names: Collection[str]) -> Plan:
        """Return the plan with only these snapshots."""
        return replace(self, snapshots={name: one for name, one in self.snapshots.items() if name in names})


def plan_of_build(result: ReadResult, inputs: Inputs, sources: Iterable[str], also: Iterable[str] = ()) -> Plan:
    """Return the plan of a build: inputs that were read replace all earlier inputs of their snapshots.

    Parameters
    ----------
    result
        The result of reading the sources.
    inputs
        The inputs of the dataset so far.
    sources
        Names of the sources that were read. Their earlier inputs without a snapshot, which could not be read, are
        dropped.
    also
        Snapshots that are made although they have no inputs.
    """
    snapshots = {name: SnapshotPlan() for name in also} | {
        name: SnapshotPlan(read=read) for name, read in _by_snapshot(_publishable(result)).items()
    }
    unreadable = inputs.have("snapshot", [None]) & inputs.have("source", sources)
    replaced = inputs.are(result.inputs) | unreadable | inputs.have("snapshot", snapshots)
    was_gone = inputs.are_gone()
    return Plan(snapshots, replaced & ~inputs.have("snapshot", result.incomplete), was_gone, inputs.are(()), was_gone)


def plan_of_update(result: ReadResult, existing: Existing, sources: Sequence[Source], *, prune: bool) -> Plan:
    """Return the plan of an update: inputs that were read replace their earlier versions; all others are kept.

    With `prune`, inputs that are gone from the sources are dropped.
    """
    inputs = existing.inputs
    is_unchanged = inputs.are(result.unchanged)
    is_here = is_unchanged | inputs.are(result.inputs) | inputs.are(result.refused)
    looked_at = inputs.have("source", [source.name for source in sources])
    incomplete = inputs.have("snapshot", result.incomplete)
    selections = {source.name: source.selection for source in sources}
    missing = inputs.take(looked_at & ~is_here & ~incomplete)
    missing = [one for one in missing if selections[one.source].holds(one.snapshot, one.stack)]
    # Inputs that were moved are not gone; inputs that could not be read need not be remembered.
    subjects = {one.subject for one in result.inputs.values()}
    dropped = {one.origin for one in missing if prune or one.snapshot is None or one.subject in subjects}
    now_gone = inputs.are(one.origin for one in missing if one.subject not in subjects)
    not_to_stay = (inputs.are(result.inputs) | inputs.are(dropped)) & ~incomplete
    read = _by_snapshot(_publishable(result))
    removed = _by_snapshot(one for one in inputs.take(not_to_stay) if one.snapshot is not None)
    snapshots = {}
    for name in read.keys() | removed.keys():
        origins = {one.origin for one in removed.get(name, ())}
        kept = tuple(one for one in inputs.of_snapshot(name) if one.origin not in origins)
        snapshots[name] = SnapshotPlan(read.get(name, ()), kept, removed.get(name, ()))
    was_gone = inputs.are_gone()
    return Plan(
        snapshots,
        not_to_stay,
        was_gone,
        now_gone,
        (was_gone & ~is_unchanged) | now_gone,
        frozenset(name for name, one in snapshots.items() if one.is_tangled or _is_doubtful(name, one, existing)),
    )


def plan_with_whole(
    plan: Plan, result: ReadResult, whole: ReadResult, inputs: Inputs, names: Iterable[str]
) -> tuple[Plan, ReadResult]:
    """Return the plan and the result of reading, after some snapshots were read completely.

    A snapshot that could not be read completely is removed from the plan, and stays as it was.
    """
    snapshots = dict(plan.snapshots)
    merged = ReadResult()
    merged.add(result)
    done = set()
    for name in sorted(names):
        planned = snapshots.pop(name)
        origins = {one.origin for one in (*planned.kept, *planned.read)}
        read = tuple(one for origin, one in whole.inputs.items() if origin in origins and one.snapshot == name)
        if len(read) < len(origins) or name in whole.incomplete:
            merged.incomplete.add(name)
            continue
        snapshots[name] = SnapshotPlan(read=read, dropped=(*planned.dropped, *planned.kept))
        merged.inputs |= {one.origin: one for one in read}
        merged.unchanged -= origins
        merged.fragments[name] = whole.fragments[name]
        merged.mirrors[name] = whole.mirrors.get(name, {})
        merged.findings = [row for row in merged.findings if row.origin not in origins]
        merged.findings += [row for row in whole.findings if row.origin in origins]
        done.add(name)
    merged.files = whole.files
    dropped = (plan.dropped | inputs.have("snapshot", done)) & ~inputs.have("snapshot", merged.incomplete)
    return replace(plan, snapshots=snapshots, dropped=dropped, to_read_whole=frozenset()), merged


def plan_frame(plan: Plan, result: ReadResult, existing: Existing) -> pl.DataFrame:
    """Return a plan for people: the files read, kept and dropped of each snapshot, and why.

    The columns are `snapshot` (null for files that could not be read), `action` (`read`, `keep`, `drop`, `read whole`
    or `leave`), `reason` and `num_files`.
    """
    import polars as pl

    rows: dict[tuple[str | None, str, str], int] = {}

    def count(snapshot: str | None, action: str, reason: str, files: int = 1) -> None:
        rows[snapshot, action, reason] = rows.get((snapshot, action, reason), 0) + files

    inputs = existing.inputs
    for one in pc.value_counts(existing.set_aside.column("snapshot")).to_pylist():
        count(one["values"], "keep", "unchanged", one["counts"])
    for one in result.new_inputs():
        count(one.snapshot, "read", "changed" if one.origin in inputs.rows else "new")
    is_read = inputs.are(result.inputs)
    for mask, action, reason in (
        (plan.dropped & is_read, "drop", "read again"),
        (plan.dropped & ~is_read & plan.now_gone, "drop", "gone from its source"),
        (plan.dropped & ~is_read & ~plan.now_gone, "drop", "replaced"),
        (~plan.dropped & plan.is_gone, "keep", "gone from its source; --prune drops it"),
        (~plan.dropped & ~plan.is_gone, "keep", "unchanged"),
    ):
        for one in pc.value_counts(inputs.table.column("snapshot").filter(mask)).to_pylist():
            count(one["values"], action, reason, one["counts"])
    for name in plan.to_read_whole:
        count(name, "read whole", "the kept files depend on those read", len(plan.snapshots[name].kept))
    for name in result.incomplete:
        count(name, "leave", "not all of it could be read", 0)
    order = sorted(rows, key=lambda key: (key[0] is None, snapshot_order(key[0] or ""), key[1:]))
    schema = {"snapshot": pl.String, "action": pl.String, "reason": pl.String, "num_files": pl.Int64}
    return pl.DataFrame([(*key, rows[key]) for key in order], schema=schema, orient="row")


def _publishable(result: ReadResult) -> Iterator[Input]:
    return (one for one in result.new_inputs() if one.snapshot is not None)


def _by_snapshot(inputs: Iterable[Input]) -> dict[str, tuple[Input, ...]]:
    found: dict[str, list[Input]] = {}
    for one in inputs:
        found.setdefault(str(one.snapshot), []).append(one)
    return {name: tuple(some) for name, some in found.items()}


def _is_doubtful(name: str, planned: SnapshotPlan, existing: Existing) -> bool:
    """Whether inputs of a snapshot contradicted each other, so that the rows of one depend on the others."""
    rejected = existing.rejected
    rules = rejected.filter(pc.equal(rejected.column("snapshot"), name)).column("rule").to_pylist()
    return bool(planned.kept) and (not _ACROSS_INPUTS.isdisjoint(rules) or any(one.is_copy for one in planned.kept))
