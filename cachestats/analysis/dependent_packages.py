"""What depends on each package, counted for all packages at once, and what each needs directly."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from cachestats.analysis.frames import LazyFrame, refuse_cycle
from cachestats.analysis.spec_rows import SpecRows, SpecsLike, spec_and_edge_rows

Numbers = npt.NDArray[np.int64]
Sets = npt.NDArray[np.uint64]

_BITS = 64
"""The number of packages in a word of a set: unions of words take a fraction of the time of unions of bytes."""
_SETS_AT_ONCE = 4096


class Needs(NamedTuple):
    """What packages need, and what needs them."""

    dependents: pl.DataFrame
    """`package`; `num_direct_dependents` and `num_dependents`, the other packages with a spec that depends on it,
    directly or at any distance; and `num_dependent_specs`, the specs of others that depend on it at any distance."""
    direct: pl.DataFrame
    """`package`; `needed`, another package on which it depends directly; and `num_specs`, how many of its specs do."""


class _Graph(NamedTuple):
    """The distinct specs of a question, `hash` and `package`, and edges: `hash`, `dependency_hash` and `needed`."""

    rows: SpecRows
    specs: LazyFrame
    edges: LazyFrame


def count_dependents(specs: SpecsLike, dependencies: SpecsLike, *, every_snapshot: bool = False) -> pl.DataFrame | None:
    """Count, for each package, the others that have a spec depending on it; None if no dependencies are known.

    Returns
    -------
    polars.DataFrame or None
        The columns `package`, `num_direct_dependents` and `num_dependents`, as in `Needs`.

    Raises
    ------
    ArgumentError
        If a frame lacks a column or is of another kind, or the dependencies form a cycle.
    """
    graph = _graph(specs, dependencies, every_snapshot=every_snapshot)
    if graph is None:
        return None
    rows, specs_of, edges = graph
    pairs = specs_of.join(edges, on="hash").select("package", "needed").unique()
    pairs = pairs.filter(rows.api.col("package") != rows.api.col("needed"))
    direct = rows.collect_codes(pairs.group_by("needed").agg(num_direct_dependents=rows.api.len()))
    return _named(rows, direct, _count(rows.collect_codes(specs_of), rows.collect_codes(edges), rows))


def count_needs(specs: SpecsLike, dependencies: SpecsLike) -> Needs | None:
    """Return what packages need, and what needs them; None if no dependencies are known.

    Raises
    ------
    ArgumentError
        As `count_dependents`.
    """
    graph = _graph(specs, dependencies, every_snapshot=False)
    if graph is None:
        return None
    rows, specs_of, edges = graph.rows, *map(graph.rows.collect_codes, graph[1:])
    needs = specs_of.join(edges, on="hash").select("hash", "package", "needed").unique()
    needs = needs.filter(pl.col("package") != pl.col("needed")).group_by("package", "needed").len("num_specs")
    direct = needs.group_by("needed").agg(num_direct_dependents=pl.len().cast(pl.Int64))
    every = _count(specs_of, edges, rows, of_specs=True)
    # What is needed may have no cached spec.
    named = rows.named(needs.rename({"needed": "dependency_package"})).rename({"dependency_package": "needed"})
    return Needs(_named(rows, direct, every), named.with_columns(pl.col("num_specs").cast(pl.Int64)))


def _graph(specs: SpecsLike, dependencies: SpecsLike, *, every_snapshot: bool) -> _Graph | None:
    columns = ("snapshot", "hash", "dependency_hash", "dependency_package")
    rows, edges = spec_and_edge_rows(
        specs, ("snapshot", "hash", "package"), dependencies, columns, every_snapshot=every_snapshot
    )
    frame = rows.frame
    # A hash determines a spec and all its dependencies, in any snapshot.
    edges = edges.join(frame.select("snapshot").unique(), on="snapshot", how="semi")
    if rows.collect_codes(edges.select("snapshot").head(1)).is_empty():
        return None
    edges = edges.select("hash", "dependency_hash", "dependency_package").unique()
    specs_of = frame.select("hash", "package").unique()
    # An index may omit the package of a dependency that another index, or the specs themselves, provide.
    named = edges.select("dependency_hash", needed="dependency_package")
    named = rows.api.concat([named, specs_of.select(dependency_hash="hash", needed="package")])
    named = named.filter(~rows.api.col("needed").is_null()).unique()
    edges = edges.select("hash", "dependency_hash").unique().join(named, on="dependency_hash", how="left")
    return _Graph(rows, specs_of, edges.select("hash", "dependency_hash", "needed"))


def _named(rows: SpecRows, direct: pl.DataFrame, every: pl.DataFrame) -> pl.DataFrame:
    """Return the counts of each package with its name."""
    joined = every.join(direct.rename({"needed": "package"}), on="package", how="left")
    # A package that has no cached spec is named by the edges that lead to it, one that nobody needs by its specs.
    counts = rows.named(joined.with_columns(dependency_package="package"))
    return counts.select(
        pl.coalesce("package", "dependency_package"),
        pl.col("num_direct_dependents").fill_null(0),
        *every.columns[1:],
    )


def _count(specs_of: pl.DataFrame, edges: pl.DataFrame, rows: SpecRows, *, of_specs: bool = False) -> pl.DataFrame:
    """Count, for each package, the others that have a spec depending on it at any distance, and also these specs.

    Dependencies are followed from spec to spec. Following them from package to package would be less work, but wrong:
    if a spec of one package needs a second package, and a spec of the second needs a third, the first does not
    necessarily need the third. (Measured: it gives a tenth more pairs, and many times as many for some packages.)
    """
    below = edges.select("needed", hash="dependency_hash")
    named = pl.concat([specs_of.select("hash", "package"), below.select("hash", package="needed")]).unique()
    named = named.drop_nulls()
    specs = pl.concat([named["hash"], edges["hash"], edges["dependency_hash"]]).unique()
    packages = named["package"].unique()
    # A graph library would walk from each spec by itself. Here sets of packages are rows of bits, and all specs of a
    # level get theirs at once: a snapshot has millions of edges, and Python's own sets take several times as long.
    sets = np.zeros((specs.len(), -(-packages.len() // _BITS)), np.uint64)
    own, bits = _positions(named["hash"], specs), _positions(named["package"], packages)
    np.bitwise_or.at(sets.view(np.uint8), (own, bits // 8), np.left_shift(1, bits % 8).astype(np.uint8))
    sources, ends = _positions(edges["hash"], specs), _positions(edges["dependency_hash"], specs)
    order = np.argsort(sources, kind="stable")
    _add_below(sets, sources[order], ends[order], specs, rows)

    starts, owners = _positions(specs_of["hash"], specs), _positions(specs_of["package"], packages)
    order = np.argsort(owners, kind="stable")
    needing, first = np.unique(owners[order], return_index=True)
    needs = _unpacked(_any_of(sets, starts[order], first), packages.len())
    needs[np.arange(needing.size), needing] = 0  # count other packages only
    counts = pl.DataFrame({"package": packages, "num_dependents": needs.sum(axis=0, dtype=np.int64)})
    if not of_specs:
        return counts
    parts = (sets[starts[start : start + _SETS_AT_ONCE]] for start in range(0, starts.size, _SETS_AT_ONCE))
    num_specs = sum(_unpacked(part, packages.len()).sum(axis=0, dtype=np.int64) for part in parts)
    num_own = np.bincount(owners, minlength=packages.len())
    return counts.with_columns(num_dependent_specs=pl.Series(num_specs - num_own, dtype=pl.Int64))


def _unpacked(sets: Sets, size: int) -> npt.NDArray[np.uint8]:
    """Return the bits of sets, each as a number."""
    return np.unpackbits(sets.view(np.uint8), axis=1, count=size, bitorder="little")


def _add_below(sets: Sets, sources: Numbers, ends: Numbers, specs: pl.Series, rows: SpecRows) -> None:
    """Add the sets of all its dependencies to the set of each spec; the edges are sorted by `sources`."""
    waiting = np.bincount(sources, minlength=specs.len())
    is_done = np.zeros(specs.len(), bool)
    while (level := np.flatnonzero((waiting == 0) & ~is_done)).size:
        is_new = np.zeros(specs.len(), bool)
        is_new[level] = is_done[level] = True
        of_level = is_new[sources]
        if of_level.any():
            first = np.flatnonzero(np.diff(sources[of_level], prepend=-1))
            sets[level] |= _any_of(sets, ends[of_level], first)
        waiting -= np.bincount(sources[is_new[ends]], minlength=specs.len())
    if not is_done.all():
        stuck = ~is_done[sources] & ~is_done[ends]
        refuse_cycle(rows.named(pl.DataFrame({"hash": specs[sources[stuck]], "dependency_hash": specs[ends[stuck]]})))


def _any_of(sets: Sets, rows: Numbers, first: Numbers) -> Sets:
    """Return the union of the sets for each run of `rows`; the runs begin at `first`."""
    return np.bitwise_or.reduceat(sets[rows], first, axis=0)


def _positions(values: pl.Series, among: pl.Series) -> Numbers:
    """Return the position of each value in `among`."""
    positions = pl.DataFrame({"value": among, "position": pl.arange(among.len(), eager=True)})
    return (
        pl.DataFrame({"value": values})
        .join(positions, on="value", how="left", maintain_order="left")["position"]
        .to_numpy()
    )
