"""Duplicate builds: specs whose visible properties are all equal, and why their hashes differ."""

from __future__ import annotations

import polars as pl

from cachestats.analysis.frames import LazyFrame, api_of, check_choice, refuse_cycle
from cachestats.analysis.spec_rows import SpecRows, SpecsLike, spec_and_edge_rows, spec_rows
from cachestats.axes import DUPLICATE_ROWS, DuplicateRow
from cachestats.errors import ArgumentError

VISIBLE = (
    "snapshot", "package", "version", "platform", "os", "target", "compiler", "variants", "flags", "namespace"
)  # fmt: skip
"""The visible properties of a spec."""

_GROUP = ("snapshot", "first")
"""A group of duplicates: its snapshot, and the smallest hash in it, or its code."""


def duplicates(
    specs: SpecsLike,
    *,
    dependencies: SpecsLike | None = None,
    among: SpecsLike | None = None,
    by: DuplicateRow = "spec",
) -> pl.DataFrame:
    """Find specs that look the same but were built more than once.

    They are equal in snapshot, package, version, platform, os, target, compiler, variants, flags and namespace, but
    have more than one hash, because of a dependency or of the recipe from which they were built.

    Parameters
    ----------
    specs
        A dataset, a subset of one, or any lazy or eager frame that narwhals supports, with the ten columns above,
        `hash`, `package_hash` and `size_bytes` of the table `specs`; with dependencies also `spec_format`. The frame's
        own engine does the counting. A dataset stands for its newest snapshot.
    dependencies
        The dataset, or its table `dependencies` as a frame of the same kind as `specs`; it is needed to explain why
        hashes differ.
    among
        All specs of the snapshots, if `specs` is a selection from them. Dependencies are followed within these.
    by
        `spec`: a row for each group of duplicates. `package`: a row for each package that has such groups. `cause`: a
        row for each package that makes hashes differ; this requires `dependencies`.

    Returns
    -------
    polars.DataFrame
        Sorted by `excess` in descending order, then by the other columns, null (no compiler) last. By `spec`, one row
        per group:

        - the ten columns above.
        - `hashes` (Int64): distinct hashes of the group.
        - `excess` (Int64): the hashes beyond the first, that is, `hashes` - 1.
        - `excess_bytes` (Int64): the size of all binaries of the group except the largest; null if one of the sizes is
          not known.
        - `differs` (String), with `dependencies`: the packages that the group's specs depend on directly in different
          builds, joined by commas; empty if there are none. Null if some dependencies of the snapshot's specs are not
          known.
        - `causes` (String), with `dependencies`: the root causes, joined by commas. If a dependency is itself a group
          of duplicates, its own causes are taken. Otherwise, because its version or its variants differ or because it
          is not in the cache, the dependency is a cause. A group whose specs were built from several recipes has the
          cause `recipe of PACKAGE`. A group in which none of these differ has its own package as its cause.

        By `package`, one row per package:

        - `package` (String): the package.
        - `groups` (Int64): its groups of duplicates.
        - `hashes`, `excess`, `excess_bytes` (Int64): the sums over its groups.

        By `cause`, one row per cause. A group that has two causes counts towards both:

        - `cause` (String): the package, or `recipe of PACKAGE`.
        - `groups`, `packages` (Int64): the groups and packages that it makes differ.
        - `excess` (Int64): the sum over these groups.

    Raises
    ------
    ArgumentError
        If `by` is not one of these, or is `cause` when no dependencies are known; if a frame lacks a column or is of
        another kind; or if dependencies form a cycle.

    Examples
    --------
    >>> import cachestats as cs
    >>> ds = cs.example_dataset()
    >>> cs.duplicates(ds, by="package").select("package", "groups", "hashes", "excess").rows()
    [('hdf5', 1, 4, 3), ('mpich', 1, 4, 3), ('yaksa', 1, 4, 3), ('libxml2', 1, 2, 1)]
    >>> cs.duplicates(ds, dependencies=ds).select("package", "version", "hashes", "differs").row(0)
    ('hdf5', '1.14.5', 4, 'cmake,mpich')
    """
    check_choice(by, DUPLICATE_ROWS, "by")
    needed = (*VISIBLE, "hash", "package_hash", "size_bytes")
    if dependencies is None:
        if by == "cause":
            raise ArgumentError(
                "expected dependencies to find causes, found none", hint="add dependencies=ds.dependencies"
            )
        return _summed(_groups(spec_rows(specs, needed)).drop("first"), by)
    edge_columns = ("snapshot", "hash", "dependency_hash", "dependency_package")
    rows, edges = spec_and_edge_rows(specs, (*needed, "spec_format"), dependencies, edge_columns)
    # The dependencies of a spec that comes from a page are not known.
    unknown = frozenset(rows.filter(rows.api.col("spec_format").is_null()).distinct("snapshot")["snapshot"])
    members = _members(_distinct(rows))
    all_members = members
    if among is not None:
        all_members = _members(_distinct(spec_and_edge_rows(among, needed, dependencies, edge_columns)[0]))
    groups = _explained(rows, members, all_members, edges, unknown)
    if by == "cause" and groups.height and groups["causes"].is_null().all():
        raise ArgumentError(
            f"expected dependencies to find causes, found none for {', '.join(sorted(groups['snapshot'].unique()))}: "
            "the site's pages do not contain them",
            hint="build the dataset from the indices of the build cache",
        )
    return _summed(groups, by)


