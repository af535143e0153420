"""Make the tables of each snapshot of a plan and stage them beside the dataset: the only step that holds tables.

A snapshot is made in parts, which workers make independently: as a whole, or some buckets at a time if it has many and
comes from pages only. Of an existing snapshot, only the buckets of changed packages are made again.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np

from cachestats.codes import stacks_of_set
from cachestats.dataset.manifest import BucketRecord, Manifest, SnapshotRecord
from cachestats.dataset.parquet import read_codes, read_names, read_whole
from cachestats.dataset.paths import buckets_in, file_name
from cachestats.dataset.writer import Writer
from cachestats.findings import Finding
from cachestats.ingest.buckets import bucket_count, bucket_of
from cachestats.ingest.closures import requirements_table
from cachestats.ingest.existing import Existing
from cachestats.ingest.inputs import with_sources
from cachestats.ingest.part import FillSizes, MadePart, Part, SpecsSummary, make_part
from cachestats.ingest.plan import Plan, SnapshotPlan
from cachestats.ingest.read import ReadResult
from cachestats.ingest.sizes import Sizes
from cachestats.ingest.workers import Workers
from cachestats.naming import UNION_STACK, snapshot_kind, snapshot_order
from cachestats.parse.arrays import distinct
from cachestats.schema import STORED_TABLES, TABLES
from cachestats.spack_releases import rules_of_sources
from cachestats.text import counted, file_stem

logger = logging.getLogger(__name__)

_REPLACED = ("specs", "variants", "dependencies")  # tables whose rows a part may keep
BY_SNAPSHOT = tuple(table.name for table in TABLES.values() if table.by_snapshot)

_BUCKETS_A_PART = 4  # a part holds its buckets in memory, and each looks through all that was read of the snapshot


class StagedSnapshot(NamedTuple):
    """A snapshot whose tables were staged."""

    row: dict[str, Any] | None = None
    """Its row in the table `snapshots`, without `num_rejected`; None if nothing is left of the snapshot."""
    record: SnapshotRecord | None = None
    written: tuple[int | None, ...] = ()
    """The buckets whose files were written; None is the only file of a snapshot without buckets."""
    targets: frozenset[str] = frozenset()
    findings: tuple[Finding, ...] = ()
    copies: frozenset[str] = frozenset()
    """Origins of pages that are copies of other pages."""
    has_sizes: bool = False
    specs_added: int = 0
    specs_removed: int = 0


Staged = Mapping[str, StagedSnapshot]
"""The snapshots that were staged, by name."""


def make(
    plan: Plan, result: ReadResult, existing: Existing, writer: Writer, workers: Workers, *, sizes: bool
) -> Staged:
    """Make the tables of the snapshots of a plan, and stage them.

    A snapshot whose new rows cannot be separated from the kept ones is left out: the whole snapshot must be read.

    Raises
    ------
    SourceError
        If `sizes` are requested and an existing manifest cannot be read.
    """
    makers = {
        name: _SnapshotMaker(name, plan.snapshots[name], result, existing, writer, workers, sizes)
        for name in sorted(plan.snapshots, key=snapshot_order)
    }
    parts = [(name, part) for name, maker in makers.items() for part in maker.parts()]
    made: dict[str, list[MadePart | None]] = {name: [] for name in makers}
    left = Counter(name for name, _ in parts)
    staged: dict[str, StagedSnapshot] = {}
    jobs = ((name, partial(make_part, part, makers[name].fill_sizes())) for name, part in parts)
    finished = workers.map(_call, jobs, may_leave=lambda job: job[1].args[1] is None)
    for name, one in workers.progress(finished, desc="writing snapshots", total=len(parts), unit="part"):
        made[name].append(one)
        left[name] -= 1
        if not left[name] and (found := makers[name].joined(made.pop(name))):
            staged[name] = found
            _log(name, found, existing.manifest)
    return staged


def _call(job: tuple[str, partial[MadePart | None]]) -> tuple[str, MadePart | None]:
    name, work = job
    return name, work()


def _log(name: str, staged: StagedSnapshot, existing: Manifest) -> None:
    if staged.row is not None:
        specs, packages = counted(staged.row["num_specs"], "spec"), counted(staged.row["num_packages"], "package")
        before = existing.snapshots.get(name)
        replacing = "" if before is None else f", where there were {before.num_specs:,}"
        logger.info("%s: %s of %s%s", name, specs, packages, replacing)


@dataclass(frozen=True)
class _SnapshotMaker:
    """Divides a snapshot into parts, and puts the parts together once they were made."""

    name: str
    planned: SnapshotPlan
    result: ReadResult
    existing: Existing
    writer: Writer
    workers: Workers
    wants_sizes: bool

    @property
    def before(self) -> SnapshotRecord | None:
        """The snapshot as it is in the dataset."""
        return self.existing.manifest.snapshots.get(self.name)

    @cached_property
    def count(self) -> int:
        """The number of buckets that the snapshot will have."""
        return bucket_count(sum(one.num_specs or 0 for one in (*self.planned.read, *self.planned.kept)))

    @property
    def old(self) -> tuple[int | None, ...]:
        """The buckets in which the snapshot is stored now."""
        return buckets_in(self.before) if self.before else ()

    @property
    def is_in_place(self) -> bool:
        """Whether the snapshot has as many buckets as it will have, so that a bucket replaces a bucket."""
        return self.before is not None and len(self.before.buckets) == self.count

    @cached_property
    def is_separable(self) -> bool:
        """Whether buckets can be made without each other: those of an index cannot, as their specs need each other."""
        inputs = (*self.planned.read, *self.planned.kept, *self.planned.dropped)
        has_indices = any(one.stack is not None for one in inputs)
        return self.count > 1 and (self.is_in_place or self.before is None) and not has_indices

    @property
    def keeps_buckets(self) -> bool:
        """Whether the buckets that no part makes stay as they are."""
        return self.is_separable and bool(self.planned.kept)

    def parts(self) -> Iterator[Part]:
        """Yield the parts to make."""
        if not self.is_separable:
            yield self.part(range(self.count))
            return
        buckets = sorted({bucket_of(package, self.count) for package in self.planned.packages})
        if not self.planned.kept:
            buckets = [*range(self.count)]
        for start in range(0, len(buckets), _BUCKETS_A_PART):
            yield self.part(buckets[start : start + _BUCKETS_A_PART])

    def part(self, buckets: Sequence[int]) -> Part:
        """Return the part with some buckets."""
        inputs = (*self.planned.read, *self.planned.kept)
        old = tuple(buckets) if self.is_in_place and self.count > 1 else self.old
        replaced = [file_name(STORED_TABLES[name], self.name, one) for name in _REPLACED for one in old]
        return Part(
            snapshot=self.name,
            folder=self.writer.path,
            staging=self.writer.staging,
            count=self.count,
            buckets=frozenset(buckets),
            fragments=tuple(self.result.fragments.get(self.name, ())),
            generations=frozenset(one.generation for one in inputs if one.generation),
            old=old,
            records={name: self.existing.records[name] for name in replaced},
            keeps=bool(self.planned.kept),
            packages=frozenset(self.planned.packages),
            stacks=frozenset(self.planned.stacks),
        )

    def fill_sizes(self) -> FillSizes | None:
        """Return how to fill in sizes, if they are wanted and the snapshot has mirrors with sizes."""
        mirrors = self.result.mirrors.get(self.name, {}) if self.wants_sizes else {}
        if not mirrors:
            if self.wants_sizes and self.planned.read:
                logger.warning("%s: no sizes, because only mirrors of layout 3 and OCI caches have them", self.name)
            return None
        origin = min(one.origin for one in self.planned.read if one.stack in mirrors)
        return Sizes(self.name, origin, mirrors, self.writer.journals / file_stem(self.name), self.workers).fill

    def joined(self, made: Sequence[MadePart | None]) -> StagedSnapshot | None:
        """Return the snapshot, given its parts; None if the whole snapshot must be read."""
        parts = [one for one in made if one is not None]
        if len(parts) < len(made):
            return None
        if self.is_separable and self._has_hash_twice(parts):
            if self.planned.kept:
                return None
            if (whole := make_part(self.part(range(self.count)))) is None:
                return None
            parts = [whole]
        buckets = {number: record for one in parts for number, record in one.buckets.items()}
        kept = dict(enumerate(self.before.buckets)) if self.before and self.keeps_buckets else {}
        staged = StagedSnapshot(
            findings=tuple(with_sources((row for one in parts for row in one.findings), self.planned.read)),
            copies=frozenset[str]().union(*(one.copies for one in parts)),
            targets=frozenset[str]().union(*(one.targets for one in parts)),
            has_sizes=self.wants_sizes and bool(self.result.mirrors.get(self.name)),
            specs_added=sum(one.specs_added for one in parts),
            specs_removed=sum(one.specs_removed for one in parts),
            written=tuple(sorted(buckets)) if self.count > 1 else (None,),
        )
        every = [bucket for _, bucket in sorted((kept | buckets).items())]
        if not every:
            return staged._replace(written=())
        requirements = requirements_table(self.name, self._requirements(parts))
        files = {"requirements": self.writer.stage("requirements", requirements, self.name)}
        rows = Counter({"requirements": len(requirements)})
        for bucket in every:
            rows.update(bucket.rows)
        summary = self._summary(parts, every, kept.keys() - buckets.keys())
        record = SnapshotRecord(summary.num_specs, {name: rows[name] for name in BY_SNAPSHOT}, every, files)
        return staged._replace(row=snapshot_row(self.name, self.planned, staged.copies, summary), record=record)

    def _summary(self, parts: Sequence[MadePart], every: Sequence[BucketRecord], kept: Iterable[int]) -> SpecsSummary:
        """Return the summary of all buckets, of which those in `kept` were not made again."""
        summaries = [one.summary for one in parts if one.summary]
        stacks = self._stacks_in(kept).union(*(one.stacks for one in summaries))
        return SpecsSummary(
            num_packages=sum(record.num_packages for record in every),
            num_specs=sum(record.num_specs for record in every),
            stacks=stacks,
            are_of_indices=not self.is_separable and all(one.are_of_indices for one in summaries),
            name_libc=any(one.name_libc for one in summaries),
        )

    def _stacks_in(self, buckets: Iterable[int]) -> frozenset[str]:
        """Return the stacks in buckets that were not made again, without `root`."""
        files = (self.existing.file("names", self.name, bucket) for bucket in buckets)
        sets = {name for file in files for name in read_names(file, {"stacks"}).column("name").to_pylist()}
        return frozenset(stack for name in sets for stack in stacks_of_set(name) if stack is not None) - {UNION_STACK}

    def _requirements(self, parts: Sequence[MadePart]) -> dict[str, int]:
        """Return the number of specs with each requirement: that of before, less what was replaced, and what came."""
        counts: Counter[str] = Counter()
        if self.keeps_buckets:
            before = read_whole("requirements", self.existing.file("requirements", self.name))
            texts, numbers = (before.column(name).to_pylist() for name in ("requirement", "num_specs"))
            counts.update(dict(zip(texts, numbers, strict=True)))
        for one in parts:
            counts.update(one.requirements)
            if self.keeps_buckets:
                counts.subtract(one.old_requirements)
        return {text: count for text, count in counts.items() if count > 0}

    def _has_hash_twice(self, parts: Sequence[MadePart]) -> bool:
        """Whether two buckets have the same hash, which only reading both can sort out."""
        made = {number for one in parts for number in one.buckets}
        files = [self.writer.staged_file("encoded_specs", self.name, number) for number in sorted(made)]
        if self.planned.kept:
            kept = set(range(self.count)) - made
            files += [self.existing.file("encoded_specs", self.name, number) for number in kept]
        codes = np.concatenate([read_codes(file) for file in files]) if files else np.empty(0, np.int64)
        return len(distinct(codes)) < len(codes)


def copies_in(staged: Staged) -> frozenset[str]:
    """Return the origins of all pages that are copies of other pages."""
    return frozenset[str]().union(*(one.copies for one in staged.values()))


def snapshot_row(name: str, planned: SnapshotPlan, copies: frozenset[str], specs: SpecsSummary) -> dict[str, Any]:
    """Return the row of a snapshot in the table `snapshots`, without `num_rejected`."""
    kind, day = snapshot_kind(name)
    inputs = [one for one in (*planned.kept, *planned.read) if not one.is_copy and one.origin not in copies]
    generations = {one.generation for one in inputs if one.generation}
    return {
        "snapshot": name,
        "kind": kind,
        "snapshot_date": day,
        "source": "; ".join(sorted({one.source for one in inputs})),
        "generation": "+".join(sorted(generations)),
        "reuse_rules": rules_of_sources(name, generations, names_libc=specs.name_libc),
        "has_dependencies": specs.are_of_indices and any(generation.startswith("db") for generation in generations),
        "num_pages": len(inputs),
        "num_packages": specs.num_packages,
        "num_specs": specs.num_specs,
        "num_stacks": len(specs.stacks),
        "read_at": datetime.now(UTC),
    }
