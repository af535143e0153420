"""The verbs `history` and `lifespans`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cachestats.axes import HISTORY_AXES
from cachestats.cli.completion import complete_words
from cachestats.cli.output import emit, talk
from cachestats.cli.parameters import (
    axis_option,
    dataset_argument,
    output_options,
    snapshots_option,
    union_option,
    where_option,
)
from cachestats.cli.question import Question
from cachestats.cli.sections import Verb
from cachestats.text import counted


@click.command(cls=Verb)
@dataset_argument
@axis_option("--by", HISTORY_AXES, "Axis by which to split the answer")
@snapshots_option("all")
@where_option
@union_option
@output_options
def history(dataset: Any, by: Any, form: str, out: Path | None, **question: Any) -> None:
    """Count packages and specs in each snapshot, and what changed.

    The answer also counts the specs that each snapshot kept from the previous one, gained and lost. The previous
    snapshot of a dated one is the dated one before it, and that of a release is the next lower version, among the
    snapshots chosen with --snapshot. `develop` has no previous snapshot.
    """
    from cachestats.analysis.history import history as series

    asked = Question(dataset, everything=True, by=by, **question)
    rows = series(asked.subset, by=by, union=asked.union)
    for_eyes = rows.drop("snapshot_date", "previous", *([] if by else ["share"]))
    emit(for_eyes if form in {"table", "markdown"} else rows, form, out, percent=True)
    if rows.is_empty():
        asked.say_there_is_nothing()
        return
    # A spec in several stacks counts once here.
    subset = asked.subset if by is None or isinstance(by, str) else asked.subset.where(spec=by)
    whole = series(subset) if by else rows
    compared = whole.drop_nulls("previous")
    specs, kept = int(compared["specs"].sum()), int(compared["kept"].sum())
    found = (
        f"{kept:,} of {counted(specs, 'spec')} were already in the previous snapshot, {kept / specs:.1%}"
        if specs
        else ""
    )
    talk(f"{asked.words}: {found or 'no snapshot has a previous one'}")


@click.command(cls=Verb)
@dataset_argument
@click.option(
    "--by",
    default="package,version,target",
    show_default=True,
    metavar="AXIS,...",
    shell_complete=complete_words(HISTORY_AXES),
    callback=lambda ctx, param, value: [name.strip() for name in value.split(",")],
    help=f"Axes whose combinations to follow: any of {', '.join(HISTORY_AXES)}.",
)
@snapshots_option("all")
@where_option
@union_option
@output_options
def lifespans(dataset: Any, by: Any, form: str, out: Path | None, **question: Any) -> None:
    """Show when each package and version was first and last seen.

    The answer also counts the snapshots in between that lack it. Dated snapshots, releases and develop have separate
    rows, because the data has no dates for releases.
    """
    import polars as pl

    from cachestats.analysis.history import lifespans as first_and_last

    asked = Question(dataset, everything=True, by=by, **question)
    rows = first_and_last(asked.subset, by=by, union=asked.union)
    ends = (
        pl.coalesce(pl.col(f"{end}_date").dt.to_string(), f"{end}_seen").alias(f"{end}_seen")
        for end in ("first", "last")
    )
    for_eyes = rows.select(*by, "snapshots", "missed", *ends)
    emit(for_eyes if form in {"table", "markdown"} else rows, form, out)
    if rows.is_empty():
        asked.say_there_is_nothing()
        return
    current = int(rows["is_current"].sum())
    found = f"{current:,} of {counted(rows.height, 'row')}"
    talk(f"{asked.words}: {found} still in the newest snapshot, {current / rows.height:.1%}")
