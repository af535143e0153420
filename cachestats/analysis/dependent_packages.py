"""How many packages depend on each package, directly or at any distance."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from cachestats.analysis.frames import refuse_cycle
from cachestats.analysis.spec_rows import SpecRows

Numbers = npt.NDArray[np.int64]


def count_dependents(specs_of: pl.DataFrame, edges: pl.DataFrame, rows: SpecRows) -> pl.DataFrame:
    """Count, for each package, the others that have a spec depending on it at any distance.

    Dependencies are followed from spec to spec. Following them from package to package would be less work, but wrong:
    if a spec of one package needs a second package, and a spec of the second needs a third, the first does not
    necessarily need the third. (Measured: it gives a tenth more pairs, and many times as many for some packages.)
    """
    below = edges.select(hash="dependency_hash", package="needed")
    named = pl.concat([specs_of.select("hash", "package"), below]).unique().drop_nulls()
    specs = pl.concat([named["hash"], edges["hash"], edges["dependency_hash"]]).unique()
    packages = named["package"].unique()
    # A graph library would walk from each spec by itself. Here sets of packages are rows of bits, and all specs of a
    # level get theirs at once: a snapshot has millions of edges, and Python's own sets take several times as long.
    sets = np.zeros((specs.len(), -(-packages.len() // 8)), np.uint8)
    own, bits = _positions(named["hash"], specs), _positions(named["package"], packages)
    np.bitwise_or.at(sets, (own, bits // 8), np.left_shift(1, bits % 8).astype(np.uint8))
    sources, ends = _positions(edges["hash"], specs), _positions(edges["dependency_hash"], specs)
    order = np.argsort(sources, kind="stable")
    _add_below(sets, sources[order], ends[order], specs, rows)

    starts, owners = _positions(specs_of["hash"], specs), _positions(specs_of["package"], packages)
    order = np.argsort(owners, kind="stable")
    needing, first = np.unique(owners[order], return_index=True)
    needs = np.unpackbits(_any_of(sets, starts[order], first), axis=1, count=packages.len(), bitorder="little")
    needs[np.arange(needing.size), needing] = 0  # count other packages only
    return pl.DataFrame({"package": packages, "num_dependents": needs.sum(axis=0, dtype=np.int64)})


def _add_below(sets: npt.NDArray[np.uint8], sources: Numbers, ends: Numbers, specs: pl.Series, rows: SpecRows) -> None:
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


def _any_of(sets: npt.NDArray[np.uint8], rows: Numbers, first: Numbers) -> npt.NDArray[np.uint8]:
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
