"""Holes: cached specs whose link or run dependencies are not in the cache."""

from __future__ import annotations

from collections.abc import Collection
from itertools import count
from typing import NamedTuple

import polars as pl

from cachestats.analysis.edges import specs_and_edges
from cachestats.analysis.frames import check_choice
from cachestats.analysis.spec_rows import SpecRows, SpecsLike
from cachestats.axes import HOLE_ROWS, HoleRow
from cachestats.dataset.levels import levels
from cachestats.schema import DepType

_COLUMNS = {
    "spec": ("snapshot", "package", "version", "hash", "missing", "missing_package", "missing_hash", "chain"),
    "missing": ("snapshot", "package", "hash", "direct", "breaks"),
}
_COUNTS = {"missing", "direct", "breaks"}


def holes(
    specs: SpecsLike,
    dependencies: SpecsLike | None = None,
    *,
    by: HoleRow = "spec",
    deptypes: Collection[DepType] = ("link", "run"),
) -> pl.DataFrame:
    """Find cached specs that cannot be installed from the cache alone, and their missing dependencies.

    To install a spec, Spack needs its link and run dependencies and, in turn, theirs; dependencies that served only to
    build or test it are no longer needed. A dependency that is neither in the cache of the snapshot nor external is
    missing and breaks every spec that depends on it: Spack would have to build something from source even though the
    spec's own binary is there. The dependencies of a missing spec are not known.

    Parameters
    ----------
    specs
        A dataset, a subset of one, or any lazy or eager frame that narwhals supports, with the columns `snapshot`,
        `hash`, `package`, `version` and `spec_format` of the table `specs`. It should contain all specs of its
        snapshots: a spec that was filtered out counts as missing. A dataset stands for its newest snapshot.
    dependencies
        The dataset (the default if `specs` is of one), or its table `dependencies` as a frame of the same kind. The
        frame's own engine finds the missing ones; edges are collected only for snapshots that have any, to follow them
        upwards.
    by
        `spec`: a row for each broken spec. `missing`: a row for each missing spec.
    deptypes
        The types of dependencies to consider: some of `build`, `link`, `run` and `test`. With `build`, a spec is also
        broken if the cache does not contain everything required to build it again.

    Returns
    -------
    polars.DataFrame
        By `spec`, one row per broken spec, sorted by package, version, snapshot and hash:

        - `snapshot`, `package`, `version`, `hash` (String): the broken spec.
        - `missing` (Int64): the number of specs missing below it.
        - `missing_package`, `missing_hash` (String): the nearest of these, or the one with the smallest hash among
          equally near ones. The package is null if no source names it.
        - `chain` (String): the path to it as `package/hash > package/hash`, with hashes shortened to seven characters,
          as Spack does.

        By `missing`, one row per missing spec, sorted by `breaks` in descending order:

        - `snapshot`, `package`, `hash` (String): the missing spec.
        - `direct` (Int64): the number of cached specs that need it directly.
        - `breaks` (Int64): the number that need it directly or indirectly.

    Raises
    ------
    ArgumentError
        If the dependencies of a spec are not known, for example because it was read from a page; if `by` or one of
        `deptypes` is not one of these; or if a frame lacks a column or is of another kind.

    Examples
    --------
    >>> import cachestats as cs
    >>> ds = cs.example_dataset()
    >>> cs.holes(ds).height
    0
    >>> missing = cs.holes(ds, by="missing", deptypes=["build", "link", "run"])  # what building again would lack
    >>> missing.select("package", "direct", "breaks").rows()[:3]
    [('gmake', 24, 24), ('m4', 4, 13), ('util-macros', 1, 12)]
    >>> specs = cs.holes(ds.specs.filter(package="hdf5"), ds.dependencies)  # as if nothing else were cached
    >>> specs.select("version", "missing", "chain").row(0)
    ('1.14.3', 4, 'hdf5/5oasanf > zlib-ng/54554gr')
    """
    check_choice(by, HOLE_ROWS, "by")
    return _answer(_search(specs, dependencies, deptypes), by)


