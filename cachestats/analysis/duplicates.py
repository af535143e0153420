"""What is built twice: specs that differ in nothing a person can see, and what makes their hashes differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import narwhals as nw
import polars as pl

from cachestats.analysis.frames import check_choice, collect_small, dependencies_first, validated, validated_pair
from cachestats.errors import ArgumentError

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

By = Literal["spec", "package", "cause"]

BYS: tuple[By, ...] = get_args(By)
VISIBLE = (
    "snapshot", "package", "version", "platform", "os", "target", "compiler", "variants", "flags", "namespace"
)  # fmt: skip
"""What a person can see of a spec."""

_Group = tuple[str, str]  # its snapshot and the smallest hash in it
_Below = tuple[str, str | None]  # a package, and the smallest hash of the group that its builds are


def duplicates(
    specs: IntoFrame, *, dependencies: IntoFrame | None = None, among: IntoFrame | None = None, by: By = "spec"
) -> pl.DataFrame:
    """Find specs that are equal in everything a person can see, and yet were built more than once.

    They are equal in snapshot, package, version, platform, os, target, compiler, variants, flags and namespace, and
    have more than one hash: because of a dependency, or of the recipe that they were built by.

    Parameters
    ----------
    specs
        Any lazy or eager frame that narwhals knows, with the ten columns above, `hash`, `package_hash` and `size_bytes`
        of the table `specs`; with dependencies also `spec_format`. The counting is done where the frame lives.
    dependencies
        The table `dependencies`, as a frame of the same kind, to learn why hashes differ.
    among
        All specs of the snapshots, where `specs` are some of them: dependencies are followed down among these.
    by
        `spec`: a row for each group of equals. `package`: a row for each package that has such groups. `cause`: a row
        for each package that makes hashes differ, which takes `dependencies`.

    Returns
    -------
    The most excess first, then sorted by the other columns, null (no compiler) last. By `spec` the ten columns, and

    - `hashes`: distinct hashes of the group; `excess`: those beyond the first, hashes - 1.
    - `excess_bytes`: size of all binaries of the group but the largest; null where the size of one is not known.
    - `differs`, with `dependencies`: the packages that its specs depend on directly, each in another build; joined by
      commas, empty where there is none. Null where the dependencies of the snapshot's specs are not all known.
    - `causes`, with `dependencies`: the packages at the bottom of it. A dependency that is itself a group of equals is
      followed down to what makes that group differ. One that is not, because its version or its variants differ, or
      because it is not in the cache, is a cause. A group whose specs were built by several recipes has the cause
      `recipe of PACKAGE`; one in which nothing of all this differs has its own package.

    By `package` the columns `package`, `groups`, `hashes`, `excess` and `excess_bytes`, sums over its groups. By
    `cause` the columns `cause`, `groups`, `packages` and `excess`: how many groups and packages it makes differ, and
    their excess. A group that has two causes counts for both.

    Raises
    ------
    ArgumentError
        If `by` is something else, or `cause` where no dependencies are known; a frame lacks a column or is of another
        kind; or dependencies go in a circle.

    Examples
    --------
    >>> import cachestats as cs
    >>> cs.duplicates(demo.specs, by="package").select("package", "groups", "hashes", "excess").rows()
    [('py-filelock', 14, 141, 127), ('py-propcache', 4, 68, 64)]
    """
    check_choice(by, BYS, "by")
    needed = (*VISIBLE, "hash", "package_hash", "size_bytes")
    if dependencies is None:
        if by == "cause":
            raise ArgumentError(
                "expected dependencies to tell causes, found none", hint="add dependencies=ds.dependencies"
            )
        return _summed(_groups(_distinct(validated(specs, needed))).drop("first"), by)
    edge_columns = ("snapshot", "hash", "dependency_hash", "dependency_package")
    frame, edges = validated_pair(specs, (*needed, "spec_format"), dependencies, edge_columns)
    distinct = _distinct(frame)
    # Where a page told one of the specs, nobody knows what that one depends on.
    of_pages = frame.filter(nw.col("spec_format").is_null()).select("snapshot").unique()
    unknown = frozenset(collect_small(of_pages)["snapshot"])
    members = _members(distinct)
    among_these = frame if among is None else validated_pair(among, needed, dependencies, edge_columns)[0]
    all_members = members if among is None else _members(_distinct(among_these))
    groups = _explained(_groups(distinct), members, all_members, edges.select(*edge_columns), unknown)
    if by == "cause" and groups.height and groups["causes"].is_null().all():
        raise ArgumentError(
            f"expected dependencies to tell causes, found none of {', '.join(sorted(groups['snapshot'].unique()))}: "
            "the site's pages do not tell them",
            hint="build the dataset from the indices of the build cache",
        )
    return _summed(groups, by)


def _distinct(specs: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
    """Return each spec once, in however many stacks it stands."""
    facts = {name: nw.col(name).max() for name in ("package_hash", "size_bytes")}
    return specs.group_by(*VISIBLE, "hash").agg(**facts)


def _groups(distinct: nw.LazyFrame[Any]) -> pl.DataFrame:
    """Return the groups of equals, with `first`, the smallest hash of each, by which it is known."""
    size = nw.col("size_bytes")
    groups = distinct.group_by(*VISIBLE).agg(
        hashes=nw.len(), first=nw.col("hash").min(), known=size.count(), sum=size.sum(), max=size.max()
    )
    return (
        collect_small(groups.filter(nw.col("hashes") > 1))
        .with_columns(
            excess=pl.col("hashes") - 1,
            excess_bytes=pl.when(pl.col("known") == pl.col("hashes")).then(pl.col("sum") - pl.col("max")),
        )
        .drop("known", "sum", "max")
        .sort("excess", *VISIBLE, descending=[True, *[False] * len(VISIBLE)], nulls_last=True)
    )


def _members(distinct: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
    """Return each spec that has an equal, its package and recipe, and its group's number of hashes and first hash."""
    of_group = distinct.with_columns(hashes=nw.len().over(*VISIBLE), first=nw.col("hash").min().over(*VISIBLE))
    return of_group.filter(nw.col("hashes") > 1).select(
        "snapshot", "hash", "package", "package_hash", "hashes", "first"
    )


