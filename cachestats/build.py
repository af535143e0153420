"""From sources to a dataset: read, put each snapshot together, check, and publish them all at once.

`build_dataset` reads everything and replaces the snapshots that it found. `update_dataset` reads what changed since and
puts it into their tables: that needs the table `documents`, which says what was read and how it looked then.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cachestats import __version__
from cachestats.dataset import Dataset, Writer, open_dataset
from cachestats.errors import ArgumentError, DatasetError, RejectedError, ShrinkError
from cachestats.naming import ROOT_STACK, counted, file_stem, snapshot_kind, snapshot_order
from cachestats.parse.tables import flatten, merge
from cachestats.reading import Document, Progress, Reading, Workers, load_piece, read_sources
from cachestats.rejection import Rejection, to_table
from cachestats.schema import DOCUMENTS, SCHEMA_VERSION, SNAPSHOTS, TABLES
from cachestats.sizes import Sizes
from cachestats.sources import Choice, Given, Known, Network, Source, is_address, open_sources, plain_address
from cachestats.targets import archspec_version, targets_table

if TYPE_CHECKING:
    import polars as pl

logger = logging.getLogger(__name__)

_BY_SNAPSHOT = tuple(name for name, table in TABLES.items() if table.by_snapshot)

_ACROSS_PAGES = frozenset({"duplicate-hash", "second-page"})
"""Rules that more than one page has a part in."""


def build_dataset(
    *sources: str | os.PathLike[str],
    out: str | os.PathLike[str],
    snapshots: Iterable[str] = (),
    stacks: Iterable[str] = (),
    allow_shrink: bool = False,
    max_rejected: float = 0.01,
    sizes: bool = False,
    allow_hosts: Iterable[str] = (),
    signed: bool = False,
    timeout: float = 60.0,
    retries: int = 5,
    threads: int | None = None,
    wait: float = 600.0,
    progress: Progress | None = None,
    received: Callable[[int], None] | None = None,
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
    allow_hosts
        Hosts that servers may redirect to, and that catalogues may lead to, beside their own.
    signed
        Sign requests to S3 with the credentials that AWS's tools would find; by default they are anonymous.
    timeout
        Seconds to wait for a server to answer, or to go on.
    retries
        How often to try again, after a pause that doubles, when a server is busy or a connection breaks.
    threads
        Number of worker threads; by default one for each CPU this process may use. Does not change the result.
    wait
        Seconds to wait for another process that is writing the same dataset.
    progress
        Wraps the iterables that are worked through, for a progress bar, such as `tqdm.tqdm`.
    received
        Called with the number of bytes of each piece that a source sent.

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
    threads = _checked(max_rejected, threads)
    choice = Choice(tuple(snapshots), tuple(stacks))
    network = Network(timeout, retries, tuple(allow_hosts), signed, received)
    readers = open_sources([Given(os.fspath(source), choice) for source in sources], network)
    with Writer(out, wait=wait) as writer, ThreadPoolExecutor(threads) as pool:
        build = _Build(writer, Workers(pool, threads, progress), _described(readers, network, sizes, writer.path))
        build.read(list(readers))
        build.check(max_rejected=max_rejected, allow_shrink=allow_shrink)
        build.publish()
    return open_dataset(out)


def update_dataset(
    path: str | os.PathLike[str],
    *sources: str | os.PathLike[str],
    prune: bool = False,
    look_again: bool = False,
    snapshots: Iterable[str] = (),
    stacks: Iterable[str] = (),
    allow_shrink: bool = False,
    max_rejected: float = 0.01,
    sizes: bool = False,
    allow_hosts: Iterable[str] = (),
    signed: bool = False,
    timeout: float = 60.0,
    retries: int = 5,
    threads: int | None = None,
    wait: float = 600.0,
    progress: Progress | None = None,
    received: Callable[[int], None] | None = None,
) -> pl.DataFrame:
    """Bring a dataset up to date with its sources, and return what came, changed and went.

    Only what changed is read: a page whose size or date is another one, and then only if its content is; an index
    whose checksum or entity tag is another one. What is gone from a source stays in the dataset, unless `prune` says
    otherwise. Nothing is written where nothing changed.

    Parameters
    ----------
    path
        The dataset's folder.
    *sources
        Sources to look at, which the dataset remembers from then on; by default those it remembers, with the
        `snapshots`, `stacks`, `sizes`, `allow_hosts` and `signed` that they were given with.
    prune
        Drop what is gone from the sources.
    look_again
        Look also at weekly snapshots and releases that were read from a server: they do not change once they are
        published, so it is not asked about them again.
    snapshots, stacks, allow_shrink, max_rejected, sizes, allow_hosts, signed, timeout, retries
        As in `build_dataset`.
    threads, wait, progress, received
        As in `build_dataset`.

    Returns
    -------
    One row per snapshot in which something came, changed or went, the newest last: `snapshot, change` (`came`,
    `changed`, `went`, or `kept` where something is gone from the source and not from the dataset), `files_came,
    files_changed, files_went` (pages and indices), `specs_added, specs_removed, num_specs`.

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
    import polars as pl

    threads = _checked(max_rejected, threads)
    dataset = open_dataset(path)
    choice = Choice(tuple(snapshots), tuple(stacks))
    network = Network(timeout, retries, tuple(allow_hosts), signed, received)
    given = _given(dataset, [os.fspath(source) for source in sources], choice)
    if not sources:
        remembered = dataset.manifest["sources"].values()
        hosts = {host for source in remembered for host in source["allow_hosts"]}
        is_signed = signed or any(source["signed"] for source in remembered)
        sizes = sizes or any(source["sizes"] for source in remembered)
        network = replace(network, allow_hosts=(*network.allow_hosts, *sorted(hosts)), signed=is_signed)
    readers = open_sources(given, network)
    with Writer(path, wait=wait) as writer, ThreadPoolExecutor(threads) as pool:
        build = _Build(writer, Workers(pool, threads, progress), _described(readers, network, sizes, writer.path))
        build.update(list(readers), look_again=look_again, prune=prune)
        build.check(max_rejected=max_rejected, allow_shrink=allow_shrink)
        if build.is_changed:
            build.publish()
    counts = ("files_came", "files_changed", "files_went", "specs_added", "specs_removed", "num_specs")
    schema = {"snapshot": pl.String, "change": pl.String} | dict.fromkeys(counts, pl.Int64)
    return pl.DataFrame(build.changes(), schema=schema)


