"""Why a package depends on another: the shortest chains of dependencies from the specs of one to those of the other."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import polars as pl

from cachestats.analysis.edges import of_stacks, specs_and_edges, specs_meant, whole
from cachestats.analysis.spec_rows import SpecsLike
from cachestats.dataset.levels import levels
from cachestats.naming import version_key
from cachestats.schema import DEPTYPES, DepType

ARROW = " > "
_SHORT = 7
"""The number of characters to which Spack shortens hashes."""
_TYPES = {deptype: f"is_{deptype}" for deptype in DEPTYPES}
_NAMES = ("dependency_package", "dependency_version")
_SCHEMA = {
    "path": pl.String, "length": pl.Int64, "num_specs": pl.Int64, "stacks": pl.String, "example": pl.String,
    "deptypes": pl.String,
}  # fmt: skip


class ChainTotals(NamedTuple):
    """How many distinct specs a package has, and how many of them depend on another package."""

    num_direct: int
    num_specs: int
    num_all: int


def why(
    specs: SpecsLike,
    package: str,
    dependency: str,
    *,
    dependencies: SpecsLike | None = None,
    deptypes: Collection[DepType] = DEPTYPES,
    union: bool = False,
) -> pl.DataFrame:
    """Find out why a package depends on another: the shortest chains of dependencies between them.

    For each spec of the package, all chains with the fewest edges to a spec of the other package are found. Chains
    through the same packages form one row.

    Parameters
    ----------
    specs
        A dataset, a subset of one, or any lazy or eager frame that narwhals supports, with the columns `snapshot`,
        `hash`, `package`, `version`, `stack` and `spec_format` of the table `specs`. Chains begin only at these specs.
        A dataset stands for its newest snapshot.
    package
        The package at the beginning of the chains, or a spec expression, such as `hdf5+mpi`, as in `find`. An
        expression that is not just a name needs all columns of both tables.
    dependency
        The package at their end, or a spec expression. The specs at the end need not be cached; of those that are not,
        only the name, version and hash are known and, if they are externals, the variants.
    dependencies
        The dataset (the default if `specs` is of one), or its table `dependencies` as a frame of the same kind. Each
        edge in the snapshots of `specs` is collected.
    deptypes
        The types of dependencies to follow: some of `build`, `link`, `run` and `test`.
    union
        Keep `root`, the union of the stacks, among the stacks.

    Returns
    -------
    polars.DataFrame
        One row per path of packages, sorted by `length`, then by `num_specs` in descending order, then by path. If no
        spec of the package depends on the other, there are no rows:

        - `path` (String): such as `hdf5 > mpich > zlib-ng`.
        - `length` (Int64): its number of edges.
        - `num_specs` (Int64): the specs of the package whose shortest chains include one along the path.
        - `stacks` (String): their stacks, joined by commas; null if they have none.
        - `example` (String): a chain, as `package@version/hash > ...`, with hashes shortened to seven characters as
          Spack does. It begins at the newest version.
        - `deptypes` (String): the types of the edges in the example: `build,link > run`.

    Raises
    ------
    ExpressionError
        If `package` or `dependency` is neither a package nor a spec expression; the message points at the character.
    ArgumentError
        If there is no such package, or an expression names a package, variant, ... that no spec has; if the
        dependencies of a spec are not known, for example because it was read from a page; if one of `deptypes` is not
        one of these; or if a frame lacks a column or is of another kind.

    Examples
    --------
    >>> import cachestats as cs
    >>> chains = cs.why(cs.example_dataset(), "hdf5", "libxml2", deptypes=["link", "run"])
    >>> chains.select("path", "num_specs", "stacks").rows()
    [('hdf5 > mpich > libxml2', 7, 'e4s, ml-darwin-aarch64-mps')]
    >>> chains["example"].item()
    'hdf5@1.14.5/5hez3mh > mpich@3.4.3/bczp5em > libxml2@2.13.5/r3bbnyo'
    """
    return chains_and_totals(specs, package, dependency, dependencies=dependencies, deptypes=deptypes, union=union)[0]


def chains_and_totals(
    specs: SpecsLike,
    package: str,
    dependency: str,
    *,
    dependencies: SpecsLike | None = None,
    deptypes: Collection[DepType] = DEPTYPES,
    union: bool = False,
) -> tuple[pl.DataFrame, ChainTotals]:
    """Return the result of `why`, and the counts of the package's specs.

    Raises
    ------
    ArgumentError
        As `why`.
    """
    pair = ("hash", "dependency_hash")
    edge_columns = (*pair, *_NAMES, *_TYPES.values())
    rows, needs = specs_and_edges(specs, ("hash", "package", "version", "stack"), dependencies, edge_columns, deptypes)
    # A hash determines a spec and all its dependencies, in any snapshot.
    edges = rows.collect_codes(needs.select(*edge_columns))
    every = whole(rows, "hash", "package", "version")
    tops, ends = (specs_meant(one, every, edges, specs, dependencies) for one in (package, dependency))
    mine = rows.filter(rows.api.col("hash").is_in(tops.to_list()))
    starts = rows.collect_codes(mine.frame.select("hash").unique())["hash"]
    on_way = _shortest(starts, ends, edges.select(pair))
    if on_way.is_empty():
        return pl.DataFrame(schema=_SCHEMA), ChainTotals(0, 0, starts.len())
    of_chains = pl.concat([on_way["hash"], on_way["dependency_hash"]]).unique().implode()
    steps = rows.named(edges.filter(pl.col("hash").is_in(of_chains)).join(on_way, on=pair).drop(*_NAMES))
    cached = rows.collect_codes(every.frame.select("hash", "package", "version").unique())
    named = edges.filter(pl.col("dependency_hash").is_in(of_chains)).select("dependency_hash", *_NAMES).unique()
    nodes = _nodes(rows.named(cached.filter(pl.col("hash").is_in(of_chains))), rows.named(named))
    chains = _chains(steps, nodes).join(rows.named(starts.to_frame()), on="hash", how="semi")
    of_start = of_stacks(mine, union).distinct("hash", "stack").drop_nulls()
    num_direct = chains.filter(length=1)["hash"].n_unique()
    return _by_path(chains, nodes, of_start), ChainTotals(num_direct, chains["hash"].n_unique(), starts.len())


def _shortest(starts: pl.Series, ends: pl.Series, edges: pl.DataFrame) -> pl.DataFrame:
    """Return the edges of all shortest chains from each start to an end, and the `length` of the chain from each."""
    steps, reached, waiting = [], starts.clear(), starts
    for length, above in enumerate(levels(ends, edges), 1):
        steps.append(above.filter(~pl.col("hash").is_in(reached.implode())).unique().with_columns(length=length))
        reached = pl.concat([reached, steps[-1]["hash"].unique()])
        waiting = waiting.filter(~waiting.is_in(reached.implode()))
        if waiting.is_empty():
            break
    on_way, kept = starts, []
    for step in reversed(steps):
        kept.append(step.filter(pl.col("hash").is_in(on_way.implode())))
        on_way = pl.concat([on_way, kept[-1]["dependency_hash"]]).unique()
    return pl.concat([edges.clear().with_columns(length=0), *kept])


def _nodes(cached: pl.DataFrame, needed: pl.DataFrame) -> pl.DataFrame:
    """Return `hash`, `package` and `version` of the specs in the chains, and `label`, which has all of them."""
    # What is not cached is named by the edges to it, though not by all of them.
    named = needed.select(hash="dependency_hash", package="dependency_package", version="dependency_version")
    short = pl.concat_str(pl.lit("/"), pl.col("hash").str.head(_SHORT))
    version = pl.concat_str(pl.lit("@"), "version")
    return (
        pl.concat([cached.select(named.columns), named])
        .group_by("hash")
        .agg(pl.col("package").max().fill_null(""), pl.col("version").max())
        .with_columns(label=pl.concat_str("package", version.fill_null(""), short))
    )


def _chains(steps: pl.DataFrame, nodes: pl.DataFrame) -> pl.DataFrame:
    """Return, for each spec on the way and each path of packages from it, the chain through the smallest hashes."""
    types = [pl.when(column).then(pl.lit(deptype)) for deptype, column in _TYPES.items()]
    edges = (
        steps.group_by("hash", "dependency_hash", "length")
        .agg(pl.col([*_TYPES.values()]).any())
        .with_columns(types=pl.concat_list(types).list.drop_nulls().list.join(","))
        .join(nodes.select("hash", "package", "label"), on="hash")
    )
    below = nodes.select("hash", path="package", chain="label", deptypes=pl.lit(None, pl.String))
    chains = []
    for step in edges.sort("length").partition_by("length", maintain_order=True):
        joined = step.join(below, left_on="dependency_hash", right_on="hash")
        chains.append(
            joined.sort("dependency_hash")
            .select(
                "hash",
                "length",
                path=pl.concat_str("package", pl.lit(ARROW), "path"),
                chain=pl.concat_str("label", pl.lit(ARROW), "chain"),
                deptypes=pl.concat_str("types", "deptypes", separator=ARROW, ignore_nulls=True),
            )
            .unique(["hash", "path"], keep="first", maintain_order=True)
        )
        below = chains[-1].drop("length")
    return pl.concat(chains)


def _by_path(chains: pl.DataFrame, nodes: pl.DataFrame, stacks: pl.DataFrame) -> pl.DataFrame:
    """Return a row for each path: an example, and the number and stacks of the specs from which it leads."""
    ages = {version: age for age, version in enumerate(sorted(nodes["version"].drop_nulls().unique(), key=version_key))}
    age = pl.col("version").replace_strict([*ages], [*ages.values()], default=-1, return_dtype=pl.Int64)
    newest_first = chains.join(nodes.select("hash", age=age), on="hash").sort("age", "hash", descending=[True, False])
    named = chains.join(stacks, on="hash").group_by("path").agg(stacks=pl.col("stack").unique().sort().str.join(", "))
    return (
        newest_first.group_by("path", "length", maintain_order=True)
        .agg(num_specs=pl.len(), example=pl.col("chain").first(), deptypes=pl.col("deptypes").first())
        .join(named, on="path", how="left")
        .sort("length", "num_specs", "path", descending=[False, True, False])
        .select(pl.col(name).cast(dtype) for name, dtype in _SCHEMA.items())
    )