def _distinct(specs: SpecRows) -> LazyFrame:
    """Return each spec once, regardless of the number of stacks that contain it."""
    facts = {name: specs.api.col(name).max() for name in ("package_hash", "size_bytes")}
    return specs.frame if specs.has_row_per_spec else specs.frame.group_by(*VISIBLE, "hash").agg(**facts)


def _groups(specs: SpecRows) -> pl.DataFrame:
    """Return the groups of duplicates, with `first`, which identifies each: the smallest hash, or its code."""
    api = specs.api
    size = api.col("size_bytes")
    groups = (
        _distinct(specs)
        .group_by(*VISIBLE)
        .agg(hashes=api.len(), first=api.col("hash").min(), known=size.count(), sum=size.sum(), max=size.max())
    )
    return (
        specs.collect(groups.filter(api.col("hashes") > 1))
        .with_columns(
            excess=pl.col("hashes") - 1,
            excess_bytes=pl.when(pl.col("known") == pl.col("hashes")).then(pl.col("sum") - pl.col("max")),
        )
        .drop("known", "sum", "max")
        .sort("excess", *VISIBLE, descending=[True, *[False] * len(VISIBLE)], nulls_last=True)
    )


def _members(distinct: LazyFrame) -> LazyFrame:
    """Return each spec with a duplicate, its package and recipe, and its group's number of hashes and first hash."""
    api = api_of(distinct)
    of_group = distinct.with_columns(hashes=api.len().over(*VISIBLE), first=api.col("hash").min().over(*VISIBLE))
    return of_group.filter(api.col("hashes") > 1).select(
        "snapshot", "hash", "package", "package_hash", "hashes", "first"
    )


def _explained(
    specs: SpecRows,
    members: LazyFrame,
    all_members: LazyFrame,
    edges: LazyFrame,
    unknown: frozenset[str],
) -> pl.DataFrame:
    """Return the groups with the causes of differing hashes, unless the dependencies of the snapshot are unknown."""
    groups = _groups(specs)
    direct = _differing(specs, members, all_members, edges)
    everywhere = direct if members is all_members else _differing(specs, all_members, all_members, edges)
    causes = _causes(specs, everywhere, _recipes(specs, all_members))
    for name, found in (("differs", direct.rename({"needed": "differs"})), ("causes", causes)):
        texts = found.group_by(_GROUP).agg(pl.col(name).unique().sort().str.join(","))
        groups = groups.join(texts, on=_GROUP, how="left", maintain_order="left")
    is_known = ~pl.col("snapshot").is_in(unknown)
    return groups.drop("first").with_columns(
        differs=pl.when(is_known).then(pl.col("differs").fill_null("")),
        causes=pl.when(is_known).then(pl.col("causes").fill_null(pl.col("package"))),
    )


