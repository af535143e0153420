"""The contents of a dataset before a build or an update."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pyarrow as pa

from cachestats.dataset.manifest import Manifest, read_manifest
from cachestats.dataset.parquet import read_whole
from cachestats.dataset.paths import table_file
from cachestats.ingest.inputs import Inputs
from cachestats.schema import TABLES


@dataclass(frozen=True)
class Existing:
    """The manifest and the small tables of a dataset; empty if there is no dataset."""

    path: Path
    manifest: Manifest = field(default_factory=Manifest)
    inputs: Inputs = field(default_factory=lambda: Inputs(TABLES["inputs"].arrow().empty_table()))
    rejected: pa.Table = field(default_factory=lambda: TABLES["rejected"].arrow().empty_table())
    snapshots: pa.Table = field(default_factory=lambda: TABLES["snapshots"].arrow().empty_table())
    targets: pa.Table = field(default_factory=lambda: TABLES["targets"].arrow().empty_table())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the contents of a dataset.

        Raises
        ------
        DatasetError
            If it has another schema version, or is damaged.
        """
        manifest = read_manifest(path)
        if manifest is None:
            return cls(path)
        tables = {
            name: read_whole(name, table_file(path, TABLES[name]))
            for name in ("inputs", "rejected", "snapshots", "targets")
        }
        inputs = Inputs(tables.pop("inputs"))
        return cls(path, manifest, inputs, **tables)
