"""Files on disk, over http(s) and in S3: looked at, read and listed through one layer, fsspec.

fsspec and not obstore: obstore follows a redirect to any host without a word, and refuses what is sent without a
length, as code hosts send their archives. What fsspec leaves to others stands here: trying again, going on where a
connection broke, giving up on a server that only drips, and staying on the host that was asked.
"""

from __future__ import annotations

import io
import logging
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeVar
from urllib.parse import urljoin, urlsplit, urlunsplit

from cachestats.errors import SourceError
from cachestats.sources.base import MissingError, printable

if TYPE_CHECKING:
    from cachestats.sources.base import Stamp

logger = logging.getLogger(__name__)

T = TypeVar("T")

_CHUNK_BYTES = 1 << 20
_SLOWEST_BYTES = 64 << 10
"""A server that sends less than this in the time of a timeout is given up on."""
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_TICK_NS = 1_000_000_000  # some file systems keep times in whole seconds
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})

# The public cache's bucket is served to everyone at this address.
_PUBLIC_BUCKET = "s3://spack-binaries/"
_PUBLIC_ADDRESS = "https://binaries.spack.io/"

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_PORTS = {"http": 80, "https": 443}


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


class Entry(NamedTuple):
    """What a folder has in it."""

    path: str
    is_folder: bool
    stamp: Stamp


class ForbiddenError(SourceError):
    """A path must not be read."""


class Storage:
    """The files of one disk, server or object store, by their paths there."""

    def __init__(self, network: Network) -> None:
        self.network = network

    @cached_property
    def filesystem(self) -> Any:
        """The fsspec filesystem, made when the first file is asked for: importing it takes longer than a page."""
        raise NotImplementedError

    def name(self, path: str) -> str:
        """Return what a path is called in messages and tables."""
        return printable(path)

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
        while True:
            try:
                with self._open(path, place, identity) as (file, identity):
                    for chunk in self._pieces(file):
                        place += len(chunk)
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
            self.stamp(path)
        except (MissingError, ForbiddenError):
            return False
        return True

    def stamp(self, path: str) -> Stamp:
        """Return what changes when the file changes, None where the storage does not tell."""
        return self._again(path, lambda: _stamp(self.filesystem.info(path)))

    def size(self, path: str) -> int | None:
        """Return the size of a file in bytes, None where the storage does not tell."""
        return self._again(path, lambda: int(self.filesystem.info(path)["size"]))

    def entries(self, path: str) -> list[Entry]:
        """Return what a folder has in it, sorted; nothing where it cannot be listed. Hidden names are left out."""
        found = self._again(path, lambda: self.filesystem.ls(path, detail=True))
        top = path.rstrip("/")
        entries = [
            Entry(f"{top}/{name}", entry["type"] == "directory", _stamp(entry))
            for entry in found
            if (name := entry["name"].rstrip("/").rpartition("/")[2]) and not name.startswith(".")
        ]
        return sorted(entries)

    def _again(self, path: str, ask: Callable[[], T]) -> T:
        failures = 0
        while True:
            try:
                return ask()
            except Exception as error:
                failures += 1
                self._pause(path, error, failures)

    def _open(self, path: str, place: int, identity: str | None) -> _Opened:
        file = self.filesystem.open(path, "rb")
        file.seek(place)
        return _Opened(file, None)

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
        if isinstance(error, SourceError):
            raise error
        name = self.name(path)
        if isinstance(error, PermissionError) or getattr(error, "status", None) in {401, 403}:
            raise ForbiddenError(f"cannot read {name}: {_words(error)}", hint="check the address") from error
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            raise MissingError(f"expected a file, found nothing at {name}", hint="check the address") from error
        tries = f" after {failures} tries" if failures > 1 else ""
        raise SourceError(f"cannot read {name}{tries}: {_words(error)}", hint="try again later") from error


class DiskStorage(Storage):
    """The disk; symbolic links are followed."""

    @cached_property
    def filesystem(self) -> Any:
        """The local file system."""
        from fsspec.implementations.local import LocalFileSystem

        return LocalFileSystem(skip_instance_cache=True)

    def stamp(self, path: str) -> Stamp:
        """Return size and date, None where the file was only just written."""
        return self._again(path, lambda: stamp_of(os.stat(path)))

    def _give_up(self, path: str, error: Exception, failures: int) -> NoReturn:
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError | NotADirectoryError | SourceError):
            raise SourceError(f"cannot read {self.name(path)}: {error.strerror}", hint="check it") from error
        super()._give_up(path, error, failures)


