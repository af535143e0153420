"""What could not be read, as data: one `Rejection` is one row of the table `rejected`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

import pyarrow as pa

from cachestats.schema import REJECTED

FAILURES = frozenset({"missing", "unreadable", "index"})
"""Rules of files that could not be had or made out at all."""


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
    """Return the rejections as the table `rejected`, repeats left out, sorted as it is stored."""
    distinct = sorted(set(rejections), key=lambda row: [(value is not None, value) for value in row])
    return pa.Table.from_pylist([row._asdict() for row in distinct], schema=REJECTED.arrow())
