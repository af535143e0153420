"""Access to files on disk, over http(s) and in S3 through one layer, fsspec.

fsspec rather than obstore: obstore silently follows a redirect to any host, and refuses responses without a length,
which is how code hosts send their archives. This module and `http` add the features that fsspec lacks: retries,
resuming after a broken connection, giving up on a server that sends too slowly, and staying on the requested host.
"""

from __future__ import annotations

import hashlib
import io
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import IO, Any, NamedTuple, NoReturn, Self, TypeVar

from cachestats.errors import ArgumentError, SourceError
from cachestats.sources.storage.urls import redact_urls
from cachestats.text import printable

logger = logging.getLogger(__name__)

T = TypeVar("T")

_CHUNK_BYTES = 1 << 20
_SLOWEST_BYTES = 64 << 10
"""A connection over which a server sends less than this within a timeout counts as broken."""


@dataclass(frozen=True)
class Network:
    """Settings for servers and object stores.

    Attributes
    ----------
    timeout : float
        Seconds to wait for an answer, and for each further part of it.
    retries : int
        Number of retries, after pauses that double, when a server is busy or a connection breaks.
    allow_hosts : tuple of str
        Hosts that servers may redirect to, and that catalogues may refer to, in addition to their own.
    signed : bool
        Whether to sign requests to S3 with the credentials that AWS's tools would find; otherwise they are anonymous.
    on_bytes : callable, optional
        Called with the number of bytes of each chunk that arrives, from any thread.

    Examples
    --------
    >>> import cachestats as cs
    >>> network = cs.Network(timeout=10, retries=2, allow_hosts=("mirror.example.org",))
    >>> ds = cs.build_dataset("data/_cache", out=tmp / "dataset", network=network)
    """

    timeout: float = 60.0
    retries: int = 5
    allow_hosts: tuple[str, ...] = ()
    signed: bool = False
    on_bytes: Callable[[int], None] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        hosts: object = self.allow_hosts
        if self.timeout <= 0 or self.retries < 0 or isinstance(hosts, str):
            raise ArgumentError(
                f"expected a timeout above 0, 0 or more retries and hosts as a tuple, found {self.timeout}, "
                f"{self.retries} and {self.allow_hosts!r}",
                hint="such as Network(timeout=60, retries=5, allow_hosts=('example.org',))",
            )


class Entry(NamedTuple):
    """A file or folder inside a folder."""

    path: str
    is_folder: bool
    fingerprint: Fingerprint


class ForbiddenError(SourceError):
    """A path may not be read."""


class _ChangedError(Exception):
    """A file was replaced between two tries."""


class Opened:
    """An open file, its offset, and the strong entity tag by which the same file can be requested again."""

    def __init__(self, file: Any, identity: str | None = None, start: int = 0) -> None:
        self.file, self.identity, self.start = file, identity, start

    def starting_at(self, offset: int) -> Opened:
        """Return the same file at another offset."""
        return Opened(self.file, self.identity, offset)

    def __enter__(self) -> tuple[Any, str | None]:
        return self.file, self.identity

    def __exit__(self, *_: object) -> None:
        self.file.close()


