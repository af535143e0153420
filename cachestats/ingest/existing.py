"""The contents of a dataset before a build or an update."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from cachestats.dataset.manifest import Manifest, read_manifest
from cachestats.dataset.paths import table_file
from cachestats.schema import TABLES

if TYPE_CHECKING:
    import pyarrow as pa

    from cachestats.ingest.inputs import Inputs


@dataclass(frozen=True)
class Existing:
    """The manifest and the small tables of a dataset; empty if there is no dataset.

    The tables are read on first use: an update that finds nothing needs none of them, nor Arrow.
    """

    path: Path
    manifest: Manifest = field(default_factory=Manifest)
    is_there: bool = False
    settled: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Folders of each source whose pages are known to be as they were read, with the numbers of their pages."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the contents of a dataset.

        Raises
        ------
        DatasetError
            If it has another schema version, or is damaged.
        """
        manifest = read_manifest(path)
        return cls(path) if manifest is None else cls(path, manifest, is_there=True)

    @cached_property
    def inputs(self) -> Inputs:
        """The inputs that may have changed."""
        return self._inputs[0]

    @property
    def set_aside(self) -> pa.Table:
        """The rows of `inputs` of the pages in settled folders."""
        return self._inputs[1]

    @cached_property
    def rejected(self) -> pa.Table:
        """The table `rejected`."""
        return self._read("rejected")

    @cached_property
    def snapshots(self) -> pa.Table:
        """The table `snapshots`."""
        return self._read("snapshots")

    @cached_property
    def targets(self) -> pa.Table:
        """The table `targets`."""
        return self._read("targets")

    @cached_property
    def _inputs(self) -> tuple[Inputs, pa.Table]:
        from cachestats.ingest.inputs import divided

        return divided(self._read("inputs"), self.settled)

    def _read(self, table: str) -> pa.Table:
        if not self.is_there:
            return TABLES[table].arrow().empty_table()
        from cachestats.dataset.parquet import read_whole

        return read_whole(table, table_file(self.path, TABLES[table]))
