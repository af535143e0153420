"""Alerts: which losses are news, which were told before, and which are made good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import NamedTuple

import msgspec
import polars as pl

from cachestats.analysis.compare import Sides, compare
from cachestats.analysis.losses import LossCheck
from cachestats.analysis.spec_rows import SpecsLike, spec_rows
from cachestats.axes import ChangeAxis
from cachestats.dataset.alerts import Alert

Packages = Mapping[str | None, frozenset[str]]
"""Packages by stack, target, ...; by None if there is no axis."""


class Followed(NamedTuple):
    """What `follow` found."""

    shown: pl.DataFrame
    """What is lost in the snapshot, and what was lost in earlier ones and is not made good.

    The rows of `losses`, with two more columns, sorted by `drop` in descending order, then by `<by>` and `snapshot`:

    - `snapshot` (String): the first snapshot that lacks the packages.
    - `known_since` (Date): the day of the alert; null if there was none, because the loss is not excessive.
    """
    news: pl.DataFrame
    """The excessive losses that were not told before, as rows of `losses`."""
    alerts: list[Alert]
    """What is told now, and what was told before and is not made good."""


def follow(
    found: LossCheck,
    lost: Packages,
    there: Packages,
    told: Sequence[Alert],
    *,
    by: ChangeAxis | None,
    snapshot: str,
    question: str,
    today: date,
) -> Followed:
    """Find the losses that are news, given the alerts of earlier runs.

    An alert is open as long as the snapshot lacks one of its packages. An excessive loss is news unless open alerts
    tell of all of its packages.

    Parameters
    ----------
    found
        The losses in the snapshot, by the same axis.
    lost, there
        The packages that were lost, as in `lost_packages`, and those that the snapshot has, as in `packages_there`.
    told
        The alerts of earlier runs that checked the same.
    by, snapshot, question, today
        The axis, if there is one; what is checked, in which snapshot, and when.
    """
    known = _still_open(told, there)
    names = dict.fromkeys(found.excessive[by].to_list() if by else [None] * found.excessive.height)
    is_new = {name: bool(lost[name] - {*_packages_of(known, name)}) for name in names}
    news = found.excessive.filter(pl.Series([is_new[name] for name in names], dtype=pl.Boolean))
    alerts = [
        Alert(question, name, snapshot, today, old_packages, tuple(sorted(lost[name])))
        for name, old_packages in zip(names, found.excessive["old_packages"], strict=True)
        if is_new[name]
    ]
    # The alert of a loss that has grown since tells all of it.
    replaced = {(one.name, one.snapshot) for one in alerts}
    alerts = [*(one for one in known if (one.name, one.snapshot) not in replaced), *alerts]
    return Followed(_with_alerts(found.lost, alerts, there, by=by, snapshot=snapshot), news, alerts)


def lost_packages(
    old: SpecsLike, new: SpecsLike, *, by: ChangeAxis | None, union: bool = False, among: Sides | None = None
) -> Packages:
    """Return the packages that each stack lost, which `losses` counts; its arguments are the same.

    Raises
    ------
    ArgumentError
        As `losses`.
    """
    changes = compare(old, new, by=by, union=union, among=among)
    return _packages_by(changes.filter(pl.col("change") == "removed"), by)


def packages_there(specs: SpecsLike, *, by: ChangeAxis | None, union: bool = False) -> Packages:
    """Return the packages that each stack has.

    Raises
    ------
    ArgumentError
        As `losses`.
    """
    axes = [by] if by else []
    return _packages_by(spec_rows(specs, ("package", *axes), union=union).distinct("package", *axes), by)


def _packages_by(rows: pl.DataFrame, by: str | None) -> Packages:
    found: dict[str | None, set[str]] = {}
    name = pl.col(by) if by else pl.lit(None, pl.String)
    for value, package in rows.select(name.alias("name"), "package").iter_rows():
        found.setdefault(value, set()).add(package)
    return {value: frozenset(packages) for value, packages in found.items()}


def _still_open(told: Sequence[Alert], there: Packages) -> list[Alert]:
    """Return the alerts that are not made good, each with the packages that are still lost."""
    left = (
        msgspec.structs.replace(one, packages=tuple(sorted({*one.packages} - there.get(one.name, frozenset()))))
        for one in told
    )
    return [one for one in left if one.packages]


def _packages_of(alerts: Sequence[Alert], name: str | None) -> list[str]:
    return [package for one in alerts if one.name == name for package in one.packages]


def _with_alerts(
    lost: pl.DataFrame, alerts: Sequence[Alert], there: Packages, *, by: ChangeAxis | None, snapshot: str
) -> pl.DataFrame:
    axes = [by] if by else []
    since = {one.name: one.known_since for one in alerts if one.snapshot == snapshot}
    names = lost[by].to_list() if by else [None] * lost.height
    now = lost.with_columns(
        snapshot=pl.lit(snapshot), known_since=pl.Series([since.get(name) for name in names], dtype=pl.Date)
    )
    earlier = [
        ({by: one.name} if by else {})
        | {
            "old_packages": one.old_packages,
            "new_packages": len(there.get(one.name, ())),
            "lost": len(one.packages),
            "drop": len(one.packages) / one.old_packages,
            "snapshot": one.snapshot,
            "known_since": one.known_since,
        }
        for one in alerts
        if one.snapshot != snapshot
    ]
    rows = pl.concat([now, pl.DataFrame(earlier, schema=now.schema)])
    return rows.sort(-pl.col("drop"), *axes, "snapshot", nulls_last=True)
