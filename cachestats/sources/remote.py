"""Pages and indices below a URL, if the server lists its folders; a mirror is found without listings, too."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from urllib.parse import unquote

from cachestats.errors import SourceError
from cachestats.findings import Finding
from cachestats.sources.items import (
    EXPECTED,
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
    unreadable,
)
from cachestats.sources.mirror import IndexLocation, index_of_folder, index_tasks, indices_at, locate_index, no_index
from cachestats.sources.request import Selection, SpecFileReading
from cachestats.sources.storage.base import Entry, Storage
from cachestats.sources.storage.transfer import ForbiddenError, MissingError

_PAGES_A_BATCH = 200
_AT_ONCE = 16
_DEEPEST = 6
_OF_MIRROR = frozenset({"build_cache", "v3"})
_NOT_ENTERED = _OF_MIRROR | {"blobs"}  # the locations of the indices in these are known


class RemoteSource(Source):
    """All pages and indices at or below a URL."""

    kind: SourceKind = "folder"

    def __init__(
        self,
        name: str,
        storage: Storage,
        path: str,
        selection: Selection,
        refusal: SourceError | None = None,
        spec_files: SpecFileReading | None = None,
    ) -> None:
        self.name = name
        self._refusal, self._spec_files = refusal, spec_files
        self.passed_over = 0
        self._storage, self._path, self.selection = storage, path.rstrip("/"), selection

    def batches(self, previous: Previous) -> Iterator[ReadTask]:
        """Yield tasks of some pages each, and then one task per index."""
        self.passed_over = 0
        indices: list[str] = []
        expected: set[str] = set()
        pages: list[Entry] = []
        without_index: list[SourceError] = []
        num_entries = 0
        for number, (folder, entries) in enumerate(self._walk(self._path), 1):
            num_entries += len(entries)
            self._storage.check_listed(self.name, number, num_entries)
            names = {_last_name(entry.path) for entry in entries}
            if not entries or names & _NOT_ENTERED:
                paths = [*indices_at(self._storage, folder)]
                indices += paths
                if self._spec_files:
                    expected |= {index_of_folder(folder, name) for name in names & _OF_MIRROR}
                elif not paths and (of_mirror := names & _OF_MIRROR):
                    without_index.append(no_index(self._storage.name(folder), f"its folder {min(of_mirror)}"))
            for entry in entries:
                if not entry.is_folder and is_page(entry.path):
                    pages.append(entry)
                else:
                    self.passed_over += not entry.is_folder
        if not indices and not expected and not pages:
            raise without_index[0] if without_index else self._nothing_found()
        if pages:
            self.selection.check_pages(self.name)
            pages = [page for page in pages if self.selection.takes(page_folders(unquote(page.path))[0])]
        for first in range(0, len(pages), _PAGES_A_BATCH):
            yield partial(self._read, pages[first : first + _PAGES_A_BATCH], previous)
        if indices or expected:
            yield from index_tasks(self.name, self._locate(indices, expected), previous, self.selection)

    def _locate(self, indices: list[str], expected: set[str]) -> list[IndexLocation]:
        """Return the locations of indices, or of the spec files in their place."""
        if self._spec_files:
            from cachestats.sources.without_index import locate_spec_files  # on first use: few sources need it

            return locate_spec_files(self._storage, indices, expected, self._origin, self._spec_files)
        return [locate_index(self._storage, path, self._origin(path)) for path in indices]

    def _origin(self, path: str) -> str:
        return self.selection.label(self._storage.name(path))

    def _walk(self, folder: str, depth: int = 0) -> Iterator[tuple[str, list[Entry]]]:
        """Yield each folder with its entries; one that cannot be listed has none."""
        try:
            entries = self._storage.entries(folder)
        except (MissingError, ForbiddenError):
            entries = []
        yield folder, entries
        for entry in entries:
            if entry.is_folder and depth < _DEEPEST and _last_name(entry.path) not in _NOT_ENTERED:
                yield from self._walk(entry.path, depth + 1)

    def _nothing_found(self) -> SourceError:
        if isinstance(self._refusal, ForbiddenError):
            return self._refusal
        return SourceError(
            f"expected a mirror, a catalogue, or a list of folders with pages or mirrors at {self.name}, found none",
            hint=f"give the URL of {EXPECTED}",
        )

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


def _last_name(path: str) -> str:
    return path.rpartition("/")[2]
