"""Gaps: packages that are missing in a column, and the number of packages that depend on them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from cachestats.analysis.frames import check_choice
from cachestats.analysis.spec_rows import SpecsLike, spec_rows
from cachestats.axes import GAP_AXES, GapAxis
from cachestats.errors import ArgumentError

if TYPE_CHECKING:
    from cachestats.hosts import Host


def gaps(
    specs: SpecsLike,
    *,
    by: GapAxis,
    packages: Iterable[str] | None = None,
    dependencies: SpecsLike | None = None,
    union: bool = False,
    host: Host | str | None = None,
    spack: str | None = None,
) -> pl.DataFrame:
    """Find the packages that one stack, target, ... lacks and another has, those that most packages need first.

    Parameters
    ----------
    specs
        A dataset, a subset of one, or any frame that narwhals supports, with the column `package` of the table `specs`
        and the one that `by` names, and with `dependencies` also `snapshot` and `hash`. The frame's own engine
        finds the distinct pairs. A dataset stands for its newest snapshot, or for all of them if `by` is snapshot.
    by
        The axis to compare: stack, target, os, snapshot, version, platform, compiler or compiler_name.
    packages
        Names of the packages to look for, including any that are not in `specs`; by default all packages in `specs`.
    dependencies
        The dataset, or its table `dependencies` as a frame of the same kind as `specs`, by which gaps are weighted.
        Snapshots read from pages have no dependencies. Each distinct edge between two specs in the snapshots of `specs`
        is collected.
    union
        Keep `root`, the union of the stacks, if `by` is `stack`.
    host
        Count only specs that this host can reuse, as in `usable`; `specs` then needs the column `requirement`. A
        package that only another host could use is a gap. Packages that Spack never reuses, such as
        `compiler-wrapper`, are left out.
    spack
        With `host`, the Spack version whose reuse rules apply, as in `usable`.

    Returns
    -------
    polars.DataFrame
        One row per gap. Sorted by `<by>`, null last, then by `num_dependents`, `num_direct_dependents` and
        `num_columns` in descending order, then by package:

        - `<by>` (String): the stack, target, ... that lacks the package.
        - `package` (String): the package.
        - `num_columns` (Int64): the number of stacks, targets, ... that have it.
        - `num_direct_dependents`, `num_dependents` (Int64): the number of other packages with a spec in `specs` that
          depends on it, directly or at any distance, to build, link, run or test; null if `dependencies` has no rows
          for these snapshots.

    Raises
    ------
    ArgumentError
        If `by` is not one of these, `packages` is empty or not a list of names, a frame lacks a column, the frames
        are of different kinds, or the dependencies form a cycle.

    Examples
    --------
    >>> import cachestats as cs
    >>> ds = cs.example_dataset()
    >>> found = cs.gaps(ds, by="target", dependencies=ds)
    >>> found.select("target", "package", "num_dependents").rows()[:3]
    [('aarch64', 'gcc-runtime', 10), ('aarch64', 'libpciaccess', 2), ('x86_64_v3', 'ncurses', 3)]
    """
    cells = _cells(specs, by, packages, union, host, spack)
    return _gaps(cells, by, _weights(specs, by, dependencies))


def gaps_and_coverage(
    specs: SpecsLike,
    *,
    by: GapAxis,
    packages: Iterable[str] | None = None,
    dependencies: SpecsLike | None = None,
    union: bool = False,
    host: Host | str | None = None,
    spack: str | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the results of `gaps` and of `column_coverage`, which count the same cells.

    Raises
    ------
    ArgumentError
        As `gaps`.
    """
    cells = _cells(specs, by, packages, union, host, spack)
    return _gaps(cells, by, _weights(specs, by, dependencies)), _column_coverage(cells, by)


def gaps_by_weight(specs: SpecsLike, *, by: GapAxis, weights: pl.DataFrame | None) -> pl.DataFrame:
    """Return the result of `gaps` for dependents that were counted before; None if no dependencies are known.

    Raises
    ------
    ArgumentError
        As `gaps`.
    """
    return _gaps(_cells(specs, by, None, False, None, None), by, weights)


def _weights(specs: SpecsLike, by: str, dependencies: SpecsLike | None) -> pl.DataFrame | None:
    """Count the dependents of each package; None if no dependencies are known."""
    if dependencies is None:
        return None
    # Imported here, because NumPy takes as long to import as small questions take to answer.
    from cachestats.analysis.dependent_packages import count_dependents

    return count_dependents(specs, dependencies, every_snapshot=by == "snapshot")