def _explained(
    groups: pl.DataFrame,
    members: nw.LazyFrame[Any],
    all_members: nw.LazyFrame[Any],
    edges: nw.LazyFrame[Any],
    unknown: frozenset[str],
) -> pl.DataFrame:
    """Add to each group what makes its hashes differ, unless the dependencies of its snapshot are unknown."""
    direct = _differing(members, all_members, edges)
    deeper = _causes(
        direct if members is all_members else _differing(all_members, all_members, edges), _recipes(all_members)
    )
    differs: list[str | None] = []
    causes: list[str | None] = []
    for snapshot, first, package in groups.select("snapshot", "first", "package").iter_rows():
        found = direct.get((snapshot, first), [])
        differs.append(",".join(sorted(name for name, _ in found)) if snapshot not in unknown else None)
        at_bottom = deeper.get((snapshot, first)) or {package}
        causes.append(",".join(sorted(at_bottom)) if snapshot not in unknown else None)
    return groups.drop("first").with_columns(
        differs=pl.Series(differs, dtype=pl.String), causes=pl.Series(causes, dtype=pl.String)
    )


def _differing(
    members: nw.LazyFrame[Any], all_members: nw.LazyFrame[Any], edges: nw.LazyFrame[Any]
) -> dict[_Group, list[_Below]]:
    """Return, for each group, the packages that its specs depend on in different builds, and the group of those."""
    group = ("snapshot", "first", "hashes")
    below = nw.col("below")
    targets = all_members.select("snapshot", dependency_hash=nw.col("hash"), below=nw.col("first"))
    counts = (
        members.select(*group, "hash")
        .join(edges, on=["snapshot", "hash"], how="inner")
        .unique()
        .with_columns(package=nw.coalesce(nw.col("dependency_package"), nw.col("dependency_hash")))
        .join(targets, on=["snapshot", "dependency_hash"], how="left")
        .group_by(*group, "package")
        .agg(
            edges=nw.len(),
            owners=nw.col("hash").n_unique(),
            builds=nw.col("dependency_hash").n_unique(),
            grouped=below.count(),
            below=below.min(),
            last=below.max(),
        )
    )
    # All specs of the group have all builds of the package if, and only if, there is an edge for every such pair.
    differing = collect_small(counts.filter(nw.col("edges") != nw.col("hashes") * nw.col("builds")))
    is_group = (
        (pl.col("owners") == pl.col("hashes"))
        & (pl.col("grouped") == pl.col("edges"))
        & (pl.col("below") == pl.col("last"))
    )
    found: dict[_Group, list[_Below]] = {}
    for snapshot, first, *rest in differing.select(
        "snapshot", "first", "package", pl.when(is_group).then("below")
    ).rows():
        found.setdefault((snapshot, first), []).append((rest[0], rest[1]))
    return found


def _recipes(members: nw.LazyFrame[Any]) -> dict[_Group, str]:
    """Return the groups whose specs were built by several recipes, and their packages."""
    told = members.filter(~nw.col("package_hash").is_null())
    counts = told.group_by("snapshot", "first", "package").agg(recipes=nw.col("package_hash").n_unique())
    found = collect_small(counts.filter(nw.col("recipes") > 1)).select("snapshot", "first", "package")
    return {(snapshot, first): package for snapshot, first, package in found.rows()}


def _causes(differing: dict[_Group, list[_Below]], recipes: dict[_Group, str]) -> dict[_Group, set[str]]:
    """Return, for each group, what is at the bottom of what makes it differ: packages, and recipes."""
    causes = {group: {f"recipe of {package}"} for group, package in recipes.items()}
    below = {group: {(group[0], first) for _, first in found if first} for group, found in differing.items()}
    for group in dependencies_first(below, hash_of=lambda group: group[1]):
        causes[group] = causes.get(group, set()) | _causes_of(group[0], differing.get(group, []), causes)
    return causes


def _causes_of(snapshot: str, found: list[_Below], deeper: dict[_Group, set[str]]) -> set[str]:
    # A group in which no dependency differs has no causes here: its package is one.
    return set().union(*(deeper.get((snapshot, first or "")) or {package} for package, first in found))


def _summed(groups: pl.DataFrame, by: By) -> pl.DataFrame:
    """Return the groups, or sums over those of a package or a cause."""
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
