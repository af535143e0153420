"""Rows of frames as plain values, for templates and files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, TypeAlias

import polars as pl

Row: TypeAlias = dict[str, Any]
Rows: TypeAlias = Iterable[tuple[Any, ...]]


def by_value(frame: pl.DataFrame | None, column: str) -> dict[Any, list[Row]]:
    """Group the rows of a frame by the value of a column, keeping their order."""
    return {} if frame is None else grouped(frame.iter_rows(named=True), column)


def grouped(rows: Iterable[Row], column: str) -> dict[Any, list[Row]]:
    """Group rows by the value of a column, keeping their order."""
    found: dict[Any, list[Row]] = {}
    for row in rows:
        found.setdefault(row[column], []).append(row)
    return found


def tuples(frame: pl.DataFrame) -> dict[Any, list[tuple[Any, ...]]]:
    """Return the rows of each value in the first column, without it."""
    found: dict[Any, list[tuple[Any, ...]]] = {}
    for first, *others in frame.iter_rows():
        found.setdefault(first, []).append(tuple(others))
    return found


def json_text(value: Row) -> str:
    """Return a value as a file for programs: a line for each key, so that people can read it, too."""
    encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ": "))  # lists of hashes are long
    lines = (f" {json.dumps(key)}: {encoder.encode(one)}" for key, one in value.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"
