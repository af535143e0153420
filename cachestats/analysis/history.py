"""The history of the cache: counts over the snapshots, and the first and last appearance of packages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import polars as pl

from cachestats.analysis.derived import as_axis, column_of
from cachestats.analysis.frames import check_choice, ordered
from cachestats.analysis.spec_rows import BITS, SpecRows, SpecsLike, spec_rows, totals
from cachestats.axes import HISTORY_AXES, HistoryAxis
from cachestats.errors import ArgumentError
from cachestats.naming import snapshot_kind, snapshot_order


def history(
    specs: SpecsLike,
    *,
    by: HistoryAxis | str | Sequence[str] | None = None,
    snapshots: Iterable[str] = (),
    union: bool = False,
) -> pl.DataFrame:
    """Count packages and specs in each snapshot, and the specs kept from the previous snapshot.

    Among the snapshots considered, the previous one of a dated snapshot is the latest earlier dated one, however long
    ago; that of a release is the next lower version. `develop`, which is rolling, snapshots of unknown kind, and the
    first of a series have no previous snapshot.

    Parameters
    ----------
    specs
        A dataset, a subset of one, or any lazy or eager frame that narwhals supports, with the columns `snapshot`,
        `package` and `hash` of the table `specs`, and the one named by `by`. The frame's own engine does the counting.
        A dataset stands for all of its snapshots.
    by
        Return a series for each stack (or package, version, platform, os, target, compiler, compiler_name), for each
        value of a variant (`variant:NAME`), or for each of a list of spec expressions, whose column is called `spec`;
        by default a single series for the whole.
    snapshots
        Names of further snapshots to consider. If the frame was filtered, give those in which no spec passed the
        filter; otherwise a series does not show where it ends.
    union
        Keep `root`, the union of the stacks, if `by` is stack.

    Returns
    -------
    polars.DataFrame
        One row for each value of `by` and each snapshot that has it or directly follows one that had it. Sorted by
        `<by>`, null (no compiler, no stack) last, and then releases by version, dated snapshots by date, and
        `develop`:

        - `<by>` (String): the stack, target, ..., if `by` is given.
        - `snapshot` (String), `snapshot_date` (Date; null except for dated snapshots): the snapshot.
        - `packages`, `specs` (Int64): distinct packages and hashes.
        - `share` (Float64, from 0 to 1): `packages` divided by all packages of the snapshot in the frame.
        - `previous` (String): the previous snapshot, null if there is none; the following columns are then null, too.
        - `kept` (Int64): specs that were there in the previous snapshot, too.
        - `new` (Int64): specs that were not; `kept` and `new` add up to `specs`.
        - `gone` (Int64): specs of the previous snapshot that are no longer there.

    Raises
    ------
    ArgumentError
        If `by` is not one of these, `snapshots` is not a list of names, the frame lacks a column, or a spec has no
        snapshot.
    ExpressionError
        If a text in a list of expressions is not a spec expression.

    Examples
    --------
    >>> import cachestats as cs
    >>> ds = cs.example_dataset()
    >>> cs.history(ds).select("snapshot", "packages", "specs", "kept", "new", "gone").rows()
    [('develop-2024-06-02', 11, 29, None, None, None), ('develop-2025-03-09', 13, 39, 0, 39, 29)]
    >>> cs.history(ds, by="target").filter(target="aarch64").select("snapshot", "packages", "share").rows()
    [('develop-2025-03-09', 11, 0.8461538461538461)]
    """
    axes = [] if by is None else [as_axis(by, HISTORY_AXES, "by")]
    found = spec_rows(specs, ("snapshot", "package", "hash", *axes), union=union, every_snapshot=True)
    names = _names(found, snapshots)
    before = snapshots_before(names)
    by = column_of(axes[0]) if axes else None
    key = ["snapshot", *([by] if by else [])]
    packages, whole = _packages(found, by)
    rows = (
        _kept(found, by, before)
        .join(packages, on=key, how="left", nulls_equal=True)
        .join(whole, on="snapshot", how="left")
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
    specs: SpecsLike,
    *,
    by: Sequence[HistoryAxis] = ("package", "version", "target"),
    snapshots: Iterable[str] = (),
    union: bool = False,
) -> pl.DataFrame:
    """Find the first and the last snapshot that contain each package, version and target.

    Parameters
    ----------
    specs
        A dataset, a subset of one, or any lazy or eager frame that narwhals supports, with the column `snapshot` of the
        table `specs` and those named by `by`. A dataset stands for all of its snapshots.
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
    polars.DataFrame
        One row per combination and kind of snapshot that has it. Sorted by the columns of `by`, versions as numbers,
        targets by family, null last, and then by kind:

        - the columns of `by` (String).
        - `kind` (String): `release`, `dated`, `rolling` (`develop`) or `other`. Releases have no date in the data, so
          only snapshots of the same kind have an order: releases by version, dated snapshots by date.
        - `first_seen`, `last_seen` (String): the first and the last snapshot that have it.
        - `first_date`, `last_date` (Date): their dates; null except for dated snapshots.
        - `snapshots`, `missed` (Int64): of the snapshots from the first to the last, the number that have it and the
          number that do not.
        - `is_current` (Boolean): whether the last is the newest of its kind among the snapshots considered.

    Raises
    ------
    ArgumentError
        If `by` is empty, contains a name twice or a name that is not one of these, or the frame lacks a column.

    Examples
    --------
    >>> import cachestats as cs
    >>> spans = cs.lifespans(cs.example_dataset(), by=["package", "version"])
    >>> spans.filter(package="zlib-ng").select("version", "first_seen", "snapshots", "is_current").rows()
    [('2.1.6', 'develop-2024-06-02', 1, False), ('2.2.3', 'develop-2025-03-09', 1, True)]
    """
    if isinstance(by, str) or not by or len(set(by)) < len(by):
        raise ArgumentError(
            f"expected a list of distinct names as by, found {by!r}", hint="try package, or package and target"
        )
    for name in by:
        check_choice(name, HISTORY_AXES, "by")
    found = spec_rows(specs, ("snapshot", *by), union=union, every_snapshot=True)
    names = _names(found, snapshots)
    kinds = [snapshot_kind(name)[0] for name in names]
    rows = _first_and_last(found, by, names)
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
    """Return the previous snapshot for each dated snapshot and release that has one, of the same kind.

    Examples
    --------
    >>> from cachestats.analysis.history import snapshots_before
    >>> snapshots_before(["develop", "v0.10.0", "v0.9.0", "develop-2025-03-09"])
    {'v0.10.0': 'v0.9.0'}
    """
    pairs = pairwise(sorted(names, key=snapshot_order))
    kinds = {"dated", "release"}
    return {new: old for old, new in pairs if snapshot_kind(new)[0] == snapshot_kind(old)[0] in kinds}


def pair_to_compare(names: Iterable[str], snapshot: str | None = None) -> tuple[str, str] | None:
    """Return the previous snapshot and a snapshot: the one given, or the newest that has a previous one.

    The newest is a dated one, or a release if no dated one has a previous one. The result is None if no snapshot is
    given and none has a previous one.

    Raises
    ------
    ArgumentError
        If the given snapshot has no previous one.

    Examples
    --------
    >>> from cachestats.analysis.history import pair_to_compare
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


