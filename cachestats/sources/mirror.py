"""Build-cache mirrors: the location of the index in each layout, its snapshot and stack, and its bytes, verified.

Layouts 1 and 2 have `build_cache/index.json` with its checksum beside it; layout 3 has a manifest that names a blob by
its checksum, and may have views, each with its own manifest. A mirror inside another mirror, or inside a folder with
the name of a snapshot, is a stack of that snapshot; so is a view of a mirror.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated
from urllib.parse import urlunsplit

import msgspec

from cachestats.decode import JsonError, decode
from cachestats.errors import SourceError
from cachestats.naming import UNION_STACK, snapshot_kind
from cachestats.sources.items import (
    BinarySize,
    Content,
    FailedIndex,
    Index,
    Item,
    Mirror,
    Previous,
    ReadTask,
    Source,
    SourceKind,
    Unchanged,
)
from cachestats.sources.request import Selection
from cachestats.sources.signature import is_signed, signed_text
from cachestats.sources.storage.base import Fingerprint, Storage
from cachestats.sources.storage.compression import unpack
from cachestats.sources.storage.transfer import DamagedError, ForbiddenError, MissingError
from cachestats.sources.storage.urls import is_url, split_url
from cachestats.spack_releases import FORMAT_OF_DATABASE
from cachestats.text import counted, storable

_MAX_MANIFEST_BYTES = 1 << 20

_INDEX = "/build_cache/index.json"
_MANIFESTS = "/v3/manifests/index"
_MANIFEST = f"{_MANIFESTS}/index.manifest.json"
_INDEX_PATH = re.compile(
    rf"(?P<mirror>.*)(?:{_INDEX}|{_MANIFESTS}(?:/(?P<view>[^/]+))?/index\.manifest\.json)", re.DOTALL
)
_BLOB_PATH = re.compile(r"(?P<mirror>.*)/blobs/sha256/[0-9a-f]{2}/(?P<checksum>[0-9a-f]{64})", re.DOTALL)
_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+=~-]*")
_OF_SPECS = re.compile(
    r"(?P<mirror>.*)/(?:build_cache/[^/]+\.spec\.json(?:\.sig)?|v3/manifests/spec/[^/]+/[^/]+\.spec\.manifest\.json)",
    re.DOTALL,
)
SPEC_MANIFESTS = "v3/manifests/spec"
"""The folder of the spec manifests in a mirror of layout 3."""
BINARY = "application/vnd.spack.install."
"""The media types of binaries begin so."""

_DATABASE = re.compile(r"application/vnd\.spack\.db\.v([0-9]{1,4})\+json")


class ManifestError(SourceError):
    """A file that must be a manifest is not one."""


class Blob(msgspec.Struct):
    """A file as listed in a manifest."""

    content_length: Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)] = msgspec.field(name="contentLength")
    media_type: str = msgspec.field(name="mediaType")
    checksum: str
    compression: str = "none"
    checksum_algorithm: str = msgspec.field(name="checksumAlgorithm", default="sha256")

    def sha256(self, name: str) -> str:
        """Return the checksum, which names the file.

        Raises
        ------
        ManifestError
            If it is not a sha256 checksum.
        """
        if self.checksum_algorithm != "sha256" or not re.fullmatch("[0-9a-f]{64}", self.checksum):
            raise ManifestError(
                f"expected a sha256 checksum in {name}, found {self.checksum_algorithm} {self.checksum!r}",
                hint="fetch the mirror again",
            )
        return self.checksum


class _Manifest(msgspec.Struct):
    data: list[Blob]


@dataclass(frozen=True)
class IndexLocation:
    """The location of an index, with its snapshot and stack; the index itself is not yet looked at."""

    storage: Storage
    path: str
    origin: str
    snapshot: str
    stack: str

    @property
    def mirror(self) -> Mirror | None:
        """The mirror that it belongs to if that tells sizes: one of layout 3."""
        return self._layout_3

    def index(self, previous: Previous) -> Index:
        """Look at the index and return it with its fingerprint.

        Raises
        ------
        SourceError
            If it does not exist, or its manifest is not a manifest.
        """
        return Index(self.origin, self.snapshot, self.stack, *self.look(previous), self.mirror)

    def items(self, previous: Previous) -> Iterator[Item]:
        """Yield the index, or that it has not changed, or the reason why it cannot be read."""
        # The path of a blob changes with its contents: it contains the fingerprint, so looking costs nothing.
        takes_request = self.storage.is_remote and not _BLOB_PATH.fullmatch(self.path)
        label = self.snapshot, self.stack
        if takes_request and previous.is_settled(self.origin, label):
            yield Unchanged([self.origin])
            return
        try:
            index = self.index(previous)
        except SourceError as error:
            yield FailedIndex(self.origin, self.snapshot, error)
            return
        yield Unchanged([self.origin]) if previous.has(self.origin, index.fingerprint, label) else index

    def look(self, previous: Previous) -> tuple[Fingerprint, Callable[[], Content]]:
        """Return the fingerprint of the index, and how to read it."""
        if blob := _BLOB_PATH.fullmatch(self.path):
            return blob["checksum"], partial(read_verified, self.storage, self.path, blob["checksum"])
        if (mirror := self._layout_3) is not None:
            blob_ = _index_blob(mirror.storage, self.path)
            path = mirror.blob(blob_.checksum)
            return blob_.checksum, partial(read_verified, self.storage, path, blob_.checksum, blob_.content_length)
        if self.storage.has_cheap_fingerprints:
            return self.storage.fingerprint(self.path), partial(_read_beside_checksum, self.storage, self.path)
        checksum = _checksum_beside(self.storage, self.path)
        return checksum or self.storage.fingerprint(self.path), partial(
            read_verified, self.storage, self.path, checksum
        )

    @property
    def _layout_3(self) -> Layout3 | None:
        match = _BLOB_PATH.fullmatch(self.path) or _INDEX_PATH.fullmatch(self.path)
        return Layout3(self.storage, match["mirror"]) if match and not self.path.endswith(_INDEX) else None


@dataclass(frozen=True)
class Layout3:
    """A mirror of layout 3, in which a manifest of each spec has the size of its binary."""

    storage: Storage
    path: str

    def blob(self, checksum: str) -> str:
        """Return the path of a blob."""
        return f"{self.path}/blobs/sha256/{checksum[:2]}/{checksum}"

    def size(self, package: str, version: str, hash_: str) -> BinarySize | None:
        """Return the size of the binary of a spec, or None if it has no manifest."""
        if not all(map(_SAFE_NAME.fullmatch, (package, version, hash_))):
            return None
        name = f"{package}/{package}-{version}-{hash_}.spec.manifest.json"
        try:
            blobs, has_signature = read_manifest(self.storage, f"{self.path}/{SPEC_MANIFESTS}/{name}")
        except (MissingError, ManifestError):
            return None
        return binary_size(blobs, has_signature)


def binary_size(blobs: list[Blob], is_signed: bool) -> BinarySize:
    """Return the size of the binary among the files that a manifest lists."""
    sizes = [blob.content_length for blob in blobs if blob.media_type.startswith(BINARY)]
    return BinarySize(sizes[0] if sizes else None, is_signed)


@dataclass(frozen=True)
class IndexTask:
    """The read task of one index."""

    location: IndexLocation
    previous: Previous

    def __call__(self) -> Iterator[Item]:
        """Yield the index."""
        return self.location.items(self.previous)


def index_tasks(name: str, found: list[IndexLocation], previous: Previous, selection: Selection) -> Iterator[ReadTask]:
    """Yield a task for each selected index of a source.

    Raises
    ------
    SourceError
        If the source lacks a selected snapshot or stack.
    """
    selection.check_named(name, {one.snapshot for one in found}, {one.stack for one in found})
    selected = [one for one in found if selection.takes(one.snapshot, one.stack)]
    given = selection.renamed(name, {one.snapshot for one in selected})
    for one in selected:
        yield IndexTask(one if given is None else replace(one, snapshot=given), previous)


class IndexSource(Source):
    """A single index in any location."""

    kind: SourceKind = "index"
    may_have_pages = False
    is_named_by_selection = True

    def __init__(self, name: str, found: IndexLocation, selection: Selection) -> None:
        self.name = name
        self.passed_over = 0
        self._found, self.selection = found, selection

    def batches(self, previous: Previous) -> Iterator[ReadTask]:
        """Yield the one index."""
        yield from index_tasks(self.name, [self._found], previous, self.selection)


def no_index(mirror: str, found: str) -> MissingError:
    """Return the error for a mirror without an index, in which something else was found."""
    return MissingError(
        f"expected the index of the mirror {mirror}, found {found} without one",
        hint="read its spec files with `cachestats build --without-index`, or let Spack write it: "
        f"spack buildcache update-index {mirror}",
    )


def mirror_of(path: str) -> str:
    """Return the path of the mirror whose index has this path."""
    match = _INDEX_PATH.fullmatch(plain_path(path))
    assert match, "the caller has checked is_index"  # noqa: S101
    return match["mirror"]


def is_index(path: str) -> bool:
    """Whether a path is that of the index of a mirror."""
    return _INDEX_PATH.fullmatch(path) is not None


def index_for(path: str) -> str | None:
    """Return the path of the index that lists a spec file or a spec manifest, whether it exists or not.

    None if it is the path of neither.

    Examples
    --------
    >>> from cachestats.sources.mirror import index_for
    >>> index_for("mirror/v3/manifests/spec/zlib/zlib-1.3.1-abc.spec.manifest.json")
    'mirror/v3/manifests/index/index.manifest.json'
    """
    match = _OF_SPECS.fullmatch(path)
    if match is None:
        return None
    return match["mirror"] + (_MANIFEST if path.endswith(".spec.manifest.json") else _INDEX)


def index_of_folder(mirror: str, folder: str) -> str:
    """Return the path of the index of a mirror that has the folder `build_cache` or `v3`."""
    return mirror + (_INDEX if folder == "build_cache" else _MANIFEST)


def plain_path(path: str) -> str:
    """Return a path or URL without its query and the extension of a compressed file."""
    path = urlunsplit(split_url(path)._replace(query="", fragment="")) if is_url(path) else path
    return re.sub(r"\.(?:gz|zst)$", "", path)


def locate_index(storage: Storage, path: str, origin: str, mirrors: Collection[str] = ()) -> IndexLocation:
    """Return the index at a path whose plain path `is_index`, with the snapshot and stack that its folders name.

    Parameters
    ----------
    storage, path, origin
        Its location.
    mirrors
        Paths of mirrors that may have no index.
    """
    match = _INDEX_PATH.fullmatch(plain_path(path))
    assert match, "the caller has checked is_index"  # noqa: S101
    mirror, view = match["mirror"], match["view"]
    above = mirror.rpartition("/")[0]
    # A mirror at the root of a server gets the server's name.
    parent, name = ["", "", *(storage.parts(mirror) or [storage.name(mirror).rpartition("/")[2]])][-2:]
    # A snapshot without an index of its own is recognized by its name.
    is_stack = (
        bool(parent)
        and snapshot_kind(name)[0] == "other"
        and (
            snapshot_kind(parent)[0] != "other"
            or above in mirrors
            or storage.exists(above + _INDEX)
            or storage.exists(above + _MANIFEST)
        )
    )
    snapshot, stack = (parent, name) if is_stack else (name, UNION_STACK)
    if view:
        stack = f"{stack}/{view}" if is_stack else view
    return IndexLocation(storage, path, origin, storable(snapshot), storable(stack))


def indices_at(storage: Storage, mirror: str) -> Iterator[str]:
    """Yield the paths of the indices of a mirror of any layout; nothing if there is no mirror."""
    for path in (mirror + _INDEX, mirror + _MANIFEST):
        if storage.exists(path):
            yield path
    try:
        views = [entry.path for entry in storage.entries(mirror + _MANIFESTS) if entry.is_folder]
    except (MissingError, ForbiddenError):  # no views, or no listings
        return
    for view in views:
        if storage.exists(f"{view}/index.manifest.json"):
            yield f"{view}/index.manifest.json"


def read_manifest(storage: Storage, path: str) -> tuple[list[Blob], bool]:
    """Return the files listed in a manifest, and whether it is signed; the signature is not verified.

    Raises
    ------
    ManifestError
        If it is not a manifest.
    SourceError
        If it cannot be read.
    """
    data = bytes(storage.read(path, limit=_MAX_MANIFEST_BYTES))
    has_signature = is_signed(data)
    try:
        return decode(signed_text(data) if has_signature else data, _Manifest).data, has_signature
    except JsonError as error:
        name = storage.name(path)
        raise ManifestError(f"expected a manifest at {name}, found: {error}", hint="fetch the mirror again") from error


def _index_blob(storage: Storage, path: str) -> Blob:
    """Return the blob that a manifest names; if it names several databases, that of the newest known version.

    Raises
    ------
    SourceError
        If it names no database, or none of a known version.
    """
    blobs, _ = read_manifest(storage, path)
    name = storage.name(path)
    databases = {int(match[1]): blob for blob in blobs if (match := _DATABASE.fullmatch(blob.media_type))}
    if not databases:
        raise SourceError(f"expected an index in {name}, found none", hint="run `spack buildcache update-index` there")
    known = databases.keys() & FORMAT_OF_DATABASE
    if not known:
        raise SourceError(
            f"expected a database of version {min(FORMAT_OF_DATABASE)} to {max(FORMAT_OF_DATABASE)} in {name}, "
            f"found version {', '.join(map(str, sorted(databases)))}",
            hint="look for a newer cachestats, or update the index with a Spack whose databases it knows",
        )
    blob = databases[max(known)]
    blob.sha256(name)
    return blob


def _checksum_beside(storage: Storage, path: str) -> str | None:
    """Return the checksum that layouts 1 and 2 have beside the index, or None if it is missing."""
    if "?" in path:  # a signed URL is for one file only
        return None
    try:
        text = storage.read(f"{path}.hash", limit=_MAX_MANIFEST_BYTES).decode("ascii", "replace").strip()
    except (MissingError, ForbiddenError):
        return None
    if not re.fullmatch("[0-9a-f]{64}", text):
        raise SourceError(
            f"expected a sha256 checksum in {storage.name(path)}.hash, found {text[:80]!r}",
            hint="fetch the mirror again",
        )
    return text


def _read_beside_checksum(storage: Storage, path: str) -> Content:
    return read_verified(storage, path, _checksum_beside(storage, path))


def read_verified(
    storage: Storage, path: str, checksum: str | None = None, length: int | None = None, *, limit: int | None = None
) -> Content:
    """Return a file, decompressed, after its checksum and length were verified.

    Raises
    ------
    DamagedError
        If it is not what its checksum and length say, or larger than the limit, which is that of the user by default.
    SourceError
        If it cannot be read.
    """
    data = storage.read(path, limit=limit)
    name = storage.name(path)
    if length is not None and len(data) != length:
        raise DamagedError(
            f"expected {counted(length, 'byte')} in {name}, found {len(data):,}", hint="fetch the mirror again"
        )
    digest = hashlib.sha256(data).hexdigest()
    if checksum not in {None, digest}:
        raise DamagedError(
            f"expected the sha256 checksum {checksum} of {name}, found {digest}", hint="fetch the mirror again"
        )
    return Content(unpack(data, name, storage.limits), digest)