def _differing(specs: SpecRows, members: LazyFrame, all_members: LazyFrame, edges: LazyFrame) -> pl.DataFrame:
    """Return the groups, a package `needed` of which their specs depend on different builds, and the group of these.

    The columns are `snapshot`, `first`, `needed` (a hash, if no source names the package) and `below`, null if the
    builds are no group.
    """
    group = (*_GROUP, "hashes")
    api = specs.api
    below = api.col("below")
    *others, _ = specs.spec_key
    targets = all_members.select(*others, dependency_hash=api.col("hash"), below=api.col("first"))
    owned = members.select(*group, "hash").join(
        edges.select(*specs.spec_key, "dependency_hash", "dependency_package"), on=specs.spec_key, how="inner"
    )
    counts = (
        (owned if specs.has_row_per_spec else owned.unique())
        # A dependency whose package no source names stands for itself.
        .with_columns(unnamed=api.when(api.col("dependency_package").is_null()).then(api.col("dependency_hash")))
        .join(targets, on=[*others, "dependency_hash"], how="left")
        .group_by(*group, "dependency_package", "unnamed")
        .agg(
            edges=api.len(),
            owners=api.col("hash").n_unique(),
            builds=api.col("dependency_hash").n_unique(),
            grouped=below.count(),
            below=below.min(),
            last=below.max(),
        )
    )
    # All specs of the group depend on all builds of the package if and only if there is an edge for every such pair.
    differing = specs.collect(counts.filter(api.col("edges") != api.col("hashes") * api.col("builds")))
    differing = specs.named(differing.rename({"unnamed": "dependency_hash"}))
    is_group = (
        (pl.col("owners") == pl.col("hashes"))
        & (pl.col("grouped") == pl.col("edges"))
        & (pl.col("below") == pl.col("last"))
    )
    return differing.select(
        *_GROUP, pl.coalesce("dependency_package", "dependency_hash").alias("needed"), pl.when(is_group).then("below")
    )


def _recipes(specs: SpecRows, members: LazyFrame) -> pl.DataFrame:
    """Return the groups whose specs were built from several recipes, and these as the `causes` of their packages."""
    api = specs.api
    told = members.filter(~api.col("package_hash").is_null())
    counts = told.group_by(*_GROUP, "package").agg(recipes=api.col("package_hash").n_unique())
    found = specs.collect(counts.filter(api.col("recipes") > 1))
    return found.select(*_GROUP, causes=pl.concat_str(pl.lit("recipe of "), "package"))


def _causes(specs: SpecRows, differing: pl.DataFrame, recipes: pl.DataFrame) -> pl.DataFrame:
    """Return the root causes of each group's differences, packages and recipes, in a row each.

    Raises
    ------
    ArgumentError
        If the groups form a cycle.
    """
    below = ["snapshot", "below"]
    explained = pl.concat([differing.select(_GROUP), recipes.select(_GROUP)]).unique()
    waiting = differing.join(explained, left_on=below, right_on=_GROUP, how="semi")
    # A group in which no dependency differs has no causes here, so its package is the cause.
    at_bottom = differing.join(explained, left_on=below, right_on=_GROUP, how="anti").rename({"needed": "causes"})
    causes = pl.concat([recipes, at_bottom.select(recipes.columns)])
    while not waiting.is_empty():
        open_groups = waiting.select(_GROUP).unique()
        through = waiting.join(open_groups, left_on=below, right_on=_GROUP, how="anti")
        if through.is_empty():
            refuse_cycle(specs.named(waiting.select(hash="first", dependency_hash="below")))
        found = through.join(causes, left_on=below, right_on=_GROUP).select(causes.columns)
        causes = pl.concat([causes, found.unique()])
        waiting = waiting.join(open_groups, left_on=below, right_on=_GROUP, how="semi")
    return causes


def _summed(groups: pl.DataFrame, by: DuplicateRow) -> pl.DataFrame:
    """Return the groups themselves, or sums over the groups of each package or cause."""
    if by == "spec":
        return groups
    size = pl.col("excess_bytes")
    sums = {
        "package": {
            "groups": pl.len(),
            "hashes": pl.col("hashes").sum(),
            "excess": pl.col("excess").sum(),
            "excess_bytes": pl.when(size.null_count() == 0).then(size.sum()),
        },
        "cause": {"groups": pl.len(), "packages": pl.col("package").n_unique(), "excess": pl.col("excess").sum()},
    }[by]
    if by == "cause":
        groups = groups.with_columns(cause=pl.col("causes").str.split(",")).explode("cause").drop_nulls("cause")
    summed = groups.group_by(by).agg(**sums).with_columns(pl.col(pl.UInt32).cast(pl.Int64))
    return summed.sort("excess", by, descending=[True, False])
