"""The inputs of a dataset: a row of the table `inputs` for each page and index."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Set
from itertools import repeat
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cachestats.errors import DatasetError
from cachestats.findings import Finding
from cachestats.schema import INPUTS
from cachestats.text import counted

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


def divided(table: pa.Table, folders: Mapping[str, Mapping[str, int]]) -> tuple[Inputs, pa.Table]:
    """Return the inputs outside some folders, and the rows of the pages in these folders that are not gone.

    Parameters
    ----------
    table
        The table `inputs`, sorted as it is stored: the rows of a folder follow each other.
    folders
        The folders of each source with the numbers of their pages.

    Raises
    ------
    DatasetError
        If a folder has another number of pages.
    """
    if not folders:
        return Inputs(table), table.slice(0, 0)
    is_there = ~table.column("is_gone").to_numpy()
    is_in_folder = np.zeros(len(table), np.bool_)
    origins = table.column("origin").combine_chunks()
    sources = table.column("source").combine_chunks()
    for source, counts in folders.items():
        first, last = _bounds(sources, source, f"{source}\0")
        for folder, count in counts.items():
            start, end = _bounds(origins, f"{folder}/", f"{folder}0", first, last)  # "0" is what follows "/"
            is_in_folder[start:end] = is_there[start:end]
            if np.count_nonzero(is_there[start:end]) == count:
                continue
            raise DatasetError(
                f"expected {counted(count, 'page')} of {folder} in the table inputs, found others",
                hint="build the dataset again, into a new folder",
            )
    return Inputs(table.filter(pa.array(~is_in_folder))), table.filter(pa.array(is_in_folder))


def _bounds(column: pa.Array, low: str, high: str, first: int = 0, last: int | None = None) -> tuple[int, int]:
    """Return where the values from `low` up to `high` begin and end in the sorted rows from `first` up to `last`."""
    last = len(column) if last is None else last
    start, end = (bisect_left(column, value, first, last, key=lambda scalar: scalar.as_py()) for value in (low, high))
    return start, end


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
