"""Dependents: the specs that need a package, directly or through others, by package and stack."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import polars as pl

from cachestats.analysis.edges import of_stacks, specs_and_edges, specs_meant, whole
from cachestats.analysis.frames import check_choice
from cachestats.analysis.spec_rows import SpecRows, SpecsLike, unfolded
from cachestats.axes import GROUP_AXES, GroupAxis
from cachestats.dataset.levels import levels
from cachestats.schema import DEPTYPES, DepType


class DependentTotals(NamedTuple):
    """How many distinct specs there are, and how many of them depend on a package."""

    num_direct: int
    num_specs: int
    num_all: int


def dependents(
    specs: SpecsLike,
    package: str,
    *,
    dependencies: SpecsLike | None = None,
    by: GroupAxis | None = "stack",
    deptypes: Collection[DepType] = DEPTYPES,
    union: bool = False,
) -> pl.DataFrame:
    """Find the packages with specs that depend on a package, directly or through others, and count these specs.

    A spec depends on a package if it depends on any spec of it, cached or not. A package depends on itself if one of
    its specs needs another, as a compiler may. Dependencies are followed from spec to spec, through specs of any stack.

    Parameters
    ----------
    specs
        A dataset, a subset of one, or any lazy or eager frame that narwhals supports, with the columns `snapshot`,
        `hash`, `package` and `spec_format` of the table `specs`, and the one named by `by`. Only these specs are
        counted. A dataset stands for its newest snapshot, or for all of them if `by` is snapshot.
    package
        The package on which they depend, or a spec expression, such as `zlib@1.2:` or `hdf5+mpi`, as in `find`. An
        expression that is not just a name needs all columns of both tables.
    dependencies
        The dataset (the default if `specs` is of one), or its table `dependencies` as a frame of the same kind. Each
        edge in the snapshots of `specs` is collected.
    by
        The axis by which to split the counts: stack, snapshot, platform, os, target, compiler or compiler_name; None
        for no split.
    deptypes
        The types of dependencies to follow: some of `build`, `link`, `run` and `test`.
    union
        Keep `root`, the union of the stacks, if specs are counted by stack.

    Returns
    -------
    polars.DataFrame
        One row per package and stack (or other value of `by`) with a spec that depends on the package. Sorted by
        `num_specs` and `num_direct` in descending order, then by package and `<by>`, null last:

        - `package` (String): the package that depends on the other.
        - `<by>` (String): the stack, snapshot, ..., unless `by` is None.
        - `num_direct` (Int64): its specs there with an edge to a spec of the other package.
        - `num_specs` (Int64): its specs there that depend on the other package, directly or through others.
        - `num_all` (Int64): all of its specs there.

        A spec that is in several snapshots counts once, unless `by` is snapshot.

    Raises
    ------
    ExpressionError
        If `package` is neither a package nor a spec expression; the message points at the character.
    ArgumentError
        If there is no such package, or an expression names a package, variant, ... that no spec has; if the
        dependencies of a spec are not known, for example because it was read from a page; if `by` or one of `deptypes`
        is not one of these; or if a frame lacks a column or is of another kind.

    Examples
    --------
    >>> import cachestats as cs
    >>> ds = cs.example_dataset()
    >>> cs.dependents(ds, "libxml2", by=None, deptypes=["link", "run"]).rows()
    [('hdf5', 0, 7, 7), ('mpich', 6, 6, 6), ('hwloc', 1, 1, 1)]
    >>> found = cs.dependents(ds, "libxml2@2.13:", by="target")
    >>> found.filter(package="mpich").select("target", "num_direct", "num_all").rows()
    [('x86_64_v3', 5, 5), ('aarch64', 1, 1)]
    """
    return dependents_and_totals(specs, package, dependencies=dependencies, by=by, deptypes=deptypes, union=union)[0]


def dependents_and_totals(
    specs: SpecsLike,
    package: str,
    *,
    dependencies: SpecsLike | None = None,
    by: GroupAxis | None = "stack",
    deptypes: Collection[DepType] = DEPTYPES,
    union: bool = False,
) -> tuple[pl.DataFrame, DependentTotals]:
    """Return the result of `dependents`, and the counts of all specs, whatever stacks they have.

    Raises
    ------
    ArgumentError
        As `dependents`.
    """
    if by is not None:
        check_choice(by, GROUP_AXES, "by")
    columns = ("hash", "package", *([by] if by else []))
    edge_columns = ("hash", "dependency_hash", "dependency_package")
    rows, edges = specs_and_edges(specs, columns, dependencies, edge_columns, deptypes, every_snapshot=by == "snapshot")
    # A hash determines a spec and all its dependencies, in any snapshot.
    found = rows.collect_codes(edges.select(*edge_columns))
    ends = specs_meant(package, whole(rows, "hash", "package"), found, specs, dependencies)
    above = levels(ends, found)
    direct = next(above, found.clear())["hash"]
    every = pl.concat([direct, *(level["hash"] for level in above)]).unique().implode()
    status = {"num_direct": pl.col("hash").is_in(direct.unique().implode()), "num_specs": pl.col("hash").is_in(every)}
    totals = rows.collect_codes(rows.frame.select("hash").unique()).select(
        *(one.sum().alias(name) for name, one in status.items()), num_all=pl.len()
    )
    return _counted(of_stacks(rows, union) if by == "stack" else rows, by, status), DependentTotals(*totals.row(0))


def _counted(rows: SpecRows, by: str | None, status: dict[str, pl.Expr]) -> pl.DataFrame:
    """Count the distinct specs of each package and value of `by` for which each status holds; keep where any does."""
    axes = [by] if by else []
    masks: list[str] = []
    names: list[str | None] = []
    frame = rows.frame.select("hash", "package").unique()
    if by:
        frame, masks, names = rows.united(["hash", "package"], by)
    counts = (
        rows.collect_codes(frame)
        .with_columns(**status, num_all=True)
        .group_by("package", *masks)
        .agg(pl.col(*status, "num_all").sum().cast(pl.Int64))
        .filter(pl.col("num_specs").max().over("package") > 0)
    )
    if by:
        counts = unfolded(counts, masks, names, by).group_by("package", by).sum()
    order = {"num_specs": True, "num_direct": True, "package": False, **dict.fromkeys(axes, False)}
    return (
        rows.named(counts.filter(pl.col("num_specs") > 0))
        .sort(*order, descending=[*order.values()], nulls_last=True)
        .select("package", *axes, *status, "num_all")
    )
