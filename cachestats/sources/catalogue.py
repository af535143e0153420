"""The catalogue of a build cache (`cache_spack_io_index.json`), which lists snapshots and the index of each stack.

URLs on the catalogue's own host, or on a host that the user allows, are followed. For any other URL the catalogue is
taken for a copy, and the index is looked for beside it, at the same path; so a catalogue also works from a disk or
another server.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from urllib.parse import quote, unquote

import msgspec

from cachestats.decode import JsonError, decode
from cachestats.errors import SourceError
from cachestats.findings import Finding
from cachestats.naming import canonical_snapshot, snapshot_order
from cachestats.sources.items import FailedIndex, Item, Previous, ReadTask, Source, SourceKind
from cachestats.sources.mirror import IndexLocation
from cachestats.sources.request import Selection
from cachestats.sources.storage.base import Storage
from cachestats.sources.storage.pool import Storages
from cachestats.sources.storage.urls import public_url, redact_urls, split_url
from cachestats.text import storable

FILE_NAME = "cache_spack_io_index.json"
_MAX_BYTES = 16 << 20  # ten times that of the public cache
_PLAIN = "-._~+:@ "


class _Entry(msgspec.Struct):
    label: str
    url: str


Catalogue = dict[str, list[_Entry]]


class CatalogueSource(Source):
    """The indices listed in a catalogue."""

    kind: SourceKind = "catalogue"
    may_have_pages = False

    def __init__(self, name: str, storage: Storage, path: str, storages: Storages, selection: Selection) -> None:
        self.name = name
        self.passed_over = 0
        self._storage, self._path, self._storages, self.selection = storage, path, storages, selection

    def batches(self, previous: Previous) -> Iterator[ReadTask]:
        """Yield the indices one by one, snapshot by snapshot."""
        self.passed_over = 0
        catalogue = read_catalogue(self._storage, self._path)
        labels = {entry.label for entries in catalogue.values() for entry in entries}
        self.selection.check_named(self.name, catalogue, labels)
        given = self.selection.renamed(self.name, [*filter(self.selection.takes, catalogue)])
        for snapshot in sorted(filter(self.selection.takes, catalogue), key=snapshot_order):
            entries = {(entry.label, entry.url): entry for entry in catalogue[snapshot]}.values()
            if not snapshot or not all(entry.label for entry in entries):
                raise SourceError(
                    f"expected names of snapshots and stacks in {self.name}, found an empty one", hint="fetch it again"
                )
            if not entries:
                what = "an index of each stack, found none"
                hint = "nothing to do while the build cache is being filled; otherwise tell its maintainers"
                yield partial(iter, (self._finding(snapshot, "empty-snapshot", what, hint),))
            seen: Counter[str] = Counter()
            for entry in entries:
                if not self.selection.takes(snapshot, entry.label):
                    self.passed_over += 1
                    continue
                seen[entry.label] += 1
                stack = entry.label
                if seen[stack] > 1:
                    what = f"the stack {stack} once, found it again at {redact_urls(entry.url)}; both were read"
                    hint = "tell the maintainers of the catalogue"
                    yield partial(iter, (self._finding(snapshot, "same-stack", what, hint),))
                # Names are quoted where they could be mistaken for another pair of names.
                location = "/".join(quote(name, safe=_PLAIN) for name in (snapshot, stack))
                origin = f"{self.name}!{location}{f'#{seen[stack]}' if seen[stack] > 1 else ''}"
                yield partial(self._items, previous, origin, given or storable(snapshot), storable(stack), entry.url)

    def _items(self, previous: Previous, origin: str, snapshot: str, stack: str, url: str) -> Iterator[Item]:
        try:
            storage, path = self._find(url)
        except SourceError as error:
            yield FailedIndex(origin, snapshot, error)
            return
        yield from IndexLocation(storage, path, origin, snapshot, stack).items(previous)

    def _find(self, url: str) -> tuple[Storage, str]:
        """Return the storage and the path of a URL in the catalogue."""
        parts = split_url(url)
        if parts.scheme not in {"s3", "https", "http"} or not parts.netloc or ".." in unquote(parts.path).split("/"):
            raise SourceError(
                f"expected the URL of an index, found {redact_urls(url)!r}", hint="fetch the catalogue again"
            )
        here, there = split_url(self._storage.name(self._path)), split_url(public_url(url))
        is_own = (here.scheme, here.netloc) == (there.scheme, there.netloc)
        if is_own or there.hostname in self._storages.network.allow_hosts:
            return self._storages.find(url)
        return self._storage, f"{self._path.rpartition('/')[0]}{parts.path}"

    def _finding(self, snapshot: str, rule: str, expected: str, hint: str) -> Finding:
        return Finding(
            self.name,
            storable(snapshot),
            rule,
            f"expected {expected}",
            hint,
            snapshot=storable(snapshot),
        )


def read_catalogue(storage: Storage, path: str) -> Catalogue:
    """Return the entries of a catalogue by snapshot, those of one that it spells in two ways together.

    Raises
    ------
    SourceError
        If it cannot be read, or is not a catalogue.
    """
    data = storage.read(path, limit=_MAX_BYTES)
    try:
        listed = decode(data, Catalogue)
    except JsonError as error:
        raise SourceError(
            f"expected a catalogue of snapshots at {storage.name(path)}, found: {error}", hint="fetch it again"
        ) from error
    catalogue: Catalogue = {}
    for snapshot, entries in listed.items():
        catalogue.setdefault(canonical_snapshot(snapshot), []).extend(entries)
    return catalogue
