"""Decompression of gzip and zstd files, which are recognized by their first bytes, within size limits."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cachestats.sources.storage.input_limits import InputLimits, limit_hint
from cachestats.sources.storage.transfer import DamagedError

if TYPE_CHECKING:
    import pyarrow as pa

GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"

_USUAL_GROWTH = 100  # JSON of specs compresses to a twentieth or so
_USUAL_BYTES = 64 << 20
_CHUNK_BYTES = 1 << 20


def unpack(data: bytes | bytearray, name: str, limits: InputLimits) -> bytes | bytearray:
    """Return the decompressed contents of a gzip or zstd file, or the bytes of any other file.

    Raises
    ------
    DamagedError
        If it is damaged, or too large when decompressed.
    """
    if not data.startswith((GZIP, ZSTD)):
        return data
    import pyarrow as pa

    usual = min(max(_USUAL_GROWTH * len(data), _USUAL_BYTES), limits.file_bytes)
    unpacked, size = bytearray(), 0
    try:
        for chunk in _chunks(data):
            size += len(chunk)
            if size > limits.file_bytes:
                raise DamagedError(
                    f"expected at most {limits.file_bytes:,} bytes when decompressed, found more in {name}",
                    hint=limit_hint("file_bytes"),
                )
            if size <= usual:
                unpacked += chunk
            else:  # it may be a bomb: its size is found out before it is held in memory
                unpacked.clear()
        return unpacked if size <= usual else _joined(data, size)
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        raise DamagedError(
            f"expected a complete file, found damage in {name}: {error}", hint="fetch it again"
        ) from error


def _joined(data: bytes | bytearray, size: int) -> bytearray:
    """Return the decompressed contents of a file whose size is known, in no more memory than this."""
    found, start = bytearray(size), 0
    for chunk in _chunks(data):
        found[start : start + len(chunk)] = chunk
        start += len(chunk)
    return found


def _chunks(data: bytes | bytearray) -> Iterator[bytes]:
    stream = opened(data)
    while chunk := stream.read(_CHUNK_BYTES):
        yield chunk


def opened(data: bytes | bytearray) -> io.BufferedIOBase | pa.CompressedInputStream:
    """Return the contents of a gzip or zstd file as a stream."""
    if data.startswith(GZIP):
        return gzip.GzipFile(fileobj=io.BytesIO(data))
    import pyarrow as pa

    return pa.CompressedInputStream(pa.BufferReader(pa.py_buffer(data)), "zstd")
