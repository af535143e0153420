"""Losses: packages that disappeared from one snapshot to the next."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from cachestats.analysis.compare import Sides, compare_counts
from cachestats.analysis.spec_rows import SpecsLike
from cachestats.axes import ChangeAxis


class LossCheck(NamedTuple):
    """What `check_losses` found, as rows of `losses`."""

    lost: pl.DataFrame
    """The stacks that lost packages."""
    excessive: pl.DataFrame
    """Those that lost more than they may."""
    whole: pl.DataFrame
    """The loss of all stacks together, in which a package counts once; no row if there was nothing to lose."""


def losses(
    old: SpecsLike, new: SpecsLike, *, by: ChangeAxis | None = "stack", union: bool = False, among: Sides | None = None
) -> pl.DataFrame:
    """Measure the share of its packages that each stack lost from one snapshot to another.

    An added package does not make up for a removed one, which somebody may have used. A package that only changed its
    representation (see `compare`) is not lost.

    Parameters
    ----------
    old, new, by, union, among
        As in `compare_counts`.

    Returns
    -------
    polars.DataFrame
        One row per value of `by` that has a package in `old`, sorted by `drop` in descending order, and then by `<by>`:

        - `<by>` (String): the stack, target, ..., unless `by` is None.
        - `old_packages`, `new_packages` (Int64): the packages on each side.
        - `lost` (Int64): the packages of `old` that `new` lacks.
        - `drop` (Float64, from 0 to 1): `lost` divided by `old_packages`.

    Raises
    ------
    ArgumentError
        As in `compare`.

    Examples
    --------
    >>> import cachestats as cs
    >>> ds = cs.example_dataset()
    >>> cs.losses(ds.at("previous"), ds.newest, by="target").rows()
    [('neoverse_v1', 11, 0, 11, 1.0), ('x86_64_v3', 10, 11, 0, 0.0)]
    """
    return losses_of(compare_counts(old, new, by=by, union=union, among=among), by)


def losses_of(counts: pl.DataFrame, by: ChangeAxis | None) -> pl.DataFrame:
    """Return the result of `losses` from that of `compare_counts`."""
    return (
        counts.filter(pl.col("old_packages") > 0)
        .select(
            *([by] if by else []),
            "old_packages",
            "new_packages",
            lost="removed",
            drop=pl.col("removed") / pl.col("old_packages"),
        )
        .sort("drop", descending=True, maintain_order=True)
    )


def check_losses(
    old: SpecsLike,
    new: SpecsLike,
    *,
    allowed: float,
    by: ChangeAxis | None = "stack",
    union: bool = False,
    among: Sides | None = None,
) -> LossCheck:
    """Find the stacks that lost packages, and those that lost more than is allowed.

    That is a number of packages, if it is an integer, or else a share of the stack's packages, from 0 to 1.

    The other arguments are those of `losses`.

    Raises
    ------
    ArgumentError
        As `losses`.
    """
    found = losses(old, new, by=by, union=union, among=among)
    whole = losses(old, new, by=None, among=among) if by else found
    excessive = pl.col("lost" if isinstance(allowed, int) else "drop") > allowed
    return LossCheck(found.filter(pl.col("lost") > 0), found.filter(excessive), whole)
