"""What a report tells about its sources: addresses as they are, and of paths on this machine only the last name."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl

from cachestats.dataset.dataset import Dataset
from cachestats.dataset.parquet import read_whole, to_parquet
from cachestats.naming import source_address
from cachestats.schema import TABLES
from cachestats.sources.storage.urls import is_url

TELLING = ("snapshots", "inputs", "rejected")
"""The tables that tell where the data came from."""
_COLUMNS = frozenset({"source", "origin", "location", "message", "hint"})


class Published:
    """The names under which the sources of a dataset are published."""

    def __init__(self, dataset: Dataset) -> None:
        self._names: dict[str, str] = {}
        for source, record in sorted(dataset.manifest.sources.items()):
            address = source_address(source, record.name)
            if not is_url(address) or address.startswith("file:"):
                self._names[address] = self._unused(Path(address.removeprefix("file://")).resolve().name or "local")
        longest_first = sorted(self._names, key=len, reverse=True)
        # Not within a longer name: a source may be called as a word is.
        self._pattern = re.compile(rf"(?<![\w./-])(?:{'|'.join(map(re.escape, longest_first))})(?![\w.-])")

    def text(self, value: str) -> str:
        """Return text with the paths of sources replaced by their names."""
        return self._pattern.sub(lambda found: self._names[found[0]], value) if self._names else value

    def frame(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return rows with the paths of sources replaced by their names."""
        told = [name for name in frame.columns if name in _COLUMNS]
        return frame.with_columns(
            pl.Series(name, [value and self.text(value) for value in frame[name]], dtype=pl.String) for name in told
        )

    def rewrite(self, table: str, file: Path) -> None:
        """Replace the paths in a file of a table, whose rows are sorted again."""
        if not self._names:
            return
        declared = TABLES[table]
        rows = self.frame(pl.DataFrame(read_whole(table, file))).sort(declared.sort, nulls_last=True)
        file.write_bytes(to_parquet(table, rows.to_arrow().cast(declared.arrow())))

    def _unused(self, name: str) -> str:
        """Return the name, with a number if another source has it."""
        number, free = 2, name
        while free in self._names.values():
            number, free = number + 1, f"{name} ({number})"
        return free
