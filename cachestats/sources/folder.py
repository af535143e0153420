"""Pages and indices on disk: a checkout of the site, any folder inside it, a single page, or mirrors."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from cachestats.errors import SourceError
from cachestats.rejection import Rejection
from cachestats.sources.base import (
    MAX_PAGE_BYTES,
    Batch,
    Item,
    Page,
    is_page,
    make_page,
    printable,
    source_name,
    too_large,
    unreadable,
)
from cachestats.sources.mirror import index_at, is_index

_PAGES_A_BATCH = 2000


class _OnDisk:
    def __init__(self, path: Path) -> None:
        self.name = source_name(path)
        self.passed_over = 0
        self._path = os.path.abspath(path)


class FolderSource(_OnDisk):
    """All pages and indices at or below a folder; hidden files and folders are not looked at."""

    kind = "folder"

    def batches(self) -> Iterator[Batch]:
        """Yield batches of pages, folder by folder in the order of their names, and then indices one by one."""
        paths: list[str] = []
        indices: list[str] = []
        for path in _walk(self._path):
            if is_index(path):
                indices.append(path)
                continue
            if not is_page(path):
                self.passed_over += 1
                continue
            if paths and (len(paths) == _PAGES_A_BATCH or _folder_above(path) != _folder_above(paths[-1])):
                yield partial(self._read, paths)  # at once: these are parsed while the rest is looked for
                paths = []
            paths.append(path)
        if not paths and not indices:
            raise SourceError(
                f"expected pages `_cache/<snapshot>/<package>/specs.md` or indices `build_cache/index.json` in "
                f"{self.name}, found {self.passed_over:,} other files",
                hint="give the root of a checkout of the cache site, or of a mirror",
            )
        if paths:
            yield partial(self._read, paths)
        for path in indices:
            index = index_at(path, self._origin(path))
            yield partial(iter, (index,))

    def _read(self, paths: list[str]) -> Iterator[Item]:
        return (_read(path, self._origin(path)) for path in paths)

    def _origin(self, path: str) -> str:
        """Return what a file is called: by the path that was given, wherever the folder lies."""
        return f"{self.name.rstrip('/')}{printable(path[len(self._path.rstrip('/')) :])}"


class FileSource(_OnDisk):
    """One page, whatever its name."""

    kind = "page"

    def batches(self) -> Iterator[Batch]:
        """Yield the one page."""
        yield lambda: iter([_read(self._path, self.name, folders="/_cache/" in self._path)])


class IndexSource(_OnDisk):
    """One index, where it stands in its mirror."""

    kind = "index"

    def batches(self) -> Iterator[Batch]:
        """Yield the one index."""
        yield partial(iter, (index_at(self._path, self.name),))


def _folder_above(path: str) -> str:
    return path.rpartition("/")[0].rpartition("/")[0]


def _walk(root: str) -> Iterator[str]:
    """Yield the files below a folder, sorted; what a link leads to is walked once, however many lead there."""
    walked = {os.path.realpath(root)}
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            names = os.listdir(folder)
            if names == ["specs.md"]:  # nearly every folder: no need to look closer, `_read` does
                yield f"{folder}/specs.md"
                continue
            with os.scandir(folder) as entries:
                found = sorted((entry.name, entry) for entry in entries if not entry.name.startswith("."))
        except OSError as error:
            raise SourceError(f"cannot list {folder}: {error.strerror}", hint="check its permissions") from error
        folders = []
        for _, entry in found:
            if entry.name == "specs.md" or not _is_folder(entry):
                yield entry.path
            elif not entry.is_symlink():
                folders.append(entry.path)
            elif not any(_is_inside(target := os.path.realpath(entry.path), place) for place in walked):
                walked.add(target)
                folders.append(entry.path)
        waiting += reversed(folders)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _is_inside(path: str, folder: str) -> bool:
    return os.path.commonpath([path, folder]) == folder


def _read(path: str, origin: str, *, folders: bool = True) -> Page | Rejection:
    """Read the page at an absolute path; `folders` says whether the folders above it name snapshot and package."""
    try:
        # Non-blocking, so that a pipe that calls itself a page cannot hold up the build.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return unreadable(origin, "not a regular file")
            if status.st_size > MAX_PAGE_BYTES:
                return too_large(origin, status.st_size)
            data = os.read(descriptor, status.st_size)
            while len(data) < status.st_size and (more := os.read(descriptor, status.st_size - len(data))):
                data += more
        finally:
            os.close(descriptor)
    except OSError as error:
        return unreadable(origin, error.strerror or str(error))
    return make_page(origin, path, data) if folders else Page(origin, data)
