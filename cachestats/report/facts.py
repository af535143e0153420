"""The contents of a report: every analysis is run here, once."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from statistics import median_low
from typing import NamedTuple

import polars as pl

from cachestats.analysis.compare import compare, compare_snapshots, count_changes
from cachestats.analysis.coverage import coverage
from cachestats.analysis.dependent_packages import Needs, count_needs
from cachestats.analysis.duplicates import duplicates
from cachestats.analysis.frames import ordered
from cachestats.analysis.gaps import gaps_by_weight
from cachestats.analysis.history import history, snapshots_before
from cachestats.analysis.holes import holes
from cachestats.analysis.losses import losses_of
from cachestats.analysis.overlap import overlap
from cachestats.analysis.spec_rows import spec_rows
from cachestats.analysis.versions import versions
from cachestats.dataset.dataset import with_dependencies
from cachestats.dataset.subset import Subset
from cachestats.environment import Environment
from cachestats.errors import ArgumentError
from cachestats.hosts import Host
from cachestats.naming import snapshot_kind, source_address
from cachestats.report.environment_facts import EnvironmentFacts, look_at_environment
from cachestats.report.host_facts import HostFacts, look_at_host

ALLOWED_LOSS = 0.05
"""What `cachestats check` allows, unless told otherwise."""
_RECENT = 5


class Age(NamedTuple):
    """How old the data is, and how old it usually gets."""

    day: datetime.date
    """The day of the newest snapshot: its date, or if it has none, that on which it was read."""
    usual_days: int | None
    """The usual days between the newest dated snapshots; None if there are not two."""


class Facts(NamedTuple):
    """The results of the analyses; `current` is `develop` if it exists, otherwise the newest snapshot."""

    current: str
    before: dict[str, str]
    """The snapshot with which each one is compared: the previous one, and for `develop` the newest dated one."""
    snapshots: pl.DataFrame
    """The table `snapshots`, the newest first; sources are addresses, without the name of the snapshot."""
    age: Age
    losses: pl.DataFrame
    """The stacks that lost packages since the snapshot before the current one, as `losses` returns them."""
    packages: pl.DataFrame
    """Of the current snapshot: `package`, its newest `version`, and the counts `versions`, `specs`, `stacks` and
    `targets`."""
    stacks: pl.DataFrame
    """Of the current snapshot: `stack`, `packages`, `specs`, `share`, `behind` (packages with an older version than
    elsewhere), and the specs `kept`, `new` and `gone` compared with the previous snapshot."""
    history: pl.DataFrame
    stack_history: pl.DataFrame
    changes: dict[str, pl.DataFrame]
    """The result of `compare` for each snapshot that has a previous one."""
    stack_changes: pl.DataFrame
    """The result of `compare` by stack for the current snapshot."""
    newest: pl.DataFrame
    """`package`, `snapshot`, and `version`, the newest in the snapshot."""
    presence: pl.DataFrame
    """`package`, `snapshot`, and `value`, the number of specs."""
    versions: pl.DataFrame
    """The result of `versions` by stack for the current snapshot."""
    gaps: pl.DataFrame
    """The packages of the current snapshot that each stack lacks."""
    overlap: pl.DataFrame
    duplicates: pl.DataFrame
    holes: pl.DataFrame | None
    """The missing specs, those that break the most others first; None if dependencies are not known."""
    hosts: list[HostFacts]
    environments: list[EnvironmentFacts]
    needs: Needs | None
    """What packages of the current snapshot need, and what needs them; None if dependencies are not known."""


def gather(base: Subset, hosts: Iterable[Host], environments: Mapping[str, Environment]) -> Facts:
    """Run all analyses of a report on the specs of some snapshots, and for some hosts and environments.

    Raises
    ------
    ArgumentError
        If there are no snapshots, or a host is not complete (see `usable`).
    """
    dataset, names = base.dataset, [*base.names]
    if not names:
        raise ArgumentError(
            f"expected a dataset with at least one snapshot, found none in {dataset.path}",
            hint="build it from a source that has pages or indices",
        )
    current, before = names[-1], _before(names)
    every, here = base.at(names), base.at(current)
    knows_dependencies = bool(with_dependencies(dataset, [current]))
    changes = compare_snapshots(every, before)
    there = base.at(before[current]) if current in before else here
    stack_changes = compare(there, here, by="stack")
    lag = versions(here, by="stack")
    series, by_stack = history(every), history(every, by="stack")
    table = _snapshots(base, series, by_stack)
    newest = versions(every, by="snapshot")
    needs = count_needs(here, here) if knows_dependencies else None
    return Facts(
        current=current,
        before=before,
        snapshots=ordered(table, "snapshot").reverse(),
        age=_age(table, current),
        losses=losses_of(count_changes(stack_changes, by="stack"), "stack").filter(pl.col("lost") > 0),
        packages=_packages(here, newest.filter(pl.col("snapshot") == current)),
        stacks=_stacks(by_stack, current, lag, stack_changes if current in before else None),
        history=series,
        stack_history=by_stack,
        changes={
            str(name): part
            for (name,), part in changes.partition_by("snapshot", as_dict=True, include_key=False).items()
        },
        stack_changes=stack_changes,
        newest=newest,
        presence=coverage(every, rows="package", columns="snapshot"),
        versions=lag,
        gaps=gaps_by_weight(here, by="stack", weights=needs.dependents if needs else None),
        overlap=overlap(here),
        duplicates=duplicates(here, by="package"),
        # Whether something is broken depends on all specs, whatever the report is about.
        holes=holes(here.whole, by="missing") if knows_dependencies else None,
        hosts=[look_at_host(base, current, host) for host in dict.fromkeys(hosts)],
        environments=[look_at_environment(base, current, *named) for named in environments.items()],
        needs=needs,
    )


def _snapshots(base: Subset, series: pl.DataFrame, by_stack: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of the table `snapshots`; those of some specs count these alone."""
    table = base.dataset.snapshots.filter(pl.col("snapshot").is_in(base.names)).collect()
    table = table.with_columns(pl.Series("source", map(_addresses, table["source"], table["snapshot"]), pl.String))
    if base.is_whole:
        return table
    counts = series.select("snapshot", num_packages="packages", num_specs="specs")
    stacks = by_stack.filter(pl.col("specs") > 0).drop_nulls("stack").group_by("snapshot").agg(num_stacks=pl.len())
    found = counts.join(stacks.with_columns(pl.col("num_stacks").cast(pl.Int64)), on="snapshot", how="left")
    columns = ["num_packages", "num_specs", "num_stacks"]
    return (
        table.drop(columns).join(found, on="snapshot", how="left").with_columns(pl.col(columns).fill_null(0))
    ).select(table.columns)


