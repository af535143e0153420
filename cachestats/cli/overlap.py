"""The verb `overlap`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cachestats.axes import GROUP_AXES
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


@click.command(cls=Verb)
@dataset_argument
@click.option(
    "--by",
    default="stack",
    show_default=True,
    metavar="AXIS",
    help=f"Axis to compare: {alternatives(GROUP_AXES)}.",
)
@click.option(
    "--sets",
    is_flag=True,
    help="Instead of pairs, count what is in each combination and in no other, as an UpSet plot does.",
)
@snapshots_option(f"{NEWEST}; all if snapshots are compared")
@where_option
@union_option
@output_options
def overlap(dataset: Any, by: str, sets: bool, form: str, out: Path | None, **question: Any) -> None:
    """Count the hashes and packages that two stacks have in common.

    Each pair of stacks has a row, with the counts and with the share of what the two have together (the Jaccard index).
    """
    import polars as pl

    from cachestats.analysis.overlap import overlap as pairs
    from cachestats.analysis.overlap import overlap_sets

    asked = Question(dataset, everything=by == "snapshot", **question)
    options: dict[str, Any] = {"by": by, "union": asked.union}
    if sets:
        rows = overlap_sets(asked.subset, **options)
        for_eyes = rows.select("hashes", "packages", "members", "combination")
        many, total = int(rows.filter(rows["members"] > 1)["hashes"].sum()), int(rows["hashes"].sum())
        words = f"{counted(rows.height, 'combination')}; {many:,} of {total:,} hashes in more than one {by}"
        share = many / total if total else 0.0
    else:
        rows = pairs(asked.subset, **options).sort(
            "common_hashes", "common_packages", descending=True, maintain_order=True
        )
        shared = (f"{what}_{things}" for things in ("hashes", "packages") for what in ("common", "jaccard"))
        for_eyes = rows.filter(pl.col("common_packages") > 0).select(by, f"other_{by}", *shared)
        some = int((rows["common_hashes"] > 0).sum())
        words = f"{some:,} of {counted(rows.height, 'pair')} with hashes in common"
        share = some / rows.height if rows.height else 0.0
    emit(for_eyes if form in {"table", "markdown"} else rows, form, out, percent=True)
    if rows.is_empty():
        talk(f"{asked.words}: nothing to compare: that takes two values of {by}")
    else:
        talk(f"{asked.words}: {words}, {share:.1%}")
    if apart := 0 if sets else rows.height - for_eyes.height:
        talk(f"not in the table: {counted(apart, 'pair')} with nothing in common")
