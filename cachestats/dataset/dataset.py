"""The Parquet dataset: one folder whose snapshots are replaced as a whole, opened as lazy frames.

    DATASET/
      manifest.json                  schema version, sources, snapshots and counts
      specs/<snapshot>.parquet       tables with many rows: one file per snapshot, or several of a large one:
      specs/<snapshot>~000.parquet   each with the specs of some packages
      variants/<snapshot>.parquet
      dependencies/<snapshot>.parquet
      requirements/<snapshot>.parquet
      snapshots.parquet              tables with few rows: one file
      targets.parquet
      rejected.parquet
      inputs.parquet
      encoded_specs/, encoded_dependencies/, names/, common_names.parquet
                                     the tables of the engine: the same in numbers, for analyses

Every file has all columns of its table, including `snapshot`, so that tools need no partition keys from folder names:
`read_parquet('DATASET/specs/*.parquet')` works anywhere, and the statistics allow it to skip other snapshots.

A writer writes new files below the folder `.cachestats`, and then renames a list of them to `commit.json` there. That
rename is the moment of publication: before it the dataset is the old one. After it the files are moved to their final
locations, and any process that finds the list after a crash finishes the moves. A killed process leaves the old
snapshot or the new one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from cachestats.dataset.manifest import MANIFEST, Manifest, read_manifest
from cachestats.dataset.names import Names
from cachestats.dataset.paths import snapshot_files, table_file
from cachestats.dataset.publication import COMMIT, finish_moves
from cachestats.dataset.sql import check_query, query_error
from cachestats.dataset.subset import Asked, Subset, snapshot_names
from cachestats.errors import ArgumentError, DatasetError, reported
from cachestats.schema import STORED_TABLES, TABLES, Table
from cachestats.text import counted

if TYPE_CHECKING:
    import polars as pl

    from cachestats.dataset.expressions import Alternatives


class Dataset:
    """A dataset on disk: its path, its manifest and its tables as Polars LazyFrames.

    The tables are read when a frame is collected. A frame that is collected after another build was published may mix
    old and new snapshots; open the dataset again to see the new ones.

    Attributes
    ----------
    path : pathlib.Path
        The folder.
    manifest : cachestats.dataset.manifest.Manifest
        The contents of `manifest.json`: `schema_version`, `made_by`, `sources`, `snapshots` with their `num_specs` and
        `rows`, and `tables`, the number of rows of each.
    specs, variants, dependencies, requirements, snapshots, targets, rejected, inputs : polars.LazyFrame
        The tables, with the columns of `cachestats.data_dictionary()`.

    Examples
    --------
    >>> import polars as pl
    >>> ds.specs.filter(pl.col("package") == "py-propcache").select(pl.col("hash").n_unique()).collect().item()
    68
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest
        self._satisfying: dict[tuple[tuple[str, ...], Alternatives], pl.DataFrame] = {}

    @property
    def specs(self) -> pl.LazyFrame:
        """One row per (snapshot, stack, hash)."""
        return self.scan("specs")

    @property
    def variants(self) -> pl.LazyFrame:
        """One row per (snapshot, hash, variant, value)."""
        return self.scan("variants")

    @property
    def dependencies(self) -> pl.LazyFrame:
        """One row per (snapshot, hash, dependency_hash)."""
        return self.scan("dependencies")

    @property
    def requirements(self) -> pl.LazyFrame:
        """One row per (snapshot, requirement)."""
        return self.scan("requirements")

    @property
    def snapshots(self) -> pl.LazyFrame:
        """One row per snapshot."""
        return self.scan("snapshots")

    @property
    def targets(self) -> pl.LazyFrame:
        """One row per (target, runs_on)."""
        return self.scan("targets")

    @property
    def rejected(self) -> pl.LazyFrame:
        """One row per finding."""
        return self.scan("rejected")

    @property
    def inputs(self) -> pl.LazyFrame:
        """One row per page or index that was read."""
        return self.scan("inputs")

    def scan(self, table: str, *, snapshots: Iterable[str] | None = None) -> pl.LazyFrame:
        """Return one table by name; with `snapshots`, only these, if the table is stored by snapshot.

        Raises
        ------
        ArgumentError
            If there is no such table.
        """
        import polars as pl

        declared = find_table(table, STORED_TABLES)
        files = self.files(table, snapshots=snapshots)
        if not files:
            return pl.LazyFrame(schema=declared.polars())
        return pl.scan_parquet(files, glob=False)

    @cached_property
    def names(self) -> Names:
        """The names of the codes in the encoded tables."""
        return Names(self)

    def satisfying(self, wanted: Alternatives, snapshots: tuple[str, ...]) -> pl.DataFrame:
        """Return the specs of some snapshots that spec expressions ask for: `snapshot` and `hash`, as codes.

        What was found is kept, as a question may ask for the same specs again.

        Raises
        ------
        ArgumentError
            If an expression is about dependencies, and those of all the snapshots are unknown.
        """
        from cachestats.dataset.expressions import EncodedSource, specs_satisfying

        if (snapshots, wanted) not in self._satisfying:
            self._satisfying[snapshots, wanted] = specs_satisfying(EncodedSource(self, snapshots), wanted)
        return self._satisfying[snapshots, wanted]

    def at(self, *names: str | Iterable[str]) -> Subset:
        """Return some of the snapshots; see `Subset.at`."""
        return Subset(self).at(*names)

    def where(self, *, spec: str | Iterable[str] = (), **columns: Asked) -> Subset:
        """Return the specs with some values, or that satisfy spec expressions; see `Subset.where`."""
        return Subset(self).where(spec=spec, **columns)

    @property
    def newest(self) -> Subset:
        """The newest snapshot: `develop`, or the newest if there is no `develop`.

        Raises
        ------
        ArgumentError
            If the dataset has no snapshots.
        """
        return Subset(self).at(snapshot_names(self)[-1:])

    def sql(self, query: str) -> pl.LazyFrame:
        """Query the tables by their names in Polars' dialect of SQL.

        Parameters
        ----------
        query
            One statement that selects; the tables are those of `cachestats.data_dictionary()`.

        Raises
        ------
        ArgumentError
            If it is not such a statement, uses an unknown name, or reads a file itself (`read_csv`, ...).

        Examples
        --------
        >>> query = "SELECT package, count(DISTINCT hash) AS specs FROM specs GROUP BY package ORDER BY package"
        >>> ds.sql(query).collect().rows()
        [('py-filelock', 124), ('py-propcache', 68)]
        """
        import polars as pl
        from polars.exceptions import PolarsError

        if not isinstance(query, str):
            raise ArgumentError(f"expected a statement, found {query!r}", hint="SELECT ... FROM specs")
        try:
            check_query(query)
            return pl.SQLContext({name: self.scan(name) for name in TABLES}, eager=False).execute(query)
        except PolarsError as error:
            raise query_error(error) from None

    def files(self, table: str, *, snapshots: Iterable[str] | None = None) -> list[Path]:
        """Return the Parquet files of a table, or of some of its snapshots, sorted by the names of the snapshots."""
        return [file for files in self.files_by_snapshot(table, snapshots=snapshots).values() for file in files]

    def files_by_snapshot(self, table: str, *, snapshots: Iterable[str] | None = None) -> dict[str | None, list[Path]]:
        """Return the Parquet files of a table by snapshot, sorted; a large snapshot has several.

        A table that is not stored by snapshot has one file, of None.
        """
        declared, known = find_table(table, STORED_TABLES), self.manifest.snapshots
        found: dict[str | None, list[Path]] = {None: [table_file(self.path, declared)]}
        if declared.by_snapshot:
            names = sorted(known if snapshots is None else snapshots)
            found = {name: snapshot_files(self.path, declared, name, known[name]) for name in names}
        if missing := [file for files in found.values() for file in files if not file.is_file()]:
            instead = "something else" if missing[0].exists() else "nothing"
            raise DatasetError(
                f"expected the file {missing[0]}, which the manifest of the dataset names, found {instead}",
                hint="build the dataset again",
            )
        return found

    def __repr__(self) -> str:
        counts = self.manifest.tables
        tables = ", ".join(f"{name} {rows:,}" for name, rows in counts.items())
        return f"Dataset({str(self.path)!r}: {counted(len(self.manifest.snapshots), 'snapshot')}; rows: {tables})"

    def _repr_html_(self) -> str:
        import html

        rows = "".join(
            f"<tr><td><code>.{name}</code></td><td style='text-align:right'>{rows:,}</td>"
            f"<td>{TABLES[name].grain}</td></tr>"
            for name, rows in self.manifest.tables.items()
        )
        return (
            f"<b>cachestats dataset</b> <code>{html.escape(str(self.path))}</code>, "
            f"{counted(len(self.manifest.snapshots), 'snapshot')}"
            f"<table><thead><tr><th>table</th><th>rows</th><th>a row is</th></tr></thead><tbody>{rows}</tbody></table>"
        )


