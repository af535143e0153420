"""Refuse implausible results before anything is published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import fields

import pyarrow as pa
import pyarrow.compute as pc

from cachestats.dataset.checksums import find_files
from cachestats.dataset.paths import snapshot_files
from cachestats.dataset.publication import NEW
from cachestats.errors import RejectedError, ShrinkError
from cachestats.findings import FAILURES, RULES, Finding
from cachestats.ingest.existing import Existing
from cachestats.ingest.limits import Limits
from cachestats.ingest.make import Staged, StagedSnapshot, copies_in
from cachestats.ingest.read import ReadResult
from cachestats.naming import UNION_STACK, snapshot_kind
from cachestats.schema import SPECS
from cachestats.sources.storage.input_limits import InputLimits, limit_hint
from cachestats.text import counted

_MOST_NAMED = 3


def check(result: ReadResult, staged: Staged, existing: Existing, limits: Limits) -> None:
    """Refuse to publish if too much was rejected, or a snapshot lost too much.

    Raises
    ------
    RejectedError
        If more than `limits.max_rejected` of the files or of the specs was rejected.
    ShrinkError
        If a snapshot would lose more than half of its specs.
    """
    _check_rejected(result, staged, existing, limits.max_rejected)
    if not limits.allow_shrink:
        _check_shrink(staged, existing)


def new_findings(result: ReadResult, staged: Staged) -> list[Finding]:
    """Return the findings of this run; for a snapshot that is left as it was, only the reasons for that."""
    copies = copies_in(staged)
    rows = [
        row
        for row in result.findings
        if row.origin not in copies and (row.snapshot not in result.incomplete or row.rule in FAILURES)
    ]
    return rows + [row for one in staged.values() for row in one.findings]


def _check_rejected(result: ReadResult, staged: Staged, existing: Existing, max_rejected: float) -> None:
    findings = new_findings(result, staged)
    lost_files = len({row.origin for row in findings if row.severity == "error" and row.scope != "spec"})
    lost_specs = sum(row.num_specs or 0 for row in findings)
    files = sum(result.files.values())
    # A rejected entry of a page is counted in the specs of the page; rejected pages and index records are not.
    specs = sum(row.num_specs or 0 for row in findings if not RULES[row.rule].is_of_page_entry)
    specs += sum(one.num_specs or 0 for one in result.inputs.values())
    unchanged = existing.inputs.table.filter(pa.array(existing.inputs.are(result.unchanged)))
    specs += sum(pc.sum(table.column("num_specs")).as_py() or 0 for table in (unchanged, existing.set_aside))
    for lost, total, what in ((lost_files, files, "files"), (lost_specs, specs, "specs")):
        if lost > max_rejected * total:
            raise RejectedError(
                f"expected at most {max_rejected:.1%} of the {what} to be rejected, found {lost:,} of {total:,} "
                f"({lost / max(total, 1):.1%}); nothing was published. {_most_common(findings)}",
                hint=f"{_remedy(findings)}, or allow more with --max-rejected (1 allows everything)",
            )


def _check_shrink(staged: Staged, existing: Existing) -> None:
    for name, one in staged.items():
        before = existing.num_specs(name)
        if one.row is not None and 2 * one.row["num_specs"] < before:
            raise ShrinkError(
                f"expected at least half of the {before:,} specs of {name}, found "
                f"{one.row['num_specs']:,}{_gone_of_stacks(name, one, existing)}; nothing was published",
                hint=f"{_pruning(name)}: check that the source is complete, and publish it with --allow-shrink",
            )


def _pruning(name: str) -> str:
    """Return in words that the cause may be pruning."""
    if snapshot_kind(name)[0] == "rolling":
        return f"every Saturday the public {name} is pruned to what two weeks of lockfiles need, and looks like this"
    return "a cache that was pruned looks like this"


def _gone_of_stacks(name: str, staged: StagedSnapshot, existing: Existing) -> str:
    """Return in words how many specs are gone of the stacks that lost most; nothing if the stacks are not known."""
    import polars as pl  # on first use: only a refusal needs it

    record = existing.manifest.snapshots.get(name)
    if record is None:  # its files are damaged
        return ""
    found = find_files(existing.path, {file: existing.records[file] for file in snapshot_files(SPECS, name, record)})
    old = [file.path for file in found.values()]
    names = snapshot_files(SPECS, name, staged.record or record)
    moved = [existing.path / NEW / file for file in names]
    new = [one if one.exists() else existing.path / file for one, file in zip(moved, names, strict=True)]
    before, after = (pl.scan_parquet(files).select("stack", "hash") for files in (old, new))
    gone = (
        before.join(after.with_columns(stays=True), on=["stack", "hash"], how="left")
        .filter(pl.col("stack") != UNION_STACK)
        .group_by("stack")
        .agg(of=pl.len(), gone=pl.col("stays").is_null().sum())
        .filter(pl.col("gone") > 0)
        .sort(-pl.col("gone").cast(pl.Int64), "stack")
        .collect()
    )
    if gone.is_empty():
        return ""
    most = [f"{lost:,} of {of:,} in {stack}" for stack, of, lost in gone.head(_MOST_NAMED).iter_rows()]
    others = gone.height - len(most)
    return f"; gone: {', '.join(most)}" + (f", and some in {counted(others, 'other stack')}" if others else "")


def _remedy(findings: Collection[Finding]) -> str:
    """Return what to try: a limit that was exceeded can be raised."""
    hints = {row.hint for row in findings}
    limits = (limit_hint(limit.name) for limit in fields(InputLimits))
    return next((hint for hint in limits if hint in hints), "fix the source")


def _most_common(findings: Collection[Finding]) -> str:
    rows = [row for row in findings if row.severity == "error"]
    rule, count = Counter(row.rule for row in rows).most_common(1)[0]
    example = next(row for row in rows if row.rule == rule)
    return f"Most often ({counted(count, 'time')}): {example.message} ({example.origin}, {example.location})"
