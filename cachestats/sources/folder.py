"""Pages and indices on disk: in a checkout of the site, any folder inside it, or mirrors; also single files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from operator import attrgetter

from cachestats.errors import SourceError
from cachestats.findings import Finding
from cachestats.regular import open_descriptor
from cachestats.sources.items import (
    MAX_PAGE_BYTES,
    Item,
    Page,
    Previous,
    ReadTask,
    Unchanged,
    is_page,
    make_page,
    page_folders,
    too_large,
    unreadable,
)
from cachestats.sources.mirror import IndexLocation, index_tasks, is_index, locate_index
from cachestats.sources.request import Selection
from cachestats.sources.storage.base import Storage
from cachestats.sources.storage.disk import DiskStorage, disk_fingerprint, fingerprint_of
from cachestats.text import counted, printable

_OF_MIRRORS = (".spec.json", ".spec.json.sig", ".spec.manifest.json")
_PAGES_A_BATCH = 2000


class FolderSource:
    """All pages and indices at or below a folder; hidden files and folders are ignored."""

    kind = "folder"

    def __init__(self, name: str, path: str, storage: Storage, selection: Selection) -> None:
        self.name = name
        self.passed_over = 0
        self._path, self._storage, self.selection = path, storage, selection
        self._above_pages: set[str] = set()  # folders with pages further down than in the next folder

    def batches(self, previous: Previous) -> Iterator[ReadTask]:
        """Yield tasks of some pages each, folder by folder in the order of their names, and then one task per index."""
        self.passed_over = 0
        self._above_pages = _folders_above(
            {origin.rpartition("/")[0].rpartition("/")[0] for origin in previous.fingerprints}
        )
        paths: list[str] = []
        found: list[IndexLocation] = []
        unchanged: list[str] = []
        pages = spec_files = 0
        for path in self._walk(previous, unchanged):
            if is_index(path):
                found.append(locate_index(self._storage, path, self._origin(path)))
                continue
            if not is_page(path):
                self.passed_over += 1
                spec_files += path.endswith(_OF_MIRRORS)
                continue
            pages += 1
            if not self.selection.takes(page_folders(path)[0]):
                self.passed_over += 1
                continue
            if previous.fingerprints and previous.has(origin := self._origin(path), disk_fingerprint(path)):
                unchanged.append(origin)
                continue
            if paths and (len(paths) == _PAGES_A_BATCH or _folder_above(path) != _folder_above(paths[-1])):
                yield partial(self._read, paths)  # at once: these are parsed while the rest are searched for
                paths = []
            paths.append(path)
        pages += len(unchanged)
        if not pages and not found:
            raise self._nothing_found(spec_files)
        if pages:
            self.selection.check_pages(self.name)
        if unchanged:
            yield partial(iter, (Unchanged(unchanged),))
        if paths:
            yield partial(self._read, paths)
        if found:
            yield from index_tasks(self.name, found, previous, self.selection)

    def _nothing_found(self, spec_files: int) -> SourceError:
        if spec_files:
            return SourceError(
                f"expected the index of the mirror {self.name}, found {counted(spec_files, 'spec file')} without one",
                hint=f"let Spack write it: spack buildcache update-index {self.name}",
            )
        return SourceError(
            f"expected pages `_cache/<snapshot>/<package>/specs.md` or indices `build_cache/index.json` in "
            f"{self.name}, found {self.passed_over:,} other files",
            hint="give the root of a checkout of the cache site, or of a mirror",
        )

    def _walk(self, previous: Previous, unchanged: list[str]) -> Iterator[str]:
        """Yield the files, sorted, except unchanged pages; the target of several links is walked once."""
        walked = {os.path.realpath(self._path)}
        waiting = [self._path]
        while waiting:
            folder = waiting.pop()
            try:
                if not previous.fingerprints and os.listdir(folder) == ["specs.md"]:
                    yield f"{folder}/specs.md"  # nearly every folder: no need for a closer look, as `_read` takes one
                    continue
                names = self._changed(folder, previous, unchanged) if previous.fingerprints else None
                if names is not None and not names:
                    continue
                with os.scandir(folder) as entries:
                    wanted = (one for one in entries if one.name[0] != "." and (names is None or one.name in names))
                    found = sorted(wanted, key=attrgetter("name"))
            except OSError as error:
                raise SourceError(f"cannot list {folder}: {error.strerror}", hint="check its permissions") from error
            folders = []
            for entry in found:
                if entry.name == "specs.md" or not _is_folder(entry):
                    yield entry.path
                elif not entry.is_symlink():
                    folders.append(entry.path)
                elif not any(_is_inside(target := os.path.realpath(entry.path), location) for location in walked):
                    walked.add(target)
                    folders.append(entry.path)
            waiting += reversed(folders)

    def _changed(self, folder: str, previous: Previous, unchanged: list[str]) -> set[str]:
        """Return the names in a folder that must be looked at: all except folders with an unchanged page.

        There may be a hundred thousand of them, so this does as little as possible for each.
        """
        names = os.listdir(folder)
        if previous.recheck or not self.selection.takes(page_folders(f"{folder}/package/specs.md")[0]):
            return set(names)
        changed = set()
        prefix, fingerprints = self._origin(folder), previous.fingerprints
        for name in names:
            fingerprint = fingerprints.get(origin := f"{prefix}/{name}/specs.md")
            if fingerprint and f"{prefix}/{name}" not in self._above_pages:
                try:
                    status = os.stat(f"{folder}/{name}/specs.md")
                except OSError:
                    status = None
                if status and f"{status.st_size} {status.st_mtime_ns}" == fingerprint and origin not in previous.again:
                    unchanged.append(origin)
                    continue
            changed.add(name)
        return changed

    def _read(self, paths: list[str]) -> Iterator[Item]:
        return (_read(path, self._origin(path)) for path in paths)

    def _origin(self, path: str) -> str:
        """Return the origin of a file, which begins with the path as the user gave it."""
        return f"{self.name.rstrip('/')}{printable(path[len(self._path.rstrip('/')) :])}"


class FileSource:
    """A single page with any name."""

    kind = "page"

    def __init__(self, name: str, storage: Storage, path: str, selection: Selection) -> None:
        selection.check_pages(name)
        self.name, self.selection = name, selection
        self.passed_over = 0
        self._storage, self._path = storage, path

    def batches(self, previous: Previous) -> Iterator[ReadTask]:
        """Yield the one page."""
        if isinstance(self._storage, DiskStorage):
            yield lambda: iter([_read(self._path, self.name, folders="/_cache/" in self._path)])
            return
        data = bytes(self._storage.read(self._path, limit=MAX_PAGE_BYTES))
        yield lambda: iter([Page(self.name, data)])


class IndexSource:
    """A single index in any location."""

    kind = "index"

    def __init__(self, name: str, found: IndexLocation, selection: Selection) -> None:
        self.name = name
        self.passed_over = 0
        self._found, self.selection = found, selection

    def batches(self, previous: Previous) -> Iterator[ReadTask]:
        """Yield the one index."""
        yield from index_tasks(self.name, [self._found], previous, self.selection)


def _folders_above(folders: set[str]) -> set[str]:
    """Return folders and all folders above them."""
    result = set()
    while folders:
        result |= folders
        folders = {folder.rpartition("/")[0] for folder in folders} - result - {""}
    return result


def _folder_above(path: str) -> str:
    return path.rpartition("/")[0].rpartition("/")[0]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_inside(path: str, folder: str) -> bool:
    return os.path.commonpath([path, folder]) == folder


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
