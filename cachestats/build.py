"""From sources to a dataset: read and parse in batches, put each snapshot together, publish them all at once.

Batches are parsed by a few threads (the parsers release the interpreter's lock) and laid down as Arrow files, a piece
a snapshot; once everything was read, each snapshot is put together from its pieces. So the order of pages does not
matter, a page may stand in any folder, and memory grows with the largest snapshot and not with the archive.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec
import pyarrow as pa

from cachestats import __version__
from cachestats.dataset import Dataset, Writer, open_dataset, reported
from cachestats.errors import ArgumentError, RejectedError, ShrinkError
from cachestats.naming import ROOT_STACK, counted, snapshot_kind, snapshot_order
from cachestats.parse.index import read_index
from cachestats.parse.pages import read_pages
from cachestats.parse.records import PageInfo, Piece
from cachestats.parse.tables import SnapshotTables, flatten
from cachestats.rejection import Rejection, to_table
from cachestats.schema import SCHEMA_VERSION, SNAPSHOTS, TABLES
from cachestats.sources import Batch, Index, Item, Page, Source, open_sources
from cachestats.targets import archspec_version, targets_table

logger = logging.getLogger(__name__)

_CHUNK_BYTES = 8 << 20
_ONE_INDEX = threading.Lock()  # an index may have hundreds of megabytes: never hold two

T = TypeVar("T")
R = TypeVar("R")


class Progress(Protocol):
    """Anything that wraps an iterable and shows how far it is, such as `tqdm.tqdm`."""

    def __call__(self, iterable: Iterable[T], /, *, desc: str, total: int | None, unit: str) -> Iterable[T]:
        """Return an iterable over the same items; `total` is their number, where that is known."""
        ...


def build_dataset(
    *sources: str | os.PathLike[str],
    out: str | os.PathLike[str],
    allow_shrink: bool = False,
    max_rejected: float = 0.01,
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
        Checkouts of the cache site (the root, `_cache`, one snapshot's folder, one page), or archives of one (.tar,
        .tar.gz, .tar.zst, .zip). Or folders of build-cache mirrors: `<snapshot>/`, with its stacks in
        `<snapshot>/<stack>/`, each of layout 1, 2 or 3; no more than their indices is read.
    out
        Folder of the dataset; made where it does not exist.
    allow_shrink
        Publish a snapshot also with less than half the specs it had.
    max_rejected
        Share (0 to 1) of the pages, and of the specs, that may be rejected.
    threads
        Number of worker threads; by default one for each CPU this process may use. Does not change the result.
    wait
        Seconds to wait for another process that is writing the same dataset.
    progress
        Wraps the iterables that are worked through, for a progress bar, such as `tqdm.tqdm`.

    Raises
    ------
    SourceError
        If a source cannot be read, holds neither page nor index, or an index is not what its checksum says.
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
    if not 0 <= max_rejected <= 1:
        raise ArgumentError(f"expected max_rejected from 0 to 1, found {max_rejected}", hint="0.01 is one percent")
    if threads is not None and threads < 1:
        raise ArgumentError(f"expected at least one thread, found {threads}", hint="leave threads out")
    readers = open_sources(sources)
    threads = threads or _available_cpus()
    progress = progress or _no_progress
    with Writer(out, wait=wait) as writer, ThreadPoolExecutor(threads) as pool:
        build = _Build(writer, pool, threads, progress)
        build.read(readers)
        build.put_together()
        build.check(max_rejected=max_rejected, allow_shrink=allow_shrink)
        build.publish(readers)
    return open_dataset(out)


@dataclass
class _Snapshot:
    """What is known of a snapshot while it is built, and after its tables were staged."""

    pieces: list[Path] = field(default_factory=list)
    sources: set[str] = field(default_factory=set)
    row: dict[str, Any] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    targets: set[str] = field(default_factory=set)
    rejections: list[Rejection] = field(default_factory=list)
    copies: set[str] = field(default_factory=set)


@dataclass
class _Chunk:
    """What came of some pages: pieces that were laid down, and rejections."""

    files: int
    pieces: list[tuple[str, Path]]
    rejections: list[Rejection]
    specs: int


class _Build:
    """One build: `read`, `put_together`, `check` and `publish`, in this order."""

    def __init__(self, writer: Writer, pool: ThreadPoolExecutor, threads: int, progress: Progress) -> None:
        self.writer, self.pool, self.threads, self.progress = writer, pool, threads, progress
        self.snapshots: dict[str, _Snapshot] = {}
        self.rejections: list[Rejection] = []
        self.files: Counter[str] = Counter()  # pages and indices
        self.entries = 0

    def read(self, readers: list[Source]) -> None:
        """Read all pages and indices and lay their specs down, a piece a chunk and snapshot."""
        batches = ((reader, number, batch) for reader in readers for number, batch in enumerate(reader.batches()))
        scratch = self.writer.scratch

        def parse(job: tuple[Source, int, Batch]) -> tuple[Source, list[_Chunk]]:
            reader, number, batch = job
            place = scratch / f"{readers.index(reader)}-{number}"
            return reader, [_parse(chunk, f"{place}-{part}") for part, chunk in enumerate(_chunks(batch()))]

        done = self.progress(self._map(parse, batches), desc="reading", total=None, unit="batch")
        for reader, chunks in done:
            for chunk in chunks:
                self.files[reader.name] += chunk.files
                self.entries += chunk.specs
                self.rejections += chunk.rejections
                for snapshot, piece in chunk.pieces:
                    found = self.snapshots.setdefault(snapshot, _Snapshot())
                    found.pieces.append(piece)
                    found.sources.add(reader.name)
        for reader in readers:
            files = counted(self.files[reader.name], "file")
            logger.info("%s: read %s, passed over %s others", reader.name, files, f"{reader.passed_over:,}")

    def put_together(self) -> None:
        """Make the tables of each snapshot and stage them."""
        now = datetime.now(UTC)

        def stage(name: str) -> str:
            found = self.snapshots[name]
            tables = flatten([_load(piece, name) for piece in found.pieces])
            made = {"specs": tables.specs, "variants": tables.variants, "dependencies": tables.dependencies}
            for table, data in made.items():
                self.writer.stage(table, data, name)
            # The tables end here: what is kept of all snapshots must not grow with them.
            found.rows = {table: data.num_rows for table, data in made.items()}
            found.targets = _names(tables, "target")
            found.rejections, found.copies = tables.rejections, tables.copies
            found.row = _snapshot_row(tables, found.sources) | {"read_at": now}
            return name

        names = sorted(self.snapshots, key=snapshot_order)
        for name in self.progress(self._map(stage, names), desc="writing snapshots", total=len(names), unit="snapshot"):
            found = self.snapshots[name]
            self.rejections = [row for row in self.rejections if row.origin not in found.copies] + found.rejections
            specs, packages = found.row["num_specs"], found.row["num_packages"]
            logger.info("%s: %s of %s", name, counted(specs, "spec"), counted(packages, "package"))

    def check(self, *, max_rejected: float, allow_shrink: bool) -> None:
        """Refuse to publish what is implausible."""
        of_pages = [row for row in self.rejections if row.severity == "error" and _is_page_wide(row)]
        lost_pages, pages = len({row.origin for row in of_pages}), sum(self.files.values())
        lost_specs = sum(row.num_specs or 0 for row in self.rejections)
        # What is rejected of a page's `spec_details` was counted as read; pages and records of an index were not.
        specs = self.entries + sum(
            row.num_specs or 0 for row in self.rejections if not row.place.startswith("spec_details[")
        )
        for lost, total, what in ((lost_pages, pages, "pages"), (lost_specs, specs, "specs")):
            if lost > max_rejected * total:
                raise RejectedError(
                    f"expected at most {max_rejected:.1%} of the {what} to be rejected, found {lost:,} of {total:,} "
                    f"({lost / total:.1%}); nothing was published. {_most_common(self.rejections)}",
                    hint="mend the source, or allow more with --max-rejected (1 allows everything)",
                )
        if allow_shrink or self.writer.manifest is None:
            return
        before = self.writer.manifest["snapshots"]
        for name, found in self.snapshots.items():
            old, new = before.get(name, {}).get("num_specs", 0), found.row["num_specs"]
            if 2 * new < old:
                raise ShrinkError(
                    f"expected at least half of the {old:,} specs of {name}, found {new:,}; nothing was published",
                    hint="check that the source is whole, or publish it all the same with --allow-shrink",
                )

    def publish(self, readers: list[Source]) -> None:
        """Stage the small tables beside the snapshots and publish everything."""
        old = self.writer.manifest or {"sources": {}, "snapshots": {}}
        rejected_by_snapshot: Counter[str | None] = Counter()
        for rejection in self.rejections:
            rejected_by_snapshot[rejection.snapshot] += rejection.num_specs or 0
        rows = [row for row in self.writer.read("snapshots").to_pylist() if row["snapshot"] not in self.snapshots]
        rows += [found.row | {"num_rejected": rejected_by_snapshot[name]} for name, found in self.snapshots.items()]
        rows.sort(key=lambda row: str(row["snapshot"]))
        snapshots = pa.Table.from_pylist(rows, schema=SNAPSHOTS.arrow())

        places = tuple(f"{reader.name}{mark}" for reader in readers for mark in ("/", "!"))
        read_again = {reader.name for reader in readers}
        kept = [
            Rejection(**row)
            for row in self.writer.read("rejected").to_pylist()
            if row["snapshot"] not in self.snapshots
            and row["origin"] not in read_again
            and not row["origin"].startswith(places)
        ]
        rejected = to_table([*kept, *self.rejections])
        known = self.writer.read("targets").column("target").to_pylist()
        targets = targets_table(set(known).union(*(found.targets for found in self.snapshots.values())))

        counts = old["snapshots"] | {
            name: {"num_specs": found.row["num_specs"], "rows": found.rows} for name, found in self.snapshots.items()
        }
        sources = old["sources"] | {
            reader.name: {"kind": reader.kind, "files": self.files[reader.name], "passed_over": reader.passed_over}
            for reader in readers
        }
        for name, table in (("snapshots", snapshots), ("targets", targets), ("rejected", rejected)):
            self.writer.stage(name, table)
        self.writer.publish(
            {
                "schema_version": SCHEMA_VERSION,
                "made_by": {"cachestats": __version__, "archspec": archspec_version()},
                "sources": dict(sorted(sources.items())),
                "snapshots": dict(sorted(counts.items())),
                "tables": {
                    **{
                        name: sum(snapshot["rows"][name] for snapshot in counts.values())
                        for name, declared in TABLES.items()
                        if declared.by_snapshot
                    },
                    "snapshots": snapshots.num_rows,
                    "targets": targets.num_rows,
                    "rejected": rejected.num_rows,
                },
            }
        )

    def _map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Apply a function in the threads, in order, taking items only as fast as they are worked off."""
        waiting: deque[Future[R]] = deque()
        try:
            for item in items:
                waiting.append(self.pool.submit(function, item))
                if len(waiting) > self.threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Cut a batch into chunks of some megabytes; an index is a chunk of its own."""
    chunk: list[Item] = []
    size = 0
    for item in items:
        length = len(item.data) if isinstance(item, Page) else _CHUNK_BYTES if isinstance(item, Index) else 0
        if chunk and size + length > _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append(item)
        size += length
    if chunk:
        yield chunk


def _parse(chunk: list[Item], place: str) -> _Chunk:
    """Parse some pages or an index, and lay the pieces down in files whose names begin with `place`."""
    found = _Chunk(len(chunk), [], [item for item in chunk if isinstance(item, Rejection)], 0)
    for item in chain(
        read_pages(item for item in chunk if isinstance(item, Page)),
        (_parse_index(item) for item in chunk if isinstance(item, Index)),
    ):
        if isinstance(item, Rejection):
            found.rejections.append(item)
            continue
        path = Path(f"{place}-{len(found.pieces)}.arrow")
        found.rejections += item.rejections
        found.specs += sum(page.num_specs for page in item.pages)
        found.pieces.append((item.snapshot, path))
        records = item.records.replace_schema_metadata(
            {"pages": msgspec.json.encode(item.pages), "is_part_of_stacks": str(int(item.is_part_of_stacks))}
        )
        with reported(path.parent):
            _lay_down(records, path)
            _lay_down(item.dependencies, _edges_beside(path))
    return found


def _parse_index(index: Index) -> Piece | Rejection:
    with _ONE_INDEX:
        return read_index(index.read(), origin=index.origin, snapshot=index.snapshot, stack=index.stack)


def _load(path: Path, snapshot: str) -> Piece:
    with pa.memory_map(str(path)) as file:
        records = pa.ipc.open_file(file).read_all()
    with pa.memory_map(str(_edges_beside(path))) as file:
        edges = pa.ipc.open_file(file).read_all()
    metadata = records.schema.metadata or {}
    pages = msgspec.json.decode(metadata[b"pages"], type=list[PageInfo])
    is_part_of_stacks = metadata[b"is_part_of_stacks"] == b"1"
    return Piece(snapshot, pages, records, dependencies=edges, is_part_of_stacks=is_part_of_stacks)


def _lay_down(table: pa.Table, path: Path) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as ipc:
        ipc.write_table(table)


def _edges_beside(path: Path) -> Path:
    return path.with_suffix(".edges")


def _snapshot_row(tables: SnapshotTables, sources: set[str]) -> dict[str, Any]:
    kind, day = snapshot_kind(tables.snapshot)
    return {
        "snapshot": tables.snapshot,
        "kind": kind,
        "snapshot_date": day,
        "source": "; ".join(sorted(sources)),
        "generation": "+".join(sorted({page.generation for page in tables.pages})),
        "num_pages": len({page.origin for page in tables.pages}),
        "num_packages": len(_names(tables, "package")),
        "num_specs": tables.num_specs,
        "num_stacks": len(_names(tables, "stack") - {ROOT_STACK}),
    }


def _names(tables: SnapshotTables, column: str) -> set[str]:
    return {name for chunk in tables.specs.column(column).chunks for name in chunk.dictionary.to_pylist()}


def _is_page_wide(row: Rejection) -> bool:
    return not row.place.startswith(("spec_details[", "database."))


def _most_common(rejections: list[Rejection]) -> str:
    rows = [row for row in rejections if row.severity == "error"]
    rule, count = Counter(row.rule for row in rows).most_common(1)[0]
    example = next(row for row in rows if row.rule == rule)
    return f"Most often ({counted(count, 'time')}): {example.message} ({example.origin}, {example.place})"


def _available_cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _no_progress(iterable: Iterable[T], /, *, desc: str, total: int | None, unit: str) -> Iterable[T]:
    return iterable