class Storage:
    """The files of one disk, server or object store, by path."""

    def __init__(self, network: Network) -> None:
        self.network = network

    def __reduce__(self) -> tuple[type[Self], tuple[Network]]:
        return type(self), (self.network,)  # another process opens its own connections

    @cached_property
    def filesystem(self) -> Any:
        """The fsspec filesystem, made for the first file: importing it takes longer than reading a page."""
        raise NotImplementedError

    def name(self, path: str) -> str:
        """Return the name of a path in messages and tables."""
        return printable(path)

    def parts(self, path: str) -> list[str]:
        """Return the names of the folders above a path, and its own."""
        return [part for part in path.split("/") if part]

    def read(self, path: str, *, limit: int) -> bytearray:
        """Return the bytes of a file of at most `limit` bytes.

        Raises
        ------
        MissingError
            If there is no such file.
        SourceError
            If it cannot be read, even after retries, or is larger.
        """
        data = bytearray()
        for chunk in self.chunks(path):
            data += chunk
            if len(data) > limit:
                raise SourceError(
                    f"expected at most {limit:,} bytes, found more in {self.name(path)}", hint="check the file"
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
        return io.BufferedReader(_Chunks(self.chunks(path)), _CHUNK_BYTES)

    def chunks(self, path: str) -> Iterator[bytes]:
        """Yield the chunks of a file; if a connection breaks, resume at the same offset."""
        offset, failures, failed_at, identity = 0, 0, 0, None
        read = hashlib.sha256()
        while True:
            try:
                with (opened := self._open(path, offset, identity)) as (file, identity):
                    chunks = self._read_chunks(file)
                    for chunk in _after(chunks, offset, read.digest()) if opened.start < offset else chunks:
                        offset += len(chunk)
                        read.update(chunk)
                        yield chunk
                return
            except Exception as error:
                # A connection that breaks now and then does not end a long download; one without progress does.
                failures = 1 if offset - failed_at > _CHUNK_BYTES else failures + 1
                failed_at = offset
                self._pause(path, error, failures)

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

    def again(self, path: str, ask: Callable[[], T]) -> T:
        """Return the answer to a question about a path, asked again after a temporary failure."""
        failures = 0
        while True:
            try:
                return ask()
            except Exception as error:
                failures += 1
                self._pause(path, error, failures)

    def _open(self, path: str, offset: int, identity: str | None) -> Opened:
        file = self.filesystem.open(path, "rb")
        file.seek(offset)
        return Opened(file, None, offset)

    def _read_chunks(self, file: IO[bytes]) -> Iterator[bytes]:
        waited, received = 0.0, 0
        while True:
            asked = time.monotonic()
            chunk = file.read(_CHUNK_BYTES)
            waited += time.monotonic() - asked
            if not chunk:
                return
            received += len(chunk)
            if self.network.on_bytes:
                self.network.on_bytes(len(chunk))
            yield chunk
            if waited > self.network.timeout:
                if received < _SLOWEST_BYTES:
                    raise TimeoutError(f"{received:,} bytes in {waited:.0f} s")
                waited, received = 0.0, 0

    def _pause(self, path: str, error: Exception, failures: int) -> None:
        """Wait before the next try, or raise an error if there is none."""
        seconds = self._seconds_to_wait(error, failures)
        if seconds is None or failures > self.network.retries:
            self._give_up(path, error, failures)
        logger.warning("%s: %s; trying again in %.1f s", self.name(path), _words(error), seconds)
        time.sleep(seconds)

    def _seconds_to_wait(self, error: Exception, failures: int) -> float | None:
        """Return the seconds to wait before the next try, or None if a retry is useless."""
        return None

    def _give_up(self, path: str, error: Exception, failures: int) -> NoReturn:
        name = self.name(path)
        if isinstance(error, _ChangedError):
            raise SourceError(f"expected the same file at {name}, found that {error}", hint="try again") from None
        if isinstance(error, SourceError):
            raise error
        if isinstance(error, PermissionError) or getattr(error, "status", None) in {401, 403}:
            raise ForbiddenError(f"cannot read {name}: {_words(error)}", hint="check the URL") from None
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            raise MissingError(f"expected a file, found nothing at {name}", hint="check the path or URL") from None
        tries = f" after {failures} tries" if failures > 1 else ""
        hint = "try again later" if getattr(error, "status", None) else "check the URL, the network and the proxy"
        raise SourceError(f"cannot read {name}{tries}: {_words(error)}", hint=hint) from None


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


def _after(chunks: Iterator[bytes], size: int, digest: bytes) -> Iterator[bytes]:
    """Yield the rest of a file after the bytes already read; fail if it begins with others, as that is another file."""
    again = hashlib.sha256()
    for chunk in chunks:
        before = chunk[:size]
        if before:
            again.update(before)
            size -= len(before)
            if size == 0 and again.digest() != digest:
                break
        if rest := chunk[len(before) :]:
            yield rest
    if size or again.digest() != digest:
        raise _ChangedError("it changed while it was read")


def _words(error: Exception) -> str:
    status = getattr(error, "status", None)
    if status:
        return f"HTTP {status} {getattr(error, 'message', '')}".rstrip()
    words = getattr(error, "strerror", None) or str(error).partition("\n")[0] or type(error).__name__
    return redact_urls(words)


Fingerprint = str | None
"""A value that changes when a file changes, available without reading the file; None if there is none."""


class MissingError(SourceError):
    """There is nothing at a path."""
