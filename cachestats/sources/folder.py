"""Pages and indices on disk: in a checkout of the site, any folder inside it, or mirrors; also a single page."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Literal

from cachestats.errors import SourceError
from cachestats.findings import Finding
from cachestats.regular import open_descriptor
from cachestats.sources.items import (
    MAX_PAGE_BYTES,
    Item,
    Page,
    Previous,
    ReadTask,
    Source,
    SourceKind,
    Unchanged,
    is_page,
    make_page,
    page_folders,
    too_large,
    unreadable,
)
from cachestats.sources.look import Look, look_at
from cachestats.sources.mirror import IndexLocation, index_for, index_tasks, is_index, locate_index, no_index
from cachestats.sources.request import Selection, SpecFileReading
from cachestats.sources.storage.base import Storage
from cachestats.sources.storage.disk import disk_fingerprint, fingerprint_of
from cachestats.sources.walk import Walk
from cachestats.text import counted, storable

if TYPE_CHECKING:
    from cachestats.sources.git import Checkout

_OF_MIRRORS = (".spec.json", ".spec.json.sig", ".spec.manifest.json")
_PAGES_A_BATCH = 2000

_Kind = Literal["index", "page", "unchanged page", "unselected page", "spec file", "other"]


class FolderSource(Source):
    """All pages and indices at or below a folder; hidden files and folders are ignored."""

    kind: SourceKind = "folder"

    def __init__(
        self, name: str, path: str, storage: Storage, selection: Selection, spec_files: SpecFileReading | None = None
    ) -> None:
        self.name = name
        self.passed_over = 0
        self._path, self._storage, self.selection = path, storage, selection
        self._spec_files = spec_files

    def batches(self, previous: Previous) -> Iterator[ReadTask]:
        """Yield tasks of some pages each, folder by folder in the order of their names, and then one task per index."""
        self.passed_over = 0
        counts: Counter[_Kind] = Counter()
        pages: list[str] = []
        unchanged: list[str] = []
        num_settled = 0
        of_mirrors: list[str] = []
        for folder in Walk(self._path, self._origin, previous, self.selection).folders():
            unchanged += folder.unchanged
            num_settled += folder.num_settled
            for path in folder.files:
                kind = self._kind(path, previous)
                counts[kind] += 1
                if kind == "unchanged page":
                    unchanged.append(self._origin(path))
                elif kind in {"index", "spec file"}:
                    of_mirrors.append(path)
                elif kind == "page":
                    if pages and (len(pages) == _PAGES_A_BATCH or _folder_above(path) != _folder_above(pages[-1])):
                        yield partial(self._read, pages)  # at once: these are parsed while the rest are searched for
                        pages = []
                    pages.append(path)
        self.passed_over = counts["unselected page"] + counts["other"]
        self.passed_over += 0 if self._spec_files else counts["spec file"]
        has_pages = bool(unchanged or num_settled or pages or counts["unselected page"])
        indices = self._locate(of_mirrors)
        if not has_pages and not indices:
            raise self._nothing_found(counts["spec file"])
        if has_pages:
            self.selection.check_pages(self.name)
        if unchanged or num_settled:
            yield partial(iter, (Unchanged(unchanged, num_settled),))
        if pages:
            yield partial(self._read, pages)
        if indices:
            yield from index_tasks(self.name, indices, previous, self.selection)

    def checkout(self, folders: Collection[str]) -> Checkout:
        """Ask git which folders of pages in it are as in the commit that is checked out; see `sources.git`."""
        from cachestats.sources.git import checkout

        return checkout(self._path, folders)

    def look(
        self,
        checksums: Mapping[str, str],
        *,
        is_whole: bool,
        settle: Callable[[Collection[str]], Mapping[str, int]] | None = None,
    ) -> Look:
        """Look at the folders of pages in it, as `look_at`; the paths of folders are completed to their origins."""
        found = look_at(self._path, checksums, self._is_input, is_whole=is_whole, settle=settle)
        top = self._origin(self._path)
        settled = {f"{top}/{inside}" if inside else top: count for inside, count in found.settled.items()}
        self.passed_over = found.passed_over
        return found._replace(settled=settled)

    def _locate(self, files: list[str]) -> list[IndexLocation]:
        """Return the locations of the indices among some files of mirrors, or of the spec files in their place."""
        indices = [path for path in files if is_index(path)]
        if self._spec_files:
            expected = {index for path in files if (index := index_for(path))}
            from cachestats.sources.without_index import locate_spec_files  # on first use: few sources need it

            return locate_spec_files(self._storage, indices, expected, self._origin, self._spec_files)
        return [locate_index(self._storage, path, self._origin(path)) for path in indices]

    def _is_input(self, path: str) -> bool:
        return is_page(path) or is_index(path) or (self._spec_files is not None and path.endswith(_OF_MIRRORS))

    def _kind(self, path: str, previous: Previous) -> _Kind:
        if not is_page(path):
            return "index" if is_index(path) else "spec file" if path.endswith(_OF_MIRRORS) else "other"
        if self.selection.snapshots and not self.selection.takes(page_folders(path)[0]):
            return "unselected page"
        if previous.fingerprints and previous.has(self._origin(path), disk_fingerprint(path)):
            return "unchanged page"
        return "page"

    def _nothing_found(self, spec_files: int) -> SourceError:
        if spec_files:
            return no_index(self.selection.address(self.name), counted(spec_files, "spec file"))
        return SourceError(
            f"expected pages `_cache/<snapshot>/<package>/specs.md` or indices `build_cache/index.json` in "
            f"{self.name}, found {counted(self.passed_over, 'other file')}",
            hint="give the root of a checkout of the cache site, or of a mirror",
        )

    def _read(self, paths: list[str]) -> Iterator[Item]:
        return (_read(path, self._origin(path)) for path in paths)

    def _origin(self, path: str) -> str:
        """Return the origin of a file, which begins with the path as the user gave it."""
        return f"{self.name.rstrip('/')}{storable(path[len(self._path.rstrip('/')) :])}"


class PageSource(Source):
    """A single page with any name."""

    kind: SourceKind = "page"

    def __init__(self, name: str, storage: Storage, path: str, selection: Selection) -> None:
        self.name, self.selection = name, selection
        self.passed_over = 0
        self._storage, self._path = storage, path

    def batches(self, previous: Previous) -> Iterator[ReadTask]:
        """Yield the one page."""
        self.selection.check_pages(self.name)
        yield self._items

    def _items(self) -> Iterator[Item]:
        if self._storage.has_local_paths:
            yield _read(self._path, self.name, folders="/_cache/" in self._path)
        else:
            yield Page(self.name, bytes(self._storage.read(self._path, limit=MAX_PAGE_BYTES)))


def _folder_above(path: str) -> str:
    return path.rpartition("/")[0].rpartition("/")[0]


def _read(path: str, origin: str, *, folders: bool = True) -> Page | Finding:
    """Read the page at an absolute path; `folders` says whether the folders above it name snapshot and package."""
    try:
        descriptor, status = open_descriptor(path)
        try:
            if status.st_size > MAX_PAGE_BYTES:
                return too_large(origin, status.st_size)
            data = os.read(descriptor, status.st_size)
            while len(data) < status.st_size and (more := os.read(descriptor, status.st_size - len(data))):
                data += more
        finally:
            os.close(descriptor)
    except OSError as error:
        return unreadable(origin, error.strerror or str(error))
    fingerprint = fingerprint_of(status)
    return make_page(origin, path, data, fingerprint) if folders else Page(origin, data, fingerprint)
