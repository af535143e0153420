"""The verb `coverage`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cachestats.axes import AXES, DENOMINATORS, MEASURES, STATES
from cachestats.cli.output import emit, talk
from cachestats.cli.parameters import (
    axis_option,
    dataset_argument,
    output_options,
    question_options,
    system_options,
    union_option,
)
from cachestats.cli.question import Question, rules_in_words
from cachestats.cli.sections import Verb
from cachestats.errors import ArgumentError
from cachestats.text import alternatives, counted

if TYPE_CHECKING:
    from cachestats.hosts import Host


@click.command(cls=Verb)
@dataset_argument
@axis_option("--rows", AXES, "Axis of the rows", required=True)
@axis_option("--columns", AXES, "Axis of the columns", required=True)
@click.option(
    "--measure",
    type=click.Choice(MEASURES),
    default="specs",
    show_default=True,
    help="What to count: distinct specs, distinct packages, or the share of packages.",
)
@click.option(
    "--denominator",
    type=click.Choice(DENOMINATORS),
    help="What is 100% for a share: the packages of its row, of its column, or all.  [default: row]",
)
@question_options
@union_option
@click.option(
    "--usable",
    is_flag=True,
    help=f"Instead of counting, say whether hosts of each target can use something: {alternatives(STATES)}. Needs "
    "`--columns target`. The hosts have the operating system or libc given by --os or --libc, or any that the cache "
    "was built for on their platform.",
)
@system_options
@output_options
def coverage(
    dataset: Any, form: str, out: Path | None, usable: bool, host: Host | None, spack: Any, **question: Any
) -> None:
    """Count specs or packages along any two axes.

    A table or Markdown shows the counts as a matrix. The formats csv, json and parquet hold a tidy table instead, with
    the columns ROWS, COLUMNS and value, and without the cells that are zero.
    """
    from cachestats.analysis.coverage import coverage as count
    from cachestats.analysis.coverage import coverage_matrix

    if (host or spack) and not usable:
        raise ArgumentError(
            "expected --usable with options that describe a host, found them alone", hint="add --usable"
        )
    asked = Question(dataset, **question)
    as_matrix = form in {"table", "markdown"}
    options: dict[str, Any] = {**asked.axes, "usable": usable, "host": host, "spack": spack}
    answer = (coverage_matrix if as_matrix else count)(asked.subset, **options)
    emit(answer, form, out, percent=asked.axes["measure"] == "share")
    if answer.is_empty():
        asked.say_there_is_nothing()
        return
    names = [axis if isinstance(axis, str) else "spec" for axis in (asked.axes["rows"], asked.axes["columns"])]
    rows, columns = counted(answer.height, "row"), counted(answer.width - 1, "column")
    matrix = f"{rows} ({names[0]}) by {columns} ({names[1]})"
    size = matrix if as_matrix else counted(answer.height, "cell")
    if usable:
        hosts = f"hosts with {host.system}" if host and host.is_complete else "the hosts that it is built for"
        rules = rules_in_words(dataset, asked, spack)
        talk(f"what {hosts} can use in {asked.words}, {rules}: {size}; a cell is usable if any spec in it is")
    else:
        talk(f"{asked.axes['measure']} in {asked.words}: {size}")
