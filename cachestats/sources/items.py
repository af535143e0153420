"""Types and functions shared by all sources: the items they yield, the names of pages, and the size limit of a page."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, get_args

from cachestats.errors import SourceError
from cachestats.findings import Finding
from cachestats.naming import snapshot_kind
from cachestats.sources.request import Selection
from cachestats.sources.storage.base import Fingerprint
from cachestats.sources.storage.input_limits import InputLimits
from cachestats.sources.storage.transfer import MissingError
from cachestats.text import storable

ArchiveKind = Literal["tar", "tar.gz", "tar.zst", "zip"]
SourceKind = Literal[ArchiveKind, "folder", "page", "catalogue", "index", "oci"]
"""The kind of a source, as datasets remember it."""

SOURCES: Mapping[str, Sequence[SourceKind]] = {
    "a checkout of the cache site": ("folder", "page"),
    "an archive of one": get_args(ArchiveKind),
    "a build-cache mirror": ("folder",),
    "a folder of mirrors": ("folder",),
    "a catalogue": ("catalogue",),
    "an index": ("index",),
    "an OCI build cache": ("oci",),
    "the database of an installation": ("index",),
}
"""What can be read, in the words of messages, with the kinds of source that it can be."""
EXPECTED = " or ".join((", ".join([*SOURCES][:-1]), [*SOURCES][-1]))
"""Everything that can be read, for messages."""

MAX_PAGE_BYTES = 128 << 20
"""Larger files are rejected unread. The largest page of the public site has about 3 MB."""


class Page(NamedTuple):
    """The bytes of one page, their origin, and the snapshot and package that its folders name."""

    origin: str
    data: bytes
    fingerprint: Fingerprint = None
    folder_snapshot: str | None = None
    folder_package: str | None = None


class Content(NamedTuple):
    """The bytes of an index, and the checksum of its file as stored, or of the spec files that it was made of."""

    data: bytes | bytearray
    digest: str
    findings: Sequence[Finding] = ()
    """What is wrong with the spec files, if it was made of some."""


class BinarySize(NamedTuple):
    """The size of a binary in bytes, None if its manifest does not tell, and whether the manifest is signed."""

    num_bytes: int | None
    is_signed: bool = False


class Mirror(Protocol):
    """A mirror or a cache that tells the sizes of its binaries."""

    def size(self, package: str, version: str, hash_: str) -> BinarySize | None:
        """Return the size of the binary of a spec, or None if it has no manifest.

        Raises
        ------
        SourceError
            If there is a manifest, and it cannot be read.
        """
        ...


@dataclass(frozen=True)
class Index:
    """The index of one stack of a snapshot; it may have hundreds of megabytes, so it is read only when it is parsed."""

    origin: str
    snapshot: str
    stack: str
    fingerprint: Fingerprint
    read: Callable[[], Content]
    mirror: Mirror | None = None
    """The mirror that has the sizes of its specs, if any."""


@dataclass(frozen=True)
class Unchanged:
    """Pages and indices that have not changed since they were read, according to their fingerprints."""

    origins: Sequence[str]
    num_settled: int = 0
    """The number of further pages, in settled folders."""


@dataclass(frozen=True)
class FailedIndex:
    """An index that cannot be read; its snapshot is then not published."""

    origin: str
    snapshot: str
    error: SourceError

    def finding(self) -> Finding:
        """Return the finding for the table `rejected`."""
        rule = "missing" if isinstance(self.error, MissingError) else "unreadable"
        hint = self.error.hint or "fetch it again"
        return Finding(self.origin, "file", rule, self.error.message, hint, num_specs=None, snapshot=self.snapshot)


Item = Page | Index | Unchanged | FailedIndex | Finding

ReadTask = Callable[[], Iterator[Item]]
"""Some pages or indices, which are read when a worker thread makes the call."""


@dataclass(frozen=True)
class Previous:
    """The inputs that were read before, by origin: their fingerprints, and the checksums of their contents."""

    fingerprints: Mapping[str, Fingerprint] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Snapshot and stack of each index, by origin: as mirrors come and go, they change though the index does not."""
    again: Collection[str] = frozenset()
    """Origins of known inputs that must be read and parsed again."""
    recheck: bool = False
    """Whether to ignore fingerprints, and also look at inputs that do not change once they are published."""
    settled: Mapping[str, int] = field(default_factory=dict)
    """Folders whose pages a look has already found unchanged, with the numbers of their pages; the other fields may
    lack these."""

    def has(self, origin: str, fingerprint: Fingerprint, label: tuple[str, str] | None = None) -> bool:
        """Whether a file has not changed since it was read, according to its fingerprint."""
        is_same = fingerprint is not None and self.fingerprints.get(origin) == fingerprint and not self.recheck
        return is_same and self._is_taken(origin, label)

    def holds(self, origin: str, digest: str, label: tuple[str, str] | None = None) -> bool:
        """Whether a file has the same contents as when it was read."""
        return self.digests.get(origin) == digest and self._is_taken(origin, label)

    def is_settled(self, origin: str, label: tuple[str, str]) -> bool:
        """Whether an index was read and its snapshot never changes: looking again would cost a request for each."""
        is_known = origin in self.fingerprints and self._is_taken(origin, label)
        return is_known and not self.recheck and snapshot_kind(label[0])[0] in {"dated", "release"}

    def _is_taken(self, origin: str, label: tuple[str, str] | None) -> bool:
        return origin not in self.again and self.labels.get(origin) == label


