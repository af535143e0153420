"""Detect the kind of each source: a folder, or a file on disk or at a URL, detected by its first bytes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

from cachestats.decode import BYTE_ORDER_MARK
from cachestats.errors import SourceError
from cachestats.naming import UNION_STACK
from cachestats.sources.archive import ArchiveSource, archive_kind
from cachestats.sources.catalogue import FILE_NAME, CatalogueSource, read_catalogue
from cachestats.sources.folder import FileSource, FolderSource, IndexSource
from cachestats.sources.items import Source, is_page, source_name
from cachestats.sources.mirror import IndexLocation, is_index, locate_index
from cachestats.sources.remote import RemoteSource
from cachestats.sources.request import Selection, SourceRequest
from cachestats.sources.storage.base import ForbiddenError, MissingError, Network, Storage
from cachestats.sources.storage.compression import GZIP, ZSTD, opened
from cachestats.sources.storage.pool import Storages
from cachestats.sources.storage.urls import is_url, redact_url
from cachestats.text import printable

_EXPECTED = (
    "a checkout of the cache site or an archive of one, a build-cache mirror or a folder of mirrors, an index, or a "
    "catalogue"
)
_HEAD_BYTES = 1 << 18  # a block of zstd, which cannot be read before its end, may have half of this
_INSTALLED = "/.spack-db/index.json"


def open_sources(sources: Sequence[SourceRequest]) -> dict[Source, SourceRequest]:
    """Return a reader for each source; a source that is given twice, or is inside another one, is read once.

    Raises
    ------
    SourceError
        If a source does not exist, cannot be read, or is of a kind that cachestats does not read.
    """
    if not sources:
        raise SourceError("expected at least one source, found none", hint=f"give {_EXPECTED}")
    storages: dict[Network, Storages] = {}
    readers: dict[str | Path, tuple[Source, SourceRequest]] = {}
    for source in sources:
        if source.address.startswith("file://"):
            source = replace(source, address=unquote(source.address.removeprefix("file://")))
        is_remote = is_url(source.address)
        location = redact_url(source.address).rstrip("/") if is_remote else Path(source.address).resolve()
        if location not in readers:
            opener = _Opener(source, storages.setdefault(source.network, Storages(source.network)))
            readers[location] = opener.open(), source
    folders = [location for location in readers if isinstance(location, Path)]
    return dict(
        opened
        for location, opened in readers.items()
        if not (isinstance(location, Path) and any(_covers(other, location) for other in folders))
    )


def _covers(folder: Path, location: Path) -> bool:
    """Whether reading `folder` also reads `location`: hidden folders and archives inside it are not read."""
    if location == folder or not location.is_relative_to(folder):
        return False
    if not (location.is_dir() or is_page(str(location)) or is_index(str(location))):
        return False
    return not any(part.startswith(".") for part in location.relative_to(folder).parts)


class _Opener:
    """Detects the kind of a source and returns a reader for it."""

    def __init__(self, given: SourceRequest, storages: Storages) -> None:
        self.given, self.selection, self.storages = given, given.selection, storages

    def open(self) -> Source:
        address = self.given.address
        if not address:
            raise SourceError(f"expected {_EXPECTED}, found an empty path", hint="give '.' for the current folder")
        return self._at_address(address) if is_url(address) else self._on_disk(Path(address))

    def _on_disk(self, path: Path) -> Source:
        storage, location = self.storages.find(str(path))
        name = self.given.name or source_name(path)
        try:
            if path.is_dir():
                if path.name == ".spack-db" and (path / "index.json").is_file():
                    location = location.removesuffix("/.spack-db")
                if path.name == ".spack-db" or (path / _INSTALLED.lstrip("/")).is_file():
                    location += _INSTALLED
                    return self._file(storage, location, name, storage.head(location, _HEAD_BYTES))
                return FolderSource(name, location, storage, self.selection)
            if not path.exists():
                raise SourceError(f"expected {_EXPECTED}, found nothing at {path}", hint="check the path")
            if not path.is_file():
                raise SourceError(
                    f"expected {_EXPECTED}, found neither file nor folder at {path}", hint="give one of them"
                )
        except OSError as error:
            raise SourceError(f"cannot read {path}: {error.strerror}", hint="check its permissions") from error
        return self._file(storage, location, name, storage.head(location, _HEAD_BYTES))

    def _at_address(self, address: str) -> Source:
        storage, location = self.storages.find(address)
        name = storage.name(location)
        refusal: SourceError | None = None
        try:
            if not location.endswith("/") and not _is_list(head := storage.head(location, _HEAD_BYTES)):
                return self._file(storage, location, name, head)
        except (MissingError, ForbiddenError) as error:  # a folder cannot be read as a file
            refusal = error
        folder, name = location.rstrip("/"), name.rstrip("/")
        catalogue = f"{folder}/{FILE_NAME}"
        if storage.exists(catalogue):
            return CatalogueSource(name, storage, catalogue, self.storages, self.selection)
        return self._in_catalogue_above(storage, folder) or RemoteSource(name, storage, folder, self.selection, refusal)

    def _in_catalogue_above(self, storage: Storage, folder: str) -> Source | None:
        """Return a snapshot as listed in the catalogue beside it, since few object stores list their folders."""
        if not (parts := storage.parts(folder)):
            return None
        above, snapshot = folder.rpartition("/")[0], parts[-1]
        catalogue = f"{above}/{FILE_NAME}"
        if not storage.exists(catalogue) or snapshot not in read_catalogue(storage, catalogue):
            return None
        selection = Selection((snapshot,), self.selection.stacks)
        return CatalogueSource(storage.name(folder), storage, catalogue, self.storages, selection)

    def _file(self, storage: Storage, path: str, name: str, head: bytes) -> Source:
        inside = _unpacked(head).removeprefix(BYTE_ORDER_MARK).lstrip()
        location = re.sub(r"\.(?:gz|zst)$", "", redact_url(path) if is_url(path) else path)
        if is_index(location):
            found = locate_index(storage, location, name)
            return IndexSource(name, IndexLocation(storage, path, name, found.snapshot, found.stack), self.selection)
        if inside.startswith(b"{"):
            return self._json(storage, path, name, inside)
        if kind := archive_kind(head):
            return ArchiveSource(name, storage, path, kind, self.selection)
        if path.endswith(".md") or head.removeprefix(BYTE_ORDER_MARK).startswith(b"---"):
            return FileSource(name, storage, path, self.selection)
        if head.startswith((b"\xfd7zXZ\0", b"BZh")):
            raise SourceError(
                f"expected an archive compressed with gzip or zstd, found xz or bzip2: {name}", hint="use gzip"
            )
        raise SourceError(f"expected {_EXPECTED}, found another kind of file: {name}", hint="give one of these")

    def _json(self, storage: Storage, path: str, name: str, head: bytes) -> Source:
        """Return the reader of a JSON file, whose kind is detected by its first key."""
        key = re.match(rb'\{\s*"([^"]*)"', head)
        first = key[1] if key else b""
        if first == b"database":
            found = IndexLocation(storage, path, name, *self._labels(path, name))
            return IndexSource(name, found, self.selection)
        if first in {b"_meta", b"roots", b"concrete_specs"}:
            raise SourceError(
                f"expected {_EXPECTED}, found an environment's lockfile: {name}",
                hint="`cachestats match` compares it with a dataset, and cachestats.read_environment reads it",
            )
        if first in {b"version", b"data", b"spec", b"name"}:
            raise SourceError(
                f"expected {_EXPECTED}, found one file of a mirror: {name}", hint="give the mirror's own folder"
            )
        return CatalogueSource(name, storage, path, self.storages, self.selection)

    def _labels(self, path: str, name: str) -> tuple[str, str]:
        """Return snapshot and stack of an index outside a mirror, as the user named them."""
        snapshots, stacks = self.selection.snapshots, self.selection.stacks
        if path.endswith(_INSTALLED):
            snapshots = snapshots or ("local",)
            if len(stacks) != 1:
                raise SourceError(
                    f"expected a name for the stack of the installed specs in {name}, found "
                    f"{', '.join(stacks) or 'none'}",
                    hint="give it one with --stack NAME",
                )
        if len(snapshots) != 1 or len(stacks) > 1:
            raise SourceError(
                f"expected folders that name the snapshot of {name}, found none",
                hint="name it with --snapshot NAME, and the stack with --stack NAME if it is one",
            )
        return printable(snapshots[0]), printable(stacks[0] if stacks else UNION_STACK)


def _is_list(head: bytes) -> bool:
    """Whether a server answered with a page that lists a folder, rather than with a file."""
    return head.lstrip()[:1] == b"<"


def _unpacked(head: bytes) -> bytes:
    """Return as much of the contents of a file as its first bytes give."""
    if not head.startswith((GZIP, ZSTD)):
        return head
    stream, data = opened(head), bytearray()
    try:
        while len(data) < _HEAD_BYTES and (chunk := stream.read(4096)):
            data += chunk
    except Exception:  # the file is longer than these bytes, or damaged, which reading all of it will show
        return bytes(data)
    return bytes(data)
