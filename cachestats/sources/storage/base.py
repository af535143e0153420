"""Files on disk, over http(s) and in S3: looked at, read and listed through one layer, fsspec.

fsspec and not obstore: obstore follows a redirect to any host without a word, and refuses what is sent without a
length, as code hosts send their archives. What fsspec leaves to others stands here and in `http`: trying again, going
on where a connection broke, giving up on a server that only drips, and staying on the host that was asked.
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
"""A server that sends less than this in the time of a timeout is given up on."""


@dataclass(frozen=True)
class Network:
    """How to deal with servers and object stores.

    Attributes
    ----------
    timeout : float
        Seconds to wait for an answer, and for more of it.
    retries : int
        How often to try again, after a pause that doubles, when a server is busy or a connection breaks.
    allow_hosts : tuple of str
        Hosts that servers may redirect to, and catalogues lead to, beside their own.
    signed : bool
        Whether to sign requests to S3 with the credentials that AWS's tools would find; else they are anonymous.
    on_bytes : callable, optional
        Called with the number of bytes of each piece that arrives, from any thread.

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
                f"expected a timeout above 0, retries from 0 on and hosts as a tuple, found {self.timeout}, "
                f"{self.retries} and {self.allow_hosts!r}",
                hint="such as Network(timeout=60, retries=5, allow_hosts=('example.org',))",
            )


class Entry(NamedTuple):
    """What a folder has in it."""

    path: str
    is_folder: bool
    fingerprint: Fingerprint


class ForbiddenError(SourceError):
    """A path must not be read."""


class _ChangedError(Exception):
    """A file became another one between two tries."""


class Opened:
    """An open file, where in it one is, and the strong entity tag by which it can be asked for again."""

    def __init__(self, file: Any, identity: str | None = None, start: int = 0) -> None:
        self.file, self.identity, self.start = file, identity, start

    def starting_at(self, place: int) -> Opened:
        """Return the same at another place."""
        return Opened(self.file, self.identity, place)

    def __enter__(self) -> tuple[Any, str | None]:
        return self.file, self.identity

    def __exit__(self, *_: object) -> None:
        self.file.close()