def _names(specs: SpecRows, snapshots: Iterable[str]) -> list[str]:
    looked_at = [] if isinstance(snapshots, str) else list(() if snapshots is None else snapshots)
    if isinstance(snapshots, str) or not all(isinstance(name, str) for name in looked_at):
        raise ArgumentError(f"expected a list of names as snapshots, found {snapshots!r}", hint='try ["develop"]')
    # A subset has snapshots even where no spec of theirs passed its filters.
    found = (specs.subset.snapshots or ()) if specs.subset else specs.distinct("snapshot")["snapshot"].to_list()
    return sorted({*found, *looked_at}, key=snapshot_order)


def _kept(specs: SpecRows, by: str | None, before: dict[str, str]) -> pl.DataFrame:
    """Count the specs of each cell, those that it had in the previous snapshot, and those that are new or gone."""
    split = [by] if by and by != "stack" else []
    key = ["snapshot", *split, "hash"]
    api = specs.api
    rows, masks, names = specs.united(key, "stack") if by == "stack" else (specs.frame.select(*key).unique(), [], [])
    # A spec moved to the following snapshot can be compared with the same hash there.
    after = {old: new for new, old in before.items()}
    before_masks = [f"{mask}_before" for mask in masks]
    moved = rows.filter(specs.is_in("snapshot", after)).select(
        specs.relabel("snapshot", after), "hash", *(api.col(name).alias(f"{name}_before") for name in [*split, *masks])
    )
    now = specs.collect(rows.group_by("snapshot", *split, *masks).agg(number=api.len()))
    was = now.filter(pl.col("snapshot").is_in(list(after))).with_columns(_mapped("snapshot", after, pl.String))
    both = rows.join(moved, on=["snapshot", "hash"])
    for name in split:
        now_has, had = api.col(name), api.col(f"{name}_before")
        both = both.filter((now_has == had) | (now_has.is_null() & had.is_null()))
    both = both.group_by("snapshot", *split, *masks, *before_masks).agg(number=api.len())
    kept = specs.collect(both) if after else now.clear().with_columns(pl.col(masks).name.suffix("_before"))
    if by == "stack":
        now, was = (totals(part, "number", ["snapshot"], masks, names, "stack") for part in (now, was))
        kept = totals(kept, "number", ["snapshot"], masks, names, "stack", and_in=before_masks)
    cells = ["snapshot", *([by] if by else [])]
    specs_of, were, stayed = (
        part.group_by(cells).agg(pl.col("number").sum().alias(name))
        for part, name in ((now, "specs"), (was, "was"), (kept, "kept"))
    )
    return (
        specs_of.join(were, on=cells, how="full", coalesce=True, nulls_equal=True)
        .join(stayed, on=cells, how="left", nulls_equal=True)
        .with_columns(pl.col("specs", "was", "kept").fill_null(0))
        .with_columns(new=pl.col("specs") - pl.col("kept"), gone=pl.col("was") - pl.col("kept"))
    )


