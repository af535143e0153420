"""The retention curve: what the newest snapshots keep, for every number of them."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from cachestats.analysis.explain import specs_of
from cachestats.analysis.retain import whole_subset
from cachestats.analysis.retention import cached_specs_of
from cachestats.analysis.spec_graph import SpecGraph
from cachestats.dataset.dataset import Dataset
from cachestats.dataset.subset import Subset
from cachestats.environment import Environment
from cachestats.naming import snapshot_order


def retention_curve(
    dataset: Dataset | Subset, *, environments: Mapping[str, Environment] | None = None
) -> pl.DataFrame:
    """Say what keeping the newest snapshots costs, and what it is worth, for every number of snapshots.

    Parameters
    ----------
    dataset
        A dataset, of which all snapshots count, or a subset of some snapshots.
    environments
        Environments whose hits are counted, by name.

    Returns
    -------
    polars.DataFrame
        One row for each number of snapshots, and for each environment if there are any, sorted by these:

        - `newest` (Int64): how many of the newest snapshots are kept, as in `retain`.
        - `snapshot` (String): the oldest of them.
        - `specs` (Int64): the specs that stay, with all that they are linked to or run with, each hash once.
        - `bytes` (Int64): their bytes, as far as their sizes are known; null if none is.
        - `unknown_sizes` (Int64): the specs that stay whose sizes are not known.
        - `environment` (String): the name of the environment; null if there are none.
        - `hits` (Int64): the specs of it that stay.
        - `rate` (Float64, from 0 to 1): `hits` divided by all specs of the environment.

    Raises
    ------
    ArgumentError
        If the subset has filters, as whatever it leaves out would go.

    Examples
    --------
    >>> import cachestats as cs
    >>> ds = cs.example_dataset()
    >>> curve = cs.retention_curve(ds, environments={"hdf5": cs.read_environment(ds.path / "spack.lock")})
    >>> curve.select("newest", "specs", "hits").rows()
    [(1, 39, 0), (2, 68, 10)]
    """
    subset = whole_subset(dataset)
    names = sorted(subset.names, key=snapshot_order, reverse=True)
    graph = SpecGraph.of(subset)
    # A spec stays once the number of snapshots is greater than this.
    since = graph.needed_since(graph.specs["age"])
    specs = graph.specs.select("spec", "size_bytes").with_columns(since=since)
    size = pl.col("size_bytes")
    steps = pl.DataFrame(
        {"since": range(len(names)), "snapshot": names}, schema={"since": pl.Int32, "snapshot": pl.String}
    )
    counts = specs.group_by("since").agg(specs=pl.len(), bytes=size.sum(), unknown_sizes=size.null_count())
    curve = (
        steps.join(counts, on="since", how="left")
        .sort("since")
        .with_columns(pl.col("specs", "bytes", "unknown_sizes").fill_null(0).cum_sum().cast(pl.Int64))
        .with_columns(
            newest=pl.col("since").cast(pl.Int64) + 1,
            bytes=pl.when(pl.col("unknown_sizes") < pl.col("specs")).then("bytes"),
        )
    )
    hits = [
        curve.select("since", pl.lit(name).alias("environment")).with_columns(*_hits(one, specs, curve))
        for name, one in (environments or {}).items()
    ]
    nothing = curve.select(
        "since",
        environment=pl.lit(None, pl.String),
        hits=pl.lit(None, pl.Int64),
        rate=pl.lit(None, pl.Float64),
    )
    order = {name: place for place, name in enumerate(environments or ())}
    place = pl.col("environment").replace_strict(order, default=None, return_dtype=pl.Int64)
    return (
        curve.join(pl.concat(hits or [nothing]), on="since")
        .sort("newest", place)
        .select("newest", "snapshot", "specs", "bytes", "unknown_sizes", "environment", "hits", "rate")
    )


def _hits(environment: Environment, specs: pl.DataFrame, curve: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    """Return the hits of an environment, and their share, in each row of the curve."""
    found = cached_specs_of(environment, specs)["since"]
    hits = pl.Series("hits", [int((found <= since).sum()) for since in curve["since"]], dtype=pl.Int64)
    number = specs_of(environment).height
    return hits, pl.Series("rate", [one / number if number else None for one in hits], dtype=pl.Float64)
