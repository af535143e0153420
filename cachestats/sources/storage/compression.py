"""Decompression of gzip and zstd files, which are recognized by their first bytes, within size limits."""

from __future__ import annotations

import gzip
import io
import zlib
from typing import TYPE_CHECKING

from cachestats.sources.storage.transfer import DamagedError

if TYPE_CHECKING:
    import pyarrow as pa

GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"

_MAX_GROWTH = 100  # JSON of specs compresses to a twentieth or so
_GROWTH_COUNTS_FROM = 64 << 20
_MAX_BYTES = 4 << 30
_CHUNK_BYTES = 1 << 20


def unpack(data: bytes | bytearray, name: str) -> bytes | bytearray:
    """Return the decompressed contents of a gzip or zstd file, or the bytes of any other file.

    Raises
    ------
    DamagedError
        If it is damaged, or so much larger when decompressed that it must be a bomb.
    """
    if not data.startswith((GZIP, ZSTD)):
        return data
    import pyarrow as pa

    limit = min(max(_MAX_GROWTH * len(data), _GROWTH_COUNTS_FROM), _MAX_BYTES)
    unpacked = bytearray()
    try:
        stream = opened(data)
        while chunk := stream.read(_CHUNK_BYTES):
            unpacked += chunk
            if len(unpacked) > limit:
                raise DamagedError(
                    f"expected an index, found one that unpacks to more than {limit:,} bytes: {name}",
                    hint="check where it comes from",
                )
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        raise DamagedError(
            f"expected a complete file, found damage in {name}: {error}", hint="fetch it again"
        ) from error
    return unpacked


def opened(data: bytes | bytearray) -> io.BufferedIOBase | pa.CompressedInputStream:
    """Return the contents of a gzip or zstd file as a stream."""
    if data.startswith(GZIP):
        return gzip.GzipFile(fileobj=io.BytesIO(data))
    import pyarrow as pa

    return pa.CompressedInputStream(pa.BufferReader(pa.py_buffer(data)), "zstd")