@dataclass
class _Snapshot:
    """What is known of a snapshot while it is made, and after its tables were staged."""

    read: list[Document] = field(default_factory=list)
    """What was read of it."""
    kept: list[Document] = field(default_factory=list)
    """What was not: its specs are taken from the tables as they are."""
    left_out: list[Document] = field(default_factory=list)
    """What it was made of and is not any more: it was read anew, or is gone."""
    gone: int = 0
    """Files that are gone from the sources."""
    row: dict[str, Any] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    targets: set[str] = field(default_factory=set)
    rejections: list[Rejection] = field(default_factory=list)
    copies: set[str] = field(default_factory=set)
    specs_before: int = 0
    specs_added: int = 0
    specs_removed: int = 0

    @property
    def packages(self) -> set[str]:
        """Packages that were read anew, or are gone."""
        return {document.package for document in (*self.read, *self.left_out) if document.package is not None}

    @property
    def stacks(self) -> set[str]:
        """Stacks that were read anew, or are gone."""
        return {document.stack for document in (*self.read, *self.left_out) if document.stack is not None}

    @property
    def is_tangled(self) -> bool:
        """Whether what was read cannot be told from what is kept by its package or stack."""
        packages, stacks = self.packages, self.stacks
        return any(
            document.package in packages
            or document.stack in stacks
            or (stacks and document.package is not None)
            or (packages and document.stack is not None)
            for document in self.kept
        )


