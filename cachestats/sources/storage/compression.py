"""Files that were packed with gzip or zstd: told by their first bytes, and unpacked within bounds."""

from __future__ import annotations

import gzip
import io
import zlib

import pyarrow as pa

from cachestats.errors import SourceError

GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"

_MAX_GROWTH = 100  # JSON of specs shrinks to a twentieth or so
_GROWTH_COUNTS_FROM = 64 << 20
_MAX_BYTES = 4 << 30
_PIECE_BYTES = 1 << 20


def unpack(data: bytes | bytearray, name: str) -> bytes | bytearray:
    """Return the contents of a gzip or zstd file, and of any other file its bytes.

    Raises
    ------
    SourceError
        If it is damaged, or unpacks to so much more than its size that it must be a bomb.
    """
    if not data.startswith((GZIP, ZSTD)):
        return data
    limit = min(max(_MAX_GROWTH * len(data), _GROWTH_COUNTS_FROM), _MAX_BYTES)
    unpacked = bytearray()
    try:
        stream = opened(data)
        while piece := stream.read(_PIECE_BYTES):
            unpacked += piece
            if len(unpacked) > limit:
                raise SourceError(
                    f"expected an index, found one that unpacks to more than {limit:,} bytes: {name}",
                    hint="check where it comes from",
                )
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        raise SourceError(f"expected a whole file, found damage in {name}: {error}", hint="fetch it again") from error
    return unpacked


def opened(data: bytes | bytearray) -> io.BufferedIOBase | pa.CompressedInputStream:
    """Return the contents of a gzip or zstd file as a stream."""
    if data.startswith(GZIP):
        return gzip.GzipFile(fileobj=io.BytesIO(data))
    return pa.CompressedInputStream(pa.BufferReader(pa.py_buffer(data)), "zstd")
