"""The history of the cache: counts over the snapshots, and the first and last appearance of packages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import narwhals as nw
import polars as pl

from cachestats.analysis.frames import check_choice, collect_small, ordered, validated, without_union
from cachestats.axes import HISTORY_AXES, HistoryAxis
from cachestats.errors import ArgumentError
from cachestats.naming import snapshot_kind, snapshot_order

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame


def history(
    specs: IntoFrame, *, by: HistoryAxis | None = None, snapshots: Iterable[str] = (), union: bool = False
) -> pl.DataFrame:
    """Count packages and specs in each snapshot, and the specs kept from the previous snapshot.

    Among the snapshots considered, the previous one of a weekly snapshot is the latest earlier weekly one, however long
    ago; that of a release is the next lower version. `develop`, which is rolling, snapshots of unknown kind, and the
    first of a series have no previous snapshot.

    Parameters
    ----------
    specs
        Any lazy or eager frame that narwhals supports, with the columns `snapshot`, `package` and `hash` of the table
        `specs`, and the one named by `by`. The frame's own engine does the counting.
    by
        Return a series for each stack (or package, version, platform, os, target, compiler, compiler_name); by default
        a single series for the whole.
    snapshots
        Names of further snapshots to consider. If the frame was filtered, give those in which no spec passed the
        filter; otherwise a series does not show where it ends.
    union
        Keep `root`, the union of the stacks, if `by` is stack.

    Returns
    -------
    One row for each value of `by` and each snapshot that has it or directly follows one that had it, with the columns

    - `<by>`, if it is given
    - `snapshot`, `snapshot_date` (null except for weekly snapshots)
    - `packages`, `specs` (Int64): distinct packages and hashes
    - `share` (Float64, from 0 to 1): `packages` divided by all packages of the snapshot in the frame
    - `previous`: the previous snapshot, null if there is none; the following columns are then null, too
    - `kept`, `new`, `gone` (Int64): specs that were there in the previous snapshot, too; specs that were not (`kept`
      and `new` add up to `specs`); and specs of the previous snapshot that are no longer there

    sorted by `<by>`, null (no compiler, no stack) last, and then releases by version, weekly snapshots by date, and
    `develop`.

    Raises
    ------
    ArgumentError
        If `by` is not one of these, `snapshots` is not a list of names, the frame lacks a column, or a spec has no
        snapshot.

    Examples
    --------
    >>> import cachestats as cs
    >>> cs.history(demo.specs, by="platform").select("platform", "snapshot", "packages", "specs").rows()
    [('darwin', 'develop-2025-03-09', 1, 3), ('darwin', 'develop', 2, 29),
     ('linux', 'develop-2025-03-09', 1, 15), ('linux', 'develop', 2, 163)]
    """
    if by is not None:
        check_choice(by, HISTORY_AXES, "by")
    frame = validated(specs, {"snapshot", "package", "hash", *([by] if by else [])})
    if by == "stack" and not union:
        frame = without_union(frame)
    names = _names(frame, snapshots)
    before = snapshots_before(names)
    key = ["snapshot", *([by] if by else [])]
    packages = frame.select(*dict.fromkeys([*key, "package"])).unique()
    rows = (
        _kept(frame, key, before)
        .join(collect_small(packages.group_by(*key).agg(packages=nw.len())), on=key, how="left", nulls_equal=True)
        .join(_whole(frame), on="snapshot", how="left")
        .with_columns(pl.col("packages").fill_null(0), previous=_mapped("snapshot", before, pl.String))
        .with_columns(
            pl.when(pl.col("previous").is_not_null()).then(pl.col("kept", "new", "gone")),
            share=(pl.col("packages") / pl.col("whole")).fill_null(0.0),
            snapshot_date=_mapped("snapshot", {name: snapshot_kind(name)[1] for name in names}, pl.Date),
        )
    )
    facet = [by] if by else []
    return ordered(rows, *facet, "snapshot").select(
        *facet, "snapshot", "snapshot_date", "packages", "specs", "share", "previous", "kept", "new", "gone"
    )


def lifespans(
    specs: IntoFrame,
    *,
    by: Sequence[HistoryAxis] = ("package", "version", "target"),
    snapshots: Iterable[str] = (),
    union: bool = False,
) -> pl.DataFrame:
    """Find the first and the last snapshot that contain each package, version and target.

    Parameters
    ----------
    specs
        Any lazy or eager frame that narwhals supports, with the column `snapshot` of the table `specs` and those named
        by `by`.
    by
        The columns whose combinations are tracked, out of package, version, platform, os, target, compiler,
        compiler_name and stack.
    snapshots
        As in `history`. Without them, if no spec of the newest snapshot passed a filter, removed combinations look
        current.
    union
        Keep `root`, the union of the stacks, if `by` includes stack.

    Returns
    -------
    One row per combination and kind of snapshot that has it, with the columns of `by` and

    - `kind`: `release`, `weekly`, `rolling` (`develop`) or `other`. Releases have no date in the data, so only
      snapshots of the same kind have an order: releases by version, weekly snapshots by date.
    - `first_seen`, `last_seen`: the first and the last snapshot that have it
    - `first_date`, `last_date`: the dates of weekly snapshots
    - `snapshots`, `missed` (Int64): the number of snapshots from the first to the last that have it, and that do not
    - `is_current`: whether the last is the newest of its kind among the snapshots considered

    sorted by the columns of `by`, versions as numbers, targets by family, null last, and then by kind.

    Raises
    ------
    ArgumentError
        If `by` is empty, contains a name twice or a name that is not one of these, or the frame lacks a column.

    Examples
    --------
    >>> import cachestats as cs
    >>> cs.lifespans(demo.specs, by=["package"]).select("package", "kind", "first_seen", "last_seen").rows()
    [('py-filelock', 'rolling', 'develop', 'develop'),
     ('py-filelock', 'weekly', 'develop-2025-03-09', 'develop-2025-03-09'),
     ('py-propcache', 'rolling', 'develop', 'develop')]
    """
    if isinstance(by, str) or not by or len(set(by)) < len(by):
        raise ArgumentError(
            f"expected a list of distinct names as by, found {by!r}", hint="try package, or package and target"
        )
    for name in by:
        check_choice(name, HISTORY_AXES, "by")
    frame = validated(specs, {"snapshot", *by})
    if "stack" in by and not union:
        frame = without_union(frame)
    names = _names(frame, snapshots) or [""]  # Spark cannot look up values in an empty list
    kinds = [snapshot_kind(name)[0] for name in names]
    stood = frame.select(*by, "snapshot").unique()
    marked = stood.with_columns(
        kind=nw.col("snapshot").replace_strict(names, kinds, default=None, return_dtype=nw.String),
        position=nw.col("snapshot").replace_strict(names, list(range(len(names))), default=None, return_dtype=nw.Int64),
    )
    rows = collect_small(
        marked.group_by(*by, "kind").agg(
            first=nw.col("position").min(), last=nw.col("position").max(), snapshots=nw.len()
        )
    )
    by_position = dict(enumerate(names))
    newest = {kind: position for position, kind in enumerate(kinds)}
    dates = {position: snapshot_kind(name)[1] for position, name in by_position.items()}
    return ordered(rows, *by, "kind").select(
        *by,
        "kind",
        _mapped("first", by_position, pl.String).alias("first_seen"),
        _mapped("last", by_position, pl.String).alias("last_seen"),
        _mapped("first", dates, pl.Date).alias("first_date"),
        _mapped("last", dates, pl.Date).alias("last_date"),
        "snapshots",
        # Snapshots of one kind are consecutive in the order of the names.
        missed=pl.col("last") - pl.col("first") + 1 - pl.col("snapshots"),
        is_current=pl.col("last") == _mapped("kind", newest, pl.Int64),
    )


def snapshots_before(names: Iterable[str]) -> dict[str, str]:
    """Return the previous snapshot for each weekly snapshot and release that has one, of the same kind.

    Examples
    --------
    >>> snapshots_before(["develop", "v0.10.0", "v0.9.0", "develop-2025-03-09"])
    {'v0.10.0': 'v0.9.0'}
    """
    pairs = pairwise(sorted(names, key=snapshot_order))
    kinds = {"weekly", "release"}
    return {new: old for old, new in pairs if snapshot_kind(new)[0] == snapshot_kind(old)[0] in kinds}


def pair_to_compare(names: Iterable[str], snapshot: str | None = None) -> tuple[str, str] | None:
    """Return the previous snapshot and a snapshot: the one given, or the newest that has a previous one.

    The newest is a weekly one, or a release if no weekly one has a previous one. The result is None if no snapshot is
    given and none has a previous one.

    Raises
    ------
    ArgumentError
        If the given snapshot has no previous one.

    Examples
    --------
    >>> pair_to_compare(["develop", "v0.10.0", "v0.9.0", "develop-2025-03-09"])
    ('v0.9.0', 'v0.10.0')
    """
    before = snapshots_before(names)
    comparable = sorted(before, key=snapshot_order)
    if snapshot is None:
        return (before[comparable[-1]], comparable[-1]) if comparable else None
    if snapshot not in before:
        hints = [f"try {', '.join(comparable[-3:])}"] if comparable else []
        raise ArgumentError(
            f"expected a snapshot that has a previous one, found {snapshot!r}",
            hint="; ".join([*hints, "`cachestats compare` takes any two snapshots"]),
        )
    return before[snapshot], snapshot


def _names(frame: nw.LazyFrame[Any], snapshots: Iterable[str]) -> list[str]:
    looked_at = [] if isinstance(snapshots, str) else list(() if snapshots is None else snapshots)
    if isinstance(snapshots, str) or not all(isinstance(name, str) for name in looked_at):
        raise ArgumentError(f"expected a list of names as snapshots, found {snapshots!r}", hint='try ["develop"]')
    found = collect_small(frame.select("snapshot").unique())["snapshot"]
    return sorted({*found, *looked_at}, key=snapshot_order)


def _kept(frame: nw.LazyFrame[Any], key: list[str], before: dict[str, str]) -> pl.DataFrame:
    """Count the hashes of each cell, and those it had in the previous snapshot, using the frame's own engine."""
    hashes = frame.select(*key, "hash", is_now=nw.lit(1), was=nw.lit(0))
    if before:
        after = {old: new for new, old in before.items()}
        # A spec moved to the following snapshot can be compared with the same hash there.
        moved = frame.filter(nw.col("snapshot").is_in(list(after))).select(
            nw.col("snapshot").replace_strict(list(after), list(after.values()), default=None, return_dtype=nw.String),
            *key[1:],
            "hash",
            is_now=nw.lit(0),
            was=nw.lit(1),
        )
        hashes = nw.concat([hashes, moved])
    distinct = hashes.group_by(*key, "hash").agg(nw.col("is_now", "was").max())
    counted = distinct.group_by(*key).agg(
        specs=nw.col("is_now").sum(), kept=(nw.col("is_now") * nw.col("was")).sum(), was=nw.col("was").sum()
    )
    return collect_small(counted).with_columns(
        new=pl.col("specs") - pl.col("kept"), gone=pl.col("was") - pl.col("kept")
    )


def _whole(frame: nw.LazyFrame[Any]) -> pl.DataFrame:
    return collect_small(frame.select("snapshot", "package").unique().group_by("snapshot").agg(whole=nw.len()))


def _mapped(name: str, values: dict[Any, Any], dtype: type[pl.DataType]) -> pl.Expr:
    """Look up the values of a column; those not in `values` become null."""
    return pl.col(name).replace_strict(list(values), list(values.values()), default=None, return_dtype=dtype)
