"""Make one part of a snapshot: some of its buckets, or all of it. A part needs nothing of the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cachestats.dataset.checksums import find_file, record_of
from cachestats.dataset.manifest import BucketRecord, FileRecord
from cachestats.dataset.parquet import read_coded, to_parquet
from cachestats.dataset.paths import file_name, table_file
from cachestats.dataset.rows import as_array, with_dictionaries
from cachestats.errors import reported
from cachestats.findings import Finding
from cachestats.ingest.assemble import SnapshotTables, assemble, merge_rows, merge_specs
from cachestats.ingest.buckets import only_buckets, split
from cachestats.ingest.closures import add_requirements
from cachestats.ingest.encode import encode
from cachestats.ingest.read import load_fragment
from cachestats.naming import UNION_STACK
from cachestats.schema import STORED_TABLES, TABLES
from cachestats.spack_releases import rules_of_sources

NO_HASHES = pa.nulls(0, pa.string())  # no `pa.array`, the first of which imports pandas where it is installed

FillSizes = Callable[[pa.Table, Mapping[str, int]], tuple[pa.Table, list[Finding]]]
"""Fills in the sizes of specs, of which some are known, and returns findings about those that have none."""


class SpecsSummary(NamedTuple):
    """The facts about its specs in the row of a snapshot."""

    num_packages: int
    num_specs: int
    stacks: frozenset[str]
    """The stacks, without `root`."""
    are_of_indices: bool
    """Whether every spec is listed in an index, so that its dependencies are known."""
    name_libc: bool
    """Whether any spec names the libc it needs, as specs do since Spack 0.22."""


@dataclass(frozen=True)
class Part:
    """What to make of a snapshot, and from what; it can be made in another process."""

    snapshot: str
    folder: Path
    """The dataset, with the rows that may be kept."""
    staging: Path
    """The folder to write to."""
    count: int
    """The number of buckets of the snapshot."""
    buckets: frozenset[int]
    """The buckets to make."""
    fragments: tuple[Path, ...]
    """What was read of the snapshot."""
    generations: frozenset[str]
    """The generations of the snapshot's inputs, which decide on its reuse rules."""
    old: tuple[int | None, ...] = ()
    """The existing files that this part replaces, by bucket; None is the only file of a snapshot without buckets."""
    records: Mapping[str, FileRecord] = field(default_factory=dict)
    """The sizes and checksums of these files."""
    keeps: bool = False
    """Whether rows of these files are kept."""
    packages: frozenset[str] = frozenset()
    stacks: frozenset[str] = frozenset()
    """Packages and stacks that were read again or are gone, whose rows are not kept."""


@dataclass(frozen=True)
class MadePart:
    """A part whose files were written."""

    buckets: Mapping[int, BucketRecord] = field(default_factory=dict)
    summary: SpecsSummary | None = None
    requirements: Mapping[str, int] = field(default_factory=dict)
    """The number of specs with each requirement."""
    old_requirements: Mapping[str, int] = field(default_factory=dict)
    """The same in the files that are replaced."""
    targets: frozenset[str] = frozenset()
    findings: tuple[Finding, ...] = ()
    copies: frozenset[str] = frozenset()
    """Origins of pages that are copies of other pages."""
    specs_added: int = 0
    specs_removed: int = 0


def make_part(part: Part, fill_sizes: FillSizes | None = None) -> MadePart | None:
    """Make the files of a part; None if its new rows cannot be separated from the kept ones."""
    fragments = (load_fragment(path, part.snapshot) for path in part.fragments)
    chosen = [*only_buckets(fragments, part.count, part.buckets)]
    new = assemble(chosen) if chosen else None
    specs, kept, before, sizes = new.specs if new else None, None, NO_HASHES, {}
    made = MadePart()
    if part.old:
        old = _read(part, "specs", None if part.keeps else ["hash", "size_bytes"])
        before, sizes = hashes(old), _sizes_in(old) if fill_sizes else {}
        if part.keeps:
            made = replace(made, old_requirements=count_requirements(old))
            merged = merge_specs(old, new, packages=part.packages, stacks=part.stacks)
            if merged is None:
                return None
            specs, kept = merged
        del old
    after = hashes(specs) if specs is not None else NO_HASHES
    common = pc.sum(pc.is_in(after, before)).as_py() or 0
    made = replace(made, specs_added=len(after) - common, specs_removed=len(before) - common)
    if new:
        made = replace(made, findings=tuple(new.findings), copies=frozenset(new.copies))
    if specs is None:
        is_all = len(part.buckets) == part.count
        return (
            made if is_all else replace(made, buckets={number: _write_empty(part, number) for number in part.buckets})
        )
    if fill_sizes:
        specs, findings = fill_sizes(specs, sizes)
        made = replace(made, findings=(*made.findings, *findings))
    return _write(part, made, specs, new, kept)


