"""The contents of a dataset before a build or an update."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from cachestats.dataset.checksums import find_file
from cachestats.dataset.manifest import FileRecord, Manifest
from cachestats.dataset.paths import check_no_tables, file_name, file_records
from cachestats.dataset.publication import published_manifest
from cachestats.schema import STORED_TABLES, TABLES
from cachestats.text import file_stem

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
    lost: Mapping[str, int] = field(default_factory=dict)
    """The numbers of specs of damaged snapshots by their `file_stem`, 0 if unknown; their rows are ignored."""
    lost_files: Collection[str] = ()
    """The files of these, and what else is replaced or removed with them."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the contents of a dataset.

        Raises
        ------
        DatasetError
            If it has another schema version, or is damaged.
        """
        manifest = published_manifest(path)
        if manifest is None:
            check_no_tables(path)
            return cls(path)
        return cls(path, manifest, is_there=True)

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

    def file(self, table: str, snapshot: str | None = None, bucket: int | None = None) -> Path:
        """Return the path of a file, after comparing it with its checksum.

        Raises
        ------
        DatasetError
            If it is missing or damaged.
        """
        name = file_name(STORED_TABLES[table], snapshot, bucket)
        return find_file(self.path, name, self.records[name]).path

    @property
    def files(self) -> Collection[str]:
        """The names of all files, damaged ones too."""
        return {*self.records, *self.lost_files}

    def num_specs(self, snapshot: str) -> int:
        """Return the number of specs of a snapshot, even if it is damaged; 0 if there is none, or it is unknown."""
        record = self.manifest.snapshots.get(snapshot)
        return record.num_specs if record else self.lost.get(file_stem(snapshot), 0)

    @cached_property
    def records(self) -> dict[str, FileRecord]:
        """The sizes and checksums of all files, by their names."""
        return file_records(self.manifest)

    def _read(self, table: str) -> pa.Table:
        if not self.is_there:
            return TABLES[table].arrow().empty_table()
        from cachestats.dataset.parquet import read_whole

        found = read_whole(table, self.file(table))
        if not self.lost or "snapshot" not in found.column_names:
            return found
        import pyarrow as pa

        names = found.column("snapshot").to_pylist()
        return found.filter(pa.array([name is None or file_stem(name) not in self.lost for name in names], pa.bool_()))