def _gaps(found: _Cells, by: str, dependents: pl.DataFrame | None) -> pl.DataFrame:
    cells, packages, names = found
    wide = cells.group_by("package").agg(num_columns=pl.len().cast(pl.Int64))
    missing = (
        names.join(packages, how="cross")
        .join(cells, on=[by, "package"], how="anti", nulls_equal=True)
        .join(wide, on="package", how="left")
        .with_columns(pl.col("num_columns").fill_null(0))
    )
    weights = ("num_direct_dependents", "num_dependents")
    if dependents is None:
        weighed = missing.with_columns(pl.lit(None, pl.Int64).alias(weight) for weight in weights)
    else:
        weighed = missing.join(dependents.select("package", *weights), on="package", how="left").with_columns(
            pl.col(weights).fill_null(0)
        )
    return weighed.sort(
        by,
        *(-pl.col(weight) for weight in ("num_dependents", "num_direct_dependents", "num_columns")),
        "package",
        nulls_last=True,
    )


def column_coverage(
    specs: SpecsLike,
    *,
    by: GapAxis,
    packages: Iterable[str] | None = None,
    union: bool = False,
    host: Host | str | None = None,
    spack: str | None = None,
) -> pl.DataFrame:
    """Count the packages that each stack, target, ... has, and those that it lacks.

    Parameters
    ----------
    specs, by, packages, union, host, spack
        As in `gaps`.

    Returns
    -------
    polars.DataFrame
        One row per stack, target, ..., sorted by `share` in ascending order, then by name, null last:

        - `<by>` (String): the stack, target, ...
        - `num_packages` (Int64): the packages looked for that it has.
        - `num_gaps` (Int64): those that it lacks.
        - `share` (Float64, from 0 to 1): `num_packages` divided by the sum of both.

    Raises
    ------
    ArgumentError
        As in `gaps`.

    Examples
    --------
    >>> import cachestats as cs
    >>> cs.column_coverage(cs.example_dataset(), by="stack").select("stack", "num_packages", "num_gaps").rows()
    [('radiuss', 2, 11), ('e4s', 11, 2), ('ml-darwin-aarch64-mps', 11, 2)]
    """
    return _column_coverage(_cells(specs, by, packages, union, host, spack), by)


def _column_coverage(found: _Cells, by: str) -> pl.DataFrame:
    cells, packages, names = found
    has = pl.col("package").is_in(packages["package"].to_list()).sum().cast(pl.Int64)
    return (
        names.join(cells, on=by, how="left", nulls_equal=True)
        .group_by(by)
        .agg(num_packages=has, num_gaps=packages.height - has)
        # Divide by a column: Polars divides by a constant by multiplying with its inverse, which makes 49 of 49 less
        # than 1.
        .with_columns(share=pl.col("num_packages") / (pl.col("num_packages") + pl.col("num_gaps")))
        .sort("share", by, nulls_last=True)
    )


class _Cells(NamedTuple):
    """What gaps and coverage are counted from."""

    cells: pl.DataFrame
    packages: pl.DataFrame
    columns: pl.DataFrame


def _cells(
    specs: SpecsLike,
    by: str,
    packages: Iterable[str] | None,
    union: bool,
    host: Host | str | None,
    spack: str | None,
) -> _Cells:
    """Find the distinct pairs of a column and a package, the packages in question, and the columns."""
    check_choice(by, GAP_AXES, "by")
    if spack and host is None:
        raise ArgumentError("expected reuse rules only with a host, found them without one", hint="add host=...")
    needed = (by, "package", *(["requirement"] if host is not None else []))
    rows = spec_rows(specs, needed, union=union, every_snapshot=by == "snapshot")
    if host is None:
        every = cells = rows.distinct(by, "package")
    else:
        # Imported here, as what decides on reuse takes long to import.
        from cachestats.analysis.reuse import reused_of
        from cachestats.analysis.usable import judged
        from cachestats.hosts import as_host

        verdicts = judged(rows, as_host(host), spack)
        excluded = verdicts.filter(pl.col("status") == "excluded")["requirement"]
        rows = rows.filter(~rows.is_in("requirement", excluded))
        every = rows.distinct(by, "package")
        cells = rows.filter(rows.is_in("requirement", reused_of(verdicts))).distinct(by, "package")
    names = every.select(by).unique()
    if packages is None:
        return _Cells(cells, every.select("package").unique(), names)
    asked = [packages] if isinstance(packages, str) else list(packages)
    if isinstance(packages, str) or not asked or not all(isinstance(name, str) for name in asked):
        raise ArgumentError(
            f"expected a list of at least one package as packages, found {packages!r}",
            hint="pass names such as ['zlib-ng', 'hdf5']",
        )
    return _Cells(cells, pl.DataFrame({"package": asked}).unique(), names)
