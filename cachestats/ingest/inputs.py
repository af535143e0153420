"""The inputs of a dataset: a row of the table `inputs` for each page and index."""

from __future__ import annotations

from collections.abc import Iterable, Set
from itertools import repeat
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cachestats.findings import Finding
from cachestats.schema import INPUTS

Mask = npt.NDArray[np.bool_]


class Input(NamedTuple):
    """A page or index that was read; the fields are the columns of `inputs`."""

    source: str
    origin: str
    snapshot: str | None
    package: str | None
    stack: str | None
    generation: str | None
    num_specs: int | None
    is_copy: bool
    """Whether it is a copy of another page; False until `publish` sets it from what `assemble` found."""
    is_gone: bool
    fingerprint: str | None
    digest: str

    @property
    def subject(self) -> tuple[str, str | None, str | None, str | None]:
        """Its source, snapshot, package and stack, which stay the same when the file is moved."""
        return self.source, self.snapshot, self.package, self.stack


class Inputs:
    """The table `inputs`, by origin. There may be a hundred thousand rows, so the methods work on columns."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        self.rows = {origin: row for row, origin in enumerate(table.column("origin").to_pylist())}

    def column(self, name: str) -> dict[str, str]:
        """Return a text column, by origin."""
        return dict(zip(self.rows, self.table.column(name).to_pylist(), strict=True))

    def labels(self) -> dict[str, tuple[str, str]]:
        """Return snapshot and stack of the indices, by origin."""
        indices = self.table.filter(pc.is_valid(self.table.column("stack")))
        origins, snapshots, stacks = (indices.column(name).to_pylist() for name in ("origin", "snapshot", "stack"))
        return dict(zip(origins, zip(snapshots, stacks, strict=True), strict=True))

    def are(self, origins: Iterable[str]) -> Mask:
        """Return which rows have one of these origins."""
        if isinstance(origins, Set) and self.rows.keys() <= origins:  # nothing changed, as most updates find
            return np.ones(len(self.rows), np.bool_)
        result = np.zeros(len(self.rows) + 1, np.bool_)  # one more, for what is not among the rows
        result[[*map(self.rows.get, origins, repeat(len(self.rows)))]] = True
        return result[:-1]

    def have(self, name: str, values: Iterable[str | None]) -> Mask:
        """Return which rows have one of these values in a text column."""
        found: Mask = pc.is_in(self.table.column(name), pa.array(list(values), pa.string())).to_numpy()
        return found

    def take(self, mask: Mask) -> list[Input]:
        """Return the rows selected by a mask."""
        columns = (column.to_pylist() for column in self.table.filter(pa.array(mask)).columns)
        return [Input(*row) for row in zip(*columns, strict=True)]

    def are_gone(self) -> Mask:
        """Return which rows are known to be gone from their sources."""
        found: Mask = self.table.column("is_gone").to_numpy()
        return found

    def of_snapshot(self, name: str) -> list[Input]:
        """Return the rows of a snapshot."""
        return self.take(self.have("snapshot", [name]))


def inputs_table(inputs: Iterable[Input]) -> pa.Table:
    """Return the table `inputs`, not yet sorted."""
    schema = INPUTS.arrow()
    rows = list(inputs)
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )


def with_sources(findings: Iterable[Finding], inputs: Iterable[Input]) -> list[Finding]:
    """Return findings about some inputs, each with the source of its input."""
    sources = {one.origin: one.source for one in inputs}
    return [one._replace(source=sources.get(one.origin)) for one in findings]
