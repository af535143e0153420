"""Data in the form that the scripts of a report load.

A page opened from disk may load nothing but scripts, so data is written as a function call with one text, which is
compressed: no server does it for the disk, nor any for a host's limit on the size of a site.

`write_json` writes one JSON value. `write_columns` writes columns of whole numbers, which scripts count in typed arrays
without a look at each: four bytes with the length of the head, the head as JSON (the value of the caller, the number of
rows, and for each column its name and the number of bytes of a number in it), and the columns. A column is written byte
by byte: the lowest bytes of all its numbers first, which compresses better than number after number. A column of zeros
has no bytes at all.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

_LEVEL = 3  # of compression: the highest makes the files 7% smaller, in several times the time


def write_json(path: Path, value: Any) -> None:
    """Write a JSON value."""
    _write(path, msgspec.json.encode(value))


def write_columns(path: Path, head: Mapping[str, Any], columns: Mapping[str, pl.Series]) -> None:
    """Write columns of whole numbers, none of them negative, and what the head is to say besides."""
    parts = {name: _bytes_of(numbers) for name, numbers in columns.items()}
    described = {name: {"rows": len(columns[name]), "width": len(part)} for name, part in parts.items()}
    encoded = msgspec.json.encode({**head, "columns": described})
    _write(
        path, b"".join([len(encoded).to_bytes(4, "little"), encoded, *(one for part in parts.values() for one in part)])
    )


def _bytes_of(numbers: pl.Series) -> list[bytes]:
    """Return the bytes of numbers: the lowest ones first, as many as the largest number has."""
    width = (int(numbers.max() or 0).bit_length() + 7) // 8  # type: ignore[arg-type]
    wide = numbers.cast(pl.UInt64).to_numpy().view("uint8").reshape(-1, 8)
    return [wide[:, number].tobytes() for number in range(width)]


def _write(path: Path, data: bytes) -> None:
    text = base64.b64encode(zlib.compress(data, _LEVEL)).decode()
    path.write_text(f'cachestats.data("{text}");\n')
