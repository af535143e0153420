"""Pages and indices below a URL, if the server lists its folders; a mirror is found without listings, too."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from urllib.parse import unquote

from cachestats.errors import SourceError
from cachestats.findings import Finding
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
    unreadable,
)
from cachestats.sources.mirror import IndexLocation, index_tasks, indices_at, locate_index
from cachestats.sources.request import Selection
from cachestats.sources.storage.base import Entry, Storage
from cachestats.sources.storage.transfer import ForbiddenError, MissingError

_PAGES_A_BATCH = 200
_AT_ONCE = 16
_DEEPEST = 6
_MOST_FOLDERS = 250_000  # twice what the public site has
_NOT_ENTERED = frozenset({"build_cache", "v3", "blobs"})  # the locations of the indices in these are known


class RemoteSource:
    """All pages and indices at or below a URL."""

    kind = "folder"

    def __init__(
        self, name: str, storage: Storage, path: str, selection: Selection, refusal: SourceError | None = None
    ) -> None:
        self.name = name
        self._refusal = refusal
        self.passed_over = 0
        self._folders = 0
        self._storage, self._path, self.selection = storage, path.rstrip("/"), selection

    def batches(self, previous: Previous) -> Iterator[ReadTask]:
        """Yield tasks of some pages each, and then one task per index."""
        self.passed_over = self._folders = 0
        found: list[IndexLocation] = []
        pages: list[Entry] = []
        self._walk(self._path, 0, found, pages)
        if not found and not pages:
            if isinstance(self._refusal, ForbiddenError):
                raise self._refusal
            raise SourceError(
                f"expected a mirror, a catalogue, or a list of folders with pages or mirrors at {self.name}, "
                "found none",
                hint="give the URL of a mirror, a catalogue or an archive of the cache site",
            )
        if pages:
            self.selection.check_pages(self.name)
            pages = [page for page in pages if self.selection.takes(page_folders(unquote(page.path))[0])]
        for first in range(0, len(pages), _PAGES_A_BATCH):
            yield partial(self._read, pages[first : first + _PAGES_A_BATCH], previous)
        if found:
            yield from index_tasks(self.name, found, previous, self.selection)

    def _walk(self, folder: str, depth: int, found: list[IndexLocation], pages: list[Entry]) -> None:
        try:
            self._folders += 1
            if self._folders > _MOST_FOLDERS:
                raise SourceError(
                    f"expected at most {_MOST_FOLDERS:,} folders, found more at {self.name}",
                    hint="give the URL of one snapshot",
                )
            entries = self._storage.entries(folder)
        except (MissingError, ForbiddenError):
            entries = []
        names = {entry.path.rpartition("/")[2] for entry in entries}
        if not entries or names & _NOT_ENTERED:
            found += [
                locate_index(self._storage, path, self._storage.name(path))
                for path in indices_at(self._storage, folder)
            ]
        for entry in entries:
            if entry.is_folder and depth < _DEEPEST and entry.path.rpartition("/")[2] not in _NOT_ENTERED:
                self._walk(entry.path, depth + 1, found, pages)
            elif not entry.is_folder and is_page(entry.path):
                pages.append(entry)
            else:
                self.passed_over += not entry.is_folder

    def _read(self, pages: list[Entry], previous: Previous) -> Iterator[Item]:
        names = {page.path: self._storage.name(page.path) for page in pages}
        yield Unchanged([names[page.path] for page in pages if previous.has(names[page.path], page.fingerprint)])
        wanted = [page for page in pages if not previous.has(names[page.path], page.fingerprint)]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for first in range(0, len(wanted), _AT_ONCE):  # a page may be large, so do not read further ahead
                yield from pool.map(self._page, wanted[first : first + _AT_ONCE])

    def _page(self, page: Entry) -> Page | Finding:
        name = self._storage.name(page.path)
        try:
            return make_page(
                name, unquote(page.path), bytes(self._storage.read(page.path, limit=MAX_PAGE_BYTES)), page.fingerprint
            )
        except SourceError as error:
            return unreadable(name, error.message)
