"""Build-cache mirrors on disk: where an index stands in each layout, whose it is, and its bytes, checked.

Layouts 1 and 2 have `build_cache/index.json` with its checksum beside it; layout 3 has a manifest that names a blob by
its checksum. A mirror that lies inside another one, or in a folder named as a snapshot is, is a stack of that snapshot.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import zlib
from functools import partial

import msgspec

from cachestats.errors import SourceError
from cachestats.naming import ROOT_STACK, snapshot_kind
from cachestats.sources.base import Index, printable

_INDEX = "/build_cache/index.json"
_MANIFEST = "/v3/manifests/index/index.manifest.json"

_NEWEST_DATABASE = 9
_DATABASE = re.compile(r"application/vnd\.spack\.db\.v([0-9]{1,4})\+json")
_MAX_GROWTH = 200  # JSON of specs shrinks to a tenth or so


class _Blob(msgspec.Struct):
    content_length: int = msgspec.field(name="contentLength")
    media_type: str = msgspec.field(name="mediaType")
    checksum: str
    compression: str = "none"
    checksum_algorithm: str = msgspec.field(name="checksumAlgorithm", default="sha256")


class _Manifest(msgspec.Struct):
    data: list[_Blob]


def is_index(path: str) -> bool:
    """Whether a file is the index of a mirror, by its place."""
    return path.endswith((_INDEX, _MANIFEST))


def index_at(path: str, origin: str) -> Index:
    """Return the index at a path for which `is_index` holds, not read yet."""
    end = _INDEX if path.endswith(_INDEX) else _MANIFEST
    mirror = path.removesuffix(end)
    above, _, name = mirror.rpartition("/")
    parent = above.rpartition("/")[2]
    has_root = os.path.exists(above + _INDEX) or os.path.exists(above + _MANIFEST)
    # A snapshot may have no index of its own; then its name has to tell.
    is_stack = has_root or (snapshot_kind(name)[0] == "other" and snapshot_kind(parent)[0] != "other")
    snapshot, stack = (parent, name) if is_stack else (name, ROOT_STACK)
    read = partial(_read_index, path) if end == _INDEX else partial(_read_blob, mirror, path)
    return Index(origin, printable(snapshot), printable(stack), read)


def _read_index(path: str) -> bytes:
    """Read the index of layout 1 or 2, and compare it with the checksum beside it, where there is one."""
    data = _bytes(path)
    if os.path.exists(f"{path}.hash"):
        _check(path, data, _bytes(f"{path}.hash").decode("ascii", "replace").strip())
    return data


def _read_blob(mirror: str, path: str) -> bytes:
    """Read the index that a manifest of layout 3 names: of several that of the newest database version known."""
    try:
        manifest = msgspec.json.decode(_bytes(path), type=_Manifest)
    except (msgspec.DecodeError, RecursionError) as error:
        raise SourceError(f"expected a manifest at {path}, found: {error}", hint="fetch the mirror again") from error
    databases = {int(match[1]): blob for blob in manifest.data if (match := _DATABASE.fullmatch(blob.media_type))}
    if not databases:
        raise SourceError(f"expected an index in {path}, found none", hint="run `spack buildcache update-index` there")
    blob = databases[max((version for version in databases if version <= _NEWEST_DATABASE), default=min(databases))]
    if blob.checksum_algorithm != "sha256" or not re.fullmatch("[0-9a-f]{64}", blob.checksum):
        raise SourceError(
            f"expected a sha256 checksum in {path}, found {blob.checksum_algorithm} {blob.checksum!r}",
            hint="fetch the mirror again",
        )
    place = f"{mirror}/blobs/sha256/{blob.checksum[:2]}/{blob.checksum}"
    data = _bytes(place)
    if len(data) != blob.content_length:
        raise SourceError(
            f"expected {blob.content_length:,} bytes in {place}, found {len(data):,}", hint="fetch the mirror again"
        )
    _check(place, data, blob.checksum)
    return _gunzip(place, data) if blob.compression == "gzip" else data


def _bytes(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}", hint="fetch the mirror again") from error


def _check(path: str, data: bytes, expected: str) -> None:
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        raise SourceError(
            f"expected the sha256 checksum {expected} of {path}, found {found}", hint="fetch the mirror again"
        )


def _gunzip(path: str, data: bytes) -> bytes:
    limit = _MAX_GROWTH * len(data)
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            unpacked = stream.read(limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"expected gzip in {path}, found: {error}", hint="fetch the mirror again") from error
    if len(unpacked) > limit:
        raise SourceError(
            f"expected an index, found one that unpacks to more than {_MAX_GROWTH} times its size: {path}",
            hint="check where it comes from",
        )
    return unpacked
