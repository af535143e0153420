"""Read sources: parse their pages and indices in a few workers, and write the specs as fragments of one snapshot each.

Read tasks are parsed by a few workers, and their fragments are written as Arrow files. So the order of pages does not
matter, a page may be in any folder, and only facts about the inputs are kept in memory.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
import pyarrow as pa

from cachestats.decode import decode
from cachestats.errors import SourceError, reported
from cachestats.findings import Finding
from cachestats.ingest.inputs import Input
from cachestats.ingest.look import log_files
from cachestats.ingest.workers import Workers
from cachestats.parse.index import read_index
from cachestats.parse.pages import read_pages
from cachestats.parse.records import Fragment, PageInfo
from cachestats.sources.items import FailedIndex, Index, Item, Mirror, Page, Previous, ReadTask, Source, Unchanged
from cachestats.sources.mirror import IndexTask

logger = logging.getLogger(__name__)

_CHUNK_BYTES = 8 << 20
_ONE_INDEX = threading.Lock()  # an index may have hundreds of megabytes: never hold two in memory
_DIGEST_LENGTH = 32


@dataclass
class ReadResult:
    """The result of reading some sources."""

    fragments: dict[str, list[Path]] = field(default_factory=dict)
    """The fragments of each snapshot."""
    mirrors: dict[str, dict[str, Mirror]] = field(default_factory=dict)
    """For each snapshot the mirrors of its stacks that have sizes."""
    inputs: dict[str, Input] = field(default_factory=dict)
    """The inputs that were read, by origin."""
    unchanged: set[str] = field(default_factory=set)
    """Origins of inputs whose contents did not change, whether their fingerprints did or not."""
    new_fingerprints: dict[str, str | None] = field(default_factory=dict)
    """The new fingerprints of inputs whose contents did not change."""
    findings: list[Finding] = field(default_factory=list)
    errors: list[SourceError] = field(default_factory=list)
    """Reasons why indices could not be read."""
    refused: set[str] = field(default_factory=set)
    """Origins of files that exist and were not read, or could not be."""
    incomplete: set[str] = field(default_factory=set)
    """Snapshots with an index that could not be fetched or read."""
    num_settled: int = 0
    """The number of pages that a look had already found unchanged; they are not in `unchanged`."""
    files: Counter[str] = field(default_factory=Counter)
    """Pages and indices of each source, read or not."""

    def new_inputs(self) -> Iterator[Input]:
        """Yield the inputs that were read, except those of snapshots that stay as they were."""
        return (one for one in self.inputs.values() if one.snapshot not in self.incomplete)

    def add(self, other: ReadResult) -> None:
        """Add the result of reading another part of the sources."""
        for snapshot, paths in other.fragments.items():
            self.fragments.setdefault(snapshot, []).extend(paths)
        for snapshot, mirrors in other.mirrors.items():
            self.mirrors.setdefault(snapshot, {}).update(mirrors)
        self.inputs |= other.inputs
        self.unchanged |= other.unchanged
        self.new_fingerprints |= other.new_fingerprints
        self.findings += other.findings
        self.errors += other.errors
        self.refused |= other.refused
        self.incomplete |= other.incomplete
        self.num_settled += other.num_settled
        self.files += other.files


def read_sources(sources: list[Source], previous: Previous, workers: Workers, scratch: Path) -> ReadResult:
    """Read everything in some sources that changed, and write its specs to the new folder `scratch`.

    Raises
    ------
    SourceError
        If a source cannot be read, or if nothing in any source could be read.
    DatasetError
        If the folder cannot be made.
    """
    with reported(scratch):
        scratch.mkdir()
    jobs = (
        _Job(source, task, f"{scratch}/{place}-{number}")
        for place, source in enumerate(sources)
        for number, task in enumerate(source.batches(previous))
    )
    # What is known of a hundred thousand inputs is not sent along: where there are any, most are unchanged.
    may_leave = _may_leave if not previous.fingerprints else lambda _: False
    parsed = workers.map(partial(_parse, previous=previous), jobs, may_leave=may_leave)
    result = ReadResult()
    for part in workers.progress(parsed, desc="reading", total=None, unit="batch"):
        result.add(part)
    if result.errors and not result.inputs and not result.unchanged and not result.num_settled:
        raise result.errors[0]
    for source in sources:
        if source.selection.snapshots and not result.files[source.name]:
            wanted = ", ".join(source.selection.snapshots)
            raise SourceError(f"expected {wanted} in {source.name}, found no files of it", hint="check --snapshot")
        log_files(source, result.files[source.name])
    for name in sorted(result.incomplete):
        logger.warning("%s: left as it was, because it could not be read completely", name)
    return result


class _Job(NamedTuple):
    """A read task, its source, and what the paths of its fragments begin with."""

    source: Source
    task: ReadTask
    prefix: str


def _may_leave(job: _Job) -> bool:
    """Whether another process can read: pages on disk; but one index at a time is read, and servers are asked here."""
    return job.source.kind == "folder" and not isinstance(job.task, IndexTask)


def _parse(job: _Job, previous: Previous) -> ReadResult:
    found = ReadResult()
    for part, chunk in enumerate(chunks(job.task())):
        found.add(parse_chunk(chunk, job.source, previous, f"{job.prefix}-{part}"))
    return found


def load_fragment(path: Path, snapshot: str) -> Fragment:
    """Return a fragment from its files; the columns are memory-mapped, not read."""
    with pa.memory_map(str(path)) as records, pa.memory_map(str(edges_beside(path))) as edges:
        return read_fragment(records, edges, snapshot)


def read_fragment(records_file: pa.NativeFile, edges_file: pa.NativeFile, snapshot: str) -> Fragment:
    """Return a fragment, given the two files to which it was written."""
    records, edges = (pa.ipc.open_file(file).read_all() for file in (records_file, edges_file))
    metadata = records.schema.metadata or {}
    pages = decode(metadata[b"pages"], list[PageInfo])
    is_part_of_stacks = metadata[b"is_part_of_stacks"] == b"1"
    return Fragment(snapshot, pages, records, dependencies=edges, is_part_of_stacks=is_part_of_stacks)


def chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Split the items of a read task into chunks of some megabytes; an index is a chunk of its own."""
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


