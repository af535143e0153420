"""From sources to a dataset: read, put each snapshot together, check, and publish them all at once."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from cachestats.dataset.dataset import Dataset, open_dataset
from cachestats.dataset.writer import Writer
from cachestats.errors import ArgumentError, RejectedError, ShrinkError, SourceError
from cachestats.ingest.assemble import SnapshotTables, assemble, merge_rows, merge_specs
from cachestats.ingest.closures import add_requirements, requirements_table
from cachestats.ingest.inputs import Input, Inputs, inputs_table
from cachestats.ingest.read import ReadResult, load_fragment, read_sources
from cachestats.ingest.sizes import NO_SIZE, Sizes
from cachestats.ingest.workers import Progress, Workers
from cachestats.naming import UNION_STACK, snapshot_kind, snapshot_order
from cachestats.rejection import FAILURES, Rejection, rejected_table
from cachestats.schema import INPUTS, SCHEMA_VERSION, SNAPSHOTS, TABLES
from cachestats.sources.detect import open_sources
from cachestats.sources.items import Previous, Source, source_name
from cachestats.sources.request import Selection, SourceRequest
from cachestats.sources.storage.base import Network
from cachestats.sources.storage.urls import is_url, redact_url
from cachestats.spack_releases import rules_of_sources
from cachestats.targets import archspec_version, targets_table
from cachestats.text import counted, file_stem, printable
from cachestats.version import __version__

logger = logging.getLogger(__name__)

_OF_SNAPSHOT = tuple(table.name for table in TABLES.values() if table.by_snapshot)


def build_dataset(
    *sources: str | os.PathLike[str],
    out: str | os.PathLike[str],
    snapshots: Iterable[str] = (),
    stacks: Iterable[str] = (),
    allow_shrink: bool = False,
    max_rejected: float = 0.01,
    sizes: bool = False,
    network: Network | None = None,
    threads: int | None = None,
    wait: float = 600.0,
    progress: Progress | None = None,
) -> Dataset:
    """Read pages of the cache site, or indices of build caches, into a dataset and return it.

    Snapshots that the sources hold replace those of the dataset; its other snapshots stay. Nothing is published
    unless everything could be.

    Parameters
    ----------
    *sources
        Paths, or addresses that begin with https://, http:// or s3://. Checkouts of the cache site (the root, `_cache`,
        one snapshot's folder, one page), or archives of one (.tar, .tar.gz, .tar.zst, .zip). Or build-cache mirrors of
        layout 1, 2 or 3: one, or a folder of them, as `<snapshot>/` with its stacks in `<snapshot>/<stack>/`. Or a
        catalogue of mirrors (`cache_spack_io_index.json`), one index, or the database of an installation
        (`.spack-db/index.json`, or the folder with it). Of mirrors no more than their indices is read.
    out
        Folder of the dataset; made where it does not exist.
    snapshots, stacks
        Take no others from the sources. To an index whose folders do not tell what it is they give names: one
        snapshot, by default `local` for an installation, and one stack, by default `root`.
    allow_shrink
        Publish a snapshot also with less than half the specs it had.
    max_rejected
        Share (0 to 1) of the pages and indices, and of the specs, that may be rejected. Of a snapshot one of whose
        indices cannot be read nothing is published.
    sizes
        Read the sizes of binaries as well, from mirrors of layout 3: one small file for each spec. A build that is
        killed goes on where it was.
    network
        How to deal with servers; a `cachestats.Network`.
    threads
        Number of worker threads; by default one for each CPU this process may use. Does not change the result.
    wait
        Seconds to wait for another process that is writing the same dataset.
    progress
        Wraps the iterables that are worked through, for a progress bar, such as `tqdm.tqdm`; with `sizes` also in
        other threads.

    Raises
    ------
    SourceError
        If a source cannot be read, or holds neither page nor index; if nothing of the sources could be read.
    RejectedError
        If more than `max_rejected` was rejected.
    ShrinkError
        If a snapshot would lose more than half of its specs.
    ArgumentError
        If `max_rejected` is no share, or `threads` is below one.
    DatasetError
        If `out` is something else than a dataset, or cannot be written.
    BusyError
        If another process kept writing the dataset for `wait` seconds.

    Examples
    --------
    >>> import cachestats as cs
    >>> ds = cs.build_dataset("data/_cache", out=tmp / "dataset")
    >>> ds.manifest["tables"]["specs"]
    524
    """
    threads = checked_threads(threads, max_rejected)
    selection, network = Selection(tuple(snapshots), tuple(stacks)), network or Network()
    with Writer(out, wait=wait) as writer, ThreadPoolExecutor(threads) as pool:
        given = [SourceRequest(os.fspath(source), selection, network, sizes) for source in sources]
        readers = open_sources(named(given, writer))
        build = Build(writer, Workers(pool, threads, progress), readers)
        build.read()
        build.check(max_rejected=max_rejected, allow_shrink=allow_shrink)
        build.publish()
    return open_dataset(out)


@dataclass
class Snapshot:
    """What is known of a snapshot while it is made, and after its tables were staged."""

    read: list[Input] = field(default_factory=list)
    """What was read of it."""
    kept: list[Input] = field(default_factory=list)
    """What was not: its specs are taken from the tables as they are."""
    left_out: list[Input] = field(default_factory=list)
    """What it was made of and is not any more: it was read anew, or is gone."""
    row: dict[str, Any] = field(default_factory=dict)
    """Its row in the table `snapshots`; empty where nothing is left of it."""
    rows: dict[str, int] = field(default_factory=dict)
    targets: set[str] = field(default_factory=set)
    rejections: list[Rejection] = field(default_factory=list)
    copies: set[str] = field(default_factory=set)
    has_sizes: bool = False
    specs_added: int = 0
    specs_removed: int = 0

    @property
    def packages(self) -> set[str]:
        """Packages that were read anew, or are gone."""
        return {input_.package for input_ in (*self.read, *self.left_out) if input_.package is not None}

    @property
    def stacks(self) -> set[str]:
        """Stacks that were read anew, or are gone."""
        return {input_.stack for input_ in (*self.read, *self.left_out) if input_.stack is not None}

    @property
    def is_tangled(self) -> bool:
        """Whether what was read cannot be told from what is kept by its package or stack."""
        packages, stacks = self.packages, self.stacks
        return any(
            input_.package in packages
            or input_.stack in stacks
            or (stacks and input_.package is not None)
            or (packages and input_.stack is not None)
            for input_ in self.kept
        )


class Build:
    """One build: `read`, then `check` and `publish`."""

    def __init__(self, writer: Writer, workers: Workers, sources: Mapping[Source, SourceRequest]) -> None:
        self.writer, self.workers, self.readers = writer, workers, list(sources)
        self.manifest: dict[str, Any] = writer.manifest or {"sources": {}, "snapshots": {}}
        self.sources = {
            reader.name: _described(reader, given, writer.path, self.manifest["sources"].get(reader.name))
            for reader, given in sources.items()
        }
        self.wants_sizes = any(given.sizes for given in sources.values())
        self.inputs = Inputs(writer.read("inputs"))  # as they were
        self.rejected = writer.read("rejected")
        self.reading = ReadResult()
        self.snapshots: dict[str, Snapshot] = {}
        self.left_out = self.inputs.are(())  # which documents are not to stay

    def read(self) -> None:
        """Read everything, and make the snapshots that are found."""
        self.reading = self.read_sources(Previous(), "new")
        self.replace_snapshots()
        self.put_together(self.snapshots)

    def replace_snapshots(self) -> None:
        """Have what was read take the place of what there was of its snapshots."""
        for input_ in self.publishable():
            self.snapshots.setdefault(str(input_.snapshot), Snapshot()).read.append(input_)
        # Of the sources that were read only what was there now; of this, what could not be read has no snapshot.
        unreadable = self.inputs.have("snapshot", [None]) & self.inputs.have("source", self.sources)
        read = self.inputs.are(self.reading.inputs)
        self.left_out = (read | unreadable | self.inputs.have("snapshot", self.snapshots)) & ~self._incomplete()

    def check(self, *, max_rejected: float, allow_shrink: bool) -> None:
        """Refuse to publish what is implausible."""
        rejections = self._new_rejections()
        lost_files = len({row.origin for row in rejections if row.severity == "error" and _is_file_wide(row)})
        lost_specs = sum(row.num_specs or 0 for row in rejections)
        files = sum(self.reading.files.values())
        # What is rejected of a page's `spec_details` counts among its specs; pages and records of an index do not.
        specs = sum(row.num_specs or 0 for row in rejections if not row.place.startswith("spec_details["))
        specs += sum(input_.num_specs or 0 for input_ in self.reading.inputs.values())
        unchanged = self.inputs.table.column("num_specs").filter(pa.array(self.inputs.are(self.reading.unchanged)))
        specs += pc.sum(unchanged).as_py() or 0
        for lost, total, what in ((lost_files, files, "files"), (lost_specs, specs, "specs")):
            if lost > max_rejected * total:
                raise RejectedError(
                    f"expected at most {max_rejected:.1%} of the {what} to be rejected, found {lost:,} of {total:,} "
                    f"({lost / max(total, 1):.1%}); nothing was published. {_most_common(rejections)}",
                    hint="mend the source, or allow more with --max-rejected (1 allows everything)",
                )
        if allow_shrink:
            return
        before = self.manifest["snapshots"]
        for name, found in self.snapshots.items():
            old, new = before.get(name, {}).get("num_specs", 0), found.row.get("num_specs", 0)
            if found.row and 2 * new < old:
                raise ShrinkError(
                    f"expected at least half of the {old:,} specs of {name}, found {new:,}; nothing was published",
                    hint="check that the source is whole, or publish it all the same with --allow-shrink",
                )

    def publish(self) -> None:
        """Stage the small tables beside the snapshots and publish everything."""
        removed = {name for name, found in self.snapshots.items() if not found.row}
        made = {name: found for name, found in self.snapshots.items() if found.row}
        rejections = self.all_rejections()
        rejected_by_snapshot: Counter[str | None] = Counter()
        for rejection in rejections:
            rejected_by_snapshot[rejection.snapshot] += rejection.num_specs or 0
        rows = [row for row in self.writer.read("snapshots").to_pylist() if row["snapshot"] not in self.snapshots]
        rows += [found.row for found in made.values()]
        rows = [row | {"num_rejected": rejected_by_snapshot[row["snapshot"]]} for row in rows]
        rows.sort(key=lambda row: str(row["snapshot"]))

        known = self.writer.read("targets").column("target").to_pylist()
        small = {
            "snapshots": pa.Table.from_pylist(rows, schema=SNAPSHOTS.arrow()),
            "targets": targets_table(set(known).union(*(found.targets for found in made.values()))),
            "rejected": rejected_table(rejections),
            "inputs": self._all_inputs(),
        }
        counts = {name: entry for name, entry in self.manifest["snapshots"].items() if name not in removed} | {
            name: {"num_specs": found.row["num_specs"], "rows": found.rows} for name, found in made.items()
        }
        # A source of which nothing is left, since others took its place, is not to come back.
        with_inputs = set(pc.unique(small["inputs"].column("source")).to_pylist())
        sources = {name: source for name, source in self.manifest["sources"].items() if name in with_inputs}
        for name, table in small.items():
            self.writer.stage(name, table)
        for name in removed:
            self.writer.remove(name)
        self.writer.publish(
            {
                "schema_version": SCHEMA_VERSION,
                "made_by": made_by(),
                "sources": dict(sorted((sources | self.sources).items())),
                "snapshots": dict(sorted(counts.items())),
                "tables": {
                    name: small[name].num_rows
                    if name in small
                    else sum(snapshot["rows"][name] for snapshot in counts.values())
                    for name in TABLES
                },
            }
        )

    def read_sources(self, known: Previous, place: str) -> ReadResult:
        """Read what is not known, and lay it down in a folder of this name."""
        scratch = self.writer.scratch / place
        scratch.mkdir()
        reading = read_sources(self.readers, known, self.workers, scratch)
        for reader in self.readers:
            files = counted(reading.files[reader.name], "file")
            logger.info("%s: found %s, passed over %s others", reader.name, files, f"{reader.passed_over:,}")
            self.sources[reader.name] |= {"files": reading.files[reader.name], "passed_over": reader.passed_over}
        for name in sorted(reading.incomplete):
            logger.warning("%s: left as it was, since not all of it could be read", name)
        return reading

    def new_inputs(self) -> list[Input]:
        """Return what was read, but for snapshots that are left as they were."""
        incomplete = self.reading.incomplete
        return [input_ for input_ in self.reading.inputs.values() if input_.snapshot not in incomplete]

    def publishable(self) -> list[Input]:
        """Return what was read of snapshots that can be published."""
        return [input_ for input_ in self.new_inputs() if input_.snapshot is not None]

    def put_together(self, names: Iterable[str]) -> set[str]:
        """Make and stage the tables of some snapshots; return those of which everything has to be read for that."""
        names = sorted(names, key=snapshot_order)
        tangled: set[str] = set()
        if not names:
            return tangled
        staged = self.workers.map(self._stage, names)
        done = self.workers.progress(staged, desc="writing snapshots", total=len(names), unit="snapshot")
        for name, is_done in done:
            if not is_done:
                tangled.add(name)
            elif row := self.snapshots[name].row:
                specs, packages = counted(row["num_specs"], "spec"), counted(row["num_packages"], "package")
                before = self.manifest["snapshots"].get(name, {}).get("num_specs")
                replacing = "" if before is None else f", where there were {before:,}"
                logger.info("%s: %s of %s%s", name, specs, packages, replacing)
        return tangled

    def all_rejections(self) -> list[Rejection]:
        """Return what was found, now and, of documents that stay and were not read, before."""
        stay = self.inputs.table.column("origin").filter(pa.array(~self.left_out))
        staying = set(stay.to_pylist())
        looked_at = tuple(f"{name}{mark}" for name in self.sources for mark in ("/", "!"))
        sized = {name for name, found in self.snapshots.items() if found.has_sizes}
        kept = []
        for row in (Rejection(**row) for row in self.rejected.to_pylist()):
            is_looked_at = row.origin in self.sources or row.origin.startswith(looked_at)
            if row.rule in FAILURES or row.origin not in self.inputs.rows:
                stays = not is_looked_at and row.snapshot not in self.snapshots
            else:
                stays = row.origin in staying
            if stays and not (row.rule == NO_SIZE and row.snapshot in sized):
                kept.append(row)
        return [*kept, *self._new_rejections()]

    def _stage(self, name: str) -> tuple[str, bool]:
        """Make the tables of a snapshot, one after the other; return whether that could be done."""
        found = self.snapshots[name]
        fragments = [load_fragment(fragment, name) for fragment in self.reading.fragments.get(name, ())]
        new = assemble(fragments) if fragments else None
        before = pa.array([], pa.string())
        specs: pa.Table | None = None
        kept: pa.Array | None = None
        if found.kept:
            old = self.writer.read_snapshot("specs", name)
            before = hashes(old)
            if (merged := merge_specs(old, new, packages=found.packages, stacks=found.stacks)) is None:
                return name, False
            del old
            specs, kept = merged
        else:
            if name in self.manifest["snapshots"]:
                before = hashes(self.writer.read_snapshot("specs", name, ["hash"]))
            if new:
                specs = new.specs
        after = pa.array([], pa.string())
        if new:
            found.rejections, found.copies = new.rejections, new.copies
        if specs is not None:
            after = hashes(specs)
            found.targets = names_in(specs, "target")
            for table, data in self._tables(name, found, specs, new, kept):
                self.writer.stage(table, data, name)
                found.rows[table] = data.num_rows
                pa.default_memory_pool().release_unused()  # else what one table took is not there for the next
        common = pc.sum(pc.is_in(after, before)).as_py() or 0
        found.specs_added, found.specs_removed = len(after) - common, len(before) - common
        return name, True

    def _tables(
        self, name: str, found: Snapshot, specs: pa.Table, new: SnapshotTables | None, kept: pa.Array | None
    ) -> Iterator[tuple[str, pa.Table]]:
        """Yield the tables of a snapshot, each once the one before was stored."""

        def beside(table: str) -> pa.Table:
            if kept is None and new is not None:
                return new.tables[table]
            return merge_rows(table, self.writer.read_snapshot(table, name), new, kept)

        specs = self._with_sizes(name, found, specs)
        found.row = snapshot_row(name, found, summarize_specs(specs))
        # What a spec needs is looked for among all specs of the snapshot, kept ones too.
        dependencies = beside("dependencies")
        specs = add_requirements(specs, dependencies, found.row["reuse_rules"])
        yield "dependencies", dependencies
        del dependencies
        yield "specs", specs
        yield "requirements", requirements_table(name, specs)
        yield "variants", beside("variants")

    def _with_sizes(self, name: str, found: Snapshot, specs: pa.Table) -> pa.Table:
        mirrors = self.reading.mirrors.get(name)
        if not mirrors or not self.wants_sizes:
            if self.wants_sizes and found.read:
                logger.warning("%s: no sizes, which only mirrors of layout 3 tell", name)
            return specs
        known: dict[str, int] = {}
        if name in self.manifest["snapshots"]:
            before = self.writer.read_snapshot("specs", name, ["hash", "size_bytes"])
            before = before.filter(pc.is_valid(before.column("size_bytes")))
            known = dict(zip(*(column.to_pylist() for column in before.columns), strict=True))
        origin = min(input_.origin for input_ in found.read if input_.stack in mirrors)
        sizes = Sizes(name, origin, mirrors, self.writer.journals / file_stem(name), self.workers)
        specs, findings = sizes.fill(specs, known)
        found.rejections, found.has_sizes = [*found.rejections, *findings], True
        return specs

    def _incomplete(self) -> Any:
        return self.inputs.have("snapshot", self.reading.incomplete)

    def _copies(self) -> set[str]:
        return set().union(*(found.copies for found in self.snapshots.values()))

    def _new_rejections(self) -> list[Rejection]:
        """Return what was found this time; of a snapshot that is left as it was, only why."""
        copies, incomplete = self._copies(), self.reading.incomplete
        rows = [
            row
            for row in self.reading.rejections
            if row.origin not in copies and (row.snapshot not in incomplete or row.rule in FAILURES)
        ]
        return rows + [row for found in self.snapshots.values() for row in found.rejections]

    def _all_inputs(self) -> pa.Table:
        """Return the table `inputs` as it is now."""
        copies = self._copies()
        new = [input_._replace(is_copy=input_.origin in copies) for input_ in self.new_inputs()]
        kept = self.inputs.table.filter(pa.array(~self.left_out))
        if fingerprints := self.reading.new_fingerprints:
            pairs = zip(kept.column("origin").to_pylist(), kept.column("fingerprint").to_pylist(), strict=True)
            new_fingerprints = pa.array(
                [fingerprints.get(origin, fingerprint) for origin, fingerprint in pairs], pa.string()
            )
            kept = kept.set_column(
                kept.column_names.index("fingerprint"), kept.schema.field("fingerprint"), new_fingerprints
            )
        gone = self.gone()[~self.left_out]
        kept = kept.set_column(kept.column_names.index("is_gone"), kept.schema.field("is_gone"), pa.array(gone))
        table = pa.concat_tables([kept, inputs_table(new)])
        return table.sort_by([(name, "ascending") for name in INPUTS.sort])

    def gone(self) -> Any:
        """Return which documents are gone from their sources."""
        return self.inputs.table.column("is_gone").to_numpy()


def named(given: Iterable[SourceRequest], writer: Writer) -> list[SourceRequest]:
    """Give each source that is a path the name by which the dataset knows it, or one that it knows nothing else by."""
    known = {name: source["location"] for name, source in (writer.manifest or {"sources": {}})["sources"].items()}
    by_location = {location: name for name, location in known.items()}
    result = []
    for one in given:
        location = location_of(one.address, writer.path)
        name = by_location.get(location)
        if not is_url(one.address) and one.address and name is None:
            name = source_name(Path(one.address))
            name = str(Path(one.address).resolve()) if name in known else name
        result.append(replace(one, name=name))
    return result


def location_of(address: str, dataset: Path) -> str:
    """Return where a source is: an address without secrets, or a path from the dataset, so that both can be moved."""
    if is_url(address):
        return redact_url(address).rstrip("/")
    if "\0" in address:
        raise SourceError("expected a path, found one with a null in it", hint="check the path")
    return printable(os.path.relpath(Path(address).resolve(), dataset.resolve()))


def made_by() -> dict[str, str]:
    """Return the versions of what decides what is read out of a source."""
    return {"cachestats": __version__, "archspec": archspec_version()}


def checked_threads(threads: int | None, max_rejected: float) -> int:
    """Return the number of threads, once both arguments were looked at."""
    if not 0 <= max_rejected <= 1:
        raise ArgumentError(f"expected max_rejected from 0 to 1, found {max_rejected}", hint="0.01 is one percent")
    if threads is not None and threads < 1:
        raise ArgumentError(f"expected at least one thread, found {threads}", hint="leave threads out")
    if threads:
        return threads
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def hashes(specs: pa.Table) -> pa.Array:
    """Return the distinct hashes of a snapshot, which are in one dictionary."""
    chunks = specs.column("hash").chunks
    return chunks[0].dictionary if chunks else pa.array([], pa.string())


class SpecsSummary(NamedTuple):
    """What the row of a snapshot says of its specs."""

    num_packages: int
    num_specs: int
    num_stacks: int
    are_of_indices: bool
    """Whether an index told each of them, so that what they depend on is known."""
    name_libc: bool
    """Whether any of them says which libc it needs, as they do since Spack 0.22."""


def summarize_specs(specs: pa.Table) -> SpecsSummary:
    """Return what the row of a snapshot says of its table `specs`."""
    return SpecsSummary(
        num_packages=len(names_in(specs, "package")),
        num_specs=len(hashes(specs)),
        num_stacks=len(names_in(specs, "stack") - {UNION_STACK}),
        are_of_indices=specs.column("spec_format").null_count == 0,
        name_libc=specs.column("libc").null_count < len(specs),
    )


def snapshot_row(name: str, found: Snapshot, specs: SpecsSummary) -> dict[str, Any]:
    """Return the row of a snapshot in the table `snapshots`, but for what was rejected."""
    kind, day = snapshot_kind(name)
    inputs = [
        input_ for input_ in (*found.kept, *found.read) if not input_.is_copy and input_.origin not in found.copies
    ]
    generations = {input_.generation for input_ in inputs if input_.generation}
    return {
        "snapshot": name,
        "kind": kind,
        "snapshot_date": day,
        "source": "; ".join(sorted({input_.source for input_ in inputs})),
        "generation": "+".join(sorted(generations)),
        "reuse_rules": rules_of_sources(name, generations, names_libc=specs.name_libc),
        "has_dependencies": specs.are_of_indices and any(generation.startswith("db") for generation in generations),
        "num_pages": len(inputs),
        "num_packages": specs.num_packages,
        "num_specs": specs.num_specs,
        "num_stacks": specs.num_stacks,
        "read_at": datetime.now(UTC),
    }


def _described(reader: Source, given: SourceRequest, dataset: Path, before: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what the manifest says of a source, enough to open it again.

    What was chosen of it before stays in the dataset, so it is remembered with what is chosen now.
    """
    known = before if reader.kind != "index" else None  # there a choice is a name
    return {
        "kind": reader.kind,
        "location": location_of(given.address, dataset),
        "snapshots": _all_chosen(known["snapshots"] if known else None, given.selection.snapshots),
        "stacks": _all_chosen(known["stacks"] if known else None, given.selection.stacks),
        "allow_hosts": sorted(set(given.network.allow_hosts)),
        "signed": given.network.signed,
        "sizes": given.sizes,
    }


def _all_chosen(before: list[str] | None, now: Collection[str]) -> list[str]:
    """Return what was chosen before and now; nothing stands for everything."""
    if before is None:
        return list(now)
    return sorted({*before, *now}) if before and now else []


def names_in(specs: pa.Table, column: str) -> set[str]:
    """Return the distinct names in a column: its dictionary has no others."""
    return {name for chunk in specs.column(column).chunks for name in chunk.dictionary.to_pylist()}


def _is_file_wide(row: Rejection) -> bool:
    return not row.place.startswith(("spec_details[", "database."))


def _most_common(rejections: Collection[Rejection]) -> str:
    rows = [row for row in rejections if row.severity == "error"]
    rule, count = Counter(row.rule for row in rows).most_common(1)[0]
    example = next(row for row in rows if row.rule == rule)
    return f"Most often ({counted(count, 'time')}): {example.message} ({example.origin}, {example.place})"
