"""Make the tables of each snapshot of a plan and stage them beside the dataset: the only step that holds tables."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from cachestats.dataset.manifest import Manifest
from cachestats.dataset.writer import Writer
from cachestats.findings import Finding
from cachestats.ingest.assemble import SnapshotTables, assemble, merge_rows, merge_specs
from cachestats.ingest.closures import add_requirements, requirements_table
from cachestats.ingest.encode import encode
from cachestats.ingest.inputs import with_sources
from cachestats.ingest.plan import Plan, SnapshotPlan
from cachestats.ingest.read import ReadResult, load_fragment
from cachestats.ingest.sizes import Sizes
from cachestats.ingest.workers import Workers
from cachestats.naming import UNION_STACK, snapshot_kind, snapshot_order
from cachestats.spack_releases import rules_of_sources
from cachestats.text import counted, file_stem

logger = logging.getLogger(__name__)

_NO_HASHES = pa.nulls(0, pa.string())  # no `pa.array`, the first of which imports pandas where it is installed


class SpecsSummary(NamedTuple):
    """The facts about its specs in the row of a snapshot."""

    num_packages: int
    num_specs: int
    num_stacks: int
    are_of_indices: bool
    """Whether every spec is listed in an index, so that its dependencies are known."""
    name_libc: bool
    """Whether any spec names the libc it needs, as specs do since Spack 0.22."""


class StagedSnapshot(NamedTuple):
    """A snapshot whose tables were staged."""

    row: dict[str, Any] | None = None
    """Its row in the table `snapshots`, without `num_rejected`; None if nothing is left of the snapshot."""
    rows: Mapping[str, int] = {}
    """The number of rows of each of its tables."""
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
    plan: Plan, result: ReadResult, existing: Manifest, writer: Writer, workers: Workers, *, sizes: bool
) -> Staged:
    """Make the tables of the snapshots of a plan, one snapshot per worker at a time, and stage them.

    A snapshot whose new rows cannot be separated from the kept ones is left out: the whole snapshot must be read.

    Raises
    ------
    SourceError
        If `sizes` are requested and an existing manifest cannot be read.
    """
    names = sorted(plan.snapshots, key=snapshot_order)
    maker = _Maker(plan, result, existing, writer, workers, sizes)
    staged: dict[str, StagedSnapshot] = {}
    if not names:
        return staged
    made = workers.map(maker.make, names)
    for name, one in workers.progress(made, desc="writing snapshots", total=len(names), unit="snapshot"):
        if one is None:
            continue
        staged[name] = one
        if one.row is not None:
            specs, packages = counted(one.row["num_specs"], "spec"), counted(one.row["num_packages"], "package")
            before = existing.snapshots.get(name)
            replacing = "" if before is None else f", where there were {before.num_specs:,}"
            logger.info("%s: %s of %s%s", name, specs, packages, replacing)
    return staged


@dataclass(frozen=True)
class _Maker:
    plan: Plan
    result: ReadResult
    existing: Manifest
    writer: Writer
    workers: Workers
    wants_sizes: bool

    def make(self, name: str) -> tuple[str, StagedSnapshot | None]:
        """Make the tables of a snapshot; None if the whole snapshot must be read for that."""
        planned = self.plan.snapshots[name]
        fragments = [load_fragment(path, name) for path in self.result.fragments.get(name, ())]
        new = assemble(fragments) if fragments else None
        specs, kept, before = new.specs if new else None, None, _NO_HASHES
        if planned.kept:
            old = self.writer.read_snapshot("specs", name)
            before = hashes(old)
            merged = merge_specs(old, new, packages=planned.packages, stacks=planned.stacks)
            if merged is None:
                return name, None
            del old
            specs, kept = merged
        elif name in self.existing.snapshots:
            before = hashes(self.writer.read_snapshot("specs", name, ["hash"]))
        staged = StagedSnapshot()
        if new:
            findings = with_sources(new.findings, planned.read)
            staged = staged._replace(findings=tuple(findings), copies=frozenset(new.copies))
        if specs is not None:
            staged = self._stage(name, planned, staged, specs, new, kept)
        after = hashes(specs) if specs is not None else _NO_HASHES
        common = pc.sum(pc.is_in(after, before)).as_py() or 0
        return name, staged._replace(specs_added=len(after) - common, specs_removed=len(before) - common)

    def _stage(
        self,
        name: str,
        planned: SnapshotPlan,
        staged: StagedSnapshot,
        specs: pa.Table,
        new: SnapshotTables | None,
        kept: pa.Array | None,
    ) -> StagedSnapshot:
        """Make and write the tables one by one; each is released before the next is made."""
        targets = frozenset(names_in(specs, "target"))
        if mirrors := self._mirrors_with_sizes(name, planned):
            specs, findings = self._fill_sizes(name, planned, specs, mirrors)
            findings = with_sources(findings, planned.read)
            staged = staged._replace(findings=(*staged.findings, *findings), has_sizes=True)
        row = snapshot_row(name, planned, staged.copies, summarize_specs(specs))
        rows = {}
        for table, data in self._tables(name, specs, new, kept, row["reuse_rules"]):
            self.writer.stage(table, data, name)
            rows[table] = data.num_rows
            pa.default_memory_pool().release_unused()  # else the memory of one table is not available to the next
        return staged._replace(row=row, rows=rows, targets=targets)

    def _tables(
        self, name: str, specs: pa.Table, new: SnapshotTables | None, kept: pa.Array | None, rules: Any
    ) -> Iterator[tuple[str, pa.Table]]:
        def beside(table: str) -> pa.Table:
            if kept is None and new is not None:
                return new.tables[table]
            return merge_rows(table, self.writer.read_snapshot(table, name), new, kept)

        # The closure of a spec may include any spec of the snapshot, kept ones too.
        dependencies = beside("dependencies")
        specs = add_requirements(specs, dependencies, rules)
        yield "dependencies", dependencies
        yield from encode(specs, dependencies).items()
        del dependencies
        yield "specs", specs
        yield "requirements", requirements_table(name, specs)
        yield "variants", beside("variants")

    def _mirrors_with_sizes(self, name: str, planned: SnapshotPlan) -> Mapping[str, Any]:
        if not self.wants_sizes:
            return {}
        mirrors = self.result.mirrors.get(name, {})
        if not mirrors and planned.read:
            logger.warning("%s: no sizes, because only mirrors of layout 3 have them", name)
        return mirrors

    def _fill_sizes(
        self, name: str, planned: SnapshotPlan, specs: pa.Table, mirrors: Mapping[str, Any]
    ) -> tuple[pa.Table, list[Finding]]:
        known: dict[str, int] = {}
        if name in self.existing.snapshots:
            before = self.writer.read_snapshot("specs", name, ["hash", "size_bytes"])
            before = before.filter(pc.is_valid(before.column("size_bytes")))
            known = dict(zip(*(column.to_pylist() for column in before.columns), strict=True))
        origin = min(one.origin for one in planned.read if one.stack in mirrors)
        sizes = Sizes(name, origin, mirrors, self.writer.journals / file_stem(name), self.workers)
        return sizes.fill(specs, known)


def copies_in(staged: Staged) -> frozenset[str]:
    """Return the origins of all pages that are copies of other pages."""
    return frozenset[str]().union(*(one.copies for one in staged.values()))


def hashes(specs: pa.Table) -> pa.Array:
    """Return the distinct hashes of a snapshot, which share one dictionary."""
    chunks = specs.column("hash").chunks
    return chunks[0].dictionary if chunks else _NO_HASHES


def summarize_specs(specs: pa.Table) -> SpecsSummary:
    """Return the summary of a table `specs` for the row of its snapshot."""
    return SpecsSummary(
        num_packages=len(names_in(specs, "package")),
        num_specs=len(hashes(specs)),
        num_stacks=len(names_in(specs, "stack") - {UNION_STACK}),
        are_of_indices=specs.column("spec_format").null_count == 0,
        name_libc=specs.column("libc").null_count < len(specs),
    )


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
        "num_stacks": specs.num_stacks,
        "read_at": datetime.now(UTC),
    }


def names_in(specs: pa.Table, column: str) -> set[str]:
    """Return the distinct names in a column, whose dictionary has no others."""
    return {name for chunk in specs.column(column).chunks for name in chunk.dictionary.to_pylist()}
