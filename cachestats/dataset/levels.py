"""Paths along dependencies, followed level by level."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl


def levels(
    ends: pl.Series, edges: pl.DataFrame, *, at: str = "dependency_hash", to: str = "hash"
) -> Iterator[pl.DataFrame]:
    """Yield the edges of all paths from some specs, by the distance of their nearer ends.

    Parameters
    ----------
    ends
        The specs from which the paths go, as `edges` has them.
    edges
        The columns `at` and `to`, and any others.
    at, to
        The columns of the nearer and the farther end of an edge: by default, the paths go up to what depends on `ends`.

    Yields
    ------
    polars.DataFrame
        First the edges at the ends themselves; then, each time, those at specs that the edges before led to first. An
        end that depends on another counts as reached only then.

    Examples
    --------
    >>> import polars as pl
    >>> from cachestats.dataset.levels import levels
    >>> edges = pl.DataFrame({"hash": ["a", "b"], "dependency_hash": ["b", "c"]})
    >>> [level["hash"].to_list() for level in levels(pl.Series(["c"]), edges)]
    [['b'], ['a'], []]
    """
    # Measured on 2.2 million edges: this takes a quarter of the time of looking up sorted edges in NumPy.
    level, reached = ends, ends.clear()
    while not level.is_empty():
        found = edges.filter(pl.col(at).is_in(level.implode()))
        yield found
        others = found[to].unique()
        level = others.filter(~others.is_in(reached.implode()))
        reached = pl.concat([reached, level])