class Source(Protocol):
    """A source of pages or indices; a class that inherits from this overrides the attributes that differ."""

    name: str
    kind: SourceKind
    selection: Selection
    limits: InputLimits = InputLimits()
    passed_over: int
    """Files that are neither; final once `batches` is exhausted."""
    may_have_pages: bool = True
    """Whether some of its read tasks may be of pages; otherwise all are of indices."""
    is_sequential: bool = False
    """Whether it is read from start to end, so that its tasks cannot be carried out by other processes."""
    is_named_by_selection: bool = False
    """Whether the selection gives its snapshot and stack their names, so that a later selection replaces it."""

    def batches(self, previous: Previous) -> Iterator[ReadTask]:
        """Yield read tasks: some megabytes of pages, of one snapshot as far as the folders name it, or an index.

        Inputs that have not changed are not read: they are `Unchanged`.
        """
        ...


def is_page(path: str) -> bool:
    """Whether a path is that of a page: `specs.md`, or `_cache/<package>/index.md` as in 2021."""
    folders, _, name = path.rpartition("/")
    return name == "specs.md" or (name == "index.md" and folders.rpartition("/")[0].rpartition("/")[2] == "_cache")


def make_page(origin: str, path: str, data: bytes, fingerprint: Fingerprint) -> Page:
    """Return the page at `path` with the names of its folders `<snapshot>/<package>/`."""
    return Page(origin, data, fingerprint, *page_folders(path))


def page_folders(path: str) -> tuple[str | None, str | None]:
    """Return the snapshot and the package that the folders above a page name."""
    _, snapshot, package, _ = ("", "", "", *path.rsplit("/", 3))[-4:]
    if package == "_cache":
        snapshot = package = ""
    if snapshot == "_cache":
        snapshot = ""
    return storable(snapshot) or None, storable(package) or None


def source_name(path: Path) -> str:
    """Return the name of a source: its path as given, but relative if it is below the current folder."""
    given = os.path.normpath(path)
    if os.path.isabs(given) and (here := _current_folder()) and os.path.commonpath([given, here]) == here:
        given = os.path.relpath(given, here)
    # So no path looks like `NAME=SOURCE`.
    return storable(f"./{given}" if "=" in given.partition("/")[0] else given)


def _current_folder() -> str | None:
    """Return the path of the current folder, or None if it was removed."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return None


def too_large(origin: str, size: int) -> Finding:
    """Return the rejection of a page above `MAX_PAGE_BYTES`."""
    return Finding(
        origin,
        "file",
        "too-large",
        f"expected a page of at most {MAX_PAGE_BYTES:,} bytes, found {size:,}",
        "check the file; the largest page of the public site has about 3 MB",
        num_specs=None,
    )


def unreadable(origin: str, problem: str) -> Finding:
    """Return the rejection of a page whose bytes cannot be read."""
    return Finding(
        origin, "file", "unreadable", f"expected a readable file, found: {problem}", "check the file", num_specs=None
    )
