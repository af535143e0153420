"""The Parquet dataset: one folder that is replaced whole, snapshot by snapshot, and opened as lazy frames.

    DATASET/
      manifest.json                  schema version, sources, snapshots and counts
      specs/<snapshot>.parquet       tables with many rows: one file a snapshot
      variants/<snapshot>.parquet
      dependencies/<snapshot>.parquet
      snapshots.parquet              tables with few rows: one file
      targets.parquet
      rejected.parquet
      documents.parquet

Every file holds all columns of its table, `snapshot` too, so that a tool needs no partition keys from folder names:
`read_parquet('DATASET/specs/*.parquet')` works anywhere, and the statistics let it skip the snapshots not asked for.

A writer puts new files below the folder `.cachestats`, then renames a list of them, `commit.json`, into place there.
That rename is the moment of publication: before it the dataset is the old one. After it the files are moved to where
they belong, and whoever finds the list after a crash finishes the moves. A killed process leaves the old snapshot or
the new one.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import filelock
import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cachestats.errors import ArgumentError, BusyError, DatasetError, reported
from cachestats.naming import counted, file_stem, snapshot_order
from cachestats.schema import SCHEMA_VERSION, TABLES, Table

if TYPE_CHECKING:
    import polars as pl

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"
_STATE = ".cachestats"
_LOCK = f"{_STATE}/lock"
_NEW = f"{_STATE}/new"
_SCRATCH = f"{_STATE}/scratch"
_JOURNALS = f"{_STATE}/journals"
_COMMIT = f"{_STATE}/commit.json"

# Hashes repeat over a whole snapshot: with a million rows their dictionary is written once. Pages have an index too.
_ROW_GROUP = 1 << 20
_RECOVERY_SECONDS = 10
_SELECTING = ("SELECT", "WITH")
_REMARKS = re.compile(r"(\s|--[^\n]*(\n|$)|/\*.*?\*/)*", re.DOTALL)
_READERS = re.compile(r"\bread_[a-z]+\b", re.IGNORECASE)
_SCANS = re.compile(r"^\W*(\w+ SCAN) \[", re.MULTILINE)
_MANY_NAMES = frozenset({"hash", "dependency_hash", "variants"})


class _Version(msgspec.Struct):
    schema_version: int


class _Source(msgspec.Struct):
    kind: str
    location: str
    snapshots: list[str]
    stacks: list[str]
    allow_hosts: list[str]
    signed: bool
    sizes: bool
    files: int
    passed_over: int


class _Snapshot(msgspec.Struct):
    num_specs: int
    rows: dict[str, int]


class _Manifest(_Version):
    """What `manifest.json` holds; it is handed out as plain dictionaries."""

    made_by: dict[str, str]
    sources: dict[str, _Source]
    snapshots: dict[str, _Snapshot]
    tables: dict[str, int]


class _Commit(msgspec.Struct):
    """The list of a publication: files to move to their places, then files to remove."""

    move: list[str]
    remove: list[str]


class Dataset:
    """A dataset on disk: its path, its manifest and its tables as Polars LazyFrames.

    The tables are read when a frame is collected. A frame that is collected after another build was published may
    see some snapshots as they were and some as they are; open the dataset again to see the new ones.

    Attributes
    ----------
    path : pathlib.Path
        The folder.
    manifest : dict
        `schema_version`, `sources`, `snapshots` and counts, as in `manifest.json`.
    specs, variants, dependencies, snapshots, targets, rejected, documents : polars.LazyFrame
        The tables, with the columns of `cachestats.data_dictionary()`.

    Examples
    --------
    >>> import polars as pl
    >>> ds.specs.filter(pl.col("package") == "py-propcache").select(pl.col("hash").n_unique()).collect().item()
    68
    """

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path = path
        self.manifest = manifest

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
    def documents(self) -> pl.LazyFrame:
        """One row per page or index that was read."""
        return self.scan("documents")

    def scan(self, table: str) -> pl.LazyFrame:
        """Return one table by name.

        Raises
        ------
        ArgumentError
            If there is no such table.
        """
        import polars as pl

        declared = find_table(table)
        files = self.files(table)
        if not files:
            return pl.LazyFrame(schema=declared.polars())
        return pl.scan_parquet(files, glob=False)

    def sql(self, query: str) -> pl.LazyFrame:
        """Ask the tables by their names in SQL, as Polars understands it.

        Parameters
        ----------
        query
            One statement that selects; the tables are those of `cachestats.data_dictionary()`.

        Raises
        ------
        ArgumentError
            If it is no such statement, names what does not exist, or reads a file by itself (`read_csv`, ...).

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
        first = (_REMARKS.sub("", query, count=1).split(None, 1) or ["nothing"])[0]
        if first.upper().strip("(") not in _SELECTING:
            raise ArgumentError(
                f"expected a statement that begins with {' or '.join(_SELECTING)}, found {first}",
                hint="the tables are read only: SELECT ... FROM specs",
            )
        try:
            _refuse_other_files(query)
            return pl.SQLContext({name: self.scan(name) for name in TABLES}, eager=False).execute(query)
        except PolarsError as error:
            raise query_error(error) from None

    def check_files(self) -> None:
        """Read every file.

        Raises
        ------
        DatasetError
            If one is not there, or is not what the manifest says.
        """
        for table in TABLES:
            for file in self.files(table):
                _read_whole(table, file)

    def files(self, table: str, *, snapshots: Iterable[str] | None = None) -> list[Path]:
        """Return the Parquet files that hold a table, or snapshots of it, in the order of the snapshots' names."""
        declared = find_table(table)
        names = sorted(self.manifest["snapshots"] if snapshots is None else snapshots)
        files = [_file(self.path, declared, name) for name in (names if declared.by_snapshot else [None])]
        if missing := [file for file in files if not file.is_file()]:
            found = "something else" if missing[0].exists() else "nothing"
            raise DatasetError(
                f"expected the file {missing[0]}, which the manifest of the dataset names, found {found}",
                hint="build the dataset again",
            )
        return files

    def __repr__(self) -> str:
        counts = self.manifest["tables"]
        tables = ", ".join(f"{name} {rows:,}" for name, rows in counts.items())
        return f"Dataset({str(self.path)!r}: {counted(len(self.manifest['snapshots']), 'snapshot')}; rows: {tables})"

    def _repr_html_(self) -> str:
        import html

        rows = "".join(
            f"<tr><td><code>.{name}</code></td><td style='text-align:right'>{rows:,}</td>"
            f"<td>{TABLES[name].grain}</td></tr>"
            for name, rows in self.manifest["tables"].items()
        )
        return (
            f"<b>cachestats dataset</b> <code>{html.escape(str(self.path))}</code>, "
            f"{counted(len(self.manifest['snapshots']), 'snapshot')}"
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
            _finish_moves(folder)
        manifest = _read_manifest(folder)
        if not (folder / _COMMIT).exists():  # else a publication began just now, and the manifest may be the old one
            break
    if manifest is None:
        raise DatasetError(
            f"expected a dataset, found no {MANIFEST} in {folder}",
            hint=f"make one with `cachestats build SOURCE --out {folder}`, or give the folder of another one",
        )
    return Dataset(folder, manifest)


def query_error(error: Exception) -> ArgumentError:
    """Return what Polars says against a query as an error of whoever asks it."""
    return ArgumentError(
        f"expected a statement that Polars understands, found: {str(error).splitlines()[0]}",
        hint=f"the tables are {', '.join(TABLES)}; `cachestats dictionary` lists their columns",
    )


def _refuse_other_files(query: str) -> None:
    """Refuse a query that reads a file by itself, as Polars' `read_csv` and its like do."""
    import polars as pl

    # To plan such a query Polars opens the file: what is known to read one is not planned at all.
    reads = _READERS.findall(query)
    if not reads:
        # Over tables that are not read, any file in the plan is none of the dataset's.
        empty = {name: pl.LazyFrame(schema=table.polars()) for name, table in TABLES.items()}
        reads = _SCANS.findall(pl.SQLContext(empty, eager=False).execute(query).explain(optimized=False))
    if reads:
        raise ArgumentError(
            f"expected the tables of the dataset alone, found {reads[0]}, which reads a file",
            hint=f"the tables are {', '.join(TABLES)}",
        )


def find_table(name: str) -> Table:
    """Return the declaration of a table.

    Raises
    ------
    ArgumentError
        If there is no such table.
    """
    if name not in TABLES:
        near = get_close_matches(name, TABLES, 1)
        tables = f"the tables are {', '.join(TABLES)}"
        raise ArgumentError(f"expected a table, found {name!r}", hint=f"try {near[0]}; {tables}" if near else tables)
    return TABLES[name]


def export_table(
    dataset: Dataset, table: str, out: str | os.PathLike[str], *, snapshots: Iterable[str] | None = None
) -> int:
    """Write one table of a dataset into a single file for BI tools and return its number of rows.

    Parameters
    ----------
    dataset
        The dataset.
    table
        Name of the table.
    out
        The file to write; `.parquet` (zstd, sorted by snapshot and then as the table is) or `.csv`, by its ending.
        An existing file is replaced once the new one is whole.
    snapshots
        Names of snapshots: write what belongs to these only, or to none that is known, as a page that could not be
        read. By default everything. `targets` knows no snapshots, and is always whole.

    Raises
    ------
    ArgumentError
        If there is no such table or snapshot, or the ending is neither.
    DatasetError
        If the file cannot be written.

    Examples
    --------
    >>> import cachestats as cs
    >>> cs.export_table(ds, "specs", tmp / "specs.parquet")
    524
    """
    target = Path(out)
    if target.suffix not in {".parquet", ".csv"}:
        raise ArgumentError(
            f"expected a file that ends in .parquet or .csv, found {target.name!r}", hint=f"try {target.stem}.parquet"
        )
    find_table(table)
    chosen = None if snapshots is None else find_snapshots(dataset, snapshots)
    with written(target) as unfinished:
        return write_table(dataset, table, unfinished, snapshots=chosen, kind=target.suffix[1:])


def write_table(dataset: Dataset, table: str, path: Path, *, snapshots: list[str] | None, kind: str) -> int:
    """Write a table, or what of it belongs to some snapshots, into a file as it goes, and return its number of rows."""
    import pyarrow.csv as pv

    declared, is_parquet = find_table(table), kind == "parquet"
    # Text goes from Parquet to Parquet as codes, in two thirds of the time and memory; in CSV it is written out.
    text = pa.dictionary(pa.int32(), pa.string()) if is_parquet else pa.string()
    fields = [field.remove_metadata() for field in declared.arrow()]
    schema = pa.schema([field.with_type(text) if field.type == pa.string() else field for field in fields])
    sort = ("snapshot", *declared.sort) if declared.by_snapshot else declared.sort
    writer: Any = _parquet_writer(path, declared, schema, sort) if is_parquet else pv.CSVWriter(path, schema)
    rows = 0
    with writer:
        for file in dataset.files(table, snapshots=snapshots):
            for batch in _batches(file, schema):
                part = batch if snapshots is None or declared.by_snapshot else _of_snapshots(batch, snapshots)
                rows += part.num_rows
                if part.num_rows:
                    writer.write_table(part)
        if not rows:  # a file without any row group is more than some readers expect
            writer.write_table(schema.empty_table())
    return rows


def find_snapshots(dataset: Dataset, names: Iterable[str]) -> list[str]:
    """Return distinct names of snapshots, sorted, once the dataset is known to have them all.

    Raises
    ------
    ArgumentError
        If it has not, or none is named.
    """
    if isinstance(names, str):
        raise ArgumentError(f"expected a list of snapshots, found the text {names!r}", hint=f"give [{names!r}]")
    found, there = sorted(set(names)), sorted(dataset.manifest["snapshots"], key=snapshot_order)
    if not found:
        raise ArgumentError("expected a snapshot, found none", hint="name one, or leave them out to take all")
    for name in found:
        if name not in there:
            near = get_close_matches(name, there, 3) or there[-3:]
            raise ArgumentError(
                f"expected a snapshot of {dataset.path}, found {name!r}", hint=f"there is {', '.join(near) or 'none'}"
            )
    return found


def _of_snapshots(batch: pa.Table, names: list[str]) -> pa.Table:
    """Return the rows that belong to some snapshots, or to none that is known."""
    if "snapshot" not in batch.column_names:
        return batch
    column = batch.column("snapshot").cast(pa.string())
    return batch.filter(pc.or_(pc.is_in(column, pa.array(names, pa.string())), pc.is_null(column)))


def _batches(file: Path, schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield a file's rows in tables of this schema, which may have its text as dictionaries."""
    coded = [field.name for field in schema if pa.types.is_dictionary(field.type)]
    # A table brings its whole dictionaries along, so coded ones should be few; of plain text less fits into memory.
    rows = _ROW_GROUP if coded else _ROW_GROUP // 8
    try:
        for batch in pq.ParquetFile(file, read_dictionary=coded).iter_batches(rows):
            yield pa.Table.from_arrays(batch.columns, schema=schema)
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(
            f"expected a whole Parquet file, found one that cannot be read: {file}: {error}",
            hint="build the dataset again",
        ) from error


class Writer:
    """The one process that may write a dataset: stage files, then `publish` them all at once.

    Raises
    ------
    BusyError
        If another process is writing, and still is after `wait` seconds.
    DatasetError
        If the folder is not a dataset (nor empty), is of another schema version, or cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], *, wait: float) -> None:
        if not os.fspath(path):
            raise DatasetError("expected a folder to write to, found an empty path", hint="give '.' for this one")
        self.path = Path(path)
        self._lock = filelock.FileLock(self.path / _LOCK)
        self._wait = wait
        self._staged: list[str] = []
        self._removed: list[str] = []

    def __enter__(self) -> Self:
        with reported(self.path):
            self._refuse_foreign()
            (self.path / _STATE).mkdir(parents=True, exist_ok=True)
            self._acquire()
            try:
                _move(self.path)
                self._clean()
                self.manifest = _read_manifest(self.path)
                (self.path / _NEW).mkdir()
                (self.path / _SCRATCH).mkdir()
            except BaseException:
                self._lock.release()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not (self.path / _COMMIT).exists():
            self._clean()
        self._lock.release()

    @property
    def journals(self) -> Path:
        """A folder for what a killed process leaves to the next one; gone once something is published."""
        return self.path / _JOURNALS

    @property
    def scratch(self) -> Path:
        """A folder for intermediate files, gone when the writer is done."""
        return self.path / _SCRATCH

    def stage(self, table: str, data: pa.Table, snapshot: str | None = None) -> None:
        """Write a table, or one snapshot of it, beside the dataset. `data` is sorted as the table is declared."""
        with self._staging(TABLES[table], snapshot) as file:
            write_parquet(file, table, data)

    def stage_file(self, table: str, content: bytes, snapshot: str) -> None:
        """Put a file that `write_parquet` has made of one snapshot of a table beside the dataset."""
        with self._staging(TABLES[table], snapshot) as file:
            file.write_bytes(content)

    def read(self, table: str) -> pa.Table:
        """Return a small table as it was before, empty where there was no dataset."""
        declared = TABLES[table]
        if self.manifest is None:
            return declared.arrow().empty_table()
        return _read_whole(table, _file(self.path, declared, None))

    def read_snapshot(self, table: str, snapshot: str, columns: list[str] | None = None) -> pa.Table:
        """Return one snapshot of a table as it was before, its text dictionary-encoded, each column in one piece."""
        declared = TABLES[table]
        file = _file(self.path, declared, snapshot)
        texts = {column.name for column in declared.columns if column.dtype == "string"}
        with _damage_told(table, file):
            # Of names that hardly repeat each page has a dictionary of its own: it is faster to make a new one.
            found = pq.read_table(file, read_dictionary=[*(texts - _MANY_NAMES)], partitioning=None, columns=columns)
            check_columns(declared, found, columns)
        return pa.table(
            {
                name: (
                    column.dictionary_encode() if name in _MANY_NAMES else column.unify_dictionaries()
                ).combine_chunks()
                for name, column in zip(found.column_names, found.columns, strict=True)
            }
        )

    def remove(self, snapshot: str) -> None:
        """Leave a snapshot out of what is published."""
        files = (_file(self.path, table, snapshot) for table in TABLES.values() if table.by_snapshot)
        self._removed += [str(file.relative_to(self.path)) for file in files]

    def publish(self, manifest: dict[str, Any]) -> None:
        """Put everything that was staged into its place, and the manifest last."""
        with reported(self.path):
            (self.path / _NEW / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
            draft = self.path / _STATE / "draft.json"
            commit = {"move": [*sorted(self._staged), MANIFEST], "remove": self._removed}
            draft.write_text(json.dumps(commit), encoding="utf-8")
            os.replace(draft, self.path / _COMMIT)
            _move(self.path)
        shutil.rmtree(self.journals, ignore_errors=True)

    @contextmanager
    def _staging(self, table: Table, snapshot: str | None) -> Iterator[Path]:
        file = _file(self.path / _NEW, table, snapshot)
        with reported(self.path):
            file.parent.mkdir(exist_ok=True)
            yield file
        self._staged.append(str(file.relative_to(self.path / _NEW)))

    def _refuse_foreign(self) -> None:
        """Leave a folder alone that holds anything but a dataset, or what is left of a first build that was killed."""
        if not self.path.exists() or (self.path / MANIFEST).exists() or (self.path / _STATE).exists():
            return
        if others := sorted(path.name for path in self.path.iterdir()):
            raise DatasetError(
                f"expected a dataset or an empty folder, found {self.path} with {others[0]} in it",
                hint="give another folder to write to",
            )

    def _clean(self) -> None:
        for folder in (_NEW, _SCRATCH):
            shutil.rmtree(self.path / folder, ignore_errors=True)

    def _acquire(self) -> None:
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            logger.warning("another process is writing %s; waiting up to %.0f s for it", self.path, self._wait)
            try:
                self._lock.acquire(timeout=self._wait)
            except filelock.Timeout:
                raise BusyError(
                    f"another process is writing {self.path}, and still was after {self._wait:.0f} s",
                    hint="try again once it is done, or write to another folder",
                ) from None


def write_parquet(place: Path | pa.NativeFile, table: str, data: pa.Table) -> None:
    """Write the Parquet file of a table, or of one snapshot of it. `data` is sorted as the table is declared."""
    declared = TABLES[table]
    with _parquet_writer(place, declared, data.schema, declared.sort) as writer:
        writer.write_table(pa.Table.from_arrays(data.columns, schema=writer.schema), row_group_size=_ROW_GROUP)


@contextmanager
def _damage_told(table: str, file: Path) -> Iterator[None]:
    """Say of a file that cannot be read what it should be."""
    try:
        yield
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DatasetError(
            f"expected the table {table} in {file}, found none that can be read: {error}",
            hint="build the dataset again, into a new folder",
        ) from error


def _read_whole(table: str, file: Path) -> pa.Table:
    """Return a table, or one snapshot of it, as it is declared."""
    declared = TABLES[table]
    with _damage_told(table, file):
        found = pq.read_table(file, partitioning=None)
        check_columns(declared, found)
        return found.cast(declared.arrow())


def check_columns(declared: Table, found: pa.Table, columns: Iterable[str] | None = None) -> None:
    """Refuse a table that lacks columns, has others, or has nulls where none may be.

    Raises
    ------
    ValueError
        If it does.
    """
    expected = list(columns or [column.name for column in declared.columns])
    if found.column_names != expected:
        raise ValueError(f"expected the columns {', '.join(expected)}, found {', '.join(found.column_names)}")
    for column in declared.columns:
        if column.name in expected and not column.nullable and found.column(column.name).null_count:
            raise ValueError(f"expected no nulls in {column.name}")


def _move(folder: Path) -> None:
    """Move what was published to its place; safe to be repeated after a crash at any point. Needs the lock."""
    commit = folder / _COMMIT
    if not commit.exists():
        return
    try:
        decided = msgspec.json.decode(commit.read_bytes(), type=_Commit)
        if any(name.startswith("/") or ".." in name.split("/") for name in (*decided.move, *decided.remove)):
            raise msgspec.DecodeError("a path that leads out of the dataset")
    except msgspec.DecodeError as error:
        raise DatasetError(
            f"expected a list of files in {commit}, found: {error}", hint="build the dataset again, into a new folder"
        ) from error
    for name in decided.move:
        staged, target = folder / _NEW / name, folder / name
        if staged.exists():
            target.parent.mkdir(exist_ok=True)
            os.replace(staged, target)
    for name in decided.remove:
        (folder / name).unlink(missing_ok=True)
    commit.unlink()


def _finish_moves(folder: Path) -> None:
    """Finish a publication that was cut off, or wait for one that is under way."""
    lock = filelock.FileLock(folder / _LOCK)
    deadline = time.monotonic() + _RECOVERY_SECONDS
    while (folder / _COMMIT).exists():
        try:
            with lock.acquire(timeout=0.05):
                _move(folder)
        except filelock.Timeout:
            # A build holds the lock from start to end, but a publication is done in no time: look again.
            if time.monotonic() > deadline:
                raise BusyError(
                    f"another process has been publishing to {folder} for more than {_RECOVERY_SECONDS} s",
                    hint="try again later",
                ) from None


def _read_manifest(folder: Path) -> dict[str, Any] | None:
    try:
        data = (folder / MANIFEST).read_bytes()
        version = msgspec.json.decode(data, type=_Version).schema_version
        if version == SCHEMA_VERSION:
            manifest = msgspec.json.decode(data, type=_Manifest)
            tables = {table.name for table in TABLES.values() if table.by_snapshot}
            if any(snapshot.rows.keys() != tables for snapshot in manifest.snapshots.values()):
                raise msgspec.ValidationError(f"expected the rows of {', '.join(sorted(tables))} of each snapshot")
            return dict(msgspec.to_builtins(manifest))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, msgspec.DecodeError, RecursionError) as error:
        raise DatasetError(
            f"expected a manifest in {folder / MANIFEST}, found one that cannot be read: {error}",
            hint="build the dataset again, into a new folder",
        ) from error
    raise DatasetError(
        f"expected a dataset of schema version {SCHEMA_VERSION}, found version {version} in {folder}",
        hint="build the dataset again, into a new folder, with `cachestats build`",
    )


def _file(folder: Path, table: Table, snapshot: str | None) -> Path:
    if snapshot is None:
        return folder / f"{table.name}.parquet"
    return folder / table.name / f"{file_stem(snapshot)}.parquet"


def _parquet_writer(
    place: Path | pa.NativeFile, table: Table, schema: pa.Schema, sort: Iterable[str]
) -> pq.ParquetWriter:
    """Return a writer for rows of this schema that puts the table's own schema and descriptions into the file.

    Text may come dictionary-encoded, which is several times faster to write. Readers that go by Arrow's schema would
    then see dictionaries, so the schema stored is the declared one, with plain strings.
    """
    declared = table.arrow()
    fields = [field.with_type(schema.field(field.name).type).remove_metadata() for field in declared]
    writer = pq.ParquetWriter(
        place,
        pa.schema(fields),
        compression="zstd",
        store_schema=False,
        write_page_index=True,
        sorting_columns=pq.SortingColumn.from_ordering(
            pa.schema(fields), [(name, "ascending") for name in sort], "at_end"
        ),
    )
    writer.add_key_value_metadata(
        {
            "ARROW:schema": base64.b64encode(declared.serialize().to_pybytes()).decode(),
            "cachestats.schema_version": str(SCHEMA_VERSION),
            "cachestats.table": table.name,
            "cachestats.columns": json.dumps({column.name: column.description for column in table.columns}),
        }
    )
    return writer


@contextmanager
def written(target: Path) -> Iterator[Path]:
    """Give a path to write to, and put the file into its place once it is whole."""
    target = target.resolve()
    if target.exists() and not target.is_file():  # a device is written to, and not replaced
        with reported(target):
            yield target
        return
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    with reported(target.parent):
        try:
            yield unfinished
            os.replace(unfinished, target)
        finally:
            unfinished.unlink(missing_ok=True)
