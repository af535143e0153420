"""Publish everything that was staged at once, with the small tables that describe the whole dataset."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from cachestats.dataset.manifest import Manifest, RunRecord, SourceRecord
from cachestats.dataset.parquet import read_names, read_whole
from cachestats.dataset.paths import buckets_in
from cachestats.dataset.publication import SPEC_FILES
from cachestats.dataset.writer import Writer
from cachestats.findings import FAILURES, Finding, findings_in, rejected_table
from cachestats.ingest.by_git import ByGit
from cachestats.ingest.encode import count_names
from cachestats.ingest.existing import Existing
from cachestats.ingest.folders import with_folders
from cachestats.ingest.inputs import inputs_table
from cachestats.ingest.make import Staged, copies_in
from cachestats.ingest.plan import Plan
from cachestats.ingest.plausible import new_findings
from cachestats.ingest.read import ReadResult
from cachestats.ingest.remember import are_changed, made_by
from cachestats.ingest.sizes import NO_SIZE
from cachestats.schema import COMMONLY_NAMED, INPUTS, SNAPSHOTS, TABLES
from cachestats.targets import targets_table
from cachestats.text import file_stem

_MOST_RUNS = 100
"""The builds and updates that a dataset remembers: a year of those twice a week."""


def publish(
    plan: Plan,
    result: ReadResult,
    staged: Staged,
    existing: Existing,
    sources: Mapping[str, SourceRecord],
    writer: Writer,
    by_git: ByGit | None = None,
) -> None:
    """Stage the small tables beside the snapshots, and publish everything.

    Raises
    ------
    DatasetError
        If the dataset cannot be written.
    """
    findings = all_findings(plan, result, staged, existing, sources)
    made = {name: one for name, one in staged.items() if one.row is not None}
    removed = staged.keys() - made.keys()
    inputs = _inputs_after(plan, result, staged, existing)
    targets = existing.targets.column("target").to_pylist()
    small = {
        "snapshots": _snapshots_table(staged, existing, findings),
        "targets": targets_table(set(targets).union(*(one.targets for one in made.values()))),
        "rejected": rejected_table(findings),
        "inputs": pa.concat_tables([existing.set_aside, inputs]).sort_by([(name, "ascending") for name in INPUTS.sort]),
        "common_names": _common_names(staged, existing, writer),
    }
    files = {name: writer.stage(name, table) for name, table in small.items()}
    snapshots = {name: one for name, one in existing.manifest.snapshots.items() if name not in removed}
    snapshots |= {name: one.record for name, one in made.items() if one.record}
    # A source without remaining inputs, because other sources replaced it, is forgotten.
    with_inputs = set(pc.unique(small["inputs"].column("source")).to_pylist())
    # So is one that now has another name: its contents are those of another snapshot, and its own stays as it was.
    again = {source.location for source in sources.values()}
    before = {
        name: source
        for name, source in existing.manifest.sources.items()
        if name in with_inputs and source.location not in again
    }
    writer.publish(
        Manifest(
            made_by=made_by(),
            sources=with_folders(dict(sorted((before | dict(sources)).items())), inputs, existing, findings, by_git),
            snapshots=dict(sorted(snapshots.items())),
            tables={
                name: small[name].num_rows if name in small else sum(one.rows[name] for one in snapshots.values())
                for name in TABLES
            },
            files=files,
            num_gone=pc.sum(inputs.column("is_gone")).as_py() or 0,
            runs=[*existing.manifest.runs, *_run(small["snapshots"], len(staged), writer)][-_MOST_RUNS:],
        ),
        existing.files,
    )
    _remove_spec_files(writer.path / SPEC_FILES, (before | dict(sources)).values())


def _run(snapshots: pa.Table, written: int, writer: Writer) -> Iterator[RunRecord]:
    if written:
        yield RunRecord(
            ended=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=round(time.monotonic() - writer.started, 1),
            snapshots=written,
            num_specs=pc.sum(snapshots.column("num_specs")).as_py() or 0,
            num_rejected=pc.sum(snapshots.column("num_rejected")).as_py() or 0,
        )


def _remove_spec_files(folder: Path, sources: Iterable[SourceRecord]) -> None:
    """Remove the spec files of sources that are not remembered any more."""
    kept = {file_stem(source.location) for source in sources if source.without_index}
    with suppress(FileNotFoundError):  # no source was read from its spec files
        for path in folder.iterdir():
            if path.name not in kept:
                shutil.rmtree(path, ignore_errors=True)


def is_changed(
    plan: Plan,
    result: ReadResult,
    staged: Staged,
    existing: Existing,
    sources: Mapping[str, SourceRecord],
    by_git: ByGit | None,
) -> bool:
    """Whether there is anything to publish."""
    if (
        staged
        or plan.dropped.any()
        or any(True for _ in result.new_inputs())
        or result.new_fingerprints
        or (plan.is_gone != plan.was_gone).any()
        or are_changed(sources, existing.manifest)
        or existing.manifest.made_by != made_by()
    ):
        return True
    findings = all_findings(plan, result, staged, existing, sources)
    if not existing.rejected.equals(rejected_table(findings)):
        return True
    before = existing.manifest.sources
    return with_folders(before, existing.inputs.table, existing, findings, by_git) != before


def all_findings(
    plan: Plan, result: ReadResult, staged: Staged, existing: Existing, sources: Collection[str]
) -> list[Finding]:
    """Return the findings of this run and the earlier findings about inputs that are kept without being read."""
    findings = findings_in(existing.rejected)
    origins = pa.array([row.origin for row in findings], pa.string())
    aside, known, staying = (
        set(column.filter(pc.is_in(column, origins)).to_pylist())
        for column in (
            existing.set_aside.column("origin"),
            existing.inputs.table.column("origin"),
            existing.inputs.table.column("origin").filter(pa.array(~plan.dropped)),
        )
    )
    with_sizes = {name for name, one in staged.items() if one.has_sizes}
    kept = []
    for row in findings:
        if row.rule in FAILURES or row.origin not in aside | known:
            stays = row.source not in sources and row.snapshot not in staged
        else:
            stays = row.origin in aside | staying
        if stays and not (row.rule == NO_SIZE and row.snapshot in with_sizes):
            kept.append(row)
    return [*kept, *new_findings(result, staged)]


def _common_names(staged: Staged, existing: Existing, writer: Writer) -> pa.Table:
    """Return the new table `common_names`: new files add their names to it, and replaced ones take theirs away."""
    if existing.lost:  # names of damaged files are not known
        kept = {name: buckets_in(one) for name, one in existing.manifest.snapshots.items() if name not in staged}
        files = [existing.file("names", name, bucket) for name, buckets in kept.items() for bucket in buckets]
        files += [writer.staged_file("names", name, bucket) for name, one in staged.items() for bucket in one.written]
        return count_names(None, (read_names(file, COMMONLY_NAMED) for file in files), ())
    came, went = [], []
    for name, one in sorted(staged.items()):
        came += [writer.staged_file("names", name, bucket) for bucket in one.written]
        before = existing.manifest.snapshots.get(name)
        old = set(buckets_in(before) if before else ())
        is_in_place = before and one.record and len(before.buckets) == len(one.record.buckets)
        went += [existing.file("names", name, bucket) for bucket in (old & {*one.written} if is_in_place else old)]
    return count_names(
        read_whole("common_names", existing.file("common_names")) if existing.manifest.snapshots else None,
        (read_names(file, COMMONLY_NAMED) for file in came),
        (read_names(file, COMMONLY_NAMED) for file in went),
    )


def _snapshots_table(staged: Staged, existing: Existing, findings: list[Finding]) -> pa.Table:
    rejected: Counter[str | None] = Counter()
    for finding in findings:
        rejected[finding.snapshot] += finding.num_specs or 0
    rows = [row for row in existing.snapshots.to_pylist() if row["snapshot"] not in staged]
    rows += [one.row for one in staged.values() if one.row is not None]
    rows = [row | {"num_rejected": rejected[row["snapshot"]]} for row in rows]
    return pa.Table.from_pylist(sorted(rows, key=lambda row: str(row["snapshot"])), schema=SNAPSHOTS.arrow())


def _inputs_after(plan: Plan, result: ReadResult, staged: Staged, existing: Existing) -> pa.Table:
    """Return the new rows of `inputs` but for those that were set aside, not sorted."""
    copies = copies_in(staged)
    new = [one._replace(is_copy=True) if one.origin in copies else one for one in result.new_inputs()]
    kept = existing.inputs.table.filter(pa.array(~plan.dropped))
    if found := result.new_fingerprints:
        pairs = zip(kept.column("origin").to_pylist(), kept.column("fingerprint").to_pylist(), strict=True)
        values = pa.array([found.get(origin, fingerprint) for origin, fingerprint in pairs], pa.string())
        kept = kept.set_column(kept.column_names.index("fingerprint"), kept.schema.field("fingerprint"), values)
    gone = pa.array(plan.is_gone[~plan.dropped])
    kept = kept.set_column(kept.column_names.index("is_gone"), kept.schema.field("is_gone"), gone)
    return pa.concat_tables([kept, inputs_table(new)])
