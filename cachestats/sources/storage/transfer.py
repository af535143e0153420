"""Transfers that survive broken connections: when to try again, after what pause, from which byte, or with what error.

If a connection breaks at byte N, the file is opened again there. A storage that can only open it at its start, or that
cannot promise that it is still the same file, has the first N bytes read again: they must be the same. Storages say
which errors are temporary and how a file is opened at an offset; everything else is decided here.

No library for retries, such as tenacity or stamina: they call a function again from its start, whereas this goes on
inside a generator whose chunks are already used, and forgets earlier failures once there was progress.
"""

from __future__ import annotations

import hashlib
import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import IO, Any, NoReturn, Protocol, TypeVar

from cachestats.errors import SourceError
from cachestats.sources.storage.network import Network
from cachestats.sources.storage.urls import redact_urls

logger = logging.getLogger(__name__)

T = TypeVar("T")

CHUNK_BYTES = 1 << 20
_SLOWEST_BYTES = 64 << 10
"""A connection over which a server sends less than this within a timeout counts as broken."""
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0


class MissingError(SourceError):
    """There is nothing at a path."""


class ForbiddenError(SourceError):
    """A path may not be read."""


class DamagedError(SourceError):
    """A file has another checksum or length than it should, or cannot be decompressed."""


class _ChangedError(Exception):
    """A file was replaced between two tries."""


@dataclass(frozen=True)
class Opened:
    """An open file, its offset, and the strong entity tag by which the same file can be requested again."""

    file: Any
    identity: str | None = None
    start: int = 0


class Endpoint(Protocol):
    """What a transfer needs of a storage."""

    network: Network
    is_remote: bool

    def name(self, path: str) -> str:
        """Return the name of a path in messages."""
        ...

    def open_at(self, path: str, offset: int, identity: str | None) -> Opened:
        """Open a file at an offset if it is still the one with this entity tag, and otherwise at its start."""
        ...

    def is_temporary(self, error: Exception) -> bool:
        """Whether it is worth trying again after this error."""
        ...

    def requested_pause(self, error: Exception) -> float | None:
        """Return the seconds after which the server asks to try again, or None if it does not say."""
        ...

    def refusal(self, path: str, error: Exception) -> SourceError | None:
        """Return the error to raise for one that has its own words in this storage, or None."""
        ...


def chunks(storage: Endpoint, path: str) -> Iterator[bytes]:
    """Yield the chunks of a file; if a connection breaks, resume at the same offset."""
    offset, failures, failed_at, identity = 0, 0, 0, None
    read = hashlib.sha256()
    while True:
        try:
            opened = storage.open_at(path, offset, identity)
            identity = opened.identity
            with closing(opened.file) as file:
                arriving = received(file, storage.network)
                for chunk in _after(arriving, offset, read.digest()) if opened.start < offset else arriving:
                    offset += len(chunk)
                    if storage.is_remote:  # a disk is not asked twice, and the checksum of a big index takes long
                        read.update(chunk)
                    yield chunk
            return
        except Exception as error:
            # A connection that breaks now and then does not end a long download; one without progress does.
            failures = 1 if offset - failed_at > CHUNK_BYTES else failures + 1
            failed_at = offset
            _pause(storage, path, error, failures)


def again(storage: Endpoint, path: str, ask: Callable[[], T]) -> T:
    """Return the answer to a question about a path, asked again after a temporary failure."""
    failures = 0
    while True:
        try:
            return ask()
        except Exception as error:
            failures += 1
            _pause(storage, path, error, failures)


def received(file: IO[bytes], network: Network) -> Iterator[bytes]:
    """Yield the chunks of an open file as they arrive.

    Raises
    ------
    TimeoutError
        If they arrive too slowly.
    """
    waited, size = 0.0, 0
    while True:
        asked = time.monotonic()
        chunk = file.read(CHUNK_BYTES)
        waited += time.monotonic() - asked
        if not chunk:
            return
        size += len(chunk)
        if network.on_bytes:
            network.on_bytes(len(chunk))
        yield chunk
        if waited > network.timeout:
            if size < _SLOWEST_BYTES:
                raise TimeoutError(f"{size:,} bytes in {waited:.0f} s")
            waited, size = 0.0, 0


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


def _pause(storage: Endpoint, path: str, error: Exception, failures: int) -> None:
    """Wait before the next try, or raise an error if there is none."""
    if failures > storage.network.retries or not storage.is_temporary(error):
        _give_up(storage, path, error, failures)
    seconds = storage.requested_pause(error)
    if seconds is None:
        # Pauses vary, so that threads do not all come back at once.
        seconds = min(_FIRST_PAUSE * 2 ** (failures - 1), _LONGEST_PAUSE) * random.uniform(0.75, 1.25)  # noqa: S311
    else:
        seconds = min(seconds, _LONGEST_PAUSE)
    logger.warning("%s: %s; trying again in %.1f s", storage.name(path), _words(error), seconds)
    time.sleep(seconds)


def _give_up(storage: Endpoint, path: str, error: Exception, failures: int) -> NoReturn:
    name = storage.name(path)
    if isinstance(error, _ChangedError):
        raise SourceError(f"expected the same file at {name}, found that {error}", hint="try again") from None
    if isinstance(error, SourceError):
        raise error
    if refusal := storage.refusal(path, error):
        raise refusal from error
    if isinstance(error, PermissionError) or getattr(error, "status", None) in {401, 403}:
        raise ForbiddenError(f"cannot read {name}: {_words(error)}", hint="check the URL") from None
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        raise MissingError(f"expected a file, found nothing at {name}", hint="check the path or URL") from None
    tries = f" after {failures} tries" if failures > 1 else ""
    hint = "try again later" if getattr(error, "status", None) else "check the URL, the network and the proxy"
    raise SourceError(f"cannot read {name}{tries}: {_words(error)}", hint=hint) from None


def _words(error: Exception) -> str:
    status = getattr(error, "status", None)
    if status:
        return f"HTTP {status} {getattr(error, 'message', '')}".rstrip()
    words = getattr(error, "strerror", None) or str(error).partition("\n")[0] or type(error).__name__
    return redact_urls(words)