def _packages(specs: SpecRows, by: str | None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Count the `packages` of each cell, and the `whole` of each snapshot, in which a stack must have the packages."""
    if by != "stack":
        key = ["snapshot", *([by] if by else [])]
        packages, whole = (specs.count(*some, of=["package"]) for some in (key, ["snapshot"]))
    else:
        united, masks, names = specs.united(["snapshot", "package"], "stack")
        sets = specs.collect(united.group_by("snapshot", *masks).agg(value=specs.api.len()))
        packages = totals(sets, "value", ["snapshot"], masks, names, "stack")
        whole = sets.group_by("snapshot").agg(pl.col("value").sum())
    return packages.rename({"value": "packages"}), whole.rename({"value": "whole"})


def _first_and_last(specs: SpecRows, by: Sequence[str], names: Sequence[str]) -> pl.DataFrame:
    """Return the first and the last snapshot of each combination and kind, as positions in `names`, and how many."""
    if "stack" in by:  # a spec may have many, so that the combinations are found first
        specs = SpecRows(specs.distinct(*by, "snapshot").lazy(), None, specs.union)
    united, masks, _ = specs.united(by, "snapshot", names)
    found = specs.collect(united)
    kinds = [snapshot_kind(name)[0] for name in names]
    parts = []
    for kind in dict.fromkeys(kinds) or ("other",):
        of_kind = [
            sum(1 << bit for bit in range(BITS) if kinds[start + bit : start + bit + 1] == [kind])
            for start in range(0, len(kinds) or 1, BITS)
        ]
        stood = [pl.col(mask) & bits for mask, bits in zip(masks, of_kind, strict=True)]
        first = [
            pl.when(mask != 0).then(mask.bitwise_trailing_zeros().cast(pl.Int64) + number * BITS)
            for number, mask in enumerate(stood)
        ]
        last = [
            pl.when(mask != 0).then(63 - mask.bitwise_leading_zeros().cast(pl.Int64) + number * BITS)
            for number, mask in enumerate(stood)
        ]
        parts.append(
            found.select(
                *by,
                kind=pl.lit(kind, pl.String),
                first=pl.coalesce(first),
                last=pl.coalesce(reversed(last)),
                snapshots=pl.sum_horizontal(mask.bitwise_count_ones().cast(pl.Int64) for mask in stood),
            ).filter(pl.col("snapshots") > 0)
        )
    return pl.concat(parts)


def _mapped(name: str, values: dict[Any, Any], dtype: type[pl.DataType]) -> pl.Expr:
    """Look up the values of a column; those not in `values` become null."""
    return pl.col(name).replace_strict(list(values), list(values.values()), default=None, return_dtype=dtype)