class Storage:
    """The files of one disk, server or object store, by their paths there."""

    def __init__(self, network: Network) -> None:
        self.network = network

    def __reduce__(self) -> tuple[type[Self], tuple[Network]]:
        return type(self), (self.network,)  # another process opens connections of its own

    @cached_property
    def filesystem(self) -> Any:
        """The fsspec filesystem, made when the first file is asked for: importing it takes longer than a page."""
        raise NotImplementedError

    def name(self, path: str) -> str:
        """Return what a path is called in messages and tables."""
        return printable(path)

    def parts(self, path: str) -> list[str]:
        """Return the names of the folders that lead to a path, and its own."""
        return [part for part in path.split("/") if part]

    def read(self, path: str, *, limit: int) -> bytearray:
        """Return the bytes of a file of at most `limit` bytes.

        Raises
        ------
        MissingError
            If there is no such file.
        SourceError
            If it cannot be read, also after trying again, or is larger.
        """
        data = bytearray()
        for chunk in self.chunks(path):
            data += chunk
            if len(data) > limit:
                raise SourceError(
                    f"expected at most {limit:,} bytes, found more in {self.name(path)}", hint="check what it is"
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
        """Yield a file in pieces; where a connection breaks, go on where it did."""
        place, failures, failed_at, identity = 0, 0, 0, None
        read = hashlib.sha256()
        while True:
            try:
                with (opened := self._open(path, place, identity)) as (file, identity):
                    pieces = self._pieces(file)
                    for chunk in _after(pieces, place, read.digest()) if opened.start < place else pieces:
                        place += len(chunk)
                        read.update(chunk)
                        yield chunk
                return
            except Exception as error:
                # A connection that breaks now and then does not end a long download; one that brings nothing does.
                failures = 1 if place - failed_at > _CHUNK_BYTES else failures + 1
                failed_at = place
                self._pause(path, error, failures)

    def exists(self, path: str) -> bool:
        """Whether there is a file that may be read: servers often forbid what is not there."""
        try:
            self.fingerprint(path)
        except (MissingError, ForbiddenError):
            return False
        return True

    def fingerprint(self, path: str) -> Fingerprint:
        """Return what changes when the file changes, None where the storage does not tell."""
        return self.again(path, lambda: _fingerprint(self.filesystem.info(path)))

    def size(self, path: str) -> int | None:
        """Return the size of a file in bytes, None where the storage does not tell."""
        return self.again(path, lambda: int(self.filesystem.info(path)["size"]))

    def entries(self, path: str) -> list[Entry]:
        """Return what a folder has in it, sorted; nothing where it cannot be listed. Hidden names are left out."""
        found = self.again(path, lambda: self.filesystem.ls(path, detail=True))
        top = path.rstrip("/")
        entries = [
            Entry(f"{top}/{name}", entry["type"] == "directory", _fingerprint(entry))
            for entry in found
            if (name := entry["name"].rstrip("/").rpartition("/")[2]) and not name.startswith(".")
        ]
        return sorted(entries)

    def again(self, path: str, ask: Callable[[], T]) -> T:
        """Return the answer to a question about a path, asked again after trouble that may pass."""
        failures = 0
        while True:
            try:
                return ask()
            except Exception as error:
                failures += 1
                self._pause(path, error, failures)

    def _open(self, path: str, place: int, identity: str | None) -> Opened:
        file = self.filesystem.open(path, "rb")
        file.seek(place)
        return Opened(file, None, place)

    def _pieces(self, file: IO[bytes]) -> Iterator[bytes]:
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
        """Wait before the next try, or say what is wrong where there is none."""
        seconds = self._seconds_to_wait(error, failures)
        if seconds is None or failures > self.network.retries:
            self._give_up(path, error, failures)
        logger.warning("%s: %s; trying again in %.1f s", self.name(path), _words(error), seconds)
        time.sleep(seconds)

    def _seconds_to_wait(self, error: Exception, failures: int) -> float | None:
        """Return None where trying again is of no use."""
        return None

    def _give_up(self, path: str, error: Exception, failures: int) -> NoReturn:
        name = self.name(path)
        if isinstance(error, _ChangedError):
            raise SourceError(f"expected one file at {name}, found that {error}", hint="try again") from None
        if isinstance(error, SourceError):
            raise error
        if isinstance(error, PermissionError) or getattr(error, "status", None) in {401, 403}:
            raise ForbiddenError(f"cannot read {name}: {_words(error)}", hint="check the address") from None
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            raise MissingError(f"expected a file, found nothing at {name}", hint="check the address") from None
        tries = f" after {failures} tries" if failures > 1 else ""
        hint = "try again later" if getattr(error, "status", None) else "check the address, the network and the proxy"
        raise SourceError(f"cannot read {name}{tries}: {_words(error)}", hint=hint) from None


class _Chunks(io.RawIOBase):
    """Pieces as a file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")
        self._place = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = memoryview(next(self._chunks, b""))
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        self._place += size
        return size

    def tell(self) -> int:
        return self._place


def _fingerprint(info: dict[str, Any]) -> Fingerprint:
    return str(info["ETag"]) if "ETag" in info else None


def _after(pieces: Iterator[bytes], size: int, digest: bytes) -> Iterator[bytes]:
    """Yield what comes after what was read before, if it begins with that: else there would be halves of two files."""
    again = hashlib.sha256()
    for piece in pieces:
        before = piece[:size]
        if before:
            again.update(before)
            size -= len(before)
            if size == 0 and again.digest() != digest:
                break
        if rest := piece[len(before) :]:
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
"""What changes when a file changes, and can be had without reading it; None where nothing can."""


class MissingError(SourceError):
    """There is nothing at a path."""
