"""The verb `check`."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from cachestats.cli.question import Question, sides
from cachestats.cli.sections import Verb
from cachestats.dataset.subset import find_snapshot
from cachestats.errors import ArgumentError, CheckError, DatasetError
from cachestats.text import counted

if TYPE_CHECKING:
    import polars as pl

    from cachestats.analysis.alerts import Followed
    from cachestats.analysis.losses import LossCheck
    from cachestats.dataset.alerts import Alert


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
@click.option(
    "--once",
    is_flag=True,
    help="Exit with 1 only for losses that no earlier run with --once told. The answer also lists those that were told "
    "before and are not made good. The dataset remembers them.",
)
@by_option(CHANGE_AXES, default="stack")
@where_option
@union_option
@output_options
def check(
    dataset: Any,
    fail_over: float,
    snapshot: str | None,
    once: bool,
    by: Any,
    form: str,
    out: Path | None,
    **question: Any,
) -> None:
    """Fail if a stack lost packages since the previous snapshot.

    The newest dated snapshot is compared with the dated one before it, or a release with the next lower version. The
    answer lists the stacks that lost packages. The exit code is 1 if any stack lost more than --fail-over of its
    packages, even if it gained others, and 0 otherwise. It is also 0, with a message, if there is no previous snapshot.

    With --once, each loss is told once, until it is made good: the exit code is 1 only for a loss that is new or has
    grown. The answer then has the first snapshot that lacks the packages, and since when that is known.
    """
    from cachestats.analysis.history import pair_to_compare
    from cachestats.analysis.losses import check_losses

    if once and snapshot is not None:
        raise ArgumentError(
            "expected --once without --snapshot, found both",
            hint="what is made good is seen in the newest snapshot only",
        )
    chosen = None if snapshot is None else find_snapshot(dataset, snapshot)
    pair = pair_to_compare(dataset.manifest.snapshots, chosen)
    if pair is None:
        talk("nothing to compare: there are neither two dated snapshots nor two releases")
        if dataset.manifest.snapshots and (form, out) != ("table", None):  # a program wants an answer, without rows
            emit(_no_losses(dataset, by, once=once, **question), form, out)
        return
    old, new = sides(dataset, pair[0], dataset, pair[1], **question)
    among = old.among, new.among
    found = check_losses(old.subset, new.subset, allowed=fail_over, by=by, union=old.union, among=among)
    if found.whole.is_empty():
        raise ArgumentError(
            f"expected specs to compare with, found none in {old.words}",
            hint="leave out filters",
        )
    shown, news, alerts = found.lost, found.excessive, None
    if once:
        (shown, news, _), alerts = _followed(dataset, old, new, found, by)
    short = {"old_packages": "old", "new_packages": "new"} if form in {"table", "markdown"} else {}
    emit(shown.rename(short), form, out, percent=True)
    had, _, lost, drop = found.whole.row(0)
    good_news = "nothing was lost from " * found.lost.is_empty()
    talk(f"{good_news}{old.words} to {new.names}: {lost:,} of {counted(had, 'package')} lost, {drop:.1%}")
    if alerts is not None:
        _remember(dataset, alerts)
        if news.is_empty() and (number := shown["known_since"].count()):
            talk(f"{number:,} known {'loss is' if number == 1 else 'losses are'} not made good")
    if not news.is_empty():
        rows = news.to_dicts()
        drops = ", ".join(
            f"{row[by] or 'none'} {_amount(row, fail_over)}" if by else _amount(row, fail_over) for row in rows
        )
        most = limit_in_words(fail_over, "package", of="its packages")
        raise CheckError(
            f"expected no {by or 'snapshot'} to lose more than {most}, found {drops}",
            hint=f"list them with: {_list_command(dataset, *pair, by, **question)}",
        )


def _no_losses(dataset: Any, by: Any, *, once: bool, **question: Any) -> pl.DataFrame:
    """Return the answer without rows: what a snapshot lost since itself."""
    from cachestats.analysis.losses import check_losses

    name = [*dataset.manifest.snapshots][-1]
    old, new = sides(dataset, name, dataset, name, **question)
    found = check_losses(old.subset, new.subset, allowed=0, by=by, union=old.union, among=(old.among, new.among))
    return _followed(dataset, old, new, found, by)[0].shown if once else found.lost


def _followed(dataset: Any, old: Question, new: Question, found: LossCheck, by: Any) -> tuple[Followed, list[Alert]]:
    """Return what of the losses is news, and all alerts that the dataset should remember."""
    from cachestats.analysis.alerts import follow, lost_packages, packages_there
    from cachestats.dataset.alerts import read_alerts

    question = f"by {by or 'none'}{', with the union' * old.union}{', ' * bool(old.filters)}{old.filters}"
    remembered = read_alerts(dataset.path)
    followed = follow(
        found,
        lost_packages(old.subset, new.subset, by=by, union=old.union, among=(old.among, new.among)),
        packages_there(new.subset, by=by, union=old.union),
        [one for one in remembered if one.question == question],
        by=by,
        snapshot=new.chosen[0],
        question=question,
        today=datetime.now(UTC).date(),
    )
    return followed, [*(one for one in remembered if one.question != question), *followed.alerts]


def _remember(dataset: Any, alerts: list[Alert]) -> None:
    from cachestats.dataset.alerts import read_alerts, write_alerts

    if alerts == read_alerts(dataset.path):
        return
    try:
        write_alerts(dataset.path, alerts)
    except DatasetError as error:
        talk(f"note: the alerts are not remembered, and will be told again: {error.message}")


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
