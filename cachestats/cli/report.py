"""The verb `report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cachestats.cli.match import environment_in
from cachestats.cli.output import talk
from cachestats.cli.parameters import check_target, dataset_argument, snapshots_option, where_option
from cachestats.cli.question import Question
from cachestats.cli.sections import Verb
from cachestats.errors import ArgumentError
from cachestats.text import counted

if TYPE_CHECKING:
    from cachestats.environment import Environment
    from cachestats.hosts import Host


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
@click.option(
    "hosts",
    "--host",
    multiple=True,
    metavar="TARGET:OS",
    help="Host, such as zen4:rhel9, for which to report what it can use. Can be repeated.",
)
@click.option(
    "environments",
    "--environment",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Environment, as for `match`, for which to report what is cached of it. Can be repeated.",
)
@snapshots_option("all")
@where_option
def report(
    dataset: Any,
    out: Path,
    title: str,
    url: str | None,
    hosts: tuple[str, ...],
    environments: tuple[Path, ...],
    **question: Any,
) -> None:
    """Write a report: web pages with charts and searchable tables.

    The report needs neither a server nor a network: open its index.html, or publish the folder as it is. It has an
    overview with charts, a table of packages to search and filter, a page for each package, stack and snapshot, the
    tables, badges, feeds of what came and what was lost, and summary.md, which says what changed.
    """
    import matplotlib

    from cachestats.report.report import write_report

    matplotlib.use("agg")
    asked = Question(dataset, **question, everything=True)
    pages = write_report(
        asked.subset,
        out,
        title=f"{title}, {asked.filters}" if asked.filters else title,
        url=url,
        hosts=[_known_host(host, dataset) for host in hosts],
        environments=_named(environments),
    )
    talk(f"wrote {counted(pages, 'page')} to {out}; open {out / 'index.html'}")
    if not asked.subset.num_specs:
        asked.say_there_is_nothing()


def _known_host(text: str, dataset: Any) -> Host:
    """Return the host that a text describes, whose target must be known."""
    from cachestats.hosts import Host

    host = Host.parse(text)
    check_target(host.target, [dataset])
    return host


def _named(paths: tuple[Path, ...]) -> dict[str, Environment]:
    """Return environments by name: that of its file, or of the folder with it if all such files are called the same."""
    found: dict[str, Environment] = {}
    for path in paths:
        whole = path.resolve()
        name = whole.parent.name if path.name == "spack.lock" else whole.name.partition(".")[0]
        if name in found:
            raise ArgumentError(
                f"expected environments with different names, found two that are called {name}",
                hint="copy or link one of the files under another name",
            )
        found[name] = environment_in((path,))
    return found
