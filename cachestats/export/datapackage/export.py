"""A dataset written as a data package for BI tools.

    DIR/
      <table>.parquet                  one file a table, or .csv
      DICTIONARY.md                    what every column means
      KNOWN_ISSUES.md                  what changed in the source's meaning and when, and what is partial
      views.sql                        the views that people want first
      datapackage.json                 a descriptor of the tables, for tools
      .cachestats-package/files.txt    the files that an export wrote: no others are ever replaced or removed

Everything is written before the first file is put into its place, and then all are renamed into it, `datapackage.json`
last: an export that fails changes nothing. A tool that has opened a file reads it to its end, as it was. One that opens
it more than once for a reading can be caught between two exports; most likely it fails, and works the next time.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, get_args

from cachestats.dataset.dataset import Dataset, find_snapshots, find_table
from cachestats.dataset.manifest import MANIFEST
from cachestats.errors import ArgumentError, BusyError, DatasetError, reported
from cachestats.export.datapackage.descriptor import descriptor
from cachestats.export.datapackage.known_issues import known_issues
from cachestats.export.datapackage.views import views_sql
from cachestats.export.table import write_table
from cachestats.folder import Folder
from cachestats.schema import TABLES, dictionary_markdown

Format = Literal["parquet", "csv"]

DESCRIPTOR = "datapackage.json"
_TEXTS = ("DICTIONARY.md", "KNOWN_ISSUES.md", "views.sql")
_FILES = ".cachestats-package/files.txt"

# The list of files tells what to remove, so a line of it that an export cannot have written is passed over.
_OWN_FILE = re.compile(r"[a-z_]+\.(parquet|csv)|" + "|".join(map(re.escape, (*_TEXTS, DESCRIPTOR))))


def export_package(
    dataset: Dataset,
    out: str | os.PathLike[str],
    *,
    tables: Iterable[str] | None = None,
    snapshots: Iterable[str] | None = None,
    format: Format = "parquet",  # noqa: A002 (the word that people look for)
) -> dict[str, int]:
    """Write a dataset as a data package for BI tools and return the number of rows of each table.

    A package is a folder with one file for each table; `DICTIONARY.md`; `KNOWN_ISSUES.md`, what to mind; `views.sql`,
    which DuckDB runs as it is in that folder; and `datapackage.json`, a Data Package 2.0 (datapackage.org) of tables
    with fields, types, keys, and the checksum of each file. The same dataset gives the same bytes.

    Parameters
    ----------
    dataset
        The dataset.
    out
        The folder to write to: a new or empty one, or that of an earlier export, which is brought up to date: files
        that it wrote and this one does not are removed, others are left alone. Tools may go on reading meanwhile.
    tables
        Names of tables; by default all.
    snapshots
        Names of snapshots: write what belongs to these only, or to none that is known. By default all.
    format
        `parquet` or `csv`.

    Raises
    ------
    ArgumentError
        If there is no such table, snapshot or format.
    DatasetError
        If the folder, or a file in it that would be overwritten, is not from an export, or it cannot be written.
    BusyError
        If another process is exporting to the folder, or published to the dataset meanwhile.

    Examples
    --------
    >>> import cachestats as cs
    >>> cs.export_package(ds, tmp / "package", tables=["specs", "snapshots"])
    {'specs': 524, 'snapshots': 2}
    >>> sorted(path.name for path in (tmp / "package").glob("[!.]*"))
    ['DICTIONARY.md', 'KNOWN_ISSUES.md', 'datapackage.json', 'snapshots.parquet', 'specs.parquet', 'views.sql']
    """
    if not os.fspath(out):
        raise DatasetError("expected a folder to write to, found an empty path", hint="give '.' for this one")
    if format not in get_args(Format):
        raise ArgumentError(f"expected {' or '.join(get_args(Format))} as format, found {format!r}")
    names = _tables(tables)
    chosen = sorted(dataset.manifest.snapshots) if snapshots is None else find_snapshots(dataset, snapshots)
    files = {name: f"{name}.{format}" for name in names}
    written = [*files.values(), *_TEXTS, DESCRIPTOR]
    own = Folder(
        Path(out),
        set(written),
        listing=_FILES,
        own=_OWN_FILE,
        always=(*_TEXTS, DESCRIPTOR),
        holds="an export of tables",
    )
    with reported(Path(out)), own as folder:
        published = _published(dataset)
        paths = {name: Path(folder.unfinished(file)) for name, file in files.items()}
        rows = {
            name: write_table(dataset, name, paths[name], snapshots=None if snapshots is None else chosen, kind=format)
            for name in names
        }
        texts = {
            "DICTIONARY.md": dictionary_markdown(names),
            "KNOWN_ISSUES.md": known_issues(dataset, chosen),
            "views.sql": views_sql(names, chosen, format),
        }
        if _published(dataset) != published:
            raise BusyError(
                f"another process published to {dataset.path} while it was exported", hint="export it again"
            )
        texts[DESCRIPTOR] = json.dumps(descriptor(dataset, chosen, paths, rows), indent=2, ensure_ascii=False) + "\n"
        for file, text in texts.items():
            Path(folder.unfinished(file)).write_text(text, encoding="utf-8")
        for file in written:
            folder.put(file)
    return rows


def _tables(names: Iterable[str] | None) -> list[str]:
    """Return distinct names of tables, in the order in which they are declared."""
    if isinstance(names, str):
        raise ArgumentError(f"expected a list of tables, found the text {names!r}", hint=f"give [{names!r}]")
    wanted = {find_table(name).name for name in (TABLES if names is None else names)}
    if not wanted:
        raise ArgumentError("expected a table, found none", hint="name one, or leave them out to take all")
    return [name for name in TABLES if name in wanted]


def _published(dataset: Dataset) -> tuple[int, int]:
    """Return what differs after another publication: each puts a new manifest into its place."""
    found = os.stat(dataset.path / MANIFEST)
    return found.st_ino, found.st_mtime_ns