def broken_and_missing(
    specs: SpecsLike,
    dependencies: SpecsLike | None = None,
    *,
    deptypes: Collection[DepType] = ("link", "run"),
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return both answers of `holes` from one search: the broken specs, and those that are missing.

    Raises
    ------
    ArgumentError
        As `holes`.
    """
    found = _search(specs, dependencies, deptypes)
    return _answer(found, "spec"), _answer(found, "missing")


class _Search(NamedTuple):
    """What is missing, and the way up from it to every spec that it breaks. Specs are numbers, by snapshot and hash."""

    named: pl.DataFrame
    """The broken specs: `node`, `snapshot`, `hash`, `package` and `version`."""
    absent: pl.DataFrame
    """The missing specs: `node`, `snapshot`, `hash`, `package`, and `direct`, the number of specs that need it."""
    pairs: pl.DataFrame
    """A broken spec `node`, one that is `missing` below it, its `distance`, and `below`, the next one on the path."""


def _search(specs: SpecsLike, dependencies: SpecsLike | None, deptypes: Collection[DepType]) -> _Search | None:
    """Follow the edges up from what is missing; return None if nothing is."""
    columns = ("snapshot", "hash", "package", "version")
    edge_columns = ("hash", "dependency_hash", "dependency_package", "is_external")
    rows, edges = specs_and_edges(specs, columns, dependencies, edge_columns, deptypes)
    cached = rows.frame.select("snapshot", "hash", "package", "version")
    needs = edges.filter(~rows.api.col("is_external").fill_null(False))
    key, below = rows.spec_key, [*rows.spec_key[:-1], "dependency_hash"]
    is_absent = needs.join(cached.rename({"hash": "dependency_hash"}).select(*below), on=below, how="anti")
    missing = rows.collect_codes(
        is_absent.select("snapshot", "hash", "dependency_hash", "dependency_package").join(
            cached.select(*key), on=key, how="semi"
        )
    )
    if missing.is_empty():
        return None
    broken = rows.api.col("snapshot").is_in(missing["snapshot"].unique().to_list())
    needs = needs.select("snapshot", "hash", "dependency_hash").join(cached.select(*key), on=key, how="semi")
    cached = cached if rows.has_row_per_spec else cached.unique()
    return _follow(rows, missing, rows.collect_codes(needs.filter(broken)), rows.collect_codes(cached.filter(broken)))


def _follow(rows: SpecRows, missing: pl.DataFrame, needs: pl.DataFrame, cached: pl.DataFrame) -> _Search:
    """Follow the edges upwards from the missing specs, in each snapshot."""
    absent = (
        missing.group_by("snapshot", "dependency_hash")
        .agg(pl.col("dependency_package").min(), direct=pl.col("hash").n_unique().cast(pl.Int64))
        .rename({"dependency_hash": "hash"})
    )
    numbered, pairs, offset = [], [], 0
    # One snapshot at a time, a spec is told by its hash alone, and joins by one column take half as long.
    for (snapshot,), lost in absent.partition_by("snapshot", as_dict=True).items():
        here = needs.filter(snapshot=snapshot).select("hash", "dependency_hash")
        edges = pl.concat(levels(lost["hash"], here))
        # There may be millions of pairs of a spec and a missing dependency. Numbering specs in the order of their
        # hashes reduces a pair to a few bytes.
        ends = pl.concat([edges["hash"], lost["hash"]]).unique().sort()
        nodes = pl.DataFrame({"hash": ends}).with_row_index("node", offset)
        offset += nodes.height
        below = nodes.rename({"hash": "dependency_hash", "node": "below"})
        links = edges.join(nodes, on="hash").join(below, on="dependency_hash").select("node", "below")
        numbered.append(nodes.with_columns(snapshot=pl.lit(snapshot, absent.schema["snapshot"])))
        pairs.append(_pairs(links, lost.join(nodes, on="hash")["node"]))
    nodes = pl.concat(numbered)
    # A missing package may have no cached spec at all, so that only the edges to it name it.
    return _Search(
        rows.named(nodes.join(cached, on=["snapshot", "hash"])),
        rows.named(absent.join(nodes, on=["snapshot", "hash"])).rename({"dependency_package": "package"}),
        pl.concat(pairs),
    )


def _answer(search: _Search | None, by: HoleRow) -> pl.DataFrame:
    """Return what was found as `holes` returns it."""
    if search is None:
        return pl.DataFrame(schema={name: pl.Int64 if name in _COUNTS else pl.String for name in _COLUMNS[by]})
    named, absent, pairs = search
    if by == "missing":
        breaks = pairs.group_by("missing").agg(breaks=pl.len().cast(pl.Int64))
        found = absent.join(breaks, left_on="node", right_on="missing")
        order = {"breaks": True, "direct": True, "snapshot": False, "package": False, "hash": False}
        return found.select(_COLUMNS[by]).sort(*order, descending=[*order.values()])
    counts = pairs.group_by("node").agg(number=pl.len().cast(pl.Int64))
    nearest = pairs.sort("node", "distance", "missing").unique("node", keep="first").join(named, on="node")
    lost = absent.select("node", missing="node", missing_package="package", missing_hash="hash", chain=_label())
    return (
        _with_chains(nearest, lost.select(below="node", chain="chain"))
        .join(lost.drop("node", "chain"), on="missing")
        .drop("missing")
        .join(counts, on="node")
        .rename({"number": "missing"})
        .select(_COLUMNS[by])
        .sort("package", "version", "snapshot", "hash")
    )


def _with_chains(nearest: pl.DataFrame, chains: pl.DataFrame) -> pl.DataFrame:
    """Add to each spec the chain down to its nearest missing one, given those of the missing ones by `below`."""
    parts = []
    for level in nearest.sort("distance").partition_by("distance", maintain_order=True):
        # The nearest one of the next spec on the path is the same, so that its chain was made just before.
        parts.append(
            level.join(chains, on="below").with_columns(chain=pl.concat_str(_label(), pl.lit(" > "), pl.col("chain")))
        )
        chains = parts[-1].select("chain", below="node")
    return pl.concat(parts)


def _pairs(links: pl.DataFrame, absent: pl.Series) -> pl.DataFrame:
    """Pair every spec with each spec missing below it, with the distance and the next spec on the path to it."""
    step = pl.DataFrame({"node": absent, "missing": absent})
    pairs = []
    seen = step
    for distance in count(1):
        step = (
            links.join(step, left_on="below", right_on="node")
            .join(seen, on=["node", "missing"], how="anti")
            .group_by("node", "missing")
            .agg(pl.col("below").min())
            .with_columns(distance=pl.lit(distance, pl.Int32))
        )
        pairs.append(step)
        if step.is_empty():
            break
        seen = pl.concat([seen, step.select("node", "missing")])
    return pl.concat(pairs)


def _label() -> pl.Expr:
    return pl.concat_str(pl.col("package").fill_null(""), pl.lit("/"), pl.col("hash").str.slice(0, 7))
