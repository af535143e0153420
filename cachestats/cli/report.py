"""The verb `report`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cachestats.cli.output import talk
from cachestats.cli.parameters import dataset_argument, snapshots_option, where_option
from cachestats.cli.question import Question
from cachestats.cli.sections import Verb
from cachestats.text import counted


@click.command(cls=Verb)
@dataset_argument
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write: a new one, or that of an earlier report, which is replaced completely.",
)
@click.option("--title", default="Spack build cache", show_default=True, help="Name of the cache on the pages.")
@click.option(
    "--url", help="Address at which the folder will be published: links in feeds begin with it, such as https://..."
)
@snapshots_option("all")
@where_option
def report(dataset: Any, out: Path, title: str, url: str | None, **question: Any) -> None:
    """Write a report: web pages with charts and searchable tables.

    The report needs neither a server nor a network: open its index.html, or publish the folder as it is. It has an
    overview with charts, a table of packages to search and filter, a page for each package, stack and snapshot, the
    tables, badges, feeds of what came and what was lost, and summary.md, which says what changed.
    """
    import matplotlib

    from cachestats.report.report import write_report

    matplotlib.use("agg")
    asked = Question(dataset, **question, everything=True)
    pages = write_report(asked.subset, out, title=f"{title}, {asked.filters}" if asked.filters else title, url=url)
    talk(f"wrote {counted(pages, 'page')} to {out}; open {out / 'index.html'}")
