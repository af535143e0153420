"""What every source of pages has in common: how a page is told from other files, and how big one may be."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cachestats.rejection import Rejection

MAX_PAGE_BYTES = 128 << 20
"""Larger files are rejected unread. The largest page of the public site has about 3 MB."""


@dataclass(frozen=True)
class Page:
    """The bytes of one page, where they come from, and what the folders above them say it is."""

    origin: str
    data: bytes
    folder_snapshot: str | None = None
    folder_package: str | None = None


@dataclass(frozen=True)
class Index:
    """The index of one stack of a snapshot, which is read when it is parsed: it may have hundreds of megabytes."""

    origin: str
    snapshot: str
    stack: str
    read: Callable[[], bytes]


Item = Page | Index | Rejection

Batch = Callable[[], Iterator[Item]]
"""Some pages or indices, not read before the call: a worker thread makes it."""


class Source(Protocol):
    """A place that holds pages or indices."""

    name: str
    kind: str
    passed_over: int
    """Files that are neither; final once `batches` is exhausted."""

    def batches(self) -> Iterator[Batch]:
        """Yield pages in batches of some megabytes, each of one snapshot as far as the folders tell, and indices."""
        ...


def is_page(path: str) -> bool:
    """Whether a file is a page, by its name: `specs.md`, or `_cache/<package>/index.md` as in 2021."""
    folders, _, name = path.rpartition("/")
    return name == "specs.md" or (name == "index.md" and folders.rpartition("/")[0].rpartition("/")[2] == "_cache")


def make_page(origin: str, path: str, data: bytes) -> Page:
    """Return the page at `path` with what its folders `<snapshot>/<package>/` say."""
    _, snapshot, package, _ = ("", "", "", *path.split("/"))[-4:]
    if package == "_cache":
        snapshot = package = ""
    if snapshot == "_cache":
        snapshot = ""
    return Page(origin, data, printable(snapshot) or None, printable(package) or None)


def source_name(path: Path) -> str:
    """Return what a source is called: the path that was given, relative where it lies below the current folder."""
    given = os.path.normpath(path)
    if os.path.isabs(given) and os.path.commonpath([given, os.getcwd()]) == os.getcwd():
        given = os.path.relpath(given)
    return printable(given)


def printable(path: str) -> str:
    """Return a path as text that can be stored, also where a file name is not UTF-8."""
    return path if path.isascii() else path.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def too_large(origin: str, size: int) -> Rejection:
    """Return the rejection of a page above `MAX_PAGE_BYTES`."""
    return Rejection(
        origin,
        "file",
        "too-large",
        f"expected a page of at most {MAX_PAGE_BYTES:,} bytes, found {size:,}",
        "check the file; the largest page of the public site has about 3 MB",
        num_specs=None,
    )


def unreadable(origin: str, problem: str) -> Rejection:
    """Return the rejection of a page whose bytes cannot be had."""
    return Rejection(
        origin, "file", "unreadable", f"expected a readable file, found: {problem}", "check the file", num_specs=None
    )