def parse_chunk(chunk: list[Item], reader: Source, previous: Previous, prefix: str) -> ReadResult:
    """Parse some pages or an index, and write the fragments to files whose paths begin with `prefix`."""
    found = ReadResult()
    source = reader.name
    pages: list[Page] = []
    number = 0
    for item in chunk:
        if isinstance(item, Unchanged):
            found.files[source] += len(item.origins) + item.num_settled
            found.num_settled += item.num_settled
            found.unchanged.update(item.origins)
            continue
        if isinstance(item, FailedIndex):
            _fail(item, found)
        elif isinstance(item, Finding):
            found.findings.append(item)
            found.refused.add(item.origin)
            if item.severity == "warning":
                continue
        elif isinstance(item, Page):
            pages.append(item)
        else:
            number += 1
            _parse_index(item, reader, previous, f"{prefix}-i{number}.arrow", found)
        found.files[source] += 1
    _parse_pages(pages, reader, previous, prefix, found)
    found.findings = [one._replace(source=source) for one in found.findings]
    return found


def _fail(failed: FailedIndex, found: ReadResult) -> None:
    found.findings.append(failed.finding())
    found.errors.append(failed.error)
    found.incomplete.add(failed.snapshot)
    found.refused.add(failed.origin)


def _parse_pages(pages: list[Page], reader: Source, previous: Previous, prefix: str, found: ReadResult) -> None:
    changed: list[Page] = []
    digests: dict[str, str] = {}
    for page in pages:
        digest = hashlib.sha256(page.data).hexdigest()[:_DIGEST_LENGTH]
        if previous.holds(page.origin, digest):
            found.unchanged.add(page.origin)
            if page.fingerprint != previous.fingerprints.get(page.origin):
                found.new_fingerprints[page.origin] = page.fingerprint
        else:
            changed.append(page)
            digests[page.origin] = digest
    infos: dict[str, tuple[str, PageInfo]] = {}
    not_wanted: set[str] = set()
    for number, fragment in enumerate(read_pages(changed, reader.limits)):
        if isinstance(fragment, Finding):
            found.findings.append(fragment)
        elif not reader.selection.takes(fragment.snapshot):  # the folder may not name the snapshot
            not_wanted.update(info.origin for info in fragment.pages)
        else:
            _write_fragment(fragment, Path(f"{prefix}-{number}.arrow"), found)
            infos.update((info.origin, (fragment.snapshot, info)) for info in fragment.pages)
    found.files[reader.name] -= len(not_wanted)
    for page in changed:
        if page.origin in not_wanted:
            continue
        snapshot, info = infos.get(page.origin, (None, None))
        found.inputs[page.origin] = Input(
            source=reader.name,
            origin=page.origin,
            snapshot=snapshot,
            package=info.package if info else None,
            stack=None,
            generation=info.generation if info else None,
            num_specs=info.num_specs if info else None,
            is_copy=False,
            is_gone=False,
            fingerprint=page.fingerprint,
            digest=digests[page.origin],
        )


