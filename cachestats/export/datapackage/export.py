"""Write a dataset as a data package for BI tools.

    DIR/
      <table>.parquet                  one file per table, or .csv
      DICTIONARY.md                    the meaning of every column
      KNOWN_ISSUES.md                  changes in the meaning of the source, and incomplete snapshots
      views.sql                        the most useful views
      datapackage.json                 a descriptor of the tables, for tools
      .cachestats-package/files.txt    the files that an export wrote: no others are ever replaced or removed

All files are written before the first one is put in place. If nobody else has files in the folder, it is then exchanged
for a new one, so that a kill leaves the old export or the new one; otherwise the files are renamed into place one after
the other, `datapackage.json` last, and a kill in these milliseconds leaves files of both until the next export. An
export that fails changes nothing. A tool that has opened a file can read the old version to its end. A tool that opens
a file several times for one query may see two exports; it will most likely fail, and succeed when run again.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path

from cachestats.atomic import ExportFolder
from cachestats.axes import PACKAGE_FORMATS, PackageFormat
from cachestats.dataset.dataset import Dataset, find_snapshots, find_table, one_state
from cachestats.dataset.paths import arrow_path
from cachestats.dataset.subset import Subset, as_subset
from cachestats.errors import ArgumentError, DatasetError, reported
from cachestats.export.datapackage.descriptor import descriptor
from cachestats.export.datapackage.known_issues import known_issues
from cachestats.export.datapackage.views import views_sql
from cachestats.export.table import kept_hashes, write_table
from cachestats.schema import TABLES, dictionary_markdown

DESCRIPTOR = "datapackage.json"
_TEXTS = ("DICTIONARY.md", "KNOWN_ISSUES.md", "views.sql")
_FILES = ".cachestats-package/files.txt"

# Files are removed according to the list, so lines in it that an export cannot have written are ignored.
_OWN_FILE = re.compile(r"[a-z_]+\.(parquet|csv)|" + "|".join(map(re.escape, (*_TEXTS, DESCRIPTOR))))


def export_package(
    specs: Dataset | Subset,
    out: str | os.PathLike[str],
    *,
    tables: Iterable[str] | None = None,
    snapshots: Iterable[str] | None = None,
    format: PackageFormat = "parquet",  # noqa: A002 (the word that users look for)
) -> dict[str, int]:
    """Write a dataset as a data package for BI tools, and return the number of rows of each table.

    A package is a folder with one file for each table; `DICTIONARY.md`; `KNOWN_ISSUES.md`, a list of limitations;
    `views.sql`, which DuckDB can run unchanged in that folder; and `datapackage.json`, a Data Package 2.0
    (datapackage.org) descriptor of the tables with fields, types, keys, and the checksum of each file. The same dataset
    always gives the same bytes.

    Parameters
    ----------
    specs
        The dataset, or a subset of it: its snapshots, and of the tables `specs`, `variants` and `dependencies` the rows
        of its specs.
    out
        The folder to write to: a new or empty one, or that of an earlier export. An earlier export is updated: files
        that it wrote and this one does not are removed, and other files are left alone. If there are no others, the
        folder is exchanged for a new one at once, where the file system can. Tools may continue to read meanwhile.
    tables
        Names of tables; by default all.
    snapshots
        Names of snapshots: write only the rows that belong to these, or to no known snapshot. By default all.
    format
        `parquet` or `csv`.

    Returns
    -------
    dict of str to int
        The number of rows of each table that was written.

    Raises
    ------
    ArgumentError
        If there is no such table, snapshot or format.
    DatasetError
        If the folder, or a file in it that would be overwritten, is not from an export, or it cannot be written.
    BusyError
        If another process is exporting to the folder.
    RebuiltError
        If another process publishes to the dataset during the export.

    Examples
    --------
    >>> import cachestats as cs
    >>> from pathlib import Path
    >>> cs.export_package(cs.example_dataset(), "package", tables=["specs", "snapshots"])
    {'specs': 139, 'snapshots': 2}
    >>> sorted(path.name for path in Path("package").glob("[!.]*"))
    ['DICTIONARY.md', 'KNOWN_ISSUES.md', 'datapackage.json', 'snapshots.parquet', 'specs.parquet', 'views.sql']
    """
    if not os.fspath(out):
        raise DatasetError("expected a folder to write to, found an empty path", hint="use '.' for the current folder")
    if format not in PACKAGE_FORMATS:
        raise ArgumentError(f"expected {' or '.join(PACKAGE_FORMATS)} as format, found {format!r}")
    names = _tables(tables)
    subset = as_subset(specs)
    dataset = subset.dataset
    if snapshots is not None:
        subset = subset.at(find_snapshots(dataset, snapshots))
    chosen = sorted(subset.names)
    files = {name: f"{name}.{format}" for name in names}
    written = [*files.values(), *_TEXTS, DESCRIPTOR]
    own = ExportFolder(
        arrow_path(out),
        set(written),
        listing=_FILES,
        own=_OWN_FILE,
        always=(*_TEXTS, DESCRIPTOR),
        holds="an export of tables",
    )
    with reported(Path(out)), own as folder, one_state(dataset):
        paths = {name: Path(folder.unfinished(file)) for name, file in files.items()}
        kept = kept_hashes(subset)
        rows = {name: write_table(subset, name, paths[name], kind=format, kept=kept) for name in names}
        texts = {
            "DICTIONARY.md": dictionary_markdown(names),
            "KNOWN_ISSUES.md": known_issues(dataset, chosen),
            "views.sql": views_sql(names, chosen, format),
        }
        texts[DESCRIPTOR] = json.dumps(descriptor(dataset, chosen, paths, rows), indent=2, ensure_ascii=False) + "\n"
        for file, text in texts.items():
            Path(folder.unfinished(file)).write_text(text, encoding="utf-8")
        folder.put(*written)
    return rows


def _tables(names: Iterable[str] | None) -> list[str]:
    """Return distinct names of tables, in the order of their declaration."""
    if isinstance(names, str):
        raise ArgumentError(f"expected a list of tables, found the text {names!r}", hint=f"pass [{names!r}]")
    wanted = {find_table(name).name for name in (TABLES if names is None else names)}
    if not wanted:
        raise ArgumentError("expected a table, found none", hint="name one, or omit the tables to export all")
    return [name for name in TABLES if name in wanted]
