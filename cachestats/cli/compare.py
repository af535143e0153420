"""The verbs `compare`, `compare-counts` and `compare-specs`."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cachestats.axes import CHANGE_AXES, CHANGES
from cachestats.cli.completion import complete_snapshots
from cachestats.cli.output import emit, talk
from cachestats.cli.parameters import Opened, by_option, dataset_argument, output_options, union_option, where_option
from cachestats.cli.question import Question, sides
from cachestats.cli.sections import Verb
from cachestats.text import counted

if TYPE_CHECKING:
    import polars as pl

    from cachestats.dataset.subset import Subset


def _comparing(by: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a verb OLD, NEW and the options of a comparison, as `sides` and `options` for the analyses."""

    def give(function: Callable[..., None]) -> Callable[..., None]:
        @dataset_argument
        @click.argument("old", shell_complete=complete_snapshots)
        @click.argument("new", shell_complete=complete_snapshots)
        @click.option(
            "--against", type=Opened(), metavar="DATASET", help="Take NEW from this dataset instead of the first."
        )
        @by_option(CHANGE_AXES, default=by)
        @where_option
        @union_option
        @output_options
        @wraps(function)
        def compared(
            dataset: Any,
            old: str,
            new: str,
            against: Any,
            by: str | None,
            where: Any,
            expressions: tuple[str, ...],
            union: bool,
            **options: Any,
        ) -> None:
            filters = {"where": where, "expressions": expressions, "union": union}
            asked = sides(dataset, old, against or dataset, new, by=by, **filters)
            among = asked[0].among, asked[1].among
            function(asked=asked, by=by, options={"by": by, "union": asked[0].union, "among": among}, **options)

        return compared

    return give


_change_option = click.option(
    "--change",
    "changes",
    type=click.Choice(CHANGES),
    multiple=True,
    help="Only this kind of change; may be repeated.  [default: all but unchanged]",
)


@click.command(cls=Verb)
@_comparing("none")
@_change_option
def compare(
    asked: tuple[Question, Question],
    by: str | None,
    options: dict[str, Any],
    changes: tuple[str, ...],
    form: str,
    out: Path | None,
) -> None:
    """List the packages that changed between two snapshots.

    OLD and NEW are snapshots: names, or newest and previous. They are compared package by package. A package is
    removed, added, updated (its set of versions changed), rebuilt (only its hashes changed) or unchanged. Spack made
    packages of runtimes in 0.22, and of compilers and their wrapper in 1.0. Where such a package is in only one of the
    snapshots for this reason, its change is one of representation, not of coverage.
    """
    import polars as pl

    from cachestats.analysis.compare import compare as compare_packages

    found = compare_packages(*_subsets(asked), **options)
    rows = _by_change(found.filter(pl.col("change").is_in(list(changes or CHANGES[:-1]))))
    for_eyes = rows.select("change", *([by] if by else []), "package", "old_versions", "new_versions")
    emit(for_eyes if form in {"table", "markdown"} else rows, form, out)
    _sum_up(asked, options, None if by else found)


@click.command("compare-counts", cls=Verb)
@_comparing("stack")
def compare_counts(
    asked: tuple[Question, Question], by: str | None, options: dict[str, Any], form: str, out: Path | None
) -> None:
    """Count the packages that changed in each stack.

    The changes are those that `compare` lists. A package may be removed from one stack and remain in another.
    """
    import polars as pl

    from cachestats.analysis.compare import compare_counts as count

    rows = count(*_subsets(asked), **options)
    rows = rows.sort("removed", "added", "updated", descending=True, maintain_order=True)
    packages = (pl.col(f"{side}_packages").alias(side) for side in ("old", "new"))
    # These columns fit a terminal; the summary has the totals of the others.
    for_eyes = rows.select(*([by] if by else []), *packages, "removed", "added", "updated", "rebuilt")
    emit(for_eyes if form in {"table", "markdown"} else rows, form, out)
    _sum_up(asked, options)


@click.command("compare-specs", cls=Verb)
@_comparing("none")
@_change_option
def compare_specs(
    asked: tuple[Question, Question],
    by: str | None,
    options: dict[str, Any],
    changes: tuple[Any, ...],
    form: str,
    out: Path | None,
) -> None:
    """List the specs of the packages that changed.

    The answer has the specs, on both sides, of the packages that `compare` lists.
    """
    import polars as pl

    from cachestats.analysis.compare import compare_specs as find

    rows = _by_change(find(*_subsets(asked), changes=changes or CHANGES[:-1], **options))
    columns = dict.fromkeys(("change", *([by] if by else []), "package", "side", "version", "os", "target"))
    for_eyes = rows.select(*columns, pl.col("hash").str.head(7))
    emit(for_eyes if form in {"table", "markdown"} else rows, form, out)
    _sum_up(asked, options)


def _subsets(asked: tuple[Question, Question]) -> tuple[Subset, Subset]:
    return asked[0].subset, asked[1].subset


def _by_change(rows: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    return rows.sort(pl.col("change").cast(pl.Enum(CHANGES)), maintain_order=True)


def _sum_up(asked: tuple[Question, Question], options: dict[str, Any], packages: pl.DataFrame | None = None) -> None:
    """Say what changed, whatever the axis: a package in several stacks counts once."""
    from cachestats.analysis.compare import compare, count_changes

    packages = compare(*_subsets(asked), among=options["among"]) if packages is None else packages
    counts = count_changes(packages).row(0, named=True)
    before, removed = counts["old_packages"], counts["removed"]
    share = f", {removed / before:.1%}" if before else ""
    rest = ", ".join(f"{counts[change]:,} {change}" for change in ("added", "updated", "rebuilt", "unchanged"))
    filters = f", {asked[0].filters}" if asked[0].filters else ""
    is_same = 0 < len(packages) == counts["unchanged"]
    words = f"{'no changes from ' * is_same}{asked[0].names} to {asked[1].names}{filters}"
    talk(f"{words}: {removed:,} of {counted(before, 'package')} removed{share}; {rest}")
    represented = packages.filter(change="representation")["package"]
    if len(represented):
        talk(f"not counted, because Spack treats them as packages on one side only: {', '.join(represented)}")
    if asked[0].has_only_root:
        asked[1].hint_at_union()