def _write(part: Part, made: MadePart, specs: pa.Table, new: SnapshotTables | None, kept: pa.Array | None) -> MadePart:
    """Make the other tables and write all of them, bucket by bucket."""

    def beside(table: str) -> pa.Table:
        if kept is None and new is not None:
            return new.tables[table]
        return merge_rows(table, _read(part, table), new, kept)

    summary = summarize_specs(specs)
    rules = rules_of_sources(part.snapshot, part.generations, names_libc=summary.name_libc)
    dependencies = beside("dependencies")
    # The closure of a spec may include any spec of the snapshot, kept ones too.
    specs = add_requirements(specs, dependencies, rules)
    made = replace(
        made, summary=summary, requirements=count_requirements(specs), targets=frozenset(names_in(specs, "target"))
    )
    missing = missing_hashes(specs, dependencies)
    records = {}
    tables = {"specs": specs, "dependencies": dependencies, "variants": beside("variants")}
    del specs, dependencies
    for bucket, of_bucket in split(tables, part.count, part.buckets):
        records[bucket] = write_bucket(part, bucket, of_bucket, missing)
    return replace(made, buckets=records)


def write_bucket(part: Part, bucket: int, tables: dict[str, pa.Table], missing: pa.Array) -> BucketRecord:
    """Write the files of a bucket; `missing` are hashes as in `encode`."""
    encoded = encode(tables["specs"], tables["dependencies"], missing)
    summary = summarize_specs(tables["specs"])
    rows = {name: table.num_rows for name, table in tables.items()}
    number = None if part.count == 1 else bucket
    files = {}
    for name, table in [*encoded.items(), *tables.items()]:
        file = table_file(part.staging, STORED_TABLES[name], part.snapshot, number)
        with reported(part.folder):
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(content := to_parquet(name, table))
        files[name] = record_of(content)
    if part.count > 1:  # otherwise the memory of one bucket is not available to the next
        pa.default_memory_pool().release_unused()
    return BucketRecord(summary.num_specs, summary.num_packages, rows, files)


def missing_hashes(specs: pa.Table, dependencies: pa.Table) -> pa.Array:
    """Return the hashes to which edges of a snapshot lead and that none of its specs has."""
    ends = as_array(dependencies.column("dependency_hash")).dictionary
    return ends.filter(pc.invert(pc.is_in(ends, hashes(specs))))


def hashes(specs: pa.Table) -> pa.Array:
    """Return the distinct hashes in a table, which share one dictionary."""
    chunks = specs.column("hash").chunks
    return chunks[0].dictionary if chunks else NO_HASHES


def names_in(specs: pa.Table, column: str) -> set[str]:
    """Return the distinct names in a column, whose dictionary has no others."""
    return {name for chunk in specs.column(column).chunks for name in chunk.dictionary.to_pylist()}


def summarize_specs(specs: pa.Table) -> SpecsSummary:
    """Return the summary of a table `specs` for the row of its snapshot."""
    return SpecsSummary(
        num_packages=len(names_in(specs, "package")),
        num_specs=len(hashes(specs)),
        stacks=frozenset(names_in(specs, "stack") - {UNION_STACK}),
        are_of_indices=specs.column("spec_format").null_count == 0,
        name_libc=specs.column("libc").null_count < len(specs),
    )


def count_requirements(specs: pa.Table) -> dict[str, int]:
    """Return the number of specs with each requirement, in a finished table `specs`."""
    texts, owners = (as_array(specs.column(name)) for name in ("requirement", "hash"))
    first = np.flatnonzero(np.diff(owners.indices.to_numpy(), prepend=-1))  # a spec's rows follow each other
    counts = np.bincount(texts.indices.to_numpy()[first], minlength=len(texts.dictionary)).tolist()
    return {text: count for text, count in zip(texts.dictionary.to_pylist(), counts, strict=True) if count}


def _write_empty(part: Part, bucket: int) -> BucketRecord:
    names = ("specs", "variants", "dependencies")
    tables = {name: with_dictionaries(TABLES[name].arrow().empty_table()).combine_chunks() for name in names}
    return write_bucket(part, bucket, tables, NO_HASHES)


def _read(part: Part, table: str, columns: list[str] | None = None) -> pa.Table:
    """Return the rows of the files that the part replaces, as a single table with one dictionary a column."""
    declared = STORED_TABLES[table]
    names = [file_name(declared, part.snapshot, number) for number in part.old]
    files = [find_file(part.folder, name, part.records[name]).path for name in names]
    found = [read_coded(table, file, columns) for file in files]
    if len(found) == 1:
        return found[0]
    return pa.concat_tables(found).unify_dictionaries().combine_chunks()


def _sizes_in(specs: pa.Table) -> dict[str, int]:
    """Return the known sizes of specs, by hash."""
    known = specs.select(["hash", "size_bytes"]).filter(pc.is_valid(specs.column("size_bytes")))
    return dict(zip(*(column.to_pylist() for column in known.columns), strict=True))
