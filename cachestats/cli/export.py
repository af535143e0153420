"""The verb `export`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from cachestats.axes import PACKAGE_FORMATS, PackageFormat
from cachestats.cli.completion import complete_snapshots, complete_words
from cachestats.cli.output import talk
from cachestats.cli.parameters import NAME, dataset_argument, where_option
from cachestats.cli.question import Question
from cachestats.cli.sections import Verb
from cachestats.errors import ArgumentError
from cachestats.schema import TABLES
from cachestats.text import alternatives, counted

# A path with such an ending is a file, unless there is a folder of that name: `specs.xlsx`, but not `2025.07.0`.
_FILE_ENDING = re.compile(r"\.[A-Za-z]\w*")


@click.command(cls=Verb)
@dataset_argument
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the data package, or file of one table.")
@click.option(
    "--table",
    "tables",
    type=NAME,
    multiple=True,
    shell_complete=complete_words(TABLES),
    help=f"Export only this table; may be repeated. One of {alternatives(TABLES)}.",
)
@click.option(
    "--snapshot",
    "snapshots",
    shell_complete=complete_snapshots,
    type=NAME,
    multiple=True,
    help="Export only this snapshot, or those of a pattern such as 'develop-2025-*'; may be repeated.",
)
@where_option
@click.option(
    "--format",
    "form",
    type=click.Choice(PACKAGE_FORMATS),
    help="Format of the tables in a data package.  [default: parquet]",
)
@click.option(
    "--site",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write pages to: a new one, or that of an earlier export, which is updated.",
)
def export(
    dataset: Any,
    out: Path | None,
    tables: tuple[str, ...],
    snapshots: tuple[str, ...],
    where: tuple[tuple[str, str], ...],
    expressions: tuple[str, ...],
    form: PackageFormat | None,
    site: Path | None,
) -> None:
    """Export tables for BI tools, or pages of the cache site.

    \b
    --out FOLDER               a data package with all tables, or each --table
    --out FILE --table NAME    one table, in a file that ends in .parquet or .csv
    --site FOLDER              pages

    A data package has a file for each table; DICTIONARY.md, which describes the columns; KNOWN_ISSUES.md, which lists
    what changed in the source and what is incomplete; views.sql, which runs in DuckDB as it is; and datapackage.json,
    which describes the tables to tools. FOLDER is a new one, or that of an earlier export, which is replaced: a
    scheduled job can do so while tools read it.

    With --where and --spec, the tables specs, variants and dependencies have only the rows of these specs.
    """  # noqa: D301 (a real backspace, which tells Click not to wrap the paragraph)
    chosen: dict[str, Any] = {"--snapshot": snapshots, "--where": where, "--spec": expressions}
    given = {"--out": out, "--table": tables, "--format": form, "--site": site} | chosen
    specs = dataset
    if where or expressions:
        specs = Question(dataset, snapshot=snapshots, where=where, expressions=expressions, everything=True).subset
    if site:
        _refuse_beside(given, "--site")
        from cachestats.export.site import export_site

        talk(f"wrote {counted(export_site(dataset, site), 'page')} to {site}")
    elif out is None:
        raise ArgumentError(
            "expected --out or --site, found neither",
            hint="--out FOLDER writes all tables, --out FILE with --table writes one, --site FOLDER writes pages",
        )
    elif _FILE_ENDING.fullmatch(out.suffix) and not out.is_dir():
        if len(tables) != 1:
            raise ArgumentError(
                f"expected one --table for the file {out}, found {len(tables) or 'none'}",
                hint="a file holds one table; for several, give a folder, which has no such ending",
            )
        if form and out.suffix != f".{form}":
            raise ArgumentError(f"expected a file that ends in .{form}, found {out.name!r}", hint="leave out --format")
        from cachestats.export.table import export_table

        rows = export_table(specs, tables[0], out, snapshots=snapshots or None)
        talk(f"wrote {counted(rows, 'row')} of {tables[0]} to {out}")
    else:
        from cachestats.export.datapackage.export import export_package

        counts = export_package(
            specs, out, tables=tables or None, snapshots=snapshots or None, format=form or "parquet"
        )
        talk(f"wrote {counted(len(counts), 'table')} with {counted(sum(counts.values()), 'row')} to {out}")


def _refuse_beside(given: dict[str, Any], alone: str) -> None:
    if others := [name for name, value in given.items() if value and name != alone]:
        raise ArgumentError(
            f"expected nothing beside {alone}, found {' and '.join(others)}",
            hint="pages always cover the whole dataset",
        )
