"""Access to files on disk, over http(s) and in S3 through one layer, fsspec.

fsspec rather than obstore: obstore silently follows a redirect to any host, and refuses responses without a length,
which is how code hosts send their archives. `transfer` and `http` add the features that fsspec lacks: retries, resuming
after a broken connection, giving up on a server that sends too slowly, and staying on the requested host.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cached_property
from typing import IO, Any, NamedTuple, Self, TypeVar

from cachestats.errors import SourceError
from cachestats.sources.storage import transfer
from cachestats.sources.storage.input_limits import InputLimits, limit_hint
from cachestats.sources.storage.network import Network
from cachestats.sources.storage.transfer import CHUNK_BYTES, DamagedError, ForbiddenError, MissingError, Opened
from cachestats.text import storable

T = TypeVar("T")


class Entry(NamedTuple):
    """A file or folder inside a folder."""

    path: str
    is_folder: bool
    fingerprint: Fingerprint


class Storage:
    """The files of one disk, server or object store, by path.

    A subclass must override `filesystem` and say whether it `is_remote`; `Storages.find` names its URLs. It should
    override `name` and `parts` if its paths are not as a user gives them (`s3://...`) or may contain secrets,
    `fingerprint` and `entries` unless fsspec tells the entity tags (`ETag`) of its files, and `open_at`, `is_temporary`
    and `requested_pause` if its connections can break. The other methods work with any filesystem of fsspec.
    """

    is_remote: bool  # no default: either answer would do silent harm to a storage for which it is wrong
    """Whether each look at a file is a request; if so, known dated snapshots and releases are not looked at again."""
    has_local_paths = False
    """Whether the operating system opens files and lists folders at these paths, without help from the storage."""
    has_cheap_fingerprints = False
    """Whether the fingerprint of an index costs less than reading the checksum beside it."""

    def __init__(self, network: Network, limits: InputLimits | None = None) -> None:
        self.network = network
        self.limits = limits or InputLimits()

    def __reduce__(self) -> tuple[type[Self], tuple[Network, InputLimits]]:
        return type(self), (self.network, self.limits)  # another process opens its own connections

    @cached_property
    def filesystem(self) -> Any:
        """The fsspec filesystem, made for the first file: importing it takes longer than reading a page."""
        raise NotImplementedError

    def name(self, path: str) -> str:
        """Return the name of a path in messages and tables."""
        return storable(path)

    def parts(self, path: str) -> list[str]:
        """Return the names of the folders above a path, and its own."""
        return [part for part in path.split("/") if part]

    def read(self, path: str, *, limit: int | None = None) -> bytearray:
        """Return the bytes of a file of at most `limit` bytes; without it, of as many as the user allows.

        Raises
        ------
        MissingError
            If there is no such file.
        DamagedError
            If it is larger.
        SourceError
            If it cannot be read, even after retries.
        """
        most = self.limits.file_bytes if limit is None else limit
        data = bytearray()
        for chunk in self.chunks(path):
            data += chunk
            if len(data) > most:
                raise DamagedError(
                    f"expected at most {most:,} bytes, found more in {self.name(path)}",
                    hint="check the file" if limit is not None else limit_hint("file_bytes"),
                )
        return data

    def head(self, path: str, size: int) -> bytes:
        """Return the first bytes of a file."""
        data = b""
        for chunk in self.chunks(path):
            data += chunk
            if len(data) >= size:
                break
        return data[:size]

    def stream(self, path: str) -> IO[bytes]:
        """Return a file to read from start to end."""
        return io.BufferedReader(_Chunks(self.chunks(path)), CHUNK_BYTES)

    def chunks(self, path: str) -> Iterator[bytes]:
        """Yield the chunks of a file; if a connection breaks, resume at the same offset."""
        return transfer.chunks(self, path)

    def exists(self, path: str) -> bool:
        """Whether there is a readable file; servers often answer "forbidden" for missing files."""
        try:
            self.fingerprint(path)
        except (MissingError, ForbiddenError):
            return False
        return True

    def fingerprint(self, path: str) -> Fingerprint:
        """Return a value that changes when the file changes, or None if the storage has none."""
        return self.again(path, lambda: _fingerprint(self.filesystem.info(path)))

    def modified(self, path: str) -> datetime | None:
        """Return when a file was last written, or None if the storage does not say."""
        return self.again(path, lambda: _modified(self.filesystem.info(path)))

    def size(self, path: str) -> int | None:
        """Return the size of a file in bytes, or None if the storage does not say."""
        return self.again(path, lambda: int(self.filesystem.info(path)["size"]))

    def entries(self, path: str) -> list[Entry]:
        """Return the entries of a folder, sorted and without hidden ones; none if it cannot be listed."""
        found = self.again(path, lambda: self.filesystem.ls(path, detail=True))
        top = path.rstrip("/")
        entries = [
            Entry(f"{top}/{name}", entry["type"] == "directory", _fingerprint(entry))
            for entry in found
            if (name := entry["name"].rstrip("/").rpartition("/")[2]) and not name.startswith(".")
        ]
        return sorted(entries)

    def check_listed(self, name: str, folders: int, entries: int) -> None:
        """Check that the folders of a source that were listed, and the entries in them, are not too many.

        Raises
        ------
        SourceError
            If they are.
        """
        for limit, number, what in (("listings", folders, "folders"), ("records", entries, "files and folders")):
            if number > (most := getattr(self.limits, limit)):
                raise SourceError(f"expected at most {most:,} {what}, found more at {name}", hint=limit_hint(limit))

    def again(self, path: str, ask: Callable[[], T]) -> T:
        """Return the answer to a question about a path, asked again after a temporary failure."""
        return transfer.again(self, path, ask)

    def open_at(self, path: str, offset: int, identity: str | None) -> Opened:
        """Open a file at an offset, if `identity` says that it is still the same file, or at its start."""
        file = self.filesystem.open(path, "rb")
        file.seek(offset)
        return Opened(file, None, offset)

    def is_temporary(self, error: Exception) -> bool:
        """Whether it is worth trying again after this error."""
        return False

    def requested_pause(self, error: Exception) -> float | None:
        """Return the seconds after which the server asks to try again, or None if it does not say."""
        return None

    def refusal(self, path: str, error: Exception) -> SourceError | None:
        """Return the error to raise for one that has its own words in this storage, or None."""
        return None


class _Chunks(io.RawIOBase):
    """Chunks as a file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")
        self._offset = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = memoryview(next(self._chunks, b""))
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        self._offset += size
        return size

    def tell(self) -> int:
        return self._offset


def _fingerprint(info: dict[str, Any]) -> Fingerprint:
    return str(info["ETag"]) if "ETag" in info else None


def _modified(info: dict[str, Any]) -> datetime | None:
    told = info.get("LastModified")  # in object stores
    return told if isinstance(told, datetime) and told.tzinfo else None


Fingerprint = str | None
"""A value that changes when a file changes, available without reading the file; None if there is none."""
