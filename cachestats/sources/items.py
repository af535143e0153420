"""What every source has in common: what it yields, how a page is told from other files, and how big one may be."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from cachestats.errors import SourceError
from cachestats.findings import Finding
from cachestats.naming import snapshot_kind
from cachestats.sources.request import Selection
from cachestats.sources.storage.base import Fingerprint, MissingError, Storage
from cachestats.text import printable

MAX_PAGE_BYTES = 128 << 20
"""Larger files are rejected unread. The largest page of the public site has about 3 MB."""


@dataclass(frozen=True)
class Page:
    """The bytes of one page, where they come from, and what the folders above them say it is."""

    origin: str
    data: bytes
    fingerprint: Fingerprint = None
    folder_snapshot: str | None = None
    folder_package: str | None = None


class Content(NamedTuple):
    """The bytes of an index, and the checksum of them as they were stored."""

    data: bytes | bytearray
    digest: str


@dataclass(frozen=True)
class Index:
    """The index of one stack of a snapshot, which is read when it is parsed: it may have hundreds of megabytes."""

    origin: str
    snapshot: str
    stack: str
    fingerprint: Fingerprint
    read: Callable[[], Content]
    mirror: Mirror | None = None
    """Where the sizes of its specs are found, if anywhere."""


@dataclass(frozen=True)
class Unchanged:
    """Pages and indices that are as they were when they were read, by their stamps."""

    origins: Sequence[str]


@dataclass(frozen=True)
class FailedIndex:
    """An index that cannot be had: nothing of its snapshot is published then."""

    origin: str
    snapshot: str
    error: SourceError

    def finding(self) -> Finding:
        """Return it as a row of `rejected`."""
        rule = "missing" if isinstance(self.error, MissingError) else "unreadable"
        hint = self.error.hint or "fetch it again"
        return Finding(self.origin, "file", rule, self.error.message, hint, num_specs=None, snapshot=self.snapshot)


Item = Page | Index | Unchanged | FailedIndex | Finding

ReadTask = Callable[[], Iterator[Item]]
"""Some pages or indices, not read before the call: a worker thread makes it."""


@dataclass(frozen=True)
class Previous:
    """What was read before, by origin: its stamp, and the checksum of what it held."""

    fingerprints: Mapping[str, Fingerprint] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Snapshot and stack of each index, by origin: where mirrors come and go these change, and the index does not."""
    again: Collection[str] = frozenset()
    """Origins of what has to be read once more, and parsed, although it is known."""
    recheck: bool = False
    """Whether to trust no stamps, and look also at what does not change once it is published."""

    def has(self, origin: str, fingerprint: Fingerprint, label: tuple[str, str] | None = None) -> bool:
        """Whether a file is as it was when it was read, going by its stamp."""
        is_same = fingerprint is not None and self.fingerprints.get(origin) == fingerprint and not self.recheck
        return is_same and self._is_taken(origin, label)

    def holds(self, origin: str, digest: str, label: tuple[str, str] | None = None) -> bool:
        """Whether a file holds what it held when it was read."""
        return self.digests.get(origin) == digest and self._is_taken(origin, label)

    def is_settled(self, origin: str, label: tuple[str, str]) -> bool:
        """Whether an index was read and belongs to a snapshot that does not change: looking costs a request each."""
        is_known = origin in self.fingerprints and self._is_taken(origin, label)
        return is_known and not self.recheck and snapshot_kind(label[0])[0] in {"weekly", "release"}

    def _is_taken(self, origin: str, label: tuple[str, str] | None) -> bool:
        return origin not in self.again and self.labels.get(origin) == label


class Source(Protocol):
    """A place that holds pages or indices."""

    name: str
    kind: str
    selection: Selection
    passed_over: int
    """Files that are neither; final once `batches` is exhausted."""

    def batches(self, previous: Previous) -> Iterator[ReadTask]:
        """Yield pages in batches of some megabytes, each of one snapshot as far as the folders tell, and indices.

        What is as it is known is not read: it is `Unchanged`.
        """
        ...


def is_page(path: str) -> bool:
    """Whether a file is a page, by its name: `specs.md`, or `_cache/<package>/index.md` as in 2021."""
    folders, _, name = path.rpartition("/")
    return name == "specs.md" or (name == "index.md" and folders.rpartition("/")[0].rpartition("/")[2] == "_cache")


def make_page(origin: str, path: str, data: bytes, fingerprint: Fingerprint) -> Page:
    """Return the page at `path` with what its folders `<snapshot>/<package>/` say."""
    return Page(origin, data, fingerprint, *page_folders(path))


def page_folders(path: str) -> tuple[str | None, str | None]:
    """Return the snapshot and the package that the folders above a page name."""
    _, snapshot, package, _ = ("", "", "", *path.split("/"))[-4:]
    if package == "_cache":
        snapshot = package = ""
    if snapshot == "_cache":
        snapshot = ""
    return printable(snapshot) or None, printable(package) or None


def source_name(path: Path) -> str:
    """Return what a source is called: the path that was given, relative where it lies below the current folder."""
    given = os.path.normpath(path)
    if os.path.isabs(given) and os.path.commonpath([given, os.getcwd()]) == os.getcwd():
        given = os.path.relpath(given)
    return printable(given)


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
    """Return the rejection of a page whose bytes cannot be had."""
    return Finding(
        origin, "file", "unreadable", f"expected a readable file, found: {problem}", "check the file", num_specs=None
    )


@dataclass(frozen=True)
class Mirror:
    """A mirror of layout 3."""

    storage: Storage
    path: str
