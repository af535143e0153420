"""What changed in the newest snapshots: the entries of feeds."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from cachestats.analysis.compare import compare
from cachestats.analysis.reuse import reused_requirements
from cachestats.analysis.spec_rows import spec_rows
from cachestats.analysis.usable import possible_hosts
from cachestats.axes import Change
from cachestats.dataset.subset import Subset
from cachestats.naming import snapshot_kind
from cachestats.report.facts import Facts

_MOST_SNAPSHOTS = 10
"""Feeds are about the newest snapshots of each kind: who subscribes has seen the others."""


class Events(NamedTuple):
    """Events of the newest snapshots, each compared with the one before; those of a rolling snapshot are left out.

    What is new in `develop` changes from day to day, and is told once a dated snapshot has it.
    """

    snapshots: list[str]
    """The snapshots, the newest first."""
    packages: pl.DataFrame
    """`package`, `snapshot`, and `change` to `new_specs` as in `compare`, for packages that were added, removed or
    updated."""
    stacks: pl.DataFrame
    """`stack`, `snapshot`, `change` and `package`, for packages that were added or removed."""
    hosts: pl.DataFrame
    """`package`, `snapshot`, `host` and `is_usable`: packages that both snapshots have, and that a host can use in one
    of them only, sorted by these columns."""


def recent_events(base: Subset, facts: Facts) -> Events:
    """Return the events of the newest snapshots of each kind."""
    before = facts.before
    seen: dict[str, int] = {}
    names = []
    for name in reversed(base.names):
        kind = snapshot_kind(name)[0]
        if name in before and kind != "rolling" and seen.setdefault(kind, 0) < _MOST_SNAPSHOTS:
            seen[kind] += 1
            names.append(name)
    stacks = {
        name: facts.stack_changes
        if name == facts.current
        else compare(base.at(before[name]), base.at(name), by="stack")
        for name in names
    }
    packages = {name: facts.changes[name] for name in names if name in facts.changes}
    details = ("old_versions", "new_versions", "old_specs", "new_specs")
    return Events(
        names,
        _united(packages, ("added", "removed", "updated"), "package", "snapshot", "change", *details),
        _united(stacks, ("added", "removed"), "stack", "snapshot", "change", "package"),
        _hosts(base, {name: before[name] for name in names}),
    )


def _united(frames: dict[str, pl.DataFrame], changes: tuple[Change, ...], *columns: str) -> pl.DataFrame:
    """Return the rows with some changes, with the name of their frame in the column `snapshot`."""
    named = [
        frame.filter(pl.col("change").is_in(changes)).select(
            pl.lit(name).alias("snapshot") if column == "snapshot" else pl.col(column) for column in columns
        )
        for name, frame in frames.items()
    ]
    return pl.concat(named) if named else pl.DataFrame(schema=dict.fromkeys(columns, pl.String))


def _hosts(base: Subset, before: dict[str, str]) -> pl.DataFrame:
    """Return what hosts can use in a snapshot and not in the one before, or the other way round.

    The hosts are those for which the newest snapshot has builds.
    """
    schema = {"package": pl.String, "snapshot": pl.String, "host": pl.String, "is_usable": pl.Boolean}
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
    hosts = pl.DataFrame(fulfilled, schema={"host": pl.Categorical, "requirement": pl.String}, orient="row")
    # One at a time: every package on every host, in all snapshots, would be millions of rows.
    parts = [_hosts_since(rows, hosts, old, new) for new, old in before.items()]
    return pl.concat(parts).cast({"host": pl.String}).select(*schema).sort("snapshot", "package", "host")


def _hosts_since(rows: pl.DataFrame, hosts: pl.DataFrame, old: str, new: str) -> pl.DataFrame:
    """Return what hosts can use in one snapshot and not in another, of the packages that both have."""
    key = ["package", "host"]
    sides = [rows.filter(snapshot=name) for name in (new, old)]
    now, earlier = (
        side.join(other.select("package"), on="package", how="semi").join(hosts, on="requirement").select(key).unique()
        for side, other in (sides, sides[::-1])
    )
    came, went = now.join(earlier, on=key, how="anti"), earlier.join(now, on=key, how="anti")
    differing = pl.concat([came.with_columns(is_usable=True), went.with_columns(is_usable=False)])
    return differing.with_columns(snapshot=pl.lit(new))
