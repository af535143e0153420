"""Detect the kind of each source by a table of tests, and return its reader."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, NoReturn
from urllib.parse import unquote

from cachestats.decode import BYTE_ORDER_MARK
from cachestats.errors import SourceError
from cachestats.naming import UNION_STACK
from cachestats.sources.archive import ArchiveSource, archive_kind
from cachestats.sources.candidate import DATABASE, Candidate, look
from cachestats.sources.catalogue import CatalogueSource, read_catalogue
from cachestats.sources.folder import FolderSource, PageSource
from cachestats.sources.items import EXPECTED, Source, is_page
from cachestats.sources.mirror import IndexLocation, IndexSource, is_index, locate_index, plain_path
from cachestats.sources.oci import Images, Layout, OciSource, Repository
from cachestats.sources.remote import RemoteSource
from cachestats.sources.request import SourceRequest
from cachestats.sources.storage.input_limits import InputLimits
from cachestats.sources.storage.network import Network
from cachestats.sources.storage.oci import RegistryStorage
from cachestats.sources.storage.pool import Storages
from cachestats.sources.storage.urls import is_url, redact_url
from cachestats.text import storable

logger = logging.getLogger(__name__)


def open_sources(sources: Sequence[SourceRequest]) -> dict[Source, SourceRequest]:
    """Return a reader for each source; a source that is given twice, or is inside another one, is read once.

    Raises
    ------
    SourceError
        If a source does not exist, cannot be read, or is of a kind that cachestats does not read.
    """
    if not sources:
        raise SourceError("expected at least one source, found none", hint=f"give {EXPECTED}")
    storages: dict[tuple[Network, InputLimits], Storages] = {}
    readers: dict[str | Path, tuple[Source, SourceRequest]] = {}
    for source in sources:
        if source.address.startswith("file://"):
            source = replace(source, address=unquote(source.address.removeprefix("file://")))
        is_remote = is_url(source.address)
        location = redact_url(source.address).rstrip("/") if is_remote else Path(source.address).resolve()
        if location in readers and readers[location][1].selection.name != source.selection.name:
            names = [one.selection.name or "none" for one in (readers[location][1], source)]
            raise SourceError(
                f"expected one name for {redact_url(source.address)}, found {' and '.join(names)}",
                hint="give it one name now, and the next one when its contents have changed",
            )
        if location not in readers:
            options = source.network, source.limits
            reader = _open(look(source, storages.setdefault(options, Storages(*options))))
            reader.limits = source.limits
            readers[location] = reader, source
    folders = [location for location in readers if isinstance(location, Path)]
    return dict(
        opened
        for location, opened in readers.items()
        if opened[1].selection.name is not None
        or not (isinstance(location, Path) and any(_covers(other, location) for other in folders))
    )


def _covers(folder: Path, location: Path) -> bool:
    """Whether reading `folder` also reads `location`: hidden folders and archives inside it are not read."""
    if location == folder or not location.is_relative_to(folder):
        return False
    if not (location.is_dir() or is_page(str(location)) or is_index(str(location))):
        return False
    return not any(part.startswith(".") for part in location.relative_to(folder).parts)


def _repository(candidate: Candidate) -> Source:
    assert isinstance(candidate.storage, RegistryStorage), "the table has checked is_in_registry"  # noqa: S101
    return _images(candidate, Repository(candidate.storage, candidate.path, candidate.storage.name(candidate.path)))


def _image_layout(candidate: Candidate) -> Source:
    return _images(candidate, Layout(candidate.storage, candidate.path, candidate.selection.address(candidate.name)))


def _images(candidate: Candidate, images: Images) -> Source:
    """Return the reader of an OCI cache: the last part of its name is that of its snapshot, as that of a mirror is."""
    snapshots = candidate.selection.snapshots or (candidate.path.rpartition("/")[2],)
    names = _given_names(candidate, snapshots)
    return OciSource(candidate.name, images, candidate.selection, names, candidate.spec_files)


def _folder(candidate: Candidate) -> Source:
    return FolderSource(candidate.name, candidate.path, candidate.storage, candidate.selection, candidate.spec_files)


def _catalogue_inside(candidate: Candidate) -> Source:
    return CatalogueSource(
        candidate.name, candidate.storage, candidate.catalogue, candidate.storages, candidate.selection
    )


def _is_listed_beside(candidate: Candidate) -> bool:
    """Whether a folder is a snapshot in the catalogue beside it, since few object stores list their folders."""
    if (
        not candidate.is_folder_of_storage
        or candidate.snapshot is None
        or candidate.spec_files is not None
        or not candidate.storage.exists(candidate.catalogue_beside)
    ):
        return False
    return candidate.snapshot in read_catalogue(candidate.storage, candidate.catalogue_beside)


def _snapshot_listed_beside(candidate: Candidate) -> Source:
    selection = replace(candidate.selection, snapshots=(candidate.snapshot or "",))
    return CatalogueSource(
        candidate.selection.label(candidate.storage.name(candidate.path)),
        candidate.storage,
        candidate.catalogue_beside,
        candidate.storages,
        selection,
    )


def _remote_folder(candidate: Candidate) -> Source:
    return RemoteSource(
        candidate.name,
        candidate.storage,
        candidate.path,
        candidate.selection,
        candidate.refusal,
        candidate.spec_files,
    )


def _index_of_mirror(candidate: Candidate) -> Source:
    found = locate_index(candidate.storage, candidate.path, candidate.name)
    return IndexSource(candidate.name, found, candidate.selection)


def _single_index(candidate: Candidate) -> Source:
    """Return the reader of an index outside a mirror, with its snapshot and stack as the user named them."""
    snapshots, stacks = candidate.selection.snapshots, candidate.selection.stacks
    if candidate.path.endswith(DATABASE) or not candidate.needs_names:
        snapshots = snapshots or ("local",)
    if candidate.path.endswith(DATABASE) and candidate.needs_names and len(stacks) != 1:
        raise SourceError(
            f"expected a name for the stack of the installed specs in {candidate.name}, found "
            f"{', '.join(stacks) or 'none'}",
            hint="give it one with --stack NAME",
        )
    found = IndexLocation(candidate.storage, candidate.path, candidate.name, *_given_names(candidate, snapshots))
    return IndexSource(candidate.name, found, candidate.selection)


def _given_names(candidate: Candidate, snapshots: Sequence[str]) -> tuple[str, str]:
    """Return the names of the snapshot and the stack of a source that has one of each, as the user named them."""
    name, stacks = candidate.selection.name, candidate.selection.stacks
    if name is not None:
        if candidate.selection.snapshots not in {(), (name,)}:
            raise SourceError(
                f"expected one name for the snapshot of {candidate.name}, found also "
                f"{', '.join(candidate.selection.snapshots)}",
                hint="leave out --snapshot",
            )
        snapshots = (name,)
    if len(snapshots) != 1 or len(stacks) > 1:
        what, found = ("stack", stacks) if len(snapshots) == 1 else ("snapshot", tuple(snapshots))
        raise SourceError(
            f"expected one name for the {what} of {candidate.name}, found {', '.join(found) or 'none'}",
            hint="name it: NAME=SOURCE or --snapshot NAME, and the stack with --stack NAME if it is one",
        )
    return storable(snapshots[0]), storable(stacks[0] if stacks else UNION_STACK)


def _lockfile(candidate: Candidate) -> NoReturn:
    raise SourceError(
        f"expected {EXPECTED}, found an environment's lockfile: {candidate.name}",
        hint="`cachestats match` compares it with a dataset, and cachestats.read_environment reads it",
    )


def _file_of_mirror(candidate: Candidate) -> NoReturn:
    raise SourceError(
        f"expected {EXPECTED}, found one file of a mirror: {candidate.name}", hint="give the mirror's own folder"
    )


def _catalogue(candidate: Candidate) -> Source:
    if candidate.spec_files is not None:
        logger.warning("%s: the indices that it lists are read; for spec files, give the mirrors", candidate.name)
    return CatalogueSource(candidate.name, candidate.storage, candidate.path, candidate.storages, candidate.selection)


def _is_archive(candidate: Candidate) -> bool:
    return archive_kind(candidate.head or b"") is not None


def _archive(candidate: Candidate) -> Source:
    kind = archive_kind(candidate.head or b"")
    assert kind, "the table has checked _is_archive"  # noqa: S101
    return ArchiveSource(candidate.name, candidate.storage, candidate.path, kind, candidate.selection)


def _is_page(candidate: Candidate) -> bool:
    return candidate.path.endswith(".md") or (candidate.head or b"").removeprefix(BYTE_ORDER_MARK).startswith(b"---")


def _page(candidate: Candidate) -> Source:
    return PageSource(candidate.name, candidate.storage, candidate.path, candidate.selection)


def _other_compression(candidate: Candidate) -> NoReturn:
    raise SourceError(
        f"expected an archive compressed with gzip or zstd, found xz or bzip2: {candidate.name}", hint="use gzip"
    )


def _unknown(candidate: Candidate) -> NoReturn:
    raise SourceError(f"expected {EXPECTED}, found another kind of file: {candidate.name}", hint="give one of these")


class _Kind(NamedTuple):
    """A kind of source."""

    recognizes: Callable[[Candidate], bool]
    open: Callable[[Candidate], Source]
    """Returns the reader, or raises an error for a kind that is not read."""


# To read another kind of source, add a row. The first row that recognizes a source opens it, so the order decides:
# folders come first, then what a file's path says, then JSON by its first key, and then the first bytes of other files.
_KINDS = (
    _Kind(lambda candidate: candidate.is_in_registry, _repository),
    _Kind(lambda candidate: candidate.has_images, _image_layout),
    _Kind(lambda candidate: candidate.is_local_folder, _folder),
    _Kind(
        lambda candidate: (
            candidate.is_folder_of_storage
            and candidate.spec_files is None
            and candidate.storage.exists(candidate.catalogue)
        ),
        _catalogue_inside,
    ),
    _Kind(_is_listed_beside, _snapshot_listed_beside),
    _Kind(lambda candidate: candidate.is_folder_of_storage, _remote_folder),
    _Kind(lambda candidate: is_index(plain_path(candidate.path)), _index_of_mirror),
    _Kind(lambda candidate: candidate.first_key == b"database", _single_index),
    _Kind(lambda candidate: candidate.first_key in {b"_meta", b"roots", b"concrete_specs"}, _lockfile),
    _Kind(lambda candidate: candidate.first_key in {b"version", b"data", b"spec", b"name"}, _file_of_mirror),
    _Kind(lambda candidate: candidate.first_key is not None, _catalogue),
    _Kind(_is_archive, _archive),
    _Kind(_is_page, _page),
    _Kind(lambda candidate: (candidate.head or b"").startswith((b"\xfd7zXZ\0", b"BZh")), _other_compression),
    _Kind(lambda candidate: True, _unknown),
)


def _open(candidate: Candidate) -> Source:
    return next(kind.open(candidate) for kind in _KINDS if kind.recognizes(candidate))
