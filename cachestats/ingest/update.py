"""Bring a dataset up to date: read what changed, and put it into the tables of its snapshots."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from cachestats.dataset.dataset import open_dataset
from cachestats.dataset.writer import Writer
from cachestats.errors import ArgumentError, DatasetError
from cachestats.ingest.build import Build, Snapshot, checked_threads, location_of, made_by, named
from cachestats.ingest.inputs import Mask
from cachestats.ingest.sizes import NO_SIZE
from cachestats.ingest.workers import Progress, Workers
from cachestats.naming import snapshot_order
from cachestats.rejection import rejected_table
from cachestats.sources.detect import open_sources
from cachestats.sources.items import Previous, Source
from cachestats.sources.request import Selection, SourceRequest
from cachestats.sources.storage.base import Network
from cachestats.sources.storage.urls import is_url

if TYPE_CHECKING:
    import polars as pl

logger = logging.getLogger(__name__)

_ACROSS_PAGES = frozenset({"duplicate-hash", "second-page", "stacks-disagree"})
"""Rules that more than one page or index has a part in."""


def update_dataset(
    path: str | os.PathLike[str],
    *sources: str | os.PathLike[str],
    prune: bool = False,
    recheck: bool = False,
    snapshots: Iterable[str] = (),
    stacks: Iterable[str] = (),
    allow_shrink: bool = False,
    max_rejected: float = 0.01,
    sizes: bool = False,
    network: Network | None = None,
    threads: int | None = None,
    wait: float = 600.0,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """Bring a dataset up to date with its sources, and return what came, changed and went.

    Only what changed is read: a page whose size or date is another one, and taken in only if its content is; an index
    whose checksum or entity tag is another one. What is gone from a source stays in the dataset, unless `prune` says
    otherwise. Where nothing changed, nothing is written.

    Parameters
    ----------
    path
        The dataset's folder.
    *sources
        Sources to look at, which the dataset remembers from then on; by default those that it remembers, with the
        `snapshots`, `stacks`, `sizes`, hosts and signing that they were given with.
    prune
        Drop what is gone from the sources.
    recheck
        Trust neither dates nor tags, and read everything again. Otherwise also the weekly snapshots and releases of
        servers, which do not change once they are published, are not asked about again.
    snapshots, stacks
        Look at no others; where no source is named, only this time.
    allow_shrink, max_rejected, network, threads, wait, progress
        As in `build_dataset`.
    sizes
        Read the sizes of binaries from now on; those that were not found before are looked for again.

    Returns
    -------
    One row per snapshot in which something came, changed or went, the newest last: `snapshot, change, files_came,
    files_changed, files_gone` (pages and indices), `specs_added, specs_removed, num_specs`. The change is `came`,
    `changed`, `went`, `kept` (something is gone from the source now, and kept in the dataset) or `failed` (an index
    could not be read, and the snapshot was left as it was).

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

    threads = checked_threads(threads, max_rejected)
    open_dataset(path)  # there has to be one
    selection = Selection(tuple(snapshots), tuple(stacks))
    with Writer(path, wait=wait) as writer, ThreadPoolExecutor(threads) as pool:
        asked = [SourceRequest(os.fspath(source), selection, network or Network(), sizes) for source in sources]
        given = _given(writer, asked, SourceRequest("", selection, network or Network(), sizes))
        update = _Update(writer, Workers(pool, threads, progress), open_sources(given))
        if not sources:
            update.remember_first_choices()
        update.read_changes(recheck=recheck, prune=prune, sizes=sizes)
        update.check(max_rejected=max_rejected, allow_shrink=allow_shrink)
        if update.is_changed:
            update.publish()
    counts = ("files_came", "files_changed", "files_gone", "specs_added", "specs_removed", "num_specs")
    schema = {"snapshot": pl.String, "change": pl.String} | dict.fromkeys(counts, pl.Int64)
    return pl.DataFrame(update.changes(), schema=schema)


def _given(writer: Writer, asked: list[SourceRequest], default: SourceRequest) -> list[SourceRequest]:
    """Return the sources to look at: those asked for, or all remembered, as they were given first."""
    remembered: dict[str, dict[str, Any]] = (writer.manifest or {"sources": {}})["sources"]
    if not asked:
        if not remembered:
            raise DatasetError(
                f"expected {writer.path} to remember where it was read from, found no sources",
                hint="name the source: cachestats update DATASET SOURCE",
            )
        places = [source["location"] for source in remembered.values()]
        places = [place if is_url(place) else os.path.normpath(writer.path / place) for place in places]
        asked = [replace(default, address=place) for place in places]
    by_location = {source["location"]: source for source in remembered.values()}
    return [_as_before(one, by_location.get(location_of(one.address, writer.path))) for one in named(asked, writer)]


