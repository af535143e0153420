"""Findings about unreadable or doubtful input, as data: one `Rejection` is one row of the table `rejected`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

import pyarrow as pa

from cachestats.schema import REJECTED

FAILURES = frozenset({"missing", "unreadable", "index"})
"""The rules for files that could not be fetched or identified at all."""


class Rejection(NamedTuple):
    """One finding; the fields are the columns of `rejected`."""

    origin: str
    place: str
    rule: str
    message: str
    hint: str
    severity: Literal["error", "warning"] = "error"
    num_specs: int | None = 0
    snapshot: str | None = None
    package: str | None = None


def rejected_table(rejections: Iterable[Rejection]) -> pa.Table:
    """Return the rejections as the table `rejected`, without duplicates and in its sort order."""
    distinct = sorted(set(rejections), key=lambda row: [(value is not None, value) for value in row])
    return pa.Table.from_pylist([row._asdict() for row in distinct], schema=REJECTED.arrow())
