"""Pages on disk: a checkout of the site, any folder inside it, or a single page."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from cachestats.errors import SourceError
from cachestats.rejection import Rejection
from cachestats.sources.base import MAX_PAGE_BYTES, Batch, Page, is_page, make_page, printable, too_large, unreadable

_PAGES_A_BATCH = 2000


class FolderSource:
    """All pages at or below a folder; hidden files and folders are not looked at."""

    kind = "folder"

    def __init__(self, path: Path) -> None:
        self.name = printable(str(path))
        self.passed_over = 0
        self._path = path

    def batches(self) -> Iterator[Batch]:
        """Yield batches of pages, folder by folder in the order of their names."""
        pages: dict[str, list[str]] = {}
        for path in _walk(str(self._path), ()):
            if is_page(path):
                pages.setdefault(os.path.dirname(os.path.dirname(path)), []).append(path)
            else:
                self.passed_over += 1
        if not pages:
            raise SourceError(
                f"expected pages `_cache/<snapshot>/<package>/specs.md` in {self.name}, "
                f"found {self.passed_over:,} other files",
                hint="give the root of a checkout of the cache site, or its `_cache` folder",
            )
        for paths in pages.values():
            for start in range(0, len(paths), _PAGES_A_BATCH):
                yield partial(_read_all, paths[start : start + _PAGES_A_BATCH])


class FileSource:
    """One page, whatever its name."""

    kind = "page"

    def __init__(self, path: Path) -> None:
        self.name = printable(str(path))
        self.passed_over = 0
        self._path = path

    def batches(self) -> Iterator[Batch]:
        """Yield the one page."""
        yield partial(_read_all, [str(self._path)])


def _walk(folder: str, followed: tuple[str, ...]) -> Iterator[str]:
    """Yield the files below a folder, sorted; links to folders are followed, but never in a circle."""
    try:
        with os.scandir(folder) as entries:
            found = sorted((entry.name, entry) for entry in entries if not entry.name.startswith("."))
    except OSError as error:
        raise SourceError(f"cannot list {folder}: {error.strerror}", hint="check its permissions") from error
    for _, entry in found:
        if not entry.is_dir():
            yield entry.path
        elif not entry.is_symlink():
            yield from _walk(entry.path, followed)
        else:
            target = os.path.realpath(entry.path)
            here = os.path.realpath(folder)
            if target not in followed and os.path.commonpath([target, here]) != target:
                yield from _walk(entry.path, (*followed, target))


def _read_all(paths: list[str]) -> Iterator[Page | Rejection]:
    return map(_read, paths)


def _read(path: str) -> Page | Rejection:
    origin = printable(path)
    try:
        # Non-blocking, so that a pipe that calls itself a page cannot hold up the build.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(descriptor, "rb", buffering=0) as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return unreadable(origin, "not a regular file")
            if status.st_size > MAX_PAGE_BYTES:
                return too_large(origin, status.st_size)
            data = file.readall()
    except OSError as error:
        return unreadable(origin, error.strerror or str(error))
    return make_page(origin, os.path.abspath(path), data)
