"""The verb `compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cachestats.axes import CHANGE_AXES, CHANGES
from cachestats.cli.output import emit, talk
from cachestats.cli.parameters import Opened, by_option, dataset_argument, output_options, union_option, where_option
from cachestats.cli.question import Question, sides
from cachestats.cli.sections import Verb
from cachestats.errors import ArgumentError

if TYPE_CHECKING:
    import polars as pl


@click.command(cls=Verb)
@dataset_argument
@click.argument("old")
@click.argument("new")
@click.option("--with", "other", type=Opened(), metavar="DATASET", help="Take NEW from this dataset instead.")
@by_option(CHANGE_AXES, default="stack")
@click.option(
    "--list",
    "listed",
    type=click.Choice(("packages", "specs")),
    help="Instead of counting, list the packages with their change, or the specs behind these changes.",
)
@click.option(
    "--change",
    "changes",
    type=click.Choice(CHANGES),
    multiple=True,
    help="With --list: only this kind of change; may be repeated.  [default: all but unchanged]",
)
@where_option
@union_option
@output_options
def compare(
    dataset: Any,
    old: str,
    new: str,
    other: Any,
    by: str | None,
    listed: str | None,
    changes: tuple[str, ...],
    form: str,
    out: Path | None,
    **question: Any,
) -> None:
    """Show which packages changed between two snapshots.

    OLD and NEW, of which newest and previous are possible, too, are compared package by package and stack by stack. A
    package is removed, added, updated (its set of
    versions changed), rebuilt (only its hashes changed) or unchanged. Spack made packages of runtimes in 0.22, and of
    compilers and their wrapper in 1.0. Where such a package is in only one of the snapshots for this reason, its change
    is one of representation, not of coverage.
    """
    import polars as pl

    from cachestats.analysis.compare import compare as compare_packages
    from cachestats.analysis.compare import compare_counts, compare_specs

    if changes and not listed:
        raise ArgumentError("expected --change with --list, found it alone", hint="add --list packages")
    asked = sides(dataset, old, other or dataset, new, **question)
    subsets = [side.subset for side in asked]
    among = asked[0].among, asked[1].among
    options: dict[str, Any] = {"by": by, "union": asked[0].union, "among": among}
    wanted: Any = changes or CHANGES[:-1]
    key = [by] if by else []
    if listed is None:
        rows = compare_counts(*subsets, **options)
        rows = rows.sort("removed", "added", "updated", descending=True, maintain_order=True)
        packages = (pl.col(f"{side}_packages").alias(side) for side in ("old", "new"))
        # These columns fit a terminal; the summary has the totals of the others.
        for_eyes = rows.select(*key, *packages, "removed", "added", "updated", "rebuilt")
    elif listed == "packages":
        rows = _by_change(compare_packages(*subsets, **options).filter(pl.col("change").is_in(list(wanted))))
        for_eyes = rows.select("change", *key, "package", "old_versions", "new_versions")
    else:
        rows = _by_change(compare_specs(*subsets, changes=wanted, **options))
        columns = dict.fromkeys(("change", *key, "package", "side", "version", "os", "target"))
        for_eyes = rows.select(*columns, pl.col("hash").str.head(7))
    emit(for_eyes if form in {"table", "markdown"} else rows, form, out)
    _sum_up(compare_packages(*subsets, among=among), asked)


def _by_change(rows: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    return rows.sort(pl.col("change").cast(pl.Enum(CHANGES)), maintain_order=True)


def _sum_up(packages: pl.DataFrame, asked: tuple[Question, Question]) -> None:
    """Say what changed, whatever the axis: a package in several stacks counts once."""
    from cachestats.analysis.compare import count_changes

    counts = count_changes(packages).row(0, named=True)
    before, removed = counts["old_packages"], counts["removed"]
    share = f", {removed / before:.1%}" if before else ""
    rest = ", ".join(f"{counts[change]:,} {change}" for change in ("added", "updated", "rebuilt", "unchanged"))
    filters = f", {asked[0].filters}" if asked[0].filters else ""
    words = f"{asked[0].names} to {asked[1].names}{filters}"
    talk(f"{words}: {removed:,} of {before:,} packages removed{share}; {rest}")
    represented = packages.filter(change="representation")["package"]
    if len(represented):
        talk(f"not a change of coverage, since only one side's Spack makes packages of them: {', '.join(represented)}")
