"""The verb `check`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from cachestats.axes import CHANGE_AXES
from cachestats.cli.completion import complete_snapshots
from cachestats.cli.output import emit, talk
from cachestats.cli.parameters import (
    NAME,
    Limit,
    by_option,
    dataset_argument,
    limit_in_words,
    output_options,
    union_option,
    where_option,
)
from cachestats.cli.question import sides
from cachestats.cli.sections import Verb
from cachestats.dataset.subset import find_snapshot
from cachestats.errors import ArgumentError, CheckError


@click.command(cls=Verb)
@dataset_argument
@click.option(
    "--fail-over",
    type=Limit(),
    metavar="N|SHARE",
    default="5%",
    show_default=True,
    help="Exit with 1 if a stack lost more than this number or share of its packages since the previous snapshot.",
)
@click.option(
    "--snapshot",
    type=NAME,
    metavar="NAME",
    shell_complete=complete_snapshots,
    help="Snapshot to check.  [default: the newest dated one, or else the newest release, that has a previous one]",
)
@by_option(CHANGE_AXES, default="stack")
@where_option
@union_option
@output_options
def check(
    dataset: Any,
    fail_over: float,
    snapshot: str | None,
    by: Any,
    form: str,
    out: Path | None,
    **question: Any,
) -> None:
    """Fail if a stack lost packages since the previous snapshot.

    The newest dated snapshot is compared with the dated one before it, or a release with the next lower version. The
    answer lists the stacks that lost packages. The exit code is 1 if any stack lost more than --fail-over of its
    packages, even if it gained others, and 0 otherwise. It is also 0, with a message, if there is no previous snapshot.
    """
    from cachestats.analysis.history import pair_to_compare
    from cachestats.analysis.losses import check_losses

    chosen = None if snapshot is None else find_snapshot(dataset, snapshot)
    pair = pair_to_compare(dataset.manifest.snapshots, chosen)
    if pair is None:
        talk("nothing to compare: there are neither two dated snapshots nor two releases")
        return
    old, new = sides(dataset, pair[0], dataset, pair[1], **question)
    among = old.among, new.among
    found = check_losses(old.subset, new.subset, allowed=fail_over, by=by, union=old.union, among=among)
    if found.whole.is_empty():
        raise ArgumentError(
            f"expected specs to compare with, found none in {old.words}",
            hint="leave out filters",
        )
    short = {"old_packages": "old", "new_packages": "new"} if form in {"table", "markdown"} else {}
    emit(found.lost.rename(short), form, out, percent=True)
    had, _, lost, drop = found.whole.row(0)
    good_news = "nothing was lost from " * found.lost.is_empty()
    talk(f"{good_news}{old.words} to {new.names}: {lost:,} of {had:,} packages lost, {drop:.1%}")
    if not found.excessive.is_empty():
        rows = found.excessive.to_dicts()
        drops = ", ".join(
            f"{row[by] or 'none'} {_amount(row, fail_over)}" if by else _amount(row, fail_over) for row in rows
        )
        most = limit_in_words(fail_over, "package", of="its packages")
        raise CheckError(
            f"expected no {by or 'snapshot'} to lose more than {most}, found {drops}",
            hint=f"list them with: {_list_command(dataset, *pair, by, **question)}",
        )


def _amount(row: dict[str, Any], limit: float) -> str:
    return f"{row['lost']:,}" if isinstance(limit, int) else f"{row['drop']:.1%}"


def _list_command(
    dataset: Any,
    old: str,
    new: str,
    by: str | None,
    *,
    where: tuple[tuple[str, str], ...],
    expressions: tuple[str, ...],
    union: bool,
) -> str:
    """Return the command that lists what was lost."""
    filters = [word for column, value in where for word in ("--where", f"{column}={value}")]
    filters += [word for text in expressions for word in ("--spec", text)]
    options = ["--by", by or "none", *filters, *["--union"] * union, "--change", "removed"]
    return shlex.join(["cachestats", "compare", str(dataset.path), old, new, *options])