class _Build:
    """One build: `read` or `update`, then `check` and `publish`."""

    def __init__(self, writer: Writer, workers: Workers, sources: dict[str, dict[str, Any]]) -> None:
        self.writer, self.workers, self.sources = writer, workers, sources
        self.manifest: dict[str, Any] = writer.manifest or {"sources": {}, "snapshots": {}}
        self.documents = writer.read("documents")  # as they were
        self.rows = {origin: row for row, origin in enumerate(self.documents.column("origin").to_pylist())}
        self.reading = Reading()
        self.snapshots: dict[str, _Snapshot] = {}
        self.gone: list[Document] = []
        self.dropped: set[str] = set()  # origins of documents

    def read(self, readers: list[Source]) -> None:
        """Read everything, and make the snapshots that are found."""
        self.reading = self._read(readers, Known(), "new")
        for document in self._found():
            self.snapshots.setdefault(str(document.snapshot), _Snapshot()).read.append(document)
        self._put_together(self.snapshots)

    def update(self, readers: list[Source], *, look_again: bool, prune: bool) -> None:
        """Read what changed, and make the snapshots in which something did."""
        stamps, digests = (
            dict(zip(self.rows, self.documents.column(name).to_pylist(), strict=True)) for name in ("stamp", "digest")
        )
        known = Known(stamps, digests, look_again)
        known = self._without_sizes(known)
        self.reading = self._read(readers, known, "new")
        self._plan(readers, prune=prune)
        tangled = {name for name, found in self.snapshots.items() if found.is_tangled or self._is_doubtful(name)}
        tangled |= self._put_together(name for name in self.snapshots if name not in tangled)
        if tangled:
            self._read_whole(readers, known, tangled)

    def check(self, *, max_rejected: float, allow_shrink: bool) -> None:
        """Refuse to publish what is implausible."""
        rejections = self._rejections()
        of_files = [row for row in rejections if row.severity == "error" and _is_file_wide(row)]
        lost_files, files = len({row.origin for row in of_files}), sum(self.reading.files.values())
        lost_specs = sum(row.num_specs or 0 for row in rejections)
        # What is rejected of a page's `spec_details` was counted as read; pages and records of an index were not.
        specs = self.reading.entries + sum(
            row.num_specs or 0 for row in rejections if not row.place.startswith("spec_details[")
        )
        seen = self._are(self.reading.seen)
        specs += pc.sum(self.documents.column("num_specs").filter(seen)).as_py() or 0
        for lost, total, what in ((lost_files, files, "files"), (lost_specs, specs, "specs")):
            if lost > max_rejected * total:
                raise RejectedError(
                    f"expected at most {max_rejected:.1%} of the {what} to be rejected, found {lost:,} of {total:,} "
                    f"({lost / total:.1%}); nothing was published. {_most_common(rejections)}",
                    hint="mend the source, or allow more with --max-rejected (1 allows everything)",
                )
        if allow_shrink:
            return
        before = self.manifest["snapshots"]
        for name, found in self.snapshots.items():
            old, new = before.get(name, {}).get("num_specs", 0), found.row.get("num_specs", 0)
            if 2 * new < old:
                raise ShrinkError(
                    f"expected at least half of the {old:,} specs of {name}, found {new:,}; nothing was published",
                    hint="check that the source is whole, or publish it all the same with --allow-shrink",
                )

    @property
    def is_changed(self) -> bool:
        """Whether there is anything to publish."""
        rows = {tuple(row.values()) for row in self.writer.read("rejected").to_pylist()}
        remembered = {name: self.manifest["sources"].get(name) for name in self.sources}
        return bool(
            self.snapshots
            or self.reading.documents
            or self.reading.stamped
            or self.dropped
            or remembered != self.sources
            or rows != {tuple(row.values()) for row in to_table(self._all_rejections()).to_pylist()}
        )

    def publish(self) -> None:
        """Stage the small tables beside the snapshots and publish everything."""
        removed = {name for name, found in self.snapshots.items() if not found.row}
        made = {name: found for name, found in self.snapshots.items() if found.row}
        rejections = self._all_rejections()
        rejected_by_snapshot: Counter[str | None] = Counter()
        for rejection in rejections:
            rejected_by_snapshot[rejection.snapshot] += rejection.num_specs or 0
        rows = [row for row in self.writer.read("snapshots").to_pylist() if row["snapshot"] not in self.snapshots]
        rows += [found.row | {"num_rejected": rejected_by_snapshot[name]} for name, found in made.items()]
        rows.sort(key=lambda row: str(row["snapshot"]))

        known = self.writer.read("targets").column("target").to_pylist()
        small = {
            "snapshots": pa.Table.from_pylist(rows, schema=SNAPSHOTS.arrow()),
            "targets": targets_table(set(known).union(*(found.targets for found in made.values()))),
            "rejected": to_table(rejections),
            "documents": self._all_documents(),
        }
        counts = {name: entry for name, entry in self.manifest["snapshots"].items() if name not in removed} | {
            name: {"num_specs": found.row["num_specs"], "rows": found.rows} for name, found in made.items()
        }
        # A source of which nothing is left, since others took its place, is not to come back.
        with_documents = set(pc.unique(small["documents"].column("source")).to_pylist())
        kept = {name: source for name, source in self.manifest["sources"].items() if name in with_documents}
        for name, table in small.items():
            self.writer.stage(name, table)
        for name in removed:
            self.writer.remove(name)
        self.writer.publish(
            {
                "schema_version": SCHEMA_VERSION,
                "made_by": {"cachestats": __version__, "archspec": archspec_version()},
                "sources": dict(sorted((kept | self.sources).items())),
                "snapshots": dict(sorted(counts.items())),
                "tables": {
                    name: small[name].num_rows
                    if name in small
                    else sum(snapshot["rows"][name] for snapshot in counts.values())
                    for name in TABLES
                },
            }
        )

    def changes(self) -> list[dict[str, Any]]:
        """Return what came, changed and went, a row a snapshot."""
        gone = Counter(document.snapshot for document in self.gone)
        rows = []
        for name in sorted({*self.snapshots, *filter(None, gone)}, key=snapshot_order):
            found = self.snapshots.get(name, _Snapshot())
            before = {document.origin for document in found.left_out}
            after = {document.origin for document in found.read}
            num_specs = self.manifest["snapshots"].get(name, {}).get("num_specs", 0)
            change = (
                "kept" if name not in self.snapshots else "changed" if name in self.manifest["snapshots"] else "came"
            )
            rows.append(
                {
                    "snapshot": name,
                    "change": "went" if name in self.snapshots and not found.row else change,
                    "files_came": len(after - before),
                    "files_changed": len(after & before),
                    "files_went": gone[name],
                    "specs_added": found.specs_added,
                    "specs_removed": found.specs_removed,
                    "num_specs": found.row.get("num_specs", num_specs if change == "kept" else 0),
                }
            )
        return rows

    def _read(self, readers: list[Source], known: Known, place: str) -> Reading:
        scratch = self.writer.scratch / place
        scratch.mkdir()
        reading = read_sources(readers, known, self.workers, scratch)
        for reader in readers:
            files = counted(reading.files[reader.name], "file")
            logger.info("%s: found %s, passed over %s others", reader.name, files, f"{reader.passed_over:,}")
            self.sources[reader.name] |= {"files": reading.files[reader.name], "passed_over": reader.passed_over}
        for name in sorted(reading.incomplete):
            logger.warning("%s: left as it was, since not all of it could be read", name)
        return reading

    def _known_sizes(self, name: str) -> dict[str, int]:
        """Return the sizes of a snapshot's specs that are known already, by hash."""
        if name not in self.manifest["snapshots"]:
            return {}
        specs = self.writer.read_snapshot("specs", name, ["hash", "size_bytes"])
        specs = specs.filter(pc.is_valid(specs.column("size_bytes")))
        return dict(zip(*(column.to_pylist() for column in specs.columns), strict=True))

    @property
    def wants_sizes(self) -> bool:
        """Whether sizes are asked for."""
        return any(source["sizes"] for source in self.sources.values())

    def _without_sizes(self, known: Known) -> Known:
        """Forget the indices of sources whose sizes were not asked for before: they are read again to find them."""
        before = self.manifest["sources"]
        asked = [
            name for name, source in self.sources.items() if source["sizes"] and not before.get(name, {}).get("sizes")
        ]
        is_new = _is_in(self.documents.column("source"), asked)
        forgotten = self.documents.filter(pc.and_(is_new, pc.is_valid(self.documents.column("stack"))))
        return known.without(forgotten.column("origin").to_pylist())

    def _found(self) -> list[Document]:
        """Return what was read of snapshots that can be published."""
        unknown = {None, *self.reading.incomplete}
        return [document for document in self.reading.documents.values() if document.snapshot not in unknown]

    def _are(self, origins: Iterable[str]) -> pa.Array:
        """Return, for each document that was known, whether it is one of these."""
        result = np.zeros(len(self.rows), np.bool_)
        result[[row for origin in origins if (row := self.rows.get(origin)) is not None]] = True
        return pa.array(result)

    def _plan(self, readers: list[Source], *, prune: bool) -> None:
        """Find out which snapshots something was read of, or is gone from, and what of them is kept."""
        looked_at = _is_in(self.documents.column("source"), [reader.name for reader in readers])
        is_here = self._are(self.reading.seen | self.reading.documents.keys())
        choices = {reader.name: reader.choice for reader in readers}
        self.gone = [
            document
            for document in _documents(self.documents.filter(pc.and_not(looked_at, is_here)))
            if document.snapshot not in self.reading.incomplete
            and choices[document.source].takes(document.snapshot, document.stack)
        ]
        # What could not be read need not be remembered.
        self.dropped = {document.origin for document in self.gone if prune or document.snapshot is None}
        read = self.dropped | self.reading.documents.keys()
        left_out = _documents(self.documents.filter(self._are(read)))
        for document in self._found():
            self.snapshots.setdefault(str(document.snapshot), _Snapshot()).read.append(document)
        for document in left_out:
            if document.snapshot is not None and document.snapshot not in self.reading.incomplete:
                self.snapshots.setdefault(document.snapshot, _Snapshot()).left_out.append(document)
        for name, found in self.snapshots.items():
            before = _documents(self.documents.filter(pc.equal(self.documents.column("snapshot"), name)))
            origins = {document.origin for document in found.left_out}
            found.kept = [document for document in before if document.origin not in origins]

    def _is_doubtful(self, name: str) -> bool:
        """Whether pages of a snapshot contradicted each other, so that what one says depends on the others."""
        rejected = self.writer.read("rejected")
        rows = rejected.filter(pc.equal(rejected.column("snapshot"), name))
        return bool(self.snapshots[name].kept) and not _ACROSS_PAGES.isdisjoint(rows.column("rule").to_pylist())

    def _read_whole(self, readers: list[Source], known: Known, names: set[str]) -> None:
        """Read everything of some snapshots, and make them as if for the first time."""
        gone = set(self.gone)
        for name in sorted(names):
            if not gone.isdisjoint(self.snapshots[name].kept):
                logger.warning(
                    "%s: left as it was, since files that are gone contradicted others; --prune would drop them", name
                )
                self.reading.incomplete.add(name)
                del self.snapshots[name]
        names &= self.snapshots.keys()
        everything = [document for name in names for document in self.snapshots[name].kept]
        if others := sorted({document.source for document in everything} - {reader.name for reader in readers}):
            raise ArgumentError(
                f"expected all sources of {', '.join(sorted(names))}, found that {', '.join(others)} has a part in it",
                hint="update without naming a source, to look at all of them",
            )
        new = self.reading.documents
        again = {document.origin for document in everything}
        again |= {document.origin for name in names for document in self.snapshots[name].read}
        stamps = {**known.stamps, **{origin: document.stamp for origin, document in new.items()}}
        digests = {**known.digests, **{origin: document.digest for origin, document in new.items()}}
        whole = self._read(readers, Known(stamps, digests).without(again), "whole")
        for name in names:
            self.reading.pieces.pop(name, None)
        # These were counted when they were seen.
        whole.entries = 0
        whole.files.clear()
        self.reading.add(whole)
        self.reading.seen -= self.reading.documents.keys()
        for name in names:
            found = self.snapshots[name]
            found.left_out += found.kept
            found.kept = []
            found.read = [document for document in self._found() if document.snapshot == name]
        self._put_together(names)

    def _put_together(self, names: Iterable[str]) -> set[str]:
        """Make and stage the tables of some snapshots; return those of which everything has to be read for that."""
        names = sorted(names, key=snapshot_order)
        tangled = set()
        staged = self.workers.map(self._stage, names)
        for name, is_done in self.workers.progress(staged, desc="writing snapshots", total=len(names), unit="snapshot"):
            if not is_done:
                tangled.add(name)
            elif row := self.snapshots[name].row:
                specs, packages = counted(row["num_specs"], "spec"), counted(row["num_packages"], "package")
                logger.info("%s: %s of %s", name, specs, packages)
        return tangled

    def _stage(self, name: str) -> tuple[str, bool]:
        """Make the tables of a snapshot; return whether that could be done."""
        found = self.snapshots[name]
        pieces = [load_piece(piece, name) for piece in self.reading.pieces.get(name, ())]
        new = flatten(pieces) if pieces else None
        tables = new.tables if new else None
        before = pa.array([], pa.string())
        if found.kept:
            old = {table: self.writer.read_snapshot(table, name) for table in _BY_SNAPSHOT}
            before = _hashes(old["specs"])
            tables = merge(old, new, packages=found.packages, stacks=found.stacks)
            if tables is None:
                return name, False
        if new:
            found.rejections, found.copies = new.rejections, new.copies
        if tables and (mirrors := self.reading.mirrors.get(name)) and self.wants_sizes:
            sizes = Sizes(name, mirrors, self.writer.journals / file_stem(name), self.workers.progress)
            tables["specs"], findings = sizes.fill(tables["specs"], self._known_sizes(name))
            found.rejections = [*found.rejections, *findings]
        if tables:
            for table, data in tables.items():
                self.writer.stage(table, data, name)
            found.rows = {table: data.num_rows for table, data in tables.items()}
            found.targets = _names(tables["specs"], "target")
            found.row = self._row(name, found, tables["specs"])
        if not found.kept and name in self.manifest["snapshots"]:
            before = _hashes(self.writer.read_snapshot("specs", name, ["hash"]))
        after = _hashes(tables["specs"]) if tables else pa.array([], pa.string())
        common = pc.sum(pc.is_in(after, before)).as_py() or 0
        found.specs_added, found.specs_removed = len(after) - common, len(before) - common
        return name, True

    def _row(self, name: str, found: _Snapshot, specs: pa.Table) -> dict[str, Any]:
        """Return the row of a snapshot in the table `snapshots`."""
        kind, day = snapshot_kind(name)
        documents = [document for document in (*found.kept, *found.read) if document.origin not in found.copies]
        generations = {document.generation for document in documents}
        return {
            "snapshot": name,
            "kind": kind,
            "snapshot_date": day,
            "source": "; ".join(sorted({document.source for document in documents})),
            "generation": "+".join(sorted(filter(None, generations))),
            "num_pages": len(documents),
            "num_packages": len(_names(specs, "package")),
            "num_specs": len(_hashes(specs)),
            "num_stacks": len(_names(specs, "stack") - {ROOT_STACK}),
            "read_at": datetime.now(UTC),
        }

    def _rejections(self) -> list[Rejection]:
        """Return what was found this time."""
        copies = set().union(*(found.copies for found in self.snapshots.values()))
        rows = [row for row in self.reading.rejections if row.origin not in copies]
        return rows + [row for found in self.snapshots.values() for row in found.rejections]

    def _all_rejections(self) -> list[Rejection]:
        """Return what was found, now and, of what was not read this time, before."""
        places = tuple(f"{name}{mark}" for name in self.sources for mark in ("/", "!"))
        there = self.reading.seen | {document.origin for document in self.gone if document.origin not in self.dropped}
        whole = {name for name, found in self.snapshots.items() if not found.kept}
        kept = [
            Rejection(**row)
            for row in self.writer.read("rejected").to_pylist()
            if row["origin"] in there
            or not (row["snapshot"] in whole or row["origin"] in self.sources or row["origin"].startswith(places))
        ]
        return [*kept, *self._rejections()]

    def _all_documents(self) -> pa.Table:
        """Return the table `documents` as it is now."""
        copies = set().union(*(found.copies for found in self.snapshots.values()))
        whole = {name for name, found in self.snapshots.items() if not found.kept}
        incomplete = self.reading.incomplete
        new = [
            document._replace(generation=None) if document.origin in copies else document
            for document in self.reading.documents.values()
            if document.snapshot not in incomplete
        ]
        left_out = self.dropped | {document.origin for document in new}
        snapshots = self.documents.column("snapshot")
        is_left_out = pc.or_(self._are(left_out), _is_in(snapshots, whole))
        # Of the sources that were read only what was there; of this, what could not be read has no snapshot.
        is_stale = pc.and_(_is_in(self.documents.column("source"), self.sources), pc.is_null(snapshots))
        is_stale = pc.and_not(is_stale, self._are(self.reading.seen))
        kept = self.documents.filter(pc.invert(pc.or_(is_left_out, is_stale)))
        if stamps := self.reading.stamped:
            pairs = zip(kept.column("origin").to_pylist(), kept.column("stamp").to_pylist(), strict=True)
            stamped = pa.array([stamps.get(origin, stamp) for origin, stamp in pairs], pa.string())
            kept = kept.set_column(kept.column_names.index("stamp"), kept.schema.field("stamp"), stamped)
        table = pa.concat_tables(
            [kept, pa.Table.from_pylist([document._asdict() for document in new], schema=DOCUMENTS.arrow())]
        )
        return table.sort_by([(name, "ascending") for name in DOCUMENTS.sort])


