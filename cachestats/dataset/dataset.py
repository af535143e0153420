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
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from cachestats.dataset.checksums import FoundFile, find_files, is_unchanged
from cachestats.dataset.manifest import MANIFEST, Manifest
from cachestats.dataset.names import Names
from cachestats.dataset.paths import arrow_path, check_no_tables, file_name, file_records, snapshot_files
from cachestats.dataset.publication import finish_moves, published_manifest
from cachestats.dataset.sql import check_query, query_error
from cachestats.dataset.subset import Asked, Subset, no_such_snapshot, snapshot_names
from cachestats.errors import ArgumentError, DamagedError, DatasetError, RebuiltError
from cachestats.schema import STORED_TABLES, TABLES, Table
from cachestats.text import counted

if TYPE_CHECKING:
    import polars as pl

    from cachestats.dataset.expressions import Alternatives
    from cachestats.dataset.manifest import FileRecord


class Dataset:
    """A dataset on disk: its path, its manifest and its tables as Polars LazyFrames.

    `open_dataset` and `build_dataset` return it. Each file is compared with its checksum before it is first read. The
    tables are read when a frame is collected, so a frame that is collected after another build was published may see
    files of it: `check_unchanged` tells whether anything that was read is of another build. Open the dataset again to
    see the new snapshots.

    Parameters
    ----------
    path
        The folder.
    manifest
        The contents of its `manifest.json`.

    Attributes
    ----------
    path : pathlib.Path
        The folder.
    manifest : cachestats.dataset.manifest.Manifest
        The contents of `manifest.json`: `schema_version`, `made_by`, `sources`, `snapshots` with their `num_specs` and
        `rows`, `tables`, the number of rows of each, and the size and checksum of each file in `files`.
    specs, variants, dependencies, requirements, snapshots, targets, rejected, inputs : polars.LazyFrame
        The tables, with the columns of `cachestats.data_dictionary()`.

    Examples
    --------
    >>> import cachestats as cs
    >>> ds = cs.example_dataset()
    >>> ds.manifest.tables["specs"]
    139
    >>> ds.specs.filter(package="hdf5").select("version").unique().sort("version").collect()["version"].to_list()
    ['1.14.3', '1.14.5', '1.8.23']
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest
        self._satisfying: dict[tuple[tuple[str, ...], Alternatives], pl.DataFrame] = {}
        self._found: dict[str, FoundFile] = {}

    @property
    def specs(self) -> pl.LazyFrame:
        """The table `specs`: one row per (snapshot, stack, hash)."""
        return self.scan("specs")

    @property
    def variants(self) -> pl.LazyFrame:
        """The table `variants`: one row per (snapshot, hash, variant, value)."""
        return self.scan("variants")

    @property
    def dependencies(self) -> pl.LazyFrame:
        """The table `dependencies`: one row per (snapshot, hash, dependency_hash)."""
        return self.scan("dependencies")

    @property
    def requirements(self) -> pl.LazyFrame:
        """The table `requirements`: one row per (snapshot, requirement), what specs require of a host."""
        return self.scan("requirements")

    @property
    def snapshots(self) -> pl.LazyFrame:
        """The table `snapshots`: one row per snapshot."""
        return self.scan("snapshots")

    @property
    def targets(self) -> pl.LazyFrame:
        """The table `targets`: one row per (target, runs_on), the machines that run the binaries for a target."""
        return self.scan("targets")

    @property
    def rejected(self) -> pl.LazyFrame:
        """The table `rejected`: one row per finding, what could not be read and why."""
        return self.scan("rejected")

    @property
    def inputs(self) -> pl.LazyFrame:
        """The table `inputs`: one row per page or index that was read."""
        return self.scan("inputs")

    def scan(self, table: str, *, snapshots: Iterable[str] | None = None) -> pl.LazyFrame:
        """Return one table by its name.

        Parameters
        ----------
        table
            The name of the table.
        snapshots
            Names of snapshots: return only these, if the table is stored by snapshot. By default, all.

        Returns
        -------
        polars.LazyFrame
            The table, with the columns of `cachestats.data_dictionary()`.

        Raises
        ------
        ArgumentError
            If there is no such table or snapshot.
        DatasetError
            If a file of the table is missing or damaged.
        RebuiltError
            If the dataset was built again since it was opened.

        Examples
        --------
        >>> import cachestats as cs
        >>> dependencies = cs.example_dataset().scan("dependencies", snapshots=["develop-2025-03-09"])
        >>> dependencies.filter(is_link=True).select("dependency_package").unique().collect().height
        12
        """
        import polars as pl

        declared = find_table(table, STORED_TABLES)
        files = self.files(table, snapshots=snapshots)
        if not files:
            return pl.LazyFrame(schema=declared.polars())
        return pl.scan_parquet(files, glob=False)

    @cached_property
    def names(self) -> Names:
        """The names that the codes in the encoded tables stand for."""
        return Names(self)

    def satisfying(self, wanted: Alternatives, snapshots: tuple[str, ...]) -> pl.DataFrame:
        """Return the specs of some snapshots that spec expressions ask for, as codes.

        The result is kept, because a question may ask for the same specs again. `Subset.where` and `cachestats.find`
        are the ways to ask with text.

        Parameters
        ----------
        wanted
            The expressions, as `cachestats.dataset.expressions.Alternatives`.
        snapshots
            Names of the snapshots.

        Returns
        -------
        polars.DataFrame
            One row per spec, with the columns `snapshot` and `hash` (Int64: codes, which `names` translates).

        Raises
        ------
        ArgumentError
            If an expression is about dependencies, and those of all the snapshots are unknown.

        Examples
        --------
        >>> import cachestats as cs
        >>> from cachestats.dataset.expressions import Alternatives
        >>> cs.example_dataset().satisfying(Alternatives.parse("hdf5+mpi"), ("develop-2025-03-09",)).height
        7
        """
        from cachestats.dataset.expressions import EncodedSource, specs_satisfying

        if (snapshots, wanted) not in self._satisfying:
            self._satisfying[snapshots, wanted] = specs_satisfying(EncodedSource(self, snapshots), wanted)
        return self._satisfying[snapshots, wanted]

    def at(self, *names: str | Iterable[str]) -> Subset:
        """Return some of the snapshots.

        Parameters
        ----------
        *names
            Names of snapshots, words and patterns, as in `Subset.at`.

        Returns
        -------
        Subset
            The snapshots.

        Raises
        ------
        ArgumentError
            As in `Subset.at`.

        Examples
        --------
        >>> import cachestats as cs
        >>> cs.example_dataset().at("develop-2024-*").names
        ('develop-2024-06-02',)
        """
        return Subset(self).at(*names)

    def where(self, *, spec: str | Iterable[str] = (), **columns: Asked) -> Subset:
        """Return the specs with some values, or those that satisfy spec expressions.

        Parameters
        ----------
        spec
            Spec expressions, as in `Subset.where`.
        **columns
            Columns of the table `specs` and the values that they may have, as in `Subset.where`.

        Returns
        -------
        Subset
            These specs, of all snapshots.

        Raises
        ------
        ExpressionError, ArgumentError
            As in `Subset.where`.

        Examples
        --------
        >>> import cachestats as cs
        >>> cs.example_dataset().where(package="hdf5", stack="e4s").num_specs
        9
        """
        return Subset(self).where(spec=spec, **columns)

    @property
    def newest(self) -> Subset:
        """The newest snapshot as a `Subset`: `develop`, or the newest if there is no `develop`.

        Raises
        ------
        ArgumentError
            If the dataset has no snapshots.

        Examples
        --------
        >>> import cachestats as cs
        >>> cs.example_dataset().newest.names
        ('develop-2025-03-09',)
        """
        return Subset(self).at(snapshot_names(self)[-1:])

    def sql(self, query: str) -> pl.LazyFrame:
        """Query the tables by their names in Polars' dialect of SQL.

        Parameters
        ----------
        query
            One statement that selects; the tables are those of `cachestats.data_dictionary()`.

        Returns
        -------
        polars.LazyFrame
            The result, which is computed when it is collected.

        Raises
        ------
        ArgumentError
            If the query is not such a statement, uses an unknown name, or reads a file itself (`read_csv`, ...).

        Examples
        --------
        >>> import cachestats as cs
        >>> query = "SELECT os, count(*) AS n FROM specs WHERE package = 'hdf5' AND stack = 'root' GROUP BY os"
        >>> sorted(cs.example_dataset().sql(query).collect().rows())
        [('sequoia', 1), ('ubuntu22.04', 12)]
        """
        import polars as pl
        from polars.exceptions import PolarsError

        if not isinstance(query, str):
            raise ArgumentError(f"expected a statement, found {query!r}", hint="SELECT ... FROM specs")
        try:
            check_query(query)
            named = [name for name in TABLES if name in query.lower()]  # the others' files need not be whole
            return pl.SQLContext({name: self.scan(name) for name in named}, eager=False).execute(query)
        except PolarsError as error:
            raise query_error(error) from None

    def files(self, table: str, *, snapshots: Iterable[str] | None = None) -> list[Path]:
        """Return the Parquet files of a table, or of some of its snapshots, sorted by the names of the snapshots.

        Parameters
        ----------
        table
            The name of the table.
        snapshots
            Names of snapshots: return only their files, if the table is stored by snapshot. By default, all.

        Returns
        -------
        list of pathlib.Path
            The files.

        Raises
        ------
        ArgumentError
            If there is no such table or snapshot.
        DatasetError
            If a file is missing or damaged.
        RebuiltError
            If the dataset was built again since it was opened.

        Examples
        --------
        >>> import cachestats as cs
        >>> [file.name for file in cs.example_dataset().files("specs")]
        ['develop-2024-06-02.parquet', 'develop-2025-03-09.parquet']
        """
        return [file for files in self.files_by_snapshot(table, snapshots=snapshots).values() for file in files]

    def files_by_snapshot(self, table: str, *, snapshots: Iterable[str] | None = None) -> dict[str | None, list[Path]]:
        """Return the Parquet files of a table by snapshot, sorted; a large snapshot has several.

        Parameters
        ----------
        table, snapshots
            As in `files`.

        Returns
        -------
        dict of str or None to list of pathlib.Path
            The files of each snapshot. A table that is not stored by snapshot has one file, under the key None.

        Raises
        ------
        ArgumentError, DatasetError, RebuiltError
            As in `files`.

        Examples
        --------
        >>> import cachestats as cs
        >>> files = cs.example_dataset().files_by_snapshot("specs")
        >>> {snapshot: len(paths) for snapshot, paths in files.items()}
        {'develop-2024-06-02': 1, 'develop-2025-03-09': 1}
        """
        declared, known = find_table(table, STORED_TABLES), self.manifest.snapshots
        names: dict[str | None, list[str]] = {None: [file_name(declared)]}
        if declared.by_snapshot:
            chosen = sorted(known if snapshots is None else snapshots)
            for name in chosen:
                if name not in known:
                    raise no_such_snapshot(self, name, snapshot_names(self))
            names = {name: snapshot_files(declared, name, known[name]) for name in chosen}
        records = {name: self._records[name] for each in names.values() for name in each}
        try:
            found = find_files(self.path, records)
        except DamagedError:
            check_current(self)
            raise
        self._found |= found
        return {snapshot: [found[name].path for name in each] for snapshot, each in names.items()}

    def check_unchanged(self) -> None:
        """Check that all files that were read are still those of this dataset, so that answers are from one state.

        A build that is published while a question is answered replaces files. The command line checks this before it
        prints anything, as do exports and reports before they replace an earlier one.

        Raises
        ------
        RebuiltError
            If one of the files was replaced or removed since it was found.

        Examples
        --------
        >>> import cachestats as cs
        >>> ds = cs.example_dataset()
        >>> specs = ds.specs.collect()
        >>> ds.check_unchanged()
        """
        if not all(map(is_unchanged, [*self._found.values()])):
            raise _rebuilt(self)

    @cached_property
    def _records(self) -> dict[str, FileRecord]:
        return file_records(self.manifest)

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

    Returns
    -------
    Dataset
        The dataset.

    Raises
    ------
    DatasetError
        If there is no dataset at `path`, it is damaged, or it has another schema version.

    Examples
    --------
    >>> import cachestats as cs
    >>> ds = cs.open_dataset(cs.example_dataset().path)
    >>> ds.manifest.schema_version
    3
    >>> cs.open_dataset("no/such/folder")
    Traceback (most recent call last):
        ...
    cachestats.errors.DatasetError: expected a dataset, found nothing at no/such/folder
    hint: make one with `cachestats build SOURCE --out no/such/folder`
    """
    folder = arrow_path(path)
    if not folder.exists():
        raise DatasetError(
            f"expected a dataset, found nothing at {folder}",
            hint=f"make one with `cachestats build SOURCE --out {folder}`",
        )
    finish_moves(folder)
    manifest = published_manifest(folder)
    if manifest is None:
        check_no_tables(folder)
        raise DatasetError(
            f"expected a dataset, found no {MANIFEST} in {folder}",
            hint="give the folder of a dataset, or make one with `cachestats build SOURCE --out FOLDER`",
        )
    return Dataset(folder, manifest)


def check_current(dataset: Dataset) -> None:
    """Check that no other build was published since a dataset was opened.

    Raises
    ------
    RebuiltError
        If one was.
    """
    if published_manifest(dataset.path) != dataset.manifest:
        raise _rebuilt(dataset)


def _rebuilt(dataset: Dataset) -> RebuiltError:
    return RebuiltError(f"{dataset.path} was built again while it was read", hint="open it again")


@contextmanager
def one_state(*datasets: Dataset) -> Iterator[None]:
    """Check, at the end and if anything fails, that what was read is from one state of each dataset.

    Raises
    ------
    RebuiltError
        If a dataset was built again meanwhile.
    """
    try:
        yield
    except BaseException as error:
        # A panic inside Polars is not an Exception, but neither is an interruption.
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            _check_unchanged(datasets)
        raise
    _check_unchanged(datasets)


def _check_unchanged(datasets: Iterable[Dataset]) -> None:
    for dataset in datasets:
        dataset.check_unchanged()


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