def _addresses(sources: str, snapshot: str) -> str:
    """Return the addresses of the sources of a snapshot, which may be `NAME=SOURCE`."""
    return "; ".join(source_address(source, snapshot) for source in sources.split("; "))


def _age(snapshots: pl.DataFrame, current: str) -> Age:
    row = snapshots.row(by_predicate=pl.col("snapshot") == current, named=True)
    days = snapshots["snapshot_date"].drop_nulls().unique().sort()
    intervals = days.diff().drop_nulls().tail(_RECENT).dt.total_days().to_list()
    return Age(row["snapshot_date"] or row["read_at"].date(), median_low(intervals) if intervals else None)


def _before(names: list[str]) -> dict[str, str]:
    """Return, for each snapshot, the one with which it is compared."""
    before = snapshots_before(names)
    dated = [name for name in names if snapshot_kind(name)[0] == "dated"]
    rolling = {name: dated[-1] for name in names if snapshot_kind(name)[0] == "rolling" and dated}
    return before | rolling


def _packages(here: Subset, newest: pl.DataFrame) -> pl.DataFrame:
    rows = spec_rows(here, ("package", "version", "hash", "stack", "target"))
    found = newest.select("package", "version")
    for name, of in (("versions", "version"), ("specs", "hash"), ("targets", "target")):
        found = found.join(rows.count("package", of=[of]).rename({"value": name}), on="package")
    stacks = rows.distinct("package", "stack").drop_nulls().group_by("package").agg(stacks=pl.len().cast(pl.Int64))
    return found.join(stacks, on="package", how="left").with_columns(pl.col("stacks").fill_null(0)).sort("package")


def _stacks(by_stack: pl.DataFrame, current: str, lag: pl.DataFrame, changes: pl.DataFrame | None) -> pl.DataFrame:
    behind = lag.group_by("stack").agg(behind=pl.col("is_behind").sum().cast(pl.Int64))
    found = by_stack.filter(pl.col("snapshot") == current, pl.col("specs") > 0)
    if changes is not None:  # `develop` has no previous snapshot in a series, and is compared with the newest dated one
        common = pl.col("common_specs").sum()
        churn = changes.group_by("stack").agg(
            kept=common, new=pl.col("new_specs").sum() - common, gone=pl.col("old_specs").sum() - common
        )
        found = found.drop("kept", "new", "gone").join(churn, on="stack", nulls_equal=True)
    return (
        found.join(behind, on="stack", how="left", nulls_equal=True)
        .select("stack", "packages", "specs", "share", "behind", "kept", "new", "gone")
        .sort("packages", "stack", descending=[True, False])
    )


def most_needed(gaps: pl.DataFrame) -> pl.DataFrame:
    """Return the packages that some stack lacks, the most needed first, with the number of stacks that lack them."""
    weight = ["num_dependents", "num_columns"]
    return (
        gaps.group_by("package")
        .agg(pl.col("num_dependents", "num_columns").first(), lacking=pl.len())
        .sort(*weight, "package", descending=[True, True, False], nulls_last=True)
    )