def _described(
    readers: Mapping[Source, Given], network: Network, sizes: bool, dataset: Path
) -> dict[str, dict[str, Any]]:
    """Return what the manifest says of sources, enough to open them again."""
    return {
        reader.name: {
            "kind": reader.kind,
            "location": _location(given.address, dataset),
            "snapshots": list(given.choice.snapshots),
            "stacks": list(given.choice.stacks),
            "allow_hosts": sorted(set(network.allow_hosts)),
            "signed": network.signed,
            "sizes": sizes,
        }
        for reader, given in readers.items()
    }


def _location(address: str, dataset: Path) -> str:
    """Return where a source is: an address without secrets, or a path from the dataset, so that both can be moved."""
    return (
        plain_address(address) if is_address(address) else os.path.relpath(Path(address).resolve(), dataset.resolve())
    )


def _given(dataset: Dataset, addresses: list[str], choice: Choice) -> list[Given]:
    """Return the sources to look at, those that the dataset remembers by the names and choices it knows them by."""
    remembered = {
        source["location"]: Given(
            source["location"] if is_address(source["location"]) else str(dataset.path / source["location"]),
            Choice(tuple(source["snapshots"]), tuple(source["stacks"])),
            name,
        )
        for name, source in dataset.manifest["sources"].items()
    }
    if not addresses:
        if not remembered:
            raise DatasetError(
                f"expected {dataset.path} to remember where it was read from, found no sources",
                hint="name the source: cachestats update DATASET SOURCE",
            )
        return list(remembered.values())
    given = []
    for address in addresses:
        known = remembered.get(_location(address, dataset.path))
        has_choice = bool(choice.snapshots or choice.stacks)
        given.append(Given(address, choice if has_choice or not known else known.choice, known.name if known else None))
    return given


