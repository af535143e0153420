"""Versions: the newest of each package, and the stacks, snapshots, ... that lag behind it."""

from __future__ import annotations

import polars as pl

from cachestats.analysis.frames import check_choice
from cachestats.analysis.spec_rows import SpecsLike, spec_rows
from cachestats.axes import GROUP_AXES, GroupAxis
from cachestats.naming import version_key


def versions(specs: SpecsLike, *, by: GroupAxis = "stack", union: bool = False) -> pl.DataFrame:
    """Find the newest version of each package in each stack, snapshot, ..., and which of them lag behind.

    Versions are ordered as Spack orders them: `1.10` after `1.9`, `develop` and `main` after every number, and commits
    after the version that they represent. `version_sort_key` gives the same order to text.

    Parameters
    ----------
    specs
        A dataset, a subset of one, or any frame that narwhals supports, with the columns `package` and `version` of the
        table `specs`, and the one named by `by`. A dataset stands for its newest snapshot, or for all of them if `by`
        is snapshot.
    by
        The axis to compare: stack, snapshot, platform, os, target, compiler or compiler_name.
    union
        Keep `root`, the union of the stacks, if stacks are compared.

    Returns
    -------
    polars.DataFrame
        One row per package and stack (or other value of `by`), sorted by these two, null last:

        - `package` (String): the package.
        - `<by>` (String): the stack, snapshot, ...
        - `version` (String): the newest version there.
        - `newest` (String): the newest version of the package anywhere in `specs`.
        - `is_behind` (Boolean): whether `version` is older than `newest`.
        - `num_versions` (Int64): distinct versions there.

        If Spack considers versions equal, such as `1.0` and `1_0`, the one that sorts last as text is given, and
        neither is behind.

    Raises
    ------
    ArgumentError
        If `by` is not one of these, or the frame lacks a column.

    Examples
    --------
    >>> import cachestats as cs
    >>> found = cs.versions(cs.example_dataset(), by="snapshot")
    >>> found.filter(package="zlib-ng").select("snapshot", "version", "newest", "is_behind").rows()
    [('develop-2024-06-02', '2.1.6', '2.2.3', True), ('develop-2025-03-09', '2.2.3', '2.2.3', False)]
    """
    check_choice(by, GROUP_AXES, "by")
    rows = spec_rows(specs, ("package", "version", by), union=union, every_snapshot=by == "snapshot")
    found = rows.distinct("package", by, "version")
    keys = {version: version_key(version) for version in found["version"].unique()}
    ages = {key: age for age, key in enumerate(sorted(set(keys.values())))}
    aged = pl.DataFrame(
        {"version": keys.keys(), "age": [ages[key] for key in keys.values()]},
        schema={"version": pl.String, "age": pl.Int64},
    )
    newest = pl.col("version").sort_by("age", "version").last()
    return (
        found.join(aged, on="version")
        .with_columns(newest=newest.over("package"), newest_age=pl.col("age").max().over("package"))
        .group_by("package", by)
        .agg(
            newest,
            pl.col("newest").first(),
            is_behind=pl.col("age").max() < pl.col("newest_age").first(),
            num_versions=pl.len().cast(pl.Int64),
        )
        .sort("package", by, nulls_last=True)
    )
