"""Budget: fill a number of bytes with the specs that are needed most."""

from __future__ import annotations

import polars as pl

from cachestats.analysis.spec_graph import SpecGraph


def within_budget(
    graph: SpecGraph, keeps: pl.Series, budget: int, num_environments: pl.Series, *, with_dependencies: bool
) -> pl.Series:
    """Return the specs to keep besides those that stay already, so that all have at most `budget` bytes.

    Specs are added one after another, in the order of `SpecGraph.by_need`. Each brings what it is linked to or runs
    with. One that does not fit is passed over, as a smaller one may still fit.

    Parameters
    ----------
    graph
        The specs, all with known sizes.
    keeps
        Whether each spec stays already.
    budget
        The bytes.
    num_environments
        By how many environments each spec is needed.
    with_dependencies
        Whether specs bring their dependencies.
    """
    below: dict[int, list[int]] = {}
    if with_dependencies:
        edges = graph.edges
        for spec, needed in edges.filter(~keeps.gather(edges["spec"]) & ~keeps.gather(edges["dependency"])).iter_rows():
            below.setdefault(spec, []).append(needed)
    sizes, stays = graph.specs["size_bytes"].to_list(), keeps.to_list()
    left = budget - int(graph.specs["size_bytes"].filter(keeps).sum())
    added: list[int] = []
    for row in graph.by_need(num_environments):
        if stays[row] or sizes[row] > left:
            continue
        size, closure, waiting = sizes[row], {row}, [row]
        while waiting and size <= left:
            for needed in below.get(waiting.pop(), ()):
                if not stays[needed] and needed not in closure:
                    closure.add(needed)
                    waiting.append(needed)
                    size += sizes[needed]
        if size <= left:
            left -= size
            added += closure
            for one in closure:
                stays[one] = True
    nothing = pl.repeat(False, graph.specs.height, dtype=pl.Boolean, eager=True)
    return nothing.scatter(added, True)