def _is_in(column: pa.ChunkedArray, names: Collection[str]) -> pa.ChunkedArray:
    return pc.is_in(column, pa.array(list(names), pa.string()))


def _documents(table: pa.Table) -> list[Document]:
    return [Document(*row) for row in zip(*(column.to_pylist() for column in table.columns), strict=True)]


def _checked(max_rejected: float, threads: int | None) -> int:
    """Return the number of threads, once both arguments were looked at."""
    if not 0 <= max_rejected <= 1:
        raise ArgumentError(f"expected max_rejected from 0 to 1, found {max_rejected}", hint="0.01 is one percent")
    if threads is not None and threads < 1:
        raise ArgumentError(f"expected at least one thread, found {threads}", hint="leave threads out")
    return threads or _available_cpus()


def _names(specs: pa.Table, column: str) -> set[str]:
    """Return the distinct names in a column: its dictionary has no others."""
    return {name for chunk in specs.column(column).chunks for name in chunk.dictionary.to_pylist()}


def _hashes(specs: pa.Table) -> pa.Array:
    """Return the distinct hashes of a snapshot, which are in one dictionary."""
    chunks = specs.column("hash").chunks
    return chunks[0].dictionary if chunks else pa.array([], pa.string())


def _is_file_wide(row: Rejection) -> bool:
    return not row.place.startswith(("spec_details[", "database."))


def _most_common(rejections: list[Rejection]) -> str:
    rows = [row for row in rejections if row.severity == "error"]
    rule, count = Counter(row.rule for row in rows).most_common(1)[0]
    example = next(row for row in rows if row.rule == rule)
    return f"Most often ({counted(count, 'time')}): {example.message} ({example.origin}, {example.place})"


def _available_cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
