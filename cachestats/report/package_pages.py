"""The page of each package, and its file for programs."""

from __future__ import annotations

from typing import Any

import polars as pl
from markupsafe import Markup

from cachestats.dataset.subset import Subset
from cachestats.naming import snapshot_kind
from cachestats.report.facts import Facts
from cachestats.report.matrix import Matrices
from cachestats.report.packages import SpecValues
from cachestats.report.pages import Pages
from cachestats.report.paths import path_of
from cachestats.report.rows import Row, by_value, json_text, tuples
from cachestats.text import counted

_MOST_NEEDING = 24


def write_package_pages(subset: Subset, facts: Facts, pages: Pages, specs: dict[str, list[SpecValues]]) -> None:
    """Write the page of each package of any snapshot, and its file for programs; `specs` are the first of each."""
    names = [*subset.names]
    current = {row["package"]: row for row in facts.packages.to_dicts()}
    presence = facts.presence.join(facts.newest, on=["package", "snapshot"], how="left")
    by_snapshot = tuples(presence.select("package", "snapshot", "value", "version"))
    events = tuples(_events(facts, names))
    versions, gaps = by_value(facts.versions, "package"), by_value(facts.gaps, "package")
    excess = by_value(facts.duplicates, "package")
    positions = {name: number for number, name in enumerate(names)}
    anchors = pages.links("snapshots", names, "../")
    matrices = Matrices(subset.at(facts.current))
    dependencies = _Dependencies(facts, pages.links("packages", by_snapshot, "../"))
    for package, found in by_snapshot.items():
        series = sorted(found, key=lambda row: positions[row[0]], reverse=True)
        about = current.get(package)
        matrix = matrices.of(package)
        last = newest_of_each_kind([snapshot for snapshot, *_ in series])
        stacks = versions.get(package, [])
        pages.write(
            path_of("packages", package),
            "package.html",
            package_name=package,
            row=about,
            matrix=matrix,
            last=last,
            stacks=stacks,
            lacking=gaps.get(package, []),
            excess=next((row["excess"] for row in excess.get(package, ())), 0),
            dependencies=dependencies.of(package),
            series=series,
            anchors=anchors,
            bars=_bars({snapshot: number for snapshot, number, _ in series}, names),
            num_snapshots=len(names),
            events=events.get(package, [])[::-1],
            specs=specs.get(package, []),
        )
        targets = matrix.best() if matrix else {}
        pages.save(
            path_of("api", package), json_text(_for_programs(package, facts.current, last, about, targets, stacks))
        )


def _for_programs(
    package: str, snapshot: str, last: list[str], about: Row | None, targets: dict[str, str], stacks: list[Row]
) -> Row:
    return {
        "schema": 1,
        "package": package,
        "snapshot": snapshot,
        "is_covered": about is not None,
        "newest_version": about and about["version"],
        "num_versions": about["versions"] if about else 0,
        "num_specs": about["specs"] if about else 0,
        "stacks": [row["stack"] for row in stacks if row["stack"] is not None],
        "targets": targets,
        "last_seen": last,
    }


def _events(facts: Facts, names: list[str]) -> pl.DataFrame:
    """Return the snapshots in which packages were added, removed or changed their versions, oldest first."""
    told = pl.col("change").is_in(["added", "removed", "updated", "representation"])
    parts = [
        facts.changes[name]
        .filter(told)
        .select("package", pl.lit(name).alias("snapshot"), "change", "old_versions", "new_versions")
        for name in names
        if name in facts.changes
    ]
    return pl.concat(parts) if parts else pl.DataFrame(schema={"package": pl.String})


class _Dependencies:
    """What each package of the current snapshot needs, and what needs it."""

    def __init__(self, facts: Facts, links: dict[str, Markup]) -> None:
        self._links = links
        self._every = dict(facts.packages.select("package", "specs").iter_rows())
        self._total = sum(self._every.values())
        self._counts: dict[str, Row] = {}
        self._needing: dict[str, list[tuple[Any, ...]]] = {}
        self._needed: dict[str, list[tuple[Any, ...]]] = {}
        if facts.needs is not None:
            self._counts = {row["package"]: row for row in facts.needs.dependents.iter_rows(named=True)}
            most_first = facts.needs.direct.sort("num_specs", "package", "needed", descending=[True, False, False])
            self._needing = tuples(most_first.select("needed", "package", "num_specs"))
            self._needed = tuples(most_first.select("package", "needed", "num_specs"))

    def of(self, package: str) -> Row | None:
        """Return the counts of what depends on a package, and what does directly; None if there is nothing to say.

        `needing` and `needed` are links to other packages, each with the share of specs for which the dependency is
        direct, such as `2 of 3 specs`; the highest numbers come first.
        """
        if package not in self._counts:
            return None
        total = self._every.get(package, 0)
        needing, needed = self._needing.get(package, []), self._needed.get(package, [])
        return self._counts[package] | {
            "num_other_specs": self._total - total,
            "needing": [self._part(name, specs, self._every[name]) for name, specs in needing[:_MOST_NEEDING]],
            # What is not cached has no page.
            "needed": [self._part(name, specs, total) for name, specs in needed],
        }

    def _part(self, name: str, num_specs: int, total: int) -> tuple[str, str]:
        return self._links.get(name, name), f"{num_specs:,} of {counted(total, 'spec')}"


def newest_of_each_kind(names: list[str]) -> list[str]:
    """Return the first snapshot of each kind, given newest first: releases have no date by which to compare them.

    Examples
    --------
    >>> from cachestats.report.package_pages import newest_of_each_kind
    >>> newest_of_each_kind(["develop-2025-03-09", "develop-2025-03-02", "v1.0.0", "v0.23.1"])
    ['develop-2025-03-09', 'v1.0.0']
    """
    found: dict[str, str] = {}
    for name in names:
        found.setdefault(snapshot_kind(name)[0], name)
    return list(found.values())


def _bars(values: dict[str, int], names: list[str]) -> str:
    """Return the SVG path of a bar chart: one bar per snapshot, oldest first, 4 wide in steps of 5, at most 40 high."""
    most = max(values.values())
    bars = []
    for position, name in enumerate(names):
        if values.get(name):
            height = max(1, round(40 * values[name] / most))
            bars.append(f"M{position * 5} 40h4v{-height}h-4z")
    return "".join(bars)
