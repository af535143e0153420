"""What a dataset was read from: a row of the table `documents` for each page and index."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cachestats.schema import DOCUMENTS

Mask = npt.NDArray[np.bool_]


class Document(NamedTuple):
    """A page or index that was read; the fields are the columns of `documents`."""

    source: str
    origin: str
    snapshot: str | None
    package: str | None
    stack: str | None
    generation: str | None
    num_specs: int | None
    is_copy: bool
    is_gone: bool
    stamp: str | None
    digest: str

    @property
    def subject(self) -> tuple[str, str | None, str | None, str | None]:
        """What it is about, and in which source: when a file is moved, this stays."""
        return self.source, self.snapshot, self.package, self.stack


class Documents:
    """The table `documents`, by origin. There may be a hundred thousand rows, so it works on columns."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        self.rows = {origin: row for row, origin in enumerate(table.column("origin").to_pylist())}

    def column(self, name: str) -> dict[str, str]:
        """Return a column of text, by origin."""
        return dict(zip(self.rows, self.table.column(name).to_pylist(), strict=True))

    def labels(self) -> dict[str, tuple[str, str]]:
        """Return snapshot and stack of the indices, by origin."""
        indices = self.table.filter(pc.is_valid(self.table.column("stack")))
        origins, snapshots, stacks = (indices.column(name).to_pylist() for name in ("origin", "snapshot", "stack"))
        return dict(zip(origins, zip(snapshots, stacks, strict=True), strict=True))

    def are(self, origins: Iterable[str]) -> Mask:
        """Return which rows have one of these origins."""
        result = np.zeros(len(self.rows), np.bool_)
        result[[row for origin in origins if (row := self.rows.get(origin)) is not None]] = True
        return result

    def have(self, name: str, values: Iterable[str | None]) -> Mask:
        """Return which rows have one of these values in a column of text."""
        found: Mask = pc.is_in(self.table.column(name), pa.array(list(values), pa.string())).to_numpy()
        return found

    def take(self, mask: Mask) -> list[Document]:
        """Return the rows that are marked."""
        columns = (column.to_pylist() for column in self.table.filter(pa.array(mask)).columns)
        return [Document(*row) for row in zip(*columns, strict=True)]

    def of_snapshot(self, name: str) -> list[Document]:
        """Return the rows of a snapshot."""
        return self.take(self.have("snapshot", [name]))


def to_table(documents: Iterable[Document]) -> pa.Table:
    """Return the table `documents`, not sorted yet."""
    return pa.Table.from_pylist([document._asdict() for document in documents], schema=DOCUMENTS.arrow())