class HttpStorage(Storage):
    """One or more web servers, by address; of a folder the links are listed that its page shows."""

    @cached_property
    def filesystem(self) -> Any:
        """The file system over HTTP, with a client of ours."""
        from fsspec.implementations.http import HTTPFileSystem

        return HTTPFileSystem(
            get_client=self._client, simple_links=False, skip_instance_cache=True, use_listings_cache=False
        )

    def name(self, path: str) -> str:
        """Return the address without credentials and query."""
        return plain_address(path)

    def stamp(self, path: str) -> Stamp:
        """Return the entity tag, or the date and length of the file."""

        def ask() -> Stamp:
            with self._request(path) as (file, _):
                return _http_stamp(file.r.headers)

        return self._again(path, ask)

    def size(self, path: str) -> int | None:
        """Return what the server says of the length of a file."""

        def ask() -> int | None:
            with self._request(path) as (file, _):
                length = file.r.headers.get("Content-Length", "")
                return int(length) if length.isdecimal() else None

        return self._again(path, ask)

    def entries(self, path: str) -> list[Entry]:
        """Return what the page of a folder links to in it, sorted."""
        top = path.rstrip("/")
        found = self._again(path, lambda: self.filesystem.ls(f"{top}/", detail=False))
        names = {link.removeprefix(f"{top}/") for link in found if link.startswith(f"{top}/")}
        return sorted(
            Entry(f"{top}/{name.rstrip('/')}", name.endswith("/"), None)
            for name in names
            if re.fullmatch(r"[^./?#&;][^/?#]*/?", name)
        )

    def _open(self, path: str, place: int, identity: str | None) -> _Opened:
        # Only what is still the same file can be gone on with.
        headers = {"Range": f"bytes={place}-", "If-Range": identity} if place and identity else {}
        opened = self._request(path, headers)
        if place and opened.file.r.status != 206:
            _skip(opened.file, place)
        return opened

    def _request(self, path: str, headers: dict[str, str] | None = None) -> _Opened:
        # With any size but none fsspec makes one request, and not another one before it.
        file = self.filesystem.open(path, "rb", block_size=0, size=1, headers=headers or {})
        tag = file.r.headers.get("ETag", "")
        return _Opened(file, None if tag.startswith("W/") else tag or None)

    async def _client(self, **options: Any) -> Any:
        import aiohttp

        guard = aiohttp.TraceConfig()
        guard.on_request_redirect.append(self._check_redirect)
        timeout = aiohttp.ClientTimeout(total=None, connect=self.network.timeout, sock_read=self.network.timeout)
        return aiohttp.ClientSession(
            timeout=timeout,
            trace_configs=[guard],
            auto_decompress=False,
            headers={"Accept-Encoding": "identity"},
            trust_env=True,
            **options,
        )

    async def _check_redirect(self, session: Any, context: Any, params: Any) -> None:
        target = urljoin(str(params.url), params.response.headers.get("Location", ""))
        check_host(target, self.name(str(params.url)), self.network)

    def _seconds_to_wait(self, error: Exception, failures: int) -> float | None:
        import aiohttp

        pause = min(_FIRST_PAUSE * 2 ** (failures - 1), _LONGEST_PAUSE) * random.uniform(0.75, 1.25)  # noqa: S311
        if isinstance(error, aiohttp.ClientResponseError):
            asked = error.headers.get("Retry-After", "") if error.headers else ""
            pause = min(float(asked), _LONGEST_PAUSE) if asked.isdecimal() else pause
            return pause if error.status in _TRY_AGAIN else None
        broken = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError)
        return pause if isinstance(error, broken) and not isinstance(error, aiohttp.ClientSSLError) else None


class S3Storage(Storage):
    """Buckets, by bucket and key. s3fs tries again by itself."""

    @cached_property
    def filesystem(self) -> Any:
        """The file system of S3.

        Raises
        ------
        SourceError
            If s3fs is not installed.
        """
        try:
            import s3fs
        except ImportError as error:
            raise SourceError(
                "expected the package s3fs for an s3:// address, found it not installed",
                hint="pip install 'cachestats[s3]', or give an https:// address of the bucket",
            ) from error
        network = self.network
        timeouts = {"connect_timeout": network.timeout, "read_timeout": network.timeout}
        filesystem = s3fs.S3FileSystem(
            anon=not network.signed,
            config_kwargs=timeouts | {"retries": {"max_attempts": network.retries + 1, "mode": "standard"}},
            skip_instance_cache=True,
            use_listings_cache=False,
        )
        filesystem.retries = network.retries + 1
        return filesystem

    def _open(self, path: str, place: int, identity: str | None) -> _Opened:
        if "/" not in path.rstrip("/"):
            raise FileNotFoundError(path)  # a bucket
        opened = super()._open(path, place, identity)
        if opened.file.details["type"] == "directory":
            raise FileNotFoundError(path)  # s3fs opens it as if it were empty
        return opened

    def name(self, path: str) -> str:
        """Return the s3:// address."""
        return printable(f"s3://{path}")


