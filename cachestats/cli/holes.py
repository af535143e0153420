"""The verb `holes`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cachestats.axes import HOLE_ROWS
from cachestats.cli.dependencies import deptype_option, question_of_known
from cachestats.cli.output import emit, talk
from cachestats.cli.parameters import (
    Limit,
    Where,
    dataset_argument,
    limit_in_words,
    output_options,
    over,
    snapshot_option,
    spec_option,
)
from cachestats.cli.question import filter_in_words
from cachestats.cli.sections import Verb
from cachestats.dataset.subset import find_values
from cachestats.errors import ArgumentError, CheckError
from cachestats.text import counted

if TYPE_CHECKING:
    import polars as pl


@click.command(cls=Verb)
@dataset_argument
@click.option(
    "--by",
    type=click.Choice(HOLE_ROWS),
    default="spec",
    show_default=True,
    help="A row for each broken spec, or for each missing one.",
)
@deptype_option(("link", "run"))
@click.option(
    "--fail-over",
    type=Limit(),
    metavar="N|SHARE",
    help="Exit with 1 if more than this number or share of the specs are broken, such as 0 or 1%.",
)
@snapshot_option
@click.option(
    "--where",
    type=Where(),
    multiple=True,
    metavar="package=NAME",
    help="Show only the rows of this package; may be repeated.",
)
@spec_option
@output_options
def holes(
    dataset: Any,
    by: Any,
    deptypes: Any,
    fail_over: float | None,
    form: str,
    out: Path | None,
    snapshot: tuple[str, ...],
    where: tuple[tuple[str, str], ...],
    expressions: tuple[str, ...],
) -> None:
    """Find cached specs whose dependencies are not in the cache.

    Such a spec is broken: it cannot be installed from the cache alone, because something it depends on would have to be
    built first. Link and run dependencies count, directly or indirectly, except externals; --deptype changes that.
    Only snapshots that were read from indices can be checked, because pages do not list dependencies.

    The exit code is 0 even if specs are broken, unless --fail-over is given.
    """
    from cachestats.analysis.find import find
    from cachestats.analysis.holes import broken_and_missing

    if others := sorted({column for column, _ in where} - {"package"}):
        raise ArgumentError(
            f"expected package as the column of --where, found {' and '.join(others)}",
            hint="whether a spec is broken depends on all specs of its snapshot, so only the rows can be filtered",
        )
    if expressions and by == "missing":
        raise ArgumentError(
            "expected --spec with --by spec, found it with --by missing",
            hint="missing specs can be chosen only by their package: use --where package=NAME",
        )
    asked, say_what_is_left_out = question_of_known(dataset, snapshot=snapshot, where=(), expressions=expressions)
    broken, missing = broken_and_missing(asked.among, deptypes=deptypes)
    subset, words = asked.subset, asked.words
    if expressions:
        broken = broken.join(find(subset).select("snapshot", "hash"), on=["snapshot", "hash"], how="semi")
    if where:
        texts = [value for _, value in where]
        # A missing package need not have any spec.
        there = {*subset.values("package"), *missing["package"].drop_nulls()}
        packages = find_values("package", texts, there, scope=asked.names)
        broken, missing = (rows.filter(rows["package"].is_in(packages)) for rows in (broken, missing))
        subset = replace(subset, filters={"package": packages})
        words = f"{words}, {filter_in_words('package', texts)}"
    answer = broken if by == "spec" else missing
    emit(_for_eyes(answer, asked.chosen) if form in {"table", "markdown"} else answer, form, out)
    total = subset.num_specs
    share = f", {broken.height / total:.1%}" if total else ""
    good_news = "no holes in " if total and broken.is_empty() and missing.is_empty() else ""
    talk(f"{good_news}{words}: {broken.height:,} of {counted(total, 'spec')} broken{share}; {missing.height:,} missing")
    say_what_is_left_out()
    if fail_over is not None and over(fail_over, broken.height, total):
        most = limit_in_words(fail_over, "spec", of="the specs")
        raise CheckError(
            f"expected at most {most} to be broken, found {broken.height:,}{share}",
            hint="list what is missing with --by missing" if by == "spec" else None,
        )


def _for_eyes(answer: pl.DataFrame, snapshots: tuple[str, ...]) -> pl.DataFrame:
    """Shorten hashes, and drop what the chain says, too, and the snapshot if there is only one."""
    import polars as pl

    same = ["snapshot"] if len(snapshots) == 1 else []
    eyes = answer.drop(*same, "missing_package", "missing_hash", strict=False)
    return eyes.with_columns(pl.col("hash").str.head(7))
