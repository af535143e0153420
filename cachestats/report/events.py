"""What changed in the newest snapshots: the entries of feeds."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from cachestats.analysis.compare import compare
from cachestats.analysis.reuse import reused_requirements
from cachestats.analysis.spec_rows import spec_rows
from cachestats.analysis.usable import possible_hosts
from cachestats.dataset.subset import Subset
from cachestats.naming import snapshot_kind

_MOST_SNAPSHOTS = 10
"""Feeds are about the newest snapshots of each kind: who subscribes has seen the others."""


class Events(NamedTuple):
    """Events of the newest snapshots, each compared with the one before; those of a rolling snapshot are left out.

    What is new in `develop` changes from day to day, and is told once a dated snapshot has it.
    """

    snapshots: list[str]
    """The snapshots, the newest first."""
    packages: pl.DataFrame
    """The result of `compare_snapshots` for these."""
    stacks: pl.DataFrame
    """`snapshot`, and the result of `compare` by stack."""
    hosts: pl.DataFrame
    """`snapshot`, `package`, `host` and `is_usable`: packages that both snapshots have, and that a host can use in one
    of them only, sorted by these columns."""


def recent_events(base: Subset, changes: dict[str, pl.DataFrame], before: dict[str, str]) -> Events:
    """Return the events of the newest snapshots of each kind, from the comparisons of all snapshots."""
    seen: dict[str, int] = {}
    names = []
    for name in reversed(base.names):
        kind = snapshot_kind(name)[0]
        if name in before and kind != "rolling" and seen.setdefault(kind, 0) < _MOST_SNAPSHOTS:
            seen[kind] += 1
            names.append(name)
    stacks = {name: compare(base.at(before[name]), base.at(name), by="stack") for name in names}
    return Events(
        names,
        _united({name: changes[name] for name in names if name in changes}),
        _united(stacks),
        _hosts(base, {name: before[name] for name in names}),
    )


def _united(frames: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """Return frames as one, with their names in the column `snapshot`."""
    named = [frame.select(pl.lit(name).alias("snapshot"), pl.all()) for name, frame in frames.items()]
    return pl.concat(named) if named else pl.DataFrame()


def _hosts(base: Subset, before: dict[str, str]) -> pl.DataFrame:
    """Return what hosts can use in a snapshot and not in the one before, or the other way round.

    The hosts are those for which the newest snapshot has builds.
    """
    schema = {"snapshot": pl.String, "package": pl.String, "host": pl.String, "is_usable": pl.Boolean}
    if not before:
        return pl.DataFrame(schema=schema)
    here = base.at(base.names[-1])
    built = spec_rows(here, ("platform", "os", "target")).distinct("platform", "os", "target")
    columns = ("snapshot", "package", "requirement")
    rows = spec_rows(base.at([*{*before, *before.values()}]), columns, every_snapshot=True).distinct(*columns)
    texts = rows["requirement"].unique().to_list()
    fulfilled = [
        (f"{host.target} on {host.os}", text)
        for host in possible_hosts(built)
        for text in reused_requirements(texts, host)
    ]
    hosts = pl.DataFrame(fulfilled, schema={"host": pl.String, "requirement": pl.String}, orient="row")
    usable = rows.join(hosts, on="requirement").select("snapshot", "package", "host").unique()
    pairs = pl.DataFrame([*before.items()], schema={"new": pl.String, "old": pl.String}, orient="row")
    packages = rows.select("snapshot", "package").unique()
    both = (
        packages.join(pairs, left_on="snapshot", right_on="new")
        .join(packages, left_on=["old", "package"], right_on=["snapshot", "package"])
        .select("snapshot", "old", "package")
    )
    now = both.join(usable, on=["snapshot", "package"]).select("snapshot", "package", "host", is_usable=True)
    earlier = both.join(usable, left_on=["old", "package"], right_on=["snapshot", "package"])
    earlier = earlier.select("snapshot", "package", "host", is_usable=False)
    key = ["snapshot", "package", "host"]
    differing = [now.join(earlier, on=key, how="anti"), earlier.join(now, on=key, how="anti")]
    return pl.concat(differing).sort(key)