def _as_before(given: SourceRequest, source: Mapping[str, Any] | None) -> SourceRequest:
    if source is None:
        return given
    selection = Selection(
        given.selection.snapshots or tuple(source["snapshots"]), given.selection.stacks or tuple(source["stacks"])
    )
    hosts = tuple(sorted({*given.network.allow_hosts, *source["allow_hosts"]}))
    network = replace(given.network, allow_hosts=hosts, signed=given.network.signed or source["signed"])
    return replace(given, selection=selection, network=network, sizes=given.sizes or source["sizes"])


class _Update(Build):
    """One update: `read_changes`, then `check` and `publish`."""

    def __init__(self, writer: Writer, workers: Workers, sources: Mapping[Source, SourceRequest]) -> None:
        super().__init__(writer, workers, sources)
        self.now_gone = self.inputs.are(())

    def remember_first_choices(self) -> None:
        """Remember what was chosen of the sources before, and not what was for this time."""
        for name, source in self.sources.items():
            before = self.manifest["sources"][name]
            source |= {"snapshots": before["snapshots"], "stacks": before["stacks"]}

    def read_changes(self, *, recheck: bool, prune: bool, sizes: bool) -> None:
        """Read what changed, and make the snapshots in which something did."""
        known = Previous(
            self._fingerprints(),
            self.inputs.column("digest"),
            self.inputs.labels(),
            self._to_read_again(sizes),
            recheck,
        )
        self.reading = self.read_sources(known, "new")
        self._plan(prune=prune)
        tangled = {name for name, found in self.snapshots.items() if found.is_tangled or self._is_doubtful(name)}
        tangled |= self.put_together(name for name in self.snapshots if name not in tangled)
        if tangled:
            self._read_whole(known, tangled)

    @property
    def is_changed(self) -> bool:
        """Whether there is anything to publish."""
        counts = {"files", "passed_over"}  # which folders are looked into depends on what is known
        sources = [
            {
                name: {key: value for key, value in source.items() if key not in counts}
                for name, source in one.items()
                if name in self.sources
            }
            for one in (self.sources, self.manifest["sources"])
        ]
        return bool(
            self.snapshots
            or self.left_out.any()
            or self.new_inputs()
            or self.reading.new_fingerprints
            or (self.gone() != super().gone()).any()
            or sources[0] != sources[1]
            or self.manifest["made_by"] != made_by()
            or not self.rejected.equals(rejected_table(self.all_rejections()))
        )

    def gone(self) -> Mask:
        """Return which documents are gone from their sources."""
        is_here = self.inputs.are(self.reading.unchanged)
        result: Mask = (super().gone() & ~is_here) | self.now_gone
        return result

    def changes(self) -> list[dict[str, Any]]:
        """Return what came, changed and went, a row a snapshot."""
        new = self.now_gone & ~super().gone() | self.left_out & self.now_gone
        gone = Counter(input_.snapshot for input_ in self.inputs.take(new))
        before = self.manifest["snapshots"]
        rows = []
        for name in sorted({*self.snapshots, *filter(None, gone), *self.reading.incomplete}, key=snapshot_order):
            found = self.snapshots.get(name, Snapshot())
            digests = {input_.origin: input_.digest for input_ in found.left_out}
            came = [input_ for input_ in found.read if input_.origin not in digests]
            changed = [input_ for input_ in found.read if digests.get(input_.origin, input_.digest) != input_.digest]
            if name in self.snapshots:
                change = ("changed" if name in before else "came") if found.row else "went"
                num_specs = found.row.get("num_specs", 0)
            else:
                change = "failed" if name in self.reading.incomplete else "kept"
                num_specs = before.get(name, {}).get("num_specs", 0)
            rows.append(
                {
                    "snapshot": name,
                    "change": change,
                    "files_came": len(came),
                    "files_changed": len(changed),
                    "files_gone": gone[name],
                    "specs_added": found.specs_added,
                    "specs_removed": found.specs_removed,
                    "num_specs": num_specs,
                }
            )
        return rows

    def _to_read_again(self, sizes: bool) -> frozenset[str]:
        """Return the origins of what has to be read although it did not change."""
        inputs, origins = self.inputs, self.inputs.table.column("origin")
        if self.manifest["made_by"] != made_by():
            logger.info("everything is read again, since another version of cachestats made the dataset")
            return frozenset(inputs.rows)
        before = self.manifest["sources"]
        # Sizes were not asked for before, or not all of them were found.
        new = [name for name, one in self.sources.items() if one["sizes"] and not before.get(name, {}).get("sizes")]
        again = inputs.have("source", new)
        if sizes:
            lacking = self.rejected.filter(pc.equal(self.rejected.column("rule"), NO_SIZE)).column("snapshot")
            again |= inputs.have("snapshot", lacking.to_pylist())
        again &= ~inputs.have("stack", [None])
        return frozenset(origins.filter(pa.array(again)).to_pylist())

    def _fingerprints(self) -> dict[str, str | None]:
        """Return the stamps that tell whether something changed.

        An archive has one stamp for all that is in it, whatever was taken of it: where another choice is made, none.
        """
        fingerprints: dict[str, str | None] = {**self.inputs.column("fingerprint")}
        before = self.manifest["sources"]
        for reader in self.readers:
            selection = {"snapshots": list(reader.selection.snapshots), "stacks": list(reader.selection.stacks)}
            if reader.name in before and before[reader.name] | selection != before[reader.name]:
                for input_ in self.inputs.take(self.inputs.have("source", [reader.name])):
                    fingerprints[input_.origin] = None
        return fingerprints

    def _plan(self, *, prune: bool) -> None:
        """Find out which snapshots something was read of, or is gone from, and what of them is kept."""
        reading, inputs = self.reading, self.inputs
        is_here = inputs.are(reading.unchanged | reading.inputs.keys() | reading.refused)
        looked_at = inputs.have("source", self.sources)
        gone = inputs.take(looked_at & ~is_here & ~self._incomplete())
        choices = {reader.name: reader.selection for reader in self.readers}
        gone = [one for one in gone if choices[one.source].takes(one.snapshot, one.stack)]
        # What was moved is not gone; what could not be read need not be remembered.
        subjects = {input_.subject for input_ in reading.inputs.values()}
        dropped = {one.origin for one in gone if prune or one.snapshot is None or one.subject in subjects}
        self.now_gone = inputs.are(one.origin for one in gone if one.subject not in subjects)
        self.left_out = (inputs.are(reading.inputs) | inputs.are(dropped)) & ~self._incomplete()
        for input_ in self.publishable():
            self.snapshots.setdefault(str(input_.snapshot), Snapshot()).read.append(input_)
        for input_ in inputs.take(self.left_out):
            if input_.snapshot is not None:
                self.snapshots.setdefault(input_.snapshot, Snapshot()).left_out.append(input_)
        for name, found in self.snapshots.items():
            origins = {input_.origin for input_ in found.left_out}
            found.kept = [input_ for input_ in inputs.of_snapshot(name) if input_.origin not in origins]

    def _is_doubtful(self, name: str) -> bool:
        """Whether pages of a snapshot contradicted each other, so that what one says depends on the others."""
        rules = self.rejected.filter(pc.equal(self.rejected.column("snapshot"), name)).column("rule").to_pylist()
        kept = self.snapshots[name].kept
        return bool(kept) and (not _ACROSS_PAGES.isdisjoint(rules) or any(one.is_copy for one in kept))

    def _read_whole(self, known: Previous, names: set[str]) -> None:
        """Read everything of some snapshots, and make them as if for the first time."""
        others = {one.source for name in names for one in self.snapshots[name].kept} - self.sources.keys()
        if others:
            raise ArgumentError(
                f"expected all sources of {', '.join(sorted(names))}, found that {', '.join(sorted(others))} "
                "has a part in it",
                hint="update without naming a source, to look at all; if one was moved, build from its new place",
            )
        reading = self.reading
        wanted = {
            name: {one.origin for one in (*self.snapshots[name].kept, *self.snapshots[name].read)} for name in names
        }
        new = reading.inputs
        whole = self.read_sources(
            Previous(
                {**known.fingerprints, **{origin: one.fingerprint for origin, one in new.items()}},
                {**known.digests, **{origin: one.digest for origin, one in new.items()}},
                {
                    **known.labels,
                    **{origin: (str(one.snapshot), one.stack) for origin, one in new.items() if one.stack},
                },
                frozenset().union(*wanted.values()),
            ),
            "whole",
        )
        for name, origins in wanted.items():
            found = self.snapshots[name]
            found.read = [one for origin, one in whole.inputs.items() if origin in origins and one.snapshot == name]
            if len(found.read) < len(origins) or name in whole.incomplete:
                # Something is gone that contradicted something else, or changes just now.
                logger.warning(
                    "%s: left as it was, since files that are gone contradict others; --prune drops them", name
                )
                reading.incomplete.add(name)
                del self.snapshots[name]
                continue
            found.left_out += found.kept
            found.kept = []
            reading.inputs |= {one.origin: one for one in found.read}
            reading.unchanged -= origins
            reading.fragments[name] = whole.fragments[name]
            reading.mirrors[name] = whole.mirrors.get(name, {})
            reading.rejections = [row for row in reading.rejections if row.origin not in origins]
            reading.rejections += [row for row in whole.rejections if row.origin in origins]
        done = names & self.snapshots.keys()
        self.left_out |= self.inputs.have("snapshot", done)
        self.left_out &= ~self._incomplete()
        self.put_together(done)
