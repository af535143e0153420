"""Coverage: counts of specs or packages over any two columns of `specs`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from cachestats.analysis.derived import AnyAxis, as_axis, column_of
from cachestats.analysis.frames import check_choice, collect_small, validated
from cachestats.analysis.spec_rows import SpecRows, SpecsLike, chosen, spec_rows
from cachestats.axes import AXES, DENOMINATORS, MEASURES, Axis, Denominator, Measure
from cachestats.dataset.dataset import Dataset
from cachestats.dataset.subset import Subset
from cachestats.errors import ArgumentError
from cachestats.naming import natural_key, snapshot_order
from cachestats.targets import target_order

if TYPE_CHECKING:
    from cachestats.hosts import Host

_ORDER: dict[str, Callable[[str], Any]] = {"snapshot": snapshot_order, "target": target_order}


class CoverageMatrix(pl.DataFrame):
    """A coverage matrix that records what it shows, so that a chart can label it.

    It is a Polars DataFrame in every respect. Operations that return a new frame (`filter`, `select`, ...) lose the
    record, and a chart of their result has fewer labels.
    """

    column_axis: str | None = None
    measure: str | None = None
    whole: str | None = None
    snapshots: tuple[str, ...] = ()
    only: str | None = None
    """A description of the filter on the specs, if the caller that made the matrix set one."""


def coverage(
    specs: SpecsLike,
    *,
    rows: Axis | str | Sequence[str],
    columns: Axis | str | Sequence[str],
    measure: Measure = "specs",
    denominator: Denominator = "row",
    union: bool = False,
    usable: bool = False,
    host: Host | str | None = None,
    spack: str | None = None,
) -> pl.DataFrame:
    """Count specs or packages by two axes, such as package and target.

    Parameters
    ----------
    specs
        A dataset, a subset of one, or any lazy or eager frame that narwhals supports (a Polars LazyFrame, a DuckDB
        relation, ...) with the required columns of the table `specs`: those named by `rows` and `columns`, and
        `snapshot` and `hash`, or `package`. The frame's own engine does the counting. A dataset stands for its newest
        snapshot, or for all of them if snapshots are rows or columns.
    rows, columns
        Two of snapshot, package, version, platform, os, target, compiler, compiler_name and stack; or `variant:NAME`,
        the values of a variant; or a list of spec expressions, such as `["hdf5+mpi", "hdf5~mpi"]`. A spec counts for
        each expression that it satisfies, and is left out if it satisfies none.
    measure
        `specs`: distinct (snapshot, hash). `packages`: distinct packages. `share`: distinct packages of the cell
        divided by distinct packages of the denominator.
    denominator
        The denominator of a `share`: the packages of the cell's `row`, those of its `column`, or `all` packages.
    union
        Keep `root`, the union of the stacks, if stacks are rows or columns.
    usable
        With targets as columns, classify what a host of each target can use instead of counting. This also requires
        the columns `platform`, `os` and `requirement`.
    host
        With `usable`, the host; its target is replaced by that of each column. If it has neither an operating system
        nor a libc, or is not given, the hosts of a column are those with any operating system in `specs` of a platform
        with that target, or with the operating system that the row names.
    spack
        With `usable`, the Spack version whose reuse rules apply, as in `usable`.

    Returns
    -------
    polars.DataFrame
        One row per cell that is not zero or, with `usable`, per cell. Sorted by the first two columns, null (no
        compiler, no stack, no such variant) last:

        - `<rows>`, `<columns>` (String): the names of the row and the column. The column of a list of expressions is
          called `spec`.
        - `value` (Int64; for shares Float64 from 0 to 1; with `usable` String): the count, or the state of the cell:
          `native` (a spec built for exactly the host's target can be reused), `usable` (only specs built for an
          ancestor of the host's target can be reused) or `missing` (no spec can be reused).

    Raises
    ------
    ArgumentError
        If an axis, measure or denominator does not exist, both axes are the same, the frame lacks a column, `usable`
        is combined with columns other than targets or with a measure, or a host or rules are given without it.
    ExpressionError
        If a text in a list of expressions is not a spec expression.

    Examples
    --------
    >>> import cachestats as cs
    >>> ds = cs.example_dataset()
    >>> cells = cs.coverage(ds, rows="package", columns="target")
    >>> cells.filter(package="hdf5").rows()
    [('hdf5', 'aarch64', 1), ('hdf5', 'x86_64_v3', 6)]
    >>> cs.coverage(ds, rows=["hdf5+fortran", "hdf5~fortran"], columns="target").rows()
    [('hdf5+fortran', 'x86_64_v3', 6), ('hdf5~fortran', 'aarch64', 1)]
    """
    row_axis, column_axis = as_axis(rows, AXES, "rows"), as_axis(columns, AXES, "columns")
    found = _checked(specs, row_axis, column_axis, measure, denominator, union, usable)
    row, column = column_of(row_axis), column_of(column_axis)
    if usable:
        # Imported here, as what decides on reuse takes long to import.
        from cachestats.analysis.usable_coverage import usable_cells

        return usable_cells(found, row, host, spack)
    if host or spack:
        raise ArgumentError("expected a host or rules only with usable, found them without it", hint="add usable=True")
    cells = found.count(row, column, of=["snapshot", "hash"] if measure == "specs" else ["package"])
    if measure == "share":
        cells = _share(cells, found, [row] if denominator == "row" else [column] if denominator == "column" else [])
    return cells.sort(row, column, nulls_last=True)


def coverage_matrix(
    specs: SpecsLike,
    *,
    rows: Axis | str | Sequence[str],
    columns: Axis | str | Sequence[str],
    measure: Measure = "specs",
    denominator: Denominator = "row",
    union: bool = False,
    usable: bool = False,
    host: Host | str | None = None,
    spack: str | None = None,
) -> CoverageMatrix:
    """Return `coverage` as a matrix, with zeros written out.

    Parameters
    ----------
    specs, rows, columns, measure, denominator, union, usable, host, spack
        As in `coverage`.

    Returns
    -------
    polars.DataFrame
        A column named by `rows` with the row names (String), and a column for each name on the other axis with the
        values of `coverage`. Both axes are in natural order: targets by family and then by ancestry, snapshots by date
        with `develop` last, and everything else by name with numbers in numeric order. A missing compiler or stack is
        called `none`.

    Raises
    ------
    ArgumentError, ExpressionError
        As in `coverage`.

    Examples
    --------
    >>> import cachestats as cs
    >>> subset = cs.example_dataset().newest.where(package=["hdf5", "mpich", "zlib-ng"])
    >>> cs.coverage_matrix(subset, rows="package", columns="stack")
    shape: (3, 4)
    ┌─────────┬─────┬───────────────────────┬─────────┐
    │ package ┆ e4s ┆ ml-darwin-aarch64-mps ┆ radiuss │
    │ ---     ┆ --- ┆ ---                   ┆ ---     │
    │ str     ┆ i64 ┆ i64                   ┆ i64     │
    ╞═════════╪═════╪═══════════════════════╪═════════╡
    │ hdf5    ┆ 6   ┆ 1                     ┆ 0       │
    │ mpich   ┆ 5   ┆ 1                     ┆ 0       │
    │ zlib-ng ┆ 2   ┆ 1                     ┆ 2       │
    └─────────┴─────┴───────────────────────┴─────────┘
    """
    cells = coverage(
        specs,
        rows=rows,
        columns=columns,
        measure=measure,
        denominator=denominator,
        union=union,
        usable=usable,
        host=host,
        spack=spack,
    )
    row, column, _ = cells.columns
    for axis in (row, column):
        cells = cells.with_columns(pl.col(axis).fill_null(_unused("none", cells[axis])))
    row_names, column_names = _in_order(cells[row], rows), _in_order(cells[column], columns)
    zero = 0.0 if measure == "share" else 0
    values = {cell[:2]: cell[2] for cell in cells.iter_rows()}
    matrix = CoverageMatrix(
        {row: row_names}
        | {
            # A package may have the same name as the row axis.
            (name if name != row else _unused(f"{name} ({column})", column_names)): [
                values.get((one, name), zero) for one in row_names
            ]
            for name in column_names
        },
        schema_overrides={row: pl.String},
    )
    matrix.column_axis, matrix.measure = column, None if usable else measure
    matrix.whole = denominator if measure == "share" else None
    matrix.snapshots = _snapshots(specs, every_snapshot="snapshot" in (rows, columns))
    return matrix


def _in_order(names: pl.Series, axis: str | Sequence[str]) -> list[str]:
    """Return the distinct names on an axis in the natural order; of a list of expressions all in their own."""
    if not isinstance(axis, str):
        return list(axis)
    return sorted(names.unique(), key=_ORDER.get(axis, natural_key))


def _unused(name: str, names: Collection[str] | pl.Series) -> str:
    """Return the name, in as many parentheses as it takes to differ from all `names`."""
    while name in names:
        name = f"({name})"
    return name


def _checked(
    specs: SpecsLike, rows: AnyAxis, columns: AnyAxis, measure: str, denominator: str, union: bool, usable: bool
) -> SpecRows:
    check_choice(measure, MEASURES, "measure")
    check_choice(denominator, DENOMINATORS, "denominator")
    if column_of(rows) == column_of(columns):
        twice = repr(rows) if isinstance(rows, str) else "two of the same kind"
        raise ArgumentError(f"expected two different axes, found {twice} twice", hint="choose another one for columns")
    if usable and (columns != "target" or measure != "specs"):
        raise ArgumentError(
            f"expected target as columns and no measure together with usable, found {columns} and {measure}",
            hint="leave out usable, or use target as columns without a measure",
        )
    counted = (
        ("platform", "os", "requirement") if usable else ("snapshot", "hash") if measure == "specs" else ("package",)
    )
    return spec_rows(specs, {rows, columns, *counted}, union=union, every_snapshot="snapshot" in (rows, columns))


def _share(cells: pl.DataFrame, specs: SpecRows, by: list[str]) -> pl.DataFrame:
    whole = specs.count(*by, of=["package"]).rename({"value": "whole"})
    joined = cells.join(whole, on=by, how="left", nulls_equal=True) if by else cells.join(whole, how="cross")
    return joined.with_columns(value=pl.col("value") / pl.col("whole")).drop("whole")


def _snapshots(specs: SpecsLike, *, every_snapshot: bool) -> tuple[str, ...]:
    if isinstance(specs, Dataset | Subset):
        return chosen(specs, every_snapshot=every_snapshot).snapshots or ()
    if "snapshot" not in validated(specs, ()).collect_schema().names():
        return ()
    # The specs of an environment belong to no snapshot.
    names = collect_small(validated(specs, ["snapshot"]).select("snapshot").drop_nulls().unique())["snapshot"]
    return tuple(sorted(names, key=snapshot_order))
