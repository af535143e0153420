"""What an update changed in a dataset, as rows and as a frame."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import polars as pl


class Change(NamedTuple):
    """What changed in a snapshot; the fields are the columns of the answer of `update_dataset`."""

    snapshot: str
    change: str
    files_came: int
    files_changed: int
    files_gone: int
    specs_added: int
    specs_removed: int
    num_specs: int


def changes_frame(changes: Iterable[Change]) -> pl.DataFrame:
    """Return changes as a frame."""
    import polars as pl

    texts = {"snapshot", "change"}
    schema = {name: pl.String if name in texts else pl.Int64 for name in Change._fields}
    return pl.DataFrame([*changes], schema=schema, orient="row")
