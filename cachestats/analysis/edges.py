"""Edges: the dependencies between specs that a question follows, and the way from specs up to those that need them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from functools import reduce
from operator import or_

import polars as pl

from cachestats.analysis.frame_source import FrameSource
from cachestats.analysis.frames import LazyFrame, check_choice, without_union
from cachestats.analysis.spec_rows import (
    SpecRows,
    SpecsLike,
    frame_of_dependencies,
    frame_of_specs,
    spec_and_edge_rows,
    spec_rows,
)
from cachestats.dataset.dataset import Dataset
from cachestats.dataset.expressions import Alternatives, EncodedSource, SpecSource, check_names, nodes_satisfying
from cachestats.dataset.subset import Subset
from cachestats.errors import ArgumentError
from cachestats.expressions.syntax import Expression
from cachestats.naming import snapshot_order
from cachestats.schema import DEPTYPES, DepType
from cachestats.text import counted, nearest


def specs_and_edges(
    specs: SpecsLike,
    columns: Iterable[str],
    dependencies: SpecsLike | None,
    edge_columns: Iterable[str],
    deptypes: Collection[DepType],
    *,
    every_snapshot: bool = False,
) -> tuple[SpecRows, LazyFrame]:
    """Return specs whose dependencies are known, and the edges of some types between them, in the same form.

    Parameters
    ----------
    specs, columns, every_snapshot
        As in `spec_rows`. There are also the columns `snapshot` and `spec_format`.
    dependencies
        As in `spec_and_edge_rows`; by default those of the dataset.
    edge_columns
        Columns of the table `dependencies`. There are also `snapshot` and those of the types.
    deptypes
        The types of dependencies to follow.

    Raises
    ------
    ArgumentError
        If the dependencies of a spec are not known, there is no such type, or a frame lacks a column or is of another
        kind.
    """
    if not deptypes or isinstance(deptypes, str):
        raise ArgumentError(
            f"expected some of {', '.join(DEPTYPES)}, found {deptypes!r}", hint="such as ['link', 'run']"
        )
    for deptype in deptypes:
        check_choice(deptype, DEPTYPES, "a type of dependency")
    needed = [f"is_{deptype}" for deptype in deptypes]
    rows, edges = spec_and_edge_rows(
        specs,
        dict.fromkeys((*columns, "snapshot", "spec_format")),
        _dependencies_of(specs, dependencies),
        dict.fromkeys((*edge_columns, "snapshot", *needed)),
        every_snapshot=every_snapshot,
    )
    _check_known(rows)
    if rows.subset is None:
        edges = edges.join(rows.frame.select("snapshot").unique(), on="snapshot", how="semi")
    return rows, edges.filter(reduce(or_, map(rows.api.col, needed)))


def _dependencies_of(specs: SpecsLike, dependencies: SpecsLike | None) -> SpecsLike:
    """Return the dependencies to follow: those of the dataset itself, if none are given."""
    if dependencies is not None:
        return dependencies
    if not isinstance(specs, Dataset | Subset):
        raise ArgumentError(
            "expected dependencies of the specs, found none", hint="pass the table too, or the dataset in place of both"
        )
    return specs


def _check_known(rows: SpecRows) -> None:
    """Refuse specs that were read from pages: what they depend on is unknown."""
    of_pages = rows.filter(rows.api.col("spec_format").is_null()).distinct("snapshot")
    if unknown := sorted(of_pages["snapshot"], key=snapshot_order):
        names = ", ".join(unknown[:3]) + (f" and {len(unknown) - 3} more" if len(unknown) > 3 else "")
        raise ArgumentError(
            f"expected the dependencies of every snapshot, found none for {names}: the site's pages lack them",
            hint="build the dataset from the indices of the build cache, or leave these snapshots out",
        )


def whole(rows: SpecRows, *columns: str) -> SpecRows:
    """Return all specs of the snapshots, if filters left some out: a dependency may be any of them."""
    if rows.subset is None or rows.subset.is_whole:
        return rows
    return spec_rows(rows.subset.whole, columns)


def of_stacks(rows: SpecRows, union: bool) -> SpecRows:
    """Return the rows to count by stack: with those of `root` only if it is to be a stack."""
    if rows.subset is None:
        return rows if union else replace(rows, frame=without_union(rows.frame))
    return replace(rows, union=rows.union or union)


def specs_meant(
    spec: str, rows: SpecRows, edges: pl.DataFrame, specs: SpecsLike, dependencies: SpecsLike | None
) -> pl.Series:
    """Return the specs that a package or a spec expression means, cached or not, as hashes in the form of the rows.

    Parameters
    ----------
    spec
        The name of a package, or a spec expression.
    rows
        All specs among which to look, with the columns `hash` and `package`.
    edges
        The edges between them, with `dependency_hash` and `dependency_package`: only these name what is not cached.
    specs, dependencies
        What rows and edges were made of, where expressions find the other columns.

    Raises
    ------
    ExpressionError
        If it is neither.
    ArgumentError
        If there is no such package, or an expression names a package, variant, ... that no spec has.
    """
    cached = rows.collect_codes(rows.filter(rows.is_in("package", [spec])).frame.select("hash"))
    is_named = edges["dependency_package"].is_in(rows.keys("dependency_package", [spec]))
    found = pl.concat([cached["hash"], edges.filter(is_named)["dependency_hash"]]).unique()
    if not found.is_empty():
        return found
    wanted = Alternatives.parse(spec)
    if wanted.included == (Expression(name=spec),):
        needed = rows.named(edges.select("dependency_package").unique())["dependency_package"].drop_nulls()
        # Without specs there is nothing to compare a name with.
        if there := sorted({*filter(None, rows.names("package")), *needed}):
            near = nearest([spec], there)
            raise ArgumentError(
                f"expected a package of the specs or of their dependencies, found {spec!r}",
                hint=f"try {', '.join(near)}" if near else f"there are {counted(len(there), 'other package')}",
            )
        return found
    source = _source(rows, specs, dependencies)
    check_names([source], wanted)
    return nodes_satisfying(source, wanted)


def _source(rows: SpecRows, specs: SpecsLike, dependencies: SpecsLike | None) -> SpecSource:
    """Return the specs and edges of a question, without its filters, as expressions look at them."""
    if rows.subset is not None:
        return EncodedSource(rows.subset.dataset, rows.subset.names)
    frames = (specs, _dependencies_of(specs, dependencies))
    return FrameSource.collect(frame_of_specs(frames[0]), frame_of_dependencies(frames[1]))