def _parse_index(index: Index, reader: Source, previous: Previous, path: str, found: ReadResult) -> None:
    with _ONE_INDEX:
        try:
            content = index.read()
        except SourceError as error:
            _fail(FailedIndex(index.origin, index.snapshot, error), found)
            return
        digest = content.digest[:_DIGEST_LENGTH]
        # What was left out of it is looked for again, whether the rest changes or not.
        is_whole = all(one.severity != "error" for one in content.findings)
        fingerprint = index.fingerprint if is_whole else None
        if previous.holds(index.origin, digest, (index.snapshot, index.stack)):
            found.unchanged.add(index.origin)
            found.findings += content.findings
            if fingerprint != previous.fingerprints.get(index.origin):
                found.new_fingerprints[index.origin] = fingerprint
            return
        names = {"origin": index.origin, "snapshot": index.snapshot, "stack": index.stack}
        fragment = read_index(content.data, **names, limits=reader.limits)
    if isinstance(fragment, Finding):
        found.findings.append(fragment)
        found.incomplete.add(index.snapshot)
        found.refused.add(index.origin)
        return
    _write_fragment(fragment, Path(path), found)
    found.findings += content.findings
    if index.mirror:
        found.mirrors.setdefault(index.snapshot, {})[index.stack] = index.mirror
    found.inputs[index.origin] = Input(
        source=reader.name,
        origin=index.origin,
        snapshot=index.snapshot,
        package=None,
        stack=index.stack,
        generation=fragment.generation,
        num_specs=sum(page.num_specs for page in fragment.pages),
        is_copy=False,
        is_gone=False,
        fingerprint=fingerprint,
        digest=digest,
    )


def _write_fragment(fragment: Fragment, path: Path, found: ReadResult) -> None:
    found.findings += fragment.findings
    found.fragments.setdefault(fragment.snapshot, []).append(path)
    records = fragment.records.replace_schema_metadata(
        {"pages": msgspec.json.encode(fragment.pages), "is_part_of_stacks": str(int(fragment.is_part_of_stacks))}
    )
    with reported(path.parent):
        _write(records, path)
        _write(fragment.dependencies, edges_beside(path))


def _write(table: pa.Table, path: Path) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as ipc:
        ipc.write_table(table)


def edges_beside(path: Path) -> Path:
    """Return the path of the file with the dependencies of a fragment."""
    return path.with_suffix(".edges")