class _Opened:
    """An open file, and the strong entity tag by which it can be asked for again."""

    def __init__(self, file: Any, identity: str | None) -> None:
        self.file, self.identity = file, identity

    def __enter__(self) -> tuple[Any, str | None]:
        return self.file, self.identity

    def __exit__(self, *_: object) -> None:
        self.file.close()


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


class Storages:
    """The storages that one build reads from: a connection is kept for the next file of its server."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._open: dict[Callable[[Network], Storage], Storage] = {}
        self._one_at_a_time = threading.Lock()

    def find(self, address: str) -> tuple[Storage, str]:
        """Return the storage that an address or path leads to, and the path there.

        Raises
        ------
        SourceError
            If the address is of a kind that is not read, or one that needs a package that is not installed.
        """
        if not is_address(address):
            return self._storage(DiskStorage), os.path.abspath(address)
        address = public_address(address)
        scheme, _, path = address.partition("://")
        if scheme.lower() in _PORTS:
            return self._storage(HttpStorage), address
        if scheme == "s3":
            return self._storage(S3Storage), path
        raise SourceError(
            f"expected a path or an address that begins with https://, http:// or s3://, found {address!r}",
            hint="download it, and give its path",
        )

    def _storage(self, kind: Callable[[Network], Storage]) -> Storage:
        with self._one_at_a_time:
            if kind not in self._open:
                self._open[kind] = kind(self.network)
            return self._open[kind]


def is_address(text: str) -> bool:
    """Whether a source is an address and not a path."""
    return bool(_SCHEME.match(text))


def plain_address(address: str) -> str:
    """Return an address without what may be a secret: credentials and query."""
    parts = urlsplit(address)
    return printable(urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "")))


def public_address(address: str) -> str:
    """Return the https address of what lies in the public cache's bucket, and any other address as it is."""
    return _PUBLIC_ADDRESS + address.removeprefix(_PUBLIC_BUCKET) if address.startswith(_PUBLIC_BUCKET) else address


def check_host(target: str, origin: str, network: Network) -> None:
    """Refuse an address to which `origin` must not lead without leave.

    Raises
    ------
    SourceError
        If it leads to another host or from https to http, or is no web address.
    """
    here, there = urlsplit(origin), urlsplit(target)
    hint = f"if you trust it: --allow-host {there.hostname}"
    if there.scheme not in _PORTS or (there.scheme == "http" and here.scheme == "https"):
        hint = "read it from a server that you trust"
    elif there.hostname in network.allow_hosts or _server(here) == _server(there):
        return
    raise SourceError(f"expected everything of {origin} on its own host, found that it leads to {target}", hint=hint)


def _server(parts: Any) -> tuple[str | None, int | None]:
    port = parts.port or _PORTS.get(parts.scheme)
    return parts.hostname, 443 if port == 80 else port  # from http to https of the same host is no other host


def disk_stamp(path: str) -> Stamp:
    """Return the stamp of a file on disk, None where there is none or it was only just written."""
    try:
        return stamp_of(os.stat(path))
    except OSError:
        return None


def stamp_of(status: os.stat_result) -> Stamp:
    """Return the stamp of a file on disk.

    None if it was only just written: it may be written again within the same tick of the clock.
    """
    fresh = time.time_ns() - status.st_mtime_ns < _TICK_NS
    return None if fresh else f"{status.st_size} {status.st_mtime_ns}"


def _stamp(info: dict[str, Any]) -> Stamp:
    return str(info["ETag"]) if "ETag" in info else None


def _http_stamp(headers: Any) -> Stamp:
    if tag := headers.get("ETag"):
        return str(tag)
    date, length = headers.get("Last-Modified"), headers.get("Content-Length")
    return f"{length} {date}" if date and length else None


def _skip(file: IO[bytes], size: int) -> None:
    while size > 0:
        chunk = file.read(min(size, _CHUNK_BYTES))
        if not chunk:
            raise TimeoutError("the file became shorter")
        size -= len(chunk)


def _words(error: Exception) -> str:
    status = getattr(error, "status", None)
    if status:
        return f"HTTP {status} {getattr(error, 'message', '')}".rstrip()
    return getattr(error, "strerror", None) or str(error).partition("\n")[0] or type(error).__name__
