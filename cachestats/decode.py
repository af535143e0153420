"""Decode JSON; all JSON is decoded here, and every fault in it raises a `JsonError`.

msgspec raises a `DecodeError` for JSON that is malformed or has another shape, but a `UnicodeDecodeError` for text that
is not UTF-8, and a `RecursionError` for JSON that is nested too deeply. Callers tend to forget the latter two.
"""

from __future__ import annotations

import math
import threading
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
FAULTS = (msgspec.DecodeError, RecursionError, UnicodeError)
"""The errors that msgspec raises for bad JSON.

They are only for code that decodes millions of records: to save a call for each, it uses a msgspec decoder directly and
turns these errors into a `JsonError` itself.
"""

_SHOWN_BYTES = 12


class JsonError(msgspec.DecodeError):
    """JSON is malformed, has another shape than expected, is not UTF-8, or is nested too deeply."""

    @classmethod
    def of(cls, fault: Exception) -> JsonError:
        """Return the error for one of `FAULTS`."""
        if isinstance(fault, UnicodeDecodeError):
            start = max(0, fault.start - _SHOWN_BYTES)
            return cls(f"text that is not UTF-8: {bytes(fault.object[start : fault.start + _SHOWN_BYTES])!r}")
        if isinstance(fault, RecursionError):
            return cls("values that are nested too deeply")
        return cls(str(fault))


class TooManyError(JsonError):
    """JSON has more records than are decoded, each of which may take many times the memory of its text."""


class Record(msgspec.Struct, gc=False):
    """A part of JSON that occurs many times: `Decoder.decode` counts them, and stops at the most that it may decode."""

    def __post_init__(self) -> None:
        _left.records -= 1
        if _left.records < 0:
            raise ValueError("too many")


class _Left(threading.local):
    """How many records may still be decoded in this thread."""

    records: float = math.inf


_left = _Left()


class Decoder(Generic[T]):
    """Decodes JSON into values of one type."""

    def __init__(self, type: type[T]) -> None:  # noqa: A002 (msgspec's own name)
        self._decode = msgspec.json.Decoder(type).decode

    def decode(self, data: bytes | bytearray, *, most_records: float = math.inf) -> T:
        """Return the value, which may have at most so many `Record`; a byte order mark before it is skipped.

        Raises
        ------
        TooManyError
            If it has more records.
        JsonError
            If the data is not JSON, or has another shape.
        """
        _left.records = most_records
        # Do not use `removeprefix`, which would copy an index of hundreds of megabytes.
        content = memoryview(data)[len(BYTE_ORDER_MARK) :] if data.startswith(BYTE_ORDER_MARK) else data
        try:
            return self._decode(content)
        except FAULTS as fault:
            if _left.records < 0:
                raise TooManyError(f"more than {most_records:,} records") from None
            raise JsonError.of(fault) from fault


def decode(data: bytes | bytearray, type: type[T]) -> T:  # noqa: A002
    r"""Decode bytes of JSON into a value of a type.

    Raises
    ------
    JsonError
        If the data is not JSON, or has another shape.

    Examples
    --------
    >>> from cachestats.decode import decode
    >>> decode(b'[1, 2]', list[int])
    [1, 2]
    >>> decode(b'"zl\xffib"', str)
    Traceback (most recent call last):
        ...
    cachestats.decode.JsonError: text that is not UTF-8: b'zl\xffib'
    """
    return Decoder(type).decode(data)
