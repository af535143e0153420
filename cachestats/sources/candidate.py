"""A first look at a source whose kind is not yet known: whether it is a folder, or how its file begins."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from cachestats.decode import BYTE_ORDER_MARK
from cachestats.errors import SourceError
from cachestats.sources.catalogue import FILE_NAME
from cachestats.sources.items import EXPECTED, source_name
from cachestats.sources.oci import LAYOUT
from cachestats.sources.request import Selection, SourceRequest, SpecFileReading
from cachestats.sources.storage.base import Storage
from cachestats.sources.storage.compression import GZIP, ZSTD, opened
from cachestats.sources.storage.oci import RegistryStorage
from cachestats.sources.storage.pool import Storages
from cachestats.sources.storage.transfer import ForbiddenError, MissingError
from cachestats.sources.storage.urls import is_url

DATABASE = "/.spack-db/index.json"
"""Where an installation has its database."""

_HEAD_BYTES = 1 << 18  # a block of zstd, which cannot be read before its end, may have half of this


@dataclass(frozen=True)
class Candidate:
    """The location of a source, and what a first look at it found."""

    selection: Selection
    storages: Storages
    storage: Storage
    path: str
    name: str
    head: bytes | None
    """The first bytes of a file; None for a folder."""
    refusal: SourceError | None = None
    """The error by which a server refused to send a folder as a file."""
    spec_files: SpecFileReading | None = None
    """How to read spec files instead of indices; None if indices are read."""
    needs_names: bool = True
    """Whether an index outside a mirror must be given names."""

    @property
    def is_in_registry(self) -> bool:
        """Whether it is a repository of an OCI registry."""
        return isinstance(self.storage, RegistryStorage)

    @property
    def has_images(self) -> bool:
        """Whether it is a folder with the OCI image layout."""
        return self.is_local_folder and self.storage.exists(f"{self.path}/{LAYOUT}")

    @property
    def is_local_folder(self) -> bool:
        """Whether it is a folder that the operating system lists."""
        return self.head is None and self.storage.has_local_paths

    @property
    def is_folder_of_storage(self) -> bool:
        """Whether it is a folder that only its storage can list, as of a server, or at least not a file there."""
        return self.head is None and not self.storage.has_local_paths

    @property
    def catalogue(self) -> str:
        """The path of a catalogue inside this folder."""
        return f"{self.path}/{FILE_NAME}"

    @property
    def catalogue_beside(self) -> str:
        """The path of a catalogue in the folder above, which may list this one as a snapshot."""
        return f"{self.path.rpartition('/')[0]}/{FILE_NAME}"

    @property
    def snapshot(self) -> str | None:
        """The last name in the path, or None for the root of a server."""
        return next(reversed(self.storage.parts(self.path)), None)

    @cached_property
    def first_key(self) -> bytes | None:
        """The first key of a JSON object, empty if it is not among the first bytes; None for any other file."""
        text = _unpacked(self.head or b"").removeprefix(BYTE_ORDER_MARK).lstrip()
        key = re.match(rb'\{\s*"([^"]*)"', text)
        return key[1] if key else b"" if text.startswith(b"{") else None


def look(request: SourceRequest, storages: Storages) -> Candidate:
    """Take a first look at a source; of an installation, at its database.

    Raises
    ------
    SourceError
        If there is nothing, or it cannot be read.
    """
    if not request.address:
        raise SourceError(f"expected {EXPECTED}, found an empty path", hint="give '.' for the current folder")
    found = _look_at_url(request, storages) if is_url(request.address) else _look_on_disk(request, storages)
    return replace(found, spec_files=request.spec_files, needs_names=request.needs_names)


def _look_on_disk(request: SourceRequest, storages: Storages) -> Candidate:
    path = Path(request.address)
    storage, location = storages.find(str(path))
    try:
        if path.is_dir():
            database = find_database(path, location)
            is_folder, location = database is None, database or location
        elif not path.exists():
            raise SourceError(f"expected {EXPECTED}, found nothing at {path}", hint="check the path")
        elif not path.is_file():
            raise SourceError(f"expected {EXPECTED}, found neither file nor folder at {path}", hint="give one of them")
        else:
            is_folder = False
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}", hint="check its permissions") from error
    name = request.selection.label(request.name or source_name(path))
    head = None if is_folder else storage.head(location, _HEAD_BYTES)
    return Candidate(request.selection, storages, storage, location, name, head)


def _look_at_url(request: SourceRequest, storages: Storages) -> Candidate:
    storage, location = storages.find(request.address)
    name = request.selection.label(storage.name(location))
    if isinstance(storage, RegistryStorage):
        return Candidate(request.selection, storages, storage, location, name, None)
    refusal: SourceError | None = None
    try:
        if not location.endswith("/") and not _is_list(head := storage.head(location, _HEAD_BYTES)):
            return Candidate(request.selection, storages, storage, location, name, head)
    except (MissingError, ForbiddenError) as error:  # a folder cannot be read as a file
        refusal = error
    return Candidate(request.selection, storages, storage, location.rstrip("/"), name.rstrip("/"), None, refusal)


def find_database(path: Path, location: str) -> str | None:
    """Return the location of the database if a folder is an installation or its `.spack-db`."""
    if path.name == ".spack-db" and (path / "index.json").is_file():
        return f"{location}/index.json"
    is_installation = path.name == ".spack-db" or (path / DATABASE.lstrip("/")).is_file()
    return location + DATABASE if is_installation else None


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
