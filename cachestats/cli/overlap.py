"""The verbs `overlap` and `overlap-sets`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cachestats.axes import GROUP_AXES
from cachestats.cli.completion import complete_words
from cachestats.cli.output import emit, talk
from cachestats.cli.parameters import (
    NEWEST,
    dataset_argument,
    output_options,
    snapshots_option,
    union_option,
    where_option,
)
from cachestats.cli.question import Question
from cachestats.cli.sections import Verb
from cachestats.text import alternatives, counted

_by_option = click.option(
    "--by",
    default="stack",
    show_default=True,
    metavar="AXIS",
    shell_complete=complete_words(GROUP_AXES),
    help=f"Axis to compare: {alternatives(GROUP_AXES)}.",
)


@click.command(cls=Verb)
@dataset_argument
@_by_option
@snapshots_option(f"{NEWEST}; all if snapshots are compared")
@where_option
@union_option
@output_options
def overlap(dataset: Any, by: Any, form: str, out: Path | None, **question: Any) -> None:
    """Count the hashes and packages that two stacks share.

    Each pair of stacks has a row, with the number of hashes and packages that both have, and the share of these among
    all that at least one of the two has (the Jaccard index).
    """
    import polars as pl

    from cachestats.analysis.overlap import overlap as pairs

    asked = Question(dataset, everything=by == "snapshot", **question)
    rows = pairs(asked.subset, by=by, union=asked.union)
    rows = rows.sort("common_hashes", "common_packages", descending=True, maintain_order=True)
    shared = (f"{what}_{things}" for things in ("hashes", "packages") for what in ("common", "jaccard"))
    for_eyes = rows.filter(pl.col("common_packages") > 0).select(by, f"other_{by}", *shared)
    emit(for_eyes if form in {"table", "markdown"} else rows, form, out, percent=True)
    if rows.is_empty():
        _say_there_is_nothing(asked, by)
        return
    some = int((rows["common_hashes"] > 0).sum())
    talk(f"{asked.words}: {some:,} of {counted(rows.height, 'pair')} with hashes in common, {some / rows.height:.1%}")
    if apart := rows.height - for_eyes.height:
        talk(f"not in the table: {counted(apart, 'pair')} with nothing in common")


@click.command("overlap-sets", cls=Verb)
@dataset_argument
@_by_option
@snapshots_option(f"{NEWEST}; all if snapshots are compared")
@where_option
@union_option
@output_options
def overlap_sets(dataset: Any, by: Any, form: str, out: Path | None, **question: Any) -> None:
    """Count what is in each combination of stacks and no other.

    Each combination of stacks that has something has a row, as in an UpSet plot.
    """
    from cachestats.analysis.overlap import overlap_sets as combinations

    asked = Question(dataset, everything=by == "snapshot", **question)
    rows = combinations(asked.subset, by=by, union=asked.union)
    for_eyes = rows.select("hashes", "packages", "members", "combination")
    emit(for_eyes if form in {"table", "markdown"} else rows, form, out, percent=True)
    if rows.is_empty():
        _say_there_is_nothing(asked, by)
        return
    many, total = int(rows.filter(rows["members"] > 1)["hashes"].sum()), int(rows["hashes"].sum())
    share = f", {many / total:.1%}" if total else ""
    talk(
        f"{asked.words}: {counted(rows.height, 'combination')}; {many:,} of {total:,} hashes in more than one {by}"
        f"{share}"
    )


def _say_there_is_nothing(asked: Question, by: str) -> None:
    talk(f"{asked.words}: nothing to compare: a comparison takes two values of {by}")