def open_dataset(path: str | os.PathLike[str]) -> Dataset:
    """Open a dataset that `build_dataset` wrote.

    Parameters
    ----------
    path
        The dataset's folder.

    Raises
    ------
    DatasetError
        If there is no dataset at `path`, it is damaged, or it has another schema version.

    Examples
    --------
    >>> import cachestats as cs
    >>> cs.open_dataset("no/such/folder")
    Traceback (most recent call last):
        ...
    cachestats.errors.DatasetError: expected a dataset, found nothing at no/such/folder
    hint: make one with `cachestats build SOURCE --out no/such/folder`
    """
    folder = Path(path)
    if not folder.exists():
        raise DatasetError(
            f"expected a dataset, found nothing at {folder}",
            hint=f"make one with `cachestats build SOURCE --out {folder}`",
        )
    while True:
        with reported(folder):
            finish_moves(folder)
        manifest = read_manifest(folder)
        if not (folder / COMMIT).exists():  # else a publication has just begun, and the manifest may be the old one
            break
    if manifest is None:
        raise DatasetError(
            f"expected a dataset, found no {MANIFEST} in {folder}",
            hint=f"make one with `cachestats build SOURCE --out {folder}`, or give the folder of another one",
        )
    return Dataset(folder, manifest)


def find_table(name: str, among: Mapping[str, Table] = TABLES) -> Table:
    """Return the declaration of a table.

    Raises
    ------
    ArgumentError
        If there is no such table.
    """
    if name not in among:
        near = get_close_matches(name, TABLES, 1)
        tables = f"the tables are {', '.join(TABLES)}"
        raise ArgumentError(f"expected a table, found {name!r}", hint=f"try {near[0]}; {tables}" if near else tables)
    return among[name]


def find_snapshots(dataset: Dataset, names: Iterable[str]) -> list[str]:
    """Return the snapshots that names, words and patterns stand for, as in `Subset.at`, sorted by name.

    Raises
    ------
    ArgumentError
        If one of them stands for no snapshot, or there are none.
    """
    if isinstance(names, str):
        raise ArgumentError(f"expected a list of snapshots, found the text {names!r}", hint=f"give [{names!r}]")
    return sorted(Subset(dataset).at(names).snapshots or ())


def with_dependencies(dataset: Dataset, names: Iterable[str]) -> list[str]:
    """Return those snapshots that have dependencies, in the given order: indices provide them, pages do not."""
    found = dataset.snapshots.select("snapshot", "has_dependencies").collect()
    known = dict(found.iter_rows())
    return [name for name in names if known[name]]


def reuse_rules(dataset: Dataset, names: Iterable[str]) -> list[str]:
    """Return the distinct reuse rules of some snapshots, sorted."""
    rules = dict(dataset.snapshots.select("snapshot", "reuse_rules").collect().iter_rows())
    return sorted({rules[name] for name in names})
