"""The verb `duplicates`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cachestats.axes import DUPLICATE_ROWS
from cachestats.cli.output import emit, talk
from cachestats.cli.parameters import dataset_argument, output_options, snapshot_option, where_option
from cachestats.cli.question import PAGES_TELL_NONE, Question
from cachestats.cli.sections import Verb
from cachestats.text import counted

if TYPE_CHECKING:
    import polars as pl


@click.command(cls=Verb)
@dataset_argument
@click.option(
    "--by",
    type=click.Choice(DUPLICATE_ROWS),
    default="spec",
    show_default=True,
    help="A row for each group of specs that look alike, for each package, or for each cause of differing hashes.",
)
@snapshot_option
@where_option
@output_options
def duplicates(dataset: Any, by: Any, form: str, out: Path | None, **question: Any) -> None:
    """Find specs that look alike but have different hashes.

    Such specs have the same package, version, platform, os, target, compiler, variants, flags and namespace. For
    snapshots that were read from indices, the column `causes` names the packages or recipes that make the hashes
    differ. If a dependency itself has duplicates, their causes are named instead. The formats csv, json and parquet
    also have the columns `variants` and `differs`, the direct dependencies that differ.
    """
    from cachestats.analysis.duplicates import duplicates as find

    asked = Question(dataset, **question)
    dependencies = asked.among if by == "cause" else asked.dependencies
    answer = find(asked.subset, dependencies=dependencies, among=asked.among, by=by)
    emit(_for_eyes(answer) if form in {"table", "markdown"} else answer, form, out)
    groups = answer if by == "spec" else find(asked.subset)
    total = asked.subset.num_specs
    share = f", {groups['excess'].sum() / total:.1%}" if total else ""
    packages = counted(groups["package"].n_unique(), "package")
    good_news = "nothing is built twice in " if total and groups.is_empty() else ""
    talk(
        f"{good_news}{asked.words}: {groups['excess'].sum():,} of {counted(total, 'spec')} in excess{share}; "
        f"{counted(groups.height, 'group')} of {packages}"
    )
    if asked.unknown:
        talk(f"why hashes differ is unknown for {', '.join(asked.unknown)}: {PAGES_TELL_NONE}")


def _for_eyes(answer: pl.DataFrame) -> pl.DataFrame:
    """Drop what makes a table too wide: the longest texts, and columns that are null or the same in all rows."""
    import polars as pl

    left_out = {"platform", "variants", "differs"}
    left_out |= {name for name in ("excess_bytes", "causes") if name in answer.columns and answer[name].is_null().all()}
    same = ("snapshot", "namespace", "flags")
    left_out |= {name for name in same if name in answer.columns and answer[name].n_unique() < 2}
    # The most important columns come first: on a narrow terminal the last ones are left out.
    last = [name for name in ("compiler", "target", "os") if name in answer.columns]
    eyes = answer.select(pl.exclude(*left_out, *last), *last)
    return eyes.with_columns(pl.col("^causes$").str.replace_all(",", ", "))
